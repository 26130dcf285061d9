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
	const Pass **pass;                    /* in pipeline order; the user's rules stand behind graft's, or where they say */
	Setting *flags;                       /* one per pass; who NULL: nobody asked */
	size_t n_pass, cap_pass, cap_flags;
	const Pass **list;                    /* exactly these, ended by NULL; NULL: the level's pipeline */
	const char *list_who;
	int64_t limit;                        /* negative: none */
	Declared *declared;                   /* of ops that graft does not know, the later one counts */
	size_t n_declared, cap_declared;
	const char *target_path;              /* caps file; NULL: this machine */
	graft_format format;                  /* the graph will be saved in; AUTO: that of its file */
	graft_pass_hook hook;
	void *hook_user;
};

/* The pipeline of a configuration nobody changed lives in `into`. */
void config_start(graft_config *c, graft_context *ctx, Arena *into);
/* In front of another; NULL: at the end. The pass must live as long as the configuration. */
void config_add_pass(graft_config *c, const Pass *pass, const Pass *before);
const Pass *config_first_fusion(const graft_config *c);       /* the first pass that needs a kernel; NULL: none */
void config_declare(graft_config *c, Declared d);             /* d.op is copied */
const Pass *config_pass(const graft_config *c, const char *name, size_t n);   /* NULL: none */

/* For calls that add to a configuration: its failures go to job until the job ends. */
void config_enter(graft_config *c, Job *job);

/* One pass after everything was weighed. */
typedef struct Decision { graft_flag requested; bool wanted; const char *who, *reason; } Decision;
Decision config_decide(const graft_config *c, const Pass *pass, Arena *into);

#endif
