/* profile.h - what `graft run --profile` and --trace make of a plan that was measured. */
#ifndef GRAFT_CLI_PROFILE_H
#define GRAFT_CLI_PROFILE_H

#include "cli.h"

void profile_print(const graft_plan *plan);
graft_status profile_trace(Cli *c, const graft_plan *plan, const char *path);

#endif
