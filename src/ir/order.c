/* order.c - the one order of a graph: inputs before users, accesses of written storage as in the source.
 *
 * Positions grow along the list with gaps between, so a node is put in without touching the others. Moving users behind
 * a new node looks only at the window between the first such user and the node:
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

void order_insert(Graph *g, Node *n, Node *before)
{
	Node *after = before ? before->prev : g->last;
	for (uint32_t i = 0; before && i < n->n_in; i++) {
		Node *def = n->in[i].value ? n->in[i].value->def : NULL;
		if (def && (!after || def->pos > after->pos))
			after = def;
	}
	link_after(g, n, after);
}

static bool reads_marked(const Node *n, uint32_t mark)
{
	for (uint32_t i = 0; i < n->n_in; i++) {
		const Node *def = n->in[i].value ? n->in[i].value->def : NULL;
		if (def && def->mark == mark)
			return true;
	}
	return false;
}

/* Marks what depends on marked nodes, from first to last, both included. True when one of the unmarked or marked nodes
 * there writes. */
static bool spread_mark(Node *first, const Node *last, uint32_t mark)
{
	bool writes = false;
	for (Node *n = first;; n = n->next) {
		if (n->mark != mark && reads_marked(n, mark))
			n->mark = mark;
		writes |= node_writes(n);
		if (n == last)
			return writes;
	}
}

static bool touches(const Alias *a, const Node *n, uint32_t class)
{
	for (uint32_t i = 0; i < n->n_in; i++)
		if (n->in[i].value && alias_class(a, n->in[i].value) == class)
			return true;
	for (uint32_t i = 0; i < n->n_out; i++)
		if (alias_class(a, n->out[i]) == class)
			return true;
	return false;
}

/* Marked nodes of the window are about to go behind the unmarked ones: the first write that one of its storage's other
 * accesses would cross, or NULL. */
static const Node *crossed_write(const Alias *a, const Node *first, const Node *last, uint32_t mark)
{
	for (const Node *w = first; w != last->next; w = w->next) {
		if (!node_writes(w) || !w->n_in || !w->in[0].value)
			continue;
		uint32_t class = alias_class(a, w->in[0].value);
		bool moves = w->mark == mark, behind = false;
		for (const Node *n = first; n != last->next; n = n->next) {
			behind |= n == w;
			bool crosses = moves ? behind && n->mark != mark : !behind && n->mark == mark;
			if (crosses && touches(a, n, class))
				return w;
		}
	}
	return NULL;
}

Move graph_can_move(Graph *g, const Alias *a, Node *const *roots, uint32_t n_roots, Value *const *operands,
                    uint32_t n_operands, const Node **culprit)
{
	assert(n_roots);
	Node *first = roots[0], *last = roots[0];
	uint32_t mark = graph_mark(g);
	for (uint32_t i = 0; i < n_roots; i++) {
		roots[i]->mark = mark;
		first = roots[i]->pos < first->pos ? roots[i] : first;
		last = roots[i]->pos > last->pos ? roots[i] : last;
	}
	bool writes = spread_mark(first, last, mark);
	for (uint32_t i = 0; i < n_operands; i++) {
		*culprit = operands[i] ? operands[i]->def : NULL;
		if (*culprit && (*culprit)->mark == mark)
			return MOVE_CYCLE;
	}
	*culprit = writes ? crossed_write(a, first, last, mark) : NULL;
	return *culprit ? MOVE_HAZARD : MOVE_OK;
}

/* The first user that stands in front of the node; NULL: none. */
static Node *first_early_user(const Node *made)
{
	Node *first = NULL;
	for (uint32_t i = 0; i < made->n_out; i++)
		for (const Use *u = made->out[i]->uses; u; u = u->next)
			if (u->node && u->node->pos < made->pos && (!first || u->node->pos < first->pos))
				first = u->node;
	return first;
}

/* Is it there only for nodes that move? Then it may go with them. */
static bool only_for_marked(const Node *n, const Node *made, uint32_t mark)
{
	bool any = false;
	if (op_code(n->op) == OP_unknown || n->op->effect == WRITES || n->op->effect == ASSERTS)
		return false;
	for (uint32_t i = 0; i < n->n_out; i++)
		for (const Use *u = n->out[i]->uses; u; u = u->next) {
			if (!u->node || u->node == made || u->node->mark != mark)
				return false;
			any = true;
		}
	return any;
}

/* Marks what stands in the window, or right in front of it, only for nodes that move: in an exported program the nodes
 * of one module stand together, and PyTorch takes a module in two pieces for two calls. The window's first node then. */
static Node *mark_companions(Node *first, const Node *made, uint32_t mark)
{
	bool inside = true;
	for (Node *n = made->prev; n; n = n->prev) {
		if (n->mark != mark && only_for_marked(n, made, mark))
			n->mark = mark;
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
