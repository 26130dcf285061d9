/* kernel.hip - refusals, walks and launches; all on the host. */
#include "kernel.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int launch_fail(const graft_launch *l, graft_status status, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (l->message && l->message_size)
		vsnprintf(l->message, l->message_size, fmt, ap);
	va_end(ap);
	return static_cast<int>(status);
}

static const struct { const char *name; int32_t size; } dtypes[] = {
#define X(name, bytes, safetensors) { #name, bytes },
	GRAFT_DTYPE_MAP(X)
#undef X
};

static bool dtype_ok(int dtype) { return dtype >= 0 && dtype < GRAFT_DTYPE_COUNT; }
const char *dtype_name(int dtype) { return dtype_ok(dtype) ? dtypes[dtype].name : "?"; }
int32_t item_size(int dtype) { return dtype_ok(dtype) ? dtypes[dtype].size : 0; }

static int tensor_check(const graft_launch *l, const char *what, int i, const graft_tensor *t)
{
	if (!dtype_ok(t->dtype))
		return launch_fail(l, GRAFT_E_USAGE, "%s %d has no dtype that is known: %d", what, i,
		                   static_cast<int>(t->dtype));
	if (t->rank < 0 || t->rank > GRAFT_MAX_RANK)
		return launch_fail(l, GRAFT_E_USAGE, "%s %d has rank %d; a rank is 0 to %d", what, i,
		                   static_cast<int>(t->rank), GRAFT_MAX_RANK);
	if (!t->data && tensor_size(t) != 0)
		return launch_fail(l, GRAFT_E_USAGE, "%s %d has elements but no memory", what, i);
	return 0;
}

int launch_check(const graft_launch *l, int in_min, int in_max, int n_out, int n_attr)
{
	int status = 0;
	if (l->struct_size < sizeof *l)
		return launch_fail(l, GRAFT_E_USAGE, "a launch has %zu bytes, not %u", sizeof *l,
		                   static_cast<unsigned>(l->struct_size));
	if (l->n_in < in_min || l->n_in > in_max || l->n_out != n_out || l->n_attr < n_attr)
		return launch_fail(l, GRAFT_E_USAGE,
		                   "the kernel takes %d to %d operands, %d results, %d attributes; it was given %d, "
		                   "%d, %d", in_min, in_max, n_out, n_attr, static_cast<int>(l->n_in),
		                   static_cast<int>(l->n_out), static_cast<int>(l->n_attr));
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
	return a->rank == b->rank &&
	       (a->rank == 0 || memcmp(a->shape, b->shape, static_cast<size_t>(a->rank) * sizeof *a->shape) == 0);
}

bool tensor_dense(const graft_tensor *t)
{
	int64_t n = 1;
	for (int32_t i = t->rank; i-- > 0; n *= t->shape[i])
		if (t->shape[i] != 1 && t->stride[i] != n)
			return false;
	return true;
}

graft_tensor as_line(const graft_tensor *t, int64_t (&room)[2])
{
	graft_tensor line = *t;
	if (t->rank > 0)
		return line;
	room[0] = room[1] = 1;
	line.rank = 1, line.shape = room, line.stride = room + 1;
	return line;
}

Nest nest_over(const graft_tensor *over)
{
	Nest n = {};
	memset(n.base, 0, sizeof n.base);
	memset(n.item, 0, sizeof n.item);
	n.rank = over->rank;
	n.n = 0;
	n.size = tensor_size(over);
	for (int32_t i = 0; i < over->rank; i++)
		n.shape[i] = over->shape[i];
	nest_add(&n, over);
	return n;
}

bool nest_add(Nest *n, const graft_tensor *t)
{
	int32_t lead = n->rank - t->rank;
	if (lead < 0 || n->n == NEST_TENSORS)
		return false;
	for (int32_t i = 0; i < n->rank; i++) {
		int64_t size = i < lead ? 1 : t->shape[i - lead];
		if (size != 1 && size != n->shape[i])
			return false;
		n->stride[i][n->n] = size == 1 ? 0 : t->stride[i - lead];
	}
	n->base[n->n] = static_cast<char *>(t->data);
	n->item[n->n++] = item_size(t->dtype);
	return true;
}

void nest_axis(Nest *n, int64_t size, const int64_t *strides)
{
	n->shape[n->rank] = size;
	for (int32_t t = 0; t < n->n; t++)
		n->stride[n->rank][t] = strides[t];
	n->size *= size;
	n->rank++;
}

static bool joins(const Nest *n, int32_t outer, int32_t inner)
{
	for (int32_t t = 0; t < n->n; t++)
		if (n->stride[outer][t] != n->stride[inner][t] * n->shape[inner])
			return false;
	return true;
}

void nest_join(Nest *n)
{
	int32_t rank = 0;
	for (int32_t i = 0; n->size && i < n->rank; i++) {
		if (n->shape[i] == 1)
			continue;
		int64_t size = n->shape[i];
		if (rank > 0 && joins(n, rank - 1, i))
			size *= n->shape[--rank];
		memmove(n->stride[rank], n->stride[i], sizeof n->stride[i]);
		n->shape[rank++] = size;
	}
	n->rank = rank;
}

bool nest_aligned(const Nest *n, int32_t t)
{
	bool all = reinterpret_cast<uintptr_t>(n->base[t]) % 16 == 0;
	for (int32_t axis = 0; axis < n->rank; axis++)
		all = all && n->stride[axis][t] * n->item[t] % 16 == 0;
	return all;
}

Walk nest_walk(const Nest *n)
{
	Walk w = {};
	w.rank = n->rank ? n->rank : 1;
	w.n = n->n < WALK_TENSORS ? n->n : WALK_TENSORS;
	w.size = n->size;
	w.shape[0] = 1;
	memcpy(w.base, n->base, sizeof w.base);
	memcpy(w.item, n->item, sizeof w.item);
	for (int32_t i = 0; i < n->rank; i++) {
		w.shape[i] = n->shape[i];
		for (int32_t t = 0; t < w.n; t++)
			w.stride[i][t] = n->stride[i][t];
	}
	return w;
}

/* Is each piece of tensor t at a multiple of its size? */
static bool pieces_aligned(const Walk *w, int32_t t, int64_t lanes)
{
	int64_t size = lanes * w->item[t];
	if (reinterpret_cast<uintptr_t>(w->base[t]) % static_cast<uintptr_t>(size))
		return false;
	for (int32_t a = 0; a + 1 < w->rank; a++)
		if (w->stride[a][t] * w->item[t] % size)
			return false;
	return true;
}

bool walk_pack(Walk *w, int64_t lanes, unsigned *splat)
{
	int64_t *inner = w->stride[w->rank - 1];
	*splat = 0;
	if (w->shape[w->rank - 1] % lanes || inner[0] != 1)
		return false;
	for (int32_t t = 0; t < w->n; t++) {
		if (inner[t] == 0)
			*splat |= 1u << t;
		else if (inner[t] != 1 || !pieces_aligned(w, t, lanes))
			return false;
	}
	for (int32_t t = 0; t < w->n; t++)
		inner[t] *= lanes;
	w->shape[w->rank - 1] /= lanes;
	w->size /= lanes;
	return true;
}

bool lines_of(Lines *lines, const graft_tensor *y, const graft_tensor *x, int64_t axis)
{
	graft_tensor y_first = tensor_front(y, y->rank), x_first = tensor_front(x, x->rank);
	if (!same_shape(x, y) || (x->rank > 0 && (axis < 0 || axis >= x->rank)))
		return false;
	lines->starts = nest_over(&y_first);
	nest_add(&lines->starts, &x_first);
	lines->n = 1;
	lines->step[0] = lines->step[1] = 0;
	for (int32_t i = 0; i < x->rank; i++) {
		const int64_t strides[] = {y->stride[i], x->stride[i]};
		if (i == axis)
			lines->n = x->shape[i], lines->step[0] = strides[0], lines->step[1] = strides[1];
		else
			nest_axis(&lines->starts, x->shape[i], strides);
	}
	nest_join(&lines->starts);
	return true;
}

uint32_t group_shift(int64_t n)
{
	uint32_t shift = 3;
	while (shift < 8 && (8 << shift) < n)
		shift++;
	return shift;
}

int launched(const graft_launch *l)
{
	hipError_t e = hipGetLastError();
	return e == hipSuccess ? 0 :
	       launch_fail(l, GRAFT_E_EXEC, "the kernel was not launched: %s", hipGetErrorString(e));
}
