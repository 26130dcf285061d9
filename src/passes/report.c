/* report.c - what a pass tells: rewrites counted, refusals kept, and the report a caller reads. */
#include "report.h"
#include "refusal.h"
#include <assert.h>
#include <string.h>

const RefusalCode refusal_codes[] = {
#define REFUSAL(code, meaning) { #code, meaning },
#include "refusals.def"
#undef REFUSAL
};

const size_t n_refusal_codes = sizeof refusal_codes / sizeof *refusal_codes;

static bool is_code(const char *code)
{
	for (size_t i = 0; i < n_refusal_codes; i++)
		if (!strcmp(refusal_codes[i].code, code))
			return true;
	return false;
}

/* ---- inside a pass ---- */

/* On a job of its own, so that what the copying needs is gone before the pass goes on. */
static void backup_body(Job *job, void *arg)
{
	PassRun *run = arg;
	*run->backup = graph_release(graph_copy(job, run->g));
}

void pass_touch(PassRun *run)
{
	graft_error err;
	if (run->backup && !*run->backup && guarded(context_allocator(run->g->ctx), backup_body, run, &err))
		fail_again(graph_job(run->g), &err);
}

bool pass_rewrite(PassRun *run)
{
	if (*run->budget == 0)
		return false;
	pass_touch(run);
	if (*run->budget > 0)
		--*run->budget;
	run->applied++;
	return true;
}

void pass_forget(PassRun *run)
{
	for (size_t i = 0; i < run->n_refusals; i++)
		run->refusal_at[run->refusals[i].id] = 0;
	run->n_refusals = 0;
}

/* The refusal kept for a node, an empty one when there is none yet. */
static Refusal *refusal_of(PassRun *run, const Node *node)
{
	if (node->id >= run->n_refusal_at) {
		uint32_t *grown = NEW_ARRAY(run->scratch, run->g->next_id, uint32_t);
		if (run->n_refusal_at)
			memcpy(grown, run->refusal_at, run->n_refusal_at * sizeof *grown);
		run->refusal_at = grown;
		run->n_refusal_at = run->g->next_id;
	}
	uint32_t at = run->refusal_at[node->id];
	if (at)
		return &run->refusals[at - 1];
	run->refusals = arena_grow(run->scratch, run->refusals, run->n_refusals, &run->cap_refusals,
	                           sizeof *run->refusals);
	run->refusals[run->n_refusals] = (Refusal){ .id = node->id, .depth = -1 };
	run->refusal_at[node->id] = (uint32_t)++run->n_refusals;
	return &run->refusals[run->n_refusals - 1];
}

bool pass_refuse(PassRun *run, const Node *node, int depth, const char *code, const char *fmt, ...)
{
	assert(is_code(code) && "a code that refusals.def does not have");
	Refusal *r = refusal_of(run, node);
	if (depth <= r->depth)
		return false;
	va_list ap;
	va_start(ap, fmt);
	*r = (Refusal){ node_label(node), code, arena_vprintf(run->scratch, fmt, ap), node->id, depth };
	va_end(ap);
	return false;
}

/* ---- the report ---- */

graft_report *report_new(Job *job, graft_context *ctx)
{
	Arena a;
	arena_init(&a, context_allocator(ctx), job);
	graft_report *r = NEW(&a, graft_report);
	r->arena = a;
	return r;
}

void graft_report_free(graft_report *r)
{
	if (!r)
		return;
	Arena a = r->arena;
	arena_free(&a);
}

graft_pass_result *report_pass(graft_report *r, const Pass *pass, Decision d)
{
	r->result = arena_grow(&r->arena, r->result, r->n_results, &r->cap_results, sizeof *r->result);
	r->result[r->n_results] = (graft_pass_result){
		.pass = arena_strdup(&r->arena, pass->name), .requested = d.requested, .effective = d.wanted,
		.decided_by = arena_strdup(&r->arena, d.who), .reason = arena_strdup(&r->arena, d.reason),
		.outcome = d.wanted ? GRAFT_PASS_NO_MATCH : GRAFT_PASS_OFF,
	};
	return &r->result[r->n_results++];
}

void report_refusal(graft_report *r, const char *pass, const char *node, const char *code, const char *message)
{
	Arena *a = &r->arena;
	r->refusal = arena_grow(a, r->refusal, r->n_refusals, &r->cap_refusals, sizeof *r->refusal);
	r->refusal[r->n_refusals++] = (graft_refusal){ arena_strdup(a, pass), arena_strdup(a, node), code,
	                                               arena_strdup(a, message) };
}

const graft_pass_result *graft_report_pass(const graft_report *r, size_t i)
{
	return i < r->n_results ? &r->result[i] : NULL;
}

const graft_refusal *graft_report_refusal(const graft_report *r, size_t i)
{
	return i < r->n_refusals ? &r->refusal[i] : NULL;
}

int64_t graft_report_applied(const graft_report *r, const char *pass)
{
	int64_t applied = -1;
	for (size_t i = 0; i < r->n_results; i++)
		if (!strcmp(r->result[i].pass, pass))
			applied = (applied < 0 ? 0 : applied) + r->result[i].applied;
	return applied;
}
