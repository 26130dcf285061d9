/* custom_rule.c - a rewrite of your own, with a condition in C.
 *
 *     cc custom_rule.c $(pkg-config --cflags --libs graft) -o custom_rule && ./custom_rule
 */
#include <graft/graft.h>
#include <stdio.h>
#include <string.h>

static const char graph[] =
	"graph tiny\n"
	"symbol T in [1, 64]\n"
	"input x: f32[T, 8]\n"
	"s = sigmoid(x)\n"
	"y = mul(x, s)\n"
	"wide = mul(y, 2.0)\n"
	"output wide\n";

/* Only for rows short enough for some kernel. */
static bool rows_are_short(void *user, graft_match *m)
{
	int64_t n, most = *(const int64_t *)user;
	if (!graft_match_size(m, "x", -1, &n))
		return graft_match_refuse(m, "the last axis has no known size");
	return n <= most || graft_match_refuse(m, "the last axis is too long");
}

static bool to_stdout(void *user, const char *text, size_t size)
{
	(void)user;
	return fwrite(text, 1, size, stdout) == size;
}

static graft_status rewrite(graft_context *ctx, graft_config *config, graft_error *err)
{
	static const int64_t most = 4096;
	const graft_rule rule = {
		.struct_size = sizeof rule, .name = "silu_from_sigmoid", .match = "s = sigmoid(x)\ny = mul(x, s)",
		.emit = "y = silu(x)",
		.where = rows_are_short, .user = (void *)&most,
	};
	graft_graph *g;
	if (graft_config_add_rule(config, &rule, err) || graft_graph_parse(ctx, graph, strlen(graph), "tiny", &g, err))
		return err->status;
	graft_status status = graft_optimize(g, config, NULL, err);
	if (!status)
		status = graft_graph_print(g, GRAFT_FORMAT_TEXT, to_stdout, NULL, err);
	graft_graph_free(g);
	return status;
}

int main(void)
{
	graft_error err;
	graft_context *ctx;
	graft_config *config = NULL;
	if (graft_context_new(NULL, &ctx, &err))
		return 4;
	graft_status status = graft_config_new(ctx, &config, &err);
	if (!status)
		status = rewrite(ctx, config, &err);
	if (status)
		fprintf(stderr, "%s\n", err.message);
	graft_config_free(config);
	graft_context_free(ctx);
	return graft_status_exit_code(status);
}
