/* torch.h - torch.export: model.json and the .pt2 archive around it (docs/torch.md).
 *
 *   read:   a node of the file ──torch_ops.def──> a unit of ours (../ir/graph.h): one or more nodes, each knowing its
 *           SourceNode and where its names stand in it; or a note, when it only has to do with sizes
 *   write:  our units in order ──> their text, names exchanged where they changed; or torch_ops.def backwards
 *
 * Everything that graft does not understand stays in the text, and the text is what gets written. The document (the
 * mapped file, the places in it, the weights) is read only and shared by a graph and its copies.
 */
#ifndef GRAFT_TORCH_H
#define GRAFT_TORCH_H

#include "zip.h"

enum { TORCH_SECTIONS = 3 };                  /* sym_int_values, sym_bool_values, sym_float_values */

/* A node of the file. */
typedef struct TorchNode {
	SourceNode source;                    /* first; the array of a graph is in the file's order */
	Json json;
	/* of the node itself, as it stands; NULL: files of this version have none */
	const char *name;
	size_t name_size;
} TorchNode;

/* A sub-graph that was inlined. */
typedef struct TorchInlined { TorchNode *node; size_t n_nodes; } TorchInlined;

typedef struct Torch {
	Document document;                    /* first */
	const char *file;                     /* for messages */
	JsonText text;                        /* the model's JSON; its arena is set while a job looks at it */
	Json root, graph, nodes, tensor_values, inputs, outputs, output_specs, calls, sizes[TORCH_SECTIONS];
	TorchNode *node;
	size_t n_nodes;
	bool has_kind, has_name, has_hop;     /* which keys the nodes of this file have */
	Zip *zip;                             /* NULL: a bare model.json */
	const ZipEntry *model;
} Torch;

typedef enum TorchTag {
#define TAG(name) TAG_##name,
#define TORCH_TAGS(TAG)                                                                                \
	TAG(none) TAG(tensor) TAG(tensors) TAG(int) TAG(ints) TAG(float) TAG(floats) TAG(string)       \
	TAG(strings) TAG(sym_int) TAG(sym_ints) TAG(scalar_type) TAG(memory_format) TAG(layout)        \
	TAG(device) TAG(bool) TAG(bools) TAG(sym_bool) TAG(sym_bools) TAG(graph) TAG(optional_tensors) \
	TAG(custom_obj) TAG(operator) TAG(sym_float) TAG(sym_floats) TAG(optional_tensor) TAG(complex) \
	TAG(nested_tensors) TAG(int_lists) TAG(string_to_argument) TAG(float_lists)
	TORCH_TAGS(TAG)
#undef TAG
	TAG_other                             /* of a newer version */
} TorchTag;

/* A union of the file: an object with one member, "as_<tag>". */
typedef struct TorchUnion { TorchTag tag; Json value; } TorchUnion;
TorchUnion torch_union(Json v);
const char *torch_tag_name(TorchTag tag);     /* without "as_" */

/* Names in a text: where the opening quote stands. */
size_t torch_name_size(const char *place);
bool torch_name_is(const char *place, const char *name);
const char *torch_name_at(Json v);            /* checks that it is a string without escapes, not empty */

graft_dtype torch_dtype(Json v);
const char *torch_kept_name(graft_dtype d);   /* what it is called there, of one without kernels; else NULL */
int torch_dtype_number(graft_dtype d);
bool torch_is_identifier(const char *s, size_t n);      /* as Python's, in ASCII */

/* torch_expr.c: a size that is an expression, as sympy.srepr writes it. What is well formed but not known becomes a
 * symbol of its own. */
Dim torch_expr(Graph *g, Json text);
const char *torch_expr_text(Arena *a, const Torch *t, Dim d);         /* NULL: a symbol in it is none of the file's */

/* torch_weights.c: data of the archive's weights and constants for the params of g. */
void torch_weights(Graph *g, Torch *t);

/* One argument of a node. Its tensors are resolved; sizes by name are looked up when somebody asks for them. */
typedef struct TorchArg {
	const char *name;
	size_t name_size;
	TorchTag tag;
	Json value;
	Value **tensor;                       /* NULL in it: an optional one that is not given */
	const char **place;
	uint32_t n_tensors;
	bool used;
} TorchArg;

/* Devices whose autocast is known (torch_autocast.def). */
typedef enum TorchDevice { TORCH_CPU, TORCH_CUDA, TORCH_DEVICES } TorchDevice;

/* One node on its way into the graph. What cannot be said with our ops fails, and the node stays an op that graft does
 * not know. */
typedef struct TorchCall {
	Graph *g;
	Arena *scratch;
	TorchNode *node;
	const char *target;                   /* node->source.op */
	TorchArg *arg;
	uint32_t n_args, n_out;
	const char **out_name, **out_place;   /* of its tensors */
	Type *types;
	bool (*size_named)(const struct TorchCall *c, Json name, Dim *d);    /* false: it is not a size we know */
	const void *scope;
	const struct TorchRow *row;           /* that of a form, while it is lowered */
	bool loose;                           /* the results need not have `types` */
	graft_dtype autocast;                 /* what autocast casts to here; GRAFT_DTYPE_COUNT: it is off */
	TorchDevice device;
	const char *why;                      /* torch_keep: why our ops cannot say it; NULL: there is none */
} TorchCall;

/* A row that only reads; that writes its op where the WRITTEN one does not take the operands; that writes it. */
typedef enum TorchWriting { TORCH_READ, TORCH_ALSO, TORCH_WRITTEN } TorchWriting;

/* torch_ops.def: how the arguments of a target become operands and attributes. */
typedef struct TorchRow {
	const char *target, *op, *operands, *attrs;
	void (*lower)(TorchCall *c);          /* does it instead of the rest; NULL: none */
	const char *form;                     /* what lower_form does; NULL: none */
	TorchWriting writing;
} TorchRow;
/* To write an op with, behind `last` (NULL: the first): the WRITTEN one, then the others; NULL: no more. */
const TorchRow *torch_row_written(const char *op, const TorchRow *last);
const TorchRow *torch_row(const char *target);        /* the first of a target; NULL: none */
const TorchRow *torch_row_at(size_t i);               /* in the table's order; NULL: behind the last */
/* every row names ops and attributes that are there, in order; for a test */
void torch_rows_check(Job *job);
void torch_form_check(Job *job, const TorchRow *row);

/* One name of a row's `operands` or `attrs`; false at the end. */
typedef struct TorchWord { const char *s; size_t n; } TorchWord;
bool torch_word(const char **list, TorchWord *w);
int64_t torch_word_index(const char *words, TorchWord w);     /* in "late|early"; -1: none of them */

/* What such a name says. */
typedef struct TorchOperand { TorchWord arg; bool list, optional; } TorchOperand;
TorchOperand torch_operand_word(TorchWord w);
typedef enum TorchAttrKind { TORCH_GIVEN, TORCH_DECLARED, TORCH_CONDITION, TORCH_IGNORED } TorchAttrKind;
typedef struct TorchAttr { TorchAttrKind kind; TorchWord attr, arg, fallback; } TorchAttr;
TorchAttr torch_attr_word(TorchWord w);

/* torch_lower.c: makes the nodes; false: there is no row for the target. */
bool torch_lower(TorchCall *c);
Value *torch_cast(TorchCall *c, Value *v, const char *place, graft_dtype to);     /* a node on the way */

/* torch_autocast.c: puts casts in front of the operands; true: it did. */
bool torch_autocast(TorchCall *c);
bool torch_autocast_knows(Arena *a, const char *target);      /* is it known what autocast does to it? */
void torch_autocast_check(Job *job);          /* the table; for a test */

/* As it is: an op that graft does not know. */
void torch_keep(TorchCall *c);

/* Is its one result its first argument, or a view of it, as PyTorch declares it? */
bool torch_shares(Arena *scratch, const TorchCall *c);

/* torch_read.c */
bool torch_is_json(const char *text, size_t size);    /* has it the keys of a model.json? A look, no check. */
/* `file` holds the arena of what was read; the document takes it over. */
Graph *torch_load(Job *job, graft_context *ctx, Bytes bytes, Arena *file, const char *name);

extern const DocumentWays torch_ways;

/* torch_spell.c: the graph's document, as a view of it whose errors go to this job; the document is shared and stays as it
 * is. */
Torch *torch_view(Job *job, const Graph *g);
/* see DocumentWays.refuses */
const char *torch_refuses(Graph *g, const Node *n, Arena *a);

/* torch_read_back.c: a look at what was written, before it takes a file's place. */
typedef struct TorchWrittenNode { Json json; bool spelled; } TorchWrittenNode;
typedef struct TorchWritten {
	Json inputs, outputs, output_specs, calls, sizes[TORCH_SECTIONS];
	TorchWrittenNode *node;
	size_t n_nodes;
	const char *const *entry;             /* where the names in tensor_values stand */
	size_t n_entries;
} TorchWritten;
typedef struct TorchFault {
	const char *why;                      /* NULL: there is none */
	size_t node;                          /* it is in; n_nodes or more: in none */
	const char *name;                     /* place of a name that means nothing; NULL: it is something else */
} TorchFault;
void torch_read_back(Job *job, const TorchWritten *w, TorchFault *out);

/* torch_write.c: to model.json, or to an archive like the one g was read from. */
void torch_write_json(Job *job, Graph *g, void (*write)(void *user, const char *text, size_t size), void *user);
void torch_write_archive(Job *job, Graph *g, FileOut *file);
/* "ns::name" as a target; fails with GRAFT_E_USAGE when it is not that. */
const char *torch_op_target(Graph *g, const char *name);

#endif
