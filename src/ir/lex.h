/* lex.h - tokens of the notation, for graphs (parse.c) and rewrite rules.
 *
 * One statement a line: the end of a line is a token, a comment (# to the end of the line) and blanks are none. The
 * lexer holds one token of look-ahead, `tok`; a Lexer is plain data, so assigning a copy back goes back to that place.
 */
#ifndef GRAFT_LEX_H
#define GRAFT_LEX_H

#include "arena.h"

typedef enum TokenKind {
	TOK_END,                              /* of the text */
	TOK_LINE,                             /* the end of a line, also of a last one without newline */
	TOK_NAME,                             /* [A-Za-z_][A-Za-z0-9_.]*, parts joined by :: */
	TOK_STRING,                           /* "..." with JSON's escapes; valid UTF-8 without NUL */
	TOK_INT,                              /* exact, with its sign */
	TOK_FLOAT,                            /* has a point, an exponent, or is -inf; inf and nan are names */
	TOK_PUNCT                             /* any other byte, itself in `punct` */
} TokenKind;

typedef struct Token {
	TokenKind kind;
	char punct;                           /* PUNCT; else 0 */
	int line, column;                     /* from 1; columns count bytes */
	const char *at;                       /* as it stands in the text, ... */
	size_t size;                          /* ... this long */
	const char *s;                        /* NAME: at, without NUL; STRING: what it means, with NUL */
	size_t n;                             /* length of s */
	int64_t i;                            /* INT */
	double f;                             /* FLOAT; INT: the nearest double */
} Token;

typedef struct Lexer {
	Token tok;                            /* the token that comes next */
	Job *job;                             /* hears of errors: */
	graft_status status;                  /* with this status, */
	const char *file, *path;              /* in this file (NULL: none), at this path (a rule's name; NULL: none) */
	Arena *arena;                         /* holds what strings mean */
	const char *at, *line_start, *line_end, *end;
	int line;
} Lexer;

enum { LEX_MAX_SIZE = INT32_MAX };            /* longest text in bytes, so that every count in it fits 31 bits */

/* Sets everything and reads the first token. `status` is what lexical errors have: GRAFT_E_SYNTAX, or GRAFT_E_RULE for
 * a rule's text, which is named by `path`. The text must outlive the lexer and its tokens. */
void lex_start(Lexer *l, Job *job, Arena *arena, graft_status status, const char *file, const char *path,
               const char *text, size_t size);

/* The same for a part of a file: `before` lines stand in front of it. */
void lex_start_at(Lexer *l, Job *job, Arena *arena, graft_status status, const char *file, const char *path,
                  const char *text, size_t size, int before);

void lex_next(Lexer *l);                      /* the token after; at TOK_END it stays there */
void lex_seek(Lexer *l, const char *at);      /* goes on at `at`, a place in the line of l->tok */

bool lex_is(const Lexer *l, char punct);
bool lex_is_word(const Lexer *l, const char *word);       /* a bare name, not a string */
bool lex_accept(Lexer *l, char punct);                    /* moves past it when it is there */
void lex_want(Lexer *l, char punct, const char *wanted);  /* moves past it, or fails with lex_fail_wanted */
bool token_is_word(const Token *t, const char *word);

/* "wanted <wanted>, found the name 'x'" at the token that comes next. */
_Noreturn void lex_fail_wanted(const Lexer *l, const char *wanted);

/* Any message, at a token. */
_Noreturn void lex_fail(const Lexer *l, const Token *at, graft_status status, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

size_t text_cut(const char *s, size_t n, size_t max);     /* bytes to show of s: whole characters, at most max bytes */

/* A decimal number without surroundings, in any locale. False: not a number. Too large gives inf. */
bool f64_parse(const char *s, size_t n, double *out);

/* The other way, for printers. */
void name_print(Text *t, const char *s);      /* bare where it can be, else as a string */
void string_print(Text *t, const char *s);    /* "..." */

#endif
