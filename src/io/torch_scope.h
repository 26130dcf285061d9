/* torch_scope.h - names of a torch.export file. Each graph of the file has a table of its own, from a name to what the file
 * says of it. */
#ifndef GRAFT_TORCH_SCOPE_H
#define GRAFT_TORCH_SCOPE_H

#include "torch.h"

/* Sections of a graph, in this order; sizes may also be booleans and floats. */
typedef enum NameKind { NAME_TENSOR, NAME_INT, NAME_BOOL, NAME_FLOAT, NAME_OBJECT } NameKind;

typedef struct Name {
	const char *s;                        /* behind the opening quote; NULL: a free slot */
	size_t n;
	NameKind kind;
	Json meta;
	Value *value;                         /* once it is made */
	const char *outer;                    /* of a sub-graph's result: the name it gets outside; NULL: none */
	/* of an input or result of a sub-graph: where the text of the node that holds it names the same; NULL: nowhere */
	const char *outside;
} Name;

/* Autocast, as it is on in a sub-graph. */
typedef struct Autocast { graft_dtype dtype; TorchDevice device; const TorchNode *region; } Autocast;

typedef struct Scope {
	struct Scope *outer;
	Autocast autocast;                    /* dtype GRAFT_DTYPE_COUNT: off */
	Name *slot;                           /* open addressing, at most half full */
	size_t n_slots, n_names;
	Json graph;
	Json inputs, outputs, nodes, tensor_values, sizes[TORCH_SECTIONS];
} Scope;

/* Tables and lists of a graph; fails with GRAFT_E_GRAPH. */
void open_scope(Arena *a, Scope *s, Json graph, Scope *outer);
bool add_name(Arena *a, Scope *s, const Name *name);      /* false: there is one already */
Name *name_slot(const Scope *s, const char *name, size_t n);      /* of a scope that has some */
Name *find_name(const Scope *s, const char *place);       /* NULL: there is no such name */
Name *need_name(const Scope *s, Json v);

/* Members of an object by key, in one walk: the large ones are not passed over once for each. */
void take_members(Json object, const char *const *keys, Json *const *out, size_t n);
void need_members(Json object, const char *const *keys, Json *const *out, size_t n);

/* The names in one argument or result. */
typedef void Visit(void *user, Json name);    /* at NULL: an optional tensor that is not there */
Json name_of(Json object);
bool visit_tensors(TorchUnion u, void *user, Visit *visit);     /* false: it is of another kind */
void visit_sizes(TorchUnion u, void *user, Visit *visit);       /* sizes, booleans and floats by name, and lists of them */

#endif
