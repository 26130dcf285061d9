/* cache.c - the context's packs and answers: looked at once, whoever asks first; remembered until graft_probe_refresh.
 *
 * Everything here happens under the context's lock, in a job of its own, so that no throw passes the lock. What leaves
 * is copied.
 */
#include "cache.h"
#include <string.h>

typedef struct Cached {
	const char *kernel, *arch;
	Answer answer;
	struct Cached *next;
} Cached;

struct ProbeCache {
	Arena kept;                           /* names, libraries, tables: until the context's end */
	Arena answers;                        /* until refresh */
	Pack **packs;
	size_t n, cap;
	bool named;                           /* somebody chose the packs; until then there is the built-in one */
	Cached *cached;
	pthread_mutex_t testing;              /* one self test at a time; taken before the context's lock, not within */
};

static void cache_free(struct ProbeCache *c)
{
	const graft_allocator *mem = c->kept.mem;
	arena_free(&c->answers);
	arena_free(&c->kept);
	pthread_mutex_destroy(&c->testing);
	mem->resize(mem->user, c, sizeof *c, 0);
}

static void add_pack(struct ProbeCache *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->packs[i]->asked, name))
			return;
	Pack *p = NEW(&c->kept, Pack);
	p->asked = arena_strdup(&c->kept, name);
	c->packs = arena_grow(&c->kept, c->packs, c->n, &c->cap, sizeof *c->packs);
	c->packs[c->n++] = p;
}

static struct ProbeCache *cache_of(graft_context *ctx, Job *job)
{
	if (!ctx->probe) {
		struct ProbeCache *c = ctx->mem.resize(ctx->mem.user, NULL, 0, sizeof *c);
		if (!c)
			fail(job, GRAFT_E_NOMEM, "no memory left for the probe's cache of %zu bytes", sizeof *c);
		memset(c, 0, sizeof *c);
		if (pthread_mutex_init(&c->testing, NULL)) {
			ctx->mem.resize(ctx->mem.user, c, sizeof *c, 0);
			fail(job, GRAFT_E_NOMEM, "no more locks can be made for the probe's cache");
		}
		arena_init(&c->kept, &ctx->mem, job);
		arena_init(&c->answers, &ctx->mem, job);
		ctx->probe = c;
		ctx->probe_free = cache_free;
	}
	ctx->probe->kept.job = ctx->probe->answers.job = job;
	if (!ctx->probe->n)
		add_pack(ctx->probe, BUILTIN);
	return ctx->probe;
}

static Pack *const *look_at_all(struct ProbeCache *c)
{
	for (size_t i = 0; i < c->n; i++)
		pack_look(c->packs[i], (PackHome){ &c->kept, &c->answers });
	return c->packs;
}

/* The packs that are asked about an architecture. Nobody named one: graft's own, which is the CPU's, has no say where a
 * GPU's stands behind it. */
static Pack *const *packs_for(struct ProbeCache *c, const char *arch, size_t *n)
{
	size_t skip = !c->named && c->n > 1 && strcmp(arch, "cpu");
	*n = c->n - skip;
	return look_at_all(c) + skip;
}

/* ---- under the lock --------------------------------------------------------------------------------------- */

/* One question to the cache. The body may allocate in `into` (may be NULL), whose job is the same again afterwards. */
typedef struct Visit {
	graft_context *ctx;
	Arena *into;
	void (*body)(struct ProbeCache *c, struct Visit *v);
	const Ask *ask;
	const char *name, *arch;
	Answer answer;
	Verdict verdict;
	Row row;                              /* of the verdict, as it was then */
	const char **names;
	Pack **packs;
	size_t n;
} Visit;

static void enter(Job *job, void *arg)
{
	Visit *v = arg;
	if (v->into)
		v->into->job = job;
	v->body(cache_of(v->ctx, job), v);
}

static graft_status visit(Visit *v, graft_error *err)
{
	Job *before = v->into ? v->into->job : NULL;
	pthread_mutex_lock(&v->ctx->lock);
	graft_status status = guarded(&v->ctx->mem, enter, v, err);
	pthread_mutex_unlock(&v->ctx->lock);
	if (v->into)
		v->into->job = before;
	return status;
}

/* The same for who is in a job: the failure goes on there. */
static void visit_or_fail(Visit *v)
{
	graft_error err;
	if (visit(v, &err))
		fail_again(v->into->job, &err);
}

/* ---- questions -------------------------------------------------------------------------------------------- */

static Answer answer_of(const Ask *q, const Verdict *v)
{
	bool available = v->tier >= q->upto;
	const graft_kernel *kernel = available && v->row->kernel.launch ? &v->row->kernel : NULL;
	Answer a = { available, v->tier, v->pack->asked, v->reason, kernel };
	if (a.tier == GRAFT_TIER_SELF_TEST && v->row->tested != PASSED)
		a.tier = q->facts ? GRAFT_TIER_NODE : GRAFT_TIER_ARCH;   /* believed */
	return a;
}

static Answer answer_nothing_to_run(const Ask *q, const Pack *p, Arena *a)
{
	const char *reason = arena_printf(a, "%s runs nothing, so it needs no kernel", q->kernel);
	return (Answer){ true, q->upto, p->asked, reason, NULL };
}

static Answer ask_packs(const Ask *q, Pack *const *packs, size_t n, Arena *a)
{
	if (op_runs_nothing(q->op))
		return answer_nothing_to_run(q, packs[0], a);
	Verdict v = judge(q, packs, n, a);
	return answer_of(q, &v);
}

static Answer copied(const Answer *x, Arena *into)
{
	Answer copy = *x;
	copy.pack = arena_strdup(into, x->pack);
	copy.reason = arena_strdup(into, x->reason);
	return copy;
}

static const Cached *remembered(const struct ProbeCache *c, const char *kernel, const char *arch)
{
	for (const Cached *k = c->cached; k; k = k->next)
		if (!strcmp(k->kernel, kernel) && !strcmp(k->arch, arch))
			return k;
	return NULL;
}

/* The answer about name and arch; it lives until refresh. */
static void visit_kernel(struct ProbeCache *c, Visit *v)
{
	const Cached *known = remembered(c, v->name, v->arch);
	if (!known) {
		Arena *a = &c->answers;
		Cached *k = NEW(a, Cached);
		k->kernel = arena_strdup(a, v->name);
		k->arch = arena_strdup(a, v->arch);
		Ask q = ask_kernel(k->kernel, k->arch, a);
		size_t n;
		Pack *const *packs = packs_for(c, k->arch, &n);
		k->answer = ask_packs(&q, packs, n, a);
		k->next = c->cached;
		c->cached = k;
		known = k;
	}
	v->answer = v->into ? copied(&known->answer, v->into) : known->answer;
}

static void visit_node(struct ProbeCache *c, Visit *v)
{
	size_t n;
	Pack *const *packs = packs_for(c, v->ask->arch, &n);
	Answer found = ask_packs(v->ask, packs, n, v->into);
	v->answer = copied(&found, v->into);
}

static Answer ask_target(const Target *t, Ask *q, Arena *into)
{
	if (!t->live) {
		q->upto = t->tested ? GRAFT_TIER_SELF_TEST : q->upto;
		return ask_packs(q, t->packs, t->n_packs, into);
	}
	Visit v = { .ctx = t->ctx, .into = into, .body = visit_node, .ask = q };
	visit_or_fail(&v);
	return v.answer;
}

Answer target_kernel(const Target *t, const char *kernel, Arena *into)
{
	if (!t->live) {
		Ask q = ask_kernel(kernel, t->arch, into);
		return ask_target(t, &q, into);
	}
	Visit v = { .ctx = t->ctx, .into = into, .body = visit_kernel, .name = kernel, .arch = t->arch };
	visit_or_fail(&v);
	return v.answer;
}

Answer target_node(const Target *t, Graph *g, const Op *op, const Type *in, uint32_t n_in, const Attr *attr,
                   const Dim *row_stride, Arena *into)
{
	Ask q = ask_node(g, op, in, n_in, attr, row_stride, t->arch, into);
	return ask_target(t, &q, into);
}

/* ---- self tests ------------------------------------------------------------------------------------------- */

static void visit_judge(struct ProbeCache *c, Visit *v)
{
	size_t n;
	Pack *const *packs = packs_for(c, v->ask->arch, &n);
	v->verdict = judge(v->ask, packs, n, v->into);
	if (v->verdict.row)
		v->row = *v->verdict.row;
}

static void visit_tested(struct ProbeCache *c, Visit *v)
{
	v->verdict.row->why = v->row.why ? arena_strdup(&c->answers, v->row.why) : NULL;
	v->verdict.row->tested = v->row.tested;
}

typedef struct Bind { const Target *t; const Ask *ask; } Bind;

/* Tests the kernel that would be chosen, until one is that has passed. A row is tested as a copy and outside the lock:
 * kernels are strangers. */
static void test_chosen(Job *job, void *arg)
{
	Bind *b = arg;
	graft_context *ctx = b->t->ctx;
	for (;;) {
		Visit v = { .ctx = ctx, .into = &job->scratch, .body = visit_judge, .ask = b->ask };
		visit_or_fail(&v);
		if (v.verdict.tier < GRAFT_TIER_SELF_TEST || v.row.tested != UNTESTED)
			return;
		self_test(job, ctx, &v.row, b->t->arch, b->t->rig, &job->scratch);
		v.body = visit_tested;
		visit_or_fail(&v);
	}
}

Answer target_bind(const Target *t, Graph *g, const Op *op, const Type *in, uint32_t n_in, const Attr *attr,
                   const Dim *row_stride, Arena *into)
{
	Ask q = ask_node(g, op, in, n_in, attr, row_stride, t->arch, into);
	q.upto = GRAFT_TIER_SELF_TEST;
	if (!t->live || op_runs_nothing(op))
		return ask_target(t, &q, into);
	ask_target(t, &q, into);              /* makes the cache */
	graft_error err;
	Bind b = { t, &q };
	pthread_mutex_lock(&t->ctx->probe->testing);
	graft_status status = guarded(&t->ctx->mem, test_chosen, &b, &err);
	pthread_mutex_unlock(&t->ctx->probe->testing);
	if (status)
		fail_again(into->job, &err);
	return ask_target(t, &q, into);
}

/* ---- targets ---------------------------------------------------------------------------------------------- */

const Target *target_for(graft_context *ctx, const char *arch, Arena *into)
{
	Target *t = NEW(into, Target);
	*t = (Target){ .ctx = ctx, .arch = arena_strdup(into, arch), .live = true };
	return t;
}

/* The device's own pack stands behind the built-in one, which covers no GPU. */
static void visit_default(struct ProbeCache *c, Visit *v)
{
	size_t before = c->n;
	if (!c->named)
		add_pack(c, v->name);
	if (c->n > before)
		c->cached = NULL;
}

const Target *target_on_device(graft_context *ctx, const char *arch, const char *pack, const Rig *rig, Arena *into)
{
	Visit v = { .ctx = ctx, .into = into, .body = visit_default, .name = pack };
	visit_or_fail(&v);
	Target *t = NEW(into, Target);
	*t = (Target){ .ctx = ctx, .arch = arena_strdup(into, arch), .live = true, .rig = rig };
	return t;
}

const char *target_arch(const Target *t)
{
	return t->arch;
}

static void visit_standing(struct ProbeCache *c, Visit *v)
{
	look_at_all(c);
	v->n = c->n;
	v->packs = NEW_ARRAY(v->into, c->n, Pack *);
	for (size_t i = 0; i < c->n; i++) {
		Pack *p = v->packs[i] = arena_copy(v->into, c->packs[i], sizeof *p);
		p->reason = p->reason ? arena_strdup(v->into, p->reason) : NULL;
		p->rows = arena_copy(v->into, p->rows, p->n_rows * sizeof *p->rows);
		for (uint32_t k = 0; k < p->n_rows; k++)
			p->rows[k].why = p->rows[k].why ? arena_strdup(v->into, p->rows[k].why) : NULL;
	}
}

const Target *target_frozen(const Target *t, Arena *into)
{
	if (!t->live)
		return t;
	Visit v = { .ctx = t->ctx, .into = into, .body = visit_standing };
	visit_or_fail(&v);
	Target *frozen = NEW(into, Target);
	*frozen = (Target){ .ctx = t->ctx, .arch = t->arch, .packs = v.packs, .n_packs = v.n };
	return frozen;
}

bool target_pack(const Target *t, uint32_t i, Standing *out, Arena *into)
{
	const Target *now = target_frozen(t, into);
	if (i >= now->n_packs)
		return false;
	const Pack *p = now->packs[i];
	const char **kernels = NEW_ARRAY(into, p->n_rows, const char *);
	for (uint32_t k = 0; k < p->n_rows; k++)
		kernels[k] = p->rows[k].kernel.name;
	*out = (Standing){ p->asked, p->tier, p->reason, p->name, p->version, kernels, p->n_rows };
	return true;
}

static void visit_names(struct ProbeCache *c, Visit *v)
{
	v->n = c->n;
	v->names = NEW_ARRAY(v->into, c->n, const char *);
	for (size_t i = 0; i < c->n; i++)
		v->names[i] = c->packs[i]->asked;
}

const char **context_packs(graft_context *ctx, size_t *n, Arena *into)
{
	Visit v = { .ctx = ctx, .into = into, .body = visit_names };
	visit_or_fail(&v);
	*n = v.n;
	return v.names;
}

/* ---- the public questions --------------------------------------------------------------------------------- */

/* The first pack named takes the place of the built-in one. Answers so far may be wrong now; their strings stay. */
static void visit_add(struct ProbeCache *c, Visit *v)
{
	if (!c->named)
		c->n = 0;
	add_pack(c, v->name);
	c->named = true;
	c->cached = NULL;
}

graft_status graft_kernels_add(graft_context *ctx, const char *pack, graft_error *err)
{
	if (!*pack)
		return error_set(err, GRAFT_E_USAGE,
		                 "a kernel pack's name is empty; give the path of a shared library, or "
		                 BUILTIN);
	Visit v = { .ctx = ctx, .body = visit_add, .name = pack };
	return visit(&v, err);
}

graft_status graft_probe(graft_context *ctx, const char *kernel, const char *arch, graft_probe_answer *out,
                         graft_error *err)
{
	Visit v = { .ctx = ctx, .body = visit_kernel, .name = kernel, .arch = arch };
	graft_status status = visit(&v, err);
	if (!status)
		*out = (graft_probe_answer){ v.answer.available, v.answer.tier, v.answer.pack, v.answer.reason };
	return status;
}

void graft_probe_refresh(graft_context *ctx)
{
	pthread_mutex_lock(&ctx->lock);
	struct ProbeCache *c = ctx->probe;
	if (c) {
		for (size_t i = 0; i < c->n; i++)
			pack_forget(c->packs[i]);
		c->cached = NULL;
		arena_free(&c->answers);
	}
	pthread_mutex_unlock(&ctx->lock);
}
