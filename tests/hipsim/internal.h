/* internal.h - what the files of hipsim share. One Sim, one lock; api() holds it for every call from outside. */
#ifndef HIPSIM_INTERNAL_H
#define HIPSIM_INTERNAL_H

#include "hipsim.h"
#include <hip/hip_runtime.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define HIPSIM_ASAN 1
#define HIPSIM_NO_ASAN __attribute__((no_sanitize("address")))
#else
#define HIPSIM_ASAN 0
#define HIPSIM_NO_ASAN
#define __asan_poison_memory_region(p, n) ((void)(p), (void)(n))
#define __asan_unpoison_memory_region(p, n) ((void)(p), (void)(n))
#endif

namespace hipsim {

/* ---- state and calls: device.cpp ---- */

struct Sim {
	std::recursive_mutex lock;
	unsigned seed = 0;
	uint64_t random = 1;
	int devices = 1;
	size_t memory_limit = size_t{4} << 30, memory_used = 0;
	uint64_t clock_ns = 0;
	long launches = 0, copies[hipMemcpyDefault + 1] = {};
	hipError_t sticky = hipSuccess;
	std::string message;
	bool quiet = false;
};
Sim &sim();

struct Lock {
	std::lock_guard<std::recursive_mutex> hold{sim().lock};
};

/* A pseudo-random number below n, from the schedule's seed. */
uint64_t random_below(uint64_t n);

/* Writes one line, keeps it for hipsim_message, returns err. */
hipError_t report(hipError_t err, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum {
	PLAIN = 0,
	UNSAFE = 1,   /* refused while a stream captures */
	RELEASES = 2, /* does its work even where it is made to fail */
	QUERY = 4,    /* answers whatever state the device is in, and leaves the last error alone */
	ANY_DEVICE = 8, /* is not for the thread's current device alone */
};

using Body = std::function<hipError_t()>;

/* One of the API's functions, as counted and made to fail. All are linked from the first. */
struct Call {
	const char *name;
	long count = 0, since_faults = 0;
	Call *next;
	explicit Call(const char *n);
};

/* What every API function goes through: lock, count, fault, sticky error, capture, last error. */
hipError_t api(Call &call, int flags, const Body &body);

#define HIP_CALL(name, flags, parameters, ...)                                                       \
	static hipsim::Call call_##name(#name);                                                      \
	hipError_t name parameters                                                                   \
	{                                                                                            \
		return hipsim::api(call_##name, flags, [&]() -> hipError_t { __VA_ARGS__ });         \
	}

/* ---- memory.cpp ---- */

enum class Kind { device, pinned };
hipError_t block_new(void **out, size_t size, Kind kind);
hipError_t block_delete(void *p, Kind kind);

/* Fails, with a report that names `what`, unless the n bytes at p are what the kind of a copy says. */
hipError_t check_device(const char *what, const void *p, size_t n);
hipError_t check_host(const char *what, const void *p, size_t n);
bool is_device(const void *p);
bool is_pinned(const void *p);

/* Null, or within or at the end of a live block. */
bool is_kernel_pointer(const void *p);

/* "4 bytes past the end of device block 7 (1000 bytes)", or "no block known". */
std::string describe(const void *p);

int check_blocks();
int blocks_alive();
void drop_blocks();
void fill_uninitialised(void *p, size_t n);

/* Device memory may be touched while one of these lives. */
struct DeviceOpen {
	DeviceOpen();
	~DeviceOpen();
};

/* ---- stream.cpp ---- */

/* Queues work, or adds a node to the graph being captured. */
hipError_t enqueue(hipStream_t stream, hipGraphNodeType type, Body work);
hipError_t finish_stream(hipStream_t stream);
hipError_t finish_all();
bool is_capturing(hipStream_t stream);

/* What a seeded schedule does between calls: some queued work. */
void drift();

/* Whether a capture forbids unsafe calls to this thread; if so it is spoilt. */
bool capture_forbids();
int streams_alive();
void drop_streams();

/* ---- launch.cpp ---- */

struct Launch {
	std::string name;
	hipsim_kernel kernel;
	dim3 grid, block;
	size_t shared;
	std::vector<hipsim_param> params;
	std::vector<std::vector<unsigned char>> values;
};
hipError_t run_grid(const Launch &l);

/* "kernel k, block (0,0,0), thread (3,0,0)"; "the host" outside kernels. */
std::string where();
bool in_kernel();

/* ---- shared.cpp ---- */

/* Dynamic shared memory: the least of what AMD (64 KiB) and NVIDIA without opting in (48 KiB) give. */
inline size_t shared_limit() { return warpSize == 64 ? 64 << 10 : 48 << 10; }

/* Makes shared memory fit for a launch; fails when the kernel's object has no symbols to find static variables by. */
hipError_t open_shared(const Launch &l);

/* What a block finds: everything unknown. */
void renew_shared(const Launch &l);
void *dynamic_shared(const Launch &l);

/* Whether the bytes around the dynamic part are as renewed. */
bool dynamic_shared_intact(const Launch &l);

} // namespace hipsim
#endif
