/* fault.c - answers of the HIP runtime in words. */
#include "fault.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int refuse(graft_fault *fault, graft_status status, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(fault->message, sizeof fault->message, fmt, ap);
	va_end(ap);
	return (int)status;
}

static graft_status status_of(hipError_t error)
{
	switch (error) {
	case hipErrorOutOfMemory: return GRAFT_E_NOMEM;
	case hipErrorNoDevice: case hipErrorInvalidDevice: case hipErrorNotInitialized: return GRAFT_E_UNAVAILABLE;
	default: return GRAFT_E_EXEC;
	}
}

/* The error is told here, so the runtime need not remember it for whoever asks next. */
int hip_answer(graft_fault *fault, const char *call, hipError_t error)
{
	if (error == hipSuccess)
		return 0;
	fault->code = (int32_t)error;
	(void)hipGetLastError();
	const char *name = hipGetErrorName(error), *text = hipGetErrorString(error);
	bool twice = !strcmp(name, text);     /* some runtimes have one for both */
	return refuse(fault, status_of(error), "%s gave %s%s%s", call, name, twice ? "" : ": ", twice ? "" : text);
}
