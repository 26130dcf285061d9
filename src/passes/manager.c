/* manager.c - runs a pipeline of passes over one graph.
 *
 * After a failure the graph is as it was: the first change of a call makes a copy, and a failure puts the copy in the
 * graph's place. The copy costs as much memory as the graph has, for the time of the call, and only when something
 * changes. A journal of changes would cost less, but could not be undone when memory is what ran out; this way nothing
 * is allocated on the way back.
 */
#include "manager.h"
#include "rule.h"
#include "match.h"
#include "../probe/probe.h"
#include <string.h>
#include <time.h>

/* ---- the table ---- */

const Pass pass_table[] = {
#define PASS(name, level, kernel, meaning) { #name, meaning, level, kernel, pass_##name, NULL },
#define RULES(name, level, kernel, meaning) { #name, meaning, level, kernel, NULL, rules_##name },
#include "passes.def"
#undef PASS
#undef RULES
};

const size_t n_passes = sizeof pass_table / sizeof *pass_table;

const Pass *pass_find(const char *name, size_t n)
{
	for (size_t i = 0; i < n_passes; i++)
		if (!strncmp(pass_table[i].name, name, n) && !pass_table[i].name[n])
			return &pass_table[i];
	return NULL;
}

/* ---- one pass ---- */

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Tentative nodes stand for nodes that are still there, so they do not count. */
static int64_t nodes_of(const Graph *g)
{
	return (int64_t)g->n_nodes - g->n_notes - tentative_count(g);
}

/* One pass, on its own job so that what goes wrong can be told with the pass's name. */
typedef struct Step { Pipeline *p; const Pass *pass; Decision d; size_t result; bool changed; } Step;

static void run_body(Job *job, void *arg)
{
	Step *s = arg;
	Pipeline *p = s->p;
	Graph *g = p->g;
	graph_enter(g, job);
	uint32_t rewrites = g->rewrites;
	PassRun run = {
		.g = g, .pass = s->pass->name, .kernel = s->pass->kernel, .keep = s->d.requested == GRAFT_ON,
		.free = p->config->format >= GRAFT_FORMAT_JSON && p->config->format <= GRAFT_FORMAT_DOT,
		.backup = p->report ? &p->backup : NULL,
		.scratch = &job->scratch, .target = p->target, .budget = &p->budget,
		.declared = p->config->declared, .n_declared = p->config->n_declared,
	};
	g->pass = arena_strdup(&g->arena, s->pass->name);
	if (s->pass->run)
		s->pass->run(&run);
	else
		rules_run(&run, s->pass->rules);
	g->pass = NULL;
	s->changed = g->rewrites != rewrites || run.applied;
	if (s->changed)
		graph_verify(g);
	if (!p->report)
		return;
	p->report->arena.job = job;
	p->report->result[s->result].applied += run.applied;
	for (size_t i = 0; i < run.n_refusals; i++)
		report_refusal(p->report, s->pass->name, run.refusals[i].node, run.refusals[i].code,
		               run.refusals[i].message);
}

static void call_hook(const Pipeline *p, const char *pass, int when, Graph *g)
{
	if (p->config->hook && p->report)
		p->config->hook(p->config->hook_user, pass, when, (graft_graph *)g);
}

/* ---- a pass that fails ---- */

typedef struct Replay { const Pipeline *p; const Pass *failed; Graph *before; } Replay;

static void replay_body(Job *job, void *arg)
{
	Replay *r = arg;
	r->before = graph_copy(job, r->p->backup ? r->p->backup : r->p->g);
	Pipeline again = { .g = r->before, .config = r->p->config, .target = r->p->target, .list = r->p->list,
	                   .budget = r->p->config->limit,
	                   .until = r->p->at };
	pipeline_run(&again, job);
	call_hook(r->p, r->failed->name, -1, r->before);
}

/* Passes are deterministic, so the graph before this one can be had again from the copy. */
_Noreturn static void pass_failed(Pipeline *p, Job *job, const Pass *pass, const graft_error *err)
{
	graft_error ignored;
	if (err->status == GRAFT_E_NOMEM)
		fail_again(job, err);
	if (p->config->hook && p->report)
		guarded(context_allocator(p->g->ctx), replay_body, &(Replay){ p, pass, NULL }, &ignored);
	if (err->status == GRAFT_E_GRAPH)
		fail_at(job, GRAFT_E_RULE, *err->path ? err->path : NULL, "pass %s left an invalid graph: %s",
		        pass->name, err->message);
	fail_at(job, err->status, *err->path ? err->path : NULL, "pass %s: %s", pass->name, err->message);
}

/* ---- deciding ---- */

/* A fusion that is not wanted looks at nothing: one refusal for the whole graph. */
static void refuse_all(Pipeline *p, const Pass *pass, const char *reason)
{
	if (p->report && pass->kernel)
		report_refusal(p->report, pass->name, p->g->name, "config", reason);
}

/* Why the pass's kernel cannot be called, NULL: it can. The pass runs without it too: it asks for every place, so it
 * changes nothing, and says where it would have. */
static const char *kernel_missing(const Pipeline *p, Job *job, const Step *s)
{
	if (!s->pass->kernel)
		return NULL;
	Answer a = target_kernel(p->target, s->pass->kernel, &job->scratch);
	if (a.available)
		return NULL;
	if (s->d.requested == GRAFT_ON)
		fail(job, GRAFT_E_UNAVAILABLE,
		     "pass %s was switched on by %s, but its kernel cannot be called for %s: %s",
		     s->pass->name, s->d.who,
		     target_arch(p->target), a.reason);
	return a.reason;
}

static void record(Pipeline *p, Job *job, const Step *s, const char *missing, int64_t before, double took)
{
	if (!p->report)
		return;
	p->report->arena.job = job;
	graft_pass_result *r = &p->report->result[s->result];
	r->nodes_before = before;
	r->nodes_after = nodes_of(p->g);
	r->seconds = took;
	r->outcome = missing ? GRAFT_PASS_UNAVAILABLE : r->applied ? GRAFT_PASS_APPLIED : GRAFT_PASS_NO_MATCH;
	if (!missing)
		return;
	r->effective = false;
	r->reason = arena_strdup(&p->report->arena, missing);
}

/* Nodes made by tentative rules have ids from first on; they are put back, or counted as taken, when the pipeline
 * ends. */
typedef struct Tentative { size_t result; uint32_t first, end; struct Tentative *next; } Tentative;

static void remember_tentative(Pipeline *p, Job *job, const Step *s, uint32_t first)
{
	if (!s->changed || s->d.requested == GRAFT_ON || s->pass->run)
		return;
	Tentative *t = NEW(&job->scratch, Tentative);
	*t = (Tentative){ s->result, first, p->g->next_id, p->tentative };
	p->tentative = t;
}

static void run_pass(Pipeline *p, Job *job, const Pass *pass)
{
	Step s = { .p = p, .pass = pass, .d = config_decide(p->config, pass, &job->scratch) };
	if (p->report) {
		p->report->arena.job = job;
		s.result = p->report->n_results;
		graft_pass_result *r = report_pass(p->report, pass, s.d);
		r->nodes_before = r->nodes_after = nodes_of(p->g);
	}
	if (!s.d.wanted) {
		refuse_all(p, pass, s.d.reason);
		return;
	}
	const char *missing = kernel_missing(p, job, &s);
	graft_error err;
	if (pass->run == pass_dce) {
		p->swept = true;
		p->sweep = s.result;
	}
	int64_t before = nodes_of(p->g);
	uint32_t first = p->g->next_id;
	call_hook(p, pass->name, 0, p->g);
	double start = seconds();
	if (guarded(context_allocator(p->g->ctx), run_body, &s, &err))
		pass_failed(p, job, pass, &err);
	record(p, job, &s, missing, before, seconds() - start);
	remember_tentative(p, job, &s, first);
	call_hook(p, pass->name, 1, p->g);
}

/* ---- the pipeline ---- */

static void settle_tentative(Pipeline *p)
{
	uint32_t rewrites = p->g->rewrites;
	for (const Tentative *t = p->tentative; t; t = t->next) {
		int64_t back = tentative_restore(p->g, t->first, t->end);
		if (!back || !p->report)
			continue;
		graft_pass_result *r = &p->report->result[t->result];
		r->reason = arena_printf(&p->report->arena,
		                         "%s; recognised %lld, %lld taken by a fusion, the others went back", r->reason,
		                         (long long)r->applied, (long long)(r->applied - back));
		r->applied -= back;
		r->outcome = r->applied ? GRAFT_PASS_APPLIED : GRAFT_PASS_NO_MATCH;
	}
	if (p->g->rewrites != rewrites)
		graph_verify(p->g);
}

/* A rewrite can leave writes to storage that nothing looks at any more: what dce removes, it removes in the end. */
static void sweep_again(Pipeline *p, Job *job, uint32_t rewrites)
{
	const Pass *dce = pass_find("dce", 3);
	Step s = { .p = p, .pass = dce, .d = config_decide(p->config, dce, &job->scratch), .result = p->sweep };
	graft_error err;
	if (!p->swept || p->g->rewrites == rewrites)
		return;
	if (guarded(context_allocator(p->g->ctx), run_body, &s, &err))
		pass_failed(p, job, dce, &err);
	if (p->report && p->report->result[p->sweep].applied)
		p->report->result[p->sweep].outcome = GRAFT_PASS_APPLIED;
}

void pipeline_run(Pipeline *p, Job *job)
{
	uint32_t rewrites = p->g->rewrites;
	for (p->at = 0; p->list[p->at] && p->at != p->until; p->at++)
		run_pass(p, job, p->list[p->at]);
	if (p->until == PIPELINE_WHOLE) {
		settle_tentative(p);
		sweep_again(p, job, rewrites);
	}
}

static const graft_config *default_config(Job *job, graft_context *ctx)
{
	graft_config *c = NEW(&job->scratch, graft_config);
	config_start(c, ctx, &job->scratch);
	return c;
}

static const Pass **level_pipeline(const graft_config *c, Job *job)
{
	const Pass **list = NEW_ARRAY(&job->scratch, c->n_pass + 1, const Pass *);
	memcpy(list, c->pass, c->n_pass * sizeof *list);
	return list;
}

/* ---- the call ---- */

static void optimize_body(Job *job, void *arg)
{
	Pipeline *p = arg;
	graft_context *ctx = p->g->ctx;
	graph_enter(p->g, job);
	if (!p->config)
		p->config = default_config(job, ctx);
	p->list = p->config->list ? p->config->list : level_pipeline(p->config, job);
	p->budget = p->config->limit;
	p->until = PIPELINE_WHOLE;
	p->report = report_new(job, ctx);
	p->target = target_open(job, ctx, p->config->target_path, &job->scratch);
	for (size_t i = 0; i < p->config->n_declared; i++)
		graph_declare(p->g, &p->config->declared[i]);
	pipeline_run(p, job);
	p->report->arena.job = NULL;
}

graft_status graft_optimize(graft_graph *g, const graft_config *config, graft_report **report, graft_error *err)
{
	Pipeline p = { .g = &g->g, .config = config };
	graft_status status = guarded(context_allocator(g->g.ctx), optimize_body, &p, err);
	if (status && p.backup)
		graph_become(&g->g, p.backup);
	else
		graph_free(p.backup);
	if (!status && report)
		*report = p.report;
	else
		graft_report_free(p.report);
	return status;
}
