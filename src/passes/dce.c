/* dce.c - removes nodes that nothing uses, in whole units (graph.h).
 *
 * Marks what the outputs need and sweeps the rest. An unknown op stays, unless it is known to be pure; a write stays when
 * its storage is an input's, a parameter's or an unknown op's, or when something that stays looks at it; an assert stays
 * with the value it checks.
 */
#include "pass.h"

typedef struct Sweep {
	Graph *g;
	Arena *a;
	const Alias *alias;                   /* NULL: nobody writes */
	uint32_t mark;
	Node **work;
	size_t n_work, cap_work;
	struct Writer **writers;              /* by alias class; kept when their storage is looked at */
} Sweep;

typedef struct Writer { Node *node; struct Writer *next; } Writer;

static void keep_node(Sweep *s, Node *n)
{
	if (!n || n->mark == s->mark)
		return;
	for (Node *m = unit_first(n), *end = unit_last(n)->next; m != end; m = m->next) {
		m->mark = s->mark;
		s->work = arena_grow(s->a, s->work, s->n_work, &s->cap_work, sizeof *s->work);
		s->work[s->n_work++] = m;
	}
}

static void see(Sweep *s, const Value *v)
{
	if (!s->alias || v->kind == VALUE_LITERAL || v->kind == VALUE_SIZE)
		return;
	Writer **list = &s->writers[alias_class(s->alias, v)];
	for (const Writer *w = *list; w; w = w->next)
		keep_node(s, w->node);
	*list = NULL;
}

static void keep_value(Sweep *s, Value *v)
{
	if (!v)
		return;
	see(s, v);
	keep_node(s, v->def);
}

static void spread(Sweep *s)
{
	while (s->n_work) {
		Node *n = s->work[--s->n_work];
		for (uint32_t i = 0; i < n->n_in + n->n_names; i++)
			keep_value(s, n->in[i].value);
		for (uint32_t i = 0; i < n->n_out; i++)
			see(s, n->out[i]);
		keep_value(s, n->held);
		keep_node(s, n->writer);
	}
}

static void add_writer(Sweep *s, Node *n, const Value *v)
{
	if (!v || v->kind == VALUE_LITERAL)
		return;
	Writer **list = &s->writers[alias_class(s->alias, v)], *w = NEW(s->a, Writer);
	*w = (Writer){ n, *list };
	*list = w;
}

static void find_writers(Sweep *s)
{
	if (!graph_writes(s->g))
		return;
	s->alias = alias_of(s->g, s->a);
	s->writers = NEW_ARRAY(s->a, s->g->next_value, Writer *);
	for (Node *n = s->g->first; n; n = n->next)
		for (uint32_t i = 0; i < n->n_in; i++)
			if (node_effect(n, i) & MAY_WRITE)
				add_writer(s, n, n->in[i].value);
	for (uint32_t i = 0; i < s->g->n_inputs; i++)
		see(s, s->g->inputs[i]);
	for (uint32_t i = 0; i < s->g->n_params; i++)
		see(s, s->g->params[i]);
}

static void keep_asserts(Sweep *s)
{
	for (Node *n = s->g->first; n; n = n->next) {
		const Value *v = n->op->effect == ASSERTS && n->n_in ? n->in[0].value : NULL;
		if (v && (!v->def || v->def->mark == s->mark))
			keep_node(s, n);
	}
}

/* From the end, so that users go before what they use. */
static void sweep_out(Sweep *s, PassRun *run)
{
	for (Node *n = s->g->last, *before; n; n = before) {
		before = unit_first(n)->prev;
		if (n->mark == s->mark)
			continue;
		if (!pass_rewrite(run))
			return;
		unit_remove(s->g, n);
	}
}

static void sweep_once(PassRun *run)
{
	Sweep s = { .g = run->g, .a = run->scratch, .mark = graph_mark(run->g) };
	find_writers(&s);
	for (uint32_t i = 0; i < s.g->n_outputs; i++)
		keep_value(&s, s.g->outputs[i]->use.value);
	for (const Pin *p = s.g->pins; p; p = p->next)
		keep_value(&s, p->use.value);
	for (Node *n = s.g->first; n; n = n->next)
		if (op_code(n->op) == OP_unknown && !node_is_pure(n))
			keep_node(&s, n);
	spread(&s);
	keep_asserts(&s);
	spread(&s);
	sweep_out(&s, run);
}

/* A view that is gone may have been all that tied a write to what is looked at; without writes once is enough. */
void pass_dce(PassRun *run)
{
	int64_t before;
	do {
		before = run->applied;
		sweep_once(run);
	} while (run->applied != before && *run->budget && graph_writes(run->g));
}
