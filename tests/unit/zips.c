/* zips.c - zip archives for tests: written here, so that reading is not tested with the writer's own ideas. */
#include "zips.h"
#include "test.h"
#include <zlib.h>

void zip_patch(TestZip *z, size_t at, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		z->data[at + (size_t)i] = (char)(i < 8 ? value >> 8 * i : 0);
}

static void add(TestZip *z, const void *data, size_t size)
{
	CHECK(z->size + size <= sizeof z->data);
	memcpy(z->data + z->size, data, size);
	z->size += size;
}

static void number(TestZip *z, uint64_t value, int bytes)
{
	z->size += (size_t)bytes;
	CHECK(z->size <= sizeof z->data);
	zip_patch(z, z->size - (size_t)bytes, value, bytes);
}

static void common(TestZip *z, int i)
{
	number(z, 20, 2);
	number(z, 0, 2);
	number(z, (uint64_t)z->method[i], 2);
	number(z, 0, 4);
	number(z, z->crc[i], 4);
	number(z, z->packed[i], 4);
	number(z, z->unpacked[i], 4);
	number(z, strlen(z->name[i]), 2);
}

static void put(TestZip *z, const char *name, int method, const void *data, size_t packed, size_t unpacked,
                uint32_t crc)
{
	int i = z->n++;
	CHECK(i < ZIP_MOST);
	z->name[i] = name;
	z->method[i] = method;
	z->packed[i] = (uint32_t)packed;
	z->unpacked[i] = (uint32_t)unpacked;
	z->crc[i] = crc;
	z->local[i] = z->size;
	size_t padding = 64 - (z->size + 30 + strlen(name) + 4) % 64;
	add(z, "PK\3\4", 4);
	common(z, i);
	number(z, padding + 4, 2);
	add(z, name, strlen(name));
	add(z, "FB", 2);
	number(z, padding, 2);
	for (size_t k = 0; k < padding; k++)
		add(z, "Z", 1);
	add(z, data, packed);
}

void zip_put(TestZip *z, const char *name, const void *data, size_t size)
{
	put(z, name, 0, data, size, size, (uint32_t)crc32(0, data, (uInt)size));
}

void zip_put_packed(TestZip *z, const char *name, const void *data, size_t size)
{
	static char packed[ZIP_ROOM];
	z_stream s = { 0 };
	CHECK_INT(deflateInit2(&s, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	s.next_in = (Bytef *)(uintptr_t)data;
	s.avail_in = (uInt)size;
	s.next_out = (Bytef *)packed;
	s.avail_out = sizeof packed;
	CHECK_INT(deflate(&s, Z_FINISH), Z_STREAM_END);
	put(z, name, 8, packed, s.total_out, size, (uint32_t)crc32(0, data, (uInt)size));
	deflateEnd(&s);
}

void zip_finish(TestZip *z)
{
	size_t start = z->size;
	for (int i = 0; i < z->n; i++) {
		z->central[i] = z->size;
		add(z, "PK\1\2", 4);
		number(z, 20, 2);
		common(z, i);
		number(z, 0, 12);
		number(z, z->local[i], 4);
		add(z, z->name[i], strlen(z->name[i]));
	}
	z->end = z->size;
	size_t length = z->size - start;
	add(z, "PK\5\6", 4);
	number(z, 0, 4);
	number(z, (uint64_t)z->n, 2);
	number(z, (uint64_t)z->n, 2);
	number(z, length, 4);
	number(z, start, 4);
	number(z, 0, 2);
}
