/* summary.c - a tensor at a glance. */
#include "../kernels/cpu/convert.h"
#include <math.h>

enum { CHUNK = 256 };

static void take(graft_summary *s, double *sum, double v)
{
	s->count++;
	if (!isfinite(v)) {
		s->not_finite++;
		return;
	}
	bool first = s->count - s->not_finite == 1;
	s->min = first || v < s->min ? v : s->min;
	s->max = first || v > s->max ? v : s->max;
	*sum += v;
}

/* n elements at a stride. */
static void take_row(graft_summary *s, double *sum, const graft_tensor *t, const char *row, int64_t n, int64_t stride)
{
	double run[CHUNK];
	int64_t each = (int64_t)graft_dtype_size((graft_dtype)t->dtype);
	for (int64_t i = 0; i < n; i += CHUNK) {
		int64_t m = n - i < CHUNK ? n - i : CHUNK;
		convert(GRAFT_DTYPE_f64, run, 1, t->dtype, row + i * stride * each, stride, m);
		for (int64_t k = 0; k < m; k++)
			take(s, sum, run[k]);
	}
}

/* Moves to the next row: an odometer over all axes but the last. False after the last row. */
static bool next_row(const graft_tensor *t, int64_t *index, int64_t *at)
{
	for (int32_t axis = t->rank - 2; axis >= 0; axis--) {
		*at += t->stride[axis];
		if (++index[axis] < t->shape[axis])
			return true;
		*at -= t->shape[axis] * t->stride[axis];
		index[axis] = 0;
	}
	return false;
}

graft_summary graft_tensor_summary(const graft_tensor *t)
{
	graft_summary s = { 0 };
	double sum = 0;
	int64_t index[GRAFT_MAX_RANK] = { 0 }, at = 0, each = (int64_t)graft_dtype_size((graft_dtype)t->dtype);
	for (int32_t i = 0; i < t->rank; i++)
		if (!t->shape[i])
			return s;
	int64_t n = t->rank ? t->shape[t->rank - 1] : 1, stride = t->rank ? t->stride[t->rank - 1] : 1;
	do
		take_row(&s, &sum, t, (const char *)t->data + at * each, n, stride);
	while (next_row(t, index, &at));
	s.mean = s.count > s.not_finite ? sum / (double)(s.count - s.not_finite) : 0;
	return s;
}
