/* context.h - what graphs share: the allocator, and the probe's cache behind a lock. */
#ifndef GRAFT_CONTEXT_H
#define GRAFT_CONTEXT_H

#include "graph.h"
#include <pthread.h>

struct graft_context {
	graft_allocator mem;
	pthread_mutex_t lock;                 /* guards probe */
	struct ProbeCache *probe;             /* made by src/probe at the first question; NULL until then */
	void (*probe_free)(struct ProbeCache *);
};

#endif
