/* machine.cpp - the device that the tests run on: hipsim, or the first GPU that the HIP runtime finds. */
#include "hip.h"
#include <cstring>
#include <map>

unsigned warp;

static bool good(hipError_t e)
{
	if (e != hipSuccess)
		(void)hipGetLastError();
	return e == hipSuccess;
}

#if defined(GRAFT_TEST_HIPSIM)
#include "hipsim.h"

/* ---- the simulator ---- */

enum { ZONE = 0 };                            /* its own are better: what reads them is caught too */

const char *machine_open(unsigned wanted_warp)
{
	warp = wanted_warp;
	return nullptr;
}

void machine_fresh()
{
	hipsim_reset();
	hipsim_warp(warp);
}

std::string machine_wrong() { return hipsim_check() || hipsim_leaks() ? hipsim_message() : ""; }
void machine_close() { hipsim_reset(); }
bool machine_is_slow() { return true; }

bool schedule(unsigned seed)
{
	hipsim_schedule(seed);
	return true;
}

bool fail_call(const char *spec)
{
	hipsim_quiet(spec != nullptr);
	return hipsim_fail(spec) == 0;
}

#else

/* ---- a GPU ---- */

enum { ZONE = 4096 };

static std::string why;

const char *machine_open(unsigned)
{
	int n = 0, lanes = 0;
	hipError_t e = hipGetDeviceCount(&n);
	if (e == hipSuccess && n > 0)
		e = hipSetDevice(0);
	if (e == hipSuccess && n > 0)
		e = hipDeviceGetAttribute(&lanes, hipDeviceAttributeWarpSize, 0);
	warp = static_cast<unsigned>(lanes);
	why = "the HIP runtime has no device";
	if (e != hipSuccess)
		why = std::string("the HIP runtime says ") + hipGetErrorName(e);
	return e == hipSuccess && n > 0 ? nullptr : why.c_str();
}

void machine_fresh() {}
void machine_close() {}
bool machine_is_slow() { return false; }
bool schedule(unsigned) { return false; }
bool fail_call(const char *) { return false; }

std::string machine_wrong();

#endif

/* ---- memory ---- */

enum { PATTERN = 0x5a };

static std::map<const void *, size_t> sizes;  /* of what is out */

void *guarded(size_t size)
{
	void *p = nullptr;
	if (!good(hipMalloc(&p, size + 2 * ZONE)))
		return nullptr;
	char *first = static_cast<char *>(p) + ZONE;
	sizes[first] = size;
	if (ZONE > 0 && (!good(hipMemset(p, PATTERN, ZONE)) || !good(hipMemset(first + size, PATTERN, ZONE))))
		return nullptr;
	return first;
}

static bool untouched(const char *zone)
{
	static const std::vector<uint8_t> want(ZONE + 1, PATTERN);
	std::vector<uint8_t> now(ZONE + 1);
	return ZONE == 0 || (from_device(now.data(), zone, ZONE) && !memcmp(now.data(), want.data(), ZONE));
}

bool guards_hold(const void *p)
{
	const char *first = static_cast<const char *>(p);
	return untouched(first - ZONE) && untouched(first + sizes[p]);
}

void guarded_free(void *p)
{
	sizes.erase(p);
	CHECK(!p || good(hipFree(static_cast<char *>(p) - ZONE)));
}

bool to_device(void *p, const void *from, size_t size) { return good(hipMemcpy(p, from, size, hipMemcpyHostToDevice)); }
bool from_device(void *to, const void *p, size_t size) { return good(hipMemcpy(to, p, size, hipMemcpyDeviceToHost)); }

#if !defined(GRAFT_TEST_HIPSIM)
/* Guarded memory that a test did not give back, and a fault that nobody asked about. */
std::string machine_wrong()
{
	std::string wrong;
	hipError_t e = hipDeviceSynchronize();
	if (e != hipSuccess)
		wrong = std::string("the device ends with ") + hipGetErrorName(e);
	for (const auto &s : sizes)
		wrong = "a block of " + std::to_string(s.second) + " bytes was not given back";
	while (!sizes.empty())
		guarded_free(const_cast<void *>(sizes.begin()->first));
	return wrong;
}

/* What the other tests rely on: a byte in front of or behind a tensor does not go unseen. */
TEST(machine_guards)
{
	for (int64_t at : {-ZONE, -1, 100, 99 + ZONE}) {
		char *p = static_cast<char *>(guarded(100));
		CHECK(p && guards_hold(p));
		CHECK(hipMemset(p, 0, 100) == hipSuccess && guards_hold(p));
		CHECK(hipMemset(p + at, 0, 1) == hipSuccess && !guards_hold(p));
		guarded_free(p);
	}
}
#endif
