/* fuzz_graph.c - any bytes at all, as JSON, notation or a torch.export model.json: a clean error, or a graph that
 * survives optimising and both round trips. What came from torch.export goes back as it was and, optimised, as something
 * that can be read.
 *
 *     make fuzz && build/fuzz/graph -max_total_time=60 build/fuzz/corpus tests/data examples
 */
#include <graft/graft.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Buffer { char *text; size_t size, cap; } Buffer;

static bool append(void *user, const char *text, size_t size)
{
	Buffer *b = user;
	if (b->cap - b->size < size) {
		b->cap = 2 * (b->size + size);
		b->text = realloc(b->text, b->cap);
	}
	memcpy(b->text + b->size, text, size);
	b->size += size;
	return true;
}

static Buffer print(graft_graph *g, graft_format format)
{
	Buffer b = { 0 };
	graft_error err;
	if (graft_graph_print(g, format, append, &b, &err))
		abort();
	return b;
}

/* Was it read from a torch.export file? Then what was read is what is written. */
static bool is_torch(graft_graph *g, const uint8_t *data, size_t size)
{
	Buffer b = { 0 };
	graft_error err;
	graft_status status = graft_graph_print(g, GRAFT_FORMAT_PT2JSON, append, &b, &err);
	if (!status && (b.size != size || memcmp(b.text, data, size)))
		abort();
	free(b.text);
	return !status;
}

/* A file that is not whole, which nothing notices before, is refused when it would be written. */
static void written_reads(graft_context *ctx, graft_graph *g)
{
	Buffer b = { 0 };
	graft_graph *again;
	graft_error err;
	if (!graft_graph_print(g, GRAFT_FORMAT_PT2JSON, append, &b, &err)) {
		if (graft_graph_parse(ctx, b.text, b.size, "written", &again, &err))
			abort();
		graft_graph_free(again);
	}
	free(b.text);
}

/* What is printed reads back and prints the same. */
static void round_trip(graft_context *ctx, graft_graph *g, graft_format format)
{
	graft_graph *again;
	graft_error err;
	Buffer a = print(g, format);
	if (graft_graph_parse(ctx, a.text, a.size, "again", &again, &err))
		abort();
	Buffer b = print(again, format);
	if (a.size != b.size || memcmp(a.text, b.text, a.size))
		abort();
	graft_graph_free(again);
	free(a.text);
	free(b.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	graft_context *ctx;
	graft_graph *g;
	graft_error err;
	if (graft_context_new(NULL, &ctx, &err))
		abort();
	if (!graft_graph_parse(ctx, (const char *)data, size, "fuzz", &g, &err)) {
		round_trip(ctx, g, GRAFT_FORMAT_TEXT);
		round_trip(ctx, g, GRAFT_FORMAT_JSON);
		bool torch = is_torch(g, data, size);
		if (!graft_optimize(g, NULL, NULL, &err) && graft_graph_verify(g, &err))
			abort();
		if (torch)
			written_reads(ctx, g);
		round_trip(ctx, g, GRAFT_FORMAT_JSON);
		graft_graph_free(g);
	}
	graft_context_free(ctx);
	return 0;
}
