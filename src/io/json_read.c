/* json_read.c - native JSON to a graph; the format is specified in docs/format.md.
 *
 * The members of the document may stand in any order, so their places are taken first; then each array is walked, one
 * element in memory at a time. What fails below (a shape rule, the table of names) knows no place: it gets that of
 * what was being read.
 */
#include "io.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum {
	MAX_NESTING = 64, MAX_UNKNOWN_ATTRS = 1024,   /* as in the notation */
	NODE_MEMORY = 1 << 18                 /* what reading nodes may hold before it is given back */
};

/* Keys of each kind of object: an enum to name them and a list to look them up and to show them. */
#define DOCUMENT_KEYS(X) X(graft) X(name) X(weights) X(symbols) X(inputs) X(params) X(nodes) X(outputs)
#define VALUE_KEYS(X) X(name) X(dtype) X(shape)
#define NODE_KEYS(X) X(op) X(in) X(out) X(attrs) X(types) X(origin)
#define TYPE_KEYS(X) X(dtype) X(shape)
#define OUTPUT_KEYS(X) X(name) X(value)

#define AS_STRING(name) #name,
#define DOCUMENT_KEY(name) DOCUMENT_##name,
#define NODE_KEY(name) NODE_##name,

enum { DOCUMENT_KEYS(DOCUMENT_KEY) N_DOCUMENT_KEYS };
enum { NODE_KEYS(NODE_KEY) N_NODE_KEYS };

static const char *const document_keys[] = { DOCUMENT_KEYS(AS_STRING) };
static const char *const value_keys[] = { VALUE_KEYS(AS_STRING) };
static const char *const node_keys[] = { NODE_KEYS(AS_STRING) };
static const char *const type_keys[] = { TYPE_KEYS(AS_STRING) };
static const char *const output_keys[] = { OUTPUT_KEYS(AS_STRING) };
static const char *const literal_keys[] = { "literal" };
static const char *const nonfinite[] = { "inf", "-inf", "nan" };

#define COUNT(array) (sizeof (array) / sizeof *(array))

#define X(name, bytes, other) #name,
static const char *const dtypes[] = { GRAFT_DTYPE_MAP(X) GRAFT_KEPT_DTYPE_MAP(X) };
#undef X

typedef struct Reader {
	Graph *g;
	const char *text, *file;
	size_t size;
	Job *job;
	Json at;                              /* what is being read */
	Json member[N_DOCUMENT_KEYS];         /* closed */
	Arena node;                           /* what nodes need while they are read */
} Reader;

/* ---- scalars and lists ---- */

static double read_nonfinite(Json v)
{
	static const double values[] = { INFINITY, -INFINITY, NAN };
	return values[json_word(v, nonfinite, COUNT(nonfinite))];
}

/* {"literal": "inf"}: a float that JSON has no number for */
static Attr read_literal(Json v)
{
	json_keys(v, literal_keys, COUNT(literal_keys));
	return (Attr){ .kind = ATTR_FLOAT, .f = read_nonfinite(json_need(v, "literal")) };
}

static uint32_t count_of(Json array, uint32_t max)
{
	json_first(array, JSON_ARRAY);
	size_t n = json_count(array);
	if (n > max)
		json_fail(array, GRAFT_E_GRAPH, "wanted at most %u elements, found %zu", max, n);
	return (uint32_t)n;
}

static const char *read_name(Json v, const char *what)
{
	const char *name = json_string(v);
	if (!*name)
		json_fail(v, GRAFT_E_GRAPH, "%s must not be empty", what);
	return name;
}

static graft_dtype read_dtype(Json v)
{
	int i = json_word(v, dtypes, COUNT(dtypes));
	return (graft_dtype)(i < GRAFT_DTYPE_COUNT ? i : i + 1);      /* COUNT itself is none */
}

/* An integer from min, or an expression over symbols. */
static Dim read_dim(Reader *r, Json v, int64_t min)
{
	if (json_kind(v) == JSON_INT)
		return dim_const(json_int(v, min, INT64_MAX));
	if (json_kind(v) != JSON_STRING)
		json_fail(v, GRAFT_E_GRAPH, "wanted a size (an integer, or an expression in quotes like \"2*T + 1\"), "
		          "found %s", json_kind_name(json_kind(v)));
	const char *s = json_string(v), *end = s + strlen(s);
	r->at = v;
	Dim d = dim_parse(r->g, &s, end);
	while (*s == ' ')
		s++;
	if (s != end)
		json_fail(v, GRAFT_E_GRAPH, "wanted one expression, found '%s' behind it", s);
	if (dim_is_const(d) && d.value < min)
		json_fail(v, GRAFT_E_GRAPH, "wanted a size of at least %lld, found %lld", (long long)min,
		          (long long)d.value);
	return d;
}

static Dim *read_dims(Reader *r, Json array, int64_t min, uint32_t max, uint32_t *n)
{
	*n = count_of(array, max);
	Dim *dims = NEW_ARRAY(&r->node, *n, Dim), *d = dims;
	for (Json e = json_first(array, JSON_ARRAY); json_there(e); e = json_next(e))
		*d++ = read_dim(r, e, min);
	return dims;
}

static Type read_type(Reader *r, Json object)
{
	Type t = { .dtype = read_dtype(json_need(object, "dtype")) };
	t.dims = read_dims(r, json_need(object, "shape"), 0, GRAFT_MAX_RANK, &t.rank);
	return t;
}

/* ---- attributes ---- */

/* Any scalar, or a list that may nest; `depth` lists are around it. */
static Attr read_free(Reader *r, Json v, int depth)
{
	Attr a = { 0 };
	switch (json_kind(v)) {
	case JSON_NULL: return a;
	case JSON_BOOL: return (Attr){ .kind = ATTR_BOOL, .i = json_bool(v) };
	case JSON_INT: return (Attr){ .kind = ATTR_INT, .i = json_int(v, INT64_MIN, INT64_MAX) };
	case JSON_FLOAT: return (Attr){ .kind = ATTR_FLOAT, .f = json_f64(v) };
	case JSON_STRING: return (Attr){ .kind = ATTR_STRING, .s = json_string(v) };
	case JSON_OBJECT: return read_literal(v);
	case JSON_ARRAY: break;
	}
	if (depth == MAX_NESTING)
		json_fail(v, GRAFT_E_GRAPH, "lists nested deeper than %d levels", MAX_NESTING);
	a = (Attr){ .kind = ATTR_LIST, .n = count_of(v, UINT32_MAX) };
	Attr *list = NEW_ARRAY(&r->node, a.n, Attr), *to = list;
	for (Json e = json_first(v, JSON_ARRAY); json_there(e); e = json_next(e))
		*to++ = read_free(r, e, depth + 1);
	a.list = list;
	return a;
}

static Attr read_axes(Reader *r, Json v)
{
	Attr a = { .kind = ATTR_AXES, .n = count_of(v, UINT32_MAX) };
	int64_t *axes = NEW_ARRAY(&r->node, a.n, int64_t), *to = axes;
	for (Json e = json_first(v, JSON_ARRAY); json_there(e); e = json_next(e))
		*to++ = json_int(e, INT64_MIN, INT64_MAX);
	a.ints = axes;
	return a;
}

/* The place of a word in "late|early". */
static int64_t read_word(Json v, const char *words)
{
	const char *s = json_string(v), *w = words;
	size_t n = strlen(s);
	for (int64_t i = 0;; i++) {
		size_t len = strcspn(w, "|");
		if (len == n && !memcmp(w, s, n))
			return i;
		if (!w[len])
			json_fail(v, GRAFT_E_GRAPH, "wanted one of %s; found '%s'", words, s);
		w += len + 1;
	}
}

static Attr read_attr(Reader *r, const AttrSpec *spec, Json v)
{
	Attr a = { .kind = spec->kind };
	if (json_kind(v) == JSON_NULL && spec->fallback && !strcmp(spec->fallback, "none"))
		return (Attr){ 0 };
	switch (spec->kind) {
	case ATTR_BOOL: a.i = json_bool(v); break;
	case ATTR_INT: case ATTR_AXIS: a.i = json_int(v, INT64_MIN, INT64_MAX); break;
	case ATTR_FLOAT: a.f = json_kind(v) == JSON_STRING ? read_nonfinite(v) : json_f64(v); break;
	case ATTR_STRING: a.s = json_string(v); break;
	case ATTR_DIM: a.dim = read_dim(r, v, INT64_MIN); break;
	case ATTR_DIMS: a.dims = read_dims(r, v, INT64_MIN, UINT32_MAX, &a.n); break;
	case ATTR_AXES: a = read_axes(r, v); break;
	case ATTR_DTYPE: a.i = read_dtype(v); break;
	case ATTR_NAME: a.i = read_word(v, spec->words); break;
	case ATTR_LIST:
		json_first(v, JSON_ARRAY);
		a = read_free(r, v, 0);
		break;
	case ATTR_NONE: assert(false && "an attribute of no kind in ops.def");
	}
	return a;
}

_Noreturn static void fail_attr(const Op *op, Json member)
{
	const char *names[MAX_ATTRS];
	for (uint32_t i = 0; i < op->n_attrs; i++)
		names[i] = op->attrs[i].name;
	if (!op->n_attrs)
		json_fail_key(member, GRAFT_E_GRAPH, "no such attribute: '%s'; %s has none", json_key(member),
		              op->name);
	json_fail_keys(member, json_key(member), names, op->n_attrs);
}

static const Attr *read_known_attrs(Reader *r, const Op *op, Json object)
{
	Attr *attrs = NEW_ARRAY(&r->node, op->n_attrs, Attr);
	for (Json m = json_first(object, JSON_OBJECT); json_there(m); m = json_next(m)) {
		int i = attr_index(op, json_key(m), strlen(json_key(m)));
		if (i < 0)
			fail_attr(op, m);
		attrs[i] = read_attr(r, &op->attrs[i], m);
	}
	return attrs;
}

static void read_unknown_attrs(Reader *r, Json object, NodeSpec *spec)
{
	json_first(object, JSON_OBJECT);
	size_t n = json_count(object), i = 0;
	if (n > MAX_UNKNOWN_ATTRS)
		json_fail(object, GRAFT_E_GRAPH, "wanted at most %d attributes, found %zu", MAX_UNKNOWN_ATTRS, n);
	Attr *attrs = NEW_ARRAY(&r->node, n, Attr);
	const char **names = NEW_ARRAY(&r->node, n, const char *);
	for (Json m = json_first(object, JSON_OBJECT); json_there(m); m = json_next(m), i++) {
		names[i] = json_key(m);
		if (!*names[i])
			json_fail_key(m, GRAFT_E_GRAPH, "an attribute's name must not be empty");
		attrs[i] = read_free(r, m, 0);
	}
	spec->attr = attrs;
	spec->attr_name = names;
	spec->n_attr = (uint32_t)n;
}

/* ---- names that are nearly right ---- */

enum { NEAR = 2, LONGEST_NAME = 63 };

typedef struct Nearest { const char *wanted, *name; unsigned distance; } Nearest;

/* Changes of one character that make b of a, when fewer than `limit`; else limit. */
static unsigned distance(const char *a, const char *b, unsigned limit)
{
	unsigned char row[LONGEST_NAME + 2];
	size_t na = strlen(a), nb = strlen(b);
	if (na > LONGEST_NAME || nb > LONGEST_NAME)
		return limit;
	for (size_t j = 0; j <= nb; j++)
		row[j] = (unsigned char)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned corner = row[0], least = row[0] = (unsigned char)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned change = corner + (a[i - 1] != b[j - 1]);
			unsigned insert = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1u;
			corner = row[j];
			row[j] = (unsigned char)(change < insert ? change : insert);
			least = row[j] < least ? row[j] : least;
		}
		if (least >= limit)
			return limit;
	}
	return row[nb] < limit ? row[nb] : limit;
}

static void consider(Nearest *n, const char *name)
{
	unsigned d = distance(n->wanted, name, n->distance);
	if (d < n->distance) {
		n->distance = d;
		n->name = name;
	}
}

/* "; did you mean 'q_w'?", or nothing */
static const char *suggestion(const Reader *r, const Nearest *n)
{
	return n->name ? arena_printf(&r->job->scratch, "; did you mean '%s'?", n->name) : "";
}

_Noreturn static void fail_operand(const Reader *r, Json v)
{
	Nearest near = { json_string(v), NULL, NEAR + 1 };
	for (uint32_t i = 0; i < r->g->n_inputs; i++)
		consider(&near, r->g->inputs[i]->name);
	for (uint32_t i = 0; i < r->g->n_params; i++)
		consider(&near, r->g->params[i]->name);
	for (const Node *n = r->g->first; n; n = n->next)
		for (uint32_t i = 0; i < n->n_out; i++)
			consider(&near, n->out[i]->name);
	json_fail(v, GRAFT_E_GRAPH, "no value named '%s' is defined before this%s", near.wanted, suggestion(r, &near));
}

_Noreturn static void fail_op(const Reader *r, Json v)
{
	Nearest near = { json_string(v), NULL, NEAR + 1 };
	for (int i = 0; i < OP_COUNT; i++)
		consider(&near, op_table[i].name);
	json_fail(v, GRAFT_E_GRAPH, "no such op: '%s'%s (a node of an op that graft does not know needs \"types\")",
	          near.wanted, suggestion(r, &near));
}

/* ---- nodes ---- */

static Value *find_value(const Reader *r, Json name)
{
	const char *s = json_string(name);
	Value *v = value_find(r->g, s, strlen(s));
	if (!v)
		fail_operand(r, name);
	return v;
}

static Value *read_operand(Reader *r, Json v)
{
	switch (json_kind(v)) {
	case JSON_STRING: return find_value(r, v);
	case JSON_NULL: return NULL;
	case JSON_ARRAY: break;
	default: return value_literal(r->g, read_free(r, v, 0));
	}
	json_fail(v, GRAFT_E_GRAPH, "wanted a value's name, a number, true, false or null; found an array");
}

static void read_operands(Reader *r, Json array, NodeSpec *spec)
{
	spec->n_in = count_of(array, UINT32_MAX);
	Value **in = NEW_ARRAY(&r->node, spec->n_in, Value *);
	spec->in = in;
	for (Json e = json_first(array, JSON_ARRAY); json_there(e); e = json_next(e))
		*in++ = read_operand(r, e);
}

static const char **read_names(Arena *a, Json array, const char *what, uint32_t *n)
{
	*n = count_of(array, UINT32_MAX);
	const char **names = NEW_ARRAY(a, *n, const char *), **to = names;
	for (Json e = json_first(array, JSON_ARRAY); json_there(e); e = json_next(e))
		*to++ = read_name(e, what);
	return names;
}

static const Type *read_types(Reader *r, Json array, uint32_t n_out)
{
	uint32_t n = count_of(array, UINT32_MAX);
	if (n != n_out)
		json_fail(array, GRAFT_E_GRAPH, "wanted one type for each of %u results, found %u", n_out, n);
	Type *types = NEW_ARRAY(&r->node, n, Type), *t = types;
	for (Json e = json_first(array, JSON_ARRAY); json_there(e); e = json_next(e)) {
		json_keys(e, type_keys, COUNT(type_keys));
		*t++ = read_type(r, e);
	}
	return types;
}

static void read_origin(Reader *r, Node *n, Json array)
{
	const char **names = read_names(&r->g->arena, array, "the name of a source node", &n->origin.n);
	for (uint32_t i = 0; i < n->origin.n; i++)
		names[i] = arena_strdup(&r->g->arena, names[i]);
	n->origin.names = names;
}

static void take_members(Json object, Json *member)
{
	for (Json m = json_first(object, JSON_OBJECT); json_there(m); m = json_next(m)) {
		size_t i = 0;
		while (i < N_NODE_KEYS && strcmp(json_key(m), node_keys[i]))
			i++;
		if (i == N_NODE_KEYS)
			json_fail_keys(m, json_key(m), node_keys, N_NODE_KEYS);
		member[i] = m;
	}
}

static void read_node(Reader *r, const char *key, Json object)
{
	(void)key;
	Json m[N_NODE_KEYS] = { { 0 } };
	NodeSpec spec = { 0 };
	take_members(object, m);
	if (!json_there(m[NODE_op]))
		json_need(object, "op");
	spec.name = read_name(m[NODE_op], "an op's name");
	spec.op = op_find(spec.name, strlen(spec.name));
	if (!spec.op && !json_there(m[NODE_types]))
		fail_op(r, m[NODE_op]);
	bool known = spec.op;
	if (!known)
		spec.op = &op_table[OP_unknown];
	if (json_there(m[NODE_in]))
		read_operands(r, m[NODE_in], &spec);
	if (json_there(m[NODE_out]))
		spec.out_names = read_names(&r->node, m[NODE_out], "a value's name", &spec.n_out);
	if (json_there(m[NODE_attrs]) && known)
		spec.attr = read_known_attrs(r, spec.op, m[NODE_attrs]);
	else if (json_there(m[NODE_attrs]))
		read_unknown_attrs(r, m[NODE_attrs], &spec);
	if (json_there(m[NODE_types]))
		spec.types = read_types(r, m[NODE_types], spec.n_out);
	r->at = object;
	Node *n = node_new(r->g, &spec);
	if (json_there(m[NODE_origin]))
		read_origin(r, n, m[NODE_origin]);
}

/* ---- the document ---- */

static void read_symbol(Reader *r, const char *name, Json range)
{
	Json min = json_first(range, JSON_ARRAY), max = { 0 };
	if (json_there(min))
		max = json_next(min);
	if (!json_there(max) || json_there(json_next(max)))
		json_fail(range, GRAFT_E_GRAPH, "wanted [least, largest], null as largest for no bound; found %zu "
		          "elements", json_count(range));
	int64_t least = json_int(min, INT64_MIN, INT64_MAX);
	int64_t largest = json_kind(max) == JSON_NULL ? DIM_MAX : json_int(max, INT64_MIN, INT64_MAX);
	r->at = range;
	symbol_add(r->g, name, strlen(name), least, largest);
}

typedef Value *MakeValue(Graph *g, const char *name, size_t n, Type type);

static void read_value(Reader *r, Json object, MakeValue *make)
{
	json_keys(object, value_keys, COUNT(value_keys));
	const char *name = read_name(json_need(object, "name"), "a value's name");
	Type t = read_type(r, object);
	t.dims = arena_copy(&r->g->arena, t.dims, t.rank * sizeof *t.dims);
	r->at = object;
	make(r->g, name, strlen(name), t);
}

static void read_input(Reader *r, const char *key, Json object)
{
	(void)key;
	read_value(r, object, value_input);
}

static void read_param(Reader *r, const char *key, Json object)
{
	(void)key;
	read_value(r, object, value_param);
}

static void read_output(Reader *r, const char *key, Json v)
{
	(void)key;
	const char *name;
	Json value = v;
	if (json_kind(v) == JSON_OBJECT) {
		json_keys(v, output_keys, COUNT(output_keys));
		name = read_name(json_need(v, "name"), "an output's name");
		value = json_need(v, "value");
	} else {
		name = read_name(v, "an output's name");
	}
	r->at = v;
	graph_output(r->g, name, find_value(r, value));
}

/* A string of the document, copied for the graph. */
static const char *read_text(Reader *r, int member, const char *what)
{
	return arena_strdup(&r->g->arena, read_name(json_open(&r->job->scratch, r->member[member]), what));
}

static void take_document(Reader *r, Json document)
{
	JsonWalk *w = json_walk(&r->job->scratch, document, JSON_OBJECT);
	while (json_step(w)) {
		size_t i = 0;
		while (i < N_DOCUMENT_KEYS && strcmp(w->key, document_keys[i]))
			i++;
		if (i == N_DOCUMENT_KEYS)
			json_fail_keys(w->here, w->key, document_keys, N_DOCUMENT_KEYS);
		r->member[i] = w->here;
	}
}

typedef void ReadMember(Reader *r, const char *key, Json v);      /* key: NULL in an array */

static void walk_member(Reader *r, int member, JsonKind kind, ReadMember *read)
{
	if (!json_there(r->member[member]))
		return;
	JsonWalk *w = json_walk(&r->job->scratch, r->member[member], kind);
	while (json_step(w)) {
		read(r, w->key, json_walk_open(w));
		if (r->node.held > NODE_MEMORY)
			arena_free(&r->node);
	}
}

static void free_node_arena(void *a)
{
	arena_free(a);
}

static void check_version(Reader *r, Json document)
{
	Json v = r->member[DOCUMENT_graft];
	if (!json_there(v))
		json_fail(document, GRAFT_E_GRAPH, "the key \"graft\" is missing; it holds the version of the "
		          "format, %d", FORMAT_VERSION);
	int64_t version = json_int(v, 1, INT64_MAX);
	if (version != FORMAT_VERSION)
		json_fail(v, GRAFT_E_UNSUPPORTED, "version %lld of the format; this graft reads version %d",
		          (long long)version, FORMAT_VERSION);
}

static void read_document(Job *job, void *arg)
{
	Reader *r = arg;
	r->job = job;
	arena_init(&r->node, job->scratch.mem, job);
	arena_undo(&job->scratch, free_node_arena, &r->node);
	graph_enter(r->g, job);
	Json document = json_check(&job->scratch, r->text, r->size, r->file, GRAFT_E_GRAPH);
	r->at = document;
	take_document(r, document);
	check_version(r, document);
	if (json_there(r->member[DOCUMENT_name]))
		r->g->name = read_text(r, DOCUMENT_name, "a graph's name");
	if (json_there(r->member[DOCUMENT_weights]))
		r->g->weights = read_text(r, DOCUMENT_weights, "the name of the weights' file");
	walk_member(r, DOCUMENT_symbols, JSON_OBJECT, read_symbol);
	walk_member(r, DOCUMENT_inputs, JSON_ARRAY, read_input);
	walk_member(r, DOCUMENT_params, JSON_ARRAY, read_param);
	walk_member(r, DOCUMENT_nodes, JSON_ARRAY, read_node);
	walk_member(r, DOCUMENT_outputs, JSON_ARRAY, read_output);
}

Graph *graph_parse_json(Job *job, graft_context *ctx, const char *text, size_t size, const char *file)
{
	graft_error err;
	Reader r = { .g = graph_new(job, ctx, "graph"), .text = text, .file = file, .size = size };
	if (guarded(context_allocator(ctx), read_document, &r, &err) == GRAFT_OK)
		return r.g;
	if (err.line || err.status == GRAFT_E_NOMEM || !json_there(r.at))
		fail_again(job, &err);
	const JsonText t = { .arena = &job->scratch, .data = text, .end = text + size, .file = file,
	                     .wrong = GRAFT_E_GRAPH };
	json_fail((Json){ &t, r.at.at, NULL }, err.status, "%s", err.message);
}
