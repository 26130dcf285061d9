/* gather.hip - embedding: rows of a table, by index; a thread has an element, or 16 bytes.
 *
 * Nobody can be told of an index that the table does not have: its row becomes NaN (bytes of ones), and nothing
 * outside the table is read.
 */
#include "kernel.h"

struct Gather {
	Walk y;                               /* y, ids; the innermost axis runs along a row, where ids stay */
	const char *table;
	int64_t rows, row, step;              /* of the table: rows, and its strides, in elements or chunks */
	int64_t width;                        /* of y's row */
	int32_t ids_dtype;
};

/* Does the table have element i of y? at: its place in y; from: in the table. */
DEVICE bool find(const Gather &g, int64_t i, int64_t *at, int64_t *from)
{
	walk_at<2>(g.y, i, at);
	int64_t id = load<int64_t>(g.ids_dtype, g.y.base[1], at[1]);
	*from = static_cast<int64_t>(static_cast<uint64_t>(id) * static_cast<uint64_t>(g.row)) + i % g.width * g.step;
	return id >= 0 && id < g.rows;
}

template <class Piece> KERNEL gather_pieces(Gather g)
{
	int64_t i = thread_index(), at[2], from;
	if (i >= g.y.size)
		return;
	bool there = find(g, i, at, &from);
	reinterpret_cast<Piece *>(g.y.base[0])[at[0]] = there ? reinterpret_cast<const Piece *>(g.table)[from] :
		static_cast<Piece>(-1);
}

KERNEL gather_chunks(Gather g)
{
	int64_t i = thread_index(), at[2], from;
	if (i >= g.y.size)
		return;
	const Chunk none = {{~0u, ~0u, ~0u, ~0u}};
	bool there = find(g, i, at, &from);
	store_chunk(g.y.base[0] + at[0] * g.y.item[0], there ? load_chunk(g.table + from * 16) : none);
}

static bool pack(Gather *g)
{
	int64_t size = g->y.item[0], lanes = 16 / size;
	unsigned splat;
	if (g->step != 1 || g->width % lanes || g->row * size % 16 || reinterpret_cast<uintptr_t>(g->table) % 16 ||
	    !walk_pack(&g->y, lanes, &splat))
		return false;
	g->row /= lanes;
	g->width /= lanes;
	return true;
}

static int launch_gather(const graft_launch *l, Gather g)
{
	if (pack(&g))
		return launch_threads(l, gather_chunks, g.y.size, g);
	switch (g.y.item[0]) {
	case 1: return launch_threads(l, gather_pieces<uint8_t>, g.y.size, g);
	case 2: return launch_threads(l, gather_pieces<uint16_t>, g.y.size, g);
	case 4: return launch_threads(l, gather_pieces<uint32_t>, g.y.size, g);
	default: return launch_threads(l, gather_pieces<uint64_t>, g.y.size, g);
	}
}

int hip_embedding(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 0);
	const graft_tensor *table = l->in, *ids = l->in + 1, *y = l->out;
	if (status)
		return status;
	if (table->rank != 2 || y->rank != ids->rank + 1 || y->shape[y->rank - 1] != table->shape[1] ||
	    y->dtype != table->dtype)
		return launch_fail(l, GRAFT_E_USAGE,
		                   "embedding: a table of rank 2 and ids give a result of the ids' rank and one");
	if (!is_integer(ids->dtype))
		return launch_fail(l, GRAFT_E_USAGE, "embedding: ids must be integers, not %s", dtype_name(ids->dtype));
	graft_tensor front = tensor_front(y, 1);
	if (!same_shape(&front, ids))
		return launch_fail(l, GRAFT_E_USAGE,
		                   "embedding: the result must have the shape of ids before its last axis");
	Nest nest = nest_over(&front);
	nest_add(&nest, ids);
	const int64_t along[] = {y->stride[y->rank - 1], 0};
	nest_axis(&nest, table->shape[1], along);
	nest_join(&nest);
	Gather g = {};
	g.table = static_cast<const char *>(table->data);
	g.rows = table->shape[0], g.row = table->stride[0], g.step = table->stride[1];
	g.width = table->shape[1];
	g.ids_dtype = ids->dtype;
	return nest_launch(nest, [&](const Walk &w) {
		g.y = w;
		return launch_gather(l, g);
	});
}
