/* piece.h - which columns of which value: a value traced up through views that keep rows whole.
 *
 *     ckv [T, 576] ── split ──> c_kv [T, 512]  columns [0, 512) of ckv
 *                          └──> k_pe [T, 64]   columns [512, 576)
 */
#ifndef GRAFT_PIECE_H
#define GRAFT_PIECE_H

#include "../ir/graph.h"

typedef enum PieceEnd {
	PIECE_BASE,                           /* the base is no view of columns of anything */
	PIECE_RESHAPED,                       /* the base is a reshape that cuts or joins rows: heads */
	PIECE_TURNED,                         /* the base has another axis last than what it is made from */
	PIECE_SYMBOLIC                        /* the base is a piece whose place or length is not a number */
} PieceEnd;

/* Columns [start, start + length) of the base's last axis. */
typedef struct Piece {
	Value *base;
	int64_t start, length;                /* length -1: symbolic, and then it is all of the base */
	bool whole;                           /* all columns of the base */
	bool moved;                           /* leading axes were swapped or repeated on the way */
	PieceEnd end;
} Piece;

Piece piece_of(Graph *g, Value *v);

/* One step down: is `out`, made by its node from operand 0, a view of columns of that operand (or a copy of them)? Adds
 * where it starts. */
bool piece_step(Graph *g, const Value *out, int64_t *start);

/* The distance between rows of v, in elements, if its base is dense. */
Dim piece_row_stride(Graph *g, Value *v);

#endif
