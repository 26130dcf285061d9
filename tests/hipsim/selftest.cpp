/* selftest.cpp - tests of hipsim: what it must compute, and what it must catch. `selftest [32|64] [NAME]`. */
#include "hipsim.h"
#include <hip/hip_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
static const bool asan = true;
#else
static const bool asan = false;
#endif

/* ---- the tests register themselves ---- */

struct Test {
	const char *name;
	void (*run)();
	Test *next;
	Test(const char *n, void (*r)());
};
static Test *tests, **last_test = &tests;
Test::Test(const char *n, void (*r)()) : name(n), run(r), next(nullptr)
{
	*last_test = this;
	last_test = &next;
}
#define TEST(name) static void name(); static Test test_##name(#name, name); static void name()

static std::string failure;

static void failed(int line, const std::string &what)
{
	if (failure.empty())
		failure = "line " + std::to_string(line) + ": " + what;
}

#define CHECK(x) do { if (!(x)) failed(__LINE__, #x); } while (0)
#define IS(x, wanted) do { auto got_ = (x); if (got_ != (wanted)) \
	failed(__LINE__, std::string(#x " is ") + std::to_string(got_) + ", not " #wanted); } while (0)
#define HIP(call, wanted) do { hipError_t e_ = (call); if (e_ != (wanted))                            \
	failed(__LINE__, std::string(#call " gives ") + hipGetErrorName(e_) + ", not " #wanted ": " + \
	       hipsim_message());                                                                     \
	} while (0)
#define OK(call) HIP(call, hipSuccess)
#define SAYS(text) do { if (!strstr(hipsim_message(), text)) \
	failed(__LINE__, std::string("message is '") + hipsim_message() + "', without '" + (text) + "'"); } while (0)

template <class T> struct Device {
	T *p = nullptr;
	size_t n;
	explicit Device(size_t count) : n(count) { OK(hipMalloc(&p, n * sizeof(T))); }
	explicit Device(const std::vector<T> &v) : Device(v.size())
	{
		OK(hipMemcpy(p, v.data(), n * sizeof(T), hipMemcpyHostToDevice));
	}
	~Device() { (void)hipFree(p); }
	std::vector<T> get() const
	{
		std::vector<T> v(n);
		OK(hipMemcpy(v.data(), p, n * sizeof(T), hipMemcpyDeviceToHost));
		return v;
	}
};

/* Runs body in a child. With ASan it must die and say text; without it must return true. */
static void dies(int line, const char *text, bool (*body)())
{
	if (!asan) {
		if (!body())
			failed(line, "not noticed");
		return;
	}
	int out[2], status;
	if (pipe(out))
		return failed(line, "no pipe");
	pid_t child = fork();
	if (!child) {
		dup2(out[1], 2);
		body();
		_exit(0);
	}
	close(out[1]);
	std::string said;
	char buffer[4096];
	for (ssize_t n; (n = read(out[0], buffer, sizeof buffer)) > 0;)
		said.append(buffer, static_cast<size_t>(n));
	close(out[0]);
	waitpid(child, &status, 0);
	if (!status)
		failed(line, "the child lived");
	else if (said.find(text) == std::string::npos)
		failed(line, std::string("said nothing of '") + text + "': " + said.substr(0, 600));
}
#define DIES(text, ...) dies(__LINE__, text, []() -> bool { hipsim_quiet(1); __VA_ARGS__ })

/* ---- kernels ---- */

namespace {

template <class T> __global__ void scale(T *y, const T *x, T by, size_t n)
{
	size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
	if (i < n)
		y[i] = x[i] * by;
}

__global__ void set_int(int *p, int value) { *p = value; }
__global__ void add_int(int *p, int value) { *p += value; }
__global__ void copy_int(int *to, const int *from) { *to = *from; }
__global__ void no_arguments() {}

struct Where { int *p; size_t at; };
__global__ void poke(Where w, int value) { w.p[w.at] = value; }
__global__ void peek(int *to, const int *from, long at) { *to = from[at]; }
__global__ void divide(int *p, int by) { *p = 7 / by; }

template <class T, int N> __device__ T block_sum(T x)
{
	__shared__ T part[N];
	for (int d = warpSize / 2; d; d /= 2)
		x += __shfl_xor(x, d);
	int warp = static_cast<int>(threadIdx.x) / warpSize, lane = static_cast<int>(threadIdx.x) % warpSize;
	if (!lane)
		part[warp] = x;
	__syncthreads();
	x = 0;
	for (int i = 0; i < static_cast<int>(blockDim.x) / warpSize; i++)
		x += part[i];
	return x;
}

__global__ void sums(float *out, const float *in)
{
	unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
	float s = block_sum<float, 32>(in[at]);
	out[at] = s;
}

__global__ __launch_bounds__(1024) void reverse_shared(int *p)
{
	HIP_DYNAMIC_SHARED(int, s)
	s[threadIdx.x] = p[threadIdx.x];
	__syncthreads();
	p[threadIdx.x] = s[blockDim.x - 1 - threadIdx.x];
}

/* Right only if every thread wrote before any reads: the barrier is missing. */
__global__ void neighbour_without_barrier(int *p)
{
	HIP_DYNAMIC_SHARED(int, s)
	s[threadIdx.x] = static_cast<int>(threadIdx.x);
	p[threadIdx.x] = threadIdx.x ? s[threadIdx.x - 1] : -7;
}

__global__ void shared_out_of_bounds(int *p, unsigned at)
{
	HIP_DYNAMIC_SHARED(int, s)
	s[at] = *p;
}

__global__ void static_shared_out_of_bounds(int *p, int at)
{
	__shared__ int s[4];
	int *volatile q = s;
	q[at] = 1;
	*p = s[0];
}

__global__ void keeps_shared(int *p)
{
	__shared__ int s;
	p[blockIdx.x] = s;
	s = 5;
}

} // namespace

template <class T> __global__ void keeps_template_shared(T *p)
{
	__shared__ T s[3];
	p[blockIdx.x] = s[1];
	s[1] = 5;
}

namespace {

__global__ void barrier_in_branch(unsigned below) { if (threadIdx.x < below) __syncthreads(); }
__global__ void barrier_after_exit(unsigned n) { if (threadIdx.x >= n) return; __syncthreads(); }

__global__ void two_barriers(unsigned below)
{
	if (threadIdx.x < below)
		__syncthreads();
	else
		__syncthreads();
}

__global__ void shuffle_in_branch(int *p)
{
	if (threadIdx.x)
		p[threadIdx.x] = __shfl_xor(1, 1);
	else
		__syncthreads();
}

__global__ void shuffles(int *p, int width)
{
	int x = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
	p[x] = __shfl(x, 3, width);
	p[x + n] = __shfl_up(x, 2, width);
	p[x + 2 * n] = __shfl_down(x, 2, width);
	p[x + 3 * n] = __shfl_xor(x, 1, width);
}

__global__ void votes(unsigned long long *p)
{
	p[3 * threadIdx.x] = __ballot(threadIdx.x % 3 == 0);
	p[3 * threadIdx.x + 1] = static_cast<unsigned long long>(__any(threadIdx.x == 5));
	p[3 * threadIdx.x + 2] = static_cast<unsigned long long>(__all(threadIdx.x < 1000));
}

__global__ void atomics(int *sum, unsigned *top, unsigned long long *count, float *total)
{
	atomicAdd(sum, 1);
	atomicMax(top, blockIdx.x * blockDim.x + threadIdx.x);
	for (unsigned long long seen = *count, was; (was = atomicCAS(count, seen, seen + 2)) != seen;)
		seen = was;
	atomicAdd(total, 0.5f);
}

/* A read and a write that should have been one atomic. */
__global__ void lost_update(int *p, int *ticket)
{
	int old = *p;
	atomicAdd(ticket, 1);
	*p = old + 1;
}

__global__ void spin(int rounds) { for (int i = 0; i < rounds; i++) __syncthreads(); }

} // namespace

HIPSIM_KERNEL(add_int);

/* ---- computing ---- */

TEST(kernels_compute)
{
	std::vector<float> x(1000);
	for (size_t i = 0; i < x.size(); i++)
		x[i] = static_cast<float>(i);
	Device<float> in(x), out(x.size());
	hipLaunchKernelGGL(HIP_KERNEL_NAME(scale<float>), dim3(8), dim3(128), 0, nullptr, out.p, in.p, 2, x.size());
	OK(hipGetLastError());
	std::vector<float> y = out.get();
	CHECK(y[0] == 0 && y[999] == 1998);
	IS(hipsim_launches(), 1);
	IS(hipsim_copies(hipMemcpyDefault), 2);
	IS(hipsim_copies(hipMemcpyDeviceToHost), 1);
}

TEST(reductions_agree_under_every_schedule)
{
	std::vector<float> x(256 * 5);
	for (size_t i = 0; i < x.size(); i++)
		x[i] = static_cast<float>(i % 256);
	for (unsigned seed = 0; seed < 6; seed++) {
		hipsim_schedule(seed);
		Device<float> in(x), out(x.size());
		hipLaunchKernelGGL(sums, 5, 256, 0, nullptr, out.p, in.p);
		for (float s : out.get())
			IS(s, 32640.0f);
	}
}

TEST(dynamic_shared_memory)
{
	std::vector<int> v(600);
	for (size_t i = 0; i < v.size(); i++)
		v[i] = static_cast<int>(i);
	Device<int> d(v);
	hipLaunchKernelGGL(reverse_shared, 1, 600, 600 * sizeof(int), nullptr, d.p);
	IS(d.get()[0], 599);
	IS(d.get()[599], 0);
}

TEST(shuffles_and_widths)
{
	for (int width = warpSize; width >= 4; width /= 2) {
		Device<int> d(4 * 128);
		hipLaunchKernelGGL(shuffles, 1, 128, 0, nullptr, d.p, width);
		std::vector<int> v = d.get();
		for (int x = 0; x < 128; x++) {
			int first = x / width * width, i = x - first;
			size_t at = static_cast<size_t>(x);
			IS(v[at], first + 3);
			IS(v[at + 128], i < 2 ? x : x - 2);
			IS(v[at + 256], i + 2 >= width ? x : x + 2);
			IS(v[at + 384], first + (i ^ 1));
		}
	}
}

TEST(shuffle_from_a_missing_lane_is_poison)
{
	Device<int> d(4 * 5);
	hipLaunchKernelGGL(shuffles, 1, 5, 0, nullptr, d.p, warpSize);
	std::vector<int> v = d.get();
	IS(v[10], 2);
	IS(v[13], -1);
	IS(v[19], -1);
}

TEST(votes_cover_the_warp)
{
	Device<unsigned long long> d(3 * 70);
	hipLaunchKernelGGL(votes, 1, 70, 0, nullptr, d.p);
	std::vector<unsigned long long> v = d.get();
	unsigned long long wanted = 0;
	for (int i = 0; i < warpSize; i += 3)
		wanted |= 1ull << i;
	IS(v[0], wanted);
	CHECK(v[1] && v[2] && !v[3 * 64 + 1] && v[3 * 64 + 2]);
}

TEST(atomics_add_up)
{
	for (unsigned seed = 0; seed < 4; seed++) {
		hipsim_schedule(seed);
		Device<int> sum(std::vector<int>{0});
		Device<unsigned> top(std::vector<unsigned>{0});
		Device<unsigned long long> count(std::vector<unsigned long long>{0});
		Device<float> total(std::vector<float>{0});
		hipLaunchKernelGGL(atomics, 7, 100, 0, nullptr, sum.p, top.p, count.p, total.p);
		CHECK(sum.get()[0] == 700 && top.get()[0] == 699 && count.get()[0] == 1400 && total.get()[0] == 350);
	}
}

TEST(launch_by_address)
{
	Device<int> d(std::vector<int>{1});
	int by = 3;
	void *args[] = {&d.p, &by};
	OK(hipLaunchKernel(add_int, 1, 1, args, 0, nullptr));
	OK(hipLaunchKernel(reinterpret_cast<const void *>(add_int), 1, 1, args, 0, nullptr));
	IS(d.get()[0], 7);
	const void *nameless = reinterpret_cast<const void *>(set_int);
	HIP(hipLaunchKernel(nameless, 1, 1, args, 0, nullptr), hipErrorInvalidDeviceFunction);
}

/* ---- launches refused ---- */

TEST(bad_configurations)
{
	const struct { dim3 grid, block; size_t shared; } bad[] = {
		{{0, 1, 1}, {1, 1, 1}, 0}, {{1, 0, 1}, {1, 1, 1}, 0}, {{1, 1, 1}, {0, 1, 1}, 0},
		{{1, 1, 1}, {1025, 1, 1}, 0},
		{{1, 1, 1}, {32, 33, 1}, 0}, {{1, 1, 1}, {1, 1, 65}, 0}, {{1, 65536, 1}, {1, 1, 1}, 0},
		{{0x7fffffff, 1, 1}, {4, 1, 1}, 0}, {{1, 1, 1}, {1, 1, 1}, (64 << 10) + 1},
	};
	for (const auto &b : bad) {
		hipLaunchKernelGGL(no_arguments, b.grid, b.block, b.shared, nullptr);
		HIP(hipGetLastError(), hipErrorInvalidConfiguration);
	}
	OK(hipGetLastError());
	OK(hipDeviceSynchronize());
	IS(hipsim_launches(), 0);
}

/* ---- divergence ---- */

static void diverges(int line, const char *text)
{
	hipError_t err = hipDeviceSynchronize();
	if (err != hipErrorLaunchFailure || !strstr(hipsim_message(), text))
		failed(line, std::string(hipGetErrorName(err)) + ", " + hipsim_message());
	OK(hipDeviceReset());
}

TEST(divergence_is_reported)
{
	for (unsigned seed = 0; seed < 5; seed++) {
		hipsim_schedule(seed);
		hipLaunchKernelGGL(barrier_in_branch, 2, 100, 0, nullptr, 31);
		diverges(__LINE__, "31 threads at the barrier of");
		hipLaunchKernelGGL(barrier_after_exit, dim3(1, 1, 1), dim3(70), 0, nullptr, 69);
		diverges(__LINE__, "1 threads ended, from (69,0,0)");
		hipLaunchKernelGGL(two_barriers, 1, 64, 0, nullptr, 63);
		diverges(__LINE__, "1 threads at the barrier of");
		Device<int> d(64);
		hipLaunchKernelGGL(shuffle_in_branch, 1, 64, 0, nullptr, d.p);
		diverges(__LINE__, "kernel shuffle_in_branch, block (0,0,0)");
		d.p = nullptr;
	}
	hipsim_schedule(0);
	Device<int> d(128);
	hipLaunchKernelGGL(shuffles, 1, 32, 0, nullptr, d.p, 48);
	diverges(__LINE__, "shuffle of width 48");
	d.p = nullptr;
}

TEST(a_failed_kernel_makes_the_device_fail)
{
	hipLaunchKernelGGL(barrier_in_branch, 1, 2, 0, nullptr, 1);
	hipLaunchKernelGGL(no_arguments, 1, 1, 0, nullptr);
	OK(hipGetLastError());
	HIP(hipStreamSynchronize(nullptr), hipErrorLaunchFailure);
	IS(hipsim_launches(), 1);
	void *p;
	HIP(hipMalloc(&p, 8), hipErrorLaunchFailure);
	HIP(hipGetLastError(), hipErrorLaunchFailure);
	OK(hipDeviceReset());
	OK(hipMalloc(&p, 8));
	OK(hipFree(p));
}

/* ---- wrong orders ---- */

TEST(missing_barrier_shows)
{
	int wrong = 0;
	for (unsigned seed = 0; seed < 4; seed++) {
		hipsim_schedule(seed);
		Device<int> d(64);
		hipLaunchKernelGGL(neighbour_without_barrier, 1, 64, 64 * sizeof(int), nullptr, d.p);
		wrong += d.get()[9] == -1 || d.get()[33] == -1;
		IS(d.get()[9], seed == 1 ? -1 : d.get()[9]);
	}
	CHECK(wrong >= 1 && wrong < 4);
}

TEST(missing_atomic_shows)
{
	Device<int> d(std::vector<int>{0, 0});
	hipsim_schedule(7);
	hipLaunchKernelGGL(lost_update, 1, 64, 0, nullptr, d.p, d.p + 1);
	CHECK(d.get()[0] < 64);
	IS(d.get()[1], 64);
}

/* ---- memory ---- */

TEST(fresh_memory_is_nan)
{
	Device<float> d(7);
	for (float x : d.get())
		CHECK(std::isnan(x));
	Device<int> s(3);
	hipLaunchKernelGGL(keeps_shared, 3, 1, 0, nullptr, s.p);
	for (int x : s.get())
		IS(x, -1);
	hipLaunchKernelGGL(keeps_template_shared<int>, 3, 1, 0, nullptr, s.p);
	for (int x : s.get())
		IS(x, -1);
}

static bool fails(hipError_t wanted, const char *text)
{
	return hipDeviceSynchronize() == wanted && strstr(hipsim_message(), text);
}

TEST(out_of_bounds)
{
	DIES("0 bytes past the end of device block", {
		int *p;
		(void)hipMalloc(&p, 40);
		hipLaunchKernelGGL(poke, 1, 1, 0, nullptr, Where{p, 10}, 1);
		return fails(hipErrorIllegalAddress, "(40 bytes");
	});
	hipsim_reset();
	DIES("kernel poke, block (0,0,0), thread (0,0,0)", {
		int *p;
		(void)hipMalloc(&p, 256);
		hipLaunchKernelGGL(poke, 1, 1, 0, nullptr, Where{p, 64}, 1);
		return fails(hipErrorIllegalAddress, "0 bytes past the end of device block");
	});
	hipsim_reset();
	DIES("4 bytes before device block", {
		int *p;
		(void)hipMalloc(&p, 4096);
		hipLaunchKernelGGL(peek, 1, 1, 0, nullptr, p, p, -1);
		return fails(hipErrorIllegalAddress, "4 bytes before device block");
	});
	hipsim_reset();
	DIES("kernel shared_out_of_bounds", {
		int *p;
		(void)hipMalloc(&p, 4);
		hipLaunchKernelGGL(shared_out_of_bounds, 1, 1, 40, nullptr, p, 10);
		(void)hipMemset(p, 0, 4);
		hipLaunchKernelGGL(shared_out_of_bounds, 1, 1, 40, nullptr, p, 10);
		return fails(hipErrorIllegalAddress, "outside its dynamic shared memory");
	});
}

TEST(static_shared_out_of_bounds_dies)
{
	if (asan)
		DIES("global variable", {
			int *p;
			(void)hipMalloc(&p, 4);
			hipLaunchKernelGGL(static_shared_out_of_bounds, 1, 1, 0, nullptr, p, 4);
			return !hipDeviceSynchronize();
		});
}

TEST(use_after_free)
{
	DIES("byte 4 of freed device block", {
		int *p, *to;
		(void)hipMalloc(&p, 40);
		(void)hipMalloc(&to, 4);
		struct { int *p; } hidden = {p};
		(void)hipFree(p);
		hipLaunchKernelGGL(poke, 1, 1, 0, nullptr, Where{hidden.p, 1}, 1);
		return fails(hipErrorIllegalAddress, "byte 4 of freed device block");
	});
	hipsim_reset();
	int *p;
	OK(hipMalloc(&p, 40));
	OK(hipFree(p));
	HIP(hipFree(p), hipErrorInvalidValue);
	SAYS("freed device block");
	hipLaunchKernelGGL(set_int, 1, 1, 0, nullptr, p, 1);
	HIP(hipDeviceSynchronize(), hipErrorIllegalAddress);
	SAYS("argument 0");
}

TEST(host_and_device_pointers_do_not_mix)
{
	int host[4] = {1, 2, 3, 4}, *p, *pinned;
	OK(hipMalloc(&p, sizeof host));
	OK(hipHostMalloc(&pinned, sizeof host));
	pinned[0] = 5;
	OK(hipMemcpy(p, pinned, sizeof host, hipMemcpyDefault));
	HIP(hipMemcpy(host, host + 2, 8, hipMemcpyDeviceToHost), hipErrorInvalidValue);
	HIP(hipMemcpy(p, host, sizeof host, hipMemcpyDeviceToHost), hipErrorInvalidValue);
	HIP(hipMemcpy(p, p, 4, hipMemcpyHostToDevice), hipErrorInvalidMemcpyDirection);
	HIP(hipMemcpy(p, host, sizeof host + 1, hipMemcpyHostToDevice), hipErrorInvalidValue);
	HIP(hipMemcpyAsync(host, p + 1, sizeof host, hipMemcpyDeviceToHost, nullptr), hipErrorInvalidValue);
	HIP(hipMemcpy(p, p + 1, 8, hipMemcpyDeviceToDevice), hipErrorInvalidValue);
	HIP(hipMemset(host, 0, 4), hipErrorInvalidValue);
	HIP(hipFree(host), hipErrorInvalidValue);
	HIP(hipFree(p + 1), hipErrorInvalidValue);
	HIP(hipHostFree(p), hipErrorInvalidValue);
	OK(hipMemcpy(host, p, 4, hipMemcpyDeviceToHost));
	IS(host[0], 5);
	if (asan) {
		hipLaunchKernelGGL(poke, 1, 1, 0, nullptr, Where{host, 0}, 1);
		HIP(hipDeviceSynchronize(), hipErrorIllegalAddress);
		SAYS("argument 0, byte 0");
		OK(hipDeviceReset());
	}
	hipLaunchKernelGGL(set_int, 1, 1, 0, nullptr, host, 1);
	HIP(hipDeviceSynchronize(), hipErrorIllegalAddress);
	OK(hipDeviceReset());
	if (asan)
		DIES("that was the host; the address is byte 4 of device block", {
			int *q;
			(void)hipMalloc(&q, 40);
			q[1] = 3;
			return true;
		});
}

TEST(red_zones_are_checked_on_demand)
{
	if (asan)
		return;
	char *p;
	OK(hipHostMalloc(&p, 1000));
	IS(hipsim_check(), 0);
	p[1000] = 1;
	IS(hipsim_check(), 1);
	SAYS("pinned block");
	HIP(hipHostFree(p), hipErrorIllegalAddress);
}

TEST(division_by_zero_is_a_failure)
{
	if (asan)
		return;
	Device<int> d(1);
	hipLaunchKernelGGL(divide, 1, 1, 0, nullptr, d.p, 0);
	HIP(hipDeviceSynchronize(), hipErrorLaunchFailure);
}

TEST(leaks_and_limits)
{
	void *p, *q;
	size_t left, total;
	hipStream_t s;
	hipsim_memory(1000);
	OK(hipMalloc(&p, 600));
	HIP(hipMalloc(&q, 600), hipErrorOutOfMemory);
	OK(hipMemGetInfo(&left, &total));
	IS(left, size_t{400});
	OK(hipStreamCreate(&s));
	IS(hipsim_leaks(), 2);
	OK(hipStreamDestroy(s));
	HIP(hipStreamSynchronize(s), hipErrorInvalidHandle);
	OK(hipFree(p));
	OK(hipFree(nullptr));
	OK(hipMalloc(&p, 0));
	CHECK(!p);
	IS(hipsim_leaks(), 0);
}

TEST(no_device)
{
	int n = 7;
	void *p;
	hipsim_devices(0);
	HIP(hipGetDeviceCount(&n), hipErrorNoDevice);
	IS(n, 0);
	HIP(hipInit(0), hipErrorInvalidDevice);
	HIP(hipMalloc(&p, 8), hipErrorInvalidDevice);
}

TEST(another_device_is_current)
{
	int now = 7;
	void *p;
	hipsim_devices(2);
	HIP(hipSetDevice(2), hipErrorInvalidDevice);
	OK(hipSetDevice(1));
	OK(hipGetDevice(&now));
	IS(now, 1);
	HIP(hipMalloc(&p, 8), hipErrorInvalidDevice);
	OK(hipSetDevice(0));
	OK(hipMalloc(&p, 8));
	OK(hipSetDevice(1));
	OK(hipFree(p));
	OK(hipSetDevice(0));
}

/* ---- streams ---- */

struct Streams {
	hipStream_t a, b;
	hipEvent_t e, f;
	Device<int> x{std::vector<int>{1}}, y{std::vector<int>{2}};
	explicit Streams(unsigned flags = hipStreamNonBlocking)
	{
		OK(hipStreamCreateWithFlags(&a, flags));
		OK(hipStreamCreateWithFlags(&b, flags));
		OK(hipEventCreate(&e));
		OK(hipEventCreate(&f));
	}
	~Streams()
	{
		(void)hipStreamDestroy(a);
		(void)hipStreamDestroy(b);
		(void)hipEventDestroy(e);
		(void)hipEventDestroy(f);
	}
	/* y = x = 10 over two streams; what y is then */
	int pass_on(bool wait)
	{
		hipLaunchKernelGGL(set_int, 1, 1, 0, a, x.p, 10);
		OK(hipEventRecord(e, a));
		if (wait)
			OK(hipStreamWaitEvent(b, e, 0));
		hipLaunchKernelGGL(copy_int, 1, 1, 0, b, y.p, x.p);
		OK(hipStreamSynchronize(b));
		OK(hipStreamSynchronize(a));
		return y.get()[0];
	}
};

TEST(missing_stream_wait_shows)
{
	for (unsigned seed = 0; seed < 8; seed++) {
		hipsim_schedule(seed);
		IS(Streams().pass_on(true), 10);
	}
	hipsim_schedule(0);
	IS(Streams().pass_on(false), 1);
}

TEST(missing_host_wait_shows)
{
	Streams s;
	int got = 77, *pinned;
	hipLaunchKernelGGL(set_int, 1, 1, 0, s.a, s.x.p, 10);
	OK(hipMemcpyAsync(&got, s.x.p, 4, hipMemcpyDeviceToHost, s.a));
	IS(got, 77);
	HIP(hipStreamQuery(s.a), hipErrorNotReady);
	HIP(hipStreamQuery(s.a), hipErrorNotReady);
	OK(hipStreamQuery(s.a));
	IS(got, 10);
	OK(hipHostMalloc(&pinned, 4));
	*pinned = got = 20;
	OK(hipMemcpyAsync(s.x.p, &got, 4, hipMemcpyHostToDevice, s.a));
	OK(hipMemcpyAsync(s.y.p, pinned, 4, hipMemcpyHostToDevice, s.a));
	*pinned = got = 21;
	OK(hipStreamSynchronize(s.a));
	IS(s.x.get()[0], 20);
	IS(s.y.get()[0], 21);
	OK(hipHostFree(pinned));
}

TEST(null_stream_orders_blocking_streams)
{
	for (unsigned seed = 0; seed < 6; seed++) {
		hipsim_schedule(seed);
		Streams s(hipStreamDefault);
		hipLaunchKernelGGL(set_int, 1, 1, 0, s.a, s.x.p, 10);
		hipLaunchKernelGGL(add_int, 1, 1, 0, nullptr, s.x.p, 5);
		hipLaunchKernelGGL(copy_int, 1, 1, 0, s.b, s.y.p, s.x.p);
		OK(hipStreamSynchronize(s.b));
		IS(s.y.get()[0], 15);
	}
	hipsim_schedule(0);
	Streams s;
	OK(hipMemset(s.x.p, 0, 4));
	hipLaunchKernelGGL(copy_int, 1, 1, 0, s.a, s.y.p, s.x.p);
	OK(hipStreamSynchronize(s.a));
	IS(s.y.get()[0], 1);
}

TEST(events_time_and_query)
{
	Streams s;
	float ms = -1;
	HIP(hipEventElapsedTime(&ms, s.e, s.f), hipErrorInvalidHandle);
	OK(hipEventRecord(s.e, s.a));
	hipLaunchKernelGGL(set_int, 1, 1, 0, s.a, s.x.p, 10);
	OK(hipEventRecord(s.f, s.a));
	HIP(hipEventElapsedTime(&ms, s.e, s.f), hipErrorNotReady);
	HIP(hipEventQuery(s.f), hipErrorNotReady);
	OK(hipEventSynchronize(s.f));
	OK(hipEventQuery(s.f));
	OK(hipEventElapsedTime(&ms, s.e, s.f));
	CHECK(ms > 0 && ms < 1);
}

/* ---- capture ---- */

static hipGraphExec_t instantiate(hipGraph_t g)
{
	hipGraphExec_t exec = nullptr;
	OK(hipGraphInstantiate(&exec, g, nullptr, nullptr, 0));
	OK(hipGraphDestroy(g));
	return exec;
}

TEST(capture_and_replay_equal_direct)
{
	for (unsigned seed = 0; seed < 6; seed++) {
		hipsim_schedule(seed);
		Streams s;
		hipGraph_t g;
		size_t n = 0;
		OK(hipStreamBeginCapture(s.a, hipStreamCaptureModeGlobal));
		hipLaunchKernelGGL(add_int, 1, 1, 0, s.a, s.x.p, 5);
		OK(hipEventRecord(s.e, s.a));
		OK(hipStreamWaitEvent(s.b, s.e, 0));
		hipLaunchKernelGGL(copy_int, 1, 1, 0, s.b, s.y.p, s.x.p);
		OK(hipEventRecord(s.f, s.b));
		OK(hipMemsetAsync(s.x.p, 0, 0, s.a));
		OK(hipStreamWaitEvent(s.a, s.f, 0));
		hipLaunchKernelGGL(add_int, 1, 1, 0, s.a, s.y.p, 100);
		OK(hipStreamEndCapture(s.a, &g));
		IS(s.x.get()[0], 1);
		OK(hipGraphGetNodes(g, nullptr, &n));
		IS(n, size_t{3});
		hipGraphExec_t exec = instantiate(g);
		long before = hipsim_launches();
		for (int i = 1; i <= 3; i++) {
			OK(hipGraphLaunch(exec, s.a));
			OK(hipStreamSynchronize(s.a));
			IS(s.x.get()[0], 1 + 5 * i);
			IS(s.y.get()[0], 101 + 5 * i);
		}
		IS(hipsim_launches() - before, 9);
		OK(hipGraphExecDestroy(exec));
	}
}

TEST(capture_forbids)
{
	Streams s;
	hipGraph_t g;
	hipStreamCaptureStatus status;
	void *p;
	int host = 0;
	HIP(hipStreamBeginCapture(nullptr, hipStreamCaptureModeGlobal), hipErrorStreamCaptureUnsupported);
	HIP(hipStreamEndCapture(s.a, &g), hipErrorIllegalState);
	hipError_t (*const forbidden[])(Streams &, void **, int *) = {
		[](Streams &, void **q, int *) { return hipMalloc(q, 8); },
		[](Streams &, void **q, int *) { return hipHostMalloc(q, 8, 0); },
		[](Streams &t, void **, int *) { return hipFree(t.x.p); },
		[](Streams &t, void **, int *h) { return hipMemcpy(h, t.x.p, 4, hipMemcpyDeviceToHost); },
		[](Streams &t, void **, int *) { return hipMemset(t.x.p, 0, 4); },
		[](Streams &, void **, int *) { return hipDeviceSynchronize(); },
		[](Streams &t, void **, int *) { return hipStreamSynchronize(t.a); },
		[](Streams &t, void **, int *) { return hipStreamQuery(t.a); },
	};
	for (auto call : forbidden) {
		OK(hipStreamBeginCapture(s.a, hipStreamCaptureModeGlobal));
		HIP(call(s, &p, &host), hipErrorStreamCaptureUnsupported);
		OK(hipStreamIsCapturing(s.a, &status));
		IS(status, hipStreamCaptureStatusInvalidated);
		HIP(hipStreamEndCapture(s.a, &g), hipErrorStreamCaptureInvalidated);
		OK(hipStreamIsCapturing(s.a, &status));
		IS(status, hipStreamCaptureStatusNone);
	}
	OK(hipStreamBeginCapture(s.a, hipStreamCaptureModeRelaxed));
	OK(hipMalloc(&p, 8));
	OK(hipEventRecord(s.e, s.a));
	HIP(hipEventSynchronize(s.e), hipErrorCapturedEvent);
	HIP(hipStreamEndCapture(s.a, &g), hipErrorStreamCaptureInvalidated);
	OK(hipFree(p));
	OK(hipStreamBeginCapture(s.a, hipStreamCaptureModeGlobal));
	OK(hipEventRecord(s.e, s.a));
	OK(hipStreamWaitEvent(s.b, s.e, 0));
	hipLaunchKernelGGL(set_int, 1, 1, 0, s.b, s.x.p, 1);
	HIP(hipStreamEndCapture(s.a, &g), hipErrorStreamCaptureUnjoined);
}

TEST(replay_after_free_is_refused)
{
	Streams s;
	int *p, host = 3;
	hipGraph_t g;
	OK(hipMalloc(&p, 4));
	OK(hipStreamBeginCapture(s.a, hipStreamCaptureModeGlobal));
	OK(hipMemcpyAsync(p, &host, 4, hipMemcpyHostToDevice, s.a));
	OK(hipStreamEndCapture(s.a, &g));
	hipGraphExec_t exec = instantiate(g);
	OK(hipFree(p));
	OK(hipGraphLaunch(exec, s.a));
	HIP(hipStreamSynchronize(s.a), hipErrorIllegalAddress);
	hipsim_reset();
	hipsim_quiet(1);
	s.x.p = s.y.p = nullptr;
}

/* ---- faults ---- */

/* What a host does, each call checked; everything is released whatever happens. */
static hipError_t scenario()
{
	hipStream_t s = nullptr;
	hipEvent_t e = nullptr;
	hipGraph_t g = nullptr;
	hipGraphExec_t x = nullptr;
	int *p = nullptr, *h = nullptr, n, capturing = 0;
	hipDeviceProp_t prop;
	hipStreamCaptureStatus status;
	hipError_t err = hipSuccess, dropped;
#define TRY(call) do { if (!err) err = (call); } while (0)
#define DROP(call) do { dropped = (call); err = err ? err : dropped; } while (0)
	TRY(hipInit(0));
	TRY(hipGetDeviceCount(&n));
	TRY(hipSetDevice(0));
	TRY(hipGetDeviceProperties(&prop, 0));
	TRY(hipRuntimeGetVersion(&n));
	TRY(hipStreamCreateWithFlags(&s, hipStreamNonBlocking));
	TRY(hipEventCreateWithFlags(&e, hipEventDefault));
	TRY(hipMalloc(&p, 64));
	TRY(hipHostMalloc(&h, 64));
	TRY(hipMemcpyAsync(p, h, 64, hipMemcpyHostToDevice, s));
	TRY(hipStreamBeginCapture(s, hipStreamCaptureModeThreadLocal));
	capturing = !err;
	TRY(hipStreamIsCapturing(s, &status));
	TRY(hipMemsetAsync(p, 0, 64, s));
	if (!err) {
		hipLaunchKernelGGL(add_int, 1, 1, 0, s, p, 1);
		err = hipGetLastError();
	}
	if (capturing)
		DROP(hipStreamEndCapture(s, &g));
	TRY(hipGraphInstantiate(&x, g, nullptr, nullptr, 0));
	TRY(hipGraphLaunch(x, s));
	TRY(hipEventRecord(e, s));
	TRY(hipEventSynchronize(e));
	TRY(hipMemcpy(h, p, 64, hipMemcpyDeviceToHost));
	TRY(hipStreamSynchronize(s));
	TRY(h[0] == 1 ? hipSuccess : hipErrorUnknown);
	if (x) DROP(hipGraphExecDestroy(x));
	if (g) DROP(hipGraphDestroy(g));
	if (s) DROP(hipStreamDestroy(s));
	if (e) DROP(hipEventDestroy(e));
	DROP(hipHostFree(h));
	DROP(hipFree(p));
	return err;
}

TEST(every_call_can_fail_once)
{
	OK(scenario());
	int swept = 0;
	std::vector<long> count;
	for (size_t i = 0; hipsim_call_name(i); i++)
		count.push_back(hipsim_calls(hipsim_call_name(i)));
	for (size_t i = 0; hipsim_call_name(i); i++)
		for (long k = 1; k <= count[i]; k++, swept++) {
			std::string spec = std::string(hipsim_call_name(i)) + ":" + std::to_string(k);
			IS(hipsim_fail(spec.c_str()), 0);
			if (!scenario())
				failed(__LINE__, spec + " did not fail");
			if (hipsim_leaks())
				failed(__LINE__, spec + " leaks: " + hipsim_message());
			hipsim_fail("");
			(void)hipGetLastError();
		}
	CHECK(swept > 25);
	OK(scenario());
}

TEST(fault_texts)
{
	void *p;
	IS(hipsim_fail("hipMalloc:2,hipMemcpy:1+"), 0);
	OK(hipMalloc(&p, 8));
	HIP(hipMalloc(&p, 8), hipErrorOutOfMemory);
	OK(hipMalloc(&p, 8));
	for (int i = 0; i < 3; i++)
		HIP(hipMemcpy(p, &i, 4, hipMemcpyHostToDevice), hipErrorUnknown);
	for (const char *bad : {"hipMalloc", "hipMalloc:", "hipMalloc:0", "hipMalloc:-1", "hipMalloc:1x", "hipMallox:1",
	                        "hipMalloc:1,,"})
		IS(hipsim_fail(bad), -1);
	IS(hipsim_calls("hipMalloc"), 3);
	IS(hipsim_calls("hipMallox"), -1);
}

TEST(fibers_are_fast)
{
	timespec a, b;
	const int rounds = 200, threads = 1024;
	hipLaunchKernelGGL(spin, 2, threads, 0, nullptr, rounds);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	OK(hipDeviceSynchronize());
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	double s = static_cast<double>(b.tv_sec - a.tv_sec) + 1e-9 * static_cast<double>(b.tv_nsec - a.tv_nsec);
	double rate = 2.0 * rounds * threads / s;
	if (getenv("HIPSIM_SHOW_RATE"))
		printf("%.1f million switches a second\n", rate * 1e-6);
	CHECK(rate > 3e5);
}

int main(int argc, char **argv)
{
	int passed = 0, wrong = 0;
	if (argc > 1)
		hipsim_warp(static_cast<unsigned>(atoi(argv[1])));
	setvbuf(stdout, nullptr, _IOLBF, 0);
	for (Test *t = tests; t; t = t->next) {
		if (argc > 2 && strcmp(argv[2], t->name))
			continue;
		hipsim_reset();
		hipsim_quiet(1);
		(void)hipGetLastError();
		failure.clear();
		t->run();
		if (failure.empty())
			printf("ok %s\n", t->name);
		else
			printf("FAIL %s: %s\n", t->name, failure.c_str());
		(failure.empty() ? passed : wrong)++;
	}
	printf("%d passed, %d failed\n", passed, wrong);
	return wrong != 0;
}
