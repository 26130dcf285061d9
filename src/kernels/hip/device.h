/* device.h - what the GPU kernels share on the device; the only file that says anything about one vendor's compiler.
 *
 *   f16, bf16     storage of half precision, converted to nearest even
 *   Chunk         16 bytes, as they are loaded and stored
 *   Walk          where the elements of up to WALK_TENSORS tensors lie, index by index
 *   group_fold    one number out of one from each of 2^k neighbouring threads, in an order that does not depend on the
 *                 warp size
 *
 * The compiler is told not to contract a*b + c; where one rounding is meant, fmaf says so. So a kernel's bits are the
 * same on every device as far as its operations are exact to the last bit there.
 */
#ifndef GRAFT_HIP_DEVICE_H
#define GRAFT_HIP_DEVICE_H

#include <graft/graft.h>
#include <hip/hip_runtime.h>

#define DEVICE static __device__ __forceinline__

enum { BLOCK = 256 };                         /* threads of a block, in every kernel */
#define KERNEL __global__ void __launch_bounds__(BLOCK)

#if defined(__CUDACC__) || defined(__HIP_PLATFORM_AMD__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

/* ---- element types ---------------------------------------------------- */

struct f16 { uint16_t bits; };
struct bf16 { uint16_t bits; };

/* The magnitude bits of |v| (as float32 bits) in a format with m mantissa bits: to nearest even, the exponent
 * unbounded above. Below the least normal number, adding 2^k makes the float adder round at the format's last place. */
DEVICE uint32_t narrow(uint32_t a, unsigned m, unsigned bias)
{
	unsigned shift = 23 - m;
	uint32_t normal = ((a + (1u << (shift - 1)) - 1 + (a >> shift & 1)) >> shift) - ((127 - bias) << m);
	uint32_t place = (127 + 1 - bias - m + 23) << 23;
	uint32_t below = __float_as_uint(__uint_as_float(a) + __uint_as_float(place)) - place;
	return a < (127 + 1 - bias) << 23 ? below : normal;
}

/* The reverse, for finite values. */
DEVICE float widen(uint32_t sign, uint32_t a, unsigned m, unsigned bias)
{
	float unit = __uint_as_float((127 + 1 - bias - m) << 23);
	uint32_t below = __float_as_uint(static_cast<float>(static_cast<int32_t>(a)) * unit);
	return __uint_as_float(sign | (a < 1u << m ? below : (a << (23 - m)) + ((127 - bias) << 23)));
}

DEVICE float to_float(float v) { return v; }
DEVICE float to_float(bf16 v) { return __uint_as_float(static_cast<uint32_t>(v.bits) << 16); }

template <class T> DEVICE T from_float(float v);
template <> __device__ __forceinline__ float from_float<float>(float v) { return v; }

#if defined(__CUDACC__)
DEVICE float to_float(f16 v) { return __half2float(__ushort_as_half(v.bits)); }
template <> __device__ __forceinline__ f16 from_float<f16>(float v) { return {__half_as_ushort(__float2half_rn(v))}; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float v)
{
	return {__bfloat16_as_ushort(__float2bfloat16_rn(v))};
}
#else
template <> __device__ __forceinline__ bf16 from_float<bf16>(float v)
{
	uint32_t u = __float_as_uint(v), even = u >> 16 & 1;
	return {static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? u >> 16 | 0x40 : (u + 0x7fff + even) >> 16)};
}
#if defined(__HIP_PLATFORM_AMD__)
/* v, but a conversion stays apart from the product before or behind it. As one instruction they are an fma with +0,
 * which makes 0 of -0, and the compiler joins them in some kernels and not in others. */
DEVICE float apart(float v)
{
#if defined(__AMDGCN__)
	asm("" : "+v"(v));
#endif
	return v;
}

DEVICE float to_float(f16 v) { return apart(static_cast<float>(__builtin_bit_cast(_Float16, v.bits))); }
template <> __device__ __forceinline__ f16 from_float<f16>(float v)
{
	return {__builtin_bit_cast(uint16_t, static_cast<_Float16>(apart(v)))};
}
#else
DEVICE float to_float(f16 v)
{
	uint32_t a = v.bits & 0x7fffu, sign = static_cast<uint32_t>(v.bits & 0x8000) << 16;
	return a >= 0x7c00 ? __uint_as_float(sign | 0x7f800000u | a << 13) : widen(sign, a, 10, 15);
}
template <> __device__ __forceinline__ f16 from_float<f16>(float v)
{
	uint32_t u = __float_as_uint(v), a = u & 0x7fffffffu, h = narrow(a, 10, 15);
	h = a > 0x7f800000u ? 0x7e00u | (a >> 13 & 0x3ff) : a >= 0x477ff000u ? 0x7c00 : h;
	return {static_cast<uint16_t>((u >> 16 & 0x8000u) | h)};
}
#endif
#endif

/* v with the precision of T. */
template <class T> DEVICE float rounded(float v) { return to_float(from_float<T>(v)); }

/* ---- 16 bytes ---------------------------------------------------- */

struct Chunk { uint32_t w[4]; };

/* p is a multiple of 16. `once`: the bytes are not read again, so they need not push others out of the caches. */
#if defined(__CUDACC__)
DEVICE Chunk chunk_of(uint4 v) { return {{v.x, v.y, v.z, v.w}}; }
DEVICE Chunk load_chunk(const void *p) { return chunk_of(*static_cast<const uint4 *>(p)); }
DEVICE Chunk load_chunk_once(const void *p) { return chunk_of(__ldcs(static_cast<const uint4 *>(p))); }
DEVICE void store_chunk(void *p, Chunk c) { *static_cast<uint4 *>(p) = make_uint4(c.w[0], c.w[1], c.w[2], c.w[3]); }
#else
typedef uint32_t Four __attribute__((vector_size(16)));
DEVICE Chunk chunk_of(Four v) { return {{v[0], v[1], v[2], v[3]}}; }
DEVICE Chunk load_chunk(const void *p) { return chunk_of(*static_cast<const Four *>(p)); }
#if defined(__HIP_PLATFORM_AMD__)
DEVICE Chunk load_chunk_once(const void *p)
{
	return chunk_of(__builtin_nontemporal_load(static_cast<const Four *>(p)));
}
#else
DEVICE Chunk load_chunk_once(const void *p) { return load_chunk(p); }
#endif
DEVICE void store_chunk(void *p, Chunk c) { *static_cast<Four *>(p) = Four{c.w[0], c.w[1], c.w[2], c.w[3]}; }
#endif

/* The compiler forgets what it knows of c: elements that are needed again are taken out of it again, instead of being
 * kept in registers of their own meanwhile, twice as many for half precision. */
DEVICE void stay_packed(Chunk *c)
{
	(void)c;
#if defined(__CUDA_ARCH__)
	asm volatile("" : "+r"(c->w[0]), "+r"(c->w[1]), "+r"(c->w[2]), "+r"(c->w[3]));
#elif defined(__AMDGCN__)
	asm volatile("" : "+v"(c->w[0]), "+v"(c->w[1]), "+v"(c->w[2]), "+v"(c->w[3]));
#endif
}

/* v is worked out by here, not when it is needed. */
DEVICE void stay_known(int64_t *v)
{
	(void)v;
#if defined(__CUDA_ARCH__)
	asm volatile("" : "+l"(*v));
#elif defined(__AMDGCN__)
	asm volatile("" : "+v"(*v));
#endif
}

/* The elements of a chunk, LANES of them. */
template <class T> struct Packed;

template <> struct Packed<float> {
	enum { LANES = 4 };
	static __device__ __forceinline__ float item(const Chunk &c, int i) { return __uint_as_float(c.w[i]); }
	static __device__ __forceinline__ float get(const Chunk &c, int i) { return item(c, i); }
	static __device__ __forceinline__ void put(Chunk &c, int i, float v) { c.w[i] = __float_as_uint(v); }
};

/* Put in ascending order: an even element clears its neighbour. */
template <class T> struct Packed {
	enum { LANES = 8 };
	static __device__ __forceinline__ T item(const Chunk &c, int i)
	{
		return T{static_cast<uint16_t>(c.w[i / 2] >> (i % 2 * 16))};
	}
	static __device__ __forceinline__ float get(const Chunk &c, int i) { return to_float(item(c, i)); }
	static __device__ __forceinline__ void put(Chunk &c, int i, float v)
	{
		uint32_t bits = from_float<T>(v).bits;
		c.w[i / 2] = i % 2 ? c.w[i / 2] | bits << 16 : bits;
	}
};

/* Eight numbers `step` elements apart, of which the first `left` are there; the others are 0. Packed: the step is 1 and
 * p a multiple of 16. */
enum : int { EIGHT = 8 };

template <class T> DEVICE void load_eight(const T *p, int64_t step, int64_t left, bool packed, float (&v)[EIGHT])
{
	enum { N = Packed<T>::LANES };
	if (packed && left >= EIGHT) {
		UNROLL
		for (int c = 0; c < EIGHT / N; c++) {
			Chunk chunk = load_chunk(p + c * N);
			UNROLL
			for (int e = 0; e < N; e++)
				v[c * N + e] = Packed<T>::get(chunk, e);
		}
	} else {
		UNROLL
		for (int e = 0; e < EIGHT; e++)
			v[e] = e < left ? to_float(p[e * step]) : 0;
	}
}

/* ---- one element of any dtype ---------------------------------------------------- */

template <class T> DEVICE T element(const void *base, int64_t i) { return static_cast<const T *>(base)[i]; }

DEVICE float f8_to_float(int dtype, uint8_t b)
{
	uint32_t a = b & 0x7fu, sign = static_cast<uint32_t>(b & 0x80) << 24, nan = sign | 0x7fc00000u;
	if (dtype == GRAFT_DTYPE_f8e5m2)
		return to_float(f16{static_cast<uint16_t>(b << 8)});
	if (dtype == GRAFT_DTYPE_f8e4m3fnuz)
		return b == 0x80 ? __uint_as_float(0x7fc00000u) : widen(sign, a, 3, 8);
	return a == 0x7f ? __uint_as_float(nan) : widen(sign, a, 3, 7);
}

DEVICE uint8_t f8_from_float(int dtype, float v)
{
	uint32_t u = __float_as_uint(v), a = u & 0x7fffffffu, sign = u >> 24 & 0x80, h;
	if (dtype == GRAFT_DTYPE_f8e5m2) {
		h = narrow(a, 2, 15);
		return static_cast<uint8_t>(sign | (a > 0x7f800000u ? 0x7f : h > 0x7c ? 0x7c : h));
	}
	if (dtype == GRAFT_DTYPE_f8e4m3fnuz) {
		h = narrow(a, 3, 8);
		return static_cast<uint8_t>(h == 0 ? 0 : h > 0x7f ? 0x80 : sign | h);
	}
	h = narrow(a, 3, 7);
	return static_cast<uint8_t>(sign | (h > 0x7f ? 0x7f : h));
}

/* The number at index i, in the type that is computed in: float, double or int64_t. Floats become integers towards
 * zero; what is beyond them, and NaN, as on the CPU (convert.h). A stored bool is true when it is not 0. */
DEVICE int64_t whole(double v, int64_t least, int64_t most)
{
	bool fits = v > static_cast<double>(least) - 1 && v < static_cast<double>(most) + 1;
	return fits ? static_cast<int64_t>(v) : least;
}

template <class C> struct As;
template <> struct As<float> { template <class V> static __device__ float of(V v) { return static_cast<float>(v); } };
template <> struct As<double> {
	template <class V> static __device__ double of(V v) { return static_cast<double>(v); }
};
template <> struct As<int64_t> {
	template <class V> static __device__ int64_t of(V v) { return static_cast<int64_t>(v); }
	static __device__ int64_t of(float v) { return whole(v, INT64_MIN, INT64_MAX); }
	static __device__ int64_t of(double v) { return whole(v, INT64_MIN, INT64_MAX); }
};

template <class C> DEVICE C load(int dtype, const void *base, int64_t i)
{
	switch (dtype) {
	case GRAFT_DTYPE_bool: return As<C>::of(element<uint8_t>(base, i) != 0);
	case GRAFT_DTYPE_u8: return As<C>::of(element<uint8_t>(base, i));
	case GRAFT_DTYPE_i8: return As<C>::of(element<int8_t>(base, i));
	case GRAFT_DTYPE_i16: return As<C>::of(element<int16_t>(base, i));
	case GRAFT_DTYPE_i32: return As<C>::of(element<int32_t>(base, i));
	case GRAFT_DTYPE_i64: return As<C>::of(element<int64_t>(base, i));
	case GRAFT_DTYPE_f16: return As<C>::of(to_float(element<f16>(base, i)));
	case GRAFT_DTYPE_bf16: return As<C>::of(to_float(element<bf16>(base, i)));
	case GRAFT_DTYPE_f32: return As<C>::of(element<float>(base, i));
	case GRAFT_DTYPE_f64: return As<C>::of(element<double>(base, i));
	default: return As<C>::of(f8_to_float(dtype, element<uint8_t>(base, i)));
	}
}

DEVICE int64_t integer_of(float v, int64_t least, int64_t most) { return whole(v, least, most); }
DEVICE int64_t integer_of(double v, int64_t least, int64_t most) { return whole(v, least, most); }
DEVICE int64_t integer_of(int64_t v, int64_t, int64_t) { return v; }

template <class T, class V> DEVICE void put(void *base, int64_t i, V v)
{
	static_cast<T *>(base)[i] = static_cast<T>(v);
}

template <class C> DEVICE void store(int dtype, void *base, int64_t i, C v)
{
	float f = static_cast<float>(v);
	switch (dtype) {
	case GRAFT_DTYPE_bool: return put<uint8_t>(base, i, v != 0);
	case GRAFT_DTYPE_u8: return put<uint8_t>(base, i, integer_of(v, INT64_MIN, INT64_MAX));
	case GRAFT_DTYPE_i8: return put<int8_t>(base, i, integer_of(v, INT32_MIN, INT32_MAX));
	case GRAFT_DTYPE_i16: return put<int16_t>(base, i, integer_of(v, INT32_MIN, INT32_MAX));
	case GRAFT_DTYPE_i32: return put<int32_t>(base, i, integer_of(v, INT32_MIN, INT32_MAX));
	case GRAFT_DTYPE_i64: return put<int64_t>(base, i, integer_of(v, INT64_MIN, INT64_MAX));
	case GRAFT_DTYPE_f16: static_cast<f16 *>(base)[i] = from_float<f16>(f); return;
	case GRAFT_DTYPE_bf16: static_cast<bf16 *>(base)[i] = from_float<bf16>(f); return;
	case GRAFT_DTYPE_f32: static_cast<float *>(base)[i] = f; return;
	case GRAFT_DTYPE_f64: return put<double>(base, i, v);
	default: static_cast<uint8_t *>(base)[i] = f8_from_float(dtype, f); return;
	}
}

/* The same for a dtype that is computed in the type of v: f16, bf16, f32; f64; bool and integers. */
DEVICE void store_result(int dtype, void *base, int64_t i, float v)
{
	switch (dtype) {
	case GRAFT_DTYPE_f16: static_cast<f16 *>(base)[i] = from_float<f16>(v); return;
	case GRAFT_DTYPE_bf16: static_cast<bf16 *>(base)[i] = from_float<bf16>(v); return;
	default: return put<float>(base, i, v);
	}
}
DEVICE void store_result(int, void *base, int64_t i, double v) { put<double>(base, i, v); }
DEVICE void store_result(int dtype, void *base, int64_t i, int64_t v)
{
	switch (dtype) {
	case GRAFT_DTYPE_bool: return put<uint8_t>(base, i, v != 0);
	case GRAFT_DTYPE_u8: case GRAFT_DTYPE_i8: return put<uint8_t>(base, i, v);
	case GRAFT_DTYPE_i16: return put<int16_t>(base, i, v);
	case GRAFT_DTYPE_i32: return put<int32_t>(base, i, v);
	default: return put<int64_t>(base, i, v);
	}
}

/* Element x_at of x becomes element y_at of y, through the type that holds both dtypes. */
DEVICE void convert(int to, void *y, int64_t y_at, int from, const void *x, int64_t x_at)
{
	if (to <= GRAFT_DTYPE_i64 && from <= GRAFT_DTYPE_i64)
		store<int64_t>(to, y, y_at, load<int64_t>(from, x, x_at));
	else if (to == GRAFT_DTYPE_f64 || from == GRAFT_DTYPE_f64)
		store<double>(to, y, y_at, load<double>(from, x, x_at));
	else
		store<float>(to, y, y_at, load<float>(from, x, x_at));
}

/* One element of a size that dtypes have, bit for bit. */
DEVICE void move_item(int item, void *to, const void *from)
{
	switch (item) {
	case 1: return put<uint8_t>(to, 0, element<uint8_t>(from, 0));
	case 2: return put<uint16_t>(to, 0, element<uint16_t>(from, 0));
	case 4: return put<uint32_t>(to, 0, element<uint32_t>(from, 0));
	default: return put<uint64_t>(to, 0, element<uint64_t>(from, 0));
	}
}

/* v as half precision has it, or as a narrower integer does by its low bits; other dtypes leave it as it is. */
DEVICE float rounded_to(int dtype, float v)
{
	return dtype == GRAFT_DTYPE_f16 ? rounded<f16>(v) : dtype == GRAFT_DTYPE_bf16 ? rounded<bf16>(v) : v;
}
DEVICE double rounded_to(int, double v) { return v; }
DEVICE int64_t rounded_to(int dtype, int64_t v)
{
	switch (dtype) {
	case GRAFT_DTYPE_u8: return static_cast<uint8_t>(v);
	case GRAFT_DTYPE_i8: return static_cast<int8_t>(v);
	case GRAFT_DTYPE_i16: return static_cast<int16_t>(v);
	case GRAFT_DTYPE_i32: return static_cast<int32_t>(v);
	default: return v;
	}
}

/* Functions under one name for float and double: exp_of(v). */
#define FUNCTION1(name)                                            \
	DEVICE float name##_of(float v) { return name##f(v); } \
	DEVICE double name##_of(double v) { return name(v); }
#define FUNCTION2(name)                                                        \
	DEVICE float name##_of(float a, float b) { return name##f(a, b); } \
	DEVICE double name##_of(double a, double b) { return name(a, b); }
FUNCTION1(cos)
FUNCTION1(erf)
FUNCTION1(erfc)
FUNCTION1(exp)
FUNCTION1(fabs)
FUNCTION1(floor)
FUNCTION1(log)
FUNCTION1(sin)
FUNCTION1(sqrt)
FUNCTION1(tanh)
FUNCTION1(trunc)
FUNCTION2(copysign)
FUNCTION2(fmod)
FUNCTION2(pow)

DEVICE bool is_nan(float v) { return v != v; }
DEVICE bool is_nan(double v) { return v != v; }
DEVICE bool is_nan(int64_t) { return false; }

/* ---- where elements lie ---------------------------------------------------- */

enum { WALK_AXES = 8, WALK_TENSORS = 5 };

/* Strides count elements; shape holds at least one axis. */
struct Walk {
	int32_t rank, n;                      /* axes, tensors */
	int64_t size;
	char *base[WALK_TENSORS];
	int32_t item[WALK_TENSORS];           /* bytes */
	int64_t shape[WALK_AXES];
	int64_t stride[WALK_AXES][WALK_TENSORS];
};

/* at[t]: the distance in elements from tensor t's first element to the one at a row-major index. */
template <int N, class I> DEVICE void walk_offsets(const Walk &w, I index, int64_t *at)
{
	for (int t = 0; t < N; t++)
		at[t] = 0;
	for (int a = w.rank - 1; a > 0; a--) {
		I size = static_cast<I>(w.shape[a]), next = index / size, here = index - next * size;
		for (int t = 0; t < N; t++)
			at[t] += static_cast<int64_t>(here) * w.stride[a][t];
		index = next;
	}
	for (int t = 0; t < N; t++)
		at[t] += static_cast<int64_t>(index) * w.stride[0][t];
}

template <int N> DEVICE void walk_at(const Walk &w, int64_t index, int64_t *at)
{
	if (w.size <= UINT32_MAX)
		walk_offsets<N>(w, static_cast<uint32_t>(index), at);
	else
		walk_offsets<N>(w, static_cast<uint64_t>(index), at);
}

/* ---- threads ---------------------------------------------------- */

/* Grids have two axes, see launch() in kernel.h. */
DEVICE int64_t block_index() { return static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x; }
DEVICE int64_t thread_index() { return block_index() * BLOCK + threadIdx.x; }

struct Sum {
	static constexpr float none = 0;
	template <class V> static __device__ V of(V a, V b) { return a + b; }
	static __device__ int64_t of(int64_t a, int64_t b)
	{
		return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
	}
};
struct Max {
	static constexpr float none = -__builtin_huge_valf();
	template <class V> static __device__ V of(V a, V b) { return b > a ? b : a; }
};

/* A pointer from which V is not deduced, so that it may be nullptr. */
template <class V> struct NotDeduced { typedef V *type; };

/* Folds the numbers of each `group` neighbouring threads in halves: thread t with thread t + group/2, then t +
 * group/4, ... Every thread gets the result. group is a power of two up to BLOCK. Every thread of the block must come
 * here; those that wait for others of a wider group than the warp meet at one barrier, so a second use of `room`, of
 * BLOCK numbers, needs a barrier before it. */
template <class Op, class V> DEVICE V group_fold(V v, unsigned group, typename NotDeduced<V>::type room)
{
	enum { WIDEST = 64, WARPS = BLOCK / 32 };             /* of warps; of narrow ones, in a block */
	unsigned warp = static_cast<unsigned>(warpSize), t = threadIdx.x;
	if (group > warp) {
		V part[WARPS];
		unsigned first = (t & ~(group - 1)) + (t & (warp - 1));
		room[t] = v;
		__syncthreads();
		UNROLL
		for (unsigned i = 0; i < WARPS; i++)
			part[i] = i * warp < group ? room[first + i * warp] : static_cast<V>(Op::none);
		UNROLL
		for (unsigned half = WARPS / 2; half > 0; half /= 2)
			UNROLL
			for (unsigned i = 0; i < half; i++)
				part[i] = Op::of(part[i], part[i + half]);
		v = part[0];
		group = warp;
	}
	UNROLL
	for (unsigned half = WIDEST / 2; half > 0; half /= 2)
		if (half < group)
			v = Op::of(v, __shfl_xor(v, static_cast<int>(half)));
	return v;
}

/* What the numbers of all threads before this one come to, 0 for the first; none is below 0. *all: what those of
 * the block come to. Every thread of the block must come here; there is a barrier before `room` is written and one
 * after. */
template <class Op, class T> DEVICE T block_before(T v, T (&room)[BLOCK / 32], T *all)
{
	unsigned warp = static_cast<unsigned>(warpSize), lane = threadIdx.x & (warp - 1), own = threadIdx.x / warp;
	T through = v, before = 0;
	for (unsigned far = 1; far < warp; far *= 2) {
		T other = __shfl(through, static_cast<int>(lane < far ? lane : lane - far));
		through = lane < far ? through : Op::of(other, through);
	}
	T beside = __shfl(through, static_cast<int>(lane ? lane - 1 : 0));
	__syncthreads();
	if (lane == warp - 1)
		room[own] = through;
	__syncthreads();
	*all = 0;
	for (unsigned i = 0; i < BLOCK / warp; i++) {
		before = i < own ? Op::of(before, room[i]) : before;
		*all = Op::of(*all, room[i]);
	}
	return lane ? Op::of(before, beside) : before;
}

#endif
