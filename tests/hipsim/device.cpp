/* device.cpp - what every call goes through (counts, faults, errors), and the calls about devices and errors. */
#include "internal.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#ifndef HIPSIM_WARP
#define HIPSIM_WARP 32
#endif

int warpSize = HIPSIM_WARP;

namespace hipsim {

struct Fault {
	Call *call;
	long at;
	bool onwards;
};

static Call *first_call;
static std::vector<Fault> faults;

Call::Call(const char *n) : name(n), next(first_call)
{
	first_call = this;
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

static Call *find_call(const std::string &name)
{
	Call *c = first_call;
	while (c && name != c->name)
		c = c->next;
	return c;
}

/* One "hipMalloc:3" or "hipMalloc:3+". */
static bool parse_fault(const std::string &text, Fault *f)
{
	size_t colon = text.find(':');
	if (colon == std::string::npos || !(f->call = find_call(text.substr(0, colon))))
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
	std::vector<Fault> wanted;
	for (size_t at = 0; at < spec.size();) {
		size_t comma = std::min(spec.find(',', at), spec.size());
		Fault f;
		if (!parse_fault(spec.substr(at, comma - at), &f))
			return false;
		wanted.push_back(f);
		at = comma + 1;
	}
	faults = wanted;
	for (Call *c = first_call; c; c = c->next)
		c->since_faults = 0;
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
static bool count_call(Call &c)
{
	c.count++;
	long n = ++c.since_faults;
	return std::any_of(faults.begin(), faults.end(), [&](const Fault &f) {
		return f.call == &c && (n == f.at || (f.onwards && n > f.at));
	});
}

static thread_local int current_device;

static hipError_t attempt(Call &call, int flags, const Body &body)
{
	if (count_call(call)) {
		if (flags & RELEASES)
			body();
		return report(fault_error(call.name), "%s was made to fail", call.name);
	}
	if (flags & QUERY)
		return body();
	if (!sim().devices)
		return hipErrorInvalidDevice;
	if ((flags & UNSAFE) && capture_forbids())
		return report(hipErrorStreamCaptureUnsupported, "%s was called while a stream captures", call.name);
	if (current_device && !(flags & (RELEASES | ANY_DEVICE)))
		return report(hipErrorInvalidDevice, "%s was called while the thread's device is %d, not 0", call.name,
		              current_device);
	if (sim().sticky && !(flags & RELEASES))
		return sim().sticky;
	drift();
	hipError_t err = body();
	return sim().sticky ? sim().sticky : err;
}

hipError_t api(Call &call, int flags, const Body &body)
{
	Lock hold;
	read_environment();
	hipError_t err = attempt(call, flags, body);
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

static hipDeviceProp_t properties()
{
	hipDeviceProp_t p = {};
	snprintf(p.name, sizeof p.name, "hipsim on the CPU, warp size %d", warpSize);
	snprintf(p.gcnArchName, sizeof p.gcnArchName, "hipsim-w%d", warpSize);
	p.totalGlobalMem = sim().memory_limit;
	p.sharedMemPerBlock = shared_limit();
	p.totalConstMem = 64 << 10;
	p.regsPerBlock = 64 << 10;
	p.warpSize = warpSize;
	p.maxThreadsPerBlock = p.maxThreadsDim[0] = p.maxThreadsDim[1] = 1024;
	p.maxThreadsDim[2] = 64;
	p.maxGridSize[0] = 0x7fffffff;
	p.maxGridSize[1] = p.maxGridSize[2] = 65535;
	p.clockRate = p.memoryClockRate = 1000000;
	p.memoryBusWidth = 4096;
	p.multiProcessorCount = 4;
	p.maxThreadsPerMultiProcessor = 2048;
	p.l2CacheSize = 4 << 20;
	p.major = 9;
	p.canMapHostMemory = 1;
	return p;
}

static int attribute(hipDeviceAttribute_t which)
{
	const hipDeviceProp_t p = properties();
	switch (which) {
	case hipDeviceAttributeClockRate: return p.clockRate;
	case hipDeviceAttributeMaxSharedMemoryPerBlock: return static_cast<int>(p.sharedMemPerBlock);
	case hipDeviceAttributeMaxThreadsPerBlock: return p.maxThreadsPerBlock;
	case hipDeviceAttributeMemoryBusWidth: return p.memoryBusWidth;
	case hipDeviceAttributeMemoryClockRate: return p.memoryClockRate;
	case hipDeviceAttributeMultiprocessorCount: return p.multiProcessorCount;
	case hipDeviceAttributeWarpSize: return p.warpSize;
	}
	return 0;
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

HIP_CALL(hipInit, PLAIN, (unsigned flags), return flags ? hipErrorInvalidValue : hipSuccess;)
HIP_CALL(hipDriverGetVersion, QUERY, (int *version), return give(version, 50200000);)
HIP_CALL(hipRuntimeGetVersion, QUERY, (int *version), return give(version, 50200000);)
HIP_CALL(hipSetDevice, ANY_DEVICE, (int device),
	if (!is_ordinal(device))
		return hipErrorInvalidDevice;
	current_device = device;
	return hipSuccess;
)
HIP_CALL(hipGetDevice, ANY_DEVICE, (int *device), return give(device, current_device);)
HIP_CALL(hipDeviceSynchronize, UNSAFE, (void), return finish_all();)

HIP_CALL(hipGetDeviceCount, QUERY, (int *count),
	hipError_t err = give(count, sim().devices);
	return err ? err : sim().devices ? hipSuccess : hipErrorNoDevice;
)

HIP_CALL(hipGetDeviceProperties, ANY_DEVICE, (hipDeviceProp_t *prop, int device),
	return is_ordinal(device) ? give(prop, properties()) : hipErrorInvalidDevice;
)

HIP_CALL(hipDeviceGetAttribute, ANY_DEVICE, (int *value, hipDeviceAttribute_t which, int device),
	return is_ordinal(device) ? give(value, attribute(which)) : hipErrorInvalidDevice;
)

HIP_CALL(hipDeviceReset, RELEASES, (void),
	drop_streams();
	drop_blocks();
	return sim().sticky = hipSuccess;
)

hipError_t hipGetLastError(void)
{
	Lock hold;
	hipError_t err = last_error;
	last_error = hipSuccess;
	return err ? err : sim().sticky;
}

hipError_t hipPeekAtLastError(void)
{
	Lock hold;
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
	Lock hold;
	if (size == 32 || size == 64)
		warpSize = static_cast<int>(size);
}

void hipsim_schedule(unsigned seed)
{
	Lock hold;
	sim().seed = seed;
	sim().random = 0x9e3779b97f4a7c15u * (uint64_t{seed} + 1);
}

void hipsim_devices(int count)
{
	Lock hold;
	sim().devices = count;
}

void hipsim_memory(size_t bytes)
{
	Lock hold;
	sim().memory_limit = bytes;
}

int hipsim_fail(const char *spec)
{
	Lock hold;
	return set_faults(spec ? spec : "") ? 0 : -1;
}

long hipsim_calls(const char *name)
{
	Lock hold;
	Call *c = find_call(name);
	return c ? c->count : -1;
}

const char *hipsim_call_name(size_t i)
{
	Call *c = first_call;
	while (c && i--)
		c = c->next;
	return c ? c->name : nullptr;
}

long hipsim_launches(void)
{
	Lock hold;
	return sim().launches;
}

long hipsim_copies(hipMemcpyKind kind)
{
	Lock hold;
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
	Lock hold;
	return check_blocks();
}

int hipsim_leaks(void)
{
	Lock hold;
	return blocks_alive() + streams_alive();
}

void hipsim_reset(void)
{
	Lock hold;
	drop_streams();
	drop_blocks();
	Sim &s = sim();
	s.devices = 1;
	current_device = 0;
	s.memory_limit = size_t{4} << 30;
	s.clock_ns = 0;
	s.launches = 0;
	std::fill_n(s.copies, hipMemcpyDefault + 1, 0);
	s.sticky = last_error = hipSuccess;
	s.message.clear();
	for (Call *c = first_call; c; c = c->next)
		c->count = 0;
	set_faults("");
	hipsim_schedule(0);
}
