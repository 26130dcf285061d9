/* blas.h - matrix products: OpenBLAS when it is there, a plain loop when not.
 *
 * How threads are used. A product is cut into tiles, our own threads share the tiles, and each tile is one
 * single-threaded sgemm. Measured on two cores against OpenBLAS's own threads: 128 x 7168 x 2048 takes 62 ms to its 72,
 * 128 x 24576 x 1536 157 to its 158, 1 x 7168 x 2048 3.0 to its 3.3. The tiles depend on the sizes alone, so a result
 * has the same bits with any number of threads, and a product inside a parallel loop needs no other rule. OpenBLAS's
 * thread count is one number for the whole process, so it is put to 1 while a plan runs and put back when it ends.
 */
#ifndef GRAFT_BLAS_H
#define GRAFT_BLAS_H

#include "threads.h"

typedef struct Blas {
	void (*sgemm)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
	              const float *b, int ldb, float beta, float *c, int ldc);   /* NULL: the plain loop */
	void (*set_threads)(int);             /* NULL where the library has no such call */
	int (*get_threads)(void);
} Blas;

/* Looks for a library; returns false when there is none and the plain loop is used. */
bool blas_open(Blas *b);

int blas_begin(const Blas *b);                /* before products; returns what blas_end needs */
void blas_end(const Blas *b, int before);

/* C = A * B, or C += A * B; the strides are those of graft_host.sgemm. */
typedef struct Product {
	int64_t m, n, k;
	const float *a;
	int64_t ai, ak;
	const float *b;
	int64_t bk, bj;
	float *c;
	int64_t ci;
	bool accumulate;
} Product;

void product_run(const Blas *b, Pool *pool, const Product *p);

#endif
