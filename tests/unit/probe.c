/* probe.c - the packs of tests/plugins, each with its tier and reason; caching; nodes at the limits; caps files; self
 * tests; child processes. */
#include "../../src/kernels/cpu/cpu.h"
#include "../../src/probe/cache.h"
#include "test.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PACKS "build/packs/test/"
#define DUAL "fused_mla_dual_rms_norm"
#define LATE "build/packs/test/late.so"

static graft_context *context(const char *const *packs)
{
	graft_context *ctx;
	if (graft_context_new(NULL, &ctx, NULL))
		test_fail(__FILE__, __LINE__, "no context");
	for (; packs && *packs; packs++)
		if (graft_kernels_add(ctx, *packs, NULL))
			test_fail(__FILE__, __LINE__, "no pack %s", *packs);
	return ctx;
}

#define CONTEXT(...) context((const char *const[]){ __VA_ARGS__, NULL })

static graft_probe_answer ask(graft_context *ctx, const char *kernel, const char *arch)
{
	graft_probe_answer a;
	graft_error err;
	if (graft_probe(ctx, kernel, arch, &a, &err))
		test_fail(__FILE__, __LINE__, "graft_probe failed: %s", err.message);
	return a;
}

/* ---- tiers ------------------------------------------------------------------------------------------------ */

typedef struct Case { const char *pack; graft_tier tier; const char *reason; } Case;

static void check_case(const Case *c)
{
	char path[128], whole[512];
	snprintf(path, sizeof path, PACKS "%s.so", c->pack);
	snprintf(whole, sizeof whole, c->reason, path);
	graft_context *ctx = CONTEXT(path);
	graft_probe_answer a = ask(ctx, DUAL, "cpu");
	CHECK_STR(a.reason, whole);
	CHECK_STR(a.pack, path);
	CHECK_INT(a.tier, c->tier);
	CHECK_INT(a.available, c->tier == GRAFT_TIER_ARCH);
	graft_context_free(ctx);
}

#define REBUILD "; build it again against this graft's plugin.h"

TEST(probe_tiers)
{
	static const Case cases[] = {
		{ "nowhere", GRAFT_TIER_NONE, "'%s': no such file; build or install the pack, or correct its path" },
		{ "text", GRAFT_TIER_FOUND,
		  "'%s' is not a whole shared library: it does not begin as an ELF file does; build or copy it again" },
		{ "nosymbol", GRAFT_TIER_LOADS,
		  "'%s' is no kernel pack: it does not export graft_pack_v1; name a pack made for graft "
		  "(docs/plugin.md)" },
		{ "null", GRAFT_TIER_LOADS,
		  "'%s' is no kernel pack that can be used: its graft_pack_v1 returned no table" REBUILD },
		{ "abi", GRAFT_TIER_LOADS,
		  "'%s' is no kernel pack that can be used: it speaks ABI 2, graft " GRAFT_VERSION
		  " speaks ABI 1; use a pack and a graft that fit each other" },
		{ "truncated", GRAFT_TIER_LOADS,
		  "'%s' is no kernel pack that can be used: its table says 2 kernels, and once more 3: "
		  "it was cut short or changed" REBUILD },
		{ "smaller", GRAFT_TIER_LOADS,
		  "'%s' is no kernel pack that can be used: its table has 40 bytes and its rows 72, wanted 48 and "
		  "72" REBUILD },
		{ "wild", GRAFT_TIER_LOADS,
		  "'%s' is no kernel pack that can be used: its 2 kernels cannot all be read" REBUILD },
		{ "unnamed", GRAFT_TIER_LOADS,
		  "'%s' is no kernel pack that can be used: its kernel 0 has a name that is no text" REBUILD },
		{ "nolaunch", GRAFT_TIER_LOADS,
		  "'%s' is no kernel pack that can be used: its kernel 0 ('" DUAL "') has no launch function" REBUILD },
		{ "older", GRAFT_TIER_ABI,
		  "'%s' (test 0.9) has no kernel " DUAL ", it has layer_norm, group_norm; use a pack that has it, "
		  "or turn off the pass that needs it" },
		{ "renamed", GRAFT_TIER_ABI,
		  "'%s' (test 1.0) has no kernel " DUAL ", it has _" DUAL ", group_norm; use a pack that has it, "
		  "or turn off the pass that needs it" },
		{ "signature", GRAFT_TIER_KERNEL,
		  DUAL " of '%s' (test 1.0) has signature `" DUAL "(q_out, kv_out, q, q_w, q_eps, kv, kv_w, kv_eps) "
		  "-> ()`, wanted `" DUAL "(q, q_w, kv, kv_w) -> (q_n, kv_n) {q_eps: float, kv_eps: float, round: "
		  "late|early}`; use a pack made for graft " GRAFT_VERSION },
		{ "arch", GRAFT_TIER_SIGNATURE,
		  DUAL " of '%s' (test 1.0) is made for gfx90a, gfx942, not for cpu; name the machine it is for with "
		  "--target, by a file of graft probe --save" },
		{ "good", GRAFT_TIER_ARCH, "'%s' (test 1.0) has " DUAL " version 3 for cpu" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check_case(&cases[i]);
}

TEST(probe_half_a_library)
{
	graft_context *ctx = CONTEXT(PACKS "half.so");
	graft_probe_answer a = ask(ctx, DUAL, "cpu");
	CHECK_INT(a.tier, GRAFT_TIER_FOUND);
	CHECK_HAS(a.reason, "is not a whole shared library: it ends at byte 5000, within a part that begins at ");
	graft_context_free(ctx);
}

/* Of a pipe that nobody writes to, opening would never end. */
TEST(probe_no_regular_file)
{
	unlink("build/packs/test/pipe.so");
	CHECK_INT(mkfifo("build/packs/test/pipe.so", 0600), 0);
	graft_context *ctx = CONTEXT("build/packs/test", "build/packs/test/pipe.so");
	graft_probe_answer a = ask(ctx, DUAL, "cpu");
	unlink("build/packs/test/pipe.so");
	CHECK_INT(a.tier, GRAFT_TIER_NONE);
	CHECK_STR(a.reason, "'build/packs/test' is no regular file; name the pack's shared library");
	graft_context_free(ctx);
}

/* A name without a slash is a file here, not one that the system would find. */
TEST(probe_searches_no_path)
{
	graft_context *ctx = CONTEXT("libm.so.6", "good.so");
	CHECK_INT(chdir("build/packs/test"), 0);
	graft_probe_answer a = ask(ctx, DUAL, "cpu");
	CHECK_INT(chdir("../../.."), 0);
	CHECK_STR(a.reason, "'good.so' (test 1.0) has " DUAL " version 3 for cpu");
	graft_context_free(ctx);
	ctx = CONTEXT("libm.so.6");
	CHECK_STR(ask(ctx, DUAL, "cpu").reason,
	          "'libm.so.6': no such file; build or install the pack, or correct its path");
	graft_context_free(ctx);
}

TEST(probe_builtin_is_the_default)
{
	graft_context *ctx = context(NULL);
	graft_probe_answer a = ask(ctx, DUAL, "cpu");
	CHECK_INT(a.available, true);
	CHECK_STR(a.pack, "builtin");
	a = ask(ctx, DUAL, "gfx942");
	CHECK_INT(a.available, false);
	CHECK_INT(a.tier, GRAFT_TIER_SIGNATURE);
	CHECK_HAS(a.reason, "is made for cpu, not for gfx942; build the pack for gfx942 too");
	CHECK_INT(graft_kernels_add(ctx, PACKS "older.so", NULL), GRAFT_OK);
	CHECK_INT(ask(ctx, DUAL, "cpu").available, false);
	CHECK_INT(graft_kernels_add(ctx, "builtin", NULL), GRAFT_OK);
	CHECK_INT(ask(ctx, DUAL, "cpu").available, true);
	CHECK_INT(graft_kernels_add(ctx, "", NULL), GRAFT_E_USAGE);
	graft_context_free(ctx);
}

TEST(probe_furthest_pack_explains)
{
	graft_context *ctx = CONTEXT(PACKS "nowhere.so", PACKS "signature.so", PACKS "older.so", PACKS "text.so");
	graft_probe_answer a = ask(ctx, DUAL, "cpu");
	CHECK_INT(a.tier, GRAFT_TIER_KERNEL);
	CHECK_STR(a.pack, PACKS "signature.so");
	graft_context_free(ctx);
}

TEST(probe_unknown_kernel_is_answered)
{
	graft_context *ctx = CONTEXT(PACKS "good.so");
	graft_probe_answer a = ask(ctx, "no_such", "cpu");
	CHECK_STR(a.reason, "'" PACKS "good.so' (test 1.0) has no kernel no_such, it has " DUAL ", group_norm; nor has "
	          "graft " GRAFT_VERSION
	          " an op of that name");
	a = ask(ctx, "group_norm", "cpu");
	CHECK_INT(a.tier, GRAFT_TIER_KERNEL);
	CHECK_STR(a.reason, "group_norm of '" PACKS "good.so' (test 1.0) implements no op of graft " GRAFT_VERSION ", "
	          "which could not know how to call it; `graft ops` lists those there are");
	a = ask(ctx, "split", "cpu");
	CHECK_INT(a.available, true);
	CHECK_STR(a.reason, "split runs nothing, so it needs no kernel");
	graft_context_free(ctx);
}

TEST(probe_architectures)
{
	graft_context *ctx = CONTEXT(PACKS "arch.so");
	CHECK_INT(ask(ctx, DUAL, "gfx942").available, true);
	CHECK_INT(ask(ctx, DUAL, "gfx90a").available, true);
	CHECK_INT(ask(ctx, DUAL, "gfx942:sramecc+:xnack-").available, true);
	CHECK_INT(ask(ctx, DUAL, "gfx94").available, false);
	CHECK_INT(ask(ctx, DUAL, "gfx9420").available, false);
	CHECK_INT(ask(ctx, DUAL, "").available, false);
	graft_context_free(ctx);
}

/* ---- once, again, together --------------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
	char command[256];
	snprintf(command, sizeof command, "cp %s %s", from, to);
	CHECK_INT(system(command), 0);
}

TEST(probe_remembers_until_refresh)
{
	unlink(LATE);
	graft_context *ctx = CONTEXT(LATE);
	CHECK_INT(ask(ctx, DUAL, "cpu").tier, GRAFT_TIER_NONE);
	copy_file(PACKS "good.so", LATE);
	CHECK_INT(ask(ctx, DUAL, "cpu").tier, GRAFT_TIER_NONE);
	graft_probe_refresh(ctx);
	graft_probe_answer a = ask(ctx, DUAL, "cpu");
	CHECK_INT(a.available, true);
	CHECK_STR(a.pack, LATE);
	unlink(LATE);
	graft_probe_refresh(ctx);             /* what loaded stays loaded */
	CHECK_INT(ask(ctx, DUAL, "cpu").available, true);
	graft_context_free(ctx);
}

enum { THREADS = 16 };

typedef struct Asker { graft_context *ctx; pthread_barrier_t *start; graft_probe_answer answer; } Asker;

static void *ask_together(void *arg)
{
	Asker *a = arg;
	pthread_barrier_wait(a->start);
	graft_probe(a->ctx, DUAL, "cpu", &a->answer, NULL);
	return NULL;
}

/* The pack takes its time to answer, so that who did not wait for it would ask once more. */
TEST(probe_sixteen_threads_ask_once)
{
	graft_context *ctx = CONTEXT(PACKS "slow.so");
	pthread_barrier_t start;
	pthread_t thread[THREADS];
	Asker asker[THREADS];
	pthread_barrier_init(&start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++) {
		asker[i] = (Asker){ .ctx = ctx, .start = &start };
		CHECK_INT(pthread_create(&thread[i], NULL, ask_together, &asker[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&start);
	for (int i = 0; i < THREADS; i++) {
		CHECK_INT(asker[i].answer.available, true);
		CHECK(asker[i].answer.reason == asker[0].answer.reason);
	}
	void *again = dlopen(PACKS "slow.so", RTLD_NOW | RTLD_NOLOAD);
	CHECK(again);
	const atomic_int *calls = dlsym(again, "graft_test_calls");
	CHECK_INT(atomic_load(calls), 1);
	dlclose(again);
	graft_context_free(ctx);
	CHECK(!dlopen(PACKS "slow.so", RTLD_NOW | RTLD_NOLOAD));      /* each dlopen had its dlclose */
}

/* ---- memory ------------------------------------------------------------------------------------------------ */

typedef struct Budget { long left, held; } Budget;

static void *limited(void *user, void *ptr, size_t old_size, size_t new_size)
{
	Budget *b = user;
	if (new_size && b->left-- <= 0)
		return NULL;
	void *p = new_size ? realloc(ptr, new_size) : NULL;
	if (!new_size)
		free(ptr);
	b->held += (long)new_size - (long)old_size;
	return p;
}

TEST(probe_each_allocation_fails_once)
{
	for (long n = 1;; n++) {
		Budget b = { n, 0 };
		graft_context *ctx;
		graft_probe_answer a;
		graft_error err;
		CHECK_INT(graft_context_new(&(graft_allocator){ limited, &b }, &ctx, NULL), GRAFT_OK);
		graft_status status = graft_kernels_add(ctx, PACKS "older.so", &err);
		if (!status)
			status = graft_kernels_add(ctx, PACKS "good.so", &err);
		if (!status)
			status = graft_probe(ctx, DUAL, "cpu", &a, &err);
		bool done = !status;
		if (status) {
			CHECK_INT(status, GRAFT_E_NOMEM);
			b.left = 1000;        /* and the context is as good as before */
			CHECK_INT(graft_kernels_add(ctx, PACKS "good.so", &err), GRAFT_OK);
			CHECK_INT(graft_probe(ctx, DUAL, "cpu", &a, &err), GRAFT_OK);
		}
		CHECK_INT(a.available, true);
		graft_context_free(ctx);
		CHECK_INT(b.held, 0);
		if (done)
			return;
	}
}

/* ---- inside a job ------------------------------------------------------------------------------------------ */

typedef struct Inside { graft_context *ctx; void (*body)(Job *job, graft_context *ctx); } Inside;

static void enter_inside(Job *job, void *arg)
{
	Inside *i = arg;
	i->body(job, i->ctx);
}

static void inside(graft_context *ctx, void (*body)(Job *, graft_context *))
{
	graft_error err;
	Inside i = { ctx, body };
	if (guarded(context_allocator(ctx), enter_inside, &i, &err))
		test_fail(__FILE__, __LINE__, "failed: %s", err.message);
	graft_context_free(ctx);
}

/* A question about the fused op: q is [T, width], T up to rows, its rows `stride` apart (0: dense). */
typedef struct Node_ { int64_t width, rows, stride; graft_dtype dtype; int round; const char *width_text; } Node_;

static Answer ask_node_like(Job *job, const Target *t, const Node_ *like, bool bind)
{
	Graph *g = graph_new(job, t->ctx, "test");
	Dim rows = dim_symbol(g, symbol_add(g, "T", 1, 1, like->rows)), width = dim_const(like->width);
	const char *s = like->width_text;
	if (s) {
		symbol_add(g, "W", 1, 1, 512);
		width = dim_parse(g, &s, s + strlen(s));
	}
	Dim dims[] = { rows, width, rows, dim_const(512) };
	Type in[] = { { like->dtype, 2, dims }, { like->dtype, 1, dims + 1 }, { like->dtype, 2, dims + 2 },
	              { like->dtype, 1, dims + 3 } };
	Dim strides[] = { dim_const(like->stride), dim_const(1), dim_const(512), dim_const(1) };
	Attr attr[] = { { .kind = ATTR_FLOAT, .f = 1e-6 }, { .kind = ATTR_FLOAT, .f = 1e-6 },
	                { .kind = ATTR_NAME, .i = like->round } };
	const Op *op = op_find(DUAL, strlen(DUAL));
	const Dim *row_stride = like->stride ? strides : NULL;
	return bind ? target_bind(t, g, op, in, 4, attr, row_stride, &job->scratch)
	            : target_node(t, g, op, in, 4, attr, row_stride, &job->scratch);
}

static void node_ok(Job *job, const Target *t, Node_ like)
{
	Answer a = ask_node_like(job, t, &like, false);
	CHECK_HAS(a.reason, ") has " DUAL " version 3 for cpu");
	CHECK_INT(a.tier, GRAFT_TIER_NODE);
	CHECK(a.available);
	CHECK(a.kernel && a.kernel->launch);
}

static void node_not(Job *job, const Target *t, Node_ like, const char *why)
{
	Answer a = ask_node_like(job, t, &like, false);
	CHECK_HAS(a.reason, why);
	CHECK_INT(a.tier, GRAFT_TIER_ARCH);
	CHECK(!a.available && !a.kernel);
}

static const graft_dtype F32 = GRAFT_DTYPE_f32, F16 = GRAFT_DTYPE_f16, BF16 = GRAFT_DTYPE_bf16;

static void limits(Job *job, graft_context *ctx)
{
	const Target *t = target_open(job, ctx, NULL, &job->scratch);
	node_ok(job, t, (Node_){ 1024, 4096, 0, BF16, 0, NULL });
	node_not(job, t, (Node_){ 1025, 4096, 0, BF16, 0, NULL },
	         "takes a last axis up to 1024, and q is bf16[T, 1025], where it can be 1025; "
	         "use a pack without that limit, or give the graph's symbols smaller ranges");
	node_not(job, t, (Node_){ 1024, 4097, 0, BF16, 0, NULL },
	         "takes rows up to 4096, and q is bf16[T, 1024], where it can be 4097");
	node_not(job, t, (Node_){ 1024, DIM_MAX, 0, BF16, 0, NULL },
	         "takes rows up to 4096, and q is bf16[T, 1024], where it can be any number");
	node_ok(job, t, (Node_){ 1024, 4096, 2112, BF16, 0, NULL });
	node_not(job, t, (Node_){ 1024, 4096, 2113, BF16, 0, NULL },
	         "takes a distance between rows up to 2112, and q is bf16[T, 1024], "
	         "where it can be 2113");
	node_ok(job, t, (Node_){ 1024, 1, 2113, BF16, 0, NULL });      /* one row has no distance */
	node_ok(job, t, (Node_){ 0, 4096, 0, BF16, 0, "2*W" });
	node_not(job, t, (Node_){ 0, 4096, 0, BF16, 0, "2*W + 1" }, "where it can be 1025");
}

TEST(probe_nodes_at_the_limits)
{
	inside(CONTEXT(PACKS "limit.so"), limits);
}

static void plain(Job *job, graft_context *ctx)
{
	const Target *t = target_open(job, ctx, NULL, &job->scratch);
	node_ok(job, t, (Node_){ 1536, 4096, 0, F32, 0, NULL });
	node_ok(job, t, (Node_){ 1536, 4096, 1536, F32, 0, NULL });
	node_not(job, t, (Node_){ 1536, 4096, 2112, F32, 0, NULL },
	         "takes dense rows only, and q, f32[T, 1536], can be a view of wider ones; "
	         "use a pack that takes any stride");
	node_not(job, t, (Node_){ 1535, 4096, 0, F32, 0, NULL },
	         "takes a last axis of even length only, and that of q, f32[T, 1535], can be odd; "
	         "use a pack that takes odd ones");
	node_ok(job, t, (Node_){ 0, 4096, 0, F32, 0, "2*W" });
	node_not(job, t, (Node_){ 0, 4096, 0, F32, 0, "W" }, "and that of q, f32[T, W], can be odd");
}

TEST(probe_nodes_dense_and_even)
{
	inside(CONTEXT(PACKS "plain.so"), plain);
}

static void types(Job *job, graft_context *ctx)
{
	const Target *t = target_open(job, ctx, NULL, &job->scratch);
	node_ok(job, t, (Node_){ 1536, 4096, 0, F32, 0, NULL });
	node_not(job, t, (Node_){ 1536, 4096, 0, F16, 0, NULL },
	         "takes bf16, f32, and q is f16[T, 1536]; cast it, or use a pack that takes f16");
	node_not(job, t, (Node_){ 1536, 4096, 0, F32, 1, NULL },
	         "cannot do round=early, only late; use a pack that can");
}

TEST(probe_nodes_dtypes_and_roundings)
{
	inside(CONTEXT(PACKS "noearly.so"), types);
}

/* ---- self tests ------------------------------------------------------------------------------------------- */

static const Node_ ordinary = { 1536, 4096, 2112, GRAFT_DTYPE_f32, 1, NULL };

static void good_is_bound(Job *job, graft_context *ctx)
{
	const Target *t = target_open(job, ctx, NULL, &job->scratch);
	Answer first = ask_node_like(job, t, &ordinary, true), second = ask_node_like(job, t, &ordinary, true);
	CHECK_STR(first.pack, PACKS "good.so");
	CHECK_INT(first.tier, GRAFT_TIER_SELF_TEST);
	CHECK(first.available && first.kernel);
	CHECK(first.kernel == second.kernel);
	void *library = dlopen(PACKS "good.so", RTLD_NOW | RTLD_NOLOAD);
	const atomic_int *launches = dlsym(library, "graft_test_launches");
	CHECK_INT(atomic_load(launches), 8);  /* two dtypes, two roundings, dense and strided: once each */
	dlclose(library);
}

/* The pack asked first is passed over when its numbers are wrong. */
TEST(probe_binds_what_passes_its_self_test)
{
	inside(CONTEXT(PACKS "wrong.so", PACKS "refuse.so", PACKS "good.so"), good_is_bound);
}

static void wrong_is_not_bound(Job *job, graft_context *ctx)
{
	const Target *t = target_open(job, ctx, NULL, &job->scratch);
	Answer a = ask_node_like(job, t, &ordinary, true);
	CHECK_INT(a.tier, GRAFT_TIER_NODE);
	CHECK(!a.available && !a.kernel);
	CHECK_HAS(a.reason, DUAL " of '" PACKS "wrong.so' (test 1.0) fails its self test (f32, round=late): element 0 "
	          "of q_n is ");
	CHECK_HAS(a.reason, "; use another pack");
}

TEST(probe_wrong_numbers)
{
	inside(CONTEXT(PACKS "wrong.so"), wrong_is_not_bound);
}

static void refusing_is_not_bound(Job *job, graft_context *ctx)
{
	const Target *t = target_open(job, ctx, NULL, &job->scratch);
	Answer a = ask_node_like(job, t, &ordinary, true);
	CHECK_HAS(a.reason, "fails its self test (f32, round=late): it says: no more than two cores here; use another "
	          "pack");
}

TEST(probe_refused_launch)
{
	inside(CONTEXT(PACKS "refuse.so"), refusing_is_not_bound);
}

static void bind_and_save(Job *job, void *arg)
{
	const Target *t = target_open(job, arg, NULL, &job->scratch);
	CHECK(ask_node_like(job, t, &ordinary, true).available);
	Text caps = { .arena = &job->scratch };
	target_print_caps(t, &caps);
	caps_parse(job, arg, caps.text, caps.size, "caps.json", &job->scratch);
}

TEST(probe_each_allocation_of_a_binding_fails_once)
{
	graft_status status = GRAFT_E_NOMEM;
	for (long n = 0; status; n++) {
		Budget b = { 1000, 0 };
		graft_context *ctx;
		CHECK_INT(graft_context_new(&(graft_allocator){ limited, &b }, &ctx, NULL), GRAFT_OK);
		CHECK_INT(graft_kernels_add(ctx, PACKS "wrong.so", NULL), GRAFT_OK);
		CHECK_INT(graft_kernels_add(ctx, PACKS "good.so", NULL), GRAFT_OK);
		b.left = n;
		status = guarded(context_allocator(ctx), bind_and_save, ctx, NULL);
		if (status)
			CHECK_INT(status, GRAFT_E_NOMEM);
		graft_context_free(ctx);
		CHECK_INT(b.held, 0);
	}
}

/* Stands for a stranger's kernel that is as good as graft's own, or spoils something. */
static graft_launch_fn forward_to;
static int forwarded, spoil;

static int forward(const graft_launch *l)
{
	int status = forward_to(l);
	int64_t bytes = (int64_t)graft_dtype_size((graft_dtype)l->out[0].dtype);
	for (int32_t i = 0; i < l->out[0].rank; i++)
		bytes *= l->out[0].shape[i];
	forwarded++;
	if (spoil == 1)
		((char *)l->out[0].data)[bytes] = 1;
	if (spoil == 2)
		((char *)l->in[0].data)[0] ^= 1;
	return status;
}

static Row stranger(Job *job, const char *op)
{
	const graft_pack *p = cpu_pack(&job->scratch);
	for (uint32_t i = 0; i < p->n_kernels; i++)
		if (!strcmp(p->kernels[i].name, op)) {
			Row row = { .kernel = p->kernels[i] };
			forward_to = row.kernel.launch;
			row.kernel.launch = forward;
			forwarded = spoil = 0;
			return row;
		}
	test_fail(__FILE__, __LINE__, "no kernel %s", op);
}

/* Every row of selftest.def is read, run and passed by the kernel it is about; ops without one are few and known. */
static void all_trials(Job *job, graft_context *ctx)
{
	const graft_pack *p = cpu_pack(&job->scratch);
	for (uint32_t i = 0; i < p->n_kernels; i++) {
		const char *op = p->kernels[i].name;
		Row row = stranger(job, op);
		self_test(job, ctx, &row, "cpu", NULL, &job->scratch);
		if (row.tested == FAILED)
			test_fail(__FILE__, __LINE__, "%s %s", op, row.why);
		bool none = !strcmp(op, "arange") || !strcmp(op, "constant") || !strcmp(op, "copy_");
		if (row.tested != (none ? NO_TEST : PASSED) || (forwarded > 0) == none)
			test_fail(__FILE__, __LINE__, "%s ran %d times, tested %d", op, forwarded, row.tested);
	}
}

TEST(probe_self_test_of_each_op)
{
	inside(context(NULL), all_trials);
}

static void spoilers(Job *job, graft_context *ctx)
{
	Row row = stranger(job, "rms_norm");
	spoil = 1;
	self_test(job, ctx, &row, "cpu", NULL, &job->scratch);
	CHECK_HAS(row.why, "it writes beyond its output y");
	row = stranger(job, "rms_norm");
	spoil = 2;
	self_test(job, ctx, &row, "cpu", NULL, &job->scratch);
	CHECK_HAS(row.why, "it writes to its operand x");
	row = stranger(job, "rms_norm");
	self_test(job, ctx, &row, "gfx942", NULL, &job->scratch);
	CHECK_INT(row.tested, NO_TEST);
}

TEST(probe_self_test_sees_stray_writes)
{
	inside(context(NULL), spoilers);
}

/* ---- caps files -------------------------------------------------------------------------------------------- */

static Text printed(const Target *t, Arena *a)
{
	Text caps = { .arena = a };
	target_print_caps(t, &caps);
	return caps;
}

static void same_answers(const Target *a, const Target *b, Arena *into)
{
	for (int i = 0; i < OP_COUNT; i++) {
		Answer x = target_kernel(a, op_table[i].name, into), y = target_kernel(b, op_table[i].name, into);
		CHECK_INT(y.available, x.available);
		CHECK_INT(y.tier, x.tier);
		CHECK_STR(y.pack, x.pack);
		CHECK_STR(y.reason, x.reason);
		CHECK(!y.kernel);
	}
}

static void save_and_target(Job *job, graft_context *ctx)
{
	Arena *a = &job->scratch;
	const char *path = "build/packs/test/caps.json";
	const Target *here = target_for(ctx, "gfx942", a);
	Text caps = printed(here, a);
	FILE *f = fopen(path, "w");
	CHECK(f && fwrite(caps.text, 1, caps.size, f) == caps.size && !fclose(f));
	const Target *there = target_open(job, ctx, path, a);
	CHECK_STR(target_arch(there), "gfx942");
	same_answers(here, there, a);
	CHECK_STR(printed(there, a).text, caps.text);
	Answer x = ask_node_like(job, here, &ordinary, false), y = ask_node_like(job, there, &ordinary, false);
	CHECK_STR(y.reason, x.reason);
	unlink(path);
}

TEST(probe_caps_answer_as_the_machine)
{
	inside(CONTEXT(PACKS "nowhere.so", PACKS "abi.so", PACKS "limit.so", "builtin"), save_and_target);
}

static void parse_caps(Job *job, void *arg)
{
	const char *text = ((const char **)arg)[0];
	caps_parse(job, NULL, text, strlen(text), "caps.json", &job->scratch);
}

#define CAPS(packs) \
	"{\"format\": \"graft.caps\", \"version\": 1, \"graft\": \"0.1.0\", \"arch\": \"cpu\", " \
	"\"self_tests\": false, " \
	"\"packs\": " packs "}"
#define ROW(name, dtypes, limit) "{\"name\": \"" name "\", \"signature\": \"\", \"version\": 1, \"dtypes\": " dtypes \
	", \"rounds\": [], \"archs\": \"*\", \"any_stride\": true, \"odd_last\": true, \"max_last\": " limit \
	", \"max_rows\": 0, \"max_row_stride\": 0, \"self_test\": \"not run\"}"
#define PACK(row) "[{\"pack\": \"p\", \"tier\": \"ABI\", \"name\": \"n\", \"version\": \"v\", \"kernels\": [" row "]}]"

static void caps_wrong(const char *text, graft_status status, const char *path, const char *part)
{
	graft_error err;
	graft_context *ctx = context(NULL);
	CHECK_INT(guarded(context_allocator(ctx), parse_caps, &text, &err), status);
	CHECK_HAS(err.message, part);
	CHECK_STR(err.path, path);
	graft_context_free(ctx);
}

TEST(probe_caps_that_are_wrong)
{
	caps_wrong(CAPS(PACK(ROW("k", "[]", "0"))), GRAFT_OK, "", "");
	caps_wrong("{", GRAFT_E_SYNTAX, "$", "");
	caps_wrong("[]", GRAFT_E_CONFIG, "$", "");
	caps_wrong(CAPS("[]"), GRAFT_E_CONFIG, "$.packs", "there is no pack");
	caps_wrong(CAPS("[{\"pack\": \"p\", \"tier\": \"NODE\"}]"), GRAFT_E_CONFIG, "$.packs[0].tier", "LOADS");
	caps_wrong(CAPS("[{\"pack\": \"p\", \"tier\": \"LOADS\"}]"), GRAFT_E_CONFIG, "$.packs[0]", "reason");
	caps_wrong(CAPS(PACK(ROW("k", "[\"f33\"]", "0"))), GRAFT_E_CONFIG, "$.packs[0].kernels[0].dtypes[0]", "f33");
	caps_wrong(CAPS(PACK(ROW("k", "[]", "-1"))), GRAFT_E_CONFIG, "$.packs[0].kernels[0].max_last", "-1");
	caps_wrong(CAPS(PACK(ROW("", "[]", "0"))), GRAFT_E_CONFIG, "$.packs[0].kernels[0]",
	           "the kernel has an empty name");
}

/* ---- child processes --------------------------------------------------------------------------------------- */

static const Target *isolated_with(Job *job, graft_context *ctx, int seconds)
{
	return target_isolated(job, ctx, "cpu", seconds, &job->scratch);
}

static void check_isolated(Job *job, graft_context *ctx, graft_tier tier, const char *reason)
{
	const Target *t = isolated_with(job, ctx, 20);
	Answer a = target_kernel(t, DUAL, &job->scratch);
	CHECK_STR(a.reason, reason);
	CHECK_INT(a.tier, tier);
	CHECK_INT(a.available, tier == GRAFT_TIER_SELF_TEST);
	CHECK(!a.kernel);
}

static void crash_load(Job *job, graft_context *ctx)
{
	check_isolated(job, ctx, GRAFT_TIER_FOUND,
	               "'" PACKS "crash_load.so' crashed with SIGSEGV while loading; leave it out, or rebuild it");
}

static void exit_load(Job *job, graft_context *ctx)
{
	check_isolated(job, ctx, GRAFT_TIER_FOUND,
	               "'" PACKS "exit_load.so' ended the process with code 3 while loading; leave it out, or "
	               "rebuild it");
}

static void crash_table(Job *job, graft_context *ctx)
{
	check_isolated(job, ctx, GRAFT_TIER_LOADS,
	               "'" PACKS "crash_table.so' crashed with SIGABRT while giving its table; leave it out, or "
	               "rebuild it");
}

static void crash_call(Job *job, graft_context *ctx)
{
	check_isolated(job, ctx, GRAFT_TIER_ARCH,
	               DUAL " of '" PACKS "crash_call.so' (test 1.0) crashed with SIGSEGV in its self test; leave "
	               "it out, or rebuild it");
}

static void isolated_good(Job *job, graft_context *ctx)
{
	check_isolated(job, ctx, GRAFT_TIER_SELF_TEST, "'" PACKS "good.so' (test 1.0) has " DUAL " version 3 for cpu");
	CHECK(!dlopen(PACKS "good.so", RTLD_NOW | RTLD_NOLOAD));      /* not in this process */
}

static void isolated_missing(Job *job, graft_context *ctx)
{
	check_isolated(job, ctx, GRAFT_TIER_NONE,
	               "'nowhere.so': no such file; build or install the pack, or correct its path");
}

static void isolated_wrong(Job *job, graft_context *ctx)
{
	const Target *t = isolated_with(job, ctx, 20);
	Answer a = target_kernel(t, DUAL, &job->scratch);
	CHECK(!a.available);
	CHECK_HAS(a.reason, "fails its self test (f32, round=late): element 0 of q_n is ");
	Text caps = printed(t, &job->scratch);
	same_answers(t, caps_parse(job, ctx, caps.text, caps.size, "caps.json", &job->scratch), &job->scratch);
	CHECK_HAS(caps.text, "\"self_tests\": true");
	CHECK_HAS(caps.text, "\"self_test\": \"failed\", \"why\": \"fails its self test (f32, round=late)");
}

static void hang_load(Job *job, graft_context *ctx)
{
	Answer a = target_kernel(isolated_with(job, ctx, 1), DUAL, &job->scratch);
	CHECK_STR(a.reason, "'" PACKS "hang_load.so' did not end within 1 second while loading; leave it out, or "
	          "rebuild it");
}

static void hang_call(Job *job, graft_context *ctx)
{
	Answer a = target_kernel(isolated_with(job, ctx, 1), DUAL, &job->scratch);
	CHECK_STR(a.reason, DUAL " of '" PACKS "hang_call.so' (test 1.0) did not end within 1 second in its self test; "
	          "leave it out, or rebuild it");
}

TEST(probe_isolated_crash_on_load) { inside(CONTEXT(PACKS "crash_load.so"), crash_load); }
TEST(probe_isolated_exit_on_load) { inside(CONTEXT(PACKS "exit_load.so"), exit_load); }
TEST(probe_isolated_crash_on_table) { inside(CONTEXT(PACKS "crash_table.so"), crash_table); }
TEST(probe_isolated_crash_on_call) { inside(CONTEXT(PACKS "crash_call.so"), crash_call); }
TEST(probe_isolated_good) { inside(CONTEXT(PACKS "good.so"), isolated_good); }
TEST(probe_isolated_missing) { inside(CONTEXT("nowhere.so"), isolated_missing); }
TEST(probe_isolated_wrong_numbers) { inside(CONTEXT(PACKS "wrong.so"), isolated_wrong); }
TEST(probe_isolated_hang_on_call) { inside(CONTEXT(PACKS "hang_call.so"), hang_call); }
TEST(probe_isolated_hang_on_load) { inside(CONTEXT(PACKS "hang_load.so"), hang_load); }

static void survivors(Job *job, graft_context *ctx)
{
	const Target *t = isolated_with(job, ctx, 20);
	Answer a = target_kernel(t, DUAL, &job->scratch);
	CHECK(a.available);
	CHECK_STR(a.pack, PACKS "good.so");
	Standing s;
	CHECK(target_pack(t, 0, &s, &job->scratch) && s.tier == GRAFT_TIER_FOUND);
	CHECK(target_pack(t, 2, &s, &job->scratch) && s.n_kernels == 2);
	CHECK(!target_pack(t, 3, &s, &job->scratch));
}

TEST(probe_isolated_others_go_on)
{
	inside(CONTEXT(PACKS "crash_load.so", PACKS "crash_call.so", PACKS "good.so"), survivors);
}
