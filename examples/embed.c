/* embed.c - graft inside a program: load, optimise, ask what happened, run.
 *
 *     cc embed.c $(pkg-config --cflags --libs graft) -o embed && ./embed mla_block.json
 */
#include <graft/graft.h>
#include <stdio.h>

static int complain(const graft_error *err)
{
	char text[1024];
	graft_error_print(err, text, sizeof text);
	fprintf(stderr, "%s\n", text);
	return graft_status_exit_code(err->status);
}

static graft_status run(graft_graph *g, graft_error *err)
{
	const char *bind[] = { "T=4", NULL };
	graft_plan_options options = { .struct_size = sizeof options, .random = true, .seed = 1, .bind = bind };
	graft_plan *plan;
	if (graft_plan_new(g, &options, NULL, &plan, err))
		return err->status;
	graft_status status = graft_plan_run(plan, err);
	const char *name;
	const graft_tensor *t;
	for (size_t i = 0; !status && (t = graft_tensors_at(graft_plan_outputs(plan), i, &name)); i++) {
		graft_summary s = graft_tensor_summary(t);
		printf("%s: %lld elements, mean %.4g\n", name, (long long)s.count, s.mean);
	}
	graft_plan_free(plan);
	return status;
}

static graft_status optimize_and_run(graft_graph *g, graft_error *err)
{
	graft_report *report;
	if (graft_optimize(g, NULL, &report, err))
		return err->status;
	printf("pairs of norms fused: %lld\n", (long long)graft_report_applied(report, "fuse_mla_dual_rms_norm"));
	const graft_refusal *r;
	for (size_t i = 0; (r = graft_report_refusal(report, i)); i++)
		printf("%s stayed: %s\n", r->node, r->message);
	graft_report_free(report);
	return run(g, err);
}

int main(int argc, char **argv)
{
	graft_error err;
	graft_context *ctx;
	graft_graph *g = NULL;
	if (argc != 2) {
		fprintf(stderr, "usage: embed GRAPH\n");
		return 2;
	}
	if (graft_context_new(NULL, &ctx, &err))
		return complain(&err);
	graft_status status = graft_graph_load(ctx, argv[1], &g, &err);
	if (!status)
		status = optimize_and_run(g, &err);
	graft_graph_free(g);
	graft_context_free(ctx);
	return status ? complain(&err) : 0;
}
