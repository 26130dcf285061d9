/* odd.hip - a pack of one thread's kernels: one that takes even rows only, one that is wrong, one that fails, one that
 * cannot be captured. */
#include <graft/plugin.h>
#include <hip/hip_runtime.h>
#include <cstdio>

/* Rows of float32: y = x * factor. */
static __global__ void scale(float *y, const float *x, int64_t rows, int64_t n, int64_t stride, float factor)
{
	for (int64_t i = 0; i < rows; i++)
		for (int64_t k = 0; k < n; k++)
			y[i * n + k] = x[i * stride + k] * factor;
}

static int scaled(const graft_launch *l, float factor)
{
	const graft_tensor *x = &l->in[0], *y = &l->out[0];
	int64_t n = x->rank ? x->shape[x->rank - 1] : 1, rows = 1;
	for (int32_t i = 0; i + 1 < x->rank; i++)
		rows *= x->shape[i];
	hipLaunchKernelGGL(scale, dim3(1), dim3(1), 0, static_cast<hipStream_t>(l->stream),
	                   static_cast<float *>(y->data), static_cast<const float *>(x->data), rows, n,
	                   x->rank > 1 ? x->stride[x->rank - 2] : n, factor);
	return hipGetLastError() == hipSuccess ? 0 : GRAFT_E_EXEC;
}

static int neg(const graft_launch *l) { return scaled(l, -1); }
static int clone(const graft_launch *l) { return scaled(l, 1); }
static int wrong_sqrt(const graft_launch *l) { return scaled(l, 2); }

/* Believed without a self test, whose rows are too long for it. */
static int fails(const graft_launch *l)
{
	snprintf(l->message, l->message_size, "square ran out of luck");
	return GRAFT_E_EXEC;
}

/* A kernel that waits for the device can run, but not be recorded. */
static int waits(const graft_launch *l)
{
	if (hipStreamSynchronize(static_cast<hipStream_t>(l->stream)) != hipSuccess) {
		(void)hipGetLastError();
		snprintf(l->message, l->message_size, "this kernel waits");
		return GRAFT_E_EXEC;
	}
	return scaled(l, 1);
}

static const uint32_t rows_at_a_distance = GRAFT_KERNEL_ANY_STRIDE | GRAFT_KERNEL_ODD_LAST;

static const graft_kernel kernels[] = {
	{ "neg", "neg(x) -> (y)", 1, GRAFT_DTYPE_BIT(GRAFT_DTYPE_f32), 0, rows_at_a_distance, "sim32,sim64", 0, 0,
	  0, neg },
	{ "clone", "clone(x) -> (y)", 1, GRAFT_DTYPE_BIT(GRAFT_DTYPE_f32), 0, rows_at_a_distance, "sim32,sim64", 0, 0,
	  0, clone },
	{ "sqrt", "sqrt(x) -> (y)", 1, GRAFT_DTYPE_BIT(GRAFT_DTYPE_f32), 0, rows_at_a_distance, "*", 0, 0, 0,
	  wrong_sqrt },
	{ "sin", "sin(x) -> (y)", 1, GRAFT_DTYPE_BIT(GRAFT_DTYPE_f32), 0, 0, "gfx942", 0, 0, 0, wrong_sqrt },
	{ "square", "square(x) -> (y)", 1, GRAFT_DTYPE_BIT(GRAFT_DTYPE_f32), 0, rows_at_a_distance, "*", 4, 0, 0,
	  fails },
	{ "reshape", "reshape(x) -> (y) {shape: list of sizes}", 1, GRAFT_DTYPE_BIT(GRAFT_DTYPE_f32), 0,
	  rows_at_a_distance, "*", 4, 0, 0, waits },
};

enum : uint32_t { N = sizeof kernels / sizeof *kernels };

static const graft_pack pack = {
	GRAFT_PACK_MAGIC, GRAFT_PACK_ABI, sizeof(graft_pack), sizeof(graft_kernel), "odd", "1", N, N, kernels,
};

extern "C" GRAFT_API const graft_pack *graft_pack_v1(void);
extern "C" GRAFT_API const graft_pack *graft_pack_v1(void)
{
	return &pack;
}
