/* infer.h - what shape rules share; only shape*.c include it. */
#ifndef GRAFT_INFER_H
#define GRAFT_INFER_H

#include "shape.h"

/* A run of sizes and the operand it comes from. */
typedef struct Shape { const Dim *dims; uint32_t rank, operand; } Shape;

/* Operand k. `tensor` refuses a literal, `number` an 8-bit float too, `real` all but floats of 16 bits and more. */
const Type *tensor(const Infer *i, uint32_t k);
const Type *number(const Infer *i, uint32_t k);
const Type *real(const Infer *i, uint32_t k);
bool given(const Infer *i, uint32_t k);                               /* an optional operand is there */
bool is_literal(const Infer *i, uint32_t k);

/* For messages: "w", "w is f32[8]", and the end of "a and b ...": "differ" or "are not known to be equal". */
const char *operand_name(const Infer *i, uint32_t k);
const char *operand_text(const Infer *i, uint32_t k);
const char *size_text(const Infer *i, Dim d);
const char *unequal(Tri t);

/* The two sizes are known to be equal; k is the operand the second one is of. */
void need_equal(const Infer *i, uint32_t j, const char *what_a, Dim a, uint32_t k, const char *what_b, Dim b);
/* They are not known to differ: the kernel looks again, when they are numbers. */
void need_may_equal(const Infer *i, uint32_t j, const char *what_a, Dim a, uint32_t k, const char *what_b, Dim b);
void need_same_dtype(const Infer *i, uint32_t a, uint32_t b);
void need_rank(const Infer *i, uint32_t k, uint32_t least);

/* torch's rules: of two shapes (out has room for GRAFT_MAX_RANK; returns the rank), and of every operand's dtype. */
uint32_t broadcast(const Infer *i, Shape a, Shape b, Dim *out);
void need_broadcasts_to(const Infer *i, Shape from, Shape to);
graft_dtype promoted(const Infer *i);

uint32_t need_axis(const Infer *i, const char *name, int64_t axis, uint32_t rank);
uint32_t need_line(const Infer *i, const char *name, int64_t axis, const Type *x);   /* of x; a 0-d x has axis 0 */

Dim *dims_new(const Infer *i, uint32_t rank);                         /* graph memory; refuses a rank over the limit */
Dim *dims_copy(const Infer *i, const Dim *dims, uint32_t rank);
/* Result k; checks its sizes. */
void give(const Infer *i, uint32_t k, graft_dtype dtype, uint32_t rank, const Dim *dims);
void give_like(const Infer *i, uint32_t k, graft_dtype dtype, const Type *like);

#endif
