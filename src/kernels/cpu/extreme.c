/* extreme.c - what one pass over the elements finds without a sum: the greatest, the least, where it is, whether any
 * or all are not 0. */
#include "kernel.h"

typedef enum Seek { GREATEST, LEAST, WHERE, ANY, ALL } Seek;

typedef struct Extreme {
	Walk kept, gone;
	int x, y;                             /* dtypes */
	Seek seek;
} Extreme;

/* NaN is the greatest and the least: once found, nothing beats it. */
#define BEATS_FLOAT(v, best, op) ((v) op (best) || ((v) != (v) && (best) == (best)))
#define BEATS_INT(v, best, op) ((v) op (best))

#define EXTREME(class, type, BEATS)                                                                                    \
	typedef struct Found_##class { const Extreme *e; type best; int64_t at, seen, truths; } Found_##class;         \
	static void seek_##class(void *arg, char *const *at, const int64_t *stride, int64_t n)                         \
	{                                                                                                              \
		Found_##class *f = arg;                                                                                \
		type room[RUN];                                                                                        \
		const type *v = fetch_##class(room, f->e->x, at[0], stride[0], n);                                     \
		if (f->seen == 0)                                                                                      \
			f->best = v[0];                                                                                \
		for (int64_t i = 0; f->e->seek == GREATEST && i < n; i++)                                              \
			f->best = BEATS(v[i], f->best, >) ? v[i] : f->best;                                            \
		for (int64_t i = 0; f->e->seek == LEAST && i < n; i++)                                                 \
			f->best = BEATS(v[i], f->best, <) ? v[i] : f->best;                                            \
		for (int64_t i = 0; f->e->seek == WHERE && i < n; i++)                                                 \
			if (BEATS(v[i], f->best, >))                                                                   \
				f->best = v[i], f->at = f->seen + i;                                                   \
		for (int64_t i = 0; f->e->seek >= ANY && i < n; i++)                                                   \
			f->truths += v[i] != 0;                                                                        \
		f->seen += n;                                                                                          \
	}                                                                                                              \
	static void extreme_##class(void *arg, char *const *at, const int64_t *stride, int64_t n)                      \
	{                                                                                                              \
		const Extreme *e = arg;                                                                                \
		Walk gone = e->gone;                                                                                   \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			Found_##class f = { .e = e };                                                                  \
			char *y = at[0] + i * stride[0] * e->kept.item[0];                                             \
			gone.base[0] = at[1] + i * stride[1] * e->kept.item[1];                                        \
			walk_range(&gone, 0, gone.size, RUN, seek_##class, &f);                                        \
			int64_t whole = e->seek == ANY ? f.truths > 0 : e->seek == ALL ? f.truths == f.seen : f.at;    \
			if (e->seek <= LEAST)                                                                          \
				store_##class(e->y, y, 1, &f.best, 1);                                                 \
			else                                                                                           \
				store_i64(e->y, y, 1, &whole, 1);                                                      \
		}                                                                                                      \
	}
EXTREME(f32, float, BEATS_FLOAT)
EXTREME(f64, double, BEATS_FLOAT)
EXTREME(i64, int64_t, BEATS_INT)

static int extreme(const graft_launch *l, Seek seek)
{
	static const walk_fn fns[] = { [CLASS_F32] = extreme_f32, [CLASS_F64] = extreme_f64,
	                              [CLASS_I64] = extreme_i64 };
	int status = launch_check(l, 1, 1, 1, 2);
	if (status)
		return status;
	const graft_tensor *x = &l->in[0], *y = &l->out[0];
	graft_attr axes = l->attr[0];
	Extreme e = { .x = x->dtype, .y = y->dtype, .seek = seek };
	if (seek == WHERE && axes.given)
		axes.list = &l->attr[0].i, axes.n = x->rank > 0;
	if (!reduce_walks(&e.kept, &e.gone, y, x, &axes, l->attr[1].i != 0))
		return launch_fail(l, GRAFT_E_USAGE, "the result does not have the shape of the axes that are kept");
	if (e.gone.size == 0 && seek < ANY && e.kept.size > 0)
		return launch_fail(l, GRAFT_E_DATA, "nothing has no extreme: an axis that goes is empty");
	walk_parallel(l, &e.kept, INT64_MAX, e.gone.size + 32, fns[class_of(x->dtype)], &e);
	return 0;
}

int cpu_amax(const graft_launch *l) { return extreme(l, GREATEST); }
int cpu_amin(const graft_launch *l) { return extreme(l, LEAST); }
int cpu_argmax(const graft_launch *l) { return extreme(l, WHERE); }
int cpu_any(const graft_launch *l) { return extreme(l, ANY); }
int cpu_all(const graft_launch *l) { return extreme(l, ALL); }
