/* host.c - threads, products and scratch memory for kernels. */
#include "host.h"

enum { LINE = 64 };

static void host_parallel(void *self, int64_t n, int64_t grain, void (*body)(void *arg, int64_t begin, int64_t end),
                          void *arg)
{
	pool_run(((Host *)self)->pool, n, grain, body, arg);
}

static void host_sgemm(void *self, int64_t m, int64_t n, int64_t k, const float *a, int64_t ai, int64_t ak,
                       const float *b, int64_t bk, int64_t bj, float *c, int64_t ci, int accumulate)
{
	const Host *h = self;
	product_run(&h->blas, h->pool, &(Product){ m, n, k, a, ai, ak, b, bk, bj, c, ci, accumulate });
}

/* The first byte of a block that a piece may have: pieces begin on a line of the cache. */
static size_t block_start(const ScratchBlock *b)
{
	uintptr_t start = (uintptr_t)(b + 1);
	return sizeof *b + (LINE - start % LINE) % LINE;
}

/* A block for a piece that none has room for. Blocks that this launch has not touched are too small for it, and go. */
static ScratchBlock *block_new(Host *h, size_t room)
{
	for (ScratchBlock **link = &h->blocks, *b = *link; b; b = *link) {
		if (b->used > block_start(b)) {
			link = &b->next;
			continue;
		}
		*link = b->next;
		h->mem->resize(h->mem->user, b, b->size, 0);
	}
	size_t size = room + sizeof(ScratchBlock) + LINE;
	ScratchBlock *b = h->mem->resize(h->mem->user, NULL, 0, size);
	if (!b)
		return NULL;
	*b = (ScratchBlock){ h->blocks, size, 0 };
	b->used = block_start(b);
	return h->blocks = b;
}

static void *host_scratch(void *self, size_t bytes)
{
	Host *h = self;
	if (bytes > PTRDIFF_MAX / 2)
		return NULL;
	bytes = bytes ? (bytes + (LINE - 1)) / LINE * LINE : LINE;
	pthread_mutex_lock(&h->lock);
	ScratchBlock *b = h->blocks;
	while (b && b->size - b->used < bytes)
		b = b->next;
	b = b ? b : block_new(h, bytes);
	char *p = b ? (char *)b + b->used : NULL;
	if (b)
		b->used += bytes;
	pthread_mutex_unlock(&h->lock);
	return p;
}

void host_launched(Host *h)
{
	for (ScratchBlock *b = h->blocks; b; b = b->next)
		b->used = block_start(b);
}

static void host_close(void *host)
{
	Host *h = host;
	while (h->blocks) {
		ScratchBlock *b = h->blocks;
		h->blocks = b->next;
		h->mem->resize(h->mem->user, b, b->size, 0);
	}
	pthread_mutex_destroy(&h->lock);
}

void host_open(Host *h, Arena *a, int threads)
{
	*h = (Host){ .mem = a->mem, .api = { h, host_parallel, host_sgemm, host_scratch, NULL } };
	if (pthread_mutex_init(&h->lock, NULL))
		fail(a->job, GRAFT_E_NOMEM, "no more locks can be made for a plan");
	arena_undo(a, host_close, h);
	h->pool = pool_new(a, threads);
}

bool host_need_blas(Host *h)
{
	if (!h->blas_sought)
		h->blas_found = blas_open(&h->blas);
	h->blas_sought = true;
	return h->blas_found;
}
