/* kernel_attention.c - scaled_dot_product_attention and rope against float64. */
#include "kernel_host.h"

typedef struct Setup { Box *q, *k, *v, *mask, *y; bool causal; double scale; } Setup;

static void attend(const Setup *s, int pieces)
{
	graft_attr attr[2] = { { .given = 1, .i = s->causal }, { .given = s->scale != 0, .f = s->scale } };
	run_kernel(cpu_scaled_dot_product_attention, pieces, BOXES(s->q, s->k, s->v, s->mask), BOXES(s->y), attr, 2);
}

static int64_t last(const Box *b, int n) { return b->shape[b->t.rank - n]; }

/* The element (.., i, j) of an operand whose leading axes broadcast to those of `to` at `at`. */
static double at_row(const Box *b, const Box *to, const int64_t *at, int64_t i, int64_t j)
{
	int64_t own = 0;
	for (int a = 0; a < b->t.rank; a++) {
		int64_t place = a == b->t.rank - 1 ? j : a == b->t.rank - 2 ? i : at[to->t.rank - b->t.rank + a];
		own = own * b->shape[a] + (b->shape[a] == 1 ? 0 : place);
	}
	return box_get(b, own);
}

static double score(const Setup *s, const int64_t *at, int64_t i, int64_t j)
{
	int64_t depth = last(s->q, 1);
	double dot = 0;
	for (int64_t d = 0; d < depth; d++)
		dot += at_row(s->q, s->y, at, i, d) * at_row(s->k, s->y, at, j, d);
	dot *= s->scale != 0 ? s->scale : 1 / sqrt((double)depth);
	if (s->causal && j > i)
		return -(double)INFINITY;
	if (!s->mask->memory)
		return dot;
	double m = at_row(s->mask, s->y, at, i, j);
	return s->mask->t.dtype == GRAFT_DTYPE_bool ? m != 0 ? dot : -(double)INFINITY : dot + m;
}

static void check_row(const Setup *s, int64_t first, double tolerance)
{
	int64_t at[GRAFT_MAX_RANK], keys = last(s->k, 2), width = last(s->y, 1);
	double *weight = malloc(sizeof *weight * (size_t)(keys + 1)), max = -(double)INFINITY, sum = 0;
	box_coordinates(s->y, first, at);
	for (int64_t j = 0; j < keys; j++) {
		weight[j] = score(s, at, at[s->y->t.rank - 2], j);
		max = fmax(max, weight[j]);
	}
	for (int64_t j = 0; j < keys; j++)
		sum += weight[j] = isinf(max) ? 0 : exp(weight[j] - max);
	for (int64_t e = 0; e < width; e++) {
		double want = 0;
		for (int64_t j = 0; j < keys; j++)
			want += weight[j] == 0 ? 0 : weight[j] / sum * at_row(s->v, s->y, at, j, e);
		if (!close_to(s->y->t.dtype, box_get(s->y, first + e), want, 0.51, tolerance))
			test_fail(__FILE__, __LINE__, "%s: element %lld is %.9g, not %.9g",
			          graft_dtype_name((graft_dtype)s->y->t.dtype),
			          (long long)(first + e), box_get(s->y, first + e), want);
	}
	free(weight);
}

static void setup_free(Setup *s)
{
	for (int i = 0; i < 4; i++)
		box_free((Box *[]){ s->q, s->k, s->v, s->y }[i]);
	if (s->mask->memory)
		box_free(s->mask);
}

static void run_setup(Setup *s, int pieces)
{
	attend(s, pieces);
	for (int64_t i = 0; i < s->y->size; i += last(s->y, 1))
		check_row(s, i, s->y->t.dtype == GRAFT_DTYPE_f64 ? 1e-13 : 2e-5);
	setup_free(s);
}

static Layout any_layout(Random *r) { return (Layout)random_below(r, LAYOUTS); }

static void random_setup(Random *r, int dtype, int mask, bool causal)
{
	int64_t b = 1 + random_below(r, 2), h = 1 + random_below(r, 3);
	int64_t t = 1 + random_below(r, 12), n = 1 + random_below(r, 12);
	int64_t d = 1 + random_below(r, 9), e = 1 + random_below(r, 9);
	Setup s = { .causal = causal, .mask = MISSING, .scale = random_below(r, 2) ? 0 : 0.3 };
	s.q = box_new(r, dtype, SHAPE(b, h, t, d), any_layout(r));
	s.k = box_new(r, dtype, SHAPE(b, random_below(r, 2) ? 1 : h, n, d), any_layout(r));
	s.v = box_new(r, dtype, SHAPE(b, random_below(r, 2) ? 1 : h, n, e), any_layout(r));
	if (random_below(r, 2)) {
		box_free(s.v);
		s.v = box_new(r, dtype, SHAPE(h, n, e), any_layout(r));
	}
	s.y = box_new(r, dtype, SHAPE(b, h, t, e), (Layout)random_below(r, EXPANDED));
	if (mask == 1)
		s.mask = box_new(r, GRAFT_DTYPE_bool, SHAPE(t, n), any_layout(r));
	if (mask == 2)
		s.mask = box_new(r, dtype, SHAPE(b, 1, random_below(r, 2) ? t : 1, n), any_layout(r));
	run_setup(&s, 1 + (int)random_below(r, 4));
}

TEST(kernel_attention_random)
{
	static const int dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f16, GRAFT_DTYPE_f64 };
	Random r = { 51 };
	for (int c = 0; c < 96; c++)
		random_setup(&r, dtypes[c % 4], c / 4 % 3, c / 12 % 2);
}

/* More than one block of queries and of keys: the maximum moves from block to block. */
TEST(kernel_attention_blocks)
{
	static const int dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f64 };
	Random r = { 52 };
	for (int c = 0; c < 6; c++) {
		Setup s = { .causal = c % 2, .mask = MISSING, .scale = 1.5 };
		int dtype = dtypes[c / 2];
		s.q = box_new(&r, dtype, SHAPE(1, 140, 3), DENSE);
		s.k = box_new(&r, dtype, SHAPE(1, 530, 3), DENSE);
		s.v = box_new(&r, dtype, SHAPE(1, 530, 2), DENSE);
		s.y = box_new(&r, dtype, SHAPE(1, 140, 2), DENSE);
		run_setup(&s, 2);
	}
}

/* The same bits, however the work was cut. */
TEST(kernel_attention_is_deterministic)
{
	Random r = { 53 };
	Setup s = { .mask = MISSING, .causal = true };
	s.q = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 150, 5), DENSE);
	s.k = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 300, 5), DENSE);
	s.v = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 300, 4), DENSE);
	s.y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 150, 4), DENSE);
	Box *again = box_new(&r, GRAFT_DTYPE_f32, SHAPE(3, 150, 4), DENSE), *first = s.y;
	attend(&s, 1);
	s.y = again;
	attend(&s, 5);
	CHECK(same_bits(first, again));
	box_free(again);
	s.y = first;
	setup_free(&s);
}

TEST(kernel_attention_without_keys_to_see)
{
	Random r = { 54 };
	Setup s = { .scale = 1 };
	s.q = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 3), DENSE);
	s.k = box_new(&r, GRAFT_DTYPE_f32, SHAPE(4, 3), DENSE);
	s.v = box_new(&r, GRAFT_DTYPE_f32, SHAPE(4, 2), DENSE);
	s.y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 2), DENSE);
	s.mask = box_new(&r, GRAFT_DTYPE_bool, SHAPE(2, 4), DENSE);
	for (int64_t i = 0; i < 8; i++)
		box_put(s.mask, i, i == 5);
	attend(&s, 1);
	CHECK(box_get(s.y, 0) == 0 && box_get(s.y, 1) == 0);
	CHECK(box_get(s.y, 2) == box_get(s.v, 2) && box_get(s.y, 3) == box_get(s.v, 3));
	box_put(s.q, 3, (double)NAN);
	attend(&s, 1);
	CHECK(box_get(s.y, 0) == 0 && isnan(box_get(s.y, 2)));
	setup_free(&s);
	s = (Setup){ .mask = MISSING };
	s.q = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(2, 3), DENSE);
	s.k = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(0, 3), DENSE);
	s.v = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(0, 2), DENSE);
	s.y = box_new(&r, GRAFT_DTYPE_bf16, SHAPE(2, 2), DENSE);
	attend(&s, 1);
	for (int64_t i = 0; i < 4; i++)
		CHECK(box_get(s.y, i) == 0);
	setup_free(&s);
}

TEST(kernel_attention_refuses)
{
	Random r = { 55 };
	Host h;
	graft_attr attr[2] = { { .given = 1 }, { .given = 0 } };
	Box *q = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 3), DENSE);
	Box *k = box_new(&r, GRAFT_DTYPE_f32, SHAPE(4, 2), DENSE);
	Box *v = box_new(&r, GRAFT_DTYPE_f32, SHAPE(4, 2), DENSE);
	Box *y = box_new(&r, GRAFT_DTYPE_f32, SHAPE(2, 2), DENSE);
	host_init(&h, 1);
	CHECK_INT(fail_kernel(cpu_scaled_dot_product_attention, &h, BOXES(q, k, v), BOXES(y), attr, 2), GRAFT_E_USAGE);
	h.scratch_left = 0;
	CHECK_INT(fail_kernel(cpu_scaled_dot_product_attention, &h, BOXES(y, k, v), BOXES(y), attr, 2), GRAFT_E_NOMEM);
	for (int i = 0; i < 4; i++)
		box_free((Box *[]){ q, k, v, y }[i]);
}

/* ---- rope ---- */

static void check_rope(const Box *x, const Box *c, const Box *s, const Box *y, bool interleaved)
{
	int64_t n = last(x, 1), half = n / 2, at[GRAFT_MAX_RANK];
	for (int64_t i = 0; i < y->size; i++) {
		int64_t j = i % n, pair = interleaved ? j / 2 : j % half, a, b;
		bool second = interleaved ? j % 2 : j >= half;
		a = i - j + (interleaved ? 2 * pair : pair);
		b = a + (interleaved ? 1 : half);
		box_coordinates(y, i, at);
		double vc = at_row(c, y, at, at[y->t.rank - 2], pair), vs = at_row(s, y, at, at[y->t.rank - 2], pair);
		double first = box_get(x, a), other = box_get(x, b);
		double p = (second ? other : first) * vc, q = (second ? first : -other) * vs;
		CHECK(close_to(y->t.dtype, box_get(y, i), p + q, 0.51, (fabs(p) + fabs(q)) * 0x1p-23));
	}
}

TEST(kernel_rope_random)
{
	static const int dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f16, GRAFT_DTYPE_f64 };
	Random r = { 56 };
	for (int k = 0; k < 60; k++) {
		int dtype = dtypes[k % 4], angle = k % 3 && dtype != GRAFT_DTYPE_f64 ? GRAFT_DTYPE_f32 : dtype;
		int64_t t = random_below(&r, 4), half = random_below(&r, 10) ? random_below(&r, 5) : 600;
		graft_attr interleaved = { .given = 1, .i = k / 4 % 2 };
		Box *x = box_new(&r, dtype, SHAPE(2, 3, t, 2 * half), any_layout(&r));
		Box *y = box_new(&r, dtype, SHAPE(2, 3, t, 2 * half), (Layout)random_below(&r, EXPANDED));
		Box *c = box_new(&r, angle, SHAPE(t, half), any_layout(&r));
		Box *s = box_new(&r, angle, SHAPE(2, 1, t, half), any_layout(&r));
		run_kernel(cpu_rope, 1 + k % 3, BOXES(x, c, s), BOXES(y), &interleaved, 1);
		check_rope(x, c, s, y, k / 4 % 2);
		for (int i = 0; i < 4; i++)
			box_free((Box *[]){ x, y, c, s }[i]);
	}
}
