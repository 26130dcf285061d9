/* kernel_index.c - elements chosen and put by index, against loops over coordinates. */
#include "kernel_host.h"

static const int dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_i64, GRAFT_DTYPE_f64, GRAFT_DTYPE_bool,
                             GRAFT_DTYPE_u8,
                              GRAFT_DTYPE_i16, GRAFT_DTYPE_f16 };
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes, ROUNDS = 60 };

static int64_t place_of(const Box *b, const int64_t *at)
{
	int64_t place = 0;
	for (int i = 0; i < b->t.rank; i++)
		place = place * b->shape[i] + at[i];
	return place;
}

static Layout any_layout(Random *r) { return (Layout)random_below(r, LAYOUTS); }
static Layout own_layout(Random *r) { return (Layout)random_below(r, EXPANDED); }   /* each element has its own place */

static int random_shape(Random *r, int least, int64_t *shape)
{
	int rank = least + (int)random_below(r, 4 - least);
	for (int i = 0; i < rank; i++)
		shape[i] = 1 + random_below(r, random_below(r, 8) ? 5 : 40);
	return rank;
}

/* Indices of an axis of that size; from -size on when they wrap. */
static Box *random_ids(Random *r, int rank, const int64_t *shape, int64_t size, bool wrap)
{
	Box *b = box_new(r, random_below(r, 2) ? GRAFT_DTYPE_i64 : GRAFT_DTYPE_i32, rank, shape, own_layout(r));
	for (int64_t i = 0; i < b->size; i++)
		box_put(b, i, (double)(random_below(r, wrap ? 2 * size : size) - (wrap ? size : 0)));
	return b;
}

static void check_element(const char *op, const Box *y, int64_t i, double want)
{
	double got = box_get(y, i);
	if (!close_to(y->t.dtype, got, want, 0, 0))
		test_fail(__FILE__, __LINE__, "%s: element %lld in %s is %.17g, not %.17g", op, (long long)i,
		          graft_dtype_name((graft_dtype)y->t.dtype), got, want);
}

static void gather_case(Random *r, int dtype)
{
	int64_t shape[4], small[4], at[GRAFT_MAX_RANK];
	int rank = random_shape(r, 0, shape), axis = rank ? (int)random_below(r, rank) : 0;
	for (int i = 0; i < rank; i++)
		small[i] = i == axis ? random_below(r, 7) : 1 + random_below(r, shape[i]);
	Box *x = box_new(r, dtype, rank, shape, any_layout(r));
	Box *ids = random_ids(r, rank, small, rank ? shape[axis] : 1, false);
	Box *y = box_new(r, dtype, rank, small, own_layout(r));
	run_kernel(cpu_gather, 3, BOXES(x, ids), BOXES(y), &(graft_attr){ .given = 1, .i = axis }, 1);
	for (int64_t i = 0; i < y->size; i++) {
		box_coordinates(y, i, at);
		at[axis] = (int64_t)box_get(ids, i);
		check_element("gather", y, i, box_get(x, place_of(x, at)));
	}
	box_free(x);
	box_free(ids);
	box_free(y);
}

TEST(kernel_gather_random)
{
	Random r = { 11 };
	for (int k = 0; k < ROUNDS; k++)
		gather_case(&r, dtypes[k % N_DTYPES]);
}

/* Of equal indices the last wins, whatever the pieces. */
static void scatter_case(Random *r, int dtype, bool literal)
{
	int64_t shape[4], small[4], large[4], at[GRAFT_MAX_RANK];
	int rank = random_shape(r, 0, shape), axis = rank ? (int)random_below(r, rank) : 0;
	for (int i = 0; i < rank; i++) {
		small[i] = i == axis ? random_below(r, 9) : 1 + random_below(r, shape[i]);
		large[i] = small[i] + random_below(r, 3);
	}
	Box *x = box_new(r, dtype, rank, shape, any_layout(r));
	Box *ids = random_ids(r, rank, small, rank ? shape[axis] : 1, false);
	Box *src = literal ? box_scalar(GRAFT_DTYPE_i64, 1) : box_new(r, dtype, rank, large, any_layout(r));
	Box *y = box_new(r, dtype, rank, shape, own_layout(r)), *want = box_new(r, dtype, rank, shape, DENSE);
	run_kernel(cpu_scatter, 1 + (int)random_below(r, 4), BOXES(x, ids, src), BOXES(y),
	           &(graft_attr){ .given = 1, .i = axis }, 1);
	for (int64_t i = 0; i < y->size; i++)
		box_put(want, i, box_get(x, i));
	for (int64_t i = 0; i < ids->size; i++) {
		box_coordinates(ids, i, at);
		double v = literal ? 1 : box_get(src, place_of(src, at));
		at[axis] = (int64_t)box_get(ids, i);
		box_put(want, place_of(want, at), v);
	}
	for (int64_t i = 0; i < y->size; i++)
		check_element("scatter", y, i, box_get(want, i));
	box_free(x);
	box_free(ids);
	box_free(src);
	box_free(y);
	box_free(want);
}

TEST(kernel_scatter_random)
{
	Random r = { 12 };
	for (int k = 0; k < ROUNDS; k++)
		scatter_case(&r, dtypes[k % N_DTYPES], k % 3 == 0);
}

static void select_case(Random *r, int dtype)
{
	int64_t shape[4], size[4], n = random_below(r, 6), at[GRAFT_MAX_RANK];
	int rank = random_shape(r, 1, shape), axis = (int)random_below(r, rank);
	memcpy(size, shape, sizeof size);
	size[axis] = n;
	Box *x = box_new(r, dtype, rank, shape, any_layout(r)), *ids = random_ids(r, 1, &n, shape[axis], false);
	Box *y = box_new(r, dtype, rank, size, own_layout(r));
	run_kernel(cpu_index_select, 4, BOXES(x, ids), BOXES(y), &(graft_attr){ .given = 1, .i = axis }, 1);
	for (int64_t i = 0; i < y->size; i++) {
		box_coordinates(y, i, at);
		at[axis] = (int64_t)box_get(ids, at[axis]);
		check_element("index_select", y, i, box_get(x, place_of(x, at)));
	}
	box_free(x);
	box_free(ids);
	box_free(y);
}

TEST(kernel_index_select_random)
{
	Random r = { 13 };
	for (int k = 0; k < ROUNDS; k++)
		select_case(&r, dtypes[k % N_DTYPES]);
}

/* What a += b leaves in an element of that dtype. */
static double added(int dtype, double a, double b)
{
	double sum = a + b;
	if (dtype == GRAFT_DTYPE_bool)
		return sum != 0;
	if (dtype == GRAFT_DTYPE_u8)
		return fmod(sum, 256);
	return dtype == GRAFT_DTYPE_f32 ? (double)(float)sum : rounded(dtype, sum);
}

static void add_case(Random *r, int dtype)
{
	int64_t shape[4], size[4], n = random_below(r, 9), at[GRAFT_MAX_RANK];
	int rank = random_shape(r, 1, shape), axis = (int)random_below(r, rank);
	memcpy(size, shape, sizeof size);
	size[axis] = n;
	Box *x = box_new(r, dtype, rank, shape, any_layout(r)), *ids = random_ids(r, 1, &n, shape[axis], false);
	Box *src = box_new(r, dtype, rank, size, any_layout(r)), *y = box_new(r, dtype, rank, shape, own_layout(r));
	Box *want = box_new(r, dtype, rank, shape, DENSE);
	run_kernel(cpu_index_add, 3, BOXES(x, ids, src), BOXES(y), &(graft_attr){ .given = 1, .i = axis }, 1);
	for (int64_t i = 0; i < y->size; i++)
		box_put(want, i, box_get(x, i));
	for (int64_t i = 0; i < src->size; i++) {
		box_coordinates(src, i, at);
		at[axis] = (int64_t)box_get(ids, at[axis]);
		int64_t to = place_of(want, at);
		box_put(want, to, added(dtype, box_get(want, to), box_get(src, i)));
	}
	for (int64_t i = 0; i < y->size; i++)
		check_element("index_add", y, i, box_get(want, i));
	box_free(x);
	box_free(ids);
	box_free(src);
	box_free(y);
	box_free(want);
}

TEST(kernel_index_add_random)
{
	Random r = { 14 };
	for (int k = 0; k < ROUNDS; k++)
		add_case(&r, dtypes[k % N_DTYPES]);
}

/* ---- tuples of indices ---- */

/* ids[k] chooses from axis k of x; NULL: the whole axis. They broadcast to `own`. */
typedef struct Tuple { Box *ids[4]; int n, low, rank, own_rank; int64_t own[4], shape[8]; } Tuple;

static Tuple random_tuple(Random *r, const Box *x)
{
	Tuple t = { .n = 1 + (int)random_below(r, x->t.rank), .low = -1 };
	int high = 0, given = 0;
	t.own_rank = (int)random_below(r, 3);
	for (int i = 0; i < t.own_rank; i++)
		t.own[i] = random_below(r, 5);
	int must = (int)random_below(r, t.n);
	for (int k = 0; k < t.n; k++) {
		int64_t part[4];
		int skip = k == must ? 0 : (int)random_below(r, t.own_rank + 1);
		if (k != must && random_below(r, 2))
			continue;
		for (int i = skip; i < t.own_rank; i++)
			part[i - skip] = k != must && random_below(r, 3) == 0 ? 1 : t.own[i];
		t.ids[k] = random_ids(r, t.own_rank - skip, part, x->shape[k], true);
		t.low = t.low < 0 ? k : t.low;
		high = k;
		given++;
	}
	if (high - t.low + 1 != given)
		t.low = 0;
	for (int k = 0; k <= x->t.rank; k++) {
		for (int i = 0; k == t.low && i < t.own_rank; i++)
			t.shape[t.rank++] = t.own[i];
		if (k < x->t.rank && (k >= t.n || !t.ids[k]))
			t.shape[t.rank++] = x->shape[k];
	}
	return t;
}

/* Which element of x one of x[ids...] is. */
static int64_t chosen(const Tuple *t, const Box *x, const int64_t *at)
{
	int64_t x_at[GRAFT_MAX_RANK], own_place = 0;
	Box own = { .t = { .rank = t->own_rank } };
	const int64_t *own_at = NULL;
	memcpy(own.shape, t->own, sizeof t->own);
	for (int k = 0, next = 0; k <= x->t.rank; k++) {
		if (k == t->low) {
			own_at = at + next;
			next += t->own_rank;
		}
		if (k < x->t.rank && (k >= t->n || !t->ids[k]))
			x_at[k] = at[next++];
	}
	own_place = place_of(&own, own_at);
	for (int k = 0; k < t->n; k++)
		if (t->ids[k]) {
			int64_t id = (int64_t)box_get_broadcast(t->ids[k], &own, own_place);
			x_at[k] = id < 0 ? id + x->shape[k] : id;
		}
	return place_of(x, x_at);
}

static void tuple_case(Random *r, int dtype, bool accumulate)
{
	int64_t shape[4], at[GRAFT_MAX_RANK];
	int rank = random_shape(r, 1, shape), skip;
	Box *x = box_new(r, dtype, rank, shape, any_layout(r));
	Tuple t = random_tuple(r, x);
	Box *y = box_new(r, dtype, t.rank, t.shape, own_layout(r)), *z = box_new(r, dtype, rank, shape, own_layout(r));
	skip = (int)random_below(r, t.rank + 1);
	Box *values = box_new(r, dtype, t.rank - skip, t.shape + skip, any_layout(r));
	Box *want = box_new(r, dtype, rank, shape, DENSE);
	Box *in[6] = { x, values }, *none = MISSING;
	for (int k = 0; k < t.n; k++)
		in[2 + k] = t.ids[k] ? t.ids[k] : none;
	run_kernel(cpu_index_put, 3, in, 2 + t.n, BOXES(z), &(graft_attr){ .given = 1, .i = accumulate }, 1);
	in[1] = x;
	run_kernel(cpu_index, 3, in + 1, 1 + t.n, BOXES(y), NO_ATTRS);
	for (int64_t i = 0; i < x->size; i++)
		box_put(want, i, box_get(x, i));
	for (int64_t i = 0; i < y->size; i++) {
		box_coordinates(y, i, at);
		int64_t place = chosen(&t, x, at);
		double v = box_get_broadcast(values, y, i);
		check_element("index", y, i, box_get(x, place));
		box_put(want, place, accumulate ? added(dtype, box_get(want, place), v) : v);
	}
	for (int64_t i = 0; i < z->size; i++)
		check_element("index_put", z, i, box_get(want, i));
	for (int k = 0; k < t.n; k++)
		if (t.ids[k])
			box_free(t.ids[k]);
	box_free(x);
	box_free(y);
	box_free(z);
	box_free(values);
	box_free(want);
}

TEST(kernel_index_random)
{
	Random r = { 15 };
	for (int k = 0; k < 3 * ROUNDS; k++)
		tuple_case(&r, dtypes[k % N_DTYPES], k % 2);
}

/* ---- refusals ---- */

static void check_stray(graft_launch_fn kernel, Box *const *in, int n_in, Box *y, const graft_attr *attr, int n_attr,
                        const char *message)
{
	Host h;
	host_init(&h, 2);
	CHECK_INT(fail_kernel(kernel, &h, in, n_in, BOXES(y), attr, n_attr), GRAFT_E_DATA);
	CHECK_STR(h.message, message);
}

TEST(kernel_index_strays)
{
	Random r = { 16 };
	Box *x = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 4), DENSE);
	Box *ids = box_new(&r, GRAFT_DTYPE_i64, SHAPE(2, 2), DENSE);
	Box *y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 2), DENSE);
	Box *z = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 4), DENSE);
	Box *line = box_vector(GRAFT_DTYPE_i64, 2, (double[]){ 0, 3 }), *one = box_scalar(GRAFT_DTYPE_f32, 1);
	Box *w = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 4), DENSE);
	const graft_attr axis1 = { .given = 1, .i = 1 }, axis0 = { .given = 1, .i = 0 };
	for (int i = 0; i < 4; i++)
		box_put(ids, i, 0);
	box_put(ids, 2, -1);
	check_stray(cpu_gather, BOXES(x, ids), y, &axis1, 1,
	            "gather: ids at [1, 0] is -1, but axis 1 of x holds 4; an index is 0 to 3");
	box_put(ids, 2, 4);
	check_stray(cpu_scatter, BOXES(x, ids, one), z, &axis1, 1,
	            "scatter: ids at [1, 0] is 4, but axis 1 of x holds 4; an index is 0 to 3");
	check_stray(cpu_index_select, BOXES(x, line), w, &axis0, 1,
	            "index_select: ids at [1] is 3, but axis 0 of x holds 3; an index is 0 to 2");
	check_stray(cpu_index_add, BOXES(x, line, w), z, &axis0, 1,
	            "index_add: ids at [1] is 3, but axis 0 of x holds 3; an index is 0 to 2");
	box_put(line, 1, -4);
	check_stray(cpu_index, BOXES(x, line), w, NO_ATTRS,
	            "index: ids[0] at [1] is -4, but axis 0 of x holds 3; an index is -3 to 2");
	box_put(line, 1, -5);
	check_stray(cpu_index_put, BOXES(x, one, MISSING, line), z, &(graft_attr){ .given = 1 }, 1,
	            "index_put: ids[1] at [1] is -5, but axis 1 of x holds 4; an index is -4 to 3");
	box_free(x);
	box_free(ids);
	box_free(y);
	box_free(z);
	box_free(line);
	box_free(one);
	box_free(w);
}

TEST(kernel_index_of_an_empty_axis)
{
	Random r = { 17 };
	Box *x = box_new(&r, GRAFT_DTYPE_f32, SHAPE(0, 4), DENSE);
	Box *line = box_vector(GRAFT_DTYPE_i32, 1, (double[]){ 0 });
	Box *w = box_new(&r, GRAFT_DTYPE_f32, SHAPE(1, 4), DENSE);
	check_stray(cpu_index, BOXES(x, line), w, NO_ATTRS, "index: ids[0] at [0] is 0, but axis 0 of x is empty");
	box_free(x);
	box_free(line);
	box_free(w);
}

TEST(kernel_index_without_scratch)
{
	Random r = { 18 };
	Host h;
	Box *x = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 4), DENSE);
	Box *line = box_vector(GRAFT_DTYPE_i32, 1, (double[]){ 0 });
	Box *w = box_new(&r, GRAFT_DTYPE_f32, SHAPE(1, 4), DENSE);
	host_init(&h, 1);
	h.scratch_left = 0;
	CHECK_INT(fail_kernel(cpu_index, &h, BOXES(x, line), BOXES(w), NO_ATTRS), GRAFT_E_NOMEM);
	box_free(x);
	box_free(line);
	box_free(w);
}
