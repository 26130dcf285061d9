/* compare.h - how far two tensors are apart. */
#ifndef GRAFT_COMPARE_H
#define GRAFT_COMPARE_H

#include <graft/graft.h>

typedef struct Difference {
	bool same;
	double abs, rel;                      /* rel: abs over the largest finite magnitude of the first */
} Difference;

/* Two tensors of one dtype and shape, any strides. rtol or atol negative: by dtype, see compare.c. */
Difference tensors_compare(const graft_tensor *a, const graft_tensor *b, double rtol, double atol);

#endif
