/* progress.c - a line on the terminal while work takes longer than a second.
 *
 * A thread draws it, so that the work need not know. Nothing else is written to the terminal meanwhile.
 */
#include "cli.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_MS = 1000, EACH_MS = 250, MAX_WIDTH = 200 };

struct Progress {
	pthread_t thread;
	pthread_mutex_t lock;                 /* guards everything below */
	pthread_cond_t ended;
	struct timespec start;
	char doing[MAX_WIDTH];
	bool stop, drawn;
};

static void erase(Progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}

static void draw(Progress *p)
{
	struct winsize size = { .ws_col = 80 };
	struct timespec now;
	char line[MAX_WIDTH + 32];
	ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(line, sizeof line, "%s, %ld s", p->doing, (long)(now.tv_sec - p->start.tv_sec));
	for (char *s = line; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	fprintf(stderr, "\r%.*s\033[K", size.ws_col > 1 ? size.ws_col - 1 : 79, line);
	p->drawn = true;
}

static struct timespec later(struct timespec t, long ms)
{
	t.tv_nsec += ms * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

static void *keep_drawing(void *arg)
{
	Progress *p = arg;
	struct timespec next = later(p->start, FIRST_MS);
	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		if (pthread_cond_timedwait(&p->ended, &p->lock, &next) != ETIMEDOUT)
			continue;
		draw(p);
		clock_gettime(CLOCK_MONOTONIC, &next);
		next = later(next, EACH_MS);
	}
	erase(p);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* The condition's clock never jumps; signals are for the thread that works. */
static bool start_thread(Progress *p)
{
	pthread_condattr_t monotonic;
	sigset_t all, before;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
	clock_gettime(CLOCK_MONOTONIC, &p->start);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bool started = !pthread_create(&p->thread, NULL, keep_drawing, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

void progress_start(Cli *c, const char *doing, const char *what)
{
	Progress *p = isatty(STDERR_FILENO) ? calloc(1, sizeof *p) : NULL;
	if (!p)
		return;
	snprintf(p->doing, sizeof p->doing, "%s %s", doing, what);
	if (start_thread(p))
		c->progress = p;
	else
		free(p);
}

void progress_say(Cli *c, const char *doing, const char *what)
{
	Progress *p = c->progress;
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	snprintf(p->doing, sizeof p->doing, "%s %s", doing, what);
	erase(p);
	pthread_mutex_unlock(&p->lock);
}

void progress_end(Cli *c)
{
	Progress *p = c->progress;
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->ended);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
	free(p);
	c->progress = NULL;
}
