/* config.c - graft config: what was asked for, what follows, who decided and why, for every pass. */
#include "cli.h"
#include "../passes/config.h"

static const char *const flags[] = { "auto", "on", "off" };

typedef struct Show { const graft_config *config; bool json; } Show;

static void print_row(const Pass *p, const Decision *d, bool json, bool last)
{
	if (json)
		printf("  {\"pass\": \"%s\", \"requested\": \"%s\", \"effective\": %s, \"decided_by\": \"%s\", \"reason\": \"%s\"}%s\n", p->name,
		       flags[d->requested], d->wanted ? "true" : "false", d->who, d->reason, last ? "" : ",");
	else
		printf("%-24s %-10s %-10s %-16s %s\n", p->name, flags[d->requested], d->wanted ? "on" : "off", d->who, d->reason);
}

static void show(Job *job, void *arg)
{
	const Show *s = arg;
	if (s->json)
		printf("[\n");
	else
		printf("%-24s %-10s %-10s %-16s %s\n", "pass", "requested", "effective", "decided by", "why");
	for (size_t i = 0, n = s->config->n_pass; i < n; i++) {
		Decision d = config_decide(s->config, s->config->pass[i], &job->scratch);
		print_row(s->config->pass[i], &d, s->json, i + 1 == n);
	}
	if (s->json)
		printf("]\n");
}

int verb_config(Cli *c)
{
	graft_config *config = NULL;
	graft_status status = cli_kernels(c);
	if (!status)
		status = cli_config(c, &config);
	if (!status) {
		Show s = { config, cli_has(c, OPT_json) };
		status = guarded(context_allocator(c->ctx), show, &s, &c->err);
	}
	graft_config_free(config);
	return status ? cli_fail(c) : 0;
}
