/* order.c - the one order of a graph: inputs before users, accesses of written storage as in the source.
 *
 * Positions grow along the list with gaps between, so a node is put in without touching the others. Whole units move
 * (graph.h), so that they stay together. Moving users behind a new node looks only at the window between the first such
 * user and the node:
 *
 *     ... u1  x  u2  made ...      u1, u2 depend on made      ->      ... x  made  u1  u2 ...
 */
#include "order.h"
#include <assert.h>
#include <string.h>

#define GAP ((int64_t)1 << 20)

static void renumber(Graph *g)
{
	int64_t pos = 0;
	for (Node *n = g->first; n; n = n->next)
		n->pos = pos += GAP;
}

/* Links n in behind `after` (NULL: first). */
static void link_after(Graph *g, Node *n, Node *after)
{
	n->prev = after;
	n->next = after ? after->next : g->first;
	*(n->prev ? &n->prev->next : &g->first) = n;
	*(n->next ? &n->next->prev : &g->last) = n;
	int64_t low = n->prev ? n->prev->pos : 0, high = n->next ? n->next->pos : low + 2 * GAP;
	n->pos = low + (high - low) / 2;
	if (n->pos == low)
		renumber(g);
}

void order_remove(Graph *g, Node *n)
{
	*(n->prev ? &n->prev->next : &g->first) = n->next;
	*(n->next ? &n->next->prev : &g->last) = n->prev;
}

void order_insert(Graph *g, Node *n, Node *before, bool inside)
{
	Node *after = !before ? g->last : inside ? before->prev : unit_first(before)->prev;
	for (uint32_t i = 0; before && !inside && i < n->n_in; i++) {
		Node *def = n->in[i].value ? n->in[i].value->def : NULL;
		if (def && (!after || def->pos > after->pos))
			after = unit_last(def);
	}
	link_after(g, n, after);
}

static bool reads_marked(const Node *n, uint32_t mark)
{
	for (uint32_t i = 0; i < n->n_in + n->n_names; i++) {
		const Node *def = n->in[i].value ? n->in[i].value->def : NULL;
		if (def && def->mark == mark)
			return true;
	}
	return false;
}

static void mark_unit(Node *n, uint32_t mark)
{
	for (Node *m = unit_first(n), *end = unit_last(n)->next; m != end; m = m->next)
		m->mark = mark;
}

/* Marks the units that depend on marked nodes, from first to last, both included. True when one of the unmarked or
 * marked nodes there writes. */
static bool spread_mark(Node *first, const Node *last, uint32_t mark)
{
	bool writes = false;
	for (Node *n = first;; n = n->next) {
		if (n->mark != mark && reads_marked(n, mark))
			mark_unit(n, mark);
		writes |= node_writes(n);
		if (n == last)
			return writes;
	}
}

static bool touches(const Alias *a, const Node *n, uint32_t class)
{
	for (uint32_t i = 0; i < n->n_in + n->n_names; i++)
		if (n->in[i].value && alias_class(a, n->in[i].value) == class)
			return true;
	for (uint32_t i = 0; i < n->n_out; i++)
		if (alias_class(a, n->out[i]) == class)
			return true;
	return false;
}

/* Does some node that moves across the write w, or that w moves across, touch this storage? */
static bool crosses(const Alias *a, const Node *first, const Node *last, const Node *w, uint32_t mark, uint32_t class)
{
	bool moves = w->mark == mark, behind = false;
	for (const Node *n = first; n != last->next; n = n->next) {
		behind |= n == w;
		bool across = moves ? behind && n->mark != mark : !behind && n->mark == mark;
		if (across && touches(a, n, class))
			return true;
	}
	return false;
}

/* Marked nodes of the window are about to go behind the unmarked ones: the first write that one of its storage's other
 * accesses would cross, or NULL. */
static const Node *crossed_write(const Alias *a, const Node *first, const Node *last, uint32_t mark)
{
	for (const Node *w = first; w != last->next; w = w->next)
		for (uint32_t i = 0; i < w->n_in; i++)
			if (w->in[i].value && (node_effect(w, i) & MAY_WRITE) &&
			    crosses(a, first, last, w, mark, alias_class(a, w->in[i].value)))
				return w;
	return NULL;
}

static Move can_move(Graph *g, const Alias *a, Node *const *roots, uint32_t n_roots, Value *const *operands,
                     uint32_t n_operands, const Node **culprit)
{
	Node *first = roots[0], *last = roots[0];
	uint32_t mark = graph_mark(g);
	for (uint32_t i = 0; i < n_roots; i++) {
		mark_unit(roots[i], mark);
		first = roots[i]->pos < first->pos ? roots[i] : first;
		last = roots[i]->pos > last->pos ? roots[i] : last;
	}
	first = unit_first(first);
	last = unit_last(last);
	bool writes = spread_mark(first, last, mark);
	for (uint32_t i = 0; i < n_operands; i++) {
		*culprit = operands[i] ? operands[i]->def : NULL;
		if (*culprit && (*culprit)->mark == mark)
			return MOVE_CYCLE;
	}
	*culprit = writes ? crossed_write(a, first, last, mark) : NULL;
	return *culprit ? MOVE_HAZARD : MOVE_OK;
}

static Ajar *ajar_of(const Value *v, Arena *a, Ajar *list)
{
	while (v && !value_outside(v))
		list = unit_ajar(v->def, a, list);
	return list;
}

Move graph_can_move(Graph *g, const Alias *a, Value *const *roots, uint32_t n_roots, Value *const *operands,
                    uint32_t n_operands, const Node **culprit)
{
	assert(n_roots);
	Arena *scratch = &graph_job(g)->scratch;
	Mark mark = arena_mark(scratch);
	Node **nodes = NEW_ARRAY(scratch, n_roots, Node *);
	Ajar *ajar = NULL;
	for (uint32_t i = 0; i < n_roots; i++) {
		nodes[i] = roots[i]->def;
		ajar = ajar_of(roots[i], scratch, ajar);
	}
	for (uint32_t i = 0; i < n_operands; i++)
		ajar = ajar_of(operands[i], scratch, ajar);
	Move move = can_move(g, a, nodes, n_roots, operands, n_operands, culprit);
	unit_shut(ajar);
	arena_release(scratch, mark);
	return move;
}

/* The first user that stands in front of the node; NULL: none. */
static Node *first_early_user(const Node *made)
{
	Node *first = NULL;
	for (uint32_t i = 0; i < made->n_out; i++)
		for (const Use *u = made->out[i]->uses; u; u = u->next)
			if (u->node && u->node->pos < made->pos && (!first || u->node->pos < first->pos))
				first = u->node;
	return first ? unit_first(first) : NULL;
}

static bool uses_are_marked(const Value *v, const Node *unit, const Node *made, uint32_t mark, bool *any)
{
	for (const Use *u = v->uses; u; u = u->next) {
		if (u->node && unit_same(u->node, unit))
			continue;
		if (!u->node || u->node == made || u->node->mark != mark)
			return false;
		*any = true;
	}
	return true;
}

/* Is the unit there only for nodes that move? Then it may go with them. */
static bool only_for_marked(const Node *n, const Node *made, uint32_t mark)
{
	bool any = false;
	const Node *end = unit_last(n)->next;
	for (const Node *m = unit_first(n); m != end; m = m->next) {
		if (!node_is_pure(m))
			return false;
		for (uint32_t i = 0; i < m->n_out; i++)
			if (!uses_are_marked(m->out[i], n, made, mark, &any))
				return false;
		for (uint32_t i = 0; i < m->n_sizes; i++)
			if (!uses_are_marked(m->size[i], n, made, mark, &any))
				return false;
	}
	return any;
}

/* Marks what stands in the window, or right in front of it, only for nodes that move: in an exported program the nodes
 * of one module stand together, and PyTorch takes a module in two pieces for two calls. The window's first node then. */
static Node *mark_companions(Node *first, const Node *made, uint32_t mark)
{
	bool inside = true;
	for (Node *n = made->prev; n; n = n->prev) {
		n = unit_first(n);
		if (n->mark != mark && only_for_marked(n, made, mark))
			mark_unit(n, mark);
		if (!inside && n->mark != mark)
			return first;
		inside = inside && n != first;
		first = inside ? first : n;
	}
	return first;
}

void order_repair(Graph *g, Node *made)
{
	Node *first = first_early_user(made);
	if (!first)
		return;
	uint32_t mark = graph_mark(g);
	assert(unit_first(made) == made && unit_last(made) == made && "only new nodes have users in front");
	made->mark = mark;
	bool writes = spread_mark(first, made->prev, mark);
	if (reads_marked(made, mark))
		fail_at(graph_job(g), GRAFT_E_RULE, node_label(made), "the rewrite makes a cycle through %s",
		        node_label(first));
	const Node *w = writes ? crossed_write(alias_of(g, &graph_job(g)->scratch), first, made, mark) : NULL;
	if (w)
		fail_at(graph_job(g), GRAFT_E_RULE, node_label(made),
		        "the rewrite would move a use of storage across %s, which writes it", node_label(w));
	if (!writes)
		first = mark_companions(first, made, mark);
	Node *at = made;
	for (Node *n = first, *next; n != made; n = next) {
		next = n->next;
		if (n->mark != mark)
			continue;
		order_remove(g, n);
		link_after(g, n, at);
		at = n;
	}
}
