/* npy.c - NumPy's file of one array: magic, version, length, a Python dict, the data.
 *
 * {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
 * NumPy has no bf16 and no 8-bit floats: bf16 is 2 opaque bytes ('<V2', as ml_dtypes writes it), and an 8-bit float 1
 * opaque byte, which can be written but not read, because nothing says which of the three it is.
 */
#include "tensors.h"
#include <string.h>

enum { MAGIC = 6, ALIGNMENT = 64, MAX_HEADER = 1 << 20, MAX_NAME = 64 };

static const char *const descr[GRAFT_DTYPE_COUNT] = {
	[GRAFT_DTYPE_bool] = "|b1", [GRAFT_DTYPE_u8] = "|u1", [GRAFT_DTYPE_i8] = "|i1", [GRAFT_DTYPE_i16] = "<i2",
	[GRAFT_DTYPE_i32] = "<i4", [GRAFT_DTYPE_i64] = "<i8", [GRAFT_DTYPE_f16] = "<f2", [GRAFT_DTYPE_bf16] = "<V2",
	[GRAFT_DTYPE_f32] = "<f4", [GRAFT_DTYPE_f64] = "<f8", [GRAFT_DTYPE_f8e4m3fn] = "|V1",
	[GRAFT_DTYPE_f8e4m3fnuz] = "|V1", [GRAFT_DTYPE_f8e5m2] = "|V1",
};

/* ---- reading ---- */

typedef struct Header {
	Entries *out;
	const char *p, *end;
	char descr[MAX_NAME];
	int64_t shape[GRAFT_MAX_RANK];
	int32_t rank;
	bool fortran;
	unsigned seen;                        /* bits: descr, fortran_order, shape */
} Header;

_Noreturn static void bad(const Header *h, const char *wanted)
{
	if (h->p >= h->end)
		fail_data(h->out, NULL, "in the .npy header: wanted %s, found its end", wanted);
	int rest = (int)(h->end - h->p < 20 ? h->end - h->p : 20);
	for (int i = 0; i < rest; i++)
		if (h->p[i] < ' ' || h->p[i] > '~')
			rest = i;
	fail_data(h->out, NULL, "in the .npy header: wanted %s, found \"%.*s\"", wanted, rest, h->p);
}

static void skip_blanks(Header *h)
{
	while (h->p < h->end && *h->p == ' ')
		h->p++;
}

static bool accept(Header *h, char c)
{
	skip_blanks(h);
	if (h->p >= h->end || *h->p != c)
		return false;
	h->p++;
	return true;
}

static void want(Header *h, char c, const char *wanted)
{
	if (!accept(h, c))
		bad(h, wanted);
}

static void read_quoted(Header *h, char *to, const char *wanted)
{
	char quote = accept(h, '\'') ? '\'' : '"';
	if (quote == '"')
		want(h, '"', wanted);
	size_t n = 0;
	while (h->p < h->end && *h->p != quote && *h->p != '\\' && n + 1 < MAX_NAME)
		to[n++] = *h->p++;
	to[n] = 0;
	if (h->p >= h->end || *h->p != quote)
		bad(h, "the end of a short text in quotes");
	h->p++;
}

static bool read_bool(Header *h)
{
	skip_blanks(h);
	for (int value = 0; value < 2; value++) {
		const char *word = value ? "True" : "False";
		size_t n = strlen(word);
		if ((size_t)(h->end - h->p) >= n && !memcmp(h->p, word, n)) {
			h->p += n;
			return value;
		}
	}
	bad(h, "True or False");
}

static bool at_digit(const Header *h)
{
	return h->p < h->end && *h->p >= '0' && *h->p <= '9';
}

static int64_t read_size(Header *h)
{
	int64_t v = 0;
	skip_blanks(h);
	if (!at_digit(h))
		bad(h, "a size");
	while (at_digit(h))
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *h->p++ - '0', &v))
			fail_data(h->out, NULL, "in the .npy header: a size beyond 64 bits");
	return v;
}

/* (), (3,), (2, 3) or (2, 3,) */
static void read_shape(Header *h)
{
	bool comma = true;
	for (want(h, '(', "the shape, a tuple"); !accept(h, ')'); comma = accept(h, ',')) {
		if (!comma)
			bad(h, "',' or ')'");
		if (h->rank == GRAFT_MAX_RANK)
			fail_data(h->out, NULL, "in the .npy header: a rank above %d", GRAFT_MAX_RANK);
		h->shape[h->rank++] = read_size(h);
	}
	if (h->rank == 1 && !comma)
		fail_data(h->out, NULL, "in the .npy header: the shape of one axis must be a tuple, written (%lld,)",
		          (long long)h->shape[0]);
}

static void read_entry(Header *h)
{
	static const char *const keys[] = { "descr", "fortran_order", "shape" };
	char key[MAX_NAME];
	unsigned i = 0;
	read_quoted(h, key, "a key in quotes");
	while (i < 3 && strcmp(key, keys[i]))
		i++;
	if (i == 3 || h->seen & 1u << i)
		fail_data(h->out, NULL, "in the .npy header: wanted descr, fortran_order and shape once each, found "
		          "'%s'%s", key, i == 3 ? "" : " again");
	h->seen |= 1u << i;
	want(h, ':', "':'");
	if (i == 0)
		read_quoted(h, h->descr, "a simple type in quotes (structured types are not read)");
	else if (i == 1)
		h->fortran = read_bool(h);
	else
		read_shape(h);
}

static void read_dict(Header *h)
{
	want(h, '{', "a dict");
	for (bool comma = true; !accept(h, '}'); comma = accept(h, ',')) {
		if (!comma)
			bad(h, "',' or '}'");
		read_entry(h);
	}
	if (h->seen != 7)
		fail_data(h->out, NULL, "in the .npy header: wanted descr, fortran_order and shape, not all are there");
	while (h->p < h->end && (*h->p == ' ' || *h->p == '\n'))
		h->p++;
	if (h->p < h->end)
		bad(h, "nothing more");
}

static graft_dtype read_dtype(const Header *h)
{
	const char *s = h->descr;
	bool order = *s == '<' || *s == '|' || *s == '=';
	if (*s == '>')
		fail_data(h->out, NULL, "the .npy type '%s' is big endian; save it little endian", s);
	if (!strcmp(s, "|O"))
		fail_data(h->out, NULL, "the .npy holds Python objects, which are never read");
	if (order && !strcmp(s + 1, "V1"))
		fail_data(h->out, NULL, "the .npy type '%s' does not say which 8-bit float it is; save it as "
		          ".safetensors", s);
	for (int i = 0; i < GRAFT_DTYPE_COUNT && order; i++)
		if (!strcmp(s + 1, descr[i] + 1))
			return (graft_dtype)i;
	fail_data(h->out, NULL, "the .npy type '%s' is none that graft has; wanted one of <f2 <f4 <f8 <i2 <i4 <i8 |i1 "
	          "|u1 |b1, or <V2 for bf16", s);
}

/* The part of the file name before ".npy". */
static const char *base_name(Arena *a, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	size_t n = strlen(base);
	return arena_strndup(a, base, n > 4 && !strcmp(base + n - 4, ".npy") ? n - 4 : n);
}

/* Sets p and end to the dict; the file is known to begin with the magic. */
static void find_dict(Header *h, Bytes file)
{
	uint16_t n16 = 0;
	uint32_t n = 0;
	unsigned version = file.size > MAGIC ? (unsigned char)file.data[MAGIC] : 0;
	size_t start = version == 1 ? MAGIC + 2 + sizeof n16 : MAGIC + 2 + sizeof n;
	if (version < 1 || version > 3 || file.size < start)
		fail_data(h->out, NULL, "wanted an .npy file of version 1, 2 or 3, found version %u in %zu bytes",
		          version, file.size);
	if (version == 1) {
		memcpy(&n16, file.data + MAGIC + 2, sizeof n16);
		n = n16;
	} else {
		memcpy(&n, file.data + MAGIC + 2, sizeof n);
	}
	if (n > MAX_HEADER || n > file.size - start)
		fail_data(h->out, NULL, "an .npy header of %u bytes in a file of %zu", n, file.size);
	h->p = file.data + start;
	h->end = h->p + n;
}

void npy_read(Entries *out, Bytes file)
{
	size_t bytes;
	Header h = { .out = out };
	find_dict(&h, file);
	const char *data = h.end;
	read_dict(&h);
	graft_dtype dtype = read_dtype(&h);
	if (!tensor_bytes(h.shape, h.rank, (int32_t)dtype, &bytes))
		fail_data(out, NULL, "the .npy shape has more elements than memory can hold");
	size_t there = file.size - (size_t)(data - file.data);
	if (there != bytes)
		fail_data(out, NULL, "the .npy type and shape make %zu bytes, but %zu follow the header", bytes, there);
	const int64_t *shape = arena_copy(out->arena, h.shape, (size_t)h.rank * sizeof *shape);
	entries_add(out, base_name(out->arena, out->path), dtype, shape, h.rank, h.fortran, data, bytes);
}

/* ---- writing ---- */

void npy_write(Job *job, const char *path, const graft_tensor *tensor)
{
	Text t = { .arena = &job->scratch };
	text_printf(&t, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr[tensor->dtype]);
	for (int32_t i = 0; i < tensor->rank; i++)
		text_printf(&t, "%s%lld%s", i ? ", " : "", (long long)tensor->shape[i], tensor->rank == 1 ? "," : "");
	text_puts(&t, "), }");
	while ((MAGIC + 4 + t.size + 1) % ALIGNMENT)
		text_add(&t, " ", 1);
	text_puts(&t, "\n");
	uint16_t n = (uint16_t)t.size;        /* 64 sizes of 19 digits fit */
	FileOut *f = file_create(job, path);
	file_add(f, "\x93NUMPY\x01\x00", MAGIC + 2);
	file_add(f, &n, sizeof n);
	file_add(f, t.text, t.size);
	tensor_write(f, tensor);
	file_commit(f);
}
