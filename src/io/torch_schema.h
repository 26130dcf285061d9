/* torch_schema.h - what PyTorch says of its own ops: torch_schemas.def, looked up and taken apart.
 *
 * The table is PyTorch's of one version. A file may come from another one, so a target, or an argument, that is not in
 * it is unknown and no fault.
 */
#ifndef GRAFT_TORCH_SCHEMA_H
#define GRAFT_TORCH_SCHEMA_H

#include "torch.h"

typedef struct TorchSchemaArg {
	const char *name;                     /* "": a result without one */
	const char *type;                     /* as it is written, without its storage: "SymInt[]", "int[1]?" */
	const char *fallback;                 /* "None", "1", "\"none\""; NULL: it must be given */
	uint32_t storage;                     /* a bit for each letter of its set, and one for '*'; 0: none */
	bool written, keyword;                /* keyword: cannot be given by place */
} TorchSchemaArg;

typedef struct TorchSchema {
	const char *target;
	TorchSchemaArg *arg, *result;
	uint32_t n_args, n_results;
	bool random;                          /* takes numbers from a generator */
	bool numbers;                         /* takes a number where it says Tensor, as add does */
	bool unsaid;                          /* may write or share what it does not say */
	bool resizes;                         /* changes the sizes of its first argument in place */
	bool composite;                       /* made of other ops: what results share is not sure */
} TorchSchema;

/* target: "aten.add.Tensor", "aten.relu.default". false: the table has no such op. */
bool torch_schema(Arena *a, const char *target, TorchSchema *out);
const TorchSchemaArg *torch_schema_arg(const TorchSchema *s, const char *name, size_t n);       /* NULL: none */
const char *torch_schema_target(size_t i);    /* of row i; NULL: behind the last */

/* What passes ask. Where PyTorch does not say it, the answer is the careful one. */
bool torch_schema_writes(const TorchSchema *s, const TorchSchemaArg *arg);
bool torch_schema_shares(const TorchSchema *s, uint32_t result, const TorchSchemaArg *arg);

/* May an argument of this type be as_<tag>? Types and tags that are not known are taken. */
bool torch_schema_takes(const TorchSchema *s, const TorchSchemaArg *arg, TorchTag tag);

/* Why an element of `nodes` does not fit its schema, or NULL: it does, or its op is not in the table. Its structure must
 * have been checked. */
const char *torch_schema_check_node(Arena *a, Json node);

#endif
