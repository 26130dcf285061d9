/* graph.h - values, nodes, uses.
 *
 *        uses of v:   v->uses ──> Use ──> Use ──> ...        (each sits in its node's `in` array or in an Output)
 *
 *   Node { op, in[n_in + n_names] of Use, out[n_out] of Value*, attr[n_attr] }
 *        in[i].value ──> Value ──> def (the node that makes it; NULL for inputs, params and literals)
 *
 * A graph owns every byte it points to. A removed node is unlinked and marked dead; its memory waits for the graph's
 * end.
 *
 * Units. A node of an imported file may have become several nodes here, for looking and for running. They are one unit:
 * they stand together, are removed together, and are written back as the text they came from. What a unit's text names
 * is a use, whether an operand of ours reads it or not, so replacing a value replaces every name of it. A node that came
 * from no file is a unit of its own.
 *
 *        unit:  relu_tmp = sub(x, m) ; relu = mul(relu_tmp, r)     its text has a name for x, m, r and relu;
 *                                                                  relu_tmp is nobody else's
 *
 * Order. The list of live nodes is always a legal order: inputs before users, ties as in the source, and the accesses
 * of a storage that somebody writes in their original order. Nobody has to keep it: replacing a value moves the users
 * that would come too early to behind the new node (a local repair), and fails with GRAFT_E_RULE rather than move a
 * read across a write. Graph outputs are uses with a name of their own, so replacing a value moves outputs too.
 */
#ifndef GRAFT_GRAPH_H
#define GRAFT_GRAPH_H

#include <assert.h>
#include "ops.h"

typedef struct Value Value;
typedef struct Node Node;

typedef struct Type {
	graft_dtype dtype;
	uint32_t rank;
	const Dim *dims;
} Type;

/* One place that reads or names a value: an operand or a name of `node`, or a graph output or a pin (node NULL). value
 * NULL: an optional operand that is not given. */
typedef struct Use {
	Value *value;
	Node *node;
	struct Use *next, **link;             /* in value->uses; link points at what points here */
	bool pin;                             /* see Pin */
} Use;

typedef enum ValueKind {
	VALUE_RESULT,                         /* output of a node */
	VALUE_INPUT,                          /* given at each run */
	VALUE_PARAM,                          /* a weight */
	VALUE_LITERAL,                        /* a scalar written in place of an operand; has no name */
	/* a number that only texts of an imported file name; what it is, a symbol says */
	VALUE_SIZE
} ValueKind;

struct Value {
	const char *name;                     /* unique in the graph; "" for a literal */
	Type type;
	ValueKind kind;
	uint32_t index;                       /* RESULT: which output of def; INPUT, PARAM: place in its list */
	uint32_t id;                          /* order of creation, unique */
	uint32_t mark;                        /* scratch for whoever walks; see graph_mark */
	Node *def;
	Use *uses;
	const char *meta;                     /* imported: what the document says of it, in its text; else NULL */
	union {
		struct {                      /* PARAM, else NULL: */
			const graft_tensor *data;   /* what the graph's document holds for it; NULL: nothing */
			/* its name in the model that was exported ("layers.0.norm.weight"); NULL: none */
			const char *path;
		};
		uint8_t section;              /* SIZE: which of the document's tables says what it is */
		/* LITERAL: BOOL, INT or FLOAT; type is bool, i64 or f64, rank 0, and does not promote */
		Attr literal;
	};
};

/* Names of the source nodes a node came from, in source order. */
typedef struct Origin { const char **names; uint32_t n; } Origin;

/* A node of an imported document as it stands there. Nodes of a sub-graph that was inlined are in the node that held it.
 * Lives in the document, so it names nothing of one graph. */
typedef struct SourceNode {
	const char *text;
	size_t size;
	const char *op;                       /* what it is called there */
	const char *args;                     /* the part of its text that says what it reads */
	size_t args_size;
	const struct SourceNode *outer;       /* the node whose sub-graph it is in; NULL: none */
	/* what its reader has to know of its sub-graph, when that was inlined; else NULL */
	const void *inlined;
	/* it means something else outside of its sub-graph, or has no name there: it cannot be taken out as it stands */
	bool bound;
	bool shares;                          /* its result is its first operand, or a view of it; not a copy */
} SourceNode;

/* Where names stand in the text of a node's source: those of its operands, results, other names and sizes, in this
 * order; NULL: nowhere. `outer`: the same for the text of source->outer, which has its own names for what its sub-graph
 * reads and makes. */
typedef struct Places { const char *const *at; const struct Places *outer; } Places;

/* What a document's reader knows and passes have to ask. */
typedef struct DocumentWays {
	/* Do two values that the document describes lie the same way: dtype, sizes, strides, offset, device, layout? */
	bool (*same_layout)(Graph *g, const Value *x, const Value *y);
	/* Why a node that is not in the graph (yet) cannot be written there; NULL: it can. */
	const char *(*refuses)(Graph *g, const Node *n, Arena *a);
} DocumentWays;

/* What graphs were imported from: read only, and shared by a graph and its copies. It begins the struct of whoever
 * reads such documents. */
typedef struct Document {
	Arena arena;                          /* holds everything of it, itself included */
	uint32_t holders;
	const DocumentWays *ways;
} Document;

/* What an op may do to an operand. */
enum { MAY_WRITE = 1, MAY_SHARE = 2 };        /* write its storage; have results that share it */

struct Node {
	const Op *op;
	/* the op's name as it was written; differs from op->name only for unknown ops */
	const char *name;
	Use *in;
	Value **out;
	Attr *attr;                           /* known op: one per AttrSpec, kind NONE where optional and not given */
	const char **attr_name;               /* unknown op: names of attr; else NULL */
	const char *why;                      /* unknown op: what of it graft cannot do; NULL: the op itself */
	const uint8_t *effects;               /* unknown op: MAY_... for each operand; NULL: all of them */
	Value **size;                         /* what it makes for texts to name: VALUE_SIZE */
	uint32_t n_in, n_names, n_out, n_sizes, n_attr;
	uint32_t id;                          /* order of creation, unique */
	int64_t pos;                          /* grows along the list; compare, never store: it may be renumbered */
	uint32_t mark;                        /* scratch for whoever walks; see graph_mark */
	bool dead;
	bool pure;                            /* unknown op: its results depend on its operands alone, and it does no more */
	/* nothing to run: it only makes, reads or checks sizes, which are symbols here. Neither printed nor counted */
	bool note;
	/* stands in for what it was recognised from, which it holds (see `held`) */
	bool tentative;
	Origin origin;
	/* tentative: the value it stands in for; goes back to it unless a rewrite consumes it */
	Value *held;
	Node *writer;                         /* tentative: what leaves `held` in its storage; NULL: the node that makes it */
	Node *prev, *next;                    /* all live nodes, in order */
	const char *pass;                     /* that made it or, dead, removed it; NULL: no pass */
	Node *gone;                           /* dead: the one that was removed before */
	const SourceNode *source;             /* imported graphs: what it came from, innermost; else NULL */
	const SourceNode *unit;               /* whose text it is written in: source, or one around it; NULL: it is spelled */
	const Places *places;                 /* with source */
	/* imported graphs: nodes of the file that a rewrite made it from */
	const SourceNode *const *replaces;
	uint32_t n_replaces;
};

typedef struct Output { const char *name; Use use; } Output;

/* A name outside of all nodes that is no output: it keeps its value, which keeps this name. */
typedef struct Pin { Use use; const char *place; struct Pin *next; } Pin;

struct Graph {
	Arena arena;
	graft_context *ctx;
	const char *name;
	const char *weights;                  /* safetensors file named by the graph, relative to it; NULL: none */
	const char *unread;                   /* why data of its params could not be read; NULL: nothing was tried */
	const char *file;                     /* as given to load; NULL: none */
	Node *first, *last;
	uint32_t n_nodes, n_notes, next_id, next_value, mark;         /* n_nodes: notes included */
	uint32_t checked;                     /* nodes with a smaller id have had their types verified */
	Value **inputs, **params;
	uint32_t n_inputs, n_params;
	size_t cap_inputs, cap_params, cap_outputs;
	Graph **tie;                          /* set while a job still owns the graph */
	Output **outputs;
	uint32_t n_outputs;
	Pin *pins;
	Symbol *symbols;                      /* in order of declaration */
	uint32_t n_symbols;
	struct NameTable *names;              /* value by name */
	/* while a file is read: has something that comes later this name? NULL: nothing has */
	bool (*ahead)(const void *reader, const char *name);
	const void *reader;                   /* for ahead */
	struct OutputTable *output_names;     /* output by name */
	struct PolyTable *polys;
	/* what it was imported from; NULL: nothing, or something that need not be kept */
	Document *document;
	const char *torch_op;                 /* target that fused norms get in a torch.export file; NULL: our own */
	uint32_t rewrites;                    /* counts changes; a refused match must leave it as it was */
	const char *pass;                     /* that is running; NULL: none */
	Node *gone;                           /* the node that was removed last */
};
struct graft_graph { Graph g; };              /* the public handle is the Graph itself */

static inline Job *graph_job(const Graph *g) { return g->arena.job; }

/* The allocator of a context (context.c). */
const graft_allocator *context_allocator(const graft_context *ctx);

/* A new graph belongs to the job, and goes with it when something fails, until graph_release makes it the caller's. */
Graph *graph_new(Job *job, graft_context *ctx, const char *name);
Graph *graph_release(Graph *g);
void graph_free(Graph *g);
void graph_enter(Graph *g, Job *job);         /* g's failures go to job until the job ends */

/* The document is kept until the last graph that holds it is freed. */
void graph_hold(Graph *g, Document *d);

/* Values. A name must be new (fails with GRAFT_E_GRAPH); it is copied. */
Value *value_find(const Graph *g, const char *name, size_t n);      /* NULL: none */
Value *value_input(Graph *g, const char *name, size_t n, Type type);
Value *value_param(Graph *g, const char *name, size_t n, Type type);
Value *value_literal(Graph *g, Attr literal);
bool name_taken(const Graph *g, const char *name);                  /* by a value or a size, there or ahead */
const char *name_fresh(Graph *g, const char *stem);                 /* stem, or stem_1, stem_2, ...: one that is free */
/* A size: value_find does not find it, but its name is taken. */
Value *value_size(Graph *g, const char *name, size_t n);
void graph_sizes(const Graph *g, void (*visit)(void *user, Value *size), void *user);      /* all of them */
Output *graph_output(Graph *g, const char *name, Value *v);         /* fails if an output of that name is there */
void graph_pin(Graph *g, Value *v, const char *place);

/* A node with its operands (NULL: not given) and empty outputs; attr holds one Attr per spec (copied, lists included;
 * known op) and missing ones get their default. Checks arity and attributes against the row, then infers output types.
 * out_names[i] NULL gets a fresh name. types: declared types of the outputs, needed for unknown ops, checked against
 * the inferred ones for known (NULL: none; a dtype of GRAFT_DTYPE_COUNT: not declared). Fails with GRAFT_E_GRAPH. */
typedef struct NodeSpec {
	const Op *op;                         /* &op_table[OP_unknown] for an unknown one */
	const char *name;                     /* of an unknown op; else may be NULL */
	Value *const *in;
	uint32_t n_in;
	const char *const *out_names;         /* may be NULL */
	const Type *types;                    /* may be NULL */
	uint32_t n_out;
	/* known op: one per AttrSpec (NULL: all defaults); unknown: n_attr of them */
	const Attr *attr;
	const char *const *attr_name;         /* unknown op */
	uint32_t n_attr;
	bool note;                            /* an unknown op without results, and nothing to run */
	/* where in the order: in front of this node, but behind its operands; NULL: at the end */
	Node *before;
	bool inside;                          /* in front of just that node, which may be in the middle of a unit */
} NodeSpec;
Node *node_new(Graph *g, const NodeSpec *spec);

/* The types of a known op's results by its shape rule, which sees no type that there are no kernels for. */
void node_infer(Graph *g, const Node *n, Type *out, uint32_t n_out);

/* Gives a new node what its text names and makes besides operands and results: values, and the sizes it makes. */
void node_names(Graph *g, Node *n, Value *const *names, uint32_t n_names, Value *const *sizes, uint32_t n_sizes);
void node_forget_names(Node *n);              /* it has no text any more */

void node_remove(Graph *g, Node *n);          /* a unit of its own; its outputs must have no uses */
/* Every use of old becomes one of `by` (same type), but for what the file says with the node that makes old; repairs the
 * order. */
void value_replace(Graph *g, Value *old, Value *by);
/* The same for what reads old behind `writer`, which leaves in its storage what `by` is. */
void value_replace_written(Graph *g, Value *old, Value *by, const Node *writer);
void value_take_name(Graph *g, Value *v, Value *from);/* v gets from's name, from a fresh one; for replaced roots */

/* Does a use keep its value? All do, but that of a node that only asserts something. */
bool use_counts(const Use *u);
bool value_used(const Value *v);              /* has a use that counts */
bool value_wanted(const Value *v);            /* the same, but for what the file says with the node that makes v */
bool value_pinned(const Value *v);
bool value_kept(const Value *v);              /* pinned, or an output */
uint32_t graph_mark(Graph *g);                /* a number no mark holds yet; set n->mark = it to say 'visited' */

/* Units (unit.c). */
bool unit_same(const Node *a, const Node *b);
Node *unit_first(const Node *n);
Node *unit_last(const Node *n);
/* Walks the nodes of n's unit: for (Node *m = unit_first(n), *end = unit_last(n)->next; m != end; m = m->next) */
bool unit_used(const Node *n);                /* some result of the unit has a use outside of it that counts */
bool value_outside(const Value *v);           /* others may use it: its unit's text has a name for it */
void unit_remove(Graph *g, Node *n);          /* nothing outside uses its results; asserts on them go, too */
/* The unit comes apart: a sub-graph into its nodes, other nodes into ours, to be spelled. unit_opens says beforehand why
 * that cannot be; NULL: it can. spelled: what is ours then must have a way to be written. */
void unit_open(Graph *g, Node *n);
const char *unit_opens(Graph *g, const Node *n, bool spelled, Arena *a);
/* As if it had been opened, until unit_shut. Nothing may be changed between. */
typedef struct Ajar { Node *first, *end; const SourceNode *unit; struct Ajar *next; } Ajar;
Ajar *unit_ajar(Node *n, Arena *a, Ajar *next);
void unit_shut(Ajar *a);                      /* all of the list */
/* n, which stands beside `of`, is looked at as a part of the file's node that of is from: its one result is what stands at
 * place `at` of of's places. */
void unit_join(Graph *g, Node *n, Node *of, uint32_t at);
/* What the unit's text names, in the order of the text: operands, results and the rest. The same place may be there
 * several times. */
typedef struct UnitName { const char *place; Value *value; } UnitName;
uint32_t unit_names(const Node *n, Arena *a, UnitName **out);

/* Storage: which values may share memory. A value made later is looked up through the views it is made of. */
typedef struct Alias Alias;
Alias *alias_of(Graph *g, Arena *into);
uint32_t alias_class(const Alias *a, const Value *v);             /* same number: may share memory */
bool alias_written(const Alias *a, const Value *v);               /* somebody writes its storage */
uint32_t alias_writes(const Alias *a, const Value *v);            /* by so many operands of nodes */
void alias_join(Alias *a, const Value *x, const Value *y);        /* they are one from now on; both were there then */

/* May `roots` be replaced by new nodes that stand where the last of their nodes stands and read `operands`? Units that
 * some of these are inside of are looked at as if they were open. Asked before a rewrite:
 *   MOVE_CYCLE   an operand depends on a root; *culprit is the node that makes that operand
 *   MOVE_HAZARD  a root, or a node that must move behind the new ones, would cross a write to storage it touches;
 *                *culprit is the write
 * Looks only at nodes between the first and the last root. `a` may be older than the rewrites made since by the same
 * pass. */
typedef enum Move { MOVE_OK, MOVE_CYCLE, MOVE_HAZARD } Move;
Move graph_can_move(Graph *g, const Alias *a, Value *const *roots, uint32_t n_roots, Value *const *operands,
                    uint32_t n_operands, const Node **culprit);

/* MAY_... of an operand, from the op's row or, for an unknown op, what its reader knew; of a name: nothing. */
unsigned node_effect(const Node *n, uint32_t operand);
/* What somebody says of every overload of an op that graft does not know, "_C::rms_norm": that it is pure, or else which
 * operands it writes, and that it does no more. Then the functionalised form of it is pure as well. */
typedef struct Declared { const char *op; bool pure; uint64_t writes; } Declared;       /* writes: bit i is operand i */
bool declared_name_fits(const char *op);      /* "ns::name" */
void node_declare(Graph *g, Node *n, const Declared *d);      /* nothing, when it is another op */
void graph_declare(Graph *g, const Declared *d);
bool node_writes(const Node *n);              /* it may write some operand */
bool graph_writes(const Graph *g);            /* some node may */
/* May it be left out when nothing uses its results, and be merged with an equal one? */
bool node_is_pure(const Node *n);

/* Attributes of known ops, by place in the row. */
static inline const Attr *node_attr(const Node *n, int i)
{
	assert(i >= 0 && (uint32_t)i < n->n_attr);
	return &n->attr[i];
}

const Attr *node_attr_named(const Node *n, const char *name);     /* known or unknown op; NULL: none */
/* Axis attribute i as 0..rank-1 of a rank; the row's shape rule has checked it. */
uint32_t axis_of(const Attr *a, uint32_t rank);
bool axis_place(int64_t axis, uint32_t rank, uint32_t *place);    /* false: there is no such axis */
/* AXES (or AXIS) into a set; NONE or empty: all axes */
void attr_axes(const Attr *a, uint32_t rank, bool *in_set);

const char *node_label(const Node *n);        /* what messages call it: its first output's name, or its op's */

/* Types. */
Tri type_eq(Graph *g, const Type *a, const Type *b);              /* dtype and shape */
Tri dims_eq(Graph *g, const Dim *a, const Dim *b, uint32_t n);
Dim dims_product(Graph *g, const Dim *d, uint32_t n);
void type_print(Text *t, const Type *type);   /* bf16[T, 7168] */
/* "the negative size -1 at axis 0", or NULL when a value may have this type: rank, sizes and bytes within limits. */
const char *type_wrong(Graph *g, const Type *type);
bool dtype_is_float(graft_dtype d);
static inline bool dtype_is_kept(graft_dtype d) { return d > GRAFT_DTYPE_COUNT; }     /* there are no kernels for it */
/* torch's promotion, GRAFT_DTYPE_COUNT being none: of two operands of one kind; and of a stronger and a weaker kind
 * (tensors, 0-d tensors, literals), where the weaker counts only if it raises the category. */
graft_dtype dtype_wider(graft_dtype a, graft_dtype b);
graft_dtype dtype_over(graft_dtype strong, graft_dtype weak);
bool dtype_parse(const char *s, size_t n, graft_dtype *out);

/* Whole-graph checks and copies. */
void graph_verify(Graph *g);                  /* fails with GRAFT_E_GRAPH; see graft_graph_verify */
Graph *graph_copy(Job *job, const Graph *g);
void graph_become(Graph *g, Graph *from);     /* g is what from was, which is gone; allocates nothing */
/* the nodes with this mark; what they read becomes inputs, what leaves, outputs */
Graph *graph_extract(Job *job, const Graph *g, uint32_t mark);
/* The same with every symbol replaced by its value, so that shape rules give definite answers: fails with GRAFT_E_GRAPH
 * where sizes that were unknown do not fit, with GRAFT_E_DATA where one cannot be worked out. */
Graph *graph_bound(Job *job, const Graph *g, const int64_t *bindings);
uint64_t graph_fingerprint(Graph *g, Arena *scratch);             /* equal for graphs that print alike */

/* The notation (print.c, parse.c; docs/format.md). */
void graph_print(Graph *g, Text *t);
void graph_print_dot(Graph *g, Text *t);
void node_print(Text *t, const Node *n);      /* one line, no newline, with types */
void attr_print(Text *t, const AttrSpec *spec, const Attr *a);    /* the value; spec NULL: of an unknown op */
void attr_default(Graph *g, const AttrSpec *spec, Attr *out);     /* the row's fallback */
Graph *graph_parse_text(Job *job, graft_context *ctx, const char *text, size_t size, const char *file);

#endif
