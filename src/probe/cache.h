/* cache.h - what a context remembers of its packs, and the targets that look at packs.
 *
 *   graft_context ── probe ──> ProbeCache { packs in the order they were added, answers }     behind the context's lock
 *   Target: live (asks the context's cache), or a list of packs of its own (a caps file, children)
 */
#ifndef GRAFT_CACHE_H
#define GRAFT_CACHE_H

#include "../ir/context.h"
#include "judge.h"
#include "probe.h"

struct Target {
	graft_context *ctx;
	const char *arch;
	bool live;
	const Rig *rig;                       /* live: where kernels of a GPU are tested; NULL: they are believed */
	bool tested;                          /* not live: self tests have been run, and count in every answer */
	Pack **packs;                         /* not live: all of them, looked at; never empty */
	size_t n_packs;
};

/* Names of the context's packs, "builtin" when none was added. */
const char **context_packs(graft_context *ctx, size_t *n, Arena *into);

/* Runs the row's self test, on the CPU or on the rig (may be NULL), and fills row->tested (never UNTESTED then) and
 * row->why, which lives in `why`. */
void self_test(Job *job, graft_context *ctx, Row *row, const char *arch, const Rig *rig, Arena *why);

/* The packs as they stand now: a target that nothing changes any more. */
const Target *target_frozen(const Target *t, Arena *into);

/* Reads a list of packs as target_print_caps writes them. `file` stands for the text in messages. */
Target *caps_parse(Job *job, graft_context *ctx, const char *text, size_t size, const char *file, Arena *into);

#endif
