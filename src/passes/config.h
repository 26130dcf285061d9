/* config.h - what a user asked for, flag by flag, and who asked. */
#ifndef GRAFT_CONFIG_H
#define GRAFT_CONFIG_H

#include "pass.h"

typedef struct Setting { graft_flag flag; const char *who; } Setting;

struct graft_config {
	Arena arena;
	graft_context *ctx;
	int level;
	const char *level_who;
	Setting *flags;                       /* n_passes of them; who NULL: nobody asked */
	const Pass **list;                    /* exactly these, ended by NULL; NULL: the level's pipeline */
	const char *list_who;
	int64_t limit;                        /* negative: none */
	const char *target_path;              /* caps file; NULL: this machine */
	graft_pass_hook hook;
	void *hook_user;
};

/* One pass after everything was weighed. */
typedef struct Decision { graft_flag requested; bool wanted; const char *who, *reason; } Decision;
Decision config_decide(const graft_config *c, const Pass *pass, Arena *into);

#endif
