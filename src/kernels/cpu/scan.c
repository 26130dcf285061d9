/* scan.c - cumsum: running sums, one after the other. Floats add up in float64 and each sum is rounded once, as
 * torch's CPU does it. */
#include "kernel.h"

typedef struct Scan { Lines lines; int y, x; } Scan;    /* y, x */

#define SCAN(class, type, PLUS)                                                                                        \
	static void scan_line_##class(const Scan *s, char *y, const char *x)                                           \
	{                                                                                                              \
		const Lines *l = &s->lines;                                                                            \
		type sum = 0, v[RUN];                                                                                  \
		char cast[8 * RUN];                                                                                    \
		for (int64_t i = 0; i < l->size[0]; i += RUN) {                                                        \
			int64_t n = l->size[0] - i < RUN ? l->size[0] - i : RUN;                                       \
			convert(s->y, cast, 1, s->x, x + i * l->step[1] * l->walk.item[1], l->step[1], n);             \
			load_##class(v, s->y, cast, 1, n);                                                             \
			for (int64_t k = 0; k < n; k++)                                                                \
				v[k] = sum = PLUS(sum, v[k]);                                                          \
			store_##class(s->y, y + i * l->step[0] * l->walk.item[0], l->step[0], v, n);                   \
		}                                                                                                      \
	}                                                                                                              \
	static void scan_side_by_side_##class(const Scan *s, char *const *at, const int64_t *stride, int64_t n)        \
	{                                                                                                              \
		const Lines *l = &s->lines;                                                                            \
		type sum[RUN] = { 0 }, v[RUN];                                                                         \
		char cast[8 * RUN];                                                                                    \
		for (int64_t i = 0; i < l->size[0]; i++) {                                                             \
			convert(s->y, cast, 1, s->x, at[1] + i * l->step[1] * l->walk.item[1], stride[1], n);          \
			load_##class(v, s->y, cast, 1, n);                                                             \
			for (int64_t k = 0; k < n; k++)                                                                \
				sum[k] = PLUS(sum[k], v[k]);                                                           \
			store_##class(s->y, at[0] + i * l->step[0] * l->walk.item[0], stride[0], sum, n);              \
		}                                                                                                      \
	}
#define ADD(a, b) ((a) + (b))
#define ADD_WRAP(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
SCAN(f64, double, ADD)
SCAN(i64, int64_t, ADD_WRAP)

/* Lines whose elements lie nearer to those of the next line than to each other are taken side by side. */
static void scan_lines(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Scan *s = arg;
	bool whole = class_of(s->y) == CLASS_I64;
	void (*line)(const Scan *, char *, const char *) = whole ? scan_line_i64 : scan_line_f64;
	if (n > 1 && stride[1] == 1 && s->lines.step[1] != 1) {
		(whole ? scan_side_by_side_i64 : scan_side_by_side_f64)(s, at, stride, n);
		return;
	}
	for (int64_t i = 0; i < n; i++)
		line(s, at[0] + i * stride[0] * s->lines.walk.item[0], at[1] + i * stride[1] * s->lines.walk.item[1]);
}

int cpu_cumsum(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 1, 2);
	int64_t room[2][2];
	Scan s;
	if (status)
		return status;
	graft_tensor y = as_line(l->out, room[0]), x = as_line(l->in, room[1]);
	s.y = y.dtype, s.x = x.dtype;
	if (!lines_of(&s.lines, (const graft_tensor *const[]){ &y, &x }, 2, l->attr[0].i) ||
	    s.lines.size[0] != s.lines.size[1])
		return launch_fail(l, GRAFT_E_USAGE, "cumsum: there is no axis %lld, or operand and result differ in "
		                   "shape",
		                   (long long)l->attr[0].i);
	walk_parallel(l, &s.lines.walk, RUN, 8 * s.lines.size[0] + 8, scan_lines, &s);
	return 0;
}
