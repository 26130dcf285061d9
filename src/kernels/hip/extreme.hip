/* extreme.hip - what one pass over the elements finds without a sum: the greatest, the least, where it is, whether any
 * or all are not 0, which is the greatest or the least of their truth values.
 *
 *   extreme_rows     a group of threads has one result, thread t the elements t, t + group, ...
 *   extreme_columns  a thread has one result, neighbours have neighbours
 *
 * Of equals the first is found, whatever threads there are.
 */
#include "kernel.h"

struct Extreme {
	Walk kept, gone;                      /* y, x; x from the first element that is looked at */
	int32_t y_dtype, x_dtype;
	int32_t least, truth, place;          /* find the least; of truth values; give where it is */
	uint32_t shift;                       /* 1 << shift threads have one result */
};

template <class C> struct Found { C best; int64_t at; };

template <class C> DEVICE C take(const Extreme &e, int64_t from, int64_t i)
{
	int64_t at;
	walk_at<1>(e.gone, i, &at);
	C v = load<C>(e.x_dtype, e.gone.base[0], from + at);
	return e.truth ? v != 0 : v;
}

/* NaN is the greatest and the least: nothing beats it. */
template <class C> DEVICE bool beats(const Extreme &e, C v, C best)
{
	return (e.least ? v < best : v > best) || (is_nan(v) && !is_nan(best));
}

/* Of elements 0, first, first + step, ... of the result whose elements begin at `from`; of none: all of them are true,
 * and not any. */
template <class C> DEVICE Found<C> seek(const Extreme &e, int64_t from, int64_t first, int64_t step)
{
	Found<C> f = {static_cast<C>(e.least), 0};
	if (e.gone.size > 0)
		f.best = take<C>(e, from, 0);
	for (int64_t i = first; i < e.gone.size; i += step) {
		C v = take<C>(e, from, i);
		if (beats(e, v, f.best))
			f = {v, i};
	}
	return f;
}

template <class C> DEVICE void finish(const Extreme &e, int64_t at, const Found<C> &f)
{
	if (e.place)
		store<int64_t>(e.y_dtype, e.kept.base[0], at, f.at);
	else
		store<C>(e.y_dtype, e.kept.base[0], at, f.best);
}

template <class C> KERNEL extreme_rows(Extreme e)
{
	__shared__ Found<C> room[BLOCK];
	int64_t row = block_index() * (BLOCK >> e.shift) + (threadIdx.x >> e.shift), at[2] = {};
	unsigned group = 1u << e.shift, first = threadIdx.x & (group - 1);
	Found<C> mine = {0, 0};
	if (row < e.kept.size) {
		walk_at<2>(e.kept, row, at);
		mine = seek<C>(e, at[1], first, group);
	}
	for (unsigned half = group / 2; half > 0; half /= 2) {
		room[threadIdx.x] = mine;
		__syncthreads();
		Found<C> other = room[threadIdx.x ^ half];
		bool first_of_equals = !beats(e, mine.best, other.best) && other.at < mine.at;
		if (beats(e, other.best, mine.best) || first_of_equals)
			mine = other;
		__syncthreads();
	}
	if (row < e.kept.size && first == 0)
		finish(e, at[0], mine);
}

template <class C> KERNEL extreme_columns(Extreme e)
{
	int64_t i = thread_index(), at[2];
	if (i >= e.kept.size)
		return;
	walk_at<2>(e.kept, i, at);
	finish(e, at[0], seek<C>(e, at[1], 0, 1));
}

template <class C> static int launch_extreme(const graft_launch *l, const Extreme &e, bool columns)
{
	int64_t rows = BLOCK >> e.shift;
	if (columns)
		return launch_threads(l, extreme_columns<C>, e.kept.size, e);
	return launch_blocks(l, extreme_rows<C>, (e.kept.size + rows - 1) / rows, e);
}

static int extreme(const graft_launch *l, const graft_attr *axes, Extreme e)
{
	const graft_tensor *x = l->in, *y = l->out;
	Nest kept, gone;
	if (!reduce_nests(&kept, &gone, y, x, axes, l->attr[1].i != 0))
		return launch_fail(l, GRAFT_E_USAGE, "the result does not have the shape of the axes that are kept");
	if (gone.size == 0 && kept.size > 0 && !e.truth)
		return launch_fail(l, GRAFT_E_DATA, "nothing has no extreme: an axis that goes is empty");
	if (gone.rank > WALK_AXES)
		return launch_fail(l, GRAFT_E_UNSUPPORTED,
		                   "an extreme over %d axes apart from each other; at most %d are taken",
		                   static_cast<int>(gone.rank), WALK_AXES);
	e.gone = nest_walk(&gone);
	e.y_dtype = y->dtype, e.x_dtype = x->dtype;
	e.shift = group_shift(gone.size);
	bool columns = reduce_by_columns(&kept, &gone);
	return nest_launch(kept, [&](const Walk &w) {
		e.kept = w;
		e.gone.base[0] = w.base[1];
		return is_integer(x->dtype) ? launch_extreme<int64_t>(l, e, columns) :
		       x->dtype == GRAFT_DTYPE_f64 ? launch_extreme<double>(l, e, columns) :
		       launch_extreme<float>(l, e, columns);
	});
}

static int over_axes(const graft_launch *l, bool least, bool truth)
{
	int status = launch_check(l, 1, 1, 1, 2);
	Extreme e = {};
	e.least = least, e.truth = truth;
	return status ? status : extreme(l, &l->attr[0], e);
}

int hip_amax(const graft_launch *l) { return over_axes(l, false, false); }
int hip_amin(const graft_launch *l) { return over_axes(l, true, false); }
int hip_any(const graft_launch *l) { return over_axes(l, false, true); }
int hip_all(const graft_launch *l) { return over_axes(l, true, true); }

int hip_argmax(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 2);
	Extreme e = {};
	if (status)
		return status;
	graft_attr axes = l->attr[0];
	axes.list = &l->attr[0].i, axes.n = l->in[0].rank > 0;
	e.place = true;
	return extreme(l, &axes, e);
}
