/* norm.c - rms_norm, alone and two at once.
 *
 * Both kernels call the same row function, and a row is summed as mean sums it (lanes.inc), in an order that depends on
 * its length alone. So fused and single norms, and the ops a norm may be spelled in, agree in every bit, whatever the
 * number of threads.
 */
#include "kernel.h"
#include <math.h>

typedef struct Norm {
	const graft_tensor *x, *y;
	const graft_tensor *w;                /* NULL: no weight */
	const void *weight;                   /* w dense, in the class of x */
	double eps;
	bool early;
	int64_t n, x_stride, y_stride;        /* the last axis */
	Walk rows;                            /* y, x */
} Norm;

#define TEMPLATE "norm.inc"
#include "as_f32.h"
#include "as_f64.h"

static void rows_run(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Norm *norm = arg;
	void (*row)(const Norm *, char *, const char *) = class_of(norm->x->dtype) == CLASS_F64 ? row_f64 : row_f32;
	for (int64_t i = 0; i < n; i++)
		row(norm, at[0] + i * stride[0] * norm->rows.item[0], at[1] + i * stride[1] * norm->rows.item[1]);
}

/* The weight as one dense run in the class of x, made once for all rows. */
static int prepare_weight(const graft_launch *l, Norm *norm)
{
	bool f64 = class_of(norm->x->dtype) == CLASS_F64;
	const graft_tensor *w = norm->w;
	size_t size = f64 ? sizeof(double) : sizeof(float);
	void *room;
	if (!w || tensor_size(w) == 0)
		return 0;
	norm->weight = w->data;
	if (placed(w->dtype, f64 ? GRAFT_DTYPE_f64 : GRAFT_DTYPE_f32, w->data, w->stride[0]))
		return 0;
	room = scratch(l, norm->n, size);
	if (!room)
		return no_scratch(l, norm->n, size);
	if (f64)
		load_f64(room, w->dtype, w->data, w->stride[0], norm->n);
	else
		load_f32(room, w->dtype, w->data, w->stride[0], norm->n);
	norm->weight = room;
	return 0;
}

static int norm_begin(const graft_launch *l, Norm *norm)
{
	const graft_tensor *x = norm->x, *y = norm->y;
	int32_t last = x->rank - 1;
	if (class_of(x->dtype) == CLASS_I64 || class_of(y->dtype) == CLASS_I64)
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "rms_norm takes floats, not %s", dtype_text(x));
	if (last < 0 || !same_shape(x, y))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "rms_norm: operand and result must have one shape of at least one axis");
	if (norm->w && (norm->w->rank != 1 || norm->w->shape[0] != x->shape[last]))
		return launch_fail(l, GRAFT_E_USAGE, "rms_norm: the weight must have one axis of %lld elements",
		                   (long long)x->shape[last]);
	norm->n = x->shape[last];
	norm->x_stride = x->stride[last];
	norm->y_stride = y->stride[last];
	graft_tensor x_rows = tensor_front(x, 1), y_rows = tensor_front(y, 1);
	walk_begin(&norm->rows, &y_rows);
	walk_add(&norm->rows, &x_rows);
	if (norm->n == 0)
		norm->rows.size = 0;
	walk_join(&norm->rows);
	return prepare_weight(l, norm);
}

int cpu_rms_norm(const graft_launch *l)
{
	int status = launch_check(l, 1, 2, 1, 2);
	Norm norm = { .x = l->in, .y = l->out };
	if (status)
		return status;
	norm.w = operand(l, 1);
	norm.eps = l->attr[0].f;
	norm.early = l->attr[1].i == 1;
	status = norm_begin(l, &norm);
	if (!status)
		walk_parallel(l, &norm.rows, INT64_MAX, 4 * norm.n, rows_run, &norm);
	return status;
}

/* The rows of the first norm, then those of the second. */
static void two_norms_piece(void *arg, int64_t begin, int64_t end)
{
	Norm *norm = arg;
	int64_t first = norm[0].rows.size;
	if (begin < first)
		walk_range(&norm[0].rows, begin, end < first ? end : first, INT64_MAX, rows_run, &norm[0]);
	if (end > first)
		walk_range(&norm[1].rows, begin > first ? begin - first : 0, end - first, INT64_MAX, rows_run,
		           &norm[1]);
}

int cpu_fused_mla_dual_rms_norm(const graft_launch *l)
{
	int status = launch_check(l, 4, 4, 2, 3);
	Norm norm[2] = { { .x = l->in, .y = l->out }, { .x = l->in + 2, .y = l->out + 1 } };
	for (int i = 0; i < 2 && !status; i++) {
		norm[i].w = operand(l, 2 * i + 1);
		norm[i].eps = l->attr[i].f;
		norm[i].early = l->attr[2].i == 1;
		status = norm_begin(l, &norm[i]);
	}
	if (!status)
		run_parallel(l, norm[0].rows.size + norm[1].rows.size,
		             4 * (norm[0].n > norm[1].n ? norm[0].n : norm[1].n), two_norms_piece, norm);
	return status;
}
