/* plugin.c - the table of libgraft_hip.so: the HIP runtime behind graft_device_v1. */
#include "session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the device -------------------------------------------------------------------------------------------- */

static int attribute(int ordinal, hipDeviceAttribute_t which)
{
	int value = 0;
	if (hipDeviceGetAttribute(&value, which, ordinal) == hipSuccess)
		return value;
	(void)hipGetLastError();
	return 0;
}

static void name_arch(graft_device_info *info, const hipDeviceProp_t *p)
{
#if defined(GRAFT_HIP_AMD)
	snprintf(info->platform, sizeof info->platform, "amd");
	snprintf(info->arch, sizeof info->arch, "%.*s", (int)sizeof info->arch - 1, p->gcnArchName);
#elif defined(GRAFT_HIP_NVIDIA)
	snprintf(info->platform, sizeof info->platform, "nvidia");
	snprintf(info->arch, sizeof info->arch, "sm_%d%d", p->major, p->minor);
#elif defined(GRAFT_HIP_SIM)
	snprintf(info->platform, sizeof info->platform, "sim");
	snprintf(info->arch, sizeof info->arch, "sim%d", p->warpSize);
#else
#error "say which platform this is built for: GRAFT_HIP_AMD, GRAFT_HIP_NVIDIA or GRAFT_HIP_SIM"
#endif
}

static int fill_info(graft_session *s, graft_fault *fault)
{
	hipDeviceProp_t p;
	graft_device_info *info = &s->info;
	int status = HIP(fault, hipGetDeviceProperties, &p, s->ordinal);
	if (status)
		return status;
	snprintf(info->name, sizeof info->name, "%.*s", (int)sizeof info->name - 1, p.name);
	name_arch(info, &p);
	info->ordinal = s->ordinal;
	info->memory = p.totalGlobalMem;
	info->warp = attribute(s->ordinal, hipDeviceAttributeWarpSize);
	info->units = attribute(s->ordinal, hipDeviceAttributeMultiprocessorCount);
	/* kHz, twice a clock, bits */
	info->bandwidth = 2e3 * attribute(s->ordinal, hipDeviceAttributeMemoryClockRate) *
	                  attribute(s->ordinal, hipDeviceAttributeMemoryBusWidth) / 8;
	peak_fill(info, attribute(s->ordinal, hipDeviceAttributeClockRate));
	return 0;
}

/* ---- sessions ---------------------------------------------------------------------------------------------- */

static int count_devices(int ordinal, graft_fault *fault)
{
	int n = 0;
	int status = HIP(fault, hipGetDeviceCount, &n);
	if (status)
		return GRAFT_E_UNAVAILABLE;
	return ordinal >= 0 && ordinal < n ? 0 : refuse(fault, GRAFT_E_UNAVAILABLE, "there is no device %d, HIP has %d",
	                                                ordinal, n);
}

static int begin(graft_session *s, graft_fault *fault)
{
	if (s->depth++)
		return 0;
	int status = HIP(fault, hipGetDevice, &s->before);
	if (!status && s->before != s->ordinal)
		status = HIP(fault, hipSetDevice, s->ordinal);
	s->depth -= status != 0;
	return status;
}

static void end(graft_session *s)
{
	if (--s->depth == 0 && s->before != s->ordinal)
		RELEASE(hipSetDevice, s->before);
}

static int start(graft_session *s, graft_fault *fault)
{
	int status = begin(s, fault);
	if (status)
		return status;
	status = fill_info(s, fault);
	if (!status)
		status = HIP(fault, hipStreamCreateWithFlags, &s->stream, hipStreamNonBlocking);
	end(s);
	return status;
}

static int open_session(int ordinal, graft_session **out, graft_fault *fault)
{
	int status = count_devices(ordinal, fault);
	if (status)
		return status;
	graft_session *s = calloc(1, sizeof *s);
	if (!s)
		return refuse(fault, GRAFT_E_NOMEM, "no memory left for a session");
	s->ordinal = ordinal;
	status = start(s, fault);
	if (status)
		free(s);
	else
		*out = s;
	return status;
}

static void close_session(graft_session *s)
{
	blas_close(s);
	RELEASE(hipStreamDestroy, s->stream);
	free(s);
}

static void info(const graft_session *s, graft_device_info *out)
{
	*out = s->info;
}

static void *stream(const graft_session *s)
{
	return s->stream;
}

/* ---- memory ------------------------------------------------------------------------------------------------ */

static int alloc(graft_session *s, size_t size, void **out, graft_fault *fault)
{
	(void)s;
	return HIP(fault, hipMalloc, out, size);
}

static void release(graft_session *s, void *p)
{
	(void)s;
	RELEASE(hipFree, p);
}

static int alloc_host(graft_session *s, size_t size, void **out, graft_fault *fault)
{
	(void)s;
	return HIP(fault, hipHostMalloc, out, size, hipHostMallocDefault);
}

static void free_host(graft_session *s, void *p)
{
	(void)s;
	RELEASE(hipHostFree, p);
}

static int copy_in(graft_session *s, void *device, const void *host, size_t size, graft_fault *fault)
{
	return HIP(fault, hipMemcpyAsync, device, host, size, hipMemcpyHostToDevice, s->stream);
}

static int copy_out(graft_session *s, void *host, const void *device, size_t size, graft_fault *fault)
{
	return HIP(fault, hipMemcpyAsync, host, device, size, hipMemcpyDeviceToHost, s->stream);
}

static int wait_all(graft_session *s, graft_fault *fault)
{
	return HIP(fault, hipStreamSynchronize, s->stream);
}

static int launched(graft_session *s, graft_fault *fault)
{
	(void)s;
	return hip_answer(fault, "the launch", hipGetLastError());
}

/* ---- events ------------------------------------------------------------------------------------------------ */

static int event_new(graft_session *s, void **out, graft_fault *fault)
{
	hipEvent_t event;
	int status = HIP(fault, hipEventCreate, &event);
	(void)s;
	if (!status)
		*out = event;
	return status;
}

static void event_free(graft_session *s, void *event)
{
	(void)s;
	RELEASE(hipEventDestroy, event);
}

static int event_record(graft_session *s, void *event, graft_fault *fault)
{
	return HIP(fault, hipEventRecord, event, s->stream);
}

static int event_seconds(graft_session *s, void *from, void *to, double *out, graft_fault *fault)
{
	float ms = 0;
	int status = HIP(fault, hipEventElapsedTime, &ms, from, to);
	(void)s;
	*out = ms * 1e-3;
	return status;
}

/* ---- captured graphs --------------------------------------------------------------------------------------- */

/* Only this thread's calls are watched: what others do with the runtime meanwhile is theirs. */
static int capture_begin(graft_session *s, graft_fault *fault)
{
	return HIP(fault, hipStreamBeginCapture, s->stream, hipStreamCaptureModeThreadLocal);
}

static int instantiate(hipGraph_t recorded, void **graph, graft_fault *fault)
{
	hipGraphExec_t made;
	int status = HIP(fault, hipGraphInstantiate, &made, recorded, NULL, NULL, 0);
	if (!status)
		*graph = made;
	return status;
}

static int capture_end(graft_session *s, void **graph, graft_fault *fault)
{
	hipGraph_t recorded = NULL;
	int status = HIP(fault, hipStreamEndCapture, s->stream, &recorded);
	if (!status && graph)
		status = instantiate(recorded, graph, fault);
	if (recorded)
		RELEASE(hipGraphDestroy, recorded);
	return status;
}

static int graph_launch(graft_session *s, void *graph, graft_fault *fault)
{
	return HIP(fault, hipGraphLaunch, graph, s->stream);
}

static void graph_free(graft_session *s, void *graph)
{
	(void)s;
	RELEASE(hipGraphExecDestroy, graph);
}

/* ---- the table --------------------------------------------------------------------------------------------- */

_Static_assert(sizeof(graft_device) == 4 * sizeof(uint32_t) + GRAFT_DEVICE_ENTRIES * sizeof(void (*)(void)),
               "GRAFT_DEVICE_ENTRIES counts the entries");

static const graft_device table = {
	GRAFT_DEVICE_MAGIC, GRAFT_DEVICE_ABI, sizeof(graft_device), GRAFT_DEVICE_ENTRIES,
	open_session, close_session, info, stream, begin, end,
	alloc, release, alloc_host, free_host, copy_in, copy_out, wait_all, launched,
	event_new, event_free, event_record, event_seconds,
	capture_begin, capture_end, graph_launch, graph_free,
	blas_find, blas_gemm,
};

GRAFT_API const graft_device *graft_device_v1(void);
const graft_device *graft_device_v1(void)
{
	return &table;
}
