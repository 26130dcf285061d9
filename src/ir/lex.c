/* lex.c - tokens of the notation; see lex.h. */
#include "lex.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 400 };                    /* characters; the longest exact double has fewer than this that matter */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool starts_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool in_name(char c) { return starts_name(c) || is_digit(c) || c == '.'; }

/* ---- errors ---- */

size_t text_cut(const char *s, size_t n, size_t max)
{
	if (n <= max)
		return n;
	while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
		max--;
	return max;
}

enum { TOKEN_DESCRIBED = 80 };

/* "the name 'x'", "the end of the line" */
static const char *token_describe(const Token *t, char buf[TOKEN_DESCRIBED])
{
	static const char *const what[] = {
		[TOK_END] = "the end of the text", [TOK_LINE] = "the end of the line", [TOK_NAME] = "the name",
		[TOK_STRING] = "the string", [TOK_INT] = "the number", [TOK_FLOAT] = "the number",
		[TOK_PUNCT] = "the byte",
	};
	const char *quote = t->kind == TOK_NAME ? "'" : "";
	int n = (int)text_cut(t->at, t->size, 40);
	if (t->kind == TOK_END || t->kind == TOK_LINE)
		snprintf(buf, TOKEN_DESCRIBED, "%s", what[t->kind]);
	else if (t->kind == TOK_PUNCT && (t->punct <= ' ' || t->punct > '~'))
		snprintf(buf, TOKEN_DESCRIBED, "the byte 0x%02x", (unsigned)(unsigned char)t->punct);
	else if (t->kind == TOK_PUNCT)
		snprintf(buf, TOKEN_DESCRIBED, "'%c'", t->punct);
	else
		snprintf(buf, TOKEN_DESCRIBED, "%s %s%.*s%s%s", what[t->kind], quote, n, t->at,
		         (size_t)n < t->size ? "..." : "", quote);
	return buf;
}

_Noreturn void lex_fail(const Lexer *l, const Token *at, graft_status status, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *message = arena_vprintf(&l->job->scratch, fmt, ap);
	va_end(ap);
	fail_in(l->job, status, l->file, at->line, at->column, l->path, "%s", message);
}

_Noreturn void lex_fail_wanted(const Lexer *l, const char *wanted)
{
	char found[TOKEN_DESCRIBED];
	lex_fail(l, &l->tok, l->status, "wanted %s, found %s", wanted, token_describe(&l->tok, found));
}

/* Fails inside a token, at p. */
_Noreturn static void fail_byte(const Lexer *l, const char *p, const char *message)
{
	fail_in(l->job, l->status, l->file, l->line, (int)(p - l->line_start) + 1, l->path, "%s", message);
}

/* ---- numbers ---- */

static const char *skip_digits(const char *s, const char *end)
{
	while (s < end && is_digit(*s))
		s++;
	return s;
}

/* The value of an exponent's text; far outside what a double knows, any number will do. */
static long exponent_of(const char *s, const char *end)
{
	bool negative = s < end && *s == '-';
	long e = 0;
	for (s += s < end && (*s == '-' || *s == '+'); s < end && e < 100000; s++)
		e = e * 10 + (*s - '0');
	return negative ? -e : e;
}

/* strtod reads the locale's decimal point, so it is given none: 1.5e-3 goes in as 15e-4. */
bool f64_parse(const char *s, size_t n, double *out)
{
	char buf[NUMBER_MAX + 16];
	const char *end = s + n, *p = s + (n > 0 && *s == '-');
	const char *whole = p, *point = skip_digits(p, end);
	const char *last = point < end && *point == '.' ? skip_digits(point + 1, end) : point;
	const char *exp = last < end && (*last == 'e' || *last == 'E') ? last + 1 : NULL;
	const char *exp_digits = exp ? exp + (exp < end && (*exp == '-' || *exp == '+')) : NULL;
	long fraction = last > point ? (long)(last - point) - 1 : 0;
	size_t used = 0;

	if (n > NUMBER_MAX || point == whole || (last > point && fraction == 0))
		return false;
	if (exp ? exp_digits == end || skip_digits(exp_digits, end) != end : last != end)
		return false;
	for (p = s; p < last; p++)
		if (*p != '.')
			buf[used++] = *p;
	snprintf(buf + used, sizeof buf - used, "e%ld", (exp ? exponent_of(exp, end) : 0) - fraction);
	*out = strtod(buf, NULL);
	return true;
}

/* Exact, or false when it leaves int64. */
static bool int_parse(const char *s, size_t n, int64_t *out)
{
	bool negative = *s == '-';
	uint64_t limit = (uint64_t)INT64_MAX + negative, v = 0;
	for (size_t i = negative; i < n; i++) {
		uint64_t digit = (uint64_t)(s[i] - '0');
		if (v > (limit - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = negative ? (v > INT64_MAX ? INT64_MIN : -(int64_t)v) : (int64_t)v;
	return true;
}

static void lex_number(Lexer *l)
{
	Token *t = &l->tok;
	const char *first = l->at + (*l->at == '-'), *p = first;
	while (p < l->line_end && (in_name(*p) || ((*p == '-' || *p == '+') && (p[-1] == 'e' || p[-1] == 'E'))))
		p++;
	t->size = (size_t)(p - l->at);
	t->kind = skip_digits(first, p) == p ? TOK_INT : TOK_FLOAT;
	if (t->size > NUMBER_MAX)
		fail_byte(l, t->at, "a number is longer than 400 characters");
	if (t->kind == TOK_FLOAT && !f64_parse(t->at, t->size, &t->f))
		lex_fail(l, t, l->status, "'%.*s' is not a number: write 12, -3, 0.5 or 1e-06",
		         (int)text_cut(t->at, t->size, 40), t->at);
	if (*first == '0' && p > first + 1 && is_digit(first[1]))
		fail_byte(l, t->at, "a number may not start with 0");
	if (t->kind == TOK_INT && !int_parse(t->at, t->size, &t->i))
		lex_fail(l, t, l->status, "the integer %.*s does not fit 64 bits", (int)text_cut(t->at, t->size, 40),
		         t->at);
	if (t->kind == TOK_INT)
		t->f = (double)t->i;
	else if (isinf(t->f))
		lex_fail(l, t, l->status, "the number %.*s is too large for float64; write inf if infinity is meant",
		         (int)text_cut(t->at, t->size, 40), t->at);
}

/* ---- strings ---- */

/* Bytes of the UTF-8 character at s; 0 when it is not one. */
static size_t utf8_size(const char *s, const char *end)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t n = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : u[0] < 0xf5 ? 4 : 0;
	if (n > (size_t)(end - s))
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) || (u[0] == 0xf0 && u[1] < 0x90) ||
	    (u[0] == 0xf4 && u[1] > 0x8f))
		return 0;
	return n;
}

static char *utf8_put(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const unsigned char lead[] = { 0, 0xc0, 0xe0, 0xf0 };
	*out++ = (char)(lead[more] | c >> (6 * more));
	while (more-- > 0)
		*out++ = (char)(0x80 | (c >> (6 * more) & 0x3f));
	return out;
}

/* The four hexadecimal digits at s; -1 when they are not. */
static int32_t hex4(const char *s, const char *end)
{
	int32_t v = 0;
	if (end - s < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = s[i];
		int digit = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (digit < 0)
			return -1;
		v = v * 16 + digit;
	}
	return v;
}

/* \uXXXX at *s (which points behind the u), two of them for a character beyond 16 bits. */
static char *unescape_unicode(const Lexer *l, const char **s, char *out)
{
	const char *p = *s;
	int32_t c = hex4(p, l->line_end), low;
	if (c < 0)
		fail_byte(l, p - 2, "\\u wants four hexadecimal digits");
	p += 4;
	if (c >= 0xd800 && c < 0xdc00) {
		low = l->line_end - p > 2 && p[0] == '\\' && p[1] == 'u' ? hex4(p + 2, l->line_end) : -1;
		if (low < 0xdc00 || low > 0xdfff)
			fail_byte(l, p - 6, "the first half of a surrogate pair stands alone");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		p += 6;
	} else if (c >= 0xdc00 && c < 0xe000) {
		fail_byte(l, p - 6, "the second half of a surrogate pair stands alone");
	} else if (c == 0) {
		fail_byte(l, p - 6, "a string cannot hold the character \\u0000");
	}
	*s = p;
	return utf8_put(out, (uint32_t)c);
}

static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";        /* letter, meaning */

static char *unescape(const Lexer *l, const char **s, char *out)
{
	const char *p = *s + 1;
	char c = p < l->line_end ? *p : 0;
	if (c == 'u') {
		p++;
		out = unescape_unicode(l, &p, out);
		*s = p;
		return out;
	}
	for (const char *e = escapes; *e; e += 2) {
		if (*e == c) {
			*out++ = e[1];
			*s = p + 1;
			return out;
		}
	}
	fail_byte(l, *s, "no escape begins like this; there are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
}

/* The quote that ends the string, so that what it means can have its room at once. */
static const char *string_end(const Lexer *l)
{
	const char *p = l->at + 1;
	while (p < l->line_end && *p != '"')
		p += *p == '\\' && p + 1 < l->line_end ? 2 : 1;
	if (p >= l->line_end)
		fail_byte(l, l->at, "a string is not closed at the end of its line");
	return p;
}

static void lex_string(Lexer *l)
{
	const char *close = string_end(l), *p = l->at + 1;
	char *out = arena_alloc(l->arena, (size_t)(close - p) + 1);
	l->tok.kind = TOK_STRING;
	l->tok.size = (size_t)(close + 1 - l->at);
	l->tok.s = out;
	while (p < close) {
		size_t n = utf8_size(p, close);
		if (n == 0)
			fail_byte(l, p, "a string is not valid UTF-8");
		if ((unsigned char)*p < 0x20)
			fail_byte(l, p, "a control character in a string must be written as \\uXXXX");
		if (*p == '\\') {
			out = unescape(l, &p, out);
			continue;
		}
		memcpy(out, p, n);
		out += n;
		p += n;
	}
	*out = '\0';
	l->tok.n = (size_t)(out - l->tok.s);
}

/* ---- tokens ---- */

static const char *name_end(const char *s, const char *end)
{
	while (s < end && (in_name(*s) || (end - s > 2 && s[0] == ':' && s[1] == ':' && starts_name(s[2]))))
		s += *s == ':' ? 2 : 1;
	return s;
}

static void find_line_end(Lexer *l)
{
	const char *newline = memchr(l->at, '\n', (size_t)(l->end - l->at));
	l->line_start = l->at;
	l->line_end = newline ? newline : l->end;
}

static void skip_blanks(Lexer *l)
{
	while (l->at < l->line_end && (*l->at == ' ' || *l->at == '\t' || *l->at == '\r'))
		l->at++;
	if (l->at < l->line_end && *l->at == '#')
		l->at = l->line_end;
}

static void lex_name(Lexer *l)
{
	l->tok.kind = TOK_NAME;
	l->tok.size = l->tok.n = (size_t)(name_end(l->at, l->line_end) - l->at);
	l->tok.s = l->at;
}

static bool at_minus_inf(const Lexer *l)
{
	size_t left = (size_t)(l->line_end - l->at);
	return left >= 4 && memcmp(l->at, "-inf", 4) == 0 && (left == 4 || !in_name(l->at[4]));
}

static void lex_token(Lexer *l)
{
	Token *t = &l->tok;
	char c = *l->at, next = l->at + 1 < l->line_end ? l->at[1] : 0;
	if (starts_name(c)) {
		lex_name(l);
	} else if (is_digit(c) || (c == '-' && is_digit(next))) {
		lex_number(l);
	} else if (c == '"') {
		lex_string(l);
	} else if (c == '-' && at_minus_inf(l)) {
		t->kind = TOK_FLOAT;
		t->f = -INFINITY;
		t->size = 4;
	} else {
		t->kind = TOK_PUNCT;
		t->punct = c;
		t->size = 1;
	}
	l->at += t->size;
}

void lex_next(Lexer *l)
{
	bool line_ended = l->tok.kind == TOK_LINE;
	if (l->tok.kind == TOK_END && l->tok.line)
		return;
	if (line_ended && l->line_end < l->end) {
		l->at = l->line_end + 1;
		l->line++;
		find_line_end(l);
		line_ended = false;
	}
	skip_blanks(l);
	l->tok = (Token){ .line = l->line, .column = (int)(l->at - l->line_start) + 1, .at = l->at };
	if (l->at < l->line_end)
		lex_token(l);
	else
		l->tok.kind = line_ended ? TOK_END : TOK_LINE;
}

void lex_seek(Lexer *l, const char *at)
{
	l->at = at;
	l->tok.kind = TOK_PUNCT;
	lex_next(l);
}

void lex_start(Lexer *l, Job *job, Arena *arena, graft_status status, const char *file, const char *path,
               const char *text, size_t size)
{
	lex_start_at(l, job, arena, status, file, path, text, size, 0);
}

void lex_start_at(Lexer *l, Job *job, Arena *arena, graft_status status, const char *file, const char *path,
                  const char *text, size_t size, int before)
{
	*l = (Lexer){ .job = job, .arena = arena, .status = status, .file = file, .path = path, .line = 1 + before,
	              .at = text, .end = text + size };
	if (size > LEX_MAX_SIZE)
		fail_in(job, status, file, 0, 0, path, "the text has %zu bytes, more than the limit of 2 GiB", size);
	find_line_end(l);
	lex_next(l);
}

bool token_is_word(const Token *t, const char *word)
{
	return t->kind == TOK_NAME && t->n == strlen(word) && memcmp(t->s, word, t->n) == 0;
}

bool lex_is(const Lexer *l, char punct) { return l->tok.kind == TOK_PUNCT && l->tok.punct == punct; }

bool lex_is_word(const Lexer *l, const char *word) { return token_is_word(&l->tok, word); }

bool lex_accept(Lexer *l, char punct)
{
	bool there = lex_is(l, punct);
	if (there)
		lex_next(l);
	return there;
}

void lex_want(Lexer *l, char punct, const char *wanted)
{
	if (!lex_accept(l, punct))
		lex_fail_wanted(l, wanted);
}

/* ---- printing ---- */

/* TOK_NAME as a whole, and not true, false, inf, nan or none. */
static bool name_is_bare(const char *s)
{
	static const char *const literals[] = { "true", "false", "inf", "nan", "none" };
	for (size_t i = 0; i < sizeof literals / sizeof *literals; i++)
		if (strcmp(s, literals[i]) == 0)
			return false;
	return starts_name(*s) && *name_end(s, s + strlen(s)) == '\0';
}

void name_print(Text *t, const char *s)
{
	if (name_is_bare(s))
		text_puts(t, s);
	else
		string_print(t, s);
}

/* U+0080 to U+009F: terminals take them for control characters too. */
static bool is_c1(const char *s)
{
	return (unsigned char)s[0] == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] < 0xa0;
}

static void escape_print(Text *t, char c)
{
	for (const char *e = escapes; *e; e += 2) {
		if (e[1] == c) {
			text_add(t, (char[]){ '\\', *e }, 2);
			return;
		}
	}
	text_printf(t, "\\u%04x", (unsigned)(unsigned char)c);
}

void string_print(Text *t, const char *s)
{
	text_puts(t, "\"");
	while (*s) {
		const char *plain = s;
		while ((unsigned char)*s >= 0x20 && *s != '"' && *s != '\\' && *s != 0x7f && !is_c1(s))
			s++;
		text_add(t, plain, (size_t)(s - plain));
		s += is_c1(s);
		if (*s)
			escape_print(t, *s++);
	}
	text_puts(t, "\"");
}
