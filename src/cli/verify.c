/* verify.c - graft verify: run two graphs on the same numbers and compare. */
#include "cli.h"
#include <stdlib.h>

static graft_status optimized_copy(Cli *c, graft_graph *a, graft_graph **b)
{
	graft_config *config = NULL;
	graft_graph *copy = NULL;
	graft_report *r = NULL;
	graft_status status = graft_graph_copy(a, &copy, &c->err);
	if (!status)
		status = cli_config(c, &config);
	if (!status)
		status = graft_optimize(copy, config, &r, &c->err);
	if (!status)
		cli_unavailable(r);
	graft_report_free(r);
	graft_config_free(config);
	if (status)
		graft_graph_free(copy);
	else
		*b = copy;
	return status;
}

/* NaN agrees with NaN, so a graph that makes nothing else agrees with any that does. */
static void tell_nan(const graft_verify_result *r)
{
	if (r->nan == r->count && r->count)
		cli_note("every element of every output is NaN in both: that they agree shows nothing");
	else if (r->nan)
		cli_note("%lld of %lld elements of the outputs are NaN in both", (long long)r->nan,
		         (long long)r->count);
}

static graft_status compare(Cli *c, graft_graph *a, graft_graph *b, const graft_tensors *inputs, const char **bind)
{
	graft_verify_options options = { .struct_size = sizeof options };
	graft_verify_result result;
	if (!cli_tolerance(c, OPT_rtol, &options.rtol) || !cli_tolerance(c, OPT_atol, &options.atol) ||
	    cli_plan_options(c, bind, &options.run))
		return c->err.status;
	options.run.device = cli_value(c, OPT_device);
	options.reference = cli_value(c, OPT_reference);
	progress_start(c, "running and comparing", c->files[0]);
	graft_status status = graft_verify(a, b, &options, inputs, &result, &c->err);
	progress_end(c);
	if (status)
		return status;
	if (result.same) {
		cli_say(stdout, "same: largest difference %.3g (relative %.3g), at %s; %.3f s before, %.3f s after",
		        result.max_abs, result.max_rel, result.outputs, result.seconds_a, result.seconds_b);
		tell_nan(&result);
		return GRAFT_OK;
	}
	return error_set(&c->err, GRAFT_E_DIFFERS,
	                 "they differ: output %s by up to %.3g (relative %.3g); the first value that differs is %s",
	                 result.outputs, result.max_abs, result.max_rel,
	                 *result.value ? result.value : "an output itself");
}

int verb_verify(Cli *c)
{
	graft_graph *a = NULL, *b = NULL;
	graft_tensors *inputs = NULL;
	const char **bind = calloc((size_t)c->n_given + 1, sizeof *bind);
	graft_status status = bind ? cli_kernels(c) :
	                       error_set(&c->err, GRAFT_E_NOMEM, "no memory left for the options");
	if (!status)
		status = cli_load(c, c->files[0], &a);
	if (!status)
		status = c->n_files == 2 ? cli_load(c, c->files[1], &b) : optimized_copy(c, a, &b);
	if (!status)
		status = cli_inputs(c, &inputs);
	if (!status)
		status = compare(c, a, b, inputs, bind);
	graft_tensors_free(inputs);
	graft_graph_free(b);
	graft_graph_free(a);
	free(bind);
	return status ? cli_fail(c) : 0;
}
