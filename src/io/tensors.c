/* tensors.c - named tensors: the public collection, and what its file formats share. */
#include "tensors.h"
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are mapped, and they are little endian");

void fail_data(const Entries *e, const char *name, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *message = arena_vprintf(e->arena, fmt, ap);
	va_end(ap);
	fail_in(e->arena->job, GRAFT_E_DATA, e->path, 0, 0, name, "%s", message);
}

/* ---- tensors ---- */

/* A size of 0 must not hide that the others leave the range: strides are made of them. */
bool tensor_bytes(const int64_t *shape, int32_t rank, int32_t dtype, size_t *bytes)
{
	size_t all = graft_dtype_size((graft_dtype)dtype);
	bool empty = false;
	for (int32_t i = 0; i < rank; i++) {
		if (shape[i] < 0)
			return false;
		empty |= shape[i] == 0;
		if (shape[i] > 0 && __builtin_mul_overflow(all, (size_t)shape[i], &all))
			return false;
	}
	*bytes = empty ? 0 : all;
	return all <= PTRDIFF_MAX;
}

static const int64_t *dense_strides(Arena *a, const int64_t *shape, int32_t rank, bool fortran)
{
	int64_t *stride = NEW_ARRAY(a, (size_t)rank, int64_t), next = 1;
	for (int32_t i = 0; i < rank; i++) {
		int32_t axis = fortran ? i : rank - 1 - i;
		stride[axis] = next;
		next *= shape[axis] > 0 ? shape[axis] : 1;
	}
	return stride;
}

static void check_bools(const Entries *e, const char *name, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)data[i] > 1)
			fail_data(e, name, "a bool is 0 or 1, found %u at element %zu of '%s'",
			          (unsigned char)data[i], i, name);
}

void entries_add(Entries *e, const char *name, graft_dtype dtype, const int64_t *shape, int32_t rank, bool fortran,
                 const char *data, size_t bytes)
{
	size_t size = graft_dtype_size(dtype);
	if (dtype == GRAFT_DTYPE_bool)
		check_bools(e, name, data, bytes);
	if ((uintptr_t)data % size)
		data = arena_copy(e->arena, data, bytes);
	e->entry = arena_grow(e->arena, e->entry, e->n, &e->cap, sizeof *e->entry);
	e->entry[e->n++] = (Entry){ name, {
		.data = bytes ? (void *)(uintptr_t)data : NULL, .shape = shape,
		.stride = dense_strides(e->arena, shape, rank, fortran), .rank = rank, .dtype = (int32_t)dtype,
	} };
}

static bool is_dense(const graft_tensor *t)
{
	int64_t next = 1;
	for (int32_t i = t->rank - 1; i >= 0; i--) {
		if (t->shape[i] != 1 && t->stride[i] != next)
			return false;
		next *= t->shape[i];
	}
	return true;
}

/* Moves index to the next element in row-major order; returns how far that is in elements. */
static int64_t advance(const graft_tensor *t, int64_t *index)
{
	int64_t by = 0;
	for (int32_t i = t->rank - 1; i >= 0; i--) {
		by += t->stride[i];
		if (++index[i] < t->shape[i])
			return by;
		by -= t->stride[i] * t->shape[i];
		index[i] = 0;
	}
	return by;
}

void tensor_write(FileOut *f, const graft_tensor *t)
{
	char buffer[1 << 14];
	int64_t index[GRAFT_MAX_RANK] = { 0 };
	size_t size = graft_dtype_size((graft_dtype)t->dtype), bytes = 0, used = 0;
	tensor_bytes(t->shape, t->rank, t->dtype, &bytes);
	if (is_dense(t)) {
		file_add(f, t->data, bytes);
		return;
	}
	const char *at = t->data;
	for (size_t n = bytes / size; n > 0; n--) {
		memcpy(buffer + used, at, size);
		used += size;
		if (used == sizeof buffer) {
			file_add(f, buffer, used);
			used = 0;
		}
		at += advance(t, index) * (int64_t)size;
	}
	file_add(f, buffer, used);
}

/* ---- the collection ---- */

/* A file that was loaded: its mapping and what was made of it. Goes with the job until it is kept. */
typedef struct Source { Arena arena; struct Source *next; bool kept; } Source;

static Entry **find_slot(const graft_tensors *t, const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (const char *c = name; *c; c++)
		h = (h ^ (unsigned char)*c) * 0x100000001b3u;
	size_t i = (h ^ h >> 29) & (t->n_slots - 1);
	while (t->slot[i] && strcmp(t->slot[i]->name, name))
		i = (i + 1) & (t->n_slots - 1);
	return &t->slot[i];
}

static void reserve_entries(graft_tensors *t, size_t n)
{
	size_t cap = t->cap ? t->cap : 8;
	while (cap < n)
		cap *= 2;
	if (cap == t->cap)
		return;
	Entry **entry = NEW_ARRAY(&t->arena, cap, Entry *);
	for (size_t i = 0; i < t->n; i++)
		entry[i] = t->entry[i];
	t->entry = entry;
	t->cap = cap;
}

static void reserve_slots(graft_tensors *t, size_t n)
{
	size_t n_slots = t->n_slots ? t->n_slots : 16;
	while (n_slots < 2 * n)
		n_slots *= 2;
	if (n_slots == t->n_slots)
		return;
	t->slot = NEW_ARRAY(&t->arena, n_slots, Entry *);
	t->n_slots = n_slots;
	for (size_t i = 0; i < t->n; i++)
		*find_slot(t, t->entry[i]->name) = t->entry[i];
}

/* Room for `more` entries, so that adding them cannot fail. */
static void reserve(graft_tensors *t, size_t more)
{
	reserve_entries(t, t->n + more);
	reserve_slots(t, t->n + more);
}

/* `e` is new memory of t's; one of that name takes its contents over. */
static void put(graft_tensors *t, Entry *e)
{
	Entry **slot = find_slot(t, e->name);
	if (*slot) {
		(*slot)->tensor = e->tensor;
		return;
	}
	*slot = e;
	t->entry[t->n++] = e;
}

graft_status graft_tensors_new(graft_context *ctx, graft_tensors **out, graft_error *err)
{
	const graft_allocator *mem = context_allocator(ctx);
	graft_tensors *t = mem->resize(mem->user, NULL, 0, sizeof *t);
	if (!t)
		return error_set(err, GRAFT_E_NOMEM, "no memory left for a collection of tensors");
	memset(t, 0, sizeof *t);
	arena_init(&t->arena, mem, NULL);
	*out = t;
	return GRAFT_OK;
}

void graft_tensors_free(graft_tensors *t)
{
	if (!t)
		return;
	const graft_allocator *mem = t->arena.mem;
	for (Source *s = t->sources; s; s = s->next)
		arena_free(&s->arena);
	arena_free(&t->arena);
	mem->resize(mem->user, t, sizeof *t, 0);
}

const graft_tensor *graft_tensors_get(const graft_tensors *t, const char *name)
{
	Entry *e = t->n_slots ? *find_slot(t, name) : NULL;
	return e ? &e->tensor : NULL;
}

const graft_tensor *graft_tensors_at(const graft_tensors *t, size_t i, const char **name)
{
	if (i >= t->n)
		return NULL;
	if (name)
		*name = t->entry[i]->name;
	return &t->entry[i]->tensor;
}

/* ---- setting ---- */

typedef struct SetArgs { graft_tensors *t; const char *name; const graft_tensor *tensor; } SetArgs;

static void check_tensor(Job *job, const char *name, const graft_tensor *t)
{
	size_t bytes;
	if (!*name)
		fail(job, GRAFT_E_USAGE, "a tensor's name must not be empty");
	if (!graft_dtype_size((graft_dtype)t->dtype))
		fail(job, GRAFT_E_USAGE, "tensor '%s' has the dtype %d, which is none", name, t->dtype);
	if (t->dtype > GRAFT_DTYPE_COUNT)
		fail(job, GRAFT_E_USAGE, "tensor '%s' is %s, which graft neither reads nor writes", name,
		     graft_dtype_name((graft_dtype)t->dtype));
	if (t->rank < 0 || t->rank > GRAFT_MAX_RANK)
		fail(job, GRAFT_E_USAGE, "tensor '%s' has the rank %d; wanted 0 to %d", name, t->rank, GRAFT_MAX_RANK);
	if (t->rank && (!t->shape || !t->stride))
		fail(job, GRAFT_E_USAGE, "tensor '%s' has no shape or no strides", name);
	if (!tensor_bytes(t->shape, t->rank, t->dtype, &bytes))
		fail(job, GRAFT_E_USAGE, "tensor '%s' has a negative size, or more elements than memory can hold",
		     name);
	if (bytes && !t->data)
		fail(job, GRAFT_E_USAGE, "tensor '%s' has elements but no data", name);
}

static void set_body(Job *job, void *arg)
{
	SetArgs *a = arg;
	Arena *arena = &a->t->arena;
	arena->job = job;
	check_tensor(job, a->name, a->tensor);
	size_t n = (size_t)a->tensor->rank * sizeof(int64_t);
	Entry *e = NEW(arena, Entry);
	*e = (Entry){ arena_strdup(arena, a->name), *a->tensor };
	e->tensor.shape = arena_copy(arena, e->tensor.shape, n);
	e->tensor.stride = arena_copy(arena, e->tensor.stride, n);
	reserve(a->t, 1);
	put(a->t, e);
}

graft_status graft_tensors_set(graft_tensors *t, const char *name, const graft_tensor *tensor, graft_error *err)
{
	return guarded(t->arena.mem, set_body, &(SetArgs){ t, name, tensor }, err);
}

/* ---- loading ---- */

typedef struct FileArgs { graft_tensors *t; const char *path; } FileArgs;

static void drop_source(void *source)
{
	Source *s = source;
	if (!s->kept)
		arena_free(&s->arena);
}

static bool ends_with(const char *s, const char *ending)
{
	size_t n = strlen(s), m = strlen(ending);
	return n >= m && !strcmp(s + n - m, ending);
}

static void read_file(Job *job, Entries *e)
{
	if (ends_with(e->path, ".npz"))
		fail_in(job, GRAFT_E_UNSUPPORTED, e->path, 0, 0, NULL,
		        ".npz archives are not read; save a .safetensors, or .npy files");
	Bytes file = file_read(e->arena, e->path);
	if (file.size >= 6 && !memcmp(file.data, "\x93NUMPY", 6))
		npy_read(e, file);
	else
		safetensors_read(e, file);
}

static void load_body(Job *job, void *arg)
{
	FileArgs *a = arg;
	graft_tensors *t = a->t;
	t->arena.job = job;
	Source *s = NEW(&t->arena, Source);
	arena_init(&s->arena, t->arena.mem, job);
	arena_undo(&job->scratch, drop_source, s);
	Entries e = { .arena = &s->arena, .path = a->path };
	read_file(job, &e);
	Entry *fresh = NEW_ARRAY(&t->arena, e.n, Entry);
	reserve(t, e.n);
	s->kept = true;
	s->next = t->sources;
	t->sources = s;
	for (size_t i = 0; i < e.n; i++) {
		fresh[i] = e.entry[i];
		put(t, &fresh[i]);
	}
}

graft_status graft_tensors_load(graft_tensors *t, const char *path, graft_error *err)
{
	graft_error here;
	if (!err)
		err = &here;
	graft_status status = guarded(t->arena.mem, load_body, &(FileArgs){ t, path }, err);
	if (status == GRAFT_E_SYNTAX)         /* the header of a tensor file is not a text of the caller's */
		status = err->status = GRAFT_E_DATA;
	return status;
}

/* ---- saving ---- */

static void save_body(Job *job, void *arg)
{
	FileArgs *a = arg;
	if (ends_with(a->path, ".safetensors")) {
		safetensors_write(job, a->path, a->t->entry, a->t->n);
		return;
	}
	if (!ends_with(a->path, ".npy"))
		fail(job, GRAFT_E_USAGE, "'%s' does not say its format: wanted the ending .safetensors or .npy",
		     a->path);
	if (a->t->n != 1)
		fail(job, GRAFT_E_USAGE, "an .npy file holds one tensor, and there are %zu; save them as .safetensors",
		     a->t->n);
	npy_write(job, a->path, &a->t->entry[0]->tensor);
}

graft_status graft_tensors_save(const graft_tensors *t, const char *path, graft_error *err)
{
	return guarded(t->arena.mem, save_body, &(FileArgs){ (graft_tensors *)(uintptr_t)t, path }, err);
}
