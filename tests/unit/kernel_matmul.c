/* kernel_matmul.c - linear and matmul: every dtype, panels, batches, vectors, layouts. */
#include "kernel_host.h"

typedef struct Dot { double sum, size; } Dot;           /* of products, and of their magnitudes */

static void dot_add(Dot *d, double a, double b)
{
	d->sum += a * b;
	d->size += fabs(a * b);
}

static void check_dot(const Box *y, int64_t i, Dot d)
{
	int dtype = y->t.dtype;
	bool half = dtype == GRAFT_DTYPE_f16 || dtype == GRAFT_DTYPE_bf16;
	double slack = d.size * (dtype == GRAFT_DTYPE_f64 ? 0x1p-48 : 0x1p-21);
	if (!close_to(dtype, box_get(y, i), d.sum, half ? 0.51 : 1, is_integer(dtype) ? 0 : slack))
		test_fail(__FILE__, __LINE__, "%s: element %lld is %.9g, not %.9g",
		          graft_dtype_name((graft_dtype)dtype), (long long)i, box_get(y, i), d.sum);
}

static void check_linear(const Box *x, const Box *w, const Box *b, const Box *y)
{
	int64_t n = w->shape[0], k = w->shape[1];
	for (int64_t i = 0; i < y->size; i++) {
		Dot d = { 0, 0 };
		if (b->memory)
			dot_add(&d, 1, box_get(b, i % n));
		for (int64_t j = 0; j < k; j++)
			dot_add(&d, box_get(x, i / n * k + j), box_get(w, i % n * k + j));
		check_dot(y, i, d);
	}
}

static const int dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f16, GRAFT_DTYPE_f64, GRAFT_DTYPE_i32,
                             GRAFT_DTYPE_i64 };
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

TEST(kernel_linear_random)
{
	Random r = { 41 };
	for (int c = 0; c < 120; c++) {
		int dtype = dtypes[c % N_DTYPES];
		int64_t k = c % 11 == 0 ? 0 : 1 + random_below(&r, 90), n = 1 + random_below(&r, c % 5 ? 30 : 150);
		int64_t lead[2] = { random_below(&r, 4), 1 + random_below(&r, 4) };
		Box *x = box_new(&r, dtype, SHAPE(lead[0], lead[1], k), (Layout)random_below(&r, LAYOUTS));
		Box *w = box_new(&r, dtype, SHAPE(n, k), (Layout)random_below(&r, LAYOUTS));
		Box *b = box_new(&r, dtype, SHAPE(n), (Layout)random_below(&r, LAYOUTS));
		Box *y = box_new(&r, dtype, SHAPE(lead[0], lead[1], n), (Layout)random_below(&r, EXPANDED));
		run_kernel(cpu_linear, 1 + c % 3, BOXES(x, w, c % 2 ? b : MISSING), BOXES(y), NO_ATTRS);
		check_linear(x, w, c % 2 ? b : MISSING, y);
		for (int i = 0; i < 4; i++)
			box_free((Box *[]){ x, w, b, y }[i]);
	}
}

static void linear_case(Random *r, int dtype, int64_t m, int64_t n, int64_t k)
{
	Box *x = box_new(r, dtype, SHAPE(m, k), DENSE), *w = box_new(r, dtype, SHAPE(n, k), DENSE);
	Box *b = box_new(r, dtype, SHAPE(n), DENSE), *y = box_new(r, dtype, SHAPE(m, n), DENSE);
	run_kernel(cpu_linear, 3, BOXES(x, w, b), BOXES(y), NO_ATTRS);
	check_linear(x, w, b, y);
	for (int i = 0; i < 4; i++)
		box_free((Box *[]){ x, w, b, y }[i]);
}

/* More than one panel along each axis. */
TEST(kernel_linear_panels)
{
	Random r = { 42 };
	linear_case(&r, GRAFT_DTYPE_bf16, 2, 515, 40);
	linear_case(&r, GRAFT_DTYPE_bf16, 2, 9, 2100);
	linear_case(&r, GRAFT_DTYPE_f16, 515, 3, 20);
	linear_case(&r, GRAFT_DTYPE_f32, 515, 515, 3);
	linear_case(&r, GRAFT_DTYPE_f64, 3, 130, 130);
}

static void check_matmul(const Box *a, const Box *b, const Box *y, const Box *batch)
{
	bool row = a->t.rank == 1, column = b->t.rank == 1;
	int64_t m = row ? 1 : a->shape[a->t.rank - 2], k = a->shape[a->t.rank - 1];
	int64_t n = column ? 1 : b->shape[b->t.rank - 1];
	Box fa = *a, fb = *b;                 /* their batch axes alone, to find which batch is read */
	fa.t.rank -= row ? 1 : 2;
	fb.t.rank -= column ? 1 : 2;
	for (int64_t i = 0; i < y->size; i++) {
		int64_t at[GRAFT_MAX_RANK], ia = 0, ib = 0;
		Dot d = { 0, 0 };
		box_coordinates(batch, i / (m * n), at);
		for (int x = 0; x < fa.t.rank; x++)
			ia = ia * fa.shape[x] + (fa.shape[x] == 1 ? 0 : at[batch->t.rank - fa.t.rank + x]);
		for (int x = 0; x < fb.t.rank; x++)
			ib = ib * fb.shape[x] + (fb.shape[x] == 1 ? 0 : at[batch->t.rank - fb.t.rank + x]);
		for (int64_t j = 0; j < k; j++)
			dot_add(&d, box_get(a, (ia * m + i / n % m) * k + j), box_get(b, (ib * k + j) * n + i % n));
		check_dot(y, i, d);
	}
}

/* Batch axes of one operand: those of the result, some of size 1, some leading ones left out; then the rest. */
static Box *matrix(Random *r, int dtype, const Box *batch, const int64_t *own, int n_own)
{
	int64_t shape[GRAFT_MAX_RANK];
	int skip = (int)random_below(r, batch->t.rank + 1), rank = 0;
	for (int i = n_own == 1 ? batch->t.rank : skip; i < batch->t.rank; i++)
		shape[rank++] = random_below(r, 3) ? batch->shape[i] : 1;
	for (int i = 0; i < n_own; i++)
		shape[rank++] = own[i];
	return box_new(r, dtype, rank, shape, (Layout)random_below(r, LAYOUTS));
}

static void random_matmul(Random *r, int dtype, bool row, bool column)
{
	int64_t m = 1 + random_below(r, 20), k = random_below(r, 30), n = 1 + random_below(r, 20), shape[4];
	int rank = row && column ? 0 : (int)random_below(r, 3), out = rank;
	for (int i = 0; i < rank; i++)
		shape[i] = random_below(r, 4);
	Box *batch = box_new(r, GRAFT_DTYPE_u8, rank, shape, DENSE);
	if (!row)
		shape[out++] = m;
	if (!column)
		shape[out++] = n;
	Box *y = box_new(r, dtype, out, shape, (Layout)random_below(r, EXPANDED));
	Box *a = matrix(r, dtype, batch, (int64_t[]){ row ? k : m, k }, row ? 1 : 2);
	Box *b = matrix(r, dtype, batch, (int64_t[]){ k, n }, column ? 1 : 2);
	run_kernel(cpu_matmul, 1 + (int)random_below(r, 4), BOXES(a, b), BOXES(y), NO_ATTRS);
	check_matmul(a, b, y, batch);
	for (int i = 0; i < 4; i++)
		box_free((Box *[]){ batch, y, a, b }[i]);
}

TEST(kernel_matmul_random)
{
	Random r = { 43 };
	for (int c = 0; c < 240; c++)
		random_matmul(&r, dtypes[c % N_DTYPES], c / N_DTYPES % 5 == 3, c / N_DTYPES % 7 == 5);
}

/* One product of many rows where the batches share b. */
TEST(kernel_matmul_folds_batches)
{
	Random r = { 44 };
	Box *a = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 4, 5), DENSE);
	Box *b = box_new(&r, GRAFT_DTYPE_f32, SHAPE(5, 6), DENSE);
	Box *y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 4, 6), DENSE);
	Box *batch = box_new(&r, GRAFT_DTYPE_u8, SHAPE(3), DENSE);
	run_kernel(cpu_matmul, 2, BOXES(a, b), BOXES(y), NO_ATTRS);
	check_matmul(a, b, y, batch);
	for (int i = 0; i < 4; i++)
		box_free((Box *[]){ a, b, y, batch }[i]);
}

TEST(kernel_matmul_integers_wrap)
{
	const int64_t v[2] = { INT64_MAX, 2 };
	Box *a = box_vector(GRAFT_DTYPE_i64, 2, NULL), *y = box_vector(GRAFT_DTYPE_i64, 1, NULL);
	memcpy(a->t.data, v, sizeof v);
	y->t.rank = 0;
	run_kernel(cpu_matmul, 1, BOXES(a, a), BOXES(y), NO_ATTRS);
	CHECK_INT(box_integer(y, 0), 5);
	box_free(a);
	box_free(y);
}

TEST(kernel_linear_refuses)
{
	Random r = { 45 };
	Host h;
	Box *x = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(2, 3), DENSE);
	Box *w = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(4, 2), DENSE);
	Box *y = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(2, 4), DENSE);
	Box *right = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(4, 3), DENSE);
	host_init(&h, 1);
	CHECK_INT(fail_kernel(cpu_linear, &h, BOXES(x, w), BOXES(y), NO_ATTRS), GRAFT_E_USAGE);
	CHECK_INT(fail_kernel(cpu_matmul, &h, BOXES(x, w), BOXES(y), NO_ATTRS), GRAFT_E_USAGE);
	CHECK_INT(fail_kernel(cpu_matmul, &h, NULL, 0, BOXES(y), NO_ATTRS), GRAFT_E_USAGE);
	CHECK_HAS(h.message, "takes 2 to 2 operands");
	h.scratch_left = 16;
	CHECK_INT(fail_kernel(cpu_linear, &h, BOXES(x, right), BOXES(y), NO_ATTRS), GRAFT_E_NOMEM);
	CHECK_HAS(h.message, "no scratch memory for");
	for (int i = 0; i < 4; i++)
		box_free((Box *[]){ x, w, y, right }[i]);
}
