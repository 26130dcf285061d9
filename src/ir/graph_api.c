/* graph_api.c - the public functions over whole graphs. */
#include "graph.h"
#include <string.h>

void graft_graph_free(graft_graph *g)
{
	graph_free((Graph *)g);
}

static void verify_body(Job *job, void *arg)
{
	graph_enter(arg, job);
	graph_verify(arg);
}

graft_status graft_graph_verify(graft_graph *g, graft_error *err)
{
	return guarded(context_allocator(g->g.ctx), verify_body, g, err);
}

typedef struct CopyArgs { const Graph *from; Graph *to; } CopyArgs;

static void copy_body(Job *job, void *arg)
{
	CopyArgs *a = arg;
	a->to = graph_release(graph_copy(job, a->from));
}

graft_status graft_graph_copy(const graft_graph *g, graft_graph **out, graft_error *err)
{
	CopyArgs a = { &g->g, NULL };
	graft_status status = guarded(context_allocator(g->g.ctx), copy_body, &a, err);
	if (!status)
		*out = (graft_graph *)a.to;
	return status;
}

const char *graft_graph_name(const graft_graph *g)
{
	return g->g.name;
}

size_t graft_graph_count(const graft_graph *g, const char *op)
{
	size_t count = 0;
	for (const Node *n = g->g.first; n; n = n->next)
		count += !n->note && (!op || !strcmp(n->name, op));
	return count;
}

const char *graft_dtype_name(graft_dtype dtype)
{
	static const char *const names[] = {
#define X(name, bytes, other) [GRAFT_DTYPE_##name] = #name,
		GRAFT_DTYPE_MAP(X) GRAFT_KEPT_DTYPE_MAP(X)
#undef X
	};
	return (unsigned)dtype < GRAFT_DTYPE_END && names[dtype] ? names[dtype] : "?";
}

size_t graft_dtype_size(graft_dtype dtype)
{
	static const uint8_t sizes[] = {
#define X(name, bytes, other) [GRAFT_DTYPE_##name] = bytes,
		GRAFT_DTYPE_MAP(X) GRAFT_KEPT_DTYPE_MAP(X)
#undef X
	};
	return (unsigned)dtype < GRAFT_DTYPE_END ? sizes[dtype] : 0;
}
