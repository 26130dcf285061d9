/* nomem.c - every allocation of load, optimise, plan, run and print fails once: GRAFT_E_NOMEM each time, nothing lost, no crash. */
#include "test.h"
#include <cjson/cJSON.h>
#include <graft/graft.h>
#include <stdlib.h>

/* Counts allocations, of graft's and of cJSON's; the one numbered `fail_at` finds no memory. */
static long count, fail_at, held;

static bool fails(void)
{
	return ++count == fail_at;
}

static void *resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
	(void)user;
	if (!new_size) {
		held -= ptr != NULL;
		free(ptr);
		return NULL;
	}
	if (fails())
		return NULL;
	held += ptr == NULL;
	(void)old_size;
	return realloc(ptr, new_size);
}

static void *hooked_malloc(size_t size)
{
	return fails() ? NULL : malloc(size);
}

static const char sample[] =
	"{\"graft\": 1, \"name\": \"g\", \"symbols\": {\"T\": [1, 64]},\n"
	"\"inputs\": [{\"name\": \"x\", \"dtype\": \"f32\", \"shape\": [\"T\", 22]}],\n"
	"\"params\": [{\"name\": \"qw\", \"dtype\": \"f32\", \"shape\": [12]}, {\"name\": \"kw\", \"dtype\": \"f32\", \"shape\": [8]}],\n"
	"\"nodes\": [\n"
	"{\"op\": \"split\", \"in\": [\"x\"], \"out\": [\"q\", \"r\"], \"attrs\": {\"sizes\": [12, 10]}},\n"
	"{\"op\": \"split\", \"in\": [\"r\"], \"out\": [\"kv\", \"pe\"], \"attrs\": {\"sizes\": [8, 2]}},\n"
	"{\"op\": \"mul\", \"in\": [\"q\", \"q\"], \"out\": [\"qq\"]},\n"
	"{\"op\": \"mean\", \"in\": [\"qq\"], \"out\": [\"qm\"], \"attrs\": {\"axes\": [-1], \"keepdim\": true}},\n"
	"{\"op\": \"add\", \"in\": [\"qm\", 1e-06], \"out\": [\"qe\"]},\n"
	"{\"op\": \"rsqrt\", \"in\": [\"qe\"], \"out\": [\"qr\"]},\n"
	"{\"op\": \"mul\", \"in\": [\"q\", \"qr\"], \"out\": [\"qx\"]},\n"
	"{\"op\": \"mul\", \"in\": [\"qw\", \"qx\"], \"out\": [\"qn\"]},\n"
	"{\"op\": \"rms_norm\", \"in\": [\"kv\", \"kw\"], \"out\": [\"kn\"], \"attrs\": {\"eps\": 1e-06, \"round\": \"early\"}},\n"
	"{\"op\": \"concat\", \"in\": [\"qn\", \"kn\", \"pe\"], \"out\": [\"y\"], \"attrs\": {\"axis\": -1}}],\n"
	"\"outputs\": [\"y\"]}";

static bool swallow(void *user, const char *text, size_t size)
{
	(void)user, (void)text, (void)size;
	return true;
}

static graft_status plan_and_run(graft_graph *g, graft_error *err)
{
	const char *bind[] = { "T=3", NULL };
	graft_plan_options options = { .struct_size = sizeof options, .threads = 1, .random = true, .seed = 1, .bind = bind };
	graft_plan *plan;
	if (graft_plan_new(g, &options, NULL, &plan, err))
		return err->status;
	graft_status status = graft_plan_run(plan, err);
	graft_plan_free(plan);
	return status;
}

static graft_status whole_job(graft_context *ctx, graft_error *err)
{
	graft_graph *g;
	if (graft_graph_parse(ctx, sample, sizeof sample - 1, "sample", &g, err))
		return err->status;
	graft_status status = graft_optimize(g, NULL, NULL, err);
	if (!status)
		status = graft_graph_print(g, GRAFT_FORMAT_JSON, swallow, NULL, err);
	if (!status)
		status = graft_graph_print(g, GRAFT_FORMAT_TEXT, swallow, NULL, err);
	if (!status)
		status = plan_and_run(g, err);
	graft_graph_free(g);
	return status;
}

/* One job from a fresh context, its fail_at-th allocation failing. */
static graft_status attempt(long nth, graft_error *err)
{
	graft_allocator mem = { resize, NULL };
	graft_context *ctx;
	count = 0;
	fail_at = nth;
	graft_status status = graft_context_new(&mem, &ctx, err);
	if (status)
		return status;
	status = whole_job(ctx, err);
	graft_context_free(ctx);
	return status;
}

TEST(every_allocation_fails_once)
{
	graft_error err;
	cJSON_InitHooks(&(cJSON_Hooks){ hooked_malloc, free });
	held = 0;
	graft_status status = attempt(0, &err);
	if (status)
		test_fail(__FILE__, __LINE__, "without a failure: %s", err.message);
	long total = count;
	CHECK_INT(held, 0);
	for (long nth = 1; nth <= total; nth++) {
		status = attempt(nth, &err);
		if (status != GRAFT_E_NOMEM || err.status != GRAFT_E_NOMEM || held)
			test_fail(__FILE__, __LINE__, "allocation %ld of %ld: status %d, %ld blocks held: %s", nth, total, (int)status, held, err.message);
	}
	cJSON_InitHooks(NULL);
	CHECK(total > 20);
}
