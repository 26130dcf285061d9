/* as_i64.h - includes TEMPLATE for integers, which wrap: NAME(f) is f_i64, TYPE its numbers. It has no guard. */
#define CLASS i64
#define TYPE int64_t
#define PLUS(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
#define TIMES(a, b) ((int64_t)((uint64_t)(a) * (uint64_t)(b)))
#include TEMPLATE
#undef CLASS
#undef TYPE
#undef PLUS
#undef TIMES
