/* shortage.h - an allocator for graft_context_new whose `fail_at`-th allocation finds no memory; it counts what is held. */
#ifndef GRAFT_TEST_SHORTAGE_H
#define GRAFT_TEST_SHORTAGE_H

#include <stdbool.h>
#include <stdlib.h>

typedef struct Shortage { long count, fail_at, held; } Shortage;

static inline bool shortage_hits(Shortage *m)
{
	return ++m->count == m->fail_at;
}

static inline void *shortage_resize(void *shortage, void *ptr, size_t old_size, size_t new_size)
{
	Shortage *m = shortage;
	(void)old_size;
	if (!new_size) {
		m->held -= ptr != NULL;
		free(ptr);
		return NULL;
	}
	if (shortage_hits(m))
		return NULL;
	m->held += ptr == NULL;
	return realloc(ptr, new_size);
}

#endif
