/* rope.c - rotary position embedding: pairs of the last axis turned by an angle.
 *
 * cos and sin hold one number a pair in their last axis; their other axes broadcast to those of x.
 */
#include "kernel.h"

typedef struct Rope {
	int dtype[4];                         /* y, x, cos, sin */
	int64_t n;                            /* pairs in a row */
	int64_t step[4];                      /* from one pair, or angle, to the next: elements */
	int64_t second[2];                    /* from the first to the second of a pair of y, of x */
	Walk rows;                            /* y, x, cos, sin */
} Rope;

#define TEMPLATE "rope.inc"
#include "as_f32.h"
#include "as_f64.h"

static void rope_rows(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Rope *r = arg;
	for (int64_t i = 0; i < n; i++) {
		char *row[4];
		for (int t = 0; t < 4; t++)
			row[t] = at[t] + i * stride[t] * r->rows.item[t];
		if (class_of(r->dtype[0]) == CLASS_F64)
			rope_row_f64(r, row);
		else
			rope_row_f32(r, row);
	}
}

/* Adds the next tensor; false when it does not broadcast or its last axis does not have that size. */
static bool rope_add(Rope *r, const graft_tensor *t, int64_t last)
{
	int i = r->rows.n;
	graft_tensor front;
	if (t->rank < 1 || t->shape[t->rank - 1] != last)
		return false;
	r->dtype[i] = t->dtype;
	r->step[i] = t->stride[t->rank - 1];
	front = tensor_front(t, 1);
	return walk_add(&r->rows, &front);
}

int cpu_rope(const graft_launch *l)
{
	int status = launch_check(l, 3, 3, 1, 1);
	const graft_tensor *x = l->in, *y = l->out;
	graft_tensor front;
	Rope r;
	if (status)
		return status;
	if (x->rank < 1 || !same_shape(x, y) || x->shape[x->rank - 1] % 2)
		return launch_fail(l, GRAFT_E_USAGE,
		                   "rope: operand and result must have one shape, with an even last axis");
	if (class_of(y->dtype) == CLASS_I64)
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "rope takes floats, not %s", dtype_text(y));
	r.n = x->shape[x->rank - 1] / 2;
	front = tensor_front(y, 1);
	walk_begin(&r.rows, &front);
	r.rows.n = 0;
	if (!rope_add(&r, y, 2 * r.n) || !rope_add(&r, x, 2 * r.n) || !rope_add(&r, &l->in[1], r.n) ||
	    !rope_add(&r, &l->in[2], r.n))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "rope: cos and sin must broadcast to x, with %lld numbers in the last axis",
		                   (long long)r.n);
	for (int i = 0; i < 2; i++) {
		r.second[i] = l->attr[0].i ? r.step[i] : r.step[i] * r.n;
		r.step[i] *= l->attr[0].i ? 2 : 1;
	}
	if (r.n == 0)
		r.rows.size = 0;
	walk_join(&r.rows);
	walk_parallel(l, &r.rows, INT64_MAX, 16 * r.n, rope_rows, &r);
	return 0;
}
