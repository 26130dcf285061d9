/* kernel_copy.c - pieces moved: copy, contiguous, repeat, slice_scatter, tril, triu; and products of groups of rows. */
#include "kernel_host.h"

static const int dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_i64, GRAFT_DTYPE_bool, GRAFT_DTYPE_f8e5m2,
                             GRAFT_DTYPE_f64 };
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes, ROUNDS = 36 };

static int64_t place_of(const Box *b, const int64_t *at)
{
	int64_t place = 0;
	for (int i = 0; i < b->t.rank; i++)
		place = place * b->shape[i] + at[i];
	return place;
}

static void repeat_case(Random *r, int dtype)
{
	int64_t shape[3], sizes[5], out[5], at[GRAFT_MAX_RANK];
	int rank = (int)random_below(r, 4), added = (int)random_below(r, 3);
	for (int i = 0; i < rank; i++)
		shape[i] = random_below(r, 9) ? 1 + random_below(r, 4) : 0;
	for (int i = 0; i < added + rank; i++) {
		sizes[i] = random_below(r, 4);
		out[i] = sizes[i] * (i < added ? 1 : shape[i - added]);
	}
	Box *x = box_new(r, dtype, rank, shape, (Layout)random_below(r, LAYOUTS));
	Box *y = box_new(r, dtype, added + rank, out, (Layout)random_below(r, EXPANDED));
	run_kernel(cpu_repeat, 3, BOXES(x), BOXES(y), &(graft_attr){ .given = 1, .n = added + rank, .list = sizes }, 1);
	for (int64_t i = 0; i < y->size; i++) {
		box_coordinates(y, i, at);
		for (int k = 0; k < rank; k++)
			at[k] = at[k + added] % shape[k];
		CHECK(close_to(dtype, box_get(y, i), box_get(x, place_of(x, at)), 0, 0));
	}
	box_free(x);
	box_free(y);
}

TEST(kernel_repeat_random)
{
	Random r = { 41 };
	for (int k = 0; k < ROUNDS; k++)
		repeat_case(&r, dtypes[k % N_DTYPES]);
}

/* More axes than a walk could hold two for each. */
TEST(kernel_repeat_of_many_axes)
{
	Random r = { 42 };
	int64_t shape[GRAFT_MAX_RANK], sizes[GRAFT_MAX_RANK], out[GRAFT_MAX_RANK];
	for (int i = 0; i < GRAFT_MAX_RANK; i++)
		shape[i] = sizes[i] = out[i] = 1;
	shape[3] = 2, sizes[3] = 3, out[3] = 6, sizes[60] = out[60] = 2;
	Box *x = box_new(&r, GRAFT_DTYPE_f32, GRAFT_MAX_RANK, shape, DENSE);
	Box *y = box_new(&r, GRAFT_DTYPE_f32, GRAFT_MAX_RANK, out, DENSE);
	run_kernel(cpu_repeat, 1, BOXES(x), BOXES(y), &(graft_attr){ .given = 1, .n = GRAFT_MAX_RANK, .list = sizes },
	           1);
	for (int64_t i = 0; i < 12; i++)
		CHECK(box_get(y, i) == box_get(x, i / 2 % 2));
	box_free(x);
	box_free(y);
}

/* Where torch's start:end of an axis begins. */
static int64_t begin_of(int64_t start, int64_t size)
{
	start = start < 0 ? start + size : start;
	return start < 0 ? 0 : start > size ? size : start;
}

static void slice_case(Random *r, int dtype)
{
	int64_t shape[3], part[3], at[GRAFT_MAX_RANK];
	int rank = 1 + (int)random_below(r, 3), axis = (int)random_below(r, rank);
	for (int i = 0; i < rank; i++)
		shape[i] = part[i] = 1 + random_below(r, 7);
	int64_t start = random_below(r, 20) - 10, step = 1 + random_below(r, 3), first = begin_of(start, shape[axis]);
	part[axis] = (shape[axis] - first + step - 1) / step;
	Box *x = box_new(r, dtype, rank, shape, (Layout)random_below(r, LAYOUTS));
	Box *y = box_new(r, dtype, rank, shape, (Layout)random_below(r, EXPANDED));
	Box *src = box_new(r, dtype, rank, part, (Layout)random_below(r, LAYOUTS));
	const graft_attr attr[4] = { { .given = 1, .i = axis }, { .given = 1, .i = start },
	                            { .given = 1, .i = INT64_MAX }, { .given = 1, .i = step } };
	run_kernel(cpu_slice_scatter, 3, BOXES(x, src), BOXES(y), attr, 4);
	for (int64_t i = 0; i < y->size; i++) {
		box_coordinates(y, i, at);
		int64_t behind = at[axis] - first;
		bool put = behind >= 0 && behind % step == 0;
		at[axis] = behind / step;
		CHECK(close_to(dtype, box_get(y, i), put ? box_get(src, place_of(src, at)) : box_get(x, i), 0, 0));
	}
	box_free(x);
	box_free(y);
	box_free(src);
}

TEST(kernel_slice_scatter_random)
{
	Random r = { 43 };
	for (int k = 0; k < ROUNDS; k++)
		slice_case(&r, dtypes[k % N_DTYPES]);
}

static void triangle_case(Random *r, int dtype, bool lower)
{
	int64_t shape[3] = { 1 + random_below(r, 3), random_below(r, 8), random_below(r, 8) }, at[GRAFT_MAX_RANK];
	int64_t diagonal = random_below(r, 8) ? random_below(r, 20) - 10 : random_below(r, 2) ? INT64_MAX : INT64_MIN;
	Box *x = box_new(r, dtype, 3, shape, (Layout)random_below(r, LAYOUTS));
	Box *y = box_new(r, dtype, 3, shape, (Layout)random_below(r, EXPANDED));
	run_kernel(lower ? cpu_tril : cpu_triu, 3, BOXES(x), BOXES(y), &(graft_attr){ .given = 1, .i = diagonal }, 1);
	for (int64_t i = 0; i < y->size; i++) {
		box_coordinates(y, i, at);
		int64_t over = at[2] - at[1];
		CHECK(close_to(dtype, box_get(y, i), (lower ? over <= diagonal : over >= diagonal) ? box_get(x, i) : 0,
		               0, 0));
	}
	box_free(x);
	box_free(y);
}

TEST(kernel_triangles_random)
{
	Random r = { 44 };
	for (int k = 0; k < 2 * ROUNDS; k++)
		triangle_case(&r, dtypes[k % N_DTYPES], k / N_DTYPES % 2);
}

TEST(kernel_copies)
{
	Random r = { 45 };
	Box *x = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(3, 5), PERMUTED);
	Box *y = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(3, 5), DENSE);
	Box *src = box_vector(GRAFT_DTYPE_i32, 5, (double[]){ 1, -2, 3, 300, 257 });
	run_kernel(cpu_contiguous, 2, BOXES(x), BOXES(y), NO_ATTRS);
	for (int i = 0; i < 15; i++)
		CHECK(box_get(y, i) == box_get(x, i));
	run_kernel(cpu_copy, 2, BOXES(x, src), BOXES(y), NO_ATTRS);
	for (int i = 0; i < 15; i++)
		CHECK(box_get(y, i) == rounded(GRAFT_DTYPE_bf16, box_get(src, i % 5)));
	box_free(x);
	box_free(y);
	box_free(src);
}

/* ---- products of groups of rows ---- */

static void grouped_case(Random *r, int dtype)
{
	int64_t rows = random_below(r, 30), depth = random_below(r, 20), columns = 1 + random_below(r, 20);
	int64_t groups = 1 + random_below(r, 5), end = 0;
	Box *a = box_new(r, dtype, SHAPE(rows, depth), (Layout)random_below(r, LAYOUTS));
	Box *b = box_new(r, dtype, SHAPE(groups, depth, columns), (Layout)random_below(r, LAYOUTS));
	Box *offs = box_new(r, GRAFT_DTYPE_i32, SHAPE(groups), GAPS);
	Box *y = box_new(r, dtype, SHAPE(rows, columns), (Layout)random_below(r, EXPANDED));
	for (int64_t g = 0; g < groups; g++) {
		end += random_below(r, rows - end + 1);
		box_put(offs, g, (double)end);
	}
	run_kernel(cpu_grouped_matmul, 3, BOXES(a, b, offs), BOXES(y), NO_ATTRS);
	for (int64_t i = 0; i < y->size; i++) {
		int64_t row = i / columns, g = 0;
		double want = 0;
		while (g < groups && (double)row >= box_get(offs, g))
			g++;
		for (int64_t k = 0; g < groups && k < depth; k++)
			want += box_get(a, row * depth + k) * box_get(b, (g * depth + k) * columns + i % columns);
		if (!close_to(dtype, box_get(y, i), want, 0.51, dtype == GRAFT_DTYPE_f64 ? 1e-12 : 1e-4))
			test_fail(__FILE__, __LINE__, "row %lld in %s is %g, not %g", (long long)row,
			          graft_dtype_name((graft_dtype)dtype), box_get(y, i), want);
	}
	box_free(a);
	box_free(b);
	box_free(offs);
	box_free(y);
}

TEST(kernel_grouped_matmul_random)
{
	static const int of[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f64, GRAFT_DTYPE_i64 };
	Random r = { 46 };
	for (int k = 0; k < 60; k++)
		grouped_case(&r, of[k % 4]);
}

TEST(kernel_grouped_matmul_ends)
{
	Random r = { 47 };
	Host h;
	Box *a = box_new(&r, GRAFT_DTYPE_f32, SHAPE(4, 3), DENSE);
	Box *b = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 3, 5), DENSE);
	Box *y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(4, 5), DENSE);
	Box *offs = box_vector(GRAFT_DTYPE_i32, 2, (double[]){ 3, 2 });
	host_init(&h, 1);
	CHECK_INT(fail_kernel(cpu_grouped_matmul, &h, BOXES(a, b, offs), BOXES(y), NO_ATTRS), GRAFT_E_DATA);
	CHECK_STR(h.message, "grouped_matmul: offs[1] is 2, but the group before ends at 3 and axis 0 of a holds 4; "
	          "ends rise and stay within a");
	box_put(offs, 1, 5);
	CHECK_INT(fail_kernel(cpu_grouped_matmul, &h, BOXES(a, b, offs), BOXES(y), NO_ATTRS), GRAFT_E_DATA);
	box_put(offs, 0, -1);
	CHECK_INT(fail_kernel(cpu_grouped_matmul, &h, BOXES(a, b, offs), BOXES(y), NO_ATTRS), GRAFT_E_DATA);
	box_free(a);
	box_free(b);
	box_free(offs);
	box_free(y);
}
