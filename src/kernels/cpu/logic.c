/* logic.c - comparisons and truth values, which give bools, and where, which chooses by them.
 *
 * Two operands are compared in the dtype that they have in common, as torch has it: 0.1 is the bf16 nearest to it
 * beside a bf16 tensor, and -1 is 255 beside u8. An f64 of rank 0 beside another dtype is taken for a literal, which is
 * weaker than any tensor.
 */
#include "../../ir/graph.h"
#include "kernel.h"

typedef struct Tests {
	void (*f32)(uint8_t *y, const float *a, const float *b, int64_t n);
	void (*f64)(uint8_t *y, const double *a, const double *b, int64_t n);
	void (*i64)(uint8_t *y, const int64_t *a, const int64_t *b, int64_t n);
} Tests;

typedef struct Compare { const Tests *tests; int in[2], common, y; } Compare;

#define TEST_CLASS(name, class, type, expr)                                                                            \
	static void name##_##class(uint8_t *restrict y, const type *pa, const type *pb, int64_t n)                     \
	{                                                                                                              \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			type a = pa[i], b = pb[i];                                                                     \
			y[i] = expr;                                                                                   \
		}                                                                                                      \
	}
#define TEST_OP(name, expr)                                                                                            \
	TEST_CLASS(name, f32, float, expr)                                                                             \
	TEST_CLASS(name, f64, double, expr)                                                                            \
	TEST_CLASS(name, i64, int64_t, expr)                                                                           \
	static const Tests name##_tests = { name##_f32, name##_f64, name##_i64 };
TEST_OP(eq, a == b)
TEST_OP(ne, a != b)
TEST_OP(lt, a < b)
TEST_OP(le, a <= b)
TEST_OP(gt, a > b)
TEST_OP(ge, a >= b)
TEST_OP(logical_and, a != 0 && b != 0)
TEST_OP(logical_or, a != 0 || b != 0)
TEST_OP(logical_not, a == 0 && b == 0)          /* of x twice */

static graft_dtype common_dtype(const graft_tensor *a, const graft_tensor *b)
{
	graft_dtype x = (graft_dtype)a->dtype, y = (graft_dtype)b->dtype;
	if (x != y && a->rank == 0 && x == GRAFT_DTYPE_f64)
		return dtype_over(y, GRAFT_DTYPE_f32);
	if (x != y && b->rank == 0 && y == GRAFT_DTYPE_f64)
		return dtype_over(x, GRAFT_DTYPE_f32);
	if ((a->rank == 0) == (b->rank == 0))
		return dtype_wider(x, y);
	return a->rank == 0 ? dtype_over(y, x) : dtype_over(x, y);
}

/* A run in the class of the common dtype, having passed through that dtype. */
#define FETCH(class, type)                                                                                             \
	static const type *fetch_as_##class(const Compare *c, int i, type *room, const char *at, int64_t stride,       \
	                                    int64_t n)                                                                 \
	{                                                                                                              \
		char narrow[8 * RUN];                                                                                  \
		if (c->in[i] == c->common)                                                                             \
			return fetch_##class(room, c->common, at, stride, n);                                          \
		convert(c->common, narrow, 1, c->in[i], at, stride, n);                                                \
		load_##class(room, c->common, narrow, 1, n);                                                           \
		return room;                                                                                           \
	}                                                                                                              \
	static void compare_##class(void *arg, char *const *at, const int64_t *stride, int64_t n)                      \
	{                                                                                                              \
		const Compare *c = arg;                                                                                \
		type room[2][RUN];                                                                                     \
		uint8_t truth[RUN];                                                                                    \
		const type *a = fetch_as_##class(c, 0, room[0], at[1], stride[1], n);                                  \
		c->tests->class(truth, a, fetch_as_##class(c, 1, room[1], at[2], stride[2], n), n);                    \
		convert(c->y, at[0], stride[0], GRAFT_DTYPE_bool, truth, 1, n);                                        \
	}
FETCH(f32, float)
FETCH(f64, double)
FETCH(i64, int64_t)

static int compare(const graft_launch *l, const graft_tensor *b, const Tests *tests)
{
	static const walk_fn runs[] = { [CLASS_F32] = compare_f32, [CLASS_F64] = compare_f64,
	                               [CLASS_I64] = compare_i64 };
	const graft_tensor *a = l->in;
	Compare c = { tests, { a->dtype, b->dtype }, (int)common_dtype(a, b), l->out[0].dtype };
	Walk w;
	walk_begin(&w, &l->out[0]);
	if (!walk_add(&w, a) || !walk_add(&w, b))
		return launch_fail(l, GRAFT_E_USAGE, "an operand does not broadcast to the result");
	walk_join(&w);
	walk_parallel(l, &w, RUN, 4, runs[class_of(c.common)], &c);
	return 0;
}

#define KERNEL(name)                                                                                                   \
	int cpu_##name(const graft_launch *l)                                                                          \
	{                                                                                                              \
		int status = launch_check(l, 2, 2, 1, 0);                                                              \
		return status ? status : compare(l, &l->in[1], &name##_tests);                                         \
	}
KERNEL(eq)
KERNEL(ne)
KERNEL(lt)
KERNEL(le)
KERNEL(gt)
KERNEL(ge)
KERNEL(logical_and)
KERNEL(logical_or)

int cpu_logical_not(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 0);
	return status ? status : compare(l, l->in, &logical_not_tests);
}

typedef struct Where { int y, a, b, cond; } Where;

/* Without a branch in the loop: a condition follows no pattern. */
#define CHOOSE(bits)                                                                                                   \
	VECTOR static void choose_##bits(char *to, int64_t stride, const int64_t *cond, const void *a, const void *b,  \
	                                 int64_t n)                                                                    \
	{                                                                                                              \
		const uint##bits##_t *pa = a, *pb = b;                                                                 \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			uint##bits##_t mask = (uint##bits##_t)-(cond[i] != 0);                                         \
			uint##bits##_t v = (uint##bits##_t)((pa[i] & mask) | (pb[i] & (uint##bits##_t)~mask));         \
			memcpy(to + i * stride * (int64_t)sizeof v, &v, sizeof v);                                     \
		}                                                                                                      \
	}
CHOOSE(8)
CHOOSE(16)
CHOOSE(32)
CHOOSE(64)

static void where_run(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Where *w = arg;
	uint64_t a[RUN], b[RUN];              /* room for RUN elements of any dtype */
	int64_t cond[RUN];
	load_i64(cond, w->cond, at[1], stride[1], n);
	convert(w->y, a, 1, w->a, at[2], stride[2], n);
	convert(w->y, b, 1, w->b, at[3], stride[3], n);
	switch (graft_dtype_size((graft_dtype)w->y)) {
	case 1: choose_8(at[0], stride[0], cond, a, b, n); break;
	case 2: choose_16(at[0], stride[0], cond, a, b, n); break;
	case 4: choose_32(at[0], stride[0], cond, a, b, n); break;
	default: choose_64(at[0], stride[0], cond, a, b, n); break;
	}
}

int cpu_where(const graft_launch *l)
{
	int status = launch_check(l, 3, 3, 1, 0);
	Walk w;
	if (status)
		return status;
	Where where = { l->out[0].dtype, l->in[1].dtype, l->in[2].dtype, l->in[0].dtype };
	walk_begin(&w, &l->out[0]);
	for (int i = 0; i < 3; i++)
		if (!walk_add(&w, &l->in[i]))
			return launch_fail(l, GRAFT_E_USAGE, "operand %d does not broadcast to the result", i);
	walk_join(&w);
	walk_parallel(l, &w, RUN, 8, where_run, &where);
	return 0;
}
