/* kernel_host.h - what the kernel tests share: a host of plain loops, tensors in awkward memory, references in float64.
 *
 * Conversions here are written from the formats' definitions, not from the kernels' code.
 */
#ifndef GRAFT_KERNEL_HOST_H
#define GRAFT_KERNEL_HOST_H

#include "test.h"
#include "../../src/kernels/cpu/cpu.h"
#include <math.h>
#include <stdlib.h>

/* ---- the host ---- */

typedef struct Host {
	graft_host api;
	int pieces;                           /* into which `parallel` cuts a loop; they run last piece first */
	int64_t scratch_left;                 /* bytes; then there is none */
	void *blocks[64];
	int n_blocks;
	char message[256];
} Host;

void host_init(Host *h, int pieces);
void host_end(Host *h);                       /* frees scratch */

/* ---- numbers ---- */

typedef struct Random { uint64_t state; } Random;
uint64_t random_bits(Random *r);
int64_t random_below(Random *r, int64_t n);
double random_number(Random *r);              /* about -4 .. 4, with a few exact small integers and zeros */

double element_get(int dtype, const void *p); /* an integer above 2^53 loses bits */
void element_put(int dtype, void *p, double v);   /* v must be a value of the dtype */
double rounded(int dtype, double v);          /* the nearest value of the dtype, ties to even */
double ulp(int dtype, double v);              /* distance of neighbours at v */
bool is_integer(int dtype);

/* ---- tensors ---- */

typedef enum Layout { DENSE, GAPS, PERMUTED, NEGATIVE, EXPANDED, LAYOUTS } Layout;   /* EXPANDED: some strides are 0 */

typedef struct Box {
	graft_tensor t;
	int64_t shape[GRAFT_MAX_RANK], stride[GRAFT_MAX_RANK];
	unsigned char *memory, *before;       /* all bytes, and a copy made by box_seal */
	size_t bytes;
	int64_t size;
} Box;

/* A tensor of small random numbers; bytes that belong to no element, some before and after, hold a pattern. */
Box *box_new(Random *r, int dtype, int rank, const int64_t *shape, Layout layout);
Box *box_scalar(int dtype, double v);
Box *box_vector(int dtype, int64_t n, const double *v);
void box_free(Box *b);
void *box_at(const Box *b, int64_t index);    /* the element at a row-major index */
double box_get(const Box *b, int64_t index);
void box_put(Box *b, int64_t index, double v);
int64_t box_integer(const Box *b, int64_t index);
void box_coordinates(const Box *b, int64_t index, int64_t *at);
/* The element that broadcasting to `to` reads at to's index. */
double box_get_broadcast(const Box *b, const Box *to, int64_t index);

/* Runs a kernel over n pieces and checks that it succeeds and that nothing but elements of the outputs changed. */
void run_kernel(graft_launch_fn kernel, int pieces, Box *const *in, int n_in, Box *const *out, int n_out,
                const graft_attr *attr,
                int n_attr);
/* Runs it where it must fail: returns the status, the message in h. */
int fail_kernel(graft_launch_fn kernel, Host *h, Box *const *in, int n_in, Box *const *out, int n_out,
                const graft_attr *attr,
                int n_attr);

/* Is got within `ulps` of want in that dtype (and `slack` more)? NaN agrees with NaN. */
bool close_to(int dtype, double got, double want, double ulps, double slack);
bool same_bits(const Box *a, const Box *b);

#define BOXES(...) (Box *[]){ __VA_ARGS__ }, (int)(sizeof((Box *[]){ __VA_ARGS__ }) / sizeof(Box *))
#define SHAPE(...) (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (const int64_t[]){ __VA_ARGS__ }
#define NO_ATTRS NULL, 0
#define MISSING (&(Box){ .t = { .dtype = GRAFT_DTYPE_COUNT } })

#endif
