/* graft.h - the public interface of graft, the graph fusion toolkit.
 *
 * A graph is loaded, rewritten by guarded passes, and written back or run:
 *
 *     graft_error err;
 *     graft_context *ctx;
 *     graft_graph *g;
 *     graft_report *report;
 *     if (graft_context_new(NULL, &ctx, &err) ||
 *         graft_graph_load(ctx, "model.json", &g, &err) ||
 *         graft_optimize(g, NULL, &report, &err) ||
 *         graft_graph_save(g, "model.opt.json", GRAFT_FORMAT_JSON, &err))
 *             fprintf(stderr, "%s\n", err.message);
 *
 * Rules that hold for every function here, so that they are not repeated:
 *  - A function that can fail returns a graft_status, 0 being success, and fills *err; err may be NULL.
 *    On failure nothing is written through any `**out`, and the graph it was given is as it was.
 *  - What comes back through `**out` is yours: free it with the matching _free. What is returned by value
 *    (a string, a pointer) is borrowed from the object it was asked of and lives as long as that object.
 *  - Every _free takes NULL and does nothing with it. Other pointers must not be NULL unless it says so.
 *  - A context outlives what was made with it. A context may be used from many threads at once; a graph, a
 *    report, a config or a plan from one thread at a time. Two contexts share nothing.
 *  - No function prints, exits, aborts, reads an environment variable or changes global state.
 *  - Input never trips an assert. An assert that fires is a bug in graft.
 */
#ifndef GRAFT_GRAFT_H
#define GRAFT_GRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef GRAFT_API
#define GRAFT_API __attribute__((visibility("default")))
#endif

#define GRAFT_VERSION "0.1.0"

/* ---- status and errors ------------------------------------------------------------------------------------ */

/* Every status: name, the exit code the tool turns it into, meaning. */
#define GRAFT_STATUS_MAP(X)                                                          \
	X(OK, 0, "ok")                                                               \
	X(E_DIFFERS, 1, "numbers or expectations differ")                            \
	X(E_USAGE, 2, "the call or command line is wrong")                           \
	X(E_SYNTAX, 3, "not valid text")                                             \
	X(E_GRAPH, 3, "not a valid graph")                                           \
	X(E_DATA, 3, "tensor data do not fit the graph")                             \
	X(E_CONFIG, 3, "not a valid configuration")                                  \
	X(E_IO, 3, "cannot read or write")                                           \
	X(E_UNSUPPORTED, 4, "not supported")                                         \
	X(E_UNAVAILABLE, 4, "not available on this machine")                         \
	X(E_NOMEM, 4, "out of memory")                                               \
	X(E_RULE, 4, "a rewrite rule or pass is wrong")                              \
	X(E_EXEC, 4, "execution failed")

typedef enum graft_status {
#define X(name, exit_code, text) GRAFT_##name,
	GRAFT_STATUS_MAP(X)
#undef X
} graft_status;

/* The meaning of a status, one phrase. Never NULL: an unknown number gives "unknown status". */
GRAFT_API const char *graft_status_text(graft_status status);

/* The exit code (0..4) a tool should end with for this status. */
GRAFT_API int graft_status_exit_code(graft_status status);

/* What went wrong and where. `message` is a whole sentence: what, where, wanted, found, what to do. */
typedef struct graft_error {
	graft_status status;
	int line, column;     /* 1-based place in the text of `file`; 0 = no place */
	char file[256];       /* as the caller named it; "" = no file; a longer name keeps its end */
	char path[256];       /* place in the document: $.nodes[3].attrs.eps, or a node's name; "" = none */
	char message[768];
} graft_error;

/* Prints `file:line:column: path: message` into buf (NUL-terminated when size > 0, cut if too small), leaving out
 * what is not known. Returns the length the whole text has. */
GRAFT_API size_t graft_error_print(const graft_error *err, char *buf, size_t size);

/* ---- context ---------------------------------------------------------------------------------------------- */

/* Where memory comes from: works as realloc does; new_size 0 frees and returns NULL; NULL means no memory is left.
 * It must be callable from any thread. */
typedef struct graft_allocator {
	void *(*resize)(void *user, void *ptr, size_t old_size, size_t new_size);
	void *user;
} graft_allocator;

typedef struct graft_context graft_context;

/* A context owns what is shared between graphs: the allocator, the kernel packs it was told of and every probe answer.
 * allocator NULL: malloc. Returns GRAFT_E_NOMEM when it cannot be made. */
GRAFT_API graft_status graft_context_new(const graft_allocator *allocator, graft_context **out, graft_error *err);
GRAFT_API void graft_context_free(graft_context *ctx);

/* ---- element types and tensors ---------------------------------------------------------------------------- */

/* Element types: name, bytes, name in safetensors. */
#define GRAFT_DTYPE_MAP(X)                                                           \
	X(bool, 1, "BOOL")                                                           \
	X(u8, 1, "U8")                                                               \
	X(i8, 1, "I8")                                                               \
	X(i16, 2, "I16")                                                             \
	X(i32, 4, "I32")                                                             \
	X(i64, 8, "I64")                                                             \
	X(f16, 2, "F16")                                                             \
	X(bf16, 2, "BF16")                                                           \
	X(f32, 4, "F32")                                                             \
	X(f64, 8, "F64")                                                             \
	X(f8e4m3fn, 1, "F8_E4M3")                                                    \
	X(f8e4m3fnuz, 1, "F8_E4M3FNUZ")                                              \
	X(f8e5m2, 1, "F8_E5M2")

/* Element types that only ops which graft does not know read and make: a graph that has them is loaded, rewritten around
 * them and written back, but not run, and tensors of them are neither read nor written. Name, bytes, what PyTorch calls
 * it. */
#define GRAFT_KEPT_DTYPE_MAP(X)                                                      \
	X(u16, 2, "uint16")                                                          \
	X(u32, 4, "uint32")                                                          \
	X(u64, 8, "uint64")                                                          \
	X(f8e5m2fnuz, 1, "float8_e5m2fnuz")                                          \
	X(f8e8m0fnu, 1, "float8_e8m0fnu")                                            \
	X(c32, 4, "complex32")                                                       \
	X(c64, 8, "complex64")                                                       \
	X(c128, 16, "complex128")

typedef enum graft_dtype {
#define X(name, bytes, other) GRAFT_DTYPE_##name,
	GRAFT_DTYPE_MAP(X)
	GRAFT_DTYPE_COUNT,            /* of those with kernels; none, where a dtype may be missing */
	GRAFT_KEPT_DTYPE_MAP(X)
#undef X
	GRAFT_DTYPE_END
} graft_dtype;

GRAFT_API const char *graft_dtype_name(graft_dtype dtype);  /* "bf16"; "?" for a number that is none */
GRAFT_API size_t graft_dtype_size(graft_dtype dtype);       /* bytes of one element; 0 for a number that is none */

#define GRAFT_MAX_RANK 64

/* A tensor in memory. data[0] is the element at index 0 of every axis; strides count elements and may be 0 (expanded)
 * or negative. A tensor with no elements may have data NULL; a missing optional operand has dtype GRAFT_DTYPE_COUNT. */
typedef struct graft_tensor {
	void *data;
	const int64_t *shape;
	const int64_t *stride;
	int32_t rank;
	int32_t dtype;              /* a graft_dtype */
} graft_tensor;

/* ---- graphs ----------------------------------------------------------------------------------------------- */

typedef struct graft_graph graft_graph;

typedef enum graft_format {
	GRAFT_FORMAT_AUTO,          /* loading: by content; saving: by the file's ending (.json .graft .dot .pt2) */
	GRAFT_FORMAT_JSON,          /* docs/format.md */
	GRAFT_FORMAT_TEXT,          /* the notation: q_n = rms_norm(q_c, q_w) {eps=1e-06} */
	GRAFT_FORMAT_DOT,           /* Graphviz; saving only */
	GRAFT_FORMAT_PT2,           /* torch.export's archive; saving needs a graph that came from one */
	/* its model.json alone; saving needs a graph that came from that or from an archive */
	GRAFT_FORMAT_PT2JSON
} graft_format;

/* Reads a graph, checks it whole (see graft_graph_verify) and infers every type. "-" reads standard input.
 * GRAFT_E_IO: cannot be read. GRAFT_E_SYNTAX: not text in that format. GRAFT_E_GRAPH: text is right, the graph is
 * not. */
GRAFT_API graft_status graft_graph_load(graft_context *ctx, const char *path, graft_graph **out, graft_error *err);

/* The same from memory. `name` stands for the file in error messages. The text is not needed afterwards. */
GRAFT_API graft_status graft_graph_parse(graft_context *ctx, const char *text, size_t size, const char *name,
                                         graft_graph **out, graft_error *err);

GRAFT_API void graft_graph_free(graft_graph *g);

/* A copy: what is done to one is not seen in the other, and either may be freed first. */
GRAFT_API graft_status graft_graph_copy(const graft_graph *g, graft_graph **out, graft_error *err);

/* Writes a graph: to a temporary file that is renamed when whole, so a failure leaves the old file. "-" is standard
 * output. The output depends on the graph alone: same graph, same bytes. */
GRAFT_API graft_status graft_graph_save(graft_graph *g, const char *path, graft_format format, graft_error *err);

/* What a file with this name is saved as: by its ending; AUTO when it has none of the four. */
GRAFT_API graft_format graft_format_of(const char *path);

/* What a fused_mla_dual_rms_norm is called in a torch.export file: "ns::name", "graft::fused_mla_dual_rms_norm" when
 * nothing was set. "vllm::fused_mla_dual_rms_norm" gets that op's argument names; any other ours. GRAFT_E_USAGE: not
 * such a name. */
GRAFT_API graft_status graft_graph_set_torch_op(graft_graph *g, const char *name, graft_error *err);

/* Receives text piece by piece; returns false to stop (the call then fails with GRAFT_E_IO). */
typedef bool (*graft_write_fn)(void *user, const char *text, size_t size);

/* What graft_graph_save writes, in pieces, in a format that is named; GRAFT_E_USAGE for AUTO and for an archive. */
GRAFT_API graft_status graft_graph_print(graft_graph *g, graft_format format, graft_write_fn write, void *user,
                                         graft_error *err);

/* Says whether the graph is legal: every operand defined, no cycle, arity and attributes as the op's row says, every
 * type what the shape rule gives, use lists whole. GRAFT_E_GRAPH names the first node that is not. */
GRAFT_API graft_status graft_graph_verify(graft_graph *g, graft_error *err);

GRAFT_API const char *graft_graph_name(const graft_graph *g);
GRAFT_API size_t graft_graph_count(const graft_graph *g, const char *op);  /* live nodes of that op; op NULL: all */

/* ---- configuration ---------------------------------------------------------------------------------------- */

typedef enum graft_flag { GRAFT_AUTO, GRAFT_ON, GRAFT_OFF } graft_flag;

typedef struct graft_config graft_config;

/* A new configuration: every pass `auto`, level 2. Later settings win over earlier ones. */
GRAFT_API graft_status graft_config_new(graft_context *ctx, graft_config **out, graft_error *err);
GRAFT_API void graft_config_free(graft_config *c);

/* Reads docs/config.md's JSON. An unknown key or pass is GRAFT_E_CONFIG with line and column. */
GRAFT_API graft_status graft_config_load(graft_config *c, const char *path, graft_error *err);

/* level 0..3; what each level turns on is listed by `graft passes`. GRAFT_E_USAGE outside that range. */
GRAFT_API graft_status graft_config_set_level(graft_config *c, int level, graft_error *err);

/* GRAFT_E_USAGE when no pass has that name. `who` is remembered as the one who decided ("--enable", "api"). */
GRAFT_API graft_status graft_config_set(graft_config *c, const char *pass, graft_flag flag, const char *who,
                                        graft_error *err);

/* Runs exactly these passes in this order ("a,b"), each `on`, instead of the level's pipeline. NULL takes it back. */
GRAFT_API graft_status graft_config_set_passes(graft_config *c, const char *names, const char *who, graft_error *err);

/* Stops rewriting after n rewrites over all passes, for bisecting a wrong one. n < 0: no limit. */
GRAFT_API void graft_config_set_limit(graft_config *c, int64_t n);

/* Says of an op that graft does not know that its results depend on its operands alone, and that it does no more: it then
 * writes nothing that it is given, shares no storage with it, and is left out when nothing uses it. Without, such an op may
 * read and write every tensor it is given. op: "ns::name", all its overloads, copied. GRAFT_E_USAGE: not such a name. */
GRAFT_API graft_status graft_config_set_pure(graft_config *c, const char *op, graft_error *err);

/* The format that the graph will be saved in. What a graph that came from torch.export is rewritten to must have a torch
 * op when it goes back into such a file, and is refused otherwise (code `unwritable`). AUTO, as it is when nothing was
 * said: a file like the one it came from. */
GRAFT_API void graft_config_set_format(graft_config *c, graft_format format);

/* Rewrites for the machine described in a file written by `graft probe --save` instead of for this one. */
GRAFT_API graft_status graft_config_set_target(graft_config *c, const char *caps_path, graft_error *err);

/* Called before (when = 0) and after (when = 1) each pass that runs, with the graph as it is; and once more (when = -1)
 * when a pass fails by a fault of its own, with a copy of the graph it was given, before the call fails. Between passes
 * a graph may hold norms that were recognised for a fusion beside the nodes they stand for. NULL: none. */
typedef void (*graft_pass_hook)(void *user, const char *pass, int when, graft_graph *g);
GRAFT_API void graft_config_set_hook(graft_config *c, graft_pass_hook hook, void *user);

/* ---- rules of your own -------------------------------------------------------------------------------------- */

/* What a rule has bound at one place of a graph, while `where` looks at it. */
typedef struct graft_match graft_match;

/* A rewrite rule as docs/rules.md describes it, run as one more pass, on at -O1 and up like graft's own. */
typedef struct graft_rule {
	size_t struct_size;           /* sizeof(graft_rule) */
	const char *name;             /* the pass's name, in reports and for graft_config_set; unlike any other */
	const char *match, *emit;
	/* more conditions; says why not with graft_match_refuse. NULL: none. Asked of every way in which the pattern
	 * fits: an op that commutes is tried with its operands either way round */
	bool (*where)(void *user, graft_match *m);
	void *user;                   /* for where */
	/* what it makes goes back to what was there, unless a fusion takes it; such a rule makes one node */
	bool tentative;
	/* the pass it runs in front of. NULL: behind all that are there; a tentative one, in front of the first fusion */
	const char *before;
} graft_rule;

/* Adds a rule; its texts are copied, `user` is not. GRAFT_E_RULE: the rule is wrong (no such op, a name in emit that
 * match does not bind, ...), with its place in the text. GRAFT_E_USAGE: there is a pass of that name. */
GRAFT_API graft_status graft_config_add_rule(graft_config *c, const graft_rule *rule, graft_error *err);

/* Adds all rules of a text file (docs/rules.md): `rule NAME`, the lines of match, `=>`, the lines of emit; and what it says
 * of ops that graft does not know: `pure NS::NAME`, `writes NS::NAME 0`. */
GRAFT_API graft_status graft_config_load_rules(graft_config *c, const char *path, graft_error *err);

/* For `where`. Of a bound value: its type, "bf16[T, 1536]"; of a bound attribute or literal: its text, "1e-06". NULL:
 * the rule has no such name, or the optional value is not there. Lives until the call of `where` ends. */
GRAFT_API const char *graft_match_text(graft_match *m, const char *name);
/* The number of a bound attribute or literal; false: it is none. */
GRAFT_API bool graft_match_number(graft_match *m, const char *name, double *out);
/* The size of an axis (negative: from the end) of a bound value; false: no such axis, or its size is not a known
 * number. */
GRAFT_API bool graft_match_size(graft_match *m, const char *name, int axis, int64_t *out);
/* Says why the rule does not apply here, for --explain. Always returns false. */
GRAFT_API bool graft_match_refuse(graft_match *m, const char *why);

/* ---- optimising ------------------------------------------------------------------------------------------- */

typedef struct graft_report graft_report;

/* Runs the pipeline on g. config NULL: the defaults. report may be NULL. A pass set `on` whose kernel is not there is
 * GRAFT_E_UNAVAILABLE; the same pass on `auto` is left out and the report says why. After a failure g is as it was
 * before the call. */
GRAFT_API graft_status graft_optimize(graft_graph *g, const graft_config *config, graft_report **report,
                                      graft_error *err);
GRAFT_API void graft_report_free(graft_report *r);

/* How a pass ended. */
typedef enum graft_outcome {
	GRAFT_PASS_OFF,
	GRAFT_PASS_UNAVAILABLE,
	GRAFT_PASS_NO_MATCH,
	GRAFT_PASS_APPLIED
} graft_outcome;

typedef struct graft_pass_result {
	const char *pass;
	graft_flag requested;         /* what was asked for, and ... */
	bool effective;               /* ... whether it ran */
	const char *decided_by;       /* "built-in", the config file's name, "--disable", ... */
	const char *reason;           /* why it ran or not: one sentence */
	graft_outcome outcome;
	int64_t applied;              /* rewrites made */
	int64_t nodes_before, nodes_after;
	double seconds;
} graft_pass_result;

/* Passes in the order they were considered; i from 0, NULL past the end. */
GRAFT_API const graft_pass_result *graft_report_pass(const graft_report *r, size_t i);

/* One place where a pass looked closely and refused. */
typedef struct graft_refusal {
	const char *pass;
	const char *node;             /* the node that stayed as it was */
	const char *code;             /* a stable word: no_sibling, rows_unknown, cycle, kernel, ... (docs/passes.md) */
	const char *message;          /* names, wanted and found */
} graft_refusal;

/* i from 0 in the order they came up, NULL past the end. */
GRAFT_API const graft_refusal *graft_report_refusal(const graft_report *r, size_t i);

/* Rewrites made by that pass, -1 when the pass was not considered. */
GRAFT_API int64_t graft_report_applied(const graft_report *r, const char *pass);

/* ---- kernels and probing ---------------------------------------------------------------------------------- */

/* Names a kernel pack to ask: the path of a shared library (see graft/plugin.h), or "builtin" for the one inside
 * graft. Packs are asked in the order they were added; without any call only "builtin" is. Nothing is loaded yet. */
GRAFT_API graft_status graft_kernels_add(graft_context *ctx, const char *pack, graft_error *err);

/* How far a kernel came; each tier includes those before it. */
#define GRAFT_TIER_MAP(X)                                                            \
	X(NONE, "no such file")                                                      \
	X(FOUND, "the file is there")                                                \
	X(LOADS, "loads")                                                            \
	X(ABI, "speaks our ABI")                                                     \
	X(KERNEL, "has the kernel")                                                  \
	X(SIGNATURE, "has the same signature")                                       \
	X(ARCH, "covers this architecture")                                          \
	X(NODE, "covers this node")                                                  \
	X(SELF_TEST, "passed its self test")

typedef enum graft_tier {
#define X(name, text) GRAFT_TIER_##name,
	GRAFT_TIER_MAP(X)
#undef X
} graft_tier;

typedef struct graft_probe_answer {
	bool available;
	graft_tier tier;              /* the last tier reached by the pack that came furthest */
	const char *pack;             /* that pack, as it was named */
	const char *reason;           /* one sentence; never NULL */
} graft_probe_answer;

/* Can `kernel` (an op's name) be called for architecture `arch` ("cpu", "gfx942", ...)? Static: loads packs but starts
 * no GPU and runs no kernel. Answers are cached, negative ones too. The strings live until graft_probe_refresh or the
 * context's end. An unknown kernel name is answered, not an error. */
GRAFT_API graft_status graft_probe(graft_context *ctx, const char *kernel, const char *arch, graft_probe_answer *out,
                                   graft_error *err);

/* Drops every cached answer, so that the next question looks again. Packs that loaded stay loaded. */
GRAFT_API void graft_probe_refresh(graft_context *ctx);

/* ---- running ---------------------------------------------------------------------------------------------- */

/* Named tensors: inputs, weights, outputs. */
typedef struct graft_tensors graft_tensors;

GRAFT_API graft_status graft_tensors_new(graft_context *ctx, graft_tensors **out, graft_error *err);
GRAFT_API void graft_tensors_free(graft_tensors *t);

/* Adds all tensors of a .safetensors file (mapped, not copied), or of an .npy file, which is named by the part of its
 * file name before ".npy". GRAFT_E_DATA: the file is not what it should be. A name that is there already is
 * replaced. */
GRAFT_API graft_status graft_tensors_load(graft_tensors *t, const char *path, graft_error *err);

/* Adds a tensor that the caller keeps alive and unchanged. Copies the name and shape, not the data. */
GRAFT_API graft_status graft_tensors_set(graft_tensors *t, const char *name, const graft_tensor *tensor,
                                         graft_error *err);

/* The tensor of that name, or NULL. */
GRAFT_API const graft_tensor *graft_tensors_get(const graft_tensors *t, const char *name);

/* i from 0 in the order they were added, NULL past the end; *name (may be NULL) gets its name. */
GRAFT_API const graft_tensor *graft_tensors_at(const graft_tensors *t, size_t i, const char **name);

/* Numbers that describe a tensor at a glance; of integers and bools too. Elements that are not finite are counted and
 * left out of the rest; a tensor without finite elements has min, max and mean 0. */
typedef struct graft_summary { double min, max, mean; int64_t count, not_finite; } graft_summary;
GRAFT_API graft_summary graft_tensor_summary(const graft_tensor *t);

/* How far two tensors of one dtype and shape are apart, with any strides. They are the same when |x - y| <= atol +
 * rtol * |x| for all elements x of a and y of b; a negative tolerance is chosen by dtype (docs/run.md). NaN agrees with
 * NaN; nan: how many of the count elements do. max_abs: the largest distance, infinite where only one is finite;
 * max_rel: that over a's largest finite magnitude. GRAFT_OK whether they are the same or not; GRAFT_E_DIFFERS: dtypes
 * or shapes are not one. */
typedef struct graft_difference { bool same; double max_abs, max_rel; int64_t count, nan; } graft_difference;
GRAFT_API graft_status graft_tensor_compare(const graft_tensor *a, const graft_tensor *b, double rtol, double atol,
                                            graft_difference *out, graft_error *err);

/* Writes .safetensors, or, for a single tensor, .npy; by the file's ending. */
GRAFT_API graft_status graft_tensors_save(const graft_tensors *t, const char *path, graft_error *err);

typedef struct graft_plan graft_plan;

typedef struct graft_plan_options {
	size_t struct_size;           /* sizeof(graft_plan_options) */
	int threads;                  /* 0: one per core */
	bool random;                  /* fill missing inputs and weights from `seed`, the same on every machine */
	uint64_t seed;
	/* a fused node without a kernel is an error instead of being lowered with a note */
	bool strict;
	const char *const *bind;      /* "T=4" strings, NULL-terminated; NULL: none */
	/* "cpu" (also NULL); "hip", or "hip:PLUGIN" with the path of a device plugin; "auto": hip, or, with a note that
	 * says why not, cpu. On a GPU params are uploaded once: later changes are not seen */
	const char *device;
	bool profile;                 /* measure each node in every run, see graft_plan_profile */
} graft_plan_options;

/* Makes a plan: binds symbols from `bind` and from the shapes in `inputs`, fixes order, strides and storage. It takes g
 * as it is and does not change it; g must outlive the plan. options NULL: zeroes. inputs may be NULL; its tensors must
 * outlive the plan. GRAFT_E_UNSUPPORTED names every node that cannot run, all at once. GRAFT_E_DATA: an input is
 * missing or does not fit, or two sources contradict about a symbol (both are named). */
GRAFT_API graft_status graft_plan_new(graft_graph *g, const graft_plan_options *options, const graft_tensors *inputs,
                                      graft_plan **out, graft_error *err);
GRAFT_API void graft_plan_free(graft_plan *p);

/* Runs the plan; any number of times. GRAFT_E_DATA: a kernel refuses what is in a tensor (an index outside its table);
 * GRAFT_E_EXEC: a kernel or the device failed, at the node that the error names. */
GRAFT_API graft_status graft_plan_run(graft_plan *p, graft_error *err);

/* The outputs of the last run, under the graph's output names; they live until the next run or the plan's end. Before
 * the first run their numbers mean nothing. */
GRAFT_API const graft_tensors *graft_plan_outputs(const graft_plan *p);

/* Bytes of intermediate storage at the highest point, and what they would be without reuse. */
GRAFT_API size_t graft_plan_peak(const graft_plan *p);
GRAFT_API size_t graft_plan_total(const graft_plan *p);

/* Notes made while planning (a fused node that was lowered, ...) and running; i from 0, NULL past the end. */
GRAFT_API const char *graft_plan_note(const graft_plan *p, size_t i);

/* One node as it was measured: the fastest of the runs so far. */
typedef struct graft_profile {
	const char *node, *op;
	const char *pack;             /* whose kernel it ran */
	double bytes, operations;     /* memory it has to touch; multiplications and additions, of products only */
	double start, seconds;        /* start: from the beginning of its run */
	/* of the device's memory bandwidth, or of its peak arithmetic where that is nearer; 0: not known */
	double share;
	bool of_arithmetic;           /* which of the two */
} graft_profile;

/* Node i in the order of execution; NULL past the end, and for a plan that was not asked to measure. */
GRAFT_API const graft_profile *graft_plan_profile(const graft_plan *p, size_t i);

/* The fastest run as a whole; on a GPU without the copies of inputs and outputs, replayed from the second run on. 0:
 * none measured. */
GRAFT_API double graft_plan_seconds(const graft_plan *p);

/* Where it runs: "cpu", or the device's name and architecture. */
GRAFT_API const char *graft_plan_device(const graft_plan *p);

/* ---- comparing two graphs by running them ------------------------------------------------------------------ */

typedef struct graft_verify_options {
	size_t struct_size;           /* sizeof(graft_verify_options) */
	graft_plan_options run;
	double rtol, atol;            /* negative: by dtype, see docs/run.md */
	const char *reference;        /* the device that the first graph runs on, as run.device; NULL: the same one */
} graft_verify_options;

typedef struct graft_verify_result {
	bool same;
	/* the first value, in order of execution, that both graphs have and that differs; "" */
	char value[128];
	char outputs[128];            /* the graph output with the largest difference */
	double max_abs, max_rel;      /* over all outputs */
	double seconds_a, seconds_b;  /* one run of each, repeated when it is short */
	int64_t count, nan;           /* elements of all outputs; those that are NaN in both, which shows nothing */
} graft_verify_result;

/* Runs both with the same inputs and compares outputs by name; what is random in the first is the same in the second.
 * options NULL: zeroes, and tolerances by dtype. inputs may be NULL. Devices are as in graft_plan_options; "auto" is
 * GRAFT_E_USAGE. GRAFT_OK whether they agree or not; GRAFT_E_GRAPH: their outputs have other names or types; else what
 * graft_plan_new and graft_plan_run fail with. */
GRAFT_API graft_status graft_verify(graft_graph *a, graft_graph *b, const graft_verify_options *options,
                                    const graft_tensors *inputs, graft_verify_result *out, graft_error *err);

#ifdef __cplusplus
}
#endif
#endif
