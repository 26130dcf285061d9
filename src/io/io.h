/* io.h - files in and out. Only src/io includes cJSON. */
#ifndef GRAFT_IO_H
#define GRAFT_IO_H

#include "../ir/graph.h"
#include "json.h"

/* A whole file, mapped (or read, when it is not a regular file); "-" is standard input. Lives until the arena's end. */
typedef struct Bytes { const char *data; size_t size; } Bytes;
Bytes file_read(Arena *a, const char *path);            /* fails with GRAFT_E_IO */

/* A file that is written whole or not at all: a temporary file beside it, which file_commit syncs and renames. Until
 * then the job owns it, and takes it away when something fails. What path names through links is what gets replaced;
 * what is no regular file (a pipe, /dev/null) and "-", standard output, are written directly. */
typedef struct FileOut FileOut;
FileOut *file_create(Job *job, const char *path);
void file_add(FileOut *f, const void *data, size_t size);
void file_commit(FileOut *f);

void file_write(Job *job, const char *path, const char *data, size_t size);   /* all three */

/* Native JSON (docs/format.md). */
enum { FORMAT_VERSION = 1 };
Graph *graph_parse_json(Job *job, graft_context *ctx, const char *text, size_t size, const char *file);
/* In pieces: flush is called with some text now and then and at the end, and the text starts again. */
void graph_print_json_to(Graph *g, Text *t, void (*flush)(void *user, Text *t), void *user);

/* Strict JSON with places, for config and caps files too: json.h. */

#endif
