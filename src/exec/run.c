/* run.c - running a plan: one launch after the other. */
#include "plan.h"
#include <string.h>

static bool is_failure(int status)
{
	return status > GRAFT_OK && status <= GRAFT_E_EXEC;
}

/* Graft's own kernels begin with the op's name. */
_Noreturn void step_fail(Job *job, graft_plan *p, const Step *s, int status)
{
	const char *why = p->message[0] ? p->message : "its kernel failed and gave no reason";
	p->message[sizeof p->message - 1] = 0;
	bool named = !strncmp(why, s->op, strlen(s->op));
	fail_at(job, is_failure(status) ? (graft_status)status : GRAFT_E_EXEC, s->label, "%s%s%s", named ? "" : s->op,
	        named ? "" : ": ", why);
}

static int launch(graft_plan *p, const Step *s, double begun)
{
	double start = p->profile ? profile_clock() : 0;
	p->message[0] = 0;
	int status = s->launch(&s->call);
	host_launched(&p->host);
	if (p->profile && !status)
		profile_step(p, (size_t)(s - p->steps), start - begun, profile_clock() - start);
	return status;
}

/* Runs on the caller's thread and throws nothing: what the process shares must be put back first. Returns the step that
 * failed; NULL: none. */
static const Step *launch_all(graft_plan *p, int *status)
{
	const Step *failed = NULL;
	int before = blas_begin(&p->host.blas);
	double begun = p->profile ? profile_clock() : 0;
	for (size_t i = 0; i < p->n_steps && !failed; i++) {
		const Step *s = &p->steps[i];
		if (!s->empty && (*status = launch(p, s, begun)))
			failed = s;
	}
	if (p->profile && !failed)
		profile_total(p, profile_clock() - begun);
	blas_end(&p->host.blas, before);
	return failed;
}

static void run_body(Job *job, void *arg)
{
	graft_plan *p = arg;
	int status = 0;
	p->arena.job = job;
	if (p->device) {
		gpu_run(job, p);
		return;
	}
	const Step *s = launch_all(p, &status);
	if (s)
		step_fail(job, p, s, status);
}

graft_status graft_plan_run(graft_plan *p, graft_error *err)
{
	Job *before = p->arena.job;           /* of who makes and runs plans in one job */
	graft_status status = guarded(context_allocator(p->ctx), run_body, p, err);
	p->arena.job = before;
	return status;
}
