/* user_rule.c - rules of the user's own: from the API, and from text files. */
#include "config.h"
#include "match.h"
#include "rule.h"
#include "../io/io.h"
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
static void add_rule(graft_config *c, Job *job, Rule rule, bool (*where)(void *, graft_match *), void *user)
{
	UserRule *u = NEW(&c->arena, UserRule);
	*u = (UserRule){ .pass = { rule.name, "a rule of your own", 1, NULL, NULL, u->rules }, .rules = { rule },
	                 .where = where, .user = user };
	u->rules[0].user = u;
	u->rules[0].where = where ? ask : NULL;
	rules_check(job, rule.name, u->rules);
	config_add_pass(c, &u->pass);
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
	              .emit = arena_strdup(own, r->emit) };
	add_rule(a->c, job, rule, r->where, r->user);
}

graft_status graft_config_add_rule(graft_config *c, const graft_rule *rule, graft_error *err)
{
	return guarded(c->arena.mem, add_body, &(AddArgs){ c, rule }, err);
}

/* ---- files ----
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

static bool starts_rule(Bytes line)
{
	return line.size > 5 && !memcmp(line.data, "rule", 4) && (line.data[4] == ' ' || line.data[4] == '\t');
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

static void read_rule(Reader *r, graft_config *c)
{
	Bytes head = line_at(r);
	int line = r->line;
	if (!starts_rule(head))
		fail_in(r->job, GRAFT_E_RULE, r->file, line, 1, NULL, "wanted 'rule NAME', found '%.*s'",
		        (int)(head.size < 60 ? head.size : 60), head.data);
	size_t skip = 4 + strspn(head.data + 4, " \t");
	Rule rule = { .name = arena_strndup(&c->arena, head.data + skip, head.size - skip),
	              .file = arena_strdup(&c->arena, r->file) };
	check_name(c, r->job, r->file, line, rule.name);
	next_line(r);
	rule.match_line = r->line - 1;
	rule.match = part(r, &c->arena, is_arrow);
	if (r->at == r->end)
		fail_in(r->job, GRAFT_E_RULE, r->file, line, 1, rule.name,
		        "the rule has no line '=>' between match and emit");
	next_line(r);
	rule.emit_line = r->line - 1;
	rule.emit = part(r, &c->arena, starts_rule);
	add_rule(c, r->job, rule, NULL, NULL);
}

static void load_body(Job *job, void *arg)
{
	RuleFile *f = arg;
	config_enter(f->c, job);
	Bytes b = file_read(&job->scratch, f->path);
	Reader r = { job, f->path, b.data, b.data + b.size, 1 };
	while (r.at < r.end) {
		if (line_at(&r).size)
			read_rule(&r, f->c);
		else
			next_line(&r);
	}
}

graft_status graft_config_load_rules(graft_config *c, const char *path, graft_error *err)
{
	return guarded(c->arena.mem, load_body, &(RuleFile){ c, path }, err);
}
