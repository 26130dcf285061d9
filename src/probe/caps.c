/* caps.c - what a machine can do, as a file: the packs' tables (docs/plugin.md). */
#include "cache.h"
#include "../io/io.h"
#include "../io/json.h"
#include <string.h>

#define FORMAT "graft.caps"
enum { VERSION = 1 };

static const char *const tiers[] = { "NONE", "FOUND", "LOADS", "ABI" };
static const char *const rounds[] = { "late", "early" };
static const char *const tests[] = { "not run", "none", "passed", "failed" };      /* in the order of Tested */

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- writing ---------------------------------------------------------------------------------------------- */

static void put_string(Text *t, const char *before, const char *key, const char *value)
{
	text_printf(t, "%s\"%s\": ", before, key);
	json_put_string(t, value);
}

static void put_int(Text *t, const char *key, int64_t value)
{
	text_printf(t, ", \"%s\": ", key);
	json_put_int(t, value);
}

static void put_names(Text *t, const char *key, uint32_t bits, size_t n, const char *(*name)(size_t i))
{
	const char *between = "";
	text_printf(t, ", \"%s\": [", key);
	for (size_t i = 0; i < n; i++) {
		if (!(bits & 1u << i))
			continue;
		text_printf(t, "%s\"%s\"", between, name(i));
		between = ", ";
	}
	text_puts(t, "]");
}

static const char *dtype_word(size_t i) { return graft_dtype_name((graft_dtype)i); }
static const char *round_word(size_t i) { return rounds[i]; }

static void put_bool(Text *t, const char *key, bool value)
{
	text_printf(t, ", \"%s\": %s", key, value ? "true" : "false");
}

static void put_row(Text *t, const Row *row)
{
	const graft_kernel *k = &row->kernel;
	put_string(t, "{ ", "name", k->name);
	put_string(t, ", ", "signature", k->signature);
	put_int(t, "version", k->version);
	put_names(t, "dtypes", k->dtypes, GRAFT_DTYPE_COUNT, dtype_word);
	put_names(t, "rounds", k->rounds, COUNT(rounds), round_word);
	put_string(t, ", ", "archs", k->archs);
	put_bool(t, "any_stride", k->flags & GRAFT_KERNEL_ANY_STRIDE);
	put_bool(t, "odd_last", k->flags & GRAFT_KERNEL_ODD_LAST);
	put_int(t, "max_last", k->max_last);
	put_int(t, "max_rows", k->max_rows);
	put_int(t, "max_row_stride", k->max_row_stride);
	put_string(t, ", ", "self_test", tests[row->tested]);
	if (row->tested == FAILED)
		put_string(t, ", ", "why", row->why);
	text_puts(t, " }");
}

static void put_pack(Text *t, const Pack *p)
{
	put_string(t, "\t\t{ ", "pack", p->asked);
	put_string(t, ", ", "tier", tiers[p->tier]);
	if (p->tier < GRAFT_TIER_ABI) {
		put_string(t, ", ", "reason", p->reason);
		text_puts(t, " }");
		return;
	}
	put_string(t, ", ", "name", p->name);
	put_string(t, ", ", "version", p->version);
	text_puts(t, ", \"kernels\": [");
	for (uint32_t i = 0; i < p->n_rows; i++) {
		text_puts(t, i ? ",\n\t\t\t" : "\n\t\t\t");
		put_row(t, &p->rows[i]);
	}
	text_puts(t, p->n_rows ? "\n\t\t] }" : "] }");
}

void target_print_caps(const Target *target, Text *t)
{
	const Target *now = target_frozen(target, t->arena);
	text_puts(t, "{\n\t\"format\": \"" FORMAT "\",\n");
	text_printf(t, "\t\"version\": %d,\n\t\"graft\": \"" GRAFT_VERSION "\",\n", VERSION);
	put_string(t, "\t", "arch", now->arch);
	text_printf(t, ",\n\t\"self_tests\": %s,\n\t\"packs\": [", now->tested ? "true" : "false");
	for (size_t i = 0; i < now->n_packs; i++) {
		text_puts(t, i ? ",\n" : "\n");
		put_pack(t, now->packs[i]);
	}
	text_puts(t, "\n\t]\n}\n");
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

static uint32_t get_dtypes(Json array)
{
	const char *words[GRAFT_DTYPE_COUNT];
	uint32_t bits = 0;
	for (size_t i = 0; i < COUNT(words); i++)
		words[i] = dtype_word(i);
	for (Json e = json_first(array, JSON_ARRAY); json_there(e); e = json_next(e))
		bits |= GRAFT_DTYPE_BIT((unsigned)json_word(e, words, COUNT(words)));
	return bits;
}

static uint32_t get_rounds(Json array)
{
	uint32_t bits = 0;
	for (Json e = json_first(array, JSON_ARRAY); json_there(e); e = json_next(e))
		bits |= 1u << (unsigned)json_word(e, rounds, COUNT(rounds));
	return bits;
}

static int64_t get_limit(Json row, const char *key)
{
	return json_int(json_need(row, key), 0, INT64_MAX);
}

static void get_row(Json v, Row *row, Arena *a)
{
	static const char *const keys[] = { "name", "signature", "version", "dtypes", "rounds", "archs", "any_stride",
	                                    "odd_last", "max_last", "max_rows", "max_row_stride", "self_test", "why" };
	json_keys(v, keys, COUNT(keys));
	row->kernel = (graft_kernel){
		.name = json_string(json_need(v, "name")), .signature = json_string(json_need(v, "signature")),
		.version = (uint32_t)json_int(json_need(v, "version"), 0, UINT32_MAX),
		.dtypes = get_dtypes(json_need(v, "dtypes")), .rounds = get_rounds(json_need(v, "rounds")),
		.flags = (json_bool(json_need(v, "any_stride")) ? GRAFT_KERNEL_ANY_STRIDE : 0) |
		         (json_bool(json_need(v, "odd_last")) ? GRAFT_KERNEL_ODD_LAST : 0),
		.archs = json_string(json_need(v, "archs")), .max_last = get_limit(v, "max_last"),
		.max_rows = get_limit(v, "max_rows"), .max_row_stride = get_limit(v, "max_row_stride"),
	};
	row->tested = (Tested)json_word(json_need(v, "self_test"), tests, COUNT(tests));
	row->why = row->tested == FAILED ? json_string(json_need(v, "why")) : NULL;
	const char *trouble = row_trouble(&row->kernel, a);
	if (trouble)
		json_fail(v, GRAFT_E_CONFIG, "the kernel %s", trouble);
}

static Pack *get_pack(Json v, Arena *a)
{
	static const char *const keys[] = { "pack", "tier", "reason", "name", "version", "kernels" };
	Pack *p = NEW(a, Pack);
	json_keys(v, keys, COUNT(keys));
	p->asked = json_string(json_need(v, "pack"));
	p->tier = (graft_tier)json_word(json_need(v, "tier"), tiers, COUNT(tiers));
	p->looked = true;
	if (p->tier < GRAFT_TIER_ABI) {
		p->reason = json_string(json_need(v, "reason"));
		return p;
	}
	p->name = json_string(json_need(v, "name"));
	p->version = json_string(json_need(v, "version"));
	Json kernels = json_need(v, "kernels");
	p->rows = NEW_ARRAY(a, json_count(kernels), Row);
	for (Json e = json_first(kernels, JSON_ARRAY); json_there(e); e = json_next(e))
		get_row(e, &p->rows[p->n_rows++], a);
	return p;
}

Target *caps_parse(Job *job, graft_context *ctx, const char *text, size_t size, const char *file, Arena *into)
{
	static const char *const keys[] = { "format", "version", "graft", "arch", "self_tests", "packs" };
	static const char *const formats[] = { FORMAT };
	(void)job;
	Json v = json_parse(into, text, size, file, GRAFT_E_CONFIG);
	json_word(json_need(v, "format"), formats, COUNT(formats));
	json_int(json_need(v, "version"), VERSION, VERSION);
	json_keys(v, keys, COUNT(keys));
	Target *t = NEW(into, Target);
	*t = (Target){ .ctx = ctx, .arch = json_string(json_need(v, "arch")) };
	t->tested = json_bool(json_need(v, "self_tests"));
	Json packs = json_need(v, "packs");
	t->packs = NEW_ARRAY(into, json_count(packs), Pack *);
	for (Json e = json_first(packs, JSON_ARRAY); json_there(e); e = json_next(e))
		t->packs[t->n_packs++] = get_pack(e, into);
	if (!t->n_packs)
		json_fail(packs, GRAFT_E_CONFIG, "there is no pack; write the file with graft probe --save");
	return t;
}

const Target *target_open(Job *job, graft_context *ctx, const char *caps, Arena *into)
{
	if (!caps)
		return target_for(ctx, "cpu", into);
	Bytes text = file_read(into, caps);
	return caps_parse(job, ctx, text.data, text.size, caps, into);
}
