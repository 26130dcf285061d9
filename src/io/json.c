/* json.c - values of a checked text: opening them as cJSON trees, walking, reading, refusing.
 *
 * cJSON is used for structure and for the text of strings. Its numbers are not: they are doubles. It keeps one static
 * record of its last error, which nothing here reads; and since the text was checked, the only way left for it to fail
 * is memory.
 */
#include "json.h"
#include "../ir/lex.h"
#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

const char *json_skip_space(const JsonText *t, const char *p)
{
	while (p < t->end && is_space(*p))
		p++;
	return p;
}

/* The quote that ends it is the first with an even number of backslashes before it. */
const char *json_skip_string(const char *p)
{
	for (const char *quote = p;;) {
		const char *slash = quote = rawmemchr(quote + 1, '"');
		while (slash[-1] == '\\')
			slash--;
		if ((quote - slash) % 2 == 0)
			return quote + 1;
	}
}

static bool in_number(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

size_t json_nonfinite(const JsonText *t, const char *p, double *out)
{
	static const struct { const char *word; size_t size; double value; } words[] = {
		{ "Infinity", 8, INFINITY }, { "-Infinity", 9, -INFINITY }, { "NaN", 3, NAN },
	};
	/* most values begin otherwise */
	if (!t->python || p >= t->end || (*p != 'I' && *p != '-' && *p != 'N'))
		return 0;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if ((size_t)(t->end - p) >= words[i].size && !memcmp(p, words[i].word, words[i].size)) {
			*out = words[i].value;
			return words[i].size;
		}
	return 0;
}

static const char *skip_container(const char *p)
{
	for (size_t depth = 0;;) {
		if (*p == '"') {
			p = json_skip_string(p);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if ((*p == '}' || *p == ']') && --depth == 0)
			return p + 1;
		p++;
	}
}

const char *json_skip_value(const JsonText *t, const char *p)
{
	switch (*p) {
	case '{': case '[': return skip_container(p);
	case '"': return json_skip_string(p);
	case 't': case 'n': return p + 4;
	case 'f': return p + 5;
	}
	double d;
	p += json_nonfinite(t, p, &d);
	while (p < t->end && in_number(*p))
		p++;
	return p;
}

/* ---- trees ---- */

static void free_tree(void *tree)
{
	cJSON_Delete(tree);
}

/* Gives every item its place: the tree and the text are walked side by side. Returns the end of the value. */
static const char *set_places(const JsonText *t, cJSON *item, const char *p)
{
	item->valuedouble = (double)(p - t->data);
	if (*p != '{' && *p != '[')
		return json_skip_value(t, p);
	bool object = *p == '{';
	p = json_skip_space(t, p + 1);
	for (cJSON *child = item->child; child; child = child->next) {
		if (object) {
			p = json_skip_space(t, json_skip_string(p));
			p = json_skip_space(t, p + 1);
		}
		p = json_skip_space(t, set_places(t, child, p));
		if (*p == ',')
			p = json_skip_space(t, p + 1);
	}
	return p + 1;
}

static cJSON *make_tree(const JsonText *t, const char *at)
{
	cJSON *tree = cJSON_ParseWithLengthOpts(at, (size_t)(t->end - at), NULL, false);
	if (!tree)
		fail(t->arena->job, GRAFT_E_NOMEM, "no memory left to read %s", t->file);
	return tree;
}

Json json_check(Arena *a, const char *text, size_t size, const char *file, graft_status wrong)
{
	JsonText *t = NEW(a, JsonText);
	*t = (JsonText){ .arena = a, .data = text, .end = text + size, .file = file, .wrong = wrong };
	json_scan(t);
	return (Json){ t, json_skip_space(t, text), NULL };
}

Json json_open(Arena *a, Json v)
{
	cJSON *tree = make_tree(v.text, v.at);
	arena_undo(a, free_tree, tree);
	set_places(v.text, tree, v.at);
	return (Json){ v.text, v.at, tree };
}

Json json_parse(Arena *a, const char *text, size_t size, const char *file, graft_status wrong)
{
	return json_open(a, json_check(a, text, size, file, wrong));
}

/* ---- walking ---- */

static void release(JsonWalk *w)
{
	cJSON_Delete(w->tree);
	cJSON_Delete(w->name);
	w->tree = w->name = NULL;
}

static void end_walk(void *w)
{
	release(w);
}

static void want(Json v, JsonKind kind)
{
	if (json_kind(v) != kind)
		json_fail(v, v.text->wrong, "wanted %s, found %s", json_kind_name(kind), json_kind_name(json_kind(v)));
}

JsonWalk *json_walk(Arena *a, Json container, JsonKind kind)
{
	want(container, kind);
	JsonWalk *w = NEW(a, JsonWalk);
	*w = (JsonWalk){ .here = { container.text, container.at, NULL }, .next = container.at + 1,
	                .close = kind == JSON_OBJECT ? '}' : ']' };
	arena_undo(a, end_walk, w);
	return w;
}

/* p at the opening quote of a key: takes the key, returns the place of its value. */
static const char *take_key(JsonWalk *w, const char *p)
{
	const JsonText *t = w->here.text;
	w->name = make_tree(t, p);
	w->key = w->name->valuestring;
	p = json_skip_space(t, json_skip_string(p));
	return json_skip_space(t, p + 1);
}

bool json_step(JsonWalk *w)
{
	const JsonText *t = w->here.text;
	release(w);
	const char *p = json_skip_space(t, w->next ? w->next : json_skip_value(t, w->here.at));
	if (*p == w->close)
		return false;
	if (*p == ',')
		p = json_skip_space(t, p + 1);
	if (w->close == '}')
		p = take_key(w, p);
	w->here.at = p;
	w->next = NULL;
	return true;
}

Json json_walk_open(JsonWalk *w)
{
	w->tree = make_tree(w->here.text, w->here.at);
	w->next = set_places(w->here.text, w->tree, w->here.at);
	return (Json){ w->here.text, w->here.at, w->tree };
}

/* ---- reading in place ---- */

JsonList json_list(Json container, JsonKind kind)
{
	want(container, kind);
	return (JsonList){ .here = { container.text, container.at, NULL }, .next = container.at + 1,
	                   .close = kind == JSON_OBJECT ? '}' : ']' };
}

bool json_more(JsonList *l)
{
	const JsonText *t = l->here.text;
	const char *p = json_skip_space(t, l->next ? l->next : json_skip_value(t, l->here.at));
	if (*p == l->close) {
		l->next = p;
		return false;
	}
	if (*p == ',')
		p = json_skip_space(t, p + 1);
	if (l->close == '}') {
		const char *end = json_skip_string(p);
		l->key = p + 1;
		l->key_size = (size_t)(end - p) - 2;
		p = json_skip_space(t, json_skip_space(t, end) + 1);
	}
	l->here.at = p;
	l->next = NULL;
	return true;
}

bool json_key_is(const JsonList *l, const char *key)
{
	return l->key_size == strlen(key) && !memcmp(l->key, key, l->key_size);
}

Json json_member(Json object, const char *key)
{
	for (JsonList l = json_list(object, JSON_OBJECT); json_more(&l);)
		if (json_key_is(&l, key))
			return l.here;
	return (Json){ object.text, NULL, NULL };
}

Json json_member_need(Json object, const char *key)
{
	Json m = json_member(object, key);
	if (!json_there(m))
		json_fail(object, object.text->wrong, "the key \"%s\" is missing", key);
	return m;
}

const char *json_text(Arena *a, Json string, size_t *n)
{
	want(string, JSON_STRING);
	const char *s = string.at + 1;
	*n = (size_t)(json_skip_string(string.at) - string.at) - 2;
	if (memchr(s, '\\', *n)) {
		s = json_string(json_open(a, string));
		*n = strlen(s);
	}
	return s;
}

/* ---- reading ---- */

JsonKind json_kind(Json v)
{
	switch (*v.at) {
	case '{': return JSON_OBJECT;
	case '[': return JSON_ARRAY;
	case '"': return JSON_STRING;
	case 'n': return JSON_NULL;
	case 't': case 'f': return JSON_BOOL;
	}
	double d;
	if (json_nonfinite(v.text, v.at, &d))
		return JSON_FLOAT;
	for (const char *p = v.at; p < v.text->end && in_number(*p); p++)
		if (*p == '.' || *p == 'e' || *p == 'E')
			return JSON_FLOAT;
	return JSON_INT;
}

const char *json_kind_name(JsonKind kind)
{
	static const char *const names[] = {
		[JSON_NULL] = "null", [JSON_BOOL] = "a boolean", [JSON_INT] = "an integer", [JSON_FLOAT] = "a float",
		[JSON_STRING] = "a string", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
	};
	return names[kind];
}

static Json child_at(Json v, const cJSON *item)
{
	if (!item)
		return (Json){ v.text, NULL, NULL };
	return (Json){ v.text, v.text->data + (size_t)item->valuedouble, item };
}

Json json_first(Json container, JsonKind kind)
{
	want(container, kind);
	return child_at(container, container.item->child);
}

Json json_next(Json v)
{
	return child_at(v, v.item->next);
}

size_t json_count(Json container)
{
	size_t n = 0;
	for (const cJSON *c = container.item->child; c; c = c->next)
		n++;
	return n;
}

const char *json_key(Json member)
{
	return member.item->string;
}

Json json_get(Json object, const char *key)
{
	Json m = json_first(object, JSON_OBJECT);
	while (json_there(m) && strcmp(json_key(m), key) != 0)
		m = json_next(m);
	return m;
}

Json json_need(Json object, const char *key)
{
	Json m = json_get(object, key);
	if (!json_there(m))
		json_fail(object, object.text->wrong, "the key \"%s\" is missing", key);
	return m;
}

void json_keys(Json object, const char *const *keys, size_t n)
{
	for (Json m = json_first(object, JSON_OBJECT); json_there(m); m = json_next(m)) {
		size_t i = 0;
		while (i < n && strcmp(json_key(m), keys[i]) != 0)
			i++;
		if (i == n)
			json_fail_keys(m, json_key(m), keys, n);
	}
}

bool json_bool(Json v)
{
	want(v, JSON_BOOL);
	return *v.at == 't';
}

/* False when it leaves int64. */
static bool read_int(const JsonText *t, const char *p, int64_t *out)
{
	bool minus = *p == '-';
	int64_t v = 0;
	for (p += minus; p < t->end && *p >= '0' && *p <= '9'; p++) {
		int digit = minus ? -(*p - '0') : *p - '0';
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
			return false;
	}
	*out = v;
	return true;
}

int64_t json_int(Json v, int64_t min, int64_t max)
{
	int64_t i;
	want(v, JSON_INT);
	if (!read_int(v.text, v.at, &i))
		json_fail(v, v.text->wrong, "%.*s is beyond 64 bits",
		          (int)(json_skip_value(v.text, v.at) - v.at), v.at);
	if (i < min || i > max)
		json_fail(v, v.text->wrong, "wanted an integer from %lld to %lld, found %lld",
		          (long long)min, (long long)max, (long long)i);
	return i;
}

double json_f64(Json v)
{
	double d = 0;
	if (json_kind(v) != JSON_INT && json_kind(v) != JSON_FLOAT)
		json_fail(v, v.text->wrong, "wanted a number, found %s", json_kind_name(json_kind(v)));
	if (json_nonfinite(v.text, v.at, &d))
		return d;
	bool read = f64_parse(v.at, (size_t)(json_skip_value(v.text, v.at) - v.at), &d);
	assert(read && "a number that was checked");
	(void)read;
	return d;
}

const char *json_string(Json v)
{
	want(v, JSON_STRING);
	assert(v.item && "a closed string");
	return v.item->valuestring;
}

static const char *join(Arena *a, const char *const *words, size_t n)
{
	Text t = { .arena = a };
	text_puts(&t, "");
	for (size_t i = 0; i < n; i++)
		text_printf(&t, "%s%s", i ? ", " : "", words[i]);
	return t.text;
}

int json_word(Json v, const char *const *words, size_t n)
{
	const char *s = json_string(v);
	for (size_t i = 0; i < n; i++)
		if (strcmp(s, words[i]) == 0)
			return (int)i;
	json_fail(v, v.text->wrong, "wanted one of %s; found '%s'", join(&v.text->arena->job->scratch, words, n), s);
}

/* ---- refusing ---- */

_Noreturn static void fail_place(Json v, bool of_key, graft_status status, const char *message)
{
	Job *job = v.text->arena->job;
	JsonPlace place = json_place(v.text, v.at, of_key, &job->scratch);
	fail_in(job, status, v.text->file, place.line, place.column, place.path, "%s", message);
}

void json_fail(Json v, graft_status status, const char *fmt, ...)
{
	char message[768];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(message, sizeof message, fmt, ap);
	va_end(ap);
	fail_place(v, false, status, message);
}

void json_fail_key(Json member, graft_status status, const char *fmt, ...)
{
	char message[768];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(message, sizeof message, fmt, ap);
	va_end(ap);
	fail_place(member, true, status, message);
}

void json_fail_keys(Json member, const char *key, const char *const *keys, size_t n)
{
	json_fail_key(member, member.text->wrong, "no such key: '%s'; the keys are %s", key,
	              join(&member.text->arena->job->scratch, keys, n));
}

/* ---- printing ---- */

void json_put_string(Text *t, const char *s)
{
	string_print(t, s);                   /* the notation's strings are JSON's */
}

void json_put_int(Text *t, int64_t v)
{
	char digits[24], *p = digits + sizeof digits;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	do
		*--p = (char)('0' + u % 10);
	while (u /= 10);
	if (v < 0)
		*--p = '-';
	text_add(t, p, (size_t)(digits + sizeof digits - p));
}
