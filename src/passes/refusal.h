/* refusal.h - every code a refusal may have: the rows of refusals.def. */
#ifndef GRAFT_REFUSAL_H
#define GRAFT_REFUSAL_H

#include <stddef.h>

typedef struct RefusalCode { const char *code, *meaning; } RefusalCode;

extern const RefusalCode refusal_codes[];
extern const size_t n_refusal_codes;

#endif
