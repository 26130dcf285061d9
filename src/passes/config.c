/* config.c - what was asked for: levels, flags and lists, from the API and from configuration files
 * (docs/config.md). */
#include "config.h"
#include "../io/io.h"
#include <string.h>

static const char *const flag_words[] = { "auto", "on", "off" };

/* ---- one call on a configuration ---- */

static void leave(void *arena)
{
	((Arena *)arena)->job = NULL;
}

void config_enter(graft_config *c, Job *job)
{
	arena_undo(&job->scratch, leave, &c->arena);
	c->arena.job = job;
}

static void new_body(Job *job, void *arg)
{
	graft_config *c = arg;
	config_enter(c, job);
	config_start(c, c->ctx, &c->arena);
}

static size_t place_of(const graft_config *c, const Pass *p)
{
	size_t i = 0;
	while (c->pass[i] != p)
		i++;
	return i;
}

static void add_pass(graft_config *c, const Pass *pass, const Pass *before, Arena *into)
{
	size_t at = before ? place_of(c, before) : c->n_pass;
	c->pass = arena_grow(into, c->pass, c->n_pass, &c->cap_pass, sizeof *c->pass);
	c->flags = arena_grow(into, c->flags, c->n_pass, &c->cap_flags, sizeof *c->flags);
	memmove(c->flags + at + 1, c->flags + at, (c->n_pass - at) * sizeof *c->flags);
	memmove(c->pass + at + 1, c->pass + at, (c->n_pass - at) * sizeof *c->pass);
	c->flags[at] = (Setting){ GRAFT_AUTO, NULL };
	c->pass[at] = pass;
	c->n_pass++;
}

void config_add_pass(graft_config *c, const Pass *pass, const Pass *before)
{
	add_pass(c, pass, before, &c->arena);
}

const Pass *config_first_fusion(const graft_config *c)
{
	for (size_t i = 0; i < c->n_pass; i++)
		if (c->pass[i]->kernel)
			return c->pass[i];
	return NULL;
}

void config_declare(graft_config *c, Declared d)
{
	d.op = arena_strdup(&c->arena, d.op);
	c->declared = arena_grow(&c->arena, c->declared, c->n_declared, &c->cap_declared, sizeof *c->declared);
	c->declared[c->n_declared++] = d;
}

void config_start(graft_config *c, graft_context *ctx, Arena *into)
{
	c->ctx = ctx;
	c->level = 2;
	c->limit = -1;
	for (size_t i = 0; i < n_passes; i++)
		add_pass(c, &pass_table[i], NULL, into);
}

const Pass *config_pass(const graft_config *c, const char *name, size_t n)
{
	for (size_t i = 0; i < c->n_pass; i++)
		if (!strncmp(c->pass[i]->name, name, n) && !c->pass[i]->name[n])
			return c->pass[i];
	return NULL;
}

graft_status graft_config_new(graft_context *ctx, graft_config **out, graft_error *err)
{
	const graft_allocator *mem = context_allocator(ctx);
	graft_config *c = mem->resize(mem->user, NULL, 0, sizeof *c);
	if (!c)
		return error_set(err, GRAFT_E_NOMEM, "no memory left for a configuration");
	*c = (graft_config){ .ctx = ctx };
	arena_init(&c->arena, mem, NULL);
	graft_status status = guarded(mem, new_body, c, err);
	if (status)
		graft_config_free(c);
	else
		*out = c;
	return status;
}

void graft_config_free(graft_config *c)
{
	if (!c)
		return;
	const graft_allocator *mem = c->arena.mem;
	arena_free(&c->arena);
	mem->resize(mem->user, c, sizeof *c, 0);
}

/* ---- settings ---- */

static const char *all_passes(const graft_config *c, Arena *a)
{
	Text t = { .arena = a };
	for (size_t i = 0; i < c->n_pass; i++)
		text_printf(&t, "%s%s", i ? ", " : "", c->pass[i]->name);
	return t.text;
}

static const Pass *need_pass(const graft_config *c, Job *job, const char *name, size_t n)
{
	const Pass *p = config_pass(c, name, n);
	if (!p)
		fail(job, GRAFT_E_USAGE, "there is no pass '%.*s'; there are %s", (int)(n < 100 ? n : 100), name,
		     all_passes(c, &job->scratch));
	return p;
}

graft_status graft_config_set_level(graft_config *c, int level, graft_error *err)
{
	if (level < 0 || level > 3)
		return error_set(err, GRAFT_E_USAGE, "a level is 0, 1, 2 or 3, found %d", level);
	c->level = level;
	c->level_who = "level";
	return GRAFT_OK;
}

typedef struct Call { graft_config *c; const char *name, *who; graft_flag flag; } Call;

static void set_body(Job *job, void *arg)
{
	Call *a = arg;
	config_enter(a->c, job);
	if ((unsigned)a->flag > GRAFT_OFF)
		fail(job, GRAFT_E_USAGE, "a flag is GRAFT_AUTO, GRAFT_ON or GRAFT_OFF, found %d", (int)a->flag);
	const Pass *p = need_pass(a->c, job, a->name, strlen(a->name));
	a->c->flags[place_of(a->c, p)] = (Setting){ a->flag, arena_strdup(&a->c->arena, a->who) };
}

graft_status graft_config_set(graft_config *c, const char *pass, graft_flag flag, const char *who, graft_error *err)
{
	return guarded(c->arena.mem, set_body, &(Call){ c, pass, who, flag }, err);
}

static void drop_list(graft_config *c)
{
	for (size_t i = 0; i < c->n_pass && c->list; i++)
		if (c->flags[i].who == c->list_who)
			c->flags[i] = (Setting){ GRAFT_AUTO, NULL };
	c->list = NULL;
	c->list_who = NULL;
}

/* Each pass of the list is switched on as if one by one, so that a later setting still wins. */
static void take_list(graft_config *c, const Pass **list, const char *who)
{
	drop_list(c);
	c->list = list;
	c->list_who = who;
	for (size_t i = 0; list[i]; i++)
		c->flags[place_of(c, list[i])] = (Setting){ GRAFT_ON, who };
}

static void set_passes_body(Job *job, void *arg)
{
	Call *a = arg;
	config_enter(a->c, job);
	const Pass **list = NULL;
	size_t n = 0, cap = 0;
	for (const char *s = a->name; *s; s += *s == ',') {
		size_t len = strcspn(s, ",");
		list = arena_grow(&a->c->arena, list, n, &cap, sizeof *list);
		list[n++] = need_pass(a->c, job, s, len);
		s += len;
	}
	list = arena_grow(&a->c->arena, list, n, &cap, sizeof *list);
	list[n] = NULL;
	take_list(a->c, list, arena_strdup(&a->c->arena, a->who));
}

graft_status graft_config_set_passes(graft_config *c, const char *names, const char *who, graft_error *err)
{
	if (names)
		return guarded(c->arena.mem, set_passes_body, &(Call){ .c = c, .name = names, .who = who }, err);
	drop_list(c);
	return GRAFT_OK;
}

void graft_config_set_limit(graft_config *c, int64_t n)
{
	c->limit = n;
}

static void check_op_name(Job *job, const char *op)
{
	const char *colons = strstr(op, "::");
	if (!colons || colons == op || !colons[2] || strpbrk(op, " \t\r\n"))
		fail(job, GRAFT_E_USAGE, "an op that is pure is named NS::NAME, as in 'vllm_ir::rms_norm'; found '%.100s'", op);
}

static void pure_body(Job *job, void *arg)
{
	Call *a = arg;
	config_enter(a->c, job);
	check_op_name(job, a->name);
	config_declare(a->c, (Declared){ .op = a->name, .pure = true });
}

graft_status graft_config_set_pure(graft_config *c, const char *op, graft_error *err)
{
	return guarded(c->arena.mem, pure_body, &(Call){ .c = c, .name = op }, err);
}

void graft_config_set_format(graft_config *c, graft_format format)
{
	c->format = format;
}

static void target_body(Job *job, void *arg)
{
	Call *a = arg;
	config_enter(a->c, job);
	a->c->target_path = arena_strdup(&a->c->arena, a->name);
}

graft_status graft_config_set_target(graft_config *c, const char *caps_path, graft_error *err)
{
	return guarded(c->arena.mem, target_body, &(Call){ .c = c, .name = caps_path }, err);
}

void graft_config_set_hook(graft_config *c, graft_pass_hook hook, void *user)
{
	c->hook = hook;
	c->hook_user = user;
}

/* ---- configuration files ---- */

/* What a file says, before any of it counts. */
typedef struct File {
	const graft_config *c;
	const char *who;
	Setting *flags;
	int level;                            /* -1: not given */
	const Pass **list;
	bool has_limit;
	int64_t limit;
	const char *target;
	const char **pure;                    /* ended by NULL; NULL: none */
} File;

static void no_such_pass(const File *f, Json at, bool key, const char *name)
{
	if (key)
		json_fail_key(at, GRAFT_E_CONFIG, "there is no pass '%.100s'; there are %s", name,
		              all_passes(f->c, at.text->arena));
	json_fail(at, GRAFT_E_CONFIG, "there is no pass '%.100s'; there are %s", name,
	          all_passes(f->c, at.text->arena));
}

static void read_flags(File *f, Json object)
{
	for (Json m = json_first(object, JSON_OBJECT); json_there(m); m = json_next(m)) {
		const Pass *p = config_pass(f->c, json_key(m), strlen(json_key(m)));
		if (!p)
			no_such_pass(f, m, true, json_key(m));
		f->flags[place_of(f->c, p)] = (Setting){ (graft_flag)json_word(m, flag_words, 3), f->who };
	}
}

static void read_list(File *f, Json array, Arena *into)
{
	size_t n = 0;
	f->list = NEW_ARRAY(into, json_count(array) + 1, const Pass *);
	for (Json e = json_first(array, JSON_ARRAY); json_there(e); e = json_next(e)) {
		const Pass *p = config_pass(f->c, json_string(e), strlen(json_string(e)));
		if (!p)
			no_such_pass(f, e, false, json_string(e));
		f->list[n++] = p;
	}
}

/* Ended by NULL. */
static const char **read_names(Json array, Arena *into)
{
	size_t n = 0;
	const char **names = NEW_ARRAY(into, json_count(array) + 1, const char *);
	for (Json e = json_first(array, JSON_ARRAY); json_there(e); e = json_next(e)) {
		names[n] = arena_strdup(into, json_string(e));
		const char *colons = strstr(names[n], "::");
		if (!colons || colons == names[n] || !colons[2])
			json_fail(e, GRAFT_E_CONFIG, "wanted an op as NS::NAME, found '%.100s'", names[n]);
		n++;
	}
	return names;
}

static void read_file(File *f, Json doc, Arena *into)
{
	static const char *const keys[] = { "level", "passes", "run", "limit", "target", "pure" };
	json_keys(doc, keys, sizeof keys / sizeof *keys);
	if (json_there(json_get(doc, "level")))
		f->level = (int)json_int(json_get(doc, "level"), 0, 3);
	if (json_there(json_get(doc, "passes")))
		read_flags(f, json_get(doc, "passes"));
	if (json_there(json_get(doc, "run")))
		read_list(f, json_get(doc, "run"), into);
	if (json_there(json_get(doc, "pure")))
		f->pure = read_names(json_get(doc, "pure"), into);
	f->has_limit = json_there(json_get(doc, "limit"));
	if (f->has_limit)
		f->limit = json_int(json_get(doc, "limit"), 0, INT64_MAX);
	if (json_there(json_get(doc, "target")))
		f->target = arena_strdup(into, json_string(json_get(doc, "target")));
}

static void take_file(graft_config *c, const File *f)
{
	if (f->level >= 0) {
		c->level = f->level;
		c->level_who = f->who;
	}
	if (f->list)
		take_list(c, f->list, f->who);
	for (size_t i = 0; i < c->n_pass; i++)
		if (f->flags[i].who)
			c->flags[i] = f->flags[i];
	if (f->has_limit)
		c->limit = f->limit;
	if (f->target)
		c->target_path = f->target;
	for (const char **op = f->pure; op && *op; op++)
		config_declare(c, (Declared){ .op = *op, .pure = true });
}

static void load_body(Job *job, void *arg)
{
	Call *a = arg;
	config_enter(a->c, job);
	Bytes b = file_read(&job->scratch, a->name);
	File f = { .c = a->c, .who = arena_strdup(&a->c->arena, a->name), .level = -1,
	           .flags = NEW_ARRAY(&job->scratch, a->c->n_pass, Setting) };
	read_file(&f, json_parse(&job->scratch, b.data, b.size, a->name, GRAFT_E_CONFIG), &a->c->arena);
	take_file(a->c, &f);
}

graft_status graft_config_load(graft_config *c, const char *path, graft_error *err)
{
	return guarded(c->arena.mem, load_body, &(Call){ .c = c, .name = path }, err);
}

/* ---- deciding ---- */

/* A pass that the configuration does not know can only come from a list. */
static Setting setting_of(const graft_config *c, const Pass *pass)
{
	for (size_t i = 0; i < c->n_pass; i++)
		if (c->pass[i] == pass)
			return c->flags[i];
	return (Setting){ GRAFT_ON, c->list_who };
}

Decision config_decide(const graft_config *c, const Pass *pass, Arena *into)
{
	Setting s = setting_of(c, pass);
	if (s.who && s.flag != GRAFT_AUTO)
		return (Decision){ s.flag, s.flag == GRAFT_ON, s.who,
		                   arena_printf(into, "switched %s by %s", flag_words[s.flag], s.who) };
	const char *who = c->level_who ? c->level_who : "built-in";
	if (pass->level > 3)
		return (Decision){ GRAFT_AUTO, false, "built-in", "runs only when asked for by name" };
	bool wanted = c->level >= pass->level;
	return (Decision){ GRAFT_AUTO, wanted, who,
	                   arena_printf(into, "%s at -O%d (on from -O%d)", wanted ? "on" : "off", c->level,
	                                pass->level) };
}
