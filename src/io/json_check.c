/* json_check.c - whether a text is JSON as we want it; the first thing that is not is named with its place. */
#include "json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A key of an object that is not closed yet, decoded. */
typedef struct Key { const char *text, *at; size_t size; } Key;

typedef struct Scan {
	const JsonText *t;
	const char *end;
	Arena *scratch;
	Key *keys;                            /* of all open objects, innermost last */
	size_t n_keys, cap_keys;
	unsigned depth;
} Scan;

enum { FEW_KEYS = 8 };                        /* compared each with each; more are sorted */

#define bad(s, at, ...) json_fail((Json){ (s)->t, (at), NULL }, GRAFT_E_SYNTAX, __VA_ARGS__)

/* "wanted ..., found ...": the one sentence for a byte that does not belong here. */
_Noreturn static void unexpected(const Scan *s, const char *at, const char *wanted)
{
	if (at >= s->end)
		bad(s, at, "wanted %s, found the end of the text", wanted);
	if (*at > 0x20 && *at < 0x7f)
		bad(s, at, "wanted %s, found '%c'", wanted, *at);
	bad(s, at, "wanted %s, found the byte 0x%02x", wanted, (unsigned char)*at);
}

static bool is_digit(const Scan *s, const char *p)
{
	return p < s->end && *p >= '0' && *p <= '9';
}

static const char *skip_digits(const Scan *s, const char *p)
{
	if (!is_digit(s, p))
		unexpected(s, p, "a digit");
	while (is_digit(s, p))
		p++;
	return p;
}

static bool goes_on(const Scan *s, const char *p)
{
	return p < s->end && (is_digit(s, p) || *p == '.' || *p == '_' || *p == '+' || *p == '-' ||
	                      ((unsigned char)(*p | 0x20) >= 'a' && (unsigned char)(*p | 0x20) <= 'z'));
}

static const char *scan_number(const Scan *s, const char *start)
{
	const char *p = start + (*start == '-');
	bool large = false;
	if (is_digit(s, p) && *p == '0' && is_digit(s, p + 1))
		bad(s, start, "a number does not start with 0 and another digit");
	p = skip_digits(s, p);
	if (p < s->end && *p == '.')
		p = skip_digits(s, p + 1);
	if (p < s->end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < s->end && (*p == '+' || *p == '-');
		const char *exponent = p;
		p = skip_digits(s, p);
		large = p - exponent > 2;     /* the digits before it are too few to reach the limit with less */
	}
	if (goes_on(s, p))
		unexpected(s, p, "the end of a number");
	if (p - start > JSON_NUMBER_MAX)
		bad(s, start, "a number of %td characters; at most %d are read", p - start, JSON_NUMBER_MAX);
	if (large && isinf(json_f64((Json){ s->t, start, NULL })))
		bad(s, start, "%.*s is beyond what a float can hold", (int)(p - start), start);
	return p;
}

static const char *scan_hex4(const Scan *s, const char *p, unsigned *out)
{
	unsigned v = 0;
	for (int i = 0; i < 4; i++, p++) {
		const char *digits = "0123456789abcdef";
		const char *d = p < s->end && *p ? strchr(digits, *p >= 'A' && *p <= 'F' ? *p | 0x20 : *p) : NULL;
		if (!d)
			unexpected(s, p, "four hexadecimal digits");
		v = v * 16 + (unsigned)(d - digits);
	}
	*out = v;
	return p;
}

/* p behind "\u" */
static const char *scan_unicode(const Scan *s, const char *p)
{
	const char *start = p - 2;
	unsigned high, low = 0;
	p = scan_hex4(s, p, &high);
	if (high == 0)
		bad(s, start, "\\u0000 in a string; none here may hold NUL");
	if (high < 0xd800 || high > 0xdfff)
		return p;
	if (high < 0xdc00 && s->end - p >= 2 && p[0] == '\\' && p[1] == 'u')
		p = scan_hex4(s, p + 2, &low);
	if (low < 0xdc00 || low > 0xdfff)
		bad(s, start, "\\u%04x is half of a surrogate pair, without the other half", high);
	return p;
}

static const char *scan_escape(const Scan *s, const char *p)
{
	p++;
	if (p >= s->end || !*p || !strchr("\"\\/bfnrtu", *p))
		unexpected(s, p, "one of \" \\ / b f n r t u after a backslash");
	return *p == 'u' ? scan_unicode(s, p + 1) : p + 1;
}

/* One character of several bytes: shortest form, no surrogates, up to U+10FFFF. */
static const char *scan_utf8(const Scan *s, const char *start)
{
	const unsigned char *p = (const unsigned char *)start;
	int more = *p >= 0xf0 && *p <= 0xf4 ? 3 : *p >= 0xe0 && *p < 0xf0 ? 2 : *p >= 0xc2 && *p < 0xe0 ? 1 : 0;
	unsigned least = *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80;
	unsigned most = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;
	if (!more)
		bad(s, start, "the byte 0x%02x is not UTF-8", *p);
	for (int i = 1; i <= more; i++, least = 0x80, most = 0xbf)
		if (start + i >= s->end || p[i] < least || p[i] > most)
			bad(s, start, "the bytes from 0x%02x on are not UTF-8", *p);
	return start + 1 + more;
}

static bool is_plain(char c)
{
	return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* Eight characters at once: is none of them below 0x20 or above 0x7f, a quote or a backslash? It may say no where all are
 * plain, behind one that is not. */
static bool are_plain(uint64_t x)
{
	const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
	uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
	return !((x | (x - ones * 0x20) | (quote - ones) | (slash - ones)) & tops);
}

static const char *skip_plain(const Scan *s, const char *p)
{
	for (uint64_t x; s->end - p >= 8; p += 8) {
		memcpy(&x, p, sizeof x);
		if (!are_plain(x))
			break;
	}
	while (p < s->end && is_plain(*p))
		p++;
	return p;
}

static const char *scan_string(const Scan *s, const char *start)
{
	const char *p = start + 1;
	for (;;) {
		p = skip_plain(s, p);
		if (p >= s->end)
			bad(s, start, "a string without an end");
		if (*p == '"')
			return p + 1;
		if (*p == '\\')
			p = scan_escape(s, p);
		else if ((unsigned char)*p < 0x20)
			bad(s, p, "the control character 0x%02x in a string; write \\u%04x", (unsigned)*p,
			    (unsigned)*p);
		else
			p = scan_utf8(s, p);
	}
}

static void add_key(Scan *s, const char *at, const char *end)
{
	Key k = { at + 1, at, (size_t)(end - at) - 2 };
	if (memchr(k.text, '\\', k.size)) {
		k.text = json_string(json_open(s->scratch, (Json){ s->t, at, NULL }));
		k.size = strlen(k.text);
	}
	s->keys = arena_grow(s->scratch, s->keys, s->n_keys, &s->cap_keys, sizeof *s->keys);
	s->keys[s->n_keys++] = k;
}

static int compare(const Key *a, const Key *b)
{
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return memcmp(a->text, b->text, a->size);
}

static int compare_keys(const void *a, const void *b)
{
	const Key *ka = a, *kb = b;
	int order = compare(ka, kb);
	return order ? order : (ka->at > kb->at) - (ka->at < kb->at);
}

/* The first key of an object, in the text, that stood before. */
static const Key *find_twice(Key *keys, size_t n)
{
	const Key *twice = NULL;
	if (n <= FEW_KEYS) {
		for (size_t i = 1; i < n; i++)
			for (size_t j = 0; j < i; j++)
				if (compare(&keys[i], &keys[j]) == 0)
					return &keys[i];
		return NULL;
	}
	qsort(keys, n, sizeof *keys, compare_keys);
	for (size_t i = 1; i < n; i++)
		if (compare(&keys[i - 1], &keys[i]) == 0 && (!twice || keys[i].at < twice->at))
			twice = &keys[i];
	return twice;
}

static const char *scan_value(Scan *s, const char *p);

static void enter(Scan *s, const char *p)
{
	if (s->depth++ == JSON_DEPTH)
		bad(s, p, "nested deeper than %d levels", JSON_DEPTH);
}

static const char *scan_array(Scan *s, const char *p)
{
	enter(s, p);
	p = json_skip_space(s->t, p + 1);
	if (p < s->end && *p == ']') {
		s->depth--;
		return p + 1;
	}
	for (;;) {
		p = json_skip_space(s->t, scan_value(s, p));
		if (p >= s->end || (*p != ',' && *p != ']'))
			unexpected(s, p, "',' or ']'");
		if (*p == ']')
			break;
		p = json_skip_space(s->t, p + 1);
	}
	s->depth--;
	return p + 1;
}

static const char *scan_member(Scan *s, const char *p)
{
	if (p >= s->end || *p != '"')
		unexpected(s, p, "a key in double quotes");
	const char *end = scan_string(s, p);
	add_key(s, p, end);
	p = json_skip_space(s->t, end);
	if (p >= s->end || *p != ':')
		unexpected(s, p, "':' after a key");
	return json_skip_space(s->t, scan_value(s, json_skip_space(s->t, p + 1)));
}

static const char *scan_object(Scan *s, const char *p)
{
	size_t first_key = s->n_keys;
	enter(s, p);
	p = json_skip_space(s->t, p + 1);
	if (p < s->end && *p == '}') {
		s->depth--;
		return p + 1;
	}
	for (;;) {
		p = scan_member(s, p);
		if (p >= s->end || (*p != ',' && *p != '}'))
			unexpected(s, p, "',' or '}'");
		if (*p == '}')
			break;
		p = json_skip_space(s->t, p + 1);
	}
	const Key *twice = find_twice(s->keys + first_key, s->n_keys - first_key);
	if (twice)
		bad(s, twice->at, "the key '%.*s' stands here for the second time in one object",
		    (int)(twice->size < 100 ? twice->size : 100), twice->text);
	s->n_keys = first_key;
	s->depth--;
	return p + 1;
}

static const char *scan_word(const Scan *s, const char *p, const char *word)
{
	size_t n = strlen(word);
	if ((size_t)(s->end - p) < n || memcmp(p, word, n) != 0 || goes_on(s, p + n))
		unexpected(s, p, "a value (strings stand in double quotes; the words are true, false and null)");
	return p + n;
}

static const char *scan_value(Scan *s, const char *p)
{
	double d;
	size_t word = json_nonfinite(s->t, p, &d);
	if (word && !goes_on(s, p + word))
		return p + word;
	switch (p < s->end ? *p : 0) {
	case '{': return scan_object(s, p);
	case '[': return scan_array(s, p);
	case '"': return scan_string(s, p);
	case 't': return scan_word(s, p, "true");
	case 'f': return scan_word(s, p, "false");
	case 'n': return scan_word(s, p, "null");
	case 'N': case 'I':
		bad(s, p, "NaN and Infinity are not JSON; write the strings \"nan\", \"inf\" or \"-inf\"");
	case '/': case '#':
		bad(s, p, "JSON has no comments");
	case ']': case '}':
		bad(s, p, "wanted a value, found '%c': the comma before it is one too many", *p);
	default:
		if (is_digit(s, p) || (p < s->end && *p == '-'))
			return scan_number(s, p);
		unexpected(s, p, "a value");
	}
}

void json_scan(const JsonText *t)
{
	Scan s = { .t = t, .end = t->end, .scratch = &t->arena->job->scratch };
	if (t->end - t->data >= 3 && memcmp(t->data, "\xef\xbb\xbf", 3) == 0)
		bad(&s, t->data, "a byte order mark; save the file as plain UTF-8");
	const char *p = json_skip_space(t, scan_value(&s, json_skip_space(t, t->data)));
	if (p < t->end)
		unexpected(&s, p, "nothing more after the end of the document");
}
