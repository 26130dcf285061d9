/* kernel_move.c - clone, concat, copy_, reshape, embedding, arange, constant. */
#include "kernel_host.h"

/* The same bits in row-major order, whatever the shapes. */
static void check_moved(const Box *x, const Box *y)
{
	CHECK(same_bits(x, y));
}

static Layout any_layout(Random *r) { return (Layout)random_below(r, LAYOUTS); }
static Layout any_output(Random *r) { return (Layout)random_below(r, EXPANDED); }

TEST(kernel_clone_random)
{
	Random r = { 61 };
	for (int k = 0; k < 5 * GRAFT_DTYPE_COUNT; k++) {
		int64_t shape[] = { random_below(&r, 4), 1 + random_below(&r, 9), 1 + random_below(&r, 40) };
		int rank = (int)random_below(&r, 4);
		Box *x = box_new(&r, k % GRAFT_DTYPE_COUNT, rank, shape, any_layout(&r));
		Box *y = box_new(&r, k % GRAFT_DTYPE_COUNT, rank, shape, any_output(&r));
		run_kernel(cpu_clone, 1 + k % 3, BOXES(x), BOXES(y), NO_ATTRS);
		check_moved(x, y);
		box_free(x);
		box_free(y);
	}
}

TEST(kernel_reshape_random)
{
	Random r = { 62 };
	for (int k = 0; k < 60; k++) {
		int dtype = k % GRAFT_DTYPE_COUNT;
		int64_t a = 1 + random_below(&r, 5), b = random_below(&r, 6), c = 1 + random_below(&r, 7);
		Box *x = box_new(&r, dtype, SHAPE(a, b, c), any_layout(&r));
		int64_t flat[2] = { b * c, a }, deep[4] = { c, 1, a, b };
		Box *y = box_new(&r, dtype, k % 3 ? 2 : 4, k % 3 ? flat : deep, any_output(&r));
		run_kernel(cpu_reshape, 1 + k % 3, BOXES(x), BOXES(y), NO_ATTRS);
		check_moved(x, y);
		box_free(x);
		box_free(y);
	}
}

TEST(kernel_concat_random)
{
	Random r = { 63 };
	for (int k = 0; k < 60; k++) {
		int dtype = k % GRAFT_DTYPE_COUNT, axis = (int)random_below(&r, 3);
		int64_t shape[3] = { 1 + random_below(&r, 4), 1 + random_below(&r, 4), 1 + random_below(&r, 4) };
		int64_t n = 0, before = 0;
		graft_attr attr = { .given = 1, .i = axis };
		size_t item = graft_dtype_size((graft_dtype)dtype);
		Box *x[3], *y;
		for (int i = 0; i < 3; i++) {
			n += shape[axis] = random_below(&r, 4);
			x[i] = box_new(&r, dtype, 3, shape, any_layout(&r));
		}
		shape[axis] = n;
		y = box_new(&r, dtype, 3, shape, any_output(&r));
		run_kernel(cpu_concat, 1 + k % 3, x, 3, BOXES(y), &attr, 1);
		for (int i = 0; i < 3; i++) {
			Box part = *y;
			part.t.shape = part.shape;
			part.shape[axis] = x[i]->shape[axis];
			part.size = x[i]->size;
			if (part.size)
				part.t.data = (char *)y->t.data + before * y->stride[axis] * (int64_t)item;
			before += x[i]->shape[axis];
			check_moved(x[i], &part);
			box_free(x[i]);
		}
		box_free(y);
	}
}

TEST(kernel_concat_casts)
{
	graft_attr axis = { .given = 1, .i = 0 };
	Box *a = box_vector(GRAFT_DTYPE_i32, 1, (double[]){ 3 });
	Box *b = box_vector(GRAFT_DTYPE_f32, 1, (double[]){ 0.5 });
	Box *y = box_vector(GRAFT_DTYPE_f32, 2, NULL);
	run_kernel(cpu_concat, 1, BOXES(a, b), BOXES(y), &axis, 1);
	CHECK(box_get(y, 0) == 3 && box_get(y, 1) == 0.5);
	for (int i = 0; i < 3; i++)
		box_free((Box *[]){ a, b, y }[i]);
}

TEST(kernel_concat_refuses_what_does_not_fit)
{
	Random r = { 64 };
	Host h;
	graft_attr axis = { .given = 1, .i = 0 };
	Box *a = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 3), DENSE);
	Box *b = box_new(&r, GRAFT_DTYPE_f32, SHAPE(1, 4), DENSE);
	Box *y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 3), DENSE);
	host_init(&h, 1);
	CHECK_INT(fail_kernel(cpu_concat, &h, BOXES(a, b), BOXES(y), &axis, 1), GRAFT_E_USAGE);
	CHECK_STR(h.message, "concat: operand 1 does not fit into the result");
	CHECK_INT(fail_kernel(cpu_concat, &h, BOXES(a, a), BOXES(y), &axis, 1), GRAFT_E_USAGE);
	for (int i = 0; i < 3; i++)
		box_free((Box *[]){ a, b, y }[i]);
}

TEST(kernel_copy_in_place)
{
	Random r = { 65 };
	for (int k = 0; k < 30; k++) {
		Box *x = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(3, 4, 5), any_output(&r));
		Box *src = k % 2 ? box_new(&r, GRAFT_DTYPE_f32, SHAPE(4, 1), any_layout(&r)) :
		                   box_new(&r, GRAFT_DTYPE_i16, SHAPE(3, 4, 5), any_layout(&r));
		run_kernel(cpu_copy_, 1 + k % 3, BOXES(x, src), BOXES(x), NO_ATTRS);
		for (int64_t i = 0; i < x->size; i++)
			CHECK(box_get(x, i) == rounded(GRAFT_DTYPE_bf16, box_get_broadcast(src, x, i)));
		box_free(x);
		box_free(src);
	}
}

/* x[1:] = x[:-1], a source that the writing would destroy. */
TEST(kernel_copy_onto_itself_shifted)
{
	const double v[5] = { 1, 2, 3, 4, 5 };
	Box *x = box_vector(GRAFT_DTYPE_f32, 5, v), *to = box_vector(GRAFT_DTYPE_f32, 4, NULL);
	Box *from = box_vector(GRAFT_DTYPE_f32, 4, NULL);
	void *data = to->t.data, *other = from->t.data;
	to->t.data = (float *)x->t.data + 1;
	from->t.data = x->t.data;
	graft_tensor in[2] = { to->t, from->t };
	Host h;
	host_init(&h, 1);
	graft_launch l = { sizeof l, 2, 1, 0, in, &to->t, NULL, NULL, &h.api, h.message, sizeof h.message };
	CHECK_INT(cpu_copy_(&l), 0);
	host_end(&h);
	for (int i = 0; i < 5; i++)
		CHECK(box_get(x, i) == (i ? v[i - 1] : 1));
	to->t.data = data;
	from->t.data = other;
	for (int i = 0; i < 3; i++)
		box_free((Box *[]){ x, to, from }[i]);
}

/* ---- embedding ---- */

TEST(kernel_embedding_random)
{
	Random r = { 66 };
	for (int k = 0; k < 40; k++) {
		int dtype = k % GRAFT_DTYPE_COUNT;
		int64_t rows = 1 + random_below(&r, 9), width = random_below(&r, 7);
		Box *table = box_new(&r, dtype, SHAPE(rows, width), any_layout(&r));
		Box *ids = box_new(&r, k % 2 ? GRAFT_DTYPE_i32 : GRAFT_DTYPE_i64, SHAPE(3, 4), any_layout(&r));
		Box *y = box_new(&r, dtype, SHAPE(3, 4, width), any_output(&r));
		for (int64_t i = 0; i < ids->size; i++)
			box_put(ids, i, (double)random_below(&r, rows));
		run_kernel(cpu_embedding, 1 + k % 3, BOXES(table, ids), BOXES(y), NO_ATTRS);
		for (int64_t i = 0; i < y->size; i++)
			CHECK(memcmp(box_at(y, i), box_at(table, (int64_t)box_get(ids, i / width) * width + i % width),
			             graft_dtype_size((graft_dtype)dtype)) == 0);
		for (int i = 0; i < 3; i++)
			box_free((Box *[]){ table, ids, y }[i]);
	}
}

static void stray_index(double id, const char *message)
{
	Random r = { 67 };
	Host h;
	Box *table = box_new(&r, GRAFT_DTYPE_f32, SHAPE(5, 2), DENSE);
	Box *ids = box_new(&r, GRAFT_DTYPE_i64, SHAPE(2, 3), DENSE);
	Box *y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 3, 2), DENSE);
	for (int64_t i = 0; i < 6; i++)
		box_put(ids, i, i == 4 ? id : 0);
	host_init(&h, 2);
	CHECK_INT(fail_kernel(cpu_embedding, &h, BOXES(table, ids), BOXES(y), NO_ATTRS), GRAFT_E_DATA);
	CHECK_STR(h.message, message);
	for (int i = 0; i < 3; i++)
		box_free((Box *[]){ table, ids, y }[i]);
}

TEST(kernel_embedding_refuses_indices)
{
	stray_index(5, "embedding: ids[1, 1] is 5, but the table has 5 rows; an index is 0 to 4");
	stray_index(-1, "embedding: ids[1, 1] is -1, but the table has 5 rows; an index is 0 to 4");
	stray_index(-0x1p63,
	            "embedding: ids[1, 1] is -9223372036854775808, but the table has 5 rows; an index is 0 to 4");
}

/* ---- values from attributes ---- */

TEST(kernel_arange)
{
	graft_attr attr[4] = { { .given = 1, .i = 5 }, { .given = 1, .i = -4 }, { .given = 1, .i = -2 },
	                      { .given = 1 } };
	static const int dtypes[] = { GRAFT_DTYPE_i64, GRAFT_DTYPE_i32, GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16,
	                             GRAFT_DTYPE_f64 };
	for (int d = 0; d < 5; d++) {
		Box *y = box_vector(dtypes[d], 5, NULL);
		run_kernel(cpu_arange, 2, NULL, 0, BOXES(y), attr, 4);
		for (int64_t i = 0; i < 5; i++)
			CHECK(box_get(y, i) == (double)(5 - 2 * i));
		box_free(y);
	}
}

TEST(kernel_constant)
{
	Random r = { 68 };
	const double v[4] = { 0.5, -1, 3, 1e300 };
	int64_t bits[4];
	graft_attr attr[3] = { { .given = 1 }, { .given = 1 }, { .given = 1, .n = 4, .list = bits } };
	memcpy(bits, v, sizeof v);
	Box *y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 2), PERMUTED);
	run_kernel(cpu_constant, 3, NULL, 0, BOXES(y), attr, 3);
	for (int64_t i = 0; i < 4; i++)
		CHECK(box_get(y, i) == (double)(float)v[i]);
	attr[2].n = 1;
	run_kernel(cpu_constant, 3, NULL, 0, BOXES(y), attr, 3);
	for (int64_t i = 0; i < 4; i++)
		CHECK(box_get(y, i) == 0.5);
	box_free(y);
	y = box_new(&r, GRAFT_DTYPE_i64, SHAPE(2), DENSE);
	attr[2] = (graft_attr){ .given = 1, .n = 2, .list = (const int64_t[]){ INT64_MAX, INT64_MIN } };
	run_kernel(cpu_constant, 1, NULL, 0, BOXES(y), attr, 3);
	CHECK_INT(box_integer(y, 0), INT64_MAX);
	CHECK_INT(box_integer(y, 1), INT64_MIN);
	Host h;
	host_init(&h, 1);
	attr[2].n = 0;
	CHECK_INT(fail_kernel(cpu_constant, &h, NULL, 0, BOXES(y), attr, 3), GRAFT_E_USAGE);
	box_free(y);
}
