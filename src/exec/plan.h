/* plan.h - a graph made ready to run.
 *
 *   graph ── symbols.c ──> the same graph, every size a number
 *         ── supply.c ───> data for its inputs and params: given, from the weights file, or random
 *         ── layout.c ───> a Slot per value: strides, and the Store it lives in, a view's being its operand's
 *         ── bind.c ─────> a Step per node that computes: its kernel and attributes
 *         ── storage.c ──> a place for each Store: one buffer, reused where lifetimes allow
 *         ── gpu.c ──────> on a GPU: the buffer is the device's, what is given is copied into it
 *
 *   Step ── slots ──> Slot { shape, stride, offset } ──> Store { first, last, at, data }
 */
#ifndef GRAFT_PLAN_H
#define GRAFT_PLAN_H

#include "../ir/graph.h"
#include "../kernels/cpu/kernel.h"
#include "device.h"
#include "host.h"

/* One piece of memory, that the value it was made for and all its views share. */
typedef enum StoreKind {
	STORE_BUFFER,                         /* a place in the plan's buffer */
	/* memory that is there already: given, mapped, a literal; a GPU gets a dense copy */
	STORE_GIVEN
} StoreKind;

typedef struct Store {
	StoreKind kind;
	bool kept;                            /* an output lives in it: never reused */
	size_t size;                          /* bytes; 0: nothing is stored. GIVEN: only on a GPU */
	size_t at;                            /* place in the buffer; GIVEN: only on a GPU */
	uint32_t first, last;                 /* steps that touch it, both ends included */
	bool placed;                          /* has its place at the moment; while places are given out */
	void *data;                           /* GIVEN: index 0 of every axis of the value it was made for */
	const graft_tensor *from;             /* GIVEN: what is given, with the caller's strides */
	bool each_run;                        /* GIVEN: an input, read in each run; the rest never changes */
} Store;

/* Where a value lives. tensor.data is set once the buffer exists. */
typedef struct Gpu Gpu;
typedef struct Profile Profile;

typedef struct Slot {
	graft_tensor tensor;
	uint32_t store;
	int64_t offset;                       /* bytes from the store's data to index 0 of every axis */
} Slot;

#define NO_SLOT UINT32_MAX

/* One launch. `slots` lists operands, then results. */
typedef struct Step {
	const char *label;                    /* what messages call it */
	const char *op;
	const char *pack;                     /* whose kernel it is */
	const Node *node;                     /* of p->g; NULL: a copy that the plan put in */
	graft_launch_fn launch;
	uint32_t n_in, n_out;
	uint32_t *slots;
	graft_launch call;
	bool empty;                           /* nothing to compute: every result has no elements */
} Step;

/* How a plan is made, beyond what the public options say. */
typedef struct PlanSpec {
	graft_plan_options options;
	const graft_tensors *inputs;          /* may be NULL */
	const char *why_cpu;                  /* why a GPU that would do was not taken; NULL: nobody asked for one */
	const graft_plan *like;               /* random tensors are this plan's where name and type agree; NULL: none */
	bool keep_all;                        /* no storage is reused: every value can be looked at afterwards */
} PlanSpec;

typedef struct Troubles Troubles;

struct graft_plan {
	Arena arena;
	graft_context *ctx;
	graft_plan **tie;                     /* set while a job still owns the plan */
	PlanSpec spec;
	Graph *g;                             /* the plan's own copy, every size a number */
	Device *device;                       /* where it runs; NULL: the CPU */
	Gpu *gpu;                             /* what the plan has there */
	const char *device_name;
	const Target *target;
	const Alias *alias;                   /* of g; while the plan is made */
	Troubles *troubles;                   /* nodes that cannot run; while the plan is made */
	graft_tensors *weights;               /* of the graph's weights file; NULL: none */
	const graft_tensor **given;           /* data for each input, then each param */
	bool *random;                         /* by the same: it was filled by us */
	const char *weights_trouble;          /* why the weights file cannot be read; NULL: it can, or there is none */
	/* graft's own kernels, for what named packs lack; NULL: not asked for yet */
	const graft_pack *own;
	Slot *slots;                          /* by value, then those of copies that only the plan knows */
	uint32_t *slot_of;                    /* by Value.id; NO_SLOT: none */
	size_t n_slots, cap_slots;
	Store *stores;
	size_t n_stores, cap_stores;
	Step *steps;
	size_t n_steps, cap_steps;
	size_t n_copies;                      /* of the steps: those that only copy an operand */
	uint32_t *output_slot;                /* by place in g->outputs */
	size_t peak, total;
	size_t size;                          /* of the buffer */
	char *buffer;                         /* memory of the device */
	Profile *profile;                     /* NULL: nobody asked for one */
	graft_tensors *outputs;
	const char **notes;
	size_t n_notes, cap_notes;
	Host host;
	char message[512];                    /* what a kernel says when it fails */
};

static inline size_t plan_line(const graft_plan *p) { return p->device ? 256 : 64; }   /* what stores are aligned to */

/* plan.c */
graft_plan *plan_make(Job *job, graft_graph *g, const PlanSpec *spec);       /* the job's until plan_release */
graft_plan *plan_release(graft_plan *p);
PlanSpec plan_spec(Job *job, const graft_plan_options *options, const graft_tensors *inputs);   /* checks them */
void options_read(Job *job, void *to, size_t size, const void *from, size_t found);   /* from begins with its size */
void plan_note(graft_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void *plan_block(Arena *a, size_t size);      /* memory that is not cleared, 64-byte aligned, until the arena's end */
const Slot *plan_slot(const graft_plan *p, const Value *v);                  /* v of p->g; NULL: it has none */

/* symbols.c: a copy of g (graph_free) with every symbol replaced by the value that `bind` and the shapes of what is
 * given say. `given` holds a tensor, or NULL, for each input, then each param. */
Graph *symbols_bind(Job *job, Graph *g, const char *const *bind, const graft_tensor *const *given);

/* supply.c */
uint32_t n_given(const Graph *g);             /* inputs and params */
Value *given_value(const Graph *g, uint32_t i);
const char *given_kind(const Value *v);       /* "input" or "param" */
void supply_find(graft_plan *p, const Graph *g);       /* p->given: what the caller and the weights file have */
void supply_rest(graft_plan *p);              /* the rest of p->given by random, or fails naming all that is missing */

/* random.c: what the graph does with values, by Value.id, and numbers that suit that, into a dense tensor. */
typedef struct Purpose Purpose;
const Purpose *random_purposes(const Graph *g, Arena *into);
void random_fill(graft_plan *p, const Value *v, const graft_tensor *t, const Purpose *purposes);

/* layout.c */
graft_tensor tensor_of(graft_plan *p, const char *name, const Type *type, size_t *size);   /* dense, no data yet */
uint32_t slot_dense(graft_plan *p, const char *name, const Type *type);      /* in a store of its own in the buffer */
void layout_given(graft_plan *p);             /* slots for inputs and params; those that the graph writes are copied */
/* the same for a value that is t in every run */
void layout_constant(graft_plan *p, const Value *v, const graft_tensor *t);
uint32_t layout_operand(graft_plan *p, const Value *v);       /* v's slot; a literal gets one */
bool layout_node(graft_plan *p, const Node *n);       /* slots for its results; false: nothing is left to compute */
Type layout_type(graft_plan *p, const graft_tensor *t);

/* bind.c */
/* Fail with GRAFT_E_UNSUPPORTED, naming every op that cannot run. */
void bind_refuse_unknown(Job *job, const Graph *g);
void bind_nodes(graft_plan *p);               /* slots and steps for everything */
uint32_t bind_copy(graft_plan *p, uint32_t from, const char *label);    /* a dense copy, and the step that makes it */

/* storage.c */
void storage_place(graft_plan *p);            /* lifetimes, places, peak and total */

/* gpu.c */
void gpu_open(graft_plan *p);                 /* the device is there; before anything is laid out */
void gpu_place(graft_plan *p);                /* p->buffer of p->size bytes, and what is uploaded once */
void gpu_outputs(graft_plan *p);              /* steps are finished: memory of the host for inputs and outputs */
/* a product is among the nodes: looks for a BLAS, once; notes when there is none */
void gpu_need_blas(graft_plan *p);
const graft_host *gpu_host(const graft_plan *p);
graft_tensor gpu_output(const graft_plan *p, uint32_t i);     /* output i, where it is found after a run */
/* a slot's elements after a run, in scratch; between p's making and the end of the job that made it */
graft_tensor gpu_read(Job *job, const graft_plan *p, const Slot *s);
void gpu_run(Job *job, graft_plan *p);

/* run.c: the error of a kernel that said `status`, its words in p->message. */
_Noreturn void step_fail(Job *job, graft_plan *p, const Step *s, int status);

/* profile.c */
void profile_open(graft_plan *p);             /* after the steps are finished */
double profile_clock(void);                   /* seconds */
void profile_step(graft_plan *p, size_t step, double start, double seconds);   /* the fastest of all runs counts */
void profile_total(graft_plan *p, double seconds);

#endif
