/* zip_write.c - archives whose data can be mapped: every entry begins at a multiple of 64 bytes. */
#include "zip.h"
#include <assert.h>
#include <string.h>

enum { ALIGNMENT = 64, CENTRAL_FIXED = 46, LOCAL_FIXED = 30, VERSION = 20, VERSION_64 = 45, UTF8 = 1 << 11,
       DATE = 1 << 5 | 1 };

#define SIZE_32 UINT32_MAX

typedef struct Written { const char *name; uint64_t size, packed, header; uint32_t crc; bool deflated; } Written;

struct ZipOut {
	Job *job;
	FileOut *file;
	uint64_t at;                          /* bytes written so far */
	uint64_t left;                        /* bytes that the entry begun still wants */
	uint64_t wide;                        /* what is at least this large does not fit the old fields */
	Written *entry;
	size_t n, cap;
};

ZipOut *zip_create(Job *job, FileOut *file)
{
	ZipOut *z = NEW(&job->scratch, ZipOut);
	*z = (ZipOut){ .job = job, .file = file, .wide = SIZE_32 };
	return z;
}

void zip_widen(ZipOut *z, uint64_t from)
{
	z->wide = from;
}

static void add(ZipOut *z, const void *data, size_t size)
{
	file_add(z->file, data, size);
	z->at += size;
}

static void put(Text *t, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++, v >>= 8)
		text_add(t, (char[]){ (char)(v & 0xff) }, 1);
}

static uint64_t narrow(const ZipOut *z, uint64_t v) { return v < z->wide ? v : SIZE_32; }

static bool is_wide(const ZipOut *z, const Written *w)
{
	return w->size >= z->wide || w->packed >= z->wide;
}

/* From the version to the length of the name: what both headers have in common. */
static void put_common(const ZipOut *z, Text *t, const Written *w, bool wide)
{
	put(t, wide ? VERSION_64 : VERSION, 2);
	put(t, UTF8, 2);
	put(t, w->deflated ? 8 : 0, 2);
	put(t, 0, 2);
	put(t, DATE, 2);
	put(t, w->crc, 4);
	put(t, wide ? SIZE_32 : narrow(z, w->packed), 4);
	put(t, wide ? SIZE_32 : narrow(z, w->size), 4);
	put(t, strlen(w->name), 2);
}

/* The padding stands in an extra field, whose own four bytes count too. */
static void put_local(ZipOut *z, const Written *w)
{
	Text t = { .arena = &z->job->scratch };
	size_t n = strlen(w->name), wide = is_wide(z, w) ? 20 : 0;
	size_t start = (size_t)(z->at % ALIGNMENT) + LOCAL_FIXED + n + wide + 4,
		padding = (ALIGNMENT - start % ALIGNMENT) % ALIGNMENT;
	text_add(&t, "PK\3\4", 4);
	put_common(z, &t, w, wide);
	put(&t, wide + 4 + padding, 2);
	text_add(&t, w->name, n);
	if (wide) {
		put(&t, 1, 2);
		put(&t, 16, 2);
		put(&t, w->size, 8);
		put(&t, w->packed, 8);
	}
	text_add(&t, "FB", 2);
	put(&t, padding, 2);
	for (size_t i = 0; i < padding; i++)
		text_add(&t, "Z", 1);
	add(z, t.text, t.size);
}

static void begin(ZipOut *z, Written w)
{
	assert(!z->left);
	w.header = z->at;
	z->left = w.packed;
	put_local(z, &w);
	z->entry = arena_grow(&z->job->scratch, z->entry, z->n, &z->cap, sizeof *z->entry);
	z->entry[z->n++] = w;
}

void zip_begin(ZipOut *z, const char *name, uint64_t size, uint32_t crc)
{
	begin(z, (Written){ .name = name, .size = size, .packed = size, .crc = crc });
}

void zip_data(ZipOut *z, const void *data, size_t size)
{
	assert(size <= z->left);
	add(z, data, size);
	z->left -= size;
}

void zip_copy(ZipOut *z, const ZipEntry *e)
{
	begin(z, (Written){ .name = e->name, .size = e->size, .packed = e->packed, .crc = e->crc,
	                    .deflated = e->deflated });
	zip_data(z, e->data, (size_t)e->packed);
}

static void put_central(const ZipOut *z, Text *t, const Written *w)
{
	const uint64_t fields[] = { w->size, w->packed, w->header };
	bool wide[] = { is_wide(z, w), is_wide(z, w), w->header >= z->wide };
	uint64_t n_wide = (uint64_t)wide[0] + wide[1] + wide[2];
	text_add(t, "PK\1\2", 4);
	put(t, n_wide ? VERSION_64 : VERSION, 2);
	put_common(z, t, w, wide[0]);
	put(t, n_wide ? 4 + 8 * n_wide : 0, 2);
	put(t, 0, 2 + 2 + 2 + 4);
	put(t, narrow(z, w->header), 4);
	text_puts(t, w->name);
	if (!n_wide)
		return;
	put(t, 1, 2);
	put(t, 8 * n_wide, 2);
	for (int i = 0; i < 3; i++)
		if (wide[i])
			put(t, fields[i], 8);
}

/* The records for archives that are too large, or have too many entries, for the old end record. */
static void put_end64(Text *t, size_t n, uint64_t size, uint64_t at)
{
	text_add(t, "PK\6\6", 4);
	put(t, 44, 8);
	put(t, VERSION_64, 2);
	put(t, VERSION_64, 2);
	put(t, 0, 8);
	put(t, n, 8);
	put(t, n, 8);
	put(t, size, 8);
	put(t, at, 8);
	text_add(t, "PK\6\7", 4);
	put(t, 0, 4);
	put(t, at + size, 8);
	put(t, 1, 4);
}

void zip_end(ZipOut *z)
{
	assert(!z->left);
	Text t = { .arena = &z->job->scratch };
	uint64_t at = z->at;
	for (size_t i = 0; i < z->n; i++)
		put_central(z, &t, &z->entry[i]);
	uint64_t size = t.size;
	if (z->n >= UINT16_MAX || size >= z->wide || at >= z->wide)
		put_end64(&t, z->n, size, at);
	text_add(&t, "PK\5\6", 4);
	put(&t, 0, 4);
	uint64_t n = z->n < UINT16_MAX ? z->n : UINT16_MAX;
	put(&t, n, 2);
	put(&t, n, 2);
	put(&t, narrow(z, size), 4);
	put(&t, narrow(z, at), 4);
	put(&t, 0, 2);
	add(z, t.text, t.size);
}
