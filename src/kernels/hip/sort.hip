/* sort.hip - sort and topk of lines along an axis.
 *
 * Elements are compared by keys whose order as unsigned numbers is theirs (0.0 and -0.0 are equal, NaN is the
 * greatest), and equal ones by where they stand: no two are equal, so that the order is the CPU's, whatever threads do.
 *
 *   sort_tiles    lines up to TILE: a block sorts one, or several short ones, in shared memory
 *   merge_runs    longer ones: their tiles are sorted, then merged two by two, launch by launch, each element looking
 *                 up its place in the other run; where an element stands is kept in one half of each 64-bit result,
 *                 and goes from one half to the other
 *   select_best   a few of a long line: a block reads it once and sorts what is better than the best so far
 *   rank_elements many, but not all, of a long line: an element counts those before it
 */
#include "kernel.h"

enum { TILE = 2048, NARROW = 512, PIECE = TILE / 2 }; /* NARROW: a block sorts so many at least; PIECE: reads at once */

struct Sort {
	Walk lines;                           /* values, ids, x: where each begins */
	int64_t step[3];                      /* along it */
	int64_t n, k;                         /* elements of x, of the results */
	int32_t x_dtype, ids_dtype, descending;
	uint32_t shift;                       /* sort_tiles: 1 << shift elements are sorted */
	int64_t tiles;                        /* of a line */
};

struct Line { char *values, *ids; const char *x; };

DEVICE Line line_at(const Sort &s, int64_t i)
{
	int64_t at[3];
	walk_at<3>(s.lines, i, at);
	return {s.lines.base[0] + at[0] * s.lines.item[0], s.lines.base[1] + at[1] * s.lines.item[1],
	        s.lines.base[2] + at[2] * s.lines.item[2]};
}

DEVICE uint64_t key_of(const Sort &s, const Line &l, int64_t i)
{
	const uint64_t sign = 1ull << 63, flip = s.descending ? ~0ull : 0;
	if (s.x_dtype <= GRAFT_DTYPE_i64)
		return (static_cast<uint64_t>(load<int64_t>(s.x_dtype, l.x, i * s.step[2])) ^ sign) ^ flip;
	double v = load<double>(s.x_dtype, l.x, i * s.step[2]);
	uint64_t u = static_cast<uint64_t>(__double_as_longlong(v == 0 ? 0.0 : v));
	return (v != v ? ~0ull : u & sign ? ~u : u | sign) ^ flip;
}

/* An element and where it stands: one that is not there comes last. */
struct Entry { uint64_t key; uint32_t at; };

DEVICE bool before(const Entry &a, const Entry &b) { return a.key < b.key || (a.key == b.key && a.at < b.at); }
DEVICE Entry nothing() { return {~0ull, ~0u}; }

DEVICE Entry entry_at(const Sort &s, const Line &l, int64_t i)
{
	return {key_of(s, l, i), static_cast<uint32_t>(i)};
}

/* Element i of x becomes number `rank` of the results. */
DEVICE void finish(const Sort &s, const Line &l, int64_t rank, int64_t i)
{
	int32_t item = s.lines.item[0];
	move_item(item, l.values + rank * s.step[0] * item, l.x + i * s.step[2] * item);
	store<int64_t>(s.ids_dtype, l.ids, rank * s.step[1], i);
}

/* ---- in shared memory ---------------------------------------------------- */

struct Room { uint64_t key[TILE]; uint32_t at[TILE]; };

DEVICE Entry room_get(const Room &r, unsigned i) { return {r.key[i], r.at[i]}; }
DEVICE void room_put(Room *r, unsigned i, const Entry &e) { r->key[i] = e.key, r->at[i] = e.at; }

/* Sorts each `width` of `all` entries, both powers of two; bitonic. All threads come with their entries written, and
 * may read all afterwards. */
DEVICE void sort_room(Room *r, unsigned all, unsigned width)
{
	for (unsigned size = 2; size <= width; size *= 2) {
		for (unsigned far = size / 2; far > 0; far /= 2) {
			__syncthreads();
			for (unsigned t = threadIdx.x; t < all / 2; t += BLOCK) {
				unsigned low = 2 * t - (t & (far - 1)), high = low + far;
				Entry a = room_get(*r, low), b = room_get(*r, high);
				bool falls = (low & size & (width - 1)) != 0;
				if (before(b, a) != falls) {
					room_put(r, low, b);
					room_put(r, high, a);
				}
			}
		}
	}
	__syncthreads();
}

/* One of the two halves of a 64-bit result. */
DEVICE uint32_t *half_of(const Sort &s, const Line &l, int64_t i, int half)
{
	return reinterpret_cast<uint32_t *>(l.ids + i * s.step[1] * 8) + half;
}

KERNEL sort_tiles(Sort s)
{
	__shared__ Room room;
	unsigned width = 1u << s.shift, all = width < NARROW ? +NARROW : width;
	int64_t first = block_index() * (all >> s.shift);
	for (unsigned t = threadIdx.x; t < all; t += BLOCK) {
		int64_t tile = first + (t >> s.shift), at = tile % s.tiles * TILE + (t & (width - 1));
		bool there = tile < s.lines.size * s.tiles && at < s.n;
		room_put(&room, t, there ? entry_at(s, line_at(s, tile / s.tiles), at) : nothing());
	}
	sort_room(&room, all, width);
	for (unsigned t = threadIdx.x; t < all; t += BLOCK) {
		int64_t tile = first + (t >> s.shift), at = tile % s.tiles * TILE + (t & (width - 1));
		if (tile >= s.lines.size * s.tiles || at >= s.k)
			continue;
		Line line = line_at(s, tile / s.tiles);
		if (s.tiles == 1)
			finish(s, line, at, room.at[t]);
		else
			*half_of(s, line, at, 0) = room.at[t];
	}
}

KERNEL select_best(Sort s)
{
	__shared__ Room room;
	__shared__ unsigned used;
	if (block_index() >= s.lines.size)
		return;
	Line line = line_at(s, block_index());
	unsigned k = static_cast<unsigned>(s.k);
	for (unsigned t = threadIdx.x; t < TILE; t += BLOCK)
		room_put(&room, t, nothing());
	if (threadIdx.x == 0)
		used = k;
	__syncthreads();
	for (int64_t first = 0; first < s.n; first += PIECE) {
		Entry worst = room_get(room, k - 1);
		for (unsigned t = threadIdx.x; t < PIECE && first + t < s.n; t += BLOCK) {
			Entry e = entry_at(s, line, first + t);
			if (before(e, worst))
				room_put(&room, atomicAdd(&used, 1u), e);
		}
		__syncthreads();
		unsigned filled = used;
		__syncthreads();
		if (filled <= TILE - PIECE && first + PIECE < s.n)
			continue;
		sort_room(&room, TILE, TILE);
		for (unsigned t = k + threadIdx.x; t < TILE; t += BLOCK)
			room_put(&room, t, nothing());
		if (threadIdx.x == 0)
			used = k;
		__syncthreads();
	}
	for (unsigned t = threadIdx.x; t < k; t += BLOCK)
		finish(s, line, t, room.at[t]);
}

/* ---- in all of memory ---------------------------------------------------- */

/* Runs of `run` elements, sorted, in one half of the results: each two become one in the other half. */
KERNEL merge_runs(Sort s, int64_t run, int32_t half)
{
	int64_t i = thread_index(), at = i % s.n, own = at / run, low = 0;
	if (i >= s.lines.size * s.n)
		return;
	Line line = line_at(s, i / s.n);
	int64_t other = (own ^ 1) * run, high = s.n - other < run ? s.n - other : run;
	Entry e = entry_at(s, line, *half_of(s, line, at, half));
	while (low < high) {
		int64_t middle = low + (high - low) / 2;
		bool first = before(entry_at(s, line, *half_of(s, line, other + middle, half)), e);
		low = first ? middle + 1 : low;
		high = first ? high : middle;
	}
	*half_of(s, line, own / 2 * 2 * run + at % run + low, 1 - half) = e.at;
}

KERNEL finish_elements(Sort s, int32_t half)
{
	int64_t i = thread_index();
	if (i >= s.lines.size * s.n)
		return;
	Line line = line_at(s, i / s.n);
	finish(s, line, i % s.n, *half_of(s, line, i % s.n, half));
}

KERNEL rank_elements(Sort s)
{
	__shared__ uint64_t key[BLOCK];
	int64_t pieces = (s.n + BLOCK - 1) / BLOCK, at = block_index() % pieces * BLOCK + threadIdx.x, rank = 0;
	if (block_index() / pieces >= s.lines.size)
		return;
	Line line = line_at(s, block_index() / pieces);
	uint64_t own = at < s.n ? key_of(s, line, at) : 0;
	for (int64_t first = 0; first < s.n; first += BLOCK) {
		int64_t n = s.n - first < BLOCK ? s.n - first : +BLOCK;
		__syncthreads();
		if (static_cast<int64_t>(threadIdx.x) < n)
			key[threadIdx.x] = key_of(s, line, first + threadIdx.x);
		__syncthreads();
		for (int64_t t = 0; t < n; t++)
			rank += key[t] < own || (key[t] == own && first + t < at);
	}
	if (at < s.n && rank < s.k)
		finish(s, line, rank, at);
}

/* ---- launches ---------------------------------------------------- */

static int sort_short(const graft_launch *l, Sort s)
{
	while (1 << s.shift < s.n && 1 << s.shift < TILE)
		s.shift++;
	s.tiles = (s.n + TILE - 1) / TILE;
	int64_t together = 1 << s.shift < NARROW ? NARROW >> s.shift : 1, all = s.lines.size * s.tiles;
	return launch_blocks(l, sort_tiles, (all + together - 1) / together, s);
}

static int sort_long(const graft_launch *l, const Sort &s)
{
	int status = sort_short(l, s);
	int32_t half = 0;
	for (int64_t run = TILE; run < s.n && !status; run *= 2, half = 1 - half)
		status = launch_threads(l, merge_runs, s.lines.size * s.n, s, run, half);
	return status ? status : launch_threads(l, finish_elements, s.lines.size * s.n, s, half);
}

static int launch_sort(const graft_launch *l, const Sort &s)
{
	bool counted = s.n < UINT32_MAX;
	if (s.n <= TILE)
		return sort_short(l, s);
	if (counted && s.k <= PIECE)
		return launch_blocks(l, select_best, s.lines.size, s);
	if (counted && s.k == s.n && s.ids_dtype == GRAFT_DTYPE_i64)
		return sort_long(l, s);
	return launch_blocks(l, rank_elements, s.lines.size * ((s.n + BLOCK - 1) / BLOCK), s);
}

/* The lines along an axis of values, ids and x; false when they do not fit together. */
static bool sort_lines(Nest *lines, Sort *s, const graft_tensor (&t)[3], int64_t axis)
{
	graft_tensor first[3] = {tensor_front(&t[0], t[0].rank), tensor_front(&t[1], t[1].rank),
	                         tensor_front(&t[2], t[2].rank)};
	if (axis < 0 || axis >= t[2].rank || t[0].rank != t[2].rank || !same_shape(&t[0], &t[1]) ||
	    t[0].shape[axis] > t[2].shape[axis])
		return false;
	*lines = nest_over(&first[0]);
	nest_add(lines, &first[1]);
	nest_add(lines, &first[2]);
	for (int32_t i = 0; i < t[2].rank; i++) {
		const int64_t strides[] = {t[0].stride[i], t[1].stride[i], t[2].stride[i]};
		if (i != axis && t[0].shape[i] != t[2].shape[i])
			return false;
		if (i != axis)
			nest_axis(lines, t[2].shape[i], strides);
	}
	for (int k = 0; k < 3; k++)
		s->step[k] = t[k].stride[axis];
	s->n = t[2].shape[axis], s->k = t[0].shape[axis];
	nest_join(lines);
	return true;
}

static int sort(const graft_launch *l, int64_t axis, bool descending)
{
	int64_t room[3][2];
	const graft_tensor all[3] = {as_line(&l->out[0], room[0]), as_line(&l->out[1], room[1]),
	                             as_line(&l->in[0], room[2])};
	Nest lines;
	Sort s = {};
	s.x_dtype = all[2].dtype, s.ids_dtype = all[1].dtype, s.descending = descending;
	if (all[0].dtype != all[2].dtype || !is_integer(all[1].dtype) || !sort_lines(&lines, &s, all, axis))
		return launch_fail(l, GRAFT_E_USAGE, "there is no axis %lld, or the results do not fit the operand",
		                   static_cast<long long>(axis));
	if (s.k == 0)
		return 0;
	return nest_launch(lines, [&](const Walk &w) {
		s.lines = w;
		return launch_sort(l, s);
	});
}

int hip_sort(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 2, 3);
	return status ? status : sort(l, l->attr[0].i, l->attr[1].i != 0);
}

int hip_topk(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 2, 4);
	return status ? status : sort(l, l->attr[1].i, l->attr[2].i != 0);
}
