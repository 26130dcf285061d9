/* norm.cpp - rms_norm alone and fused: the same bits, whatever the launch; near the float64 result; nothing written
 * outside. */
#include "norm.h"
#include <cmath>
#include <cstring>

static double nearest(int dtype, double v)
{
	Tensor one(dtype, {1});
	one.put(0, static_cast<double>(static_cast<float>(v)));
	return one.get(0);
}

void check_row(const Tensor &x, const Tensor &w, const Tensor &y, int64_t row, double eps, bool early,
               const std::string &what)
{
	int64_t n = x.shape.back();
	double sum = 0;
	for (int64_t i = 0; i < n; i++)
		sum += x.get(row * n + i) * x.get(row * n + i);
	double r = 1 / sqrt(sum / static_cast<double>(n) + eps);
	for (int64_t i = 0; i < n && still_good(); i++) {
		double v = x.get(row * n + i) * r, scale = w.dtype == GRAFT_DTYPE_COUNT ? 1 : w.get(i);
		double want = (early ? nearest(x.dtype, v) : v) * scale, got = y.get(row * n + i);
		double room = ulp(x.dtype, want) + (early ? ulp(x.dtype, v) * fabs(scale) : 0) + 16 *
			ulp(GRAFT_DTYPE_f32, want);
		if (!(fabs(got - want) <= room) || (want == 0 && std::signbit(got) != std::signbit(want)))
			failed(__FILE__, __LINE__,
			       what + ": row " + std::to_string(row) + ", element " + std::to_string(i) + " is " +
			       std::to_string(got) + ", not " + std::to_string(want));
	}
}

static Attrs alone(double eps, bool early) { return {attr_float(eps), attr_int(early)}; }

static std::string describe(const Tensor &q, const Tensor &kv, bool early)
{
	return q.text() + " and " + kv.text() + (early ? ", early" : ", late");
}

/* Fused and alone give the same bits; rows are near the reference. */
static void check_pair(Tensor &q, Tensor &q_w, Tensor &kv, Tensor &kv_w, bool early, int64_t some)
{
	std::string what = describe(q, kv, early);
	Tensor q1(q.dtype, q.shape), kv1(kv.dtype, kv.shape), q2 = q1, kv2 = kv1;
	Counted c = count_hip(hip_kernel("fused_mla_dual_rms_norm"), {&q, &q_w, &kv, &kv_w}, {&q1, &kv1},
	                      {attr_float(1e-6), attr_float(1e-3), attr_int(early)});
	CHECK_IS(c.kernels, q.size() + kv.size() > 0, what);
	CHECK_IS(c.others, 0, what);
	CHECK_IS(run_hip(hip_kernel("fused_mla_dual_rms_norm"), {&q, &q_w, &kv, &kv_w}, {&q1, &kv1},
	                 {attr_float(1e-6), attr_float(1e-3), attr_int(early)}, what), 0, what + hip_message());
	CHECK_IS(run_hip(hip_kernel("rms_norm"), {&q, &q_w}, {&q2}, alone(1e-6, early), what), 0, what + hip_message());
	CHECK_IS(run_hip(hip_kernel("rms_norm"), {&kv, &kv_w}, {&kv2}, alone(1e-3, early), what), 0,
	         what + hip_message());
	if (!same_bits(q1, q2) || !same_bits(kv1, kv2))
		failed(__FILE__, __LINE__, what + ": fused and single differ");
	for (int64_t row = 0, rows = q.shape[0]; row < rows; row += rows / some + 1) {
		check_row(q, q_w, q1, row, 1e-6, early, what);
		check_row(kv, kv_w, kv1, row, 1e-3, early, what);
	}
}

/* Two pieces of rows that are q + kv + rope wide. */
static void pair(Random &r, int dtype, int64_t m, int64_t q_n, int64_t kv_n, int64_t rope, bool early, int64_t some = 3)
{
	int64_t row = q_n + kv_n + rope;
	Tensor q(dtype, {m, q_n}, {row, 1}, 0), kv(dtype, {m, kv_n}, {row, 1}, q_n % 8 ? q_n : 0), q_w(dtype, {q_n}),
		kv_w(dtype, {kv_n});
	q.fill(r), kv.fill(r), q_w.fill(r), kv_w.fill(r);
	check_pair(q, q_w, kv, kv_w, early, some);
}

TEST(norm_deepseek)
{
	Random r;
	for (int dtype : floats)
		for (int early = 0; early < 2; early++)
			for (int64_t m : {1, 3, 32})
				pair(r, dtype, m, 1536, 512, 64, early, 2);
	pair(r, GRAFT_DTYPE_bf16, 300, 1536, 512, 64, false, 1);
}

/* Lengths around every place where the shape of the launch changes, and odd ones. */
TEST(norm_lengths)
{
	Random r;
	const std::vector<int64_t> lengths = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 63, 64, 65, 127, 128, 129, 255, 256,
	                                      257, 511, 512, 513, 768, 769, 1023, 1024, 1025, 1535, 1536, 1537, 2047,
	                                      2048, 2049, 3072, 4096, 4097, 7168, 8192};
	for (int dtype : floats)
		for (size_t i = 0; i < lengths.size(); i++)
			pair(r, dtype, 2, lengths[i], lengths[lengths.size() - 1 - i], 64, i % 2, 2);
	for (int dtype : floats)
		for (int64_t n : {8193, 16383, 16384, 16385, 20000, 32768, 32769, 40000})
			pair(r, dtype, 1, n, 512, 8, n % 2, 1);
}

/* Rows around the place where the shape of the launch changes. */
TEST(norm_rows)
{
	Random r;
	for (int dtype : floats)
		for (int64_t m : {0, 1, 2, 3, 255, 256, 257, 513})
			pair(r, dtype, m, 24, 8, 8, m % 2);
	for (int64_t m : warp == 32 ? Shape{4095, 4096, 16383} : Shape{4095, 16384})
		pair(r, GRAFT_DTYPE_bf16, m, 24, 8, 8, m % 2);
	pair(r, GRAFT_DTYPE_f16, 4095, 23, 9, 5, true);
	if (warp == 64)                                                 /* a million threads: once is enough */
		pair(r, GRAFT_DTYPE_f16, 65536, 8, 8, 0, false, 1);
}

/* The same rows in a short launch and in a long one, in dense memory and in awkward memory: the same bits. */
TEST(norm_does_not_depend_on_the_launch)
{
	Random r;
	for (int dtype : floats)
		for (int64_t n : {96, 1536, 2056}) {
			Tensor many(dtype, {520, n}), few(dtype, {2, n}), odd(dtype, {2, n}, {2 * n + 3, 2}, 1),
				w(dtype, {n});
			Tensor y_many = many, y_few = few, y_odd(dtype, {2, n}, {n + 1, 1}, 1);
			if (n > 100)
				many = Tensor(dtype, {2, n}), y_many = many;
			many.fill(r), w.fill(r);
			for (int64_t i = 0; i < 2 * n; i++)
				few.put(i, many.get(i)), odd.put(i, many.get(i));
			CHECK_IS(run_hip(hip_kernel("rms_norm"), {&many, &w}, {&y_many}, alone(1e-5, false), "many"), 0,
			         hip_message());
			CHECK_IS(run_hip(hip_kernel("rms_norm"), {&few, &w}, {&y_few}, alone(1e-5, false), "few"), 0,
			         hip_message());
			CHECK_IS(run_hip(hip_kernel("rms_norm"), {&odd, &w}, {&y_odd}, alone(1e-5, false), "odd"), 0,
			         hip_message());
			for (int64_t i = 0; i < 2 * n; i++)
				if (y_few.raw(i) != y_many.raw(i) || y_few.raw(i) != y_odd.raw(i))
					return failed(__FILE__, __LINE__,
					              few.text() + ": the launch shows in element " +
					              std::to_string(i));
		}
}

TEST(norm_any_layout)
{
	Random r;
	for (int dtype : floats)
		for (int x_layout = 0; x_layout < LAYOUTS; x_layout++)
			for (int y_layout : {DENSE, GAPS, PERMUTED, NEGATIVE, ODD})
				for (const Shape &shape : {Shape{5, 40}, Shape{2, 3, 33}, Shape{64}}) {
					Tensor x(dtype, shape, static_cast<Layout>(x_layout)),
						w(dtype, {shape.back()}, x_layout % 2 ? NEGATIVE : ODD);
					Tensor y(dtype, shape, static_cast<Layout>(y_layout));
					x.fill(r), w.fill(r);
					CHECK_IS(run_hip(hip_kernel("rms_norm"), {&x, &w}, {&y},
					                 alone(1e-6, y_layout % 2), x.text()), 0, hip_message());
					for (int64_t row = 0; row < x.size() / shape.back(); row++)
						check_row(x, w, y, row, 1e-6, y_layout % 2,
						          x.text() + " to " + y.text());
				}
}

/* Rows on axes that do not join, fused. */
TEST(norm_fused_on_three_axes)
{
	Random r;
	Tensor q(GRAFT_DTYPE_bf16, {2, 3, 64}, {1000, 80, 1}, 0), kv(GRAFT_DTYPE_bf16, {2, 3, 32}, {600, 40, 1}, 8);
	Tensor q_w(GRAFT_DTYPE_bf16, {64}), kv_w(GRAFT_DTYPE_bf16, {32}), q_n(GRAFT_DTYPE_bf16, {2, 3, 64}),
		kv_n(GRAFT_DTYPE_bf16, {2, 3, 32});
	q.fill(r), kv.fill(r), q_w.fill(r), kv_w.fill(r);
	CHECK_IS(run_hip(hip_kernel("fused_mla_dual_rms_norm"), {&q, &q_w, &kv, &kv_w}, {&q_n, &kv_n},
	                 {attr_float(1e-6), attr_float(1e-6), attr_int(0)}, "three axes"), 0, hip_message());
	for (int64_t row = 0; row < 6; row++) {
		check_row(q, q_w, q_n, row, 1e-6, false, "three axes");
		check_row(kv, kv_w, kv_n, row, 1e-6, false, "three axes");
	}
}

TEST(norm_without_a_weight)
{
	Random r;
	for (int dtype : floats) {
		Tensor x(dtype, {3, 72}), none, y = x;
		x.fill(r);
		CHECK_IS(run_hip(hip_kernel("rms_norm"), {&x}, {&y}, alone(1e-6, false), "no weight"), 0,
		         hip_message());
		check_row(x, none, y, 1, 1e-6, false, "no weight");
		CHECK_IS(run_hip(hip_kernel("rms_norm"), {&x, &none}, {&y}, alone(1e-6, true), "none"), 0,
		         hip_message());
		check_row(x, none, y, 2, 1e-6, true, "none");
	}
}

/* zeros; inf; NaN; denormals; squares that overflow float16 and, in float32, float32. */
TEST(norm_extremes)
{
	for (int dtype : floats)
		for (int64_t n : {64, 33}) {
			double tiny = ulp(dtype, 0), huge = dtype == GRAFT_DTYPE_f16 ? 65504 : 3e38;
			Tensor x(dtype, {6, n}), w(dtype, {n}), y = x, none;
			w.fill(1);
			x.fill(0);
			for (int64_t i = 0; i < n; i++) {
				x.put(n + i, i == 5 ? INFINITY : 1);
				x.put(2 * n + i, i == 6 ? NAN : 1);
				x.put(3 * n + i, tiny * static_cast<double>(i % 3));
				x.put(4 * n + i, i % 2 ? 300 : -300);
				x.put(5 * n + i, huge);
			}
			CHECK_IS(run_hip(hip_kernel("rms_norm"), {&x, &w}, {&y}, alone(1e-6, false), "extremes"), 0,
			         hip_message());
			check_row(x, none, y, 0, 1e-6, false, "zeros");
			check_row(x, none, y, 3, 1e-6, false, "denormals");
			check_row(x, none, y, 4, 1e-6, false, "squares above 65504");
			for (int64_t i = 0; i < n; i++) {
				CHECK(i == 5 ? std::isnan(y.get(n + i)) : y.get(n + i) == 0);
				CHECK(std::isnan(y.get(2 * n + i)));
				CHECK(dtype == GRAFT_DTYPE_f16 ? y.get(5 * n + i) == 1 : y.get(5 * n + i) == 0);
			}
			CHECK_IS(run_hip(hip_kernel("rms_norm"), {&x, &w}, {&y}, alone(0, false), "no eps"), 0,
			         hip_message());
			CHECK(std::isnan(y.get(0)));                            /* 0 * inf, as the reference has it */
		}
}

TEST(norm_repeats)
{
	Random r;
	Tensor q(GRAFT_DTYPE_bf16, {4, 192}, {264, 1}, 0), kv(GRAFT_DTYPE_bf16, {4, 64}, {264, 1}, 0),
		q_w(GRAFT_DTYPE_bf16, {192});
	Tensor kv_w(GRAFT_DTYPE_bf16, {64}), first_q, first_kv;
	q.fill(r), kv.fill(r), q_w.fill(r), kv_w.fill(r);
	for (unsigned i = 0; i < 100 && still_good(); i++) {
		Tensor q_n(q.dtype, q.shape), kv_n(kv.dtype, kv.shape);
		schedule(i);
		run_hip(hip_kernel("fused_mla_dual_rms_norm"), {&q, &q_w, &kv, &kv_w}, {&q_n, &kv_n},
		        {attr_float(1e-6), attr_float(1e-6), attr_int(0)}, "repeat");
		if (i == 0)
			first_q = q_n, first_kv = kv_n;
		CHECK(same_bits(q_n, first_q) && same_bits(kv_n, first_kv));
	}
}

/* Groups of several warps under every order of threads. */
TEST(norm_schedules)
{
	Random r;
	for (unsigned seed : {0u, 1u, 2u, 3u, 4u, 5u}) {
		schedule(seed);
		pair(r, GRAFT_DTYPE_bf16, 3, 1536, 512, 64, seed % 2, 3);
		pair(r, GRAFT_DTYPE_f32, 2, 4097, 1031, 1, seed % 2, 2);
	}
	schedule(0);
}

TEST(norm_refuses)
{
	Tensor x(GRAFT_DTYPE_bf16, {2, 8}), w(GRAFT_DTYPE_bf16, {7}), w32(GRAFT_DTYPE_f32, {8}),
		f64(GRAFT_DTYPE_f64, {2, 8}), y = x, y64 = f64;
	x.fill(1), w.fill(1), w32.fill(1), f64.fill(1);
	CHECK_IS(run_hip(hip_kernel("rms_norm"), {&x, &w}, {&y}, alone(1e-6, false), "length"), GRAFT_E_USAGE,
	         hip_message());
	CHECK_IS(run_hip(hip_kernel("rms_norm"), {&x, &w32}, {&y}, alone(1e-6, false), "dtype"), GRAFT_E_UNSUPPORTED,
	         hip_message());
	CHECK(strstr(hip_message(), "bf16 and f32"));
	CHECK_IS(run_hip(hip_kernel("rms_norm"), {&f64}, {&y64}, alone(1e-6, false), "f64"), GRAFT_E_UNSUPPORTED,
	         hip_message());
	CHECK_IS(run_hip(hip_kernel("rms_norm"), {&x}, {}, alone(1e-6, false), "no result"), GRAFT_E_USAGE,
	         hip_message());
}

/* A launch that fails says so. */
TEST(norm_reports_a_failed_launch)
{
	Tensor x(GRAFT_DTYPE_bf16, {2, 8}), y = x;
	x.fill(1);
	if (!fail_call("hipLaunchKernel:1"))
		return not_here("no launch can be made to fail");
	CHECK_IS(run_hip(hip_kernel("rms_norm"), {&x}, {&y}, alone(1e-6, false), "fails"), GRAFT_E_EXEC, hip_message());
	CHECK(strstr(hip_message(), "not launched"));
	fail_call(nullptr);
}
