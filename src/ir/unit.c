/* unit.c - nodes that are written as one: those of one node of an imported file (graph.h).
 *
 * They stand together in the list, so a unit needs no list of its own. Only here do units go or come apart; what holds
 * of them is checked by graph_verify.
 */
#include "graph.h"
#include <stdlib.h>

bool unit_same(const Node *a, const Node *b)
{
	return a == b || (a->unit && a->unit == b->unit);
}

Node *unit_first(const Node *n)
{
	while (n->prev && unit_same(n, n->prev))
		n = n->prev;
	return (Node *)(uintptr_t)n;
}

Node *unit_last(const Node *n)
{
	while (n->next && unit_same(n, n->next))
		n = n->next;
	return (Node *)(uintptr_t)n;
}

/* Where the names of n stand in the text that it is written in; NULL: it is spelled. */
static const char *const *places_of(const Node *n)
{
	const Places *p = n->places;
	for (const SourceNode *s = n->source; n->unit && s != n->unit; s = s->outer)
		p = p->outer;
	return n->unit ? p->at : NULL;
}

/* ---- what others may see ---- */

bool value_outside(const Value *v)
{
	const Node *n = v->def;
	return !n || !n->unit || v->kind == VALUE_SIZE || places_of(n)[n->n_in + v->index];
}

bool use_counts(const Use *u)
{
	const Node *n = u->node;
	return !n || n->op->effect != ASSERTS || unit_first(n) != n || unit_last(n) != n;
}

bool value_wanted(const Value *v)
{
	for (const Use *u = v->uses; u; u = u->next)
		if (use_counts(u) && !(u->node && v->def && v->def->source == u->node->source))
			return true;
	return !v->def || !v->def->unit;
}

static bool used_outside(const Value *v, const Node *unit)
{
	for (const Use *u = v->uses; u; u = u->next)
		if (use_counts(u) && !(u->node && unit_same(u->node, unit)))
			return true;
	return false;
}

bool unit_used(const Node *n)
{
	const Node *end = unit_last(n)->next;
	for (const Node *m = unit_first(n); m != end; m = m->next) {
		for (uint32_t i = 0; i < m->n_out; i++)
			if (used_outside(m->out[i], n))
				return true;
		for (uint32_t i = 0; i < m->n_sizes; i++)
			if (used_outside(m->size[i], n))
				return true;
	}
	return false;
}

/* ---- names ---- */

static int by_place(const void *a, const void *b)
{
	const UnitName *x = a, *y = b;
	return (x->place > y->place) - (x->place < y->place);
}

static void add_name(UnitName *list, uint32_t *n, const char *place, Value *v)
{
	if (place && v && v->kind != VALUE_LITERAL)
		list[(*n)++] = (UnitName){ place, v };
}

static void add_names(const Node *n, UnitName *list, uint32_t *count)
{
	const char *const *at = places_of(n);
	uint32_t names = n->n_in + n->n_out, sizes = names + n->n_names;
	for (uint32_t i = 0; i < n->n_in; i++)
		add_name(list, count, at[i], n->in[i].value);
	for (uint32_t i = 0; i < n->n_out; i++)
		add_name(list, count, at[n->n_in + i], n->out[i]);
	for (uint32_t i = 0; i < n->n_names; i++)
		add_name(list, count, at[names + i], n->in[n->n_in + i].value);
	for (uint32_t i = 0; i < n->n_sizes; i++)
		add_name(list, count, at[sizes + i], n->size[i]);
}

uint32_t unit_names(const Node *n, Arena *a, UnitName **out)
{
	const Node *first = unit_first(n), *end = unit_last(n)->next;
	size_t most = 0;
	uint32_t count = 0;
	for (const Node *m = first; m != end; m = m->next)
		most += m->n_in + m->n_out + m->n_names + m->n_sizes;
	*out = NEW_ARRAY(a, most, UnitName);
	for (const Node *m = first; m != end && m->unit; m = m->next)
		add_names(m, *out, &count);
	for (uint32_t i = 1; i < count; i++)
		if (by_place(&(*out)[i - 1], &(*out)[i]) > 0) {
			qsort(*out, count, sizeof **out, by_place);
			break;
		}
	return count;
}

/* ---- removal ---- */

static void remove_asserts(Graph *g, const Node *unit, const Value *v)
{
	for (const Use *u = v->uses, *next; u; u = next) {
		next = u->next;
		if (u->node && !unit_same(u->node, unit)) {
			unit_remove(g, u->node);
			next = v->uses;
		}
	}
}

void unit_remove(Graph *g, Node *n)
{
	assert(!unit_used(n));
	for (Node *m = unit_first(n); m && unit_same(m, n); m = m->next)
		for (uint32_t i = 0; i < m->n_out; i++)
			remove_asserts(g, n, m->out[i]);
	for (Node *m = unit_last(n), *before, *first = unit_first(n);; m = before) {
		before = m->prev;
		bool done = m == first;
		node_remove(g, m);
		if (done)
			return;
	}
}

/* ---- coming apart ---- */

/* The node of the file just inside of s that n comes from; NULL: n comes from s itself. */
static const SourceNode *just_inside(const Node *n, const SourceNode *s)
{
	const SourceNode *in = NULL;
	for (const SourceNode *at = n->source; at != s; at = at->outer)
		in = at;
	return in;
}

static const char *why_bound(Graph *g, const Node *n, const SourceNode *s, bool spelled, Arena *a)
{
	const SourceNode *in = just_inside(n, s);
	if (in)
		return in->bound ? why_bound(g, n, in, spelled, a) : NULL;
	if (n->note)
		return n->n_sizes || !n->pure ? "it has to do with sizes" : NULL;
	if (op_code(n->op) == OP_unknown)
		return arena_printf(a, "%s '%s' works under autocast, and cannot be taken out of its sub-graph",
		                    n->name, node_label(n));
	return spelled ? g->document->ways->refuses(g, n, a) : NULL;
}

const char *unit_opens(Graph *g, const Node *n, bool spelled, Arena *a)
{
	const Node *end = unit_last(n)->next;
	const char *why = NULL;
	for (const Node *m = unit_first(n); m != end && m->unit && !why; m = m->next)
		why = why_bound(g, m, m->unit, spelled, a);
	return why;
}

Ajar *unit_ajar(Node *n, Arena *a, Ajar *next)
{
	Ajar *ajar = NEW(a, Ajar);
	*ajar = (Ajar){ unit_first(n), unit_last(n)->next, n->unit, next };
	for (Node *m = ajar->first; m != ajar->end; m = m->next)
		do
			m->unit = just_inside(m, m->unit);
		while (m->unit && m->unit->bound);
	return ajar;
}

void unit_shut(Ajar *a)
{
	for (; a; a = a->next)
		for (Node *m = a->first; m != a->end; m = m->next)
			m->unit = a->unit;
}

void unit_open(Graph *g, Node *n)
{
	const Ajar *open = unit_ajar(n, &graph_job(g)->scratch, NULL);
	for (Node *m = open->first, *next; m != open->end; m = next) {
		next = m->next;
		if (!m->unit)
			node_forget_names(m);
		if (!m->unit && m->note)
			node_remove(g, m);
	}
	g->rewrites++;
}

/* ---- looks ---- */

static const Places *joined(Graph *g, const Node *n, uint32_t of, const Places *p)
{
	Places *made = NEW(&g->arena, Places);
	const char **at = NEW_ARRAY(&g->arena, (size_t)n->n_in + n->n_out, const char *);
	at[n->n_in] = p->at[of];
	*made = (Places){ at, p->outer ? joined(g, n, of, p->outer) : NULL };
	return made;
}

void unit_join(Graph *g, Node *n, Node *of, uint32_t at)
{
	assert((n->next == of || of->next == n) && n->n_out == 1);
	if (!of->unit)
		return;
	n->source = of->source;
	n->unit = of->unit;
	n->places = joined(g, n, at, of->places);
}
