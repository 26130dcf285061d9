/* tensors.h - named tensors, and the two file formats they come in. */
#ifndef GRAFT_TENSORS_H
#define GRAFT_TENSORS_H

#include "io.h"

typedef struct Entry { const char *name; graft_tensor tensor; } Entry;

/* What a file holds, in its order. Everything in it lives in the arena. */
typedef struct Entries { Arena *arena; const char *path; Entry *entry; size_t n, cap; } Entries;

struct graft_tensors {
	Arena arena;
	Entry **entry;                        /* in the order they were added */
	size_t n, cap;
	Entry **slot;                         /* by name: open addressing, at most half full */
	size_t n_slots;
	struct Source *sources;               /* files that were loaded */
};

void safetensors_read(Entries *out, Bytes file);      /* docs/format.md; fails with GRAFT_E_DATA */
void npy_read(Entries *out, Bytes file);
void safetensors_write(Job *job, const char *path, Entry *const *entry, size_t n);
void npy_write(Job *job, const char *path, const graft_tensor *t);

/* Elements times size; false when it leaves what can be in memory, or a size is negative. */
bool tensor_bytes(const int64_t *shape, int32_t rank, int32_t dtype, size_t *bytes);

/* Adds a dense tensor whose bytes stand at `data`; copies them where they are not aligned, and looks at what bools
 * hold. fortran: the first axis is the one whose elements stand together. shape must be the arena's. */
void entries_add(Entries *e, const char *name, graft_dtype dtype, const int64_t *shape, int32_t rank, bool fortran,
                 const char *data, size_t bytes);

/* Its elements in row-major order. */
void tensor_write(FileOut *f, const graft_tensor *t);

_Noreturn void fail_data(const Entries *e, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
