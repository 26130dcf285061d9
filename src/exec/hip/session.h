/* session.h - one stream of one device, and the BLAS that goes with it. */
#ifndef GRAFT_HIP_SESSION_H
#define GRAFT_HIP_SESSION_H

#include "fault.h"

typedef struct BlasLib BlasLib;
typedef void (*Function)(void);

enum { BLAS_CREATE, BLAS_DESTROY, BLAS_SET_STREAM, BLAS_GEMM, BLAS_FUNCTIONS };

struct graft_session {
	int ordinal, before, depth;           /* before: the thread's device at the first of `depth` begins */
	hipStream_t stream;
	graft_device_info info;
	const BlasLib *blas;                  /* NULL: none, or not looked for yet */
	Function blas_fn[BLAS_FUNCTIONS];
	void *blas_handle;
	bool blas_sought;
	char blas_name[64], blas_why[sizeof ((graft_fault *)0)->message];
};

/* blas.c */
const char *blas_find(graft_session *s, graft_fault *fault);
int blas_gemm(graft_session *s, const graft_gemm *p, graft_fault *fault);
void blas_close(graft_session *s);

/* peak.c: numbers of a device that follow from its architecture and clock. */
void peak_fill(graft_device_info *info, int clock_khz);

#endif
