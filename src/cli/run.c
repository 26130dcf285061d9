/* run.c - graft run: plan once, run, say what came out. */
#include "cli.h"
#include "profile.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* A profile without --repeat: one run warms up, a GPU records in the second and replays in the third. */
static graft_status run_repeatedly(Cli *c, graft_plan *plan)
{
	int64_t n;
	if (!cli_number(c, OPT_repeat, 1, 1000000, graft_plan_profile(plan, 0) ? 3 : 1, &n))
		return c->err.status;
	double *seconds = calloc((size_t)n, sizeof *seconds);
	if (!seconds)
		return error_set(&c->err, GRAFT_E_NOMEM, "no memory left for %lld times", (long long)n);
	graft_status status = GRAFT_OK;
	progress_start(c, "running", c->files[0]);
	for (int64_t i = 0; !status && i < n; i++) {
		double start = now();
		status = graft_plan_run(plan, &c->err);
		seconds[i] = now() - start;
	}
	progress_end(c);
	if (!status && cli_has(c, OPT_repeat)) {
		qsort(seconds, (size_t)n, sizeof *seconds, by_size);
		cli_note("%lld runs: fastest %.3f ms, median %.3f ms", (long long)n, seconds[0] * 1e3,
		         seconds[n / 2] * 1e3);
	}
	free(seconds);
	return status;
}

typedef struct TypeText { char text[16 + 22 * GRAFT_MAX_RANK]; } TypeText;

static TypeText type_text(const graft_tensor *t)
{
	TypeText to;
	int n = snprintf(to.text, sizeof to.text, "%s[", graft_dtype_name((graft_dtype)t->dtype));
	for (int i = 0; i < t->rank; i++)
		n += snprintf(to.text + n, sizeof to.text - (size_t)n, "%s%lld", i ? ", " : "", (long long)t->shape[i]);
	snprintf(to.text + n, sizeof to.text - (size_t)n, "]");
	return to;
}

static void print_output(const char *name, const graft_tensor *t)
{
	graft_summary s = graft_tensor_summary(t);
	char rest[64] = "";
	if (s.not_finite)
		snprintf(rest, sizeof rest, "  not finite %lld", (long long)s.not_finite);
	cli_say(stdout, "%s: %s  min %.6g  max %.6g  mean %.6g%s", name, type_text(t).text, s.min, s.max, s.mean, rest);
}

static graft_status save_or_print(Cli *c, const graft_plan *plan)
{
	const graft_tensors *outputs = graft_plan_outputs(plan);
	const char *name;
	const graft_tensor *t;
	if (cli_has(c, OPT_out))
		return graft_tensors_save(outputs, cli_value(c, OPT_out), &c->err);
	for (size_t i = 0; (t = graft_tensors_at(outputs, i, &name)); i++)
		print_output(name, t);
	return GRAFT_OK;
}

/* Those from `from` on; returns how many there are. */
static size_t print_notes(const graft_plan *plan, size_t from)
{
	const char *note;
	while ((note = graft_plan_note(plan, from))) {
		cli_note("%s", note);
		from++;
	}
	return from;
}

static graft_status plan_and_run(Cli *c, graft_graph *g, const graft_plan_options *options, const graft_tensors *inputs)
{
	graft_plan *plan = NULL;
	progress_start(c, "planning", c->files[0]);
	graft_status status = graft_plan_new(g, options, inputs, &plan, &c->err);
	progress_end(c);
	if (status)
		return status;
	size_t noted = print_notes(plan, 0);
	status = run_repeatedly(c, plan);
	print_notes(plan, noted);
	if (!status && cli_has(c, OPT_profile))
		profile_print(plan);
	if (!status && cli_has(c, OPT_trace))
		status = profile_trace(c, plan, cli_value(c, OPT_trace));
	if (!status)
		status = save_or_print(c, plan);
	if (!status && cli_has(c, OPT_compare))
		status = cli_compare(c, graft_plan_outputs(plan));
	if (!status)
		cli_note("storage: %zu bytes at the highest point, %zu without reuse", graft_plan_peak(plan),
		         graft_plan_total(plan));
	graft_plan_free(plan);
	return status;
}

static graft_status run_graph(Cli *c, graft_graph *g, const graft_tensors *inputs, const char **bind)
{
	graft_plan_options options;
	graft_status status = cli_plan_options(c, bind, &options);
	options.device = cli_has(c, OPT_device) ? cli_value(c, OPT_device) : "auto";
	return status ? status : plan_and_run(c, g, &options, inputs);
}

int verb_run(Cli *c)
{
	graft_graph *g = NULL;
	graft_tensors *inputs = NULL;
	const char **bind = calloc((size_t)c->n_given + 1, sizeof *bind);
	graft_status status = bind ? cli_kernels(c) :
	                       error_set(&c->err, GRAFT_E_NOMEM, "no memory left for the options");
	if (!status)
		status = cli_load(c, c->files[0], &g);
	if (!status)
		status = cli_inputs(c, &inputs);
	if (!status)
		status = run_graph(c, g, inputs, bind);
	graft_tensors_free(inputs);
	graft_graph_free(g);
	free(bind);
	return status ? cli_fail(c) : 0;
}
