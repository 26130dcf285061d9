/* pattern.c - reads a rule's two texts and plans the match. Everything that can be wrong with a rule is found here, by
 * its name. */
#include "pattern.h"
#include "../ir/lex.h"
#include <assert.h>
#include <string.h>

typedef struct Reader {
	Lexer lex;
	Job *job;
	Arena *into;
	Pattern *p;
	bool emit;                            /* which of the two texts this is */
} Reader;

_Noreturn static void wrong(const Reader *r, const Token *at, const char *what, const char *name, size_t n)
{
	lex_fail(&r->lex, at, GRAFT_E_RULE, "%s '%.*s'", what, (int)(n < 64 ? n : 64), name);
}

/* ---- names ---- */

static int find_name(const Pattern *p, const char *s, size_t n)
{
	for (int i = 0; i < p->n_names; i++)
		if (!strncmp(p->name[i], s, n) && !p->name[i][n])
			return i;
	return -1;
}

int pattern_name(const Pattern *p, const char *name)
{
	return find_name(p, name, strlen(name));
}

static int add_name(Reader *r, const Token *t)
{
	Pattern *p = r->p;
	int i = find_name(p, t->s, t->n);
	if (i >= 0)
		return i;
	if (p->n_names == MAX_NAMES)
		lex_fail(&r->lex, t, GRAFT_E_RULE, "a rule may use %d names, this one is one more", MAX_NAMES);
	p->name[p->n_names] = arena_strndup(r->into, t->s, t->n);
	p->line_of[p->n_names] = -1;
	return p->n_names++;
}

/* ---- attributes ---- */

static bool read_number(Reader *r, Attr *out)
{
	const Token *t = &r->lex.tok;
	if (t->kind == TOK_INT)
		*out = (Attr){ .kind = ATTR_INT, .i = t->i };
	else if (t->kind == TOK_FLOAT)
		*out = (Attr){ .kind = ATTR_FLOAT, .f = t->f };
	else if (token_is_word(t, "true") || token_is_word(t, "false"))
		*out = (Attr){ .kind = ATTR_BOOL, .i = token_is_word(t, "true") };
	else
		return false;
	lex_next(&r->lex);
	return true;
}

/* Which of the words "late|early" a token is; -1: none. */
static int64_t word_index(const char *words, const Token *t)
{
	for (int64_t i = 0;; i++) {
		size_t n = strcspn(words, "|");
		if (n == t->n && !strncmp(words, t->s, n))
			return i;
		if (!words[n])
			return -1;
		words += n + 1;
	}
}

/* A word that is a value of this kind of attribute, not a name the rule binds. */
static bool word_literal(const AttrSpec *spec, const Token *t, Attr *out)
{
	graft_dtype d;
	*out = (Attr){ .kind = spec->kind };
	if (token_is_word(t, "none")) {
		out->kind = ATTR_NONE;
		return true;
	}
	if (spec->kind == ATTR_DTYPE && dtype_parse(t->s, t->n, &d)) {
		out->i = d;
		return true;
	}
	if (spec->kind == ATTR_NAME)
		out->i = word_index(spec->words, t);
	return spec->kind == ATTR_NAME && out->i >= 0;
}

/* The elements of what an op that graft does not know may carry; the [ is read. */
static Attr read_any(Reader *r);

static Attr read_list(Reader *r)
{
	Attr *list = NULL;
	uint32_t n = 0;
	size_t cap = 0;
	while (!lex_accept(&r->lex, ']')) {
		if (n)
			lex_want(&r->lex, ',', "',' or ']'");
		list = arena_grow(r->into, list, n, &cap, sizeof *list);
		list[n++] = read_any(r);
	}
	return (Attr){ .kind = ATTR_LIST, .n = n, .list = list };
}

static Attr read_any(Reader *r)
{
	Attr a = { .kind = ATTR_NONE };
	Token t = r->lex.tok;
	if (read_number(r, &a))
		return a;
	if (lex_accept(&r->lex, '['))
		return read_list(r);
	if (t.kind == TOK_STRING)
		a = (Attr){ .kind = ATTR_STRING, .s = arena_strndup(r->into, t.s, t.n) };
	else if (!token_is_word(&t, "none"))
		lex_fail_wanted(&r->lex, "a number, true, false, none, a quoted string or a list in []");
	lex_next(&r->lex);
	return a;
}

static Attr read_axes(Reader *r)
{
	int64_t axes[GRAFT_MAX_RANK];
	uint32_t n = 0;
	lex_want(&r->lex, '[', "a list of axes");
	while (!lex_accept(&r->lex, ']')) {
		if (n)
			lex_want(&r->lex, ',', "',' or ']'");
		if (r->lex.tok.kind != TOK_INT || n == GRAFT_MAX_RANK)
			lex_fail_wanted(&r->lex, "an axis");
		axes[n++] = r->lex.tok.i;
		lex_next(&r->lex);
	}
	return (Attr){ .kind = ATTR_AXES, .n = n, .ints = arena_copy(r->into, axes, n * sizeof *axes) };
}

static Attr read_literal(Reader *r, const AttrSpec *spec)
{
	Token t = r->lex.tok;
	Attr a;
	if (spec->kind == ATTR_AXES)
		return read_axes(r);
	if (!read_number(r, &a))
		lex_fail_wanted(&r->lex, "a number, a word or a name");
	if (a.kind == ATTR_INT && spec->kind == ATTR_FLOAT)
		return (Attr){ .kind = ATTR_FLOAT, .f = t.f };
	if (a.kind == ATTR_INT && spec->kind == ATTR_AXIS)
		a.kind = ATTR_AXIS;
	if (a.kind == ATTR_INT && spec->kind == ATTR_DIM)
		return (Attr){ .kind = ATTR_DIM, .dim = dim_const(a.i) };
	if (a.kind != spec->kind)
		lex_fail(&r->lex, &t, GRAFT_E_RULE, "attribute '%s' is a %s", spec->name, attr_kind_name(spec->kind));
	return a;
}

/* Of an op that graft does not know any attribute may be named, and may be missing in the graph. */
static void read_key(Reader *r, Term *t)
{
	Token name = r->lex.tok;
	if (t->n_attr == MAX_ATTRS)
		lex_fail(&r->lex, &name, GRAFT_E_RULE, "an op in a rule may name %d attributes, this one is one more",
		         MAX_ATTRS);
	for (int i = 0; i < t->n_attr; i++)
		if (!strncmp(t->attr[i].key, name.s, name.n) && !t->attr[i].key[name.n])
			wrong(r, &name, "there are two attributes", name.s, name.n);
	lex_next(&r->lex);
	lex_want(&r->lex, '=', "'='");
	AttrArg *a = &t->attr[t->n_attr++];
	*a = (AttrArg){ .index = -1, .name = -1, .key = arena_strndup(r->into, name.s, name.n) };
	Token v = r->lex.tok;
	bool literal = token_is_word(&v, "true") || token_is_word(&v, "false") || token_is_word(&v, "none");
	if (v.kind != TOK_NAME || literal) {
		a->literal = read_any(r);
		return;
	}
	lex_next(&r->lex);
	a->name = add_name(r, &v);
	r->p->is_attr[a->name] = true;
}

static void read_attr(Reader *r, Term *t)
{
	Token name = r->lex.tok;
	if (name.kind != TOK_NAME)
		lex_fail_wanted(&r->lex, "the name of an attribute");
	if (op_code(t->op) == OP_unknown) {
		read_key(r, t);
		return;
	}
	int index = attr_index(t->op, name.s, name.n);
	if (index < 0)
		wrong(r, &name, arena_printf(r->into, "%s has no attribute", t->op->name), name.s, name.n);
	for (int i = 0; i < t->n_attr; i++)
		if (t->attr[i].index == index)
			wrong(r, &name, "there are two attributes", name.s, name.n);
	lex_next(&r->lex);
	lex_want(&r->lex, '=', "'='");
	AttrArg *a = &t->attr[t->n_attr++];
	*a = (AttrArg){ .index = index, .name = -1 };
	const AttrSpec *spec = &t->op->attrs[index];
	Token v = r->lex.tok;
	bool word = v.kind == TOK_NAME && !token_is_word(&v, "true") && !token_is_word(&v, "false");
	if (!word) {
		a->literal = read_literal(r, spec);
		return;
	}
	lex_next(&r->lex);
	if (word_literal(spec, &v, &a->literal))
		return;
	a->name = add_name(r, &v);
	r->p->is_attr[a->name] = true;
}

static void read_attrs(Reader *r, Term *t)
{
	while (!lex_accept(&r->lex, '}')) {
		if (t->n_attr)
			lex_want(&r->lex, ',', "',' or '}'");
		read_attr(r, t);
	}
}

/* ---- terms and lines ---- */

static Term *read_term(Reader *r, int place);

static bool is_call(const Reader *r)
{
	Lexer ahead = r->lex;
	lex_next(&ahead);
	return lex_is(&ahead, '(');
}

static int next_place(Reader *r)
{
	if (r->p->n_places == MAX_PLACES)
		lex_fail(&r->lex, &r->lex.tok, GRAFT_E_RULE, "a rule may have %d nodes, this one is one more",
		         MAX_PLACES);
	return r->p->n_places++;
}

static void read_arg(Reader *r, const Term *of, Arg *a)
{
	Token t = r->lex.tok;
	if (read_number(r, &a->number)) {
		a->kind = ARG_NUMBER;
		return;
	}
	if (t.kind != TOK_NAME)
		lex_fail_wanted(&r->lex, "an operand: a name, a number or another op");
	if (is_call(r)) {
		if (r->emit)
			lex_fail(&r->lex, &t, GRAFT_E_RULE, "emit has one op a line; give this one a line and a name");
		a->kind = ARG_TERM;
		a->term = read_term(r, next_place(r));
		return;
	}
	a->kind = ARG_VALUE;
	a->name = add_name(r, &t);
	lex_next(&r->lex);
	a->optional = lex_accept(&r->lex, '?');
	a->written = !a->optional && lex_accept(&r->lex, '!');
	if (a->written && (r->emit || op_code(of->op) != OP_unknown))
		lex_fail(&r->lex, &t, GRAFT_E_RULE,
		         "'!' says in match what an op that graft does not know writes; %s", r->emit ?
		         "emit writes nothing" : "this one is known");
}

static void check_arity(Reader *r, const Token *at, const Term *t)
{
	if (t->n_in < t->op->in_min || (t->op->in_max != MANY && t->n_in > t->op->in_max))
		lex_fail(&r->lex, at, GRAFT_E_RULE, "%s takes (%s), found %d operands", t->op->name, t->op->operands,
		         t->n_in);
}

/* An attribute that emit leaves out gets its default, so it must have one. */
static void check_given(Reader *r, const Token *at, const Term *t)
{
	for (int i = 0; i < t->op->n_attrs; i++) {
		bool given = t->op->attrs[i].fallback;
		for (int k = 0; k < t->n_attr; k++)
			given |= t->attr[k].index == i;
		if (!given)
			lex_fail(&r->lex, at, GRAFT_E_RULE, "%s needs its attribute '%s'", t->op->name,
			         t->op->attrs[i].name);
	}
}

/* A dotted name that is none of graft's is that of an op it does not know. */
static const Op *find_op(const Reader *r, const Token *t)
{
	const Op *op = op_find(t->s, t->n);
	if (!op && !memchr(t->s, '.', t->n))
		wrong(r, t, "no such op:", t->s, t->n);
	return op ? op : &op_table[OP_unknown];
}

static Term *read_term(Reader *r, int place)
{
	Token op = r->lex.tok;
	if (op.kind != TOK_NAME)
		lex_fail_wanted(&r->lex, "an op");
	Term *t = NEW(r->into, Term);
	t->place = place;
	t->op = find_op(r, &op);
	t->name = op_code(t->op) == OP_unknown ? arena_strndup(r->into, op.s, op.n) : t->op->name;
	lex_next(&r->lex);
	lex_want(&r->lex, '(', "'(' and operands");
	while (!lex_accept(&r->lex, ')')) {
		if (t->n_in)
			lex_want(&r->lex, ',', "',' or ')'");
		if (t->n_in == MAX_ARGS)
			lex_fail(&r->lex, &op, GRAFT_E_RULE, "an op in a rule may have %d operands", MAX_ARGS);
		read_arg(r, t, &t->in[t->n_in]);
		t->n_in++;
	}
	check_arity(r, &op, t);
	if (lex_accept(&r->lex, '{'))
		read_attrs(r, t);
	if (r->emit)
		check_given(r, &op, t);
	return t;
}

static void define(Reader *r, const Token *at, int name, int index)
{
	if (r->p->line_of[name] >= 0)
		wrong(r, at, "there are two definitions of", r->p->name[name], strlen(r->p->name[name]));
	r->p->line_of[name] = index;
}

static void read_outs(Reader *r, Line *l, int index)
{
	Pattern *p = r->p;
	do {
		Token t = r->lex.tok;
		if (t.kind != TOK_NAME || l->n_out == MAX_ARGS)
			lex_fail_wanted(&r->lex, "the name of a result");
		int before = p->n_names, name = add_name(r, &t);
		if (!r->emit)
			define(r, &t, name, index);
		else if (name < before && p->line_of[name] < 0)
			wrong(r, &t, "emit defines what match does not make:", t.s, t.n);
		l->out[l->n_out++] = name;
		lex_next(&r->lex);
	} while (lex_accept(&r->lex, ','));
}

static void check_outs(Reader *r, const Token *at, const Line *l, const Term *t)
{
	int max = t->op->out_max == MANY ? MAX_ARGS : t->op->out_max;
	if (l->n_out > max || (r->emit && l->n_out < t->op->out_min))
		lex_fail(&r->lex, at, GRAFT_E_RULE, "%s makes (%s), found %d names for it", t->op->name, t->op->results,
		         l->n_out);
}

/* The operand with a '!'; -1: none. */
static int written_name(const Term *t)
{
	for (int i = 0; i < t->n_in; i++)
		if (t->in[i].written)
			return t->in[i].name;
	return -1;
}

static int count_written(const Term *t)
{
	int n = 0;
	for (int i = 0; i < t->n_in; i++)
		n += t->in[i].written;
	return n;
}

static void check_nothing_written(const Reader *r, const Token *at, const Term *t)
{
	if (count_written(t))
		lex_fail(&r->lex, at, GRAFT_E_RULE, "a line that marks what it writes names no results");
	for (int i = 0; i < t->n_in; i++)
		if (t->in[i].kind == ARG_TERM)
			check_nothing_written(r, at, t->in[i].term);
}

/* A line without results is there for what its node writes. */
static void read_writing_line(Reader *r, Line *l, int index)
{
	Token at = r->lex.tok;
	Term **end = &l->term;
	do {
		Term *t = *end = read_term(r, index);
		if (count_written(t) != 1 || written_name(t) != written_name(l->term))
			lex_fail(&r->lex, &at, GRAFT_E_RULE,
			         "a line without results names the one operand that is written, the same in every "
			         "alternative: f.default(y!, x)");
		for (int i = 0; i < t->n_in; i++)
			if (t->in[i].kind == ARG_TERM)
				check_nothing_written(r, &at, t->in[i].term);
		end = &t->other;
	} while (lex_accept(&r->lex, '|'));
	l->writes = true;
	l->n_out = 1;
	l->out[0] = written_name(l->term);
	define(r, &at, l->out[0], index);
}

static void read_line(Reader *r, Line *l, int index)
{
	Token at = r->lex.tok;
	l->same = -1;
	if (!r->emit && at.kind == TOK_NAME && is_call(r)) {
		read_writing_line(r, l, index);
		return;
	}
	read_outs(r, l, index);
	l->optional = lex_accept(&r->lex, '?');
	lex_want(&r->lex, '=', "'=' or '?='");
	if (r->emit && l->optional)
		lex_fail(&r->lex, &at, GRAFT_E_RULE, "nothing in emit is optional");
	if (r->emit && r->lex.tok.kind == TOK_NAME && !is_call(r)) {
		l->same = add_name(r, &r->lex.tok);
		lex_next(&r->lex);
		return;
	}
	Term **end = &l->term;
	do {
		*end = read_term(r, index);
		check_outs(r, &at, l, *end);
		check_nothing_written(r, &at, *end);
		end = &(*end)->other;
	} while (!r->emit && lex_accept(&r->lex, '|'));
}

static int read_text(Reader *r, const char *text, bool emit, Line *lines)
{
	int n = 0;
	r->emit = emit;
	lex_start_at(&r->lex, r->job, r->into, GRAFT_E_RULE, r->p->rule->file, r->p->label, text, strlen(text),
	             emit ? r->p->rule->emit_line : r->p->rule->match_line);
	for (; r->lex.tok.kind != TOK_END; lex_next(&r->lex)) {
		if (r->lex.tok.kind == TOK_LINE)
			continue;
		if (n == MAX_LINES)
			lex_fail(&r->lex, &r->lex.tok, GRAFT_E_RULE, "a rule may have %d lines, this one is one more",
			         MAX_LINES);
		read_line(r, &lines[n], n);
		n++;
		if (r->lex.tok.kind != TOK_LINE)
			lex_fail_wanted(&r->lex, "the end of the line");
	}
	return n;
}

/* ---- the plan ---- */

_Noreturn static void bad(const Reader *r, const char *what, const char *name)
{
	fail_at(r->job, GRAFT_E_RULE, r->p->label, "%s '%s'", what, name);
}

/* Operand names that are attributes elsewhere stand for constants. */
static void settle_args(Reader *r, Term *t)
{
	Pattern *p = r->p;
	for (int i = 0; i < t->n_in; i++) {
		Arg *a = &t->in[i];
		if (a->kind == ARG_TERM)
			settle_args(r, (Term *)a->term);
		if (a->kind != ARG_VALUE)
			continue;
		if (p->is_attr[a->name])
			a->kind = ARG_SCALAR;
		if (a->optional && (p->is_attr[a->name] || p->line_of[a->name] >= 0))
			bad(r, "only an operand that is a plain value may be missing, not", p->name[a->name]);
	}
}

static void settle(Reader *r, Line *lines, int n)
{
	for (int i = 0; i < n; i++)
		for (Term *t = lines[i].term; t; t = t->other)
			settle_args(r, t);
	for (int i = 0; i < r->p->n_names; i++)
		if (r->p->is_attr[i] && r->p->line_of[i] >= 0)
			bad(r, "both a value and an attribute:", r->p->name[i]);
}

static void names_of_term(const Term *t, bool *set)
{
	for (int i = 0; i < t->n_in; i++) {
		if (t->in[i].kind == ARG_TERM)
			names_of_term(t->in[i].term, set);
		else if (t->in[i].kind != ARG_NUMBER)
			set[t->in[i].name] = true;
	}
	for (int i = 0; i < t->n_attr; i++)
		if (t->attr[i].name >= 0)
			set[t->attr[i].name] = true;
}

/* Names that every match binds, whichever alternatives and optional nodes it takes. */
static void bound_names(const Pattern *p, bool *bound)
{
	for (int i = 0; i < p->n_match; i++) {
		const Line *l = &p->match[i];
		bool all[MAX_NAMES] = { false };
		for (int k = 0; k < l->n_out; k++)
			bound[l->out[k]] = true;
		names_of_term(l->term, all);
		for (const Term *t = l->term->other; t; t = t->other) {
			bool here[MAX_NAMES] = { false };
			names_of_term(t, here);
			for (int k = 0; k < p->n_names; k++)
				all[k] &= here[k];
		}
		for (int k = 0; k < p->n_names && !l->optional; k++)
			bound[k] |= all[k];
		if (l->optional)
			bound[l->term->in[0].name] = true;
	}
	for (int k = 0; k < p->n_names; k++)
		bound[k] |= p->computed[k];
}

static void find_roots(Reader *r)
{
	Pattern *p = r->p;
	for (int i = 0; i < p->n_emit; i++)
		for (int k = 0; k < p->emit[i].n_out; k++) {
			int name = p->emit[i].out[k];
			for (int j = 0; j < p->n_roots; j++)
				if (p->root[j] == name)
					bad(r, "emit has two definitions of", p->name[name]);
			if (p->line_of[name] < 0)
				continue;
			if (p->match[p->line_of[name]].optional)
				bad(r, "emit cannot replace an optional value:", p->name[name]);
			if (p->n_roots == MAX_LINES)
				bad(r, "emit replaces too many values, the last is", p->name[name]);
			p->root[p->n_roots++] = name;
		}
	if (!p->n_roots)
		fail_at(r->job, GRAFT_E_RULE, p->label, "emit must define at least one value of match again");
	for (int i = 0; i < p->n_match; i++)
		p->writes |= p->match[i].writes;
	if (p->writes && (p->n_roots > 1 || !p->match[p->line_of[p->root[0]]].writes))
		fail_at(r->job, GRAFT_E_RULE, p->label,
		        "what a line of match writes ('!') must be all that emit defines again");
	if (p->rule->tentative && (p->n_emit > 1 || p->emit[0].n_out > 1 || !p->emit[0].term))
		fail_at(r->job, GRAFT_E_RULE, p->label, "a tentative rule emits one node with one result");
}

/* Emit reads what every match binds, or what it has defined itself; never a value that is about to be replaced. */
static void check_emit(Reader *r)
{
	Pattern *p = r->p;
	bool bound[MAX_NAMES] = { false };
	bound_names(p, bound);
	for (int i = 0; i < p->n_roots; i++)
		bound[p->root[i]] = false;
	for (int i = 0; i < p->n_emit; i++) {
		const Line *l = &p->emit[i];
		bool used[MAX_NAMES] = { false };
		if (l->term)
			names_of_term(l->term, used);
		else
			used[l->same] = true;
		for (int k = 0; k < p->n_names; k++)
			if (used[k] && !bound[k])
				bad(r, "emit reads a name that not every match binds, or that it replaces:",
				    p->name[k]);
		for (int k = 0; k < l->n_out; k++) {
			if (l->term && op_code(l->term->op) == OP_unknown && p->line_of[l->out[k]] < 0)
				bad(r, "graft does not know the op, and so not the type of what replaces nothing:",
				    p->name[l->out[k]]);
			bound[l->out[k]] = true;
		}
		if (!l->term && (p->line_of[l->out[0]] < 0 || l->n_out > 1))
			bad(r, "emit gives a second name to", p->name[l->same]);
	}
}

/* Which value stands for the result when the node is missing must not depend on the alternative. */
static bool may_be_missing(const Line *l)
{
	for (const Term *t = l->term; t; t = t->other)
		if (t->n_in < 1 || t->in[0].kind != ARG_VALUE || t->in[0].name != l->term->in[0].name)
			return false;
	return l->n_out == 1;
}

static void check_optional(Reader *r)
{
	for (int i = 0; i < r->p->n_match; i++)
		if (r->p->match[i].optional && !may_be_missing(&r->p->match[i]))
			bad(r, "an optional line has one result, and one name as first operand of every alternative, unlike",
			    r->p->name[r->p->match[i].out[0]]);
}

/* One step of the walk over the pattern: lines whose value is known, or that read a known value. True when it went
 * further. */
static bool walk_on(const Pattern *p, bool *known, bool *reached)
{
	bool more = false;
	for (int i = 0; i < p->n_match; i++) {
		const Line *l = &p->match[i];
		bool touch = false;
		for (int k = 0; k < l->n_out; k++)
			touch |= known[l->out[k]];
		for (int k = 0; k < l->term->n_in && !l->optional; k++)
			touch |= l->term->in[k].kind == ARG_VALUE && known[l->term->in[k].name];
		if (reached[i] || !touch)
			continue;
		more = reached[i] = true;
		for (int k = 0; k < l->n_out; k++)
			known[l->out[k]] = true;
		for (const Term *t = l->term; t; t = t->other)
			names_of_term(t, known);
	}
	return more;
}

static void check_whole(Reader *r)
{
	Pattern *p = r->p;
	bool known[MAX_NAMES] = { false }, reached[MAX_LINES] = { false };
	known[p->root[0]] = true;
	while (walk_on(p, known, reached))
		;
	if (p->join >= 0 && reached[p->join])
		bad(r, "a join is not needed to reach", p->rule->join_at);
	if (p->join >= 0)
		known[p->match[p->join].out[0]] = true;
	while (walk_on(p, known, reached))
		;
	for (int i = 0; i < p->n_match; i++)
		if (!reached[i])
			bad(r, "the pattern is in pieces, and no join leads to", p->name[p->match[i].out[0]]);
}

static int n_nested(const Term *t)
{
	int n = 1;
	for (int i = 0; i < t->n_in; i++)
		n += t->in[i].kind == ARG_TERM ? n_nested(t->in[i].term) : 0;
	return n;
}

/* More than half of the nodes that every match has. */
static int worth_telling(const Pattern *p)
{
	int n = 0;
	for (int i = 0; i < p->n_match; i++) {
		int least = MAX_PLACES;
		for (const Term *t = p->match[i].term; t; t = t->other)
			least = n_nested(t) < least ? n_nested(t) : least;
		n += p->match[i].optional ? 0 : least;
	}
	return n / 2 + 1;
}

/* "round, scale" */
static void read_computed(Reader *r)
{
	const char *names = r->p->rule->computed;
	if (!names != !r->p->rule->attrs)
		fail_at(r->job, GRAFT_E_RULE, r->p->label, "attrs and computed go together");
	if (!names)
		return;
	lex_start(&r->lex, r->job, r->into, GRAFT_E_RULE, NULL, r->p->label, names, strlen(names));
	do {
		if (r->lex.tok.kind != TOK_NAME)
			lex_fail_wanted(&r->lex, "the name of a computed attribute");
		int name = add_name(r, &r->lex.tok);
		r->p->is_attr[name] = r->p->computed[name] = true;
		lex_next(&r->lex);
	} while (lex_accept(&r->lex, ','));
}

static int join_line(Reader *r)
{
	const Rule *rule = r->p->rule;
	if (!rule->join_at != !rule->join)
		fail_at(r->job, GRAFT_E_RULE, r->p->label, "join and join_at go together");
	if (!rule->join_at)
		return -1;
	int name = pattern_name(r->p, rule->join_at);
	if (name < 0 || r->p->line_of[name] < 0)
		bad(r, "join_at names no value that match makes:", rule->join_at);
	return r->p->line_of[name];
}

const Pattern *pattern_read(Job *job, Arena *into, const char *pass, const Rule *rule)
{
	Pattern *p = NEW(into, Pattern);
	Reader r = { .job = job, .into = into, .p = p };
	p->rule = rule;
	p->label = rule->name ? rule->name : pass;
	p->n_places = MAX_LINES;
	p->n_match = read_text(&r, rule->match, false, p->match);
	read_computed(&r);
	p->n_emit = read_text(&r, rule->emit, true, p->emit);
	settle(&r, p->match, p->n_match);
	settle(&r, p->emit, p->n_emit);
	check_optional(&r);
	find_roots(&r);
	check_emit(&r);
	p->start = p->line_of[p->root[0]];
	p->join = join_line(&r);
	check_whole(&r);
	p->deep = worth_telling(p);
	return p;
}
