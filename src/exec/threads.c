/* threads.c - a pool that hands each thread one piece of a loop. */
#define _POSIX_C_SOURCE 200809L
#include "threads.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* One loop; piece i of it goes to thread i, thread 0 being the caller. */
typedef struct Loop {
	int64_t n, pieces;
	void (*body)(void *arg, int64_t begin, int64_t end);
	void *arg;
} Loop;

typedef struct Worker { Pool *pool; pthread_t thread; int index; } Worker;

struct Pool {
	pthread_mutex_t lock;                 /* guards everything below but busy */
	pthread_cond_t start, ended;
	Loop loop;
	uint64_t round;                       /* counts loops; a worker runs each once */
	int left;                             /* workers that have not ended this round */
	bool stop;
	atomic_flag busy;                     /* a loop is running, so a call that comes now is from inside it */
	Worker *worker;
	int n_workers;
};

static void run_piece(const Loop *l, int64_t i)
{
	if (i >= l->pieces)
		return;
	int64_t each = l->n / l->pieces, more = l->n % l->pieces;
	int64_t begin = i * each + (i < more ? i : more);
	l->body(l->arg, begin, begin + each + (i < more));
}

static void *work(void *arg)
{
	const Worker *w = arg;
	Pool *p = w->pool;
	uint64_t seen = 0;
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->round == seen && !p->stop)
			pthread_cond_wait(&p->start, &p->lock);
		if (p->stop)
			break;
		seen = p->round;
		Loop loop = p->loop;
		pthread_mutex_unlock(&p->lock);
		run_piece(&loop, w->index);
		pthread_mutex_lock(&p->lock);
		if (--p->left == 0)
			pthread_cond_signal(&p->ended);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void pool_stop(void *arg)
{
	Pool *p = arg;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->start);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->n_workers; i++)
		pthread_join(p->worker[i].thread, NULL);
	pthread_cond_destroy(&p->start);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
}

static int cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

/* Signals are the program's business: its own threads get them, ours never. */
static void start_workers(Pool *p, int n)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (int i = 0; i < n; i++) {
		p->worker[i] = (Worker){ .pool = p, .index = i + 1 };
		if (pthread_create(&p->worker[i].thread, NULL, work, &p->worker[i]))
			break;
		p->n_workers++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

Pool *pool_new(Arena *a, int threads)
{
	int n = threads ? threads : cores();
	Pool *p = NEW(a, Pool);
	p->worker = NEW_ARRAY(a, (size_t)n, Worker);
	if (pthread_mutex_init(&p->lock, NULL) || pthread_cond_init(&p->start, NULL) ||
	    pthread_cond_init(&p->ended, NULL))
		fail(a->job, GRAFT_E_NOMEM, "no more locks can be made for a pool of %d threads", n);
	atomic_flag_clear(&p->busy);
	arena_undo(a, pool_stop, p);
	start_workers(p, n - 1);
	return p;
}

static int pool_size(const Pool *p)
{
	return p->n_workers + 1;
}

static void run_shared(Pool *p, const Loop *l)
{
	pthread_mutex_lock(&p->lock);
	p->loop = *l;
	p->left = p->n_workers;
	p->round++;
	pthread_cond_broadcast(&p->start);
	pthread_mutex_unlock(&p->lock);
	run_piece(l, 0);
	pthread_mutex_lock(&p->lock);
	while (p->left)
		pthread_cond_wait(&p->ended, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void pool_run(Pool *p, int64_t n, int64_t grain, void (*body)(void *arg, int64_t begin, int64_t end), void *arg)
{
	if (n <= 0)
		return;
	int64_t pieces = grain > 1 ? n / grain : n;
	if (pieces > pool_size(p))
		pieces = pool_size(p);
	if (pieces <= 1 || atomic_flag_test_and_set(&p->busy)) {
		body(arg, 0, n);
		return;
	}
	run_shared(p, &(Loop){ n, pieces, body, arg });
	atomic_flag_clear(&p->busy);
}
