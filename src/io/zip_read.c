/* zip_read.c - the directory of an archive, checked whole before anything is looked at. */
#include "zip.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
	END_SIZE = 22, END64_SIZE = 56, LOCATOR_SIZE = 20, CENTRAL_SIZE = 46, LOCAL_SIZE = 30,
	COMMENT_MAX = 65535, NAME_MAX_BYTES = 4096,
	STORED = 0, DEFLATED = 8,
	ENCRYPTED = 1 << 0, SIZES_BEHIND = 1 << 3, STRONG = 1 << 6, MASKED = 1 << 13,
	RATIO_MAX = 200
};

#define SIZE_32 UINT32_MAX                    /* stands for "see the zip64 field" */
#define RATIO_FREE ((uint64_t)1 << 20)        /* entries up to this size may be packed as well as they like */
#define INFLATE_MAX ((uint64_t)1 << 34)

typedef struct Reader {
	Arena *a;
	const char *data, *path;
	uint64_t size;
} Reader;

_Noreturn static void bad(const Reader *r, const char *entry, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

_Noreturn static void bad(const Reader *r, const char *entry, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *message = arena_vprintf(&r->a->job->scratch, fmt, ap);
	va_end(ap);
	fail_in(r->a->job, GRAFT_E_DATA, r->path, 0, 0, entry, "%s", message);
}

/* ---- numbers ---- */

static uint64_t number(const char *p, int bytes)
{
	uint64_t v = 0;
	for (int i = bytes; i-- > 0;)
		v = v << 8 | (unsigned char)p[i];
	return v;
}

static uint16_t u16(const char *p) { return (uint16_t)number(p, 2); }
static uint32_t u32(const char *p) { return (uint32_t)number(p, 4); }
static uint64_t u64(const char *p) { return number(p, 8); }

static const char *bytes_at(const Reader *r, uint64_t at, uint64_t n, const char *what)
{
	if (at > r->size || n > r->size - at)
		bad(r, NULL, "%s would stand at bytes %llu to %llu, but the file has %llu", what,
		    (unsigned long long)at, (unsigned long long)(at + n), (unsigned long long)r->size);
	return r->data + at;
}

bool zip_is(const char *data, size_t size)
{
	return size >= 4 && (!memcmp(data, "PK\3\4", 4) || !memcmp(data, "PK\5\6", 4));
}

/* ---- the end ---- */

typedef struct Directory { uint64_t at, size, n; } Directory;

/* The end record is the last thing in the file but for a comment whose length it gives. */
static uint64_t find_end(const Reader *r)
{
	uint64_t least = r->size > END_SIZE + COMMENT_MAX ? r->size - END_SIZE - COMMENT_MAX : 0;
	for (uint64_t at = r->size >= END_SIZE ? r->size - END_SIZE + 1 : 0; at-- > least;)
		if (!memcmp(r->data + at, "PK\5\6", 4) && at + END_SIZE + u16(r->data + at + 20) == r->size)
			return at;
	bad(r, NULL, "it begins like a zip archive, but has no end record: it was cut off, or something was added "
	    "to it");
}

static bool in_32(uint64_t small, uint64_t mark, uint64_t large)
{
	return small == large || small == mark;
}

static Directory read_end64(const Reader *r, uint64_t end, Directory small)
{
	const char *locator = r->data + end - LOCATOR_SIZE;
	uint64_t at = u64(locator + 8);
	const char *p = bytes_at(r, at, END64_SIZE, "the zip64 end record");
	if (memcmp(p, "PK\6\6", 4) || at + 12 + u64(p + 4) != end - LOCATOR_SIZE || u32(p + 16) || u32(p + 20) ||
	    u64(p + 24) != u64(p + 32) || u32(locator + 4) || u32(locator + 16) > 1)
		bad(r, NULL, "the zip64 end record is damaged, or the archive has several parts");
	Directory d = { u64(p + 48), u64(p + 40), u64(p + 32) };
	if (!in_32(small.n, UINT16_MAX, d.n) || !in_32(small.size, SIZE_32, d.size) || !in_32(small.at, SIZE_32, d.at))
		bad(r, NULL, "the two end records contradict each other");
	if (d.at > at || d.size != at - d.at)
		bad(r, NULL, "the directory does not end where the end record begins");
	return d;
}

static Directory read_end(const Reader *r)
{
	uint64_t end = find_end(r);
	const char *p = r->data + end;
	Directory d = { u32(p + 16), u32(p + 12), u16(p + 10) };
	if (u16(p + 4) || u16(p + 6) || u16(p + 8) != u16(p + 10))
		bad(r, NULL, "an archive in several parts; give one file");
	if (end >= LOCATOR_SIZE && !memcmp(p - LOCATOR_SIZE, "PK\6\7", 4))
		d = read_end64(r, end, d);
	else if (d.at > end || d.size != end - d.at)
		bad(r, NULL, "the directory does not end where the end record begins");
	if (d.n > ZIP_ENTRIES_MAX)
		bad(r, NULL, "%llu entries; at most %d are read", (unsigned long long)d.n, ZIP_ENTRIES_MAX);
	return d;
}

/* ---- entries ---- */

/* The sizes and place of an entry that did not fit 32 bits, from its extra field. */
static void read_wide(const Reader *r, const char *name, const char *extra, size_t n, uint64_t *const *field,
                      int n_fields)
{
	const char *end = extra + n;
	for (const char *p = extra; end - p >= 4; p += 4 + u16(p + 2)) {
		uint16_t size = u16(p + 2);
		if (size > end - p - 4)
			bad(r, name, "its extra field is damaged");
		if (u16(p) != 1)
			continue;
		const char *at = p + 4;
		for (int i = 0; i < n_fields; i++) {
			if (*field[i] != SIZE_32)
				continue;
			if (p + 4 + size - at < 8)
				bad(r, name, "its zip64 field is too short");
			*field[i] = u64(at);
			at += 8;
		}
		return;
	}
}

static void check_name(const Reader *r, const char *name, const char *raw, size_t n)
{
	if (!n || n > NAME_MAX_BYTES || memchr(raw, 0, n))
		bad(r, NULL, "an entry's name is empty, holds NUL or is longer than %d bytes", NAME_MAX_BYTES);
	if (*name == '/' || strchr(name, '\\'))
		bad(r, name, "an entry's name must be a relative path with '/'");
	for (const char *part = name; part; part = strchr(part, '/')) {
		part += *part == '/';
		size_t len = strcspn(part, "/");
		if ((len == 2 && !memcmp(part, "..", 2)) || (len == 1 && *part == '.') || (!len && *part))
			bad(r, name, "an entry's name must not leave its folder");
	}
}

static void check_sizes(const Reader *r, const ZipEntry *e)
{
	if (!e->deflated && e->size != e->packed)
		bad(r, e->name, "it is stored, but its two sizes are %llu and %llu", (unsigned long long)e->size,
		    (unsigned long long)e->packed);
	if (e->deflated && e->size > RATIO_FREE && (e->size / RATIO_MAX > e->packed || e->size > INFLATE_MAX))
		bad(r, e->name, "%llu bytes packed into %llu; at most %d to 1 is unpacked, and at most %llu bytes",
		    (unsigned long long)e->size, (unsigned long long)e->packed, RATIO_MAX,
		    (unsigned long long)INFLATE_MAX);
}

static bool local_size_fits(uint32_t local, uint64_t wide, uint64_t size, bool behind)
{
	return local == SIZE_32 ? wide == size : local == size || (behind && !local);
}

/* The local header must say the same as the directory; finds the data. */
static void read_local(const Reader *r, ZipEntry *e, uint16_t method)
{
	const char *p = bytes_at(r, e->header, LOCAL_SIZE, "an entry's header");
	uint16_t flags = u16(p + 6), n_name = u16(p + 26), n_extra = u16(p + 28);
	uint64_t size = u32(p + 22), packed = u32(p + 18), data = e->header + LOCAL_SIZE + n_name + n_extra;
	bytes_at(r, e->header, (uint64_t)LOCAL_SIZE + n_name + n_extra, "an entry's header");
	read_wide(r, e->name, p + LOCAL_SIZE + n_name, n_extra, (uint64_t *const[]){ &size, &packed }, 2);
	bool behind = flags & SIZES_BEHIND;
	if (memcmp(p, "PK\3\4", 4) || u16(p + 8) != method || n_name != strlen(e->name) ||
	    memcmp(p + LOCAL_SIZE, e->name, n_name))
		bad(r, e->name, "its header does not agree with the directory about its name or how it is packed");
	if (flags & (ENCRYPTED | STRONG | MASKED))
		bad(r, e->name, "it is encrypted");
	if (!local_size_fits(u32(p + 22), size, e->size, behind) ||
	    !local_size_fits(u32(p + 18), packed, e->packed, behind) ||
	    (u32(p + 14) != e->crc && !(behind && !u32(p + 14))))
		bad(r, e->name, "its header does not agree with the directory about its size or checksum");
	e->data = bytes_at(r, data, e->packed, "an entry");
}

/* Returns how long the record is. */
static uint64_t read_entry(const Reader *r, uint64_t at, uint64_t left, ZipEntry *e)
{
	if (left < CENTRAL_SIZE || memcmp(r->data + at, "PK\1\2", 4))
		bad(r, NULL, "the directory is damaged at byte %llu", (unsigned long long)at);
	const char *p = r->data + at;
	uint16_t flags = u16(p + 8), method = u16(p + 10), n_name = u16(p + 28), n_extra = u16(p + 30);
	uint64_t length = (uint64_t)CENTRAL_SIZE + n_name + n_extra + u16(p + 32);
	if (length > left)
		bad(r, NULL, "the directory is damaged at byte %llu", (unsigned long long)at);
	e->name = arena_strndup(r->a, p + CENTRAL_SIZE, n_name);
	check_name(r, e->name, p + CENTRAL_SIZE, n_name);
	e->crc = u32(p + 16);
	e->packed = u32(p + 20);
	e->size = u32(p + 24);
	e->header = u32(p + 42);
	read_wide(r, e->name, p + CENTRAL_SIZE + n_name, n_extra,
	          (uint64_t *const[]){ &e->size, &e->packed, &e->header }, 3);
	if (flags & (ENCRYPTED | STRONG | MASKED) || u16(p + 34))
		bad(r, e->name, "it is encrypted, or in another part of the archive");
	if (method != STORED && method != DEFLATED)
		bad(r, e->name, "packed by method %u; stored (0) and deflated (8) are read", method);
	e->deflated = method == DEFLATED;
	check_sizes(r, e);
	read_local(r, e, method);
	return length;
}

/* ---- the whole ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp((*(ZipEntry *const *)a)->name, (*(ZipEntry *const *)b)->name);
}

static int by_place(const void *a, const void *b)
{
	uint64_t x = (*(ZipEntry *const *)a)->header, y = (*(ZipEntry *const *)b)->header;
	return (x > y) - (x < y);
}

static ZipEntry **sorted(Arena *a, const Zip *z, int (*order)(const void *, const void *))
{
	ZipEntry **list = NEW_ARRAY(a, z->n, ZipEntry *);
	for (size_t i = 0; i < z->n; i++)
		list[i] = &z->entry[i];
	qsort(list, z->n, sizeof *list, order);
	return list;
}

static void check_overlap(const Reader *r, const Zip *z, uint64_t directory)
{
	ZipEntry **list = sorted(&r->a->job->scratch, z, by_place);
	for (size_t i = 0; i < z->n; i++) {
		uint64_t end = (uint64_t)(list[i]->data - r->data) + list[i]->packed;
		uint64_t next = i + 1 < z->n ? list[i + 1]->header : directory;
		if (end > next)
			bad(r, list[i]->name, "it overlaps %s", i + 1 < z->n ? list[i + 1]->name : "the directory");
	}
}

static void check_twice(const Reader *r, const Zip *z)
{
	for (size_t i = 1; i < z->n; i++)
		if (!strcmp(z->by_name[i - 1]->name, z->by_name[i]->name))
			bad(r, z->by_name[i]->name, "the archive has two entries of that name");
}

Zip *zip_open(Arena *a, Bytes file, const char *path)
{
	Reader r = { a, file.data, path, file.size };
	Directory d = read_end(&r);
	Zip *z = NEW(a, Zip);
	*z = (Zip){ .path = path, .n = (size_t)d.n, .entry = NEW_ARRAY(a, (size_t)d.n, ZipEntry) };
	uint64_t at = d.at, end = d.at + d.size;
	for (size_t i = 0; i < z->n; i++)
		at += read_entry(&r, at, end - at, &z->entry[i]);
	if (at != end)
		bad(&r, NULL, "the directory holds more than its %zu entries", z->n);
	z->by_name = sorted(a, z, by_name);
	check_twice(&r, z);
	check_overlap(&r, z, d.at);
	return z;
}

const ZipEntry *zip_find(const Zip *z, const char *name)
{
	ZipEntry wanted = { .name = name }, *key = &wanted;
	ZipEntry **found = z->n ? bsearch(&key, z->by_name, z->n, sizeof *z->by_name, by_name) : NULL;
	return found ? *found : NULL;
}

/* ---- data ---- */

uint32_t zip_crc(uint32_t crc, const void *data, size_t size)
{
	return (uint32_t)crc32_z(crc, data, size);
}

static void end_inflate(void *stream)
{
	inflateEnd(stream);
}

/* Exactly e->size bytes, or it is damaged. zlib counts in 32 bits, so both sides are fed in pieces. */
static bool inflate_all(Arena *a, const ZipEntry *e, char *out)
{
	const uint64_t piece = 1 << 30;
	Arena *scratch = &a->job->scratch;
	z_stream *z = NEW(scratch, z_stream);
	if (inflateInit2(z, -MAX_WBITS) != Z_OK)
		fail(a->job, GRAFT_E_NOMEM, "no memory left to unpack %s", e->name);
	arena_undo(scratch, end_inflate, z);
	uint64_t in = 0, made = 0;
	int status = Z_OK;
	while (status == Z_OK) {
		uint64_t take = e->packed - in < piece ? e->packed - in : piece,
			room = e->size - made < piece ? e->size - made : piece;
		char none;
		z->next_in = (Bytef *)(uintptr_t)(e->data + in);
		z->avail_in = (uInt)take;
		z->next_out = (Bytef *)(room ? out + made : &none);
		z->avail_out = (uInt)(room ? room : 1);
		uInt had = z->avail_out;
		status = inflate(z, Z_NO_FLUSH);
		in += take - z->avail_in;
		made += had - z->avail_out;
		if (made > e->size)
			return false;
	}
	return status == Z_STREAM_END && made == e->size && in == e->packed;
}

Bytes zip_bytes(Arena *a, const Zip *z, const ZipEntry *e, bool verify)
{
	Reader r = { .a = a, .path = z->path };
	const char *data = e->data;
	if (e->deflated) {
		char *out = arena_alloc(a, (size_t)e->size);
		if (!inflate_all(a, e, out))
			bad(&r, e->name, "its packed data are damaged, or unpack to another size than the directory "
			    "says");
		data = out;
	}
	if ((verify || e->deflated) && zip_crc(0, data, (size_t)e->size) != e->crc)
		bad(&r, e->name, "its checksum is wrong: the data are damaged");
	return (Bytes){ data, (size_t)e->size };
}
