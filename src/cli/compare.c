/* compare.c - graft run --compare: are the outputs what a file says? */
#include "cli.h"

/* The tensor of that name, else the only one of t's type; NULL: none, or several. */
static const graft_tensor *expected_for(const graft_tensors *all, const graft_tensor *t, const char **name)
{
	const graft_tensor *x = graft_tensors_get(all, *name), *only = NULL;
	graft_difference d;
	const char *other;
	for (size_t i = 0, found = 0; !x && (x = graft_tensors_at(all, i, &other)); i++, x = NULL)
		if (!graft_tensor_compare(x, t, -1, -1, &d, NULL)) {
			only = found++ ? NULL : x;
			*name = other;
		}
	return x ? x : only;
}

static graft_status compare_output(Cli *c, const graft_tensors *all, const graft_tensor *t, const char *output)
{
	graft_difference d;
	graft_error types;
	double rtol, atol;
	const char *file = cli_value(c, OPT_compare), *name = output;
	const graft_tensor *x = expected_for(all, t, &name);
	if (!x)
		return error_set(&c->err, GRAFT_E_DATA, "'%s' has no tensor %s, and not one alone of that type", file,
		                 output);
	if (!cli_tolerance(c, OPT_rtol, &rtol) || !cli_tolerance(c, OPT_atol, &atol))
		return c->err.status;
	if (graft_tensor_compare(x, t, rtol, atol, &d, &types))
		return error_set(&c->err, GRAFT_E_DIFFERS, "%s in '%s' is not of output %s's type: %s", name, file,
		                 output, types.message);
	if (!d.same)
		return error_set(&c->err, GRAFT_E_DIFFERS, "output %s differs from %s in '%s' by up to %.3g (relative %.3g)",
		                 output, name, file, d.max_abs, d.max_rel);
	cli_say(stdout, "%s: same as %s in '%s': largest difference %.3g (relative %.3g)", output, name, file,
	        d.max_abs, d.max_rel);
	if (d.nan)
		cli_note("%s: %lld of %lld elements are NaN in both: that they agree shows nothing", output,
		         (long long)d.nan, (long long)d.count);
	return GRAFT_OK;
}

graft_status cli_compare(Cli *c, const graft_tensors *outputs)
{
	graft_tensors *all = NULL;
	const char *name;
	const graft_tensor *t;
	graft_status status = graft_tensors_new(c->ctx, &all, &c->err);
	if (!status)
		status = graft_tensors_load(all, cli_value(c, OPT_compare), &c->err);
	for (size_t i = 0; !status && (t = graft_tensors_at(outputs, i, &name)); i++)
		status = compare_output(c, all, t, name);
	graft_tensors_free(all);
	return status;
}
