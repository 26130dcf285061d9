/* storage.c - lifetimes, and places in one buffer.
 *
 * Walks the steps: a store gets the free gap that fits best when it is first written, and gives it back after the step
 * that touches it last. What an output lives in has its place behind all that, and keeps it.
 */
#include "plan.h"
#include <string.h>

typedef struct Gap { size_t at, size; } Gap;

/* Gaps below `top`, in order, no two touching. */
typedef struct Heap { Arena *arena; Gap *gap; size_t n, cap, top; } Heap;

static size_t lines(const graft_plan *p, size_t size)
{
	size_t line = plan_line(p);
	return (size + (line - 1)) / line * line;
}

static void add(graft_plan *p, size_t *sum, size_t size)
{
	if (__builtin_add_overflow(*sum, size, sum) || *sum > (size_t)PTRDIFF_MAX - plan_line(p))
		fail(p->arena.job, GRAFT_E_DATA,
		     "the values together are more than memory can address; give smaller sizes");
}

/* ---- lifetimes --------------------------------------------------------------------------------------------- */

static void touch(graft_plan *p, uint32_t slot, uint32_t step)
{
	if (slot == NO_SLOT)
		return;
	Store *s = &p->stores[p->slots[slot].store];
	s->first = step < s->first ? step : s->first;
	s->last = step;
}

static void find_lifetimes(graft_plan *p)
{
	for (uint32_t i = 0; i < p->n_steps; i++)
		for (uint32_t k = 0; k < p->steps[i].n_in + p->steps[i].n_out; k++)
			touch(p, p->steps[i].slots[k], i);
}

/* ---- places ------------------------------------------------------------------------------------------------ */

static void gap_remove(Heap *h, size_t i)
{
	h->n--;
	memmove(&h->gap[i], &h->gap[i + 1], (h->n - i) * sizeof *h->gap);
}

/* The gap that fits best; else the end, which a gap that reaches it makes longer. */
static size_t take(graft_plan *p, Heap *h, size_t size)
{
	size_t best = h->n;
	for (size_t i = 0; i < h->n; i++)
		if (h->gap[i].size >= size && (best == h->n || h->gap[i].size < h->gap[best].size))
			best = i;
	if (best < h->n) {
		size_t at = h->gap[best].at;
		h->gap[best].at += size;
		h->gap[best].size -= size;
		if (!h->gap[best].size)
			gap_remove(h, best);
		return at;
	}
	if (h->n && h->gap[h->n - 1].at + h->gap[h->n - 1].size == h->top)
		h->top = h->gap[--h->n].at;
	size_t at = h->top;
	add(p, &h->top, size);
	return at;
}

static void give(Heap *h, size_t at, size_t size)
{
	size_t i = 0;
	while (i < h->n && h->gap[i].at < at)
		i++;
	bool below = i && h->gap[i - 1].at + h->gap[i - 1].size == at, above = i < h->n && at + size == h->gap[i].at;
	if (below) {
		h->gap[i - 1].size += size + (above ? h->gap[i].size : 0);
		if (above)
			gap_remove(h, i);
	} else if (above) {
		h->gap[i].at = at;
		h->gap[i].size += size;
	} else {
		h->gap = arena_grow(h->arena, h->gap, h->n, &h->cap, sizeof *h->gap);
		memmove(&h->gap[i + 1], &h->gap[i], (h->n - i) * sizeof *h->gap);
		h->gap[i] = (Gap){ at, size };
		h->n++;
	}
}

static bool reused(const Store *s)
{
	return s->kind == STORE_BUFFER && !s->kept && s->size;
}

/* Every store that this step touches and no step touched before, or none will after. */
static void place_step(graft_plan *p, Heap *h, uint32_t step)
{
	const Step *st = &p->steps[step];
	uint32_t n = st->n_in + st->n_out;
	for (uint32_t k = 0; k < n; k++) {
		Store *s = st->slots[k] == NO_SLOT ? NULL : &p->stores[p->slots[st->slots[k]].store];
		if (!s || !reused(s) || s->first != step || s->placed)
			continue;
		s->placed = true;
		s->at = take(p, h, lines(p, s->size));
		add(p, &p->total, lines(p, s->size));
		p->peak = h->top > p->peak ? h->top : p->peak;
	}
	for (uint32_t k = 0; k < n && !p->spec.keep_all; k++) {
		Store *s = st->slots[k] == NO_SLOT ? NULL : &p->stores[p->slots[st->slots[k]].store];
		if (!s || !reused(s) || s->last != step || !s->placed)
			continue;
		s->placed = false;
		give(h, s->at, lines(p, s->size));
	}
}

/* Behind what is reused: what an output lives in, and, on a GPU, what is given. */
static bool stays(const graft_plan *p, const Store *s)
{
	return s->kind == STORE_BUFFER ? s->kept : p->device != NULL;
}

static void make_buffer(graft_plan *p)
{
	p->size = p->peak;
	for (size_t i = 0; i < p->n_stores; i++) {
		Store *s = &p->stores[i];
		if (!stays(p, s))
			continue;
		s->at = p->size;
		add(p, &p->size, lines(p, s->size));
	}
	if (p->device)
		gpu_place(p);
	else
		p->buffer = plan_block(&p->arena, p->size);
}

static void set_pointers(graft_plan *p)
{
	for (size_t i = 0; i < p->n_slots; i++) {
		Slot *s = &p->slots[i];
		const Store *in = &p->stores[s->store];
		char *data = in->kind == STORE_GIVEN && !p->device ? in->data : p->buffer + in->at;
		s->tensor.data = data ? data + s->offset : NULL;
	}
}

void storage_place(graft_plan *p)
{
	Heap h = { .arena = &p->arena.job->scratch };
	p->peak = p->total = 0;
	find_lifetimes(p);
	for (uint32_t i = 0; i < p->n_steps; i++)
		place_step(p, &h, i);
	make_buffer(p);
	set_pointers(p);
}
