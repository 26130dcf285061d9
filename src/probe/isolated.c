/* isolated.c - asking packs in child processes, so that one that crashes or hangs is an answer and not the end.
 *
 *   parent                              child (one for each pack)
 *     fork ──────────────────────────>    'L' load, 'A' ask for the table, 'T' the table as caps text
 *     read until it ends or time is up    'S' before a self test, 'R' its result, ... 'E' the end
 *     kill what is left of its group, reap
 *
 * The last step that the child wrote before it fell says where it fell. After a crash in a self test another child goes
 * on behind it. The child's words are checked like a file's.
 */
#include "cache.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ANSWER = 16 << 20 };

typedef enum Step { LOADING = 'L', ASKING = 'A', TABLE = 'T', TESTING = 'S', RESULT = 'R', END = 'E' } Step;

/* What stands before the text of each step on the pipe. */
typedef struct Note { uint32_t step, row, tested, size; } Note;

/* ---- the child -------------------------------------------------------------------------------------------- */

typedef struct Child {
	const char *pack, *arch;
	uint32_t first;                       /* the first row to test */
	int fd;
} Child;

static void say(const Child *c, Step step, uint32_t row, Tested tested, const char *text)
{
	Note n = { (uint32_t)step, row, (uint32_t)tested, text ? (uint32_t)strlen(text) : 0 };
	const char *parts[] = { (const char *)&n, text };
	size_t sizes[] = { sizeof n, n.size };
	for (int i = 0; i < 2; i++)
		for (ssize_t done; sizes[i]; parts[i] += done, sizes[i] -= (size_t)done)
			if ((done = write(c->fd, parts[i], sizes[i])) < 0)
				_exit(1);
}

/* As pack_look, with a word before each step. */
static void look_aloud(const Child *c, Pack *p, PackHome home)
{
	say(c, LOADING, 0, UNTESTED, NULL);
	if (strcmp(p->asked, BUILTIN)) {
		pack_load(p, home);
		say(c, ASKING, 0, UNTESTED, NULL);
		if (p->tier == GRAFT_TIER_LOADS)
			pack_read(p, home);
		p->looked = true;
	}
	pack_look(p, home);
}

static void answer(Job *job, void *arg)
{
	const Child *c = ((void **)arg)[0];
	graft_context *ctx = ((void **)arg)[1];
	Arena *a = &job->scratch;
	Pack *p = NEW(a, Pack);
	p->asked = c->pack;
	look_aloud(c, p, (PackHome){ a, a });
	Target t = { .ctx = ctx, .arch = c->arch, .tested = true, .packs = &p, .n_packs = 1 };
	Text caps = { .arena = a };
	target_print_caps(&t, &caps);
	say(c, TABLE, 0, UNTESTED, caps.text);
	for (uint32_t i = c->first; i < p->n_rows; i++) {
		say(c, TESTING, i, UNTESTED, NULL);
		self_test(job, ctx, &p->rows[i], c->arch, NULL, a);
		say(c, RESULT, i, p->rows[i].tested, p->rows[i].why);
	}
	say(c, END, 0, UNTESTED, NULL);
	_exit(0);                             /* not past the library's destructors */
}

/* Whoever handles signals in this process (a sanitizer, an embedding program) must not hide a crash from the parent. */
static void become_bare(Child *c)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGTERM, SIGALRM,
	                             SIGPIPE };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	c->fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 3);
	for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
		signal(fatal[i], SIG_DFL);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
}

_Noreturn static void child_main(Child *c, pid_t parent)
{
	graft_context *ctx;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);                     /* it ended before it could be told of us */
	become_bare(c);
	if (!graft_context_new(NULL, &ctx, NULL))
		guarded(context_allocator(ctx), answer, (void *[]){ c, ctx }, NULL);
	_exit(1);
}

/* ---- the parent ------------------------------------------------------------------------------------------- */

typedef struct Heard {
	pid_t pid;
	int fd;
	char *text;                           /* all that the child wrote, malloc'd */
	size_t size, cap;
	bool late;
	int status;                           /* as waitpid gives it */
} Heard;

/* The child and what it started end here, whatever happened before. */
static void end_child(void *arg)
{
	Heard *h = arg;
	if (h->pid > 0) {
		kill(-h->pid, SIGKILL);       /* before it is reaped, so that the number is still its own */
		kill(h->pid, SIGKILL);
		while (waitpid(h->pid, &h->status, 0) < 0 && errno == EINTR)
			continue;
	}
	if (h->fd >= 0)
		close(h->fd);
	free(h->text);
	*h = (Heard){ .fd = -1, .late = h->late, .status = h->status };
}

_Noreturn static void no_child(Job *job, const Child *c, const char *what, int why)
{
	fail(job, GRAFT_E_UNAVAILABLE, "cannot ask '%s' in a process of its own: %s: %s", c->pack, what, strerror(why));
}

static Heard *start_child(Job *job, Child *c)
{
	Heard *h = NEW(&job->scratch, Heard);
	int fd[2];
	h->fd = -1;
	arena_undo(&job->scratch, end_child, h);
	if (pipe2(fd, O_CLOEXEC))
		no_child(job, c, "no pipe can be made", errno);
	h->fd = fd[0];
	c->fd = fd[1];
	pid_t parent = getpid();
	h->pid = fork();
	if (h->pid == 0)
		child_main(c, parent);
	int why = errno;
	close(fd[1]);
	if (h->pid < 0)
		no_child(job, c, "none can be made", why);
	setpgid(h->pid, h->pid);              /* both do it: whoever comes first */
	return h;
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Makes room; false when the child says more than can be. */
static bool grow(Heard *h)
{
	if (h->size < h->cap)
		return true;
	size_t cap = h->cap ? h->cap * 2 : 1 << 16;
	char *more = cap <= MAX_ANSWER ? realloc(h->text, cap) : NULL;
	if (!more)
		return false;
	h->text = more;
	h->cap = cap;
	return true;
}

/* Is the last thing said the end? What a grandchild that still holds the pipe does then does not matter. */
static bool has_ended(const Heard *h)
{
	Note last;
	if (h->size < sizeof last)
		return false;
	memcpy(&last, h->text + h->size - sizeof last, sizeof last);
	return last.step == END && last.size == 0;
}

static void listen(Heard *h, int64_t deadline)
{
	while (grow(h) && !has_ended(h)) {
		int64_t left = deadline - now_ms();
		struct pollfd p = { .fd = h->fd, .events = POLLIN };
		int ready = left > 0 ? poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left) : 0;
		if (ready < 0 && errno == EINTR)
			continue;
		h->late = ready == 0;
		ssize_t n = ready > 0 ? read(h->fd, h->text + h->size, h->cap - h->size) : 0;
		if (n <= 0)
			return;
		h->size += (size_t)n;
	}
}

/* How it ended, before whatever is left of it is killed: it may need a moment between its last word and its death. */
static void wait_child(Heard *h, int64_t deadline)
{
	siginfo_t info = { 0 };
	while (!h->late && waitid(P_PID, (id_t)h->pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && !info.si_pid) {
		poll(NULL, 0, 1);
		h->late = now_ms() > deadline;
	}
}

/* ---- what was heard --------------------------------------------------------------------------------------- */

typedef struct Told {
	Step last;
	uint32_t row;                         /* of the last step */
	Pack *pack;                           /* NULL: it never came to its table */
} Told;

static Pack *hear_table(Job *job, graft_context *ctx, const char *text, size_t size, Arena *into)
{
	return caps_parse(job, ctx, arena_strndup(into, text, size), size, "child", into)->packs[0];
}

static void hear_result(Pack *p, const Note *n, const char *text, Arena *into)
{
	if (!p || n->row >= p->n_rows || n->tested > FAILED)
		return;
	p->rows[n->row].tested = (Tested)n->tested;
	p->rows[n->row].why = arena_strndup(into, text, n->size);
}

static Told understand(Job *job, graft_context *ctx, const Heard *h, Pack *known, Arena *into)
{
	Told t = { LOADING, 0, known };
	Note n;
	for (size_t at = 0; h->size - at >= sizeof n; at += sizeof n + n.size) {
		memcpy(&n, h->text + at, sizeof n);
		if (n.size > h->size - at - sizeof n)
			break;
		const char *text = h->text + at + sizeof n;
		t.last = (Step)n.step;
		t.row = n.row;
		if (n.step == TABLE && !t.pack)
			t.pack = hear_table(job, ctx, text, n.size, into);
		if (n.step == RESULT)
			hear_result(t.pack, &n, text, into);
	}
	return t;
}

/* "crashed with SIGSEGV", "did not end within 10 seconds", ... */
static const char *how_it_fell(const Heard *h, int seconds, Arena *a)
{
	const char *name = WIFSIGNALED(h->status) ? sigabbrev_np(WTERMSIG(h->status)) : NULL;
	if (h->late)
		return arena_printf(a, "did not end within %d second%s", seconds, seconds == 1 ? "" : "s");
	if (name)
		return arena_printf(a, "crashed with SIG%s", name);
	return arena_printf(a, "ended the process with code %d", WIFEXITED(h->status) ? WEXITSTATUS(h->status) : -1);
}

/* A pack that never came to its table. */
static Pack *fallen_pack(const char *asked, graft_tier tier, const char *how, const char *when, Arena *a)
{
	Pack *p = NEW(a, Pack);
	*p = (Pack){ .asked = asked, .looked = true, .tier = tier };
	p->reason = arena_printf(a, "'%s' %s%s; leave it out, or rebuild it", asked, how, when);
	return p;
}

/* One child's worth. Returns the row behind the one it fell in, or UINT32_MAX when nothing is left to test, or no
 * time. */
static uint32_t ask_child(Job *job, graft_context *ctx, Child *c, int seconds, int64_t deadline, Pack **pack,
                          Arena *into)
{
	Heard *h = start_child(job, c);
	listen(h, deadline);
	Told t = understand(job, ctx, h, *pack, into);
	if (t.last != END)
		wait_child(h, deadline);
	end_child(h);
	*pack = t.pack;
	if (t.last == END)
		return UINT32_MAX;
	const char *how = how_it_fell(h, seconds, into);
	if (!t.pack)
		*pack = t.last == LOADING ? fallen_pack(c->pack, GRAFT_TIER_FOUND, how, " while loading", into)
		                          : fallen_pack(c->pack, GRAFT_TIER_LOADS, how,
		                                        " while giving its table", into);
	if (t.last != TESTING || !t.pack || t.row >= t.pack->n_rows)
		return UINT32_MAX;
	Row *row = &t.pack->rows[t.row];
	row->tested = FAILED;
	row->why = arena_printf(into, "%s in its self test; leave it out, or rebuild it", how);
	return h->late ? UINT32_MAX : t.row + 1;
}

typedef struct Question { graft_context *ctx; Child child; int seconds; Pack *pack; Arena *into; } Question;

/* A job of its own, so that a child ends before the next one starts. */
static void ask_children(Job *job, void *arg)
{
	Question *q = arg;
	int64_t deadline = now_ms() + q->seconds * INT64_C(1000);
	q->into->job = job;
	while (q->child.first != UINT32_MAX)
		q->child.first = ask_child(job, q->ctx, &q->child, q->seconds, deadline, &q->pack, q->into);
}

const Target *target_isolated(Job *job, graft_context *ctx, const char *arch, int seconds, Arena *into)
{
	Target *t = NEW(into, Target);
	*t = (Target){ .ctx = ctx, .arch = arena_strdup(into, arch), .tested = true };
	const char **names = context_packs(ctx, &t->n_packs, into);
	t->packs = NEW_ARRAY(into, t->n_packs, Pack *);
	for (size_t i = 0; i < t->n_packs; i++) {
		graft_error err;
		Question q = { ctx, { .pack = names[i], .arch = t->arch }, seconds, NULL, into };
		graft_status status = guarded(context_allocator(ctx), ask_children, &q, &err);
		into->job = job;
		if (status == GRAFT_E_CONFIG || status == GRAFT_E_SYNTAX)
			q.pack = fallen_pack(names[i], GRAFT_TIER_FOUND, "spoilt",
			                     " the answer of the process that asked it", into);
		else if (status)
			fail_again(job, &err);
		q.pack->asked = names[i];
		t->packs[i] = q.pack;
	}
	return t;
}
