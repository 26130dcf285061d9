/* blas.c - the vendor's BLAS, found at run time: rocBLAS for amd, cuBLAS for nvidia.
 *
 * hipBLAS would be rocBLAS behind another name, and its enumerations changed between its versions; rocBLAS's did not.
 * On sim a stand-in with rocBLAS's interface is used where a test has put one. Nothing of these libraries is needed to
 * compile this.
 *
 * Row-major c = a * b is column-major transpose(c) = transpose(b) * transpose(a), so b is passed first.
 */
#include "session.h"
#include "../lead.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* A matrix as BLAS sees it. */
typedef struct Side { const void *data; int trans, ld; int64_t batch; } Side;

/* A product in a library's own numbers; alpha and beta of the type that is computed in. */
typedef struct Call {
	int m, n, k, count, ldc, dtype, compute;
	Side first, second;
	void *c;
	int64_t batch;
	const void *alpha, *beta;
} Call;

struct BlasLib {
	const char *name;
	const char *files[8];
	const char *functions[BLAS_FUNCTIONS];
	int as_is, transposed;
	int dtypes[GRAFT_DTYPE_COUNT];        /* its number for ours; 0 and not f32: none */
	int compute_f32, compute_f64;
	int (*gemm)(Function fn, void *handle, const Call *c);
};

/* ---- the two interfaces ------------------------------------------------------------------------------------ */

static int rocblas_call(Function fn, void *handle, const Call *c)
{
	typedef int (*Gemm)(void *, int, int, int, int, int, const void *, const void *, int, int, int64_t,
	                    const void *, int, int, int64_t, const void *, const void *, int, int, int64_t, void *, int,
	                    int, int64_t, int, int, int, int32_t, uint32_t);
	return ((Gemm)fn)(handle, c->first.trans, c->second.trans, c->m, c->n, c->k, c->alpha, c->first.data, c->dtype,
	                  c->first.ld, c->first.batch, c->second.data, c->dtype, c->second.ld, c->second.batch, c->beta,
	                  c->c, c->dtype, c->ldc, c->batch, c->c, c->dtype, c->ldc, c->batch, c->count, c->compute,
	                  0, 0, 0);
}

static int cublas_call(Function fn, void *handle, const Call *c)
{
	typedef int (*Gemm)(void *, int, int, int, int, int, const void *, const void *, int, int, long long,
	                    const void *, int, int, long long, const void *, void *, int, int, long long, int,
	                    int, int);
	return ((Gemm)fn)(handle, c->first.trans, c->second.trans, c->m, c->n, c->k, c->alpha, c->first.data, c->dtype,
	                  c->first.ld, c->first.batch, c->second.data, c->dtype, c->second.ld, c->second.batch, c->beta,
	                  c->c, c->dtype, c->ldc, c->batch, c->count, c->compute, -1);
}

#define ROCBLAS                                                                                        \
	.functions = { "rocblas_create_handle", "rocblas_destroy_handle", "rocblas_set_stream",        \
	               "rocblas_gemm_strided_batched_ex" },                                            \
	.as_is = 111, .transposed = 112, .compute_f32 = 151, .compute_f64 = 152, .gemm = rocblas_call, \
	.dtypes = { [GRAFT_DTYPE_f16] = 150, [GRAFT_DTYPE_f32] = 151, [GRAFT_DTYPE_f64] = 152,         \
	            [GRAFT_DTYPE_bf16] = 168 }

static const BlasLib libraries[] = {
	{ .name = "rocBLAS", ROCBLAS,
	  .files = { "librocblas.so.5", "librocblas.so.4", "librocblas.so.3", "librocblas.so.0", "librocblas.so" } },
	{ .name = "cuBLAS", .files = { "libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so" },
	  .functions = { "cublasCreate_v2", "cublasDestroy_v2", "cublasSetStream_v2", "cublasGemmStridedBatchedEx" },
	  .as_is = 0, .transposed = 1, .compute_f32 = 68, .compute_f64 = 70, .gemm = cublas_call,
	  .dtypes = { [GRAFT_DTYPE_f16] = 2, [GRAFT_DTYPE_f32] = 0, [GRAFT_DTYPE_f64] = 1, [GRAFT_DTYPE_bf16] = 14 } },
	{ .name = "rocBLAS's stand-in", ROCBLAS, .files = { "libhipsim_rocblas.so" } },
};

static const BlasLib *library(void)
{
#if defined(GRAFT_HIP_AMD)
	return &libraries[0];
#elif defined(GRAFT_HIP_NVIDIA)
	return &libraries[1];
#else
	return &libraries[2];
#endif
}

/* ---- finding it -------------------------------------------------------------------------------------------- */

/* What dlsym gives is an object pointer; POSIX promises that it holds a function's. */
static bool functions_of(void *lib, const BlasLib *b, Function *fn)
{
	for (int i = 0; i < BLAS_FUNCTIONS; i++) {
		void *p = dlsym(lib, b->functions[i]);
		if (!p)
			return false;
		memcpy(&fn[i], &p, sizeof p);
	}
	return true;
}

/* Open libraries are never closed: their threads and devices' memory do not survive it. */
static bool look(const BlasLib *b, Function *fn, const char **file)
{
	for (int i = 0; b->files[i]; i++) {
		void *lib = dlopen(b->files[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
		bool found = lib && functions_of(lib, b, fn);
		if (lib)
			dlclose(lib);
		*file = b->files[i];
		if (found)
			return true;
	}
	return false;
}

static int make_handle(graft_session *s)
{
	int status = ((int (*)(void **))s->blas_fn[BLAS_CREATE])(&s->blas_handle);
	if (status)
		s->blas_handle = NULL;
	return status ? status : ((int (*)(void *, void *))s->blas_fn[BLAS_SET_STREAM])(s->blas_handle, s->stream);
}

static void find(graft_session *s)
{
	const BlasLib *b = library();
	const char *file = NULL;
	if (!look(b, s->blas_fn, &file)) {
		snprintf(s->blas_why, sizeof s->blas_why, "no %s is found (looked for %s to %s)", b->name,
		         b->files[0], file);
		return;
	}
	int status = make_handle(s);
	if (status) {
		snprintf(s->blas_why, sizeof s->blas_why, "%s does not start: it gave status %d", file, status);
		return;
	}
	s->blas = b;
	snprintf(s->blas_name, sizeof s->blas_name, "%s (%s)", b->name, file);
}

const char *blas_find(graft_session *s, graft_fault *fault)
{
	if (!s->blas_sought)
		find(s);
	s->blas_sought = true;
	if (!s->blas)
		refuse(fault, GRAFT_E_UNAVAILABLE, "%s", s->blas_why);
	return s->blas ? s->blas_name : NULL;
}

void blas_close(graft_session *s)
{
	if (s->blas_handle)
		((int (*)(void *))s->blas_fn[BLAS_DESTROY])(s->blas_handle);
}

/* ---- products ---------------------------------------------------------------------------------------------- */

/* A row-major matrix of rows x cols, as BLAS reads it by columns; false when it has no words for its strides. */
static bool side_of(const BlasLib *b, const void *data, int64_t rows, int64_t cols, int64_t row_stride,
                    int64_t col_stride, int64_t batch, Side *out)
{
	bool swap;
	int lead;
	if (!blas_lead(rows, cols, row_stride, col_stride, &swap, &lead) || batch < 0)
		return false;
	*out = (Side){ data, swap ? b->transposed : b->as_is, lead, batch };
	return true;
}

static bool number(int64_t n)
{
	return n >= 1 && n <= INT_MAX;
}

static bool has_dtype(const BlasLib *b, int32_t dtype)
{
	return dtype >= 0 && dtype < GRAFT_DTYPE_COUNT && (b->dtypes[dtype] || dtype == GRAFT_DTYPE_f32);
}

/* alpha and beta. */
static const void *scale(bool f64, bool one)
{
	static const float single[] = { 0, 1 };
	static const double twofold[] = { 0, 1 };
	return f64 ? (const void *)&twofold[one] : &single[one];
}

static bool call_of(const BlasLib *b, const graft_gemm *p, Call *out)
{
	bool f64 = p->dtype == GRAFT_DTYPE_f64;
	Side c;
	if (!has_dtype(b, p->dtype) || !number(p->m) || !number(p->n) || !number(p->k) || !number(p->batch) ||
	    p->c_j != 1 || !side_of(b, p->b, p->k, p->n, p->b_k, p->b_j, p->b_batch, &out->first) ||
	    !side_of(b, p->a, p->m, p->k, p->a_i, p->a_k, p->a_batch, &out->second) ||
	    !side_of(b, p->c, p->m, p->n, p->c_i, 1, p->c_batch, &c))
		return false;
	out->m = (int)p->n;
	out->n = (int)p->m;
	out->k = (int)p->k;
	out->count = (int)p->batch;
	out->ldc = c.ld;
	out->c = p->c;
	out->batch = p->c_batch;
	out->dtype = b->dtypes[p->dtype];
	out->compute = f64 ? b->compute_f64 : b->compute_f32;
	out->alpha = scale(f64, true);
	out->beta = scale(f64, p->accumulate);
	return true;
}

int blas_gemm(graft_session *s, const graft_gemm *p, graft_fault *fault)
{
	Call c;
	if (!s->blas || !call_of(s->blas, p, &c))
		return refuse(fault, GRAFT_E_UNSUPPORTED, "this product is not one that a BLAS computes");
	int status = s->blas->gemm(s->blas_fn[BLAS_GEMM], s->blas_handle, &c);
	fault->code = status;
	return status ? refuse(fault, GRAFT_E_EXEC, "%s gave status %d", s->blas_name, status) : 0;
}
