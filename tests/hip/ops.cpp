/* ops.cpp - every other kernel of the pack against the reference kernel: shapes, strides, broadcasts, dtypes.
 *
 * What the two compute differs in the order of sums and in the last bits of functions; what is only moved must be the
 * same.
 */
#include "hip.h"
#include <cmath>
#include <cstring>

static const std::vector<int> numbers = {GRAFT_DTYPE_f32, GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f64};
static const std::vector<int> integers = {GRAFT_DTYPE_i64, GRAFT_DTYPE_i32, GRAFT_DTYPE_u8, GRAFT_DTYPE_bool};
static const double EPS = 1.2e-7;
static double eps(int dtype) { return dtype == GRAFT_DTYPE_f64 ? 2.3e-16 : EPS; }

/* ---- elementwise ---- */

struct Elementwise { const char *op; graft_launch_fn cpu; int n_in; bool whole; double low, high, ulps; };

/* whole: integers too; operands are drawn from low .. high; ulps of float32 or float64 that the functions may differ
 * by */
static const Elementwise elementwise[] = {
	{"add", cpu_add, 2, true, -4, 4, 0},        {"sub", cpu_sub, 2, true, -4, 4, 0},
	{"mul", cpu_mul, 2, true, -4, 4, 0},
	{"neg", cpu_neg, 1, true, -4, 4, 0},        {"square", cpu_square, 1, true, -4, 4, 0},
	{"div", cpu_div, 2, false, -4, 4, 0},
	{"cos", cpu_cos, 1, false, -4, 4, 2},       {"sin", cpu_sin, 1, false, -4, 4, 2},
	{"sqrt", cpu_sqrt, 1, false, 0, 4, 0},
	{"reciprocal", cpu_reciprocal, 1, false, -4, 4, 0}, {"rsqrt", cpu_rsqrt, 1, false, 0, 4, 2},
	{"sigmoid", cpu_sigmoid, 1, false, -8, 8, 4}, {"silu", cpu_silu, 1, false, -8, 8, 4},
	{"pow", cpu_pow, 2, true, 0, 3, 16},
	{"abs", cpu_abs, 1, true, -4, 4, 0},        {"relu", cpu_relu, 1, true, -4, 4, 0},
	{"maximum", cpu_maximum, 2, true, -4, 4, 0},
	{"minimum", cpu_minimum, 2, true, -4, 4, 0}, {"exp", cpu_exp, 1, false, -4, 4, 4},
	{"erf", cpu_erf, 1, false, -4, 4, 4},
	{"log", cpu_log, 1, false, 0.01, 4, 4},
	{"tanh", cpu_tanh, 1, false, -4, 4, 4},
};

static void fill_between(Tensor &t, Random &r, double low, double high)
{
	for (int64_t i = 0, n = t.size(); i < n; i++) {
		double v = low + (high - low) * static_cast<double>(r.below(1 << 20)) / (1 << 20);
		t.put(i, floating(t.dtype) ? v : floor(v));
	}
}

static void one_elementwise(Random &r, const Elementwise &e, int dtype, const Shape &shape, const Shape &second,
                            bool literal)
{
	Tensor a(dtype, shape, any(r)), b(dtype, second, any(r));
	if (literal)
		b = Tensor(floating(dtype) ? static_cast<int>(GRAFT_DTYPE_f32) : static_cast<int>(GRAFT_DTYPE_i64), {});
	fill_between(a, r, e.low, e.high), fill_between(b, r, e.low, e.high);
	Tensors in = {&a};
	if (e.n_in == 2)
		in.push_back(&b);
	bool wide = dtype == GRAFT_DTYPE_f32 || dtype == GRAFT_DTYPE_f64;
	compare_into(e.op, e.cpu, in, dtype, shape, any_result(r), {},
	             floating(dtype) && e.ulps > 0 ? 1 + (wide ? e.ulps : 0) : 0, wide ? e.ulps * 2 * eps(dtype) : 0);
}

TEST(elementwise_ops)
{
	Random r;
	for (const Elementwise &e : elementwise) {
		for (int dtype : numbers)
			for (int i = 0; i < 5; i++) {
				Shape shape = any_shape(r, r.below(4), 9);
				if (!shape.empty() && i % 2)
					shape.back() = 8 * (1 + r.below(4));
				one_elementwise(r, e, dtype, shape, i == 4 ? Shape{} : part_of(r, shape), i == 4);
			}
		for (int dtype : integers)
			if (e.whole && (dtype != GRAFT_DTYPE_bool || e.n_in == 2))
				one_elementwise(r, e, dtype, any_shape(r, 3, 5), any_shape(r, 1, 1), false);
	}
}

/* The 16-byte path: dense, with a row and with a number broadcast; and the same one element off. */
TEST(elementwise_packed)
{
	Random r;
	for (int dtype : numbers)
		for (int layout : {DENSE, GAPS, ODD})
			for (const Shape &second : {Shape{6, 64}, Shape{64}, Shape{6, 1}, Shape{}}) {
				Tensor a(dtype, {6, 64}, static_cast<Layout>(layout), 8), b(dtype, second);
				a.fill(r), b.fill(r);
				COMPARE(mul, {&a, &b}, dtype, {6, 64}, DENSE, {}, 0, 0);
			}
}

TEST(elementwise_mixed_dtypes)
{
	Random r;
	for (int to : numbers)
		for (int from : {GRAFT_DTYPE_i64, GRAFT_DTYPE_bool, GRAFT_DTYPE_f16, GRAFT_DTYPE_f32, GRAFT_DTYPE_f64}) {
			Tensor a(to, {3, 8}), b(from, {8}), number(GRAFT_DTYPE_f64, {});
			a.fill(r), b.fill(r), number.fill(1e-3);
			COMPARE(add, {&a, &b}, to, {3, 8}, DENSE, {}, 0, 0);
			COMPARE(add, {&a, &number}, to, {3, 8}, DENSE, {}, 0, 0);
		}
}

TEST(elementwise_bits)
{
	Random r;
	for (int dtype : integers) {
		Tensor a(dtype, {3, 8}, any(r)), b(dtype, {8}, any(r));
		a.fill(r), b.fill(r);
		COMPARE(bitwise_and, {&a, &b}, dtype, {3, 8}, any_result(r), {}, 0, 0);
		COMPARE(bitwise_or, {&a, &b}, dtype, {3, 8}, any_result(r), {}, 0, 0);
		COMPARE(bitwise_xor, {&a, &b}, dtype, {3, 8}, any_result(r), {}, 0, 0);
		COMPARE(bitwise_not, {&a}, dtype, {3, 8}, any_result(r), {}, 0, 0);
	}
}

TEST(elementwise_gelu_and_clamp)
{
	Random r;
	for (int dtype : numbers) {
		Tensor x(dtype, {3, 40}, any(r)), low(GRAFT_DTYPE_f64, {}), high(dtype, {40}), none;
		x.fill(r), low.fill(-0.7), high.fill(r);
		x.put(5, NAN), x.put(6, INFINITY);
		for (int approximate = 0; approximate < 2; approximate++)
			COMPARE(gelu, {&x}, dtype, {3, 40}, any_result(r), {attr_int(approximate)}, 2, 2 * eps(dtype));
		COMPARE(clamp, {&x, &low, &high}, dtype, {3, 40}, any_result(r), {}, 0, 0);
		COMPARE(clamp, {&x, &none, &high}, dtype, {3, 40}, any_result(r), {}, 0, 0);
		COMPARE(clamp, {&x, &low}, dtype, {3, 40}, any_result(r), {}, 0, 0);
		COMPARE(contiguous, {&x}, dtype, {3, 40}, DENSE, {}, 0, 0);
		COMPARE(copy, {&x, &high}, dtype, {3, 40}, any_result(r), {}, 0, 0);
	}
}

/* Powers by one number have ways of their own; inf, NaN and -0.0 go through them. */
TEST(elementwise_powers)
{
	for (int dtype : numbers)
		for (double power : {-2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0, 0.0, 2.5}) {
			Tensor a(dtype, {8}), b(GRAFT_DTYPE_f64, {});
			const double values[] = {0.0, -0.0, 1, 4, INFINITY, -INFINITY, NAN, 0.25};
			for (int64_t i = 0; i < 8; i++)
				a.put(i, values[i]);
			b.fill(power);
			COMPARE(pow, {&a, &b}, dtype, {8}, DENSE, {}, 1, 0);
		}
}

TEST(elementwise_of_many_axes)
{
	Random r;
	Shape shape(11, 2), stride(11);
	for (size_t i = 0; i < 11; i++)
		stride[i] = int64_t{1} << ((i * 4) % 11);             /* no two neighbours join */
	Tensor a(GRAFT_DTYPE_f32, shape, stride, 0), b(GRAFT_DTYPE_f32, shape);
	a.fill(r), b.fill(r);
	COMPARE(add, {&a, &b}, GRAFT_DTYPE_f32, shape, DENSE, {}, 0, 0);
}

/* ---- moves ---- */

TEST(cast_every_dtype)
{
	Random r;
	for (int from : every)
		for (int to : every) {
			Tensor x(from, {3, 40}, any(r));
			x.fill(r);
			if (floating(from))
				for (int64_t i = 0; i < 20; i++)
					x.put(i, (i % 2 ? 1 : -1) * pow(10, static_cast<double>(i) - 9));
			COMPARE(cast, {&x}, to, {3, 40}, any_result(r), {attr_int(to)}, 0, 0);
		}
}

/* 8 at a time: dense, rows of others, a row for each, one element off, and a number of elements that is no multiple. */
TEST(cast_packed)
{
	Random r;
	for (int from : floats)
		for (int to : floats)
			for (int64_t n : {64, 60})
				for (int layout : {DENSE, GAPS, EXPANDED, ODD})
					for (Layout result : {DENSE, GAPS, ODD}) {
						Tensor x(from, {3, n}, static_cast<Layout>(layout), 8);
						x.fill(r);
						x.put(3, 1e9), x.put(9, NAN), x.put(17, -INFINITY), x.put(22, 1e-6);
						COMPARE(cast, {&x}, to, {3, n}, result, {attr_int(to)}, 0, 0);
					}
}

/* Every bit pattern of the narrow formats, and float32 around every value that rounds. */
TEST(cast_rounds_to_nearest_even)
{
	for (int dtype : {GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16}) {
		Tensor all(dtype, {4096}), near(GRAFT_DTYPE_f32, {3 * 4096});
		for (int64_t i = 0; i < 4096; i++) {
			uint16_t bits = static_cast<uint16_t>(i * 16 + i % 16);
			memcpy(&all.bytes[all.at(i)], &bits, 2);
		}
		COMPARE(cast, {&all}, GRAFT_DTYPE_f32, {4096}, DENSE, {attr_int(GRAFT_DTYPE_f32)}, 0, 0);
		for (int64_t i = 0; i < 4096; i++) {
			double v = all.get(i), half = ulp(dtype, v) / 2;
			near.put(3 * i, v + half), near.put(3 * i + 1, v + half * 1.001),
				near.put(3 * i + 2, v + half * 0.999);
		}
		COMPARE(cast, {&near}, dtype, {3 * 4096}, DENSE, {attr_int(dtype)}, 0, 0);
	}
}

TEST(clone_any_layout)
{
	Random r;
	for (int dtype : every)
		for (int layout = 0; layout < LAYOUTS; layout++) {
			Tensor x(dtype, {4, 3, 32}, static_cast<Layout>(layout), 16);
			x.fill(r);
			COMPARE(clone, {&x}, dtype, {4, 3, 32}, any_result(r), {}, 0, 0);
		}
}

TEST(copy_in_place)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_bf16, GRAFT_DTYPE_i64})
		for (int layout : {DENSE, GAPS, NEGATIVE}) {
			Tensor x(dtype, {5, 16}, static_cast<Layout>(layout)), src(GRAFT_DTYPE_f32, {16});
			x.fill(r), src.fill(r);
			Tensor want = x, y = x;
			CHECK_IS(run_cpu(cpu_copy_, {&want, &src}, {&want}, {}), 0, hip_message());
			/* The result is operand 0: one tensor in both places. */
			y.send();
			CHECK_IS(run_hip(hip_kernel("copy_"), {&y, &src}, {&y}, {}, "copy_"), 0, hip_message());
			check_close(y, want, 0, 0, x.text());
		}
}

TEST(concat_axes)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_bf16, GRAFT_DTYPE_f32, GRAFT_DTYPE_u8})
		for (int64_t axis = 0; axis < 3; axis++)
			for (int64_t size : {1, 3, 16}) {
				Shape a_shape = {2, 3, 16}, b_shape = a_shape, c_shape = a_shape, y_shape = a_shape;
				size_t at = static_cast<size_t>(axis);
				b_shape[at] = size, c_shape[at] = 0, y_shape[at] += size;
				Tensor a(dtype, a_shape, any(r)), b(dtype, b_shape, any(r)), c(dtype, c_shape);
				a.fill(r), b.fill(r);
				COMPARE(concat, {&a, &c, &b}, dtype, y_shape, any_result(r), {attr_int(axis)}, 0, 0);
			}
}

TEST(reshape_any_layout)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_bf16, GRAFT_DTYPE_i64})
		for (int layout = 0; layout < LAYOUTS; layout++)
			for (int to : {DENSE, GAPS, PERMUTED}) {
				Tensor x(dtype, {4, 6, 8}, static_cast<Layout>(layout));
				x.fill(r);
				COMPARE(reshape, {&x}, dtype, {12, 16}, static_cast<Layout>(to), {attr_none()}, 0, 0);
			}
}

/* ---- create ---- */

TEST(create_values)
{
	for (int dtype : every) {
		std::vector<int64_t> one, many;
		for (int64_t i = 0; i < 300; i++) {
			double v = static_cast<double>(i % 100);
			int64_t bits;
			memcpy(&bits, &v, sizeof bits);
			many.push_back(floating(dtype) ? bits : i % 100);
		}
		one.assign(1, many[7]);
		COMPARE(constant, {}, dtype, {3, 5}, GAPS, {attr_int(dtype), attr_none(), attr_list(one)}, 0, 0);
		COMPARE(constant, {}, dtype, {3, 100}, PERMUTED, {attr_int(dtype), attr_none(), attr_list(many)}, 0, 0);
		COMPARE(arange, {}, dtype, {37}, NEGATIVE, {attr_int(5), attr_int(300), attr_int(3), attr_int(dtype)},
		        0, 0);
	}
}

/* ---- gather ---- */

TEST(embedding_rows)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_bf16, GRAFT_DTYPE_f32, GRAFT_DTYPE_u8})
		for (int64_t width : {1, 7, 32})
			for (int layout = 0; layout < LAYOUTS; layout++) {
				Tensor table(dtype, {9, width}, static_cast<Layout>(layout), 16),
					ids(layout % 2 ? GRAFT_DTYPE_i32 : GRAFT_DTYPE_i64, {2, 5}, any(r));
				table.fill(r), ids.fill(r, 9);
				COMPARE(embedding, {&table, &ids}, dtype, {2, 5, width}, any_result(r), {}, 0, 0);
			}
}

/* An index that is not there reads nothing; its row is NaN. */
TEST(embedding_strays)
{
	Random r;
	for (int64_t width : {3, 8}) {
		Tensor table(GRAFT_DTYPE_f32, {4, width}), ids(GRAFT_DTYPE_i64, {3}), y(GRAFT_DTYPE_f32, {3, width});
		table.fill(r);
		ids.put(0, 4), ids.put(1, -1), ids.put(2, 3);
		CHECK_IS(run_hip(hip_kernel("embedding"), {&table, &ids}, {&y}, {}, "strays"), 0, hip_message());
		CHECK(std::isnan(y.get(0)) && std::isnan(y.get(2 * width - 1)) &&
		      y.get(2 * width) == table.get(3 * width));
	}
}

/* ---- reduce, softmax ---- */

static void one_reduce(Random &r, int dtype, const Shape &shape, const std::vector<int64_t> &axes, bool keep)
{
	Shape kept;
	double count = 1;
	for (size_t i = 0; i < shape.size(); i++) {
		bool gone = axes.empty();
		for (int64_t a : axes)
			gone = gone || static_cast<size_t>(a) == i;
		if (gone)
			count *= static_cast<double>(shape[i]);
		if (!gone || keep)
			kept.push_back(gone ? 1 : shape[i]);
	}
	Tensor x(dtype, shape, any(r));
	x.fill(r);
	Attrs attr = {axes.empty() ? attr_none() : attr_list(axes), attr_int(keep), attr_none()};
	double slack = floating(dtype) ? eps(dtype) * 4 * (4 + sqrt(count)) : 0;
	COMPARE(sum, {&x}, dtype, kept, any_result(r), attr, floating(dtype), slack);
	if (floating(dtype))
		COMPARE(mean, {&x}, dtype, kept, any_result(r), attr, 1, slack);
}

TEST(reduce_axes)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_f32, GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f64, GRAFT_DTYPE_i64, GRAFT_DTYPE_i32})
		for (int keep = 0; keep < 2; keep++) {
			one_reduce(r, dtype, {5, 37}, {1}, keep);
			one_reduce(r, dtype, {70, 6}, {0}, keep);
			one_reduce(r, dtype, {3, 4, 5}, {0, 2}, keep);
			one_reduce(r, dtype, {3, 4, 5}, {1}, keep);
			one_reduce(r, dtype, {2, 3, 7}, {}, keep);
			one_reduce(r, dtype, {2, 2100}, {1}, keep);
			one_reduce(r, dtype, {3, 0, 2}, {1}, keep);
		}
	Tensor x(GRAFT_DTYPE_bf16, {4, 33});
	x.fill(r);
	COMPARE(sum, {&x}, GRAFT_DTYPE_f32, {4}, DENSE, {attr_list({1}), attr_int(0), attr_int(GRAFT_DTYPE_f32)},
	        0, 1e-5);
}

TEST(softmax_axes)
{
	Random r;
	for (int dtype : numbers)
		for (int64_t n : {1, 2, 31, 64, 65, 300, 2049}) {
			Tensor x(dtype, {3, n}, any(r));
			x.fill(r);
			COMPARE(softmax, {&x}, dtype, {3, n}, any_result(r), {attr_int(1), attr_none()}, 1, 8 * eps(dtype));
			if (n > 64)
				continue;
			Tensor z(dtype, {2, n, 5}, any(r));
			z.fill(r);
			COMPARE(softmax, {&z}, GRAFT_DTYPE_f32, {2, n, 5}, DENSE,
			        {attr_int(1), attr_int(GRAFT_DTYPE_f32)}, 1, 1e-6);
		}
	Tensor x(GRAFT_DTYPE_f32, {4, 33});
	x.fill(r);
	for (int64_t i = 0; i < 33; i++)
		x.put(i, -INFINITY);
	x.put(33 + 3, INFINITY), x.put(66 + 4, NAN), x.put(99 + 5, -INFINITY);
	COMPARE(softmax, {&x}, GRAFT_DTYPE_f32, {4, 33}, DENSE, {attr_int(1), attr_none()}, 1, 1e-6);
}

/* ---- rope, attention, products ---- */

TEST(rope_pairs)
{
	Random r;
	for (int dtype : numbers)
		for (int interleaved = 0; interleaved < 2; interleaved++)
			for (int64_t half : {1, 4, 16}) {
				Tensor x(dtype, {2, 3, 5, 2 * half}, any(r)), c(dtype, {5, half}, any(r)),
					s(dtype, {3, 1, half}, any(r));
				x.fill(r), c.fill(r), s.fill(r);
				COMPARE(rope, {&x, &c, &s}, dtype, {2, 3, 5, 2 * half}, any_result(r),
				        {attr_int(interleaved)}, 1, 2 * eps(dtype));
			}
}

TEST(matmul_shapes)
{
	Random r;
	const std::vector<std::pair<Shape, std::pair<Shape, Shape>>> cases = {
		{{1, 1}, {{1, 1}, {1, 1}}}, {{5, 7}, {{7, 3}, {5, 3}}}, {{65, 17}, {{17, 66}, {65, 66}}},
		{{2, 3, 4, 5}, {{3, 5, 6}, {2, 3, 4, 6}}},
		{{4}, {{4}, {}}}, {{3, 4}, {{4}, {3}}}, {{4}, {{2, 4, 3}, {2, 3}}}, {{3, 0}, {{0, 2}, {3, 2}}},
		{{2, 1, 5}, {{5, 4}, {2, 1, 4}}},
	};
	for (int dtype : {GRAFT_DTYPE_f32, GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16, GRAFT_DTYPE_i64})
		for (const auto &c : cases) {
			Tensor a(dtype, c.first, any(r)), b(dtype, c.second.first, any(r));
			a.fill(r), b.fill(r);
			COMPARE(matmul, {&a, &b}, dtype, c.second.second, any_result(r), {}, floating(dtype),
			        floating(dtype) ? 2e-6 : 0);
		}
}

/* Pieces of 16 bytes along either axis of either operand, whole and cut off at the edges; one element off; gaps. */
TEST(matmul_packed)
{
	Random r;
	auto operand = [&](int dtype, int64_t rows, int64_t columns, int layout) {
		Tensor down(dtype, {rows, columns}, {1, (rows + 7) / 8 * 8}, 0);
		return layout == LAYOUTS ? down.fill(r) :
			Tensor(dtype, {rows, columns}, static_cast<Layout>(layout), 8).fill(r);
	};
	for (int dtype : floats)
		for (int a_layout : {DENSE, ODD, GAPS, LAYOUTS})
			for (int b_layout : {DENSE, ODD, GAPS, LAYOUTS})
				for (const Shape &s : {Shape{64, 32, 64}, Shape{72, 40, 88}, Shape{65, 33, 69}}) {
					Tensor a = operand(dtype, s[0], s[1], a_layout),
						b = operand(dtype, s[1], s[2], b_layout);
					COMPARE(matmul, {&a, &b}, dtype, {s[0], s[2]}, DENSE, {}, 1, 2e-6);
				}
}

TEST(linear_bias)
{
	Random r;
	for (int dtype : floats)
		for (int i = 0; i < 4; i++) {
			Tensor x(dtype, {2, 3, 19}, any(r)), w(dtype, {21, 19}, any(r)),
				bias(dtype, {21}, any(r)), none;
			x.fill(r), w.fill(r), bias.fill(r);
			COMPARE(linear, {&x, &w, i % 2 ? &bias : &none}, dtype, {2, 3, 21}, any_result(r), {}, 1, 2e-6);
		}
}

/* A host with a BLAS: what it is asked must be what it can do, and what it computes must be the product. */
struct Asked { int calls, refuse; };

static int host_gemm(void *self, const graft_gemm *g)
{
	Asked *asked = static_cast<Asked *>(self);
	CHECK(g->struct_size == sizeof *g && (g->a_i == 1 || g->a_k == 1) && (g->b_k == 1 || g->b_j == 1) &&
	      g->c_j == 1 && g->c_i >= g->n);
	CHECK(g->m > 0 && g->n > 0 && g->k > 0 && g->batch > 0);
	asked->calls++;
	if (asked->refuse)
		return 1;
	CHECK(hipDeviceSynchronize() == hipSuccess);
	auto number = [](const void *p, int64_t i) {
		float v;
		CHECK(hipMemcpy(&v, static_cast<const float *>(p) + i, sizeof v, hipMemcpyDeviceToHost) == hipSuccess);
		return v;
	};
	for (int64_t p = 0; p < g->batch; p++)
		for (int64_t i = 0; i < g->m; i++)
			for (int64_t j = 0; j < g->n; j++) {
				int64_t at = p * g->c_batch + i * g->c_i + j;
				float sum = g->accumulate ? number(g->c, at) : 0;
				for (int64_t k = 0; k < g->k; k++)
					sum += number(g->a, p * g->a_batch + i * g->a_i + k * g->a_k) *
					       number(g->b, p * g->b_batch + k * g->b_k + j * g->b_j);
				CHECK(hipMemcpy(static_cast<float *>(g->c) + at, &sum, sizeof sum,
				                hipMemcpyHostToDevice) == hipSuccess);
			}
	return 0;
}

static void one_gemm(const char *op, graft_launch_fn cpu, const Tensors &in, const Shape &shape, int calls, int refuse)
{
	Asked asked = {0, refuse};
	graft_host host = {&asked, nullptr, nullptr, nullptr, host_gemm};
	Tensor want(GRAFT_DTYPE_f32, shape), got = want;
	CHECK_IS(run_cpu(cpu, in, {&want}, {}), 0, hip_message());
	CHECK_IS(run_hip(hip_kernel(op), in, {&got}, {}, op, &host), 0, hip_message());
	CHECK_IS(asked.calls, calls, op);
	check_close(got, want, 1, 2e-6, op);
}

TEST(matmul_through_the_host)
{
	Random r;
	Tensor x(GRAFT_DTYPE_f32, {2, 3, 5}), w(GRAFT_DTYPE_f32, {4, 5}), bias(GRAFT_DTYPE_f32, {4}), none,
		odd(GRAFT_DTYPE_f32, {2, 3, 5}, {40, 12, 2}, 0);
	Tensor a(GRAFT_DTYPE_f32, {2, 3, 4, 5}), b(GRAFT_DTYPE_f32, {3, 5, 2}),
		t(GRAFT_DTYPE_f32, {3, 5, 2}, Shape{10, 1, 5}, 0);
	for (Tensor *one : {&x, &w, &bias, &odd, &a, &b, &t})
		one->fill(r);
	one_gemm("linear", cpu_linear, {&x, &w, &none}, {2, 3, 4}, 1, 0);
	one_gemm("linear", cpu_linear, {&x, &w, &bias}, {2, 3, 4}, 1, 0);
	one_gemm("linear", cpu_linear, {&x, &w, &bias}, {2, 3, 4}, 1, 1);
	/* neither stride is 1: the kernel's own */
	one_gemm("linear", cpu_linear, {&odd, &w, &bias}, {2, 3, 4}, 0, 0);
	one_gemm("matmul", cpu_matmul, {&a, &b}, {2, 3, 4, 2}, 2, 0);
	one_gemm("matmul", cpu_matmul, {&a, &t}, {2, 3, 4, 2}, 2, 0);
}

/* ---- all of them ---- */

/* Orders of threads do not show. */
TEST(ops_schedules)
{
	for (unsigned seed : {1, 2, 3}) {
		Random r;
		schedule(seed);
		one_reduce(r, GRAFT_DTYPE_f32, {2, 2100}, {1}, false);
		Tensor x(GRAFT_DTYPE_bf16, {3, 2049}), a(GRAFT_DTYPE_f32, {65, 33}), b(GRAFT_DTYPE_f32, {33, 20});
		x.fill(r), a.fill(r), b.fill(r);
		COMPARE(softmax, {&x}, GRAFT_DTYPE_bf16, {3, 2049}, DENSE, {attr_int(1), attr_none()}, 1, 1e-6);
		COMPARE(matmul, {&a, &b}, GRAFT_DTYPE_f32, {65, 20}, DENSE, {}, 1, 2e-6);
	}
	schedule(0);
}

/* The table: every row once, with the signature and rounding of graft's own. */
extern "C" {
struct Arena;
const graft_pack *cpu_pack(struct Arena *a);
}

TEST(pack_table)
{
	const graft_pack *p = graft_pack_v1();
	CHECK(p->magic == GRAFT_PACK_MAGIC && p->abi == GRAFT_PACK_ABI && p->n_kernels == p->n_kernels_again &&
	      p == graft_pack_v1());
	for (uint32_t i = 0; i < p->n_kernels; i++) {
		const graft_kernel &k = p->kernels[i];
		CHECK(!strncmp(k.signature, k.name, strlen(k.name)) && k.signature[strlen(k.name)] == '(' && k.launch &&
		      k.dtypes);
		for (uint32_t j = 0; j < i; j++)
			CHECK(strcmp(p->kernels[j].name, k.name) != 0);
		CHECK(!strstr(k.signature, "round: ") == !k.rounds);
	}
}

/* A kernel that is given the wrong number of things, or no memory, says so before it looks at them. */
TEST(pack_refusals)
{
	const graft_pack *p = graft_pack_v1();
	for (uint32_t i = 0; i < p->n_kernels; i++) {
		char message[200] = "";
		graft_launch l = {};
		l.struct_size = sizeof l;
		l.message = message, l.message_size = sizeof message;
		CHECK_IS(p->kernels[i].launch(&l), GRAFT_E_USAGE, p->kernels[i].name);
		CHECK(strlen(message) > 20);
		l.struct_size = 8;
		CHECK_IS(p->kernels[i].launch(&l), GRAFT_E_USAGE, p->kernels[i].name);
	}
}
