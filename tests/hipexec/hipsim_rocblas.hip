/* hipsim_rocblas.hip - rocBLAS's interface on hipsim, as far as the device plugin uses it: each product one kernel of
 * one loop. */
#include <hip/hip_runtime.h>
#include <cstdlib>
#include <cstring>

struct Handle { hipStream_t stream; };

/* Column-major c = alpha * op(a) * op(b) + beta * c. No padding: hipsim looks for pointers in all bytes of an
 * argument. */
struct Gemm {
	int ta, tb, m, n, k, type;
	float alpha, beta;
	const void *a, *b;
	void *c;
	int64_t lda, ldb, ldc, stride_a, stride_b, stride_c;
};

enum { F16 = 150, F32 = 151, BF16 = 168, TRANSPOSED = 112, THREADS = 64 };

static float half_to_float(uint16_t h)
{
	_Float16 f;
	memcpy(&f, &h, sizeof f);
	return static_cast<float>(f);
}

static uint16_t float_to_half(float v)
{
	_Float16 f = static_cast<_Float16>(v);
	uint16_t h;
	memcpy(&h, &f, sizeof h);
	return h;
}

static float bf16_to_float(uint16_t h)
{
	uint32_t bits = static_cast<uint32_t>(h) << 16;
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

static uint16_t float_to_bf16(float v)
{
	uint32_t bits;
	memcpy(&bits, &v, sizeof bits);
	return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float load(int type, const void *p, int64_t i)
{
	if (type == F32)
		return static_cast<const float *>(p)[i];
	uint16_t h = static_cast<const uint16_t *>(p)[i];
	return type == F16 ? half_to_float(h) : bf16_to_float(h);
}

static void store(int type, void *p, int64_t i, float v)
{
	if (type == F32)
		static_cast<float *>(p)[i] = v;
	else
		static_cast<uint16_t *>(p)[i] = type == F16 ? float_to_half(v) : float_to_bf16(v);
}

static __global__ void gemm(Gemm g)
{
	int64_t at = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x, batch = blockIdx.y;
	if (at >= static_cast<int64_t>(g.m) * g.n)
		return;
	int64_t i = at % g.m, j = at / g.m;
	float sum = 0;
	for (int64_t l = 0; l < g.k; l++)
		sum += load(g.type, g.a, batch * g.stride_a + (g.ta ? l + i * g.lda : i + l * g.lda)) *
		       load(g.type, g.b, batch * g.stride_b + (g.tb ? j + l * g.ldb : l + j * g.ldb));
	int64_t c = batch * g.stride_c + i + j * g.ldc;
	store(g.type, g.c, c, g.alpha * sum + (g.beta != 0 ? g.beta * load(g.type, g.c, c) : 0));
}

#define API extern "C" __attribute__((visibility("default"))) int

API rocblas_create_handle(void **handle);
API rocblas_create_handle(void **handle)
{
	*handle = calloc(1, sizeof(Handle));
	return *handle ? 0 : 5;
}

API rocblas_destroy_handle(void *handle);
API rocblas_destroy_handle(void *handle)
{
	free(handle);
	return 0;
}

API rocblas_set_stream(void *handle, hipStream_t stream);
API rocblas_set_stream(void *handle, hipStream_t stream)
{
	static_cast<Handle *>(handle)->stream = stream;
	return 0;
}

API rocblas_gemm_strided_batched_ex(void *handle, int ta, int tb, int m, int n, int k, const void *alpha, const void *a,
                                    int a_type, int lda, int64_t stride_a, const void *b, int b_type, int ldb,
                                    int64_t stride_b, const void *beta, const void *c, int c_type, int ldc,
                                    int64_t stride_c, void *d, int d_type, int ldd, int64_t stride_d, int batch,
                                    int compute_type, int algo, int32_t solution, uint32_t flags);
API rocblas_gemm_strided_batched_ex(void *handle, int ta, int tb, int m, int n, int k, const void *alpha, const void *a,
                                    int a_type, int lda, int64_t stride_a, const void *b, int b_type, int ldb,
                                    int64_t stride_b, const void *beta, const void *c, int c_type, int ldc,
                                    int64_t stride_c, void *d, int d_type, int ldd, int64_t stride_d, int batch,
                                    int compute_type, int algo, int32_t solution, uint32_t flags)
{
	bool same = a_type == b_type && b_type == c_type && c_type == d_type && c == d && ldc == ldd &&
		stride_c == stride_d;
	bool known = (a_type == F16 || a_type == F32 || a_type == BF16) && compute_type == F32 && !algo &&
		!solution && !flags;
	bool fits = lda >= (ta == TRANSPOSED ? k : m) && ldb >= (tb == TRANSPOSED ? n : k) && ldc >= m;
	if (!same || !known || !fits)
		return 11;
	Gemm g = { ta == TRANSPOSED, tb == TRANSPOSED, m, n, k, a_type, *static_cast<const float *>(alpha),
	           *static_cast<const float *>(beta), a, b, d, lda, ldb, ldc, stride_a, stride_b, stride_c };
	dim3 grid(static_cast<uint32_t>((static_cast<int64_t>(m) * n + THREADS - 1) / THREADS),
	          static_cast<uint32_t>(batch));
	hipLaunchKernelGGL(gemm, grid, dim3(THREADS), 0, static_cast<Handle *>(handle)->stream, g);
	return hipGetLastError() == hipSuccess ? 0 : 6;
}
