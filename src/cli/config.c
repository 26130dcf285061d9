/* config.c - graft config: what was asked for, what follows, who decided and why, for every pass. */
#include "cli.h"
#include "../io/json.h"
#include "../passes/config.h"
#include "../probe/probe.h"

static const char *const flags[] = { "auto", "on", "off" };

typedef struct Show { const graft_config *config; const Target *target; bool json; Text out; } Show;

static bool listed(const graft_config *c, const Pass *pass)
{
	for (size_t i = 0; c->list && c->list[i]; i++)
		if (c->list[i] == pass)
			return true;
	return !c->list;
}

/* What the pipeline would make of the pass. */
static Decision decide(const Show *s, const Pass *pass)
{
	Arena *a = s->out.arena;
	Decision d = config_decide(s->config, pass, a);
	if (!listed(s->config, pass))
		return (Decision){ d.requested, false, s->config->list_who,
		                   arena_printf(a, "not in the list of %s", s->config->list_who) };
	if (!d.wanted || !pass->kernel)
		return d;
	Answer kernel = target_kernel(s->target, pass->kernel, a);
	if (!kernel.available) {
		d.wanted = false;
		d.reason = arena_printf(a, "%s, but its kernel is unavailable: %s", d.reason, kernel.reason);
	}
	return d;
}

static void put(Text *out, const char *before, const char *key, const char *value)
{
	text_printf(out, "%s\"%s\": ", before, key);
	json_put_string(out, value);
}

static void put_row(Show *s, const char *pass, const Decision *d, bool last)
{
	if (!s->json) {
		text_printf(&s->out, "%-24s %-10s %-10s %-16s %s\n", pass, flags[d->requested],
		            d->wanted ? "on" : "off", d->who, d->reason);
		return;
	}
	put(&s->out, "  {", "pass", pass);
	put(&s->out, ", ", "requested", flags[d->requested]);
	text_printf(&s->out, ", \"effective\": %s", d->wanted ? "true" : "false");
	put(&s->out, ", ", "decided_by", d->who);
	put(&s->out, ", ", "reason", d->reason);
	text_puts(&s->out, last ? "}\n" : "},\n");
}

static void show(Job *job, void *arg)
{
	Show *s = arg;
	s->out.arena = &job->scratch;
	s->target = target_open(job, s->config->ctx, s->config->target_path, &job->scratch);
	if (s->json)
		text_puts(&s->out, "[\n");
	else
		text_printf(&s->out, "%-24s %-10s %-10s %-16s %s\n", "pass", "requested", "effective",
		            "decided by", "why");
	for (size_t i = 0, n = s->config->n_pass; i < n; i++) {
		Decision d = decide(s, s->config->pass[i]);
		put_row(s, s->config->pass[i]->name, &d, i + 1 == n);
	}
	if (s->json)
		text_puts(&s->out, "]\n");
	fputs(s->out.text, stdout);
}

int verb_config(Cli *c)
{
	graft_config *config = NULL;
	graft_status status = cli_kernels(c);
	if (!status)
		status = cli_config(c, &config);
	if (!status) {
		Show s = { .config = config, .json = cli_has(c, OPT_json) };
		status = guarded(context_allocator(c->ctx), show, &s, &c->err);
	}
	graft_config_free(config);
	return status ? cli_fail(c) : 0;
}
