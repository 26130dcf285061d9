/* diff.c - graft diff: lines of the notation that only one of two graphs has.
 *
 * A line of the notation stands for itself: every value has one name, so equal lines mean the same and their order does
 * not matter. Lines only A has are printed as `- line`, lines only B has as `+ line`, at the place where they stand.
 */
#include "cli.h"
#include "../ir/context.h"
#include <string.h>

typedef struct Line { const char *s; size_t n; bool shared; } Line;
typedef struct Lines { Line *at; size_t n, cap; } Lines;

typedef struct Diff { Graph *a, *b; Text out; size_t only_a, only_b, same; } Diff;

static Lines lines_of(Arena *into, Graph *g)
{
	Text t = { .arena = into };
	Lines l = { 0 };
	graph_print(g, &t);
	for (const char *s = t.text, *end = s + t.size; s < end;) {
		const char *newline = memchr(s, '\n', (size_t)(end - s));
		size_t n = (size_t)((newline ? newline : end) - s);
		l.at = arena_grow(into, l.at, l.n, &l.cap, sizeof *l.at);
		l.at[l.n++] = (Line){ s, n, false };
		s += n + 1;
	}
	return l;
}

static size_t hash(const Line *l)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < l->n; i++)
		h = (h ^ (unsigned char)l->s[i]) * 0x100000001b3u;
	return (size_t)(h ^ h >> 31);
}

static bool equal(const Line *x, const Line *y)
{
	return x->n == y->n && !memcmp(x->s, y->s, x->n);
}

/* Marks what is in both; each line of one stands for one line of the other. */
static void mark_shared(Arena *scratch, Lines *a, Lines *b)
{
	size_t size = 64;
	while (size < 2 * b->n)
		size *= 2;
	Line **slot = NEW_ARRAY(scratch, size, Line *);
	for (size_t i = 0; i < b->n; i++) {
		size_t h = hash(&b->at[i]) & (size - 1);
		while (slot[h])
			h = (h + 1) & (size - 1);
		slot[h] = &b->at[i];
	}
	for (size_t i = 0; i < a->n; i++)
		for (size_t h = hash(&a->at[i]) & (size - 1); slot[h]; h = (h + 1) & (size - 1))
			if (!slot[h]->shared && equal(slot[h], &a->at[i])) {
				slot[h]->shared = a->at[i].shared = true;
				break;
			}
}

static void add(Diff *d, char sign, const Line *l)
{
	text_printf(&d->out, "%c ", sign);
	text_add(&d->out, l->s, l->n);
	text_puts(&d->out, "\n");
}

static void diff_body(Job *job, void *arg)
{
	Diff *d = arg;
	graph_enter(d->a, job);
	graph_enter(d->b, job);
	Lines a = lines_of(&job->scratch, d->a), b = lines_of(&job->scratch, d->b);
	mark_shared(&job->scratch, &a, &b);
	d->out.arena = &job->scratch;
	for (size_t i = 0, j = 0; i < a.n || j < b.n; i++, j++) {
		for (; i < a.n && !a.at[i].shared; i++, d->only_a++)
			add(d, '-', &a.at[i]);
		for (; j < b.n && !b.at[j].shared; j++, d->only_b++)
			add(d, '+', &b.at[j]);
		d->same += i < a.n;
	}
	text_printf(&d->out, "# %zu only in A, %zu only in B, %zu in both\n", d->only_a, d->only_b, d->same);
	if (!cli_write(stdout, d->out.text, d->out.size))
		fail(job, GRAFT_E_IO, "cannot write to standard output");
}

int verb_diff(Cli *c)
{
	graft_graph *a = NULL, *b = NULL;
	Diff d = { 0 };
	graft_status status = cli_load(c, c->files[0], &a);
	if (!status)
		status = cli_load(c, c->files[1], &b);
	if (!status) {
		d.a = &a->g;
		d.b = &b->g;
		status = guarded(context_allocator(c->ctx), diff_body, &d, &c->err);
	}
	graft_graph_free(a);
	graft_graph_free(b);
	return status ? cli_fail(c) : d.only_a || d.only_b;
}
