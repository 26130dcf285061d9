/* context.c - making and freeing a context. */
#include "context.h"
#include <stdlib.h>

static void *use_malloc(void *user, void *ptr, size_t old_size, size_t new_size)
{
	(void)user, (void)old_size;
	if (new_size)
		return realloc(ptr, new_size);
	free(ptr);
	return NULL;
}

graft_status graft_context_new(const graft_allocator *allocator, graft_context **out, graft_error *err)
{
	graft_allocator mem = allocator ? *allocator : (graft_allocator){ use_malloc, NULL };
	graft_context *ctx = mem.resize(mem.user, NULL, 0, sizeof *ctx);
	if (!ctx)
		return error_set(err, GRAFT_E_NOMEM, "no memory left for a context of %zu bytes", sizeof *ctx);
	*ctx = (graft_context){ .mem = mem };
	if (pthread_mutex_init(&ctx->lock, NULL)) {
		mem.resize(mem.user, ctx, sizeof *ctx, 0);
		return error_set(err, GRAFT_E_NOMEM, "no more locks can be made for a context");
	}
	*out = ctx;
	return GRAFT_OK;
}

void graft_context_free(graft_context *ctx)
{
	if (!ctx)
		return;
	if (ctx->probe)
		ctx->probe_free(ctx->probe);
	pthread_mutex_destroy(&ctx->lock);
	graft_allocator mem = ctx->mem;
	mem.resize(mem.user, ctx, sizeof *ctx, 0);
}

const graft_allocator *context_allocator(const graft_context *ctx)
{
	return &ctx->mem;
}
