/* probe.c - graft probe: how the packs stand, and which kernels can be called. */
#include "cli.h"
#include "../exec/device.h"
#include "../io/io.h"
#include "../io/json.h"
#include "../passes/pass.h"
#include "../probe/probe.h"
#include <string.h>

enum { SECONDS = 20 };                        /* for one pack in a child process */

static const char *const tier_names[] = {
#define X(name, text) #name,
	GRAFT_TIER_MAP(X)
#undef X
};

/* What is asked about, and what was answered. */
typedef struct Table {
	Arena *a;
	const Target *target;
	Device *device;                       /* NULL: none was asked for */
	const char *blas, *no_blas;           /* of the device: what it has, or why it has none */
	Standing *packs;
	size_t n_packs, cap_packs;
	const char **kernels;
	size_t n_kernels, cap_kernels;
} Table;

static void ask_about(Table *t, const char *kernel)
{
	for (size_t i = 0; i < t->n_kernels; i++)
		if (!strcmp(t->kernels[i], kernel))
			return;
	t->kernels = arena_grow(t->a, t->kernels, t->n_kernels, &t->cap_kernels, sizeof *t->kernels);
	t->kernels[t->n_kernels++] = kernel;
}

/* Kernels that passes need; then what strangers' packs have besides: graft's own ops are listed by `graft ops`. */
static void fill(Table *t)
{
	Standing s;
	for (size_t i = 0; i < n_passes; i++)
		if (pass_table[i].kernel)
			ask_about(t, pass_table[i].kernel);
	for (uint32_t i = 0; target_pack(t->target, i, &s, t->a); i++) {
		t->packs = arena_grow(t->a, t->packs, t->n_packs, &t->cap_packs, sizeof *t->packs);
		t->packs[t->n_packs++] = s;
		for (uint32_t k = 0; k < s.n_kernels && strcmp(s.pack, "builtin"); k++)
			ask_about(t, s.kernels[k]);
	}
}

static void print_device(const Table *t)
{
	const graft_device_info *d = &t->device->info;
	printf("device %s: %s, warp size %d, %d units, %.1f GB", d->name, d->platform, (int)d->warp, (int)d->units,
	       (double)d->memory * 1e-9);
	if (d->bandwidth > 0)
		printf(", %.0f GB/s", d->bandwidth * 1e-9);
	if (d->flops_half > 0)
		printf(", %.0f TFLOP/s in half precision", d->flops_half * 1e-12);
	printf("\nplugin %s\nproducts: %s%s%s\n", t->device->plugin, t->blas ? t->blas : "the pack's own kernel (",
	       t->blas ? "" : t->no_blas, t->blas ? "" : ")");
}

static void print_text(const Table *t)
{
	if (t->device)
		print_device(t);
	printf("architecture %s\n", target_arch(t->target));
	for (size_t i = 0; i < t->n_packs; i++) {
		const Standing *s = &t->packs[i];
		if (s->reason)
			cli_say(stdout, "pack %s: unavailable: %s", s->pack, s->reason);
		else
			cli_say(stdout, "pack %s: %s %s, %u kernel%s", s->pack, s->name, s->version, s->n_kernels,
			        s->n_kernels == 1 ? "" : "s");
	}
	for (size_t i = 0; i < t->n_kernels; i++) {
		Answer a = target_kernel(t->target, t->kernels[i], t->a);
		cli_say(stdout, "kernel %s: %s%s: %s", t->kernels[i], a.available ? "available" : "unavailable",
		        a.tier == GRAFT_TIER_SELF_TEST ? ", passed its self test" : "", a.reason);
	}
}

static void put(Text *t, const char *before, const char *key, const char *value)
{
	text_printf(t, "%s\"%s\": ", before, key);
	json_put_string(t, value);
}

static void put_pack(Text *out, const Standing *s)
{
	put(out, "    {", "pack", s->pack);
	put(out, ", ", "tier", tier_names[s->tier]);
	if (s->reason) {
		put(out, ", ", "reason", s->reason);
	} else {
		put(out, ", ", "name", s->name);
		put(out, ", ", "version", s->version);
		text_printf(out, ", \"kernels\": %u", s->n_kernels);
	}
	text_puts(out, "}");
}

static void put_kernel(Text *out, const char *kernel, const Answer *a)
{
	put(out, "    {", "kernel", kernel);
	text_printf(out, ", \"available\": %s", a->available ? "true" : "false");
	put(out, ", ", "tier", tier_names[a->tier]);
	put(out, ", ", "pack", a->pack);
	put(out, ", ", "reason", a->reason);
	text_puts(out, "}");
}

static void put_device(Text *out, const Table *t)
{
	const graft_device_info *d = &t->device->info;
	put(out, "  \"device\": {", "name", d->name);
	put(out, ", ", "platform", d->platform);
	put(out, ", ", "plugin", t->device->plugin);
	text_printf(out, ", \"warp\": %d, \"units\": %d, \"memory\": %llu, \"bandwidth\": %.0f, ", (int)d->warp,
	            (int)d->units, (unsigned long long)d->memory, d->bandwidth);
	text_printf(out, "\"flops_f64\": %.0f, \"flops_f32\": %.0f, \"flops_half\": %.0f, ", d->flops_f64, d->flops_f32,
	            d->flops_half);
	if (t->blas)
		put(out, "", "blas", t->blas);
	else
		put(out, "\"blas\": null, ", "no_blas", t->no_blas);
	text_puts(out, "},\n");
}

static void print_json(const Table *t)
{
	Text out = { .arena = t->a };
	text_puts(&out, "{\n");
	if (t->device)
		put_device(&out, t);
	put(&out, "  ", "arch", target_arch(t->target));
	text_puts(&out, ",\n  \"packs\": [\n");
	for (size_t i = 0; i < t->n_packs; i++) {
		put_pack(&out, &t->packs[i]);
		text_puts(&out, i + 1 < t->n_packs ? ",\n" : "\n");
	}
	text_puts(&out, "  ],\n  \"kernels\": [\n");
	for (size_t i = 0; i < t->n_kernels; i++) {
		Answer a = target_kernel(t->target, t->kernels[i], t->a);
		put_kernel(&out, t->kernels[i], &a);
		text_puts(&out, i + 1 < t->n_kernels ? ",\n" : "\n");
	}
	text_puts(&out, "  ]\n}\n");
	fputs(out.text, stdout);
}

static void save(Job *job, const Target *target, const char *path)
{
	Text caps = { .arena = &job->scratch };
	target_print_caps(target, &caps);
	file_write(job, path, caps.text, caps.size);
}

static void open_device(Job *job, const char *asked, Table *t)
{
	graft_fault fault = { 0 };
	if (device_kind(job, asked) == DEVICE_CPU)
		return;
	t->device = device_open(job, strcmp(asked, "auto") ? asked : "hip", t->a);
	t->blas = t->device->api->blas(t->device->session, &fault);
	t->no_blas = arena_strdup(t->a, fault.message);
}

static const Target *target_asked(Job *job, Cli *c, const Table *t)
{
	const char *arch = cli_has(c, OPT_arch) ? cli_value(c, OPT_arch) : t->device ? t->device->info.arch : "cpu";
	if (t->device && !cli_has(c, OPT_arch))
		return device_target(t->device, c->ctx, t->a);
	return cli_has(c, OPT_isolated) ? target_isolated(job, c->ctx, arch, SECONDS, t->a) :
	       target_for(c->ctx, arch, t->a);
}

static void probe(Job *job, void *arg)
{
	Cli *c = arg;
	const char *path = cli_value(c, OPT_save);
	Table t = { .a = &job->scratch };
	if (cli_has(c, OPT_device) && cli_has(c, OPT_isolated))
		fail(job, GRAFT_E_USAGE,
		     "--device opens a GPU in this process, --isolated asks in child processes: give one of them");
	if (cli_has(c, OPT_device))
		open_device(job, cli_value(c, OPT_device), &t);
	t.target = target_asked(job, c, &t);
	if (path)
		save(job, t.target, path);
	if (path && !strcmp(path, "-"))
		return;
	fill(&t);
	if (cli_has(c, OPT_json))
		print_json(&t);
	else
		print_text(&t);
}

int verb_probe(Cli *c)
{
	graft_status status = cli_kernels(c);
	if (!status)
		status = guarded(context_allocator(c->ctx), probe, c, &c->err);
	return status ? cli_fail(c) : 0;
}
