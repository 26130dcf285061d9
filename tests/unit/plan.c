/* plan.c - plans: symbols, data, strides of views, storage; what is refused, and how that is said. */
#include "../../src/exec/plan.h"
#include "test.h"
#include <stdlib.h>


/* What a test works with; freed by done(). */
typedef struct Bench {
	graft_context *ctx;
	graft_graph *g;
	graft_tensors *inputs;
	graft_plan *plan;
	graft_error err;
} Bench;

static Bench bench(const char *text)
{
	Bench b = { 0 };
	if (graft_context_new(NULL, &b.ctx, &b.err) ||
	    graft_graph_parse(b.ctx, text, strlen(text), "test", &b.g, &b.err) ||
	    graft_tensors_new(b.ctx, &b.inputs, &b.err))
		test_fail(__FILE__, __LINE__, "%s", b.err.message);
	return b;
}

static void done(Bench *b)
{
	graft_plan_free(b->plan);
	graft_tensors_free(b->inputs);
	graft_graph_free(b->g);
	graft_context_free(b->ctx);
}

/* Dense f32 without interesting values. */
static void give(Bench *b, const char *name, int32_t rank, const int64_t *shape)
{
	static float data[4096];
	int64_t stride[8], n = 1;
	for (int32_t i = rank; i-- > 0; n *= shape[i])
		stride[i] = n;
	if (graft_tensors_set(b->inputs, name, &(graft_tensor){ data, shape, stride, rank, GRAFT_DTYPE_f32 }, &b->err))
		test_fail(__FILE__, __LINE__, "%s", b->err.message);
}

#define GIVE(b, name, ...) \
	give(b, name, (int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (const int64_t[]){ __VA_ARGS__ })

static graft_status make(Bench *b, bool random, const char *bind)
{
	const char *list[] = { bind, NULL };
	graft_plan_options o = { .struct_size = sizeof o, .threads = 1, .random = random, .seed = 7, .bind = list };
	return graft_plan_new(b->g, &o, b->inputs, &b->plan, &b->err);
}

static void must_make(Bench *b, bool random, const char *bind)
{
	if (make(b, random, bind))
		test_fail(__FILE__, __LINE__, "%s", b->err.message);
}

/* Plans the graph with x given, and expects it to be refused so. */
static void refused(const char *text, bool random, const char *bind, graft_status status, const char *message)
{
	Bench b = bench(text);
	CHECK_INT(make(&b, random, bind), status);
	CHECK_STR(b.err.message, message);
	done(&b);
}

/* ---- symbols ------------------------------------------------------------------------------------------------- */

#define NORM                                                                                                           \
	"graph g\nsymbol T in [1, 100]\nsymbol S in [1, 100]\ninput h: f32[T, 8]\ninput k: f32[S, 2*T]\n"              \
	"y = add(h, h)\nz = add(k, k)\noutput y\noutput z\n"

TEST(plan_binds_symbols_from_shapes)
{
	Bench b = bench(NORM);
	GIVE(&b, "h", 4, 8);
	GIVE(&b, "k", 3, 8);
	must_make(&b, false, NULL);
	CHECK_INT(graft_tensors_get(graft_plan_outputs(b.plan), "z")->shape[0], 3);
	done(&b);
}

TEST(plan_solves_what_is_not_a_plain_symbol)
{
	Bench b = bench("graph g\nsymbol T in [1, 100]\ninput k: f32[2*T + 1]\ny = add(k, k)\noutput y\n");
	GIVE(&b, "k", 9);
	must_make(&b, false, NULL);
	done(&b);
	b = bench("graph g\nsymbol T in [1, 100]\ninput k: f32[2*T + 1]\ny = add(k, k)\noutput y\n");
	GIVE(&b, "k", 8);
	CHECK_INT(make(&b, false, NULL), GRAFT_E_DATA);
	CHECK_HAS(b.err.message, "input k axis 0 is 2*T + 1 and 8 is given");
	done(&b);
}

TEST(plan_names_both_sources_of_a_contradiction)
{
	Bench b = bench(NORM);
	GIVE(&b, "h", 8, 8);
	GIVE(&b, "k", 3, 16);
	CHECK_INT(make(&b, false, "T=4"), GRAFT_E_DATA);
	CHECK_STR(b.err.message, "T is 4 by --bind, but input h axis 0 says 8");
	done(&b);
	b = bench(NORM);
	GIVE(&b, "h", 4, 8);
	GIVE(&b, "k", 3, 9);
	CHECK_INT(make(&b, false, NULL), GRAFT_E_DATA);
	CHECK_STR(b.err.message, "2*T is 8 with T=4 (input h axis 0), but input k axis 1 says 9");
	done(&b);
}

TEST(plan_refuses_symbols_out_of_range_unknown_or_unbound)
{
	refused(NORM, true, "T=101", GRAFT_E_DATA, "T is 101 by --bind, but its range is [1, 100]");
	refused(NORM, true, "U=1", GRAFT_E_USAGE, "--bind U=1: the graph has no symbol 'U'; its symbols: T, S");
	refused(NORM, true, "T=x", GRAFT_E_USAGE, "--bind T=x: wanted a symbol and a whole number, as in T=4");
	refused(NORM, true, "T=", GRAFT_E_USAGE, "--bind T=: wanted a symbol and a whole number, as in T=4");
	refused(NORM, true, "T", GRAFT_E_USAGE, "--bind T: wanted a symbol and a whole number, as in T=4");
	refused(NORM, true, "T=4", GRAFT_E_DATA,
	        "the size S of axis 0 is not known: S has no value; bind it, as in --bind S=4, or give an input whose "
	        "shape says it");
}

TEST(plan_refuses_data_that_does_not_fit)
{
	Bench b = bench(NORM);
	GIVE(&b, "h", 4, 9);
	CHECK_INT(make(&b, true, "S=1"), GRAFT_E_DATA);
	CHECK_STR(b.err.message, "input h axis 1 is 8, but what is given says 9");
	done(&b);
	b = bench(NORM);
	GIVE(&b, "h", 4);
	CHECK_INT(make(&b, true, "S=1"), GRAFT_E_DATA);
	CHECK_STR(b.err.message, "input h is f32[T, 8], but what is given has rank 1");
	done(&b);
	b = bench("graph g\ninput x: bf16[4]\ny = add(x, x)\noutput y\n");
	GIVE(&b, "x", 4);
	CHECK_INT(make(&b, true, NULL), GRAFT_E_DATA);
	CHECK_STR(b.err.message, "input x is bf16[4], but what is given holds f32");
	done(&b);
}

/* What was unknown may be wrong once it is known: then the values are named with their sources. */
TEST(plan_refuses_sizes_that_memory_cannot_hold)
{
	refused("graph g\nsymbol T in [1, 9223372036854775807]\ninput x: f32[T, 4]\ny = add(x, x)\n"
	        "output y\n",
	        true, "T=4611686018427387904", GRAFT_E_DATA,
	        "the graph does not hold with T=4611686018427387904 (--bind): the type given has more bytes than "
	        "64-bit offsets reach");
}

/* ---- data ------------------------------------------------------------------------------------------------------ */

TEST(plan_lists_all_that_is_missing)
{
	Bench b = bench("graph g\ninput x: f32[4]\nparam w: f32[4]\nparam v: f32[2, 4]\ny = mul(x, w)\n"
	                "z = mul(y, v)\noutput z\n");
	GIVE(&b, "w", 4);
	GIVE(&b, "ww", 4);
	CHECK_INT(make(&b, false, NULL), GRAFT_E_DATA);
	CHECK_STR(b.err.message,
	          "no data for input x: f32[4], param v: f32[2, 4]; give them as inputs or ask for random ones");
	must_make(&b, true, NULL);
	CHECK_STR(graft_plan_note(b.plan, 0), "'ww' is given, but the graph has no input or param of that name");
	CHECK(!graft_plan_note(b.plan, 1));
	done(&b);
}

TEST(plan_does_not_follow_a_weights_file_out_of_its_folder)
{
	refused("graph g\nweights \"../w.safetensors\"\ninput x: f32[4]\ny = add(x, x)\n"
	        "output y\n",
	        true, NULL, GRAFT_E_DATA,
	        "the graph's weights file '../w.safetensors' lies outside the graph's folder; give its tensors as "
	        "inputs");
	refused("graph g\nweights \"/etc/w.safetensors\"\ninput x: f32[4]\ny = add(x, x)\n"
	        "output y\n",
	        true, NULL, GRAFT_E_DATA,
	        "the graph's weights file '/etc/w.safetensors' lies outside the graph's folder; give its tensors as "
	        "inputs");
}

static float first_of(Bench *b)
{
	if (graft_plan_run(b->plan, &b->err))
		test_fail(__FILE__, __LINE__, "%s", b->err.message);
	return *(const float *)graft_tensors_get(graft_plan_outputs(b->plan), "y")->data;
}

/* What is given wins over the weights file, and that over random numbers; the file is found beside the graph. */
TEST(plan_takes_params_from_the_weights_file)
{
	static const char text[] = "graph g\nweights \"plan_w.safetensors\"\nparam w: f32[4]\ny = neg(w)\noutput y\n";
	Bench b = bench(text);
	float data[4] = { 7, 8, 9, 10 };
	graft_tensor t = { data, (int64_t[]){ 4 }, (int64_t[]){ 1 }, 1, GRAFT_DTYPE_f32 };
	CHECK_INT(graft_tensors_set(b.inputs, "w", &t, &b.err), 0);
	CHECK_INT(graft_tensors_save(b.inputs, "build/check/plan_w.safetensors", &b.err), 0);
	CHECK_INT(graft_graph_save(b.g, "build/check/plan_w.graft", GRAFT_FORMAT_TEXT, &b.err), 0);
	done(&b);
	b = bench(text);
	graft_graph_free(b.g);
	CHECK_INT(graft_graph_load(b.ctx, "build/check/plan_w.graft", &b.g, &b.err), 0);
	must_make(&b, true, NULL);
	CHECK(first_of(&b) == -7);
	CHECK(!graft_plan_note(b.plan, 0));
	graft_plan_free(b.plan);
	data[0] = 3;
	CHECK_INT(graft_tensors_set(b.inputs, "w", &t, &b.err), 0);
	must_make(&b, true, NULL);
	CHECK(first_of(&b) == -3);
	done(&b);
}

TEST(plan_says_when_the_weights_file_cannot_be_read)
{
	static const char text[] = "graph g\nweights \"no/such.safetensors\"\nparam w: f32[4]\ny = neg(w)\noutput y\n";
	refused(text, false, NULL, GRAFT_E_DATA,
	        "no data for param w: f32[4]; give them as inputs or ask for random ones; "
	        "weights file no/such.safetensors: cannot open the file: No such file or directory");
	Bench b = bench(text);
	must_make(&b, true, NULL);
	CHECK_HAS(graft_plan_note(b.plan, 0), "weights file no/such.safetensors: cannot open");
	done(&b);
}

TEST(plan_names_every_op_that_cannot_run)
{
	refused("graph g\ninput x: f32[4]\na: f32[4] = twist(x)\nb: f32[4] = turn(a)\nc: f32[4] = twist(b)\n"
	        "output c\n",
	        true, NULL, GRAFT_E_UNSUPPORTED,
	        "the graph cannot run here: twist (a and 1 more), turn (b): not an op of graft's, see `graft ops`");
}

TEST(plan_checks_its_options)
{
	Bench b = bench("graph g\ninput x: f32[4]\ny = add(x, x)\noutput y\n");
	graft_plan_options o = { .struct_size = sizeof o, .threads = -1, .random = true };
	CHECK_INT(graft_plan_new(b.g, &o, NULL, &b.plan, &b.err), GRAFT_E_USAGE);
	o = (graft_plan_options){ .struct_size = sizeof o + 8 };
	CHECK_INT(graft_plan_new(b.g, &o, NULL, &b.plan, &b.err), GRAFT_E_USAGE);
	done(&b);
}

/* ---- views ----------------------------------------------------------------------------------------------------- */

static const Slot *slot(const Bench *b, const char *name)
{
	const Value *v = value_find(b->plan->g, name, strlen(name));
	if (!v || !plan_slot(b->plan, v))
		test_fail(__FILE__, __LINE__, "no slot %s", name);
	return plan_slot(b->plan, v);
}

/* "[3, 4]:[8, 1]+16": shape, strides, and bytes behind the start of the storage that `base` lives in. */
static void check_view(const Bench *b, const char *name, const char *base, const char *want)
{
	const Slot *s = slot(b, name);
	char text[256] = "[";
	for (int k = 0; k < 2; k++) {
		for (int32_t i = 0; i < s->tensor.rank; i++)
			snprintf(text + strlen(text), 32, "%s%lld", i ? ", " : "",
			         (long long)(k ? s->tensor.stride[i] : s->tensor.shape[i]));
		strcat(text, k ? "]" : "]:[");
	}
	snprintf(text + strlen(text), 32, "+%lld", (long long)s->offset);
	CHECK_STR(text, want);
	CHECK_INT(s->store, slot(b, base)->store);
}

TEST(views_share_storage_with_strides_of_their_own)
{
	Bench b = bench("graph g\ninput x: f32[6, 8]\n"
	                "a, b = split(x) {sizes=[3, 5]}\n"
	                "n = narrow(x) {axis=0, start=2, length=3}\n"
	                "s = slice(x) {axis=1, start=-6, end=7, step=2}\n"
	                "t = transpose(b) {axis0=0, axis1=1}\n"
	                "u = unsqueeze(b) {axis=-1}\n"
	                "p = permute(u) {axes=[2, 0, 1]}\n"
	                "q = squeeze(p) {axes=[0]}\n"
	                "o = narrow(x) {axis=0, start=5, length=1}\n"
	                "e = expand(o) {shape=[4, 6, -1]}\n"
	                "y = add(a, a)\noutput y\noutput t\noutput e\n");
	must_make(&b, true, NULL);
	check_view(&b, "a", "x", "[6, 3]:[8, 1]+0");
	check_view(&b, "b", "x", "[6, 5]:[8, 1]+12");
	check_view(&b, "n", "x", "[3, 8]:[8, 1]+64");
	check_view(&b, "s", "x", "[6, 3]:[8, 2]+8");
	check_view(&b, "t", "x", "[5, 6]:[1, 8]+12");
	check_view(&b, "u", "x", "[6, 5, 1]:[8, 1, 1]+12");
	check_view(&b, "p", "x", "[1, 6, 5]:[1, 8, 1]+12");
	check_view(&b, "q", "x", "[6, 5]:[8, 1]+12");
	check_view(&b, "o", "x", "[1, 8]:[8, 1]+160");
	check_view(&b, "e", "x", "[4, 6, 8]:[0, 0, 1]+160");
	CHECK_INT(b.plan->n_steps, 3);
	const graft_tensor *t = graft_tensors_get(graft_plan_outputs(b.plan), "t");
	CHECK_INT(t->stride[0], 6);
	done(&b);
}

TEST(reshape_is_a_view_where_strides_allow)
{
	Bench b = bench("graph g\ninput x: f32[6, 8]\n"
	                "a, c = split(x) {sizes=[4, 4]}\n"
	                "v = reshape(c) {shape=[2, 3, 2, 2]}\n"
	                "w = reshape(v) {shape=[6, 4]}\n"
	                "l = reshape(c) {shape=[24]}\n"
	                "m = reshape(c) {shape=[3, 8]}\n"
	                "o = reshape(c) {shape=[1, 6, 1, 4, 1]}\n"
	                "f = reshape(x) {shape=[-1]}\n"
	                "y = add(f, f)\noutput y\noutput l\noutput m\n");
	must_make(&b, true, NULL);
	check_view(&b, "v", "x", "[2, 3, 2, 2]:[24, 8, 2, 1]+16");
	check_view(&b, "w", "x", "[6, 4]:[8, 1]+16");
	check_view(&b, "f", "x", "[48]:[1]+0");
	CHECK_INT(slot(&b, "o")->store, slot(&b, "x")->store);
	CHECK(slot(&b, "l")->store != slot(&b, "x")->store);
	CHECK(slot(&b, "m")->store != slot(&b, "x")->store);
	CHECK_INT(b.plan->n_steps, 3);
	done(&b);
}

/* ---- storage --------------------------------------------------------------------------------------------------- */

static bool together(const Store *a, const Store *b)
{
	bool at_once = a->kept || b->kept || (a->first <= b->last && b->first <= a->last);
	return at_once && a->at < b->at + b->size && b->at < a->at + a->size;
}

static void check_places(const graft_plan *p)
{
	for (size_t i = 0; i < p->n_stores; i++)
		for (size_t k = 0; k < i; k++)
			if (p->stores[i].kind == STORE_BUFFER && p->stores[k].kind == STORE_BUFFER &&
			    together(&p->stores[i], &p->stores[k]))
				test_fail(__FILE__, __LINE__, "stores %zu and %zu are in one place at one time", k, i);
}

TEST(storage_is_reused_and_nothing_overlaps)
{
	Bench b = bench("graph g\ninput x: f32[10]\ninput z: f32[100]\n"
	                "a = neg(x)\nb = neg(a)\nc = neg(b)\nd = neg(c)\n"
	                "e = neg(z)\nf = narrow(e) {axis=0, start=0, length=10}\ng = neg(d)\nh = add(f, g)\n"
	                "i = neg(h)\nj = neg(i)\noutput j\noutput c\n");
	must_make(&b, true, NULL);
	check_places(b.plan);
	CHECK_INT(graft_plan_total(b.plan), 6 * 64 + 448);
	CHECK_INT(graft_plan_peak(b.plan), 448 + 2 * 64);
	CHECK_INT((uintptr_t)graft_tensors_get(graft_plan_outputs(b.plan), "j")->data % 64, 0);
	done(&b);
}

/* A view keeps the storage of what it is a view of. */
TEST(storage_lives_as_long_as_its_last_view)
{
	Bench b = bench("graph g\ninput x: f32[16]\na = neg(x)\nv = narrow(a) {axis=0, start=4, length=4}\n"
	                "b = neg(x)\nc = neg(b)\n"
	                "w = neg(v)\nd = narrow(c) {axis=0, start=0, length=4}\ny = add(w, d)\noutput y\n");
	must_make(&b, true, NULL);
	check_places(b.plan);
	CHECK_INT(b.plan->stores[slot(&b, "v")->store].last, 3);
	done(&b);
}

#define WHOLE "{axis=0, start=0, length=64}"

/* Many graphs of random shape: the property, not the example. */
TEST(storage_of_random_graphs)
{
	uint32_t seed = 1;
	for (int round = 0; round < 30; round++) {
		char text[4096] = "graph g\ninput v0: f32[64]\n";
		for (int i = 1; i < 40; i++) {
			seed = seed * 1664525u + 1013904223u;
			unsigned a = (seed >> 8) % (unsigned)i, c = (seed >> 16) % (unsigned)i;
			snprintf(text + strlen(text), 64, "v%d = ", i);
			const char *op = (seed >> 28) % 3 ? "add(v%u, v%u)\n" : "narrow(v%u) " WHOLE "\n";
			snprintf(text + strlen(text), 64, op, a, c);
		}
		strcat(text, "output v39\noutput v20\n");
		Bench b = bench(text);
		must_make(&b, true, NULL);
		check_places(b.plan);
		CHECK(graft_plan_peak(b.plan) <= graft_plan_total(b.plan));
		done(&b);
	}
}
