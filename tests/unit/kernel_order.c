/* kernel_order.c - what depends on the order of elements: sort, topk, cumsum, extremes, counts. */
#include "kernel_host.h"

static const int dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_i64, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f64, GRAFT_DTYPE_bool,
                             GRAFT_DTYPE_i8,
                              GRAFT_DTYPE_u8, GRAFT_DTYPE_f16 };
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

/* Few different numbers, so that some are equal; floats with NaN and both zeros among them. */
static Box *with_ties(Random *r, int dtype, int rank, const int64_t *shape)
{
	Box *b = box_new(r, dtype, rank, shape, (Layout)random_below(r, EXPANDED));
	for (int64_t i = 0; i < b->size; i++) {
		double v = (double)random_below(r, 7) - (dtype == GRAFT_DTYPE_bool || dtype == GRAFT_DTYPE_u8 ? 0 : 3);
		if (!is_integer(dtype) && random_below(r, 6) == 0)
			v = random_below(r, 2) ? (double)NAN : -0.0;
		box_put(b, i, dtype == GRAFT_DTYPE_bool ? v > 3 : v);
	}
	return b;
}

/* Does a come before b? Equal ones stay as they are. */
static bool before(double a, double b, bool descending)
{
	if (descending)
		return isnan(a) ? !isnan(b) : a > b;
	return isnan(b) ? !isnan(a) : a < b;
}

/* The element at `k` along `axis` of the line that element i of y is in. */
static int64_t in_line(const Box *y, const Box *x, int64_t i, int axis, int64_t k)
{
	int64_t at[GRAFT_MAX_RANK], place = 0;
	box_coordinates(y, i, at);
	at[axis] = k;
	for (int d = 0; d < x->t.rank; d++)
		place = place * x->shape[d] + at[d];
	return place;
}

/* Its rank is the number of elements that come before it. */
static void check_sorted(const Box *x, const Box *values, const Box *ids, int axis, bool descending)
{
	int64_t n = x->t.rank ? x->shape[axis] : 1, at[GRAFT_MAX_RANK] = { 0 };
	for (int64_t i = 0; i < values->size; i++) {
		int64_t id = box_integer(ids, i), rank = 0;
		CHECK(id >= 0 && id < n);
		box_coordinates(values, i, at);
		double v = box_get(x, in_line(values, x, i, axis, id)), got = box_get(values, i);
		CHECK(isnan(v) ? isnan(got) : v == got && signbit(v) == signbit(got));
		for (int64_t k = 0; k < n; k++) {
			double other = box_get(x, in_line(values, x, i, axis, k));
			rank += before(other, v, descending) || (k < id && !before(v, other, descending));
		}
		CHECK_INT(rank, x->t.rank ? at[axis] : 0);
	}
}

static void sort_case(Random *r, int dtype, bool top)
{
	int64_t shape[3] = { 1 + random_below(r, 4), 1 + random_below(r, 4), 1 + random_below(r, 4) }, out[3];
	int rank = (int)random_below(r, 4), axis = rank ? (int)random_below(r, rank) : 0;
	bool descending = random_below(r, 2);
	if (rank)
		shape[axis] = random_below(r, 4) ? random_below(r, 60) : 700;
	memcpy(out, shape, sizeof out);
	if (rank && top)
		out[axis] = random_below(r, shape[axis] + 1);
	Box *x = with_ties(r, dtype, rank, shape);
	Box *values = box_new(r, dtype, rank, out, (Layout)random_below(r, EXPANDED));
	Box *ids = box_new(r, GRAFT_DTYPE_i64, rank, out, (Layout)random_below(r, EXPANDED));
	graft_attr sort[3] = { { .given = 1, .i = axis }, { .given = 1, .i = descending }, { .given = 1 } };
	graft_attr topk[4] = { { .given = 1, .i = rank ? out[axis] : 1 }, sort[0], sort[1], { .given = 1 } };
	run_kernel(top ? cpu_topk : cpu_sort, 3, BOXES(x), BOXES(values, ids), top ? topk : sort, top ? 4 : 3);
	check_sorted(x, values, ids, axis, descending);
	box_free(x);
	box_free(values);
	box_free(ids);
}

TEST(kernel_sort_random)
{
	Random r = { 21 };
	for (int k = 0; k < 64; k++)
		sort_case(&r, dtypes[k % N_DTYPES], k % 3 == 0);
}

TEST(kernel_sort_in_several_pieces)
{
	Random r = { 22 };
	Box *x = with_ties(&r, GRAFT_DTYPE_f32, SHAPE(50, 100));
	Box *values = box_new(&r, GRAFT_DTYPE_f32, SHAPE(50, 100), DENSE);
	Box *ids = box_new(&r, GRAFT_DTYPE_i64, SHAPE(50, 100), DENSE);
	const graft_attr attr[3] = { { .given = 1, .i = 1 }, { .given = 1, .i = 1 }, { .given = 1 } };
	run_kernel(cpu_sort, 7, BOXES(x), BOXES(values, ids), attr, 3);
	check_sorted(x, values, ids, 1, true);
	box_free(x);
	box_free(values);
	box_free(ids);
}

/* Integers that float64 does not hold, and those at the ends. */
TEST(kernel_sort_large_integers)
{
	static const int64_t v[5] = { INT64_MAX, -3, INT64_MAX - 1, INT64_MIN, INT64_MIN + 1 },
	        order[5] = { 3, 4, 1, 2, 0 };
	Box *x = box_vector(GRAFT_DTYPE_i64, 5, NULL), *values = box_vector(GRAFT_DTYPE_i64, 5, NULL);
	Box *ids = box_vector(GRAFT_DTYPE_i64, 5, NULL);
	const graft_attr attr[3] = { { .given = 1 }, { .given = 1 }, { .given = 1 } };
	memcpy(x->t.data, v, sizeof v);
	run_kernel(cpu_sort, 1, BOXES(x), BOXES(values, ids), attr, 3);
	for (int i = 0; i < 5; i++) {
		CHECK_INT(box_integer(ids, i), order[i]);
		CHECK_INT(box_integer(values, i), v[order[i]]);
	}
	box_free(x);
	box_free(values);
	box_free(ids);
}

/* ---- cumsum ---- */

static void cumsum_case(Random *r, int dtype)
{
	int64_t shape[3] = { 1 + random_below(r, 4), 1 + random_below(r, 4), 1 + random_below(r, 4) };
	int rank = (int)random_below(r, 4), axis = rank ? (int)random_below(r, rank) : 0;
	int y_dtype = is_integer(dtype) ? GRAFT_DTYPE_i64 : dtype;
	if (rank)
		shape[axis] = random_below(r, 4) ? random_below(r, 30) : 1200;
	Box *x = box_new(r, dtype, rank, shape, (Layout)random_below(r, LAYOUTS));
	Box *y = box_new(r, y_dtype, rank, shape, (Layout)random_below(r, EXPANDED));
	run_kernel(cpu_cumsum, 3, BOXES(x), BOXES(y), (const graft_attr[]){ { .given = 1, .i = axis }, { 0 } }, 2);
	for (int64_t i = 0; i < y->size; i++) {
		int64_t at[GRAFT_MAX_RANK] = { 0 };
		double sum = 0;
		box_coordinates(y, i, at);
		for (int64_t k = 0; k <= (rank ? at[axis] : 0); k++)
			sum += box_get(x, in_line(y, x, i, axis, k));
		CHECK(box_get(y, i) == (y_dtype == GRAFT_DTYPE_f32 ? (double)(float)sum : rounded(y_dtype, sum)));
	}
	box_free(x);
	box_free(y);
}

TEST(kernel_cumsum_random)
{
	Random r = { 23 };
	for (int k = 0; k < 40; k++)
		cumsum_case(&r, dtypes[k % N_DTYPES]);
}

TEST(kernel_cumsum_casts_first)
{
	Box *x = box_vector(GRAFT_DTYPE_f32, 3, (double[]){ 1.75, 1.75, -0.5 });
	Box *y = box_vector(GRAFT_DTYPE_i32, 3, NULL);
	run_kernel(cpu_cumsum, 1, BOXES(x), BOXES(y),
	           (const graft_attr[]){ { .given = 1 }, { .given = 1, .i = GRAFT_DTYPE_i32 } }, 2);
	CHECK(box_get(y, 0) == 1 && box_get(y, 1) == 2 && box_get(y, 2) == 2);
	box_free(x);
	box_free(y);
}

/* ---- extremes ---- */

typedef struct Found { double greatest, least; int64_t where, seen, truths; } Found;

static void see(Found *f, double v)
{
	if (!f->seen || before(v, f->greatest, true))
		f->greatest = v, f->where = f->seen;
	if (!f->seen || isnan(v) || v < f->least)
		f->least = f->seen && isnan(f->least) ? f->least : v;
	f->truths += v != 0;
	f->seen++;
}

/* Axis `axis` of x, or all, goes. */
static Found find(const Box *x, const Box *y, int64_t i, int axis)
{
	Found f = { 0 };
	for (int64_t k = 0; k < (axis < 0 ? x->size : x->shape[axis]); k++)
		see(&f, box_get(x, axis < 0 ? k : in_line(y, x, i, axis, k)));
	return f;
}

static void extreme_case(Random *r, int dtype)
{
	static const graft_launch_fn kernels[5] = { cpu_amax, cpu_amin, cpu_argmax, cpu_any, cpu_all };
	int64_t shape[3] = { 1 + random_below(r, 5), 1 + random_below(r, 5), 1 + random_below(r, 600) }, kept[3];
	int axis = (int)random_below(r, 4) - 1, rank = axis < 0 ? 0 : 3;
	int64_t list = axis;
	Box *x = with_ties(r, dtype, 3, shape);
	memcpy(kept, shape, sizeof kept);
	if (axis >= 0)
		kept[axis] = 1;
	for (int k = 0; k < 5; k++) {
		int truth = dtype == GRAFT_DTYPE_u8 ? dtype : GRAFT_DTYPE_bool;
		int y_dtype = k < 2 ? dtype : k == 2 ? GRAFT_DTYPE_i64 : truth;
		Box *y = box_new(r, y_dtype, rank, kept, (Layout)random_below(r, EXPANDED));
		graft_attr attr[2] = { { .given = axis >= 0, .n = axis >= 0, .i = axis, .list = &list },
		                      { .given = 1, .i = axis >= 0 } };
		run_kernel(kernels[k], 3, BOXES(x), BOXES(y), attr, 2);
		for (int64_t i = 0; i < y->size; i++) {
			Found f = find(x, y, i, axis);
			double want[5] = { f.greatest, f.least, (double)f.where, f.truths > 0, f.truths == f.seen };
			if (!close_to(y_dtype, box_get(y, i), want[k], 0, 0))
				test_fail(__FILE__, __LINE__, "kernel %d of %s: %g, not %g", k,
				          graft_dtype_name((graft_dtype)dtype), box_get(y, i), want[k]);
		}
		box_free(y);
	}
	box_free(x);
}

TEST(kernel_extremes_random)
{
	Random r = { 24 };
	for (int k = 0; k < 40; k++)
		extreme_case(&r, dtypes[k % N_DTYPES]);
}

TEST(kernel_extremes_of_nothing)
{
	Random r = { 25 };
	Host h;
	Box *x = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 0), DENSE), *y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2), DENSE);
	Box *truth = box_new(&r, GRAFT_DTYPE_bool, SHAPE(2), DENSE);
	const graft_attr attr[2] = { { .given = 1, .n = 1, .list = (const int64_t[]){ 1 } }, { .given = 1 } };
	host_init(&h, 1);
	CHECK_INT(fail_kernel(cpu_amax, &h, BOXES(x), BOXES(y), attr, 2), GRAFT_E_DATA);
	run_kernel(cpu_any, 1, BOXES(x), BOXES(truth), attr, 2);
	CHECK(box_get(truth, 0) == 0);
	run_kernel(cpu_all, 1, BOXES(x), BOXES(truth), attr, 2);
	CHECK(box_get(truth, 0) == 1);
	box_free(x);
	box_free(y);
	box_free(truth);
}

/* ---- counts ---- */

static void counted(int dtype, int64_t n, const double *v, double min, double max, const double *want)
{
	Box *x = box_vector(dtype, n, v), *y = box_vector(dtype, 4, NULL);
	const graft_attr attr[3] = { { .given = 1, .i = 4 }, { .given = 1, .f = min }, { .given = 1, .f = max } };
	run_kernel(cpu_histc, 1, BOXES(x), BOXES(y), attr, 3);
	for (int i = 0; i < 4; i++)
		CHECK(box_get(y, i) == want[i]);
	box_free(x);
	box_free(y);
}

TEST(kernel_histc)
{
	static const double v[] = { 0, 1, 1, 2.5, 4, 5, -1, NAN };
	static const int of[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_f64, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f16 };
	for (int k = 0; k < 4; k++) {
		counted(of[k], 8, v, 0, 4, (double[]){ 1, 2, 1, 1 });          /* the end belongs to the last */
		counted(of[k], 6, v, 0, 0, (double[]){ 3, 0, 1, 2 });          /* 0 to 5 */
		counted(of[k], 1, v, 0, 0, (double[]){ 0, 0, 1, 0 });          /* -1 to 1 */
		counted(of[k], 0, v, 0, 0, (double[]){ 0, 0, 0, 0 });
	}
	counted(GRAFT_DTYPE_i32, 3, (double[]){ 3, 3, 0 }, 0, 3, (double[]){ 1, 0, 0, 2 });
}

TEST(kernel_histc_needs_a_range)
{
	Host h;
	Box *x = box_vector(GRAFT_DTYPE_f32, 2, (double[]){ 1, INFINITY }), *y = box_vector(GRAFT_DTYPE_f32, 4, NULL);
	const graft_attr attr[3] = { { .given = 1, .i = 4 }, { .given = 1 }, { .given = 1 } };
	host_init(&h, 1);
	CHECK_INT(fail_kernel(cpu_histc, &h, BOXES(x), BOXES(y), attr, 3), GRAFT_E_DATA);
	box_free(x);
	box_free(y);
}
