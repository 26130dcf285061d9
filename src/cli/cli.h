/* cli.h - what the verbs share: the command line taken apart, one context, errors and notes.
 *
 * A verb is a row of verbs.def and a function verb_<name>(Cli *) that returns an exit code. An option is a row of
 * options.def. Results go to stdout, everything else to stderr.
 */
#ifndef GRAFT_CLI_H
#define GRAFT_CLI_H

#include "../ir/graph.h"
#include <stdio.h>

enum {
#define VERB(name, ...) V_##name##_BIT,
#include "verbs.def"
#undef VERB
};

enum {
#define VERB(name, ...) V_##name = 1 << V_##name##_BIT,
#include "verbs.def"
#undef VERB
};

typedef enum OptionId {
#define OPTION(id, ...) OPT_##id,
#include "options.def"
#undef OPTION
	N_OPTIONS
} OptionId;

typedef struct OptionRow { const char *spelling, *value; unsigned verbs; const char *meaning; } OptionRow;
extern const OptionRow option_rows[N_OPTIONS];

/* value NULL: a switch, or an optional value left out */
typedef struct Given { OptionId id; const char *value; } Given;

typedef struct Progress Progress;

typedef struct Cli {
	const char *verb;
	const char **files;
	int n_files;
	Given *given;                         /* in the order of the command line */
	int n_given;
	graft_context *ctx;
	graft_error err;
	Progress *progress;                   /* NULL: no line is shown */
} Cli;

#define VERB(name, ...) int verb_##name(Cli *c);
#include "verbs.def"
#undef VERB

/* The command line. cli_parse fills files and given from the words behind the verb; false: c->err says what is
 * wrong. */
bool cli_parse(Cli *c, int argc, char **argv, int verb);
bool cli_has(const Cli *c, OptionId id);
const char *cli_value(const Cli *c, OptionId id);            /* the last one given; NULL: none, or without a value */
/* The i-th value of an option that may be repeated, from 0; NULL past the end. */
const char *cli_nth(const Cli *c, OptionId id, int i);
/* A whole number in [min, max]; `otherwise` when the option is not given. Fills c->err and returns false when it is no
 * such number. */
bool cli_number(Cli *c, OptionId id, int64_t min, int64_t max, int64_t otherwise, int64_t *out);

/* Prints c->err as `error: ...` and returns its exit code. */
int cli_fail(Cli *c);
/* Fills c->err with GRAFT_E_USAGE, points at help, prints it, returns 2. */
int cli_usage(Cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* One line. Names are anybody's: control characters are written as \uXXXX, so that none reaches a terminal. */
void cli_say(FILE *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

bool cli_write(void *file, const char *text, size_t size);   /* a graft_write_fn to a FILE */

/* Around work that may take over a second: a line on standard error, only when that is a terminal, gone at the end. */
void progress_start(Cli *c, const char *doing, const char *what);
/* Now it does this. */
void progress_say(Cli *c, const char *doing, const char *what);
void progress_end(Cli *c);

graft_status cli_load(Cli *c, const char *path, graft_graph **out);
/* Writes a graph to a file, or prints it when out is NULL. */
graft_status cli_save(Cli *c, graft_graph *g, const char *out, graft_format format);

/* Adds --kernels packs to the context. */
graft_status cli_kernels(Cli *c);
/* A format by name ("text", "json", ...); NULL: otherwise. */
graft_status cli_format(Cli *c, const char *name, graft_format otherwise, graft_format *out);
/* A configuration: --rules and --config files first, then -O, --enable, --disable, --passes, --target as they stand. */
graft_status cli_config(Cli *c, graft_config **out);
/* --rtol or --atol; -1 when it is not given. Fills c->err and returns false when it is no such number. */
bool cli_tolerance(Cli *c, OptionId id, double *out);
/* --random, --bind, --threads, --strict; bind must have room for every option given plus one. */
graft_status cli_plan_options(Cli *c, const char **bind, graft_plan_options *out);
/* --compare: prints how far each output is from what the file says; GRAFT_E_DIFFERS when one is too far. */
graft_status cli_compare(Cli *c, const graft_tensors *outputs);
/* All --inputs files together. */
graft_status cli_inputs(Cli *c, graft_tensors **out);
/* Prints refusals of one pass, or of all (pass NULL), as notes. */
void cli_explain(const graft_report *r, const char *pass);
/* Notes for passes that were wanted and could not run. */
void cli_unavailable(const graft_report *r);

#endif
