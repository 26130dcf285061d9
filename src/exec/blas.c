/* blas.c - finding a BLAS, and cutting products into tiles. */
#include "blas.h"
#include "lead.h"
#include <dlfcn.h>
#include <string.h>

enum { ROW_MAJOR = 101, AS_IS = 111, TRANSPOSED = 112 };         /* cblas.h's numbers */

/* What dlsym gives is an object pointer; POSIX promises that it holds a function's. */
static bool symbol(void *lib, const char *name, void *fn)
{
	void *p = dlsym(lib, name);
	memcpy(fn, &p, sizeof p);
	return p;
}

/* The library stays loaded: its threads do not survive being unloaded. */
bool blas_open(Blas *b)
{
	static const char *const names[] = { "libopenblas.so.0", "libblas.so.3" };
	*b = (Blas){ 0 };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		void *lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
		if (!lib)
			continue;
		bool found = symbol(lib, "cblas_sgemm", &b->sgemm);
		if (found && !(symbol(lib, "openblas_set_num_threads", &b->set_threads) &&
		               symbol(lib, "openblas_get_num_threads", &b->get_threads)))
			b->set_threads = NULL;
		dlclose(lib);
		if (found)
			return true;
	}
	return false;
}

int blas_begin(const Blas *b)
{
	int before = b->set_threads ? b->get_threads() : 1;
	if (before > 1)
		b->set_threads(1);
	return before;
}

void blas_end(const Blas *b, int before)
{
	if (before > 1)
		b->set_threads(before);
}

/* ---- the plain loop ---- */

enum { PANEL_K = 128, PANEL_N = 64 };

/* c[i, j0:j0+nb] += a[i, k0:k0+kb] * panel, from zero in the first block unless it accumulates. */
static void panel_times(const Product *p, float panel[PANEL_K][PANEL_N], int64_t j0, int64_t nb, int64_t k0, int64_t kb)
{
	float sum[PANEL_N];
	for (int64_t i = 0; i < p->m; i++) {
		float *c = p->c + i * p->ci + j0;
		if (k0 || p->accumulate)
			memcpy(sum, c, (size_t)nb * sizeof *sum);
		else
			memset(sum, 0, sizeof sum);
		for (int64_t k = 0; k < kb; k++) {
			float a = p->a[i * p->ai + (k0 + k) * p->ak];
			for (int64_t j = 0; j < nb; j++)
				sum[j] += a * panel[k][j];
		}
		memcpy(c, sum, (size_t)nb * sizeof *sum);
	}
}

static void plain_product(const Product *p)
{
	float panel[PANEL_K][PANEL_N];
	for (int64_t j0 = 0; j0 < p->n; j0 += PANEL_N) {
		int64_t nb = p->n - j0 < PANEL_N ? p->n - j0 : PANEL_N;
		for (int64_t k0 = 0; k0 < p->k; k0 += PANEL_K) {
			int64_t kb = p->k - k0 < PANEL_K ? p->k - k0 : PANEL_K;
			for (int64_t k = 0; k < kb; k++)
				for (int64_t j = 0; j < nb; j++)
					panel[k][j] = p->b[(k0 + k) * p->bk + (j0 + j) * p->bj];
			panel_times(p, panel, j0, nb, k0, kb);
		}
	}
}

/* ---- tiles ---- */

static bool as_blas(int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride, int *trans, int *ld)
{
	bool swap;
	if (rows > INT_MAX || cols > INT_MAX || !blas_lead(rows, cols, row_stride, col_stride, &swap, ld))
		return false;
	*trans = swap ? TRANSPOSED : AS_IS;
	return true;
}

static void clear(const Product *p)
{
	for (int64_t i = 0; i < p->m; i++)
		memset(p->c + i * p->ci, 0, (size_t)p->n * sizeof *p->c);
}

static void one_product(const Blas *b, const Product *p)
{
	int ta, tb, tc, lda, ldb, ldc;
	if (p->k <= 0) {
		if (!p->accumulate)
			clear(p);
	} else if (b->sgemm && as_blas(p->m, p->k, p->ai, p->ak, &ta, &lda) &&
	           as_blas(p->k, p->n, p->bk, p->bj, &tb, &ldb) && as_blas(p->m, p->n, p->ci, 1, &tc, &ldc)) {
		b->sgemm(ROW_MAJOR, ta, tb, (int)p->m, (int)p->n, (int)p->k, 1.0f, p->a, lda, p->b, ldb,
		         p->accumulate ? 1.0f : 0.0f, p->c, ldc);
	} else {
		plain_product(p);
	}
}

/* Equal pieces: about 16, but then neither much shorter than 128 nor much longer than 512. */
static int64_t tile_length(int64_t n)
{
	int64_t most = n / 16 < 128 ? 128 : n / 16 > 512 ? 512 : n / 16;
	int64_t pieces = n < most ? 1 : n / most;
	return ((n - 1) / pieces / 16 + 1) * 16;
}

typedef struct Tiling { const Blas *blas; const Product *p; int64_t tm, tn, across; } Tiling;

static void run_tiles(void *arg, int64_t begin, int64_t end)
{
	const Tiling *t = arg;
	for (int64_t i = begin; i < end; i++) {
		Product p = *t->p;
		int64_t i0 = i / t->across * t->tm, j0 = i % t->across * t->tn;
		p.m = p.m - i0 < t->tm ? p.m - i0 : t->tm;
		p.n = p.n - j0 < t->tn ? p.n - j0 : t->tn;
		p.a += i0 * p.ai;
		p.b += j0 * p.bj;
		p.c += i0 * p.ci + j0;
		one_product(t->blas, &p);
	}
}

/* Tiles are whole columns of B where there are enough of them: each then reads its part of B, the weights, once. */
void product_run(const Blas *b, Pool *pool, const Product *p)
{
	if (p->m <= 0 || p->n <= 0)
		return;
	Tiling t = { b, p, 512, tile_length(p->n), 0 };
	if (t.tn >= p->n)
		t.tm = tile_length(p->m);
	t.across = (p->n - 1) / t.tn + 1;
	int64_t tiles = t.across * ((p->m - 1) / t.tm + 1);
	bool small = (double)p->m * (double)p->n * (double)p->k < 64.0 * 64 * 64;
	pool_run(pool, tiles, small ? tiles : 1, run_tiles, &t);
}
