/* plugin.h - the ABIs of kernel packs and of device plugins.
 *
 * A kernel pack is a shared library that exports one function:
 *
 *     const graft_pack *graft_pack_v1(void);
 *
 * It returns a constant table that says which kernels the pack has and what each can do. Asking for the table must be
 * static: no GPU is initialised, no thread started, nothing printed. graft believes no row before it has checked, in
 * this order, each with a reason of its own: the library loads; it speaks this ABI; it has the kernel; the kernel has
 * the signature that graft would call; it covers the architecture; it covers the node (dtype, round, sizes, strides);
 * and, once, when a plan first binds the kernel, a self test on a tiny input agrees with graft's own kernel.
 *
 * Everything in the table is borrowed from the library and lives until it is closed. docs/plugin.md has a worked
 * example.
 */
#ifndef GRAFT_PLUGIN_H
#define GRAFT_PLUGIN_H

#include <graft/graft.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRAFT_PACK_MAGIC 0x4b505247u          /* "GRPK" in memory, little endian */
#define GRAFT_PACK_ABI 1                      /* changes when anything below changes its meaning or place */
#define GRAFT_PACK_SYMBOL "graft_pack_v1"

/* Rounding modes of normalisations, as bits of graft_kernel.rounds. */
#define GRAFT_ROUND_LATE  1u                  /* multiply by the weight in float32, cast once */
#define GRAFT_ROUND_EARLY 2u                  /* cast the normalised x to its dtype, then multiply */

/* One attribute value, symbols bound. Which member counts follows from the op's row: INT, BOOL, DTYPE, AXIS: i (an axis
 * is already counted from the front, a name of a NAME attribute is its index in the row's list); FLOAT: f; INTS, AXES,
 * DIMS: list, n; LIST: list, n too: integers, or, where the result's dtype is a float, the bits of doubles.
 * An optional attribute that is not given has `given` 0. */
typedef struct graft_attr {
	int32_t given;
	int32_t n;
	int64_t i;
	double f;
	const int64_t *list;
} graft_attr;

/* C = A * B (+ C when accumulate), `batch` times, on a device; element (i, k) of the p-th A lies at a + i*a_i + k*a_k
 * + p*a_batch, in elements. All have one dtype, f16, bf16 or f32; sums are float32 and are rounded once. */
typedef struct graft_gemm {
	uint32_t struct_size;
	int32_t dtype;                        /* a graft_dtype */
	int64_t m, n, k, batch;               /* each >= 1 */
	const void *a, *b;
	void *c;
	int64_t a_i, a_k, a_batch;            /* of a_i, a_k one is 1; of b_k, b_j one is 1; c_j is 1 */
	int64_t b_k, b_j, b_batch;
	int64_t c_i, c_j, c_batch;
	int32_t accumulate;
	void *stream;                         /* the launch's */
} graft_gemm;

/* What the host offers a kernel while it runs. On the CPU `gemm` is NULL; on a GPU `parallel`, `sgemm` and `scratch`
 * are, and `gemm` is when no BLAS was found. */
typedef struct graft_host {
	void *self;
	/* Calls body(arg, begin, end) over pieces of [0, n), each at least `grain` long, on several threads; returns
	 * when all ended. Called from inside a body it runs the whole range right there; so does sgemm, which may be
	 * called from bodies too. */
	void (*parallel)(void *self, int64_t n, int64_t grain, void (*body)(void *arg, int64_t begin, int64_t end),
	                 void *arg);
	/* C = A * B (+ C when accumulate), float32, element strides: a(i,k) = a[i*ai + k*ak], ...; of each pair one
	 * stride is 1, c is row major (cj = 1). */
	void (*sgemm)(void *self, int64_t m, int64_t n, int64_t k, const float *a, int64_t ai, int64_t ak,
	              const float *b, int64_t bk, int64_t bj, float *c, int64_t ci, int accumulate);
	/* Scratch memory that lives until the launch returns, 64-byte aligned; NULL when there is none left. */
	void *(*scratch)(void *self, size_t bytes);
	/* Queues the product on the stream. 0: done; any other number: not this one, the kernel computes it by
	 * itself. */
	int (*gemm)(void *self, const graft_gemm *g);
} graft_host;

/* One call of a kernel. Operands and attributes stand in the order of the op's row (docs/ops.md); outputs are
 * allocated, dense unless a plan says otherwise by their strides, and never overlap an input unless the op writes in
 * place. */
typedef struct graft_launch {
	uint32_t struct_size;
	int32_t n_in, n_out, n_attr;
	const graft_tensor *in;
	const graft_tensor *out;
	const graft_attr *attr;
	/* the HIP stream to launch on; NULL on the CPU. On a GPU every tensor's data is device memory, literals' too;
	 * shapes, strides, attributes are the host's, and a kernel launched later must not point at them */
	void *stream;
	const graft_host *host;               /* may be NULL on a GPU */
	char *message;                        /* room for a reason when the launch fails; NUL-terminated */
	size_t message_size;
} graft_launch;

/* Launches (GPU) or computes (CPU). Returns 0, or a graft_status with `message` filled. Thread-safe. */
typedef int (*graft_launch_fn)(const graft_launch *launch);

#define GRAFT_DTYPE_BIT(d) (1u << (d))

/* What a kernel can do. A limit of 0 means 'no limit'. */
typedef struct graft_kernel {
	const char *name;                     /* the op it implements: "fused_mla_dual_rms_norm" */
	/* the op's signature as `graft ops --signatures` prints it; compared as text */
	const char *signature;
	uint32_t version;                     /* the kernel's own version, for messages */
	uint32_t dtypes;                      /* GRAFT_DTYPE_BITs of floating operands it takes */
	uint32_t rounds;                      /* GRAFT_ROUND_ bits; 0 when the op has no `round` */
	uint32_t flags;                       /* GRAFT_KERNEL_ bits */
	const char *archs;                    /* "gfx90a,gfx942", "cpu"; "*" for all */
	int64_t max_last;                     /* longest last axis of any operand it takes */
	int64_t max_rows;                     /* most rows (product of the other axes) */
	int64_t max_row_stride;               /* largest distance between rows, in elements */
	graft_launch_fn launch;
} graft_kernel;

#define GRAFT_KERNEL_ANY_STRIDE 1u            /* takes rows at any distance; without it operands must be dense */
#define GRAFT_KERNEL_ODD_LAST   2u            /* takes a last axis of odd length */
/* walks operands with any strides on any axis: none is ever copied for it */
#define GRAFT_KERNEL_ANY_LAYOUT 4u

typedef struct graft_pack {
	uint32_t magic;                       /* GRAFT_PACK_MAGIC */
	uint32_t abi;                         /* GRAFT_PACK_ABI */
	uint32_t struct_size;                 /* sizeof(graft_pack) where it was compiled */
	uint32_t kernel_size;                 /* sizeof(graft_kernel) where it was compiled */
	const char *name, *version;           /* of the pack, for messages */
	uint32_t n_kernels;
	uint32_t n_kernels_again;             /* the same number once more: a table cut short or grown by hand shows */
	const graft_kernel *kernels;
} graft_pack;

typedef const graft_pack *(*graft_pack_fn)(void);

/* ---- device plugins ----------------------------------------------------------------------------------------
 *
 * A device plugin is a shared library, libgraft_hip.so, that exports one function:
 *
 *     const graft_device *graft_device_v1(void);
 *
 * It is all that graft knows of a GPU's runtime: memory, copies, one stream, events, captured graphs, matrix products.
 * Kernels are in packs. Asking for the table is static; `open` is the first call that starts a GPU.
 *
 * Every entry that can fail returns 0, or a graft_status with *fault filled: which call of the runtime, and what it
 * answered. A session is used by one thread at a time, not always the same. Copies, events, products and graph launches
 * are queued on the session's stream and run in that order; what they name must live until `wait` has returned.
 */
#define GRAFT_DEVICE_MAGIC 0x56445247u        /* "GRDV" in memory, little endian */
#define GRAFT_DEVICE_ABI 1
#define GRAFT_DEVICE_SYMBOL "graft_device_v1"

typedef struct graft_session graft_session;   /* one stream of one device; the plugin's own */

typedef struct graft_fault {
	/* what the runtime answered, its own number; 0: the plugin refused by itself */
	int32_t code;
	char message[252];                    /* "hipMalloc gave hipErrorOutOfMemory: out of memory" */
} graft_fault;

/* What a device is. Numbers that are not known are 0, texts "". */
typedef struct graft_device_info {
	char name[128];
	char arch[64];                        /* "gfx942:sramecc+:xnack-", "sm_90", "sim32" */
	char platform[16];                    /* "amd", "nvidia", "sim": which pack fits (graft_hip_<platform>.so) */
	int32_t warp, units, ordinal, pad;    /* units: compute units, multiprocessors */
	uint64_t memory;                      /* bytes */
	double bandwidth;                     /* of memory, bytes a second */
	double flops_f64, flops_f32, flops_half;   /* peak of products, operations a second */
} graft_device_info;

typedef struct graft_device {
	uint32_t magic, abi;
	uint32_t struct_size;                 /* sizeof(graft_device) where it was compiled */
	uint32_t n_entries;                   /* GRAFT_DEVICE_ENTRIES there */

	int (*open)(int ordinal, graft_session **out, graft_fault *fault);
	void (*close)(graft_session *s);      /* waits for nothing: call wait before it */
	void (*info)(const graft_session *s, graft_device_info *out);
	void *(*stream)(const graft_session *s);
	/* Between begin and end the calling thread's current device is the session's; end puts back what it was. Pairs
	 * nest. */
	int (*begin)(graft_session *s, graft_fault *fault);
	void (*end)(graft_session *s);

	/* size > 0; 256-byte aligned */
	int (*alloc)(graft_session *s, size_t size, void **out, graft_fault *fault);
	void (*free)(graft_session *s, void *p);
	/* memory of the host that copies fast */
	int (*alloc_host)(graft_session *s, size_t size, void **out, graft_fault *fault);
	void (*free_host)(graft_session *s, void *p);
	int (*copy_in)(graft_session *s, void *device, const void *host, size_t size, graft_fault *fault);
	int (*copy_out)(graft_session *s, void *host, const void *device, size_t size, graft_fault *fault);
	int (*wait)(graft_session *s, graft_fault *fault);            /* until all that is queued has run */
	int (*launched)(graft_session *s, graft_fault *fault);        /* did a launch since the last call fail? */

	int (*event_new)(graft_session *s, void **out, graft_fault *fault);
	void (*event_free)(graft_session *s, void *event);
	int (*event_record)(graft_session *s, void *event, graft_fault *fault);
	/* both have passed */
	int (*event_seconds)(graft_session *s, void *from, void *to, double *out, graft_fault *fault);

	/* What is queued between the two is not run but recorded. After a failed capture_end the stream is as if
	 * nothing had been. */
	int (*capture_begin)(graft_session *s, graft_fault *fault);
	/* graph NULL: drop what was recorded */
	int (*capture_end)(graft_session *s, void **graph, graft_fault *fault);
	int (*graph_launch)(graft_session *s, void *graph, graft_fault *fault);
	void (*graph_free)(graft_session *s, void *graph);

	/* The library that computes products, looked for at the first call; NULL: none, fault->message says where it
	 * looked. */
	const char *(*blas)(graft_session *s, graft_fault *fault);
	/* Queues a product, whatever stream it names, by that library. GRAFT_E_UNSUPPORTED: not one that it
	 * computes. */
	int (*gemm)(graft_session *s, const graft_gemm *p, graft_fault *fault);
} graft_device;

#define GRAFT_DEVICE_ENTRIES 24

typedef const graft_device *(*graft_device_fn)(void);

#ifdef __cplusplus
}
#endif
#endif
