/* hip_runtime.h - the HIP C++ device language on the host compiler; kernels of hipsim are compiled through this.
 *
 * What is here is the part that AMD and NVIDIA compilers agree on. What is not here is not portable: if a kernel
 * does not compile against this header, it should not be written that way. See hipsim.h for the model.
 */
#ifndef HIPSIM_HIP_RUNTIME_H
#define HIPSIM_HIP_RUNTIME_H

#include <hip/hip_runtime_api.h>

#include <cmath>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

/* ---- the language ------------------------------------------------------------------------------------------ */

#define __global__
#define __device__
#define __host__
#define __constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))

/* The tag becomes part of the symbol, by which hipsim finds the variables it has to refill for every block; `used`
 * because no compiler may conclude anything from who writes to them. */
#define __shared__ static __attribute__((abi_tag("hipsim_shared"), used))
#define HIP_DYNAMIC_SHARED(type, name) type *const name = static_cast<type *>(hipsim_dynamic_shared(alignof(type)));

#define HIPSIM_VECTOR(T, name, align4)                                                                     \
	struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                 \
	struct name##3 { T x, y, z; };                                                                     \
	struct alignas(align4) name##4 { T x, y, z, w; };                                                  \
	static inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                  \
	static inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                          \
	static inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
HIPSIM_VECTOR(signed char, char, 4)
HIPSIM_VECTOR(unsigned char, uchar, 4)
HIPSIM_VECTOR(short, short, 8)
HIPSIM_VECTOR(unsigned short, ushort, 8)
HIPSIM_VECTOR(int, int, 16)
HIPSIM_VECTOR(unsigned, uint, 16)
HIPSIM_VECTOR(long long, longlong, 16)
HIPSIM_VECTOR(unsigned long long, ulonglong, 16)
HIPSIM_VECTOR(float, float, 16)
HIPSIM_VECTOR(double, double, 16)
#undef HIPSIM_VECTOR

/* ---- what the simulator exports to kernels ------------------------------------------------------------------ */

struct hipsim_place {
	uint3 thread, block;
	dim3 block_dim, grid_dim;
};

enum hipsim_warp_op {
	HIPSIM_SHFL, HIPSIM_SHFL_UP, HIPSIM_SHFL_DOWN, HIPSIM_SHFL_XOR, HIPSIM_BALLOT, HIPSIM_ANY, HIPSIM_ALL
};

struct hipsim_param {
	size_t size, align;
	bool pointer;
};

/* A kernel whose argument types the compiler knew: how to store its arguments and how to call it. */
struct hipsim_kernel {
	const char *name;
	const void *function;
	void (*call)(const void *function, void **args);
	const hipsim_param *params;
	size_t nparams;
};

extern "C" {
HIPSIM_API extern const hipsim_place *hipsim_here;
HIPSIM_API extern int warpSize; /* not for kernels to change */
HIPSIM_API void hipsim_barrier(const char *file, int line);
HIPSIM_API uint64_t hipsim_warp_exchange(hipsim_warp_op op, uint64_t bits, int arg, int width, const char *file,
                                         int line);
HIPSIM_API void *hipsim_dynamic_shared(size_t align);
HIPSIM_API void hipsim_atomic_begin(void);
HIPSIM_API hipError_t hipsim_launch(const hipsim_kernel *kernel, dim3 grid, dim3 block, void **args, size_t shared,
                                    hipStream_t stream);
HIPSIM_API void hipsim_register(const hipsim_kernel *kernel);
HIPSIM_API void hipsim_unregister(const void *function);
}

#define threadIdx (hipsim_here->thread)
#define blockIdx (hipsim_here->block)
#define blockDim (hipsim_here->block_dim)
#define gridDim (hipsim_here->grid_dim)

/* ---- barriers, warps, atomics ------------------------------------------------------------------------------- */

static inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
	hipsim_barrier(file, line);
}

static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __threadfence_system() {}

template <class T>
static inline T hipsim_shuffle(hipsim_warp_op op, T value, int arg, int width, const char *file, int line)
{
	static_assert(std::is_arithmetic<T>::value && (sizeof(T) == 4 || sizeof(T) == 8), "shuffles move 4 or 8 bytes");
	uint64_t bits = 0;
	memcpy(&bits, &value, sizeof value);
	bits = hipsim_warp_exchange(op, bits, arg, width, file, line);
	memcpy(&value, &bits, sizeof value);
	return value;
}

#define HIPSIM_SHUFFLE(name, op, arg)                                                                          \
	template <class T>                                                                                     \
	static inline T name(T value, arg, int width = warpSize, const char *file = __builtin_FILE(),          \
	                     int line = __builtin_LINE())                                                      \
	{                                                                                                      \
		return hipsim_shuffle(op, value, static_cast<int>(lane), width, file, line);                   \
	}
HIPSIM_SHUFFLE(__shfl, HIPSIM_SHFL, int lane)
HIPSIM_SHUFFLE(__shfl_up, HIPSIM_SHFL_UP, unsigned lane)
HIPSIM_SHUFFLE(__shfl_down, HIPSIM_SHFL_DOWN, unsigned lane)
HIPSIM_SHUFFLE(__shfl_xor, HIPSIM_SHFL_XOR, int lane)
#undef HIPSIM_SHUFFLE

#define HIPSIM_VOTE(type, name, op)                                                                            \
	static inline type name(int predicate, const char *file = __builtin_FILE(), int line = __builtin_LINE()) \
	{                                                                                                      \
		return static_cast<type>(hipsim_warp_exchange(op, predicate != 0, 0, warpSize, file, line));   \
	}
HIPSIM_VOTE(unsigned long long, __ballot, HIPSIM_BALLOT)
HIPSIM_VOTE(int, __any, HIPSIM_ANY)
HIPSIM_VOTE(int, __all, HIPSIM_ALL)
#undef HIPSIM_VOTE

/* Threads are switched only inside hipsim calls, so a plain read and write is atomic once hipsim_atomic_begin, where
 * a seeded schedule may switch, has returned. */
template <class T, class F> static inline T hipsim_atomic(T *p, F change)
{
	hipsim_atomic_begin();
	T old = *p;
	*p = change(old);
	return old;
}

template <class T> struct hipsim_same { typedef T type; };

#define HIPSIM_ATOMIC(name, result, ...)                                                                       \
	template <class T> static inline T name(T *p, typename hipsim_same<T>::type v)                         \
	{                                                                                                      \
		static_assert(__VA_ARGS__, #name " has no such type on every GPU");                            \
		return hipsim_atomic(p, [v](T old) -> T { return static_cast<T>(result); });                   \
	}
#define HIPSIM_IS(type) std::is_same<T, type>::value
#define HIPSIM_IS_INT (HIPSIM_IS(int) || HIPSIM_IS(unsigned) || HIPSIM_IS(unsigned long long))
HIPSIM_ATOMIC(atomicAdd, old + v, HIPSIM_IS_INT || HIPSIM_IS(float) || HIPSIM_IS(double))
HIPSIM_ATOMIC(atomicSub, old - v, HIPSIM_IS(int) || HIPSIM_IS(unsigned))
HIPSIM_ATOMIC(atomicExch, ((void)old, v), HIPSIM_IS_INT || HIPSIM_IS(float))
HIPSIM_ATOMIC(atomicMax, old > v ? old : v, HIPSIM_IS_INT)
HIPSIM_ATOMIC(atomicMin, old < v ? old : v, HIPSIM_IS_INT)
HIPSIM_ATOMIC(atomicAnd, old & v, HIPSIM_IS_INT)
HIPSIM_ATOMIC(atomicOr, old | v, HIPSIM_IS_INT)
HIPSIM_ATOMIC(atomicXor, old ^ v, HIPSIM_IS_INT)
#undef HIPSIM_ATOMIC

template <class T>
static inline T atomicCAS(T *p, typename hipsim_same<T>::type expected, typename hipsim_same<T>::type desired)
{
	static_assert(HIPSIM_IS_INT, "atomicCAS has no such type on every GPU");
	return hipsim_atomic(p, [=](T old) { return old == expected ? desired : old; });
}
#undef HIPSIM_IS
#undef HIPSIM_IS_INT

/* ---- arithmetic --------------------------------------------------------------------------------------------- */

template <class To, class From> static inline To hipsim_bits(From from)
{
	To to;
	static_assert(sizeof to == sizeof from, "same size");
	memcpy(&to, &from, sizeof to);
	return to;
}

static inline unsigned __float_as_uint(float x) { return hipsim_bits<unsigned>(x); }
static inline int __float_as_int(float x) { return hipsim_bits<int>(x); }
static inline float __uint_as_float(unsigned x) { return hipsim_bits<float>(x); }
static inline float __int_as_float(int x) { return hipsim_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return hipsim_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return hipsim_bits<double>(x); }

static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }

/* libc declares functions of these names for itself, hence macros. */
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }

#define HIPSIM_MINMAX(T)                                                                                       \
	static inline T min(T a, T b) { return b < a ? b : a; }                                                \
	static inline T max(T a, T b) { return a < b ? b : a; }
HIPSIM_MINMAX(int)
HIPSIM_MINMAX(unsigned)
HIPSIM_MINMAX(long)
HIPSIM_MINMAX(unsigned long)
HIPSIM_MINMAX(long long)
HIPSIM_MINMAX(unsigned long long)
#undef HIPSIM_MINMAX
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }

/* ---- launching ---------------------------------------------------------------------------------------------- */

template <class... P> struct hipsim_signature {
	static_assert((std::is_trivially_copyable<P>::value && ...), "kernel arguments are copied byte by byte");
	typedef void (*function)(P...);

	template <size_t... I> static void apply(function f, void **args, std::index_sequence<I...>)
	{
		(void)args;
		f(*static_cast<P *>(args[I])...);
	}

	static void call(const void *f, void **args)
	{
		apply(reinterpret_cast<function>(const_cast<void *>(f)), args, std::index_sequence_for<P...>());
	}

	/* Passes the description of f to use, and what use returns back. */
	template <class F> static auto describe(const char *name, function f, F use)
	{
		const hipsim_param params[] = {{sizeof(P), alignof(P), std::is_pointer<P>::value}..., {0, 0, false}};
		const hipsim_kernel k = {name, reinterpret_cast<const void *>(f), call, params, sizeof...(P)};
		return use(&k);
	}
};

/* In C++ a kernel can be given as it is; through `const void *` only after HIPSIM_KERNEL. */
template <class... P>
hipError_t hipLaunchKernel(void (*f)(P...), dim3 grid, dim3 block, void **args, size_t shared, hipStream_t stream)
{
	return hipsim_signature<P...>::describe(nullptr, f, [&](const hipsim_kernel *k) {
		return hipsim_launch(k, grid, block, args, shared, stream);
	});
}

/* As in HIP: no result, ask hipGetLastError. Arguments convert to the parameter types. */
template <class... P, class... A>
void hipsim_launch_ggl(const char *name, void (*f)(P...), dim3 grid, dim3 block, size_t shared, hipStream_t stream,
                       A... a)
{
	std::tuple<P...> values(static_cast<P>(a)...);
	hipsim_signature<P...>::describe(name, f, [&](const hipsim_kernel *k) {
		return std::apply([&](P &...v) {
			void *args[] = {const_cast<void *>(static_cast<const void *>(&v))..., nullptr};
			return hipsim_launch(k, grid, block, args, shared, stream);
		}, values);
	});
}

#define HIP_KERNEL_NAME(...) __VA_ARGS__
#define hipLaunchKernelGGL(kernel, ...) hipsim_launch_ggl(#kernel, kernel, __VA_ARGS__)

struct hipsim_registrar {
	const void *function;
	template <class... P> hipsim_registrar(const char *name, void (*f)(P...))
		: function(reinterpret_cast<const void *>(f))
	{
		hipsim_signature<P...>::describe(name, f, [](const hipsim_kernel *k) { hipsim_register(k); return 0; });
	}
	~hipsim_registrar() { hipsim_unregister(function); }
};

/* At file scope: lets hipLaunchKernel take the kernel as `const void *`. */
#define HIPSIM_KERNEL(kernel) static const hipsim_registrar hipsim_registrar_##kernel(#kernel, kernel)

#endif
