/* zips.h - zip archives for tests, and ways to damage them. */
#ifndef GRAFT_TEST_ZIPS_H
#define GRAFT_TEST_ZIPS_H

#include <stddef.h>
#include <stdint.h>

enum { ZIP_ROOM = 1 << 17, ZIP_MOST = 16 };

typedef struct TestZip {
	char data[ZIP_ROOM];
	size_t size;
	size_t local[ZIP_MOST], central[ZIP_MOST], end;       /* where the records stand */
	const char *name[ZIP_MOST];
	uint32_t crc[ZIP_MOST], packed[ZIP_MOST], unpacked[ZIP_MOST];
	int method[ZIP_MOST], n;
} TestZip;

void zip_put(TestZip *z, const char *name, const void *data, size_t size);             /* stored, at a multiple of 64 */
void zip_put_packed(TestZip *z, const char *name, const void *data, size_t size);      /* deflated */
void zip_finish(TestZip *z);
void zip_patch(TestZip *z, size_t at, uint64_t value, int bytes);

#endif
