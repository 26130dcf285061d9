/* arena.h - memory that is freed together, and the one throw of the library.
 *
 *   Job     one call of the public API: where its errors go, scratch memory that ends with it
 *   Arena   a list of chunks, newest first, and of things to undo
 *
 *       Arena ── top ──> [ chunk | used ...... free ] ──> [ chunk ] ──> ...
 *             └─ undo ─> { fn, ptr } ──> { fn, ptr } ──> ...             run newest first
 *
 * Allocation never returns NULL and nothing inside the library returns an error: `fail` fills the error and jumps to
 * the `guarded` that started the job. What is not arena memory (a mapping, a cJSON tree, a library handle) is tied to
 * an arena with arena_undo the moment it exists, so a jump leaks nothing.
 */
#ifndef GRAFT_ARENA_H
#define GRAFT_ARENA_H

#include <graft/graft.h>
#include <setjmp.h>
#include <stdarg.h>

typedef struct Job Job;

typedef struct Arena {
	Job *job;                             /* who hears of a failed allocation; set while a call runs */
	const graft_allocator *mem;
	struct Chunk *top;
	struct Undo *undo;
	size_t held;                          /* bytes taken from mem */
} Arena;

struct Job {
	jmp_buf at;
	graft_error *err;                     /* never NULL while guarded */
	Arena scratch;                        /* ends with the job */
};

/* Runs body(job, arg) as one job: returns GRAFT_OK, or the status that was thrown, err filled (err may be NULL).
 * Everything in job->scratch is undone and freed at the end, thrown or not. Jobs nest: a body may call the public
 * API. */
graft_status guarded(const graft_allocator *mem, void (*body)(Job *job, void *arg), void *arg, graft_error *err);

/* Ends the job: never returns. The message is a whole sentence (what, where, wanted, found, what to do). */
_Noreturn void fail(Job *job, graft_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same, with the place in the document (a JSON path or a node's name; NULL: none). */
_Noreturn void fail_at(Job *job, graft_status status, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The same, for text files: file (NULL: none), line and column from 1 (0: none). */
_Noreturn void fail_in(Job *job, graft_status status, const char *file, int line, int column, const char *path,
                       const char *fmt, ...) __attribute__((format(printf, 7, 8)));

/* Ends the job with an error that a nested call has filled. */
_Noreturn void fail_again(Job *job, const graft_error *err);

/* Fills an error without a jump, for code that runs outside a job. err may be NULL. Returns status. */
graft_status error_set(graft_error *err, graft_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

void arena_init(Arena *a, const graft_allocator *mem, Job *job);
/* what from holds ends with a from now on; from is empty; allocates nothing */
void arena_adopt(Arena *a, Arena *from);
void arena_free(Arena *a);                    /* undoes, newest first, then frees; the arena can be used again */

void *arena_alloc(Arena *a, size_t size);     /* zeroed, 8-byte aligned; size 0 gives a valid pointer */
void *arena_array(Arena *a, size_t n, size_t size);   /* n * size, checked */
void *arena_copy(Arena *a, const void *p, size_t size);
char *arena_strdup(Arena *a, const char *s);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(Arena *a, const char *fmt, va_list ap);
/* calls fn(ptr) when the arena is freed; if this fails, at once */
void arena_undo(Arena *a, void (*fn)(void *), void *ptr);

/* Scratch memory for one round of a loop: what was allocated since the mark is freed (nothing may have been tied to the
 * arena since). */
typedef struct Mark { struct Chunk *top, *below; size_t used; struct Undo *undo; } Mark;
Mark arena_mark(const Arena *a);
void arena_release(Arena *a, Mark mark);

/* An array that grows inside an arena: TYPE *v; size_t n, cap;  v = arena_grow(a, v, n, &cap, sizeof *v); v[n++] = x;
 * Doubles when n == *cap, so appending is linear; the old copy waits for the arena's end. */
void *arena_grow(Arena *a, void *v, size_t n, size_t *cap, size_t size);

#define NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define NEW_ARRAY(arena, n, type) ((type *)arena_array((arena), (n), sizeof(type)))

/* Text that grows, for printers. `text` is NUL-terminated once something was written. */
typedef struct Text { Arena *arena; char *text; size_t size, cap; } Text;
void text_add(Text *t, const char *s, size_t n);
void text_puts(Text *t, const char *s);
void text_printf(Text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* the shortest text that reads back as v; always with '.', 'e', or inf/nan */
void text_f64(Text *t, double v);

#endif
