/* reduce.c - sum and mean over any set of axes.
 *
 * The order of additions depends on shape and strides alone. Along runs: LANES partial sums a run, runs added as a binary
 * counter counts, so that the error grows with the logarithm of their number. Across runs (the innermost axis stays): one
 * accumulator a column, emptied into the total every FLUSH rows.
 */
#include "kernel.h"

enum { FLUSH = 64, COLUMNS = 256 };

typedef struct Reduce {
	Walk kept;                            /* y, x */
	Walk gone;                            /* x, from the first element that is summed */
	int x, y;                             /* dtypes */
	int round;                            /* dtype an operand is rounded to before it is summed; f32: none */
	int64_t count;                        /* elements that go into one sum */
	bool mean;
} Reduce;

#define ADD(a, b) ((a) + (b))
#define ADD_WRAP(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
#define ROUND_f32(r, v, n) round_f32((r)->round, v, n)
#define ROUND_NONE(r, v, n) ((void)(r))

/* rows_<class>: each result from runs of its own. columns_<class>: neighbouring results together. */
#define REDUCE(class, type, PLUS, ROUND)                                                                               \
	typedef struct Sum_##class { const Reduce *r; type level[64]; uint64_t runs; } Sum_##class;                    \
	typedef struct Columns_##class {                                                                               \
		const Reduce *r;                                                                                       \
		int64_t stride, n, rows;                                                                               \
		type part[COLUMNS], total[COLUMNS];                                                                    \
	} Columns_##class;                                                                                             \
	VECTOR static type run_sum_##class(const type *restrict v, int64_t n)                                          \
	{                                                                                                              \
		type sum[LANES] = { 0 };                                                                               \
		int64_t whole = n - n % LANES;                                                                         \
		for (int64_t i = 0; i < whole; i += LANES)                                                             \
			for (int64_t j = 0; j < LANES; j++)                                                            \
				sum[j] = PLUS(sum[j], v[i + j]);                                                       \
		for (int64_t i = whole; i < n; i++)                                                                    \
			sum[i - whole] = PLUS(sum[i - whole], v[i]);                                                   \
		for (int64_t half = LANES / 2; half > 0; half /= 2)                                                    \
			for (int64_t j = 0; j < half; j++)                                                             \
				sum[j] = PLUS(sum[j], sum[j + half]);                                                  \
		return sum[0];                                                                                         \
	}                                                                                                              \
	static void add_run_##class(void *arg, char *const *at, const int64_t *stride, int64_t n)                      \
	{                                                                                                              \
		Sum_##class *s = arg;                                                                                  \
		type room[RUN], sum;                                                                                   \
		load_##class(room, s->r->x, at[0], stride[0], n);                                                      \
		ROUND(s->r, room, n);                                                                                  \
		sum = run_sum_##class(room, n);                                                                        \
		uint64_t bit = 0;                                                                                      \
		for (; s->runs >> bit & 1; bit++)                                                                      \
			sum = PLUS(s->level[bit], sum);                                                                \
		s->level[bit] = sum;                                                                                   \
		s->runs++;                                                                                             \
	}                                                                                                              \
	static type total_##class(const Sum_##class *s)                                                                \
	{                                                                                                              \
		type sum = 0;                                                                                          \
		for (int bit = 0; bit < 64; bit++)                                                                     \
			if (s->runs >> bit & 1)                                                                        \
				sum = PLUS(s->level[bit], sum);                                                        \
		return sum;                                                                                            \
	}                                                                                                              \
	static void finish_##class(const Reduce *r, char *y, int64_t stride, type *sum, int64_t n)                     \
	{                                                                                                              \
		if (r->mean)                                                                                           \
			for (int64_t i = 0; i < n; i++)                                                                \
				sum[i] = sum[i] / (type)r->count;                                                      \
		store_##class(r->y, y, stride, sum, n);                                                                \
	}                                                                                                              \
	static void rows_##class(void *arg, char *const *at, const int64_t *stride, int64_t n)                         \
	{                                                                                                              \
		const Reduce *r = arg;                                                                                 \
		Walk gone = r->gone;                                                                                   \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			Sum_##class s;                                                                                 \
			type sum;                                                                                      \
			s.r = r;                                                                                       \
			s.runs = 0;                                                                                    \
			gone.base[0] = at[1] + i * stride[1] * r->kept.item[1];                                        \
			walk_range(&gone, 0, gone.size, RUN, add_run_##class, &s);                                     \
			sum = total_##class(&s);                                                                       \
			finish_##class(r, at[0] + i * stride[0] * r->kept.item[0], 1, &sum, 1);                        \
		}                                                                                                      \
	}                                                                                                              \
	VECTOR static void flush_##class(Columns_##class *c)                                                           \
	{                                                                                                              \
		for (int64_t i = 0; i < c->n; i++) {                                                                   \
			c->total[i] = PLUS(c->total[i], c->part[i]);                                                   \
			c->part[i] = 0;                                                                                \
		}                                                                                                      \
	}                                                                                                              \
	VECTOR static void add_run_to_##class(type *restrict sum, const type *restrict v, int64_t n)                   \
	{                                                                                                              \
		for (int64_t i = 0; i < n; i++)                                                                        \
			sum[i] = PLUS(sum[i], v[i]);                                                                   \
	}                                                                                                              \
	static void add_columns_##class(void *arg, char *const *at, const int64_t *stride, int64_t n)                  \
	{                                                                                                              \
		Columns_##class *c = arg;                                                                              \
		type room[COLUMNS];                                                                                    \
		for (int64_t k = 0; k < n; k++) {                                                                      \
			load_##class(room, c->r->x, at[0] + k * stride[0] * c->r->gone.item[0], c->stride, c->n);      \
			ROUND(c->r, room, c->n);                                                                       \
			add_run_to_##class(c->part, room, c->n);                                                       \
			if (++c->rows % FLUSH == 0)                                                                    \
				flush_##class(c);                                                                      \
		}                                                                                                      \
	}                                                                                                              \
	static void columns_##class(void *arg, char *const *at, const int64_t *stride, int64_t n)                      \
	{                                                                                                              \
		const Reduce *r = arg;                                                                                 \
		Columns_##class c = { .r = r, .stride = stride[1], .n = n };                                           \
		Walk gone = r->gone;                                                                                   \
		gone.base[0] = at[1];                                                                                  \
		walk_range(&gone, 0, gone.size, INT64_MAX, add_columns_##class, &c);                                   \
		flush_##class(&c);                                                                                     \
		finish_##class(r, at[0], stride[0], c.total, n);                                                       \
	}

REDUCE(f32, float, ADD, ROUND_f32)
REDUCE(f64, double, ADD, ROUND_NONE)
REDUCE(i64, int64_t, ADD_WRAP, ROUND_NONE)

/* Which axes of x are summed; false when the list names one that is not there. */
static bool reduced_axes(const graft_attr *axes, int32_t rank, bool *gone)
{
	bool all = !axes->given || axes->n == 0;
	for (int32_t i = 0; i < rank; i++)
		gone[i] = all;
	for (int32_t i = 0; !all && i < axes->n; i++) {
		if (axes->list[i] < 0 || axes->list[i] >= rank)
			return false;
		gone[axes->list[i]] = true;
	}
	return true;
}

/* Splits the axes of x into those y keeps and those summed; false when y does not have the shape of what is kept. */
static bool reduce_walks(Reduce *r, const graft_tensor *y, const graft_tensor *x, const bool *gone, bool keepdim)
{
	graft_tensor none = { .rank = 0 };
	int32_t at = 0;
	none.dtype = y->dtype, none.data = y->data;
	walk_begin(&r->kept, &none);
	none.dtype = x->dtype, none.data = x->data;
	walk_add(&r->kept, &none);
	walk_begin(&r->gone, &none);
	for (int32_t i = 0; i < x->rank; i++) {
		int64_t size = gone[i] ? 1 : x->shape[i];
		if (gone[i])
			walk_axis(&r->gone, x->shape[i], &x->stride[i]);
		if (gone[i] && !keepdim)
			continue;
		if (at == y->rank || y->shape[at] != size)
			return false;
		walk_axis(&r->kept, size, (const int64_t[]){ y->stride[at++], gone[i] ? 0 : x->stride[i] });
	}
	r->count = r->gone.size;
	walk_join(&r->kept);
	walk_join(&r->gone);
	return at == y->rank;
}

static int64_t inner_stride(const Walk *w, int tensor)
{
	int64_t s = w->rank ? w->stride[w->rank - 1][tensor] : INT64_MAX;
	return s < 0 ? -s : s;
}

static int reduce(const graft_launch *l, bool mean)
{
	static const walk_fn rows[] = { [CLASS_F32] = rows_f32, [CLASS_F64] = rows_f64, [CLASS_I64] = rows_i64 };
	static const walk_fn columns[] = { [CLASS_F32] = columns_f32, [CLASS_F64] = columns_f64, [CLASS_I64] = columns_i64 };
	const graft_tensor *x = &l->in[0], *y = &l->out[0];
	Reduce r = { .x = x->dtype, .y = y->dtype, .round = x->dtype == y->dtype ? GRAFT_DTYPE_f32 : y->dtype, .mean = mean };
	Class class = class_of(y->dtype);
	bool gone[GRAFT_MAX_RANK];
	if (mean && class == CLASS_I64)
		return launch_fail(l, GRAFT_E_UNSUPPORTED, "the mean is a float, not %s", graft_dtype_name((graft_dtype)y->dtype));
	if (!reduced_axes(&l->attr[0], x->rank, gone) || !reduce_walks(&r, y, x, gone, l->attr[1].i != 0))
		return launch_fail(l, GRAFT_E_USAGE, "the result does not have the shape of the axes that are kept");
	if (inner_stride(&r.kept, 1) < inner_stride(&r.gone, 0))
		walk_parallel(l, &r.kept, COLUMNS, r.count, columns[class], &r);
	else
		walk_parallel(l, &r.kept, INT64_MAX, r.count + 32, rows[class], &r);
	return 0;
}

int cpu_sum(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 3);
	return status ? status : reduce(l, false);
}

int cpu_mean(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 3);
	return status ? status : reduce(l, true);
}
