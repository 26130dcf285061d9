/* exec.c - running plans: results, threads, products, random data, memory, packs, and two graphs compared. */
#include "../../src/exec/compare.h"
#include "../../src/exec/plan.h"
#include "test.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PACKS "build/packs/test/"

typedef struct Bench {
	graft_context *ctx;
	graft_graph *g;
	graft_tensors *inputs;
	graft_plan *plan;
	graft_error err;
} Bench;

static graft_graph *parse(graft_context *ctx, const char *text)
{
	graft_graph *g;
	graft_error err;
	if (graft_graph_parse(ctx, text, strlen(text), "test", &g, &err))
		test_fail(__FILE__, __LINE__, "%s", err.message);
	return g;
}

static Bench bench(const char *text)
{
	Bench b = { 0 };
	if (graft_context_new(NULL, &b.ctx, &b.err) || graft_tensors_new(b.ctx, &b.inputs, &b.err))
		test_fail(__FILE__, __LINE__, "%s", b.err.message);
	b.g = parse(b.ctx, text);
	return b;
}

static void done(Bench *b)
{
	graft_plan_free(b->plan);
	graft_tensors_free(b->inputs);
	graft_graph_free(b->g);
	graft_context_free(b->ctx);
}

static void give(Bench *b, const char *name, int dtype, void *data, int32_t rank, const int64_t *shape)
{
	int64_t stride[8], n = 1;
	for (int32_t i = rank; i-- > 0; n *= shape[i])
		stride[i] = n;
	if (graft_tensors_set(b->inputs, name, &(graft_tensor){ data, shape, stride, rank, dtype }, &b->err))
		test_fail(__FILE__, __LINE__, "%s", b->err.message);
}

#define GIVE(b, name, dtype, data, ...)                                                                                \
	give(b, name, GRAFT_DTYPE_##dtype, data, (int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)),      \
	     (const int64_t[]){ __VA_ARGS__ })

static void make(Bench *b, const char *bind, int threads)
{
	const char *list[] = { bind, NULL };
	graft_plan_options o = { .struct_size = sizeof o, .threads = threads, .random = true, .seed = 7, .bind = list };
	if (graft_plan_new(b->g, &o, b->inputs, &b->plan, &b->err))
		test_fail(__FILE__, __LINE__, "%s", b->err.message);
}

static void run(Bench *b)
{
	if (graft_plan_run(b->plan, &b->err))
		test_fail(__FILE__, __LINE__, "%s", b->err.message);
}

static const graft_tensor *output(const Bench *b, const char *name)
{
	const graft_tensor *t = graft_tensors_get(graft_plan_outputs(b->plan), name);
	if (!t)
		test_fail(__FILE__, __LINE__, "no output %s", name);
	return t;
}

static float at(const Bench *b, const char *name, int i)
{
	return ((const float *)output(b, name)->data)[i];
}

/* ---- results --------------------------------------------------------------------------------------------------- */

TEST(exec_runs_views_literals_and_constants)
{
	float x[6] = { 1, 2, 3, 4, 5, 6 };
	Bench b = bench("graph g\nsymbol T in [0, 9]\ninput x: f32[T, 3]\nt = transpose(x) {axis0=0, axis1=1}\n"
	                "c = constant() {dtype=f32, shape=[3, 1], values=[10.0, 20.0, 30.0]}\ny = add(t, c)\n"
	                "z = mul(y, 0.5)\n"
	                "r = reshape(z) {shape=[-1]}\noutput r\noutput t\n");
	GIVE(&b, "x", f32, x, 2, 3);
	make(&b, NULL, 1);
	run(&b);
	const float want[6] = { 5.5f, 7, 11, 12.5f, 16.5f, 18 };
	for (int i = 0; i < 6; i++)
		CHECK_INT(2 * at(&b, "r", i), 2 * want[i]);
	CHECK_INT(at(&b, "t", 1), 4);
	x[0] = 101;
	run(&b);
	CHECK_INT(at(&b, "r", 0) * 2, 111);
	done(&b);
}

TEST(exec_runs_nothing_for_no_rows)
{
	Bench b = bench("graph g\nsymbol T in [0, 9]\ninput x: f32[T, 4]\nparam w: f32[6, 4]\nparam n: f32[6]\n"
	                "y = linear(x, w)\n"
	                "z = rms_norm(y, n) {eps=1e-06}\ns = sum(z) {axes=[0]}\noutput z\noutput s\n");
	make(&b, "T=0", 1);
	run(&b);
	CHECK_INT(output(&b, "z")->shape[0], 0);
	CHECK_INT(output(&b, "z")->shape[1], 6);
	CHECK_INT(at(&b, "s", 5), 0);
	done(&b);
}

/* What a graph writes is never the caller's, nor a weight; each run begins with what was given. */
TEST(exec_writes_in_place_without_touching_what_is_given)
{
	float x[4] = { 1, 2, 3, 4 };
	Bench b = bench("graph g\ninput x: f32[4]\nh = narrow(x) {axis=0, start=1, length=2}\n"
	                "s = narrow(x) {axis=0, start=0, length=2}\n"
	                "w = copy_(h, s)\ny = neg(x)\noutput y\noutput w\n");
	GIVE(&b, "x", f32, x, 4);
	make(&b, NULL, 1);
	for (int i = 0; i < 2; i++) {
		run(&b);
		CHECK_INT(x[1], 2);
		CHECK_INT(at(&b, "y", 0), -1);
		CHECK_INT(at(&b, "y", 1), -1);
		CHECK_INT(at(&b, "y", 2), -2);
		CHECK_INT(at(&b, "y", 3), -4);
		CHECK_INT(at(&b, "w", 1), 2);
	}
	done(&b);
}

TEST(exec_refuses_to_write_an_expanded_view)
{
	Bench b = bench("graph g\ninput x: f32[1]\ninput s: f32[4]\ne = expand(x) {shape=[4]}\nw = copy_(e, s)\n"
	                "output w\n");
	graft_plan_options o = { .struct_size = sizeof o, .random = true };
	CHECK_INT(graft_plan_new(b.g, &o, NULL, &b.plan, &b.err), GRAFT_E_UNSUPPORTED);
	CHECK_STR(b.err.path, "w");
	CHECK_HAS(b.err.message, "copy_ writes e, an expanded view");
	done(&b);
}

TEST(exec_takes_strided_inputs)
{
	float x[6] = { 1, 2, 3, 4, 5, 6 };
	Bench b = bench("graph g\ninput x: f32[2, 3]\ny = neg(x)\nz = reshape(x) {shape=[6]}\noutput y\noutput z\n"
	                "output x\n");
	graft_tensor t = { x + 5, (int64_t[]){ 2, 3 }, (int64_t[]){ -1, -2 }, 2, GRAFT_DTYPE_f32 };
	CHECK_INT(graft_tensors_set(b.inputs, "x", &t, &b.err), 0);
	make(&b, NULL, 1);
	run(&b);
	const float want[6] = { 6, 4, 2, 5, 3, 1 };
	for (int i = 0; i < 6; i++) {
		CHECK_INT(at(&b, "y", i), -want[i]);
		CHECK_INT(at(&b, "z", i), want[i]);
		CHECK_INT(at(&b, "x", i), want[i]);
	}
	done(&b);
}

static int fail_launch(const graft_launch *l)
{
	snprintf(l->message, l->message_size, "the moon is full");
	return GRAFT_E_UNSUPPORTED;
}

static int odd_launch(const graft_launch *l)
{
	(void)l;
	return 4711;
}

TEST(exec_names_the_node_whose_kernel_fails)
{
	Bench b = bench("graph g\ninput x: f32[4]\ny = neg(x)\nz = neg(y)\noutput z\n");
	make(&b, NULL, 1);
	b.plan->steps[1].launch = fail_launch;
	CHECK_INT(graft_plan_run(b.plan, &b.err), GRAFT_E_UNSUPPORTED);
	CHECK_STR(b.err.message, "neg: the moon is full");
	CHECK_STR(b.err.path, "z");
	b.plan->steps[1].launch = odd_launch;
	CHECK_INT(graft_plan_run(b.plan, &b.err), GRAFT_E_EXEC);
	CHECK_STR(b.err.message, "neg: its kernel failed and gave no reason");
	done(&b);
}

/* One plan with storage reused, one where every value keeps its place: the same bits. */
typedef struct KeepAll { graft_graph *g; graft_plan *made; } KeepAll;

static void make_keeping_all(Job *job, void *arg)
{
	KeepAll *k = arg;
	graft_plan_options o = { .struct_size = sizeof o, .threads = 1, .random = true, .seed = 7 };
	PlanSpec spec = plan_spec(job, &o, NULL);
	spec.keep_all = true;
	k->made = plan_release(plan_make(job, k->g, &spec));
}

static void random_graph(char *text, size_t size, uint32_t seed)
{
	static const char *const ops[] = {
		"v%d = add(v%u, v%u)\n",
		"v%d = mul(v%u, v%u)\n",
		"v%d = transpose(v%u) {axis0=0, axis1=1}\n",
		"v%d = copy_(v%u, v%u)\n",
		"t%d = reshape(v%u) {shape=[8, 2]}\n",
		"t%d = narrow(v%u) {axis=1, start=1, length=2}\n",
	};
	snprintf(text, size, "graph g\ninput v0: f32[4, 4]\n");
	for (int i = 1; i < 40; i++) {
		seed = seed * 1664525u + 1013904223u;
		unsigned a = (seed >> 8) % (unsigned)i, c = (seed >> 16) % (unsigned)i, op = (seed >> 24) % 6;
		size_t n = strlen(text);
		snprintf(text + n, size - n, ops[op], i, a, c);
		n = strlen(text);
		if (op >= 4)
			snprintf(text + n, size - n, "m%d = mean(t%d)\nv%d = add(v%u, m%d)\n", i, i, i, c, i);
	}
	strcat(text, "output v39\noutput v20\noutput v5\n");
}

TEST(exec_reuse_of_storage_changes_no_bit)
{
	char text[8192];
	for (uint32_t seed = 0; seed < 40; seed++) {
		random_graph(text, sizeof text, seed);
		Bench b = bench(text);
		KeepAll k = { b.g, NULL };
		make(&b, NULL, 1);
		if (guarded(context_allocator(b.ctx), make_keeping_all, &k, &b.err) || graft_plan_run(k.made, &b.err))
			test_fail(__FILE__, __LINE__, "%s", b.err.message);
		CHECK_INT(graft_plan_peak(k.made), graft_plan_total(k.made));
		run(&b);
		run(&b);
		for (const char *const *name = (const char *const[]){ "v39", "v20", "v5", NULL }; *name; name++)
			CHECK(!memcmp(output(&b, *name)->data, graft_tensors_get(k.made->outputs, *name)->data, 64));
		graft_plan_free(k.made);
		done(&b);
	}
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static long allocations;

static void *count_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
	(void)user, (void)old_size;
	if (!new_size) {
		free(ptr);
		return NULL;
	}
	allocations++;
	return realloc(ptr, new_size);
}

TEST(exec_allocates_nothing_once_it_has_run)
{
	graft_allocator mem = { count_resize, NULL };
	Bench b = { 0 };
	CHECK_INT(graft_context_new(&mem, &b.ctx, &b.err), 0);
	CHECK_INT(graft_tensors_new(b.ctx, &b.inputs, &b.err), 0);
	b.g = parse(b.ctx, "graph g\nsymbol T in [1, 64]\ninput ids: i64[T]\nparam table: bf16[11, 32]\n"
	            "param w: bf16[48, 32]\nparam n: bf16[24]\nx = embedding(table, ids)\np = linear(x, w)\n"
	            "a, r = split(p) {sizes=[24, 24]}\n"
	            "q = rms_norm(a, n) {eps=1e-06}\nt = transpose(r) {axis0=0, axis1=1}\no = matmul(q, t)\n"
	            "s = softmax(o)\noutput s\n");
	make(&b, "T=9", 2);
	run(&b);
	long before = allocations;
	run(&b);
	run(&b);
	CHECK_INT(allocations, before);
	done(&b);
}

TEST(exec_scratch_is_aligned_and_reused)
{
	Bench b = bench("graph g\ninput x: f32[4]\ny = neg(x)\noutput y\n");
	make(&b, NULL, 1);
	Host *h = &b.plan->host;
	char *one = h->api.scratch(h, 100), *two = h->api.scratch(h, 5000);
	CHECK(one && two && (two >= one + 100 || two + 5000 <= one));
	CHECK_INT((uintptr_t)one % 64, 0);
	CHECK_INT((uintptr_t)two % 64, 0);
	memset(one, 1, 100);
	memset(two, 1, 5000);
	host_launched(h);
	CHECK(h->api.scratch(h, 5000) == two);
	CHECK(!h->api.scratch(h, SIZE_MAX - 100));
	done(&b);
}

/* ---- threads and products -------------------------------------------------------------------------------------- */

typedef struct Count { Pool *pool; atomic_int hits[1000]; atomic_int calls; int64_t shortest; } Count;

static void inner(void *arg, int64_t begin, int64_t end)
{
	Count *c = arg;
	for (int64_t i = begin; i < end; i++)
		atomic_fetch_add(&c->hits[i], 1);
}

static void outer(void *arg, int64_t begin, int64_t end)
{
	Count *c = arg;
	atomic_fetch_add(&c->calls, 1);
	for (int64_t i = begin; i < end; i++)
		pool_run(c->pool, 100, 1, inner, c);
}

TEST(threads_cover_a_loop_once_and_nest)
{
	Bench b = bench("graph g\ninput x: f32[4]\ny = neg(x)\noutput y\n");
	make(&b, NULL, 4);
	static Count c;
	c = (Count){ .pool = b.plan->host.pool };
	for (int round = 0; round < 100; round++)
		pool_run(c.pool, 1000 - round, 1, inner, &c);
	CHECK_INT(c.hits[0], 100);
	CHECK_INT(c.hits[900], 100);
	CHECK_INT(c.hits[999], 1);
	c = (Count){ .pool = b.plan->host.pool };
	pool_run(c.pool, 10, 3, outer, &c);
	CHECK_INT(c.hits[99], 10);
	CHECK(c.calls <= 3);
	done(&b);
}

enum { MAX_SIDE = 300 };

/* Small whole numbers: every order of the sums gives the same float. */
static float small(int64_t i) { return (float)((i * 7919) % 9 - 4); }

static void check_product(const Blas *blas, Pool *pool, int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b,
                          bool accumulate)
{
	static float a[MAX_SIDE * MAX_SIDE], b[MAX_SIDE * MAX_SIDE], c[MAX_SIDE * MAX_SIDE];
	for (int64_t i = 0; i < MAX_SIDE * MAX_SIDE; i++)
		a[i] = small(i), b[i] = small(i + 3), c[i] = 1;
	Product p = { .m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .ci = n, .accumulate = accumulate };
	p.ai = trans_a ? 1 : k, p.ak = trans_a ? m : 1;
	p.bk = trans_b ? 1 : n, p.bj = trans_b ? k : 1;
	product_run(blas, pool, &p);
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++) {
			float sum = accumulate;
			for (int64_t x = 0; x < k; x++)
				sum += a[i * p.ai + x * p.ak] * b[x * p.bk + j * p.bj];
			if (c[i * n + j] != sum)
				test_fail(__FILE__, __LINE__, "%s %lldx%lldx%lld %d%d%d: [%lld, %lld] is %g, not %g",
				          blas->sgemm ? "BLAS" : "plain", (long long)m, (long long)n, (long long)k,
				          trans_a, trans_b, accumulate, (long long)i, (long long)j,
				          (double)c[i * n + j], (double)sum);
		}
	CHECK(m * n == MAX_SIDE * MAX_SIDE || c[m * n] == 1);
}

static void check_products(const Blas *blas, Pool *pool)
{
	static const int64_t sizes[][3] = {
		{ 1, 1, 1 }, { 3, 5, 7 }, { 1, 200, 40 }, { 200, 1, 40 }, { 4, 4, 0 }, { 130, 70, 129 },
		{ 33, 290, 65 }, { 290, 20, 3 }, { 0, 5, 5 }, { 5, 0, 5 },
	};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (int bits = 0; bits < 8; bits++)
			check_product(blas, pool, sizes[i][0], sizes[i][1], sizes[i][2], bits & 1, bits & 2, bits & 4);
}

TEST(products_plain_and_with_blas)
{
	Bench b = bench("graph g\ninput x: f32[4]\ny = neg(x)\noutput y\n");
	make(&b, NULL, 3);
	Blas found, none = { 0 };
	check_products(&none, b.plan->host.pool);
	if (blas_open(&found)) {
		int before = blas_begin(&found);
		check_products(&found, b.plan->host.pool);
		blas_end(&found, before);
		CHECK(!found.get_threads || found.get_threads() == before);
	}
	done(&b);
}

/* A stride of 0 is nothing BLAS has words for. */
TEST(products_of_expanded_rows)
{
	Bench b = bench("graph g\ninput x: f32[1, 4]\ninput w: f32[5, 4]\ne = expand(x) {shape=[3, 4]}\n"
	                "y = linear(e, w)\nz = linear(x, w)\n"
	                "output y\noutput z\n");
	make(&b, NULL, 1);
	run(&b);
	for (int i = 0; i < 15; i++)
		CHECK(fabsf(at(&b, "y", i) - at(&b, "z", i % 5)) < 1e-5f);
	done(&b);
}

/* The bits of a result do not depend on how many threads there are. */
TEST(exec_gives_the_same_bits_with_any_number_of_threads)
{
	static const char text[] = "graph g\ninput x: f32[40, 300]\nparam w: f32[700, 300]\nparam n: f32[700]\n"
	                           "y = linear(x, w)\n"
	                           "z = rms_norm(y, n) {eps=1e-06}\noutput z\n";
	Bench one = bench(text), three = bench(text);
	make(&one, NULL, 1);
	make(&three, NULL, 3);
	run(&one);
	run(&three);
	CHECK_INT(memcmp(output(&one, "z")->data, output(&three, "z")->data, 40 * 700 * sizeof(float)), 0);
	done(&one);
	done(&three);
}

/* ---- random data ----------------------------------------------------------------------------------------------- */

static uint64_t digest(const graft_tensor *t, size_t size)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < size; i++)
		h = (h ^ ((const unsigned char *)t->data)[i]) * 0x100000001b3u;
	return h;
}

/* These numbers must never change, on any machine: people compare runs by them. */
TEST(random_data_have_these_bits)
{
	Bench b = bench("graph g\ninput x: f32[1000]\nparam w: bf16[8, 100]\nparam n: f16[64]\ninput i: i64[9]\n"
	                "input t: bool[9]\n"
	                "output x\noutput w\noutput n\noutput i\noutput t\n");
	make(&b, NULL, 3);
	run(&b);
	CHECK(digest(output(&b, "x"), 4000) == 0xad9a1e4a2e69816e);
	CHECK(digest(output(&b, "w"), 1600) == 0x28eb22ddeee0e5ec);
	CHECK(digest(output(&b, "n"), 128) == 0x798e4504cf4ca166);
	CHECK(digest(output(&b, "i"), 72) == 0x7236f5d9ca466ee1);
	CHECK(digest(output(&b, "t"), 9) == 0xe9eec2e4e145d308);
	done(&b);
}

TEST(random_ids_stay_within_the_smallest_table)
{
	Bench b = bench("graph g\ninput ids: i32[2, 500]\ninput other: i64[500]\nparam big: f32[1000, 4]\n"
	                "param small: f32[3, 4]\n"
	                "f = reshape(ids) {shape=[1000]}\nl = cast(f) {dtype=i64}\nx = embedding(big, ids)\n"
	                "y = embedding(small, l)\n"
	                "output ids\noutput x\noutput y\noutput other\n");
	make(&b, NULL, 1);
	run(&b);
	int most = 0;
	for (int i = 0; i < 1000; i++) {
		int id = ((const int32_t *)output(&b, "ids")->data)[i];
		CHECK(id >= 0 && id < 3);
		most = id > most ? id : most;
	}
	CHECK_INT(most, 2);
	done(&b);
}

/* Through 12 layers the values keep their size. */
TEST(random_weights_keep_values_near_one)
{
	char text[4096] = "graph g\ninput x0: f32[16, 64]\n";
	for (int i = 0; i < 12; i++)
		snprintf(text + strlen(text), 128, "param w%d: f32[64, 64]\n", i);
	for (int i = 0; i < 12; i++)
		snprintf(text + strlen(text), 128, "x%d = linear(x%d, w%d)\n", i + 1, i, i);
	strcat(text, "output x12\n");
	Bench b = bench(text);
	make(&b, NULL, 1);
	run(&b);
	double sum = 0;
	for (int i = 0; i < 16 * 64; i++)
		sum += (double)at(&b, "x12", i) * (double)at(&b, "x12", i);
	double size = sqrt(sum / (16 * 64));
	CHECK(size > 0.3 && size < 3);
	done(&b);
}

/* ---- packs ----------------------------------------------------------------------------------------------------- */

#define DUAL                                                                                                           \
	"graph g\ninput p: f32[5, 24]\nparam qw: f32[16]\nparam kw: f32[8]\nq, kv = split(p) {sizes=[16, 8]}\n"        \
	"a, b = fused_mla_dual_rms_norm(q, qw, kv, kw) {q_eps=1e-06, kv_eps=1e-05}\noutput a\noutput b\n"

static Bench with_pack(const char *text, const char *pack, const char *second)
{
	Bench b = bench(text);
	if (graft_kernels_add(b.ctx, pack, &b.err) || (second && graft_kernels_add(b.ctx, second, &b.err)))
		test_fail(__FILE__, __LINE__, "%s", b.err.message);
	return b;
}

TEST(exec_calls_the_kernel_of_a_pack)
{
	Bench own = bench(DUAL), pack = with_pack(DUAL, PACKS "good.so", NULL);
	make(&own, NULL, 1);
	make(&pack, NULL, 1);
	CHECK(own.plan->steps[0].launch != pack.plan->steps[0].launch);
	run(&own);
	run(&pack);
	for (int i = 0; i < 80; i++)
		CHECK(fabsf(at(&own, "a", i) - at(&pack, "a", i)) < 1e-5f);
	done(&own);
	done(&pack);
}

TEST(exec_lowers_a_fused_node_without_a_kernel)
{
	Bench own = bench(DUAL), b = with_pack(DUAL, PACKS "norms.so", NULL);
	make(&own, NULL, 1);
	make(&b, NULL, 1);
	CHECK_INT(b.plan->n_steps, 2);
	CHECK_HAS(graft_plan_note(b.plan, 0), "fused_mla_dual_rms_norm is run as the ops it stands for (1 node): ");
	run(&own);
	run(&b);
	for (int i = 0; i < 40; i++)
		CHECK(fabsf(at(&own, "b", i) - at(&b, "b", i)) < 1e-5f);
	graft_plan *strict;
	graft_plan_options o = { .struct_size = sizeof o, .random = true, .strict = true };
	CHECK_INT(graft_plan_new(b.g, &o, NULL, &strict, &b.err), GRAFT_E_UNSUPPORTED);
	CHECK_HAS(b.err.message, "fused_mla_dual_rms_norm (a): ");
	done(&own);
	done(&b);
}

/* Wrong numbers are found by the self test, before the kernel is bound. */
TEST(exec_does_not_bind_a_kernel_that_fails_its_self_test)
{
	Bench own = bench(DUAL), b = with_pack(DUAL, PACKS "wrong.so", "builtin");
	make(&own, NULL, 1);
	make(&b, NULL, 1);
	CHECK(own.plan->steps[0].launch == b.plan->steps[0].launch);
	done(&own);
	done(&b);
}

/* Rows whose elements lie apart are copied for a pack's kernel, and for none of graft's own. */
TEST(exec_copies_what_a_packs_kernel_cannot_walk)
{
	static const char text[] = "graph g\ninput p: f32[16, 5]\ninput k: f32[5, 8]\nparam qw: f32[16]\n"
	                           "param kw: f32[8]\n"
	                           "q = transpose(p) {axis0=0, axis1=1}\n"
	                           "a, b = fused_mla_dual_rms_norm(q, qw, k, kw) {q_eps=1e-06, kv_eps=1e-05}\n"
	                           "output a\noutput b\n";
	Bench own = bench(text), b = with_pack(text, PACKS "good.so", NULL);
	make(&own, NULL, 1);
	make(&b, NULL, 1);
	CHECK_INT(own.plan->n_steps, 1);
	CHECK_INT(b.plan->n_steps, 2);
	run(&own);
	run(&b);
	for (int i = 0; i < 80; i++)
		CHECK(fabsf(at(&own, "a", i) - at(&b, "a", i)) < 1e-5f);
	done(&own);
	done(&b);
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

static graft_verify_result verify(const char *a, const char *b, double rtol, double atol)
{
	graft_verify_options o = { .struct_size = sizeof o, .rtol = rtol, .atol = atol };
	o.run = (graft_plan_options){ .struct_size = sizeof o.run, .random = true, .threads = 1 };
	graft_verify_result r;
	graft_context *ctx;
	graft_error err;
	if (graft_context_new(NULL, &ctx, &err))
		test_fail(__FILE__, __LINE__, "%s", err.message);
	graft_graph *ga = parse(ctx, a), *gb = parse(ctx, b);
	if (graft_verify(ga, gb, &o, NULL, &r, &err))
		test_fail(__FILE__, __LINE__, "%s", err.message);
	graft_graph_free(ga);
	graft_graph_free(gb);
	graft_context_free(ctx);
	return r;
}

#define CHAIN(scale)                                                                                                   \
	"graph g\ninput x: f32[8, 4]\nparam w: f32[4]\na = mul(x, x)\nb = mul(a, " scale ")\n"                         \
	"c = rms_norm(b, w) {eps=1e-06}\nd = neg(a)\n"                                                                 \
	"output d\noutput c\noutput b\n"

TEST(verify_agrees_with_itself)
{
	graft_verify_result r = verify(CHAIN("2.0"), CHAIN("2.0"), -1, -1);
	CHECK(r.same);
	CHECK(r.max_abs == 0 && r.max_rel == 0);
	CHECK_STR(r.value, "");
}

TEST(verify_names_the_first_value_and_the_worst_output)
{
	graft_verify_result r = verify(CHAIN("2.0"), CHAIN("2.5"), -1, -1);
	CHECK(!r.same);
	CHECK_STR(r.value, "b");
	CHECK_STR(r.outputs, "b");
	CHECK(fabs(r.max_rel - 0.25) < 1e-6);
	r = verify(CHAIN("2.0"), CHAIN("2.5"), 0.3, 0);
	CHECK(r.same);
}

TEST(verify_compares_outputs_by_name_and_type)
{
	graft_verify_options o = { .struct_size = sizeof o, .run = { .struct_size = sizeof o.run, .random = true } };
	Bench b = bench("graph g\ninput x: f32[4]\ny = neg(x)\noutput y\n");
	graft_verify_result r;
	graft_graph *other = parse(b.ctx, "graph g\ninput x: f32[4]\nz = neg(x)\noutput z\n");
	CHECK_INT(graft_verify(b.g, other, &o, NULL, &r, &b.err), GRAFT_E_GRAPH);
	CHECK_STR(b.err.message, "the first graph has an output y, the second has none of that name");
	graft_graph_free(other);
	other = parse(b.ctx, "graph g\ninput x: f32[4]\nz = neg(x)\ny = cast(z) {dtype=bf16}\noutput y\n");
	CHECK_INT(graft_verify(b.g, other, &o, NULL, &r, &b.err), GRAFT_E_GRAPH);
	CHECK_STR(b.err.message, "output y is f32[4] in the first graph and bf16[4] in the second");
	graft_graph_free(other);
	done(&b);
}

static graft_difference compare(int dtype, const void *a, const void *b, int64_t n)
{
	graft_tensor x = { (void *)(uintptr_t)a, &n, (int64_t[]){ 1 }, 1, dtype }, y = x;
	y.data = (void *)(uintptr_t)b;
	return tensors_compare(&x, &y, -1, -1);
}

TEST(compare_knows_nan_infinities_and_long_integers)
{
	float a[4] = { NAN, INFINITY, 1000, 1e-6f }, b[4] = { NAN, INFINITY, 1000.001f, 2e-6f };
	CHECK(compare(GRAFT_DTYPE_f32, a, b, 4).same);
	b[0] = 0;
	CHECK(!compare(GRAFT_DTYPE_f32, a, b, 4).same);
	CHECK(isinf(compare(GRAFT_DTYPE_f32, a, b, 4).max_abs));
	b[0] = NAN, b[1] = -INFINITY;
	CHECK(!compare(GRAFT_DTYPE_f32, a, b, 4).same);
	b[1] = INFINITY, b[2] = 1001;
	CHECK(!compare(GRAFT_DTYPE_f32, a, b, 4).same);
	int64_t i = INT64_MAX, k = INT64_MAX - 1, m = INT64_MIN;
	CHECK(compare(GRAFT_DTYPE_i64, &i, &i, 1).same);
	CHECK(!compare(GRAFT_DTYPE_i64, &i, &k, 1).same);
	CHECK(compare(GRAFT_DTYPE_i64, &i, &k, 1).max_abs == 1);
	CHECK(!compare(GRAFT_DTYPE_i64, &i, &m, 1).same);
}
