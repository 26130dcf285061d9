/* convert.h - element types: single values, and runs of values to and from the three types that kernels compute in.
 *
 *   f32   f8, f16, bf16, f32       f64   f64       i64   bool and integers, wrapping as two's complement
 *
 * Narrowing rounds to nearest even, once, and keeps NaN; f64 and i64 reach f16, bf16 and f8 through f32, as torch
 * has it. Floats become integers towards zero, through i32 (u8 and i64: i64), whose least stands for NaN and for what
 * is beyond it, as on x86, and so in torch there; integers become narrower ones by their low bits. A stored bool is
 * true when it is not 0. Memory need not be aligned. Strides count elements.
 */
#ifndef GRAFT_CONVERT_H
#define GRAFT_CONVERT_H

#include <graft/graft.h>
#include <string.h>

/* Before a static function with a loop over elements: compiled twice, for any x86-64 and for those with AVX2, and
 * chosen when the library is loaded. Neither fuses a multiplication with an addition, so both give the same bits. */
#if defined(__x86_64__) && defined(__GLIBC__)
#define VECTOR __attribute__((target_clones("avx2", "default")))
#else
#define VECTOR
#endif

static inline uint32_t f32_bits(float v)
{
	uint32_t u;
	memcpy(&u, &v, sizeof u);
	return u;
}

static inline float f32_from_bits(uint32_t u)
{
	float v;
	memcpy(&v, &u, sizeof v);
	return v;
}

/* Choices without a branch, so that loops over them become vector code. Magnitudes of floats are below 2^31, and
 * compare faster as signed numbers. */
static inline uint32_t choose(int condition, uint32_t yes, uint32_t no)
{
	uint32_t mask = 0u - (uint32_t)condition;
	return (yes & mask) | (no & ~mask);
}

static inline uint32_t choose_below(uint32_t a, uint32_t limit, uint32_t yes, uint32_t no)
{
	return choose((int32_t)a < (int32_t)limit, yes, no);
}

static inline float bf16_to_f32(uint16_t h) { return f32_from_bits((uint32_t)h << 16); }

/* Small formats are worked on in the top bits of a word and shifted down last: a compiler that sees 16 bits too
 * early narrows every step by itself. */
static inline uint16_t f32_to_bf16(float v)
{
	uint32_t u = f32_bits(v), even = u >> 16 & 1;
	return (uint16_t)(choose_below(u & 0x7fffffffu, 0x7f800001u, u + 0x7fff + even, u | 0x400000u) >> 16);
}

/* |v| (as float32 bits) in a format with e exponent and m mantissa bits, from bit 30 down, to nearest even; bits
 * below the format's are noise, and so is everything when |v| is beyond its range. Below the least normal number,
 * adding a power of two makes the float adder round at the format's last place. */
static inline uint32_t narrow(uint32_t a, unsigned e, unsigned m, unsigned bias)
{
	uint32_t half = (1u << (22 - m)) - 1 + (a >> (23 - m) & 1), place = (127 + 1 - bias - m + 23) << 23;
	uint32_t normal = (a + half - ((127 - bias) << 23)) << (8 - e);
	uint32_t below = (f32_bits(f32_from_bits(a) + f32_from_bits(place)) - place) << (31 - e - m);
	return choose_below(a, (127 + 1 - bias) << 23, below, normal);
}

/* The reverse for finite values: bits of |v| as float32, from a, which has the format's magnitude from bit 30 down. */
static inline uint32_t widen(uint32_t a, unsigned e, unsigned m, unsigned bias)
{
	float unit = f32_from_bits((127 + 1 - bias - m) << 23);
	uint32_t below = f32_bits((float)(int32_t)(a >> (31 - e - m)) * unit);
	return choose_below(a, 1u << (31 - e), below, (a >> (8 - e)) + ((127 - bias) << 23));
}

static inline float f16_to_f32(uint16_t h)
{
	uint32_t u = (uint32_t)h << 16, a = u & 0x7fffffffu;
	uint32_t beyond = 0x7f800000u | a >> 3;
	return f32_from_bits((u & 0x80000000u) | choose_below(a, 0x7c000000u, widen(a, 5, 10, 15), beyond));
}

static inline uint16_t f32_to_f16(float v)
{
	uint32_t u = f32_bits(v), a = u & 0x7fffffffu;
	uint32_t beyond = choose_below(a, 0x7f800001u, 0x7c000000u, 0x7e000000u | (a << 3 & 0x03ff0000u));
	uint32_t h = choose_below(a, 0x477ff000u, narrow(a, 5, 10, 15), beyond);              /* 65520 */
	return (uint16_t)(((u & 0x80000000u) | h) >> 16);
}

float f8e4m3fn_to_f32(uint8_t b);
float f8e4m3fnuz_to_f32(uint8_t b);
float f8e5m2_to_f32(uint8_t b);
uint8_t f32_to_f8e4m3fn(float v);             /* beyond 464: NaN, as the format has no infinity */
uint8_t f32_to_f8e4m3fnuz(float v);           /* from 248 on: NaN; -0.0 becomes 0.0 */
uint8_t f32_to_f8e5m2(float v);

/* exp(v) within 1.25 ulp, denormal results included; plain arithmetic, so that loops over it become vector code. */
static inline float exp_f32(float v)
{
	const float magic = 12582912.0f;      /* 1.5 * 2^23: adding it rounds to an integer */
	v = v > 89.0f ? 89.0f : v;
	v = v < -104.0f ? -104.0f : v;
	float t = v * 1.44269504f + magic;
	float k = t - magic;
	float r = v - k * 0.693359375f - k * -2.12194440e-4f;
	float p = 1.0f / 5040;
	p = p * r + 1.0f / 720;
	p = p * r + 1.0f / 120;
	p = p * r + 1.0f / 24;
	p = p * r + 1.0f / 6;
	p = p * r + 0.5f;
	p = p * r * r + r + 1.0f;
	int32_t n = (int32_t)(f32_bits(t) - f32_bits(magic)), half = n >> 1;
	uint32_t a = (uint32_t)half + 127, b = (uint32_t)n - (uint32_t)half + 127;
	return p * f32_from_bits(a << 23) * f32_from_bits(b << 23);
}

typedef enum Class { CLASS_F32, CLASS_F64, CLASS_I64 } Class;

static inline bool dtype_ok(int dtype) { return dtype >= 0 && dtype < GRAFT_DTYPE_COUNT; }
static inline bool dtype_integer(int dtype) { return dtype <= GRAFT_DTYPE_i64; }

static inline Class class_of(int dtype)
{
	return dtype_integer(dtype) ? CLASS_I64 : dtype == GRAFT_DTYPE_f64 ? CLASS_F64 : CLASS_F32;
}

/* n elements at from, of any dtype, as dense f32, f64 or i64; and back. */
void load_f32(float *to, int dtype, const void *from, int64_t stride, int64_t n);
void load_f64(double *to, int dtype, const void *from, int64_t stride, int64_t n);
void load_i64(int64_t *to, int dtype, const void *from, int64_t stride, int64_t n);
void store_f32(int dtype, void *to, int64_t stride, const float *from, int64_t n);
void store_f64(int dtype, void *to, int64_t stride, const double *from, int64_t n);
void store_i64(int dtype, void *to, int64_t stride, const int64_t *from, int64_t n);

/* The run itself where it is dense, aligned and of that type already; else loaded into room. */
const float *fetch_f32(float *room, int dtype, const void *from, int64_t stride, int64_t n);
const double *fetch_f64(double *room, int dtype, const void *from, int64_t stride, int64_t n);
const int64_t *fetch_i64(int64_t *room, int dtype, const void *from, int64_t stride, int64_t n);

/* Where to compute a run that goes to `to`: there, if it can be, else room; what was computed in room is stored. */
static inline bool placed(int dtype, int class_dtype, const void *to, int64_t stride)
{
	return dtype == class_dtype && stride == 1 && (uintptr_t)to % graft_dtype_size((graft_dtype)dtype) == 0;
}

/* Rounds to the values that f16 or bf16 has; for another dtype nothing is done, nor in another class. */
void round_f32(int dtype, float *v, int64_t n);
static inline void round_f64(int dtype, double *v, int64_t n) { (void)dtype, (void)v, (void)n; }
static inline void round_i64(int dtype, int64_t *v, int64_t n) { (void)dtype, (void)v, (void)n; }

enum { RUN = 512 };                           /* longest run that kernels take in one step; a multiple of LANES */
/* n elements from one dtype to another; runs may be the same but must not overlap otherwise. */
void convert(int to_dtype, void *to, int64_t to_stride, int from_dtype, const void *from, int64_t from_stride,
             int64_t n);

#endif
