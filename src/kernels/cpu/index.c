/* index.c - elements chosen by index (gather, index, index_select) and put by index (scatter, index_put, index_add).
 *
 * All indices are checked first, then turned into distances within x: one for each tuple of indices. From there on
 * every op is a walk over three tensors, elements here, elements there, and distances.
 *
 *     take:  y[walk]                 = x[walk + distance]
 *     put:   y[walk + distance]  (+)= src[walk]
 *
 * When putting, each thread takes all indices, in order, for elements of its own, so that what comes last wins, and
 * sums are the same run after run.
 */
#include "kernel.h"
#include <stdio.h>

/* ---- indices ----------------------------------------------------------------------------------------------- */

/* Operand `operand` chooses from an axis of x of this size, whose neighbours are `stride` elements apart. */
typedef struct Choice {
	const char *op;
	const graft_tensor *ids;
	int operand;                          /* which of several ids; -1: the only one */
	int64_t axis, size, stride;
	bool wraps;                           /* below 0 it counts from the end */
	int64_t at, id;                       /* the first that is outside */
	bool stray;
} Choice;

static void find_stray(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	Choice *c = arg;
	int64_t v[RUN];
	if (c->stray)
		return;
	load_i64(v, c->ids->dtype, at[0], stride[0], n);
	for (int64_t i = 0; i < n && !c->stray; i++, c->at += !c->stray) {
		c->stray = v[i] >= c->size || v[i] < (c->wraps ? -c->size : 0);
		c->id = v[i];
	}
}

static void add_distances(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Choice *c = arg;
	int64_t v[RUN];
	load_i64(v, c->ids->dtype, at[1], stride[1], n);
	for (int64_t i = 0; i < n; i++)
		((int64_t *)(void *)at[0])[i * stride[0]] += (v[i] < 0 ? v[i] + c->size : v[i]) * c->stride;
}

static int refuse_stray(const graft_launch *l, const Choice *c)
{
	char place[PLACE_ROOM], name[32] = "ids";
	if (c->operand >= 0)
		snprintf(name, sizeof name, "ids[%d]", c->operand);
	if (c->size == 0)
		return launch_fail(l, GRAFT_E_DATA, "%s: %s at [%s] is %lld, but axis %lld of x is empty", c->op, name,
		                   place_text(place, c->ids, c->at), (long long)c->id, (long long)c->axis);
	return launch_fail(l, GRAFT_E_DATA, "%s: %s at [%s] is %lld, but axis %lld of x holds %lld; an index is %lld "
	                   "to %lld", c->op, name,
	                   place_text(place, c->ids, c->at), (long long)c->id, (long long)c->axis, (long long)c->size,
	                   c->wraps ? (long long)-c->size : 0LL, (long long)c->size - 1);
}

/* Distances: one for each tuple of indices, whose shape is that of the ids broadcast; dense. */
typedef struct Distances { graft_tensor t; int64_t shape[GRAFT_MAX_RANK], stride[GRAFT_MAX_RANK]; } Distances;

static int distances_begin(const graft_launch *l, Distances *d)
{
	int64_t n = 1;
	d->t.shape = d->shape, d->t.stride = d->stride, d->t.dtype = GRAFT_DTYPE_i64;
	for (int32_t i = d->t.rank; i-- > 0; n *= d->shape[i])
		d->stride[i] = n;
	d->t.data = scratch(l, n, sizeof(int64_t));
	if (!d->t.data)
		return no_scratch(l, n, sizeof(int64_t));
	memset(d->t.data, 0, (size_t)n * sizeof(int64_t));
	return 0;
}

static int distances_add(const graft_launch *l, Distances *d, Choice *c)
{
	Walk w;
	if (c->ids->dtype != GRAFT_DTYPE_i32 && c->ids->dtype != GRAFT_DTYPE_i64)
		return launch_fail(l, GRAFT_E_USAGE, "%s: ids must be i32 or i64, not %s", c->op,
		                   dtype_text(c->ids));
	walk_begin(&w, c->ids);
	walk_join(&w);
	walk_range(&w, 0, w.size, RUN, find_stray, c);
	if (c->stray)
		return refuse_stray(l, c);
	walk_begin(&w, &d->t);
	if (!walk_add(&w, c->ids))
		return launch_fail(l, GRAFT_E_USAGE, "%s: the ids do not broadcast", c->op);
	walk_join(&w);
	walk_parallel(l, &w, RUN, 8, add_distances, c);
	return 0;
}

/* Of one tensor of ids. */
static int distances_of(const graft_launch *l, Distances *d, Choice *c)
{
	d->t.rank = c->ids->rank;
	for (int32_t i = 0; i < d->t.rank; i++)
		d->shape[i] = c->ids->shape[i];
	int status = distances_begin(l, d);
	return status ? status : distances_add(l, d, c);
}

/* ---- take -------------------------------------------------------------------------------------------------- */

typedef struct Take { int dtype; Walk walk; } Take;     /* y, x, distances */

static void take_begin(Take *t, const graft_tensor *y, const graft_tensor *x, const Distances *d)
{
	graft_tensor start = tensor_front(y, y->rank);
	t->dtype = y->dtype;
	walk_begin(&t->walk, &start);
	start = tensor_front(x, x->rank);
	walk_add(&t->walk, &start);
	start = tensor_front(&d->t, d->t.rank);
	walk_add(&t->walk, &start);
}

static void take_run(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Take *t = arg;
	const int64_t *distance = (const int64_t *)(const void *)at[2], item = t->walk.item[0];
	if (stride[2] == 0) {
		convert(t->dtype, at[0], stride[0], t->dtype, at[1] + *distance * item, stride[1], n);
		return;
	}
	for (int64_t i = 0; i < n; i++)
		copy_item(at[0] + i * stride[0] * item, at[1] + (i * stride[1] + distance[i * stride[2]]) * item, item);
}

static int take(const graft_launch *l, Take *t)
{
	walk_join(&t->walk);
	walk_parallel(l, &t->walk, INT64_MAX, 8, take_run, t);
	return 0;
}

int cpu_gather(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 1);
	int64_t room[3][2], axis;
	Distances d;
	Take t;
	if (status)
		return status;
	graft_tensor x = as_line(l->in, room[0]), ids = as_line(l->in + 1, room[1]), y = as_line(l->out, room[2]);
	axis = l->attr[0].i;
	if (axis < 0 || axis >= x.rank || ids.rank != x.rank || !same_shape(&ids, &y) || x.dtype != y.dtype)
		return launch_fail(l, GRAFT_E_USAGE, "gather: x, ids and the result do not fit together along axis "
		                   "%lld", (long long)axis);
	for (int32_t i = 0; i < x.rank; i++)
		if (i != axis && ids.shape[i] > x.shape[i])
			return launch_fail(l, GRAFT_E_USAGE, "gather: ids have more elements than x along axis %d",
			                   (int)i);
	Choice c = { "gather", &ids, -1, axis, x.shape[axis], x.stride[axis], .wraps = false };
	status = distances_of(l, &d, &c);
	if (status)
		return status;
	take_begin(&t, &y, &x, &d);
	for (int32_t i = 0; i < x.rank; i++)
		walk_axis(&t.walk, y.shape[i], (const int64_t[]){ y.stride[i], i == axis ? 0 : x.stride[i],
		                                                 d.stride[i] });
	return take(l, &t);
}

int cpu_index_select(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 1);
	int64_t room[3][2], axis;
	Distances d;
	Take t;
	if (status)
		return status;
	graft_tensor x = as_line(l->in, room[0]), ids = as_line(l->in + 1, room[1]), y = as_line(l->out, room[2]);
	axis = l->attr[0].i;
	if (axis < 0 || axis >= x.rank || ids.rank != 1 || y.rank != x.rank || y.shape[axis] != ids.shape[0] ||
	    x.dtype != y.dtype)
		return launch_fail(l, GRAFT_E_USAGE, "index_select: x, ids and the result do not fit together along "
		                   "axis %lld",
		                   (long long)axis);
	Choice c = { "index_select", &ids, -1, axis, x.shape[axis], x.stride[axis], .wraps = false };
	status = distances_of(l, &d, &c);
	if (status)
		return status;
	take_begin(&t, &y, &x, &d);
	for (int32_t i = 0; i < x.rank; i++)
		walk_axis(&t.walk, y.shape[i], (const int64_t[]){ y.stride[i], i == axis ? 0 : x.stride[i],
		                                                 i == axis });
	return take(l, &t);
}

/* ---- put --------------------------------------------------------------------------------------------------- */

typedef struct Put {
	const graft_tensor *y, *src;
	bool accumulate;
	Walk kept;                            /* y, src, distances: elements that never meet */
	Walk serial;                          /* src, distances: taken in order */
} Put;

static void put_begin(Put *p, const Distances *d)
{
	graft_tensor y = tensor_front(p->y, p->y->rank), src = tensor_front(p->src, p->src->rank);
	graft_tensor at = tensor_front(&d->t, d->t.rank);
	walk_begin(&p->kept, &y);
	walk_add(&p->kept, &src);
	walk_add(&p->kept, &at);
	walk_begin(&p->serial, &src);
	walk_add(&p->serial, &at);
}

#define ADD(a, b) ((a) + (b))
#define ADD_WRAP(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
#define ADD_RUN(class, type, PLUS)                                                                                     \
	static void add_##class(const Put *p, char *y, int64_t y_stride, const char *src, int64_t src_stride,          \
	                        int64_t n)                                                                             \
	{                                                                                                              \
		type sum[RUN], more[RUN];                                                                              \
		load_##class(sum, p->y->dtype, y, y_stride, n);                                                        \
		load_##class(more, p->src->dtype, src, src_stride, n);                                                 \
		for (int64_t i = 0; i < n; i++)                                                                        \
			sum[i] = PLUS(sum[i], more[i]);                                                                \
		store_##class(p->y->dtype, y, y_stride, sum, n);                                                       \
	}
ADD_RUN(f32, float, ADD)
ADD_RUN(f64, double, ADD)
ADD_RUN(i64, int64_t, ADD_WRAP)

static void put_elements(const Put *p, char *y, int64_t y_stride, const char *src, int64_t src_stride, int64_t n)
{
	Class class = class_of(p->y->dtype);
	if (!p->accumulate)
		convert(p->y->dtype, y, y_stride, p->src->dtype, src, src_stride, n);
	else if (class == CLASS_I64)
		add_i64(p, y, y_stride, src, src_stride, n);
	else if (class == CLASS_F64)
		add_f64(p, y, y_stride, src, src_stride, n);
	else
		add_f32(p, y, y_stride, src, src_stride, n);
}

/* n elements that are kept, wherever the indices, one after the other, send them. */
typedef struct Piece { const Put *p; char *y; const int64_t *stride; int64_t n; } Piece;

static void put_serial(void *arg, char *const *at, const int64_t *stride, int64_t m)
{
	const Piece *piece = arg;
	const Put *p = piece->p;
	const int64_t *s = piece->stride, *item = p->kept.item;
	for (int64_t j = 0; j < m; j++) {
		const char *src = at[0] + j * stride[0] * item[1];
		const int64_t *distance = (const int64_t *)(const void *)at[1] + j * stride[1];
		if (s[2] == 0)
			put_elements(p, piece->y + *distance * item[0], s[0], src, s[1], piece->n);
		for (int64_t k = 0; s[2] != 0 && k < piece->n; k++)
			put_elements(p, piece->y + (k * s[0] + distance[k * s[2]]) * item[0], 1,
			             src + k * s[1] * item[1], 1, 1);
	}
}

static void put_kept(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Put *p = arg;
	Piece piece = { p, at[0], stride, n };
	Walk serial = p->serial;
	serial.base[0] = at[1], serial.base[1] = at[2];
	walk_range(&serial, 0, serial.size, INT64_MAX, put_serial, &piece);
}

static int put(const graft_launch *l, Put *p)
{
	walk_join(&p->kept);
	walk_join(&p->serial);
	if (p->serial.size > 0)
		walk_parallel(l, &p->kept, RUN, 8 * p->serial.size, put_kept, p);
	return 0;
}

int cpu_scatter(const graft_launch *l)
{
	int status = launch_check(l, 3, 3, 1, 1);
	int64_t room[4][2], axis;
	Distances d;
	if (status)
		return status;
	graft_tensor ids = as_line(l->in + 1, room[1]), src = l->in[2], y = as_line(l->out, room[2]);
	axis = l->attr[0].i;
	if (axis < 0 || axis >= y.rank || ids.rank != y.rank || !same_shape(l->in, l->out) ||
	    (src.rank > 0 && src.rank != y.rank))
		return launch_fail(l, GRAFT_E_USAGE, "scatter: x, ids and src do not fit together along axis %lld",
		                   (long long)axis);
	for (int32_t i = 0; i < y.rank; i++)
		if ((i != axis && ids.shape[i] > y.shape[i]) || (src.rank > 0 && ids.shape[i] > src.shape[i]))
			return launch_fail(l, GRAFT_E_USAGE,
			                   "scatter: ids have more elements than x or src along axis %d", (int)i);
	Choice c = { "scatter", &ids, -1, axis, y.shape[axis], y.stride[axis], .wraps = false };
	Put p = { .y = &y, .src = &src };
	status = distances_of(l, &d, &c);
	if (!status)
		status = tensor_convert(l, l->out, l->in);
	if (status)
		return status;
	put_begin(&p, &d);
	for (int32_t i = 0; i < y.rank; i++) {
		int64_t step = src.rank > 0 ? src.stride[i] : 0;
		if (i == axis)
			walk_axis(&p.serial, ids.shape[i], (const int64_t[]){ step, d.stride[i] });
		else
			walk_axis(&p.kept, ids.shape[i], (const int64_t[]){ y.stride[i], step, d.stride[i] });
	}
	return put(l, &p);
}

int cpu_index_add(const graft_launch *l)
{
	int status = launch_check(l, 3, 3, 1, 1);
	int64_t room[4][2], axis;
	Distances d;
	if (status)
		return status;
	graft_tensor ids = as_line(l->in + 1, room[1]), src = as_line(l->in + 2, room[0]), y = as_line(l->out, room[2]);
	axis = l->attr[0].i;
	if (axis < 0 || axis >= y.rank || ids.rank != 1 || src.rank != y.rank || !same_shape(l->in, l->out) ||
	    src.shape[axis] != ids.shape[0])
		return launch_fail(l, GRAFT_E_USAGE, "index_add: x, ids and src do not fit together along axis %lld",
		                   (long long)axis);
	Choice c = { "index_add", &ids, -1, axis, y.shape[axis], y.stride[axis], .wraps = false };
	Put p = { .y = &y, .src = &src, .accumulate = true };
	status = distances_of(l, &d, &c);
	if (!status)
		status = tensor_convert(l, l->out, l->in);
	if (status)
		return status;
	put_begin(&p, &d);
	walk_axis(&p.serial, ids.shape[0], (const int64_t[]){ src.stride[axis], 1 });
	for (int32_t i = 0; i < y.rank; i++) {
		if (i != axis && src.shape[i] != y.shape[i])
			return launch_fail(l, GRAFT_E_USAGE,
			                   "index_add: src does not have the size of x along axis %d", (int)i);
		if (i != axis)
			walk_axis(&p.kept, y.shape[i], (const int64_t[]){ y.stride[i], src.stride[i], 0 });
	}
	return put(l, &p);
}

/* ---- tuples of indices ------------------------------------------------------------------------------------- */

/* x[ids...], the ids being the operands from `first` on: the axes of the result, in order, are those of the distances
 * and those of x that no ids choose from. */
typedef struct Tuple {
	int first;
	Distances d;
	int32_t rank;
	/* which axis of x or of the distances; the other is -1 */
	struct { int64_t size; int32_t x, ids; } axis[2 * GRAFT_MAX_RANK];
} Tuple;

static bool broadcast_ids(const graft_launch *l, Tuple *t)
{
	graft_tensor *all = &t->d.t;
	all->rank = 0;
	for (int k = t->first; k < l->n_in; k++)
		if (operand(l, k) && l->in[k].rank > all->rank)
			all->rank = l->in[k].rank;
	for (int32_t i = 0; i < all->rank; i++)
		t->d.shape[i] = 1;
	for (int k = t->first; k < l->n_in; k++)
		for (int32_t i = 0; operand(l, k) && i < l->in[k].rank; i++) {
			int64_t *size = &t->d.shape[all->rank - l->in[k].rank + i];
			if (l->in[k].shape[i] != 1 && *size != 1 && *size != l->in[k].shape[i])
				return false;
			*size = l->in[k].shape[i] != 1 ? l->in[k].shape[i] : *size;
		}
	return true;
}

/* Where the axes of the ids go: in place of the axes they choose from when those are neighbours, else in front. */
static void lay_axes(const graft_launch *l, const graft_tensor *x, Tuple *t)
{
	int32_t low = -1, high = 0, n = 0;
	for (int32_t i = 0; i < x->rank; i++)
		if (operand(l, t->first + i)) {
			low = low < 0 ? i : low;
			high = i;
			n++;
		}
	int32_t place = high - low + 1 == n ? low : 0;
	t->rank = 0;
	for (int32_t i = 0; i <= x->rank; i++) {
		for (int32_t k = 0; i == place && k < t->d.t.rank; k++, t->rank++)
			t->axis[t->rank].size = t->d.shape[k], t->axis[t->rank].x = -1, t->axis[t->rank].ids = k;
		if (i == x->rank || operand(l, t->first + i))
			continue;
		t->axis[t->rank].size = x->shape[i], t->axis[t->rank].x = i, t->axis[t->rank].ids = -1;
		t->rank++;
	}
}

/* x is what the distances are in: the operand that is read, or the result that is written. */
static int tuple_begin(const graft_launch *l, const char *op, const graft_tensor *x, int first, Tuple *t)
{
	t->first = first;
	if (l->n_in - first < 1 || l->n_in - first > x->rank || !broadcast_ids(l, t))
		return launch_fail(l, GRAFT_E_USAGE, "%s: there are %d ids for %d axes, or they do not broadcast", op,
		                   (int)l->n_in - first,
		                   (int)x->rank);
	int status = distances_begin(l, &t->d);
	for (int32_t i = 0; i < l->n_in - first && !status; i++) {
		Choice c = { op, operand(l, first + i), i, i, x->shape[i], x->stride[i], .wraps = true };
		status = c.ids ? distances_add(l, &t->d, &c) : 0;
	}
	lay_axes(l, x, t);
	return status;
}

int cpu_index(const graft_launch *l)
{
	int status = launch_check(l, 1, INT32_MAX, 1, 0);
	const graft_tensor *x = l->in, *y = l->out;
	Tuple t;
	Take take_all;
	if (!status)
		status = tuple_begin(l, "index", x, 1, &t);
	if (status)
		return status;
	if (t.rank != y->rank || x->dtype != y->dtype)
		return launch_fail(l, GRAFT_E_USAGE, "index: the result has rank %d, not %d, or another dtype",
		                   (int)y->rank, (int)t.rank);
	take_begin(&take_all, y, x, &t.d);
	for (int32_t i = 0; i < t.rank; i++) {
		int32_t a = t.axis[i].x, b = t.axis[i].ids;
		if (t.axis[i].size != y->shape[i])
			return launch_fail(l, GRAFT_E_USAGE,
			                   "index: the result has %lld elements along axis %d, not %lld",
			                   (long long)y->shape[i], (int)i, (long long)t.axis[i].size);
		walk_axis(&take_all.walk, y->shape[i],
		          (const int64_t[]){ y->stride[i], a < 0 ? 0 : x->stride[a], b < 0 ? 0 : t.d.stride[b] });
	}
	return take(l, &take_all);
}

int cpu_index_put(const graft_launch *l)
{
	int status = launch_check(l, 2, INT32_MAX, 1, 1);
	const graft_tensor *y = l->out, *values = l->in + 1;
	Tuple t;
	if (!status && !same_shape(l->in, y))
		status = launch_fail(l, GRAFT_E_USAGE, "index_put: the result must have the shape of x");
	if (!status)
		status = tuple_begin(l, "index_put", y, 2, &t);
	if (!status)
		status = tensor_convert(l, y, l->in);
	if (status)
		return status;
	Put p = { .y = y, .src = values, .accumulate = l->attr[0].i != 0 };
	int32_t lead = t.rank - values->rank;
	put_begin(&p, &t.d);
	for (int32_t i = 0; i < t.rank; i++) {
		int32_t a = t.axis[i].x, b = t.axis[i].ids;
		int64_t size = i < lead ? 1 : values->shape[i - lead], step = size == 1 ? 0 : values->stride[i - lead];
		if (lead < 0 || (size != 1 && size != t.axis[i].size))
			return launch_fail(l, GRAFT_E_USAGE, "index_put: the values do not broadcast along axis %d",
			                   (int)i);
		if (a < 0)
			walk_axis(&p.serial, t.axis[i].size, (const int64_t[]){ step, t.d.stride[b] });
		else
			walk_axis(&p.kept, t.axis[i].size, (const int64_t[]){ y->stride[a], step, 0 });
	}
	return put(l, &p);
}
