/* options.c - takes a command line apart by the table. */
#include "cli.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const OptionRow option_rows[N_OPTIONS] = {
#define OPTION(id, spelling, value, verbs, meaning) { spelling, value, verbs, meaning },
#include "options.def"
#undef OPTION
};

/* Does this word spell the option? *value gets what follows '=' (or, for -O, follows at once), NULL if nothing does. */
static bool spells(const char *word, OptionId id, const char **value)
{
	size_t n = strlen(option_rows[id].spelling);
	if (strncmp(word, option_rows[id].spelling, n))
		return false;
	*value = NULL;
	if (!word[n])
		return true;
	if (id == OPT_level || word[n] == '=')
		*value = word + n + (word[n] == '=');
	return *value != NULL;
}

static OptionId find_option(const char *word, const char **value)
{
	for (OptionId id = 0; id < N_OPTIONS; id++)
		if (spells(word, id, value))
			return id;
	return N_OPTIONS;
}

static bool reject(Cli *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	c->err = (graft_error){ .status = GRAFT_E_USAGE };
	int n = vsnprintf(c->err.message, sizeof c->err.message, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof c->err.message)
		snprintf(c->err.message + n, sizeof c->err.message - (size_t)n, "; see 'graft help%s%s'",
		         *c->verb ? " " : "", c->verb);
	return false;
}

/* One option at argv[*i]; moves *i past a value of its own. */
static bool take_option(Cli *c, int argc, char **argv, int *i, int verb)
{
	const char *value, *word = strcmp(argv[*i], "-h") ? argv[*i] : "--help";
	OptionId id = find_option(word, &value);
	if (id == N_OPTIONS || !(option_rows[id].verbs >> verb & 1))
		return reject(c, "graft %s has no option '%s'", c->verb, word);
	bool wants = option_rows[id].value && *option_rows[id].value != '[';
	if (wants && !value) {
		if (*i + 1 >= argc)
			return reject(c, "%s needs a value, %s", word, option_rows[id].value);
		value = argv[++*i];
	}
	if (!option_rows[id].value && value)
		return reject(c, "%s takes no value, found '%s'", option_rows[id].spelling, value);
	c->given[c->n_given++] = (Given){ id, value };
	return true;
}

bool cli_parse(Cli *c, int argc, char **argv, int verb)
{
	bool only_files = false;
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		if (!only_files && !strcmp(word, "--"))
			only_files = true;
		else if (only_files || word[0] != '-' || !word[1])
			c->files[c->n_files++] = word;
		else if (!take_option(c, argc, argv, &i, verb))
			return false;
	}
	return true;
}

bool cli_has(const Cli *c, OptionId id)
{
	for (int i = 0; i < c->n_given; i++)
		if (c->given[i].id == id)
			return true;
	return false;
}

const char *cli_nth(const Cli *c, OptionId id, int n)
{
	for (int i = 0; i < c->n_given; i++)
		if (c->given[i].id == id && n-- == 0)
			return c->given[i].value;
	return NULL;
}

const char *cli_value(const Cli *c, OptionId id)
{
	const char *value = NULL;
	for (int i = 0; i < c->n_given; i++)
		if (c->given[i].id == id)
			value = c->given[i].value;
	return value;
}

bool cli_number(Cli *c, OptionId id, int64_t min, int64_t max, int64_t otherwise, int64_t *out)
{
	const char *value = cli_value(c, id);
	*out = otherwise;
	if (!value)
		return true;
	char *end;
	errno = 0;
	long long n = strtoll(value, &end, 10);
	if (!*value || *end || errno || n < min || n > max)
		return reject(c, "%s wants a whole number from %lld to %lld, found '%s'", option_rows[id].spelling,
		              (long long)min, (long long)max, value);
	*out = n;
	return true;
}

/* The control character that begins here, of how many bytes; 0: none. */
static unsigned control_at(const unsigned char *s, size_t *n)
{
	bool two = s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0;
	*n = two ? 2 : 1;
	return two ? s[1] : s[0] < 0x20 || s[0] == 0x7f ? s[0] : 0;
}

static void put_plain(FILE *to, const char *s)
{
	for (size_t n; *s; s += n) {
		unsigned c = control_at((const unsigned char *)s, &n);
		if (c)
			fprintf(to, "\\u%04x", c);
		else
			putc(*s, to);
	}
}

static void say(FILE *to, const char *before, const char *fmt, va_list ap)
{
	char *text;
	fputs(before, to);
	if (vasprintf(&text, fmt, ap) >= 0) {
		put_plain(to, text);
		free(text);
	} else {
		put_plain(to, fmt);
	}
	putc('\n', to);
}

void cli_say(FILE *to, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(to, "", fmt, ap);
	va_end(ap);
}

int cli_fail(Cli *c)
{
	char text[2048];
	graft_error_print(&c->err, text, sizeof text);
	fflush(stdout);
	cli_say(stderr, "error: %s", text);
	return graft_status_exit_code(c->err.status);
}

int cli_usage(Cli *c, const char *fmt, ...)
{
	char what[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	reject(c, "%s", what);
	return cli_fail(c);
}

void cli_note(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fflush(stdout);
	say(stderr, "note: ", fmt, ap);
	va_end(ap);
}
