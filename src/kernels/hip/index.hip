/* index.hip - elements chosen by index (gather, index, index_select) and put by index (scatter, index_put, index_add).
 *
 * An index, or a tuple of them, becomes a distance within x:
 *
 *     take:  y[walk]                 = x[walk + distance]              a thread has an element, or 16 bytes
 *     put:   y[walk + distance]  (+)= src[walk]
 *
 * An element of y is put by one thread alone, which meets the indices in order: of equal ones the last wins, and sums
 * are rounded after each addition, as on the CPU. When there are few indices, a thread has the elements of y that they
 * can send one element of src's slices to, and walks them all:
 *
 *   put_all      thread <- an element that is kept (one of a row that index_add adds)
 *
 * else all threads of a block look for the indices that fall into a range of places, and list them in order:
 *
 *   put_ranges   block  <- up to BLOCK elements that are kept x a range of places; where fewer are kept, threads share
 *                          the places of the range
 *
 * Nobody can be told of an index that x does not have: what is taken with it is NaN (bytes of ones), what is put with
 * it is dropped, and nothing outside a tensor is read or written.
 */
#include "kernel.h"

enum { MOST_IDS = NEST_TENSORS - 2 };         /* a nest has two tensors beside them */
enum { FEW = 16 };                            /* indices that one thread walks */
enum { LISTED = 4, LIST = BLOCK * LISTED };   /* indices that a block looks at between two barriers */
enum { BLOCKS = 2048 };                       /* enough for a GPU; each of them looks at all indices */

/* Ids choose from an axis of x. */
struct Choice {
	const char *ids;
	int32_t dtype, wraps;                 /* wraps: below 0 they count from the end */
	int64_t size, step;                   /* of the axis */
	int64_t stride[WALK_AXES];            /* of the ids, along the axes of a walk */
};

struct Choices { int32_t n; Choice of[MOST_IDS]; };

template <class I> DEVICE int64_t ids_offset(const Choice &c, const Walk &w, I index)
{
	int64_t at = 0;
	for (int a = w.rank - 1; a > 0; a--) {
		I size = static_cast<I>(w.shape[a]), next = index / size;
		at += static_cast<int64_t>(index - next * size) * c.stride[a];
		index = next;
	}
	return at + static_cast<int64_t>(index) * c.stride[0];
}

/* Where a tuple sends: the distance within x, and which of all places there are, in row-major order. */
struct Found { int64_t distance, place; bool there; };

/* The tuple at an index of w, its ids `more` elements further. */
DEVICE Found find(const Choices &c, const Walk &w, int64_t index, int64_t more)
{
	Found f = {0, 0, true};
	for (int k = 0; k < c.n; k++) {
		const Choice &one = c.of[k];
		int64_t at = more + (w.size <= UINT32_MAX ? ids_offset(one, w, static_cast<uint32_t>(index)) :
		                     ids_offset(one, w, static_cast<uint64_t>(index)));
		int64_t id = one.dtype == GRAFT_DTYPE_i32 ? element<int32_t>(one.ids, at) :
		             element<int64_t>(one.ids, at);
		id += id < 0 && one.wraps ? one.size : 0;
		f.there = f.there && id >= 0 && id < one.size;
		id = f.there ? id : 0;
		f.distance += id * one.step;
		f.place = f.place * one.size + id;
	}
	return f;
}

/* ---- take ---------------------------------------------------- */

struct Take { Walk walk; Choices choices; };  /* y, x */

/* Does x have element i of y? at: its place in y, and in x. */
DEVICE bool take_at(const Take &t, int64_t i, int64_t *at)
{
	walk_at<2>(t.walk, i, at);
	Found f = find(t.choices, t.walk, i, 0);
	at[1] += f.distance;
	return f.there;
}

template <class Piece> KERNEL take_pieces(Take t)
{
	int64_t i = thread_index(), at[2];
	if (i >= t.walk.size)
		return;
	bool there = take_at(t, i, at);
	reinterpret_cast<Piece *>(t.walk.base[0])[at[0]] =
		there ? reinterpret_cast<const Piece *>(t.walk.base[1])[at[1]] : static_cast<Piece>(-1);
}

KERNEL take_chunks(Take t)
{
	int64_t i = thread_index(), at[2];
	if (i >= t.walk.size)
		return;
	const Chunk none = {{~0u, ~0u, ~0u, ~0u}};
	bool there = take_at(t, i, at);
	store_chunk(t.walk.base[0] + at[0] * t.walk.item[0],
	            there ? load_chunk(t.walk.base[1] + at[1] * t.walk.item[1]) : none);
}

/* ---- put ---------------------------------------------------- */

struct Put {
	Walk kept;                            /* y, src, ids: elements that never meet */
	Walk serial;                          /* src: one for each tuple, taken in order */
	Choices choices;                      /* along the axes of serial */
	int32_t y_dtype, src_dtype;
	/* put_ranges: the grid, elements that are kept with the same ids in a block, and places in a range */
	int64_t lists, tiles, ranges, places;
	uint32_t columns;
};

/* What happens to an element of y, or to 16 bytes. */
struct Store {
	static __device__ void put(const Put &p, char *y, const char *src)
	{
		if (p.y_dtype == p.src_dtype)
			move_item(p.kept.item[0], y, src);
		else
			convert(p.y_dtype, y, 0, p.src_dtype, src, 0);
	}
};

struct StoreChunk {
	static __device__ void put(const Put &, char *y, const char *src) { store_chunk(y, load_chunk(src)); }
};

template <class C> struct Plus {
	static __device__ void put(const Put &p, char *y, const char *src)
	{
		store<C>(p.y_dtype, y, 0, Sum::of(load<C>(p.y_dtype, y, 0), load<C>(p.src_dtype, src, 0)));
	}
};

template <class T> struct PlusChunk {
	static __device__ void put(const Put &, char *y, const char *src)
	{
		Chunk a = load_chunk(y), b = load_chunk(src), sum;
		UNROLL
		for (int i = 0; i < Packed<T>::LANES; i++)
			Packed<T>::put(sum, i, Packed<T>::get(a, i) + Packed<T>::get(b, i));
		store_chunk(y, sum);
	}
};

template <class How> DEVICE void put_at(const Put &p, int64_t y, int64_t src)
{
	How::put(p, p.kept.base[0] + y * p.kept.item[0], p.kept.base[1] + src * p.kept.item[1]);
}

template <class How> KERNEL put_all(Put p)
{
	int64_t i = thread_index(), at[3], from;
	if (i >= p.kept.size)
		return;
	walk_at<3>(p.kept, i, at);
	for (int64_t s = 0; s < p.serial.size; s++) {
		Found f = find(p.choices, p.serial, s, at[2]);
		walk_at<1>(p.serial, s, &from);
		if (f.there)
			put_at<How>(p, at[0] + f.distance, at[1] + from);
	}
}

/* Tuples that fall into the block's range: where in src and in y, and whose they are. */
struct List { int64_t from[LIST], to[LIST]; uint8_t owner[LIST]; };

/* Lists those from `first` on; how many there are. */
DEVICE unsigned list_range(const Put &p, List *list, unsigned (&room)[BLOCK / 32], int64_t first, int64_t low,
                           int64_t ids)
{
	Found found[LISTED];
	unsigned n = 0, all, owners = BLOCK / p.columns;
	first += threadIdx.x * LISTED;
	UNROLL
	for (int k = 0; k < LISTED; k++) {
		found[k] = {0, 0, false};
		if (first + k < p.serial.size)
			found[k] = find(p.choices, p.serial, first + k, ids);
		found[k].place -= low;
		found[k].there = found[k].there && found[k].place >= 0 && found[k].place < p.places;
		n += found[k].there;
	}
	n = block_before<Sum>(n, room, &all);
	UNROLL
	for (int k = 0; k < LISTED; k++) {
		if (!found[k].there)
			continue;
		walk_at<1>(p.serial, first + k, &list->from[n]);
		list->to[n] = found[k].distance;
		list->owner[n++] = static_cast<uint8_t>(static_cast<uint32_t>(found[k].place) % owners);
	}
	return all;
}

template <class How> KERNEL put_ranges(Put p)
{
	__shared__ List list;
	__shared__ unsigned room[BLOCK / 32];
	int64_t block = block_index(), tile = block / p.ranges % p.tiles, at[3] = {};
	unsigned column = threadIdx.x % p.columns, own = threadIdx.x / p.columns;
	if (block / p.ranges / p.tiles >= p.lists)
		return;
	int64_t kept = block / p.ranges / p.tiles + tile * p.columns + column;
	if (kept < p.kept.size)
		walk_at<3>(p.kept, kept, at);
	for (int64_t first = 0; first < p.serial.size; first += LIST) {
		unsigned n = list_range(p, &list, room, first, block % p.ranges * p.places, at[2]);
		__syncthreads();
		for (unsigned k = 0; k < n; k++)
			if (kept < p.kept.size && list.owner[k] == own)
				put_at<How>(p, at[0] + list.to[k], at[1] + list.from[k]);
	}
}

/* ---- launches ---------------------------------------------------- */

static int add_choice(const graft_launch *l, Choices *c, const char *op, const graft_tensor *ids, int64_t size,
                      int64_t step, bool wraps)
{
	if (ids->dtype != GRAFT_DTYPE_i32 && ids->dtype != GRAFT_DTYPE_i64)
		return launch_fail(l, GRAFT_E_USAGE, "%s: ids must be i32 or i64, not %s", op, dtype_name(ids->dtype));
	if (c->n == MOST_IDS)
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "%s: ids for more than %d axes", op, MOST_IDS);
	c->of[c->n] = {nullptr, ids->dtype, wraps, size, step, {}};
	c->n++;
	return 0;
}

/* The ids are the nest's tensors from `first` on. */
static void place_choices(Choices *c, const Nest &nest, int first)
{
	for (int k = 0; k < c->n; k++) {
		c->of[k].ids = nest.base[first + k];
		for (int32_t a = 0; a < nest.rank; a++)
			c->of[k].stride[a] = nest.stride[a][first + k];
	}
}

/* Nothing that is 16 bytes wide is torn apart by an index. */
static bool wide_steps(const Choices &c, int64_t item)
{
	for (int k = 0; k < c.n; k++)
		if (c.of[k].step * item % 16)
			return false;
	return true;
}

static bool pack_take(Take *t)
{
	Walk *w = &t->walk;
	unsigned splat;
	for (int k = 0; k < t->choices.n; k++)
		if (t->choices.of[k].stride[w->rank - 1] != 0)
			return false;
	return w->stride[w->rank - 1][1] == 1 && wide_steps(t->choices, w->item[0]) &&
	       walk_pack(w, 16 / w->item[0], &splat);
}

static int launch_take(const graft_launch *l, Take t)
{
	if (pack_take(&t))
		return launch_threads(l, take_chunks, t.walk.size, t);
	switch (t.walk.item[0]) {
	case 1: return launch_threads(l, take_pieces<uint8_t>, t.walk.size, t);
	case 2: return launch_threads(l, take_pieces<uint16_t>, t.walk.size, t);
	case 4: return launch_threads(l, take_pieces<uint32_t>, t.walk.size, t);
	default: return launch_threads(l, take_pieces<uint64_t>, t.walk.size, t);
	}
}

/* The nest: y, x, ids. */
static int take(const graft_launch *l, Nest *nest, const Choices &choices)
{
	nest_join(nest);
	return nest_cut(*nest, [&](const Nest &piece) {
		Take t = {nest_walk(&piece), choices};
		place_choices(&t.choices, piece, 2);
		t.walk.n = 2;
		return launch_take(l, t);
	});
}

static bool pack_put(Put *p)
{
	unsigned splat;
	int32_t item = p->kept.item[0];
	const int64_t *inner = p->kept.stride[p->kept.rank - 1];
	for (int32_t a = 0; a < p->serial.rank; a++)
		if (p->serial.stride[a][0] * item % 16)
			return false;
	return p->y_dtype == p->src_dtype && inner[1] == 1 && inner[2] == 0 && wide_steps(p->choices, item) &&
	       walk_pack(&p->kept, 16 / item, &splat);
}

/* lists: each element that is kept has ids of its own. */
static void plan_ranges(Put *p, bool lists)
{
	int64_t all = 1;
	for (int k = 0; k < p->choices.n; k++)
		all *= p->choices.of[k].size;
	for (p->columns = 1; !lists && p->columns < BLOCK && p->columns < p->kept.size;)
		p->columns *= 2;
	p->lists = lists ? p->kept.size : 1;
	p->tiles = lists ? 1 : (p->kept.size + p->columns - 1) / p->columns;
	int64_t owners = BLOCK / p->columns, most = (all + owners - 1) / owners, some = BLOCKS / (p->lists * p->tiles);
	some = some < 1 ? 1 : some > most ? most : some;
	p->places = (all + some - 1) / some;
	p->ranges = (all + p->places - 1) / p->places;
}

template <class How> static int launch_how(const graft_launch *l, Put p, bool lists)
{
	if (p.serial.size <= FEW)
		return launch_threads(l, put_all<How>, p.kept.size, p);
	plan_ranges(&p, lists);
	return launch_blocks(l, put_ranges<How>, p.lists * p.tiles * p.ranges, p);
}

static int launch_put(const graft_launch *l, Put p, bool lists, bool accumulate)
{
	if (!accumulate)
		return pack_put(&p) ? launch_how<StoreChunk>(l, p, lists) : launch_how<Store>(l, p, lists);
	if (is_integer(p.y_dtype))
		return launch_how<Plus<int64_t>>(l, p, lists);
	if (p.y_dtype == GRAFT_DTYPE_f64)
		return launch_how<Plus<double>>(l, p, lists);
	if (!is_computed(p.y_dtype) || !pack_put(&p))
		return launch_how<Plus<float>>(l, p, lists);
	switch (p.y_dtype) {
	case GRAFT_DTYPE_f32: return launch_how<PlusChunk<float>>(l, p, lists);
	case GRAFT_DTYPE_f16: return launch_how<PlusChunk<f16>>(l, p, lists);
	default: return launch_how<PlusChunk<bf16>>(l, p, lists);
	}
}

/* y, which has the values of x already. kept: y, src, and the ids of each of its elements when there are `lists`;
 * serial: src, ids. */
struct Putting {
	const graft_tensor *y, *src;
	Nest kept, serial;
	Choices choices;
	bool lists, accumulate;
};

static Putting putting(const graft_tensor *y, const graft_tensor *src, const graft_tensor *ids)
{
	graft_tensor y_first = tensor_front(y, y->rank), src_first = tensor_front(src, src->rank);
	graft_tensor ids_first = tensor_front(ids, ids->rank);
	Putting p = {y, src, nest_over(&y_first), nest_over(&src_first), {}, false, false};
	nest_add(&p.kept, &src_first);
	nest_add(&p.kept, &ids_first);
	return p;
}

static int put(const graft_launch *l, Putting *p)
{
	for (int k = 0; k < p->choices.n; k++)
		if (p->choices.of[k].size == 0)
			return 0;
	nest_join(&p->kept);
	nest_join(&p->serial);
	return nest_cut(p->kept, [&](const Nest &kept) {
		return nest_cut(p->serial, [&](const Nest &serial) {
			Put one = {};
			one.kept = nest_walk(&kept), one.serial = nest_walk(&serial), one.choices = p->choices;
			place_choices(&one.choices, serial, 1);
			one.kept.base[1] += serial.base[0] - p->serial.base[0];
			for (int k = 0; k < one.choices.n; k++)
				one.choices.of[k].ids += kept.base[2] - p->kept.base[2];
			one.y_dtype = p->y->dtype, one.src_dtype = p->src->dtype;
			return launch_put(l, one, p->lists, p->accumulate);
		});
	});
}

/* ---- one index for each element, or for each slice ---------------------------------------------------- */

int hip_gather(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 1);
	int64_t room[3][2];
	if (status)
		return status;
	graft_tensor x = as_line(l->in, room[0]), ids = as_line(l->in + 1, room[1]), y = as_line(l->out, room[2]);
	int64_t axis = l->attr[0].i;
	bool fits = axis >= 0 && axis < x.rank && ids.rank == x.rank && same_shape(&ids, &y) && x.dtype == y.dtype;
	for (int32_t i = 0; i < x.rank && fits; i++)
		fits = i == axis || ids.shape[i] <= x.shape[i];
	if (!fits)
		return launch_fail(l, GRAFT_E_USAGE,
		                   "gather: x, ids and the result do not fit together along axis %lld",
		                   static_cast<long long>(axis));
	Choices c = {};
	if ((status = add_choice(l, &c, "gather", &ids, x.shape[axis], x.stride[axis], false)))
		return status;
	graft_tensor y_first = tensor_front(&y, y.rank), x_first = tensor_front(&x, x.rank),
		ids_first = tensor_front(&ids, ids.rank);
	Nest nest = nest_over(&y_first);
	nest_add(&nest, &x_first);
	nest_add(&nest, &ids_first);
	for (int32_t i = 0; i < x.rank; i++) {
		const int64_t strides[] = {y.stride[i], i == axis ? 0 : x.stride[i], ids.stride[i]};
		nest_axis(&nest, y.shape[i], strides);
	}
	return take(l, &nest, c);
}

int hip_index_select(const graft_launch *l)
{
	int status = launch_check(l, 2, 2, 1, 1);
	int64_t room[3][2];
	if (status)
		return status;
	graft_tensor x = as_line(l->in, room[0]), ids = as_line(l->in + 1, room[1]), y = as_line(l->out, room[2]);
	int64_t axis = l->attr[0].i;
	bool fits = axis >= 0 && axis < x.rank && ids.rank == 1 && y.rank == x.rank && x.dtype == y.dtype;
	for (int32_t i = 0; i < x.rank && fits; i++)
		fits = y.shape[i] == (i == axis ? ids.shape[0] : x.shape[i]);
	if (!fits)
		return launch_fail(l, GRAFT_E_USAGE,
		                   "index_select: x, ids and the result do not fit together along axis %lld",
		                   static_cast<long long>(axis));
	Choices c = {};
	if ((status = add_choice(l, &c, "index_select", &ids, x.shape[axis], x.stride[axis], false)))
		return status;
	graft_tensor y_first = tensor_front(&y, y.rank), x_first = tensor_front(&x, x.rank),
		ids_first = tensor_front(&ids, 1);
	Nest nest = nest_over(&y_first);
	nest_add(&nest, &x_first);
	nest_add(&nest, &ids_first);
	for (int32_t i = 0; i < x.rank; i++) {
		const int64_t strides[] = {y.stride[i], i == axis ? 0 : x.stride[i], i == axis ? ids.stride[0] : 0};
		nest_axis(&nest, y.shape[i], strides);
	}
	return take(l, &nest, c);
}

int hip_scatter(const graft_launch *l)
{
	int status = launch_check(l, 3, 3, 1, 1);
	int64_t room[2][2];
	if (status)
		return status;
	graft_tensor ids = as_line(l->in + 1, room[0]), y = as_line(l->out, room[1]);
	const graft_tensor *src = l->in + 2;
	int64_t axis = l->attr[0].i;
	bool fits = axis >= 0 && axis < y.rank && ids.rank == y.rank && same_shape(l->in, l->out) &&
	            (src->rank == 0 || src->rank == y.rank);
	for (int32_t i = 0; i < y.rank && fits; i++)
		fits = (i == axis || ids.shape[i] <= y.shape[i]) && (src->rank == 0 || ids.shape[i] <= src->shape[i]);
	if (!fits)
		return launch_fail(l, GRAFT_E_USAGE, "scatter: x, ids and src do not fit together along axis %lld",
		                   static_cast<long long>(axis));
	Putting p = putting(&y, src, &ids);
	p.lists = true;
	if ((status = add_choice(l, &p.choices, "scatter", &ids, y.shape[axis], y.stride[axis], false)) ||
	    (status = tensor_convert(l, l->out, l->in)))
		return status;
	graft_tensor ids_first = tensor_front(&ids, ids.rank);
	nest_add(&p.serial, &ids_first);
	for (int32_t i = 0; i < y.rank; i++) {
		int64_t step = src->rank > 0 ? src->stride[i] : 0;
		const int64_t kept[] = {y.stride[i], step, ids.stride[i]}, serial[] = {step, ids.stride[i]};
		nest_axis(i == axis ? &p.serial : &p.kept, ids.shape[i], i == axis ? serial : kept);
	}
	return put(l, &p);
}

int hip_index_add(const graft_launch *l)
{
	int status = launch_check(l, 3, 3, 1, 1);
	int64_t room[3][2];
	if (status)
		return status;
	graft_tensor ids = as_line(l->in + 1, room[0]), src = as_line(l->in + 2, room[1]), y = as_line(l->out, room[2]);
	int64_t axis = l->attr[0].i;
	bool fits = axis >= 0 && axis < y.rank && ids.rank == 1 && src.rank == y.rank && same_shape(l->in, l->out);
	for (int32_t i = 0; i < y.rank && fits; i++)
		fits = src.shape[i] == (i == axis ? ids.shape[0] : y.shape[i]);
	if (!fits)
		return launch_fail(l, GRAFT_E_USAGE, "index_add: x, ids and src do not fit together along axis %lld",
		                   static_cast<long long>(axis));
	Putting p = putting(&y, &src, &ids);
	p.accumulate = true;
	if ((status = add_choice(l, &p.choices, "index_add", &ids, y.shape[axis], y.stride[axis], false)) ||
	    (status = tensor_convert(l, l->out, l->in)))
		return status;
	graft_tensor ids_first = tensor_front(&ids, 1);
	nest_add(&p.serial, &ids_first);
	for (int32_t i = 0; i < y.rank; i++) {
		const int64_t kept[] = {y.stride[i], src.stride[i], 0}, serial[] = {src.stride[i], ids.stride[0]};
		nest_axis(i == axis ? &p.serial : &p.kept, src.shape[i], i == axis ? serial : kept);
	}
	return put(l, &p);
}

/* ---- tuples of indices ---------------------------------------------------- */

/* x[ids...], the ids being the operands from `first` on: the axes of the result, in order, are those of the ids,
 * broadcast, and those of x that no ids choose from. */
struct Tuple {
	int first;
	int32_t ids_rank, rank;
	int64_t shape[GRAFT_MAX_RANK];        /* of the ids, broadcast */
	/* which axis of x or of the ids; the other is -1 */
	struct { int64_t size; int32_t x, ids; } axis[2 * GRAFT_MAX_RANK];
};

static bool broadcast_ids(const graft_launch *l, Tuple *t)
{
	t->ids_rank = 0;
	for (int k = t->first; k < l->n_in; k++)
		if (operand(l, k) && l->in[k].rank > t->ids_rank)
			t->ids_rank = l->in[k].rank;
	for (int32_t i = 0; i < t->ids_rank; i++)
		t->shape[i] = 1;
	for (int k = t->first; k < l->n_in; k++)
		for (int32_t i = 0; operand(l, k) && i < l->in[k].rank; i++) {
			int64_t *size = &t->shape[t->ids_rank - l->in[k].rank + i], own = l->in[k].shape[i];
			if (own != 1 && *size != 1 && *size != own)
				return false;
			*size = own != 1 ? own : *size;
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
		for (int32_t k = 0; i == place && k < t->ids_rank; k++)
			t->axis[t->rank++] = {t->shape[k], -1, k};
		if (i < x->rank && !operand(l, t->first + i))
			t->axis[t->rank++] = {x->shape[i], i, -1};
	}
}

/* x is what the distances are in: the operand that is read, or the result that is written. */
static int tuple_begin(const graft_launch *l, const char *op, const graft_tensor *x, Tuple *t, Choices *c)
{
	int32_t n = l->n_in - t->first;
	if (n < 1 || n > x->rank || !broadcast_ids(l, t))
		return launch_fail(l, GRAFT_E_USAGE, "%s: there are %d ids for %d axes, or they do not broadcast", op,
		                   static_cast<int>(n), static_cast<int>(x->rank));
	int status = 0;
	for (int32_t i = 0; i < n && !status; i++)
		if (operand(l, t->first + i))
			status = add_choice(l, c, op, &l->in[t->first + i], x->shape[i], x->stride[i], true);
	lay_axes(l, x, t);
	return status;
}

static void add_all_ids(const graft_launch *l, const Tuple *t, Nest *nest)
{
	for (int k = t->first; k < l->n_in; k++)
		if (operand(l, k)) {
			graft_tensor first = tensor_front(&l->in[k], l->in[k].rank);
			nest_add(nest, &first);
		}
}

/* The strides of all ids along an axis of theirs; -1: an axis they do not have. */
static void ids_strides(const graft_launch *l, const Tuple *t, int32_t axis, int64_t *strides)
{
	for (int k = t->first; k < l->n_in; k++) {
		const graft_tensor *ids = operand(l, k);
		if (!ids)
			continue;
		int32_t own = axis < 0 ? -1 : axis - (t->ids_rank - ids->rank);
		*strides++ = own < 0 || ids->shape[own] == 1 ? 0 : ids->stride[own];
	}
}

int hip_index(const graft_launch *l)
{
	int status = launch_check(l, 1, INT32_MAX, 1, 0);
	const graft_tensor *x = l->in, *y = l->out;
	Tuple t = {};
	Choices c = {};
	t.first = 1;
	if (status || (status = tuple_begin(l, "index", x, &t, &c)))
		return status;
	bool fits = t.rank == y->rank && x->dtype == y->dtype;
	for (int32_t i = 0; i < t.rank && fits; i++)
		fits = t.axis[i].size == y->shape[i];
	if (!fits)
		return launch_fail(l, GRAFT_E_USAGE,
		                   "index: the result does not have the axes of x[ids...], or another dtype");
	graft_tensor y_first = tensor_front(y, y->rank), x_first = tensor_front(x, x->rank);
	Nest nest = nest_over(&y_first);
	nest_add(&nest, &x_first);
	add_all_ids(l, &t, &nest);
	for (int32_t i = 0; i < t.rank; i++) {
		int64_t strides[NEST_TENSORS] = {y->stride[i], t.axis[i].x < 0 ? 0 : x->stride[t.axis[i].x]};
		ids_strides(l, &t, t.axis[i].ids, strides + 2);
		nest_axis(&nest, y->shape[i], strides);
	}
	return take(l, &nest, c);
}

/* Axis i of the tuple; the values broadcast to all of them. False when they do not. */
static bool put_axis(const graft_launch *l, const Tuple *t, int32_t i, Putting *p)
{
	const graft_tensor *values = p->src;
	int32_t own = i - (t->rank - values->rank), x = t->axis[i].x;
	int64_t size = own < 0 ? 1 : values->shape[own], step = size == 1 ? 0 : values->stride[own];
	if (size != 1 && size != t->axis[i].size)
		return false;
	const int64_t kept[] = {x < 0 ? 0 : p->y->stride[x], step, 0};
	int64_t serial[NEST_TENSORS] = {step};
	ids_strides(l, t, t->axis[i].ids, serial + 1);
	nest_axis(x < 0 ? &p->serial : &p->kept, t->axis[i].size, x < 0 ? serial : kept);
	return true;
}

int hip_index_put(const graft_launch *l)
{
	int status = launch_check(l, 2, INT32_MAX, 1, 1);
	if (status)
		return status;
	const graft_tensor *y = l->out, *values = l->in + 1;
	Tuple t = {};
	Putting p = putting(y, values, values);
	t.first = 2;
	p.accumulate = l->attr[0].i != 0;
	if (!same_shape(l->in, y))
		return launch_fail(l, GRAFT_E_USAGE, "index_put: the result must have the shape of x");
	if ((status = tuple_begin(l, "index_put", y, &t, &p.choices)))
		return status;
	add_all_ids(l, &t, &p.serial);
	bool fits = t.rank >= values->rank;
	for (int32_t i = 0; i < t.rank && fits; i++)
		fits = put_axis(l, &t, i, &p);
	if (!fits)
		return launch_fail(l, GRAFT_E_USAGE, "index_put: the values do not broadcast to x[ids...]");
	status = tensor_convert(l, y, l->in);
	return status ? status : put(l, &p);
}
