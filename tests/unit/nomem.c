/* nomem.c - every allocation of every job fails once: GRAFT_E_NOMEM each time, nothing lost, no crash.
 *
 * Arenas ask for memory in large pieces, so the graph has enough layers for each part of a job to need some of its own.
 */
#include "shortage.h"
#include "test.h"
#include <cjson/cJSON.h>
#include <graft/graft.h>
#include <stdlib.h>
#include <unistd.h>

enum { LAYERS = 6 };

#define FUSE "fuse_mla_dual_rms_norm"
#define KERNEL "fused_mla_dual_rms_norm"
#define FILES "build/check/nomem"

/* Counts allocations, of graft's and of cJSON's; the one numbered `fail_at` finds no memory. */
static Shortage shortage;

static void *hooked_malloc(size_t size)
{
	return shortage_hits(&shortage) ? NULL : malloc(size);
}

/* ---- the graph: one norm as a node, one spelled out, in each layer ------------------------------------------ */

static const char head[] = "graph g\nsymbol T in [1, 64]\ninput x0: f32[T, 22]\nparam qw: f32[12]\nparam kw: f32[8]\n";

static const char layer[] =
	"q%d, r%d = split(x%d) {sizes=[12, 10]}\n"
	"kv%d, pe%d = split(r%d) {sizes=[8, 2]}\n"
	"qq%d = mul(q%d, q%d)\n"
	"qm%d = mean(qq%d) {axes=[-1], keepdim=true}\n"
	"qe%d = add(qm%d, 1e-06)\n"
	"qr%d = rsqrt(qe%d)\n"
	"qx%d = mul(q%d, qr%d)\n"
	"qn%d = mul(qw, qx%d)\n"
	"kn%d = rms_norm(kv%d, kw) {eps=1e-06}\n"
	"c%d = concat(qn%d, kn%d, pe%d) {axis=-1}\n";

static const char *text(void)
{
	static char out[LAYERS * 2 * sizeof layer + sizeof head];
	char *to = out + sprintf(out, "%s", head);
	for (int i = 0; i < LAYERS; i++) {
		for (const char *s = layer; *s; s++)
			to += s[0] == '%' ? (s++, sprintf(to, "%d", i)) : (*to = *s, 1);
		to += sprintf(to, "x%d = neg(c%d)\n", i + 1, i);
	}
	sprintf(to, "output x%d\n", LAYERS);
	return out;
}

/* ---- jobs ----------------------------------------------------------------------------------------------------- */

typedef graft_status (*Work)(graft_context *ctx, graft_graph *g, graft_error *err);

static bool swallow(void *user, const char *s, size_t size)
{
	(void)user, (void)s, (void)size;
	return true;
}

static graft_status load_json(graft_context *ctx, graft_graph *g, graft_error *err)
{
	graft_graph *again;
	graft_status status = graft_graph_save(g, "/dev/null", GRAFT_FORMAT_JSON, err);
	if (status || graft_graph_load(ctx, "examples/mla_block.json", &again, err))
		return status ? status : err->status;
	graft_graph_free(again);
	return GRAFT_OK;
}

static graft_status print(graft_context *ctx, graft_graph *g, graft_error *err)
{
	(void)ctx;
	graft_status status = GRAFT_OK;
	for (graft_format f = GRAFT_FORMAT_JSON; !status && f <= GRAFT_FORMAT_DOT; f++)
		status = graft_graph_print(g, f, swallow, NULL, err);
	return status;
}

static void look(void *user, const char *pass, int when, graft_graph *g)
{
	(void)user, (void)pass, (void)when, (void)g;
}

static graft_status optimize_with(graft_graph *g, const graft_config *c, int64_t fused, graft_error *err)
{
	graft_report *r;
	if (graft_optimize(g, c, &r, err))
		return err->status;
	if (graft_report_applied(r, FUSE) != fused)
		test_fail(__FILE__, __LINE__, "%lld norms fused, wanted %lld", (long long)graft_report_applied(r, FUSE),
		          (long long)fused);
	graft_report_free(r);
	return GRAFT_OK;
}

static graft_status optimize(graft_context *ctx, graft_graph *g, graft_error *err)
{
	(void)ctx;
	return optimize_with(g, NULL, LAYERS, err);
}

static graft_status lower(graft_context *ctx, graft_graph *g, graft_error *err)
{
	graft_config *c;
	if (graft_config_new(ctx, &c, err))
		return err->status;
	graft_status status = graft_config_set_passes(c,
	                                              "recompose_rms_norm," FUSE ",lower_fused,cse,eliminate_noops,dce",
	                                              "test", err);
	if (!status)
		status = optimize_with(g, c, LAYERS, err);
	graft_config_free(c);
	return status;
}

static graft_status configured(graft_context *ctx, graft_graph *g, graft_error *err)
{
	graft_config *c;
	if (graft_config_new(ctx, &c, err))
		return err->status;
	graft_config_set_hook(c, look, NULL);
	graft_status status = graft_config_load(c, FILES ".config", err);
	if (!status)
		status = graft_config_load_rules(c, "tests/data/silu.rules", err);
	if (!status)
		status = graft_config_set(c, "cse", GRAFT_OFF, "test", err);
	if (!status)
		status = graft_config_set_target(c, FILES ".caps", err);
	if (!status)
		status = optimize_with(g, c, LAYERS, err);
	graft_config_free(c);
	return status;
}

static graft_status probe(graft_context *ctx, graft_graph *g, graft_error *err)
{
	graft_probe_answer a;
	(void)g;
	graft_status status = graft_kernels_add(ctx, "build/packs/test/good.so", err);
	for (int i = 0; !status && i < 2; i++, graft_probe_refresh(ctx))
		status = graft_probe(ctx, KERNEL, "cpu", &a, err);
	return status;
}

static graft_status load_tensors(graft_context *ctx, graft_graph *g, graft_error *err)
{
	graft_tensors *t;
	(void)g;
	if (graft_tensors_new(ctx, &t, err))
		return err->status;
	graft_status status = graft_tensors_load(t, FILES ".safetensors", err);
	if (!status)
		status = graft_tensors_load(t, FILES ".npy", err);
	graft_tensors_free(t);
	return status;
}

/* Saved under names that lead nowhere: waiting for a disk each time would take long. */
static graft_status run_with(graft_graph *g, const char *safetensors, const char *npy, graft_error *err)
{
	const char *bind[] = { "T=3", NULL };
	graft_plan_options options = { .struct_size = sizeof options, .threads = 1, .random = true, .seed = 1,
	                               .bind = bind };
	graft_plan *plan;
	if (graft_plan_new(g, &options, NULL, &plan, err))
		return err->status;
	graft_status status = graft_plan_run(plan, err);
	if (!status)
		status = graft_tensors_save(graft_plan_outputs(plan), safetensors, err);
	if (!status)
		status = graft_tensors_save(graft_plan_outputs(plan), npy, err);
	graft_plan_free(plan);
	return status;
}

static graft_status run(graft_context *ctx, graft_graph *g, graft_error *err)
{
	(void)ctx;
	return run_with(g, FILES ".null.safetensors", FILES ".null.npy", err);
}

/* A pack without the fused kernel: planning lowers the nodes. */
static graft_status run_lowered(graft_context *ctx, graft_graph *g, graft_error *err)
{
	graft_status status = graft_optimize(g, NULL, NULL, err);
	if (!status)
		status = graft_kernels_add(ctx, "build/packs/test/norms.so", err);
	return status ? status : run(ctx, g, err);
}

static graft_status verify(graft_context *ctx, graft_graph *g, graft_error *err)
{
	const char *bind[] = { "T=2", NULL };
	graft_verify_options options = { .struct_size = sizeof options, .rtol = -1, .atol = -1,
	                                 .run = { .struct_size = sizeof options.run, .threads = 1, .random = true,
	                                          .bind = bind } };
	graft_verify_result result;
	graft_graph *copy;
	(void)ctx;
	if (graft_graph_copy(g, &copy, err))
		return err->status;
	graft_status status = graft_optimize(copy, NULL, NULL, err);
	if (!status)
		status = graft_verify(g, copy, &options, NULL, &result, err);
	graft_graph_free(copy);
	return status;
}

static const char caps[] =
	"{\"format\": \"graft.caps\", \"version\": 1, \"graft\": \"0.1.0\", \"arch\": \"gfx942\", \"self_tests\": "
	"false, \"packs\": [\n"
	"{ \"pack\": \"p.so\", \"tier\": \"ABI\", \"name\": \"p\", \"version\": \"1\", \"kernels\": [\n"
	"{ \"name\": \"" KERNEL "\", \"signature\": \"" KERNEL "(q, q_w, kv, kv_w) -> (q_n, kv_n) {q_eps: float, "
	"kv_eps: float, round: late|early}\", \"version\": 1, \"dtypes\": [\"f32\"], \"rounds\": [\"late\", "
	"\"early\"], \"archs\": \"gfx942\", \"any_stride\": true, \"odd_last\": true, \"max_last\": 0, \"max_rows\": "
	"0, \"max_row_stride\": 0, \"self_test\": \"not run\" }] }] }";

static const struct { const char *name; Work work; } jobs[] = {
	{ "load_json", load_json }, { "print", print }, { "optimize", optimize }, { "lower", lower },
	{ "configured", configured },
	{ "probe", probe }, { "load_tensors", load_tensors }, { "run", run }, { "run_lowered", run_lowered },
	{ "verify", verify },
};

/* ---- the sweep ------------------------------------------------------------------------------------------------ */

/* One job from a fresh context, its nth allocation failing. */
static graft_status attempt(Work work, long nth, graft_error *err)
{
	graft_allocator mem = { shortage_resize, &shortage };
	graft_context *ctx;
	graft_graph *g;
	shortage.count = 0;
	shortage.fail_at = nth;
	if (graft_context_new(&mem, &ctx, err))
		return err->status;
	graft_status status = graft_graph_parse(ctx, text(), strlen(text()), "sample", &g, err);
	if (!status) {
		status = work(ctx, g, err);
		graft_graph_free(g);
	}
	graft_context_free(ctx);
	return status;
}

static void sweep(const char *name, Work work)
{
	graft_error err;
	shortage.held = 0;
	if (attempt(work, 0, &err))
		test_fail(__FILE__, __LINE__, "%s, without a failure: %s", name, err.message);
	long total = shortage.count;
	CHECK_INT(shortage.held, 0);
	CHECK(total > 10);
	for (long nth = 1; nth <= total; nth++) {
		graft_status status = attempt(work, nth, &err);
		if (status != GRAFT_E_NOMEM || err.status != GRAFT_E_NOMEM || shortage.held)
			test_fail(__FILE__, __LINE__, "%s, allocation %ld of %ld: status %d, %ld blocks held: %s", name,
			          nth, total, (int)status, shortage.held, err.message);
	}
}

static void write_file(const char *path, const char *s)
{
	FILE *f = fopen(path, "w");
	CHECK(f && fputs(s, f) >= 0 && !fclose(f));
}

static void make_files(void)
{
	graft_context *ctx;
	graft_graph *g;
	graft_error err;
	write_file(FILES ".config", "{\"level\": 3, \"passes\": {\"dce\": \"off\"}, \"limit\": 1000}");
	write_file(FILES ".caps", caps);
	CHECK_INT(graft_context_new(NULL, &ctx, &err), GRAFT_OK);
	CHECK_INT(graft_graph_parse(ctx, text(), strlen(text()), "sample", &g, &err), GRAFT_OK);
	CHECK_INT(run_with(g, FILES ".safetensors", FILES ".npy", &err), GRAFT_OK);
	graft_graph_free(g);
	graft_context_free(ctx);
	CHECK_INT(symlink("/dev/null", FILES ".null.safetensors") | symlink("/dev/null", FILES ".null.npy"), 0);
}

static void remove_files(void)
{
	static const char *const names[] = { ".config", ".caps", ".safetensors", ".npy", ".null.safetensors",
	                                     ".null.npy" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[64];
		snprintf(path, sizeof path, FILES "%s", names[i]);
		unlink(path);
	}
}

TEST(every_allocation_fails_once)
{
	remove_files();
	make_files();
	cJSON_InitHooks(&(cJSON_Hooks){ hooked_malloc, free });
	for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
		sweep(jobs[i].name, jobs[i].work);
	cJSON_InitHooks(NULL);
	remove_files();
}
