/* softmax.c - exp(x - max) / sum along one axis; a row of -inf becomes NaN, as torch has it.
 *
 * Three passes over a row, which stays in cache: maximum, sum, result. exp is computed twice instead of being kept, so that
 * no row is too long. NaN is passed over by the maximum and comes back in the sum.
 */
#include "kernel.h"
#include <math.h>

typedef struct Softmax {
	int x, y;                             /* dtypes */
	int round;                            /* dtype an operand is rounded to first; f32: none */
	int64_t n, x_step, y_step;            /* the axis: size, strides in elements */
	Walk rows;                            /* y, x */
} Softmax;

#define ROUND_f32(s, v, n) round_f32((s)->round, v, n)
#define ROUND_f64(s, v, n) ((void)(s))

#define SOFTMAX(class, type, exp)                                                                                      \
	VECTOR static type max_lanes_##class(const type *v, int64_t n)                                                 \
	{                                                                                                              \
		type max[LANES];                                                                                       \
		int64_t whole = n - n % LANES;                                                                         \
		for (int64_t j = 0; j < LANES; j++)                                                                    \
			max[j] = (type)-INFINITY;                                                                      \
		for (int64_t i = 0; i < whole; i += LANES)                                                             \
			for (int64_t j = 0; j < LANES; j++)                                                            \
				max[j] = v[i + j] > max[j] ? v[i + j] : max[j];                                        \
		for (int64_t i = whole; i < n; i++)                                                                    \
			max[0] = v[i] > max[0] ? v[i] : max[0];                                                        \
		for (int64_t j = 1; j < LANES; j++)                                                                    \
			max[0] = max[j] > max[0] ? max[j] : max[0];                                                    \
		return max[0];                                                                                         \
	}                                                                                                              \
	VECTOR static type exp_lanes_##class(type *v, type max, int64_t n)                                             \
	{                                                                                                              \
		type sum[LANES] = { 0 };                                                                               \
		int64_t whole = n - n % LANES;                                                                         \
		for (int64_t i = 0; i < n; i++)                                                                        \
			v[i] = exp(v[i] - max);                                                                        \
		for (int64_t i = 0; i < whole; i += LANES)                                                             \
			for (int64_t j = 0; j < LANES; j++)                                                            \
				sum[j] += v[i + j];                                                                    \
		for (int64_t i = whole; i < n; i++)                                                                    \
			sum[i - whole] += v[i];                                                                        \
		for (int64_t half = LANES / 2; half > 0; half /= 2)                                                    \
			for (int64_t j = 0; j < half; j++)                                                             \
				sum[j] += sum[j + half];                                                               \
		return sum[0];                                                                                         \
	}                                                                                                              \
	type max_run_##class(const type *v, int64_t n) { return max_lanes_##class(v, n); }                             \
	type exp_run_##class(type *v, type max, int64_t n) { return exp_lanes_##class(v, max, n); }                    \
	VECTOR static void share_run_##class(type *v, type max, type sum, int64_t n)                                   \
	{                                                                                                              \
		for (int64_t i = 0; i < n; i++)                                                                        \
			v[i] = exp(v[i] - max) / sum;                                                                  \
	}                                                                                                              \
	static int64_t fetch_row_##class(const Softmax *s, type *to, const char *x, int64_t at)                        \
	{                                                                                                              \
		int64_t n = s->n - at < RUN ? s->n - at : RUN;                                                         \
		load_##class(to, s->x, x + at * s->x_step * s->rows.item[1], s->x_step, n);                            \
		ROUND_##class(s, to, n);                                                                               \
		return n;                                                                                              \
	}                                                                                                              \
	static void softmax_row_##class(const Softmax *s, char *y, const char *x)                                      \
	{                                                                                                              \
		type room[RUN], max = (type)-INFINITY, sum = 0;                                                        \
		for (int64_t i = 0; i < s->n; i += RUN) {                                                              \
			type some = max_run_##class(room, fetch_row_##class(s, room, x, i));                           \
			max = some > max ? some : max;                                                                 \
		}                                                                                                      \
		for (int64_t i = 0; i < s->n; i += RUN)                                                                \
			sum += exp_run_##class(room, max, fetch_row_##class(s, room, x, i));                           \
		for (int64_t i = 0; i < s->n; i += RUN) {                                                              \
			int64_t n = fetch_row_##class(s, room, x, i);                                                  \
			share_run_##class(room, max, sum, n);                                                          \
			store_##class(s->y, y + i * s->y_step * s->rows.item[0], s->y_step, room, n);                  \
		}                                                                                                      \
	}

SOFTMAX(f32, float, exp_f32)
SOFTMAX(f64, double, exp)

static void softmax_rows(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Softmax *s = arg;
	void (*row)(const Softmax *, char *, const char *) = class_of(s->y) == CLASS_F64 ? softmax_row_f64 : softmax_row_f32;
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
		return launch_fail(l, GRAFT_E_USAGE, "softmax: there is no axis %lld, or operand and result differ in shape",
		                   (long long)l->attr[0].i);
	if (class_of(y->dtype) == CLASS_I64)
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "softmax gives a float, not %s", graft_dtype_name((graft_dtype)y->dtype));
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
