/* threads.h - a few threads that share loops, and what kernels get from their host while they run. */
#ifndef GRAFT_THREADS_H
#define GRAFT_THREADS_H

#include "../ir/arena.h"

typedef struct Pool Pool;

enum { MAX_THREADS = 1024 };

/* Threads of an arena: they end with it. threads 0: one per core. Where the system gives fewer, fewer they are. */
Pool *pool_new(Arena *a, int threads);

/* Calls body over pieces of [0, n), each at least `grain` long, and returns when all ended. The pieces depend on n,
 * grain and the size of the pool alone. Called from inside a body it runs the whole range right there. */
void pool_run(Pool *p, int64_t n, int64_t grain, void (*body)(void *arg, int64_t begin, int64_t end), void *arg);

#endif
