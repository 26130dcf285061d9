/* pack.h - a kernel pack as far as graft believes it: a checked copy of what a library, or a caps file, says.
 *
 *     NONE ── is there a file? ──> FOUND ── pack_load ──> LOADS ── pack_read ──> ABI: rows can be judged
 *       └──────────────────────────── `reason` says why it went no further
 */
#ifndef GRAFT_PACK_H
#define GRAFT_PACK_H

#include "../ir/arena.h"
#include <graft/plugin.h>

typedef enum Tested { UNTESTED, NO_TEST, PASSED, FAILED } Tested;   /* NO_TEST: there is none for it, it is believed */

/* One kernel. Its strings are copies; launch is NULL when it is not in this process (a caps file, --isolated). */
typedef struct Row {
	graft_kernel kernel;
	Tested tested;
	const char *why;                      /* FAILED: one sentence */
} Row;

typedef struct Pack {
	const char *asked;                    /* as the user named it */
	bool looked;                          /* tier and reason count */
	graft_tier tier;                      /* NONE to ABI */
	const char *reason;                   /* why not ABI; NULL at ABI */
	void *handle;                         /* NULL: not loaded, or not a library */
	const char *name, *version;           /* at ABI */
	Row *rows;
	uint32_t n_rows;
} Pack;

enum {
	MAX_PACK_KERNELS = 4096,
	MAX_PACK_NAME = 128,                  /* bytes of a name or version, NUL included */
	MAX_PACK_TEXT = 4096                  /* bytes of a signature or list of architectures, NUL included */
};

#define BUILTIN "builtin"

/* Where a pack's things live: tables and handles in `kept`, reasons in `why`. */
typedef struct PackHome { Arena *kept, *why; } PackHome;

void pack_load(Pack *p, PackHome home);       /* as far as LOADS */
void pack_read(Pack *p, PackHome home);       /* from LOADS as far as ABI; calls the library's graft_pack_v1 */
void pack_look(Pack *p, PackHome home);       /* all of it, the built-in one included; nothing if it has been done */
void pack_forget(Pack *p);                    /* what may change: a refusal, self tests; what loaded stays */

/* Says why a caps row or table row cannot be believed; NULL: it can. Strings are NUL-terminated here. */
const char *row_trouble(const graft_kernel *k, Arena *why);

#endif
