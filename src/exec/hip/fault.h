/* fault.h - what the HIP runtime answers, as a graft_status and a sentence. */
#ifndef GRAFT_HIP_FAULT_H
#define GRAFT_HIP_FAULT_H

#include <graft/plugin.h>
#include <hip/hip_runtime_api.h>

/* HIP(fault, hipMalloc, &p, size): makes the call; 0, or a status and what it answered. */
#define HIP(fault, call, ...) hip_answer(fault, #call, call(__VA_ARGS__))
int hip_answer(graft_fault *fault, const char *call, hipError_t error);

/* For calls that give something back: nobody can do anything about an answer, and nobody must find it later. */
#define RELEASE(call, ...) hip_released(call(__VA_ARGS__))
static inline void hip_released(hipError_t error)
{
	if (error != hipSuccess)
		(void)hipGetLastError();
}

/* A refusal of the plugin's own. */
int refuse(graft_fault *fault, graft_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
