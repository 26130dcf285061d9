/* rules.c - applies a list of rules to a graph until none fires.
 *
 * One sweep visits every node in order and tries the rules that start at its op, in the order of the list. The last
 * sweep is one in which nothing fires, so the refusals it leaves describe the graph as it is.
 */
#include "match.h"
#include <assert.h>
#include <string.h>

/* A rule that makes work for itself is stopped: more sweeps than any sound list needs, or many more rewrites than there
 * were nodes. */
enum { MAX_SWEEPS = 64, MAX_PER_NODE = 4, MAX_SMALL = 256 };

typedef struct Engine {
	PassRun *run;
	const Pattern **pattern;
	int n_patterns;
	bool starts[OP_COUNT + 1];            /* some pattern starts at this op */
	Match *m;
	Node **node;
	size_t n_fired, most;
	bool stopped;                         /* the limit of rewrites is reached */
	const Pattern *last;                  /* that fired */
} Engine;

static int count_rules(const Rule *rules)
{
	int n = 0;
	while (rules[n].match)
		n++;
	return n;
}

void rules_check(Job *job, const char *pass, const Rule *rules)
{
	for (const Rule *r = rules; r->match; r++)
		pattern_read(job, &job->scratch, pass, r);
}

static Engine *engine_new(PassRun *run, const Rule *rules)
{
	Engine *e = NEW(run->scratch, Engine);
	e->run = run;
	e->n_patterns = count_rules(rules);
	e->pattern = NEW_ARRAY(run->scratch, (size_t)e->n_patterns, const Pattern *);
	for (int i = 0; i < e->n_patterns; i++) {
		const Pattern *p = e->pattern[i] = pattern_read(graph_job(run->g), run->scratch, run->pass, &rules[i]);
		for (const Term *t = p->match[p->start].term; t; t = t->other)
			e->starts[op_code(t->op)] = true;
	}
	e->m = NEW(run->scratch, Match);
	e->m->run = run;
	e->most = (size_t)run->g->n_nodes * MAX_PER_NODE + MAX_SMALL;
	return e;
}

/* Nodes whose value a tentative node stands in for: no rule starts there. */
static void find_held(Engine *e)
{
	Graph *g = e->run->g;
	bool *held = NULL;
	for (const Node *n = g->first; n; n = n->next) {
		if (!n->tentative)
			continue;
		if (!held)
			held = NEW_ARRAY(e->run->scratch, g->next_id, bool);
		held[n->held->def->id] = true;
		if (n->writer)
			held[n->writer->id] = true;
	}
	e->m->held = held;
	e->m->n_held = held ? g->next_id : 0;
}

/* Nodes that a rule may start at; the list of the graph changes while they are visited. */
static uint32_t candidates(Engine *e)
{
	uint32_t n = 0;
	e->node = NEW_ARRAY(e->run->scratch, e->run->g->n_nodes, Node *);
	for (Node *x = e->run->g->first; x; x = x->next)
		if (e->starts[op_code(x->op)] && !(x->id < e->m->n_held && e->m->held[x->id]))
			e->node[n++] = x;
	return n;
}

static void visit(Engine *e, Node *n)
{
	for (int i = 0; i < e->n_patterns; i++) {
		if (!match_at(e->m, e->pattern[i], n))
			continue;
		e->stopped = !replace_apply(e->m);
		e->n_fired += !e->stopped;
		e->last = e->pattern[i];
		return;
	}
}

static bool sweep(Engine *e)
{
	size_t before = e->n_fired;
	find_held(e);
	uint32_t n = candidates(e);
	for (uint32_t i = 0; i < n && !e->stopped; i++) {
		if (!e->node[i]->dead)
			visit(e, e->node[i]);
		if (e->n_fired > e->most)
			break;
	}
	return e->n_fired > before && !e->stopped;
}

void rules_run(PassRun *run, const Rule *rules)
{
	Engine *e = engine_new(run, rules);
	e->m->alias = graph_writes(run->g) ? alias_of(run->g, run->scratch) : NULL;
	for (int i = 0;; i++) {
		pass_forget(run);
		bool again = sweep(e);
		if (e->stopped)
			pass_forget(run);
		if (!again)
			return;
		if (i == MAX_SWEEPS || e->n_fired > e->most)
			fail_at(graph_job(run->g), GRAFT_E_RULE, e->last->label,
			        "rule '%s' still fires after %zu rewrites in %d sweeps: it matches what it makes",
			        e->last->label, e->n_fired, i + 1);
	}
}
