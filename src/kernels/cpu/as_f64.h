/* as_f64.h - includes TEMPLATE for float64: NAME(f) is f_f64, TYPE its numbers. It has no guard. */
#define CLASS f64
#define TYPE double
#define EXP exp
#define SQRT sqrt
#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#include TEMPLATE
#undef CLASS
#undef TYPE
#undef EXP
#undef SQRT
#undef PLUS
#undef TIMES
