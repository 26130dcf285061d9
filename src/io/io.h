/* io.h - files in and out. Only src/io includes cJSON. */
#ifndef GRAFT_IO_H
#define GRAFT_IO_H

#include "../ir/graph.h"

/* A whole file, mapped (or read, when it is not a regular file); "-" is standard input. Lives until the arena's end. */
typedef struct Bytes { const char *data; size_t size; } Bytes;
Bytes file_read(Arena *a, const char *path);            /* fails with GRAFT_E_IO */

/* Writes path whole or not at all: a temporary file beside it, fsync, rename. "-" is standard output. */
void file_write(Job *job, const char *path, const char *data, size_t size);

/* Native JSON (docs/format.md). */
Graph *graph_parse_json(Job *job, graft_context *ctx, const char *text, size_t size, const char *file);
void graph_print_json(Graph *g, Text *t);

/* JSON without cJSON's holes: the text is checked strictly first (grammar, UTF-8, control characters, numbers, depth, duplicate keys), numbers keep their
 * lexemes, and errors know their place. Config and caps files are read through this too. */
typedef struct Json Json;                               /* borrowed from the arena given */
Json *json_parse(Arena *a, const char *text, size_t size, const char *file);

#endif
