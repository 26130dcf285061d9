/* host.h - what a CPU kernel can ask of the plan that runs it: threads, matrix products, scratch memory. */
#ifndef GRAFT_HOST_H
#define GRAFT_HOST_H

#include "blas.h"
#include <graft/plugin.h>
#include <pthread.h>

/* Scratch memory: pieces are cut from blocks, which stay from launch to launch, so that a plan that ran a while
 * allocates no more. */
typedef struct ScratchBlock { struct ScratchBlock *next; size_t size, used; } ScratchBlock;

typedef struct Host {
	graft_host api;
	const graft_allocator *mem;
	Pool *pool;
	Blas blas;
	bool blas_sought, blas_found;
	pthread_mutex_t lock;                 /* guards blocks: kernels ask from several threads */
	ScratchBlock *blocks;
} Host;

void host_open(Host *h, Arena *a, int threads);       /* ends with the arena; h must not move */
bool host_need_blas(Host *h);                         /* looks for a BLAS, once; false: products run on a plain loop */
void host_launched(Host *h);                          /* takes back the scratch memory of a launch */

#endif
