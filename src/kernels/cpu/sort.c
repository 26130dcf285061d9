/* sort.c - sort and topk: a merge sort of each line, by keys whose order as unsigned numbers is that of the elements.
 * A few out of many are picked in one pass.
 *
 * Equal elements stay in order, also when the order is descending; 0.0 and -0.0 are equal, and NaN is the greatest.
 */
#include "kernel.h"

typedef struct Entry { uint64_t key; int64_t at; } Entry;

typedef struct Sort {
	Lines lines;                          /* values, ids, x */
	int x, ids;                           /* dtypes */
	bool descending;
	int64_t slots;                        /* pieces that run at once, each with its own room */
	Entry *room;                          /* slots x 2 x the length of a line */
} Sort;

enum { MOST_SLOTS = 32, INSERTED = 8, FEW = 32 };   /* INSERTED: runs that are sorted by insertion */

static uint64_t key_of_float(double v)
{
	uint64_t u;
	if (v != v)
		return UINT64_MAX;
	v = v == 0 ? 0 : v;
	memcpy(&u, &v, sizeof u);
	return u >> 63 ? ~u : u | (uint64_t)1 << 63;
}

static void load_entries(const Sort *s, Entry *e, const char *x)
{
	const Lines *l = &s->lines;
	uint64_t flip = s->descending ? UINT64_MAX : 0;
	double f[RUN];
	int64_t v[RUN];
	for (int64_t i = 0; i < l->size[2]; i += RUN) {
		int64_t n = l->size[2] - i < RUN ? l->size[2] - i : RUN;
		const char *from = x + i * l->step[2] * l->walk.item[2];
		if (class_of(s->x) == CLASS_I64)
			load_i64(v, s->x, from, l->step[2], n);
		else
			load_f64(f, s->x, from, l->step[2], n);
		for (int64_t k = 0; k < n; k++) {
			bool whole = class_of(s->x) == CLASS_I64;
			uint64_t key = whole ? (uint64_t)v[k] ^ (uint64_t)1 << 63 : key_of_float(f[k]);
			e[i + k] = (Entry){ key ^ flip, i + k };
		}
	}
}

static void insert_sort(Entry *e, int64_t n)
{
	for (int64_t i = 1; i < n; i++) {
		Entry one = e[i];
		int64_t k = i;
		for (; k > 0 && e[k - 1].key > one.key; k--)
			e[k] = e[k - 1];
		e[k] = one;
	}
}

static void merge(Entry *to, const Entry *a, int64_t na, const Entry *b, int64_t nb)
{
	while (na > 0 && nb > 0) {
		bool first = a->key <= b->key;
		*to++ = first ? *a : *b;
		a += first, na -= first;
		b += !first, nb -= !first;
	}
	memcpy(to, na ? a : b, (size_t)(na + nb) * sizeof *to);
}

/* Sorts e; the result is in e or in spare, and is returned. */
static Entry *merge_sort(Entry *e, Entry *spare, int64_t n)
{
	for (int64_t i = 0; i < n; i += INSERTED)
		insert_sort(e + i, n - i < INSERTED ? n - i : INSERTED);
	for (int64_t run = INSERTED; run < n; run *= 2) {
		for (int64_t i = 0; i < n; i += 2 * run) {
			int64_t na = n - i < run ? n - i : run, nb = n - i - na < run ? n - i - na : run;
			merge(spare + i, e + i, na, e + i + na, nb);
		}
		Entry *sorted = spare;
		spare = e;
		e = sorted;
	}
	return e;
}

/* The first k of what sorting e would give, in `best`. */
static Entry *pick(Entry *best, int64_t k, const Entry *e, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		int64_t at = i < k ? i : k - 1;
		if (i >= k && best[at].key <= e[i].key)
			continue;
		for (; at > 0 && best[at - 1].key > e[i].key; at--)
			best[at] = best[at - 1];
		best[at] = e[i];
	}
	return best;
}

static const Entry *order(const Sort *s, Entry *e)
{
	int64_t n = s->lines.size[2], k = s->lines.size[0];
	Entry *spare = e + n;
	return k <= FEW && k <= n / 4 ? pick(spare, k, e, n) : merge_sort(e, spare, n);
}

typedef struct Slot { const Sort *s; Entry *room; } Slot;

static void sort_lines(void *arg, char *const *at, const int64_t *stride, int64_t n)
{
	const Slot *slot = arg;
	const Sort *s = slot->s;
	const Lines *l = &s->lines;
	const int64_t *item = l->walk.item;
	for (int64_t i = 0; i < n; i++) {
		char *values = at[0] + i * stride[0] * item[0], *ids = at[1] + i * stride[1] * item[1];
		const char *x = at[2] + i * stride[2] * item[2];
		load_entries(s, slot->room, x);
		const Entry *e = order(s, slot->room);
		for (int64_t k = 0; k < l->size[0]; k++) {
			copy_item(values + k * l->step[0] * item[0], x + e[k].at * l->step[2] * item[2], item[0]);
			store_i64(s->ids, ids + k * l->step[1] * item[1], 1, &e[k].at, 1);
		}
	}
}

static void sort_slots(void *arg, int64_t begin, int64_t end)
{
	const Sort *s = arg;
	const Walk *w = &s->lines.walk;
	for (int64_t i = begin; i < end; i++) {
		Slot slot = { s, s->room + i * 2 * s->lines.size[2] };
		int64_t each = w->size / s->slots, more = w->size % s->slots, first = i * each + (i < more ? i : more);
		walk_range(w, first, first + each + (i < more), INT64_MAX, sort_lines, &slot);
	}
}

static int sort(const graft_launch *l, int64_t axis, bool descending)
{
	int64_t room[3][2], entries;
	Sort s = { .x = l->in[0].dtype, .ids = l->out[1].dtype, .descending = descending };
	graft_tensor values = as_line(&l->out[0], room[0]), ids = as_line(&l->out[1], room[1]);
	graft_tensor x = as_line(&l->in[0], room[2]);
	bool fits = lines_of(&s.lines, (const graft_tensor *const[]){ &values, &ids, &x }, 3, axis) &&
	        values.dtype == x.dtype;
	if (!fits || s.lines.size[0] != s.lines.size[1] || s.lines.size[0] > s.lines.size[2])
		return launch_fail(l, GRAFT_E_USAGE, "there is no axis %lld, or the results do not fit the operand",
		                   (long long)axis);
	if (s.lines.walk.size == 0 || s.lines.size[0] == 0)
		return 0;
	s.slots = s.lines.walk.size < MOST_SLOTS ? s.lines.walk.size : MOST_SLOTS;
	if (tensor_size(&x) < 1 << 12)
		s.slots = 1;
	entries = 2 * s.slots * s.lines.size[2];
	s.room = scratch(l, entries, sizeof(Entry));
	if (!s.room)
		return no_scratch(l, entries, sizeof(Entry));
	if (s.slots > 1)
		l->host->parallel(l->host->self, s.slots, 1, sort_slots, &s);
	else
		sort_slots(&s, 0, 1);
	return 0;
}

int cpu_sort(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 2, 3);
	return status ? status : sort(l, l->attr[0].i, l->attr[1].i != 0);
}

int cpu_topk(const graft_launch *l)
{
	int status = launch_check(l, 1, 1, 2, 4);
	return status ? status : sort(l, l->attr[1].i, l->attr[2].i != 0);
}
