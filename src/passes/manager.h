/* manager.h - a pipeline in the middle of a call, for manager.c and its tests. */
#ifndef GRAFT_MANAGER_H
#define GRAFT_MANAGER_H

#include "report.h"

#define PIPELINE_WHOLE SIZE_MAX

typedef struct Pipeline {
	Graph *g;
	const graft_config *config;
	graft_report *report;                 /* NULL: nobody asks, and no hook is called */
	const struct Target *target;
	const Pass **list;                    /* ended by NULL */
	size_t at, until;                     /* the pass that runs; the one to stop before, or PIPELINE_WHOLE */
	int64_t budget;                       /* rewrites left; negative: no limit */
	Graph *backup;                        /* g before the first change; NULL: nothing has changed */
	struct Tentative *tentative;
	size_t sweep;                         /* dce's result */
	bool swept;                           /* dce has run */
} Pipeline;

void pipeline_run(Pipeline *p, Job *job);

#endif
