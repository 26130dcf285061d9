/* hip_runtime_api.h - the part of the HIP runtime API that hipsim has, for C and C++.
 *
 * Names, numbers and argument lists are HIP's, so a host that compiles against this compiles against ROCm too.
 * What each call does here, and where it is stricter than a GPU, is told in hipsim.h.
 */
#ifndef HIPSIM_HIP_RUNTIME_API_H
#define HIPSIM_HIP_RUNTIME_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HIPSIM_API __attribute__((visibility("default")))

#define HIPSIM_ERROR_MAP(X)                                                                                          \
	X(hipSuccess, 0, "no error")                                                                                 \
	X(hipErrorInvalidValue, 1, "invalid argument")                                                               \
	X(hipErrorOutOfMemory, 2, "out of memory")                                                                   \
	X(hipErrorNotInitialized, 3, "initialization error")                                                         \
	X(hipErrorInvalidConfiguration, 9, "invalid configuration argument")                                         \
	X(hipErrorInvalidDevicePointer, 17, "invalid device pointer")                                                \
	X(hipErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy")                                   \
	X(hipErrorInvalidDeviceFunction, 98, "invalid device function")                                              \
	X(hipErrorNoDevice, 100, "no ROCm-capable device is detected")                                               \
	X(hipErrorInvalidDevice, 101, "invalid device ordinal")                                                      \
	X(hipErrorInvalidImage, 200, "device kernel image is invalid")                                               \
	X(hipErrorFileNotFound, 301, "file not found")                                                               \
	X(hipErrorInvalidHandle, 400, "invalid resource handle")                                                     \
	X(hipErrorIllegalState, 401, "the operation cannot be performed in the present state")                       \
	X(hipErrorNotFound, 500, "named symbol not found")                                                           \
	X(hipErrorNotReady, 600, "device not ready")                                                                 \
	X(hipErrorIllegalAddress, 700, "an illegal memory access was encountered")                                   \
	X(hipErrorLaunchFailure, 719, "unspecified launch failure")                                                  \
	X(hipErrorNotSupported, 801, "operation not supported")                                                      \
	X(hipErrorStreamCaptureUnsupported, 900, "operation not permitted when stream is capturing")                 \
	X(hipErrorStreamCaptureInvalidated, 901, "operation failed due to a previous error during capture")          \
	X(hipErrorStreamCaptureMerge, 902, "operation would result in a merge of separate capture sequences")        \
	X(hipErrorStreamCaptureUnmatched, 903, "capture was not ended in the same stream as it began")               \
	X(hipErrorStreamCaptureUnjoined, 904, "capturing stream has unjoined work")                                  \
	X(hipErrorStreamCaptureIsolation, 905, "dependency created on uncaptured work in another stream")            \
	X(hipErrorStreamCaptureImplicit, 906, "operation would make the legacy stream depend on a capturing stream") \
	X(hipErrorCapturedEvent, 907, "operation not permitted on an event last recorded in a capturing stream")     \
	X(hipErrorStreamCaptureWrongThread, 908,                                                                     \
	  "attempt to end a capture in a thread other than the one it began in")                                     \
	X(hipErrorUnknown, 999, "unknown error")

typedef enum hipError_t {
#define X(name, number, text) name = number,
	HIPSIM_ERROR_MAP(X)
#undef X
} hipError_t;

typedef struct ihipStream_t *hipStream_t;
typedef struct ihipEvent_t *hipEvent_t;
typedef struct ihipGraph *hipGraph_t;
typedef struct hipGraphExec *hipGraphExec_t;
typedef struct hipGraphNode *hipGraphNode_t;
typedef int hipDevice_t;

typedef struct dim3 {
	uint32_t x, y, z;
#ifdef __cplusplus
	constexpr dim3(uint32_t x_ = 1, uint32_t y_ = 1, uint32_t z_ = 1) : x(x_), y(y_), z(z_) {}
#endif
} dim3;

typedef enum hipMemcpyKind {
	hipMemcpyHostToHost, hipMemcpyHostToDevice, hipMemcpyDeviceToHost, hipMemcpyDeviceToDevice, hipMemcpyDefault
} hipMemcpyKind;

typedef enum hipStreamCaptureMode {
	hipStreamCaptureModeGlobal, hipStreamCaptureModeThreadLocal, hipStreamCaptureModeRelaxed
} hipStreamCaptureMode;

typedef enum hipStreamCaptureStatus {
	hipStreamCaptureStatusNone, hipStreamCaptureStatusActive, hipStreamCaptureStatusInvalidated
} hipStreamCaptureStatus;

typedef enum hipGraphNodeType {
	hipGraphNodeTypeKernel, hipGraphNodeTypeMemcpy, hipGraphNodeTypeMemset, hipGraphNodeTypeHost,
	hipGraphNodeTypeGraph, hipGraphNodeTypeEmpty
} hipGraphNodeType;

typedef enum hipDeviceAttribute_t {
	hipDeviceAttributeClockRate, hipDeviceAttributeMaxSharedMemoryPerBlock, hipDeviceAttributeMaxThreadsPerBlock,
	hipDeviceAttributeMemoryBusWidth, hipDeviceAttributeMemoryClockRate, hipDeviceAttributeMultiprocessorCount,
	hipDeviceAttributeWarpSize
} hipDeviceAttribute_t;

enum { hipStreamDefault = 0, hipStreamNonBlocking = 1 };
enum { hipEventDefault = 0, hipEventBlockingSync = 1, hipEventDisableTiming = 2 };
enum { hipHostMallocDefault = 0, hipHostMallocPortable = 1, hipHostMallocMapped = 2 };
enum { hipDeviceScheduleAuto = 0 };

/* Rates in kHz, widths in bits, as in HIP. */
typedef struct hipDeviceProp_t {
	char name[256], gcnArchName[256];
	size_t totalGlobalMem, sharedMemPerBlock, totalConstMem;
	int regsPerBlock, warpSize, maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3];
	int clockRate, memoryClockRate, memoryBusWidth, multiProcessorCount, maxThreadsPerMultiProcessor, l2CacheSize;
	int major, minor, integrated, canMapHostMemory, concurrentKernels, pciBusID, pciDeviceID, pciDomainID;
} hipDeviceProp_t;

HIPSIM_API hipError_t hipInit(unsigned flags);
HIPSIM_API hipError_t hipDriverGetVersion(int *version);
HIPSIM_API hipError_t hipRuntimeGetVersion(int *version);
HIPSIM_API hipError_t hipGetDeviceCount(int *count);
HIPSIM_API hipError_t hipSetDevice(int device);
HIPSIM_API hipError_t hipGetDevice(int *device);
HIPSIM_API hipError_t hipGetDeviceProperties(hipDeviceProp_t *prop, int device);
HIPSIM_API hipError_t hipDeviceGetAttribute(int *value, hipDeviceAttribute_t attribute, int device);
HIPSIM_API hipError_t hipDeviceSynchronize(void);
HIPSIM_API hipError_t hipDeviceReset(void);
HIPSIM_API hipError_t hipGetLastError(void);
HIPSIM_API hipError_t hipPeekAtLastError(void);
HIPSIM_API const char *hipGetErrorName(hipError_t error);
HIPSIM_API const char *hipGetErrorString(hipError_t error);

HIPSIM_API hipError_t hipMalloc(void **ptr, size_t size);
HIPSIM_API hipError_t hipFree(void *ptr);
HIPSIM_API hipError_t hipHostMalloc(void **ptr, size_t size, unsigned flags);
HIPSIM_API hipError_t hipHostFree(void *ptr);
HIPSIM_API hipError_t hipMemGetInfo(size_t *free_bytes, size_t *total);
HIPSIM_API hipError_t hipMemcpy(void *dst, const void *src, size_t size, hipMemcpyKind kind);
HIPSIM_API hipError_t hipMemcpyAsync(void *dst, const void *src, size_t size, hipMemcpyKind kind, hipStream_t stream);
HIPSIM_API hipError_t hipMemset(void *dst, int value, size_t size);
HIPSIM_API hipError_t hipMemsetAsync(void *dst, int value, size_t size, hipStream_t stream);

HIPSIM_API hipError_t hipStreamCreate(hipStream_t *stream);
HIPSIM_API hipError_t hipStreamCreateWithFlags(hipStream_t *stream, unsigned flags);
HIPSIM_API hipError_t hipStreamDestroy(hipStream_t stream);
HIPSIM_API hipError_t hipStreamSynchronize(hipStream_t stream);
HIPSIM_API hipError_t hipStreamQuery(hipStream_t stream);
HIPSIM_API hipError_t hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned flags);
HIPSIM_API hipError_t hipEventCreate(hipEvent_t *event);
HIPSIM_API hipError_t hipEventCreateWithFlags(hipEvent_t *event, unsigned flags);
HIPSIM_API hipError_t hipEventDestroy(hipEvent_t event);
HIPSIM_API hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream);
HIPSIM_API hipError_t hipEventSynchronize(hipEvent_t event);
HIPSIM_API hipError_t hipEventQuery(hipEvent_t event);
HIPSIM_API hipError_t hipEventElapsedTime(float *ms, hipEvent_t start, hipEvent_t stop);

HIPSIM_API hipError_t hipStreamBeginCapture(hipStream_t stream, hipStreamCaptureMode mode);
HIPSIM_API hipError_t hipStreamEndCapture(hipStream_t stream, hipGraph_t *graph);
HIPSIM_API hipError_t hipStreamIsCapturing(hipStream_t stream, hipStreamCaptureStatus *status);
HIPSIM_API hipError_t hipGraphGetNodes(hipGraph_t graph, hipGraphNode_t *nodes, size_t *count);
HIPSIM_API hipError_t hipGraphNodeGetType(hipGraphNode_t node, hipGraphNodeType *type);
HIPSIM_API hipError_t hipGraphInstantiate(hipGraphExec_t *exec, hipGraph_t graph, hipGraphNode_t *error_node,
                                          char *log, size_t log_size);
HIPSIM_API hipError_t hipGraphLaunch(hipGraphExec_t exec, hipStream_t stream);
HIPSIM_API hipError_t hipGraphExecDestroy(hipGraphExec_t exec);
HIPSIM_API hipError_t hipGraphDestroy(hipGraph_t graph);

HIPSIM_API hipError_t hipLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **args, size_t shared,
                                      hipStream_t stream);
HIPSIM_API hipError_t hipOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *kernel, int block_size,
                                                                   size_t shared);

#ifdef __cplusplus
}

/* C++ callers of HIP may leave these out. */
template <class T> hipError_t hipMalloc(T **ptr, size_t size)
{
	return hipMalloc(reinterpret_cast<void **>(ptr), size);
}
template <class T> hipError_t hipHostMalloc(T **ptr, size_t size, unsigned flags = 0)
{
	return hipHostMalloc(reinterpret_cast<void **>(ptr), size, flags);
}
#endif
#endif
