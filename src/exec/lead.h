/* lead.h - how a BLAS reads a matrix, on the CPU and on a GPU. */
#ifndef GRAFT_LEAD_H
#define GRAFT_LEAD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* rows x cols with these strides, as rows `lead` apart, or, when `swap`, as columns; false when BLAS has no words for it
 * (neither stride is 1, or rows overlap). */
static inline bool blas_lead(int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride, bool *swap, int *lead)
{
	*swap = col_stride != 1 && cols > 1;
	int64_t apart = *swap ? col_stride : row_stride, length = *swap ? rows : cols, lines = *swap ? cols : rows;
	if (*swap && row_stride != 1 && rows > 1)
		return false;
	if (lines <= 1 && apart < length)
		apart = length;
	*lead = (int)apart;
	return apart >= length && apart >= 1 && apart <= INT_MAX;
}

#endif
