/* symbols.c - values for symbols, from --bind and from the shapes of what is given.
 *
 * Each value remembers who said it, so that two sources that contradict are both named. A shape is asked as long as one
 * more symbol follows from it: h[T, 2*S] gives T at once, and S too.
 */
#include "plan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNBOUND INT64_MIN

typedef struct Binding {
	Graph *g;
	Job *job;
	int64_t *value;                       /* by Symbol.index */
	const char **who;                     /* by the same: "--bind", "input h axis 0" */
} Binding;

static const char *dim_text(Binding *b, Dim d)
{
	Text t = { .arena = &b->job->scratch };
	dim_print(&t, d);
	return t.text;
}

static void set(Binding *b, const Symbol *s, int64_t value, const char *who)
{
	if (value < s->min || value > s->max)
		fail(b->job, GRAFT_E_DATA, "%s is %lld by %s, but its range is [%lld, %lld]", s->name, (long long)value,
		     who, (long long)s->min, (long long)s->max);
	if (b->value[s->index] != UNBOUND && b->value[s->index] != value)
		fail(b->job, GRAFT_E_DATA, "%s is %lld by %s, but %s says %lld", s->name, (long long)b->value[s->index],
		     b->who[s->index], who, (long long)value);
	if (b->value[s->index] == UNBOUND)
		b->who[s->index] = who;
	b->value[s->index] = value;
}

static const char *known_symbols(Binding *b)
{
	Text t = { .arena = &b->job->scratch };
	for (const Symbol *s = b->g->symbols; s; s = s->next)
		text_printf(&t, "%s%s", t.size ? ", " : "", s->name);
	return t.size ? t.text : "none";
}

/* One "T=4". */
static void bind_text(Binding *b, const char *text)
{
	const char *equals = strchr(text, '=');
	const Symbol *s = equals ? symbol_find(b->g, text, (size_t)(equals - text)) : NULL;
	if (equals && !s)
		fail(b->job, GRAFT_E_USAGE, "--bind %s: the graph has no symbol '%.*s'; its symbols: %s", text,
		     (int)(equals - text), text, known_symbols(b));
	char *end;
	errno = 0;
	long long value = equals ? strtoll(equals + 1, &end, 10) : 0;
	bool number = equals && (equals[1] == '-' || (equals[1] >= '0' && equals[1] <= '9')) && !*end && !errno;
	if (!number)
		fail(b->job, GRAFT_E_USAGE, "--bind %s: wanted a symbol and a whole number, as in T=4", text);
	set(b, s, value, "--bind");
}

static const char *axis_name(Binding *b, const Value *v, uint32_t axis)
{
	return arena_printf(&b->job->scratch, "%s %s axis %u", given_kind(v), v->name, axis);
}

static void check_rank(Binding *b, const Value *v, const graft_tensor *t)
{
	Text want = { .arena = &b->job->scratch };
	type_print(&want, &v->type);
	if (t->rank < 0 || t->rank > GRAFT_MAX_RANK || (t->rank && (!t->shape || !t->stride)))
		fail_at(b->job, GRAFT_E_DATA, v->name, "the tensor given has no legal shape: its rank is %d",
		        (int)t->rank);
	if ((uint32_t)t->rank != v->type.rank)
		fail_at(b->job, GRAFT_E_DATA, v->name, "%s %s is %s, but what is given has rank %d", given_kind(v),
		        v->name, want.text, (int)t->rank);
	if (t->dtype != (int32_t)v->type.dtype)
		fail_at(b->job, GRAFT_E_DATA, v->name, "%s %s is %s, but what is given holds %s", given_kind(v),
		        v->name, want.text, graft_dtype_name((graft_dtype)t->dtype));
}

/* Learns what it can from one shape; true when a symbol got its value. */
static bool learn(Binding *b, const Value *v, const graft_tensor *t)
{
	bool learned = false;
	for (uint32_t i = 0; i < v->type.rank; i++) {
		const Symbol *s;
		int64_t value;
		if (dim_is_const(v->type.dims[i]) || dim_eval(v->type.dims[i], b->value, &value) ||
		    !dim_solve(v->type.dims[i], b->value, t->shape[i], &s, &value))
			continue;
		set(b, s, value, axis_name(b, v, i));
		learned = true;
	}
	return learned;
}

/* " with T=4 (--bind), S=2 (input x axis 1)": those that the text of a dim mentions, or (NULL) all. */
static const char *sources(Binding *b, const char *dim)
{
	Text t = { .arena = &b->job->scratch };
	for (const Symbol *s = b->g->symbols; s; s = s->next)
		if (b->value[s->index] != UNBOUND && (!dim || strstr(dim, s->name)))
			text_printf(&t, "%s%s=%lld (%s)", t.size ? ", " : " with ", s->name,
			            (long long)b->value[s->index], b->who[s->index]);
	return t.size ? t.text : "";
}

/* The symbol that a dim is; NULL when it is anything else. */
static const Symbol *only_symbol(Binding *b, Dim d)
{
	const char *text = dim_is_const(d) ? "" : dim_text(b, d);
	return symbol_find(b->g, text, strlen(text));
}

static void check_axis(Binding *b, const Value *v, uint32_t i, int64_t found)
{
	Dim d = v->type.dims[i];
	int64_t want;
	const Symbol *s = only_symbol(b, d);
	if (found < 0)
		fail_at(b->job, GRAFT_E_DATA, v->name, "%s has the negative size %lld", axis_name(b, v, i),
		        (long long)found);
	if (s)
		set(b, s, found, axis_name(b, v, i));
	else if (!dim_eval(d, b->value, &want))
		fail_at(b->job, GRAFT_E_DATA, v->name,
		        "%s is %s and %lld is given, which does not say what its symbols are%s; bind them, "
		        "as in --bind T=4",
		        axis_name(b, v, i), dim_text(b, d), (long long)found, sources(b, dim_text(b, d)));
	else if (want != found && dim_is_const(d))
		fail_at(b->job, GRAFT_E_DATA, v->name, "%s is %lld, but what is given says %lld", axis_name(b, v, i),
		        (long long)want, (long long)found);
	else if (want != found)
		fail_at(b->job, GRAFT_E_DATA, v->name, "%s is %lld%s, but %s says %lld", dim_text(b, d),
		        (long long)want, sources(b, dim_text(b, d)), axis_name(b, v, i), (long long)found);
}

static void learn_all(Binding *b, const graft_tensor *const *given)
{
	bool learned = true;
	while (learned) {
		learned = false;
		for (uint32_t i = 0; i < n_given(b->g); i++)
			if (given[i])
				learned |= learn(b, given_value(b->g, i), given[i]);
	}
}

/* A range of one number is a value. */
static void learn_ranges(Binding *b)
{
	for (const Symbol *s = b->g->symbols; s; s = s->next)
		if (b->value[s->index] == UNBOUND && s->min == s->max)
			set(b, s, s->min, "its range");
}

static const char *unbound_symbols(Binding *b)
{
	Text t = { .arena = &b->job->scratch };
	for (const Symbol *s = b->g->symbols; s; s = s->next)
		if (b->value[s->index] == UNBOUND)
			text_printf(&t, "%s%s", t.size ? ", " : "", s->name);
	return t.text;
}

static void check_value(Binding *b, const Value *v)
{
	int64_t size;
	for (uint32_t i = 0; i < v->type.rank; i++) {
		Dim d = v->type.dims[i];
		bool known = dim_is_const(d) || dim_eval(d, b->value, &size);
		const char *unbound = known ? NULL : unbound_symbols(b);
		if (unbound)
			fail_at(b->job, GRAFT_E_DATA, v->name,
			        "the size %s of axis %u is not known: %s has no value; bind it, as in --bind %.*s=4, "
			        "or give an input whose shape says it",
			        dim_text(b, d), i, unbound, (int)strcspn(unbound, ","), unbound);
		if (!known)
			fail_at(b->job, GRAFT_E_DATA, v->name, "the size %s of axis %u is too large%s", dim_text(b, d),
			        i, sources(b, dim_text(b, d)));
	}
}

static void check_values(Binding *b)
{
	for (uint32_t i = 0; i < n_given(b->g); i++)
		check_value(b, given_value(b->g, i));
	for (const Node *n = b->g->first; n; n = n->next)
		for (uint32_t i = 0; i < n->n_out; i++)
			check_value(b, n->out[i]);
}

/* Where the shape rules now say no, the sizes are to blame: names them. */
typedef struct Put { Binding *b; Graph *made; } Put;

static void put_in(Job *job, void *arg)
{
	Put *put = arg;
	put->made = graph_release(graph_bound(job, put->b->g, put->b->value));
}


static Graph *with_values(Binding *b)
{
	graft_error err = { 0 };
	Put put = { b, NULL };
	graft_status status = guarded(context_allocator(b->g->ctx), put_in, &put, &err);
	if (status == GRAFT_E_GRAPH || status == GRAFT_E_DATA)
		fail_at(b->job, GRAFT_E_DATA, err.path, "the graph does not hold%s: %s", sources(b, NULL), err.message);
	if (status)
		fail_again(b->job, &err);
	return put.made;
}

Graph *symbols_bind(Job *job, Graph *g, const char *const *bind, const graft_tensor *const *given)
{
	Binding b = { .g = g, .job = job };
	b.value = NEW_ARRAY(&job->scratch, g->n_symbols, int64_t);
	b.who = NEW_ARRAY(&job->scratch, g->n_symbols, const char *);
	for (uint32_t i = 0; i < g->n_symbols; i++)
		b.value[i] = UNBOUND;
	for (size_t i = 0; bind && bind[i]; i++)
		bind_text(&b, bind[i]);
	for (uint32_t i = 0; i < n_given(g); i++)
		if (given[i])
			check_rank(&b, given_value(g, i), given[i]);
	learn_all(&b, given);
	learn_ranges(&b);
	for (uint32_t i = 0; i < n_given(g); i++)
		for (uint32_t axis = 0; given[i] && axis < given_value(g, i)->type.rank; axis++)
			check_axis(&b, given_value(g, i), axis, given[i]->shape[axis]);
	check_values(&b);
	return with_values(&b);
}
