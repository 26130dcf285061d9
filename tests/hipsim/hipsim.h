/* hipsim.h - a HIP runtime on the CPU, for tests: how it behaves and how a test steers it.
 *
 * hipsim runs unchanged kernels (HIP C++ in the part that all GPUs share) and an unchanged host (C against the HIP
 * runtime API) with the host compiler. It is no emulator of a GPU: it is the strictest machine HIP allows, so what is
 * wrong but happens to work on a GPU fails here. Errors are written to stderr as one line `hipsim: ...` and come back
 * as HIP errors; hipsim_message() gives the line to a test.
 *
 * Kernel sources
 *   `g++ -x c++ -std=c++17 -fvisibility=hidden -Itests/hipsim k.hip`; clang++ alike. Do not strip the object: static
 *   __shared__ variables are found by their symbols.
 *   Dynamic shared memory is HIP_DYNAMIC_SHARED(type, name). Storage types of half and bfloat16 are uint16_t with
 *   conversions of our own; there is no hip_fp16.h.
 *   Launch with hipLaunchKernelGGL, or in C++ hipLaunchKernel(kernel, ...); kernels named by HIPSIM_KERNEL(kernel) can
 *   be launched through `const void *`.
 *
 * Threads
 *   The threads of a block are fibers; blocks run one after the other; a thread runs until it waits, so every order
 *   of threads between two barriers is possible, and hipsim_schedule picks it. All fibers of one grid run on the
 *   host thread that waits for it, under one lock.
 *   __syncthreads must be reached by every thread of the block at one source line; a shuffle or vote by every thread
 *   of the warp, at one line with one width. Anything else (a thread exited, waits elsewhere) ends the kernel with
 *   hipErrorLaunchFailure and a line that says which threads are where. A kernel that loops forever without waiting
 *   does hang.
 *   A shuffle that reads a lane which does not exist gives bytes 0xFF.
 *   The warp size is a run-time value, 32 or 64.
 *
 * Memory
 *   Every block of hipMalloc and hipHostMalloc lies alone between unmapped pages, its end as near to the upper one as
 *   an alignment of 256 allows, the rest filled with a pattern (red zone). Addresses are not used again for long.
 *   Fresh memory, static and dynamic shared memory at the start of each block of a grid are 0xFF bytes: NaN in every
 *   float type, -1 in every integer.
 *   Built with ASan, any access outside is reported by ASan, with a line of hipsim's that names kernel, thread and
 *   block; device memory is poisoned while the host runs, so a host that dereferences a device pointer is caught too.
 *   Built without, an access that leaves the pages or touches a freed block becomes hipErrorIllegalAddress, and red
 *   zones are checked after each kernel, at hipFree and by hipsim_check.
 *   Copies check both ranges and their kinds. A kernel argument of pointer type must be null or lie in a live block
 *   or at its end; with ASan, structs passed by value are searched for pointers to host memory.
 *
 * Streams
 *   Work is queued and runs when the host waits for it (or asks hipEventQuery, hipStreamQuery, which say 'not ready'
 *   and run one piece). With schedule 0 only what the awaited work depends on runs: a missing wait reads old data.
 *   The null stream and blocking streams wait for each other as in HIP. An asynchronous copy from pageable memory
 *   takes its bytes at the call; one from pinned memory, and any to the host, touches the host when it runs.
 *   hipMemcpy from device to device and hipMemset do not wait.
 *   A failed kernel makes its error stick to the device: everything after it fails alike, until hipDeviceReset.
 *   Times of events come from a model clock that the work itself advances, so they are the same in each run.
 *   Capture records and runs nothing; what HIP forbids during capture is refused and spoils the capture. A graph
 *   replays in any order its edges allow, by the schedule.
 *
 * Launch limits are the least of AMD and NVIDIA: 1024 threads, z 64, grid y and z 65535, grid.x * block.x below 2^32.
 *
 * Everything here may be called from any thread, at any time outside kernels.
 */
#ifndef HIPSIM_H
#define HIPSIM_H

#include <hip/hip_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 32 or 64; anything else is ignored. The built-in value is HIPSIM_WARP. */
HIPSIM_API void hipsim_warp(unsigned size);

/* 0: threads and blocks in order, streams as lazily as they may. 1: threads and blocks in reverse order, streams not
 * waited for run first, newest first. Others: a pseudo-random order, the same for the same seed, in which atomics
 * switch threads and any HIP call may run queued work. */
HIPSIM_API void hipsim_schedule(unsigned seed);

/* How many devices there are. Those behind the first are there to be current, so that what should have gone to the first
 * and is called while they are is refused. */
HIPSIM_API void hipsim_devices(int count);

/* Bytes of device memory; the built-in value is 4 GiB. */
HIPSIM_API void hipsim_memory(size_t bytes);

/* "hipMalloc:3" makes the third call of hipMalloc from now on fail, "hipMalloc:3+" that and all later ones; several
 * with commas; NULL or "" none. Replaces what was set. A failed call has done nothing, except that one which releases
 * something (hipFree, the destroys) has released it. hipLaunchKernel stands for every way of launching.
 * Returns 0, or -1 and sets nothing when the text is wrong or names no call of hipsim.
 * The environment variable HIPSIM_FAIL is read once, at the first HIP call; there a wrong text ends the process. */
HIPSIM_API int hipsim_fail(const char *spec);

/* Calls of a function since the start or hipsim_reset, failed ones too; -1 for an unknown name. */
HIPSIM_API long hipsim_calls(const char *name);

/* The names of all calls that can be counted and made to fail; NULL past the last. */
HIPSIM_API const char *hipsim_call_name(size_t i);

/* What has run on the device, graph replays included: kernels; copies of one kind, hipMemcpyDefault for all. */
HIPSIM_API long hipsim_launches(void);
HIPSIM_API long hipsim_copies(hipMemcpyKind kind);

/* The last line written to stderr, without `hipsim: `; "" when none. Valid until the next hipsim or HIP call. */
HIPSIM_API const char *hipsim_message(void);

/* 1: write nothing to stderr (for tests of errors). */
HIPSIM_API void hipsim_quiet(int on);

/* Checks the red zones of all live blocks; returns how many are broken and reports each. */
HIPSIM_API int hipsim_check(void);

/* Blocks, streams, events, graphs and executable graphs alive; reports each. */
HIPSIM_API int hipsim_leaks(void);

/* Drops everything queued and allocated and every count, fault and setting, except the warp size and quiet. */
HIPSIM_API void hipsim_reset(void);

#ifdef __cplusplus
}
#endif
#endif
