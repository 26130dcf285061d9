/* torch_spell.c - nodes as PyTorch's schemas want them. */
#include "../../src/io/torch_schema.h"
#include "../../src/io/torch_spell.h"
#include "test.h"

static graft_error err;

#define META(dtype)                                                                                                   \
	"{\"dtype\": " #dtype ", \"sizes\": [{\"as_int\": 2}], \"requires_grad\": false, \"device\": "                \
	"{\"type\": \"cuda\", \"index\": 1}, \"strides\": [{\"as_int\": 1}], \"storage_offset\": {\"as_int\": 0}, "   \
	"\"layout\": 7}"
#define T(name) "{\"as_tensor\": {\"name\": \"" name "\"}}"

/* The file that nodes are spelled for. */
static const char model[] =
	"{\"graph_module\": {\"graph\": {\"inputs\": [" T("v") "], \"outputs\": [" T("w") "], \"nodes\": [{\"target\": "
	"\"torch.ops.aten.neg.default\", \"inputs\": [{\"name\": \"self\", \"arg\": " T("v") ", \"kind\": 1}], "
	"\"outputs\": [" T("w") "], \"metadata\": {}, \"name\": \"w\"}], \"tensor_values\": {\"v\": " META(7) ", "
	"\"w\": " META(7) "}, \"sym_int_values\": {}}, \"signature\": {\"input_specs\": [{\"user_input\": {\"arg\": "
	T("v") "}}], \"output_specs\": [{\"user_output\": {\"arg\": " T("w") "}}]}}, \"range_constraints\": {}, "
	"\"symbols\": \"Symbol('S', integer=True) Symbol('R', integer=True)\", \"schema_version\": {\"major\": 8, "
	"\"minor\": 17}}";

typedef struct Task { graft_context *ctx; const char *line, *torch_op; char text[1024]; } Task;

/* as_tensor: its name; as_none: None; others: their JSON. */
static void put_arg(Text *t, Json arg)
{
	TorchUnion u = torch_union(arg);
	Json v = u.tag == TAG_tensor ? json_member_need(u.value, "name") : u.value;
	if (u.tag == TAG_none)
		text_puts(t, "None");
	else if (u.tag == TAG_tensor)
		text_add(t, v.at + 1, torch_name_size(v.at));
	else
		text_add(t, v.at, (size_t)(json_skip_value(v.text, v.at) - v.at));
}

/* As a call in Python: arguments by place, then by name. */
static const char *as_call(Arena *a, Json node)
{
	Text t = { .arena = a };
	size_t n;
	const char *target = json_text(a, json_member_need(node, "target"), &n);
	text_printf(&t, "%.*s(", (int)n - 10, target + 10);
	const char *between = "";
	for (JsonList l = json_list(json_member_need(node, "inputs"), JSON_ARRAY); json_more(&l); between = ", ") {
		const char *name = json_text(a, json_member_need(l.here, "name"), &n);
		text_puts(&t, between);
		if (json_int(json_member_need(l.here, "kind"), 1, 2) == 2)
			text_printf(&t, "%.*s=", (int)n, name);
		put_arg(&t, json_member_need(l.here, "arg"));
	}
	text_puts(&t, ")");
	return t.text;
}

static Graph *parse_line(Job *job, const Task *task)
{
	const char *text = arena_printf(&job->scratch,
		"graph g\nsymbol S in [2, 9]\nsymbol R in [2, 9]\nsymbol Q in [2, 9]\ninput x: f32[2, 3]\n"
		"input h: bf16[2, 4]\ninput b: bool[2, 3]\ninput i: i64[2, 3]\ninput s: f32[S, 3]\n"
		"input r: f32[S, R, 3]\ninput c: f32[S, 1]\ninput q: f32[Q]\ninput w: bf16[4]\ninput k: bf16[2, 2]\n"
		"%s\noutput y\n", task->line);
	return graph_parse_text(job, task->ctx, text, strlen(text), "line");
}

/* The last node, as a call or as the reason why it is none. What is written must fit. */
static void spell_body(Job *job, void *arg)
{
	Task *task = arg;
	Arena file, *a = &job->scratch;
	arena_init(&file, job->scratch.mem, job);
	Graph *of = torch_load(job, task->ctx, (Bytes){ model, sizeof model - 1 }, &file, "model");
	const Torch *torch = (const Torch *)of->document;
	Graph *g = parse_line(job, task);
	g->torch_op = task->torch_op;
	const char *why = torch_spell_refuses(a, torch, g, g->last);
	Text t = { .arena = a };
	if (!why) {
		Speller speller = { .job = job, .g = g, .t = torch };
		torch_spell_node(&speller, &t, g->last);
		Json node = json_check(a, t.text, t.size, "node", GRAFT_E_GRAPH);
		const char *fault = torch_schema_check_node(a, node);
		snprintf(task->text, sizeof task->text, "%s%s", fault ? fault : "", as_call(a, node));
	} else {
		snprintf(task->text, sizeof task->text, "%s", why);
	}
}

static const char *spelled_as(const char *line, const char *torch_op)
{
	static Task task;
	task = (Task){ .line = line, .torch_op = torch_op };
	CHECK_INT(graft_context_new(NULL, &task.ctx, NULL), GRAFT_OK);
	graft_status status = guarded(context_allocator(task.ctx), spell_body, &task, &err);
	graft_context_free(task.ctx);
	return status ? err.message : task.text;
}

static const char *spelled(const char *line)
{
	return spelled_as(line, NULL);
}

TEST(spell_numbers_where_the_schema_takes_them)
{
	CHECK_STR(spelled("y = gt(x, 0)"), "aten.gt.Scalar(x, 0)");
	CHECK_STR(spelled("y = gt(x, x)"), "aten.gt.Tensor(x, x)");
	CHECK_STR(spelled("y = gt(0, x)"), "aten.lt.Scalar(x, 0)");
	CHECK_STR(spelled("y = le(2.5, x)"), "aten.ge.Scalar(x, 2.5)");
	CHECK_STR(spelled("y = eq(b, true)"), "aten.eq.Scalar(b, true)");
	CHECK_STR(spelled("y = add(x, 1e-06)"), "aten.add.Tensor(x, 1e-06)");
	CHECK_STR(spelled("y = sub(1, x)"), "aten.sub.Tensor(1, x)");
	CHECK_STR(spelled("y = pow(x, 2)"), "aten.pow.Tensor_Scalar(x, 2)");
	CHECK_STR(spelled("y = pow(2, x)"), "aten.pow.Scalar(2, x)");
	CHECK_STR(spelled("y = pow(x, x)"), "aten.pow.Tensor_Tensor(x, x)");
	CHECK_STR(spelled("y = remainder(i, 7)"), "aten.remainder.Scalar(i, 7)");
	CHECK_STR(spelled("y = remainder(7, i)"), "aten.remainder.Scalar_Tensor(7, i)");
	CHECK_STR(spelled("y = bitwise_and(i, 1)"), "aten.bitwise_and.Scalar(i, 1)");
	CHECK_STR(spelled("y = bitwise_xor(1, i)"), "aten.bitwise_xor.Scalar_Tensor(1, i)");
	CHECK_STR(spelled("y = maximum(x, 0.5)"), "aten.clamp_min.default(x, 0.5)");
	CHECK_STR(spelled("y = minimum(0.5, x)"), "aten.clamp_max.default(x, 0.5)");
	CHECK_STR(spelled("y = where(b, x, 0.0)"), "aten.where.ScalarOther(b, x, 0.0)");
	CHECK_STR(spelled("y = where(b, 1, x)"), "aten.where.ScalarSelf(b, 1, x)");
	CHECK_STR(spelled("y = clamp(x, none, 6)"), "aten.clamp.default(x, max=6)");
	CHECK_STR(spelled("y = clamp(x, x, x)"), "aten.clamp.Tensor(x, x, x)");
	CHECK_STR(spelled("y = scatter(x, i, 1.0) {axis=0}"), "aten.scatter.value(x, 0, i, 1.0)");
	CHECK_STR(spelled("y = scatter(x, i, x) {axis=0}"), "aten.scatter.src(x, 0, i, x)");
}

TEST(spell_what_the_schema_requires)
{
	CHECK_STR(spelled("y = floor_divide(x, x)"), "aten.floor_divide.default(x, x)");
	CHECK_STR(spelled("y = trunc_divide(x, 2)"), "aten.div.Tensor_mode(x, 2, rounding_mode=\"trunc\")");
	CHECK_STR(spelled("y = sum(x)"), "aten.sum.dim_IntList(x, None, false)");
	CHECK_STR(spelled("y = mean(x) {axes=[-1], keepdim=true}"), "aten.mean.dim(x, [-1], true)");
	CHECK_STR(spelled("y = sum(h) {axes=[0], dtype=f32}"), "aten.sum.dim_IntList(h, [0], false, dtype=7)");
	CHECK_STR(spelled("y = amax(x)"), "aten.amax.default(x, keepdim=false)");
	CHECK_STR(spelled("y = constant() {dtype=f32, shape=[2, 3], values=[0.5]}"),
	          "aten.full.default([2, 3], 0.5, dtype=7, device={\"type\": \"cuda\", \"index\": 1})");
	CHECK_STR(spelled("y = arange() {end=6, dtype=f32}"),
	          "aten.arange.start_step(0, 6, 1, dtype=7, device={\"type\": \"cuda\", \"index\": 1})");
	CHECK_STR(spelled("y, ids = sort(x) {axis=0}"), "aten.sort.stable(x, stable=false, dim=0, descending=false)");
	CHECK_STR(spelled("y = squeeze(c)"), "aten.squeeze.default(c)");
	CHECK_STR(spelled("y = squeeze(c) {axes=[1]}"), "aten.squeeze.dims(c, [1])");
	CHECK_STR(spelled("y = split(x) {axis=1, sizes=[3]}"), "aten.split_with_sizes.default(x, [3], 1)");
	CHECK_STR(spelled("y = concat(x, x) {axis=1}"), "aten.cat.default([{\"name\": \"x\"}, {\"name\": \"x\"}], 1)");
	CHECK_STR(spelled("y = index(x, none, i)"),
	          "aten.index.Tensor(x, [{\"as_none\": true}, {\"as_tensor\": {\"name\": \"i\"}}])");
	CHECK_STR(spelled("y = index_put(x, 0.0, i)"),
	          "'values' of aten.index_put.default is a Tensor, and here it is a number");
	CHECK_STR(spelled("y = narrow(x) {axis=1, start=1, length=2}"), "aten.narrow.default(x, 1, 1, 2)");
	CHECK_STR(spelled("y = cast(x) {dtype=bf16}"), "aten._to_copy.default(x, dtype=13)");
	CHECK_STR(spelled("y = scaled_dot_product_attention(x, x, x) {scale=0.5}"),
	          "aten.scaled_dot_product_attention.default(x, x, x, is_causal=false, scale=0.5)");
}

TEST(spell_norms_as_they_round)
{
	CHECK_STR(spelled("y = rms_norm(h, w) {eps=1e-06}"), "aten.rms_norm.default(h, [4], w, 1e-06)");
	CHECK_STR(spelled("y = rms_norm(h) {eps=1e-06}"), "aten.rms_norm.default(h, [4], eps=1e-06)");
	CHECK_STR(spelled("y = rms_norm(x) {eps=1e-06, round=early}"), "aten.rms_norm.default(x, [3], eps=1e-06)");
	CHECK_STR(spelled("y = rms_norm(h, w) {eps=1e-06, round=early}"),
	          "aten.rms_norm rounds late, and this norm rounds early");
	const char *pair = "y, z = fused_mla_dual_rms_norm(h, w, h, w) {q_eps=1e-06, kv_eps=1e-05, round=early}";
	CHECK_STR(spelled(pair), "graft.fused_mla_dual_rms_norm.default(h, w, h, w, 1e-06, 1e-05, \"early\")");
	CHECK_STR(spelled_as(pair, "my.norms.default"), "my.norms.default(h, w, h, w, 1e-06, 1e-05, \"early\")");
	CHECK_STR(spelled_as(pair, "vllm.fused_mla_dual_rms_norm.default"),
	          "vllm.fused_mla_dual_rms_norm rounds late, and these norms round early");
}

TEST(spell_sizes_that_are_symbols)
{
	CHECK_STR(spelled("y = reshape(x) {shape=[3, 2]}"), "aten.reshape.default(x, [3, 2])");
	CHECK_STR(spelled("y = reshape(s) {shape=[3, S]}"), "aten.reshape.default(s, [3, -1])");
	CHECK_STR(spelled("y = expand(c) {shape=[S, 3]}"), "aten.expand.default(c, [-1, 3])");
	CHECK_STR(spelled("y = reshape(r) {shape=[R, S, 3]}"),
	          "its size R is symbolic, and graft has no name for it in the file");
	CHECK_STR(spelled("y = narrow(s) {axis=0, start=0, length=S}"),
	          "its size S is symbolic, and graft has no name for it in the file");
}

TEST(spell_refuses_in_words)
{
	CHECK_STR(spelled("y = logical_and(b, true)"),
	          "'other' of aten.logical_and.default is a Tensor, and here it is a bool");
	CHECK_STR(spelled("y = clamp(x, 0, x)"), "'max' of aten.clamp.default is a Scalar?, and here it is a tensor");
	CHECK_STR(spelled("y = constant() {dtype=f32, shape=[2], values=[1.0, 2.0]}"),
	          "aten.full.default takes one value, and it holds 2");
	CHECK_STR(spelled("y = rope(h, k, k)"), "torch has no op that does the same");
	CHECK_STR(spelled("y: f32[2] = mylib.rotate(x)"), "graft does not know what it does");
	CHECK_STR(spelled("y = concat(q, q)"), "the file has no symbol for its size 2*Q");
}

/* ---- metadata ---- */

typedef struct Meta { graft_context *ctx; const char *nodes; char text[1024]; } Meta;

static void meta_body(Job *job, void *arg)
{
	Meta *m = arg;
	Arena *a = &job->scratch;
	const SourceNode *from[8];
	size_t n = 0;
	Torch t = { .text = { a, m->nodes, m->nodes + strlen(m->nodes), "nodes", GRAFT_E_GRAPH, false } };
	json_check(a, m->nodes, strlen(m->nodes), "nodes", GRAFT_E_GRAPH);
	for (JsonList l = json_list((Json){ &t.text, m->nodes, NULL }, JSON_ARRAY); json_more(&l);) {
		SourceNode *s = NEW(a, SourceNode);
		s->text = l.here.at;
		s->outer = n && json_there(json_member(l.here, "inner")) ? from[n - 1] : NULL;
		from[n++] = s;
	}
	Text out = { .arena = a };
	torch_spell_metadata(a, &t, from, n, &out);
	json_check(a, out.text, out.size, "metadata", GRAFT_E_GRAPH);
	snprintf(m->text, sizeof m->text, "%s", out.text);
}

static const char *meta(const char *nodes)
{
	static Meta m;
	m = (Meta){ .nodes = nodes };
	CHECK_INT(graft_context_new(NULL, &m.ctx, NULL), GRAFT_OK);
	graft_status status = guarded(context_allocator(m.ctx), meta_body, &m, &err);
	graft_context_free(m.ctx);
	return status ? err.message : m.text;
}

#define STACK(s) "{\"metadata\": {\"nn_module_stack\": \"" s "\"}}"

TEST(metadata_has_the_nearest_module)
{
	CHECK_STR(meta("[" STACK("L,,M;a,a,A;a.q,a.q,N") ", " STACK("L,,M;a,a,A;a.kv,a.kv,N") "]"),
	          "{\"nn_module_stack\": \"L,,M;a,a,A\"}");
	CHECK_STR(meta("[" STACK("L,,M;a,a,A") ", " STACK("L,,M;a,a,A;a.q,a.q,N") "]"),
	          "{\"nn_module_stack\": \"L,,M;a,a,A\"}");
	CHECK_STR(meta("[" STACK("L,,M;a,a,A") ", " STACK("L,,M;a,a,AB") "]"), "{\"nn_module_stack\": \"L,,M\"}");
	CHECK_STR(meta("[" STACK("L,,M;a,a,A") ", {\"metadata\": {}}, {}, " STACK("L,,M;a,a,A") "]"),
	          "{\"nn_module_stack\": \"L,,M;a,a,A\"}");
	CHECK_STR(meta("[" STACK("L,,M") ", " STACK("K,,M") "]"), "{}");
	CHECK_STR(meta("[" STACK("L,,M;a,a,A") ", {\"inner\": 1, \"metadata\": {\"torch_fn\": \"x;y\"}}]"),
	          "{\"nn_module_stack\": \"L,,M;a,a,A\"}");
}

TEST(metadata_says_where_it_came_from)
{
	CHECK_STR(meta("[{\"metadata\": {\"torch_fn\": \"f;g\", \"custom\": \"{}\", "
	               "\"stack_trace\": \"File \\\"a\\\"\", "
	               "\"from_node\": \"[{\\\"name\\\": \\\"x\\\"}]\", \"source_fn_stack\": \"a,b;c,d\"}}, "
	               "{\"metadata\": {\"torch_fn\": \"f;g\", \"stack_trace\": \"File \\\"b\\\"\", "
	               "\"from_node\": \"[{\\\"name\\\": \\\"y\\\"}, {}]\", \"source_fn_stack\": \"a,b\"}}, "
	               "{\"metadata\": {\"stack_trace\": \"File \\\"a\\\"\", \"from_node\": \"null\"}}]"),
	          "{\"stack_trace\": \"File \\\"a\\\"\\nFile \\\"b\\\"\", \"source_fn_stack\": \"a,b\", "
	          "\"torch_fn\": \"f;g\", \"from_node\": "
	          "\"[{\\\"name\\\": \\\"x\\\"}, {\\\"name\\\": \\\"y\\\"}, {}]\"}");
	CHECK_STR(meta("[{\"metadata\": {\"torch_fn\": \"f;g\"}}, {\"metadata\": {\"torch_fn\": \"h;g\"}}]"), "{}");
	CHECK_STR(meta("[{\"metadata\": {\"nn_module_stack\": 3, \"from_node\": \"[]\"}}, {\"metadata\": null}]"),
	          "{}");
	CHECK_STR(meta("[]"), "{}");
}
