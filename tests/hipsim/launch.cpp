/* launch.cpp - kernels: launching, the threads of a block as fibers, barriers, shuffles.
 *
 * A thread runs until it waits for its block or its warp, or ends. The last of a block (warp) to wait sets all of it
 * free. When no thread can run and not all have ended, some wait for others that will never come. */
#include "internal.h"
#include "fiber.h"

#include <algorithm>
#include <csignal>
#include <dlfcn.h>
#include <map>
#include <numeric>
#include <sys/mman.h>
#include <unistd.h>

const hipsim_place *hipsim_here;

namespace hipsim {

enum class State { ready, at_barrier, at_warp_op, ended };

struct Lane {
	hipsim_fiber fiber;
	hipsim_place place;
	State state;
	const char *file; /* where it waits, and what for */
	int line;
	hipsim_warp_op op;
	uint64_t bits;
	int arg, width;
};

struct Warp {
	unsigned first, lanes, ready, at_warp_op;
};

/* The grid that runs now. Kernels cannot launch kernels, so there is one at most. */
static struct Grid {
	const Launch *launch = nullptr;
	std::vector<Lane> lanes; /* grows to the largest block ever run: fibers are used again */
	std::vector<Warp> warps;
	unsigned threads = 0, at_barrier = 0, ended = 0;
	Lane *running = nullptr;
	hipError_t error = hipSuccess;
	uint3 block = {0, 0, 0};
} grid;

bool in_kernel()
{
	return grid.launch;
}

std::string where()
{
	char text[320];
	if (!grid.launch)
		return "the host";
	int n = snprintf(text, sizeof text, "kernel %.160s, block (%u,%u,%u)", grid.launch->name.c_str(), grid.block.x,
	                 grid.block.y, grid.block.z);
	if (grid.running) {
		const uint3 &t = grid.running->place.thread;
		snprintf(text + n, sizeof text - static_cast<size_t>(n), ", thread (%u,%u,%u)", t.x, t.y, t.z);
	}
	return text;
}

/* Ends the kernel with an error; does not return when a thread calls it, so nothing may be left to destroy. */
static void fail(hipError_t err, std::string why)
{
	Lane *self = grid.running;
	grid.error = report(err, "%s: %s", where().c_str(), why.c_str());
	std::string().swap(why);
	if (self)
		hipsim_fiber_leave(&self->fiber, false);
}

/* ---- threads ---- */

static unsigned warp_size()
{
	return static_cast<unsigned>(warpSize);
}

static Warp &warp_of(const Lane &l)
{
	return grid.warps[static_cast<size_t>(&l - grid.lanes.data()) / warp_size()];
}

static void make_ready(Lane &l)
{
	l.state = State::ready;
	warp_of(l).ready++;
}

/* Gives the processor away; comes back when the thread is ready again. */
static void pause_as(Lane &l, State state)
{
	l.state = state;
	warp_of(l).ready -= state != State::ready;
	hipsim_fiber_leave(&l.fiber, state == State::ended);
}

static void thread_main()
{
	Lane &l = *grid.running;
	const Launch &k = *grid.launch;
	void *args[64];
	for (size_t i = 0; i < k.values.size(); i++)
		args[i] = const_cast<unsigned char *>(k.values[i].data());
	k.kernel.call(k.kernel.function, args);
	grid.ended++;
	pause_as(l, State::ended);
}

static void run_lane(Lane &l)
{
	grid.running = &l;
	hipsim_here = &l.place;
	hipsim_fiber_resume(&l.fiber);
	hipsim_here = nullptr;
	grid.running = nullptr;
}

/* Runs every ready thread of a warp once, in the order of the schedule. */
static void run_warp(const Warp &w)
{
	unsigned start = sim().seed > 1 ? static_cast<unsigned>(random_below(w.lanes)) : 0;
	bool back = sim().seed == 1 || (sim().seed > 1 && random_below(2));
	for (unsigned i = 0; i < w.lanes && !grid.error; i++) {
		unsigned at = (start + (back ? w.lanes - 1 - i : i)) % w.lanes;
		if (grid.lanes[w.first + at].state == State::ready)
			run_lane(grid.lanes[w.first + at]);
	}
}

static Warp *pick_warp()
{
	size_t n = grid.warps.size(), start = sim().seed > 1 ? random_below(n) : 0;
	for (size_t i = 0; i < n; i++) {
		Warp &w = grid.warps[sim().seed == 1 ? n - 1 - i : (start + i) % n];
		if (w.ready)
			return &w;
	}
	return nullptr;
}

/* "31 threads at the barrier of k.hip:12, from thread (0,0,0)", for each place where threads are. */
static std::string positions()
{
	std::map<std::string, std::pair<unsigned, const Lane *>> places;
	for (unsigned i = 0; i < grid.threads; i++) {
		const Lane &l = grid.lanes[i];
		std::string place = l.state == State::ended ? "ended" : l.state == State::at_barrier ?
			"at the barrier of " :
		                    l.op >= HIPSIM_BALLOT ? "at the vote of " : "at the shuffle of ";
		if (l.state == State::at_warp_op && l.width != warpSize)
			place = "at the shuffle of width " + std::to_string(l.width) + " of ";
		if (l.state != State::ended)
			place += std::string(l.file) + ":" + std::to_string(l.line);
		auto &entry = places[place];
		entry.second = entry.first++ ? entry.second : &l;
	}
	std::string text;
	for (const auto &p : places) {
		const uint3 &t = p.second.second->place.thread;
		text += (text.empty() ? "" : "; ") + std::to_string(p.second.first) + " threads " + p.first +
			", from (" +
		        std::to_string(t.x) + "," + std::to_string(t.y) + "," + std::to_string(t.z) + ")";
	}
	return text;
}

static void arm_block(const Launch &l)
{
	grid.at_barrier = grid.ended = 0;
	for (Warp &w : grid.warps)
		w.ready = w.at_warp_op = 0;
	for (unsigned i = 0; i < grid.threads; i++) {
		Lane &lane = grid.lanes[i];
		uint3 thread = {i % l.block.x, i / l.block.x % l.block.y, i / l.block.x / l.block.y};
		lane.place = {thread, grid.block, l.block, l.grid};
		hipsim_fiber_arm(&lane.fiber, thread_main);
		make_ready(lane);
	}
}

static void run_block(const Launch &l)
{
	renew_shared(l);
	arm_block(l);
	while (Warp *w = grid.error ? nullptr : pick_warp())
		run_warp(*w);
	if (!grid.error && grid.ended < grid.threads)
		fail(hipErrorLaunchFailure, "divergence: " + positions());
	if (!grid.error && !HIPSIM_ASAN && !dynamic_shared_intact(l))
		fail(hipErrorIllegalAddress, "wrote outside its dynamic shared memory");
}

/* ---- faults: without ASan a bad access raises a signal, and the kernel fails as on a GPU ---- */

static void on_signal(int number, siginfo_t *info, void *)
{
	if (!grid.running) {
		signal(number, SIG_DFL);
		return;
	}
	if (number == SIGFPE)
		fail(hipErrorLaunchFailure, "integer division by zero or overflow");
	fail(hipErrorIllegalAddress, "illegal access of memory: " + describe(info->si_addr));
}

struct Signals {
	struct sigaction saved[3];
	stack_t saved_stack;
	static constexpr int numbers[] = {SIGSEGV, SIGBUS, SIGFPE};

	Signals()
	{
		static char stack[64 << 10];
		stack_t s = {};
		s.ss_sp = stack;
		s.ss_size = sizeof stack;
		sigaltstack(&s, &saved_stack);
		struct sigaction a = {};
		a.sa_sigaction = on_signal;
		a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
		for (int i = 0; i < 3; i++)
			sigaction(numbers[i], &a, &saved[i]);
	}

	~Signals()
	{
		for (int i = 0; i < 3; i++)
			sigaction(numbers[i], &saved[i], nullptr);
		sigaltstack(&saved_stack, nullptr);
	}
};

#if HIPSIM_ASAN
/* Asking ASan about a number that is no address takes it a millisecond. */
static bool mapped(void *p)
{
	uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), at = reinterpret_cast<uintptr_t>(p);
	return at >= page && msync(reinterpret_cast<void *>(at / page * page), page, MS_ASYNC) == 0;
}

/* A small number with padding behind it, where an old pointer's upper half may still stand: no address. */
static bool padded_number(void *p)
{
	return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(p)) < 4096;
}

/* "heap", "stack" or "global" when p points into a variable of the host's; null otherwise. */
static const char *host_variable(void *p)
{
	if (padded_number(p) || !mapped(p))
		return nullptr;
	char name[8];
	void *begin = nullptr;
	size_t size = 0;
	const char *kind = __asan_locate_address(p, name, sizeof name, &begin, &size);
	bool within = begin && p >= begin && static_cast<char *>(p) < static_cast<char *>(begin) + size;
	bool variable = kind && (!strcmp(kind, "heap") || !strcmp(kind, "stack") || !strcmp(kind, "global"));
	return within && variable ? kind : nullptr;
}
#endif

/* ---- grids ---- */

static bool prepare(const Launch &l)
{
	size_t threads = grid.threads = l.block.x * l.block.y * l.block.z;
	while (grid.lanes.size() < threads) {
		grid.lanes.emplace_back();
		if (!hipsim_fiber_init(&grid.lanes.back().fiber)) {
			grid.lanes.pop_back();
			return false;
		}
	}
	grid.warps.clear();
	for (unsigned i = 0; i < threads; i += warp_size())
		grid.warps.push_back({i, std::min(warp_size(), grid.threads - i), 0, 0});
	return true;
}

/* Refuses arguments that a GPU could not follow. */
static hipError_t check_arguments(const Launch &l)
{
	for (size_t i = 0; i < l.values.size(); i++) {
		void *p;
		if (l.params[i].pointer) {
			memcpy(&p, l.values[i].data(), sizeof p);
			if (!is_kernel_pointer(p))
				return report(hipErrorIllegalAddress,
				              "kernel %s, argument %zu: %p is no live device memory: %s",
				              l.name.c_str(), i, p, describe(p).c_str());
		}
#if HIPSIM_ASAN
		for (size_t at = 0; !l.params[i].pointer && at + sizeof p <= l.values[i].size(); at += sizeof p) {
			memcpy(&p, l.values[i].data() + at, sizeof p);
			if (!is_kernel_pointer(p) && host_variable(p))
				return report(hipErrorIllegalAddress,
				              "kernel %s, argument %zu, byte %zu: %p is host memory (%s)",
				              l.name.c_str(), i, at, p, host_variable(p));
		}
#endif
	}
	return hipSuccess;
}

/* All blocks in the order of the schedule; a pseudo-random one steps by a number prime to their count. */
static void run_blocks(const Launch &l)
{
	uint64_t n = uint64_t{l.grid.x} * l.grid.y * l.grid.z, step = 1, at = 0;
	if (sim().seed == 1)
		step = at = n - 1;
	else if (sim().seed > 1)
		for (at = random_below(n), step = 1 + random_below(n); std::gcd(step, n) != 1;)
			step = 1 + random_below(n);
	for (uint64_t i = 0; i < n && !grid.error; i++) {
		grid.block = {static_cast<unsigned>(at % l.grid.x), static_cast<unsigned>(at / l.grid.x % l.grid.y),
		              static_cast<unsigned>(at / l.grid.x / l.grid.y)};
		run_block(l);
		at = (at + step) % n; /* n is below 2^63 */
	}
	sim().clock_ns += 2000 + n * grid.threads;
}

hipError_t run_grid(const Launch &l)
{
	hipError_t err = check_arguments(l);
	err = err ? err : open_shared(l);
	if (err)
		return err;
	grid.launch = &l;
	grid.error = hipSuccess;
	if (!prepare(l)) {
		grid.launch = nullptr;
		return report(hipErrorOutOfMemory, "kernel %s: no memory for %u fibers", l.name.c_str(), grid.threads);
	}
	sim().launches++;
#if HIPSIM_ASAN
	run_blocks(l);
#else
	{
		Signals handlers;
		run_blocks(l);
	}
	if (check_blocks() && !grid.error)
		fail(hipErrorIllegalAddress, "wrote outside its memory: " + std::string(sim().message));
#endif
	grid.launch = nullptr;
	return grid.error;
}

/* ---- what threads call ---- */

static Lane &self(const char *what)
{
	if (!grid.running) {
		fprintf(stderr, "hipsim: %s called outside a kernel\n", what);
		abort();
	}
	return *grid.running;
}

static bool same_site(const Lane &a, const Lane &b)
{
	return a.line == b.line && (a.file == b.file || !strcmp(a.file, b.file));
}

static void pass_barrier()
{
	for (unsigned i = 1; i < grid.threads; i++)
		if (!same_site(grid.lanes[0], grid.lanes[i]))
			fail(hipErrorLaunchFailure, "divergence: " + positions());
	grid.at_barrier = 0;
	for (unsigned i = 0; i < grid.threads; i++)
		make_ready(grid.lanes[i]);
}

/* The lane a shuffle reads, as the HIP headers compute it. */
static int source_lane(const Lane &l, int lane)
{
	int first = lane & ~(l.width - 1);
	int64_t to;
	switch (l.op) {
	case HIPSIM_SHFL: return first + (l.arg & (l.width - 1));
	case HIPSIM_SHFL_UP:
		to = int64_t{lane} - static_cast<unsigned>(l.arg);
		return to < first ? lane : static_cast<int>(to);
	case HIPSIM_SHFL_DOWN: to = int64_t{lane} + static_cast<unsigned>(l.arg); break;
	default: to = lane ^ l.arg;
	}
	return to < 0 || to >= first + l.width ? lane : static_cast<int>(to);
}

static void pass_warp_op(Warp &w)
{
	uint64_t in[64], ballot = 0;
	Lane *lanes = &grid.lanes[w.first];
	for (unsigned i = 0; i < w.lanes; i++) {
		if (!same_site(lanes[0], lanes[i]) || lanes[0].op != lanes[i].op || lanes[0].width != lanes[i].width)
			fail(hipErrorLaunchFailure, "divergence: " + positions());
		in[i] = lanes[i].bits;
		ballot |= (in[i] & 1) << i;
	}
	uint64_t all = ~uint64_t{0} >> (64 - w.lanes);
	w.at_warp_op = 0;
	for (unsigned i = 0; i < w.lanes; i++) {
		Lane &l = lanes[i];
		unsigned from = l.op < HIPSIM_BALLOT ? static_cast<unsigned>(source_lane(l, static_cast<int>(i))) : i;
		switch (l.op) {
		case HIPSIM_BALLOT: l.bits = ballot; break;
		case HIPSIM_ANY: l.bits = ballot != 0; break;
		case HIPSIM_ALL: l.bits = ballot == all; break;
		default: l.bits = from < w.lanes ? in[from] : ~uint64_t{0};
		}
		make_ready(l);
	}
}

/* ---- launching ---- */

static hipError_t refuse_config(const Launch &l, const char *why)
{
	return report(hipErrorInvalidConfiguration, "launch of %s: %s: grid (%u,%u,%u), block (%u,%u,%u), shared %zu",
	              l.name.c_str(), why, l.grid.x, l.grid.y, l.grid.z, l.block.x, l.block.y, l.block.z, l.shared);
}

static hipError_t check_config(const Launch &l)
{
	const dim3 &g = l.grid, &b = l.block;
	if (!g.x || !g.y || !g.z || !b.x || !b.y || !b.z)
		return refuse_config(l, "empty grid or block");
	if (b.x > 1024 || b.y > 1024 || b.z > 64 || b.x * b.y * b.z > 1024)
		return refuse_config(l, "block over 1024 threads or 64 deep");
	if (g.x > 0x7fffffff || g.y > 65535 || g.z > 65535)
		return refuse_config(l, "grid over 2^31-1, 65535, 65535");
	if (uint64_t{g.x} * b.x > UINT32_MAX || uint64_t{g.y} * b.y > UINT32_MAX || uint64_t{g.z} * b.z > UINT32_MAX)
		return refuse_config(l, "2^32 threads or more in one dimension");
	if (l.shared > shared_limit())
		return refuse_config(l, "too much shared memory");
	return hipSuccess;
}

static std::string kernel_name(const hipsim_kernel &k)
{
	Dl_info info;
	if (k.name)
		return k.name;
	if (dladdr(k.function, &info) && info.dli_sname)
		return info.dli_sname;
	char text[32];
	snprintf(text, sizeof text, "at %p", k.function);
	return text;
}

static hipError_t queue_launch(const hipsim_kernel &k, dim3 blocks, dim3 threads, void **args, size_t shared,
                               hipStream_t stream)
{
	auto l = std::make_shared<Launch>();
	l->name = kernel_name(k);
	l->kernel = k;
	l->grid = blocks;
	l->block = threads;
	l->shared = shared;
	l->params.assign(k.params, k.params + k.nparams);
	size_t total = 0;
	for (size_t i = 0; i < k.nparams; i++) {
		const unsigned char *value = args ? static_cast<unsigned char *>(args[i]) : nullptr;
		if (!value)
			return report(hipErrorInvalidValue, "launch of %s: argument %zu is null", l->name.c_str(), i);
		l->values.emplace_back(value, value + k.params[i].size);
		total += k.params[i].size;
		if (k.params[i].align > 16)
			return report(hipErrorInvalidValue, "launch of %s: argument %zu is aligned to %zu, over 16",
			              l->name.c_str(), i, k.params[i].align);
	}
	if (total > 4096 || k.nparams > 64)
		return report(hipErrorInvalidValue, "launch of %s: over 4096 bytes or 64 arguments", l->name.c_str());
	hipError_t err = check_config(*l);
	return err ? err : enqueue(stream, hipGraphNodeTypeKernel, [l] { return run_grid(*l); });
}

struct Registered {
	std::string name;
	std::vector<hipsim_param> params;
	hipsim_kernel kernel;
};

static std::map<const void *, Registered> &registry()
{
	static auto *r = new std::map<const void *, Registered>;
	return *r;
}

} // namespace hipsim

using namespace hipsim;

void hipsim_barrier(const char *file, int line)
{
	Lane &l = self("__syncthreads");
	l.file = file;
	l.line = line;
	l.state = State::at_barrier;
	warp_of(l).ready--;
	if (++grid.at_barrier == grid.threads)
		pass_barrier();
	hipsim_fiber_leave(&l.fiber, false);
}

uint64_t hipsim_warp_exchange(hipsim_warp_op op, uint64_t bits, int arg, int width, const char *file, int line)
{
	Lane &l = self("a warp operation");
	l.file = file;
	l.line = line;
	l.op = op;
	l.bits = bits;
	l.arg = arg;
	l.width = width;
	if (width < 1 || width > warpSize || (width & (width - 1)))
		fail(hipErrorLaunchFailure, "shuffle of width " + std::to_string(width) + " at " + file + ":" +
		     std::to_string(line));
	Warp &w = warp_of(l);
	l.state = State::at_warp_op;
	w.ready--;
	if (++w.at_warp_op == w.lanes)
		pass_warp_op(w);
	hipsim_fiber_leave(&l.fiber, false);
	return l.bits;
}

void *hipsim_dynamic_shared(size_t align)
{
	self("HIP_DYNAMIC_SHARED");
	if (align > 16)
		fail(hipErrorLaunchFailure, "dynamic shared memory is aligned to 16");
	return dynamic_shared(*grid.launch);
}

void hipsim_atomic_begin()
{
	Lane &l = self("an atomic");
	if (sim().seed > 1 && !random_below(4))
		hipsim_fiber_leave(&l.fiber, false);
}

void hipsim_register(const hipsim_kernel *k)
{
	Lock hold;
	Registered &r = registry()[k->function] = {k->name, {k->params, k->params + k->nparams}, *k};
	r.kernel.name = r.name.c_str();
	r.kernel.params = r.params.data();
}

void hipsim_unregister(const void *function)
{
	Lock hold;
	registry().erase(function);
}

HIP_CALL(hipLaunchKernel, PLAIN,
         (const void *f, dim3 blocks, dim3 threads, void **args, size_t shared, hipStream_t stream),
	auto it = registry().find(f);
	return it == registry().end()
		? report(hipErrorInvalidDeviceFunction, "launch of %p: no HIPSIM_KERNEL names it", f)
		: queue_launch(it->second.kernel, blocks, threads, args, shared, stream);
)

hipError_t hipsim_launch(const hipsim_kernel *k, dim3 blocks, dim3 threads, void **args, size_t shared,
                         hipStream_t stream)
{
	return api(call_hipLaunchKernel, PLAIN,
	           [&] { return queue_launch(*k, blocks, threads, args, shared, stream); });
}

HIP_CALL(hipOccupancyMaxActiveBlocksPerMultiprocessor, PLAIN,
         (int *blocks, const void *, int block_size, size_t shared),
	if (!blocks || block_size < 1 || block_size > 1024 || shared > shared_limit())
		return hipErrorInvalidValue;
	*blocks = std::min(2048 / block_size, shared ? static_cast<int>(shared_limit() / shared) : 32);
	return hipSuccess;
)
