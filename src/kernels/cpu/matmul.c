/* matmul.c - linear, matmul and grouped_matmul.
 *
 * Floats go to the host's sgemm. What it can't read where it lies (f16, bf16, odd strides) is widened panel by panel
 * into scratch, so a weight never has a second whole copy:
 *
 *             k              n                n
 *        m [ panel ]    k [ panel ]   ->  m [ panel ]        m <= PANEL_M, k <= PANEL_K, n <= PANEL_N
 *
 * An operand that lies right is one panel, whatever its size. f64 and integers run through loops of our own.
 */
#include "kernel.h"

enum { PANEL_M = 512, PANEL_N = 512, PANEL_K = 2048, WHOLE = 1 << 22, TILE = 64 };

typedef struct Mat { int dtype; char *data; int64_t i, j; } Mat;   /* strides of rows and columns, in elements */

typedef struct Product {
	const graft_launch *l;
	int64_t m, n, k;
	Mat a, b, c, bias;                    /* m x k, k x n, m x n; bias: n columns, i = 0; data NULL: none */
	const float *bias_f32;
	int64_t pm, pn, pk;                   /* sizes of a panel */
	bool a_lies, b_lies, c_lies;          /* can be used where it is */
	bool a_whole;                         /* all columns of a panel of rows of a are widened at once */
	float *room;                          /* for the panels of those that do not; NULL: none yet */
	Walk batch;                           /* c, a, b */
	int64_t slots;                        /* pieces of the batch that run at once, each with its own room */
	int64_t slot_room;                    /* floats */
} Product;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static char *mat_at(const Mat *m, int64_t i, int64_t j)
{
	return m->data + (i * m->i + j * m->j) * (int64_t)graft_dtype_size((graft_dtype)m->dtype);
}

/* Can sgemm read it as it is? The stride of an axis of size 1, which means nothing, is made one it accepts. */
static bool lies_well(Mat *m, int64_t rows, int64_t cols)
{
	if (m->dtype != GRAFT_DTYPE_f32 || (uintptr_t)m->data % sizeof(float))
		return false;
	if (cols == 1)
		m->j = 1;
	if (rows == 1)
		m->i = m->j == 1 ? cols : 1;
	return (m->j == 1 && m->i >= cols) || (m->i == 1 && m->j >= rows);
}

/* The same for a result, which must be row-major. */
static bool lies_well_to_write(Mat *m, int64_t rows, int64_t cols)
{
	return lies_well(m, rows, cols) && m->j == 1 && m->i >= cols;
}

/* ---- panels --------------------------------------------------------------------------------------------- */

/* Lines of a panel: rows when they are the nearer ones in memory, else columns. */
typedef struct Widen { Mat from; float *to; int64_t length; } Widen;

static void widen_lines(void *arg, int64_t begin, int64_t end)
{
	const Widen *w = arg;
	for (int64_t i = begin; i < end; i++)
		load_f32(w->to + i * w->length, w->from.dtype, mat_at(&w->from, i, 0), w->from.j, w->length);
}

/* The rows x cols part of m at (i, j), as float32 that sgemm can read. */
static Mat panel(const Product *p, const Mat *m, bool lies, int64_t i, int64_t j, int64_t rows, int64_t cols,
                 float *room)
{
	Mat part = { m->dtype, mat_at(m, i, j), m->i, m->j };
	bool flip = rows > 1 && (m->i < 0 ? -m->i : m->i) < (m->j < 0 ? -m->j : m->j);
	if (lies)
		return part;
	Widen w = { part, room, flip ? rows : cols };
	if (flip)
		w.from.i = m->j, w.from.j = m->i;
	run_parallel(p->l, flip ? cols : rows, 2 * w.length, widen_lines, &w);
	return (Mat){ GRAFT_DTYPE_f32, (char *)room, flip ? 1 : cols, flip ? rows : 1 };
}

/* Sums of n columns, their rows `stride` apart, on their way to c. */
typedef struct Rows { Mat c; const float *bias; float *sum; int64_t stride, n; } Rows;

static void rows_begin(void *arg, int64_t begin, int64_t end)
{
	const Rows *r = arg;
	for (int64_t i = begin; i < end; i++)
		for (int64_t j = 0; j < r->n; j++)
			r->sum[i * r->stride + j] = r->bias ? r->bias[j] : 0;
}

static void rows_store(void *arg, int64_t begin, int64_t end)
{
	const Rows *r = arg;
	for (int64_t i = begin; i < end; i++)
		store_f32(r->c.dtype, mat_at(&r->c, i, 0), r->c.j, r->sum + i * r->stride, r->n);
}

/* One panel of columns: the bias, or nothing, then a product for each panel along k, then rounded once. */
static void columns(const Product *p, float *room, int64_t j)
{
	const graft_host *host = p->l->host;
	int64_t n = least(p->pn, p->n - j);
	float *room_b = room + (p->a_lies ? 0 : p->pm * p->pk), *room_c = room_b + (p->b_lies ? 0 : p->pk * p->pn);
	const float *bias = p->bias_f32 ? p->bias_f32 + j : NULL;
	Rows r = { { p->c.dtype, mat_at(&p->c, 0, j), p->c.i, p->c.j }, bias, room_c, n, n };
	if (p->c_lies)
		r.sum = (float *)(void *)r.c.data, r.stride = p->c.i;
	if (bias || p->k == 0)
		run_parallel(p->l, p->m, n, rows_begin, &r);
	for (int64_t at = 0; at < p->k; at += p->pk) {
		int64_t k = least(p->pk, p->k - at);
		Mat a = panel(p, &p->a, p->a_lies, 0, at, p->m, k, room);
		Mat b = panel(p, &p->b, p->b_lies, at, j, k, n, room_b);
		host->sgemm(host->self, p->m, n, k, (float *)(void *)a.data, a.i, a.j, (float *)(void *)b.data, b.i,
		            b.j, r.sum, r.stride, at > 0 || bias);
	}
	if (!p->c_lies)
		run_parallel(p->l, p->m, 4 * n, rows_store, &r);
}

static void product_f32(const Product *p, float *room)
{
	for (int64_t i = 0; i < p->m; i += p->pm) {
		Product part = *p;
		part.m = least(p->pm, p->m - i);
		part.a.data = mat_at(&p->a, i, 0);
		part.c.data = mat_at(&p->c, i, 0);
		if (p->a_whole) {
			part.a = panel(&part, &part.a, false, 0, 0, part.m, part.k, room);
			part.a_lies = true;
		}
		for (int64_t j = 0; j < p->n; j += p->pn)
			columns(&part, room + (p->a_whole ? p->pm * p->k : 0), j);
	}
}

/* ---- loops of our own ----------------------------------------------------------------------------------- */

#define TEMPLATE "matmul.inc"
#include "as_f64.h"
#include "as_i64.h"

/* ---- batches -------------------------------------------------------------------------------------------- */

typedef struct Slot { const Product *p; float *room; } Slot;

static void batch_run(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Slot *s = arg;
	Product one = *s->p;
	int64_t cost = one.n < INT64_MAX / 4 / (one.k + 1) ? 2 * one.n * (one.k + 1) : INT64_MAX / 2;
	for (int64_t i = 0; i < n; i++) {
		one.c.data = at[0] + i * stride[0] * one.batch.item[0];
		one.a.data = at[1] + i * stride[1] * one.batch.item[1];
		one.b.data = at[2] + i * stride[2] * one.batch.item[2];
		if (class_of(one.c.dtype) == CLASS_F32)
			product_f32(&one, s->room);
		else
			run_parallel(one.l, one.m, cost, class_of(one.c.dtype) == CLASS_F64 ? rows_f64 : rows_i64,
			             &one);
	}
}

static void batch_slots(void *arg, int64_t begin, int64_t end)
{
	const Product *p = arg;
	for (int64_t i = begin; i < end; i++) {
		Slot s = { p, p->room ? p->room + i * p->slot_room : NULL };
		int64_t each = p->batch.size / p->slots, more = p->batch.size % p->slots;
		int64_t first = i * each + least(i, more);
		walk_range(&p->batch, first, first + each + (i < more), INT64_MAX, batch_run, &s);
	}
}

/* Where batches share b and their rows follow one another, they are one product with more rows. */
static void fold_batch(Product *p)
{
	Walk *w = &p->batch;
	const int64_t *stride = w->rank ? w->stride[w->rank - 1] : NULL;
	if (!stride || stride[2] != 0 || (p->m != 1 && (stride[0] != p->m * p->c.i || stride[1] != p->m * p->a.i)))
		return;
	if (p->m == 1)
		p->c.i = stride[0], p->a.i = stride[1];
	w->rank--;
	p->m *= w->shape[w->rank];
	w->size /= w->shape[w->rank];
}

static void plan_panels(Product *p)
{
	bool small = (double)p->m * (double)p->n * (double)p->k < 256.0 * 256 * 256;
	p->a_lies = lies_well(&p->a, p->m, p->k);
	p->b_lies = lies_well(&p->b, p->k, p->n);
	p->c_lies = lies_well_to_write(&p->c, p->m, p->n);
	p->pk = p->a_lies && p->b_lies ? p->k : least(p->k, PANEL_K);
	p->pm = p->a_lies && p->c_lies ? p->m : least(p->m, PANEL_M);
	p->pn = p->b_lies && p->c_lies ? p->n : least(p->n, PANEL_N);
	p->a_whole = !p->a_lies && p->k <= WHOLE / p->pm;
	p->slot_room = (p->a_lies ? 0 : p->pm * (p->a_whole ? p->k : p->pk)) + (p->b_lies ? 0 : p->pk * p->pn) +
	               (p->c_lies ? 0 : p->pm * p->pn);
	p->slots = small ? least(p->batch.size, 32) : 1;
}

static const float *bias_as_f32(const Product *p, float *room)
{
	return p->bias.data ? fetch_f32(room, p->bias.dtype, p->bias.data, p->bias.j, p->n) : NULL;
}

static int product_run(const graft_launch *l, Product *p)
{
	p->l = l;
	if (p->m == 0 || p->n == 0)
		p->batch.size = 0;
	walk_join(&p->batch);
	if (p->batch.size == 0)
		return 0;
	fold_batch(p);
	p->slots = 1;
	if (class_of(p->c.dtype) == CLASS_F32) {
		p->c.data = p->batch.base[0], p->a.data = p->batch.base[1], p->b.data = p->batch.base[2];
		plan_panels(p);
		int64_t floats = p->slots * p->slot_room + (p->bias.data ? p->n : 0);
		p->room = p->room ? p->room : scratch(l, floats, sizeof(float));
		if (!p->room)
			return no_scratch(l, floats, sizeof(float));
		p->bias_f32 = bias_as_f32(p, p->room + p->slots * p->slot_room);
	}
	if (p->slots > 1)
		l->host->parallel(l->host->self, p->slots, 1, batch_slots, p);
	else
		batch_slots(p, 0, 1);
	return 0;
}

/* The last two axes of t, or its only one as a row or a column, whose missing axis has size 1 and stride 0. */
static Mat mat_of(const graft_tensor *t, bool row)
{
	Mat m = { t->dtype, t->data, 0, 0 };
	if (t->rank >= 2)
		m.i = t->stride[t->rank - 2], m.j = t->stride[t->rank - 1];
	else if (row)
		m.j = t->stride[0];
	else
		m.i = t->stride[0];
	return m;
}

int cpu_linear(const graft_launch *l)
{
	int status = launch_check(l, 2, 3, 1, 0);
	const graft_tensor *x = l->in, *w = l->in + 1, *y = l->out, *bias = operand(l, 2);
	graft_tensor front, whole;
	Product p = { 0 };
	if (status)
		return status;
	if (x->rank < 1 || y->rank != x->rank || w->rank != 2 || x->shape[x->rank - 1] != w->shape[1] ||
	    y->shape[y->rank - 1] != w->shape[0] || (bias && (bias->rank != 1 || bias->shape[0] != w->shape[0])))
		return launch_fail(l, GRAFT_E_USAGE, "linear: x[.., k], w[n, k] and b[n] do not fit together");
	p.m = 1, p.n = w->shape[0], p.k = w->shape[1];
	p.a = (Mat){ x->dtype, x->data, 0, x->stride[x->rank - 1] };
	p.b = (Mat){ w->dtype, w->data, w->stride[1], w->stride[0] };
	p.c = (Mat){ y->dtype, y->data, 0, y->stride[y->rank - 1] };
	if (bias)
		p.bias = (Mat){ bias->dtype, bias->data, 0, bias->stride[0] };
	front = tensor_front(y, 1);
	walk_begin(&p.batch, &front);
	front = tensor_front(x, 1);
	whole = tensor_front(w, 2);
	if (!walk_add(&p.batch, &front) || !walk_add(&p.batch, &whole))
		return launch_fail(l, GRAFT_E_USAGE, "linear: the result must have the leading axes of x");
	return product_run(l, &p);
}

/* c has the batch axes, then m unless a is a vector, then n unless b is one. */
int cpu_matmul(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 0);
	const graft_tensor *a = l->in, *b = l->in + 1, *c = l->out;
	graft_tensor front;
	Product p = { 0 };
	int32_t a_vector, b_vector, own;
	if (status)
		return status;
	a_vector = a->rank == 1, b_vector = b->rank == 1, own = 2 - a_vector - b_vector;
	if (a->rank < 1 || b->rank < 1 || c->rank < own)
		return launch_fail(l, GRAFT_E_USAGE, "matmul: operands of rank %d and %d do not give rank %d",
		                   (int)a->rank, (int)b->rank, (int)c->rank);
	p.a = mat_of(a, true);
	p.b = mat_of(b, false);
	p.c = (Mat){ c->dtype, c->data, a_vector ? 0 : c->stride[c->rank - own],
	             b_vector ? 0 : c->stride[c->rank - 1] };
	p.m = a_vector ? 1 : a->shape[a->rank - 2];
	p.k = a->shape[a->rank - 1];
	p.n = b_vector ? 1 : b->shape[b->rank - 1];
	if (p.k != b->shape[b_vector ? 0 : b->rank - 2] || (!a_vector && c->shape[c->rank - own] != p.m) ||
	    (!b_vector && c->shape[c->rank - 1] != p.n))
		return launch_fail(l, GRAFT_E_USAGE, "matmul: a[.., m, k] and b[.., k, n] do not give the result");
	front = tensor_front(c, own);
	walk_begin(&p.batch, &front);
	front = tensor_front(a, a_vector ? 1 : 2);
	status = !walk_add(&p.batch, &front);
	front = tensor_front(b, b_vector ? 1 : 2);
	if (status || !walk_add(&p.batch, &front))
		return launch_fail(l, GRAFT_E_USAGE, "matmul: the batch axes do not broadcast to the result's");
	return product_run(l, &p);
}

/* ---- groups of rows ------------------------------------------------------------------------------------- */

/* Rows begin..end of a times b[g]. */
static Product group_product(const graft_launch *l, int64_t g, int64_t begin, int64_t end)
{
	const graft_tensor *a = l->in, *b = l->in + 1, *y = l->out;
	graft_tensor at = { .dtype = y->dtype };
	Product p = { .l = l, .m = end - begin, .n = y->shape[1], .k = a->shape[1] };
	p.a = (Mat){ a->dtype, (char *)a->data + begin * a->stride[0] * item_size(a), a->stride[0], a->stride[1] };
	p.b = (Mat){ b->dtype, (char *)b->data + g * b->stride[0] * item_size(b), b->stride[1], b->stride[2] };
	p.c = (Mat){ y->dtype, (char *)y->data + begin * y->stride[0] * item_size(y), y->stride[0], y->stride[1] };
	at.data = p.c.data;
	walk_begin(&p.batch, &at);
	at.data = p.a.data;
	walk_add(&p.batch, &at);
	at.data = p.b.data;
	walk_add(&p.batch, &at);
	return p;
}

/* Where group g ends; false, and a message, when that is not behind the one before, or is beyond the rows. */
static bool group_end(const graft_launch *l, int64_t g, int64_t begin, int64_t *end)
{
	const graft_tensor *offs = l->in + 2;
	load_i64(end, offs->dtype, (const char *)offs->data + g * offs->stride[0] * item_size(offs), 1, 1);
	if (*end >= begin && *end <= l->in[0].shape[0])
		return true;
	launch_fail(l, GRAFT_E_DATA, "grouped_matmul: offs[%lld] is %lld, but the group before ends at %lld and axis "
	            "0 of a holds %lld; ends rise "
	            "and stay within a", (long long)g, (long long)*end, (long long)begin, (long long)l->in[0].shape[0]);
	return false;
}

static int group_room(const graft_launch *l, float **room)
{
	int64_t floats = 0, begin = 0, end;
	for (int64_t g = 0; g < l->in[2].shape[0]; g++, begin = end) {
		if (!group_end(l, g, begin, &end))
			return GRAFT_E_DATA;
		Product p = group_product(l, g, begin, end);
		if (p.m == 0 || p.n == 0 || class_of(p.c.dtype) != CLASS_F32)
			continue;
		plan_panels(&p);
		floats = p.slot_room > floats ? p.slot_room : floats;
	}
	*room = scratch(l, floats, sizeof(float));
	return *room ? 0 : no_scratch(l, floats, sizeof(float));
}

int cpu_grouped_matmul(const graft_launch *l)
{
	int status = launch_check(l, 3, 3, 1, 0);
	const graft_tensor *a = l->in, *b = l->in + 1, *offs = l->in + 2, *y = l->out;
	static const int64_t zero = 0;
	int64_t begin = 0, end;
	float *room;
	if (status)
		return status;
	if (a->rank != 2 || b->rank != 3 || offs->rank != 1 || y->rank != 2 || !dtype_integer(offs->dtype) ||
	    b->shape[0] != offs->shape[0] ||
	    b->shape[1] != a->shape[1] || y->shape[0] != a->shape[0] || y->shape[1] != b->shape[2])
		return launch_fail(l, GRAFT_E_USAGE, "grouped_matmul: a[m, k], b[g, k, n] and offs[g] do not give "
		                   "the result");
	status = group_room(l, &room);
	for (int64_t g = 0; g < offs->shape[0] && !status; g++, begin = end) {
		group_end(l, g, begin, &end);
		Product p = group_product(l, g, begin, end);
		p.room = room;
		status = product_run(l, &p);
	}
	if (status)
		return status;
	int64_t shape[2] = { y->shape[0] - begin, y->shape[1] };
	graft_tensor rest = { (char *)y->data + begin * y->stride[0] * item_size(y), shape, y->stride, 2, y->dtype };
	graft_tensor none = { (void *)(uintptr_t)&zero, NULL, NULL, 0, y->dtype };
	return tensor_size(&rest) > 0 ? tensor_convert(l, &rest, &none) : 0;
}
