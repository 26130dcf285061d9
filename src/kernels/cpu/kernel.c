/* kernel.c - refusals, walks over strided tensors, threads. */
#include "kernel.h"
#include <stdarg.h>
#include <stdio.h>

int launch_fail(const graft_launch *l, graft_status status, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (l->message && l->message_size)
		vsnprintf(l->message, l->message_size, fmt, ap);
	va_end(ap);
	return (int)status;
}

static int tensor_check(const graft_launch *l, const char *what, int i, const graft_tensor *t)
{
	if (!dtype_ok(t->dtype))
		return launch_fail(l, GRAFT_E_USAGE, "%s %d has no dtype that is known: %d", what, i, (int)t->dtype);
	if (t->rank < 0 || t->rank > GRAFT_MAX_RANK)
		return launch_fail(l, GRAFT_E_USAGE, "%s %d has rank %d; a rank is 0 to %d", what, i, (int)t->rank,
		                   GRAFT_MAX_RANK);
	if (!t->data && tensor_size(t) != 0)
		return launch_fail(l, GRAFT_E_USAGE, "%s %d has elements but no memory", what, i);
	return 0;
}

int launch_check(const graft_launch *l, int in_min, int in_max, int n_out, int n_attr)
{
	int status = 0;
	if (l->struct_size < sizeof *l || !l->host)
		return launch_fail(l, GRAFT_E_USAGE, "a launch on the CPU needs a host and %zu bytes of struct, not %u",
		                   sizeof *l, (unsigned)l->struct_size);
	if (l->n_in < in_min || l->n_in > in_max || l->n_out != n_out || l->n_attr < n_attr)
		return launch_fail(l, GRAFT_E_USAGE, "the kernel takes %d to %d operands, %d results, %d attributes; "
		                   "it was given %d, %d, %d", in_min, in_max, n_out, n_attr, l->n_in, l->n_out,
		                   l->n_attr);
	for (int i = 0; i < l->n_in && !status; i++)
		if (i < in_min || operand(l, i))
			status = tensor_check(l, "operand", i, &l->in[i]);
	for (int i = 0; i < n_out && !status; i++)
		status = tensor_check(l, "result", i, &l->out[i]);
	return status;
}

int64_t tensor_size(const graft_tensor *t)
{
	int64_t n = 1;
	for (int32_t i = 0; i < t->rank; i++)
		n *= t->shape[i];
	return n;
}

bool same_shape(const graft_tensor *a, const graft_tensor *b)
{
	size_t bytes = (size_t)a->rank * sizeof *a->shape;
	return a->rank == b->rank && (bytes == 0 || memcmp(a->shape, b->shape, bytes) == 0);
}

bool tensor_dense(const graft_tensor *t)
{
	int64_t n = 1;
	for (int32_t i = t->rank; i-- > 0; n *= t->shape[i])
		if (t->shape[i] != 1 && t->stride[i] != n)
			return false;
	return true;
}

graft_tensor tensor_front(const graft_tensor *t, int32_t n)
{
	graft_tensor front = *t;
	front.rank -= n;
	return front;
}

graft_tensor as_line(const graft_tensor *t, int64_t room[2])
{
	graft_tensor line = *t;
	if (t->rank > 0)
		return line;
	room[0] = room[1] = 1;
	line.rank = 1, line.shape = room, line.stride = room + 1;
	return line;
}

const char *place_text(char room[PLACE_ROOM], const graft_tensor *t, int64_t index)
{
	int64_t size = tensor_size(t);
	room[0] = 0;
	for (int32_t i = 0; i < t->rank; i++) {
		size_t used = strlen(room);
		size /= t->shape[i];
		snprintf(room + used, PLACE_ROOM - used, "%s%lld", i ? ", " : "", (long long)(index / size));
		index %= size;
	}
	return room;
}

void *scratch(const graft_launch *l, int64_t n, size_t size)
{
	if (n < 0 || (uint64_t)n > (uint64_t)PTRDIFF_MAX / size)
		return NULL;
	return l->host->scratch(l->host->self, (size_t)n * size);
}

int no_scratch(const graft_launch *l, int64_t n, size_t size)
{
	return launch_fail(l, GRAFT_E_NOMEM, "no scratch memory for %lld items of %zu bytes", (long long)n, size);
}

void walk_begin(Walk *w, const graft_tensor *over)
{
	w->rank = over->rank;
	w->n = 0;
	w->size = tensor_size(over);
	for (int32_t i = 0; i < over->rank; i++)
		w->shape[i] = over->shape[i];
	walk_add(w, over);
}

bool walk_add(Walk *w, const graft_tensor *t)
{
	int32_t lead = w->rank - t->rank;
	if (lead < 0 || w->n == WALK_TENSORS)
		return false;
	for (int32_t i = 0; i < w->rank; i++) {
		int64_t size = i < lead ? 1 : t->shape[i - lead];
		if (size != 1 && size != w->shape[i])
			return false;
		w->stride[i][w->n] = size == 1 ? 0 : t->stride[i - lead];
	}
	w->base[w->n] = t->data ? t->data : (void *)w->base;   /* empty: a place that is never read */
	w->item[w->n++] = item_size(t);
	return true;
}

void walk_axis(Walk *w, int64_t size, const int64_t *strides)
{
	w->shape[w->rank] = size;
	for (int32_t t = 0; t < w->n; t++)
		w->stride[w->rank][t] = strides[t];
	w->size *= size;
	w->rank++;
}

bool lines_of(Lines *lines, const graft_tensor *const *t, int n, int64_t axis)
{
	graft_tensor start = tensor_front(t[0], t[0]->rank);
	walk_begin(&lines->walk, &start);
	for (int k = 0; k < n; k++) {
		start = tensor_front(t[k], t[k]->rank);
		if (t[k]->rank != t[0]->rank || axis < 0 || axis >= t[k]->rank ||
		    (k && !walk_add(&lines->walk, &start)))
			return false;
		lines->size[k] = t[k]->shape[axis];
		lines->step[k] = t[k]->stride[axis];
	}
	for (int32_t i = 0; i < t[0]->rank; i++) {
		int64_t stride[WALK_TENSORS] = { 0 };
		if (i == axis)
			continue;
		for (int k = 0; k < n; k++) {
			if (t[k]->shape[i] != t[0]->shape[i])
				return false;
			stride[k] = t[k]->stride[i];
		}
		walk_axis(&lines->walk, t[0]->shape[i], stride);
	}
	walk_join(&lines->walk);
	return true;
}

static bool joins(const Walk *w, int32_t outer, int32_t inner)
{
	for (int32_t t = 0; t < w->n; t++)
		if (w->stride[outer][t] != w->stride[inner][t] * w->shape[inner])
			return false;
	return true;
}

void walk_join(Walk *w)
{
	int32_t rank = 0;
	if (w->size == 0)
		return;
	for (int32_t i = 0; i < w->rank; i++) {
		if (w->shape[i] == 1)
			continue;
		int64_t size = w->shape[i];
		if (rank > 0 && joins(w, rank - 1, i))
			size *= w->shape[--rank];
		memmove(w->stride[rank], w->stride[i], sizeof w->stride[i]);
		w->shape[rank++] = size;
	}
	w->rank = rank;
}

/* Moves to the element at `index`; returns how many follow in the innermost axis, that one included. */
static int64_t walk_seek(const Walk *w, int64_t index, int64_t *at, char **p)
{
	for (int32_t t = 0; t < w->n; t++)
		p[t] = w->base[t];
	for (int32_t i = w->rank; i-- > 0; index /= w->shape[i]) {
		at[i] = index % w->shape[i];
		for (int32_t t = 0; t < w->n; t++)
			p[t] += at[i] * w->stride[i][t] * w->item[t];
	}
	return w->rank ? w->shape[w->rank - 1] - at[w->rank - 1] : 1;
}

/* From the end of one innermost run to the start of the next; p stands at the run's start when it began at index 0. */
static void walk_next(const Walk *w, int64_t *at, char **p)
{
	for (int32_t i = w->rank - 1; i-- > 0;) {
		bool wraps = ++at[i] == w->shape[i];
		for (int32_t t = 0; t < w->n; t++)
			p[t] += (wraps ? 1 - w->shape[i] : 1) * w->stride[i][t] * w->item[t];
		if (!wraps)
			return;
		at[i] = 0;
	}
}

void walk_range(const Walk *w, int64_t begin, int64_t end, int64_t most, walk_fn fn, void *arg)
{
	static const int64_t none[WALK_TENSORS];
	const int64_t *stride = w->rank ? w->stride[w->rank - 1] : none;
	int64_t at[GRAFT_MAX_RANK], left = 0;
	char *p[WALK_TENSORS];
	if (begin < end)
		left = walk_seek(w, begin, at, p);
	while (begin < end) {
		int64_t n = left < end - begin ? left : end - begin;
		n = n < most ? n : most;
		fn(arg, p, stride, n);
		begin += n;
		left -= n;
		if (begin < end && left == 0) {
			int64_t row = w->shape[w->rank - 1];
			for (int32_t t = 0; t < w->n; t++)
				p[t] -= (row - n) * stride[t] * w->item[t];
			walk_next(w, at, p);
			left = row;
		} else {
			for (int32_t t = 0; t < w->n; t++)
				p[t] += n * stride[t] * w->item[t];
		}
	}
}

typedef struct Pieces { const Walk *w; int64_t most; walk_fn fn; void *arg; } Pieces;

static void walk_piece(void *arg, int64_t begin, int64_t end)
{
	const Pieces *p = arg;
	walk_range(p->w, begin, end, p->most, p->fn, p->arg);
}

void walk_parallel(const graft_launch *l, const Walk *w, int64_t most, int64_t cost, walk_fn fn, void *arg)
{
	Pieces p = { w, most, fn, arg };
	run_parallel(l, w->size, cost, walk_piece, &p);
}

void run_parallel(const graft_launch *l, int64_t n, int64_t cost, void (*body)(void *, int64_t, int64_t), void *arg)
{
	const int64_t worth = 1 << 16;        /* simple operations that pay for waking a thread */
	int64_t grain = cost < worth ? worth / (cost > 0 ? cost : 1) : 1;
	if (n <= 0)
		return;
	if (n <= grain)
		body(arg, 0, n);
	else
		l->host->parallel(l->host->self, n, grain, body, arg);
}
