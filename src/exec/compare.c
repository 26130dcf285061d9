/* compare.c - how far two tensors are apart.
 *
 * Elements x of the first and y of the second agree when |x - y| <= atol + rtol * |x|. Where that is left to us both
 * are the share below: rtol of the element, atol of the largest magnitude in the first tensor, since an element near
 * zero says little about a sum of large ones. Integers and bools must then be equal. NaN agrees with NaN, an infinity
 * with itself.
 */
#include "compare.h"
#include "../ir/arena.h"
#include "../kernels/cpu/convert.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A few units in the last place. */
static double share_of(int dtype)
{
	switch (dtype) {
	case GRAFT_DTYPE_f64: return 1e-12;
	case GRAFT_DTYPE_f32: return 1e-5;
	case GRAFT_DTYPE_f16: return 4 * 0x1p-11;
	case GRAFT_DTYPE_bf16: return 4 * 0x1p-8;
	case GRAFT_DTYPE_f8e4m3fn: case GRAFT_DTYPE_f8e4m3fnuz: return 2 * 0x1p-4;
	case GRAFT_DTYPE_f8e5m2: return 2 * 0x1p-3;
	default: return 0;
	}
}

typedef struct Walk {
	const graft_tensor *a, *b;
	double rtol, atol, largest;
	graft_difference d;
	void (*piece)(struct Walk *w, const char *a, int64_t a_stride, const char *b, int64_t b_stride, int64_t n);
} Walk;

/* One row along the last axis, in pieces of at most RUN. */
static void walk_row(Walk *w, const char *a, const char *b)
{
	int32_t last = w->a->rank - 1;
	int64_t n = last < 0 ? 1 : w->a->shape[last];
	int64_t sa = last < 0 ? 1 : w->a->stride[last], sb = last < 0 ? 1 : w->b->stride[last];
	int64_t each = (int64_t)graft_dtype_size((graft_dtype)w->a->dtype);
	for (int64_t i = 0; i < n; i += RUN)
		w->piece(w, a + i * sa * each, sa, b + i * sb * each, sb, n - i < RUN ? n - i : RUN);
}

static bool is_empty(const graft_tensor *t)
{
	for (int32_t i = 0; i < t->rank; i++)
		if (!t->shape[i])
			return true;
	return false;
}

static void walk(Walk *w)
{
	int64_t index[GRAFT_MAX_RANK] = { 0 }, each = (int64_t)graft_dtype_size((graft_dtype)w->a->dtype);
	int32_t axis = is_empty(w->a) ? -1 : 0;
	while (axis >= 0) {
		int64_t a = 0, b = 0;
		for (int32_t i = 0; i + 1 < w->a->rank; i++) {
			a += index[i] * w->a->stride[i];
			b += index[i] * w->b->stride[i];
		}
		walk_row(w, (const char *)w->a->data + a * each, (const char *)w->b->data + b * each);
		for (axis = w->a->rank - 2; axis >= 0 && ++index[axis] == w->a->shape[axis]; axis--)
			index[axis] = 0;
	}
}

static void find_largest(Walk *w, const char *a, int64_t sa, const char *b, int64_t sb, int64_t n)
{
	double x[RUN];
	(void)b, (void)sb;
	w->d.count += n;
	load_f64(x, w->a->dtype, a, sa, n);
	for (int64_t i = 0; i < n; i++)
		if (isfinite(x[i]) && fabs(x[i]) > w->largest)
			w->largest = fabs(x[i]);
}

static void apart(Walk *w, double distance, double x)
{
	w->d.max_abs = distance > w->d.max_abs ? distance : w->d.max_abs;
	w->d.same &= distance <= w->atol + w->rtol * fabs(x) && isfinite(distance);
}

static void compare_floats(Walk *w, const char *a, int64_t sa, const char *b, int64_t sb, int64_t n)
{
	double x[RUN], y[RUN];
	load_f64(x, w->a->dtype, a, sa, n);
	load_f64(y, w->b->dtype, b, sb, n);
	for (int64_t i = 0; i < n; i++)
		if (isnan(x[i]) && isnan(y[i]))
			w->d.nan++;
		else if (x[i] != y[i])
			apart(w, isfinite(x[i]) && isfinite(y[i]) ? fabs(x[i] - y[i]) : INFINITY, x[i]);
}

/* A double has no room for all of 64 bits: subtracted first, and without a sign. */
static void compare_integers(Walk *w, const char *a, int64_t sa, const char *b, int64_t sb, int64_t n)
{
	int64_t x[RUN], y[RUN];
	load_i64(x, w->a->dtype, a, sa, n);
	load_i64(y, w->b->dtype, b, sb, n);
	for (int64_t i = 0; i < n; i++) {
		uint64_t up = (uint64_t)x[i] - (uint64_t)y[i];
		if (up)
			apart(w, (double)(x[i] > y[i] ? up : 0 - up), (double)x[i]);
	}
}

graft_difference tensors_compare(const graft_tensor *a, const graft_tensor *b, double rtol, double atol)
{
	Walk w = { .a = a, .b = b, .d = { .same = true }, .piece = find_largest };
	double share = share_of(a->dtype);
	walk(&w);
	w.rtol = rtol >= 0 ? rtol : share;
	w.atol = atol >= 0 ? atol : share * w.largest;
	w.piece = dtype_integer(a->dtype) ? compare_integers : compare_floats;
	walk(&w);
	if (w.d.max_abs > 0)
		w.d.max_rel = w.largest > 0 ? w.d.max_abs / w.largest : INFINITY;
	return w.d;
}

static bool one_type(const graft_tensor *a, const graft_tensor *b)
{
	return a->dtype == b->dtype && a->rank == b->rank &&
	       (!a->rank || !memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape));
}

/* "f32[2, 3]" */
typedef struct TypeText { char text[16 + 22 * GRAFT_MAX_RANK]; } TypeText;

static TypeText type_text(const graft_tensor *t)
{
	TypeText to;
	int n = snprintf(to.text, sizeof to.text, "%s[", graft_dtype_name((graft_dtype)t->dtype));
	for (int32_t i = 0; i < t->rank; i++)
		n += snprintf(to.text + n, sizeof to.text - (size_t)n, "%s%lld", i ? ", " : "", (long long)t->shape[i]);
	snprintf(to.text + n, sizeof to.text - (size_t)n, "]");
	return to;
}

graft_status graft_tensor_compare(const graft_tensor *a, const graft_tensor *b, double rtol, double atol,
                                  graft_difference *out, graft_error *err)
{
	if (!one_type(a, b))
		return error_set(err, GRAFT_E_DIFFERS, "the first is %s, the second %s", type_text(a).text, type_text(b).text);
	*out = tensors_compare(a, b, rtol, atol);
	return GRAFT_OK;
}
