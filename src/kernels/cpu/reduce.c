/* reduce.c - sum and mean over any set of axes.
 *
 * The order of additions depends on shape and strides alone. Along runs: LANES partial sums a run, runs added as
 * lanes.inc says. Across runs (the innermost axis
 * stays): one accumulator a column, emptied into the total every FLUSH rows.
 */
#include "kernel.h"

enum { FLUSH = 64, COLUMNS = 256 };

typedef struct Reduce {
	Walk kept;                            /* y, x */
	Walk gone;                            /* x, from the first element that is summed */
	int x, y;                             /* dtypes */
	int round;                            /* dtype an operand is rounded to before it is summed; f32: none */
	int64_t count;                        /* elements that go into one sum */
	bool mean;
} Reduce;

#define TEMPLATE "reduce.inc"
#include "as_f32.h"
#include "as_f64.h"
#include "as_i64.h"

/* Which axes of x are summed; false when the list names one that is not there. */
static bool reduced_axes(const graft_attr *axes, int32_t rank, bool *gone)
{
	bool all = !axes->given || axes->n == 0;
	for (int32_t i = 0; i < rank; i++)
		gone[i] = all;
	for (int32_t i = 0; !all && i < axes->n; i++) {
		if (axes->list[i] < 0 || axes->list[i] >= rank)
			return false;
		gone[axes->list[i]] = true;
	}
	return true;
}

bool reduce_walks(Walk *kept, Walk *gone, const graft_tensor *y, const graft_tensor *x, const graft_attr *axes,
                  bool keepdim)
{
	graft_tensor none = { .rank = 0 };
	bool goes[GRAFT_MAX_RANK];
	int32_t at = 0;
	if (!reduced_axes(axes, x->rank, goes))
		return false;
	none.dtype = y->dtype, none.data = y->data;
	walk_begin(kept, &none);
	none.dtype = x->dtype, none.data = x->data;
	walk_add(kept, &none);
	walk_begin(gone, &none);
	for (int32_t i = 0; i < x->rank; i++) {
		int64_t size = goes[i] ? 1 : x->shape[i];
		if (goes[i])
			walk_axis(gone, x->shape[i], &x->stride[i]);
		if (goes[i] && !keepdim)
			continue;
		if (at == y->rank || y->shape[at] != size)
			return false;
		walk_axis(kept, size, (const int64_t[]){ y->stride[at++], goes[i] ? 0 : x->stride[i] });
	}
	walk_join(kept);
	walk_join(gone);
	return at == y->rank;
}

static int64_t inner_stride(const Walk *w, int tensor)
{
	int64_t s = w->rank ? w->stride[w->rank - 1][tensor] : INT64_MAX;
	return s < 0 ? -s : s;
}

static int reduce(const graft_launch *l, bool mean)
{
	static const walk_fn rows[] = { [CLASS_F32] = rows_f32, [CLASS_F64] = rows_f64, [CLASS_I64] = rows_i64 };
	static const walk_fn columns[] = { [CLASS_F32] = columns_f32, [CLASS_F64] = columns_f64,
	                                  [CLASS_I64] = columns_i64 };
	const graft_tensor *x = &l->in[0], *y = &l->out[0];
	Reduce r = { .x = x->dtype, .y = y->dtype, .round = x->dtype == y->dtype ? GRAFT_DTYPE_f32 : y->dtype,
	            .mean = mean };
	Class class = class_of(y->dtype);
	if (mean && class == CLASS_I64)
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "the mean is a float, not %s", dtype_text(y));
	if (!reduce_walks(&r.kept, &r.gone, y, x, &l->attr[0], l->attr[1].i != 0))
		return launch_fail(l, GRAFT_E_USAGE, "the result does not have the shape of the axes that are kept");
	r.count = r.gone.size;
	if (inner_stride(&r.kept, 1) < inner_stride(&r.gone, 0))
		walk_parallel(l, &r.kept, COLUMNS, r.count, columns[class], &r);
	else
		walk_parallel(l, &r.kept, INT64_MAX, r.count + 32, rows[class], &r);
	return 0;
}

int cpu_sum(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 3);
	return status ? status : reduce(l, false);
}

int cpu_mean(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 3);
	return status ? status : reduce(l, true);
}
