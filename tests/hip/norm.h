/* norm.h - what the tests of the norms share. */
#ifndef GRAFT_TEST_NORM_H
#define GRAFT_TEST_NORM_H

#include "hip.h"

/* Row `row` of y against float64: 1 ulp of the dtype, and what float32 adds. w without a dtype: no weight. */
void check_row(const Tensor &x, const Tensor &w, const Tensor &y, int64_t row, double eps, bool early,
               const std::string &what);

#endif
