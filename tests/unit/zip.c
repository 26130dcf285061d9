/* zip.c - archives: what is read, every lie that is refused, what is written. */
#include "../../src/io/zip.h"
#include "test.h"
#include "zips.h"
#include <stdlib.h>
#include <unistd.h>

static graft_context *context(void)
{
	graft_context *ctx;
	CHECK_INT(graft_context_new(NULL, &ctx, NULL), GRAFT_OK);
	return ctx;
}

typedef struct Reading { const char *data; size_t size; const char *entry; char text[256]; size_t n,
                         address; bool verify; } Reading;

static void read_body(Job *job, void *arg)
{
	Reading *r = arg;
	Zip *z = zip_open(&job->scratch, (Bytes){ r->data, r->size }, "test.pt2");
	r->n = z->n;
	if (!r->entry)
		return;
	const ZipEntry *e = zip_find(z, r->entry);
	CHECK(e);
	Bytes b = zip_bytes(&job->scratch, z, e, r->verify);
	r->address = (size_t)(b.data - r->data);
	snprintf(r->text, sizeof r->text, "%.*s", (int)(b.size < 200 ? b.size : 200), b.data);
}

static graft_error err;

static graft_status reads(Reading *r)
{
	graft_context *ctx = context();
	graft_status status = guarded(context_allocator(ctx), read_body, r, &err);
	graft_context_free(ctx);
	return status;
}

static TestZip z;

static void two_entries(void)
{
	memset(&z, 0, sizeof z);
	zip_put(&z, "root/a", "hello", 5);
	zip_put(&z, "root/b/c", "weights", 7);
	zip_finish(&z);
}

static void refused(const char *part)
{
	Reading r = { z.data, z.size, .entry = NULL };
	CHECK_INT(reads(&r), GRAFT_E_DATA);
	CHECK_HAS(err.message, part);
	CHECK_STR(err.file, "test.pt2");
}

TEST(zip_stored_in_place)
{
	two_entries();
	Reading r = { z.data, z.size, .entry = "root/b/c", .verify = true };
	CHECK_INT(reads(&r), GRAFT_OK);
	CHECK_INT(r.n, 2);
	CHECK_STR(r.text, "weights");
	CHECK_INT(r.address % 64, 0);
	CHECK(r.address < z.size);
}

TEST(zip_deflated)
{
	memset(&z, 0, sizeof z);
	zip_put_packed(&z, "a", "hello hello hello hello hello hello", 35);
	zip_finish(&z);
	Reading r = { z.data, z.size, .entry = "a" };
	CHECK_INT(reads(&r), GRAFT_OK);
	CHECK_STR(r.text, "hello hello hello hello hello hello");
	z.data[z.local[0] + 64 + 3] ^= 0x55;
	r.entry = "a";
	CHECK_INT(reads(&r), GRAFT_E_DATA);
}

TEST(zip_comment)
{
	two_entries();
	zip_patch(&z, z.end + 20, 5, 2);
	memcpy(z.data + z.size, "hello", 5);
	z.size += 5;
	Reading r = { z.data, z.size, .entry = "root/a" };
	CHECK_INT(reads(&r), GRAFT_OK);
	CHECK_STR(r.text, "hello");
}

TEST(zip_cut_anywhere)
{
	two_entries();
	for (size_t n = 0; n < z.size; n++) {
		char *copy = malloc(n ? n : 1);
		CHECK(copy);
		memcpy(copy, z.data, n);
		Reading r = { copy, n, .entry = NULL };
		graft_status status = reads(&r);
		free(copy);
		CHECK_INT(status, GRAFT_E_DATA);
	}
}

/* Whatever byte is damaged, it is an error or the entries are still within the file. */
TEST(zip_damaged_anywhere)
{
	for (size_t at = 0; at < z.size; at++)
		for (int bit = 0; bit < 8; bit++) {
			two_entries();
			z.data[at] = (char)(z.data[at] ^ 1 << bit);
			Reading r = { z.data, z.size, .entry = NULL };
			graft_status status = reads(&r);
			CHECK(status == GRAFT_OK || status == GRAFT_E_DATA);
		}
}

TEST(zip_appended)
{
	two_entries();
	z.data[z.size++] = 'x';
	refused("no end record");
}

TEST(zip_lying_sizes)
{
	two_entries();
	zip_patch(&z, z.central[0] + 24, 6, 4);
	refused("its two sizes are 6 and 5");
	two_entries();
	zip_patch(&z, z.local[0] + 18, 6, 4);
	zip_patch(&z, z.local[0] + 22, 6, 4);
	refused("does not agree with the directory about its size");
	two_entries();
	zip_patch(&z, z.central[1] + 20, 1u << 30, 4);
	zip_patch(&z, z.central[1] + 24, 1u << 30, 4);
	zip_patch(&z, z.local[1] + 18, 1u << 30, 4);
	zip_patch(&z, z.local[1] + 22, 1u << 30, 4);
	refused("but the file has");
}

TEST(zip_overlap)
{
	two_entries();
	for (int i = 0; i < 2; i++) {
		zip_patch(&z, z.central[0] + 20 + 4 * (size_t)i, 80, 4);
		zip_patch(&z, z.local[0] + 18 + 4 * (size_t)i, 80, 4);
	}
	refused("it overlaps root/b/c");
}

TEST(zip_one_header_for_two)
{
	two_entries();
	zip_patch(&z, z.central[1] + 42, z.local[0], 4);
	refused("does not agree with the directory about its name");
}

TEST(zip_duplicates)
{
	memset(&z, 0, sizeof z);
	zip_put(&z, "a", "1", 1);
	zip_put(&z, "a", "2", 1);
	zip_finish(&z);
	refused("two entries of that name");
}

TEST(zip_names)
{
	static const char *const names[] = { "/etc/passwd", "a/../../b", "..", "a\\b", "./a", "a//b" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		memset(&z, 0, sizeof z);
		zip_put(&z, names[i], "1", 1);
		zip_finish(&z);
		refused("an entry's name must");
	}
}

TEST(zip_encrypted_or_odd)
{
	two_entries();
	zip_patch(&z, z.central[0] + 8, 1, 2);
	refused("encrypted");
	two_entries();
	zip_patch(&z, z.local[0] + 6, 1, 2);
	refused("encrypted");
	two_entries();
	zip_patch(&z, z.central[0] + 10, 14, 2);
	refused("packed by method 14");
	two_entries();
	zip_patch(&z, z.end + 4, 1, 2);
	refused("several parts");
	two_entries();
	zip_patch(&z, z.end + 8, 1, 2);
	zip_patch(&z, z.end + 10, 1, 2);
	refused("the directory holds more than its 1 entries");
	two_entries();
	zip_patch(&z, z.end + 16, 3, 4);
	refused("the directory does not end where");
}

TEST(zip_bomb)
{
	static char zeros[4 << 20];
	memset(&z, 0, sizeof z);
	zip_put_packed(&z, "a", zeros, sizeof zeros);
	zip_finish(&z);
	refused("at most 200 to 1 is unpacked");
}

/* The directory says less than there is, or more. */
TEST(zip_packed_size_lies)
{
	static const char text[] = "hello hello hello hello hello hello";
	for (int by = -1; by <= 1; by += 2) {
		memset(&z, 0, sizeof z);
		zip_put_packed(&z, "a", text, 35);
		zip_finish(&z);
		zip_patch(&z, z.central[0] + 24, (uint64_t)(35 + by), 4);
		zip_patch(&z, z.local[0] + 22, (uint64_t)(35 + by), 4);
		Reading r = { z.data, z.size, .entry = "a" };
		CHECK_INT(reads(&r), GRAFT_E_DATA);
		CHECK_HAS(err.message, "unpack to another size");
	}
}

TEST(zip_checksum)
{
	two_entries();
	z.data[z.local[1] + 64] ^= 1;
	Reading r = { z.data, z.size, .entry = "root/b/c", .verify = true };
	CHECK_INT(reads(&r), GRAFT_E_DATA);
	CHECK_HAS(err.message, "checksum");
}

/* ---- writing ---- */

/* Runs `body` with the name of a file that it may write. */
static void in_folder(void (*body)(Job *job, void *path))
{
	char folder[64], path[96];
	snprintf(folder, sizeof folder, "%s/graft-XXXXXX", P_tmpdir);
	CHECK(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/out.pt2", folder);
	graft_error wrong;
	graft_context *ctx = context();
	graft_status status = guarded(context_allocator(ctx), body, path, &wrong);
	graft_context_free(ctx);
	unlink(path);
	rmdir(folder);
	CHECK_STR(status ? wrong.message : "", "");
}

static void write_body(Job *job, void *path)
{
	Zip *from = zip_open(&job->scratch, (Bytes){ z.data, z.size }, "test.pt2");
	FileOut *f = file_create(job, path);
	ZipOut *out = zip_create(job, f);
	zip_begin(out, "root/new", 6, zip_crc(0, "abcdef", 6));
	zip_data(out, "abc", 3);
	zip_data(out, "def", 3);
	for (size_t i = 0; i < from->n; i++)
		zip_copy(out, &from->entry[i]);
	zip_end(out);
	file_commit(f);
	Zip *back = zip_open(&job->scratch, file_read(&job->scratch, path), path);
	CHECK_INT(back->n, from->n + 1);
	for (size_t i = 0; i < from->n; i++) {
		const ZipEntry *a = &from->entry[i], *b = zip_find(back, a->name);
		CHECK(b && a->packed == b->packed && a->crc == b->crc && a->deflated == b->deflated);
		CHECK(!memcmp(a->data, b->data, a->packed));
		CHECK_INT((uintptr_t)b->data % 64, 0);        /* the file is mapped at a page */
	}
	Bytes b = zip_bytes(&job->scratch, back, zip_find(back, "root/new"), true);
	CHECK(b.size == 6 && !memcmp(b.data, "abcdef", 6));
}

TEST(zip_written)
{
	memset(&z, 0, sizeof z);
	zip_put(&z, "root/a", "hello", 5);
	zip_put_packed(&z, "root/packed", "hello hello hello hello", 23);
	zip_put(&z, "root/empty", "", 0);
	zip_finish(&z);
	in_folder(write_body);
}

/* ---- zip64 ---- */

static Bytes write_wide(Job *job, const char *path)
{
	FileOut *f = file_create(job, path);
	ZipOut *out = zip_create(job, f);
	zip_widen(out, 4);
	zip_begin(out, "root/a", 5, zip_crc(0, "hello", 5));
	zip_data(out, "hello", 5);
	zip_begin(out, "root/b", 1, zip_crc(0, "x", 1));
	zip_data(out, "x", 1);
	zip_end(out);
	file_commit(f);
	return file_read(&job->scratch, path);
}

static void wide_body(Job *job, void *path)
{
	Bytes b = write_wide(job, path);
	Zip *zip = zip_open(&job->scratch, b, path);
	const ZipEntry *e = zip_find(zip, "root/a");
	CHECK(e && e->size == 5 && !memcmp(e->data, "hello", 5) && (uintptr_t)e->data % 64 == 0);
	e = zip_find(zip, "root/b");
	CHECK(e && e->size == 1 && *e->data == 'x');
	CHECK(memmem(b.data, b.size, "PK\6\6", 4) && memmem(b.data, b.size, "PK\6\7", 4));
}

TEST(zip_wide_fields)
{
	in_folder(wide_body);
}

static void wide_lies_body(Job *job, void *path)
{
	Bytes b = write_wide(job, path);
	char *copy = malloc(b.size);
	CHECK(copy);
	for (size_t at = 0; at < 8 * b.size; at++) {
		memcpy(copy, b.data, b.size);
		copy[at / 8] = (char)(copy[at / 8] ^ 1 << at % 8);
		Reading r = { copy, b.size, .entry = NULL };
		graft_status status = reads(&r);
		CHECK(status == GRAFT_OK || status == GRAFT_E_DATA);
	}
	free(copy);
}

TEST(zip_wide_damaged_anywhere)
{
	in_folder(wide_lies_body);
}

enum { MANY_ENTRIES = 65600 };                /* more than the old end record can count */

static void many_body(Job *job, void *path)
{
	FileOut *f = file_create(job, path);
	ZipOut *out = zip_create(job, f);
	for (uint32_t i = 0; i < MANY_ENTRIES; i++) {
		zip_begin(out, arena_printf(&job->scratch, "m/%u", i), 4, zip_crc(0, &i, 4));
		zip_data(out, &i, 4);
	}
	zip_end(out);
	file_commit(f);
	Zip *zip = zip_open(&job->scratch, file_read(&job->scratch, path), path);
	const ZipEntry *e = zip_find(zip, "m/65599");
	CHECK_INT(zip->n, MANY_ENTRIES);
	CHECK(e && e->size == 4);
	CHECK(!memcmp(e->data, &(uint32_t){ 65599 }, 4));
}

TEST(zip_many_entries)
{
	in_folder(many_body);
}
