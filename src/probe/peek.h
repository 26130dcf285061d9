/* peek.h - reading memory behind pointers that a stranger gave. */
#ifndef GRAFT_PEEK_H
#define GRAFT_PEEK_H

#include "../ir/arena.h"

typedef struct Peek { int fd[2]; } Peek;

Peek *peek_open(Arena *a);                    /* ends with the arena; GRAFT_E_UNAVAILABLE when no pipe can be made */

/* A copy of size bytes; false: they cannot be read, or `at` is not aligned to `align`. */
bool peek_copy(Peek *p, void *to, const void *at, size_t size, size_t align);

/* A copy of a string of printable ASCII that ends within max bytes; NULL when it is anything else. */
char *peek_string(Peek *p, const char *at, size_t max, Arena *into);

#endif
