/* json_place.c - line, column and path of a place in a JSON text. Nobody keeps them: a failing load reads the text
 * again, up to the place. */
#include "json.h"
#include <string.h>

/* A container that is open at the place. key: its latest key, NULL while it waits for one. */
typedef struct Frame { const char *key, *key_end; uint64_t index; bool object; } Frame;

typedef struct Finder {
	const char *at, *end;
	Frame frames[JSON_DEPTH + 1];
	size_t depth;
} Finder;

/* Text up to the place is well formed, but the place may be inside a string: then NULL. */
static const char *string_end(const Finder *f, const char *p)
{
	for (p++; p < f->at; p++) {
		if (*p == '\\')
			p++;
		else if (*p == '"')
			return p + 1;
	}
	return NULL;
}

static const char *token(Finder *f, const char *p)
{
	Frame *top = f->depth ? &f->frames[f->depth - 1] : NULL;
	const char *end = *p == '"' ? string_end(f, p) : p + 1;
	if (*p == '"' && top && top->object && !top->key) {
		top->key = p;
		top->key_end = end ? end : f->at;
	} else if (*p == '{' || *p == '[') {
		f->frames[f->depth++] = (Frame){ .object = *p == '{' };
	} else if (*p == '}' || *p == ']') {
		f->depth--;
	} else if (*p == ',') {
		top->key = NULL;
		top->index++;
	}
	return end ? end : f->at;
}

static bool is_plain(const char *key, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (key[i] != '_' && !(key[i] >= '0' && key[i] <= '9') &&
		    !((unsigned char)(key[i] | 0x20) >= 'a' && (unsigned char)(key[i] | 0x20) <= 'z'))
			return false;
	return n > 0;
}

enum { LONGEST_KEY = 80 };

static void print_frame(Text *t, const Frame *f)
{
	if (!f->object) {
		text_printf(t, "[%llu]", (unsigned long long)f->index);
		return;
	}
	if (!f->key || f->key_end - f->key < 2)
		return;
	size_t n = (size_t)(f->key_end - f->key) - 2;
	const char *cut = n > LONGEST_KEY ? "..." : "";
	if (n > LONGEST_KEY)
		n = LONGEST_KEY;
	text_printf(t, is_plain(f->key + 1, n) ? ".%.*s%s" : "[\"%.*s%s\"]", (int)n, f->key + 1, cut);
}

static int clamp(uint64_t n)
{
	return n < INT32_MAX ? (int)n : INT32_MAX;
}

static void count_lines(const char *p, const char *at, JsonPlace *out)
{
	uint64_t line = 1;
	for (const char *nl; (nl = memchr(p, '\n', (size_t)(at - p))); p = nl + 1)
		line++;
	out->line = clamp(line);
	out->column = clamp((uint64_t)(at - p) + 1);
}

JsonPlace json_place(const JsonText *t, const char *at, bool of_key, Arena *into)
{
	Finder f = { .at = at, .end = t->end };
	Text path = { .arena = into };
	JsonPlace out = { 0 };
	for (const char *p = t->data; p < at;)
		p = token(&f, p);
	text_puts(&path, "$");
	for (size_t i = 0; i < f.depth; i++)
		print_frame(&path, &f.frames[i]);
	const Frame *top = f.depth ? &f.frames[f.depth - 1] : NULL;
	count_lines(t->data, of_key && top && top->key ? top->key : at, &out);
	out.path = path.text;
	return out;
}
