/* safetensors.c - 8 bytes for the length of a JSON header, the header, the data.
 *
 * {"name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, ..., "__metadata__": {"text": "text"}}
 * The tensors must cover the data without a hole or an overlap, so that nothing hides in the file.
 */
#include "tensors.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 100000000, ALIGNMENT = 64 };

static const char *const names[] = {
#define X(name, bytes, safetensors) safetensors,
	GRAFT_DTYPE_MAP(X)
#undef X
};

/* Real ones that graft has no kernels for. */
static const char *const foreign[] = {
	"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E5M2FNUZ", "U16", "U32", "U64", "C64",
};

#define COUNT(array) (sizeof (array) / sizeof *(array))

/* ---- reading ---- */

typedef struct Range { uint64_t begin, end; const char *name; } Range;

typedef struct Reader {
	Entries *out;
	const char *data;
	uint64_t size;                        /* of the data */
	Range *ranges;
	size_t n, cap;
} Reader;

static graft_dtype read_dtype(const Reader *r, Json v, const char *name)
{
	const char *s = json_string(v);
	for (size_t i = 0; i < COUNT(foreign); i++)
		if (!strcmp(s, foreign[i]))
			fail_in(r->out->arena->job, GRAFT_E_UNSUPPORTED, r->out->path, 0, 0, name,
			        "tensor '%s' has the dtype %s, which graft has no kernels for", name, s);
	return (graft_dtype)json_word(v, names, COUNT(names));
}

static const int64_t *read_shape(const Reader *r, Json array, int32_t *rank)
{
	json_first(array, JSON_ARRAY);
	size_t n = json_count(array);
	if (n > GRAFT_MAX_RANK)
		json_fail(array, GRAFT_E_DATA, "a rank of %zu; at most %d are read", n, GRAFT_MAX_RANK);
	int64_t *shape = NEW_ARRAY(r->out->arena, n, int64_t), *to = shape;
	for (Json e = json_first(array, JSON_ARRAY); json_there(e); e = json_next(e))
		*to++ = json_int(e, 0, INT64_MAX);
	*rank = (int32_t)n;
	return shape;
}

static Range read_range(const Reader *r, Json array, const char *name)
{
	Json begin = json_first(array, JSON_ARRAY);
	if (json_count(array) != 2)
		json_fail(array, GRAFT_E_DATA, "wanted [begin, end], found %zu numbers", json_count(array));
	Range range = { 0, (uint64_t)json_int(json_next(begin), 0, INT64_MAX), name };
	range.begin = (uint64_t)json_int(begin, 0, INT64_MAX);
	if (range.begin > range.end || range.end > r->size)
		json_fail(array, GRAFT_E_DATA, "bytes %llu to %llu of %llu", (unsigned long long)range.begin,
		          (unsigned long long)range.end, (unsigned long long)r->size);
	return range;
}

static void read_tensor(Reader *r, const char *key, Json object)
{
	static const char *const keys[] = { "dtype", "shape", "data_offsets" };
	int32_t rank;
	size_t bytes;
	if (!*key)
		json_fail_key(object, GRAFT_E_DATA, "a tensor's name must not be empty");
	const char *name = arena_strdup(r->out->arena, key);
	json_keys(object, keys, COUNT(keys));
	graft_dtype dtype = read_dtype(r, json_need(object, "dtype"), name);
	const int64_t *shape = read_shape(r, json_need(object, "shape"), &rank);
	Range range = read_range(r, json_need(object, "data_offsets"), name);
	if (!tensor_bytes(shape, rank, (int32_t)dtype, &bytes))
		json_fail(json_need(object, "shape"), GRAFT_E_DATA, "more elements than memory can hold");
	if (range.end - range.begin != bytes)
		json_fail(json_need(object, "data_offsets"), GRAFT_E_DATA,
		          "dtype and shape make %zu bytes, the offsets %llu", bytes,
		          (unsigned long long)(range.end - range.begin));
	r->ranges = arena_grow(&r->out->arena->job->scratch, r->ranges, r->n, &r->cap, sizeof *r->ranges);
	r->ranges[r->n++] = range;
	entries_add(r->out, name, dtype, shape, rank, false, r->data + range.begin, bytes);
}

static int compare_ranges(const void *a, const void *b)
{
	const Range *ra = a, *rb = b;
	if (ra->begin != rb->begin)
		return ra->begin < rb->begin ? -1 : 1;
	return (ra->end > rb->end) - (ra->end < rb->end);
}

static void check_ranges(Reader *r)
{
	uint64_t at = 0;
	if (r->n)
		qsort(r->ranges, r->n, sizeof *r->ranges, compare_ranges);
	for (size_t i = 0; i < r->n; i++) {
		const Range *x = &r->ranges[i];
		if (x->begin != at)
			fail_data(r->out, x->name, "tensor '%s' begins at byte %llu of the data, the one before it "
			          "ends at %llu: there must be no hole and no overlap", x->name,
			          (unsigned long long)x->begin, (unsigned long long)at);
		at = x->end;
	}
	if (at != r->size)
		fail_data(r->out, NULL, "the tensors make %llu bytes, but %llu follow the header",
		          (unsigned long long)at, (unsigned long long)r->size);
}

static void check_metadata(Json object)
{
	for (Json m = json_first(object, JSON_OBJECT); json_there(m); m = json_next(m))
		json_string(m);
}

/* The length of the header, checked against the file. */
static size_t header_size(const Entries *e, Bytes file)
{
	uint64_t n;
	if (file.size < sizeof n)
		fail_data(e, NULL, "wanted a .safetensors or .npy file, found %zu bytes", file.size);
	memcpy(&n, file.data, sizeof n);
	if (n > MAX_HEADER || n > file.size - sizeof n || n == 0 || file.data[sizeof n] != '{')
		fail_data(e, NULL, "wanted a .safetensors or .npy file; its first bytes say a header of %llu bytes in "
		          "a file of %zu, which begins with '{' and has at most %d", (unsigned long long)n, file.size,
		          MAX_HEADER);
	return (size_t)n;
}

void safetensors_read(Entries *out, Bytes file)
{
	Arena *scratch = &out->arena->job->scratch;
	size_t n = header_size(out, file);
	Reader r = { .out = out, .data = file.data + 8 + n, .size = file.size - 8 - n };
	JsonWalk *w = json_walk(scratch, json_check(scratch, file.data + 8, n, out->path, GRAFT_E_DATA), JSON_OBJECT);
	while (json_step(w)) {
		Json v = json_walk_open(w);
		if (strcmp(w->key, "__metadata__"))
			read_tensor(&r, w->key, v);
		else
			check_metadata(v);
	}
	check_ranges(&r);
}

/* ---- writing ---- */

/* Larger elements first: then each tensor begins at a multiple of its element's size, though there are no holes. */
static int compare_sizes(const void *a, const void *b)
{
	const Entry *const *ea = a, *const *eb = b;
	size_t sa = graft_dtype_size((graft_dtype)(*ea)->tensor.dtype);
	size_t sb = graft_dtype_size((graft_dtype)(*eb)->tensor.dtype);
	return sa != sb ? (sa > sb ? -1 : 1) : strcmp((*ea)->name, (*eb)->name);
}

static void put_entry(Job *job, Text *t, const Entry *e, uint64_t *at)
{
	size_t bytes;
	tensor_bytes(e->tensor.shape, e->tensor.rank, e->tensor.dtype, &bytes);
	text_puts(t, t->size > 1 ? "," : "");
	json_put_string(t, e->name);
	text_printf(t, ":{\"dtype\":\"%s\",\"shape\":[", names[e->tensor.dtype]);
	for (int32_t i = 0; i < e->tensor.rank; i++)
		text_printf(t, "%s%lld", i ? "," : "", (long long)e->tensor.shape[i]);
	text_printf(t, "],\"data_offsets\":[%llu,", (unsigned long long)*at);
	if (__builtin_add_overflow(*at, bytes, at) || *at > INT64_MAX)
		fail(job, GRAFT_E_DATA, "the tensors together have more bytes than a file can");
	text_printf(t, "%llu]}", (unsigned long long)*at);
}

void safetensors_write(Job *job, const char *path, Entry *const *entry, size_t n)
{
	Text t = { .arena = &job->scratch };
	Entry **sorted = arena_copy(&job->scratch, entry, n * sizeof *entry);
	uint64_t at = 0, header;
	if (n)
		qsort(sorted, n, sizeof *sorted, compare_sizes);
	text_puts(&t, "{");
	for (size_t i = 0; i < n; i++)
		put_entry(job, &t, sorted[i], &at);
	text_puts(&t, "}");
	while ((sizeof header + t.size) % ALIGNMENT)
		text_add(&t, " ", 1);
	if (t.size > MAX_HEADER)
		fail(job, GRAFT_E_UNSUPPORTED, "a .safetensors header of %zu bytes; at most %d are allowed", t.size,
		     MAX_HEADER);
	header = t.size;
	FileOut *f = file_create(job, path);
	file_add(f, &header, sizeof header);
	file_add(f, t.text, t.size);
	for (size_t i = 0; i < n; i++)
		tensor_write(f, &sorted[i]->tensor);
	file_commit(f);
}
