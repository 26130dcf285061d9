/* norm_sizes.cpp - the two norms of a latent at every number of rows that matters and around every length where a
 * launch changes its shape: fused equals single in every bit, rows are near the float64 result, nothing around the
 * results is written, and a hundred runs agree.
 *
 * The rows are views of one block of numbers, which is sent once for each dtype. What a machine has no time for is left
 * out: pairs of more elements than `most`.
 */
#include "norm.h"
#include <algorithm>
#include <cstring>

static const std::vector<int64_t> rows_of = {0, 1, 2, 3, 255, 4095, 4096, 16383, 16384, 65536};
static const std::vector<int> dtypes = {GRAFT_DTYPE_bf16, GRAFT_DTYPE_f16, GRAFT_DTYPE_f32};
/* Numbers until they repeat; what a row has behind its pieces; the longest piece; where weights begin. */
enum { PERIOD = 65521, ROPE = 8, LONGEST = 16384, WEIGHTS = 1024 };

static int64_t most() { return !full ? 1 << 14 : machine_is_slow() ? 1 << 21 : 1 << 27; }

static int64_t lanes(int dtype) { return dtype == GRAFT_DTYPE_f32 ? 4 : 8; }
static size_t item(int dtype) { return dtype == GRAFT_DTYPE_f32 ? 4 : 2; }

struct Room {
	void *p;
	size_t size;
	explicit Room(int64_t bytes) : p(guarded(static_cast<size_t>(bytes ? bytes : 1))), size(static_cast<size_t>(bytes))
	{
		CHECK(p);
	}
	~Room()
	{
		CHECK(guards_hold(p));
		guarded_free(p);
	}
	Room(const Room &) = delete;
	Room &operator=(const Room &) = delete;
};

/* Numbers of a dtype over and over: PERIOD of them differ. */
struct Numbers {
	Tensor some;
	Room room;

	Numbers(Random &r, int dtype, int64_t n) : some(dtype, {PERIOD}), room(n * static_cast<int64_t>(item(dtype)))
	{
		std::vector<uint8_t> all(room.size);
		size_t piece = PERIOD * item(dtype);
		some.fill(r);
		for (size_t at = 0; at < all.size(); at += piece)
			memcpy(&all[at], some.bytes.data(), std::min(piece, all.size() - at));
		CHECK(to_device(room.p, all.data(), all.size()));
	}
	/* Elements at, at + 1, ... as a tensor of one row. */
	Tensor row(int64_t at, int64_t n) const
	{
		Tensor t(some.dtype, {1, n});
		for (int64_t i = 0; i < n; i++)
			memcpy(&t.bytes[t.at(i)], &some.bytes[some.at((at + i) % PERIOD)], item(some.dtype));
		return t;
	}
};

/* A tensor that lies on the device only. */
static Tensor on_device(int dtype, const Shape &shape, const Shape &stride, void *p, int64_t offset)
{
	Tensor t;
	t.dtype = dtype, t.shape = shape, t.stride = stride;
	t.device = p, t.first = static_cast<size_t>(offset) * item(dtype);
	return t;
}

/* One norm of a pair: m rows of n, `offset` into rows of `wide`. */
struct Half {
	int64_t m, n, wide, offset;
	double eps;
	const Numbers &x;
	Room one, two;                        /* results, single and fused */
	std::vector<uint8_t> one_here, two_here;
	Tensor from, weight, to_one, to_two;

	Half(const Numbers &numbers, int64_t rows, int64_t length, int64_t row, int64_t at, double e)
		: m(rows), n(length), wide(row), offset(at), eps(e), x(numbers), one(bytes()), two(bytes()),
		  one_here(one.size), two_here(two.size)
	{
		int dtype = x.some.dtype;
		from = on_device(dtype, {m, n}, {wide, 1}, x.room.p, offset);
		weight = on_device(dtype, {n}, {1}, x.room.p, WEIGHTS);
		to_one = on_device(dtype, {m, n}, {n, 1}, one.p, 0);
		to_two = on_device(dtype, {m, n}, {n, 1}, two.p, 0);
		std::vector<uint8_t> nothing(one.size, 0xa5);
		CHECK(to_device(one.p, nothing.data(), one.size) && to_device(two.p, nothing.data(), two.size));
	}
	int64_t bytes() const { return m * n * static_cast<int64_t>(item(x.some.dtype)); }
	void single(bool early, const std::string &what)
	{
		CHECK_IS(launch_hip(hip_kernel("rms_norm"), {&from, &weight}, {&to_one},
		                    {attr_float(eps), attr_int(early)}), 0, what + hip_message());
		CHECK(from_device(one_here.data(), one.p, one.size));
	}
	void check(bool early, const std::string &what)
	{
		CHECK(from_device(two_here.data(), two.p, two.size));
		if (one_here != two_here)
			failed(__FILE__, __LINE__, what + ": fused and single differ");
		for (int64_t at : {int64_t{0}, m / 2, m - 1}) {
			if (at < 0 || at >= m)
				continue;
			Tensor y(x.some.dtype, {1, n}), scale(x.some.dtype, {n});
			memcpy(y.bytes.data(), &two_here[static_cast<size_t>(at * n) * item(y.dtype)],
			       static_cast<size_t>(n) * item(y.dtype));
			scale.bytes = x.row(WEIGHTS, n).bytes;
			check_row(x.row(at * wide + offset, n), scale, y, 0, eps, early, what);
		}
	}
};

static int fused(Half &q, Half &kv, bool early)
{
	return launch_hip(hip_kernel("fused_mla_dual_rms_norm"), {&q.from, &q.weight, &kv.from, &kv.weight},
	                  {&q.to_two, &kv.to_two}, {attr_float(q.eps), attr_float(kv.eps), attr_int(early)});
}

static void pair(const Numbers &x, int64_t m, int64_t q_n, int64_t kv_n, bool early, int repeats)
{
	int64_t wide = q_n + kv_n + ROPE;
	std::string what = std::to_string(m) + " rows of " + std::to_string(q_n) + " and " + std::to_string(kv_n) +
		" " + graft_dtype_name(static_cast<graft_dtype>(x.some.dtype)) + (early ? " early" : " late");
	Half q(x, m, q_n, wide, 0, 1e-6), kv(x, m, kv_n, wide, q_n, 1e-5);
	q.single(early, what), kv.single(early, what);
	for (int i = 0; i < repeats && still_good(); i++) {
		CHECK_IS(fused(q, kv, early), 0, what + hip_message());
		q.check(early, what), kv.check(early, what);
	}
}

/* Lengths in elements around `chunks` chunks of 16 bytes, odd ones among them. */
static void lengths_at(std::vector<int64_t> *all, int64_t chunks, int64_t each)
{
	for (int64_t n : {chunks * each, (chunks + 1) * each, chunks * each + 1})
		if (n <= LONGEST)
			all->push_back(n);
}

static std::vector<int64_t> lengths(int dtype)
{
	std::vector<int64_t> all;
	for (int64_t chunks : {1, 8, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048})
		lengths_at(&all, chunks, lanes(dtype));
	return all;
}

/* At every number of rows, with both roundings; of few sizes with one. */
static void each_row_count(const Numbers &x, int64_t q_n, int64_t kv_n, int repeats)
{
	for (int64_t m : rows_of)
		if (m * (q_n + kv_n + ROPE) <= most()) {
			pair(x, m, q_n, kv_n, false, repeats);
			if (full || m % 2)
				pair(x, m, q_n, kv_n, true, repeats);
		}
}

TEST(norm_sizes)
{
	Random r;
	for (int dtype : dtypes) {
		Numbers x(r, dtype, most() + WEIGHTS + LONGEST);
		std::vector<int64_t> all = lengths(dtype);
		for (size_t i = 0; i < all.size() && still_good(); i += full ? 1 : 5)
			each_row_count(x, all[i], all[all.size() - 1 - i], 1);
		each_row_count(x, 1536, 512, 1);
		each_row_count(x, 8, 16, 1);
		each_row_count(x, 9, 7, 1);
	}
}

TEST(norm_sizes_repeat)
{
	Random r;
	for (int dtype : dtypes) {
		Numbers x(r, dtype, most() + WEIGHTS + LONGEST);
		for (int64_t m : {1, 255, 4096})
			for (int early = 0; early < 2 && m * (1536 + 512 + ROPE) <= most(); early++)
				pair(x, m, 1536, 512, early, !full ? 3 : machine_is_slow() && m > 1 ? 10 : 100);
	}
}
