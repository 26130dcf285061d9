/* torch_schema.c - PyTorch's schemas: the table, what it says of effects, and nodes held against it. */
#include "../../src/io/torch_schema.h"
#include "test.h"
#include <stdlib.h>
#include <strings.h>

static graft_error err;

typedef struct Task { void (*run)(Arena *a); } Task;

static void task_body(Job *job, void *arg)
{
	((Task *)arg)->run(&job->scratch);
}

static void with_arena(void (*run)(Arena *a))
{
	graft_context *ctx;
	CHECK_INT(graft_context_new(NULL, &ctx, NULL), GRAFT_OK);
	graft_status status = guarded(context_allocator(ctx), task_body, &(Task){ run }, &err);
	graft_context_free(ctx);
	CHECK_STR(status ? err.message : "", "");
}

/* ---- the table ---- */

static void every_row(Arena *a)
{
	const char *last = "", *target;
	for (size_t i = 0; (target = torch_schema_target(i)); i++) {
		TorchSchema s;
		Mark mark = arena_mark(a);
		if (strcmp(last, target) >= 0)
			test_fail(__FILE__, __LINE__, "%s stands behind %s", target, last);
		CHECK(torch_schema(a, target, &s));
		CHECK_STR(s.target, target);
		for (uint32_t k = 0; k < s.n_args; k++)
			if (!*s.arg[k].name || torch_schema_arg(&s, s.arg[k].name, strlen(s.arg[k].name)) != &s.arg[k])
				test_fail(__FILE__, __LINE__, "%s: argument %u '%s'", target, k, s.arg[k].name);
		arena_release(a, mark);
		last = target;
	}
}

TEST(schema_rows_are_sorted_and_can_be_read)
{
	with_arena(every_row);
}

/* A row's condition is left out where the schema has a default: it must be the same. */
static void is_usual(const TorchSchema *s, TorchAttr a)
{
	const TorchSchemaArg *arg = torch_schema_arg(s, a.arg.s, a.arg.n);
	char word[32] = "";
	memcpy(word, a.fallback.s, a.fallback.n < sizeof word ? a.fallback.n : 0);
	if (!arg->fallback || !strcasecmp(arg->fallback, word))
		return;
	if (!strchr("0123456789", *word) || strtod(arg->fallback, NULL) != strtod(word, NULL))
		test_fail(__FILE__, __LINE__, "torch_ops.def: %s has %s=%s, not %s", s->target, arg->name,
		          arg->fallback, word);
}

static void has_arg(const TorchSchema *s, TorchWord w)
{
	if (w.n && !(w.n == 4 && !memcmp(w.s, "none", 4)) && !torch_schema_arg(s, w.s, w.n))
		test_fail(__FILE__, __LINE__, "torch_ops.def: %s has no argument '%.*s'", s->target, (int)w.n, w.s);
}

static void rows_of_ours(Arena *a)
{
	const TorchRow *row;
	for (size_t i = 0; (row = torch_row_at(i)); i++) {
		TorchSchema s;
		TorchWord w;
		if (strncmp(row->target, "aten.", 5))
			continue;
		if (!torch_schema(a, row->target, &s))
			test_fail(__FILE__, __LINE__, "torch_ops.def: PyTorch has no %s", row->target);
		for (const char *list = row->operands; torch_word(&list, &w);)
			has_arg(&s, torch_operand_word(w).arg);
		for (const char *list = row->attrs; torch_word(&list, &w);)
			has_arg(&s, torch_attr_word(w).arg);
		for (const char *list = row->attrs; row->writing != TORCH_READ && torch_word(&list, &w);)
			if (torch_attr_word(w).kind == TORCH_CONDITION)
				is_usual(&s, torch_attr_word(w));
	}
}

TEST(schema_of_every_op_that_graft_knows)
{
	with_arena(rows_of_ours);
}

/* ---- rows taken apart ---- */

static const TorchSchemaArg *arg_of(const TorchSchema *s, const char *name)
{
	const TorchSchemaArg *arg = torch_schema_arg(s, name, strlen(name));
	CHECK(arg);
	return arg;
}

static void some_rows(Arena *a)
{
	TorchSchema s;
	CHECK(torch_schema(a, "aten.add_.Tensor", &s));
	CHECK_INT(s.n_args, 3);
	CHECK_STR(s.arg[0].type, "Tensor");
	CHECK(s.arg[0].written && !s.arg[1].written && !s.arg[1].keyword && s.arg[2].keyword && s.numbers);
	CHECK_STR(s.arg[2].fallback, "1");
	CHECK(torch_schema(a, "aten.sum.dim_IntList", &s));
	CHECK_STR(arg_of(&s, "dim")->type, "int[1]?");
	CHECK(!arg_of(&s, "dim")->fallback);
	CHECK_STR(arg_of(&s, "dtype")->type, "ScalarType?");
	CHECK(torch_schema(a, "aten.conv2d.default", &s));
	CHECK_STR(arg_of(&s, "stride")->fallback, "[1, 1]");
	CHECK_STR(arg_of(&s, "groups")->type, "SymInt");
	CHECK(torch_schema(a, "aten.linalg_eigh.default", &s));
	CHECK_STR(arg_of(&s, "UPLO")->fallback, "\"L\"");
	CHECK_INT(s.n_results, 2);
	CHECK_STR(s.result[1].name, "eigenvectors");
	CHECK(torch_schema(a, "aten._foreach_add_.Scalar", &s));
	CHECK_INT(s.n_results, 0);
	CHECK_STR(s.arg[0].type, "Tensor[]");
	CHECK(s.arg[0].written);
	CHECK(!torch_schema(a, "aten.add.NoSuch", &s));
	CHECK(!torch_schema(a, "mylib.rotate.default", &s));
	CHECK(!torch_schema(a, "", &s));
}

TEST(schema_arguments_and_results)
{
	with_arena(some_rows);
}

static bool writes(Arena *a, const char *target, const char *name)
{
	TorchSchema s;
	CHECK(torch_schema(a, target, &s));
	return torch_schema_writes(&s, arg_of(&s, name));
}

static bool shares(Arena *a, const char *target, const char *name)
{
	TorchSchema s;
	CHECK(torch_schema(a, target, &s));
	return torch_schema_shares(&s, 0, arg_of(&s, name));
}

static bool is_random(Arena *a, const char *target)
{
	TorchSchema s;
	CHECK(torch_schema(a, target, &s));
	return s.random;
}

static void effects(Arena *a)
{
	CHECK(writes(a, "aten.index_copy_.default", "self") && !writes(a, "aten.index_copy_.default", "source"));
	CHECK(writes(a, "aten.cos.out", "out") && !writes(a, "aten.cos.out", "self"));
	CHECK(writes(a, "aten._foreach_mul_.List", "self") && !writes(a, "aten._foreach_mul_.List", "other"));
	CHECK(writes(a, "aten._native_batch_norm_legit.default", "running_var"));
	CHECK(writes(a, "aten.native_batch_norm.default", "running_mean"));
	CHECK(!writes(a, "aten.native_batch_norm.default", "training") &&
	      !writes(a, "aten.native_batch_norm.default", "input"));
	CHECK(!writes(a, "aten._native_batch_norm_legit_no_training.default", "running_mean"));

	CHECK(!shares(a, "aten.index_copy.default", "self") && !shares(a, "aten.index_copy.default", "source"));
	CHECK(shares(a, "aten.index_copy_.default", "self") && !shares(a, "aten.index_copy_.default", "source"));
	CHECK(shares(a, "aten.view.default", "self") && !shares(a, "aten.view.default", "size"));
	CHECK(shares(a, "aten.unbind.int", "self") && shares(a, "aten.split.Tensor", "self"));
	CHECK(shares(a, "aten.expand_as.default", "self") && !shares(a, "aten.expand_as.default", "other"));
	CHECK(shares(a, "aten.type_as.default", "self") && shares(a, "aten.broadcast_tensors.default", "tensors"));
	CHECK(shares(a, "aten.dropout.default", "input") && !shares(a, "aten.convolution.default", "input"));

	CHECK(shares(a, "aten._unsafe_view.default", "self") && shares(a, "aten.unsafe_split.Tensor", "self"));

	CHECK(is_random(a, "aten.bernoulli.p") && is_random(a, "aten.randn.default"));
	CHECK(!is_random(a, "aten.zeros.default"));
}

TEST(schema_effects)
{
	with_arena(effects);
}

/* ---- nodes ---- */

#define T(name) "{\"as_tensor\": {\"name\": \"" name "\"}}"
#define ARG(name, arg, kind) "{\"name\": \"" name "\", \"arg\": " arg ", \"kind\": " #kind "}"
#define X ARG("self", T("x"), 1)

static const char *fault(Arena *a, const char *target, const char *inputs)
{
	const char *text = arena_printf(a, "{\"target\": \"torch.ops.%s\", \"inputs\": [%s], \"outputs\": []}",
	                                target, inputs);
	const char *why = torch_schema_check_node(a, json_check(a, text, strlen(text), "test", GRAFT_E_GRAPH));
	return why ? why : "";
}

static void nodes(Arena *a)
{
	CHECK_STR(fault(a, "aten.add.Tensor", X ", " ARG("other", "{\"as_float\": 1.0}", 1)), "");
	CHECK_STR(fault(a, "aten.gt.Scalar", X ", " ARG("other", "{\"as_int\": 0}", 1)), "");
	CHECK_STR(fault(a, "aten.gt.Tensor", X ", " ARG("other", "{\"as_int\": 0}", 1)),
	          "other of aten.gt.Tensor is a Tensor, found as_int");
	CHECK_STR(fault(a, "aten.gt.Scalar", X ", " ARG("other", T("y"), 1)),
	          "other of aten.gt.Scalar is a Scalar, found as_tensor");
	CHECK_STR(fault(a, "aten.div.Tensor_mode", X ", " ARG("other", T("y"), 1)),
	          "aten.div.Tensor_mode needs the argument 'rounding_mode'");
	CHECK_STR(fault(a, "aten.sum.dim_IntList", X ", " ARG("keepdim", "{\"as_bool\": true}", 1)),
	          "keepdim is given by place, and dim in front of it is not given");
	CHECK_STR(fault(a, "aten.sum.dim_IntList", X ", " ARG("dim", "{\"as_none\": true}", 1) ", "
	                ARG("dtype", "{\"as_scalar_type\": 7}", 2)), "");
	CHECK_STR(fault(a, "aten.sum.dim_IntList", X ", " ARG("dim", "{\"as_ints\": [1]}", 1) ", "
	                ARG("dtype", "{\"as_scalar_type\": 7}", 1)),
	          "dtype is given by place, and aten.sum.dim_IntList takes it by name only");
	CHECK_STR(fault(a, "aten.neg.default", X ", " X), "self is given twice");
	CHECK_STR(fault(a, "aten.neg.default", ARG("input", T("x"), 1)), "aten.neg.default has no argument 'input'");
	CHECK_STR(fault(a, "aten.index.Tensor", X ", " ARG("indices", "{\"as_optional_tensors\": []}", 1)), "");
	CHECK_STR(fault(a, "aten.cat.default", ARG("tensors", "{\"as_tensors\": []}", 1)), "");
	CHECK_STR(fault(a, "aten.cat.default", ARG("tensors", T("x"), 1)),
	          "tensors of aten.cat.default is a Tensor[], found as_tensor");
	CHECK_STR(fault(a, "aten.relu.default", ARG("self", "{\"as_new\": 1}", 1)), "");
	CHECK_STR(fault(a, "mylib.rotate.default", ARG("by", "{\"as_int\": 1}", 1)), "");
}

TEST(schema_holds_nodes_against_it)
{
	with_arena(nodes);
}
