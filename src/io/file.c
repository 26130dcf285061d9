/* file.c - files read whole and written whole. */
#include "io.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Noreturn static void fail_io(Job *job, const char *path, const char *what)
{
	char reason[128];
	fail_in(job, GRAFT_E_IO, path, 0, 0, NULL, "%s: %s", what, strerror_r(errno, reason, sizeof reason));
}

static bool is_dash(const char *path)
{
	return strcmp(path, "-") == 0;
}

/* ---- reading ---- */

typedef struct Mapping { void *data; size_t size; } Mapping;
typedef struct Buffer { const graft_allocator *mem; char *data; size_t size, cap; } Buffer;
typedef struct Descriptor { int fd; } Descriptor;

static void unmap(void *mapping)
{
	Mapping *m = mapping;
	if (m->data)
		munmap(m->data, m->size);
}

static void free_buffer(void *buffer)
{
	Buffer *b = buffer;
	if (b->data)
		b->mem->resize(b->mem->user, b->data, b->cap, 0);
}

static void close_descriptor(void *descriptor)
{
	Descriptor *d = descriptor;
	if (d->fd >= 0)
		close(d->fd);
}

static Bytes map_file(Arena *a, const char *path, int fd, size_t size)
{
	Mapping *m = NEW(a, Mapping);
	arena_undo(a, unmap, m);
	void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		fail_io(a->job, path, "cannot map the file");
	*m = (Mapping){ data, size };
	return (Bytes){ data, size };
}

static void grow_buffer(Buffer *b, Job *job)
{
	size_t cap = b->cap ? b->cap * 2 : 1 << 16;
	char *grown = cap > b->cap ? b->mem->resize(b->mem->user, b->data, b->cap, cap) : NULL;
	if (!grown)
		fail(job, GRAFT_E_NOMEM, "no memory left to read more than %zu bytes", b->size);
	b->data = grown;
	b->cap = cap;
}

/* A pipe or the like, up to its end. */
static Bytes read_stream(Arena *a, const char *path, int fd)
{
	Buffer *b = NEW(a, Buffer);
	b->mem = a->mem;
	arena_undo(a, free_buffer, b);
	for (;;) {
		if (b->size == b->cap)
			grow_buffer(b, a->job);
		ssize_t n = read(fd, b->data + b->size, b->cap - b->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fail_io(a->job, path, "cannot read");
		if (n == 0)
			return (Bytes){ b->data, b->size };
		b->size += (size_t)n;
	}
}

Bytes file_read(Arena *a, const char *path)
{
	struct stat st;
	if (is_dash(path))
		return read_stream(a, "<stdin>", STDIN_FILENO);
	Descriptor *d = NEW(&a->job->scratch, Descriptor);
	d->fd = -1;
	arena_undo(&a->job->scratch, close_descriptor, d);
	d->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (d->fd < 0 || fstat(d->fd, &st))
		fail_io(a->job, path, "cannot open the file");
	if (S_ISDIR(st.st_mode))
		fail_in(a->job, GRAFT_E_IO, path, 0, 0, NULL, "wanted a file, found a directory");
	Bytes bytes = { "", 0 };
	if (!S_ISREG(st.st_mode))
		bytes = read_stream(a, path, d->fd);
	else if (st.st_size > 0)
		bytes = map_file(a, path, d->fd, (size_t)st.st_size);
	close(d->fd);
	d->fd = -1;
	return bytes;
}

/* ---- writing ---- */

struct FileOut {
	Job *job;
	const char *path;                     /* as the caller named it, for messages */
	const char *target, *temporary;       /* NULL: written directly */
	int fd;
};

enum { MAX_TRIES = 100 };

static void abandon(void *out)
{
	FileOut *f = out;
	if (f->fd >= 0 && f->fd != STDOUT_FILENO)
		close(f->fd);
	if (f->fd >= 0 && f->temporary)
		unlink(f->temporary);
	f->fd = -1;
}

/* Where path leads through links, when it is there; else path. */
static const char *resolve(Job *job, const char *path)
{
	char real[PATH_MAX];
	return realpath(path, real) ? arena_strdup(&job->scratch, real) : path;
}

static void open_temporary(FileOut *f, const struct stat *old)
{
	for (unsigned i = 0; i < MAX_TRIES && f->fd < 0; i++) {
		f->temporary = arena_printf(&f->job->scratch, "%s.%ld-%u.tmp", f->target, (long)getpid(), i);
		f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (f->fd < 0 && errno != EEXIST)
			break;
	}
	if (f->fd < 0)
		fail_io(f->job, f->path, "cannot make a temporary file beside it");
	if (old && fchmod(f->fd, old->st_mode & 0777))
		fail_io(f->job, f->path, "cannot give the temporary file the mode of the old one");
}

FileOut *file_create(Job *job, const char *path)
{
	struct stat st;
	FileOut *f = NEW(&job->scratch, FileOut);
	*f = (FileOut){ .job = job, .path = path, .fd = -1 };
	arena_undo(&job->scratch, abandon, f);
	if (is_dash(path)) {
		f->path = "<stdout>";
		f->fd = STDOUT_FILENO;
		return f;
	}
	bool there = stat(path, &st) == 0;
	if (there && S_ISDIR(st.st_mode))
		fail_in(job, GRAFT_E_IO, path, 0, 0, NULL, "wanted the name of a file, found a directory");
	if (there && !S_ISREG(st.st_mode)) {
		f->fd = open(path, O_WRONLY | O_CLOEXEC);
		if (f->fd < 0)
			fail_io(job, path, "cannot write there");
		return f;
	}
	f->target = resolve(job, path);
	open_temporary(f, there ? &st : NULL);
	return f;
}

void file_add(FileOut *f, const void *data, size_t size)
{
	const char *p = data;
	while (size > 0) {
		ssize_t n = write(f->fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fail_io(f->job, f->path, "cannot write");
		p += n;
		size -= (size_t)n;
	}
}

/* So that the new name survives a crash too; a file system that cannot is none of our business. */
static void sync_folder(FileOut *f)
{
	const char *slash = strrchr(f->target, '/');
	const char *folder = !slash ? "." : slash == f->target ? "/"
	                   : arena_strndup(&f->job->scratch, f->target, (size_t)(slash - f->target));
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

void file_commit(FileOut *f)
{
	int fd = f->fd;
	if (f->temporary && (fsync(fd) || rename(f->temporary, f->target)))
		fail_io(f->job, f->path, "cannot put the new file in place");
	f->fd = -1;
	if (fd != STDOUT_FILENO && close(fd) && !f->temporary)
		fail_io(f->job, f->path, "cannot write");
	if (f->temporary)
		sync_folder(f);
}

void file_write(Job *job, const char *path, const char *data, size_t size)
{
	FileOut *f = file_create(job, path);
	file_add(f, data, size);
	file_commit(f);
}
