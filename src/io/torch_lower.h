/* torch_lower.h - what the functions of torch_ops.def's rows are written with. Each fails with give_up where our ops
 * cannot say what the node does. */
#ifndef GRAFT_TORCH_LOWER_H
#define GRAFT_TORCH_LOWER_H

#include "torch.h"

#define ROW(target, op, operands, attrs)
#define ALSO(target, op, operands, attrs)
#define WRITTEN(target, op, operands, attrs)
#define BY(target, function) void function(TorchCall *c);
#define WRITTEN_BY(target, op, operands, attrs, function) void function(TorchCall *c);
#define FORM(target, attrs, text)
#include "torch_ops.def"
#undef ROW
#undef ALSO
#undef WRITTEN
#undef BY
#undef WRITTEN_BY
#undef FORM

void lower_form(TorchCall *c);                /* torch_form.c: what the row's text says */

#define give_up(c, ...) fail(graph_job((c)->g), GRAFT_E_GRAPH, __VA_ARGS__)

/* Arguments. Missing ones, and those that are None, are NULL, or what the caller says. */
const TorchArg *arg_named(const TorchCall *c, const char *name);
int64_t arg_int(const TorchCall *c, const TorchArg *a);
Attr arg_scalar(const TorchCall *c, const TorchArg *a);
int64_t int_named(const TorchCall *c, const char *name, int64_t otherwise);
double f64_named(const TorchCall *c, const char *name, double otherwise);
bool is_one(const TorchCall *c, const char *name);
Dim read_dim(const TorchCall *c, Json v);
uint32_t list_length(Json array);

/* A value, and where its name stands; NULL: nowhere. */
typedef struct Operand { Value *value; const char *place; } Operand;
Operand made(Value *v);
Operand literal(TorchCall *c, Attr a);
Operand operand_of(TorchCall *c, const TorchArg *a);
Operand operand(TorchCall *c, const char *name);      /* which must be given */

/* The node that gives the results their names (`last`), or one on the way there, with one result. Its first result. */
Value *emit_as(TorchCall *c, NodeSpec spec, const Operand *in, bool last);
/* Attributes that are not the default: at most two. */
Value *emit(TorchCall *c, const char *op, const Operand *in, uint32_t n_in, bool last, const char *name_a, Attr a,
            const char *name_b, Attr b);
Value *emit2(TorchCall *c, const char *op, Operand a, Operand b, bool last);
const Op *need_op(const TorchCall *c, const char *name);
#define NOTHING NULL, (Attr){ 0 }

/* Attributes as a row's words say them, into attrs[] of the op. */
void row_attrs(const TorchCall *c, const char *words, const Op *op, Attr *attrs);

#endif
