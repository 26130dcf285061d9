/* gather.c - embedding: rows of a table, by index. */
#include "kernel.h"

typedef struct Gather {
	const graft_tensor *table, *ids, *y;
	int64_t rows, width;                  /* of the table */
	Walk walk;                            /* y without its last axis, ids */
} Gather;

static void gather_run(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Gather *g = arg;
	for (int64_t i = 0; i < n; i++) {
		int64_t id;
		load_i64(&id, g->ids->dtype, at[1] + i * stride[1] * g->walk.item[1], 1, 1);
		const char *row = (const char *)g->table->data + id * g->table->stride[0] * item_size(g->table);
		convert(g->y->dtype, at[0] + i * stride[0] * g->walk.item[0], g->y->stride[g->y->rank - 1],
		        g->table->dtype, row, g->table->stride[1], g->width);
	}
}

/* The first index, in row-major order, that no row has. */
typedef struct Stray { const Gather *g; int64_t at, id; bool found; } Stray;

static void find_stray(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	Stray *s = arg;
	for (int64_t i = 0; i < n && !s->found; i++, s->at++) {
		load_i64(&s->id, s->g->ids->dtype, at[1] + i * stride[1] * s->g->walk.item[1], 1, 1);
		s->found = s->id < 0 || s->id >= s->g->rows;
		if (s->found)
			return;
	}
}

static int refuse_stray(const graft_launch *l, const Stray *s)
{
	char place[PLACE_ROOM];
	return launch_fail(l, GRAFT_E_DATA, "embedding: ids[%s] is %lld, but the table has %lld rows; an index is 0 "
	                   "to %lld",
	                   place_text(place, s->g->ids, s->at), (long long)s->id, (long long)s->g->rows,
	                   (long long)s->g->rows - 1);
}

int cpu_embedding(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 0);
	Gather g = { .table = l->in, .ids = l->in + 1, .y = l->out };
	Stray stray = { .g = &g };
	graft_tensor front;
	if (status)
		return status;
	if (g.table->rank != 2 || g.y->rank != g.ids->rank + 1 || g.y->shape[g.y->rank - 1] != g.table->shape[1])
		return launch_fail(l, GRAFT_E_USAGE,
		                   "embedding: a table of rank 2 and ids give a result of the ids' rank and one");
	if (!dtype_integer(g.ids->dtype))
		return launch_fail(l, GRAFT_E_USAGE, "embedding: ids must be integers, not %s", dtype_text(g.ids));
	g.rows = g.table->shape[0];
	g.width = g.table->shape[1];
	front = tensor_front(g.y, 1);
	if (!same_shape(&front, g.ids))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "embedding: the result must have the shape of ids before its last axis");
	walk_begin(&g.walk, &front);
	walk_add(&g.walk, g.ids);
	walk_join(&g.walk);
	walk_range(&g.walk, 0, g.walk.size, INT64_MAX, find_stray, &stray);
	if (stray.found)
		return refuse_stray(l, &stray);
	walk_parallel(l, &g.walk, INT64_MAX, g.width + 8, gather_run, &g);
	return 0;
}
