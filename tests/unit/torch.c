/* torch.c - torch.export archives: what is read, every lie that is refused, what is written back. */
#include "../../src/io/torch.h"
#include "shortage.h"
#include "test.h"
#include "zips.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define META(dtype, sizes, strides)                                                                                  \
	"{\"dtype\": " #dtype ", \"sizes\": [" sizes "], \"requires_grad\": false, \"device\": {\"type\": \"cpu\", " \
	"\"index\": null}, "                                                                                         \
	"\"strides\": [" strides "], \"storage_offset\": {\"as_int\": 0}, \"layout\": 7}"
#define I(n) "{\"as_int\": " #n "}"
#define T(name) "{\"as_tensor\": {\"name\": \"" name "\"}}"
#define INTS(...) "{\"as_ints\": [" #__VA_ARGS__ "]}"
#define ARG(name, arg) "{\"name\": \"" name "\", \"arg\": " arg ", \"kind\": 1}"
#define NODE(target, args, name)                                                                      \
	"{\"target\": \"torch.ops." target "\", \"inputs\": [" args "], \"outputs\": [" T(name) "], " \
	"\"metadata\": {}, "                                                                          \
	"\"is_hop_single_tensor_return\": null, \"name\": \"" name "\"}"

#define MUL NODE("aten.mul.Tensor", ARG("self", T("x")) ", " ARG("other", T("p_w")), "y")
#define SIZES I(2) ", " I(3)
#define STRIDES I(3) ", " I(1)

/* A graph y = x * w; what a test changes of it. */
typedef struct Model { const char *nodes, *x_sizes, *more_values, *output, *version, *more_inputs, *more_specs; } Model;

static const char *model_text(Model m)
{
	static char text[1 << 16];
	int n = snprintf(text, sizeof text,
		"{\"graph_module\": {\"graph\": {\"inputs\": [" T("p_w") "%s, " T("x") "], \"outputs\": [" T("%s") "], "
		"\"nodes\": [%s], \"tensor_values\": {\"p_w\": " META(7, I(3),
		                                                      I(1)) ", \"x\": {\"dtype\": 7, \"sizes\": [%s]}, "
		"\"y\": {\"dtype\": 7, \"sizes\": [%s]}%s}, \"sym_int_values\": {}}, "
		"\"signature\": {\"input_specs\": [{\"parameter\": {\"arg\": {\"name\": \"p_w\"}, \"parameter_name\": "
		"\"m.w\"}}%s, {\"user_input\": {\"arg\": " T("x") "}}], \"output_specs\": [{\"user_output\": "
		"{\"arg\": " T("%s") "}}]}}, \"range_constraints\": {}, \"schema_version\": {\"major\": %s, \"minor\": "
		"17}, \"new_key\": [1e40]}", m.more_inputs ? m.more_inputs : "", m.output ? m.output : "y", m.nodes ? m.nodes : MUL,
		m.x_sizes ? m.x_sizes : SIZES, m.x_sizes ? m.x_sizes : SIZES, m.more_values ? m.more_values : "",
		m.more_specs ? m.more_specs : "",
		m.output ? m.output : "y", m.version ? m.version : "8");
	CHECK(n > 0 && (size_t)n < sizeof text);
	return text;
}

static const char *config(const char *path, const char *pickle, const char *meta)
{
	static char text[1024];
	snprintf(text, sizeof text,
	         "{\"config\": {\"m.w\": {\"path_name\": \"%s\", \"is_param\": true, \"use_pickle\": %s, "
	         "\"tensor_meta\": %s}}}", path, pickle, meta);
	return text;
}

static TestZip z;
static const float weights[] = { 9, 1, 2, 3, 4, 5 };

static void archive(const char *model, const char *weights_config)
{
	memset(&z, 0, sizeof z);
	zip_put(&z, "m/data/weights/weight_0", weights, sizeof weights);
	if (weights_config)
		zip_put(&z, "m/data/weights/model_weights_config.json", weights_config, strlen(weights_config));
	zip_put(&z, "m/models/model.json", model, strlen(model));
	zip_put(&z, "m/archive_format", "pt2", 3);
	zip_finish(&z);
}

typedef struct Scene { graft_context *ctx; graft_graph *g; } Scene;

static graft_error err;

static Scene begin(void)
{
	Scene s = { NULL, NULL };
	CHECK_INT(graft_context_new(NULL, &s.ctx, NULL), GRAFT_OK);
	return s;
}

static void end(Scene *s)
{
	graft_graph_free(s->g);
	graft_context_free(s->ctx);
}

static graft_status parse(Scene *s, const char *data, size_t size)
{
	return graft_graph_parse(s->ctx, data, size, "test", &s->g, &err);
}

static void refuses(const char *data, size_t size, graft_status status, const char *part)
{
	Scene s = begin();
	graft_status found = parse(&s, data, size);
	end(&s);
	CHECK_HAS(err.message, part);
	CHECK_INT(found, status);
}

static void refuses_model(Model m, graft_status status, const char *part)
{
	const char *text = model_text(m);
	refuses(text, strlen(text), status, part);
}

static void refuses_archive(const char *weights_config, graft_status status, const char *part)
{
	archive(model_text((Model){ 0 }), weights_config);
	refuses(z.data, z.size, status, part);
}

/* ---- what is read ---- */

static const float *run_on(Scene *s, const float *x, graft_plan **plan)
{
	static const int64_t shape[] = { 2, 3 }, stride[] = { 3, 1 };
	graft_tensors *in;
	CHECK_INT(graft_tensors_new(s->ctx, &in, &err), GRAFT_OK);
	CHECK_INT(graft_tensors_set(in, "x", &(graft_tensor){ (void *)(uintptr_t)x, shape, stride, 2, GRAFT_DTYPE_f32 },
	                            &err), GRAFT_OK);
	graft_status status = graft_plan_new(s->g, NULL, in, plan, &err);
	CHECK_STR(status ? err.message : "", "");
	CHECK_INT(graft_plan_run(*plan, &err), GRAFT_OK);
	graft_tensors_free(in);
	return graft_tensors_get(graft_plan_outputs(*plan), "y")->data;
}

static const float *run(Scene *s, graft_plan **plan)
{
	static const float x[] = { 1, 1, 1, 10, 10, 10 };
	return run_on(s, x, plan);
}

static void multiplies_by(const char *meta, float a, float b, float c)
{
	Scene s = begin();
	graft_plan *plan;
	archive(model_text((Model){ 0 }), config("weight_0", "false", meta));
	CHECK_INT(parse(&s, z.data, z.size), GRAFT_OK);
	const float *y = run(&s, &plan);
	CHECK(y[0] == a && y[1] == b && y[2] == c && y[3] == 10 * a && y[5] == 10 * c);
	graft_plan_free(plan);
	end(&s);
}

TEST(torch_archive_runs_with_its_weights)
{
	multiplies_by(META(7, I(3), I(1)), 9, 1, 2);
}

TEST(torch_weights_are_views_of_their_storage)
{
	multiplies_by("{\"dtype\": 7, \"sizes\": [" I(3) "], \"strides\": [" I(2) "], \"storage_offset\": " I(1) "}",
	              1, 3, 5);
	multiplies_by("{\"dtype\": 7, \"sizes\": [" I(3) "], \"strides\": [" I(0) "], \"storage_offset\": " I(5) "}",
	              5, 5, 5);
}

/* A tensor that is used in two places: strict exports make it two params of one name. */
TEST(torch_two_params_may_be_one_tensor)
{
	Scene s = begin();
	graft_plan *plan;
	archive(model_text((Model){
		.more_inputs = ", " T("p_v"),
		.more_specs = ", {\"parameter\": {\"arg\": {\"name\": \"p_v\"}, \"parameter_name\": \"m.w\"}}",
		.more_values = ", \"p_v\": " META(7, I(3), I(1)) ", \"t\": " META(7, SIZES, STRIDES),
		.nodes = NODE("aten.mul.Tensor", ARG("self", T("x")) ", " ARG("other", T("p_w")), "t") ", "
		         NODE("aten.mul.Tensor", ARG("self", T("t")) ", " ARG("other", T("p_v")), "y"),
	}), config("weight_0", "false", META(7, I(3), I(1))));
	graft_status status = parse(&s, z.data, z.size);
	CHECK_STR(status ? err.message : "", "");
	const float *y = run(&s, &plan);
	CHECK(y[0] == 81 && y[1] == 1 && y[2] == 4 && y[3] == 810);
	graft_plan_free(plan);
	end(&s);
}

typedef struct Sink { char text[1 << 16]; size_t size; } Sink;
static Sink sink;

static bool keep(void *user, const char *text, size_t size)
{
	Sink *s = user;
	if (s->size + size >= sizeof s->text)
		return false;
	memcpy(s->text + s->size, text, size);
	s->size += size;
	s->text[s->size] = 0;
	return true;
}

static const char *written(const graft_graph *g)
{
	sink.size = 0;
	CHECK_INT(graft_graph_print((graft_graph *)(uintptr_t)g, GRAFT_FORMAT_PT2JSON, keep, &sink, &err), GRAFT_OK);
	return sink.text;
}

/* ---- ops that graft does not know, in graft's own formats ---- */

static void goes_through(const char *node, const char *line)
{
	Scene s = begin();
	static char text[sizeof sink.text];
	const char *model = model_text((Model){ .nodes = node });
	CHECK_INT(parse(&s, model, strlen(model)), GRAFT_OK);
	sink.size = 0;
	CHECK_INT(graft_graph_print(s.g, GRAFT_FORMAT_TEXT, keep, &sink, &err), GRAFT_OK);
	CHECK_HAS(sink.text, line);
	snprintf(text, sizeof text, "%s", sink.text);
	graft_graph_free(s.g);
	graft_status status = parse(&s, text, strlen(text));
	CHECK_STR(status ? err.message : "", "");
	sink.size = 0;
	CHECK_INT(graft_graph_print(s.g, GRAFT_FORMAT_TEXT, keep, &sink, &err), GRAFT_OK);
	CHECK_STR(sink.text, text);
	end(&s);
}

TEST(torch_unknown_ops_read_back_as_notation)
{
	goes_through(NODE("my.op.default", ARG("x", T("x")) ", " ARG("k", I(1)) ", " ARG("k", I(2)) ", " ARG("", I(3)) ", "
	                  ARG("arg3", I(4)), "y"), "my.op.default(x) {k=1, k_=2, arg3_=3, arg3=4}");
	goes_through(NODE("exp", ARG("x", T("x")), "y"), "torch.ops.exp(x)");
}

/* ---- what is merged ---- */

/* Views of what became one value are views of one storage: one of them leaves the graph, so they are not two that leave. */
TEST(torch_views_of_merged_values_are_merged)
{
	Scene s = begin();
	const char *text = model_text((Model){
		.nodes = NODE("aten.sin.default", ARG("self", T("x")), "a") ", "
		         NODE("aten.sin.default", ARG("self", T("x")), "b") ", "
		         NODE("aten.view.default", ARG("self", T("a")) ", " ARG("size", INTS(2, 3)), "u") ", "
		         NODE("aten.view.default", ARG("self", T("b")) ", " ARG("size", INTS(2, 3)), "y") ", "
		         NODE("aten.sin.default", ARG("self", T("u")), "c") ", "
		         NODE("mylib.log.default", ARG("x", T("c")), "d"),
		.more_values = ", \"a\": " META(7, SIZES, STRIDES) ", \"b\": " META(7, SIZES, STRIDES) ", \"u\": "
		               META(7, SIZES, STRIDES) ", \"c\": " META(7, SIZES, STRIDES) ", \"d\": " META(7, SIZES, STRIDES) });
	CHECK_INT(parse(&s, text, strlen(text)), GRAFT_OK);
	graft_config *c;
	CHECK_INT(graft_config_new(s.ctx, &c, &err), GRAFT_OK);
	CHECK_INT(graft_config_set_passes(c, "cse", "test", &err), GRAFT_OK);
	CHECK_INT(graft_optimize(s.g, c, NULL, &err), GRAFT_OK);
	CHECK_INT(graft_graph_count(s.g, "sin"), 2);
	CHECK_INT(graft_graph_count(s.g, "reshape"), 1);
	graft_config_free(c);
	end(&s);
}

/* ---- sub-graphs ---- */

#define SIZE_NODE(name, of)                                                                                     \
	"{\"target\": \"torch.ops.aten.sym_size.int\", \"inputs\": [" ARG("self", T(of)) ", " ARG("dim", I(0)) "], " \
	"\"outputs\": [{\"as_sym_int\": {\"as_name\": \"" name "\"}}], \"metadata\": {}}"
#define SUB(in, nodes, values, sizes, out, name)                                                                \
	"{\"target\": \"torch.ops.higher_order.wrap_with_set_grad_enabled\", \"inputs\": ["                       \
	ARG("", "{\"as_bool\": false}") ", " ARG("", "{\"as_graph\": {\"name\": \"sub\", \"graph\": {\"inputs\": ["  \
	T(in) "], \"outputs\": [" T(out) "], \"nodes\": [" nodes "], \"tensor_values\": {" values "}, "            \
	"\"sym_int_values\": {" sizes "}, \"sym_bool_values\": {}}}}") ", " ARG("", T(in)) "], \"outputs\": ["     \
	T(name) "], \"metadata\": {}}"
#define NEG(x, y) NODE("aten.neg.default", ARG("self", T(x)), y)

/* What is made on the way, and sizes of sub-graphs, get out of the way of names that come later. */
TEST(torch_names_that_come_later)
{
	Scene s = begin();
	const char *text = model_text((Model){
		.nodes = NODE("aten.elu.default", ARG("self", T("x")), "t") ", " NEG("t", "t_tmp") ", "
		         SUB("t_tmp", SIZE_NODE("n", "t_tmp") ", " NEG("t_tmp", "u"), "\"t_tmp\": " META(7, SIZES, STRIDES) ", \"u\": "
		             META(7, SIZES, STRIDES), "\"n\": " I(2), "u", "u") ", " NEG("u", "n") ", " NEG("n", "y"),
		.more_values = ", \"t\": " META(7, SIZES, STRIDES) ", \"t_tmp\": " META(7, SIZES, STRIDES) ", \"u\": "
		               META(7, SIZES, STRIDES) ", \"n\": " META(7, SIZES, STRIDES) });
	graft_status status = parse(&s, text, strlen(text));
	CHECK_STR(status ? err.message : "", "");
	CHECK_STR(written(s.g), text);
	CHECK_INT(graft_graph_count(s.g, "neg"), 4);
	end(&s);
}

/* Where nothing makes it, what reads it cannot be taken out. */
TEST(torch_size_that_nothing_in_a_sub_graph_makes)
{
	Scene s = begin();
	const char *text = model_text((Model){
		.nodes = SUB("x", NODE("aten.select.int", ARG("self", T("x")) ", " ARG("dim", I(0)) ", "
		                       ARG("index", "{\"as_sym_int\": {\"as_name\": \"n\"}}"), "t") ", " NEG("x", "u"),
		             "\"x\": " META(7, SIZES, STRIDES) ", \"t\": " META(7, I(3), I(1)) ", \"u\": "
		             META(7, SIZES, STRIDES), "\"n\": " I(1), "u", "y") });
	graft_status status = parse(&s, text, strlen(text));
	CHECK_STR(status ? err.message : "", "");
	CHECK_STR(written(s.g), text);
	end(&s);
}

/* A size of one sub-graph, a tensor of the next. */
TEST(torch_one_name_in_two_sub_graphs)
{
	Scene s = begin();
	const char *text = model_text((Model){
		.nodes = SUB("x", SIZE_NODE("n", "x") ", " NEG("x", "t"), "\"x\": " META(7, SIZES, STRIDES) ", \"t\": "
		             META(7, SIZES, STRIDES), "\"n\": " I(2), "t", "t") ", "
		         SUB("t", NEG("t", "n") ", " NEG("n", "m"), "\"t\": " META(7, SIZES, STRIDES) ", \"n\": "
		             META(7, SIZES, STRIDES) ", \"m\": " META(7, SIZES, STRIDES), "", "m", "y"),
		.more_values = ", \"t\": " META(7, SIZES, STRIDES) });
	graft_status status = parse(&s, text, strlen(text));
	CHECK_STR(status ? err.message : "", "");
	CHECK_STR(written(s.g), text);
	CHECK_INT(graft_graph_count(s.g, "neg"), 3);
	end(&s);
}

/* ---- ops that are several of ours ---- */

/* What PyTorch computes of { 0.5, -1.25, 2.5 }, { 3.75, -2.5, 0 }. */
static void gives(const char *node, const float *want)
{
	static const float x[] = { 0.5f, -1.25f, 2.5f, 3.75f, -2.5f, 0 };
	Scene s = begin();
	graft_plan *plan;
	archive(model_text((Model){ .nodes = node }), config("weight_0", "false", META(7, I(3), I(1))));
	CHECK_INT(parse(&s, z.data, z.size), GRAFT_OK);
	const float *y = run_on(&s, x, &plan);
	for (int i = 0; i < 6; i++)
		if (!(y[i] - want[i] <= 4e-6f && want[i] - y[i] <= 4e-6f))
			test_fail(__FILE__, __LINE__, "%.60s: element %d is %g, not %g", node, i, (double)y[i],
			          (double)want[i]);
	graft_plan_free(plan);
	end(&s);
}

#define GIVES(target, args, ...) gives(NODE(target, ARG("self", T("x")) args, "y"), (const float[]){ __VA_ARGS__ })
#define INT(n) "{\"as_int\": " #n "}"
#define FLOAT(v) "{\"as_float\": " #v "}"

TEST(torch_ops_that_round)
{
	GIVES("aten.floor.default", "", 0, -2, 2, 3, -3, 0);
	GIVES("aten.ceil.default", "", 1, -1, 3, 4, -2, 0);
	GIVES("aten.round.default", "", 0, -1, 2, 4, -2, 0);
	GIVES("aten.trunc.default", "", 0, -1, 2, 3, -2, 0);
	GIVES("aten.sign.default", "", 1, -1, 1, 1, -1, 0);
	GIVES("aten.fmod.Scalar", ", " ARG("other", FLOAT(-0.75)), 0.5f, -0.5f, 0.25f, 0, -0.25f, 0);
}

TEST(torch_activations)
{
	GIVES("aten.leaky_relu.default", "", 0.5f, -0.0125f, 2.5f, 3.75f, -0.025f, 0);
	GIVES("aten.hardtanh.default", "", 0.5f, -1, 1, 1, -1, 0);
	GIVES("aten.hardtanh_.default", ", " ARG("max_val", FLOAT(3.0)), 0.5f, -1, 2.5f, 3, -1, 0);
	GIVES("aten.softplus.default", "", 0.974077f, 0.2519291f, 2.5788898f, 3.7732456f, 0.0788897f, 0.6931472f);
	GIVES("aten.elu.default", "", 0.5f, -0.7134952f, 2.5f, 3.75f, -0.917915f, 0);
	GIVES("aten.expm1.default", "", 0.6487213f, -0.7134952f, 11.1824942f, 41.5210838f, -0.917915f, 0);
	GIVES("aten.log_softmax.int", ", " ARG("dim", INT(-1)), -2.1474307f, -3.8974307f, -0.1474308f, -0.0251298f,
	      -6.2751298f, -3.7751298f);
}

static bool is_about(float y, float want)
{
	bool near = y == want || fabsf(y - want) <= 4e-7f * fabsf(want);
	return near && !signbit(y) == !signbit(want);
}

/* y of x is right to seven digits, zeros and infinities to their sign. */
static void gives_of(const char *nodes, const char *values, const float x[6], const float want[6])
{
	Scene s = begin();
	graft_plan *plan;
	archive(model_text((Model){ .nodes = nodes, .more_values = values }),
	        config("weight_0", "false", META(7, I(3), I(1))));
	CHECK_STR(parse(&s, z.data, z.size) ? err.message : "", "");
	const float *y = run_on(&s, x, &plan);
	for (int i = 0; i < 6; i++)
		if (!is_about(y[i], want[i]))
			test_fail(__FILE__, __LINE__, "%.200s: of %g is %.9g, not %.9g", nodes, (double)x[i],
			          (double)y[i], (double)want[i]);
	graft_plan_free(plan);
	end(&s);
}

#define CAST(from, dtype, to)                                                                                          \
	NODE("aten.to.dtype", ARG("self", T(from)) ", " ARG("dtype", "{\"as_scalar_type\": " #dtype "}"), to)
#define LISTED(a, b) "{\"as_tensors\": [{\"name\": \"" a "\"}, {\"name\": \"" b "\"}]}"
#define FMOD(x, by, y) NODE("aten.fmod.Scalar", ARG("self", T(x)) ", " ARG("other", by), y)
#define THROUGH(dtype) ", \"t\": " META(dtype, SIZES, STRIDES) ", \"u\": " META(dtype, SIZES, STRIDES)
#define OF(dtype, result, op, x, ...)                                                                                  \
	gives_of(CAST("x", dtype, "t") ", " NODE(op, ARG("self", T("t")), "u") ", " CAST("u", 7, "y"),                 \
	         ", \"t\": " META(dtype, SIZES, STRIDES) ", \"u\": " META(result, SIZES, STRIDES), x,                  \
	         (const float[]){ __VA_ARGS__ })
#define WHOLE_RANGE(op, ...) do { OF(7, 7, op, far, __VA_ARGS__); OF(8, 8, op, far, __VA_ARGS__); } while (0)
#define OF_BYTES(op, ...) OF(1, 7, op, bytes, __VA_ARGS__)

/* In float32 and float64: nothing cancels where the result is small. */
TEST(torch_functions_keep_small_results)
{
	static const float far[] = { 1e-15f, -1e-30f, 1e-10f, 40, -20, -30 };
	static const float by_one[] = { 1e-15f, -1e-30f, -0.0f, INFINITY, -1, 1e30f };
	WHOLE_RANGE("aten.expm1.default", 1e-15f, -1e-30f, 1.00000001e-10f, 2.35385267e+17f, -0.999999998f, -1);
	WHOLE_RANGE("aten.sinh.default", 1e-15f, -1e-30f, 1.00000001e-10f, 1.17692633e+17f, -242582598.f,
	            -5.34323729e+12f);
	WHOLE_RANGE("aten.elu.default", 1e-15f, -1e-30f, 1.00000001e-10f, 40, -0.999999998f, -1);
	WHOLE_RANGE("aten.softplus.default", 0.693147181f, 0.693147181f, 0.693147181f, 40, 2.06115362e-09f,
	            9.35762297e-14f);
	WHOLE_RANGE("aten.log_sigmoid.default", -0.693147181f, -0.693147181f, -0.693147181f, -4.24835426e-18f, -20,
	            -30);
	WHOLE_RANGE("aten.mish.default", 6.00000002e-16f, -6.00000002e-31f, 6.00000008e-11f, 40, -4.12230724e-08f,
	            -2.80728689e-12f);
	WHOLE_RANGE("aten.cosh.default", 1, 1, 1, 1.17692633e+17f, 242582598.f, 5.34323729e+12f);
	OF(8, 8, "aten.log1p.default", by_one, 1e-15f, -1e-30f, -0.0f, INFINITY, -INFINITY, 69.0775528f);
	OF(7, 7, "aten.log1p.default", by_one, 1e-15f, -1e-30f, -0.0f, INFINITY, -INFINITY, 69.0775528f);
	OF(7, 7, "aten.round.default", by_one, 0, -0.0f, -0.0f, INFINITY, -1, 1e30f);
}

/* The sign is that of the first, a number is rounded to half precision before, the least integer has no magnitude. */
TEST(torch_fmod)
{
	static const float x[] = { 0.5f, -1.25f, 1e-10f, 3.75f, -2.5f, -0.0f }, n[] = { 7, -7, 100, -128, 0, 3 };
	gives_of(FMOD("x", FLOAT(-3.0), "y"), "", x, (const float[]){ 0.5f, -1.25f, 1e-10f, 0.75f, -2.5f, -0.0f });
	gives_of(CAST("x", 13, "t") ", " FMOD("t", FLOAT(0.3), "u") ", " CAST("u", 7, "y"), THROUGH(13), x,
	         (const float[]){ 0.19921875f, -0.046875f, 1.00044417e-10f, 0.140625f, -0.09375f, -0.f });
	gives_of(CAST("x", 5, "t") ", " FMOD("t", INT(-9223372036854775808), "u") ", " CAST("u", 7, "y"), THROUGH(5), n, n);
	gives_of(CAST("x", 5, "t") ", " FMOD("t", INT(-3), "u") ", " CAST("u", 7, "y"), THROUGH(5), n,
	         (const float[]){ 1, -1, 1, -2, 0, 0 });
}

/* A tensor of shape (0,) joins what has more axes; among those of one axis it is one of them. */
TEST(torch_cat_of_nothing)
{
	static const float x[] = { 1, 2, 3, 4, 5, 6 };
	gives_of(NODE("aten.full.default", ARG("size", INTS(0)) ", " ARG("fill_value", INT(9)), "t") ", "
	         NODE("aten.cat.default", ARG("tensors", LISTED("t", "x")) ", " ARG("dim", INT(-2)), "y"),
	         ", \"t\": " META(7, I(0), I(1)), x, x);
	gives_of(NODE("aten.full.default", ARG("size", INTS(0)) ", " ARG("fill_value", INT(9)), "t") ", "
	         NODE("aten.reshape.default", ARG("self", T("x")) ", " ARG("shape", INTS(6)), "u") ", "
	         NODE("aten.cat.default", ARG("tensors", LISTED("t", "u")), "v") ", "
	         NODE("aten.reshape.default", ARG("self", T("v")) ", " ARG("shape", INTS(2, 3)), "y"),
	         ", \"t\": " META(7, I(0), I(1)) ", \"u\": " META(7, I(6), I(1)) ", \"v\": " META(7, I(6), I(1)), x, x);
}

/* Integers are float32 before anything is computed. */
TEST(torch_functions_of_integers)
{
	static const float bytes[] = { 0, 1, 89, 100, 200, 255 };
	OF_BYTES("aten.sinh.default", 0, 1.17520118f, 2.24480639e+38f, INFINITY, INFINITY, INFINITY);
	OF_BYTES("aten.cosh.default", 1, 1.54308057f, 2.24480639e+38f, INFINITY, INFINITY, INFINITY);
	OF_BYTES("aten.log1p.default", 0, 0.693147182f, 4.49980974f, 4.61512041f, 5.30330467f, 5.54517746f);
	OF_BYTES("aten.expm1.default", 0, 1.71828187f, INFINITY, INFINITY, INFINITY, INFINITY);
	OF_BYTES("aten.log2.default", -INFINITY, 0, 6.47573328f, 6.64385605f, 7.64385605f, 7.99435329f);
	OF_BYTES("aten.exp2.default", 1, 2, 6.1897002e+26f, 1.2676506e+30f, INFINITY, INFINITY);
}

TEST(torch_ops_that_move)
{
	GIVES("aten.flip.default", ", " ARG("dims", INTS(0, -1)), 0, -2.5f, 3.75f, 2.5f, -1.25f, 0.5f);
	GIVES("aten.roll.default", ", " ARG("shifts", INTS(1, -1)) ", " ARG("dims", INTS(0, 1)), -2.5f, 0, 3.75f,
	      -1.25f, 2.5f, 0.5f);
	GIVES("aten.pad.default", ", " ARG("pad", INTS(1, -1)) ", " ARG("value", FLOAT(7.0)), 7, 0.5f, -1.25f, 7, 3.75f,
	      -2.5f);
}

TEST(torch_norm_and_blends)
{
	gives(NODE("aten.layer_norm.default", ARG("input", T("x")) ", " ARG("normalized_shape", INTS(3)), "y"),
	      (const float[]){ -0.0543927f, -1.1966395f, 1.2510324f, 1.2977704f, -1.1355492f, -0.1622213f });
	gives(NODE("aten.layer_norm.default", ARG("input", T("x")) ", " ARG("normalized_shape", INTS(3)) ", "
	           ARG("weight", T("p_w")) ", " ARG("bias", T("p_w")), "y"),
	      (const float[]){ 8.5104657f, -0.1966395f, 4.5020648f, 20.6799336f, -0.1355492f, 1.6755574f });
	GIVES("aten.addcmul.default", ", " ARG("tensor1", T("x")) ", " ARG("tensor2", T("x")) ", " ARG("value", INT(2)),
	      1, 1.875f, 15, 31.875f, 10, 0);
	GIVES("aten.lerp.Scalar", ", " ARG("end", T("p_w")) ", " ARG("weight", FLOAT(0.75)), 6.875f, 0.4375f, 2.125f,
	      7.6875f, 0.125f, 1.5f);
}

/* Where nothing moves, too, the result of an op that copies is no view of what it was given. */
TEST(torch_results_are_storage_of_their_own)
{
	static const char *const copies[] = {
		NODE("aten.flip.default", ARG("self", T("x")) ", " ARG("dims", INTS()), "t"),
		NODE("aten.roll.default", ARG("self", T("x")) ", " ARG("shifts", INTS(3)) ", " ARG("dims", INTS(1)), "t"),
		NODE("aten.constant_pad_nd.default", ARG("self", T("x")) ", " ARG("pad", INTS(0, 0)), "t"),
		NODE("aten.repeat_interleave.self_int", ARG("self", T("x")) ", " ARG("repeats", INT(1)) ", "
		     ARG("dim", INT(1)), "t"),
	};
	static const float x[] = { 1, 2, 3, 4, 5, 6 };
	for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
		Scene s = begin();
		graft_plan *plan;
		char nodes[4096];
		snprintf(nodes, sizeof nodes, "%s, %s, %s", copies[i], NODE("aten.zero_.default", ARG("self", T("t")), "u"), MUL);
		archive(model_text((Model){ .nodes = nodes, .more_values = ", \"t\": " META(7, SIZES, STRIDES)
		                            ", \"u\": " META(7, SIZES, STRIDES) }),
		        config("weight_0", "false", META(7, I(3), I(1))));
		CHECK_INT(parse(&s, z.data, z.size), GRAFT_OK);
		const float *y = run_on(&s, x, &plan);
		CHECK(y[0] == 9 && y[1] == 2 && y[2] == 6 && y[3] == 36 && y[5] == 12);
		graft_plan_free(plan);
		end(&s);
	}
}

/* How many elements a mask chooses does not matter when all of them become one value. */
TEST(torch_mask_as_index)
{
	static const float x[] = { 0.5f, -1.25f, 2.5f, 3.75f, -2.5f, 0 };
	const char *nodes[] = {
		NODE("aten.gt.Scalar", ARG("self", T("x")) ", " ARG("other", INT(0)), "m") ", "
		NODE("aten.full.default", ARG("size", INTS()) ", " ARG("fill_value", INT(9)), "v") ", "
		NODE("aten.index_put_.default", ARG("self", T("x")) ", "
		     ARG("indices", "{\"as_optional_tensors\": [" T("m") "]}") ", " ARG("values", T("v")), "y"),
		NODE("aten.gt.Scalar", ARG("self", T("x")) ", " ARG("other", INT(0)), "m") ", "
		NODE("aten.full.default", ARG("size", INTS(1)) ", " ARG("fill_value", INT(9)), "w") ", "
		NODE("aten.index_put.default", ARG("self", T("x")) ", "
		     ARG("indices", "{\"as_optional_tensors\": [" T("m") "]}") ", " ARG("values", T("w")), "y"),
	};
	for (int i = 0; i < 2; i++) {
		Scene s = begin();
		graft_plan *plan;
		archive(model_text((Model){ .nodes = nodes[i], .more_values = ", \"m\": " META(12, SIZES, STRIDES)
		                            ", \"v\": " META(7, "", "") ", \"w\": " META(7, I(1), I(1)) }),
		        config("weight_0", "false", META(7, I(3), I(1))));
		CHECK_INT(parse(&s, z.data, z.size), GRAFT_OK);
		if (!i) {
			const float *y = run_on(&s, x, &plan);
			CHECK(y[0] == 9 && y[1] == -1.25f && y[2] == 9 && y[3] == 9 && y[5] == 0);
		} else {
			CHECK_INT(graft_plan_new(s.g, NULL, NULL, &plan, &err), GRAFT_E_UNSUPPORTED);
			CHECK_HAS(err.message, "how many elements that is, only a run can say");
		}
		if (!i)
			graft_plan_free(plan);
		end(&s);
	}
}

TEST(torch_node_without_a_result)
{
	Scene s = begin();
	const char *text = model_text((Model){
		.nodes = MUL ", {\"target\": \"torch.ops.aten.to.dtype\", \"inputs\": [" ARG("self", T("x")) "], "
		         "\"outputs\": []}, {\"target\": \"torch.ops.aten.zeros.default\", \"inputs\": [], "
		         "\"outputs\": []}" });
	CHECK_INT(parse(&s, text, strlen(text)), GRAFT_OK);
	CHECK_STR(written(s.g), text);
	end(&s);
}

/* ---- expressions ---- */

#define EXPR(s) "{\"as_expr\": {\"expr_str\": \"" s "\", \"hint\": " I(4) "}}"

typedef struct Sizing { graft_context *ctx; const char *json; char text[256]; } Sizing;

static void size_body(Job *job, void *arg)
{
	Sizing *s = arg;
	Graph *g = graph_new(job, s->ctx, "g");
	Json v = json_check(&job->scratch, s->json, strlen(s->json), "test", GRAFT_E_GRAPH);
	snprintf(s->text, sizeof s->text, "%s", dim_string(&job->scratch, torch_expr(g, v)));
}

static const char *size_of(const char *json)
{
	static Sizing s;
	s = (Sizing){ .json = json };
	CHECK_INT(graft_context_new(NULL, &s.ctx, NULL), GRAFT_OK);
	graft_status status = guarded(context_allocator(s.ctx), size_body, &s, &err);
	graft_context_free(s.ctx);
	return status ? err.message : s.text;
}

TEST(torch_expressions)
{
	CHECK_STR(size_of("\"Integer(12)\""), "12");
	CHECK_STR(size_of("\"Symbol('s77', integer=True, positive=True)\""), "s77");
	CHECK_STR(size_of("\"Add(Mul(Integer(2), Symbol('s77', integer=True)), Integer(-1))\""), "2*s77 - 1");
	CHECK_STR(size_of("\"Pow(Symbol('s0'), Integer(2))\""), "s0*s0");
	CHECK_STR(size_of("\"torch.utils._sympy.functions.FloorDiv(Symbol('s0'), Integer(2))\""), "floordiv(s0, 2)");
	CHECK_STR(size_of("\"Max(Integer(1), Symbol('u0'))\""), "max(1, u0)");
	CHECK_STR(size_of("\"s77\""), "s77");
}

TEST(torch_expressions_that_mean_nothing_here)
{
	CHECK_HAS(size_of("\"__import__(Symbol('os'))\""), "expr_");
	CHECK_HAS(size_of("\"Pow(Symbol('s0'), Symbol('s1'))\""), "expr_");
	CHECK_HAS(size_of("\"Symbol('a b')\""), "expr_");
	CHECK_HAS(size_of("\"FloorDiv(Symbol('s0'), Integer(0))\""), "divided by 0");
	CHECK_HAS(size_of("\"Add(Integer(1)\""), "wanted ',' or ')'");
	CHECK_HAS(size_of("\"Add(Integer(1)) + 2\""), "wanted the end of the expression");
	CHECK_HAS(size_of("\"Integer(99999999999999999999)\""), "64 bits");
	CHECK_HAS(size_of("\"Symbol('s0\""), "end of a quoted name");
	CHECK_HAS(size_of("\"\""), "wanted a name or an integer");
	CHECK_HAS(size_of("\"Mul(Integer(9223372036854775807), Integer(4))\""), "leaves the 64-bit integers");
}

TEST(torch_expression_a_million_deep)
{
	const size_t deep = 1000000;
	char *json = malloc(4 * deep + 3);
	CHECK(json);
	json[0] = '"';
	for (size_t i = 0; i < deep; i++)
		memcpy(json + 1 + 4 * i, "Add(", 4);
	memcpy(json + 1 + 4 * deep, "\"", 2);
	const char *message = size_of(json);
	free(json);
	CHECK_HAS(message, "nested deeper than 64 levels");
}

TEST(torch_expression_cut_or_damaged)
{
	static const char whole[] = "Add(Mul(Integer(2), Symbol('s77', integer=True)), FloorDiv(Symbol('s0'), "
		"Integer(3)))";
	char json[sizeof whole + 2];
	for (size_t n = 0; n < sizeof whole - 1; n++) {
		snprintf(json, sizeof json, "\"%.*s\"", (int)n, whole);
		CHECK(*size_of(json));
	}
	for (size_t at = 0; at < sizeof whole - 1; at++)
		for (const char *c = "(),'=0A ."; *c; c++) {
			snprintf(json, sizeof json, "\"%s\"", whole);
			json[at + 1] = *c;
			CHECK(*size_of(json));
		}
}

/* ---- refusals: the graph ---- */

TEST(torch_names)
{
	refuses_model((Model){ .nodes = NODE("aten.neg.default", ARG("self", T("gone")), "y") }, GRAFT_E_GRAPH,
	              "says what \"gone\" is");
	refuses_model((Model){ .nodes = NODE("aten.neg.default", ARG("self", T("y")), "y") }, GRAFT_E_GRAPH,
	              "nothing before makes it");
	refuses_model((Model){ .nodes = MUL ", " MUL }, GRAFT_E_GRAPH, "was made before");
	refuses_model((Model){ .nodes = NODE("aten.neg.default", ARG("self", T("x")), "x") }, GRAFT_E_GRAPH,
	              "was made before");
	refuses_model((Model){ .nodes = "" }, GRAFT_E_GRAPH, "output 'y' is made by nothing");
	refuses_model((Model){ .output = "q" }, GRAFT_E_GRAPH, "says what \"q\" is");
	refuses_model((Model){ .more_values = ", \"z\\u0041\": {}" }, GRAFT_E_GRAPH, "holds escapes");
	refuses_model((Model){ .nodes = "{\"target\": \"a\", \"inputs\": []}" }, GRAFT_E_GRAPH,
	              "\"outputs\" is missing");
	refuses_model((Model){ .nodes = "{\"target\": \"\", \"inputs\": [], \"outputs\": []}" }, GRAFT_E_GRAPH,
	              "must not be empty");
}

/* Found while our ops were being tried, and again when the node was to be kept as it is. */
TEST(torch_arguments)
{
	refuses_model((Model){ .nodes = NODE("aten.add.Tensor",
	                                     ARG("self", T("x")) ", " ARG("other", "{\"as_float\": \"much\"}"), "y") },
	              GRAFT_E_GRAPH, "wanted a float");
	refuses_model((Model){ .nodes = NODE("aten.squeeze.dims",
	                                     ARG("self", T("x")) ", " ARG("dim", "{\"as_ints\": [true]}"), "y") },
	              GRAFT_E_GRAPH, "wanted an integer, found a boolean");
	refuses_model((Model){ .nodes = NODE("aten.neg.default", ARG("self", "{}"), "y") }, GRAFT_E_GRAPH,
	              "found an empty one");
	refuses_model((Model){ .nodes = NODE("aten.neg.default", ARG("self", "{\"as_none\": true, \"as_int\": 1}"),
	                                     "y") }, GRAFT_E_GRAPH,
	              "found more");
}

TEST(torch_sizes)
{
	refuses_model((Model){ .x_sizes = I(-1) }, GRAFT_E_GRAPH, "at least 0, found -1");
	refuses_model((Model){ .x_sizes = I(4611686018427387904) ", " I(4) }, GRAFT_E_GRAPH, "a tensor with");
	refuses_model((Model){ .x_sizes = I(9223372036854775808) }, GRAFT_E_GRAPH, "beyond 64 bits");
	refuses_model((Model){ .x_sizes = "{\"as_float\": 2.0}" }, GRAFT_E_GRAPH, "wanted a size");
	refuses_model((Model){ .x_sizes = EXPR("Add(Integer(1)") }, GRAFT_E_GRAPH, "wanted ',' or ')'");
	refuses_model((Model){ .version = "9" }, GRAFT_E_UNSUPPORTED, "schema version 9");
	char many[GRAFT_MAX_RANK * 16 + 64] = I(1);
	for (int i = 0; i < GRAFT_MAX_RANK; i++)
		strcat(many, ", " I(1));
	refuses_model((Model){ .x_sizes = many }, GRAFT_E_GRAPH, "65 axes");
}

/* A size that cannot be worked out is a symbol; equal texts are equal sizes. */
TEST(torch_unknown_size_survives)
{
	Scene s = begin();
	const char *text = model_text((Model){ .x_sizes = EXPR("Odd(Symbol('s0'))") ", " I(3) });
	graft_status status = parse(&s, text, strlen(text));
	CHECK_STR(status ? err.message : "", "");
	CHECK_INT(graft_graph_count(s.g, "mul"), 1);
	end(&s);
}

TEST(torch_cut_anywhere)
{
	const char *text = model_text((Model){ 0 });
	size_t size = strlen(text);
	for (size_t n = 0; n < size; n++) {
		char *copy = malloc(n ? n : 1);
		Scene s = begin();
		CHECK(copy);
		memcpy(copy, text, n);
		graft_status status = parse(&s, copy, n);
		free(copy);
		end(&s);
		CHECK(status != GRAFT_OK);
	}
}

/* ---- refusals: the data ---- */

#define VIEW(dtype, sizes, strides, offset) \
	"{\"dtype\": " #dtype ", \"sizes\": [" sizes "], \"strides\": [" strides "], \"storage_offset\": " offset "}"

TEST(torch_views_that_leave_their_storage)
{
	static const char *const metas[] = {
		VIEW(7, I(3), I(1), I(4)), VIEW(7, I(3), I(3), I(0)), VIEW(7, I(3), I(4611686018427387904), I(0)),
		VIEW(7, I(3), I(1), I(9223372036854775807)), VIEW(7, I(3), I(1), I(4611686018427387903)),
	};
	for (size_t i = 0; i < sizeof metas / sizeof *metas; i++)
		refuses_archive(config("weight_0", "false", metas[i]), GRAFT_E_DATA, "reach beyond the 24 bytes");
	refuses_archive(config("weight_0", "false", VIEW(7, I(3), I(-1), I(2))), GRAFT_E_DATA, "found -1");
}

TEST(torch_weights_that_do_not_fit)
{
	refuses_archive(config("weight_0", "false", VIEW(7, I(4), I(1), I(0))), GRAFT_E_DATA, "not that of 'p_w'");
	refuses_archive(config("weight_0", "false", VIEW(13, I(3), I(1), I(0))), GRAFT_E_DATA, "not that of 'p_w'");
	refuses_archive(config("weight_0", "false", VIEW(7, I(3), "", I(0))), GRAFT_E_DATA, "1 sizes, but 0 strides");
	refuses_archive(config("weight_7", "false", VIEW(7, I(3), I(1), I(0))), GRAFT_E_DATA,
	                "the archive holds no m/data/weights/weight_7");
	refuses_archive(config("../../models/model.json", "false", VIEW(7, I(3), I(1), I(0))), GRAFT_E_DATA,
	                "the archive holds no");
	refuses_archive("{\"config\": {}}", GRAFT_E_DATA, "its data are missing");
	refuses_archive(NULL, GRAFT_E_DATA, "its data are missing");
	refuses_archive("{\"config\": {}", GRAFT_E_SYNTAX, "found the end");
}

/* Such an archive can be rewritten; what runs it must bring the weights. */
static void wants_weights(void)
{
	static float w[] = { 9, 1, 2 };
	Scene s = begin();
	graft_plan *plan;
	graft_tensors *in;
	graft_status status = parse(&s, z.data, z.size);
	CHECK_STR(status ? err.message : "", "");
	CHECK_INT(graft_tensors_new(s.ctx, &in, &err), GRAFT_OK);
	CHECK_INT(graft_plan_new(s.g, NULL, in, &plan, &err), GRAFT_E_UNSUPPORTED);
	CHECK_HAS(err.message, "no data for input x: f32[2, 3], param p_w: f32[3]; give them as inputs");
	CHECK_HAS(err.message, "graft runs no pickles: write it again with torch.export.save of torch 2.9 or later");
	graft_tensor t = { w, (int64_t[]){ 3 }, (int64_t[]){ 1 }, 1, GRAFT_DTYPE_f32 };
	CHECK_INT(graft_tensors_set(in, "m.w", &t, &err), GRAFT_OK);
	t.rank = 2, t.shape = (int64_t[]){ 2, 3 }, t.stride = (int64_t[]){ 0, 1 };
	CHECK_INT(graft_tensors_set(in, "x", &t, &err), GRAFT_OK);
	status = graft_plan_new(s.g, NULL, in, &plan, &err);
	CHECK_STR(status ? err.message : "", "");
	graft_tensors_free(in);
	graft_plan_free(plan);
	end(&s);
}

TEST(torch_pickled_weights)
{
	archive(model_text((Model){ 0 }), config("weight_0", "true", META(7, I(3), I(1))));
	wants_weights();
	memset(&z, 0, sizeof z);
	const char *text = model_text((Model){ 0 });
	zip_put(&z, "m/models/model.json", text, strlen(text));
	zip_put(&z, "m/data/weights/model.pt", "\x80\x02", 2);
	zip_finish(&z);
	wants_weights();
	memset(&z, 0, sizeof z);
	zip_put(&z, "serialized_exported_program.json", text, strlen(text));
	zip_put(&z, "serialized_state_dict.pt", "\x80\x02", 2);
	zip_finish(&z);
	wants_weights();
}

TEST(torch_archives_without_one_model)
{
	memset(&z, 0, sizeof z);
	zip_put(&z, "m/archive_format", "pt2", 3);
	zip_finish(&z);
	refuses(z.data, z.size, GRAFT_E_GRAPH, "not written by torch.export.save");
	memset(&z, 0, sizeof z);
	zip_put(&z, "m/models/a.json", "{}", 2);
	zip_put(&z, "m/models/b.json", "{}", 2);
	zip_finish(&z);
	refuses(z.data, z.size, GRAFT_E_UNSUPPORTED, "several models, a.json and b.json");
}

TEST(torch_damaged_model)
{
	archive(model_text((Model){ 0 }), config("weight_0", "false", META(7, I(3), I(1))));
	z.data[z.local[2] + 200] ^= 1;
	refuses(z.data, z.size, GRAFT_E_DATA, "checksum");
}

/* ---- what is written ---- */

TEST(torch_untouched_is_written_as_it_was)
{
	Scene s = begin();
	const char *text = model_text((Model){ 0 });
	CHECK_INT(parse(&s, text, strlen(text)), GRAFT_OK);
	CHECK_STR(written(s.g), text);
	graft_graph *copy;
	CHECK_INT(graft_graph_copy(s.g, &copy, &err), GRAFT_OK);
	graft_graph_free(s.g);                        /* the copy keeps the document */
	s.g = copy;
	CHECK_STR(written(s.g), text);
	end(&s);
}

TEST(torch_archive_is_written_as_it_was)
{
	char folder[64], path[96];
	snprintf(folder, sizeof folder, "%s/graft-XXXXXX", P_tmpdir);
	CHECK(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/out.pt2", folder);
	Scene s = begin();
	archive(model_text((Model){ 0 }), config("weight_0", "false", META(7, I(3), I(1))));
	CHECK_INT(parse(&s, z.data, z.size), GRAFT_OK);
	graft_status status = graft_graph_save(s.g, path, GRAFT_FORMAT_AUTO, &err);
	graft_graph_free(s.g);
	s.g = NULL;
	graft_status again = graft_graph_load(s.ctx, path, &s.g, &err);
	unlink(path);
	rmdir(folder);
	CHECK_INT(status, GRAFT_OK);
	CHECK_INT(again, GRAFT_OK);
	CHECK_STR(written(s.g), model_text((Model){ 0 }));
	graft_plan *plan;
	CHECK(run(&s, &plan)[5] == 20);
	graft_plan_free(plan);
	end(&s);
}

/* A signature that is not whole is found when it is read back, if nothing had to look at it before. */
TEST(torch_what_does_not_read_back_is_not_written)
{
	Scene s = begin();
	const char *text = model_text((Model){ .nodes = MUL ", " NODE("aten.neg.default", ARG("self", T("x")), "dead"),
	                                       .more_values = ", \"dead\": " META(7, SIZES, STRIDES) });
	char *name = strstr(strstr(text, "\"output_specs\""), "\"name\"");
	memcpy(name, "\"nome\"", 6);
	CHECK_INT(parse(&s, text, strlen(text)), GRAFT_OK);
	CHECK_STR(written(s.g), text);
	CHECK_INT(graft_optimize(s.g, NULL, NULL, &err), GRAFT_OK);
	sink.size = 0;
	CHECK_INT(graft_graph_print(s.g, GRAFT_FORMAT_PT2JSON, keep, &sink, &err), GRAFT_E_RULE);
	CHECK_HAS(err.message, "cannot be read back: ");
	CHECK_INT(sink.size, 0);
	end(&s);
}

TEST(torch_only_what_was_imported_is_written)
{
	Scene s = begin();
	static const char text[] = "graph g\ninput x: f32[2]\ny = neg(x)\noutput y\n";
	CHECK_INT(parse(&s, text, sizeof text - 1), GRAFT_OK);
	CHECK_INT(graft_graph_print(s.g, GRAFT_FORMAT_PT2JSON, keep, &sink, &err), GRAFT_E_USAGE);
	CHECK_HAS(err.message, "only a graph that was read from a torch.export file");
	CHECK_INT(graft_graph_set_torch_op(s.g, "norm", &err), GRAFT_E_USAGE);
	CHECK_INT(graft_graph_set_torch_op(s.g, "a::b c", &err), GRAFT_E_USAGE);
	CHECK_INT(graft_graph_set_torch_op(s.g, "vllm::norm", &err), GRAFT_OK);
	end(&s);
}

/* ---- memory ---- */

static graft_status load_and_write(Shortage *m)
{
	graft_context *ctx;
	graft_graph *g = NULL;
	graft_status status = graft_context_new(&(graft_allocator){ shortage_resize, m }, &ctx, &err);
	if (status)
		return status;
	sink.size = 0;
	status = graft_graph_parse(ctx, z.data, z.size, "test", &g, &err);
	if (!status)
		status = graft_optimize(g, NULL, NULL, &err);
	if (!status)
		status = graft_graph_print(g, GRAFT_FORMAT_PT2JSON, keep, &sink, &err);
	graft_graph_free(g);
	graft_context_free(ctx);
	return status;
}

TEST(torch_every_allocation_fails_once)
{
	archive(model_text((Model){ .nodes = MUL ", " NODE("aten.mul_.Tensor",
	                                                   ARG("self", T("y")) ", " ARG("other", T("x")), "t"),
	                            .more_values = ", \"t\": " META(7, SIZES, STRIDES), .output = "t" }),
	        config("weight_0", "false", META(7, I(3), I(1))));
	graft_status status = GRAFT_E_NOMEM;
	long nth = 1;
	for (; status == GRAFT_E_NOMEM && nth < 10000; nth++) {
		Shortage m = { .fail_at = nth };
		status = load_and_write(&m);
		CHECK_INT(m.held, 0);
	}
	CHECK_INT(status, GRAFT_OK);
	CHECK(nth > 20);
}

/* ---- the table ---- */

static void check_body(Job *job, void *arg)
{
	(void)arg;
	torch_rows_check(job);
	torch_autocast_check(job);
}

TEST(torch_rows_name_what_is_there)
{
	graft_context *ctx;
	CHECK_INT(graft_context_new(NULL, &ctx, NULL), GRAFT_OK);
	graft_status status = guarded(context_allocator(ctx), check_body, NULL, &err);
	graft_context_free(ctx);
	CHECK_STR(status ? err.message : "", "");
}
