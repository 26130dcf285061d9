/* user_rule.c - rules of the user's own: from the API, and from text files. */
#include "config.h"
#include "match.h"
#include "rule.h"
#include "../io/io.h"
#include <stdlib.h>
#include <string.h>

typedef struct UserRule {
	Pass pass;
	Rule rules[2];                        /* the rule, and the end of the list */
	bool (*where)(void *user, graft_match *m);
	void *user;
} UserRule;

/* ---- what `where` sees: a graft_match is the engine's Match ---- */

static int bound(const Match *m, const char *name)
{
	int i = pattern_name(m->p, name);
	return i >= 0 && m->s.bound[i] ? i : -1;
}

static const Attr *bound_attr(const Match *m, const char *name)
{
	int i = bound(m, name);
	return i >= 0 && m->s.attr[i].kind != ATTR_NONE ? &m->s.attr[i] : NULL;
}

static const Value *bound_value(const Match *m, const char *name)
{
	int i = bound(m, name);
	return i >= 0 ? m->s.value[i] : NULL;
}

const char *graft_match_text(graft_match *handle, const char *name)
{
	Match *m = (Match *)handle;
	Text t = { .arena = m->run->scratch };
	if (bound_value(m, name))
		type_print(&t, &bound_value(m, name)->type);
	else if (bound_attr(m, name))
		attr_print(&t, NULL, bound_attr(m, name));
	return t.text;
}

bool graft_match_number(graft_match *handle, const char *name, double *out)
{
	Match *m = (Match *)handle;
	const Attr *a = bound_attr(m, name);
	Attr scalar;
	if (!a && bound_value(m, name) && value_scalar(bound_value(m, name), &scalar))
		a = &scalar;
	if (!a || (a->kind == ATTR_DIM && !dim_is_const(a->dim)))
		return false;
	if (a->kind == ATTR_FLOAT)
		*out = a->f;
	else if (a->kind == ATTR_DIM)
		*out = (double)a->dim.value;
	else if (a->kind == ATTR_INT || a->kind == ATTR_BOOL || a->kind == ATTR_AXIS)
		*out = (double)a->i;
	else
		return false;
	return true;
}

bool graft_match_size(graft_match *handle, const char *name, int axis, int64_t *out)
{
	const Value *v = bound_value((Match *)handle, name);
	if (!v)
		return false;
	int rank = (int)v->type.rank, place = axis < 0 ? axis + rank : axis;
	if (place < 0 || place >= rank || !dim_is_const(v->type.dims[place]))
		return false;
	*out = v->type.dims[place].value;
	return true;
}

bool graft_match_refuse(graft_match *handle, const char *why)
{
	return refuse((Match *)handle, "where", "%s", why);
}

/* A `where` that says no without a reason is given one, so that --explain has something to say. */
static bool ask(Match *m)
{
	const UserRule *u = m->p->rule->user;
	return u->where(u->user, (graft_match *)m) || refuse(m, "where", "the rule's own condition says no");
}

/* ---- adding ---- */

typedef struct AddArgs { graft_config *c; const graft_rule *rule; } AddArgs;

static void check_name(graft_config *c, Job *job, const char *file, int line, const char *name)
{
	if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != strlen(name))
		fail_in(job, GRAFT_E_RULE, file, line, 1, NULL,
		        "a rule's name is made of letters, digits, '_', '.' and '-', found '%.64s'", name);
	if (config_pass(c, name, strlen(name)))
		fail_in(job, GRAFT_E_USAGE, file, line, 1, NULL,
		        "there is a pass '%s' already; give the rule another name", name);
}

/* The rule's texts must be the configuration's own by now. */
static void add_rule(graft_config *c, Job *job, Rule rule, const Pass *before, bool (*where)(void *, graft_match *),
                     void *user)
{
	UserRule *u = NEW(&c->arena, UserRule);
	*u = (UserRule){ .pass = { rule.name, "a rule of your own", 1, NULL, NULL, u->rules }, .rules = { rule },
	                 .where = where, .user = user };
	u->rules[0].user = u;
	u->rules[0].where = where ? ask : NULL;
	rules_check(job, rule.name, u->rules);
	config_add_pass(c, &u->pass, rule.tentative && !before ? config_first_fusion(c) : before);
}

static const Pass *pass_before(graft_config *c, Job *job, const char *file, int line, const char *name)
{
	const Pass *p = name ? config_pass(c, name, strlen(name)) : NULL;
	if (name && !p)
		fail_in(job, GRAFT_E_USAGE, file, line, 1, NULL,
		        "there is no pass '%.64s' to run in front of; graft passes lists them", name);
	return p;
}

static void add_body(Job *job, void *arg)
{
	AddArgs *a = arg;
	const graft_rule *r = a->rule;
	config_enter(a->c, job);
	if (r->struct_size != sizeof *r)
		fail(job, GRAFT_E_USAGE,
		     "graft_rule.struct_size is %zu, this graft knows %zu; set it to sizeof(graft_rule)",
		     r->struct_size, sizeof *r);
	if (!r->name || !r->match || !r->emit)
		fail(job, GRAFT_E_USAGE, "a rule needs a name, match and emit");
	check_name(a->c, job, NULL, 0, r->name);
	Arena *own = &a->c->arena;
	Rule rule = { .name = arena_strdup(own, r->name), .match = arena_strdup(own, r->match),
	              .emit = arena_strdup(own, r->emit), .tentative = r->tentative };
	add_rule(a->c, job, rule, pass_before(a->c, job, NULL, 0, r->before), r->where, r->user);
}

graft_status graft_config_add_rule(graft_config *c, const graft_rule *rule, graft_error *err)
{
	return guarded(c->arena.mem, add_body, &(AddArgs){ c, rule }, err);
}

/* ---- files ----
 *
 *     pure my::gate
 *
 *     rule silu_from_sigmoid
 *         s = sigmoid(x)
 *         y = mul(x, s)
 *     =>
 *         y = silu(x)
 */

typedef struct RuleFile { graft_config *c; const char *path; } RuleFile;

typedef struct Reader {
	Job *job;
	const char *file, *at, *end;
	int line;                             /* of `at`, from 1 */
} Reader;

/* The line at r->at without blanks around it; comments and empty lines have size 0. */
static Bytes line_at(const Reader *r)
{
	const char *end = memchr(r->at, '\n', (size_t)(r->end - r->at)), *s = r->at;
	end = end ? end : r->end;
	while (s < end && strchr(" \t\r", *s))
		s++;
	while (end > s && strchr(" \t\r", end[-1]))
		end--;
	return (Bytes){ s, s < end && *s == '#' ? 0 : (size_t)(end - s) };
}

static void next_line(Reader *r)
{
	const char *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
	r->at = newline ? newline + 1 : r->end;
	r->line++;
}

/* A line that begins with this word; a value of that name is followed by '=' or ','. */
static bool starts_with(Bytes line, const char *word)
{
	size_t n = strlen(word), blanks = 0;
	if (line.size <= n || memcmp(line.data, word, n))
		return false;
	while (n + blanks < line.size && strchr(" \t", line.data[n + blanks]))
		blanks++;
	return blanks && n + blanks < line.size && !strchr("=?,", line.data[n + blanks]);
}

static bool starts_rule(Bytes line)
{
	return starts_with(line, "rule");
}

static bool starts_part(Bytes line)
{
	return starts_rule(line) || starts_with(line, "pure") || starts_with(line, "writes");
}

/* The next word of a line, taken from its front; "": there is none. */
static const char *take_word(Bytes *line, Arena *a)
{
	while (line->size && strchr(" \t", *line->data))
		line->data++, line->size--;
	size_t n = 0;
	while (n < line->size && !strchr(" \t", line->data[n]))
		n++;
	const char *word = arena_strndup(a, line->data, n);
	line->data += n;
	line->size -= n;
	return word;
}

static bool is_arrow(Bytes line)
{
	return line.size == 2 && !memcmp(line.data, "=>", 2);
}

/* Everything up to a line that ends the part. */
static const char *part(Reader *r, Arena *own, bool (*ends)(Bytes line))
{
	const char *start = r->at;
	while (r->at < r->end && !ends(line_at(r)))
		next_line(r);
	return arena_strndup(own, start, (size_t)(r->at - start));
}

/* `pure NS::NAME` or `writes NS::NAME 0 2`. */
static void read_declared(Reader *r, graft_config *c)
{
	Bytes line = line_at(r);
	Arena *a = &r->job->scratch;
	Declared d = { .pure = starts_with(line, "pure") };
	take_word(&line, a);
	d.op = take_word(&line, a);
	if (!declared_name_fits(d.op))
		fail_in(r->job, GRAFT_E_RULE, r->file, r->line, 1, NULL, "an op is named NS::NAME here, found '%.64s'",
		        d.op);
	for (const char *word; *(word = take_word(&line, a));) {
		char *end;
		unsigned long i = strtoul(word, &end, 10);
		if (d.pure || *word < '0' || *word > '9' || *end || i > 63)
			fail_in(r->job, GRAFT_E_RULE, r->file, r->line, 1, NULL, "wanted %s, found '%.64s'", d.pure ?
			        "the end of the line" : "the number of an operand that it writes, 0 to 63", word);
		d.writes |= UINT64_C(1) << i;
	}
	config_declare(c, d);
	next_line(r);
}

/* The words behind the name. */
static const Pass *read_head(Reader *r, graft_config *c, Bytes rest, Rule *rule)
{
	const Pass *before = NULL;
	for (const char *word; *(word = take_word(&rest, &r->job->scratch));) {
		if (!strcmp(word, "tentative"))
			rule->tentative = true;
		else if (!strcmp(word, "before"))
			before = pass_before(c, r->job, r->file, r->line, take_word(&rest, &r->job->scratch));
		else
			fail_in(r->job, GRAFT_E_RULE, r->file, r->line, 1, rule->name,
			        "behind the name wanted 'tentative' or 'before PASS', found '%.64s'", word);
	}
	return before;
}

static void read_rule(Reader *r, graft_config *c)
{
	Bytes head = line_at(r);
	int line = r->line;
	if (!starts_rule(head))
		fail_in(r->job, GRAFT_E_RULE, r->file, line, 1, NULL,
		        "wanted 'rule NAME', 'pure NS::NAME' or 'writes NS::NAME 0', found '%.*s'",
		        (int)(head.size < 60 ? head.size : 60), head.data);
	take_word(&head, &r->job->scratch);
	Rule rule = { .name = take_word(&head, &c->arena), .file = arena_strdup(&c->arena, r->file) };
	check_name(c, r->job, r->file, line, rule.name);
	const Pass *before = read_head(r, c, head, &rule);
	next_line(r);
	rule.match_line = r->line - 1;
	rule.match = part(r, &c->arena, is_arrow);
	if (r->at == r->end)
		fail_in(r->job, GRAFT_E_RULE, r->file, line, 1, rule.name,
		        "the rule has no line '=>' between match and emit");
	next_line(r);
	rule.emit_line = r->line - 1;
	rule.emit = part(r, &c->arena, starts_part);
	add_rule(c, r->job, rule, before, NULL, NULL);
}

static void load_body(Job *job, void *arg)
{
	RuleFile *f = arg;
	config_enter(f->c, job);
	Bytes b = file_read(&job->scratch, f->path);
	Reader r = { job, f->path, b.data, b.data + b.size, 1 };
	while (r.at < r.end) {
		Bytes line = line_at(&r);
		if (line.size && starts_part(line) && !starts_rule(line))
			read_declared(&r, f->c);
		else if (line.size)
			read_rule(&r, f->c);
		else
			next_line(&r);
	}
}

graft_status graft_config_load_rules(graft_config *c, const char *path, graft_error *err)
{
	return guarded(c->arena.mem, load_body, &(RuleFile){ c, path }, err);
}
