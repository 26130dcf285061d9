/* torch_programs.c - random programs as torch.export writes them, through reading, optimising and writing.
 *
 * Of each must hold: untouched it is written as it was; optimised it can be written and read, has no op that it had not
 * before but the fused ones, names in module signatures are as they were, it computes the same bits, and once more nothing
 * changes.
 *
 * A failure names seed and number. GRAFT_PROGRAM=number runs that one alone and prints it, GRAFT_PROGRAMS=n so many.
 */
#include "programs.h"
#include "test.h"
#include <graft/graft.h>
#include <stdlib.h>

enum { SEED = 20261126, PROGRAMS = 250 };

typedef struct Trial {
	Program program;
	uint64_t number;
	graft_context *ctx;
	graft_graph *before, *after;
	Letters result, again;
	int64_t fused;
} Trial;

static graft_error err;

static void fails(const Trial *t, const char *what, const char *why)
{
	test_fail(__FILE__, __LINE__, "program %llu of seed %d: %s%s%s", (unsigned long long)t->number, SEED, what,
	          *why ? ": " : "", why);
}

static void must(const Trial *t, graft_status status, const char *what)
{
	if (status)
		fails(t, what, err.message);
}

/* ---- writing ---- */

static bool keep(void *user, const char *text, size_t size)
{
	Letters *l = user;
	if (l->n + size >= l->cap) {
		l->cap = 2 * (l->n + size + 1);
		l->s = realloc(l->s, l->cap);
	}
	memcpy(l->s + l->n, text, size);
	l->n += size;
	l->s[l->n] = 0;
	return true;
}

static void write_as_torch(const Trial *t, graft_graph *g, Letters *out, const char *what)
{
	out->n = 0;
	must(t, graft_graph_print(g, GRAFT_FORMAT_PT2JSON, keep, out, &err), what);
}

static graft_graph *read_text(const Trial *t, const char *text, size_t size, const char *what)
{
	graft_graph *g = NULL;
	must(t, graft_graph_parse(t->ctx, text, size, "program", &g, &err), what);
	return g;
}

static int64_t optimize(const Trial *t, graft_graph *g)
{
	graft_report *report = NULL;
	must(t, graft_optimize(g, NULL, &report, &err), "it cannot be optimised");
	int64_t fused = graft_report_applied(report, "fuse_mla_dual_rms_norm");
	graft_report_free(report);
	must(t, graft_graph_verify(g, &err), "the optimised graph is broken");
	return fused > 0 ? fused : 0;
}

/* ---- nodes ---- */

static size_t count(const char *text, const char *part, size_t n)
{
	size_t found = 0;
	for (const char *at = text; (at = strstr(at, "\"target\": \"")); at++)
		found += !strncmp(at, part, n);
	return found;
}

/* No target is there more often than before. */
static void has_no_new_nodes(const Trial *t)
{
	for (const char *at = t->result.s; (at = strstr(at, "\"target\": \"")); at++) {
		size_t n = (size_t)(strchr(at + 11, '"') + 1 - at);
		if (memmem(at, n, "graft.fused", 11))
			continue;
		char target[128];
		snprintf(target, sizeof target, "%.*s", (int)n, at);
		if (count(t->result.s, at, n) > count(t->program.text, at, n))
			fails(t, "more of them than before", target);
	}
}

/* A line with names left out: where a name was, a quote is. */
static const char *same_line(const char *a, const char *b)
{
	static const char *const keys[] = { "\"name\": \"", "\"as_name\": \"" };
	while (*a == *b && *a != '\n' && *a) {
		for (int i = 0; i < 2; i++) {
			size_t n = strlen(keys[i]);
			if (!strncmp(a, keys[i], n) && !strncmp(b, keys[i], n)) {
				a = strchr(a + n, '"');
				b = strchr(b + n, '"');
			}
		}
		a++, b++;
	}
	return (*a == '\n' || (*a == ',' && a[1] == '\n')) && (*b == '\n' || (*b == ',' && b[1] == '\n')) ? a : NULL;
}

static const char *next_line(const char *s)
{
	const char *end = strchr(s, '\n');
	return end && end[1] == '{' ? end + 1 : NULL;
}

/* Without a fusion, lines of nodes are lines of the file, in its order, but for names. */
static void keeps_lines(const Trial *t)
{
	const char *from = next_line(t->program.text);
	for (const char *at = next_line(t->result.s); at; at = next_line(at)) {
		while (from && !same_line(from, at))
			from = next_line(from);
		if (!from) {
			char line[200];
			snprintf(line, sizeof line, "%.190s", at);
			fails(t, "a node that is not in the file, or moved", line);
		}
		from = next_line(from);
	}
}

static void keeps_signatures(const Trial *t)
{
	const char *a = strstr(t->program.text, "\"module_call_graph\""), *b = strstr(t->result.s, "\"module_call_graph\"");
	if (!b || strcmp(a, b))
		fails(t, "module_call_graph changed", "");
}

/* ---- numbers ---- */

typedef struct Data { float f[512]; uint16_t h[512]; int64_t shape[MAX_AXES], stride[MAX_AXES]; } Data;

static void fill(Data *d, const Tensor *t, int i, graft_tensor *out)
{
	int64_t n = 1;
	for (int k = t->rank; k-- > 0; n *= d->shape[k]) {
		d->shape[k] = num_value(t->size[k]);
		d->stride[k] = n;
	}
	for (int64_t k = 0; k < n && k < 512; k++) {
		uint32_t bits;
		d->f[k] = (float)((k * 37 + i * 11) % 64 - 31) / 16;
		memcpy(&bits, &d->f[k], sizeof bits);
		d->h[k] = (uint16_t)(bits >> 16);
	}
	*out = (graft_tensor){ t->dtype == BF16 ? (void *)d->h : (void *)d->f, d->shape, d->stride, t->rank,
	                       t->dtype == BF16 ? GRAFT_DTYPE_bf16 : GRAFT_DTYPE_f32 };
}

static graft_plan *run(const Trial *t, graft_graph *g, const char *what)
{
	static Data data[MAX_INPUTS];
	const Program *p = &t->program;
	graft_tensors *in;
	graft_plan *plan = NULL;
	must(t, graft_tensors_new(t->ctx, &in, &err), what);
	for (int i = 0; i < p->n_inputs; i++) {
		graft_tensor tensor;
		fill(&data[i], &p->input[i], i, &tensor);
		must(t, graft_tensors_set(in, p->input[i].name, &tensor, &err), what);
	}
	graft_plan_options o = { .struct_size = sizeof o, .threads = 1, .bind = (const char *const[]){ "s77=5", NULL } };
	must(t, graft_plan_new(g, &o, in, &plan, &err), what);
	must(t, graft_plan_run(plan, &err), what);
	graft_tensors_free(in);
	return plan;
}

static const char *element(const graft_tensor *t, int64_t i)
{
	int64_t at = 0;
	for (int32_t k = t->rank; k-- > 0; i /= t->shape[k])
		at += i % t->shape[k] * t->stride[k];
	return (const char *)t->data + at * (int64_t)graft_dtype_size(t->dtype);
}

static bool same_bits(const graft_tensor *a, const graft_tensor *b)
{
	int64_t n = 1;
	if (a->dtype != b->dtype || a->rank != b->rank)
		return false;
	for (int32_t k = 0; k < a->rank; n *= a->shape[k++])
		if (a->shape[k] != b->shape[k])
			return false;
	for (int64_t i = 0; i < n; i++)
		if (memcmp(element(a, i), element(b, i), graft_dtype_size(a->dtype)) != 0)
			return false;
	return true;
}

static void same_outputs(const Trial *t, const graft_plan *before, const graft_plan *after)
{
	const graft_tensor *a, *b;
	const char *name;
	for (size_t i = 0; (a = graft_tensors_at(graft_plan_outputs(before), i, &name)); i++) {
		b = graft_tensors_at(graft_plan_outputs(after), i, NULL);
		if (!b || !same_bits(a, b))
			fails(t, "it computes something else", name);
	}
}

static void computes_the_same(Trial *t)
{
	graft_graph *first = read_text(t, t->program.text, t->program.size, "it cannot be read again");
	graft_plan *before = run(t, first, "it does not run"), *after = run(t, t->after, "the result does not run");
	same_outputs(t, before, after);
	graft_plan_free(before);
	graft_plan_free(after);
	graft_graph_free(first);
}

/* ---- one program ---- */

static void round_trip(Trial *t)
{
	const Program *p = &t->program;
	t->before = read_text(t, p->text, p->size, "it cannot be read");
	write_as_torch(t, t->before, &t->result, "it cannot be written as it is");
	if (strcmp(t->result.s, p->text))
		fails(t, "untouched, it is written as something else", "");
	t->fused = optimize(t, t->before);
	write_as_torch(t, t->before, &t->result, "it cannot be written");
	has_no_new_nodes(t);
	if (!t->fused)
		keeps_lines(t);
	keeps_signatures(t);
	t->after = read_text(t, t->result.s, t->result.n, "the result cannot be read");
	if (p->runs)
		computes_the_same(t);
	optimize(t, t->after);
	write_as_torch(t, t->after, &t->again, "the result cannot be written");
	if (strcmp(t->again.s, t->result.s))
		fails(t, "optimised once more, it changes once more", "");
}

static void end(Trial *t)
{
	graft_graph_free(t->before);
	graft_graph_free(t->after);
	free(t->result.s);
	free(t->again.s);
	program_free(&t->program);
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
	const char *s = getenv(variable);
	return s ? strtoull(s, NULL, 10) : otherwise;
}

TEST(torch_programs)
{
	uint64_t first = number_of("GRAFT_PROGRAM", 0), n = number_of("GRAFT_PROGRAMS", getenv("GRAFT_PROGRAM") ? 1 : PROGRAMS);
	uint64_t fused = 0, ran = 0;
	graft_context *ctx;
	CHECK_INT(graft_context_new(NULL, &ctx, NULL), GRAFT_OK);
	for (uint64_t i = first; i < first + n; i++) {
		Trial t = { .number = i, .ctx = ctx };
		program_make(&t.program, SEED, i);
		if (n == 1)
			fputs(t.program.text, stdout);
		round_trip(&t);
		fused += t.fused > 0;
		ran += t.program.runs;
		end(&t);
	}
	graft_context_free(ctx);
	CHECK(n < PROGRAMS || (fused > n / 10 && ran > n / 2));
}
