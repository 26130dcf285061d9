/* match.c - the search. From the first root up to definitions, one candidate each, and down to users, several; whatever
 * is bound is put back when a choice leads nowhere, so the order of alternatives is the only thing that decides between
 * two matches. */
#include "match.h"
#include <assert.h>
#include <string.h>

static bool solve(Match *m);

static void copy_state(State *to, const State *from)
{
	memcpy(to, from, offsetof(State, goal) + (size_t)from->n_goals * sizeof *from->goal);
}

/* ---- why it does not fit ---- */

static bool miss(Match *m, Miss why)
{
	why.depth = m->s.depth;
	if (why.depth > m->miss.depth)
		m->miss = why;
	return false;
}

/* ---- constants and attributes ---- */

static bool one_element(const Type *t)
{
	for (uint32_t i = 0; i < t->rank; i++)
		if (!dim_is(t->dims[i], 1))
			return false;
	return true;
}

/* Its numbers would have to be rounded before they count. */
static bool is_rounded(const Value *v)
{
	return dtype_is_float(v->type.dtype) && graft_dtype_size(v->type.dtype) < 4;
}

bool value_scalar(const Value *v, Attr *out)
{
	if (v->kind == VALUE_LITERAL) {
		*out = v->literal;
		return true;
	}
	if (!v->def || op_code(v->def->op) != OP_constant || !one_element(&v->type))
		return false;
	if (is_rounded(v))
		return false;
	const Attr *values = node_attr_named(v->def, "values");
	if (values->n != 1 || values->list[0].kind < ATTR_BOOL || values->list[0].kind > ATTR_FLOAT)
		return false;
	*out = values->list[0];
	return true;
}

static bool same_number(const Attr *a, const Attr *b)
{
	if ((a->kind == ATTR_BOOL) != (b->kind == ATTR_BOOL))
		return false;
	double x = a->kind == ATTR_FLOAT ? a->f : (double)a->i, y = b->kind == ATTR_FLOAT ? b->f : (double)b->i;
	return x == y;
}

static uint32_t axis_rank(const Node *n)
{
	uint32_t rank = n->n_in && n->in[0].value ? n->in[0].value->type.rank : 0;
	return rank + (op_code(n->op) == OP_unsqueeze);
}

static int64_t from_front(int64_t axis, uint32_t rank)
{
	return axis < 0 ? axis + rank : axis;
}

static bool same_axes(const Node *n, const Attr *a, const Attr *b)
{
	bool in_a[GRAFT_MAX_RANK] = { false }, in_b[GRAFT_MAX_RANK] = { false };
	uint32_t rank = axis_rank(n);
	if (a->kind != b->kind || a->n != b->n)
		return false;
	for (uint32_t i = 0; i < b->n; i++) {
		int64_t x = from_front(a->ints[i], rank), y = from_front(b->ints[i], rank);
		if (y < 0 || y >= rank || (op_code(n->op) == OP_permute && x != y))
			return false;
		in_a[x] = in_b[y] = true;
	}
	return !memcmp(in_a, in_b, sizeof in_a);
}

static bool attr_is(const Node *n, int index, const Attr *want)
{
	const Attr *found = node_attr(n, index);
	if (want->kind == ATTR_AXES)
		return same_axes(n, found, want);
	if (want->kind == ATTR_AXIS && found->kind == ATTR_AXIS)
		return from_front(found->i, axis_rank(n)) == from_front(want->i, axis_rank(n));
	return attr_same(found, want);
}

static bool bind_attr(Match *m, int name, Attr a)
{
	if (m->s.bound[name])
		return attr_same(&m->s.attr[name], &a);
	m->s.bound[name] = true;
	m->s.attr[name] = a;
	return true;
}

static bool is_number(const Attr *a)
{
	return a->kind == ATTR_INT || a->kind == ATTR_FLOAT || a->kind == ATTR_BOOL;
}

/* What of an op that graft does not know is not given is none, and none is nothing that could be bound. */
static bool key_fits(Match *m, const AttrArg *a, const Node *n)
{
	const Attr *found = node_attr_named(n, a->key), none = { .kind = ATTR_NONE };
	found = found ? found : &none;
	if (a->name >= 0)
		return found->kind != ATTR_NONE && bind_attr(m, a->name, *found);
	return is_number(found) && is_number(&a->literal) ? same_number(found, &a->literal) :
		attr_same(found, &a->literal);
}

/* An op that graft does not know is found again by its name and an attribute that fits: what does not fit then is worth
 * telling. */
static bool attrs_fit(Match *m, const Term *t, const Node *n)
{
	for (int i = 0; i < t->n_attr; i++) {
		const AttrArg *a = &t->attr[i];
		if (a->key) {
			if (key_fits(m, a, n))
				continue;
			m->s.depth += i > 0;
			return miss(m, (Miss){ .code = "attribute", .node = n, .term = t, .attr = i });
		}
		Attr found = *node_attr(n, a->index);
		if (found.kind == ATTR_AXIS)
			found.i = from_front(found.i, axis_rank(n));
		if (a->name >= 0 ? !bind_attr(m, a->name, found) : !attr_is(n, a->index, &a->literal))
			return miss(m, (Miss){ .code = "attribute", .node = n, .term = t, .attr = i });
	}
	return true;
}

/* ---- operands ---- */

static bool same_value(const Value *a, const Value *b)
{
	return a == b || (a && b && a->kind == VALUE_LITERAL && b->kind == VALUE_LITERAL &&
	                  attr_same(&a->literal, &b->literal));
}

static bool bind_value(Match *m, int name, Value *v)
{
	State *s = &m->s;
	if (s->bound[name])
		return same_value(s->value[name], v) ||
			miss(m, (Miss){ .code = "structure", .value = v, .name = name });
	s->bound[name] = true;
	s->value[name] = v;
	int line = m->p->line_of[name];
	if (line >= 0 && !s->done[line])
		s->goal[s->n_goals++] = (Goal){ line, NULL, v };
	return true;
}

static bool bind_scalar(Match *m, const Arg *a, const Value *v)
{
	Attr found;
	bool fits = v && !(m->alias && alias_written(m->alias, v)) && value_scalar(v, &found) &&
	            (a->kind == ARG_NUMBER ? same_number(&found, &a->number) : bind_attr(m, a->name, found));
	return fits || miss(m, (Miss){ .code = "not_constant", .value = v, .arg = a });
}

static bool bind_arg(Match *m, const Arg *a, Value *v)
{
	switch (a->kind) {
	case ARG_VALUE:
		if (!v && !a->optional)
			return miss(m, (Miss){ .code = "structure", .name = a->name });
		return bind_value(m, a->name, v);
	case ARG_SCALAR: case ARG_NUMBER:
		return bind_scalar(m, a, v);
	case ARG_TERM:
		m->s.goal[m->s.n_goals++] = (Goal){ -1, a->term, v };
		return true;
	}
	return false;
}

static bool bind_args(Match *m, const Term *t, const Node *n, bool swapped)
{
	for (int i = 0; i < t->n_in; i++) {
		int from = swapped && i < 2 ? 1 - i : i;
		if (!bind_arg(m, &t->in[i], (uint32_t)from < n->n_in ? n->in[from].value : NULL))
			return false;
	}
	return true;
}

/* Every operand of the node is one of the term's; the term may name some that the node has not, if they are
 * optional. */
static bool arity_fits(const Term *t, const Node *n)
{
	for (int i = (int)n->n_in; i < t->n_in; i++)
		if (t->in[i].kind != ARG_VALUE || !t->in[i].optional)
			return false;
	for (uint32_t i = (uint32_t)t->n_in; i < n->n_in; i++)
		if (n->in[i].value)
			return false;
	return true;
}

/* ---- nodes ---- */

static bool is_matched(const Match *m, const Node *n)
{
	for (int i = 0; i < m->p->n_places; i++)
		if (m->s.node[i] == n)
			return true;
	return false;
}

static bool is_op(const Term *t, const Node *n)
{
	return n->op == t->op && !n->note && !strcmp(n->name, t->name);
}

/* Binds the node itself: its op, attributes and results, not yet its operands. */
static bool take_node(Match *m, int line, const Term *t, Node *n)
{
	const Line *l = line >= 0 ? &m->p->match[line] : NULL;
	uint32_t n_out = l && !l->writes ? (uint32_t)l->n_out : 0;
	if (!is_op(t, n) || !arity_fits(t, n) || is_matched(m, n) || n_out > n->n_out)
		return l && l->optional ? false : miss(m, (Miss){ .code = "structure", .node = n, .term = t });
	if (!attrs_fit(m, t, n))
		return false;
	m->s.node[t->place] = n;
	if (l)
		m->s.done[line] = true;
	for (uint32_t i = 0; i < n_out; i++)
		if (!bind_value(m, l->out[i], n->out[i]))
			return false;
	m->s.depth += !l || !l->optional;
	return true;
}

/* The node is matched with the term, and everything else after it. On false the state is spoilt. */
static bool take(Match *m, int line, const Term *t, Node *n)
{
	if (!take_node(m, line, t, n))
		return false;
	bool swaps = t->n_in == 2 && n->n_in == 2 && (t->op->flags & COMMUTES);
	if (!swaps)
		return bind_args(m, t, n, false) && solve(m);
	State before;
	copy_state(&before, &m->s);
	if (bind_args(m, t, n, false) && solve(m))
		return true;
	copy_state(&m->s, &before);
	return bind_args(m, t, n, true) && solve(m);
}

static const Term *first_term(const Match *m, Goal g)
{
	return g.line >= 0 ? m->p->match[g.line].term : g.term;
}

/* The node that writes the goal's value is one of its users. */
static bool reach_writer(Match *m, Goal g)
{
	State before;
	copy_state(&before, &m->s);
	for (const Term *t = first_term(m, g); t; t = t->other)
		for (Use *u = g.value ? g.value->uses : NULL; u; u = u->next) {
			if (u->node && take(m, g.line, t, u->node))
				return true;
			copy_state(&m->s, &before);
		}
	return false;
}

/* Up: the node that makes the goal's value, by one of the alternatives; or, when the line is optional, no node. */
static bool reach(Match *m, Goal g)
{
	if (g.line >= 0 && m->s.done[g.line])
		return solve(m);
	if (g.line >= 0 && m->p->match[g.line].writes)
		return reach_writer(m, g);
	State before;
	copy_state(&before, &m->s);
	Node *def = g.value ? g.value->def : NULL;
	for (const Term *t = first_term(m, g); t; t = t->other) {
		if (!def)
			miss(m, (Miss){ .code = "structure", .value = g.value, .term = t });
		else if ((g.line >= 0 || g.value->index == 0) && take(m, g.line, t, def))
			return true;
		copy_state(&m->s, &before);
	}
	if (g.line < 0 || !m->p->match[g.line].optional)
		return false;
	m->s.done[g.line] = true;
	return bind_arg(m, &m->p->match[g.line].term->in[0], g.value) && solve(m);
}

/* Down: some user of a bound operand, by one of the alternatives. */
static bool go_down(Match *m, int line)
{
	State before;
	copy_state(&before, &m->s);
	for (const Term *t = m->p->match[line].term; t; t = t->other)
		for (int i = 0; i < t->n_in; i++) {
			if (t->in[i].kind != ARG_VALUE || !before.bound[t->in[i].name] || !before.value[t->in[i].name])
				continue;
			for (Use *u = before.value[t->in[i].name]->uses; u; u = u->next) {
				if (u->node && take(m, line, t, u->node))
					return true;
				copy_state(&m->s, &before);
			}
			break;
		}
	return false;
}

static bool touches_bound(const Match *m, const Line *l)
{
	for (int i = 0; i < l->term->n_in; i++)
		if (l->term->in[i].kind == ARG_VALUE && m->s.bound[l->term->in[i].name])
			return true;
	return false;
}

/* A line that nothing above led to, but that reads something bound; -1: none. */
static int line_below(const Match *m)
{
	for (int i = 0; i < m->p->n_match; i++)
		if (!m->s.done[i] && !m->p->match[i].optional && touches_bound(m, &m->p->match[i]))
			return i;
	return -1;
}

static bool attempt(Match *m, Node *candidate)
{
	State before;
	copy_state(&before, &m->s);
	for (const Term *t = m->p->match[m->p->join].term; t; t = t->other) {
		if (take(m, m->p->join, t, candidate))
			return true;
		copy_state(&m->s, &before);
	}
	return false;
}

static bool complete(Match *m)
{
	const Rule *rule = m->p->rule;
	m->whole = true;
	if (rule->where && !rule->where(m))
		return false;
	if (rule->attrs)
		rule->attrs(m);
	return replace_check(m);
}

static bool solve(Match *m)
{
	if (m->s.n_goals)
		return reach(m, m->s.goal[--m->s.n_goals]);
	int line = line_below(m);
	if (line >= 0)
		return go_down(m, line);
	if (m->p->join >= 0 && !m->s.done[m->p->join])
		return m->p->rule->join(m, attempt);
	return complete(m);
}

/* ---- telling ---- */

static void tell_attr(const Match *m, const Miss *w, Text *t)
{
	const AttrArg *a = &w->term->attr[w->attr];
	const AttrSpec *spec = a->key ? NULL : &w->node->op->attrs[a->index];
	const Attr *found = a->key ? node_attr_named(w->node, a->key) : node_attr(w->node, a->index);
	text_printf(t, "%s of %s '%s' is ", a->key ? a->key : spec->name, w->node->name, node_label(w->node));
	if (found)
		attr_print(t, spec, found);
	else
		text_puts(t, "not given");
	text_puts(t, ", wanted ");
	if (a->name < 0)
		attr_print(t, spec, &a->literal);
	else if (!found || found->kind == ATTR_NONE)
		text_printf(t, "a value for %s", m->p->name[a->name]);
	else
		text_puts(t, "the same as elsewhere in the pattern");
}

static void tell_value(const Value *v, Text *t)
{
	if (!v)
		text_puts(t, "nothing");
	else if (v->kind == VALUE_LITERAL)
		attr_print(t, NULL, &v->literal);
	else if (v->def)
		text_printf(t, "%s '%s'", v->def->name, v->name);
	else
		text_printf(t, "%s '%s'", v->kind == VALUE_PARAM ? "param" : "input", v->name);
}

/* What of a value keeps a rule from reading it as a number, though it may look like one; "": nothing. */
static const char *no_number(const Match *m, const Value *v)
{
	if (m->alias && alias_written(m->alias, v))
		return ", which is written in place";
	if (!v->def || op_code(v->def->op) != OP_constant)
		return "";
	if (!one_element(&v->type))
		return ", which has more than one element";
	return is_rounded(v) ? ", which is rounded to 16 bits or less" : "";
}

static void tell_constant(const Match *m, const Miss *w, Text *t)
{
	const char *why = w->value ? no_number(m, w->value) : "";
	Attr found;
	text_puts(t, "wanted ");
	if (w->arg->kind == ARG_NUMBER)
		attr_print(t, NULL, &w->arg->number);
	else if (!*why && w->value && value_scalar(w->value, &found))
		text_printf(t, "the same constant in every place of %s", m->p->name[w->arg->name]);
	else
		text_printf(t, "a constant as %s", m->p->name[w->arg->name]);
	text_puts(t, ", found ");
	tell_value(w->value, t);
	text_puts(t, why);
}

/* "pow, mul or square": every op the line could have taken there. */
static void tell_wanted(const Match *m, const Term *wanted, Text *t)
{
	bool line = wanted->place < MAX_LINES;
	const Term *first = line ? m->p->match[wanted->place].term : wanted;
	for (const Term *k = first; k; k = k->other) {
		const Term *before = first, *next = k->other;
		while (before != k && strcmp(before->name, k->name))
			before = before->other;
		if (before == k)
			text_printf(t, "%s%s", k == first ? "" : next ? ", " : " or ", k->name);
	}
}

static void tell_structure(const Match *m, const Miss *w, Text *t)
{
	text_puts(t, "wanted ");
	if (w->term)
		tell_wanted(m, w->term, t);
	else
		text_printf(t, "the same value in every place of %s", m->p->name[w->name]);
	text_puts(t, ", found ");
	if (w->node && !w->node->n_out)
		text_puts(t, w->node->name);
	else
		tell_value(w->node ? w->node->out[0] : w->value, t);
}

static void tell(Match *m, const Node *start)
{
	const Miss *w = &m->miss;
	Text t = { .arena = m->run->scratch };
	if (!strcmp(w->code, "attribute"))
		tell_attr(m, w, &t);
	else if (!strcmp(w->code, "not_constant"))
		tell_constant(m, w, &t);
	else
		tell_structure(m, w, &t);
	pass_refuse(m->run, start, w->depth, w->code, "%s", t.text);
}

bool match_at(Match *m, const Pattern *p, Node *start)
{
	uint32_t rewrites = m->run->g->rewrites;
	m->p = p;
	m->miss = (Miss){ 0 };
	m->whole = false;
	for (const Term *t = p->match[p->start].term; t; t = t->other) {
		if (!is_op(t, start))
			continue;
		memset(&m->s, 0, offsetof(State, goal));
		if (take(m, p->start, t, start))
			return true;
	}
	assert(m->run->g->rewrites == rewrites && "a refused match changed the graph");
	(void)rewrites;
	if (m->miss.depth >= p->deep && !m->whole)
		tell(m, start);
	return false;
}

/* ---- what rules see ---- */

PassRun *match_run(Match *m) { return m->run; }
Graph *match_graph(Match *m) { return m->run->g; }

static int bound_name(const Match *m, const char *name)
{
	int i = pattern_name(m->p, name);
	assert(i >= 0 && m->s.bound[i] && "the rule does not bind this name");
	return i;
}

Value *match_value(Match *m, const char *name)
{
	return m->s.value[bound_name(m, name)];
}

Node *match_node(Match *m, const char *name)
{
	int line = m->p->line_of[bound_name(m, name)];
	return line >= 0 ? m->s.node[line] : NULL;
}

const Attr *match_attr(Match *m, const char *name)
{
	return &m->s.attr[bound_name(m, name)];
}

void match_bind_attr(Match *m, const char *name, Attr a)
{
	int i = pattern_name(m->p, name);
	assert(i >= 0 && m->p->computed[i] && "the rule does not say that it computes this name");
	m->s.bound[i] = true;
	m->s.attr[i] = a;
}

bool refuse(Match *m, const char *code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *message = arena_vprintf(m->run->scratch, fmt, ap);
	va_end(ap);
	for (int i = 0; i < m->p->n_roots; i++) {
		const Node *n = m->s.node[m->p->line_of[m->p->root[i]]];
		if (n)
			pass_refuse(m->run, n, m->s.depth + 1, code, "%s", message);
	}
	return false;
}
