/* selftest.c - does a kernel compute what graft's own kernel does?
 *
 * Each op's small node (selftest.def) is run with every dtype and rounding that the kernel claims: dense and even; then
 * with odd rows and rows far apart, where it claims to take those. Besides the numbers: it must write nothing but its
 * outputs, and not change its operands.
 */
#include "cache.h"
#include "../kernels/cpu/convert.h"
#include "../kernels/cpu/cpu.h"
#include <math.h>
#include <string.h>

enum { EVEN = 8, ODD = 7, ROW_GAP = 5, ALIGN = 64, GUARD = 64, GUARD_BYTE = 0x5c, SCRATCH = 1 << 18, MESSAGE = 256 };

/* One run of one kernel on one node. */
typedef struct Trial {
	Job *job;
	graft_context *ctx;
	Row *row;
	Arena *why;
	const Rig *rig;                       /* where the row's kernel runs; NULL: here */
	graft_launch_fn own;                  /* graft's kernel */
	const char *text;
	graft_dtype dtype;
	const char *round;
	bool wide;                            /* odd and far apart, as far as claimed */
} Trial;

static bool failed(Trial *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool failed(Trial *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *what = arena_vprintf(&t->job->scratch, fmt, ap);
	va_end(ap);
	t->row->tested = FAILED;
	t->row->why = arena_printf(t->why, "fails its self test (%s%s%s%s): %s; use another pack",
	                           graft_dtype_name(t->dtype), *t->round ? ", round=" : "", t->round,
	                           t->wide ? ", odd and strided rows" : "", what);
	return false;
}

/* ---- what a kernel gets ----------------------------------------------------------------------------------- */

/* Memory of one tensor between guard bytes. */
typedef struct Block { char *start; size_t size; } Block;

static char *aligned_new(Arena *a, size_t size)
{
	char *p = arena_alloc(a, size + ALIGN);
	return p + (ALIGN - (uintptr_t)p % ALIGN);
}

static Block block_new(Arena *a, size_t size)
{
	Block b = { aligned_new(a, size + 2 * GUARD), size };
	memset(b.start, GUARD_BYTE, size + 2 * GUARD);
	return b;
}

static bool guards_whole(const Block *b)
{
	for (size_t i = 0; i < GUARD; i++)
		if (b->start[i] != GUARD_BYTE || b->start[GUARD + b->size + i] != GUARD_BYTE)
			return false;
	return true;
}

/* A tensor of that type, its rows `gap` elements apart; between them are bytes that no kernel should read. */
static graft_tensor tensor_new(Arena *a, const Type *type, int64_t gap, Block *block)
{
	int64_t *shape = NEW_ARRAY(a, type->rank, int64_t), *stride = NEW_ARRAY(a, type->rank, int64_t), n = 1;
	for (uint32_t i = type->rank; i-- > 0;) {
		shape[i] = type->dims[i].value;
		stride[i] = n;
		n *= shape[i] + (i + 1 == type->rank && type->rank > 1 ? gap : 0);
	}
	*block = block_new(a, (size_t)n * graft_dtype_size(type->dtype));
	return (graft_tensor){ block->start + GUARD, shape, stride, (int32_t)type->rank, (int32_t)type->dtype };
}

static int64_t elements(const graft_tensor *t)
{
	int64_t n = 1;
	for (int32_t i = 0; i < t->rank; i++)
		n *= t->shape[i];
	return n;
}

static char *element(const graft_tensor *t, int64_t i)
{
	int64_t at = 0;
	for (int32_t k = t->rank; k-- > 0; i /= t->shape[k])
		at += i % t->shape[k] * t->stride[k];
	return (char *)t->data + at * (int64_t)graft_dtype_size((graft_dtype)t->dtype);
}

/* Floats in [-2, 2), different in each element; indices in [0, 4). */
static void fill(const graft_tensor *t, uint32_t seed)
{
	for (int64_t i = 0, n = elements(t); i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		float value = (float)(seed >> 20) / 1024 - 2;
		int64_t index = seed >> 30;
		if (dtype_is_float((graft_dtype)t->dtype))
			store_f32(t->dtype, element(t, i), 1, &value, 1);
		else
			store_i64(t->dtype, element(t, i), 1, &index, 1);
	}
}

static const int64_t *list_for_launch(const Attr *a, uint32_t rank, Arena *into)
{
	int64_t *list = NEW_ARRAY(into, a->n, int64_t);
	for (uint32_t i = 0; i < a->n; i++)
		list[i] = a->kind == ATTR_DIMS ? a->dims[i].value : a->ints[i] < 0 ? a->ints[i] + rank : a->ints[i];
	return list;
}

/* Of the kinds that trials have. */
static graft_attr attr_for_launch(const Attr *a, uint32_t rank, Arena *into)
{
	graft_attr out = { .given = a->kind != ATTR_NONE };
	switch (a->kind) {
	case ATTR_DIMS: case ATTR_AXES: out.n = (int32_t)a->n; out.list = list_for_launch(a, rank, into); break;
	case ATTR_FLOAT: out.f = a->f; break;
	case ATTR_AXIS: out.i = axis_of(a, rank); break;
	case ATTR_DIM: out.i = a->dim.value; break;
	case ATTR_BOOL: case ATTR_INT: case ATTR_DTYPE: case ATTR_NAME: out.i = a->i; break;
	default: break;
	}
	return out;
}

/* The host for both: no threads of its own, but pieces as there would be with two. */
typedef struct Host { graft_host host; char *scratch; size_t used; } Host;

static void host_parallel(void *self, int64_t n, int64_t grain, void (*body)(void *, int64_t, int64_t), void *arg)
{
	int64_t half = n / 2;
	(void)self;
	if (half > 0 && half >= grain)
		body(arg, 0, half);
	else
		half = 0;
	if (n > 0)
		body(arg, half, n);
}

static void host_sgemm(void *self, int64_t m, int64_t n, int64_t k, const float *a, int64_t ai, int64_t ak,
                       const float *b, int64_t bk, int64_t bj, float *c, int64_t ci, int accumulate)
{
	(void)self;
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++) {
			float sum = accumulate ? c[i * ci + j] : 0;
			for (int64_t l = 0; l < k; l++)
				sum += a[i * ai + l * ak] * b[l * bk + j * bj];
			c[i * ci + j] = sum;
		}
}

static void *host_scratch(void *self, size_t bytes)
{
	Host *h = self;
	size_t at = (h->used + ALIGN - 1) / ALIGN * ALIGN;
	if (at > SCRATCH || bytes > SCRATCH - at)
		return NULL;
	h->used = at + bytes;
	return h->scratch + at;
}

static Host *host_new(Arena *a)
{
	Host *h = NEW(a, Host);
	h->host = (graft_host){ h, host_parallel, host_sgemm, host_scratch, NULL };
	h->scratch = aligned_new(a, SCRATCH);
	return h;
}

/* ---- one trial -------------------------------------------------------------------------------------------- */

/* $D, $R, $N put in. */
static const char *trial_text(const Trial *t, Arena *a)
{
	Text out = { .arena = a };
	bool odd = t->wide && t->row->kernel.flags & GRAFT_KERNEL_ODD_LAST;
	text_puts(&out, "graph self_test\n");
	for (const char *s = t->text; *s; s++) {
		if (*s != '$')
			text_add(&out, s, 1);
		else if (*++s == 'N')
			text_printf(&out, "%d", odd ? ODD : EVEN);
		else
			text_puts(&out, *s == 'D' ? graft_dtype_name(t->dtype) : t->round);
	}
	text_puts(&out, "\n");
	return out.text;
}

/* The graph ends with the job. */
static const Node *trial_node(const Trial *t)
{
	const char *text = trial_text(t, &t->job->scratch);
	return graph_parse_text(t->job, t->ctx, text, strlen(text), "self test")->last;
}

/* The launch that both kernels get, but for the outputs. */
static graft_launch prepare(const Trial *t, const Node *node, Block *blocks)
{
	Arena *a = &t->job->scratch;
	bool apart = t->wide && t->row->kernel.flags & GRAFT_KERNEL_ANY_STRIDE;
	graft_tensor *in = NEW_ARRAY(a, node->n_in, graft_tensor);
	graft_attr *attr = NEW_ARRAY(a, node->n_attr, graft_attr);
	for (uint32_t i = 0; i < node->n_in; i++) {
		in[i] = tensor_new(a, &node->in[i].value->type, apart ? ROW_GAP : 0, &blocks[i]);
		fill(&in[i], i + 1);
	}
	for (uint32_t i = 0; i < node->n_attr; i++)
		attr[i] = attr_for_launch(&node->attr[i], node->in[0].value->type.rank, a);
	return (graft_launch){
		.struct_size = sizeof(graft_launch), .n_in = (int32_t)node->n_in, .n_out = (int32_t)node->n_out,
		.n_attr = (int32_t)node->n_attr, .in = in, .attr = attr, .message = arena_alloc(a, MESSAGE),
		.message_size = MESSAGE,
	};
}

static RigBlock whole(const Block *b)
{
	return (RigBlock){ b->start, b->size + 2 * GUARD };
}

static int launch_on_rig(const Trial *t, graft_launch_fn fn, const graft_launch *l, const Block *in, const Block *out)
{
	RigBlock *blocks = NEW_ARRAY(&t->job->scratch, (size_t)l->n_in + (size_t)l->n_out, RigBlock);
	size_t n = 0;
	for (int32_t i = 0; i < l->n_in; i++)
		blocks[n++] = whole(&in[i]);
	for (int32_t i = 0; i < l->n_out; i++)
		blocks[n++] = whole(&out[i]);
	return t->rig->run(t->rig, t->job, fn, l, blocks, n);
}

static int launch(const Trial *t, const Rig *rig, graft_launch_fn fn, graft_launch *l, const Node *node,
                  const Block *in, Block *out_blocks)
{
	Arena *a = &t->job->scratch;
	graft_tensor *out = NEW_ARRAY(a, node->n_out, graft_tensor);
	for (uint32_t i = 0; i < node->n_out; i++)
		out[i] = tensor_new(a, &node->out[i]->type, 0, &out_blocks[i]);
	l->out = out;
	l->host = &host_new(a)->host;
	int status = rig ? launch_on_rig(t, fn, l, in, out_blocks) : fn(l);
	l->message[MESSAGE - 1] = 0;
	return status;
}

/* Largest relative error that is still the same number, by dtype. Kernels sum in their own order: several units of f32,
 * and at most two last places of what is rounded after a float32 sum. */
static double tolerance(graft_dtype d)
{
	switch (d) {
	case GRAFT_DTYPE_f64: return 0x1p-46;
	case GRAFT_DTYPE_f32: return 0x1p-18;
	case GRAFT_DTYPE_f16: return 0x1p-9;
	case GRAFT_DTYPE_bf16: return 0x1p-6;
	default: return 0;
	}
}

static bool same_number(double found, double wanted, graft_dtype d)
{
	if (isnan(found) || isnan(wanted))
		return isnan(found) && isnan(wanted);
	return found == wanted || fabs(found - wanted) <= tolerance(d) * (fabs(wanted) + 0.25);
}

static bool same_numbers(Trial *t, const char *name, const graft_tensor *found, const graft_tensor *wanted)
{
	for (int64_t i = 0, n = elements(found); i < n; i++) {
		double f, w;
		load_f64(&f, found->dtype, element(found, i), 1, 1);
		load_f64(&w, wanted->dtype, element(wanted, i), 1, 1);
		if (!same_number(f, w, (graft_dtype)found->dtype))
			return failed(t, "element %lld of %s is %.9g, wanted %.9g", (long long)i, name, f, w);
	}
	return true;
}

static bool run_trial(Trial *t)
{
	Arena *a = &t->job->scratch;
	const Node *node = trial_node(t);
	Block *in = NEW_ARRAY(a, node->n_in, Block), *in_again = NEW_ARRAY(a, node->n_in, Block);
	Block *out = NEW_ARRAY(a, node->n_out, Block), *out_again = NEW_ARRAY(a, node->n_out, Block);
	graft_launch own = prepare(t, node, in), theirs = prepare(t, node, in_again);
	if (launch(t, NULL, t->own, &own, node, in, out))
		return true;                  /* graft's own kernel does not take it: nothing to compare with */
	if (launch(t, t->rig, t->row->kernel.launch, &theirs, node, in_again, out_again))
		return failed(t, "it says: %s", *theirs.message ? theirs.message : "nothing, but fails");
	for (uint32_t i = 0; i < node->n_in; i++)
		if (memcmp(in[i].start, in_again[i].start, in[i].size + 2 * GUARD) != 0)
			return failed(t, "it writes to its operand %s", node->in[i].value->name);
	for (uint32_t i = 0; i < node->n_out; i++)
		if (!guards_whole(&out_again[i]))
			return failed(t, "it writes beyond its output %s", node->out[i]->name);
	for (uint32_t i = 0; i < node->n_out; i++)
		if (!same_numbers(t, node->out[i]->name, &theirs.out[i], &own.out[i]))
			return false;
	return true;
}

/* ---- all of a kernel's trials ------------------------------------------------------------------------------ */

static const struct { const char *op, *text; } trials[] = {
#define TRIAL(op, text) { #op, text },
#include "selftest.def"
#undef TRIAL
};

static const char *text_for(const char *op)
{
	for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
		if (!strcmp(trials[i].op, op))
			return trials[i].text;
	return NULL;
}

static graft_launch_fn own_kernel(Arena *a, const char *op)
{
	const graft_pack *p = cpu_pack(a);
	for (uint32_t i = 0; i < p->n_kernels; i++)
		if (!strcmp(p->kernels[i].name, op))
			return p->kernels[i].launch;
	return NULL;
}

static bool run_rounds(Trial *t)
{
	static const char *const rounds[] = { "late", "early" };
	t->round = "";
	if (!strstr(t->text, "$R"))
		return run_trial(t);
	for (unsigned i = 0; i < sizeof rounds / sizeof *rounds; i++) {
		t->round = rounds[i];
		if (t->row->kernel.rounds & 1u << i && !run_trial(t))
			return false;
	}
	return true;
}

static bool fits(const graft_kernel *k)
{
	return (!k->max_last || k->max_last >= EVEN) && (!k->max_rows || k->max_rows >= 6) &&
	       (!k->max_row_stride || k->max_row_stride >= EVEN + ROW_GAP);
}

void self_test(Job *job, graft_context *ctx, Row *row, const char *arch, const Rig *rig, Arena *why)
{
	static const graft_dtype dtypes[] = { GRAFT_DTYPE_f32, GRAFT_DTYPE_bf16, GRAFT_DTYPE_f16, GRAFT_DTYPE_f64 };
	const graft_kernel *k = &row->kernel;
	Trial t = { .job = job, .ctx = ctx, .row = row, .why = why, .rig = rig, .text = text_for(k->name) };
	t.own = own_kernel(&job->scratch, k->name);
	row->tested = t.own == k->launch ? PASSED : NO_TEST;
	if (row->tested == PASSED || (strcmp(arch, "cpu") && !rig) || !t.own || !t.text || !fits(k))
		return;
	for (unsigned i = 0; i < 2 * sizeof dtypes / sizeof *dtypes; i++) {
		t.dtype = dtypes[i / 2];
		t.wide = i % 2;
		if (k->dtypes & GRAFT_DTYPE_BIT(t.dtype) && !run_rounds(&t))
			return;
	}
	row->tested = PASSED;
}
