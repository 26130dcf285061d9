/* attention.cpp - attention against the reference kernel: sizes around every edge of the tiles, both ways of sharing
 * out the keys, masks, rows that see nothing, numbers that are none. */
#include "hip.h"
#include <cmath>
#include <cstring>

static graft_launch_fn attention() { return hip_kernel("scaled_dot_product_attention"); }

static Attrs attrs(bool causal) { return {attr_int(causal), attr_none()}; }

static void compare(Tensor &q, Tensor &k, Tensor &v, Tensor &mask, const Attrs &attr, Layout layout = DENSE)
{
	Shape shape = q.shape;
	shape.back() = v.shape.back();
	COMPARE(scaled_dot_product_attention, {&q, &k, &v, &mask}, q.dtype, shape, layout, attr, 1,
	        4e-6 + 3e-8 * static_cast<double>(q.shape.back()));
}

static void one(Random &r, int dtype, int64_t queries, int64_t keys, int64_t depth, int64_t width, bool causal,
                Layout layout = DENSE)
{
	Tensor q(dtype, {1, queries, depth}, layout), k(dtype, {1, keys, depth}, layout),
		v(dtype, {1, keys, width}, layout), none;
	q.fill(r), k.fill(r), v.fill(r);
	compare(q, k, v, none, attrs(causal));
}

/* A query to a block up to FEW, a tile of them beyond; a tile has 64 or 32, and 64 keys. */
TEST(attention_queries_and_keys)
{
	Random r;
	for (int64_t queries : {1, 2, 16, 17, 32, 33, 63, 64, 65, 130})
		for (int64_t keys : {1, 63, 64, 65, 129})
			one(r, r.of(floats), queries, keys, 8, 8, queries % 2);
	for (int64_t queries : {33, 65})
		one(r, GRAFT_DTYPE_bf16, queries, 70, 8, 264, false);
}

/* Slices of the depth; columns of a block: 64, 128, 256, 512, and 128 or 512 where it has one query. */
TEST(attention_depths_and_widths)
{
	Random r;
	for (int64_t depth : {0, 1, 7, 8, 9, 31, 32, 33, 64, 127, 128, 129, 192, 576})
		for (int64_t queries : {2, 18})
			one(r, r.of(floats), queries, 20, depth, 12, false, depth % 8 ? ODD : DENSE);
	for (int64_t width : {1, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513})
		for (int64_t queries : {2, 18})
			one(r, r.of(floats), queries, 70, 16, width, width % 2);
}

/* The heads of DeepSeek: expanded, and absorbed with one key for all; rows of k and v are pieces of wider ones. */
TEST(attention_deepseek)
{
	Random r;
	for (int dtype : floats)
		for (int64_t queries : {1, 40}) {
			Tensor q(dtype, {2, queries, 192}, {192 * queries, 192, 1}, 0),
				k(dtype, {2, 80, 192}, {192, 384, 1}, 0),
				v(dtype, {2, 80, 128}, {256, 512, 1}, 128), none;
			q.fill(r), k.fill(r), v.fill(r);
			compare(q, k, v, none, attrs(queries > 1));
			Tensor latent(dtype, {1, 70, 576}), values(dtype, {1, 70, 512}, {0, 576, 1}, 0),
				query(dtype, {2, queries, 576});
			latent.fill(r), query.fill(r), values.fill(r);
			compare(query, latent, values, none, {attr_int(0), attr_float(0.05)});
		}
}

TEST(attention_layouts)
{
	Random r;
	for (int layout : {GAPS, PERMUTED, EXPANDED, NEGATIVE, ODD})
		for (int dtype : {GRAFT_DTYPE_bf16, GRAFT_DTYPE_f32})
			for (int64_t queries : {3, 20}) {
				Layout of = static_cast<Layout>(layout);
				Tensor q(dtype, {2, 2, queries, 24}, of), k(dtype, {1, 2, 30, 24}, of, 8),
					v(dtype, {2, 30, 16}, of), mask(GRAFT_DTYPE_bool, {2, 1, queries, 30}, of);
				q.fill(r), k.fill(r), v.fill(r), mask.fill(r);
				compare(q, k, v, mask, attrs(false), layout == EXPANDED ? GAPS : of);
			}
}

static void one_masked(Random &r, int dtype, int64_t queries, int64_t keys, int64_t depth, int64_t width, int mask,
                       bool causal)
{
	Tensor q(dtype, {2, 3, queries, depth}, any(r)), k(dtype, {2, 1, keys, depth}, any(r)),
		v(dtype, {3, keys, width}, any(r)), m;
	q.fill(r), k.fill(r), v.fill(r);
	if (mask == 1)
		m = Tensor(GRAFT_DTYPE_bool, {queries, keys}).fill(r);
	if (mask == 2)
		m = Tensor(dtype, {2, 1, 1, keys}).fill(r);
	COMPARE(scaled_dot_product_attention, {&q, &k, &v, &m}, dtype, {2, 3, queries, width}, any_result(r),
	        {attr_int(causal), mask ? attr_float(0.3) : attr_none()}, 1, 4e-6);
}

TEST(attention_masks)
{
	Random r;
	for (int dtype : floats) {
		one_masked(r, dtype, 1, 1, 4, 4, 0, false);
		one_masked(r, dtype, 9, 33, 8, 5, 0, false);
		one_masked(r, dtype, 10, 40, 4, 6, 1, false);
		one_masked(r, dtype, 3, 65, 8, 7, 2, false);
		one_masked(r, dtype, 17, 17, 6, 4, 0, true);
		one_masked(r, dtype, 4, 12, 3, 260, 0, true);
		one_masked(r, dtype, 2, 0, 3, 4, 0, false);
	}
}

/* Queries that see no key at all, or none of the first tile, get what the reference gives. */
TEST(attention_masks_that_hide_all)
{
	Random r;
	for (int64_t queries : {5, 70})
		for (int type : {GRAFT_DTYPE_bool, GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16}) {
			Tensor q(GRAFT_DTYPE_bf16, {2, queries, 16}), k(GRAFT_DTYPE_bf16, {2, 150, 16}),
				v(GRAFT_DTYPE_bf16, {2, 150, 16}), mask(type, {queries, 150}), row(type, {2, 1, 150});
			q.fill(r), k.fill(r), v.fill(r), mask.fill(type == GRAFT_DTYPE_bool), row.fill(r);
			for (int64_t i = 0; i < 150; i++) {
				mask.put(i, type == GRAFT_DTYPE_bool ? 0 : -INFINITY);
				if (i < 130)
					mask.put(3 * 150 + i, type == GRAFT_DTYPE_bool ? 0 : -INFINITY);
			}
			compare(q, k, v, mask, attrs(false));
			compare(q, k, v, row, attrs(true));
		}
}

/* inf and NaN in operands: in scores that are masked they do not show, in others they do. */
TEST(attention_extremes)
{
	Random r;
	for (int64_t queries : {2, 20}) {
		Tensor q(GRAFT_DTYPE_f32, {queries, 8}), k(GRAFT_DTYPE_f32, {30, 8}), v(GRAFT_DTYPE_f32, {30, 8}),
			mask(GRAFT_DTYPE_bool, {30}), none;
		q.fill(1), k.fill(r), v.fill(r), mask.fill(1);
		k.put(9 * 8, NAN), k.put(11 * 8, INFINITY), k.put(13 * 8, -INFINITY), k.put(15 * 8, 1e30);
		compare(q, k, v, none, attrs(false));
		mask.put(9, 0), mask.put(11, 0);
		compare(q, k, v, mask, attrs(false));
		q.put(0, NAN);
		compare(q, k, v, mask, attrs(false));
	}
}

/* The order of threads does not show, nor does a second run. */
TEST(attention_repeats)
{
	Random r;
	for (int64_t queries : {1, 66}) {
		Tensor q(GRAFT_DTYPE_f16, {queries, 40}), k(GRAFT_DTYPE_f16, {140, 40}), v(GRAFT_DTYPE_f16, {140, 136}),
			first;
		q.fill(r), k.fill(r), v.fill(r);
		for (unsigned seed = 0; seed < 5; seed++) {
			Tensor y(GRAFT_DTYPE_f16, {queries, 136});
			schedule(seed);
			CHECK_IS(run_hip(attention(), {&q, &k, &v}, {&y}, attrs(true), "repeat"), 0, hip_message());
			if (seed == 0)
				first = y;
			CHECK(same_bits(y, first));
		}
		schedule(0);
	}
}

TEST(attention_refuses)
{
	Tensor q(GRAFT_DTYPE_f32, {2, 8}), k(GRAFT_DTYPE_bf16, {3, 8}), k7(GRAFT_DTYPE_f32, {3, 7}),
		v(GRAFT_DTYPE_f32, {3, 4}), mask(GRAFT_DTYPE_i32, {2, 3}), none, y(GRAFT_DTYPE_f32, {2, 4});
	q.fill(1), k.fill(1), k7.fill(1), v.fill(1), mask.fill(1);
	CHECK_IS(run_hip(attention(), {&q, &k, &v, &none}, {&y}, attrs(false), "dtypes"), GRAFT_E_UNSUPPORTED,
	         hip_message());
	CHECK(strstr(hip_message(), "bf16 and f32"));
	CHECK_IS(run_hip(attention(), {&q, &k7, &v, &none}, {&y}, attrs(false), "depth"), GRAFT_E_USAGE, hip_message());
	CHECK_IS(run_hip(attention(), {&q, &q, &v, &mask}, {&y}, attrs(false), "mask"), GRAFT_E_UNSUPPORTED,
	         hip_message());
}
