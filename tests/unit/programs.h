/* programs.h - random programs as torch.export writes them: a model.json each, from a seed and a number alone.
 *
 *     Program p;
 *     program_make(&p, seed, 17);       p.text, p.size; what it needs to run in p.input
 *     program_free(&p);
 *
 * Types, strides and offsets are what PyTorch would say. A program writes in place, makes views of views, names values
 * that it does not read, holds sub-graphs and ops that graft does not know.
 */
#ifndef GRAFT_TEST_PROGRAMS_H
#define GRAFT_TEST_PROGRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_AXES = 5, MAX_TENSORS = 512, MAX_INPUTS = 48, MAX_RESULTS = 8, MAX_OUTPUTS = 32, SYMBOL_VALUE = 5 };

/* torch's numbers of dtypes */
enum { I64 = 5, F32 = 7, BOOL = 12, BF16 = 13 };

/* a + s * the one symbol there is */
typedef struct Num { int64_t a, s; } Num;

typedef struct Tensor {
	char name[32];
	int dtype;
	int rank;
	Num size[MAX_AXES], stride[MAX_AXES], offset;
	bool overlaps;                        /* several elements in one place: PyTorch does not let such be written */
	bool frozen;                          /* a weight, which no program writes */
} Tensor;

typedef struct Letters { char *s; size_t n, cap; } Letters;

/* A node, to be made once more. */
typedef struct Made { const char *target; size_t args, args_size; int first, n; bool list; } Made;

/* A graph of the file: the program's, or a sub-graph. */
typedef struct Room {
	struct Room *outer;
	Letters nodes, sizes[2];              /* sizes: sym_int_values, sym_bool_values */
	Tensor *tensor;                       /* what nodes may read */
	int n_tensors;
	Made *made;
	int n_made;
	struct { char name[32]; Num is; } size[32];
	int n_sizes;
	int count;                            /* of names given */
} Room;

typedef struct Program {
	uint64_t random;
	Room *room;                           /* that is being filled */
	Tensor input[MAX_INPUTS];
	const char *kind[MAX_INPUTS];         /* in the signature: "parameter", "buffer", "user_input" */
	int n_inputs;
	Tensor result[MAX_RESULTS];           /* of the node that is being made */
	int n_results;
	bool as_list;                         /* they are one list */
	Letters calls, scratch;
	const Tensor *wanted[MAX_OUTPUTS];    /* what leaves for certain */
	int n_wanted;
	bool runs;                            /* graft knows every op */
	int modules;
	char *text;
	size_t size;
} Program;

void program_make(Program *p, uint64_t seed, uint64_t number);
void program_free(Program *p);

/* ---- programs.c, for programs_ops.c ---- */

uint32_t roll(Program *p, uint32_t n);        /* 0 ... n - 1 */
bool chance(Program *p, uint32_t in);         /* once in so many times */
void say(Letters *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline Num num(int64_t a) { return (Num){ a, 0 }; }
static inline bool is_num(Num n, int64_t a) { return !n.s && n.a == a; }
static inline bool num_same(Num a, Num b) { return a.a == b.a && a.s == b.s; }
int64_t num_value(Num n);
Num num_times(Num a, Num b);
Num elements(const Tensor *t);
bool is_contiguous(const Tensor *t);
bool same_sizes(const Tensor *a, const Tensor *b);
void lay_out(Tensor *t);                      /* contiguous, in storage of its own */
void lay_out_like(Tensor *t, const Tensor *x);/* as elementwise ops do: axes in the order they have in x */

/* A tensor that the node may read; NULL: none will do. */
const Tensor *any(Program *p, bool (*fits)(const Tensor *t));
const Tensor *input(Program *p, const char *kind, const char *stem, int dtype, int rank, const Num *size);

/* One more result of the node that node() makes next: laid out as x, but for what the caller changes of it. */
Tensor *result(Program *p, const Tensor *x);
/* A node. `args` says its arguments, "self=t dim=i *dtype=d" (* by keyword), and what is behind it gives them:
 * t Tensor, T int and Tensor *const *, o Tensor or NULL as optional tensors, i int64_t, I int and int64_t *,
 * S int and Num * (sizes, made before by need_size), f double, b int, d dtype, m int memory format, D device, s string,
 * z name of a size, y name of a bool, n None */
void node(Program *p, const char *target, const char *args, ...);
const char *need_size(Program *p, Num n);     /* the name of a size in this graph; makes it when need be */
void check_size(Program *p);                  /* asserts that the symbol is at least 2 */
void once_more(Program *p, const Made *m);    /* the same text, under other names */
void open_room(Program *p, Room *r);
void sub_graph(Program *p, Room *inner, const Tensor *const *in, int n_in, const Tensor *const *out, int n_out);

void fill_room(Program *p, int n);            /* programs_ops.c: about n nodes */

#endif
