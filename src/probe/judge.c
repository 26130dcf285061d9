/* judge.c - the tiers from ABI on: one check each, each with its own sentence. */
#include "judge.h"
#include <stdio.h>
#include <string.h>

/* ---- the question ----------------------------------------------------------------------------------------- */

bool op_runs_nothing(const Op *op)
{
	return op && (op->effect == VIEW || op->effect == ASSERTS);
}

Ask ask_kernel(const char *kernel, const char *arch, Arena *a)
{
	Ask q = { .kernel = kernel, .arch = arch, .op = op_find(kernel, strlen(kernel)), .upto = GRAFT_TIER_ARCH };
	Text signature = { .arena = a };
	if (q.op)
		op_signature(&signature, q.op);
	q.signature = signature.text;
	return q;
}

/* Name of operand i in a row like "q, q_w, b?" or "xs...". */
static const char *operand_name(const Op *op, uint32_t i, Arena *a)
{
	const char *s = op->operands;
	for (uint32_t k = 0; k < i && strchr(s, ','); k++)
		s = strchr(s, ',') + 1;
	s += strspn(s, " ");
	return arena_strndup(a, s, strcspn(s, ",?."));
}

static int64_t upper(const Graph *g, Dim d)
{
	int64_t min, max;
	dim_range(g, d, &min, &max);
	return max;
}

/* The product of upper ends; none stays none, unless an axis is empty. */
static int64_t most_rows(const Graph *g, const Type *t)
{
	int64_t rows = 1;
	for (uint32_t i = 0; i + 1 < t->rank; i++)
		if (upper(g, t->dims[i]) == 0)
			return 0;
	for (uint32_t i = 0; i + 1 < t->rank; i++)
		if (__builtin_mul_overflow(rows, upper(g, t->dims[i]), &rows))
			return DIM_MAX;
	return rows;
}

static bool is_even(Graph *g, Dim d)
{
	Dim half;
	return dim_is_const(d) ? d.value % 2 == 0 : dim_divide(g, d, dim_const(2), &half);
}

static Fact fact_of(Graph *g, const Type *t, const Dim *row_stride, Arena *a)
{
	Text type = { .arena = a };
	type_print(&type, t);
	Fact f = { NULL, type.text, t->dtype, .last = 1, .rows = 1, .stride = 1, .even = true, .dense = true };
	if (!t->rank)
		return f;
	Dim last = t->dims[t->rank - 1];
	Dim stride = row_stride ? *row_stride : last;
	f.last = upper(g, last);
	f.rows = most_rows(g, t);
	f.stride = upper(g, stride);
	f.even = is_even(g, last);
	f.dense = dim_same(stride, last) || dim_eq(g, stride, last) == YES;
	return f;
}

/* The rounding that a node asks for, as a GRAFT_ROUND_ bit: words and bits stand in the same order. */
static unsigned round_of(const Op *op, const Attr *attr)
{
	int i = attr_index(op, "round", strlen("round"));
	return i < 0 || !attr || attr[i].kind != ATTR_NAME ? 0 : 1u << attr[i].i;
}

Ask ask_node(Graph *g, const Op *op, const Type *in, uint32_t n_in, const Attr *attr, const Dim *row_stride,
             const char *arch, Arena *a)
{
	Ask q = ask_kernel(op->name, arch, a);
	Fact *facts = NEW_ARRAY(a, n_in, Fact);
	for (uint32_t i = 0; i < n_in; i++) {
		if (in[i].dtype >= GRAFT_DTYPE_COUNT)
			continue;
		facts[q.n_facts] = fact_of(g, &in[i], row_stride ? &row_stride[i] : NULL, a);
		facts[q.n_facts++].name = operand_name(op, i, a);
	}
	q.facts = facts;
	q.round = round_of(op, attr);
	q.upto = GRAFT_TIER_NODE;
	return q;
}

/* ---- one kernel ------------------------------------------------------------------------------------------- */

/* A check says whether the row covers what is asked; if not, why holds the end of a sentence about kernel and pack. */
typedef bool (*Check)(const Ask *q, const Row *row, Text *why);

static const char *size_text(char buf[32], int64_t n)
{
	snprintf(buf, 32, n == DIM_MAX ? "any number" : "%lld", (long long)n);
	return buf;
}

static bool same_signature(const Ask *q, const Row *row, Text *why)
{
	if (!q->op) {
		text_puts(why, "implements no op of graft " GRAFT_VERSION ", which could not know how to call it; "
		          "`graft ops` lists those there are");
		return false;
	}
	if (!strcmp(row->kernel.signature, q->signature))
		return true;
	text_printf(why, "has signature `%s`, wanted `%s`; use a pack made for graft " GRAFT_VERSION,
	            row->kernel.signature, q->signature);
	return false;
}

/* "gfx942" in "gfx90a, gfx942"; features after a colon in what is asked ("gfx942:xnack-") do not count. */
static bool covers_arch(const Ask *q, const Row *row, Text *why)
{
	size_t n = strcspn(q->arch, ":");
	for (const char *s = row->kernel.archs; *s; s += strspn(s, ", ")) {
		size_t word = strcspn(s, ", ");
		if ((word == n && !strncmp(s, q->arch, n)) || (word == 1 && *s == '*'))
			return true;
		s += word;
	}
	text_printf(why, "is made for %s, not for %s; ", row->kernel.archs, q->arch);
	if (strcmp(q->arch, "cpu"))
		text_printf(why, "build the pack for %s too", q->arch);
	else
		text_puts(why, "name the machine it is for with --target, by a file of graft probe --save");
	return false;
}

static void list_dtypes(Text *t, uint32_t bits)
{
	const char *between = "";
	for (int d = 0; d < GRAFT_DTYPE_COUNT; d++) {
		if (!(bits & GRAFT_DTYPE_BIT(d)))
			continue;
		text_printf(t, "%s%s", between, graft_dtype_name((graft_dtype)d));
		between = ", ";
	}
	if (!*between)
		text_puts(t, "no dtype");
}

static bool takes_dtypes(const Ask *q, const Row *row, Text *why)
{
	for (uint32_t i = 0; i < q->n_facts; i++) {
		const Fact *f = &q->facts[i];
		if (!dtype_is_float(f->dtype) || row->kernel.dtypes & GRAFT_DTYPE_BIT(f->dtype))
			continue;
		text_puts(why, "takes ");
		list_dtypes(why, row->kernel.dtypes);
		text_printf(why, ", and %s is %s; cast it, or use a pack that takes %s", f->name, f->type,
		            graft_dtype_name(f->dtype));
		return false;
	}
	return true;
}

static const char *round_name(unsigned bit)
{
	return bit == GRAFT_ROUND_LATE ? "late" : bit == GRAFT_ROUND_EARLY ? "early" : "?";
}

static bool takes_round(const Ask *q, const Row *row, Text *why)
{
	if (!q->round || row->kernel.rounds & q->round)
		return true;
	unsigned other = q->round ^ (GRAFT_ROUND_LATE | GRAFT_ROUND_EARLY);
	text_printf(why, "cannot do round=%s, only %s; use a pack that can", round_name(q->round),
	            row->kernel.rounds & other ? round_name(other) : "none");
	return false;
}

/* One limit on one operand. */
static bool within(int64_t limit, int64_t found, const Fact *f, const char *what, Text *why)
{
	char number[32];
	if (!limit || found <= limit)
		return true;
	text_printf(why, "takes %s up to %lld, and %s is %s, where it can be %s; use a pack without that limit, or "
	            "give the graph's symbols smaller ranges", what, (long long)limit, f->name, f->type,
	            size_text(number, found));
	return false;
}

static bool takes_sizes(const Ask *q, const Row *row, Text *why)
{
	const graft_kernel *k = &row->kernel;
	for (uint32_t i = 0; i < q->n_facts; i++) {
		const Fact *f = &q->facts[i];
		if (!within(k->max_last, f->last, f, "a last axis", why))
			return false;
		if (!within(k->max_rows, f->rows, f, "rows", why))
			return false;
		if (k->flags & GRAFT_KERNEL_ODD_LAST || f->even)
			continue;
		text_printf(why, "takes a last axis of even length only, and that of %s, %s, can be odd; use a pack "
		            "that takes odd ones", f->name, f->type);
		return false;
	}
	return true;
}

static bool takes_strides(const Ask *q, const Row *row, Text *why)
{
	const graft_kernel *k = &row->kernel;
	for (uint32_t i = 0; i < q->n_facts; i++) {
		const Fact *f = &q->facts[i];
		if (f->rows <= 1)
			continue;
		if (!within(k->max_row_stride, f->stride, f, "a distance between rows", why))
			return false;
		if (k->flags & GRAFT_KERNEL_ANY_STRIDE || f->dense)
			continue;
		text_printf(why, "takes dense rows only, and %s, %s, can be a view of wider ones; use a pack that "
		            "takes any stride", f->name, f->type);
		return false;
	}
	return true;
}

static bool passed_test(const Ask *q, const Row *row, Text *why)
{
	(void)q;
	if (row->tested != FAILED)
		return true;
	text_puts(why, row->why);
	return false;
}

/* Tiers in order; a tier is reached when its last check has passed. */
static const struct { graft_tier tier; Check covers; } checks[] = {
	{ GRAFT_TIER_SIGNATURE, same_signature },
	{ GRAFT_TIER_ARCH, covers_arch },
	{ GRAFT_TIER_NODE, takes_dtypes },
	{ GRAFT_TIER_NODE, takes_round },
	{ GRAFT_TIER_NODE, takes_sizes },
	{ GRAFT_TIER_NODE, takes_strides },
	{ GRAFT_TIER_SELF_TEST, passed_test },
};

/* The tier below one; who asks about no node skips NODE. */
static graft_tier below(const Ask *q, graft_tier tier)
{
	return tier == GRAFT_TIER_SELF_TEST && !q->facts ? GRAFT_TIER_ARCH : tier - 1;
}

static Verdict judge_row(const Ask *q, const Pack *p, Row *row, Arena *a)
{
	Verdict v = { GRAFT_TIER_KERNEL, p, row, NULL };
	Text why = { .arena = a };
	for (size_t i = 0; i < sizeof checks / sizeof *checks && checks[i].tier <= q->upto; i++) {
		v.tier = checks[i].tier;
		if (checks[i].covers(q, row, &why))
			continue;
		v.tier = below(q, checks[i].tier);
		v.reason = arena_printf(a, "%s of '%s' (%s %s) %s", q->kernel, p->asked, p->name, p->version, why.text);
		return v;
	}
	v.reason = arena_printf(a, "'%s' (%s %s) has %s version %u for %s", p->asked, p->name, p->version, q->kernel,
	                        row->kernel.version, q->arch);
	return v;
}

/* ---- packs ------------------------------------------------------------------------------------------------ */

enum { NAMES_LISTED = 8 };

static const char *lacks_kernel(const Ask *q, const Pack *p, Arena *a)
{
	Text t = { .arena = a };
	text_printf(&t, "'%s' (%s %s) has no kernel %s, it has ", p->asked, p->name, p->version, q->kernel);
	for (uint32_t i = 0; i < p->n_rows && i < NAMES_LISTED; i++)
		text_printf(&t, "%s%s", i ? ", " : "", p->rows[i].kernel.name);
	if (p->n_rows > NAMES_LISTED)
		text_printf(&t, " and %u more", p->n_rows - NAMES_LISTED);
	text_puts(&t, !p->n_rows ? "none" : "");
	text_puts(&t, q->op ? "; use a pack that has it, or turn off the pass that needs it"
	                    : "; nor has graft " GRAFT_VERSION " an op of that name");
	return t.text;
}

static Verdict judge_pack(const Ask *q, const Pack *p, Arena *a)
{
	Verdict best = { p->tier, p, NULL, p->reason };
	if (p->tier < GRAFT_TIER_ABI)
		return best;
	for (uint32_t i = 0; i < p->n_rows && best.tier < q->upto; i++) {
		if (strcmp(p->rows[i].kernel.name, q->kernel))
			continue;
		Verdict v = judge_row(q, p, &p->rows[i], a);
		if (v.tier > best.tier)
			best = v;
	}
	if (!best.row)
		best.reason = lacks_kernel(q, p, a);
	return best;
}

Verdict judge(const Ask *q, Pack *const *packs, size_t n, Arena *a)
{
	Verdict best = judge_pack(q, packs[0], a);
	for (size_t i = 1; i < n && best.tier < q->upto; i++) {
		Verdict v = judge_pack(q, packs[i], a);
		if (v.tier > best.tier)
			best = v;
	}
	return best;
}
