/* as_f32.h - includes TEMPLATE for float32: NAME(f) is f_f32, TYPE its numbers. It has no guard. */
#define CLASS f32
#define TYPE float
#define EXP exp_f32
#define SQRT sqrtf
#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#include TEMPLATE
#undef CLASS
#undef TYPE
#undef EXP
#undef SQRT
#undef PLUS
#undef TIMES
