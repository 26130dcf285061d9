/* exec.c - plans on a GPU, on hipsim at both warp sizes: numbers, launches, graphs, faults, refusals. */
#include "../../src/exec/compare.h"
#include "../unit/shortage.h"
#include "../unit/test.h"
#include <graft/graft.h>
#include <hipsim.h>
#include <dlfcn.h>
#include <stdlib.h>

#define FOLDER "build/check/hipexec/"
#define HIP "hip:" FOLDER "libgraft_hip.so"
#define ODD FOLDER "packs/odd.so"

/* ---- what a test has --------------------------------------------------------------------------------------- */

typedef struct Stage {
	graft_context *ctx;
	graft_graph *g;
	graft_tensors *inputs;
	graft_plan *plan;
	graft_error err;
	const char *const *bind;
} Stage;

static const graft_allocator *allocator;      /* of every stage; NULL: malloc */

static const char *const bind_3[] = { "T=3", NULL };

static Stage stage(const char *text)
{
	Stage s = { .bind = strstr(text, "symbol T") ? bind_3 : NULL };
	if (graft_context_new(allocator, &s.ctx, &s.err) || graft_tensors_new(s.ctx, &s.inputs, &s.err) ||
	    graft_graph_parse(s.ctx, text, strlen(text), "test", &s.g, &s.err))
		test_fail(__FILE__, __LINE__, "%s", s.err.message);
	return s;
}

static void done(Stage *s)
{
	graft_plan_free(s->plan);
	graft_graph_free(s->g);
	graft_tensors_free(s->inputs);
	graft_context_free(s->ctx);
	*s = (Stage){ 0 };
}

static graft_plan_options options_on(const Stage *s, const char *device)
{
	return (graft_plan_options){ .struct_size = sizeof(graft_plan_options), .threads = 1, .random = true, .seed = 7,
	                             .bind = s->bind,
	                             .device = device };
}

static graft_status plan(Stage *s, const char *device)
{
	graft_plan_options o = options_on(s, device);
	graft_plan_free(s->plan);
	s->plan = NULL;
	return graft_plan_new(s->g, &o, s->inputs, &s->plan, &s->err);
}

static void must(Stage *s, graft_status status)
{
	if (status)
		test_fail(__FILE__, __LINE__, "status %d: %s: %s (%s)", (int)status, s->err.path, s->err.message,
		          hipsim_message());
}

static void must_plan(Stage *s, const char *device) { must(s, plan(s, device)); }
static void must_run(Stage *s) { must(s, graft_plan_run(s->plan, &s->err)); }

/* ASan remembers the globals of libraries that were closed, and hipsim asks it about addresses: packs stay loaded. */
static void keep_packs(void)
{
	static const char *const packs[] = { FOLDER "packs/graft_hip_sim.so", ODD };
	for (size_t i = 0; i < sizeof packs / sizeof *packs; i++) {
		void *pack = dlopen(packs[i], RTLD_NOW | RTLD_NODELETE);
		CHECK(pack);
		dlclose(pack);
	}
}

/* Back to a device that has seen nothing. */
static void fresh(unsigned warp)
{
	keep_packs();
	hipsim_reset();
	hipsim_warp(warp);
	hipsim_quiet(1);
}

static const unsigned warps[] = { 32, 64 };
#define EACH_WARP for (size_t w_ = 0; w_ < sizeof warps / sizeof *warps && (fresh(warps[w_]), true); w_++)

static void nothing_left(void)
{
	hipsim_fail(NULL);
	CHECK_INT(hipsim_check(), 0);
	CHECK_INT(hipsim_leaks(), 0);
}

static void check_same(const graft_plan *a, const graft_plan *b, bool bits)
{
	const graft_tensor *x, *y;
	const char *name;
	for (size_t i = 0; (x = graft_tensors_at(graft_plan_outputs(a), i, &name)); i++) {
		y = graft_tensors_get(graft_plan_outputs(b), name);
		graft_difference d = y ? tensors_compare(x, y, bits ? 0 : -1, bits ? 0 : -1) : (graft_difference){ .same = false };
		if (!y || !d.same)
			test_fail(__FILE__, __LINE__, "output %s differs by %g", name, d.max_abs);
	}
}

/* ---- graphs ------------------------------------------------------------------------------------------------ */

/* A block of multi-head latent attention, small: 2 heads of 8 + 4. D, R: dtype and rounding of the norms. */
#define BLOCK(D, R, NORMS)                                                                                             \
	"graph block\nsymbol T in [1, 64]\ninput h: " D "[T, 32]\nparam a_w: " D "[44, 32]\nparam q_w: " D "[24]\n"    \
	"param kv_w: " D "[16]\nparam q_b: " D "[24, 24]\nparam kv_b: " D "[32, 16]\nparam o_w: " D "[32, 16]\n"       \
	"a = linear(h, a_w)\nq_c, kv = split(a) {sizes=[24, 20]}\nkv_c, k_pe = split(kv) {sizes=[16, 4]}\n"            \
	NORMS(R)                                                                                                       \
	"place = arange() {end=T, dtype=f32}\nrow = unsqueeze(place) {axis=1}\nindex = arange() {end=2, dtype=f32}\n"  \
	"power = mul(index, -0.5)\nfreq = pow(100.0, power)\nangle = mul(row, freq)\nc = cos(angle)\ns = sin(angle)\n" \
	"q = linear(q_n, q_b)\nq_h = reshape(q) {shape=[-1, 2, 12]}\nq_t = transpose(q_h) {axis0=0, axis1=1}\n"        \
	"q_nope, q_pe = split(q_t) {sizes=[8, 4]}\nq_rot = rope(q_pe, c, s) {interleaved=true}\n"                      \
	"q_full = concat(q_nope, q_rot) {axis=-1}\nkv_up = linear(kv_n, kv_b)\n"                                       \
	"kv_h = reshape(kv_up) {shape=[-1, 2, 16]}\n"                                                                  \
	"kv_t = transpose(kv_h) {axis0=0, axis1=1}\nk_nope, v = split(kv_t) {sizes=[8, 8]}\n"                          \
	"k_one = unsqueeze(k_pe) {axis=0}\n"                                                                           \
	"k_rot = rope(k_one, c, s) {interleaved=true}\nk_all = expand(k_rot) {shape=[2, -1, 4]}\n"                     \
	"k_full = concat(k_nope, k_all) {axis=-1}\n"                                                                   \
	"o = scaled_dot_product_attention(q_full, k_full, v) {causal=true}\n"                                          \
	"o_t = transpose(o) {axis0=0, axis1=1}\no_f = reshape(o_t) {shape=[-1, 16]}\ny = linear(o_f, o_w)\n"           \
	"output y\noutput q_n\noutput kv_n\n"
#define TWO_NORMS(R) \
	"q_n = rms_norm(q_c, q_w) {eps=1e-06, round=" R "}\nkv_n = rms_norm(kv_c, kv_w) {eps=1e-05, round=" R "}\n"
#define ONE_NORM(R) \
	"q_n, kv_n = fused_mla_dual_rms_norm(q_c, q_w, kv_c, kv_w) {q_eps=1e-06, kv_eps=1e-05, round=" R "}\n"

static const struct { const char *two, *one; } blocks[] = {
#define PAIR(D, R) { BLOCK(D, R, TWO_NORMS), BLOCK(D, R, ONE_NORM) }
	PAIR("f32", "late"), PAIR("f32", "early"), PAIR("bf16", "late"), PAIR("bf16", "early"), PAIR("f16", "late"),
		PAIR("f16", "early"),
};

/* Small, and with each thing that a plan does on a GPU: a param, a literal, a constant, a view, an output that is an
 * input. */
static const char small[] =
	"graph small\nsymbol T in [1, 64]\ninput x: f32[T, 6]\nparam w: f32[6]\nstep = arange() {end=6, dtype=f32}\n"
	"a = mul(x, w)\nb = add(a, 0.5)\nc = add(b, step)\nl, r = split(c) {sizes=[4, 2]}\ny = silu(l)\noutput y\n"
	"output x\noutput r\n";

/* ---- numbers ----------------------------------------------------------------------------------------------- */

TEST(a_block_equals_the_cpu)
{
	EACH_WARP
		for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
			Stage cpu = stage(blocks[i].two), hip = stage(blocks[i].one);
			must_plan(&cpu, "cpu");
			must_plan(&hip, HIP);
			must_run(&cpu);
			for (int run = 0; run < 3; run++) {
				must_run(&hip);
				check_same(cpu.plan, hip.plan, false);
			}
			done(&cpu);
			done(&hip);
			nothing_left();
		}
}

TEST(fused_equals_unfused_and_is_one_launch_less)
{
	EACH_WARP
		for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
			Stage two = stage(blocks[i].two), one = stage(blocks[i].one);
			must_plan(&two, HIP);
			must_plan(&one, HIP);
			long start = hipsim_launches(), copies = hipsim_copies(hipMemcpyDeviceToDevice);
			must_run(&two);
			long unfused = hipsim_launches() - start;
			must_run(&one);
			CHECK_INT(hipsim_launches() - start - unfused, unfused - 1);
			CHECK_INT(hipsim_copies(hipMemcpyDeviceToDevice), copies);
			check_same(two.plan, one.plan, true);
			done(&two);
			done(&one);
		}
}

/* As many kernels as nodes that compute: nothing is copied in front of the norms, which read pieces of a wider row. */
TEST(no_copy_is_inserted)
{
	fresh(32);
	Stage s = stage("graph g\ninput a: bf16[4, 44]\nparam q_w: bf16[24]\nparam kv_w: bf16[16]\n"
	                "q, kv = split(a) {sizes=[24, 20]}\n"
	                "kv_c, pe = split(kv) {sizes=[16, 4]}\n"
	                "q_n, kv_n = fused_mla_dual_rms_norm(q, q_w, kv_c, kv_w) {q_eps=1e-06, kv_eps=1e-06}\n"
	                "output q_n\noutput kv_n\n");
	must_plan(&s, HIP);
	for (int run = 0; run < 3; run++) {
		long before = hipsim_launches();
		must_run(&s);
		CHECK_INT(hipsim_launches() - before, 1);
	}
	done(&s);
}

/* ---- runs -------------------------------------------------------------------------------------------------- */

TEST(the_second_run_records_and_later_ones_replay)
{
	EACH_WARP {
		Stage s = stage(blocks[3].one), direct = stage(blocks[3].one);
		must_plan(&s, HIP);
		must_plan(&direct, HIP);
		must_run(&direct);
		for (int run = 0; run < 4; run++) {
			long launches = hipsim_launches(), calls = hipsim_calls("hipLaunchKernel");
			must_run(&s);
			CHECK(hipsim_launches() > launches);
			CHECK_INT(hipsim_calls("hipGraphInstantiate"), run > 0);
			CHECK_INT(hipsim_calls("hipGraphLaunch"), run);
			CHECK(run < 2 || hipsim_calls("hipLaunchKernel") == calls);
			check_same(direct.plan, s.plan, true);
		}
		CHECK(!graft_plan_note(s.plan, 1));   /* one: there is no BLAS */
		done(&direct);
		done(&s);
		nothing_left();
	}
}

/* Whatever order threads, blocks and queued work take. */
TEST(any_schedule_gives_the_same_bits)
{
	fresh(32);
	Stage first = stage(blocks[2].one);
	must_plan(&first, HIP);
	must_run(&first);
	for (unsigned seed = 1; seed < 6; seed++) {
		Stage s = stage(blocks[2].one);
		hipsim_schedule(seed);
		must_plan(&s, HIP);
		for (int run = 0; run < 3; run++) {
			must_run(&s);
			check_same(first.plan, s.plan, true);
		}
		done(&s);
	}
	done(&first);
	nothing_left();
}

TEST(params_are_uploaded_once_and_inputs_in_each_run)
{
	fresh(32);
	float x[2][6] = { { 1, 2, 3, 4, 5, 6 }, { -1, -2, -3, -4, -5, -6 } };
	const int64_t shape[] = { 2, 6 }, stride[] = { 6, 1 };
	graft_tensor t = { x, shape, stride, 2, GRAFT_DTYPE_f32 };
	Stage s = stage("graph g\ninput x: f32[2, 6]\nparam w: f32[6]\ny = mul(x, w)\noutput y\noutput x\n"), cpu;
	graft_plan_options o = options_on(&s, HIP);
	must(&s, graft_tensors_set(s.inputs, "x", &t, &s.err));
	must(&s, graft_plan_new(s.g, &o, s.inputs, &s.plan, &s.err));
	long in = hipsim_copies(hipMemcpyHostToDevice);
	for (int run = 1; run < 5; run++) {
		x[1][2] = (float)run * 10;
		must_run(&s);
		CHECK_INT(hipsim_copies(hipMemcpyHostToDevice), in + run);
		const graft_tensor *y = graft_tensors_get(graft_plan_outputs(s.plan), "x");
		CHECK(y->data != x && ((const float *)y->data)[8] == x[1][2]);
		cpu = stage("graph g\ninput x: f32[2, 6]\nparam w: f32[6]\ny = mul(x, w)\noutput y\noutput x\n");
		o.device = NULL;
		must(&cpu, graft_tensors_set(cpu.inputs, "x", &t, &cpu.err));
		must(&cpu, graft_plan_new(cpu.g, &o, cpu.inputs, &cpu.plan, &cpu.err));
		must_run(&cpu);
		check_same(cpu.plan, s.plan, false);
		done(&cpu);
	}
	done(&s);
	nothing_left();
}

/* Rows backwards, columns apart, one row for all. */
TEST(inputs_may_have_any_strides)
{
	float x[64];
	for (int i = 0; i < 64; i++)
		x[i] = (float)i;
	const int64_t shape[] = { 3, 2, 6 }, strides[][3] = { { -12, 6, 1 }, { 18, 9, 1 }, { 1, 3, 9 }, { 0, 6, 1 },
	                                                      { 0, 0, -1 } };
	fresh(64);
	for (size_t i = 0; i < sizeof strides / sizeof *strides; i++) {
		graft_tensor t = { &x[i == 0 ? 40 : i == 4 ? 20 : 0], shape, strides[i], 3, GRAFT_DTYPE_f32 };
		Stage s = stage("graph g\ninput x: f32[3, 2, 6]\nparam w: f32[3, 2, 6]\ny = add(x, w)\noutput y\n"),
			cpu = stage("graph g\n"
		                "input x: f32[3, 2, 6]\nparam w: f32[3, 2, 6]\ny = add(x, w)\noutput y\n");
		graft_plan_options o = options_on(&s, HIP);
			Stage *both[] = { &s, &cpu };
		for (int k = 0; k < 2; k++) {
			o.device = k ? "cpu" : HIP;
			must(both[k], graft_tensors_set(both[k]->inputs, "x", &t, &s.err));
			must(both[k], graft_tensors_set(both[k]->inputs, "w", &t, &s.err));
			must(both[k], graft_plan_new(both[k]->g, &o, both[k]->inputs, &both[k]->plan, &both[k]->err));
			must_run(both[k]);
		}
		check_same(cpu.plan, s.plan, true);
		done(&s);
		done(&cpu);
	}
	nothing_left();
}

TEST(what_a_graph_writes_is_a_copy)
{
	EACH_WARP {
		const char *text = "graph g\ninput x: f32[4, 6]\nparam p: f32[4, 6]\ninput y: f32[4, 3]\n"
			"c = constant() {dtype=f32, shape=[4, 6], values=[2.0]}\n"
		                   "x_l, x_r = split(x) {sizes=[3, 3]}\nx_w = copy_(x_l, y)\np_w = copy_(p, x)\n"
		                   "c_w = copy_(c, p)\nz = add(c_w, x)\n"
		                   "output z\noutput x\noutput p\n";
		Stage hip = stage(text), cpu = stage(text);
		must_plan(&hip, HIP);
		must_plan(&cpu, "cpu");
		must_run(&cpu);
		for (int run = 0; run < 4; run++) {
			must_run(&hip);
			check_same(cpu.plan, hip.plan, true);
		}
		done(&hip);
		done(&cpu);
		nothing_left();
	}
}

TEST(nothing_to_compute_is_fine)
{
	fresh(32);
	static const char *const texts[] = {
		"graph g\ninput x: f32[4, 6]\ny = transpose(x) {axis0=0, axis1=1}\noutput x\noutput y\n",
		"graph g\ninput x: f32[0, 6]\ny = silu(x)\noutput y\n",
		"graph g\nparam x: f32[0]\noutput x\n",
		"graph g\nc = constant() {dtype=i64, shape=[3], values=[1, 2, 3]}\noutput c\n",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		Stage hip = stage(texts[i]), cpu = stage(texts[i]);
		graft_plan_options o = options_on(&hip, HIP);
			o.profile = true;
		must(&hip, graft_plan_new(hip.g, &o, NULL, &hip.plan, &hip.err));
		o.device = "cpu";
		must(&cpu, graft_plan_new(cpu.g, &o, NULL, &cpu.plan, &cpu.err));
		must_run(&cpu);
		for (int run = 0; run < 3; run++)
			must_run(&hip);
		check_same(cpu.plan, hip.plan, true);
		done(&hip);
		done(&cpu);
	}
	nothing_left();
}

/* ---- products ---------------------------------------------------------------------------------------------- */

TEST(products_go_to_a_blas_when_there_is_one)
{
	static const char *const texts[] = {
		"graph g\ninput a: f32[3, 5]\nparam w: f32[7, 5]\nparam b: f32[7]\ny = linear(a, w, b)\noutput y\n",
		"graph g\ninput a: bf16[2, 3, 5]\ninput w: bf16[2, 5, 7]\ny = matmul(a, w)\noutput y\n",
		"graph g\ninput a: f16[2, 5, 3]\ninput w: f16[5, 7]\nt = transpose(a) {axis0=1, axis1=2}\n"
		"y = matmul(t, w)\noutput y\n", "graph g\ninput a: f32[4, 8]\ninput w: f32[6, 4]\n"
		"l, r = split(a) {sizes=[4, 4]}\nt = transpose(w) {axis0=0, axis1=1}\ny = matmul(r, t)\noutput y\n",
	};
	fresh(32);
	void *blas = dlopen(FOLDER "libhipsim_rocblas.so", RTLD_NOW | RTLD_NODELETE);
	CHECK(blas);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		Stage hip = stage(texts[i]), cpu = stage(texts[i]);
		graft_plan_options o = options_on(&hip, HIP);
			must(&hip, graft_plan_new(hip.g, &o, NULL, &hip.plan, &hip.err));
		CHECK(!graft_plan_note(hip.plan, 0));
		o.device = "cpu";
		must(&cpu, graft_plan_new(cpu.g, &o, NULL, &cpu.plan, &cpu.err));
		must_run(&cpu);
		for (int run = 0; run < 3; run++) {
			must_run(&hip);
			check_same(cpu.plan, hip.plan, false);
		}
		done(&hip);
		done(&cpu);
	}
	dlclose(blas);
	nothing_left();
}

/* ---- packs ------------------------------------------------------------------------------------------------- */

TEST(kernels_are_tested_on_the_device_once)
{
	fresh(32);
	Stage s = stage(small);
	must_plan(&s, HIP);
	long tests = hipsim_launches();
	CHECK(tests > 20);
	must_plan(&s, HIP);
	CHECK_INT(hipsim_launches(), tests);
	graft_probe_refresh(s.ctx);
	must_plan(&s, HIP);
	CHECK_INT(hipsim_launches(), 2 * tests);
	done(&s);
	nothing_left();
}

static Stage odd_stage(const char *text)
{
	Stage s = stage(text);
	must(&s, graft_kernels_add(s.ctx, ODD, &s.err));
	return s;
}

TEST(what_cannot_run_is_named_all_at_once)
{
	fresh(64);
	Stage s = odd_stage("graph g\ninput x: f32[4, 6]\na = neg(x)\nb = sqrt(a)\nc = sin(b)\nd = cos(c)\ne = cos(d)\n"
	                    "f = square(d)\ng = tanh(f)\noutput e\noutput g\n");
	CHECK_INT(plan(&s, HIP), GRAFT_E_UNSUPPORTED);
	CHECK_HAS(s.err.message, "sqrt (b): sqrt of '" ODD "' (odd 1) fails its self test (f32): element");
	CHECK_HAS(s.err.message, "sin (c): sin of '" ODD "' (odd 1) is made for gfx942, not for sim64");
	CHECK_HAS(s.err.message, "cos (d and 1 more), tanh (g): '" ODD "' has no kernel for that; use a pack");
	CHECK_HAS(s.err.message, "square (f): square of '" ODD "' (odd 1) takes a last axis up to 4");
	CHECK(!strstr(s.err.message, "neg ("));
	done(&s);
	nothing_left();
}

TEST(a_missing_pack_is_one_reason)
{
	fresh(32);
	Stage s = stage(small);
	must(&s, graft_kernels_add(s.ctx, FOLDER "packs/nothere.so", &s.err));
	CHECK_INT(plan(&s, HIP), GRAFT_E_UNSUPPORTED);
	CHECK_STR(s.err.message,
	          "the graph cannot run here: mul (a), add (b and 1 more), silu (y), clone (r): "
	          "'" FOLDER "packs/nothere.so': no such file; build or install the pack, or correct its path");
	done(&s);
	nothing_left();
}

/* Rows at uneven distances are copied for a kernel that cannot walk them, by the pack's own kernel; refused where that
 * cannot either. */
TEST(copies_are_the_packs_work)
{
	fresh(32);
	Stage s = odd_stage("graph g\ninput x: f32[4, 6]\nt = transpose(x) {axis0=0, axis1=1}\ny = neg(t)\noutput y\n");
	CHECK_INT(plan(&s, HIP), GRAFT_E_UNSUPPORTED);
	CHECK_HAS(s.err.message, "clone (y): clone of '" ODD "' walks rows at even distances only");
	done(&s);
	s = odd_stage("graph g\ninput x: f32[4, 6]\nl, r = split(x) {sizes=[2, 4]}\ny = neg(r)\noutput y\n");
	must_plan(&s, HIP);
	long before = hipsim_launches();
	must_run(&s);
	CHECK_INT(hipsim_launches() - before, 1);
	done(&s);
	nothing_left();
}

TEST(a_kernel_that_fails_is_named)
{
	fresh(32);
	Stage s = odd_stage("graph g\ninput x: f32[4, 10]\nl, r = split(x) {sizes=[4, 6]}\na = square(l)\nb = neg(x)\n"
	                    "output a\noutput b\n");
	must_plan(&s, HIP);
	for (int run = 0; run < 2; run++) {
		CHECK_INT(graft_plan_run(s.plan, &s.err), GRAFT_E_EXEC);
		CHECK_STR(s.err.path, "a");
		CHECK_STR(s.err.message, "square ran out of luck");
	}
	done(&s);
	nothing_left();
}

TEST(a_kernel_that_cannot_be_captured_runs_directly)
{
	fresh(32);
	Stage s = odd_stage("graph g\ninput x: f32[4, 6]\nl, r = split(x) {sizes=[4, 2]}\ny = reshape(l) {shape=[16]}\n"
	                    "output y\n"), cpu;
	cpu = stage("graph g\ninput x: f32[4, 6]\nl, r = split(x) {sizes=[4, 2]}\ny = reshape(l) {shape=[16]}\n"
	            "output y\n");
	must_plan(&s, HIP);
	must_plan(&cpu, "cpu");
	must_run(&cpu);
	for (int run = 0; run < 4; run++)
		must_run(&s);
	CHECK_HAS(graft_plan_note(s.plan, 0),
	          "runs are launched node by node, they cannot be captured as a graph: y: this kernel waits");
	CHECK(!graft_plan_note(s.plan, 1));
	done(&s);
	done(&cpu);
	nothing_left();
}

/* ---- no device --------------------------------------------------------------------------------------------- */

TEST(without_a_device_hip_is_refused_and_auto_runs_on_the_cpu)
{
	fresh(32);
	hipsim_devices(0);
	Stage s = stage(small), cpu = stage(small);
	CHECK_INT(plan(&s, HIP), GRAFT_E_UNAVAILABLE);
	CHECK_INT(graft_status_exit_code(s.err.status), 4);
	CHECK_HAS(s.err.message, "hipGetDeviceCount gave hipErrorNoDevice: no ROCm-capable device is detected");
	must_plan(&s, "auto");
	CHECK_HAS(graft_plan_note(s.plan, 0), "runs on the CPU: ");
	CHECK(!graft_plan_note(s.plan, 1));
	CHECK_STR(graft_plan_device(s.plan), "cpu");
	must_plan(&cpu, "cpu");
	CHECK(!graft_plan_note(cpu.plan, 0));
	must_run(&s);
	must_run(&cpu);
	check_same(cpu.plan, s.plan, true);
	done(&s);
	done(&cpu);
	nothing_left();
}

TEST(the_threads_device_is_left_as_it_was)
{
	graft_verify_options options = { .struct_size = sizeof options, .rtol = -1, .atol = -1, .reference = "cpu" };
	graft_verify_result result;
	int device = 0;
	fresh(32);
	hipsim_devices(2);
	CHECK_INT(hipSetDevice(1), 0);
	Stage s = stage(small);
	options.run = options_on(&s, HIP);
	must_plan(&s, HIP);
	must_run(&s);
	must(&s, graft_verify(s.g, s.g, &options, NULL, &result, &s.err));
	CHECK(result.same);
	done(&s);
	CHECK_INT(hipGetDevice(&device), 0);
	CHECK_INT(device, 1);
	nothing_left();
}

TEST(devices_that_are_not_there)
{
	static const struct { const char *device; graft_status status; const char *says; } cases[] = {
		{ "gpu", GRAFT_E_USAGE, "there is no device 'gpu'; wanted auto, cpu, hip, or hip:PLUGIN" },
		{ "hip:", GRAFT_E_USAGE, "there is no device 'hip:'" },
				{ "hip:nothere.so", GRAFT_E_UNAVAILABLE,
				  "'nothere.so' does not load: ./nothere.so: cannot open shared object file" },
		{ "hip:" ODD, GRAFT_E_UNAVAILABLE, "is no device plugin: it does not export graft_device_v1" },
	};
	fresh(32);
	Stage s = stage(small);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		CHECK_INT(plan(&s, cases[i].device), cases[i].status);
		CHECK_HAS(s.err.message, cases[i].says);
	}
	done(&s);
}

TEST(too_little_memory_is_an_error_that_says_so)
{
	fresh(32);
	Stage s = stage("graph g\ninput x: f32[1024, 1024]\ny = silu(x)\nz = silu(y)\noutput z\n");
	hipsim_memory(6 << 20);
	graft_plan_options o = options_on(&s, HIP);
	CHECK_INT(graft_plan_new(s.g, &o, NULL, &s.plan, &s.err), GRAFT_E_NOMEM);
	CHECK_HAS(s.err.message, "hipMalloc gave hipErrorOutOfMemory");
	done(&s);
	nothing_left();
}

/* Callers compiled before a plan could have a device. */
TEST(short_options_mean_the_cpu)
{
	fresh(32);
	Stage s = stage(small);
	graft_plan_options o = options_on(&s, HIP);
	o.struct_size = offsetof(graft_plan_options, device);
	must(&s, graft_plan_new(s.g, &o, s.inputs, &s.plan, &s.err));
	CHECK_STR(graft_plan_device(s.plan), "cpu");
	done(&s);
}

/* ---- measuring --------------------------------------------------------------------------------------------- */

TEST(a_profile_has_a_row_for_each_node_that_computes)
{
	EACH_WARP {
		Stage s = stage(small);
		graft_plan_options o = options_on(&s, HIP);
		o.profile = true;
		must(&s, graft_plan_new(s.g, &o, s.inputs, &s.plan, &s.err));
		CHECK_HAS(graft_plan_device(s.plan), w_ ? "(sim64)" : "(sim32)");
		Stage plain = stage(small);
		must_plan(&plain, HIP);
		for (int run = 0; run < 3; run++) {
			must_run(&s);
			must_run(&plain);
			check_same(plain.plan, s.plan, true);
		}
		static const char *const nodes[] = { "a", "b", "c", "y", "r" };   /* the last makes an output dense */
		const double bytes[] = { 72 + 24 + 72, 72 + 8 + 72, 72 + 24 + 72, 48 + 48, 24 + 24 };
		double sum = 0;
		for (size_t i = 0; i < 5; i++) {
			const graft_profile *r = graft_plan_profile(s.plan, i);
			CHECK(r);
			CHECK_STR(r->node, nodes[i]);
			CHECK_HAS(r->pack, "graft_hip_sim.so");
			CHECK_INT(r->bytes, bytes[i]);
			CHECK(r->seconds > 0 && r->share > 0 && !r->of_arithmetic && r->operations == 0);
			sum += r->seconds;
		}
		CHECK(!graft_plan_profile(s.plan, 5) && !graft_plan_profile(plain.plan, 0));
		CHECK(graft_plan_seconds(s.plan) > 0 && sum > 0);
		done(&s);
		done(&plain);
		nothing_left();
	}
}

/* A kernel that faults is noticed when something waits: the first run that is measured waits after each. */
TEST(measuring_names_the_node_that_faults)
{
	static const char *const nodes[] = { "a", "b", "c", "y", "r" };
	for (size_t i = 0; i < 5; i++) {
		fresh(64);
		Stage s = stage(small);
		graft_plan_options o = options_on(&s, HIP);
		o.profile = true;
		must(&s, graft_plan_new(s.g, &o, s.inputs, &s.plan, &s.err));
		char spec[64];
		snprintf(spec, sizeof spec, "hipStreamSynchronize:%d", (int)i + 1);
		CHECK_INT(hipsim_fail(spec), 0);
		CHECK(graft_plan_run(s.plan, &s.err) != GRAFT_OK);
		CHECK_STR(s.err.path, nodes[i]);
		CHECK_HAS(s.err.message, "hipStreamSynchronize gave ");
		done(&s);
		nothing_left();
	}
}

/* ---- sweeps ------------------------------------------------------------------------------------------------ */

/* One kernel of the odd pack, whose self test is short. */
static const char brief[] = "graph g\ninput x: f32[3, 6]\nparam w: f32[3, 6]\nl, r = split(x) {sizes=[4, 2]}\n"
	"a = neg(l)\nb = neg(w)\noutput a\noutput b\n";

/* Everything that a plan does, from the loading of the plugin on. */
static graft_status whole_job(Stage *s, bool profile)
{
	graft_plan_options o = options_on(s, HIP);
	o.profile = profile;
	graft_status status = graft_plan_new(s->g, &o, s->inputs, &s->plan, &s->err);
	for (int run = 0; !status && run < 3; run++)
		status = graft_plan_run(s->plan, &s->err);
	return status;
}

/* An error names the call; that of a launch is the kernel's to tell. A plan that was made runs again, and as if nothing
 * had been. */
static void check_fault(Stage *s, graft_status status, const char *call, const char *spec)
{
	if (status && strcmp(call, "hipLaunchKernel") && strcmp(call, "hipGetLastError") &&
	    !strstr(s->err.message, call))
		test_fail(__FILE__, __LINE__, "%s: the error does not name the call: %s", spec, s->err.message);
	hipsim_fail(NULL);
	if (s->plan && graft_plan_run(s->plan, &s->err))
		test_fail(__FILE__, __LINE__, "%s: afterwards the plan does not run: %s", spec, s->err.message);
	graft_plan_free(s->plan);
	s->plan = NULL;
	if (hipsim_leaks())
		test_fail(__FILE__, __LINE__, "%s: something is left", spec);
}

/* The nth call of one function fails; false: there are not so many. */
static bool one_fault(Stage *s, const char *call, int nth, bool profile, bool tests)
{
	char spec[64];
	fresh(32);
	snprintf(spec, sizeof spec, "%s:%d", call, nth);
	if (tests)
		graft_probe_refresh(s->ctx);
	CHECK_INT(hipsim_fail(spec), 0);
	graft_status status = whole_job(s, profile);
	bool reached = hipsim_calls(call) >= nth;
	check_fault(s, status, call, spec);
	return reached;
}

/* Returns how many faults there were; tests: of self tests too. */
static int sweep(Stage *s, bool profile, bool tests)
{
	const char *call;
	int faults = 0;
	must(s, whole_job(s, profile));
	graft_plan_free(s->plan);
	s->plan = NULL;
	for (size_t i = 0; (call = hipsim_call_name(i)); i++)
		for (int nth = 1; one_fault(s, call, nth, profile, tests); nth++)
			faults++;
	return faults;
}

TEST(every_hip_call_fails_once)
{
	for (int profile = 0; profile < 2; profile++) {
		fresh(32);
		Stage s = stage(small);
		CHECK(sweep(&s, profile, false) > 30);
		done(&s);
	}
}

TEST(every_hip_call_of_a_self_test_fails_once)
{
	fresh(64);
	Stage s = odd_stage(brief);
	CHECK(sweep(&s, false, true) > 50);
	done(&s);
}

TEST(every_allocation_fails_once)
{
	Shortage m = { 0 };
	const graft_allocator counting = { shortage_resize, &m };
	allocator = &counting;
	long total = 0;
	for (long nth = 0; nth <= total; nth++) {
		fresh(64);
		m = (Shortage){ 0 };
		Stage s = odd_stage(brief);
		m.count = 0;
		m.fail_at = nth;
		graft_status status = whole_job(&s, true);
		total = nth ? total : m.count;
		if (nth && status != GRAFT_E_NOMEM)
			test_fail(__FILE__, __LINE__, "allocation %ld of %ld: status %d: %s", nth, total, (int)status,
			          s.err.message);
		if (!nth)
			must(&s, status);
		m.fail_at = 0;
		done(&s);
		CHECK_INT(m.held, 0);
		nothing_left();
	}
	allocator = NULL;
	CHECK(total > 20);
}
