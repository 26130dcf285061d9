/* kernel.h - what the reference kernels share: refusals, operands, walks over strided tensors, threads.
 *
 *   Walk    a nest of loops over up to WALK_TENSORS tensors at once. Axes of size 1 are left out and axes that are
 *           one axis in every tensor are joined, so that the innermost runs are as long as they can be.
 */
#ifndef GRAFT_KERNEL_H
#define GRAFT_KERNEL_H

#include "convert.h"
#include "cpu.h"

/* Fills the launch's message; returns status. Only from the thread that launched. */
int launch_fail(const graft_launch *l, graft_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* What a kernel must have before it looks at anything: in_min..in_max operands, n_out results, n_attr attributes, a
 * host, and tensors with a dtype and a rank, each operand in it that is not optional. Returns 0 or a status. */
int launch_check(const graft_launch *l, int in_min, int in_max, int n_out, int n_attr);

/* Operand i, or NULL when it is optional and missing. */
static inline const graft_tensor *operand(const graft_launch *l, int i)
{
	return i < l->n_in && l->in[i].dtype != GRAFT_DTYPE_COUNT ? &l->in[i] : NULL;
}

static inline int64_t item_size(const graft_tensor *t) { return (int64_t)graft_dtype_size((graft_dtype)t->dtype); }
static inline const char *dtype_text(const graft_tensor *t) { return graft_dtype_name((graft_dtype)t->dtype); }
int64_t tensor_size(const graft_tensor *t);   /* elements */

/* One element of a size that dtypes have. */
static inline void copy_item(char *to, const char *from, int64_t item)
{
	switch (item) {
	case 1: *to = *from; break;
	case 2: memcpy(to, from, 2); break;
	case 4: memcpy(to, from, 4); break;
	default: memcpy(to, from, 8); break;
	}
}
bool same_shape(const graft_tensor *a, const graft_tensor *b);
bool tensor_dense(const graft_tensor *t);     /* row-major without gaps */

/* The same tensor without its last `n` axes. Shape and stride are borrowed. */
graft_tensor tensor_front(const graft_tensor *t, int32_t n);

/* A 0-d tensor as a line of one element, for ops that torch lets take it so; room holds its shape and stride. */
graft_tensor as_line(const graft_tensor *t, int64_t room[2]);

/* "2, 3": where a row-major index lies, for messages. */
enum { PLACE_ROOM = 256 };
const char *place_text(char room[PLACE_ROOM], const graft_tensor *t, int64_t index);

/* Where an end of a slice lies: from the back when negative, clamped. */
static inline int64_t slice_end(int64_t i, int64_t size)
{
	if (i < 0)
		i = i < -size ? 0 : i + size;
	return i > size ? size : i;
}

/* Scratch for n items, or NULL when there is none or n * size does not fit; the caller refuses with no_scratch. */
void *scratch(const graft_launch *l, int64_t n, size_t size);
int no_scratch(const graft_launch *l, int64_t n, size_t size);

enum { WALK_TENSORS = 5 };

typedef struct Walk {
	int32_t rank, n;                      /* axes, tensors */
	int64_t size;                         /* elements walked over; 0 when an axis has none */
	char *base[WALK_TENSORS];
	int64_t item[WALK_TENSORS];           /* bytes */
	int64_t shape[GRAFT_MAX_RANK];
	int64_t stride[GRAFT_MAX_RANK][WALK_TENSORS];
} Walk;

/* Over the axes of `over`, which is its first tensor. */
void walk_begin(Walk *w, const graft_tensor *over);
/* One more tensor, broadcast to the first; false when its shape does not do that. */
bool walk_add(Walk *w, const graft_tensor *t);
/* An empty nest over the same tensors, to which axes are added from the outermost inwards. */
void walk_axis(Walk *w, int64_t size, const int64_t *strides);
void walk_join(Walk *w);                      /* after the last axis and tensor */

/* Called with n >= 1 elements in each tensor: at[i] is the first, stride[i] elements lie between neighbours. */
typedef void (*walk_fn)(void *arg, char *const *at, const int64_t *stride, int64_t n);

/* Elements begin..end in row-major order, in runs of at most `most`. */
void walk_range(const Walk *w, int64_t begin, int64_t end, int64_t most, walk_fn fn, void *arg);

/* All of them, on several threads; `cost` is the work of one element in simple operations. */
void walk_parallel(const graft_launch *l, const Walk *w, int64_t most, int64_t cost, walk_fn fn, void *arg);

/* Lines along an axis of tensors that have one shape but for that axis: the walk goes over their starts. */
typedef struct Lines { Walk walk; int64_t size[WALK_TENSORS], step[WALK_TENSORS]; } Lines;
/* False when shapes differ, or there is no such axis. */
bool lines_of(Lines *lines, const graft_tensor *const *t, int n, int64_t axis);

/* Pieces of [0, n) on several threads where that is worth it. */
void run_parallel(const graft_launch *l, int64_t n, int64_t cost, void (*body)(void *, int64_t, int64_t), void *arg);

/* Code that is the same in several classes stands once, in <family>.inc, and is included through as_<class>.h. */
#define JOIN_AGAIN(stem, class) stem##_##class
#define JOIN(stem, class) JOIN_AGAIN(stem, class)
#define NAME(stem) JOIN(stem, CLASS)

/* A run is summed as LANES partial sums, element i into sum i % LANES, that are then folded in halves: an order that
 * vector code keeps and that depends on the length alone. */
enum { LANES = 16 };
#define TEMPLATE "lanes.inc"
#include "as_f32.h"
#include "as_f64.h"
#include "as_i64.h"
#undef TEMPLATE

/* Of n numbers (softmax.c): the greatest, NaN passed over, -inf for none; v = exp(v - max), and their sum. */
float max_run_f32(const float *v, int64_t n);
double max_run_f64(const double *v, int64_t n);
float exp_run_f32(float *v, float max, int64_t n);
double exp_run_f64(double *v, double max, int64_t n);

/* What is kept of x and what goes into each element of it: kept walks over y and x, gone over x from its first element
 * on. False when the list names an axis that is not there, or y has not the shape of what is kept (reduce.c). */
bool reduce_walks(Walk *kept, Walk *gone, const graft_tensor *y, const graft_tensor *x, const graft_attr *axes,
                  bool keepdim);

/* y = x, converted and broadcast (copy.c). */
int tensor_convert(const graft_launch *l, const graft_tensor *y, const graft_tensor *x);

#endif
