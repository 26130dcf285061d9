/* rope.c - rotary position embedding: pairs of the last axis turned by an angle.
 *
 * cos and sin broadcast to x; their last axis holds one angle an element of x, or one a pair.
 */
#include "kernel.h"

/* Where the two members of a pair lie in a row, in elements: first at i * step, second at i * step + second. */
typedef struct Pairs { int dtype; int64_t item, step, second; } Pairs;

typedef struct Rope {
	Pairs of[4];                          /* y, x, cos, sin */
	int64_t n;                            /* pairs */
	Walk rows;                            /* y, x, cos, sin */
} Rope;

#define ROPE(class, type)                                                                                              \
	static void load_pairs_##class(const Pairs *p, const char *row, int64_t i, int64_t n, type *a, type *b)        \
	{                                                                                                              \
		const char *at = row + i * p->step * p->item;                                                          \
		load_##class(a, p->dtype, at, p->step, n);                                                             \
		load_##class(b, p->dtype, at + p->second * p->item, p->step, n);                                       \
	}                                                                                                              \
	static void rope_row_##class(const Rope *r, char *const *row)                                                  \
	{                                                                                                              \
		type a[RUN], b[RUN], ca[RUN], cb[RUN], sa[RUN], sb[RUN], y[RUN];                                       \
		const Pairs *p = r->of;                                                                                \
		for (int64_t i = 0; i < r->n; i += RUN) {                                                              \
			int64_t n = r->n - i < RUN ? r->n - i : RUN;                                                   \
			char *at = row[0] + i * p->step * p->item;                                                     \
			load_pairs_##class(&p[1], row[1], i, n, a, b);                                                 \
			load_pairs_##class(&p[2], row[2], i, n, ca, cb);                                               \
			load_pairs_##class(&p[3], row[3], i, n, sa, sb);                                               \
			for (int64_t k = 0; k < n; k++)                                                                \
				y[k] = a[k] * ca[k] - b[k] * sa[k];                                                    \
			store_##class(p->dtype, at, p->step, y, n);                                                    \
			for (int64_t k = 0; k < n; k++)                                                                \
				y[k] = b[k] * cb[k] + a[k] * sb[k];                                                    \
			store_##class(p->dtype, at + p->second * p->item, p->step, y, n);                              \
		}                                                                                                      \
	}
ROPE(f32, float)
ROPE(f64, double)

static void rope_rows(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Rope *r = arg;
	for (int64_t i = 0; i < n; i++) {
		char *row[4];
		for (int t = 0; t < 4; t++)
			row[t] = at[t] + i * stride[t] * r->rows.item[t];
		if (class_of(r->of[0].dtype) == CLASS_F64)
			rope_row_f64(r, row);
		else
			rope_row_f32(r, row);
	}
}

/* Adds a tensor to the rows; false when it does not broadcast, or its last axis holds neither n nor 2n numbers. */
static bool rope_add(Rope *r, const graft_tensor *t, bool interleaved)
{
	Pairs *p = &r->of[r->rows.n];
	graft_tensor front;
	int64_t last, stride;
	if (t->rank < 1)
		return false;
	last = t->shape[t->rank - 1], stride = t->stride[t->rank - 1];
	p->dtype = t->dtype, p->item = item_size(t);
	p->step = interleaved && last == 2 * r->n ? 2 * stride : stride;
	p->second = last != 2 * r->n ? 0 : interleaved ? stride : stride * r->n;
	front = tensor_front(t, 1);
	return (last == r->n || last == 2 * r->n) && walk_add(&r->rows, &front);
}

int cpu_rope(const graft_launch *l)
{
	int status = launch_check(l, 3, 3, 1, 1);
	const graft_tensor *x = l->in, *y = l->out;
	bool interleaved;
	graft_tensor front;
	Rope r;
	if (status)
		return status;
	interleaved = l->attr[0].i != 0;
	if (x->rank < 1 || !same_shape(x, y) || x->shape[x->rank - 1] % 2)
		return launch_fail(l, GRAFT_E_USAGE, "rope: operand and result must have one shape, with an even last axis");
	if (class_of(y->dtype) == CLASS_I64)
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "rope takes floats, not %s", graft_dtype_name((graft_dtype)y->dtype));
	r.n = x->shape[x->rank - 1] / 2;
	front = tensor_front(y, 1);
	walk_begin(&r.rows, &front);
	r.rows.n = 0;
	if (!rope_add(&r, y, interleaved) || !rope_add(&r, x, interleaved) || !rope_add(&r, &l->in[1], interleaved) ||
	    !rope_add(&r, &l->in[2], interleaved))
		return launch_fail(l, GRAFT_E_USAGE, "rope: cos and sin must broadcast to x, with %lld or %lld angles a row",
		                   (long long)r.n, (long long)(2 * r.n));
	if (r.n == 0)
		r.rows.size = 0;
	walk_join(&r.rows);
	walk_parallel(l, &r.rows, INT64_MAX, 16 * r.n, rope_rows, &r);
	return 0;
}
