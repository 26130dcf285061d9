/* arena.c - chunks, undo lists, and growing text. */
#include "arena.h"
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Chunk { struct Chunk *below; size_t size, used; } Chunk;
typedef struct Undo { struct Undo *next; void (*fn)(void *); void *ptr; } Undo;

enum { ALIGN = 8, FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20 };

/* To the address sanitizer a chunk is one block. It is told what of it is handed out, and there is a gap in front of
 * each piece, so that a step outside one is found. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { GAP = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
enum { GAP = 0 };
#endif

static size_t aligned(size_t n)
{
	return (n + (ALIGN - 1)) & ~(size_t)(ALIGN - 1);
}

#define HEADER (aligned(sizeof(Chunk)))

void arena_init(Arena *a, const graft_allocator *mem, Job *job)
{
	*a = (Arena){ .job = job, .mem = mem };
}

/* Frees *at, which is then the chunk below it. */
static void drop(Arena *a, Chunk **at)
{
	Chunk *c = *at;
	*at = c->below;
	a->held -= c->size;
	ASAN_UNPOISON_MEMORY_REGION(c, c->size);
	a->mem->resize(a->mem->user, c, c->size, 0);
}

void arena_free(Arena *a)
{
	while (a->undo) {
		Undo *u = a->undo;
		a->undo = u->next;
		u->fn(u->ptr);
	}
	while (a->top)
		drop(a, &a->top);
}

void arena_adopt(Arena *a, Arena *from)
{
	Chunk **bottom = &a->top;
	Undo **oldest = &a->undo;
	while (*bottom)
		bottom = &(*bottom)->below;
	while (*oldest)
		oldest = &(*oldest)->next;
	*bottom = from->top;
	*oldest = from->undo;
	a->held += from->held;
	from->top = NULL;
	from->undo = NULL;
	from->held = 0;
}

Mark arena_mark(const Arena *a)
{
	return (Mark){ a->top, a->top ? a->top->below : NULL, a->top ? a->top->used : 0, a->undo };
}

void arena_release(Arena *a, Mark mark)
{
	assert(a->undo == mark.undo);
	while (a->top != mark.top)
		drop(a, &a->top);
	while (a->top && a->top->below != mark.below)
		drop(a, &a->top->below);
	if (!a->top)
		return;
	a->top->used = mark.used;
	ASAN_POISON_MEMORY_REGION((char *)a->top + mark.used, a->top->size - mark.used);
}

_Noreturn static void out_of_memory(Arena *a, size_t size)
{
	fail(a->job, GRAFT_E_NOMEM, "no memory left for %zu bytes more, %zu are held", size, a->held);
}

/* A chunk with room for size; a large request gets one of its own below the top, whose rest stays usable. */
static Chunk *chunk_new(Arena *a, size_t size)
{
	size_t want = a->top ? a->top->size * 2 : FIRST_CHUNK;
	if (want > LARGEST_CHUNK)
		want = LARGEST_CHUNK;
	bool large = size > want / 4;
	size_t total = large ? HEADER + GAP + size : want;
	Chunk *c = a->mem->resize(a->mem->user, NULL, 0, total);
	if (!c)
		out_of_memory(a, size);
	a->held += total;
	*c = (Chunk){ .size = total, .used = HEADER };
	ASAN_POISON_MEMORY_REGION((char *)c + HEADER, total - HEADER);
	if (large && a->top) {
		c->below = a->top->below;
		a->top->below = c;
	} else {
		c->below = a->top;
		a->top = c;
	}
	return c;
}

/* size bytes that start at a multiple of `align`, a power of two up to ALIGN. */
static void *take(Arena *a, size_t size, size_t align)
{
	assert(a->job && "an arena allocates only while a job runs");
	if (size > PTRDIFF_MAX - 2 * HEADER)
		out_of_memory(a, size);
	Chunk *c = a->top;
	size_t at = c ? (c->used + GAP + align - 1) & ~(align - 1) : 0;
	if (!c || at > c->size || c->size - at < size) {
		c = chunk_new(a, size);
		at = c->used + GAP;
	}
	c->used = at + size;
	ASAN_UNPOISON_MEMORY_REGION((char *)c + at, size);
	return memset((char *)c + at, 0, size);
}

void *arena_alloc(Arena *a, size_t size)
{
	return take(a, size ? size : 1, ALIGN);
}

void *arena_array(Arena *a, size_t n, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(n, size, &total))
		out_of_memory(a, SIZE_MAX);
	return arena_alloc(a, total);
}

void *arena_copy(Arena *a, const void *p, size_t size)
{
	void *copy = arena_alloc(a, size);
	return size ? memcpy(copy, p, size) : copy;
}

char *arena_strndup(Arena *a, const char *s, size_t n)
{
	char *copy = take(a, n + 1, 1);
	if (n)
		memcpy(copy, s, n);
	return copy;
}

char *arena_strdup(Arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(Arena *a, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	assert(n >= 0 && "a format of ours is wrong");
	char *text = arena_alloc(a, (size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, fmt, again);
	va_end(again);
	return text;
}

char *arena_printf(Arena *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *text = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return text;
}

/* The record is allocated before the caller's thing is lost: when that fails, the thing is undone at once. */
typedef struct Pending { Arena *a; Undo *made; } Pending;

static void make_undo(Job *job, void *arg)
{
	(void)job;
	Pending *p = arg;
	p->made = NEW(p->a, Undo);
}

void arena_undo(Arena *a, void (*fn)(void *), void *ptr)
{
	Job *job = a->job;
	Chunk *c = a->top;
	Pending p = { a, NULL };
	if (c && c->size - c->used >= sizeof(Undo) + GAP + ALIGN) {
		make_undo(job, &p);
	} else {
		Job inner = { .err = job->err };
		a->job = &inner;
		if (setjmp(inner.at) == 0)
			make_undo(&inner, &p);
		a->job = job;
	}
	if (!p.made) {
		fn(ptr);
		longjmp(job->at, 1);
	}
	*p.made = (Undo){ a->undo, fn, ptr };
	a->undo = p.made;
}

void *arena_grow(Arena *a, void *v, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return v;
	size_t more = *cap ? *cap * 2 : 4;
	void *grown = arena_array(a, more, size);
	if (n)
		memcpy(grown, v, n * size);
	*cap = more;
	return grown;
}

void text_add(Text *t, const char *s, size_t n)
{
	if (t->cap - t->size <= n) {
		size_t cap = t->cap ? t->cap : 64;
		while (cap - t->size <= n)
			cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
		char *grown = arena_alloc(t->arena, cap);
		if (t->size)
			memcpy(grown, t->text, t->size);
		t->text = grown;
		t->cap = cap;
	}
	if (n)
		memcpy(t->text + t->size, s, n);
	t->size += n;
	t->text[t->size] = 0;
}

void text_puts(Text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_printf(Text *t, const char *fmt, ...)
{
	char small[256];
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	assert(n >= 0 && "a format of ours is wrong");
	if ((size_t)n < sizeof small)
		text_add(t, small, (size_t)n);
	else
		text_puts(t, arena_vprintf(t->arena, fmt, again));
	va_end(again);
}

/* printf and strtod follow the locale's decimal sign: they agree with each other here, and the text gets a '.'. */
void text_f64(Text *t, double v)
{
	char s[40];
	if (isnan(v)) {
		text_puts(t, "nan");
		return;
	}
	if (isinf(v)) {
		text_puts(t, v > 0 ? "inf" : "-inf");
		return;
	}
	for (int digits = fabs(v) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
		snprintf(s, sizeof s, "%.*g", digits, v);
		if (strtod(s, NULL) == v)
			break;
	}
	for (char *c = s; *c; c++)
		if (!strchr("0123456789+-e", *c))
			*c = '.';
	text_puts(t, s);
	if (!strpbrk(s, ".e"))
		text_puts(t, ".0");
}
