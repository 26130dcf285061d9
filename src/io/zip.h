/* zip.h - zip archives as PyTorch writes them: read where they lie, written so that they can be.
 *
 *   [ local header | name | extra | data ] [ ... ] [ central directory ] [ zip64 end ] [ end ]
 *
 * Reading trusts nothing: the central directory is the truth, each local header must agree with it, entries must not
 * overlap, and a name stands once, is relative and has no "..". Nothing is ever put on disk under a name from an
 * archive.
 */
#ifndef GRAFT_ZIP_H
#define GRAFT_ZIP_H

#include "io.h"

enum { ZIP_ENTRIES_MAX = 1 << 20 };

typedef struct ZipEntry {
	const char *name;
	uint64_t size, packed;                /* bytes as they are used, and as they are stored */
	uint64_t header;                      /* where the local header stands, ... */
	const char *data;                     /* ... and the stored bytes */
	uint32_t crc;                         /* of the bytes as they are used */
	bool deflated;
} ZipEntry;

typedef struct Zip { const char *path; ZipEntry *entry; size_t n; ZipEntry **by_name; } Zip;

bool zip_is(const char *data, size_t size);   /* does it begin like one? */
Zip *zip_open(Arena *a, Bytes file, const char *path);                /* fails with GRAFT_E_DATA */
const ZipEntry *zip_find(const Zip *z, const char *name);             /* NULL: none */
/* What an entry holds: in place when it is stored, else inflated into a; its checksum is verified when asked for, and
 * always after inflating. */
Bytes zip_bytes(Arena *a, const Zip *z, const ZipEntry *e, bool verify);

/* Writing: stored, the data at a multiple of 64 bytes by means of an extra field "FB", as PyTorch does. */
typedef struct ZipOut ZipOut;
ZipOut *zip_create(Job *job, FileOut *file);
void zip_widen(ZipOut *z, uint64_t from);     /* sizes and places from here on are written as zip64's; for tests */
/* its data follow, in any number of pieces */
void zip_begin(ZipOut *z, const char *name, uint64_t size, uint32_t crc);
void zip_data(ZipOut *z, const void *data, size_t size);
void zip_copy(ZipOut *z, const ZipEntry *e);  /* the same stored bytes */
void zip_end(ZipOut *z);                      /* the directory; the file is still to be committed */

uint32_t zip_crc(uint32_t crc, const void *data, size_t size);        /* begins with 0 */

#endif
