/* profile.c - measured plans as a table, and as a trace that Chrome and Perfetto show. */
#include "profile.h"
#include "../io/io.h"
#include "../io/json.h"
#include <string.h>

/* ---- the table --------------------------------------------------------------------------------------------- */

typedef struct Widths { int node, op, pack; } Widths;

static int longer(int width, const char *text)
{
	int n = (int)strlen(text);
	return n > width ? n : width;
}

static const char *short_pack(const char *pack)
{
	const char *slash = strrchr(pack, '/');
	return slash ? slash + 1 : pack;
}

static Widths widths_of(const graft_plan *plan)
{
	const graft_profile *r;
	Widths w = { 5, 2, 6 };
	for (size_t i = 0; (r = graft_plan_profile(plan, i)); i++) {
		w.node = longer(w.node, r->node);
		w.op = longer(w.op, r->op);
		w.pack = longer(w.pack, short_pack(r->pack));
	}
	return w;
}

/* "1.25 MB" */
static const char *size_text(char buf[32], double bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	int i = 0;
	while (bytes >= 1000 && i < 4) {
		bytes /= 1000;
		i++;
	}
	snprintf(buf, 32, i ? "%.2f %s" : "%.0f %s", bytes, units[i]);
	return buf;
}

static const char *share_text(char buf[48], const graft_profile *r)
{
	if (r->share > 0)
		snprintf(buf, 48, "%5.1f %% of %s", 100 * r->share, r->of_arithmetic ? "arithmetic" : "bandwidth");
	else
		snprintf(buf, 48, "    -");
	return buf;
}

void profile_print(const graft_plan *plan)
{
	const graft_profile *r;
	Widths w = widths_of(plan);
	char size[32], share[48];
	double sum = 0, bytes = 0;
	printf("on %s\n%-*s  %-*s  %-*s  %10s  %12s  %s\n", graft_plan_device(plan), w.node, "node", w.op, "op", w.pack,
	       "kernel", "bytes", "time", "share of peak");
	for (size_t i = 0; (r = graft_plan_profile(plan, i)); i++) {
		cli_say(stdout, "%-*s  %-*s  %-*s  %10s  %9.3f us  %s", w.node, r->node, w.op, r->op, w.pack,
		       short_pack(r->pack), size_text(size, r->bytes), r->seconds * 1e6, share_text(share, r));
		sum += r->seconds;
		bytes += r->bytes;
	}
	printf("%-*s  %-*s  %-*s  %10s  %9.3f us\n", w.node, "sum", w.op, "", w.pack, "", size_text(size, bytes),
	       sum * 1e6);
	printf("%-*s  %-*s  %-*s  %10s  %9.3f us\n", w.node, "total", w.op, "", w.pack, "", "",
	       graft_plan_seconds(plan) * 1e6);
}

/* ---- the trace --------------------------------------------------------------------------------------------- */

static void put(Text *t, const char *before, const char *key, const char *value)
{
	text_printf(t, "%s\"%s\": ", before, key);
	json_put_string(t, value);
}

/* One complete event; times in microseconds. */
static void put_row(Text *t, const graft_profile *r)
{
	put(t, "  {", "name", r->node);
	put(t, ", ", "cat", r->op);
	text_printf(t, ", \"ph\": \"X\", \"pid\": 0, \"tid\": 0, \"ts\": %.3f, \"dur\": %.3f", r->start * 1e6,
	            r->seconds * 1e6);
	put(t, ", \"args\": {", "kernel", r->pack);
	text_printf(t, ", \"bytes\": %.0f, \"operations\": %.0f, \"share\": %.4f", r->bytes, r->operations, r->share);
	put(t, ", ", "of", r->of_arithmetic ? "arithmetic" : "bandwidth");
	text_puts(t, "}}");
}

typedef struct Trace { const graft_plan *plan; const char *path; } Trace;

static void write_trace(Job *job, void *arg)
{
	const Trace *trace = arg;
	const graft_profile *r;
	Text t = { .arena = &job->scratch };
	text_puts(&t, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n");
	put(&t, "  {\"name\": \"process_name\", \"ph\": \"M\", \"pid\": 0, \"args\": {", "name",
	    graft_plan_device(trace->plan));
	text_puts(&t, "}}");
	for (size_t i = 0; (r = graft_plan_profile(trace->plan, i)); i++) {
		text_puts(&t, ",\n");
		put_row(&t, r);
	}
	text_puts(&t, "\n]}\n");
	file_write(job, trace->path, t.text, t.size);
}

graft_status profile_trace(Cli *c, const graft_plan *plan, const char *path)
{
	Trace t = { plan, path };
	return guarded(context_allocator(c->ctx), write_trace, &t, &c->err);
}
