/* device.cpp - what every call goes through (counts, faults, errors), and the calls about devices and errors. */
#include "internal.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>

#ifndef HIPSIM_WARP
#define HIPSIM_WARP 32
#endif

int warpSize = HIPSIM_WARP;

namespace hipsim {

/* Every name api() may be given. */
static const char *const call_names[] = {
	"hipInit", "hipDriverGetVersion", "hipRuntimeGetVersion", "hipGetDeviceCount", "hipSetDevice", "hipGetDevice",
	"hipGetDeviceProperties", "hipDeviceGetAttribute", "hipDeviceSynchronize", "hipDeviceReset", "hipMalloc",
	"hipFree", "hipHostMalloc", "hipHostFree", "hipMemGetInfo", "hipMemcpy", "hipMemcpyAsync", "hipMemset",
	"hipMemsetAsync", "hipStreamCreate", "hipStreamCreateWithFlags", "hipStreamDestroy", "hipStreamSynchronize",
	"hipStreamQuery", "hipStreamWaitEvent", "hipEventCreate", "hipEventCreateWithFlags", "hipEventDestroy",
	"hipEventRecord", "hipEventSynchronize", "hipEventQuery", "hipEventElapsedTime", "hipStreamBeginCapture",
	"hipStreamEndCapture", "hipStreamIsCapturing", "hipGraphGetNodes", "hipGraphNodeGetType", "hipGraphInstantiate",
	"hipGraphLaunch", "hipGraphExecDestroy", "hipGraphDestroy", "hipLaunchKernel", "hipModuleLoad",
	"hipModuleUnload", "hipModuleGetFunction", "hipOccupancyMaxActiveBlocksPerMultiprocessor",
};
static const size_t ncalls = sizeof call_names / sizeof *call_names;

struct Fault {
	size_t call;
	long at;
	bool onwards;
};

struct Calls {
	long count[ncalls] = {};
	long since_fault_set[ncalls] = {};
	std::vector<Fault> faults;
};

static Calls &calls()
{
	static Calls *c = new Calls;
	return *c;
}

Sim &sim()
{
	static Sim *s = new Sim;
	return *s;
}

static thread_local hipError_t last_error;

uint64_t random_below(uint64_t n)
{
	uint64_t &x = sim().random;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (x >> 11) % n;
}

hipError_t report(hipError_t err, const char *format, ...)
{
	char line[1024];
	va_list ap;
	va_start(ap, format);
	vsnprintf(line, sizeof line, format, ap);
	va_end(ap);
	sim().message = line;
	if (!sim().quiet)
		fprintf(stderr, "hipsim: %s\n", line);
	return err;
}

static size_t call_index(const std::string &name)
{
	size_t i = 0;
	while (i < ncalls && name != call_names[i])
		i++;
	return i;
}

/* One "hipMalloc:3" or "hipMalloc:3+". */
static bool parse_fault(const std::string &text, Fault *f)
{
	size_t colon = text.find(':');
	if (colon == std::string::npos || (f->call = call_index(text.substr(0, colon))) == ncalls)
		return false;
	const char *digits = text.c_str() + colon + 1;
	char *end;
	f->at = *digits >= '0' && *digits <= '9' ? strtol(digits, &end, 10) : 0;
	if (f->at < 1)
		return false;
	f->onwards = *end == '+';
	return !end[f->onwards];
}

static bool set_faults(const std::string &spec)
{
	std::vector<Fault> faults;
	for (size_t at = 0; at < spec.size();) {
		size_t comma = std::min(spec.find(',', at), spec.size());
		Fault f;
		if (!parse_fault(spec.substr(at, comma - at), &f))
			return false;
		faults.push_back(f);
		at = comma + 1;
	}
	calls().faults = faults;
	std::fill_n(calls().since_fault_set, ncalls, 0);
	return true;
}

static void read_environment()
{
	static bool done;
	const char *spec = done ? nullptr : getenv("HIPSIM_FAIL");
	done = true;
	if (spec && !set_faults(spec)) {
		fprintf(stderr, "hipsim: HIPSIM_FAIL=%s: wanted CALL:N or CALL:N+, comma separated\n", spec);
		abort();
	}
}

/* The error a call is likely to fail with on a GPU. */
static hipError_t fault_error(const std::string &name)
{
	if (name == "hipMalloc" || name == "hipHostMalloc" || name == "hipGraphInstantiate")
		return hipErrorOutOfMemory;
	if (name == "hipGetDeviceCount")
		return hipErrorNoDevice;
	if (name == "hipInit")
		return hipErrorNotInitialized;
	if (name == "hipLaunchKernel" || name == "hipGraphLaunch" || name.find("Synchronize") != std::string::npos)
		return hipErrorLaunchFailure;
	return hipErrorUnknown;
}

/* Counts the call; true when it is to fail. */
static bool count_call(const char *name)
{
	size_t i = call_index(name);
	if (i == ncalls) {
		fprintf(stderr, "hipsim: %s is missing in call_names\n", name);
		abort();
	}
	calls().count[i]++;
	long n = ++calls().since_fault_set[i];
	for (const Fault &f : calls().faults)
		if (f.call == i && (n == f.at || (f.onwards && n > f.at)))
			return true;
	return false;
}

static hipError_t attempt(const char *name, int flags, const Body &body)
{
	bool fault = count_call(name);
	if (fault) {
		report(fault_error(name), "%s was made to fail", name);
		if (flags & RELEASES)
			body();
		return fault_error(name);
	}
	if (flags & QUERY)
		return body();
	if (!sim().devices)
		return hipErrorInvalidDevice;
	if ((flags & UNSAFE) && capture_forbids())
		return report(hipErrorStreamCaptureUnsupported, "%s was called while a stream captures", name);
	if (sim().sticky && !(flags & RELEASES))
		return sim().sticky;
	drift();
	hipError_t err = body();
	return sim().sticky ? sim().sticky : err;
}

hipError_t api(const char *name, int flags, const Body &body)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	read_environment();
	hipError_t err = attempt(name, flags, body);
	if (err && err != hipErrorNotReady)
		last_error = err;
	return err;
}

static const struct {
	hipError_t error;
	const char *name, *text;
} errors[] = {
#define X(name, number, text) {name, #name, text},
	HIPSIM_ERROR_MAP(X)
#undef X
};

static void fill_properties(hipDeviceProp_t *p)
{
	*p = hipDeviceProp_t();
	snprintf(p->name, sizeof p->name, "hipsim on the CPU, warp size %d", warpSize);
	snprintf(p->gcnArchName, sizeof p->gcnArchName, "hipsim-w%d", warpSize);
	p->totalGlobalMem = sim().memory_limit;
	p->sharedMemPerBlock = shared_limit();
	p->totalConstMem = 64 << 10;
	p->regsPerBlock = 64 << 10;
	p->warpSize = warpSize;
	p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
	p->maxThreadsDim[2] = 64;
	p->maxGridSize[0] = 0x7fffffff;
	p->maxGridSize[1] = p->maxGridSize[2] = 65535;
	p->clockRate = 1000000;
	p->memoryClockRate = 1000000;
	p->memoryBusWidth = 4096;
	p->multiProcessorCount = 4;
	p->maxThreadsPerMultiProcessor = 2048;
	p->l2CacheSize = 4 << 20;
	p->major = 9;
	p->canMapHostMemory = 1;
}

static hipError_t attribute(int *value, hipDeviceAttribute_t which)
{
	hipDeviceProp_t p;
	fill_properties(&p);
	switch (which) {
	case hipDeviceAttributeClockRate: *value = p.clockRate; break;
	case hipDeviceAttributeMaxSharedMemoryPerBlock: *value = static_cast<int>(p.sharedMemPerBlock); break;
	case hipDeviceAttributeMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; break;
	case hipDeviceAttributeMemoryBusWidth: *value = p.memoryBusWidth; break;
	case hipDeviceAttributeMemoryClockRate: *value = p.memoryClockRate; break;
	case hipDeviceAttributeMultiprocessorCount: *value = p.multiProcessorCount; break;
	case hipDeviceAttributeWarpSize: *value = p.warpSize; break;
	default: return hipErrorInvalidValue;
	}
	return hipSuccess;
}

template <class T> static hipError_t give(T *out, T value)
{
	if (!out)
		return hipErrorInvalidValue;
	*out = value;
	return hipSuccess;
}

static bool is_ordinal(int device)
{
	return device >= 0 && device < sim().devices;
}

} // namespace hipsim

using namespace hipsim;

hipError_t hipInit(unsigned flags)
{
	return api(__func__, PLAIN, [&] { return flags ? hipErrorInvalidValue : hipSuccess; });
}

hipError_t hipDriverGetVersion(int *version)
{
	return api(__func__, QUERY, [&] { return give(version, 50200000); });
}

hipError_t hipRuntimeGetVersion(int *version)
{
	return api(__func__, QUERY, [&] { return give(version, 50200000); });
}

hipError_t hipGetDeviceCount(int *count)
{
	return api(__func__, QUERY, [&] {
		hipError_t err = give(count, sim().devices);
		return err ? err : sim().devices ? hipSuccess : hipErrorNoDevice;
	});
}

hipError_t hipSetDevice(int device)
{
	return api(__func__, PLAIN, [&] { return is_ordinal(device) ? hipSuccess : hipErrorInvalidDevice; });
}

hipError_t hipGetDevice(int *device)
{
	return api(__func__, PLAIN, [&] { return give(device, 0); });
}

hipError_t hipGetDeviceProperties(hipDeviceProp_t *prop, int device)
{
	return api(__func__, PLAIN, [&] {
		if (!prop || !is_ordinal(device))
			return prop ? hipErrorInvalidDevice : hipErrorInvalidValue;
		fill_properties(prop);
		return hipSuccess;
	});
}

hipError_t hipDeviceGetAttribute(int *value, hipDeviceAttribute_t which, int device)
{
	return api(__func__, PLAIN, [&] {
		return !is_ordinal(device) ? hipErrorInvalidDevice : value ? attribute(value, which) : hipErrorInvalidValue;
	});
}

hipError_t hipDeviceSynchronize(void)
{
	return api(__func__, UNSAFE, finish_all);
}

hipError_t hipDeviceReset(void)
{
	return api(__func__, RELEASES, [] {
		drop_streams();
		drop_blocks();
		sim().sticky = hipSuccess;
		return hipSuccess;
	});
}

hipError_t hipGetLastError(void)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	hipError_t err = last_error;
	last_error = hipSuccess;
	return err ? err : sim().sticky;
}

hipError_t hipPeekAtLastError(void)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	return last_error ? last_error : sim().sticky;
}

const char *hipGetErrorName(hipError_t error)
{
	for (const auto &e : errors)
		if (e.error == error)
			return e.name;
	return "hipErrorUnknown";
}

const char *hipGetErrorString(hipError_t error)
{
	for (const auto &e : errors)
		if (e.error == error)
			return e.text;
	return "unknown error";
}

void hipsim_warp(unsigned size)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	if (size == 32 || size == 64)
		warpSize = static_cast<int>(size);
}

void hipsim_schedule(unsigned seed)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	sim().seed = seed;
	sim().random = 0x9e3779b97f4a7c15u * (uint64_t{seed} + 1);
}

void hipsim_devices(int count)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	sim().devices = count > 0;
}

void hipsim_memory(size_t bytes)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	sim().memory_limit = bytes;
}

int hipsim_fail(const char *spec)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	return set_faults(spec ? spec : "") ? 0 : -1;
}

long hipsim_calls(const char *name)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	size_t i = call_index(name);
	return i < ncalls ? calls().count[i] : -1;
}

const char *hipsim_call_name(size_t i)
{
	return i < ncalls ? call_names[i] : nullptr;
}

long hipsim_launches(void)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	return sim().launches;
}

long hipsim_copies(hipMemcpyKind kind)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	long n = 0;
	for (int k = 0; k < hipMemcpyDefault; k++)
		n += kind == hipMemcpyDefault || kind == k ? sim().copies[k] : 0;
	return n;
}

const char *hipsim_message(void)
{
	return sim().message.c_str();
}

void hipsim_quiet(int on)
{
	sim().quiet = on;
}

int hipsim_check(void)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	return check_blocks();
}

int hipsim_leaks(void)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	return blocks_alive() + streams_alive();
}

void hipsim_reset(void)
{
	std::lock_guard<std::recursive_mutex> hold(sim().lock);
	drop_streams();
	drop_blocks();
	Sim &s = sim();
	s.devices = 1;
	s.memory_limit = size_t{4} << 30;
	s.clock_ns = 0;
	s.launches = 0;
	std::fill_n(s.copies, hipMemcpyDefault + 1, 0);
	s.sticky = last_error = hipSuccess;
	s.message.clear();
	s.quiet = false;
	std::fill_n(calls().count, ncalls, 0);
	set_faults("");
	hipsim_schedule(0);
}
