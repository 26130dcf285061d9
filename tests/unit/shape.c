/* Shape rules: for each a good case of every kind, and for each refusal the nearest miss.
 *
 * A row: inputs, a node, and the types of its results or, behind '!', the refusal. */
#include "test.h"
#include "../../src/ir/graph.h"

typedef struct Case { const char *inputs, *node, *wanted; } Case;

static const char head[] =
	"graph g\n"
	"symbol T in [1, 4096]\n"
	"symbol S in [1, 4096]\n"
	"symbol Z in [0, 4096]\n"
	"symbol M in [8, 4096]\n"
	"symbol N in [1, inf]\n"
	"symbol D in [-8, 8]\n";

static void write_graph(Text *t, const Case *c)
{
	text_puts(t, head);
	for (const char *s = c->inputs; *s; s += strspn(s, "; ")) {
		size_t n = strcspn(s, ";");
		text_printf(t, "input %.*s\n", (int)n, s);
		s += n;
	}
	if (!strstr(c->node, " = ") && strncmp(c->node, "assert", 6))
		text_puts(t, "y = ");
	text_printf(t, "%s\n", c->node);
}

typedef struct Run { graft_context *ctx; const Case *c; char got[2048]; } Run;

static void run_body(Job *job, void *arg)
{
	Run *r = arg;
	Text t = { .arena = &job->scratch }, types = { .arena = &job->scratch };
	write_graph(&t, r->c);
	Graph *g = graph_parse_text(job, r->ctx, t.text, t.size, NULL);
	text_puts(&types, "");
	for (uint32_t i = 0; i < g->last->n_out; i++) {
		text_puts(&types, i ? "; " : "");
		type_print(&types, &g->last->out[i]->type);
	}
	graph_verify(g);
	snprintf(r->got, sizeof r->got, "%s", types.text ? types.text : "");
}

static void check_case(const Case *c)
{
	Run r = { .c = c };
	graft_error err = { 0 };
	CHECK_INT(graft_context_new(NULL, &r.ctx, NULL), GRAFT_OK);
	graft_status status = guarded(context_allocator(r.ctx), run_body, &r, &err);
	graft_context_free(r.ctx);
	if (status)
		snprintf(r.got, sizeof r.got, "!%s", err.message);
	if (strcmp(r.got, c->wanted))
		test_fail(__FILE__, __LINE__, "%s with %s:\n    %s, not\n    %s", c->node, c->inputs, r.got, c->wanted);
	CHECK_INT(status, *c->wanted == '!' ? GRAFT_E_GRAPH : GRAFT_OK);
}

#define CASES(name, ...)                                                                \
	TEST(name)                                                                      \
	{                                                                               \
		static const Case cases[] = { __VA_ARGS__ };                            \
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)               \
			check_case(&cases[i]);                                          \
	}

CASES(broadcasting,
	{ "a: f32[T, 8]; b: f32[T, 8]", "add(a, b)", "f32[T, 8]" },
	{ "a: f32[T, 8]; b: f32[8]", "add(a, b)", "f32[T, 8]" },
	{ "a: f32[8]; b: f32[T, 8]", "add(a, b)", "f32[T, 8]" },
	{ "a: f32[T, 1]; b: f32[1, S]", "add(a, b)", "f32[T, S]" },
	{ "a: f32[]; b: f32[T]", "add(a, b)", "f32[T]" },
	{ "a: f32[]; b: f32[]", "add(a, b)", "f32[]" },
	{ "a: f32[0]; b: f32[1]", "add(a, b)", "f32[0]" },
	{ "a: f32[2*T]; b: f32[T + T]", "add(a, b)", "f32[2*T]" },
	{ "a: f32[1, T, 1, 4]; b: f32[3, 1, 5, 1]", "add(a, b)", "f32[3, T, 5, 4]" },
	{ "a: f32[T, 8]; b: f32[S, 8]", "add(a, b)",
	  "!add: a is f32[T, 8] and b is f32[S, 8] do not broadcast: T and S are not known to be equal" },
	{ "a: f32[T, 8]; b: f32[2, 8]", "add(a, b)",
	  "!add: a is f32[T, 8] and b is f32[2, 8] do not broadcast: T and 2 are not known to be equal" },
	{ "a: f32[T, 8]; b: f32[7]", "add(a, b)",
	  "!add: a is f32[T, 8] and b is f32[7] do not broadcast: 8 and 7 differ" },
	{ "a: f32[T]; b: f32[T + 1]", "add(a, b)",
	  "!add: a is f32[T] and b is f32[T + 1] do not broadcast: T and T + 1 differ" },
	{ "a: f32[0]; b: f32[2]", "add(a, b)", "!add: a is f32[0] and b is f32[2] do not broadcast: 0 and 2 differ" })

CASES(promotion,
	{ "a: bool[2]; b: bool[2]", "add(a, b)", "bool[2]" },
	{ "a: bool[2]; b: u8[2]", "mul(a, b)", "u8[2]" },
	{ "a: u8[2]; b: i8[2]", "add(a, b)", "i16[2]" },
	{ "a: u8[2]; b: i16[2]", "add(a, b)", "i16[2]" },
	{ "a: i32[2]; b: i64[2]", "add(a, b)", "i64[2]" },
	{ "a: i64[2]; b: f16[2]", "add(a, b)", "f16[2]" },
	{ "a: f16[2]; b: bf16[2]", "add(a, b)", "f32[2]" },
	{ "a: bf16[2]; b: f32[2]", "add(a, b)", "f32[2]" },
	{ "a: f32[2]; b: f64[2]", "sub(a, b)", "f64[2]" },
	/* a 0-d tensor is weaker than one with axes, unless its category is higher */
	{ "a: f16[2]; b: f64[]", "add(a, b)", "f16[2]" },
	{ "a: i64[2]; b: f16[]", "add(a, b)", "f16[2]" },
	{ "a: u8[2]; b: i64[]", "add(a, b)", "u8[2]" },
	{ "a: bool[2]; b: i32[]", "add(a, b)", "i32[2]" },
	{ "a: f16[]; b: f64[]", "add(a, b)", "f64[]" },
	{ "a: f16[1]; b: f64[]", "add(a, b)", "f16[1]" },
	/* a literal is weaker still */
	{ "a: bf16[2]", "add(a, 1e-06)", "bf16[2]" },
	{ "a: i32[2]", "add(a, 1)", "i32[2]" },
	{ "a: i32[2]", "add(1, a)", "i32[2]" },
	{ "a: i32[2]", "mul(a, 0.5)", "f32[2]" },
	{ "a: i32[]", "mul(a, 5)", "i32[]" },
	{ "a: f16[]", "mul(a, 0.5)", "f16[]" },
	{ "a: bool[2]", "add(a, 1)", "i64[2]" },
	{ "a: bool[2]", "add(a, 0.5)", "f32[2]" },
	{ "a: bool[2]", "add(a, true)", "bool[2]" },
	{ "a: f64[2]", "pow(a, 2)", "f64[2]" },
	{ "a: f32[2]", "pow(2, a)", "f32[2]" },
	/* division and functions of integers */
	{ "a: i64[2]; b: i64[2]", "div(a, b)", "f32[2]" },
	{ "a: i64[2]", "div(a, 2)", "f32[2]" },
	{ "a: bool[2]; b: bool[2]", "div(a, b)", "f32[2]" },
	{ "a: f16[2]; b: i64[2]", "div(a, b)", "f16[2]" },
	{ "a: i32[T]", "sqrt(a)", "f32[T]" },
	{ "a: bool[T]", "cos(a)", "f32[T]" },
	{ "a: f64[T]", "rsqrt(a)", "f64[T]" },
	{ "a: i8[T]", "neg(a)", "i8[T]" },
	{ "a: i8[T]", "square(a)", "i8[T]" })

CASES(elementwise_refusals,
	{ "a: f8e4m3fn[2]; b: f32[2]", "add(a, b)",
	  "!add: a is f8e4m3fn[2], and 8-bit floats can only be moved and cast: cast it to a wider float first" },
	{ "a: f32[2]; b: f8e5m2[2]", "div(a, b)",
	  "!div: b is f8e5m2[2], and 8-bit floats can only be moved and cast: cast it to a wider float first" },
	{ "a: f8e4m3fnuz[2]", "silu(a)",
	  "!silu: x is f8e4m3fnuz[2], and 8-bit floats can only be moved and cast: cast it to a wider float first" },
	{ "a: f8e5m2[2]", "neg(a)",
	  "!neg: x is f8e5m2[2], and 8-bit floats can only be moved and cast: cast it to a wider float first" },
	{ "", "add(1, 2)", "!add: both operands are literals, but one must be a tensor" },
	{ "", "sqrt(2)", "!sqrt: operand x is a literal, but must be a tensor" },
	{ "a: bool[2]; b: i32[2]", "sub(a, b)",
	  "!sub: operand a is a bool, which cannot be subtracted: cast it first" },
	{ "a: i32[2]", "sub(a, true)", "!sub: operand b is a bool, which cannot be subtracted: cast it first" },
	{ "a: bool[2]", "neg(a)", "!neg: x is bool[2], and bools cannot be computed with: cast it first" },
	{ "a: bool[2]", "square(a)", "!square: x is bool[2], and bools cannot be computed with: cast it first" },
	{ "a: bool[2]", "pow(a, true)", "!pow: a is bool[2] and b is a literal, and bools have no powers: cast first" },
	{ "a: bool[2]", "pow(a, 2)", "i64[2]" },
	{ "a: i32[2]", "pow(a, -1)", "!pow: a is i32[2], and integers have no negative powers: cast to a float first" },
	{ "a: f32[2]", "pow(a, -1)", "f32[2]" },
	{ "a: i32[2]", "pow(a, -1.0)", "f32[2]" })

CASES(moving,
	{ "x: bf16[T]", "cast(x) {dtype=f8e4m3fn}", "f8e4m3fn[T]" },
	{ "x: f8e4m3fn[T]", "cast(x) {dtype=bool}", "bool[T]" },
	{ "x: f8e4m3fn[T]", "clone(x)", "f8e4m3fn[T]" },
	{ "x: bool[T]", "clone(x)", "bool[T]" },
	{ "x: f32[T, 8]; s: i64[8]", "copy_(x, s)", "f32[T, 8]" },
	{ "x: f32[T, 8]", "copy_(x, 0)", "f32[T, 8]" },
	{ "x: f32[8]; s: f32[1, 8]", "copy_(x, s)", "!copy_: src is f32[1, 8] has more axes than x is f32[8]" },
	{ "x: f32[1]; s: f32[8]", "copy_(x, s)",
	  "!copy_: src is f32[8] and x is f32[1] do not broadcast: 8 and 1 differ" },
	{ "x: f32[T]; s: f32[S]", "copy_(x, s)",
	  "!copy_: src is f32[S] and x is f32[T] do not broadcast: S and T are not known to be equal" },
	{ "x: f32[T]", "copy_(1, x)", "!copy_: operand x is a literal, but must be a tensor" },
	{ "x: f16[T]", "assert_tensor_metadata(x)", "" },
	{ "x: f16[T]", "assert_tensor_metadata(x) {dtype=f16}", "" },
	{ "x: f16[T]", "assert_tensor_metadata(x) {dtype=f32}",
	  "!assert_tensor_metadata: x is f16[T], but is asserted to have dtype f32" })

CASES(reductions,
	{ "x: bf16[T, 8, 4]", "mean(x) {axes=[-1]}", "bf16[T, 8]" },
	{ "x: bf16[T, 8, 4]", "mean(x) {axes=[-1], keepdim=true}", "bf16[T, 8, 1]" },
	{ "x: bf16[T, 8, 4]", "mean(x) {axes=[0, 2], keepdim=true}", "bf16[1, 8, 1]" },
	{ "x: bf16[T, 8]", "mean(x)", "bf16[]" },
	{ "x: bf16[T, 8]", "mean(x) {axes=[]}", "bf16[]" },
	{ "x: i64[T, 8]", "mean(x) {dtype=f64}", "f64[]" },
	{ "x: bool[T, 8]", "sum(x) {axes=[1]}", "i64[T]" },
	{ "x: i8[T, 8]", "sum(x) {axes=[1]}", "i64[T]" },
	{ "x: i8[T, 8]", "sum(x) {axes=[1], dtype=f16}", "f16[T]" },
	{ "x: f16[]", "sum(x)", "f16[]" },
	{ "x: f16[T, 8]", "softmax(x)", "f16[T, 8]" },
	{ "x: f16[T, 8]", "softmax(x) {axis=0, dtype=f32}", "f32[T, 8]" },
	{ "x: i64[4]", "mean(x)",
	  "!mean: x is i64[4] and the result would be i64, but must be a float of 16 bits or more: give one as dtype" },
	{ "x: f32[4]", "mean(x) {dtype=i64}",
	  "!mean: x is f32[4] and the result would be i64, but must be a float of 16 bits or more: give one as dtype" },
	{ "x: f32[4]", "softmax(x) {dtype=f8e5m2}",
	  "!softmax: x is f32[4] and the result would be f8e5m2, but must be a float of 16 bits or more: give one as "
	  "dtype" },
	{ "x: f32[4]", "sum(x) {dtype=f8e5m2}",
	  "!sum: dtype is f8e5m2, and 8-bit floats cannot be summed in: cast the sum" },
	{ "x: f8e5m2[4]", "sum(x)",
	  "!sum: x is f8e5m2[4], and 8-bit floats can only be moved and cast: cast it to a wider float first" },
	{ "x: f32[4, 4]", "sum(x) {axes=[2]}", "!sum: axis is 2, but must be from -2 to 1" },
	{ "x: f32[4, 4]", "sum(x) {axes=[-3]}", "!sum: axis is -3, but must be from -2 to 1" },
	{ "x: f32[4, 4]", "sum(x) {axes=[1, -1]}", "!sum: axis 1 is named twice" },
	{ "x: f32[]", "softmax(x)", "!softmax: axis is -1, but x has no axes" },
	{ "x: f32[]", "sum(x) {axes=[0]}", "!sum: axis is 0, but x has no axes" })

CASES(creation,
	{ "", "arange() {end=10}", "i64[10]" },
	{ "", "arange() {end=0}", "i64[0]" },
	{ "", "arange() {end=T}", "i64[T]" },
	{ "", "arange() {start=T, end=T + S}", "i64[S]" },
	{ "", "arange() {end=10, step=3, dtype=f32}", "f32[4]" },
	{ "", "arange() {end=9, step=3}", "i64[3]" },
	{ "", "arange() {start=10, end=0, step=-3}", "i64[4]" },
	{ "", "arange() {start=5, end=0}", "i64[0]" },
	{ "", "arange() {end=T, step=2}", "i64[floordiv(T + 1, 2)]" },
	{ "", "arange() {end=T*S, step=T}", "i64[floordiv(T*S - 1, T) + 1]" },
	{ "", "arange() {end=2, step=9223372036854775807}", "i64[1]" },
	{ "", "arange() {end=4, step=0}", "!arange: step is 0" },
	{ "", "arange() {end=4, step=D}", "!arange: step is D, whose sign is not known" },
	{ "", "arange() {end=4, dtype=bool}", "!arange: dtype is bool, which cannot count: make it i64 and cast" },
	{ "", "arange() {end=4, dtype=f8e5m2}", "!arange: dtype is f8e5m2, which cannot count: make it i64 and cast" },
	{ "", "arange() {end=9223372036854775807}",
	  "!arange: the result would have more bytes than 64-bit offsets reach" },
	{ "", "arange() {start=-2, end=9223372036854775807}",
	  "!a size leaves the 64-bit integers: (9223372036854775807) - (-2)" },
	{ "", "constant() {dtype=f32, values=[1.5]}", "f32[]" },
	{ "", "constant() {dtype=f32, shape=[T, 8], values=[0]}", "f32[T, 8]" },
	{ "", "constant() {dtype=i64, shape=[2, 2], values=[1, 2, 3, 4]}", "i64[2, 2]" },
	{ "", "constant() {dtype=i64, shape=[0, 9], values=[]}", "i64[0, 9]" },
	{ "", "constant() {dtype=u8, shape=[2], values=[0, 255]}", "u8[2]" },
	{ "", "constant() {dtype=i8, shape=[2], values=[-128, 127]}", "i8[2]" },
	{ "", "constant() {dtype=i16, shape=[2], values=[-32768, 32767]}", "i16[2]" },
	{ "", "constant() {dtype=i32, shape=[2], values=[-2147483648, 2147483647]}", "i32[2]" },
	{ "", "constant() {dtype=i64, shape=[2], values=[-9223372036854775808, 9223372036854775807]}", "i64[2]" },
	{ "", "constant() {dtype=bool, shape=[4], values=[true, false, 0, 1]}", "bool[4]" },
	{ "", "constant() {dtype=f16, shape=[3], values=[65504.0, -inf, nan]}", "f16[3]" },
	{ "", "constant() {dtype=u8, values=[256]}", "!constant: values[0] is 256, which u8 cannot hold" },
	{ "", "constant() {dtype=u8, values=[-1]}", "!constant: values[0] is -1, which u8 cannot hold" },
	{ "", "constant() {dtype=i8, values=[128]}", "!constant: values[0] is 128, which i8 cannot hold" },
	{ "", "constant() {dtype=i16, values=[-32769]}", "!constant: values[0] is -32769, which i16 cannot hold" },
	{ "", "constant() {dtype=i32, values=[2147483648]}",
	  "!constant: values[0] is 2147483648, which i32 cannot hold" },
	{ "", "constant() {dtype=bool, values=[2]}", "!constant: values[0] is 2, which bool cannot hold" },
	{ "", "constant() {dtype=i64, values=[1.0]}", "!constant: values[0] is 1.0, which i64 cannot hold" },
	{ "", "constant() {dtype=f16, values=[65505]}", "!constant: values[0] is 65505, which f16 cannot hold" },
	{ "", "constant() {dtype=bf16, values=[3.4e38]}", "!constant: values[0] is 3.4e+38, which bf16 cannot hold" },
	{ "", "constant() {dtype=f32, values=[-1e39]}", "!constant: values[0] is -1e+39, which f32 cannot hold" },
	{ "", "constant() {dtype=f32, values=[\"a\"]}", "!constant: values[0] is a string, but must be a number" },
	{ "", "constant() {dtype=f32, values=[[1]]}", "!constant: values[0] is a list, but must be a number" },
	{ "", "constant() {dtype=f8e5m2, values=[1]}",
	  "!constant: dtype is f8e5m2, and 8-bit floats can only be moved and cast: make it f32 and cast" },
	{ "", "constant() {dtype=f32, shape=[2, 2], values=[1, 2, 3]}",
	  "!constant: there are 3 values for 4 elements: give that many, or one for all" },
	{ "", "constant() {dtype=f32, shape=[2], values=[]}",
	  "!constant: there are 0 values for 2 elements: give that many, or one for all" },
	{ "", "constant() {dtype=f32, shape=[T], values=[1, 2]}",
	  "!constant: there are 2 values for T elements: give that many, or one for all" },
	{ "", "constant() {dtype=f32, shape=[-1], values=[1]}",
	  "!constant: the result would have the negative size -1 at axis 0" })

CASES(axes_moved,
	{ "x: f32[2, T, 4]", "transpose(x) {axis0=0, axis1=-1}", "f32[4, T, 2]" },
	{ "x: f32[2, T, 4]", "transpose(x) {axis0=1, axis1=1}", "f32[2, T, 4]" },
	{ "x: f8e5m2[2, T]", "transpose(x) {axis0=1, axis1=0}", "f8e5m2[T, 2]" },
	{ "x: f32[2, T]", "transpose(x) {axis0=0, axis1=2}", "!transpose: axis1 is 2, but must be from -2 to 1" },
	{ "x: f32[2, T]", "transpose(x) {axis0=-3, axis1=0}", "!transpose: axis0 is -3, but must be from -2 to 1" },
	{ "x: f32[2, T]", "transpose(x) {axis0=9223372036854775807, axis1=0}",
	  "!transpose: axis0 is 9223372036854775807, but must be from -2 to 1" },
	{ "x: f32[2, T, 4]", "permute(x) {axes=[2, 0, 1]}", "f32[4, 2, T]" },
	{ "x: f32[2, T, 4]", "permute(x) {axes=[-1, 0, -2]}", "f32[4, 2, T]" },
	{ "x: f32[]", "permute(x) {axes=[]}", "f32[]" },
	{ "x: f32[2, T, 4]", "permute(x) {axes=[0, 1]}",
	  "!permute: there are 2 axes to permute, but x is f32[2, T, 4]" },
	{ "x: f32[2, T]", "permute(x) {axes=[0, 0]}", "!permute: axis 0 is named twice" },
	{ "x: f32[2, T]", "permute(x) {axes=[0, 2]}", "!permute: axis is 2, but must be from -2 to 1" },
	{ "x: f32[2, T]", "unsqueeze(x) {axis=0}", "f32[1, 2, T]" },
	{ "x: f32[2, T]", "unsqueeze(x) {axis=-1}", "f32[2, T, 1]" },
	{ "x: f32[2, T]", "unsqueeze(x) {axis=2}", "f32[2, T, 1]" },
	{ "x: f32[]", "unsqueeze(x) {axis=0}", "f32[1]" },
	{ "x: f32[2, T]", "unsqueeze(x) {axis=3}", "!unsqueeze: axis is 3, but must be from -3 to 2" },
	{ "x: f32[1, T + 1, 1]", "squeeze(x)", "f32[T + 1]" },
	{ "x: f32[1, T + 1, 1]", "squeeze(x) {axes=[0]}", "f32[T + 1, 1]" },
	{ "x: f32[1, T + 1, 1]", "squeeze(x) {axes=[1, -1]}", "f32[1, T + 1]" },
	{ "x: f32[1, T, 1]", "squeeze(x) {axes=[0, 2]}", "f32[T]" },
	{ "x: f32[1, T, 1]", "squeeze(x)", "!squeeze: axis 1 holds T, which is not known to be 1 or not" },
	{ "x: f32[1, T]", "squeeze(x) {axes=[1]}", "!squeeze: axis 1 holds T, which is not known to be 1 or not" },
	{ "x: f32[1, T]", "squeeze(x) {axes=[2]}", "!squeeze: axis is 2, but must be from -2 to 1" })

CASES(shapes_changed,
	{ "x: f32[1, 8]", "expand(x) {shape=[T, 8]}", "f32[T, 8]" },
	{ "x: f32[T, 1]", "expand(x) {shape=[3, -1, 8]}", "f32[3, T, 8]" },
	{ "x: f32[T]", "expand(x) {shape=[T]}", "f32[T]" },
	{ "x: f32[]", "expand(x) {shape=[0, 2]}", "f32[0, 2]" },
	{ "x: f32[T, 8]", "expand(x) {shape=[8]}", "!expand: shape has 1 sizes, but x is f32[T, 8]" },
	{ "x: f32[8]", "expand(x) {shape=[-1, 8]}",
	  "!expand: shape[0] is -1, but x is f32[8] and has no size to keep there" },
	{ "x: f32[8]", "expand(x) {shape=[16]}", "!expand: x is f32[8] and does not expand to [16]: 8 and 16 differ" },
	{ "x: f32[T]", "expand(x) {shape=[8]}",
	  "!expand: x is f32[T] and does not expand to [8]: T and 8 are not known to be equal" },
	{ "x: f32[1]", "expand(x) {shape=[-2]}", "!expand: the result would have the negative size -2 at axis 0" },
	{ "x: f32[T, 2048]", "reshape(x) {shape=[T, 16, 128]}", "f32[T, 16, 128]" },
	{ "x: f32[T, 2048]", "reshape(x) {shape=[-1, 16, 128]}", "f32[T, 16, 128]" },
	{ "x: f32[T, 2048]", "reshape(x) {shape=[T, -1, 128]}", "f32[T, 16, 128]" },
	{ "x: f32[T, S, 6]", "reshape(x) {shape=[-1]}", "f32[6*T*S]" },
	{ "x: f32[T, S, 6]", "reshape(x) {shape=[T*S, -1, 3]}", "f32[T*S, 2, 3]" },
	{ "x: f32[T + 2, T + 3]", "reshape(x) {shape=[-1, T + 3]}", "f32[T + 2, T + 3]" },
	{ "x: f32[]", "reshape(x) {shape=[1, -1]}", "f32[1, 1]" },
	{ "x: f32[0, T]", "reshape(x) {shape=[-1, 4]}", "f32[0, 4]" },
	{ "x: u8[4611686018427387904*T, 4, 0]", "reshape(x) {shape=[3, 0]}", "u8[3, 0]" },
	{ "x: f32[T, 7]", "reshape(x) {shape=[T, 8]}",
	  "!reshape: x is f32[T, 7], so it has 7*T elements, and the shape [T, 8] has 8*T: the two differ" },
	{ "x: f32[T, 7]", "reshape(x) {shape=[S, 7]}",
	  "!reshape: x is f32[T, 7], so it has 7*T elements, and the shape [S, 7] has 7*S: the two are not known to be "
	  "equal" },
	{ "x: f32[6]", "reshape(x) {shape=[-1, 4]}",
	  "!reshape: x is f32[6], so it has 6 elements, which 4 (the sizes beside -1 in [-1, 4]) does not divide" },
	{ "x: f32[T]", "reshape(x) {shape=[-1, 4]}",
	  "!reshape: x is f32[T], so it has T elements, which 4 (the sizes beside -1 in [-1, 4]) is not known to "
	  "divide" },
	{ "x: f32[0]", "reshape(x) {shape=[0, -1]}",
	  "!reshape: -1 in the shape [0, -1] could be any size, because the others make 0 elements" },
	{ "x: f32[8]", "reshape(x) {shape=[-1, -1]}", "!reshape: the shape [-1, -1] has more than one -1" },
	{ "x: f32[8]", "reshape(x) {shape=[-2, -4]}",
	  "!reshape: the result would have the negative size -2 at axis 0" },
	{ "x: f32[8]", "reshape(x) {shape=[4294967296, 4294967296]}",
	  "!reshape: the result would have more bytes than 64-bit offsets reach" })

CASES(slices,
	{ "x: f32[10]", "slice(x) {axis=0, start=2, end=5}", "f32[3]" },
	{ "x: f32[10]", "slice(x) {axis=-1, start=-3}", "f32[3]" },
	{ "x: f32[10]", "slice(x) {axis=0, end=-3}", "f32[7]" },
	{ "x: f32[10]", "slice(x) {axis=0, start=4, end=100}", "f32[6]" },
	{ "x: f32[10]", "slice(x) {axis=0, start=-100, end=3}", "f32[3]" },
	{ "x: f32[10]", "slice(x) {axis=0, start=100}", "f32[0]" },
	{ "x: f32[10]", "slice(x) {axis=0, start=5, end=2}", "f32[0]" },
	{ "x: f32[10]", "slice(x) {axis=0, start=-9223372036854775808, end=-9223372036854775808}", "f32[0]" },
	{ "x: f32[10]", "slice(x) {axis=0, step=3}", "f32[4]" },
	{ "x: f32[10]", "slice(x) {axis=0, start=1, step=3}", "f32[3]" },
	{ "x: f32[10]", "slice(x) {axis=0, step=9223372036854775807}", "f32[1]" },
	{ "x: f32[0]", "slice(x) {axis=0, step=9223372036854775807}", "f32[0]" },
	{ "x: f32[T, 8]", "slice(x) {axis=0}", "f32[T, 8]" },
	{ "x: f32[N]", "slice(x) {axis=0}", "f32[N]" },
	{ "x: f32[T, 8]", "slice(x) {axis=0, start=1}", "f32[T - 1, 8]" },
	{ "x: f32[T, 8]", "slice(x) {axis=0, start=2}", "f32[T - min(2, T), 8]" },
	{ "x: f32[M]", "slice(x) {axis=0, start=2}", "f32[M - 2]" },
	{ "x: f32[M]", "slice(x) {axis=0, start=2, end=6}", "f32[4]" },
	{ "x: f32[T]", "slice(x) {axis=0, end=6}", "f32[min(6, T)]" },
	{ "x: f32[T]", "slice(x) {axis=0, start=2, end=6}", "f32[-min(2, T) + min(6, T)]" },
	{ "x: f32[T]", "slice(x) {axis=0, start=-1}", "f32[1]" },
	{ "x: f32[M]", "slice(x) {axis=0, start=-4, end=-1}", "f32[3]" },
	{ "x: f32[T + S]", "slice(x) {axis=0, end=T}", "f32[T]" },
	{ "x: f32[T + S]", "slice(x) {axis=0, start=T}", "f32[S]" },
	{ "x: f32[T]", "slice(x) {axis=0, end=S}", "f32[min(T, S)]" },
	{ "x: f32[T]", "slice(x) {axis=0, end=-S}", "f32[max(0, T - S)]" },
	{ "x: f32[2*T]", "slice(x) {axis=0, step=2}", "f32[T]" },
	{ "x: f32[T]", "slice(x) {axis=0, step=2}", "f32[floordiv(T + 1, 2)]" },
	{ "x: f32[T]", "slice(x) {axis=0, start=D}", "!slice: start is D, which is not known to be negative or not" },
	{ "x: f32[T]", "slice(x) {axis=0, end=T - 2}",
	  "!slice: end is T - 2, which is not known to be negative or not" },
	{ "x: f32[T]", "slice(x) {axis=0, step=0}", "!slice: step is 0, but must be at least 1" },
	{ "x: f32[T]", "slice(x) {axis=0, step=-1}", "!slice: step is -1, but must be at least 1" },
	{ "x: f32[T]", "slice(x) {axis=1}", "!slice: axis is 1, but must be from -1 to 0" },
	{ "x: f32[]", "slice(x) {axis=0}", "!slice: axis is 0, but x has no axes" })

CASES(pieces,
	{ "x: bf16[T, 2112]", "narrow(x) {axis=-1, start=1536, length=576}", "bf16[T, 576]" },
	{ "x: bf16[T, 8]", "narrow(x) {axis=1, start=8, length=0}", "bf16[T, 0]" },
	{ "x: bf16[T]", "narrow(x) {axis=0, start=T, length=0}", "bf16[0]" },
	{ "x: bf16[T + S]", "narrow(x) {axis=0, start=T, length=S}", "bf16[S]" },
	{ "x: bf16[T]", "narrow(x) {axis=0, start=floordiv(T, 2), length=floordiv(T, 2)}", "bf16[floordiv(T, 2)]" },
	{ "x: bf16[T, 8]", "narrow(x) {axis=1, start=4, length=5}",
	  "!narrow: start 4 and length 5 do not fit axis 1, which holds 8" },
	{ "x: bf16[T, 8]", "narrow(x) {axis=1, start=9223372036854775807, length=1}",
	  "!narrow: start 9223372036854775807 and length 1 do not fit axis 1, which holds 8" },
	{ "x: bf16[T, 8]", "narrow(x) {axis=1, start=1, length=9223372036854775807}",
	  "!narrow: start 1 and length 9223372036854775807 do not fit axis 1, which holds 8" },
	{ "x: bf16[T, 8]", "narrow(x) {axis=0, start=0, length=4}",
	  "!narrow: start 0 and length 4 are not known to fit axis 0, which holds T" },
	{ "x: bf16[T, 8]", "narrow(x) {axis=1, start=-1, length=1}", "!narrow: start is -1, which is not at least 0" },
	{ "x: bf16[T, 8]", "narrow(x) {axis=1, start=1, length=-1}", "!narrow: length is -1, which is not at least 0" },
	{ "x: bf16[T, 8]", "narrow(x) {axis=1, start=D, length=1}",
	  "!narrow: start is D, which is not known to be at least 0" },
	{ "x: bf16[T, 2112]", "a, b = split(x) {sizes=[1536, 576]}", "bf16[T, 1536]; bf16[T, 576]" },
	{ "x: bf16[T, 8]", "a = split(x) {axis=0, sizes=[T]}", "bf16[T, 8]" },
	{ "x: bf16[T + S, 8]", "a, b, c = split(x) {axis=0, sizes=[T, 0, S]}", "bf16[T, 8]; bf16[0, 8]; bf16[S, 8]" },
	{ "x: bf16[T, 2112]", "a, b = split(x) {axis=1, sizes=[1536, 575]}",
	  "!split: sizes add up to 2111, but axis 1 holds 2112" },
	{ "x: bf16[T]", "a, b = split(x) {axis=0, sizes=[S, 1]}",
	  "!split: sizes add up to S + 1, but axis 0 holds T: the two are not known to be equal" },
	{ "x: bf16[8]", "a, b = split(x) {sizes=[8]}", "!split: there are 1 sizes for 2 results" },
	{ "x: bf16[8]", "a, b = split(x) {sizes=[9, -1]}", "!split: sizes[1] is -1, but a size is never negative" },
	{ "x: bf16[8]", "a, b = split(x) {axis=1, sizes=[4, 4]}", "!split: axis is 1, but must be from -1 to 0" },
	{ "x: bf16[8]", "a, b = split(x) {sizes=[9223372036854775807, 9223372036854775807]}",
	  "!split: the result would have more bytes than 64-bit offsets reach" },
	{ "x: f32[T, 8]; y0: f32[S, 8]", "concat(x, y0)", "f32[T + S, 8]" },
	{ "x: f32[T, 8]; y0: f32[T, 1]", "concat(x, y0, x) {axis=-1}", "f32[T, 17]" },
	{ "x: f16[2]; y0: i64[3]", "concat(x, y0)", "f16[5]" },
	{ "x: f8e5m2[2]; y0: f8e5m2[3]", "concat(x, y0)", "f8e5m2[5]" },
	{ "x: f32[T, 8]; y0: f32[8]", "concat(x, y0)",
	  "!concat: xs[0] is f32[T, 8] and xs[1] is f32[8], but they must have one rank" },
	{ "x: f32[T, 8]; y0: f32[T, 7]", "concat(x, y0)",
	  "!concat: xs[0] is f32[T, 8] and xs[1] is f32[T, 7]: 8 and 7 at axis 1 differ" },
	{ "x: f32[T, 8]; y0: f32[S, 8]", "concat(x, x, y0) {axis=1}",
	  "!concat: xs[0] is f32[T, 8] and xs[2] is f32[S, 8]: T and S at axis 0 are not known to be equal" },
	{ "x: f8e5m2[2]; y0: f32[3]", "concat(x, y0)",
	  "!concat: xs[0] is f8e5m2[2], and 8-bit floats can only be moved and cast: cast it to a wider float first" },
	{ "x: f32[]", "concat(x, x)", "!concat: axis is 0, but xs[0] has no axes" },
	{ "x: f32[2]", "concat(x, 1)", "!concat: operand xs[1] is a literal, but must be a tensor" },
	{ "x: f32[2]", "concat(x, none)", "!concat: operand xs[1] is missing" })

CASES(matrix_products,
	{ "a: f32[2, 3]; b: f32[3, 4]", "matmul(a, b)", "f32[2, 4]" },
	{ "a: f32[3]; b: f32[3]", "matmul(a, b)", "f32[]" },
	{ "a: f32[3]; b: f32[3, 4]", "matmul(a, b)", "f32[4]" },
	{ "a: f32[T, 2, 3]; b: f32[3]", "matmul(a, b)", "f32[T, 2]" },
	{ "a: f32[3]; b: f32[T, 3, 4]", "matmul(a, b)", "f32[T, 4]" },
	{ "a: f32[T, 2, 3]; b: f32[5, 1, 3, S]", "matmul(a, b)", "f32[5, T, 2, S]" },
	{ "a: i64[2, 0]; b: i64[0, 4]", "matmul(a, b)", "i64[2, 4]" },
	{ "a: f32[2, 3]; b: f32[4, 4]", "matmul(a, b)",
	  "!matmul: a is f32[2, 3] and b is f32[4, 4]: the last axis of a is 3 and the last axis but one of b is 4, "
	  "which differ" },
	{ "a: f32[2, T]; b: f32[S]", "matmul(a, b)",
	  "!matmul: a is f32[2, T] and b is f32[S]: the last axis of a is T and the only axis of b is S, which are not "
	  "known to be equal" },
	{ "a: f32[T, 2, 3]; b: f32[S, 3, 2]", "matmul(a, b)",
	  "!matmul: a is f32[T, 2, 3] and b is f32[S, 3, 2] do not broadcast: T and S are not known to be equal" },
	{ "a: f32[2, 3]; b: f16[3, 4]", "matmul(a, b)",
	  "!matmul: a is f32[2, 3] and b is f16[3, 4], but they must have one dtype: cast one of them" },
	{ "a: bool[2, 3]; b: bool[3, 4]", "matmul(a, b)",
	  "!matmul: a is bool[2, 3], and bools have no matrix products: cast it first" },
	{ "a: f32[]; b: f32[3]", "matmul(a, b)", "!matmul: a is f32[], but it needs at least 1 axis" },
	{ "a: f32[3]", "matmul(a, 2.0)", "!matmul: operand b is a literal, but must be a tensor" },
	{ "a: f8e4m3fn[3]; b: f8e4m3fn[3]", "matmul(a, b)",
	  "!matmul: a is f8e4m3fn[3], and 8-bit floats can only be moved and cast: cast it to a wider float first" },
	{ "x: bf16[T, 7168]; w: bf16[2112, 7168]", "linear(x, w)", "bf16[T, 2112]" },
	{ "x: bf16[7168]; w: bf16[2112, 7168]; b: bf16[2112]", "linear(x, w, b)", "bf16[2112]" },
	{ "x: bf16[2, T, 8]; w: bf16[4, 8]", "linear(x, w, none)", "bf16[2, T, 4]" },
	{ "x: bf16[T, 8]; w: bf16[4, 7]", "linear(x, w)",
	  "!linear: x is bf16[T, 8] and w is bf16[4, 7]: the last axis of x is 8 and axis 1 of w is 7, which differ" },
	{ "x: bf16[T, 8]; w: bf16[8]", "linear(x, w)", "!linear: w is bf16[8], but must have the two axes [out, in]" },
	{ "x: bf16[T, 8]; w: f32[4, 8]", "linear(x, w)",
	  "!linear: x is bf16[T, 8] and w is f32[4, 8], but they must have one dtype: cast one of them" },
	{ "x: bf16[T, 8]; w: bf16[4, 8]; b: bf16[8]", "linear(x, w, b)",
	  "!linear: b is bf16[8] and w is bf16[4, 8]: the only axis of b is 8 and axis 0 of w is 4, which differ" },
	{ "x: bf16[T, 8]; w: bf16[4, 8]; b: bf16[1, 4]", "linear(x, w, b)",
	  "!linear: b is bf16[1, 4], but must have one axis" },
	{ "x: bf16[T, 8]; w: bf16[4, 8]; b: f32[4]", "linear(x, w, b)",
	  "!linear: x is bf16[T, 8] and b is f32[4], but they must have one dtype: cast one of them" })

CASES(attention,
	{ "q: f32[1, 16, T, 64]; k: f32[1, 16, S, 64]; v: f32[1, 16, S, 32]", "scaled_dot_product_attention(q, k, v)",
	  "f32[1, 16, T, 32]" },
	{ "q: f32[T, 64]; k: f32[S, 64]; v: f32[S, 64]",
	  "scaled_dot_product_attention(q, k, v) {causal=true, scale=0.5}", "f32[T, 64]" },
	{ "q: f32[8, T, 64]; k: f32[1, S, 64]; v: f32[1, S, 64]; m: bool[T, S]",
	  "scaled_dot_product_attention(q, k, v, m)", "f32[8, T, 64]" },
	{ "q: f32[8, T, 64]; k: f32[1, S, 64]; v: f32[1, S, 64]; m: f32[8, 1, S]",
	  "scaled_dot_product_attention(q, k, v, m)", "f32[8, T, 64]" },
	{ "q: f32[T, 64]; k: f32[S, 63]; v: f32[S, 64]", "scaled_dot_product_attention(q, k, v)",
	  "!scaled_dot_product_attention: q is f32[T, 64] and k is f32[S, 63]: the last axis of q is 64 and the last "
	  "axis of k is 63, which differ" },
	{ "q: f32[T, 64]; k: f32[S, 64]; v: f32[T, 64]", "scaled_dot_product_attention(q, k, v)", "f32[T, 64]" },
	{ "q: f32[T, 64]; k: f32[S, 64]; v: f32[S + 1, 64]", "scaled_dot_product_attention(q, k, v)",
	  "!scaled_dot_product_attention: k is f32[S, 64] and v is f32[S + 1, 64]: the last axis but one of k is S and "
	  "the last axis but one of v is S + 1, which differ" },
	{ "q: f32[8, T, 64]; k: f32[4, S, 64]; v: f32[4, S, 64]", "scaled_dot_product_attention(q, k, v)",
	  "!scaled_dot_product_attention: q is f32[8, T, 64] and k is f32[4, S, 64] do not broadcast: 8 and 4 differ" },
	{ "q: f32[64]; k: f32[S, 64]; v: f32[S, 64]", "scaled_dot_product_attention(q, k, v)",
	  "!scaled_dot_product_attention: q is f32[64], but it needs at least 2 axes" },
	{ "q: f32[T, 64]; k: f16[S, 64]; v: f32[S, 64]", "scaled_dot_product_attention(q, k, v)",
	  "!scaled_dot_product_attention: q is f32[T, 64] and k is f16[S, 64], but they must have one dtype: cast one "
	  "of them" },
	{ "q: i32[T, 64]; k: i32[S, 64]; v: i32[S, 64]", "scaled_dot_product_attention(q, k, v)",
	  "!scaled_dot_product_attention: q is i32[T, 64], but must have a float dtype: cast it first" },
	{ "q: f32[T, 64]; k: f32[S, 64]; v: f32[S, 64]; m: f32[S, T]", "scaled_dot_product_attention(q, k, v, m)",
	  "!scaled_dot_product_attention: mask is f32[S, T] and q is f32[T, 64] do not broadcast: T and S are not "
	  "known to be equal" },
	{ "q: f32[T, 64]; k: f32[S, 64]; v: f32[S, 64]; m: f32[8, T, S]", "scaled_dot_product_attention(q, k, v, m)",
	  "!scaled_dot_product_attention: mask is f32[8, T, S] has more axes than q is f32[T, 64]" },
	{ "q: f32[T, 64]; k: f32[S, 64]; v: f32[S, 64]; m: bf16[T, S]", "scaled_dot_product_attention(q, k, v, m)",
	  "!scaled_dot_product_attention: q is f32[T, 64] and mask is bf16[T, S], but they must have one dtype: cast "
	  "one of them" },
	{ "q: f32[T, 64]; k: f32[S, 64]; v: f32[S, 64]; m: bool[T, S]",
	  "scaled_dot_product_attention(q, k, v, m) {causal=true}",
	  "!scaled_dot_product_attention: there is a mask and causal=true: give one of the two" })

CASES(layers,
	{ "t: bf16[129280, 7168]; i: i64[T]", "embedding(t, i)", "bf16[T, 7168]" },
	{ "t: bf16[10, 8]; i: i32[]", "embedding(t, i)", "bf16[8]" },
	{ "t: bf16[10, 8]; i: i16[T]", "embedding(t, i)", "!embedding: ids is i16[T], but ids must be i32 or i64" },
	{ "t: bf16[10]; i: i64[T]", "embedding(t, i)", "!embedding: table is bf16[10], but must have two axes" },
	{ "x: bf16[T, 1536]; w: bf16[1536]", "rms_norm(x, w) {eps=1e-06}", "bf16[T, 1536]" },
	{ "x: bf16[T, 2*S]; w: bf16[S + S]", "rms_norm(x, w) {eps=1e-06}", "bf16[T, 2*S]" },
	{ "x: bf16[T, 1536]", "rms_norm(x) {eps=1e-06}", "bf16[T, 1536]" },
	{ "x: bf16[0, 0]; w: bf16[0]", "rms_norm(x, w) {eps=1e-06}", "bf16[0, 0]" },
	{ "x: bf16[T, 1536]; w: bf16[1]", "rms_norm(x, w) {eps=1e-06}",
	  "!rms_norm: x is bf16[T, 1536] and w is bf16[1]: the last axis of x is 1536 and the only axis of w is 1, "
	  "which differ" },
	{ "x: bf16[T, 1536]; w: bf16[S]", "rms_norm(x, w) {eps=1e-06}",
	  "!rms_norm: x is bf16[T, 1536] and w is bf16[S]: the last axis of x is 1536 and the only axis of w is S, "
	  "which are not known to be equal" },
	{ "x: bf16[T, 1536]; w: f32[1536]", "rms_norm(x, w) {eps=1e-06}",
	  "!rms_norm: x is bf16[T, 1536] and w is f32[1536], but they must have one dtype: cast one of them" },
	{ "x: bf16[T, 8]; w: bf16[1, 8]", "rms_norm(x, w) {eps=1e-06}",
	  "!rms_norm: w is bf16[1, 8], but must have one axis" },
	{ "x: i32[8]", "rms_norm(x) {eps=1e-06}",
	  "!rms_norm: x is i32[8], but must have a float dtype: cast it first" },
	{ "x: f8e4m3fn[8]", "rms_norm(x) {eps=1e-06}",
	  "!rms_norm: x is f8e4m3fn[8], and 8-bit floats can only be moved and cast: cast it to a wider float first" },
	{ "x: f32[]", "rms_norm(x) {eps=1e-06}", "!rms_norm: x is f32[], but it needs at least 1 axis" },
	{ "q: bf16[T, 1536]; a: bf16[1536]; k: bf16[T, 512]; b: bf16[512]",
	  "n, m = fused_mla_dual_rms_norm(q, a, k, b) {q_eps=1e-06, kv_eps=1e-05}", "bf16[T, 1536]; bf16[T, 512]" },
	{ "q: bf16[2, T, 8]; a: bf16[8]; k: bf16[2*T, 4]; b: bf16[4]",
	  "n, m = fused_mla_dual_rms_norm(q, a, k, b) {q_eps=1e-06, kv_eps=1e-06}", "bf16[2, T, 8]; bf16[2*T, 4]" },
	{ "q: bf16[T, 8]; a: bf16[8]; k: bf16[S, 4]; b: bf16[4]",
	  "n, m = fused_mla_dual_rms_norm(q, a, k, b) {q_eps=1e-06, kv_eps=1e-06}",
	  "!fused_mla_dual_rms_norm: q is bf16[T, 8] and kv is bf16[S, 4]: the number of rows of q is T and the number "
	  "of rows of kv is S, which are not known to be equal" },
	{ "q: bf16[T, 8]; a: bf16[8]; k: f16[T, 4]; b: f16[4]",
	  "n, m = fused_mla_dual_rms_norm(q, a, k, b) {q_eps=1e-06, kv_eps=1e-06}",
	  "!fused_mla_dual_rms_norm: q is bf16[T, 8] and kv is f16[T, 4], but they must have one dtype: cast one of "
	  "them" },
	{ "q: bf16[T, 8]; a: bf16[8]; k: bf16[T, 4]; b: bf16[8]",
	  "n, m = fused_mla_dual_rms_norm(q, a, k, b) {q_eps=1e-06, kv_eps=1e-06}",
	  "!fused_mla_dual_rms_norm: kv is bf16[T, 4] and kv_w is bf16[8]: the last axis of kv is 4 and the only axis "
	  "of kv_w is 8, which differ" },
	{ "x: bf16[1, 16, T, 64]; c: bf16[T, 32]", "rope(x, c, c)", "bf16[1, 16, T, 64]" },
	{ "x: bf16[T, 16, 2*S]; c: f32[T, 1, S]", "rope(x, c, c) {interleaved=true}", "bf16[T, 16, 2*S]" },
	{ "x: bf16[64]; c: bf16[32]", "rope(x, c, c)", "bf16[64]" },
	{ "x: bf16[T, 63]; c: bf16[T, 32]", "rope(x, c, c)",
	  "!rope: x is bf16[T, 63], but its last axis must be known to be even" },
	{ "x: bf16[T, S]; c: bf16[T, 32]", "rope(x, c, c)",
	  "!rope: x is bf16[T, S], but its last axis must be known to be even" },
	{ "x: bf16[T, 64]; c: bf16[T, 64]", "rope(x, c, c)",
	  "!rope: cos is bf16[T, 64] and x is bf16[T, 64]: the last axis of cos is 64 and half the last axis of x is "
	  "32, which differ" },
	{ "x: bf16[T, 64]; c: bf16[S, 32]", "rope(x, c, c)",
	  "!rope: cos is bf16[S, 32] and x is bf16[T, 64] do not broadcast: S and T are not known to be equal" },
	{ "x: bf16[64]; c: bf16[1, 32]", "rope(x, c, c)",
	  "!rope: cos is bf16[1, 32] has more axes than x is bf16[64]" },
	{ "x: bf16[T, 64]; c: bf16[T, 32]; s: f32[T, 32]", "rope(x, c, s)",
	  "!rope: cos is bf16[T, 32] and sin is f32[T, 32], but they must have one dtype: cast one of them" },
	{ "x: i32[T, 64]; c: bf16[T, 32]", "rope(x, c, c)",
	  "!rope: x is i32[T, 64], but must have a float dtype: cast it first" })

CASES(given_types,
	{ "x: f32[-1]", "clone(x)", "!the type given has the negative size -1 at axis 0" },
	{ "x: f32[T, -T]", "clone(x)", "!the type given has the negative size -T at axis 1" },
	{ "x: f32[4294967296, 4294967296, 0]", "clone(x)", "!the type given has more bytes than 64-bit offsets reach" },
	{ "x: f32[0, 4294967296, 4294967296]", "clone(x)", "!the type given has more bytes than 64-bit offsets reach" },
	{ "x: f32[2305843009213693951]", "clone(x)", "f32[2305843009213693951]" },
	{ "x: f32[2305843009213693952]", "clone(x)", "!the type given has more bytes than 64-bit offsets reach" },
	{ "x: u8[9223372036854775807]", "clone(x)", "u8[9223372036854775807]" })

/* ---- the limit of rank ---- */

static void check_rank(int rank, const char *node, const char *wanted)
{
	char inputs[512] = "x: f32[", got[512];
	for (int i = 0; i < rank; i++)
		strcat(inputs, i ? ", 1" : "1");
	strcat(inputs, "]; t: f32[4, 4]; i: i64[");
	for (int i = 0; i < rank; i++)
		strcat(inputs, i ? ", 1" : "1");
	strcat(inputs, "]");
	snprintf(got, sizeof got, "%s", wanted);
	check_case(&(Case){ inputs, node, got });
}

TEST(rank_is_capped)
{
	check_rank(64, "sum(x)", "f32[]");
	check_rank(64, "unsqueeze(x) {axis=0}", "!unsqueeze: the result would have rank 65, but graft's limit is 64");
	check_rank(64, "embedding(t, i)", "!embedding: the result would have rank 65, but graft's limit is 64");
	check_rank(64, "reshape(x) {shape=[-1]}", "f32[1]");
}

/* ---- axes and dtypes ---- */

TEST(axes_as_a_set)
{
	const int64_t axes[] = { -1, 1 };
	bool in[4];
	Attr a = { .kind = ATTR_AXES, .n = 2, .ints = axes }, one = { .kind = ATTR_AXIS, .i = -4 };
	attr_axes(&a, 4, in);
	CHECK(!in[0] && in[1] && !in[2] && in[3]);
	attr_axes(&one, 4, in);
	CHECK(in[0] && !in[1] && !in[2] && !in[3]);
	attr_axes(&(Attr){ .kind = ATTR_NONE }, 4, in);
	CHECK(in[0] && in[1] && in[2] && in[3]);
	CHECK_INT(axis_of(&one, 4), 0);
	CHECK_INT(axis_of(&(Attr){ .kind = ATTR_AXIS, .i = 3 }, 4), 3);
}

TEST(dtypes_by_name)
{
	graft_dtype d;
	for (int i = 0; i < GRAFT_DTYPE_END; i++) {
		const char *name = graft_dtype_name((graft_dtype)i);
		if (i == GRAFT_DTYPE_COUNT)
			continue;
		CHECK(dtype_parse(name, strlen(name), &d) && (int)d == i);
		CHECK(graft_dtype_size((graft_dtype)i) != 0);
		CHECK(dtype_is_kept((graft_dtype)i) == (i > GRAFT_DTYPE_f8e5m2));
	}
	CHECK_STR(graft_dtype_name(GRAFT_DTYPE_COUNT), "?");
	CHECK_STR(graft_dtype_name(GRAFT_DTYPE_END), "?");
	CHECK_STR(graft_dtype_name(GRAFT_DTYPE_c64), "c64");
	CHECK_INT(graft_dtype_size(GRAFT_DTYPE_c128), 16);
	CHECK_INT(graft_dtype_size(GRAFT_DTYPE_END), 0);
	CHECK(!dtype_is_float(GRAFT_DTYPE_c64) && !dtype_is_float(GRAFT_DTYPE_u16));
	CHECK(!dtype_parse("f3", 2, &d));
	CHECK(!dtype_parse("f322", 4, &d));
	CHECK(!dtype_parse("", 0, &d));
	CHECK(!dtype_is_float(GRAFT_DTYPE_i64) && dtype_is_float(GRAFT_DTYPE_f16) &&
	      dtype_is_float(GRAFT_DTYPE_f8e5m2));
}

/* ---- ops of torch.export ---- */

CASES(elementwise_more,
	{ "a: i32[T]", "abs(a)", "i32[T]" },
	{ "a: bool[T]", "relu(a)", "!relu: x is bool[T], and bools cannot be computed with: cast it first" },
	{ "a: i64[T]", "exp(a)", "f32[T]" },
	{ "a: f16[T]", "tanh(a)", "f16[T]" },
	{ "a: bf16[T]", "gelu(a) {approximate=tanh}", "bf16[T]" },
	{ "a: i32[T]", "gelu(a)", "!gelu: x is i32[T], but must have a float dtype: cast it first" },
	{ "a: bf16[T, 1]; b: f32[8]", "maximum(a, b)", "f32[T, 8]" },
	{ "a: bool[T]; b: bool[T]", "minimum(a, b)", "bool[T]" },
	{ "a: i64[T]", "floor_divide(a, 2)", "i64[T]" },
	{ "a: i64[T]", "floor_divide(a, 2.0)", "f32[T]" },
	{ "a: u8[T]; b: i8[T]", "remainder(a, b)", "i16[T]" },
	{ "a: bool[T]", "trunc_divide(a, true)",
	  "!trunc_divide: the result would be bool, and bools cannot be computed with: cast one operand" },
	{ "a: i64[T]", "clamp(a, none, 7)", "i64[T]" },
	{ "a: i64[T]", "clamp(a, 0.5)", "f32[T]" },
	{ "a: bf16[T, 1]; b: bf16[S]; c: f32[2, 1, 1]", "clamp(a, b, c)", "f32[2, T, S]" },
	{ "a: f32[T]", "clamp(a)", "!clamp: neither min nor max is given: give one of the two, or both" },
	{ "a: f32[T]; b: f32[8]", "clamp(a, none, b)",
	  "!clamp: x is f32[T] and max is f32[8] do not broadcast: T and 8 are not known to be equal" },
	{ "", "clamp(1, 0)", "!clamp: operand x is a literal, but must be a tensor" })

CASES(logic,
	{ "a: f32[T, 1]; b: bf16[8]", "eq(a, b)", "bool[T, 8]" },
	{ "a: i64[T]", "ge(a, 8)", "bool[T]" },
	{ "a: f8e5m2[T]", "lt(a, 1.0)",
	  "!lt: a is f8e5m2[T], and 8-bit floats can only be moved and cast: cast it to a wider float first" },
	{ "", "gt(1, 2)", "!gt: both operands are literals, but one must be a tensor" },
	{ "a: f32[T]; b: i8[T]", "logical_and(a, b)", "bool[T]" },
	{ "a: f32[T]", "logical_not(a)", "bool[T]" },
	{ "a: bool[T]; b: i32[T]", "bitwise_and(a, b)", "i32[T]" },
	{ "a: bool[T, 1]; b: bool[S]", "bitwise_or(a, b)", "bool[T, S]" },
	{ "a: i32[T]", "bitwise_xor(a, 1.5)",
	  "!bitwise_xor: b is a literal, but must be an integer or a bool: floats have no bits to combine" },
	{ "a: f32[T]", "bitwise_not(a)",
	  "!bitwise_not: x is f32[T], but must be an integer or a bool: floats have no bits to combine" },
	{ "c: bool[T, 1]; a: bf16[8]", "where(c, a, 0.5)", "bf16[T, 8]" },
	{ "c: bool[T]; a: i64[T]", "where(c, a, -inf)", "f32[T]" },
	{ "c: bool[T]", "where(c, 1.0, 0)", "f32[T]" },
	{ "c: bool[T]", "where(c, 1, 0)", "i64[T]" },
	{ "c: u8[T]; a: f32[T]", "where(c, a, a)", "!where: cond is u8[T], but must be bool: compare it with 0" },
	{ "c: bool[3]; a: f32[4]", "where(c, a, 0)",
	  "!where: cond is bool[3] and a is f32[4] do not broadcast: 3 and 4 differ" })

CASES(extremes,
	{ "a: bf16[T, 8]", "amax(a) {axes=[-1]}", "bf16[T]" },
	{ "a: u8[T, 8]", "amin(a) {axes=[0], keepdim=true}", "u8[1, 8]" },
	{ "a: f32[T, 8]", "amax(a)", "f32[]" },
	{ "a: f32[Z, 8]", "amax(a) {axes=[0]}", "f32[8]" },
	{ "a: f32[0, 8]", "amax(a) {axes=[1]}", "f32[0]" },
	{ "a: f32[0, 8]", "amax(a) {axes=[0]}",
	  "!amax: x is f32[0, 8], and amax of nothing is not defined: axis 0 is empty" },
	{ "a: f32[T, 8]", "amin(a) {axes=[2]}", "!amin: axis is 2, but must be from -2 to 1" },
	{ "a: f32[T, 8]", "argmax(a) {axis=-1}", "i64[T]" },
	{ "a: f32[T, 8]", "argmax(a) {axis=0, keepdim=true}", "i64[1, 8]" },
	{ "a: f32[T, 8]", "argmax(a)", "i64[]" },
	{ "a: f32[]", "argmax(a) {axis=-1}", "i64[]" },
	{ "a: f32[T, 8]", "argmax(a) {axis=2}", "!argmax: axis is 2, but must be from -2 to 1" },
	{ "a: f32[T, 0]", "argmax(a)",
	  "!argmax: x is f32[T, 0], and argmax of nothing is not defined: axis 1 is empty" },
	{ "a: f32[T, 8]", "any(a) {axes=[0]}", "bool[8]" },
	{ "a: u8[T, 8]", "all(a)", "u8[]" },
	{ "a: i32[T, 8]", "cumsum(a) {axis=-1}", "i64[T, 8]" },
	{ "a: bf16[T, 8]", "cumsum(a) {axis=0}", "bf16[T, 8]" },
	{ "a: bool[T]", "cumsum(a) {axis=0, dtype=i32}", "i32[T]" },
	{ "a: f32[]", "cumsum(a) {axis=0}", "f32[]" },
	{ "a: f32[]", "cumsum(a) {axis=1}", "!cumsum: axis is 1, but must be from -1 to 0" },
	{ "a: f32[T]", "cumsum(a) {axis=0, dtype=f8e5m2}",
	  "!cumsum: dtype is f8e5m2, and 8-bit floats cannot be summed in: cast the sum" },
	{ "a: f16[T, 8]", "values, ids = sort(a)", "f16[T, 8]; i64[T, 8]" },
	{ "a: f32[]", "values, ids = sort(a) {axis=0}", "f32[]; i64[]" },
	{ "a: f32[T, 8]", "values, ids = sort(a) {axis=2}", "!sort: axis is 2, but must be from -2 to 1" },
	{ "a: f32[T, 8]", "values, ids = topk(a) {k=8}", "f32[T, 8]; i64[T, 8]" },
	{ "a: f32[M, 8]", "values, ids = topk(a) {k=8, axis=0}", "f32[8, 8]; i64[8, 8]" },
	{ "a: f32[T, 8]", "values, ids = topk(a) {k=9}",
	  "!topk: k is 9, which is not from 0 to 8, the size of axis 1" },
	{ "a: f32[T, 8]", "values, ids = topk(a) {k=2, axis=0}",
	  "!topk: k is 2, which is not known to be from 0 to T, the size of axis 0" },
	{ "a: f32[T, 8]", "values, ids = topk(a) {k=-1}",
	  "!topk: k is -1, which is not from 0 to 8, the size of axis 1" },
	{ "a: bf16[T, 8]", "histc(a) {bins=4, min=0.0, max=3.0}", "bf16[4]" },
	{ "a: f32[T]", "histc(a)", "f32[100]" },
	{ "a: f32[T]", "histc(a) {bins=0}", "!histc: bins is 0, but must be at least 1" },
	{ "a: f32[T]", "histc(a) {min=2.0, max=1.0}",
	  "!histc: min is 2 and max is 1, but must be finite, and min at most max" },
	{ "a: bool[T]", "histc(a)", "!histc: x is bool[T], and bools cannot be counted in a range: cast it first" })

CASES(chosen_by_index,
	{ "x: f32[T, 8]; ids: i64[T, 3]", "gather(x, ids) {axis=-1}", "f32[T, 3]" },
	{ "x: f8e5m2[T, 8]; ids: i32[1, 20]", "gather(x, ids) {axis=1}", "f8e5m2[1, 20]" },
	{ "x: f32[]; ids: i64[]", "gather(x, ids) {axis=0}", "f32[]" },
	{ "x: f32[]; ids: i64[5]", "gather(x, ids) {axis=0}", "f32[5]" },
	{ "x: f32[T, 8]; ids: i64[S, 3]", "gather(x, ids) {axis=1}",
	  "!gather: x is f32[T, 8] and ids is i64[S, 3]: S at axis 0 of ids is not known not to be more than T of x" },
	{ "x: f32[T, 8]; ids: i64[T, 9]", "gather(x, ids) {axis=0}",
	  "!gather: x is f32[T, 8] and ids is i64[T, 9]: 9 at axis 1 of ids is more than 8 of x" },
	{ "x: f32[T, 8]; ids: i64[T]", "gather(x, ids) {axis=0}",
	  "!gather: x is f32[T, 8] and ids is i64[T], but they must have one rank" },
	{ "x: f32[T]; ids: i16[T]", "gather(x, ids) {axis=0}", "!gather: ids is i16[T], but ids must be i32 or i64" },
	{ "x: f32[T]; ids: i64[T]", "gather(x, ids) {axis=1}", "!gather: axis is 1, but must be from -1 to 0" },
	{ "x: f32[T, 8]; ids: i64[T, 3]; src: f32[T, 4]", "scatter(x, ids, src) {axis=1}", "f32[T, 8]" },
	{ "x: i64[T, 8]; ids: i64[T, 3]", "scatter(x, ids, 1) {axis=1}", "i64[T, 8]" },
	{ "x: f32[T, 8]; ids: i64[T, 3]; src: f32[T, 2]", "scatter(x, ids, src) {axis=1}",
	  "!scatter: src is f32[T, 2] and ids is i64[T, 3]: 3 at axis 1 of ids is more than 2 of src" },
	{ "x: f32[T, 8]; ids: i64[T, 3]; src: f16[T, 3]", "scatter(x, ids, src) {axis=1}",
	  "!scatter: x is f32[T, 8] and src is f16[T, 3], but they must have one dtype: cast one of them" },
	{ "x: f32[T, 8]; ids: i64[S]", "index_select(x, ids) {axis=0}", "f32[S, 8]" },
	{ "x: f32[T, 8]; ids: i64[]", "index_select(x, ids) {axis=-1}", "f32[T, 1]" },
	{ "x: f32[T, 8]; ids: i64[2, 2]", "index_select(x, ids) {axis=0}",
	  "!index_select: ids is i64[2, 2], but ids must have one axis, or none" },
	{ "x: f32[]; ids: i64[2]", "index_select(x, ids) {axis=0}",
	  "!index_select: x is f32[], from which one element can be chosen, but there are 2 ids" },
	{ "x: f32[T, 8]; ids: i64[S]; src: f32[S, 8]", "index_add(x, ids, src) {axis=0}", "f32[T, 8]" },
	{ "x: f32[T, 8]; ids: i64[S]; src: f32[T, 8]", "index_add(x, ids, src) {axis=0}",
	  "!index_add: src is f32[T, 8] and ids is i64[S]: the axis of src is T and the number of ids is S, which are "
	  "not known to be equal" },
	{ "x: f32[T, 8]; ids: i64[S]; src: f32[S, 7]", "index_add(x, ids, src) {axis=0}",
	  "!index_add: x is f32[T, 8] and src is f32[S, 7]: an axis of x is 8 and that axis of src is 7, which "
	  "differ" })

CASES(chosen_by_tuples,
	{ "x: f32[T, 8]; i: i64[S]", "index(x, i)", "f32[S, 8]" },
	{ "x: f32[T, 8]; i: i64[S]", "index(x, none, i)", "f32[T, S]" },
	{ "x: f32[T, 8]; i: i64[S, 1]; j: i32[5]", "index(x, i, j)", "f32[S, 5]" },
	{ "x: f32[4, 5, 6]; i: i64[2]; j: i64[3, 1]", "index(x, none, i, j)", "f32[4, 3, 2]" },
	{ "x: f32[4, 5, 6]; i: i64[2]; j: i64[3, 1]", "index(x, i, none, j)", "f32[3, 2, 5]" },
	{ "x: f32[4, 5, 6]; i: i64[]; j: i64[]", "index(x, i, none, j)", "f32[5]" },
	{ "x: f32[4, 5]", "index(x, none)", "!index: there are no ids: every one is none" },
	{ "x: f32[4, 5]", "index(x)", "!index: there are no ids: every one is none" },
	{ "x: f32[4]; i: i64[2]", "index(x, i, i)", "!index: there are 2 ids, but x is f32[4]" },
	{ "x: f32[4, 5]; i: i64[2]; j: i64[3]", "index(x, i, j)",
	  "!index: ids[0] is i64[2] and ids[1] is i64[3] do not broadcast: 2 and 3 differ" },
	{ "x: f32[4]; m: bool[4]", "index(x, m)",
	  "!index: ids[0] is bool[4], and graft has no masks as indices, because their results have no size that is "
	  "known before they run: use where" },
	{ "x: f32[4, 5]; v: f32[5]; i: i64[T]", "index_put(x, v, i)", "f32[4, 5]" },
	{ "x: f32[4, 5]; i: i64[T]", "index_put(x, 1, none, i) {accumulate=true}", "f32[4, 5]" },
	{ "x: f32[4, 5]; v: f32[T, 4]; i: i64[T]", "index_put(x, v, i)",
	  "!index_put: values is f32[T, 4] and x is f32[4, 5] do not broadcast: 4 and 5 differ" },
	{ "x: f32[4, 5]; v: i64[5]; i: i64[T]", "index_put(x, v, i)",
	  "!index_put: x is f32[4, 5] and values is i64[5], but they must have one dtype: cast one of them" },
	{ "x: f8e5m2[4]; v: f8e5m2[]; i: i64[T]", "index_put(x, v, i)", "f8e5m2[4]" },
	{ "x: f8e5m2[4]; v: f8e5m2[]; i: i64[T]", "index_put(x, v, i) {accumulate=true}",
	  "!index_put: x is f8e5m2[4], and 8-bit floats can only be moved and cast: cast it to a wider float first" })

CASES(views_and_copies_more,
	{ "x: f8e5m2[T, 8]", "alias(x)", "f8e5m2[T, 8]" },
	{ "x: bool[T, 8]", "contiguous(x)", "bool[T, 8]" },
	{ "x: f32[T, 8]; src: i64[8]", "copy(x, src)", "f32[T, 8]" },
	{ "x: f32[T, 8]; src: i64[7]", "copy(x, src)",
	  "!copy: src is i64[7] and x is f32[T, 8] do not broadcast: 7 and 8 differ" },
	{ "x: f32[T, 8]", "select(x) {axis=0, index=0}", "f32[8]" },
	{ "x: f32[T, 8]", "select(x) {axis=-1, index=-8}", "f32[T]" },
	{ "x: f32[T, 8]", "select(x) {axis=1, index=8}", "!select: index 8 is outside of axis 1, which holds 8" },
	{ "x: f32[T, 8]", "select(x) {axis=1, index=-9}", "!select: index -9 is outside of axis 1, which holds 8" },
	{ "x: f32[T, 8]", "select(x) {axis=0, index=1}",
	  "!select: index 1 is not known to lie within axis 0, which holds T" },
	{ "x: f32[T, 8]", "select(x) {axis=0, index=T - 1}", "f32[8]" },
	{ "x: f32[]", "select(x) {axis=0, index=0}", "!select: axis is 0, but x has no axes" },
	{ "x: f32[T, 8]; src: bf16[T, 3]", "slice_scatter(x, src) {axis=1, start=2, end=7, step=2}", "f32[T, 8]" },
	{ "x: f32[T, 8]; src: f32[T - 1, 8]", "slice_scatter(x, src) {end=-1}", "f32[T, 8]" },
	{ "x: f32[T, 8]; src: f32[T, 3]", "slice_scatter(x, src) {axis=1, start=-2}",
	  "!slice_scatter: x is f32[T, 8] and src is f32[T, 3]: 3 at axis 1 of src and 2 that it goes to differ" },
	{ "x: f32[T, 8]; src: f32[8]", "slice_scatter(x, src)",
	  "!slice_scatter: x is f32[T, 8] and src is f32[8], but they must have one rank" },
	{ "x: f32[T, 8]", "repeat(x) {sizes=[2, 1, S]}", "f32[2, T, 8*S]" },
	{ "x: f32[]", "repeat(x) {sizes=[]}", "f32[]" },
	{ "x: f32[T, 8]", "repeat(x) {sizes=[2]}", "!repeat: there are 1 sizes, but x is f32[T, 8]" },
	{ "x: f32[T, 8]", "repeat(x) {sizes=[1, -1]}",
	  "!repeat: sizes[1] is -1, but nothing is repeated less than 0 times" },
	{ "x: bool[2, T, 8]", "tril(x) {diagonal=-1}", "bool[2, T, 8]" },
	{ "x: f32[T]", "triu(x)", "!triu: x is f32[T], but it needs at least 2 axes" },
	{ "a: bf16[T, 8]; b: bf16[4, 8, 6]; o: i32[4]", "grouped_matmul(a, b, o)", "bf16[T, 6]" },
	{ "a: f32[T, 8]; b: f32[4, 7, 6]; o: i32[4]", "grouped_matmul(a, b, o)",
	  "!grouped_matmul: a is f32[T, 8] and b is f32[4, 7, 6]: axis 1 of a is 8 and axis 1 of b is 7, which "
	  "differ" },
	{ "a: f32[T, 8]; b: f32[4, 8, 6]; o: i32[3]", "grouped_matmul(a, b, o)",
	  "!grouped_matmul: offs is i32[3] and b is f32[4, 8, 6]: the only axis of offs is 3 and axis 0 of b is 4, "
	  "which differ" },
	{ "a: f32[2, T, 8]; b: f32[4, 8, 6]; o: i32[4]", "grouped_matmul(a, b, o)",
	  "!grouped_matmul: a is f32[2, T, 8], but must have the two axes [rows, in]" },
	{ "a: f32[T, 8]; b: f32[8, 6]; o: i32[4]", "grouped_matmul(a, b, o)",
	  "!grouped_matmul: b is f32[8, 6], but must have the three axes [groups, in, out]" },
	{ "a: f32[T, 8]; b: f32[4, 8, 6]; o: f32[4]", "grouped_matmul(a, b, o)",
	  "!grouped_matmul: offs is f32[4], but must be i32 or i64 and have one axis" })

/* ---- cost: a node with the sizes of its operand brings none of its own ---- */

static size_t held_after(Job *job, graft_context *ctx, int n)
{
	Graph *g = graph_new(job, ctx, "g");
	const Dim dims[3] = { { 2, NULL }, { 3, NULL }, { 4, NULL } };
	Value *x = value_input(g, "x", 1, (Type){ GRAFT_DTYPE_f32, 3, dims });
	for (int i = 0; i < n; i++) {
		Value *in[] = { x, x };
		x = node_new(g, &(NodeSpec){ .op = &op_table[OP_add], .in = in, .n_in = 2, .n_out = 1 })->out[0];
		CHECK(x->type.dims == dims);
	}
	return job->scratch.held;
}

static void check_cost(Job *job, void *ctx)
{
	size_t before = held_after(job, ctx, 10);
	CHECK(held_after(job, ctx, 10000) < before + 4096);   /* and a rule that is content writes no messages */
}

TEST(nodes_share_their_sizes)
{
	graft_context *ctx;
	graft_error err = { 0 };
	CHECK_INT(graft_context_new(NULL, &ctx, NULL), GRAFT_OK);
	guarded(context_allocator(ctx), check_cost, ctx, &err);
	graft_context_free(ctx);
	CHECK_STR(err.message, "");
}
