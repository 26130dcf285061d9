/* json.h - strict JSON, in memory that does not grow with the document.
 *
 *   text ──json_check──> closed Json ──json_walk──> closed Json, one element or member after the other
 *                            └──────json_open─────> open Json: a cJSON tree of that value alone
 *
 * The text is checked whole before anything looks into it, so what follows cannot be malformed: RFC 8259 grammar,
 * UTF-8, surrogate pairs, no NUL and no raw control characters in strings, no number longer than JSON_NUMBER_MAX or
 * beyond a double, no nesting beyond JSON_DEPTH, no key twice in an object, nothing after the end. cJSON then builds
 * only the value that is opened; each item remembers its place in the text (in `valuedouble`), where numbers are read
 * from exactly and which errors turn into line, column and path.
 *
 * The text must live as long as anything made from it. A closed Json has only a kind, a place, json_walk and json_open.
 */
#ifndef GRAFT_JSON_H
#define GRAFT_JSON_H

#include "../ir/arena.h"

enum { JSON_DEPTH = 128, JSON_NUMBER_MAX = 63 };      /* cJSON cuts longer numbers */

typedef struct JsonText {
	Arena *arena;                         /* whose job hears of errors */
	const char *data, *end;
	const char *file;                     /* for messages */
	graft_status wrong;                   /* what an accessor fails with: GRAFT_E_GRAPH, GRAFT_E_CONFIG, ... */
	bool python;                          /* Infinity, -Infinity and NaN are floats, as Python's json writes them */
} JsonText;

/* A value by its place. item NULL: closed; at NULL: not there (what json_get answers). Passed by value. */
typedef struct Json { const JsonText *text; const char *at; const struct cJSON *item; } Json;

typedef enum JsonKind { JSON_NULL, JSON_BOOL, JSON_INT, JSON_FLOAT, JSON_STRING, JSON_ARRAY, JSON_OBJECT } JsonKind;

/* Checks a text; what comes back is closed. Fails with GRAFT_E_SYNTAX. */
Json json_check(Arena *a, const char *text, size_t size, const char *file, graft_status wrong);
Json json_open(Arena *a, Json v);             /* the tree lives as long as the arena */
/* Both, for texts that are small. */
Json json_parse(Arena *a, const char *text, size_t size, const char *file, graft_status wrong);

/* Elements of an array or members of an object one by one; what json_walk_open opened is released by the next step. */
typedef struct JsonWalk {
	Json here;                            /* closed */
	const char *key;                      /* of a member, NUL-terminated; NULL in an array */
	const char *next;                     /* behind `here`; NULL: not known yet */
	char close;
	struct cJSON *tree, *name;
} JsonWalk;
JsonWalk *json_walk(Arena *a, Json container, JsonKind kind);     /* fails when it is of another kind */
bool json_step(JsonWalk *w);                  /* false: no more */
Json json_walk_open(JsonWalk *w);

/* Closed values read in place, without a tree: for large documents of which little is looked at. `for (JsonList l =
 * json_list(v, JSON_ARRAY); json_more(&l);)` looks at l.here. Keys are compared as they stand, so one that is written
 * with escapes is another key. */
/* `next`: behind l.here, when that is known; at the end of the container, its closing bracket. */
typedef struct JsonList { Json here; const char *next, *key; size_t key_size; char close; } JsonList;
JsonList json_list(Json container, JsonKind kind);    /* fails when it is of another kind */
bool json_more(JsonList *l);
bool json_key_is(const JsonList *l, const char *key);
Json json_member(Json object, const char *key);       /* not there: json_there is false */
Json json_member_need(Json object, const char *key);
/* what it means; in place (without NUL) when it has no escapes */
const char *json_text(Arena *a, Json string, size_t *n);

JsonKind json_kind(Json v);
const char *json_kind_name(JsonKind kind);    /* "an integer" */
static inline bool json_there(Json v) { return v.at; }

/* Open values. `for (Json e = json_first(v, JSON_ARRAY); json_there(e); e = json_next(e))` */
Json json_first(Json container, JsonKind kind);       /* fails when it is of another kind */
Json json_next(Json v);
size_t json_count(Json container);
const char *json_key(Json member);
Json json_get(Json object, const char *key);          /* exact; not there: json_there is false */
Json json_need(Json object, const char *key);         /* fails when not there */
void json_keys(Json object, const char *const *keys, size_t n);   /* refuses any other key and lists these */

bool json_bool(Json v);
int64_t json_int(Json v, int64_t min, int64_t max);   /* exact; written without '.' and 'e' */
double json_f64(Json v);                              /* any number, correctly rounded */
const char *json_string(Json v);                      /* NUL-terminated; lives as long as the tree */
int json_word(Json v, const char *const *words, size_t n);   /* which of the words a string is; lists them if none */

/* Errors at a place. json_fail_key: at the key of a member. */
_Noreturn void json_fail(Json v, graft_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void json_fail_key(Json member, graft_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* There is no such key, there are these. */
_Noreturn void json_fail_keys(Json member, const char *key, const char *const *keys, size_t n);

/* Line and column (in bytes, from 1) and path ("$.nodes[3].attrs.eps") of a place; of the key of a member if of_key. */
typedef struct JsonPlace { int line, column; const char *path; } JsonPlace;
JsonPlace json_place(const JsonText *t, const char *at, bool of_key, Arena *into);

/* Parts shared by json*.c: places after a token of checked text. */
const char *json_skip_space(const JsonText *t, const char *p);
const char *json_skip_string(const char *p);          /* p at the opening quote */
const char *json_skip_value(const JsonText *t, const char *p);
size_t json_nonfinite(const JsonText *t, const char *p, double *out);     /* the size of such a word at p; 0: none */
void json_scan(const JsonText *t);                    /* the check itself */

/* Printing. */
void json_put_string(Text *t, const char *s);         /* quoted, escaped; UTF-8 stays as it is */
void json_put_int(Text *t, int64_t v);

#endif
