/* status.c - the status table, and the one throw and catch. */
#include "arena.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct { const char *text; int exit_code; } statuses[] = {
#define X(name, exit_code, text) { text, exit_code },
	GRAFT_STATUS_MAP(X)
#undef X
};

enum { N_STATUSES = sizeof statuses / sizeof *statuses };

const char *graft_status_text(graft_status status)
{
	return (unsigned)status < N_STATUSES ? statuses[status].text : "unknown status";
}

int graft_status_exit_code(graft_status status)
{
	return (unsigned)status < N_STATUSES ? statuses[status].exit_code : 4;
}

size_t graft_error_print(const graft_error *err, char *buf, size_t size)
{
	char place[64] = "";
	if (err->line > 0)
		snprintf(place, sizeof place, "%d:%d:", err->line, err->column);
	int n = snprintf(buf, size, "%s%s%s%s%s%s%s", err->file, *err->file ? ":" : "", place,
	                 *err->file || *place ? " " : "", err->path, *err->path ? ": " : "", err->message);
	return n < 0 ? 0 : (size_t)n;
}

/* Keeps the end of a text that is too long: of a path the end says more. */
static void keep_end(char *to, size_t size, const char *from)
{
	size_t n = from ? strlen(from) : 0;
	const char *start = !from ? "" : n < size ? from : from + (n - size + 1);
	snprintf(to, size, "%s", start);
	if (n >= size)
		memcpy(to, "...", 3);
}

static void fill(graft_error *err, graft_status status, const char *file, int line, int column, const char *path,
                 const char *fmt, va_list ap)
{
	err->status = status;
	err->line = line;
	err->column = column;
	keep_end(err->file, sizeof err->file, file);
	keep_end(err->path, sizeof err->path, path);
	vsnprintf(err->message, sizeof err->message, fmt, ap);
}

void fail_in(Job *job, graft_status status, const char *file, int line, int column, const char *path,
             const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fill(job->err, status, file, line, column, path, fmt, ap);
	va_end(ap);
	longjmp(job->at, 1);
}

void fail_at(Job *job, graft_status status, const char *path, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fill(job->err, status, NULL, 0, 0, path, fmt, ap);
	va_end(ap);
	longjmp(job->at, 1);
}

void fail(Job *job, graft_status status, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fill(job->err, status, NULL, 0, 0, NULL, fmt, ap);
	va_end(ap);
	longjmp(job->at, 1);
}

void fail_again(Job *job, const graft_error *err)
{
	assert(err->status != GRAFT_OK);
	if (job->err != err)
		*job->err = *err;
	longjmp(job->at, 1);
}

graft_status error_set(graft_error *err, graft_status status, const char *fmt, ...)
{
	if (err) {
		va_list ap;
		va_start(ap, fmt);
		fill(err, status, NULL, 0, 0, NULL, fmt, ap);
		va_end(ap);
	}
	return status;
}

graft_status guarded(const graft_allocator *mem, void (*body)(Job *job, void *arg), void *arg, graft_error *err)
{
	graft_error unheard;
	Job job = { .err = err ? err : &unheard };
	memset(job.err, 0, sizeof *job.err);
	arena_init(&job.scratch, mem, &job);
	if (setjmp(job.at) == 0)
		body(&job, arg);
	arena_free(&job.scratch);
	return job.err->status;
}
