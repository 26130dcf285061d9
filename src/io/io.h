/* io.h - files in and out. Only src/io includes cJSON. */
#ifndef GRAFT_IO_H
#define GRAFT_IO_H

#include "../ir/graph.h"
#include "json.h"

/* A whole file, mapped (or read, when it is not a regular file); "-" is standard input. Lives until the arena's end. */
typedef struct Bytes { const char *data; size_t size; } Bytes;
Bytes file_read(Arena *a, const char *path);            /* fails with GRAFT_E_IO */

/* Writes path whole or not at all: a temporary file beside it, fsync, rename. "-" is standard output. */
void file_write(Job *job, const char *path, const char *data, size_t size);

/* Native JSON (docs/format.md). */
Graph *graph_parse_json(Job *job, graft_context *ctx, const char *text, size_t size, const char *file);
void graph_print_json(Graph *g, Text *t);

/* Strict JSON with places, for config and caps files too: json.h. */

#endif
