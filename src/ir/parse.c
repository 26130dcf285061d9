/* parse.c - reads the notation (docs/format.md). One statement a line, so every error knows its place. */
#include "graph.h"
#include "lex.h"
#include <math.h>
#include <string.h>

enum { MAX_NESTING = 64, MAX_UNKNOWN_ATTRS = 1024 };

typedef struct Parser {
	Lexer lex;
	Graph *g;
	/* for what is read: the job's when the graph copies it, else the graph's */
	Arena *arena;
	Token place;                          /* what an error from outside this file is about; ... */
	const char *size;                     /* ... while one is read, how far a size was understood; else NULL */

	/* The statement being read; the arrays are used again by the next. */
	Value **in;
	const char **out_names, **attr_names, **origin;
	Type *types;                          /* dtype GRAFT_DTYPE_COUNT where none was written */
	Attr *attrs;
	uint32_t n_in, n_out, n_attrs, n_origin;
	size_t cap_in, cap_names, cap_types, cap_attrs, cap_attr_names, cap_origin;
} Parser;

/* Appends to one of the arrays above. */
#define PUSH(p, array, n, cap, x)                                                                \
	((p)->array = arena_grow((p)->arena, (p)->array, (p)->n, &(p)->cap, sizeof *(p)->array), \
	 (p)->array[(p)->n] = (x))

/* ---- pieces ---- */

static bool is_text(const Token *t) { return t->kind == TOK_NAME || t->kind == TOK_STRING; }

static bool is_line_end(const Token *t) { return t->kind == TOK_LINE || t->kind == TOK_END; }

static const char *token_text(Arena *a, const Token *t)
{
	return arena_strndup(a, t->s, t->n);
}

/* For messages. */
static const char *shown(const Parser *p, const Token *t)
{
	size_t n = text_cut(t->s, t->n, 100);
	return arena_printf(p->arena, "%.*s%s", (int)n, t->s, n < t->n ? "..." : "");
}

/* A name, bare or quoted. */
static Token want_name(Parser *p, const char *wanted)
{
	Token t = p->lex.tok;
	if (!is_text(&t))
		lex_fail_wanted(&p->lex, wanted);
	if (!t.n)
		lex_fail(&p->lex, &t, GRAFT_E_GRAPH, "a name must not be empty; wanted %s", wanted);
	p->place = t;
	lex_next(&p->lex);
	return t;
}

static void want_line_end(Parser *p, const char *wanted)
{
	if (!is_line_end(&p->lex.tok))
		lex_fail_wanted(&p->lex, wanted);
}

/* Bare words that stand for literals cannot be names of values. */
static bool is_literal_word(const Token *t)
{
	return token_is_word(t, "true") || token_is_word(t, "false") || token_is_word(t, "inf") ||
	       token_is_word(t, "nan") || token_is_word(t, "none");
}

static Token new_value_name(Parser *p, const Token *t)
{
	const Lexer *l = &p->lex;
	if (is_literal_word(t))
		lex_fail(l, t, GRAFT_E_SYNTAX, "%.*s is a literal; a value of that name is written \"%.*s\"",
		         (int)t->n, t->s, (int)t->n, t->s);
	if (value_find(p->g, t->s, t->n))
		lex_fail(l, t, GRAFT_E_GRAPH, "'%s' is defined twice; every value needs a name of its own",
		         shown(p, t));
	return *t;
}

static Value *defined_value(Parser *p, const Token *t)
{
	Value *v = value_find(p->g, t->s, t->n);
	if (!v)
		lex_fail(&p->lex, t, GRAFT_E_GRAPH, "no value named '%s' is defined before this", shown(p, t));
	return v;
}

static Dim parse_dim(Parser *p)
{
	const Token *t = &p->lex.tok;
	if (t->kind != TOK_INT && t->kind != TOK_NAME && t->punct != '(' && t->punct != '-')
		lex_fail_wanted(&p->lex, "a size: an integer, a symbol or an expression like 2*T");
	p->place = *t;
	p->size = t->at;
	Dim d = dim_parse(p->g, &p->size, p->lex.line_end);
	lex_seek(&p->lex, p->size);
	p->size = NULL;
	return d;
}

static const char *dtype_names(Arena *a)
{
	Text t = { .arena = a };
	for (int i = 0; i < GRAFT_DTYPE_END; i++)
		if (i != GRAFT_DTYPE_COUNT)
			text_printf(&t, "%s%s", i ? ", " : "", graft_dtype_name((graft_dtype)i));
	return t.text;
}

static graft_dtype parse_dtype(Parser *p)
{
	graft_dtype d;
	const Token *t = &p->lex.tok;
	if (t->kind != TOK_NAME)
		lex_fail_wanted(&p->lex, "an element type like bf16");
	if (!dtype_parse(t->s, t->n, &d))
		lex_fail(&p->lex, t, GRAFT_E_GRAPH, "'%.*s' is not an element type; there are %s",
		         (int)(t->n < 40 ? t->n : 40), t->s, dtype_names(p->arena));
	lex_next(&p->lex);
	return d;
}

/* bf16[T, 7168] */
static Type parse_type(Parser *p, Arena *into)
{
	Dim dims[GRAFT_MAX_RANK];
	Type t = { .dtype = parse_dtype(p) };
	lex_want(&p->lex, '[', "'[' and the sizes after the element type");
	while (!lex_accept(&p->lex, ']')) {
		if (t.rank > 0)
			lex_want(&p->lex, ',', "',' or ']' after a size");
		if (t.rank == GRAFT_MAX_RANK)
			lex_fail(&p->lex, &p->lex.tok, GRAFT_E_GRAPH, "a type has more than %d sizes", GRAFT_MAX_RANK);
		dims[t.rank++] = parse_dim(p);
	}
	t.dims = arena_copy(into, dims, t.rank * sizeof *dims);
	return t;
}

/* ---- attributes ---- */

/* A number or truth value; false, and nothing read, when there is none. */
static bool parse_scalar(Parser *p, Attr *out)
{
	const Token *t = &p->lex.tok;
	if (t->kind == TOK_INT)
		*out = (Attr){ .kind = ATTR_INT, .i = t->i };
	else if (t->kind == TOK_FLOAT)
		*out = (Attr){ .kind = ATTR_FLOAT, .f = t->f };
	else if (token_is_word(t, "inf"))
		*out = (Attr){ .kind = ATTR_FLOAT, .f = INFINITY };
	else if (token_is_word(t, "nan"))
		*out = (Attr){ .kind = ATTR_FLOAT, .f = NAN };
	else if (token_is_word(t, "true") || token_is_word(t, "false"))
		*out = (Attr){ .kind = ATTR_BOOL, .i = token_is_word(t, "true") };
	else
		return false;
	lex_next(&p->lex);
	return true;
}

static Attr parse_any(Parser *p, int depth);

/* The [ is read. */
static Attr parse_list(Parser *p, int depth)
{
	Attr *list = NEW_ARRAY(p->arena, 0, Attr);
	uint32_t n = 0;
	size_t cap = 0;
	if (depth == MAX_NESTING)
		lex_fail(&p->lex, &p->lex.tok, GRAFT_E_SYNTAX, "lists are nested more than %d deep", MAX_NESTING);
	while (!lex_accept(&p->lex, ']')) {
		if (n > 0)
			lex_want(&p->lex, ',', "',' or ']' after an element of a list");
		list = arena_grow(p->arena, list, n, &cap, sizeof *list);
		list[n++] = parse_any(p, depth + 1);
	}
	return (Attr){ .kind = ATTR_LIST, .list = list, .n = n };
}

/* What an unknown op's attribute, or an element of a list, may be. */
static Attr parse_any(Parser *p, int depth)
{
	Attr a = { .kind = ATTR_NONE };
	const Token *t = &p->lex.tok;
	if (parse_scalar(p, &a))
		return a;
	if (lex_accept(&p->lex, '['))
		return parse_list(p, depth);
	if (t->kind == TOK_STRING)
		a = (Attr){ .kind = ATTR_STRING, .s = t->s };
	else if (!token_is_word(t, "none"))
		lex_fail_wanted(&p->lex, "a number, true, false, none, a quoted string or a list in []");
	lex_next(&p->lex);
	return a;
}

_Noreturn static void fail_attr(const Parser *p, const AttrSpec *spec)
{
	lex_fail_wanted(&p->lex, arena_printf(p->arena, "a value for '%s' (%s)", spec->name,
	                                      attr_kind_name(spec->kind)));
}

static int64_t parse_int(Parser *p, const AttrSpec *spec)
{
	int64_t i = p->lex.tok.i;
	if (p->lex.tok.kind != TOK_INT)
		fail_attr(p, spec);
	lex_next(&p->lex);
	return i;
}

/* An integer will do where it is exact. */
static double parse_float(Parser *p, const AttrSpec *spec)
{
	const Token t = p->lex.tok;
	Attr a = { .kind = ATTR_NONE };
	if (token_is_word(&t, "true") || token_is_word(&t, "false") || !parse_scalar(p, &a))
		fail_attr(p, spec);
	if (a.kind == ATTR_INT && (t.i > (int64_t)1 << 53 || t.i < -((int64_t)1 << 53)))
		lex_fail(&p->lex, &t, GRAFT_E_GRAPH,
		         "the integer %.*s is not exact as a float; write it with a point or exponent",
		         (int)t.size, t.at);
	return a.kind == ATTR_INT ? t.f : a.f;
}

static int64_t parse_bool(Parser *p, const AttrSpec *spec)
{
	bool yes = lex_is_word(&p->lex, "true");
	if (!yes && !lex_is_word(&p->lex, "false"))
		fail_attr(p, spec);
	lex_next(&p->lex);
	return yes;
}

static const char *parse_string(Parser *p, const AttrSpec *spec)
{
	const char *s = p->lex.tok.s;
	if (p->lex.tok.kind != TOK_STRING)
		fail_attr(p, spec);
	lex_next(&p->lex);
	return s;
}

/* One of "late|early", as its index. */
static int64_t parse_word(Parser *p, const AttrSpec *spec)
{
	const Token *t = &p->lex.tok;
	int64_t index = 0;
	for (const char *w = spec->words; t->kind == TOK_NAME; index++) {
		size_t n = strcspn(w, "|");
		if (n == t->n && memcmp(w, t->s, n) == 0) {
			lex_next(&p->lex);
			return index;
		}
		if (!w[n])
			break;
		w += n + 1;
	}
	lex_fail_wanted(&p->lex, arena_printf(p->arena, "a value for '%s' (one of %s)", spec->name, spec->words));
}

static Attr parse_dims(Parser *p, const AttrSpec *spec)
{
	Dim *dims = NEW_ARRAY(p->arena, 0, Dim);
	uint32_t n = 0;
	size_t cap = 0;
	if (!lex_accept(&p->lex, '['))
		fail_attr(p, spec);
	while (!lex_accept(&p->lex, ']')) {
		if (n > 0)
			lex_want(&p->lex, ',', "',' or ']' after a size");
		dims = arena_grow(p->arena, dims, n, &cap, sizeof *dims);
		dims[n++] = parse_dim(p);
	}
	return (Attr){ .kind = ATTR_DIMS, .dims = dims, .n = n };
}

static Attr parse_axes(Parser *p, const AttrSpec *spec)
{
	int64_t *ints = NEW_ARRAY(p->arena, 0, int64_t);
	uint32_t n = 0;
	size_t cap = 0;
	if (!lex_accept(&p->lex, '['))
		fail_attr(p, spec);
	while (!lex_accept(&p->lex, ']')) {
		if (n > 0)
			lex_want(&p->lex, ',', "',' or ']' after an axis");
		ints = arena_grow(p->arena, ints, n, &cap, sizeof *ints);
		ints[n++] = parse_int(p, spec);
	}
	return (Attr){ .kind = ATTR_AXES, .ints = ints, .n = n };
}

static Attr parse_known(Parser *p, const AttrSpec *spec)
{
	Attr a = { .kind = spec->kind };
	switch (spec->kind) {
	case ATTR_BOOL: a.i = parse_bool(p, spec); break;
	case ATTR_INT:
	case ATTR_AXIS: a.i = parse_int(p, spec); break;
	case ATTR_FLOAT: a.f = parse_float(p, spec); break;
	case ATTR_STRING: a.s = parse_string(p, spec); break;
	case ATTR_DTYPE: a.i = parse_dtype(p); break;
	case ATTR_NAME: a.i = parse_word(p, spec); break;
	case ATTR_DIM: a.dim = parse_dim(p); break;
	case ATTR_DIMS: return parse_dims(p, spec);
	case ATTR_AXES: return parse_axes(p, spec);
	case ATTR_NONE: break;
	case ATTR_LIST:
		if (!lex_accept(&p->lex, '['))
			fail_attr(p, spec);
		return parse_list(p, 0);
	}
	return a;
}

/* `none` leaves out what may be left out. */
static Attr parse_attr_value(Parser *p, const AttrSpec *spec)
{
	if (spec->fallback && strcmp(spec->fallback, "none") == 0 && lex_is_word(&p->lex, "none")) {
		lex_next(&p->lex);
		return (Attr){ .kind = ATTR_NONE };
	}
	return parse_known(p, spec);
}

void attr_default(Graph *g, const AttrSpec *spec, Attr *out)
{
	*out = (Attr){ .kind = ATTR_NONE };
	if (!spec->fallback)
		return;
	Parser p = { .g = g, .arena = &g->arena };
	lex_start(&p.lex, graph_job(g), p.arena, GRAFT_E_SYNTAX, NULL, spec->name, spec->fallback,
	          strlen(spec->fallback));
	*out = parse_attr_value(&p, spec);
}

_Noreturn static void fail_no_attr(const Parser *p, const Op *op, const Token *name)
{
	Text has = { .arena = p->arena };
	for (uint32_t i = 0; i < op->n_attrs; i++)
		text_printf(&has, "%s%s", i ? ", " : "it has ", op->attrs[i].name);
	lex_fail(&p->lex, name, GRAFT_E_GRAPH, "%s has no attribute '%s'; %s", op->name, shown(p, name),
	         op->n_attrs ? has.text : "it has none");
}

_Noreturn static void fail_attr_twice(const Parser *p, const Token *name)
{
	lex_fail(&p->lex, name, GRAFT_E_GRAPH, "attribute '%s' is given twice", shown(p, name));
}

static void parse_known_attr(Parser *p, const Op *op, const Token *name, bool given[MAX_ATTRS])
{
	int i = attr_index(op, name->s, name->n);
	if (i < 0)
		fail_no_attr(p, op, name);
	if (given[i])
		fail_attr_twice(p, name);
	given[i] = true;
	p->attrs[i] = parse_attr_value(p, &op->attrs[i]);
}

static void parse_unknown_attr(Parser *p, const Token *name)
{
	for (uint32_t i = 0; i < p->n_attrs; i++)
		if (strncmp(p->attr_names[i], name->s, name->n) == 0 && !p->attr_names[i][name->n])
			fail_attr_twice(p, name);
	if (p->n_attrs == MAX_UNKNOWN_ATTRS)
		lex_fail(&p->lex, name, GRAFT_E_GRAPH, "a node has more than %d attributes", MAX_UNKNOWN_ATTRS);
	PUSH(p, attr_names, n_attrs, cap_attr_names, token_text(p->arena, name));
	PUSH(p, attrs, n_attrs, cap_attrs, parse_any(p, 0));
	p->n_attrs++;
}

/* {eps=1e-06, round=early}, or nothing. */
static void parse_attrs(Parser *p, const Op *op)
{
	bool given[MAX_ATTRS] = { false };
	bool known = op_code(op) != OP_unknown;
	for (p->n_attrs = 0; known && p->n_attrs < op->n_attrs; p->n_attrs++)
		PUSH(p, attrs, n_attrs, cap_attrs, (Attr){ .kind = ATTR_NONE });
	if (!lex_accept(&p->lex, '{'))
		return;
	for (bool first = true; !lex_accept(&p->lex, '}'); first = false) {
		if (!first)
			lex_want(&p->lex, ',', "',' or '}' after an attribute");
		Token name = want_name(p, "the name of an attribute");
		lex_want(&p->lex, '=', "'=' after the name of an attribute");
		if (known)
			parse_known_attr(p, op, &name, given);
		else
			parse_unknown_attr(p, &name);
	}
}

/* ---- nodes ---- */

static Value *parse_operand(Parser *p)
{
	Attr literal;
	const Token t = p->lex.tok;
	if (parse_scalar(p, &literal))
		return value_literal(p->g, literal);
	if (!is_text(&t))
		lex_fail_wanted(&p->lex, "an operand: the name of a value, a number, true, false or none");
	lex_next(&p->lex);
	if (lex_is(&p->lex, '('))
		lex_fail(&p->lex, &t, GRAFT_E_SYNTAX,
		         "an operand is the name of a value; make the call of '%s' a node of its own", shown(p, &t));
	return token_is_word(&t, "none") ? NULL : defined_value(p, &t);
}

static void parse_operands(Parser *p)
{
	lex_want(&p->lex, '(', "'(' after the name of the op");
	for (p->n_in = 0; !lex_accept(&p->lex, ')'); p->n_in++) {
		if (p->n_in > 0)
			lex_want(&p->lex, ',', "',' or ')' after an operand");
		PUSH(p, in, n_in, cap_in, parse_operand(p));
	}
}

/* q_c: bf16[T, 1536], kv = ; the first name is read. */
static void parse_results(Parser *p, Token name)
{
	for (p->n_out = 0;; p->n_out++, name = want_name(p, "the name of a result")) {
		Type type = { .dtype = GRAFT_DTYPE_COUNT };
		new_value_name(p, &name);
		if (lex_accept(&p->lex, ':'))
			type = parse_type(p, p->arena);
		PUSH(p, out_names, n_out, cap_names, token_text(p->arena, &name));
		PUSH(p, types, n_out, cap_types, type);
		if (!lex_accept(&p->lex, ','))
			break;
	}
	p->n_out++;
	lex_want(&p->lex, '=', "':', ',' or '=' after the name of a result");
}

/* @ [mul_3, mul_7], or nothing. */
static void parse_origin(Parser *p)
{
	p->n_origin = 0;
	if (!lex_accept(&p->lex, '@'))
		return;
	lex_want(&p->lex, '[', "'[' and the names of source nodes after '@'");
	while (!lex_accept(&p->lex, ']')) {
		if (p->n_origin > 0)
			lex_want(&p->lex, ',', "',' or ']' after the name of a source node");
		Token name = want_name(p, "the name of a source node");
		PUSH(p, origin, n_origin, cap_origin, token_text(&p->g->arena, &name));
		p->n_origin++;
	}
}

static const Op *find_op(const Parser *p, const Token *name)
{
	const Op *op = op_find(name->s, name->n);
	for (uint32_t i = 0; !op && i < p->n_out; i++)
		if (p->types[i].dtype == GRAFT_DTYPE_COUNT)
			lex_fail(&p->lex, name, GRAFT_E_GRAPH,
			         "there is no op '%s' (graft ops lists them); one that graft does not know needs the "
			         "type of its result '%.*s' written", shown(p, name),
			         (int)text_cut(p->out_names[i], strlen(p->out_names[i]), 100), p->out_names[i]);
	return op ? op : &op_table[OP_unknown];
}

static void parse_node(Parser *p, Token first)
{
	Token name = first;
	p->n_out = 0;
	if (!lex_is(&p->lex, '(')) {
		parse_results(p, first);
		name = want_name(p, "the name of an op after '='");
	}
	const Op *op = find_op(p, &name);
	parse_operands(p);
	parse_attrs(p, op);
	parse_origin(p);
	want_line_end(p, "the end of the line, '{' or '@' after a node");
	p->place = name;
	Node *n = node_new(p->g, &(NodeSpec){ .op = op, .name = token_text(p->arena, &name), .in = p->in,
	                                      .n_in = p->n_in,
		.out_names = p->out_names, .types = p->types, .n_out = p->n_out, .attr = p->attrs,
		.attr_name = p->attr_names, .n_attr = p->n_attrs });
	if (p->n_origin)
		n->origin = (Origin){ arena_copy(&p->g->arena, p->origin, p->n_origin * sizeof *p->origin),
		                      p->n_origin };
}

/* ---- the other statements; the keyword is read ---- */

static void parse_weights(Parser *p)
{
	const Token t = p->lex.tok;
	if (t.kind != TOK_STRING)
		lex_fail_wanted(&p->lex, "the name of a file in quotes after 'weights'");
	if (!t.n)
		lex_fail(&p->lex, &t, GRAFT_E_GRAPH, "the name of the weights' file is empty");
	if (p->g->weights)
		lex_fail(&p->lex, &t, GRAFT_E_GRAPH,
		         "a graph has one file of weights, and this is a second 'weights' line");
	p->g->weights = token_text(&p->g->arena, &t);
	lex_next(&p->lex);
}

static int64_t parse_bound(Parser *p, bool upper)
{
	int64_t i = p->lex.tok.i;
	if (upper && lex_is_word(&p->lex, "inf"))
		i = DIM_MAX;
	else if (p->lex.tok.kind != TOK_INT)
		lex_fail_wanted(&p->lex, upper ? "the largest value of the symbol, an integer or inf"
		                               : "the smallest value of the symbol, an integer");
	lex_next(&p->lex);
	return i;
}

static void parse_symbol(Parser *p)
{
	const Token name = p->lex.tok;
	if (name.kind != TOK_NAME)
		lex_fail_wanted(&p->lex, "the name of a symbol");
	lex_next(&p->lex);
	if (!lex_is_word(&p->lex, "in"))
		lex_fail_wanted(&p->lex, "'in' and a range like [1, 4096] after the name of a symbol");
	lex_next(&p->lex);
	lex_want(&p->lex, '[', "'[' and the range of the symbol");
	int64_t min = parse_bound(p, false);
	lex_want(&p->lex, ',', "',' between the ends of the range");
	int64_t max = parse_bound(p, true);
	lex_want(&p->lex, ']', "']' after the range");
	p->place = name;
	symbol_add(p->g, name.s, name.n, min, max);
}

static void parse_given(Parser *p, Value *(*add)(Graph *, const char *, size_t, Type), const char *wanted)
{
	Token name = want_name(p, wanted);
	new_value_name(p, &name);
	lex_want(&p->lex, ':', "':' and a type after the name");
	Type type = parse_type(p, &p->g->arena);
	p->place = name;
	add(p->g, name.s, name.n, type);
}

static void parse_input(Parser *p) { parse_given(p, value_input, "the name of an input"); }

static void parse_param(Parser *p) { parse_given(p, value_param, "the name of a parameter"); }

static void parse_output(Parser *p)
{
	Token name = want_name(p, "the name of an output"), value = name;
	if (lex_accept(&p->lex, '='))
		value = want_name(p, "the name of a value after '='");
	if (is_literal_word(&value))
		lex_fail(&p->lex, &value, GRAFT_E_GRAPH, "an output must be a value, and %.*s is a literal",
		         (int)value.n, value.s);
	Value *v = defined_value(p, &value);
	p->place = name;
	graph_output(p->g, token_text(p->arena, &name), v);
}

static void parse_second_graph(Parser *p)
{
	lex_fail(&p->lex, &p->place, GRAFT_E_SYNTAX, "a text holds one graph, and this is a second 'graph' line");
}

typedef struct Statement { const char *word; void (*parse)(Parser *); } Statement;

static const Statement statements[] = {
	{ "graph", parse_second_graph }, { "weights", parse_weights }, { "symbol", parse_symbol },
	{ "input", parse_input }, { "param", parse_param }, { "output", parse_output }, { NULL, NULL },
};

/* A keyword is one only where no ':', ',', '=' or '(' follows, so values may be called by these words too. */
static const Statement *find_statement(const Parser *p, const Token *first)
{
	const Statement *s = statements;
	if (p->lex.tok.kind == TOK_PUNCT && strchr(":,=(", p->lex.tok.punct))
		return NULL;
	while (s->word && !token_is_word(first, s->word))
		s++;
	return s->word ? s : NULL;
}

static void parse_statement(Parser *p)
{
	Token first = want_name(p,
	                        "a statement: a node like y = add(a, b), or symbol, input, param, output or weights");
	const Statement *s = find_statement(p, &first);
	if (!s) {
		parse_node(p, first);
		return;
	}
	s->parse(p);
	want_line_end(p, "the end of the line");
}

static void skip_lines(Parser *p)
{
	while (p->lex.tok.kind == TOK_LINE)
		lex_next(&p->lex);
}

static void parse_head(Parser *p)
{
	skip_lines(p);
	if (!lex_is_word(&p->lex, "graph"))
		lex_fail_wanted(&p->lex, "the first line, 'graph' and a name");
	lex_next(&p->lex);
	Token name = want_name(p, "the graph's name after 'graph'");
	p->g->name = token_text(&p->g->arena, &name);
	want_line_end(p, "the end of the line after the graph's name");
}

/* ---- the whole ---- */

typedef struct Source { Parser p; const char *text, *file; size_t size; } Source;

static void parse_all(Job *job, void *arg)
{
	Source *s = arg;
	Parser *p = &s->p;
	graph_enter(p->g, job);
	p->arena = &job->scratch;
	lex_start(&p->lex, job, p->arena, GRAFT_E_SYNTAX, s->file, NULL, s->text, s->size);
	parse_head(p);
	for (skip_lines(p); p->lex.tok.kind != TOK_END; skip_lines(p))
		parse_statement(p);
}

/* An error from outside (a shape rule, the table of names) knows no place: it gets the statement's. */
_Noreturn static void fail_with_place(Job *job, const Source *s, const graft_error *err)
{
	const Parser *p = &s->p;
	if (err->line > 0 || err->status == GRAFT_E_NOMEM)
		fail_again(job, err);
	fail_in(job, err->status, s->file, p->place.line,
	        p->size ? (int)(p->size - p->lex.line_start) + 1 : p->place.column, *err->path ? err->path : NULL, "%s",
	        err->message);
}

Graph *graph_parse_text(Job *job, graft_context *ctx, const char *text, size_t size, const char *file)
{
	graft_error err;
	Source s = { .p.g = graph_new(job, ctx, ""), .text = text, .file = file, .size = size };
	if (guarded(context_allocator(ctx), parse_all, &s, &err))
		fail_with_place(job, &s, &err);
	return s.p.g;
}
