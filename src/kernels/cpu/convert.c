/* convert.c - runs of elements of every dtype; one function per pair, made from one table. */
#include "convert.h"

float f8e4m3fn_to_f32(uint8_t b)
{
	uint32_t u = (uint32_t)b << 24, a = u & 0x7fffffffu;
	return f32_from_bits((u & 0x80000000u) | (a == 0x7f000000u ? 0x7fc00000u : widen(a, 4, 3, 7)));
}

float f8e4m3fnuz_to_f32(uint8_t b)
{
	uint32_t u = (uint32_t)b << 24;
	return f32_from_bits(b == 0x80 ? 0x7fc00000u : (u & 0x80000000u) | widen(u & 0x7fffffffu, 4, 3, 8));
}

float f8e5m2_to_f32(uint8_t b) { return f16_to_f32((uint16_t)(b << 8)); }

uint8_t f32_to_f8e4m3fn(float v)
{
	uint32_t u = f32_bits(v), a = u & 0x7fffffffu;
	return (uint8_t)((u >> 24 & 0x80) | (a > 0x43e80000u ? 0x7f : narrow(a, 4, 3, 7) >> 24));             /* 464 */
}

uint8_t f32_to_f8e4m3fnuz(float v)
{
	uint32_t u = f32_bits(v), a = u & 0x7fffffffu, h = narrow(a, 4, 3, 8) >> 24;
	return (uint8_t)(a >= 0x43780000u ? 0x80 : h ? (u >> 24 & 0x80) | h : 0);                             /* 248 */
}

uint8_t f32_to_f8e5m2(float v)
{
	uint32_t u = f32_bits(v), a = u & 0x7fffffffu;
	uint32_t h = a > 0x7f800000u ? 0x7f : a >= 0x47700000u ? 0x7c : narrow(a, 5, 2, 15) >> 24;   /* 61440 */
	return (uint8_t)((u >> 24 & 0x80) | h);
}

/* Towards zero; min for what has no place between min and max, and for NaN. */
static inline int64_t whole(double v, int64_t min, int64_t max)
{
	return v > (double)min - 1 && v < (double)max + 1 ? (int64_t)v : min;
}

static inline int64_t keep(int64_t v, int64_t min, int64_t max)
{
	(void)min;
	(void)max;
	return v;
}

#define TO_INT(v, min, max) _Generic((v), float: whole, double: whole, default: keep)((v), (min), (max))

/*   dtype       in memory  its value v as int32, int64, float or double; and a value v made one of its elements */
#define ELEMENTS(X)                                                                                                    \
	X(_bool,      uint8_t,  (int32_t)(v != 0),      v != 0)                                                        \
	X(_u8,        uint8_t,  (int32_t)v,             TO_INT(v, INT64_MIN, INT64_MAX))                               \
	X(_i8,        int8_t,   (int32_t)v,             TO_INT(v, INT32_MIN, INT32_MAX))                               \
	X(_i16,       int16_t,  (int32_t)v,             TO_INT(v, INT32_MIN, INT32_MAX))                               \
	X(_i32,       int32_t,  v,                      TO_INT(v, INT32_MIN, INT32_MAX))                               \
	X(_i64,       int64_t,  v,                      TO_INT(v, INT64_MIN, INT64_MAX))                               \
	X(_f16,       uint16_t, f16_to_f32(v),          f32_to_f16((float)v))                                          \
	X(_bf16,      uint16_t, bf16_to_f32(v),         f32_to_bf16((float)v))                                         \
	X(_f32,       float,    v,                      v)                                                             \
	X(_f64,       double,   v,                      v)                                                             \
	X(_f8e4m3fn,  uint8_t,  f8e4m3fn_to_f32(v),     f32_to_f8e4m3fn((float)v))                                     \
	X(_f8e4m3fnuz, uint8_t,  f8e4m3fnuz_to_f32(v),   f32_to_f8e4m3fnuz((float)v))                                  \
	X(_f8e5m2,    uint8_t,  f8e5m2_to_f32(v),       f32_to_f8e5m2((float)v))

#define AS_f32(v) ((float)(v))
#define AS_f64(v) ((double)(v))
#define AS_i64(v) TO_INT(v, INT64_MIN, INT64_MAX)

#define LOAD_ONE(class, type, memory, value, at)                                                                       \
	do {                                                                                                           \
		memory v;                                                                                              \
		memcpy(&v, from + (at) * (int64_t)sizeof v, sizeof v);                                                 \
		to[i] = AS_##class(value);                                                                             \
	} while (0)

#define LOAD(class, type, dtype, memory, value)                                                                        \
	VECTOR static void load_##class##dtype(type *restrict to, const char *restrict from, int64_t stride,           \
	                                       int64_t n)                                                              \
	{                                                                                                              \
		if (stride == 1)                                                                                       \
			for (int64_t i = 0; i < n; i++)                                                                \
				LOAD_ONE(class, type, memory, value, i);                                               \
		else                                                                                                   \
			for (int64_t i = 0; i < n; i++)                                                                \
				LOAD_ONE(class, type, memory, value, i * stride);                                      \
	}

#define STORE_ONE(type, memory, value, at)                                                                             \
	do {                                                                                                           \
		type v = from[i];                                                                                      \
		memory e = (memory)(value);                                                                            \
		memcpy(to + (at) * (int64_t)sizeof e, &e, sizeof e);                                                   \
	} while (0)

#define STORE(class, type, dtype, memory, value)                                                                       \
	VECTOR static void store_##class##dtype(char *restrict to, int64_t stride, const type *restrict from,          \
	                                        int64_t n)                                                             \
	{                                                                                                              \
		if (stride == 1)                                                                                       \
			for (int64_t i = 0; i < n; i++)                                                                \
				STORE_ONE(type, memory, value, i);                                                     \
		else                                                                                                   \
			for (int64_t i = 0; i < n; i++)                                                                \
				STORE_ONE(type, memory, value, i * stride);                                            \
	}

#define X(dtype, memory, value, element)                                                                               \
	LOAD(f32, float, dtype, memory, value)                                                                         \
	LOAD(f64, double, dtype, memory, value)                                                                        \
	LOAD(i64, int64_t, dtype, memory, value)                                                                       \
	STORE(f32, float, dtype, memory, element)                                                                      \
	STORE(f64, double, dtype, memory, element)                                                                     \
	STORE(i64, int64_t, dtype, memory, element)
ELEMENTS(X)
#undef X

typedef struct Element {
	void (*load_f32)(float *restrict, const char *restrict, int64_t, int64_t);
	void (*load_f64)(double *restrict, const char *restrict, int64_t, int64_t);
	void (*load_i64)(int64_t *restrict, const char *restrict, int64_t, int64_t);
	void (*store_f32)(char *restrict, int64_t, const float *restrict, int64_t);
	void (*store_f64)(char *restrict, int64_t, const double *restrict, int64_t);
	void (*store_i64)(char *restrict, int64_t, const int64_t *restrict, int64_t);
} Element;

static const Element elements[GRAFT_DTYPE_COUNT] = {
#define X(name, ...)                                                                                                   \
	[GRAFT_DTYPE_##name] = { load_f32_##name,  load_f64_##name,  load_i64_##name,                                  \
	                         store_f32_##name, store_f64_##name, store_i64_##name },
	GRAFT_DTYPE_MAP(X)
#undef X
};

#define RUNS(class, type)                                                                                              \
	void load_##class(type *to, int dtype, const void *from, int64_t stride, int64_t n)                            \
	{                                                                                                              \
		elements[dtype].load_##class(to, from, stride, n);                                                     \
	}                                                                                                              \
	void store_##class(int dtype, void *to, int64_t stride, const type *from, int64_t n)                           \
	{                                                                                                              \
		elements[dtype].store_##class(to, stride, from, n);                                                    \
	}                                                                                                              \
	const type *fetch_##class(type *room, int dtype, const void *from, int64_t stride, int64_t n)                  \
	{                                                                                                              \
		if (placed(dtype, GRAFT_DTYPE_##class, from, stride))                                                  \
			return from;                                                                                   \
		load_##class(room, dtype, from, stride, n);                                                            \
		return room;                                                                                           \
	}
RUNS(f32, float)
RUNS(f64, double)
RUNS(i64, int64_t)

VECTOR static void round_to_bf16(float *v, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		v[i] = bf16_to_f32(f32_to_bf16(v[i]));
}

VECTOR static void round_to_f16(float *v, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		v[i] = f16_to_f32(f32_to_f16(v[i]));
}

void round_f32(int dtype, float *v, int64_t n)
{
	if (dtype == GRAFT_DTYPE_bf16)
		round_to_bf16(v, n);
	else if (dtype == GRAFT_DTYPE_f16)
		round_to_f16(v, n);
}

#define COPY(bytes, type)                                                                                              \
	static void copy_##bytes(char *to, int64_t to_stride, const char *from, int64_t from_stride, int64_t n)        \
	{                                                                                                              \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			type v;                                                                                        \
			memcpy(&v, from + i * from_stride * bytes, bytes);                                             \
			memcpy(to + i * to_stride * bytes, &v, bytes);                                                 \
		}                                                                                                      \
	}
COPY(1, uint8_t)
COPY(2, uint16_t)
COPY(4, uint32_t)
COPY(8, uint64_t)

static void copy_run(size_t bytes, char *to, int64_t to_stride, const char *from, int64_t from_stride, int64_t n)
{
	if (to_stride == 1 && from_stride == 1)
		memmove(to, from, (size_t)n * bytes);
	else if (bytes == 1)
		copy_1(to, to_stride, from, from_stride, n);
	else if (bytes == 2)
		copy_2(to, to_stride, from, from_stride, n);
	else if (bytes == 4)
		copy_4(to, to_stride, from, from_stride, n);
	else
		copy_8(to, to_stride, from, from_stride, n);
}

/* Converts at most RUN elements through the class that holds both dtypes. */
static void convert_step(int to_dtype, void *to, int64_t to_stride, int from_dtype, const void *from,
                         int64_t from_stride, int64_t n)
{
	union { float f32[RUN]; double f64[RUN]; int64_t i64[RUN]; } room;
	if (dtype_integer(to_dtype) && dtype_integer(from_dtype)) {
		load_i64(room.i64, from_dtype, from, from_stride, n);
		store_i64(to_dtype, to, to_stride, room.i64, n);
	} else if (to_dtype == GRAFT_DTYPE_f64 || from_dtype == GRAFT_DTYPE_f64) {
		store_f64(to_dtype, to, to_stride, fetch_f64(room.f64, from_dtype, from, from_stride, n), n);
	} else {
		store_f32(to_dtype, to, to_stride, fetch_f32(room.f32, from_dtype, from, from_stride, n), n);
	}
}

void convert(int to_dtype, void *to, int64_t to_stride, int from_dtype, const void *from, int64_t from_stride,
             int64_t n)
{
	size_t to_size = graft_dtype_size((graft_dtype)to_dtype), from_size = graft_dtype_size((graft_dtype)from_dtype);
	if (to_dtype == from_dtype) {
		copy_run(to_size, to, to_stride, from, from_stride, n);
		return;
	}
	for (int64_t i = 0; i < n; i += RUN)
		convert_step(to_dtype, (char *)to + i * to_stride * (int64_t)to_size, to_stride,
		             from_dtype, (const char *)from + i * from_stride * (int64_t)from_size, from_stride,
		             n - i < RUN ? n - i : RUN);
}
