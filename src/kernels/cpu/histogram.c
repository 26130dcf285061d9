/* histogram.c - histc: how many elements lie in each of equal parts of a range.
 *
 * The part is worked out in the dtype of x, step by step, so that elements on a border fall where torch puts them.
 */
#include "kernel.h"
#include <math.h>

typedef struct Histogram {
	const graft_tensor *x;
	double min, max;
	int64_t bins, *count;
	bool strange;                         /* an element is not finite, while the range is looked for */
} Histogram;

static double rounded(const Histogram *h, double v)
{
	float f = (float)v;
	if (class_of(h->x->dtype) != CLASS_F32)
		return v;
	round_f32(h->x->dtype, &f, 1);
	return (double)f;
}

static void find_range(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	Histogram *h = arg;
	double v[RUN];
	load_f64(v, h->x->dtype, at[0], stride[0], n);
	for (int64_t i = 0; i < n; i++) {
		h->strange |= !isfinite(v[i]);
		h->min = v[i] < h->min ? v[i] : h->min;
		h->max = v[i] > h->max ? v[i] : h->max;
	}
}

static void count_run(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Histogram *h = arg;
	double v[RUN], width = rounded(h, h->max - h->min), bins = rounded(h, (double)h->bins);
	load_f64(v, h->x->dtype, at[0], stride[0], n);
	for (int64_t i = 0; i < n; i++) {
		if (!(v[i] >= h->min && v[i] <= h->max))
			continue;
		double place = rounded(h, rounded(h, rounded(h, v[i] - h->min) * bins) / width);
		h->count[place < (double)h->bins ? (int64_t)place : h->bins - 1]++;
	}
}

int cpu_histc(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 3);
	if (status)
		return status;
	Histogram h = { .x = l->in, .min = INFINITY, .max = -INFINITY, .bins = l->attr[0].i };
	Walk w;
	if (h.bins < 1 || l->out[0].rank != 1 || l->out[0].shape[0] != h.bins)
		return launch_fail(l, GRAFT_E_USAGE, "histc: the result must have one axis of %lld bins",
		                   (long long)h.bins);
	walk_begin(&w, h.x);
	walk_join(&w);
	bool open = l->attr[1].f == l->attr[2].f && w.size > 0;
	if (open)
		walk_range(&w, 0, w.size, RUN, find_range, &h);
	else
		h.min = rounded(&h, l->attr[1].f), h.max = rounded(&h, l->attr[2].f);
	if (h.strange)
		return launch_fail(l, GRAFT_E_DATA, "histc: x has elements that are not finite, so there is no range "
		                   "of it: give min and max");
	if (h.min == h.max)
		h.min -= 1, h.max += 1;
	h.count = scratch(l, h.bins, sizeof *h.count);
	if (!h.count)
		return no_scratch(l, h.bins, sizeof *h.count);
	memset(h.count, 0, (size_t)h.bins * sizeof *h.count);
	walk_range(&w, 0, w.size, RUN, count_run, &h);
	store_i64(l->out[0].dtype, l->out[0].data, l->out[0].stride[0], h.count, h.bins);
	return 0;
}
