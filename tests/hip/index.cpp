/* index.cpp - the kernels that choose, put, order and repeat elements, against the reference kernels.
 *
 * Nothing is summed in another order, so every bit must be the same; grouped_matmul apart. The reference refuses an
 * index that is not there: what the GPU does with one is compared with what the others alone give.
 */
#include "hip.h"
#include <algorithm>
#include <cmath>
#include <cstring>

static const std::vector<int> numbers = {GRAFT_DTYPE_f32, GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f64,
                                         GRAFT_DTYPE_i64, GRAFT_DTYPE_i32, GRAFT_DTYPE_u8};
static const std::vector<int> index_types = {GRAFT_DTYPE_i64, GRAFT_DTYPE_i32};

struct Kind { int dtype; Shape shape; };

static void same_as(const char *op, graft_launch_fn cpu, Random &r, const Tensors &in, const std::vector<Kind> &out,
                    const Attrs &attr)
{
	std::vector<Tensor> want, got;
	Tensors want_at, got_at;
	for (const Kind &k : out)
		want.emplace_back(k.dtype, k.shape), got.emplace_back(k.dtype, k.shape, any_result(r));
	for (size_t i = 0; i < out.size(); i++)
		want_at.push_back(&want[i]), got_at.push_back(&got[i]);
	std::string what = text_of(op, in, got[0]);
	CHECK_IS(run_cpu(cpu, in, want_at, attr), 0, what + ": the reference says " + hip_message());
	CHECK_IS(run_hip(hip_kernel(op), in, got_at, attr, what), 0, what + ": " + hip_message());
	for (size_t i = 0; i < out.size() && still_good(); i++) {
		check_close(got[i], want[i], 0, 0, what);
		if (still_good() && !same_bits(got[i], want[i]))
			failed(__FILE__, __LINE__, what + ": other bits");
	}
}

#define SAME(op, ...) same_as(#op, cpu_##op, r, __VA_ARGS__)

static Tensor tensor(Random &r, int dtype, const Shape &shape)
{
	Tensor t(dtype, shape, any(r), 16);
	t.fill(r);
	return t;
}

/* Ids from low up to high. */
static Tensor ids_of(Random &r, const Shape &shape, int64_t low, int64_t high)
{
	Tensor t(r.of(index_types), shape, any(r));
	for (int64_t i = 0, n = t.size(); i < n; i++)
		t.put(i, static_cast<double>(low + r.below(high - low)));
	return t;
}

static Shape with(Shape s, size_t axis, int64_t size)
{
	if (axis < s.size())
		s[axis] = size;
	return s;
}

/* ---- take ---- */

TEST(index_gather)
{
	Random r;
	for (int dtype : every)
		for (int64_t rank = 0; rank < 4; rank++)
			for (int64_t axis = 0; axis < (rank ? rank : 1); axis++) {
				Shape x_shape = any_shape(r, rank, 5), ids_shape;
				for (int64_t n : x_shape)
					ids_shape.push_back(r.below(n + 1));
				size_t at = static_cast<size_t>(axis);
				ids_shape = with(ids_shape, at, r.below(9));
				Tensor x = tensor(r, dtype, x_shape),
					ids = ids_of(r, ids_shape, 0, rank ? x_shape[at] : 1);
				SAME(gather, {&x, &ids}, {{dtype, ids_shape}}, {attr_int(axis)});
			}
}

/* Rows of 16 bytes: an index for each row can be taken for all of it, one for each element cannot. */
TEST(index_gather_packed)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_u8, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f32, GRAFT_DTYPE_i64}) {
		Tensor x(dtype, {4, 32}), each = ids_of(r, {6, 32}, 0, 4),
			row(GRAFT_DTYPE_i64, {6, 32}, Shape{1, 0}, 0);
		x.fill(r), row.fill(r, 4);
		SAME(gather, {&x, &each}, {{dtype, {6, 32}}}, {attr_int(0)});
		SAME(gather, {&x, &row}, {{dtype, {6, 32}}}, {attr_int(0)});
	}
}

TEST(index_select_slices)
{
	Random r;
	for (int dtype : every)
		for (int64_t width : {1, 5, 32})
			for (size_t axis = 0; axis < 3; axis++) {
				Shape x_shape = {3, 7, width};
				int64_t n = r.below(9);
				Tensor x = tensor(r, dtype, x_shape), ids = ids_of(r, {n}, 0, x_shape[axis]);
				SAME(index_select, {&x, &ids}, {{dtype, with(x_shape, axis, n)}},
				     {attr_int(static_cast<int64_t>(axis))});
			}
	Tensor x = tensor(r, GRAFT_DTYPE_f16, {}), ids = ids_of(r, {}, 0, 1);
	SAME(index_select, {&x, &ids}, {{GRAFT_DTYPE_f16, {}}}, {attr_int(0)});
}

/* x[ids...] with ids at the axes where `at` has a bit; the shape of the result, and those of the ids. */
struct Indexed { Shape shape; std::vector<Tensor> ids; };

static Indexed indexed(Random &r, const Shape &x, unsigned at, const Shape &all)
{
	Indexed t;
	size_t first = x.size(), last = 0, n = 0;
	for (size_t i = 0; i < x.size(); i++) {
		bool chosen = at >> i & 1;
		t.ids.push_back(chosen ? ids_of(r, n ? part_of(r, all) : all, -x[i], x[i]) : Tensor());
		if (chosen)
			first = std::min(first, i), last = i, n++;
	}
	for (size_t i = 0; i <= x.size(); i++) {
		if (i == (last - first + 1 == n ? first : 0))
			t.shape.insert(t.shape.end(), all.begin(), all.end());
		if (i < x.size() && !(at >> i & 1))
			t.shape.push_back(x[i]);
	}
	return t;
}

TEST(index_tuples)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_bf16, GRAFT_DTYPE_f32, GRAFT_DTYPE_i64, GRAFT_DTYPE_bool})
		for (unsigned at = 1; at < 16; at++) {
			Shape x_shape = any_shape(r, 3, 4);
			x_shape.push_back(at % 2 ? 16 : 3);
			Indexed t = indexed(r, x_shape, at, any_shape(r, r.below(4), 5));
			Tensor x = tensor(r, dtype, x_shape);
			Tensors in = {&x};
			for (Tensor &ids : t.ids)
				in.push_back(&ids);
			SAME(index, in, {{dtype, t.shape}}, {});
		}
	Indexed t = indexed(r, {2, 3, 2, 2, 3, 2, 2, 2}, 255, {4, 5});
	Tensor x = tensor(r, GRAFT_DTYPE_f32, {2, 3, 2, 2, 3, 2, 2, 2});
	Tensors in = {&x};
	for (Tensor &ids : t.ids)
		in.push_back(&ids);
	SAME(index, in, {{GRAFT_DTYPE_f32, t.shape}}, {});
}

/* ---- put ---- */

/* A number as a literal has it. */
static Tensor literal(int dtype)
{
	Tensor t(floating(dtype) ? static_cast<int>(GRAFT_DTYPE_f64) : static_cast<int>(GRAFT_DTYPE_i64), {});
	t.fill(floating(dtype) ? 1.7 : 3.0);
	return t;
}

TEST(index_scatter)
{
	Random r;
	for (int dtype : every)
		for (int64_t rank = 0; rank < 4; rank++)
			for (int64_t axis = 0; axis < (rank ? rank : 1); axis++) {
				Shape x_shape = any_shape(r, rank, 5), ids_shape, src_shape;
				size_t at = static_cast<size_t>(axis);
				for (int64_t n : x_shape)
					ids_shape.push_back(r.below(n + 1));
				ids_shape = with(ids_shape, at, r.below(3) ? r.below(9) : 60 + r.below(200));
				for (int64_t n : ids_shape)
					src_shape.push_back(n + r.below(2));
				Tensor x = tensor(r, dtype, x_shape), src = tensor(r, dtype, src_shape),
					ids = ids_of(r, ids_shape, 0, rank ? x_shape[at] : 1), one = literal(dtype);
				SAME(scatter, {&x, &ids, &src}, {{dtype, x_shape}}, {attr_int(axis)});
				SAME(scatter, {&x, &ids, &one}, {{dtype, x_shape}}, {attr_int(axis)});
			}
}

/* Sums of half precision are rounded after each addition, so the order shows. */
TEST(index_add_slices)
{
	Random r;
	for (int dtype : numbers)
		for (int64_t n : {0, 3, 64, 65, 1500})
			for (size_t axis = 0; axis < 3; axis++) {
				Shape x_shape = {2, 5, 16};
				x_shape[axis] = n > 200 ? 100 : 3;
				Tensor x = tensor(r, dtype, x_shape), ids = ids_of(r, {n}, 0, x_shape[axis]),
					src = tensor(r, dtype, with(x_shape, axis, n));
				SAME(index_add, {&x, &ids, &src}, {{dtype, x_shape}},
				     {attr_int(static_cast<int64_t>(axis))});
			}
	Tensor x = tensor(r, GRAFT_DTYPE_f32, {}), ids = ids_of(r, {}, 0, 1), src = tensor(r, GRAFT_DTYPE_f32, {});
	SAME(index_add, {&x, &ids, &src}, {{GRAFT_DTYPE_f32, {}}}, {attr_int(0)});
}

/* 16 bytes at once, more of them than a block has threads, and more indices than it lists at once. */
TEST(index_add_wide)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_f32, GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16})
		for (int64_t n : {2, 70, 1100}) {
			int64_t width = n > 1000 ? 24 : 2400;
			Tensor x(dtype, {9, width}), ids = ids_of(r, {n}, 0, 9), src(dtype, {n, width});
			x.fill(r), src.fill(r);
			SAME(index_add, {&x, &ids, &src}, {{dtype, {9, width}}}, {attr_int(0)});
			SAME(index_put, {&x, &src, &ids}, {{dtype, {9, width}}}, {attr_int(0)});
			/* rows of src that are not at multiples of 16 bytes */
			Tensor odd(dtype, {n, width}, GAPS, 1);
			odd.fill(r);
			SAME(index_add, {&x, &ids, &odd}, {{dtype, {9, width}}}, {attr_int(0)});
		}
}

static void one_index_put(Random &r, int dtype, const Shape &x_shape, unsigned at, const Shape &all)
{
	Indexed t = indexed(r, x_shape, at, all);
	Shape values_shape = part_of(r, t.shape);
	Tensor x = tensor(r, dtype, x_shape), values = tensor(r, dtype, values_shape), one = literal(dtype);
	for (int accumulate = 0; accumulate < 2; accumulate++) {
		Tensors in = {&x, r.below(4) ? &values : &one};
		for (Tensor &ids : t.ids)
			in.push_back(&ids);
		SAME(index_put, in, {{dtype, x_shape}}, {attr_int(accumulate)});
	}
}

TEST(index_put_tuples)
{
	Random r;
	for (int dtype : numbers)
		for (unsigned at = 1; at < 8; at++)
			for (int64_t n : {1, 3, 10}) {
				Shape x_shape = any_shape(r, 2, 5);
				x_shape.push_back(n == 3 ? 16 : 4);
				one_index_put(r, dtype, x_shape, at, {n, 1 + r.below(30)});
			}
	/* every element has an index of its own: an inverse permutation */
	for (int64_t n : {40, 2000}) {
		Tensor x(GRAFT_DTYPE_i64, {n}), ids(GRAFT_DTYPE_i64, {n}), values(GRAFT_DTYPE_i64, {n});
		for (int64_t i = 0; i < n; i++)
			ids.put(i, static_cast<double>(i * 7 % n)), values.put(i, static_cast<double>(i));
		x.fill(-1.0);
		SAME(index_put, {&x, &values, &ids}, {{GRAFT_DTYPE_i64, {n}}}, {attr_int(0)});
	}
}

/* No two neighbouring axes of 11 join. */
static Tensor tangled(int dtype, const Shape &shape)
{
	Shape stride(11);
	int64_t n = 1;
	for (size_t i = 0; i < 11; i++) {
		stride[i * 4 % 11] = n;
		n *= shape[i * 4 % 11];
	}
	return Tensor(dtype, shape, stride, 0);
}

/* More axes than a walk has. */
TEST(index_of_many_axes)
{
	Random r;
	Shape shape(11, 2), longer = with(shape, 4, 3);
	Tensor x = tangled(GRAFT_DTYPE_f32, shape), src = tangled(GRAFT_DTYPE_f32, longer),
		ids = ids_of(r, longer, 0, 2), line = ids_of(r, {3}, 0, 2);
	x.fill(r), src.fill(r);
	SAME(gather, {&x, &ids}, {{GRAFT_DTYPE_f32, ids.shape}}, {attr_int(4)});
	SAME(scatter, {&x, &ids, &src}, {{GRAFT_DTYPE_f32, shape}}, {attr_int(4)});
	SAME(index_add, {&x, &line, &src}, {{GRAFT_DTYPE_f32, shape}}, {attr_int(4)});
	/* the ids have the many axes: what they put keeps its order */
	Tensor y = tensor(r, GRAFT_DTYPE_f16, {3, 2}), many = tangled(GRAFT_DTYPE_i64, shape),
		values(GRAFT_DTYPE_f16, shape);
	many.fill(r, 3), values.fill(r);
	Shape both = shape;
	both.push_back(1);
	values.shape = both, values.stride.push_back(1);
	SAME(index_put, {&y, &values, &many}, {{GRAFT_DTYPE_f16, {3, 2}}}, {attr_int(1)});
	SAME(index_put, {&y, &values, &many}, {{GRAFT_DTYPE_f16, {3, 2}}}, {attr_int(0)});
}

/* ---- indices that are not there ---- */

static const std::vector<int64_t> strays = {-1, -9, 5, 1000000, INT32_MIN, INT32_MAX};

/* Rows 0 .. 4 are there; every other index is a stray. */
static Tensor with_strays(Random &r, int64_t n, bool wraps)
{
	Tensor ids(GRAFT_DTYPE_i64, {n});
	for (int64_t i = 0; i < n; i++) {
		int64_t id = i % 2 ? r.of(strays) : r.below(5);
		id = wraps && id == -1 ? -6 : id;
		memcpy(&ids.bytes[ids.at(i)], &id, sizeof id);
	}
	int64_t least = INT64_MIN, most = INT64_MAX;
	if (n > 3)
		memcpy(&ids.bytes[ids.at(1)], &least, sizeof least), memcpy(&ids.bytes[ids.at(3)], &most, sizeof most);
	return ids;
}

TEST(index_strays_are_not_read)
{
	Random r;
	for (int64_t width : {3, 8}) {
		Tensor x = tensor(r, GRAFT_DTYPE_f32, {5, width}), none(GRAFT_DTYPE_f32, {0, width});
		x = Tensor(GRAFT_DTYPE_f32, {5, width}), x.fill(r);
		for (const char *op : {"index_select", "index"}) {
			Tensor ids = with_strays(r, 8, !strcmp(op, "index")), y(GRAFT_DTYPE_f32, {8, width});
			CHECK_IS(run_hip(hip_kernel(op), {&x, &ids}, {&y}, {attr_int(0)}, op), 0, hip_message());
			for (int64_t i = 0; i < 8 * width; i++) {
				bool there = i / width % 2 == 0;
				int64_t from = there ? ids.integer(i / width) * width + i % width : 0;
				CHECK(there ? y.raw(i) == x.raw(from) : y.raw(i) == UINT32_MAX);
			}
			CHECK_IS(run_hip(hip_kernel(op), {&none, &ids}, {&y}, {attr_int(0)}, op), 0, hip_message());
			CHECK(y.raw(0) == UINT32_MAX && std::isnan(y.get(8 * width - 1)));
		}
	}
	Tensor x = tensor(r, GRAFT_DTYPE_u8, {5}), ids = with_strays(r, 8, false), y(GRAFT_DTYPE_u8, {8});
	CHECK_IS(run_hip(hip_kernel("gather"), {&x, &ids}, {&y}, {attr_int(0)}, "gather"), 0, hip_message());
	CHECK(y.raw(1) == 255 && y.raw(3) == 255 && y.raw(4) == x.raw(ids.integer(4)));
}

/* The odd rows of src are dropped: what is left is what the reference gets. */
TEST(index_strays_are_not_written)
{
	Random r;
	for (int64_t n : {6, 200})
		for (const char *op : {"scatter", "index_add", "index_put"}) {
			bool put = !strcmp(op, "index_put"), deep = !strcmp(op, "scatter");
			Tensor x(GRAFT_DTYPE_f16, deep ? Shape{5} : Shape{5, 8}), y = x, want = x;
			Tensor src(GRAFT_DTYPE_f16, deep ? Shape{n} : Shape{n, 8}), ids = with_strays(r, n, put);
			x.fill(r), src.fill(r);
			Tensor good(GRAFT_DTYPE_i64, {n / 2}, {2}, 0), even = src;
			for (int64_t i = 0; i < n / 2; i++)
				good.put(i, static_cast<double>(ids.integer(2 * i)));
			even.shape[0] = n / 2, even.stride[0] *= 2;
			Tensors all = put ? Tensors{&x, &src, &ids} : Tensors{&x, &ids, &src};
			Tensors some = put ? Tensors{&x, &even, &good} : Tensors{&x, &good, &even};
			graft_launch_fn cpu = put ? cpu_index_put : deep ? cpu_scatter : cpu_index_add;
			CHECK_IS(run_cpu(cpu, some, {&want}, {attr_int(0)}), 0, hip_message());
			CHECK_IS(run_hip(hip_kernel(op), all, {&y}, {attr_int(0)}, op), 0, hip_message());
			if (!same_bits(y, want))
				failed(__FILE__, __LINE__, op);
		}
}

/* ---- order ---- */

static void one_sort(Random &r, int dtype, const Shape &shape, int64_t axis, int64_t k, int64_t alike)
{
	Tensor x = tensor(r, dtype, shape);
	if (alike)
		x.fill(r, alike);
	for (int64_t i = 0, n = x.size(); i < n && floating(dtype); i++)
		if (r.below(7) == 0)
			x.put(i, r.of(std::vector<double>{NAN, INFINITY, -INFINITY, 0.0, -0.0}));
	for (int way = 0; way < 2; way++) {
		if (k < 0) {
			SAME(sort, {&x}, {{dtype, shape}, {GRAFT_DTYPE_i64, shape}},
			     {attr_int(axis), attr_int(way), attr_int(0)});
			continue;
		}
		Shape y = with(shape, static_cast<size_t>(axis), k);
		SAME(topk, {&x}, {{dtype, y}, {GRAFT_DTYPE_i64, y}},
		     {attr_int(k), attr_int(axis), attr_int(way), attr_int(1)});
	}
}

TEST(sort_short_lines)
{
	Random r;
	for (int dtype : every)
		for (int64_t n : {1, 3, 8, 40})
			for (size_t axis = 0; axis < 3; axis++) {
				Shape shape = {2, 5, 3};
				shape[axis] = n;
				one_sort(r, dtype, shape, static_cast<int64_t>(axis), -1, dtype % 2 ? 4 : 0);
				one_sort(r, dtype, shape, static_cast<int64_t>(axis), r.below(n + 1), n % 2 ? 0 : 3);
			}
	one_sort(r, GRAFT_DTYPE_f32, {}, 0, -1, 0);
	one_sort(r, GRAFT_DTYPE_f32, {}, 0, 1, 0);
	one_sort(r, GRAFT_DTYPE_f32, {0, 3}, 0, -1, 0);
	one_sort(r, GRAFT_DTYPE_f32, {0, 3}, 1, 2, 0);
	one_sort(r, GRAFT_DTYPE_f32, {300, 8}, 1, 2, 0);
	for (int64_t n : {256, 257, 512, 2047, 2048})
		one_sort(r, GRAFT_DTYPE_bf16, {2, n}, 1, n % 2 ? 9 : -1, 0);
}

/* A few of each piece that is read are better than the best so far. */
static void few_better(Random &r)
{
	Tensor x(GRAFT_DTYPE_i32, {9000});
	for (int64_t i = 0; i < 9000; i++)
		x.put(i, i < 1024 ? 1 : i % 50 ? 0 : static_cast<double>(i));
	SAME(topk, {&x}, {{GRAFT_DTYPE_i32, {1000}}, {GRAFT_DTYPE_i64, {1000}}},
	     {attr_int(1000), attr_int(0), attr_int(1), attr_int(1)});
}

TEST(sort_long_lines)
{
	Random r;
	for (int64_t n : {2049, 4096, 9000})
		one_sort(r, n % 2 ? GRAFT_DTYPE_f32 : GRAFT_DTYPE_i64, {2, n}, 1, -1, n % 2 ? 0 : 8);
	one_sort(r, GRAFT_DTYPE_f16, {2100, 2}, 0, -1, 0);
	for (int64_t k : {1, 50, 1024})
		one_sort(r, GRAFT_DTYPE_f32, {2, 5000}, 1, k, k == 50 ? 100 : 0);
	one_sort(r, GRAFT_DTYPE_bf16, {2600, 2}, 0, 1030, 0);
	/* the worst order for what is better than the best so far */
	Tensor x(GRAFT_DTYPE_i32, {7000});
	for (int64_t i = 0; i < 7000; i++)
		x.put(i, static_cast<double>(i));
	SAME(topk, {&x}, {{GRAFT_DTYPE_i32, {900}}, {GRAFT_DTYPE_i64, {900}}},
	     {attr_int(900), attr_int(0), attr_int(1), attr_int(1)});
	few_better(r);
	/* ids that are no i64 have no halves */
	Tensor z = tensor(r, GRAFT_DTYPE_f32, {2100});
	SAME(sort, {&z}, {{GRAFT_DTYPE_f32, {2100}}, {GRAFT_DTYPE_i32, {2100}}},
	     {attr_int(0), attr_int(0), attr_int(0)});
}

/* ---- pieces ---- */

TEST(repeat_axes)
{
	Random r;
	for (int dtype : every)
		for (int i = 0; i < 8; i++) {
			Shape x_shape = any_shape(r, r.below(4), 4), y_shape, times = any_shape(r, r.below(3), 3);
			if (i % 2 && !x_shape.empty())
				x_shape.back() = 16;
			y_shape = times;
			for (int64_t n : x_shape)
				times.push_back(r.below(8) ? 1 + r.below(3) : 0), y_shape.push_back(n * times.back());
			Tensor x = tensor(r, dtype, x_shape);
			SAME(repeat, {&x}, {{dtype, y_shape}}, {attr_list(times)});
		}
}

TEST(slice_scatter_parts)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_bf16, GRAFT_DTYPE_f32, GRAFT_DTYPE_i64, GRAFT_DTYPE_bool})
		for (int i = 0; i < 24; i++) {
			Shape shape = {3, 6, 16};
			size_t axis = static_cast<size_t>(i % 3);
			int64_t size = shape[axis], start = r.below(size + 1), end = start + r.below(size - start + 1);
			int64_t step = 1 + r.below(3), n = (end - start + step - 1) / step;
			int from = i % 4 ? dtype : static_cast<int>(GRAFT_DTYPE_f32);
			Tensor x = tensor(r, dtype, shape), src = tensor(r, from, with(shape, axis, n));
			SAME(slice_scatter, {&x, &src}, {{dtype, shape}},
			     {attr_int(static_cast<int64_t>(axis)),
			      attr_int(i % 2 && start < size ? start - size : start),
			      attr_int(end == size ? INT64_MAX : end), attr_int(step)});
		}
}

TEST(triangles)
{
	Random r;
	for (int dtype : every)
		for (int64_t diagonal : {int64_t{0}, int64_t{1}, int64_t{-2}, int64_t{40}, INT64_MIN, INT64_MAX})
			for (const Shape &shape : {Shape{5, 7}, Shape{2, 3, 8, 3}, Shape{3, 0}}) {
				Tensor x = tensor(r, dtype, shape);
				SAME(tril, {&x}, {{dtype, shape}}, {attr_int(diagonal)});
				SAME(triu, {&x}, {{dtype, shape}}, {attr_int(diagonal)});
			}
}

/* ---- grouped_matmul ---- */

/* What the ends are taken for: none below those before it, none beyond the rows. */
static void put_ends(Tensor *t, const std::vector<int64_t> &ends, int64_t rows, bool as_taken)
{
	int64_t last = 0;
	for (size_t i = 0; i < ends.size(); i++) {
		last = std::max(last, std::min(ends[i], rows));
		t->put(static_cast<int64_t>(i), static_cast<double>(as_taken ? last : ends[i]));
	}
}

static void one_grouped(Random &r, int dtype, int64_t m, int64_t k, int64_t n, const std::vector<int64_t> &ends)
{
	int64_t groups = static_cast<int64_t>(ends.size());
	Tensor a = tensor(r, dtype, {m, k}), b = tensor(r, dtype, {groups, k, n}),
		given(r.of(index_types), {groups}, any(r)), taken(GRAFT_DTYPE_i64, {groups}),
		want(dtype, {m, n}), got(dtype, {m, n}, any_result(r));
	if (given.stride[0] == 0)
		given = Tensor(GRAFT_DTYPE_i32, {groups}, GAPS);
	put_ends(&given, ends, m, false), put_ends(&taken, ends, m, true);
	std::string what = text_of("grouped_matmul", {&a, &b, &given}, got);
	CHECK_IS(run_cpu(cpu_grouped_matmul, {&a, &b, &taken}, {&want}, {}), 0, what + ": " + hip_message());
	CHECK_IS(run_hip(hip_kernel("grouped_matmul"), {&a, &b, &given}, {&got}, {}, what), 0,
	         what + ": " + hip_message());
	if (still_good())
		check_close(got, want, floating(dtype), floating(dtype) ? 2e-6 : 0, what);
}

TEST(grouped_matmul_ends)
{
	Random r;
	for (int dtype : {GRAFT_DTYPE_f32, GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16, GRAFT_DTYPE_i64}) {
		one_grouped(r, dtype, 9, 5, 7, {2, 2, 6, 9});
		one_grouped(r, dtype, 150, 17, 66, {0, 70, 70, 141});         /* tiles, and rows behind */
		one_grouped(r, dtype, 3, 4, 5, {0, 0});
		one_grouped(r, dtype, 3, 0, 5, {1, 3});
		one_grouped(r, dtype, 0, 4, 5, {0});
		one_grouped(r, dtype, 3, 4, 0, {3});
		one_grouped(r, dtype, 8, 4, 6, {5, 2, -4, 7, 1000, 3});       /* they lie */
		one_grouped(r, dtype, 70, 4, 6, {INT32_MAX, INT32_MIN, 70});
		one_grouped(r, dtype, 250, 4, 6, {150, 0, 200});
	}
	std::vector<int64_t> many;
	for (int64_t i = 0; i < 300; i++)
		many.push_back(i < 290 ? i / 3 : i - 150);
	one_grouped(r, GRAFT_DTYPE_f32, 160, 3, 5, many);
	std::reverse(many.begin(), many.end());
	one_grouped(r, GRAFT_DTYPE_f32, 160, 3, 5, many);
}

/* ---- all of them ---- */

/* Orders of threads, and of blocks, do not show. */
TEST(index_schedules)
{
	for (unsigned seed : {1, 2, 3}) {
		Random r;
		schedule(seed);
		Tensor x = tensor(r, GRAFT_DTYPE_f16, {9, 40}), ids = ids_of(r, {300}, 0, 9),
			src = tensor(r, GRAFT_DTYPE_f16, {300, 40}), deep = ids_of(r, {200, 3}, 0, 9),
			values = tensor(r, GRAFT_DTYPE_f16, {200, 3});
		SAME(index_add, {&x, &ids, &src}, {{GRAFT_DTYPE_f16, {9, 40}}}, {attr_int(0)});
		SAME(scatter, {&x, &deep, &values}, {{GRAFT_DTYPE_f16, {9, 40}}}, {attr_int(0)});
		one_sort(r, GRAFT_DTYPE_f32, {5, 100}, 1, 7, 6);
		one_sort(r, GRAFT_DTYPE_i32, {4100}, 0, -1, 50);
		one_sort(r, GRAFT_DTYPE_f32, {5000}, 0, 1000, 0);
		few_better(r);
		one_grouped(r, GRAFT_DTYPE_f32, 80, 18, 7, {3, 70, 75});
	}
	schedule(0);
}
