/* softmax.c - exp(x - max) / sum along one axis; a row of -inf becomes NaN, as torch has it.
 *
 * Three passes over a row, which stays in cache: maximum, sum, result. exp is computed twice instead of being kept,
 * so that no row is too long. NaN is passed over by the maximum and comes back in the sum.
 */
#include "kernel.h"
#include <math.h>

typedef struct Softmax {
	int x, y;                             /* dtypes */
	int round;                            /* dtype an operand is rounded to first; f32: none */
	int64_t n, x_step, y_step;            /* the axis: size, strides in elements */
	Walk rows;                            /* y, x */
} Softmax;

#define TEMPLATE "softmax.inc"
#include "as_f32.h"
#include "as_f64.h"

static void softmax_rows(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Softmax *s = arg;
	bool f64 = class_of(s->y) == CLASS_F64;
	void (*row)(const Softmax *, char *, const char *) = f64 ? softmax_row_f64 : softmax_row_f32;
	for (int64_t i = 0; i < n; i++)
		row(s, at[0] + i * stride[0] * s->rows.item[0], at[1] + i * stride[1] * s->rows.item[1]);
}

int cpu_softmax(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 2);
	const graft_tensor *x = l->in, *y = l->out;
	graft_tensor one;
	Softmax s;
	if (status)
		return status;
	if (!same_shape(x, y) || (x->rank > 0 && (l->attr[0].i < 0 || l->attr[0].i >= x->rank)))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "softmax: there is no axis %lld, or operand and result differ in shape",
		                   (long long)l->attr[0].i);
	if (class_of(y->dtype) == CLASS_I64)
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "softmax gives a float, not %s", dtype_text(y));
	s.x = x->dtype, s.y = y->dtype;
	s.round = x->dtype == y->dtype ? GRAFT_DTYPE_f32 : y->dtype;
	s.n = 1, s.x_step = s.y_step = 0;
	one = tensor_front(y, y->rank);
	walk_begin(&s.rows, &one);
	one = tensor_front(x, x->rank);
	walk_add(&s.rows, &one);
	for (int32_t i = 0; i < x->rank; i++) {
		if (i == l->attr[0].i)
			s.n = x->shape[i], s.x_step = x->stride[i], s.y_step = y->stride[i];
		else
			walk_axis(&s.rows, x->shape[i], (const int64_t[]){ y->stride[i], x->stride[i] });
	}
	walk_join(&s.rows);
	walk_parallel(l, &s.rows, INT64_MAX, 16 * s.n, softmax_rows, &s);
	return 0;
}
