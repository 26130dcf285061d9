/* logic.cpp - comparisons, where, divisions to whole numbers, extremes, running sums and histograms against the
 * reference kernels: every dtype beside every other, strides, NaN, infinities, ends of integers.
 *
 * Results are the same but for running sums along a line that a block has, where the order of additions differs.
 */
#include "hip.h"
#include <cmath>
#include <cstring>

static const std::vector<int> integers = {GRAFT_DTYPE_bool, GRAFT_DTYPE_u8, GRAFT_DTYPE_i8, GRAFT_DTYPE_i16,
                                          GRAFT_DTYPE_i32, GRAFT_DTYPE_i64};
static const std::vector<int> wide_floats = {GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f32, GRAFT_DTYPE_f64};
static const std::vector<int> plain = {GRAFT_DTYPE_bool, GRAFT_DTYPE_u8, GRAFT_DTYPE_i8, GRAFT_DTYPE_i16,
                                       GRAFT_DTYPE_i32, GRAFT_DTYPE_i64, GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16,
                                       GRAFT_DTYPE_f32, GRAFT_DTYPE_f64};

/* Few values, so that many are equal; large integers that no float has. */
static void fill_edges(Tensor &t, Random &r)
{
	static const double values[] = {0, -0.0, 1, -1, 2, -3, 253, 0.1, 1.0 / 3, NAN, INFINITY, -INFINITY, 1e300,
		                        65504, 1e-40, 9007199254740992};
	for (int64_t i = 0, n = t.size(); i < n; i++) {
		t.put(i, t.dtype == GRAFT_DTYPE_bool ? static_cast<double>(r.below(2)) : values[r.below(16)]);
		if (t.dtype == GRAFT_DTYPE_i64 && r.below(4) == 0) {
			int64_t v = r.below(2) ? INT64_MAX - r.below(3) : INT64_MIN + r.below(3);
			memcpy(&t.bytes[t.at(i)], &v, sizeof v);
		}
	}
}

static Tensor edges(Random &r, int dtype, const Shape &shape)
{
	Tensor t(dtype, shape, any(r));
	fill_edges(t, r);
	return t;
}

/* ---- comparisons ---- */

static const struct { const char *op; graft_launch_fn cpu; } comparisons[] = {
	{"eq", cpu_eq}, {"ne", cpu_ne}, {"lt", cpu_lt}, {"le", cpu_le}, {"gt", cpu_gt}, {"ge", cpu_ge},
	{"logical_and", cpu_logical_and}, {"logical_or", cpu_logical_or},
};

/* Every pair of dtypes, each by some of the ops. */
static void compare_pairs(uint64_t seed)
{
	Random r;
	r.state = seed;
	for (int first : plain)
		for (int second : plain) {
			const auto &c = comparisons[r.below(8)];
			Shape shape = any_shape(r, r.below(4), 7);
			Tensor a = edges(r, first, shape), b = edges(r, second, part_of(r, shape));
			compare_into(c.op, c.cpu, {&a, &b}, GRAFT_DTYPE_bool, shape, any_result(r), {}, 0, 0);
			compare_into(c.op, c.cpu, {&b, &a}, GRAFT_DTYPE_bool, shape, any_result(r), {}, 0, 0);
		}
}

TEST(logic_compare) { compare_pairs(1); }
TEST(logic_compare_more) { compare_pairs(2); }
TEST(logic_compare_yet_more) { compare_pairs(3); }

/* A number of rank 0 is weaker than a tensor, and a literal than both. */
TEST(logic_compare_numbers)
{
	Random r;
	for (const auto &c : comparisons)
		for (int first : plain)
			for (int second : plain) {
				Tensor a = edges(r, first, {9}), b = edges(r, second, {});
				compare_into(c.op, c.cpu, {&a, &b}, GRAFT_DTYPE_bool, {9}, any_result(r), {}, 0, 0);
				Tensor x = edges(r, first, {});
				compare_into(c.op, c.cpu, {&b, &x}, GRAFT_DTYPE_bool, {}, DENSE, {}, 0, 0);
			}
}

/* 16 bytes at a time: dense, with a row and with a number broadcast; and the same one element off. */
TEST(logic_compare_packed)
{
	Random r;
	for (const auto &c : comparisons)
		for (int dtype : wide_floats)
			for (int layout : {DENSE, GAPS, ODD})
				for (const Shape &second : {Shape{6, 64}, Shape{64}, Shape{6, 1}, Shape{}}) {
					Tensor a(dtype, {6, 64}, static_cast<Layout>(layout), 8), b(dtype, second),
						number(GRAFT_DTYPE_f64, {});
					fill_edges(a, r), fill_edges(b, r), number.fill(0.1);
					for (Tensor *t : {&b, &number})
						compare_into(c.op, c.cpu, {&a, t}, GRAFT_DTYPE_bool, {6, 64},
						             static_cast<Layout>(layout), {}, 0, 0);
				}
}

TEST(logic_not)
{
	Random r;
	for (int dtype : plain)
		for (int64_t n : {0, 7, 32}) {
			Tensor x = edges(r, dtype, {3, n});
			COMPARE(logical_not, {&x}, GRAFT_DTYPE_bool, {3, n}, any_result(r), {}, 0, 0);
		}
}

/* ---- where ---- */

static bool has_integers_only(int y, int a, int b) { return floating(y) || (!floating(a) && !floating(b)); }

TEST(logic_where)
{
	Random r;
	for (int first : plain)
		for (int second : plain)
			for (int dtype : {first, second, r.of(plain)}) {
				if (!has_integers_only(dtype, first, second))
					continue;
				Shape shape = any_shape(r, r.below(4), 7);
				Tensor a = edges(r, first, part_of(r, shape)), b = edges(r, second, shape),
					cond = edges(r, GRAFT_DTYPE_bool, part_of(r, shape));
				COMPARE(where, {&cond, &a, &b}, dtype, shape, any_result(r), {}, 0, 0);
				COMPARE(where, {&cond, &b, &a}, dtype, shape, any_result(r), {}, 0, 0);
			}
}

TEST(logic_where_packed)
{
	Random r;
	for (int dtype : plain)
		for (int layout : {DENSE, GAPS, ODD})
			for (const Shape &second : {Shape{6, 64}, Shape{64}, Shape{6, 1}, Shape{}})
				for (const Shape &third : {Shape{6, 64}, Shape{6, 1}}) {
					Tensor cond(GRAFT_DTYPE_bool, third), a(dtype, {6, 64}, static_cast<Layout>(layout), 16),
						b(dtype, second);
					fill_edges(cond, r), a.fill(r), b.fill(r);
					COMPARE(where, {&cond, &a, &b}, dtype, {6, 64}, DENSE, {}, 0, 0);
					COMPARE(where, {&cond, &b, &a}, dtype, {6, 64}, DENSE, {}, 0, 0);
				}
}

/* A condition that is stored as another number than 1 is true. */
TEST(logic_where_bytes)
{
	Random r;
	for (int64_t n : {5, 32}) {
		Tensor cond(GRAFT_DTYPE_bool, {n}), a(GRAFT_DTYPE_bf16, {n}), b(GRAFT_DTYPE_bf16, {n});
		a.fill(r), b.fill(r);
		for (int64_t i = 0; i < n; i++)
			cond.bytes[cond.at(i)] = static_cast<uint8_t>(i % 3 * 0x80);
		COMPARE(where, {&cond, &a, &b}, GRAFT_DTYPE_bf16, {n}, DENSE, {}, 0, 0);
	}
}

/* ---- divisions to whole numbers ---- */

static const struct { const char *op; graft_launch_fn cpu; } divisions[] = {
	{"floor_divide", cpu_floor_divide}, {"trunc_divide", cpu_trunc_divide}, {"remainder", cpu_remainder},
};

static void replace_zeros(Tensor &t)
{
	for (int64_t i = 0, n = t.size(); i < n; i++)
		if (t.integer(i) == 0)
			t.put(i, t.dtype == GRAFT_DTYPE_u8 ? 3 : -1);
}

TEST(divide_integers)
{
	Random r;
	for (const auto &d : divisions)
		for (int dtype : integers)
			for (int i = 0; i < 12 && dtype != GRAFT_DTYPE_bool; i++) {
				Shape shape = any_shape(r, r.below(4), 7);
				Tensor a = edges(r, dtype, shape), b = edges(r, dtype, part_of(r, shape));
				if (i % 2)
					a.fill(r, 100), b.fill(r, 7);
				replace_zeros(b);
				compare_into(d.op, d.cpu, {&a, &b}, dtype, shape, any_result(r), {}, 0, 0);
			}
}

/* Nobody can be told of a 0; CPUs refuse it. */
TEST(divide_integers_by_zero)
{
	for (const auto &d : divisions) {
		Tensor a(GRAFT_DTYPE_i32, {4}), b(GRAFT_DTYPE_i32, {4}), y(GRAFT_DTYPE_i32, {4});
		a.fill(7), b.fill(2), b.put(1, 0), a.put(3, -7);
		CHECK_IS(run_cpu(d.cpu, {&a, &b}, {&y}, {}), GRAFT_E_DATA, d.op);
		CHECK_IS(run_hip(hip_kernel(d.op), {&a, &b}, {&y}, {}, d.op), 0, hip_message());
		CHECK_IS(y.integer(1), 0, d.op);
		CHECK(y.integer(0) != 0 && y.integer(3) != 0);
		Tensor bytes(GRAFT_DTYPE_u8, {4}), number(GRAFT_DTYPE_i64, {});       /* 256 is 0 beside u8 */
		bytes.fill(7), number.fill(256);
		CHECK_IS(run_cpu(d.cpu, {&bytes, &number}, {&bytes}, {}), GRAFT_E_DATA, d.op);
		CHECK_IS(run_hip(hip_kernel(d.op), {&y, &number}, {&bytes}, {}, d.op), 0, hip_message());
		CHECK_IS(bytes.integer(0), 0, d.op);
	}
}

TEST(divide_floats)
{
	Random r;
	for (const auto &d : divisions)
		for (int dtype : wide_floats)
			for (int i = 0; i < 24; i++) {
				Shape shape = any_shape(r, r.below(3), 7);
				if (i % 3 == 0)
					shape.push_back(16);
				Tensor a = edges(r, dtype, shape), b = edges(r, dtype, part_of(r, shape));
				if (i % 2)
					a.fill(r), b.fill(r);
				compare_into(d.op, d.cpu, {&a, &b}, dtype, shape, any_result(r), {}, 0, 0);
			}
}

/* By and of a literal, and of integers. */
TEST(divide_mixed)
{
	Random r;
	for (const auto &d : divisions)
		for (int dtype : wide_floats)
			for (double v : {0.1, -0.3, 2.0, 0.0, 1e-3}) {
				Tensor a(dtype, {5, 8}, any(r)), number(GRAFT_DTYPE_f64, {}), whole(GRAFT_DTYPE_i64, {8});
				a.fill(r), number.fill(v), whole.fill(r, 3000);
				Shape shape = {5, 8};
				compare_into(d.op, d.cpu, {&a, &number}, dtype, shape, any_result(r), {}, 0, 0);
				compare_into(d.op, d.cpu, {&number, &a}, dtype, shape, any_result(r), {}, 0, 0);
				compare_into(d.op, d.cpu, {&a, &whole}, dtype, shape, any_result(r), {}, 0, 0);
				compare_into(d.op, d.cpu, {&whole, &a}, dtype, shape, any_result(r), {}, 0, 0);
			}
}

/* A wider integer keeps the low bits that the result has before the op: -3 beside u8 is 253. */
TEST(wider_integers)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_u8, GRAFT_DTYPE_i8, GRAFT_DTYPE_i16, GRAFT_DTYPE_i32}) {
		Tensor a = edges(r, dtype, {40}), number(GRAFT_DTYPE_i64, {});
		for (double v : {-3.0, 300.0, 40000.0, 5e9}) {
			number.fill(v);
			COMPARE(maximum, {&a, &number}, dtype, {40}, DENSE, {}, 0, 0);
			COMPARE(minimum, {&number, &a}, dtype, {40}, DENSE, {}, 0, 0);
			if (v != 5e9 || dtype > GRAFT_DTYPE_i8)              /* 0 in a byte */
				COMPARE(floor_divide, {&a, &number}, dtype, {40}, DENSE, {}, 0, 0);
			COMPARE(add, {&a, &number}, dtype, {40}, DENSE, {}, 0, 0);
		}
	}
}

/* ---- extremes ---- */

static Shape kept_of(const Shape &shape, const std::vector<int64_t> &axes, bool keep)
{
	Shape kept;
	for (size_t i = 0; i < shape.size(); i++) {
		bool gone = axes.empty();
		for (int64_t a : axes)
			gone = gone || static_cast<size_t>(a) == i;
		if (!gone || keep)
			kept.push_back(gone ? 1 : shape[i]);
	}
	return kept;
}

static void one_extreme(Random &r, int dtype, const Shape &shape, const std::vector<int64_t> &axes, bool keep)
{
	Tensor x = edges(r, dtype, shape);
	if (r.below(2))
		x.fill(r);
	Shape kept = kept_of(shape, axes, keep);
	Attrs attr = {axes.empty() ? attr_none() : attr_list(axes), attr_int(keep)};
	int truth = dtype == GRAFT_DTYPE_u8 ? GRAFT_DTYPE_u8 : GRAFT_DTYPE_bool;
	COMPARE(amax, {&x}, dtype, kept, any_result(r), attr, 0, 0);
	COMPARE(amin, {&x}, dtype, kept, any_result(r), attr, 0, 0);
	if (r.below(3) == 0)
		x.fill(r.below(2) ? 0 : 1);
	COMPARE(any, {&x}, truth, kept, any_result(r), attr, 0, 0);
	COMPARE(all, {&x}, truth, kept, any_result(r), attr, 0, 0);
}

TEST(extreme_axes)
{
	Random r;
	for (int dtype : plain)
		for (bool keep : {false, true}) {
			one_extreme(r, dtype, {5, 37}, {1}, keep);
			one_extreme(r, dtype, {150, 6}, {0}, keep);
			one_extreme(r, dtype, {3, 4, 5}, {0, 2}, keep);
			one_extreme(r, dtype, {3, 4, 5}, {1}, keep);
			one_extreme(r, dtype, {2, 3, 7}, {}, keep);
			one_extreme(r, dtype, {2, 2100}, {1}, keep);
			one_extreme(r, dtype, {}, {}, keep);
			one_extreme(r, dtype, {3, 0, 2}, {0}, keep);
		}
}

TEST(extreme_places)
{
	Random r;
	for (int dtype : plain)
		for (const Shape &shape : {Shape{7}, Shape{3, 5}, Shape{4, 2, 40}, Shape{2, 700, 2}, Shape{1}})
			for (int64_t axis = -1; axis < static_cast<int64_t>(shape.size()); axis++)
				for (bool keep : {false, true}) {
					Tensor x = edges(r, dtype, shape);
					if (r.below(2))
						x.fill(r, 3);
					Shape kept = axis < 0 ? kept_of(shape, {}, keep) : kept_of(shape, {axis}, keep);
					COMPARE(argmax, {&x}, GRAFT_DTYPE_i64, kept, any_result(r),
					        {axis < 0 ? attr_none() : attr_int(axis), attr_int(keep)}, 0, 0);
				}
	Tensor number(GRAFT_DTYPE_bf16, {});
	number.fill(3);
	COMPARE(argmax, {&number}, GRAFT_DTYPE_i64, {}, DENSE, {attr_int(0), attr_int(0)}, 0, 0);
}

/* Any of nothing is false, all are true, and there is no greatest. */
TEST(extreme_of_nothing)
{
	Tensor x(GRAFT_DTYPE_f32, {2, 0}), truth(GRAFT_DTYPE_bool, {2}), y(GRAFT_DTYPE_f32, {2});
	Attrs attr = {attr_none(), attr_int(0)};
	const std::vector<int64_t> last = {1};
	attr[0] = attr_list(last);
	COMPARE(any, {&x}, GRAFT_DTYPE_bool, {2}, DENSE, attr, 0, 0);
	COMPARE(all, {&x}, GRAFT_DTYPE_bool, {2}, DENSE, attr, 0, 0);
	CHECK_IS(run_hip(hip_kernel("amax"), {&x}, {&y}, attr, "amax"), GRAFT_E_DATA, hip_message());
	CHECK_IS(run_hip(hip_kernel("amax"), {&x}, {&truth}, {attr_none(), attr_int(0)}, "amax"), GRAFT_E_USAGE,
	         hip_message());
}

/* ---- running sums ---- */

static void one_cumsum(Random &r, int from, int to, const Shape &shape, int64_t axis)
{
	Tensor x(from, shape, any(r));
	if (floating(from) == floating(to))
		x.fill(r);
	else
		fill_edges(x, r);
	double n = static_cast<double>(shape.empty() ? 1 : shape[static_cast<size_t>(axis)]);
	bool exact = !floating(to) || n <= 64, f64 = to == GRAFT_DTYPE_f64;
	COMPARE(cumsum, {&x}, to, shape, any_result(r), {attr_int(axis), attr_int(to)}, exact || f64 ? 0 : 1,
	        exact ? 0 : n * 2.3e-16);
}

TEST(cumsum_axes)
{
	Random r;
	for (int dtype : plain)
		for (int64_t n : {0, 1, 5, 64, 65, 300, 2047, 2048, 4100}) {
			one_cumsum(r, dtype, floating(dtype) ? dtype : static_cast<int>(GRAFT_DTYPE_i64), {3, n}, 1);
			if (n <= 300)
				one_cumsum(r, dtype, dtype, {2, n, 3}, 1);
		}
	one_cumsum(r, GRAFT_DTYPE_f32, GRAFT_DTYPE_f32, {}, 0);
	one_cumsum(r, GRAFT_DTYPE_i32, GRAFT_DTYPE_i64, {65, 16400}, 0);
}

TEST(cumsum_casts_first)
{
	Random r;
	for (int from : plain)
		for (int to : plain)
			if (to != GRAFT_DTYPE_bool) {
				one_cumsum(r, from, to, {4, 9}, 1);
				one_cumsum(r, from, to, {70, 2}, 0);
			}
}

/* What is not finite shows from there on, and no sooner. */
TEST(cumsum_specials)
{
	for (int dtype : wide_floats) {
		Tensor x(dtype, {5, 600});
		x.fill(1);
		x.put(10, INFINITY), x.put(600 + 300, NAN), x.put(1200 + 17, -INFINITY), x.put(1200 + 520, INFINITY);
		COMPARE(cumsum, {&x}, dtype, {5, 600}, DENSE, {attr_int(1), attr_none()}, 0, 0);
	}
}

/* ---- histograms ---- */

static void one_histogram(Random &r, const Tensor &given, int64_t bins, double min, double max)
{
	Tensor x = given;
	COMPARE(histc, {&x}, x.dtype, {bins}, any_result(r), {attr_int(bins), attr_float(min), attr_float(max)}, 0, 0);
}

TEST(histogram_ranges)
{
	Random r;
	for (int dtype : plain)
		for (int64_t bins : {1, 5, 100, 1500})
			for (const Shape &shape : {Shape{}, Shape{0, 3}, Shape{3, 40}, Shape{2, 3, 500}}) {
				if (dtype == GRAFT_DTYPE_bool)
					continue;
				Tensor x(dtype, shape, any(r));
				x.fill(r);
				one_histogram(r, x, bins, -1.5, 1.5);
				one_histogram(r, x, bins, 0, 0);
				one_histogram(r, x, bins, 0, 3);
				fill_edges(x, r);
				one_histogram(r, x, bins, -300, 255);
				x.fill(2);
				one_histogram(r, x, bins, 1, 1);
			}
}

/* Several slices add up their counts in the result. */
TEST(histogram_slices)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_u8, GRAFT_DTYPE_i32, GRAFT_DTYPE_i64, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f32,
	                  GRAFT_DTYPE_f64})
		for (int64_t bins : {8, 1100}) {
			Tensor x(dtype, {3, 9000}, any(r));
			x.fill(r);
			one_histogram(r, x, bins, -2, 3);
			one_histogram(r, x, bins, 0, 0);
		}
}

/* Half precision overflows on its way to a bin: the last one has it. */
TEST(histogram_overflow)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f32}) {
		Tensor x(dtype, {40});
		x.fill(r);
		for (int64_t i = 0; i < 10; i++)
			x.put(i, static_cast<double>(i) * (dtype == GRAFT_DTYPE_f16 ? 6000 : 3e37));
		double most = dtype == GRAFT_DTYPE_f16 ? 60000 : 3.1e38;
		one_histogram(r, x, 100, 0, most);
		one_histogram(r, x, 100, -most, most);
	}
}

/* Nobody can be told that x, whose range is looked for, is not finite; CPUs refuse it. */
TEST(histogram_of_strange)
{
	Random r;
	for (double strange : {static_cast<double>(NAN), static_cast<double>(INFINITY), -static_cast<double>(INFINITY)}) {
		Tensor x(GRAFT_DTYPE_f32, {700}), y(GRAFT_DTYPE_f32, {5});
		x.fill(r), x.put(333, strange);
		Attrs attr = {attr_int(5), attr_float(0), attr_float(0)};
		CHECK_IS(run_cpu(cpu_histc, {&x}, {&y}, attr), GRAFT_E_DATA, "strange");
		CHECK_IS(run_hip(hip_kernel("histc"), {&x}, {&y}, attr, "strange"), 0, hip_message());
		CHECK(std::isnan(y.get(0)) && std::isnan(y.get(4)));
	}
}

/* ---- all of them ---- */

/* Orders of threads do not show. */
TEST(logic_schedules)
{
	for (unsigned seed : {1, 2, 3}) {
		Random r;
		schedule(seed);
		one_extreme(r, GRAFT_DTYPE_f32, {2, 900}, {1}, false);
		one_cumsum(r, GRAFT_DTYPE_f32, GRAFT_DTYPE_f32, {2, 2300}, 1);
		Tensor x(GRAFT_DTYPE_f32, {2, 9000});
		x.fill(r);
		one_histogram(r, x, 30, -2, 3);
		one_histogram(r, x, 30, 0, 0);
		Tensor places(GRAFT_DTYPE_i32, {900});
		places.fill(r, 3);
		COMPARE(argmax, {&places}, GRAFT_DTYPE_i64, {}, DENSE, {attr_none(), attr_int(0)}, 0, 0);
	}
	schedule(0);
}
