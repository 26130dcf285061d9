/* report.h - the report while graft_optimize fills it. */
#ifndef GRAFT_REPORT_H
#define GRAFT_REPORT_H

#include "config.h"

struct graft_report {
	Arena arena;
	graft_pass_result *result;
	graft_refusal *refusal;
	size_t n_results, cap_results, n_refusals, cap_refusals;
};

graft_report *report_new(Job *job, graft_context *ctx);
graft_pass_result *report_pass(graft_report *r, const Pass *pass, Decision d);    /* valid until the next one */
void report_refusal(graft_report *r, const char *pass, const char *node, const char *code, const char *message);

#endif
