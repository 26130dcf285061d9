/* compare.h - how far two tensors are apart. */
#ifndef GRAFT_COMPARE_H
#define GRAFT_COMPARE_H

#include <graft/graft.h>

/* Two tensors of one dtype and shape; see graft_tensor_compare. */
graft_difference tensors_compare(const graft_tensor *a, const graft_tensor *b, double rtol, double atol);

#endif
