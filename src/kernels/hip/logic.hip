/* logic.hip - comparisons and truth values, which give bools, and where, which chooses by them.
 *
 * Two operands are compared in the dtype that they have in common, as torch has it: 0.1 is the bf16 nearest to it
 * beside a bf16 tensor, and -1 is 255 beside u8. An f64 of rank 0 beside another dtype is taken for a literal, which is
 * weaker than any tensor.
 *
 * Where operands are dense or stay put along the innermost axis, a thread has 16 bytes of them; else one element.
 */
#include "kernel.h"

/* Two operands have one of four outcomes; an op is the set of those that are true. */
enum : uint32_t {
	BELOW = 1, EQUAL = 2, ABOVE = 4, UNORDERED = 8,               /* a < b, a == b, a > b, one is NaN */
	NEITHER = 1, FIRST = 2, SECOND = 4, BOTH = 8                  /* which of the two are not 0 */
};

struct Compare {
	Walk walk;                            /* y, a, b */
	int32_t dtype[3], common;
	uint32_t truths;                      /* the outcomes that give true */
	int32_t logical;                      /* outcomes are of the second kind */
	uint32_t splat;                       /* see walk_pack */
};

template <class C> DEVICE bool truth(const Compare &c, C a, C b)
{
	uint32_t order = a < b ? BELOW : a == b ? EQUAL : a > b ? ABOVE : UNORDERED;
	uint32_t which = NEITHER << ((a != 0) + 2 * (b != 0));
	return c.truths & (c.logical ? which : order);
}

template <class C> DEVICE C operand_of(const Compare &c, int t, int64_t at)
{
	return rounded_to(c.common, load<C>(c.dtype[t], c.walk.base[t], at));
}

template <class C> KERNEL compare_elements(Compare c)
{
	int64_t i = thread_index(), at[3];
	if (i >= c.walk.size)
		return;
	walk_at<3>(c.walk, i, at);
	bool y = truth(c, operand_of<C>(c, 1, at[1]), operand_of<C>(c, 2, at[2]));
	store<int64_t>(c.dtype[0], c.walk.base[0], at[0], y);
}

/* A chunk of an operand, or its one element everywhere: then `wide` is false and `one` counts. */
struct Some { Chunk chunk; float one; bool wide; };

template <class T> DEVICE Some some_of(const Compare &c, int t, int64_t at)
{
	Some s = {};
	s.wide = !(c.splat >> t & 1);
	if (s.wide)
		s.chunk = load_chunk(c.walk.base[t] + at * static_cast<int64_t>(sizeof(T)));
	else
		s.one = operand_of<float>(c, t, at);
	return s;
}

/* The results of a chunk lie at a multiple of their number of bytes. */
DEVICE void store_bytes(char *p, uint64_t bytes, int n)
{
	if (n == 8)
		*reinterpret_cast<uint64_t *>(p) = bytes;
	else
		*reinterpret_cast<uint32_t *>(p) = static_cast<uint32_t>(bytes);
}

template <class T> KERNEL compare_packed(Compare c)
{
	int64_t i = thread_index(), at[3];
	uint64_t y = 0;
	if (i >= c.walk.size)
		return;
	walk_at<3>(c.walk, i, at);
	Some a = some_of<T>(c, 1, at[1]), b = some_of<T>(c, 2, at[2]);
	UNROLL
	for (int k = 0; k < Packed<T>::LANES; k++)
		y |= static_cast<uint64_t>(truth(c, a.wide ? Packed<T>::get(a.chunk, k) : a.one,
		                                 b.wide ? Packed<T>::get(b.chunk, k) : b.one)) << 8 * k;
	store_bytes(c.walk.base[0] + at[0], y, Packed<T>::LANES);
}

/* ---- comparing: the host ---------------------------------------------------- */

static int category(int dtype) { return !is_integer(dtype) ? 2 : dtype != GRAFT_DTYPE_bool; }

static int dtype_over(int strong, int weak) { return category(weak) > category(strong) ? weak : strong; }

static int dtype_wider(int a, int b)
{
	if (a == b || category(a) != category(b))
		return dtype_over(a, b);
	if (item_size(a) != item_size(b))
		return item_size(a) > item_size(b) ? a : b;
	return is_integer(a) ? GRAFT_DTYPE_i16 : GRAFT_DTYPE_f32;             /* u8 with i8; f16 with bf16 */
}

static int common_dtype(const graft_tensor *a, const graft_tensor *b)
{
	int x = a->dtype, y = b->dtype;
	if (x != y && a->rank == 0 && x == GRAFT_DTYPE_f64)
		return dtype_over(y, GRAFT_DTYPE_f32);
	if (x != y && b->rank == 0 && y == GRAFT_DTYPE_f64)
		return dtype_over(x, GRAFT_DTYPE_f32);
	if ((a->rank == 0) == (b->rank == 0))
		return dtype_wider(x, y);
	return a->rank == 0 ? dtype_over(y, x) : dtype_over(x, y);
}

/* Can each thread take 16 bytes? Operands that move along the innermost axis must have the common dtype. */
static bool pack(Compare *c)
{
	const Walk &w = c->walk;
	for (int t = 1; t < 3; t++)
		if (w.stride[w.rank - 1][t] != 0 && c->dtype[t] != c->common)
			return false;
	return is_computed(c->common) && c->dtype[0] == GRAFT_DTYPE_bool &&
	       walk_pack(&c->walk, 16 / item_size(c->common), &c->splat);
}

static int launch_compare(const graft_launch *l, Compare c)
{
	if (pack(&c))
		return launch_threads(l, c.common == GRAFT_DTYPE_f32 ? compare_packed<float> :
		                      c.common == GRAFT_DTYPE_f16 ? compare_packed<f16> : compare_packed<bf16>,
		                      c.walk.size, c);
	return launch_threads(l, is_integer(c.common) ? compare_elements<int64_t> :
	                      c.common == GRAFT_DTYPE_f64 ? compare_elements<double> : compare_elements<float>,
	                      c.walk.size, c);
}

static int compare(const graft_launch *l, int n_in, uint32_t truths, bool logical)
{
	int status = launch_check(l, n_in, n_in, 1, 0);
	if (status)
		return status;
	const graft_tensor *a = l->in, *b = &l->in[n_in - 1], *y = l->out;
	Compare c = {{}, {y->dtype, a->dtype, b->dtype}, common_dtype(a, b), truths, logical, 0};
	Nest nest = nest_over(y);
	if (!nest_add(&nest, a) || !nest_add(&nest, b))
		return launch_fail(l, GRAFT_E_USAGE, "an operand does not broadcast to the result");
	nest_join(&nest);
	return nest_launch(nest, [&](const Walk &w) {
		c.walk = w;
		return launch_compare(l, c);
	});
}

int hip_eq(const graft_launch *l) { return compare(l, 2, EQUAL, false); }
int hip_ne(const graft_launch *l) { return compare(l, 2, BELOW | ABOVE | UNORDERED, false); }
int hip_lt(const graft_launch *l) { return compare(l, 2, BELOW, false); }
int hip_le(const graft_launch *l) { return compare(l, 2, BELOW | EQUAL, false); }
int hip_gt(const graft_launch *l) { return compare(l, 2, ABOVE, false); }
int hip_ge(const graft_launch *l) { return compare(l, 2, ABOVE | EQUAL, false); }
int hip_logical_and(const graft_launch *l) { return compare(l, 2, BOTH, true); }
int hip_logical_or(const graft_launch *l) { return compare(l, 2, FIRST | SECOND | BOTH, true); }
int hip_logical_not(const graft_launch *l) { return compare(l, 1, NEITHER, true); }     /* of x twice */

/* ---- where ---------------------------------------------------- */

struct Where {
	Walk walk;                            /* y, cond, a, b */
	int32_t dtype[4];
	uint32_t splat;                       /* see walk_pack */
};

DEVICE bool chosen(const Where &w, int64_t at) { return load<int64_t>(w.dtype[1], w.walk.base[1], at) != 0; }

template <class C> KERNEL choose_numbers(Where w)
{
	int64_t i = thread_index(), at[4];
	if (i >= w.walk.size)
		return;
	walk_at<4>(w.walk, i, at);
	int t = chosen(w, at[1]) ? 2 : 3;
	C v = t == 2 ? load<C>(w.dtype[2], w.walk.base[2], at[2]) : load<C>(w.dtype[3], w.walk.base[3], at[3]);
	store<C>(w.dtype[0], w.walk.base[0], at[0], v);
}

template <class Piece> KERNEL choose_pieces(Where w)
{
	int64_t i = thread_index(), at[4];
	if (i >= w.walk.size)
		return;
	walk_at<4>(w.walk, i, at);
	put<Piece>(w.walk.base[0], at[0], chosen(w, at[1]) ? element<Piece>(w.walk.base[2], at[2]) :
	                                  element<Piece>(w.walk.base[3], at[3]));
}

/* 16 bytes of an operand, or its one element again and again. */
template <class Piece> DEVICE Chunk chunk_at(const Where &w, int t, int64_t at)
{
	if (!(w.splat >> t & 1))
		return load_chunk(w.walk.base[t] + at * static_cast<int64_t>(sizeof(Piece)));
	uint64_t v = element<Piece>(w.walk.base[t], at);
	for (unsigned bits = 8 * sizeof(Piece); bits < 64; bits *= 2)
		v |= v << bits;
	uint32_t low = static_cast<uint32_t>(v), high = static_cast<uint32_t>(v >> 32);
	return {{low, high, low, high}};
}

/* The conditions of a chunk of pieces, a byte each, from the first word on. */
template <class Piece> DEVICE Chunk conditions(const Where &w, int64_t at)
{
	enum { LANES = 16 / sizeof(Piece) };
	const char *p = w.walk.base[1] + at;
	uint32_t all = *p ? 0x01010101u : 0;
	if (w.splat >> 1 & 1)
		return {{all, all, all, all}};
	if constexpr (LANES == 16)
		return load_chunk(p);
	else if constexpr (LANES == 8)
		return {{element<uint32_t>(p, 0), element<uint32_t>(p, 1), 0, 0}};
	else if constexpr (LANES == 4)
		return {{element<uint32_t>(p, 0), 0, 0, 0}};
	else
		return {{element<uint16_t>(p, 0), 0, 0, 0}};
}

/* The bits of word i that are taken from the first operand. */
template <class Piece> DEVICE uint32_t mask_of(const Chunk &truths, int i)
{
	enum { SIZE = sizeof(Piece), STEP = SIZE < 4 ? SIZE : 4 };
	uint32_t mask = 0;
	UNROLL
	for (int byte = 0; byte < 4; byte += STEP) {
		int k = (4 * i + byte) / SIZE;
		if (truths.w[k / 4] >> (k % 4 * 8) & 0xff)
			mask |= ~0u >> (32 - 8 * STEP) << (8 * byte);
	}
	return mask;
}

template <class Piece> KERNEL choose_chunks(Where w)
{
	int64_t i = thread_index(), at[4];
	if (i >= w.walk.size)
		return;
	walk_at<4>(w.walk, i, at);
	Chunk truths = conditions<Piece>(w, at[1]), a = chunk_at<Piece>(w, 2, at[2]), b = chunk_at<Piece>(w, 3, at[3]);
	UNROLL
	for (int k = 0; k < 4; k++) {
		uint32_t mask = mask_of<Piece>(truths, k);
		a.w[k] = (a.w[k] & mask) | (b.w[k] & ~mask);
	}
	store_chunk(w.walk.base[0] + at[0] * static_cast<int64_t>(sizeof(Piece)), a);
}

template <class Piece> static int choose(const graft_launch *l, Where w)
{
	if (item_size(w.dtype[1]) == 1 && walk_pack(&w.walk, 16 / static_cast<int64_t>(sizeof(Piece)), &w.splat))
		return launch_threads(l, choose_chunks<Piece>, w.walk.size, w);
	return launch_threads(l, choose_pieces<Piece>, w.walk.size, w);
}

static int launch_where(const graft_launch *l, const Where &w)
{
	int y = w.dtype[0];
	if (w.dtype[2] != y || w.dtype[3] != y)
		return launch_threads(l, is_integer(y) ? choose_numbers<int64_t> :
		                      y == GRAFT_DTYPE_f64 ? choose_numbers<double> : choose_numbers<float>,
		                      w.walk.size, w);
	switch (item_size(y)) {
	case 1: return choose<uint8_t>(l, w);
	case 2: return choose<uint16_t>(l, w);
	case 4: return choose<uint32_t>(l, w);
	default: return choose<uint64_t>(l, w);
	}
}

int hip_where(const graft_launch *l)
{
	int status = launch_check(l, 3, 3, 1, 0);
	if (status)
		return status;
	const graft_tensor *y = l->out;
	Nest nest = nest_over(y);
	Where where = {};
	where.dtype[0] = y->dtype;
	for (int i = 0; i < 3; i++) {
		where.dtype[i + 1] = l->in[i].dtype;
		if (!nest_add(&nest, &l->in[i]))
			return launch_fail(l, GRAFT_E_USAGE, "operand %d does not broadcast to the result", i);
		if (i && is_integer(y->dtype) && !is_integer(l->in[i].dtype))
			return launch_fail(l, GRAFT_E_UNSUPPORTED, "where gives no %s of %s", dtype_name(y->dtype),
			                   dtype_name(l->in[i].dtype));
	}
	nest_join(&nest);
	return nest_launch(nest, [&](const Walk &w) {
		where.walk = w;
		return launch_where(l, where);
	});
}
