/* supply.c - data for inputs and params: what the caller gives, then the graph's weights file or document, then random
 * numbers.
 *
 * Tensors are borrowed, never copied; random ones are the plan's, or those of the plan that this one is to be like.
 */
#include "plan.h"
#include <string.h>

uint32_t n_given(const Graph *g)
{
	return g->n_inputs + g->n_params;
}

Value *given_value(const Graph *g, uint32_t i)
{
	return i < g->n_inputs ? g->inputs[i] : g->params[i - g->n_inputs];
}

const char *given_kind(const Value *v)
{
	return v->kind == VALUE_INPUT ? "input" : "param";
}

/* ---- the weights file -------------------------------------------------------------------------------------- */

static void free_tensors(void *t)
{
	graft_tensors_free(t);
}

/* A graph comes from a stranger: the file it names must lie in its own folder or below. */
static bool path_is_below(const char *path)
{
	for (const char *part = path; *part; part += strspn(part, "/")) {
		size_t n = strcspn(part, "/");
		if (!n || (n == 2 && !memcmp(part, "..", 2)))
			return false;
		part += n;
	}
	return *path;
}

static const char *weights_path(graft_plan *p, const Graph *g)
{
	const char *slash = g->file ? strrchr(g->file, '/') : NULL;
	return arena_printf(&p->arena, "%.*s%s", slash ? (int)(slash - g->file + 1) : 0, slash ? g->file : "",
	                    g->weights);
}

/* A file that cannot be read is no error yet: its tensors may all be given. One that is damaged is. */
static void load_weights(graft_plan *p, const Graph *g)
{
	graft_error err = { 0 };
	Job *job = p->arena.job;
	p->weights_trouble = g->unread ? arena_strdup(&p->arena, g->unread) : NULL;
	if (!g->weights)
		return;
	if (!path_is_below(g->weights))
		fail(job, GRAFT_E_DATA,
		     "the graph's weights file '%s' lies outside the graph's folder; give its tensors as inputs",
		     g->weights);
	if (graft_tensors_new(p->ctx, &p->weights, &err))
		fail_again(job, &err);
	arena_undo(&p->arena, free_tensors, p->weights);
	graft_status status = graft_tensors_load(p->weights, weights_path(p, g), &err);
	if (status && status != GRAFT_E_IO)
		fail_again(job, &err);
	if (status)
		p->weights_trouble = arena_printf(&p->arena, "weights file %s: %s", weights_path(p, g), err.message);
}

/* ---- what is given ----------------------------------------------------------------------------------------- */

static const graft_tensor *find(const graft_plan *p, const Value *v)
{
	const graft_tensor *t = p->spec.inputs ? graft_tensors_get(p->spec.inputs, v->name) : NULL;
	if (!t && p->spec.inputs && v->path)
		t = graft_tensors_get(p->spec.inputs, v->path);
	if (!t && p->weights && v->kind == VALUE_PARAM)
		t = graft_tensors_get(p->weights, v->name);
	return t ? t : v->data;
}

static bool is_path(const Graph *g, const char *name)
{
	for (uint32_t i = 0; i < g->n_params; i++)
		if (g->params[i]->path && !strcmp(g->params[i]->path, name))
			return true;
	return false;
}

/* A name that was mistyped would else be filled by random and never be missed. */
static void note_strangers(graft_plan *p, const Graph *g)
{
	const char *name;
	for (size_t i = 0; p->spec.inputs && graft_tensors_at(p->spec.inputs, i, &name); i++) {
		const Value *v = value_find(g, name, strlen(name));
		if ((!v || (v->kind != VALUE_INPUT && v->kind != VALUE_PARAM)) && !is_path(g, name))
			plan_note(p, "'%s' is given, but the graph has no input or param of that name", name);
	}
}

void supply_find(graft_plan *p, const Graph *g)
{
	load_weights(p, g);
	p->given = NEW_ARRAY(&p->arena, n_given(g), const graft_tensor *);
	p->random = NEW_ARRAY(&p->arena, n_given(g), bool);
	for (uint32_t i = 0; i < n_given(g); i++)
		p->given[i] = find(p, given_value(g, i));
	note_strangers(p, g);
}

/* ---- the rest ---------------------------------------------------------------------------------------------- */

enum { NAMES_LISTED = 12 };

static void report_missing(graft_plan *p)
{
	Job *job = p->arena.job;
	Text t = { .arena = &job->scratch };
	uint32_t missing = 0;
	for (uint32_t i = 0; i < n_given(p->g); i++) {
		const Value *v = given_value(p->g, i);
		if (p->given[i] || missing++ >= NAMES_LISTED)
			continue;
		text_printf(&t, "%s%s %s: ", missing > 1 ? ", " : "", given_kind(v), v->name);
		type_print(&t, &v->type);
	}
	if (missing > NAMES_LISTED)
		text_printf(&t, " and %u more", missing - NAMES_LISTED);
	if (missing)
		fail(job, p->g->unread ? GRAFT_E_UNSUPPORTED : GRAFT_E_DATA,
		     "no data for %s; give them as inputs or ask for random ones%s%s", t.text,
		     p->weights_trouble ? "; " : "", p->weights_trouble ? p->weights_trouble : "");
}

/* The random tensor of the same name, type and shape in the plan that this one is to be like. */
static const graft_tensor *borrow(const graft_plan *like, const Value *v)
{
	const Value *twin = like ? value_find(like->g, v->name, strlen(v->name)) : NULL;
	if (!twin || twin->kind != v->kind || type_eq(like->g, &twin->type, &v->type) != YES)
		return NULL;
	uint32_t i = twin->index + (twin->kind == VALUE_PARAM ? like->g->n_inputs : 0);
	return like->random[i] ? like->given[i] : NULL;
}

static const graft_tensor *make_random(graft_plan *p, const Value *v, const Purpose *purposes)
{
	size_t size;
	graft_tensor *t = NEW(&p->arena, graft_tensor);
	*t = tensor_of(p, v->name, &v->type, &size);
	t->data = plan_block(&p->arena, size);
	random_fill(p, v, t, purposes);
	return t;
}

void supply_rest(graft_plan *p)
{
	if (!p->spec.options.random)
		report_missing(p);
	if (p->weights_trouble)
		plan_note(p, "%s", p->weights_trouble);
	const Purpose *purposes = random_purposes(p->g, &p->arena.job->scratch);
	for (uint32_t i = 0; i < n_given(p->g); i++) {
		if (p->given[i])
			continue;
		p->given[i] = borrow(p->spec.like, given_value(p->g, i));
		if (!p->given[i])
			p->given[i] = make_random(p, given_value(p->g, i), purposes);
		p->random[i] = true;
	}
}
