/* torch_weights.c - the data of an archive: which record holds which parameter, and whether it fits in there. Nothing
 * is copied that can be used where it lies. Pickles are never read: what is in one stays unknown. */
#include "torch.h"
#include <stdlib.h>
#include <string.h>

#define PICKLED \
	"the archive's weights are pickled, and graft runs no pickles: write it again with torch.export.save of torch " \
	"2.9 or later, or give the weights as a safetensors file with --inputs"

typedef struct Weights {
	Graph *g;
	Torch *t;
	Job *job;
	Arena *a;                             /* the document's */
	Value **param;                        /* those with a path, sorted by it */
	bool *found;                          /* by the same: a config names it */
	size_t n_params;
	Bytes *record;                        /* by place in the archive: its bytes, once they were needed */
} Weights;

_Noreturn static void bad(const Weights *w, graft_status status, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

_Noreturn static void bad(const Weights *w, graft_status status, const char *name, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *message = arena_vprintf(&w->job->scratch, fmt, ap);
	va_end(ap);
	fail_in(w->job, status, w->t->zip->path, 0, 0, name, "%s", message);
}

static int by_path(const void *a, const void *b)
{
	return strcmp((*(Value *const *)a)->path, (*(Value *const *)b)->path);
}

static void list_params(Weights *w)
{
	w->param = NEW_ARRAY(&w->job->scratch, w->g->n_params, Value *);
	for (uint32_t i = 0; i < w->g->n_params; i++)
		if (w->g->params[i]->path)
			w->param[w->n_params++] = w->g->params[i];
	qsort(w->param, w->n_params, sizeof *w->param, by_path);
	w->found = NEW_ARRAY(&w->job->scratch, w->n_params, bool);
}

/* ---- one tensor ---- */

static int64_t *read_ints(const Weights *w, Json array, int32_t *rank)
{
	int32_t n = 0, i = 0;
	for (JsonList l = json_list(array, JSON_ARRAY); json_more(&l);)
		if (++n > GRAFT_MAX_RANK)
			json_fail(array, GRAFT_E_DATA, "more than %d axes", GRAFT_MAX_RANK);
	int64_t *v = NEW_ARRAY(w->a, (size_t)n, int64_t);
	for (JsonList l = json_list(array, JSON_ARRAY); json_more(&l);)
		v[i++] = json_int(json_member_need(l.here, "as_int"), 0, INT64_MAX);
	*rank = n;
	return v;
}

/* Elements from the first to the last one, both included; false when that is more than anything can hold. */
static bool extent(const graft_tensor *t, int64_t offset, uint64_t *elements)
{
	uint64_t last = (uint64_t)offset, by;
	for (int32_t i = 0; i < t->rank; i++)
		if (__builtin_mul_overflow((uint64_t)t->stride[i], (uint64_t)t->shape[i] - 1, &by) ||
		    __builtin_add_overflow(last, by, &last))
			return false;
	return !__builtin_add_overflow(last, 1, elements);
}

static bool is_empty(const graft_tensor *t)
{
	for (int32_t i = 0; i < t->rank; i++)
		if (!t->shape[i])
			return true;
	return false;
}

static void check_bools(const Weights *w, const char *name, Bytes b)
{
	for (size_t i = 0; i < b.size; i++)
		if ((unsigned char)b.data[i] > 1)
			bad(w, GRAFT_E_DATA, name, "a bool is 0 or 1, found %u", (unsigned char)b.data[i]);
}

static void check_type(const Weights *w, const Value *v, const graft_tensor *t)
{
	bool same = v->type.dtype == (graft_dtype)t->dtype && v->type.rank == (uint32_t)t->rank;
	for (uint32_t i = 0; same && i < v->type.rank; i++)
		same = dim_is(v->type.dims[i], t->shape[i]);
	if (!same)
		bad(w, GRAFT_E_DATA, v->path, "the weights' type is not that of '%s' in the graph", v->name);
}

/* In place when it is stored and aligned for anything. Tied weights share a record. */
static Bytes record(const Weights *w, const ZipEntry *e)
{
	Bytes *b = &w->record[e - w->t->zip->entry];
	if (!b->data)
		*b = zip_bytes(w->a, w->t->zip, e, false);
	if ((uintptr_t)b->data % sizeof(int64_t))
		b->data = arena_copy(w->a, b->data, b->size);
	return *b;
}

/* The record holds a whole storage, and the tensor is a view of it. */
static void take_data(const Weights *w, Value *v, graft_tensor *t, int64_t offset, const ZipEntry *e)
{
	uint64_t elements, size = graft_dtype_size((graft_dtype)t->dtype), bytes;
	if (is_empty(t))
		return;
	if (!e->size)
		return;                       /* a fake tensor: there are no data */
	if (!extent(t, offset, &elements) || __builtin_mul_overflow(elements, size, &bytes) || bytes > e->size)
		bad(w, GRAFT_E_DATA, v->path, "its sizes, strides and offset reach beyond the %llu bytes of %s",
		    (unsigned long long)e->size, e->name);
	Bytes b = record(w, e);
	if (t->dtype == GRAFT_DTYPE_bool)
		check_bools(w, v->path, b);
	t->data = (void *)(uintptr_t)(b.data + (uint64_t)offset * size);
	v->data = t;
}

static void read_entry(const Weights *w, Value *v, const char *folder, Json entry)
{
	int32_t rank;
	size_t n;
	Json pickle = json_member(entry, "use_pickle"), meta = json_member_need(entry, "tensor_meta");
	const char *path = json_text(&w->job->scratch, json_member_need(entry, "path_name"), &n);
	if (json_there(pickle) && json_bool(pickle)) {
		w->g->unread = PICKLED;
		return;
	}
	const char *name = arena_printf(&w->job->scratch, "%s%.*s", folder, (int)n, path);
	const ZipEntry *e = zip_find(w->t->zip, name);
	if (!e)
		bad(w, GRAFT_E_DATA, v->path, "its data are missing: the archive holds no %s", name);
	graft_tensor *t = NEW(w->a, graft_tensor);
	t->dtype = (int32_t)torch_dtype(json_member_need(meta, "dtype"));
	t->shape = read_ints(w, json_member_need(meta, "sizes"), &t->rank);
	t->stride = read_ints(w, json_member_need(meta, "strides"), &rank);
	if (rank != t->rank)
		json_fail(meta, GRAFT_E_DATA, "%d sizes, but %d strides", t->rank, rank);
	check_type(w, v, t);
	take_data(w, v, t, json_int(json_member_need(json_member_need(meta, "storage_offset"), "as_int"), 0, INT64_MAX),
	          e);
	if (is_empty(t))
		v->data = t;
}

/* ---- the configs ---- */

/* The place of the first param with that path, n_params for none: a tensor that is used in two places may be two. */
static size_t find_params(const Weights *w, const char *path)
{
	Value wanted = { .path = path }, *key = &wanted;
	Value **any = w->n_params ? bsearch(&key, w->param, w->n_params, sizeof *w->param, by_path) : NULL;
	size_t i = any ? (size_t)(any - w->param) : w->n_params;
	while (any && i && !strcmp(w->param[i - 1]->path, path))
		i--;
	return i;
}

static void read_config(Weights *w, const char *folder, const char *config)
{
	const ZipEntry *e = zip_find(w->t->zip, config);
	if (!e)
		return;
	Bytes b = zip_bytes(&w->job->scratch, w->t->zip, e, true);
	const char *file = arena_printf(&w->job->scratch, "%s:%s", w->t->zip->path, e->name);
	Json root = json_check(&w->job->scratch, b.data, b.size, file, GRAFT_E_DATA);
	for (JsonList l = json_list(json_member_need(root, "config"), JSON_OBJECT); json_more(&l);) {
		size_t n;
		/* the key is a string as any other */
		const char *key = json_text(&w->job->scratch, (Json){ l.here.text, l.key - 1, NULL }, &n);
		const char *path = arena_strndup(&w->job->scratch, key, n);
		for (size_t i = find_params(w, path); i < w->n_params && !strcmp(w->param[i]->path, path); i++)
			if (!w->found[i]) {
				w->found[i] = true;
				read_entry(w, w->param[i], folder, l.here);
			}
	}
}

static bool has(const Weights *w, const char *root, const char *name)
{
	const ZipEntry *e = zip_find(w->t->zip, arena_printf(&w->job->scratch, "%s%s", root, name));
	return e && e->size;
}

/* Pickles stay where they are: a graph can be rewritten without its weights. */
static void check_missing(const Weights *w, bool pickled)
{
	for (size_t i = 0; i < w->n_params; i++) {
		if (w->found[i])
			continue;
		if (!pickled)
			bad(w, GRAFT_E_DATA, w->param[i]->path,
			    "its data are missing: no config of the archive says where they are");
		w->g->unread = PICKLED;
	}
}

void torch_weights(Graph *g, Torch *t)
{
	Job *job = graph_job(g);
	Arena *a = &job->scratch;
	Weights w = { .g = g, .t = t, .job = job, .a = &t->document.arena, .record = NEW_ARRAY(a, t->zip->n, Bytes) };
	const char *models = strstr(t->model->name, "models/");
	list_params(&w);
	if (!models) {
		check_missing(&w, true);
		return;
	}
	const char *root = arena_strndup(a, t->model->name, (size_t)(models - t->model->name));
	const char *model = arena_strndup(a, models + 7, strlen(models + 7) - strlen(".json"));
	const char *weights = arena_printf(a, "%sdata/weights/", root),
		*constants = arena_printf(a, "%sdata/constants/", root);
	read_config(&w, weights, arena_printf(a, "%s%s_weights_config.json", weights, model));
	read_config(&w, constants, arena_printf(a, "%s%s_constants_config.json", constants, model));
	check_missing(&w, has(&w, root, arena_printf(a, "data/weights/%s.pt", model)) ||
	                  has(&w, root, arena_printf(a, "data/constants/%s.pt", model)));
}
