/* hip.h - what the tests of the GPU kernels share: tensors in awkward memory, launches on the device and on the CPU,
 * comparison.
 *
 *     test [32|64] [full|quick] [bare] [NAME]...     all tests, or those whose name begins so
 *
 * The device is whatever the HIP runtime has: hipsim in `make check`, a GPU in `make check-hip`. Where there is none
 * the program says so and ends well. hipsim plays warps of 32 or 64; a GPU has its own.
 *
 *   full, quick   sizes that a GPU takes seconds for (what it does without a word), or those for a simulator (its own)
 *   bare          results are memory that nobody wrote before, for tools that look for its being read
 */
#ifndef GRAFT_TEST_HIP_H
#define GRAFT_TEST_HIP_H

#include <graft/plugin.h>
#include <hip/hip_runtime_api.h>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/* ---- tests register themselves ---- */

struct Test { Test(const char *name, void (*run)()); };
#define TEST(name) static void name(); static Test test_##name(#name, name); static void name()

/* Notes a failure of the running test: the first is printed. */
void failed(const char *file, int line, const std::string &what);
#define CHECK(x) do { if (!(x)) failed(__FILE__, __LINE__, #x); } while (0)
#define CHECK_IS(x, want, what) do { long long got_ = static_cast<long long>(x), want_ = static_cast<long long>(want); \
	if (got_ != want_) failed(__FILE__, __LINE__,                                                                  \
	                          #x " is " + std::to_string(got_) + ", not " + std::to_string(want_) +                \
	": " + (what)); } while (0)
bool still_good();                            /* the running test has not failed */
void not_here(const char *why);               /* the running test cannot be made on this machine: it counts as none */

/* ---- numbers ---- */

struct Random {
	uint64_t state = 1;
	uint64_t bits();
	int64_t below(int64_t n);
	double number();                      /* about -4 .. 4, with a few exact small integers and zeros */
	template <class T> const T &of(const std::vector<T> &v)
	{
		return v[static_cast<size_t>(below(static_cast<int64_t>(v.size())))];
	}
};

#define X(name, ...) GRAFT_DTYPE_##name,
inline const std::vector<int> every = {GRAFT_DTYPE_MAP(X)};
#undef X
inline const std::vector<int> floats = {GRAFT_DTYPE_f32, GRAFT_DTYPE_f16, GRAFT_DTYPE_bf16};  /* computed in float32 */

double ulp(int dtype, double v);              /* distance of neighbours at v; 0 for an integer */
bool floating(int dtype);

/* ---- tensors ---- */

typedef std::vector<int64_t> Shape;

/* ODD: dense, at an address that is no multiple of 4 elements */
enum Layout { DENSE, GAPS, PERMUTED, EXPANDED, NEGATIVE, ODD, LAYOUTS };

struct Tensor {
	int dtype = GRAFT_DTYPE_COUNT;        /* COUNT: a missing operand */
	Shape shape, stride;
	std::vector<uint8_t> bytes;           /* everything, what belongs to no element included */
	size_t first = 0;                     /* of element 0, in bytes */
	void *device = nullptr;               /* the first of the bytes on the device, while they are there */

	Tensor() {}
	Tensor(int dtype, const Shape &shape, Layout layout = DENSE, int64_t gap = 3);
	/* A view with these strides on memory of its own; offset elements before element 0. */
	Tensor(int dtype, const Shape &shape, const Shape &stride, int64_t offset);

	int64_t size() const;
	size_t at(int64_t index) const;       /* bytes from the start */
	double get(int64_t index) const;
	int64_t integer(int64_t index) const;
	void put(int64_t index, double v);
	uint64_t raw(int64_t index) const;    /* the element's bytes */
	Tensor &fill(Random &r);              /* numbers of the dtype */
	Tensor &fill(Random &r, int64_t below);   /* integers */
	Tensor &fill(double v);
	graft_tensor host();
	graft_tensor there() const;           /* on the device */
	void send();                          /* to the device; the next launch with it brings it back */
	std::string text() const;             /* "bf16[2, 3]" and strides */
};

graft_attr attr_int(int64_t i);
graft_attr attr_float(double f);
graft_attr attr_list(const std::vector<int64_t> &v);  /* borrows v */
graft_attr attr_none();

/* ---- the machine ---- */

extern unsigned warp;                         /* threads that go together there */
extern bool full, bare;

const char *machine_open(unsigned wanted_warp);       /* NULL, or why there is no device */
void machine_fresh();                         /* before each test: orders and faults as usual */
std::string machine_wrong();                  /* after each: what is wrong with its memory; "" */
void machine_close();
bool machine_is_slow();                       /* a simulator */
/* Where it can be chosen: the order of threads; that a call of the runtime fails ("hipMalloc:3", NULL none). False: it
 * can't be chosen here. */
bool schedule(unsigned seed);
bool fail_call(const char *spec);

/* Memory of the device between zones that nothing may write; without zones on the simulator, which has its own that may
 * not be read either. guards_hold is false once a zone was written. */
void *guarded(size_t size);
bool guards_hold(const void *p);
void guarded_free(void *p);
bool to_device(void *p, const void *from, size_t size);
bool from_device(void *to, const void *p, size_t size);

/* ---- at random ---- */

Layout any(Random &r);
Layout any_result(Random &r);                 /* that a result may have */
Shape any_shape(Random &r, int64_t rank, int64_t most);
Shape part_of(Random &r, Shape s);            /* a shape that broadcasts to s */

/* ---- launches ---- */

typedef std::vector<Tensor *> Tensors;
typedef std::vector<graft_attr> Attrs;

/* Runs it on the device: outputs (and operand 0, when it is written) get what the kernel wrote; nothing else may
 * change. */
int run_hip(graft_launch_fn kernel, const Tensors &in, const Tensors &out, const Attrs &attr, const std::string &what,
            const graft_host *host = nullptr);
/* What one call puts on the stream, counted in a graph that records it. */
struct Counted { long kernels, others; };
Counted count_hip(graft_launch_fn kernel, const Tensors &in, const Tensors &out, const Attrs &attr);
/* Tensors that are on the device already; waits. */
int launch_hip(graft_launch_fn kernel, const Tensors &in, const Tensors &out, const Attrs &attr);
/* The message of the last launch. */
const char *hip_message();
/* The reference kernel on the same memory. */
int run_cpu(graft_launch_fn kernel, const Tensors &in, const Tensors &out, const Attrs &attr);

/* Every element of got within `ulps` of want in its dtype, and within slack times the greatest |want| more. */
void check_close(const Tensor &got, const Tensor &want, double ulps, double slack, const std::string &what);
bool same_bits(const Tensor &a, const Tensor &b);

/* ---- kernels ---- */

extern "C" const graft_pack *graft_pack_v1(void);
graft_launch_fn hip_kernel(const char *op);

/* The reference kernels of its ops. */
extern "C" {
#define ROW(name, rounds) int cpu_##name(const graft_launch *l);
#include "../../src/kernels/hip/pack.def"
#undef ROW
}

std::string text_of(const char *op, const Tensors &in, const Tensor &out);

/* The kernel into `layout` on the device, the reference into dense memory; see check_close. */
void compare_into(const char *op, graft_launch_fn cpu, const Tensors &in, int dtype, const Shape &shape, Layout layout,
                  const Attrs &attr, double ulps, double slack);
#define COMPARE(op, ...) compare_into(#op, cpu_##op, __VA_ARGS__)

#endif
