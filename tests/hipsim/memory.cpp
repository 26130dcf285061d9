/* memory.cpp - device and pinned memory: blocks with red zones, quarantine, copies.
 *
 *    base                 data                 data + size         base + mapped
 *    | unmapped page | front |  size bytes       | tail < 256 | unmapped page |
 *
 * front and tail hold a pattern; both, the pages and freed blocks are poisoned for ASan. */
#include "internal.h"

#include <deque>
#include <map>
#include <sys/mman.h>

namespace hipsim {

enum : size_t { PAGE = 4096, ALIGN = 256, QUARANTINE = size_t{8} << 30 };
enum : unsigned char { FRESH = 0xff, RED = 0xfd };

struct Block {
	char *base, *data;
	size_t mapped, size;
	Kind kind;
	bool live;
	unsigned id;
};

static struct {
	std::map<const char *, Block> all; /* by base, freed ones in quarantine too */
	std::map<const char *, Block *> live; /* without those */
	std::deque<const char *> freed;
	size_t freed_bytes = 0;
	unsigned made = 0, open = 0;
} heap;

static char *end(const Block &b)
{
	return b.data + b.size;
}

static size_t tail(const Block &b)
{
	return static_cast<size_t>(b.base + b.mapped - PAGE - end(b));
}

/* Written by ourselves: memset would be checked by ASan. */
HIPSIM_NO_ASAN static void fill(char *p, unsigned char byte, size_t n)
{
#ifdef __x86_64__
	__asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(byte) : "memory");
#else
	for (volatile char *q = p; n--;)
		*q++ = static_cast<char>(byte);
#endif
}

HIPSIM_NO_ASAN static bool is_red(const char *p, size_t n)
{
	size_t i = 0;
	while (i < n && static_cast<unsigned char>(p[i]) == RED)
		i++;
	return i == n;
}

void fill_uninitialised(void *p, size_t n)
{
	fill(static_cast<char *>(p), FRESH, n);
}

/* The block whose pages, unmapped ones included, hold p. */
static Block *find(const void *p)
{
	const char *at = static_cast<const char *>(p);
	auto it = heap.all.upper_bound(at);
	if (it == heap.all.begin())
		return nullptr;
	Block &b = (--it)->second;
	return at < b.base + b.mapped ? &b : nullptr;
}

static Block *find_live(const void *p)
{
	Block *b = find(p);
	return b && b->live && p >= b->data && p <= end(*b) ? b : nullptr;
}

static const char *kind_name(Kind kind)
{
	return kind == Kind::device ? "device" : "pinned";
}

static void poison_as_closed(const Block &b)
{
	if (b.kind == Kind::device && !heap.open)
		__asan_poison_memory_region(b.data, b.size);
}

/* After an ASan report: what hipsim knows of the address. */
static void explain_asan_reports()
{
#if HIPSIM_ASAN
	__asan_set_error_report_callback([](const char *) {
		void *p = __asan_get_report_address();
		if (find(p) || in_kernel())
			fprintf(stderr, "hipsim: that was %s; the address is %s\n", where().c_str(),
			        describe(p).c_str());
	});
#endif
}

hipError_t block_new(void **out, size_t size, Kind kind)
{
	if (!out)
		return hipErrorInvalidValue;
	*out = nullptr;
	if (!size)
		return hipSuccess;
	size_t left = sim().memory_limit - std::min(sim().memory_limit, sim().memory_used);
	if (size > (kind == Kind::device ? left : SIZE_MAX / 2))
		return hipErrorOutOfMemory;
	size_t padded = (size + ALIGN - 1) / ALIGN * ALIGN, pages = (padded + PAGE - 1) / PAGE * PAGE;
	void *p = mmap(nullptr, pages + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return hipErrorOutOfMemory;
	char *base = static_cast<char *>(p);
	if (mprotect(base + PAGE, pages, PROT_READ | PROT_WRITE)) {
		munmap(p, pages + 2 * PAGE);
		return hipErrorOutOfMemory;
	}
	Block b = {base, base + PAGE + pages - padded, pages + 2 * PAGE, size, kind, true, ++heap.made};
	fill(base + PAGE, RED, pages - padded);
	fill(b.data, FRESH, size);
	fill(end(b), RED, tail(b));
	__asan_poison_memory_region(base, b.mapped);
	__asan_unpoison_memory_region(b.data, size);
	poison_as_closed(b);
	heap.all[base] = b;
	heap.live[base] = &heap.all[base];
	explain_asan_reports();
	sim().memory_used += kind == Kind::device ? size : 0;
	*out = b.data;
	return hipSuccess;
}

static bool check_block(const Block &b)
{
	if (is_red(b.base + PAGE, static_cast<size_t>(b.data - b.base) - PAGE) && is_red(end(b), tail(b)))
		return true;
	report(hipSuccess, "%s block %u (%zu bytes at %p): written before its begin or past its end",
	       kind_name(b.kind), b.id, b.size, static_cast<void *>(b.data));
	return false;
}

static void unmap_oldest()
{
	auto it = heap.all.find(heap.freed.front());
	heap.freed.pop_front();
	heap.freed_bytes -= it->second.mapped;
	__asan_unpoison_memory_region(it->second.base, it->second.mapped);
	munmap(it->second.base, it->second.mapped);
	heap.all.erase(it);
}

static void quarantine(Block &b)
{
	b.live = false;
	heap.live.erase(b.base);
	sim().memory_used -= b.kind == Kind::device ? b.size : 0;
	__asan_poison_memory_region(b.base, b.mapped);
	mmap(b.base, b.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	heap.freed.push_back(b.base);
	heap.freed_bytes += b.mapped;
	while (heap.freed_bytes > QUARANTINE)
		unmap_oldest();
}

hipError_t block_delete(void *p, Kind kind)
{
	if (!p)
		return hipSuccess;
	Block *b = find(p);
	if (!b || !b->live || b->kind != kind || b->data != p)
		return report(hipErrorInvalidValue, "free of %p, not the begin of a live %s block: %s", p,
		              kind_name(kind), describe(p).c_str());
	bool intact = check_block(*b);
	quarantine(*b);
	return intact ? hipSuccess : (sim().sticky = hipErrorIllegalAddress);
}

std::string describe(const void *p)
{
	const Block *b = find(p);
	if (!b)
		return "no block known";
	const char *at = static_cast<const char *>(p);
	std::string where = at < b->data ? std::to_string(b->data - at) + " bytes before " :
	                    at < end(*b) ? "byte " + std::to_string(at - b->data) + " of " :
	                    std::to_string(at - end(*b)) + " bytes past the end of ";
	return where + (b->live ? "" : "freed ") + kind_name(b->kind) + " block " + std::to_string(b->id) + " (" +
	       std::to_string(b->size) + " bytes)";
}

hipError_t check_device(const char *what, const void *p, size_t n)
{
	const Block *b = find_live(p);
	if (!b)
		return report(hipErrorInvalidValue, "%s: %p is not device memory: %s", what, p, describe(p).c_str());
	if (n > static_cast<size_t>(end(*b) - static_cast<const char *>(p)))
		return report(hipErrorInvalidValue, "%s: %zu bytes from %s pass its end", what, n, describe(p).c_str());
	return hipSuccess;
}

hipError_t check_host(const char *what, const void *p, size_t n)
{
	const Block *b = find(p);
	if (!p)
		return report(hipErrorInvalidValue, "%s: null host pointer", what);
	if (b && (b->kind == Kind::device || !b->live))
		return report(hipErrorInvalidMemcpyDirection, "%s: host memory wanted, found %s", what,
		              describe(p).c_str());
	return b ? check_device(what, p, n) : hipSuccess;
}

bool is_device(const void *p)
{
	const Block *b = find_live(p);
	return b && b->kind == Kind::device;
}

bool is_pinned(const void *p)
{
	const Block *b = find_live(p);
	return b && b->kind == Kind::pinned;
}

bool is_kernel_pointer(const void *p)
{
	return !p || find_live(p);
}

int check_blocks()
{
	int broken = 0;
	for (const auto &it : heap.live)
		broken += !check_block(*it.second);
	return broken;
}

int blocks_alive()
{
	for (const auto &it : heap.live) {
		const Block &b = *it.second;
		report(hipSuccess, "leak: %s block %u of %zu bytes", kind_name(b.kind), b.id, b.size);
	}
	return static_cast<int>(heap.live.size());
}

void drop_blocks()
{
	while (!heap.live.empty())
		quarantine(*heap.live.begin()->second);
}

DeviceOpen::DeviceOpen()
{
	if (HIPSIM_ASAN && !heap.open)
		for (const auto &it : heap.live)
			__asan_unpoison_memory_region(it.second->data, it.second->size);
	heap.open++;
}

DeviceOpen::~DeviceOpen()
{
	if (--heap.open == 0 && HIPSIM_ASAN)
		for (const auto &it : heap.live)
			poison_as_closed(*it.second);
}

/* ---- copies ---- */

struct Copy {
	const char *call;
	void *dst;
	const void *src;
	size_t size;
	hipMemcpyKind kind;
};

static hipMemcpyKind actual_kind(const void *dst, const void *src)
{
	static const hipMemcpyKind kinds[2][2] = {{hipMemcpyHostToHost, hipMemcpyHostToDevice},
	                                          {hipMemcpyDeviceToHost, hipMemcpyDeviceToDevice}};
	return kinds[is_device(src)][is_device(dst)];
}

static hipError_t check_copy(const Copy &c)
{
	bool from_device = c.kind == hipMemcpyDeviceToHost || c.kind == hipMemcpyDeviceToDevice;
	bool to_device = c.kind == hipMemcpyHostToDevice || c.kind == hipMemcpyDeviceToDevice;
	hipError_t err = (from_device ? check_device : check_host)(c.call, c.src, c.size);
	if (!err)
		err = (to_device ? check_device : check_host)(c.call, c.dst, c.size);
	const char *d = static_cast<const char *>(c.dst), *s = static_cast<const char *>(c.src);
	if (!err && d < s + c.size && s < d + c.size)
		return report(hipErrorInvalidValue, "%s: source and destination overlap (%p and %p, %zu bytes)",
		              c.call, c.dst, c.src, c.size);
	return err;
}

static hipError_t run_copy(const Copy &c)
{
	hipError_t err = check_copy(c); /* again: a graph may outlive what it was captured with */
	if (err)
		return report(hipErrorIllegalAddress, "%s", std::string(sim().message).c_str());
	memcpy(c.dst, c.src, c.size);
	sim().copies[c.kind]++;
	sim().clock_ns += 1000 + c.size / 16;
	return hipSuccess;
}

/* Checks and queues; a pageable source is read now, unless a graph is to read it at each replay. */
static hipError_t queue_copy(Copy c, hipStream_t stream)
{
	if (!c.size)
		return hipSuccess;
	if (c.kind > hipMemcpyDefault)
		return hipErrorInvalidMemcpyDirection;
	if (c.kind == hipMemcpyDefault)
		c.kind = actual_kind(c.dst, c.src);
	hipError_t err = check_copy(c);
	if (err)
		return err;
	if (c.kind != hipMemcpyHostToDevice || is_pinned(c.src) || is_capturing(stream))
		return enqueue(stream, hipGraphNodeTypeMemcpy, [c] { return run_copy(c); });
	const char *src = static_cast<const char *>(c.src);
	auto staged = std::make_shared<std::vector<char>>(src, src + c.size);
	return enqueue(stream, hipGraphNodeTypeMemcpy, [c, staged] {
		Copy from_stage = c;
		from_stage.src = staged->data();
		return run_copy(from_stage);
	});
}

static hipError_t queue_set(const char *call, void *dst, int value, size_t size, hipStream_t stream)
{
	if (!size)
		return hipSuccess;
	hipError_t err = check_device(call, dst, size);
	if (err)
		return err;
	return enqueue(stream, hipGraphNodeTypeMemset, [=] {
		if (check_device(call, dst, size))
			return hipErrorIllegalAddress;
		memset(dst, value, size);
		sim().clock_ns += 1000 + size / 32;
		return hipSuccess;
	});
}

} // namespace hipsim

using namespace hipsim;

/* Waits for the device first: what is queued may use the block. */
static hipError_t release(void *ptr, Kind kind)
{
	hipError_t err = ptr ? finish_all() : hipSuccess, freed = block_delete(ptr, kind);
	return err ? err : freed;
}

HIP_CALL(hipMalloc, UNSAFE, (void **ptr, size_t size), return block_new(ptr, size, Kind::device);)
HIP_CALL(hipHostMalloc, UNSAFE, (void **ptr, size_t size, unsigned), return block_new(ptr, size, Kind::pinned);)
HIP_CALL(hipFree, UNSAFE | RELEASES, (void *ptr), return release(ptr, Kind::device);)
HIP_CALL(hipHostFree, UNSAFE | RELEASES, (void *ptr), return release(ptr, Kind::pinned);)

HIP_CALL(hipMemGetInfo, PLAIN, (size_t *free_bytes, size_t *total),
	if (!free_bytes || !total)
		return hipErrorInvalidValue;
	*total = sim().memory_limit;
	*free_bytes = *total - std::min(*total, sim().memory_used);
	return hipSuccess;
)

HIP_CALL(hipMemcpy, UNSAFE, (void *dst, const void *src, size_t size, hipMemcpyKind kind),
	Copy c = {"hipMemcpy", dst, src, size, kind == hipMemcpyDefault ? actual_kind(dst, src) : kind};
	hipError_t err = queue_copy(c, nullptr);
	return err || c.kind == hipMemcpyDeviceToDevice ? err : finish_stream(nullptr);
)

HIP_CALL(hipMemcpyAsync, PLAIN, (void *dst, const void *src, size_t size, hipMemcpyKind kind, hipStream_t stream),
	return queue_copy({"hipMemcpyAsync", dst, src, size, kind}, stream);
)

HIP_CALL(hipMemset, UNSAFE, (void *dst, int value, size_t size),
	return queue_set("hipMemset", dst, value, size, nullptr);
)

HIP_CALL(hipMemsetAsync, PLAIN, (void *dst, int value, size_t size, hipStream_t stream),
	return queue_set("hipMemsetAsync", dst, value, size, stream);
)
