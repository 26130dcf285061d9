/* create.c - arange and constant: values from attributes. */
#include "kernel.h"

typedef struct Create {
	const graft_tensor *y;
	int64_t start, step;                  /* arange */
	const int64_t *list;                  /* constant: integers; for floats, the bits of doubles */
	int64_t n;                            /* of list */
} Create;

static void arange_piece(void *arg, int64_t begin, int64_t end)
{
	const Create *c = arg;
	int64_t step = c->y->stride[0] * item_size(c->y);
	for (int64_t i = begin; i < end; i++) {
		int64_t v = (int64_t)((uint64_t)c->start + (uint64_t)i * (uint64_t)c->step);
		store_i64(c->y->dtype, (char *)c->y->data + i * step, 1, &v, 1);
	}
}

int cpu_arange(const graft_launch *l)
{
	int status = launch_check(l, 0, 0, 1, 4);
	Create c = { .y = l->out };
	if (status)
		return status;
	if (c.y->rank != 1)
		return launch_fail(l, GRAFT_E_USAGE, "arange: the result must have rank 1, not %d", (int)c.y->rank);
	c.start = l->attr[0].i;
	c.step = l->attr[2].i;
	run_parallel(l, c.y->shape[0], 4, arange_piece, &c);
	return 0;
}

static void store_bits(const graft_tensor *y, char *at, int64_t stride, const int64_t *list, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		char *to = at + i * stride * item_size(y);
		double v;
		memcpy(&v, &list[i], sizeof v);
		if (dtype_integer(y->dtype))
			store_i64(y->dtype, to, 1, &list[i], 1);
		else
			store_f64(y->dtype, to, 1, &v, 1);
	}
}

typedef struct Take { const Create *c; int64_t next; } Take;

static void constant_run(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	Take *t = arg;
	store_bits(t->c->y, at[0], stride[0], t->c->list + t->next, n);
	t->next += n;
}

static void constant_piece(void *arg, int64_t begin, int64_t end)
{
	const Create *c = arg;
	Take t = { c, begin };
	Walk w;
	walk_begin(&w, c->y);
	walk_join(&w);
	walk_range(&w, begin, end, INT64_MAX, constant_run, &t);
}

/* One value, already in the result's dtype, everywhere. */
static int fill(const graft_launch *l, const graft_tensor *y, int64_t bits)
{
	char one[8];
	graft_tensor x = { .data = one, .rank = 0, .dtype = y->dtype };
	store_bits(y, one, 0, &bits, 1);
	return tensor_convert(l, y, &x);
}

int cpu_constant(const graft_launch *l)
{
	int status = launch_check(l, 0, 0, 1, 3);
	Create c = { .y = l->out };
	int64_t size;
	if (status)
		return status;
	c.list = l->attr[2].list;
	c.n = l->attr[2].n;
	size = tensor_size(c.y);
	if (size > 0 && c.n == 1)
		return fill(l, c.y, c.list[0]);
	if (size > 0 && c.n != size)
		return launch_fail(l, GRAFT_E_USAGE, "constant: %lld values do not fill %lld elements", (long long)c.n,
		                   (long long)size);
	run_parallel(l, size, 4, constant_piece, &c);
	return 0;
}
