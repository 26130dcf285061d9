/* peek.c - reading memory behind pointers that a stranger gave.
 *
 * The system is asked to copy one byte of each page into a pipe. Where a plain read would crash, it answers EFAULT.
 */
#include "peek.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void close_both(void *ptr)
{
	Peek *p = ptr;
	close(p->fd[0]);
	close(p->fd[1]);
}

Peek *peek_open(Arena *a)
{
	Peek *p = NEW(a, Peek);
	if (pipe2(p->fd, O_CLOEXEC | O_NONBLOCK))
		fail(a->job, GRAFT_E_UNAVAILABLE, "cannot check a kernel pack's table: no pipe can be made: %s",
		     strerror(errno));
	arena_undo(a, close_both, p);
	return p;
}

/* The bare system call: a sanitizer's write() would look at the byte itself. */
static bool byte_readable(Peek *p, uintptr_t at)
{
	char byte;
	long n;
	do
		n = syscall(SYS_write, p->fd[1], at, (size_t)1);
	while (n < 0 && errno == EINTR);
	return n == 1 && read(p->fd[0], &byte, 1) == 1;
}

static uintptr_t page_size(void)
{
	long n = sysconf(_SC_PAGESIZE);
	return n > 0 ? (uintptr_t)n : 4096;
}

/* Can size bytes be read there? Asks once a page, so it costs two system calls for most things. */
static bool peek_readable(Peek *p, const void *at, size_t size)
{
	uintptr_t page = page_size(), from = (uintptr_t)at, last;
	if (!size)
		return true;
	if (__builtin_add_overflow(from, size - 1, &last))
		return false;
	if (!byte_readable(p, from))
		return false;
	for (uintptr_t next = from / page + 1; next <= last / page; next++)
		if (!byte_readable(p, next * page))
			return false;
	return true;
}

bool peek_copy(Peek *p, void *to, const void *at, size_t size, size_t align)
{
	if ((uintptr_t)at % align || !peek_readable(p, at, size))
		return false;
	memcpy(to, at, size);
	return true;
}

char *peek_string(Peek *p, const char *at, size_t max, Arena *into)
{
	uintptr_t page = page_size();
	for (size_t n = 0; n < max; n++) {
		bool new_page = n == 0 || ((uintptr_t)at + n) % page == 0;
		if (new_page && !byte_readable(p, (uintptr_t)at + n))
			return NULL;
		if (!at[n])
			return arena_strndup(into, at, n);
		if (at[n] < ' ' || at[n] > '~')
			return NULL;
	}
	return NULL;
}
