/* tensors.c - collections of tensors, .safetensors and .npy. */
#include "shortage.h"
#include "test.h"
#include <graft/graft.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- helpers ---- */

typedef struct Scene { graft_context *ctx; graft_tensors *t; char folder[256], file[320]; } Scene;

static char printed_error[2048];

static Scene begin(const char *name)
{
	Scene s;
	snprintf(s.folder, sizeof s.folder, "%s/graft-XXXXXX", P_tmpdir);
	CHECK(mkdtemp(s.folder));
	snprintf(s.file, sizeof s.file, "%s/%s", s.folder, name);
	CHECK_INT(graft_context_new(NULL, &s.ctx, NULL), GRAFT_OK);
	CHECK_INT(graft_tensors_new(s.ctx, &s.t, NULL), GRAFT_OK);
	return s;
}

static void end(Scene *s)
{
	graft_tensors_free(s->t);
	graft_context_free(s->ctx);
	unlink(s->file);
	rmdir(s->folder);
}

static void put_file(const Scene *s, const void *data, size_t size)
{
	FILE *f = fopen(s->file, "wb");
	CHECK(f);
	CHECK(fwrite(data, 1, size, f) == size);
	fclose(f);
}

/* The printed error without the file's name. */
static graft_status load(const Scene *s)
{
	graft_error err;
	graft_status status = graft_tensors_load(s->t, s->file, &err);
	err.file[0] = 0;
	graft_error_print(&err, printed_error, sizeof printed_error);
	return status;
}

static size_t safetensors(char *to, const char *header, size_t n_data)
{
	uint64_t n = strlen(header);
	memcpy(to, &n, 8);
	memcpy(to + 8, header, n);
	for (size_t i = 0; i < n_data; i++)
		to[8 + n + i] = (char)(i % 2);
	return 8 + n + n_data;
}

static size_t npy(char *to, int version, const char *dict, const void *data, size_t n_data)
{
	uint32_t n = (uint32_t)strlen(dict);
	size_t length = version == 1 ? 2 : 4;
	memcpy(to, "\x93NUMPY", 6);
	to[6] = (char)version;
	to[7] = 0;
	memcpy(to + 8, &n, length);
	memcpy(to + 8 + length, dict, n);
	memcpy(to + 8 + length + n, data, n_data);
	return 8 + length + n + n_data;
}

static void set(const Scene *s, const char *name, graft_dtype dtype, int32_t rank, const int64_t *shape,
                const int64_t *stride, const void *data)
{
	graft_tensor t = { (void *)(uintptr_t)data, shape, stride, rank, (int32_t)dtype };
	graft_error err;
	if (graft_tensors_set(s->t, name, &t, &err))
		test_fail(__FILE__, __LINE__, "%s", err.message);
}

static size_t read_back(const Scene *s, char *to, size_t size)
{
	FILE *f = fopen(s->file, "rb");
	CHECK(f);
	size_t n = fread(to, 1, size, f);
	fclose(f);
	return n;
}

/* ---- safetensors ---- */

TEST(safetensors_are_read_in_place)
{
	char bytes[512];
	Scene s = begin("w.safetensors");
	size_t n = safetensors(bytes, "{\"__metadata__\":{\"format\":\"pt\"},"
	                       "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[8,20]},"
	                       "\"a.weight\":{\"shape\":[1],\"dtype\":\"I64\",\"data_offsets\":[0,8]},"
	                       "\"none\":{\"dtype\":\"F32\",\"shape\":[4,0],\"data_offsets\":[20,20]},"
	                       "\"one\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[20,21]}}   ", 21);
	put_file(&s, bytes, n);
	CHECK_INT(load(&s), GRAFT_OK);
	const char *name;
	const graft_tensor *b = graft_tensors_at(s.t, 0, &name);
	CHECK_STR(name, "b");
	CHECK(b == graft_tensors_get(s.t, "b"));
	CHECK_INT(b->rank, 2);
	CHECK_INT(b->shape[0] * 10 + b->shape[1], 23);
	CHECK_INT(b->stride[0] * 10 + b->stride[1], 31);
	CHECK_INT(b->dtype, GRAFT_DTYPE_bf16);
	CHECK(memcmp(b->data, bytes + n - 21 + 8, 12) == 0);
	const graft_tensor *a = graft_tensors_get(s.t, "a.weight");
	CHECK_INT((uintptr_t)a->data % 8, 0);
	CHECK_INT(*(const int64_t *)a->data, 0x0100010001000100);
	CHECK(!graft_tensors_get(s.t, "none")->data);
	CHECK_INT(graft_tensors_get(s.t, "one")->rank, 0);
	CHECK(!graft_tensors_get(s.t, "__metadata__"));
	CHECK(!graft_tensors_at(s.t, 4, NULL));
	end(&s);
}

#define ENTRY(shape, dtype, begin, end) \
	"{\"x\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}}"

TEST(safetensors_that_lie_are_refused)
{
	static const struct { const char *header; size_t n_data; const char *error; graft_status status; } bad[] = {
		{ ENTRY("[2]", "F32", "0", "4"), 8, "$.x.data_offsets: dtype and shape make 8 bytes, the offsets 4",
		  GRAFT_E_DATA },
		{ ENTRY("[2]", "F32", "0", "8"), 9, "the tensors make 8 bytes, but 9 follow the header", GRAFT_E_DATA },
		{ ENTRY("[2]", "F32", "1", "9"), 9,
		  "tensor 'x' begins at byte 1 of the data, the one before it ends at 0", GRAFT_E_DATA },
		{ ENTRY("[2]", "F32", "0", "8"), 7, "$.x.data_offsets: bytes 0 to 8 of 7", GRAFT_E_DATA },
		{ ENTRY("[2]", "F32", "8", "0"), 8, "$.x.data_offsets: bytes 8 to 0 of 8", GRAFT_E_DATA },
		{ ENTRY("[2]", "F32", "-8", "0"), 8, "$.x.data_offsets[0]: wanted an integer from 0", GRAFT_E_DATA },
		{ ENTRY("[2]", "F32", "0", "18446744073709551624"), 8,
		  "$.x.data_offsets[1]: 18446744073709551624 is beyond 64 bits", GRAFT_E_DATA },
		{ ENTRY("[2]", "F32", "0", "8.0"), 8, "$.x.data_offsets[1]: wanted an integer, found a float",
		  GRAFT_E_DATA },
		{ ENTRY("[2]", "F32", "0,8", "8"), 8, "$.x.data_offsets: wanted [begin, end], found 3 numbers",
		  GRAFT_E_DATA },
		{ ENTRY("[4611686018427387904, 4]", "F32", "0", "0"), 0,
		  "$.x.shape: more elements than memory can hold", GRAFT_E_DATA },
		{ ENTRY("[0, 4611686018427387904, 4]", "F32", "0", "0"), 0,
		  "$.x.shape: more elements than memory can hold", GRAFT_E_DATA },
		{ ENTRY("[-1]", "F32", "0", "0"), 0, "$.x.shape[0]: wanted an integer from 0", GRAFT_E_DATA },
		{ ENTRY("[2]", "float32", "0", "8"), 8, "$.x.dtype: wanted one of BOOL, U8, I8", GRAFT_E_DATA },
		{ ENTRY("[2]", "F8_E8M0", "0", "2"), 2, "tensor 'x' has the dtype F8_E8M0, which graft has no kernels for",
		  GRAFT_E_UNSUPPORTED },
		{ "{\"x\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "the key \"data_offsets\" is missing", GRAFT_E_DATA },
		{ "{\"x\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"stride\":[]}}", 4,
		  "no such key: 'stride'", GRAFT_E_DATA },
		{ "{\"x\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},\"x\":{\"dtype\":\"U8\",\"shape\":[],"
		  "\"data_offsets\":[1,2]}}", 2, "the key 'x' stands here for the second time", GRAFT_E_DATA },
		{ "{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"y\":{\"dtype\":\"U8\","
		  "\"shape\":[2],\"data_offsets\":[1,3]}}", 3,
		  "tensor 'y' begins at byte 1 of the data, the one before it ends at 2", GRAFT_E_DATA },
		{ "{\"\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
		  "a tensor's name must not be empty", GRAFT_E_DATA },
		{ "{\"__metadata__\":{\"a\":1}}", 0, "$.__metadata__.a: wanted a string, found an integer",
		  GRAFT_E_DATA },
		{ "{\"__metadata__\":[]}", 0, "$.__metadata__: wanted an object, found an array", GRAFT_E_DATA },
		{ "{} x", 0, "wanted nothing more after the end of the document", GRAFT_E_DATA },
		{ " {}", 0, "which begins with '{'", GRAFT_E_DATA },
		{ ENTRY("[4]", "BOOL", "0", "4") "\x02", 3, "wanted nothing more after", GRAFT_E_DATA },
	};
	char bytes[1024];
	Scene s = begin("w.safetensors");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		put_file(&s, bytes, safetensors(bytes, bad[i].header, bad[i].n_data));
		graft_status status = load(&s);
		CHECK_HAS(printed_error, bad[i].error);
		CHECK_INT(status, bad[i].status);
	}
	CHECK(!graft_tensors_at(s.t, 0, NULL));
	end(&s);
}

TEST(safetensors_headers_are_bounded)
{
	char bytes[256] = { 0 };
	static const uint64_t sizes[] = { 0, 1000, 100000001, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63 };
	Scene s = begin("w.safetensors");
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		memcpy(bytes, &sizes[i], 8);
		bytes[8] = '{';
		put_file(&s, bytes, sizeof bytes);
		CHECK_INT(load(&s), GRAFT_E_DATA);
		CHECK_HAS(printed_error, "in a file of 256");
	}
	for (size_t n = 0; n < 8; n++) {
		put_file(&s, bytes, n);
		CHECK_INT(load(&s), GRAFT_E_DATA);
	}
	end(&s);
}

TEST(bools_in_files_are_0_or_1)
{
	char bytes[256];
	Scene s = begin("w.safetensors");
	size_t n = safetensors(bytes, ENTRY("[4]", "BOOL", "0", "4"), 4);
	bytes[n - 2] = 2;
	put_file(&s, bytes, n);
	CHECK_INT(load(&s), GRAFT_E_DATA);
	CHECK_HAS(printed_error, "a bool is 0 or 1, found 2 at element 2 of 'x'");
	end(&s);
}

TEST(tensor_files_with_any_byte_changed_never_crash)
{
	char bytes[512], changed[512];
	for (int which = 0; which < 2; which++) {
		Scene s = begin("w");
		size_t n = npy(bytes, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n", "01234567", 8);
		if (which)
			n = safetensors(bytes, "{\"x\":{\"dtype\":\"U8\",\"shape\":[2,1],\"data_offsets\":[0,2]},"
			                "\"y\":{\"dtype\":\"BOOL\",\"shape\":[1],"
			                       "\"data_offsets\":[2,3]},\"__metadata__\":{\"a\":\"b\"}}", 3);
		put_file(&s, bytes, n);
		CHECK_INT(load(&s), GRAFT_OK);
		for (size_t i = 0; i < n; i++) {
			memcpy(changed, bytes, n);
			changed[i] = (char)(bytes[i] ^ (1 << i % 8));
			put_file(&s, changed, n);
			load(&s);
			put_file(&s, bytes, i);
			CHECK(load(&s) != GRAFT_OK);
		}
		end(&s);
	}
}

TEST(safetensors_are_written_aligned_and_read_back)
{
	static const int64_t n3[] = { 3 }, n23[] = { 2, 3 }, dense[] = { 3, 1 }, turned[] = { 1, 2 }, back[] = { -1 },
		expanded[] = { 0, 1 };
	static const uint8_t u8[] = { 1, 2, 3 };
	static const double f64[] = { 1, 2, 3, 4, 5, 6 };
	static const uint16_t bf16[] = { 0x3f80, 0x4000, 0x7fc0, 0xff80, 0, 1 };
	Scene s = begin("o.safetensors"), again = begin("unused");
	set(&s, "u", GRAFT_DTYPE_u8, 1, n3, back, u8 + 2);
	set(&s, "quote\" \xc3\xa9", GRAFT_DTYPE_bf16, 2, n23, dense, bf16);
	set(&s, "turned", GRAFT_DTYPE_f64, 2, n23, turned, f64);
	set(&s, "wide", GRAFT_DTYPE_f64, 2, n23, expanded, f64);
	set(&s, "scalar", GRAFT_DTYPE_f64, 0, NULL, NULL, f64 + 5);
	set(&s, "empty", GRAFT_DTYPE_f32, 2, (const int64_t[]){ 0, 3 }, dense, NULL);
	CHECK_INT(graft_tensors_save(s.t, s.file, NULL), GRAFT_OK);
	char bytes[1024];
	uint64_t header;
	size_t n = read_back(&s, bytes, sizeof bytes);
	memcpy(&header, bytes, 8);
	CHECK_INT((8 + header) % 64, 0);
	CHECK_INT(n, 8 + header + 6 * 8 * 2 + 8 + 6 * 2 + 3);
	CHECK_INT(graft_tensors_load(again.t, s.file, NULL), GRAFT_OK);
	for (size_t i = 0; graft_tensors_at(again.t, i, NULL); i++) {
		const graft_tensor *t = graft_tensors_at(again.t, i, NULL);
		CHECK_INT((uintptr_t)t->data % graft_dtype_size((graft_dtype)t->dtype), 0);
	}
	CHECK(memcmp(graft_tensors_get(again.t, "u")->data, (uint8_t[]){ 3, 2, 1 }, 3) == 0);
	CHECK(memcmp(graft_tensors_get(again.t, "quote\" \xc3\xa9")->data, bf16, sizeof bf16) == 0);
	CHECK(memcmp(graft_tensors_get(again.t, "turned")->data, (double[]){ 1, 3, 5, 2, 4, 6 }, 48) == 0);
	CHECK(memcmp(graft_tensors_get(again.t, "wide")->data, (double[]){ 1, 2, 3, 1, 2, 3 }, 48) == 0);
	CHECK(*(double *)graft_tensors_get(again.t, "scalar")->data == 6);
	CHECK_INT(graft_tensors_get(again.t, "empty")->shape[1], 3);
	end(&s);
	end(&again);
}

/* Longer than the buffer that gathers it. */
TEST(a_large_strided_tensor_is_written_whole)
{
	enum { ROWS = 300, COLUMNS = 70 };
	static int32_t data[ROWS * COLUMNS];
	for (int i = 0; i < ROWS * COLUMNS; i++)
		data[i] = i;
	Scene s = begin("t.npy");
	set(&s, "x", GRAFT_DTYPE_i32, 2, (const int64_t[]){ COLUMNS, ROWS }, (const int64_t[]){ 1, COLUMNS }, data);
	CHECK_INT(graft_tensors_save(s.t, s.file, NULL), GRAFT_OK);
	CHECK_INT(load(&s), GRAFT_OK);
	const graft_tensor *t = graft_tensors_get(s.t, "t");
	for (int c = 0; c < COLUMNS; c++)
		for (int r = 0; r < ROWS; r++)
			CHECK_INT(((int32_t *)t->data)[c * ROWS + r], r * COLUMNS + c);
	end(&s);
}

/* ---- npy ---- */

TEST(npy_is_read)
{
	static const float data[] = { 1, 2, 3, 4, 5, 6 };
	static const struct { int version; const char *dict; graft_dtype dtype; size_t n; int64_t stride0; } good[] = {
		{ 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n", GRAFT_DTYPE_f32,
		  24, 3 },
		{ 2, "{\"shape\":(2,3,),\"descr\":\"=f4\",\"fortran_order\":True}", GRAFT_DTYPE_f32, 24, 1 },
		{ 3, "{'descr': '|u1', 'fortran_order': False, 'shape': (24,)}", GRAFT_DTYPE_u8, 24, 1 },
		{ 1, "{'descr': '<V2', 'fortran_order': False, 'shape': (3, 4)}", GRAFT_DTYPE_bf16, 24, 4 },
		{ 1, "{'descr': '|V2', 'fortran_order': False, 'shape': (12,)}", GRAFT_DTYPE_bf16, 24, 1 },
		{ 1, "{'descr': '<f8', 'fortran_order': False, 'shape': ()}", GRAFT_DTYPE_f64, 8, 0 },
		{ 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (5, 0)}", GRAFT_DTYPE_i64, 0, 1 },
	};
	char bytes[512];
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		Scene s = begin("input.ids.npy");
		put_file(&s, bytes, npy(bytes, good[i].version, good[i].dict, data, good[i].n));
		if (load(&s))
			test_fail(__FILE__, __LINE__, "%s", printed_error);
		const graft_tensor *t = graft_tensors_get(s.t, "input.ids");
		CHECK(t);
		CHECK_INT(t->dtype, good[i].dtype);
		CHECK(!good[i].n || memcmp(t->data, data, good[i].n) == 0);
		CHECK(!t->rank || t->stride[0] == good[i].stride0);
		end(&s);
	}
}

TEST(npy_that_is_not_plain_is_refused)
{
	static const struct { const char *dict, *error; } bad[] = {
		{ "{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", "big endian" },
		{ "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", "Python objects" },
		{ "{'descr': '|V1', 'fortran_order': False, 'shape': (8,)}", "which 8-bit float" },
		{ "{'descr': '<u2', 'fortran_order': False, 'shape': (4,)}",
		  "the .npy type '<u2' is none that graft has" },
		{ "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", "structured types are not read" },
		{ "{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (1,)}", "structured types are not read" },
		{ "{'descr': '', 'fortran_order': False, 'shape': (2,)}", "the .npy type ''" },
		{ "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "wanted True or False, found \"0, 'shape'" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2)}",
		  "the shape of one axis must be a tuple, written (2,)" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", "wanted a size" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}", "wanted ',' or ')'" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "wanted a size" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': [2]}", "the shape, a tuple" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
		  "a size beyond 64 bits" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8)}",
		  "more elements than memory can hold" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "make 12 bytes, but 8 follow" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "make 4 bytes, but 8 follow" },
		{ "{'descr': '<f4', 'fortran_order': False}", "not all are there" },
		{ "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "found 'descr' again" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", "found 'x'" },
		{ "{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}", "wanted ',' or '}'" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} evil()",
		  "wanted nothing more, found \"evil()\"" },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", "found its end" },
		{ "{'descr': '<f4", "a short text in quotes" },
		{ "", "wanted a dict, found its end" },
	};
	char bytes[512];
	Scene s = begin("x.npy");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		put_file(&s, bytes, npy(bytes, 1, bad[i].dict, "01234567", 8));
		graft_status status = load(&s);
		CHECK_HAS(printed_error, bad[i].error);
		CHECK_INT(status, GRAFT_E_DATA);
	}
	put_file(&s, bytes, npy(bytes, 4, "{}", "", 0));
	CHECK_INT(load(&s), GRAFT_E_DATA);
	CHECK_HAS(printed_error, "found version 4");
	memset(bytes, 0xff, sizeof bytes);
	memcpy(bytes, "\x93NUMPY\x02\x00", 8);
	put_file(&s, bytes, 40);
	CHECK_INT(load(&s), GRAFT_E_DATA);
	CHECK_HAS(printed_error, "an .npy header of 4294967295 bytes");
	end(&s);
}

TEST(npy_is_written_as_numpy_does)
{
	static const int64_t shape[] = { 2, 3 }, stride[] = { 3, 1 };
	static const float f32[] = { 1, 2, 3, 4, 5, 6 };
	char bytes[512], want[512];
	Scene s = begin("y.npy");
	set(&s, "y", GRAFT_DTYPE_f32, 2, shape, stride, f32);
	CHECK_INT(graft_tensors_save(s.t, s.file, NULL), GRAFT_OK);
	size_t n = npy(want, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
	                        "                                                          \n", f32, sizeof f32);
	CHECK_INT(read_back(&s, bytes, sizeof bytes), n);
	CHECK_INT(n, 128 + sizeof f32);
	CHECK(memcmp(bytes, want, n) == 0);
	set(&s, "y", GRAFT_DTYPE_bf16, 1, shape, stride + 1, f32);
	CHECK_INT(graft_tensors_save(s.t, s.file, NULL), GRAFT_OK);
	read_back(&s, bytes, sizeof bytes);
	CHECK(memcmp(bytes + 10, "{'descr': '<V2', 'fortran_order': False, 'shape': (2,), } ", 58) == 0);
	set(&s, "z", GRAFT_DTYPE_bf16, 1, shape, stride + 1, f32);
	graft_error err;
	CHECK_INT(graft_tensors_save(s.t, s.file, &err), GRAFT_E_USAGE);
	CHECK_HAS(err.message, "holds one tensor, and there are 2");
	end(&s);
}

/* ---- collections ---- */

TEST(tensors_are_replaced_by_name)
{
	static const float a[] = { 1 }, b[] = { 2 };
	char names[200][16];
	const char *name;
	Scene s = begin("unused");
	for (int i = 0; i < 200; i++) {
		snprintf(names[i], sizeof names[i], "t%d", i);
		set(&s, names[i], GRAFT_DTYPE_f32, 0, NULL, NULL, a);
	}
	const graft_tensor *t7 = graft_tensors_get(s.t, "t7");
	set(&s, "t7", GRAFT_DTYPE_f32, 0, NULL, NULL, b);
	CHECK(t7 == graft_tensors_get(s.t, "t7"));
	CHECK(t7->data == b);
	for (int i = 0; i < 200; i++) {
		CHECK(graft_tensors_at(s.t, (size_t)i, &name) == graft_tensors_get(s.t, names[i]));
		CHECK_STR(name, names[i]);
	}
	CHECK(!graft_tensors_at(s.t, 200, NULL));
	CHECK(!graft_tensors_get(s.t, "t200"));
	end(&s);
}

TEST(tensors_that_cannot_be_are_refused)
{
	static const int64_t ok[] = { 2 }, negative[] = { -1 }, huge[] = { INT64_MAX, 4 }, hidden[] = { 0, INT64_MAX };
	static const struct { const char *name; graft_tensor t; const char *error; } bad[] = {
		{ "", { NULL, NULL, NULL, 0, 0 }, "must not be empty" },
		{ "x", { (void *)(uintptr_t)ok, ok, ok, 1, GRAFT_DTYPE_COUNT }, "which is none" },
		{ "x", { (void *)(uintptr_t)ok, ok, ok, 1, -1 }, "which is none" },
		{ "x", { (void *)(uintptr_t)ok, ok, ok, 1, GRAFT_DTYPE_c64 }, "is c64, which graft neither reads nor writes" },
		{ "x", { (void *)(uintptr_t)ok, ok, ok, -1, GRAFT_DTYPE_f32 }, "the rank -1" },
		{ "x", { (void *)(uintptr_t)ok, ok, ok, 65, GRAFT_DTYPE_f32 }, "the rank 65" },
		{ "x", { (void *)(uintptr_t)ok, NULL, ok, 1, GRAFT_DTYPE_f32 }, "no shape" },
		{ "x", { NULL, ok, ok, 1, GRAFT_DTYPE_f32 }, "no data" },
		{ "x", { (void *)(uintptr_t)ok, negative, ok, 1, GRAFT_DTYPE_f32 }, "negative size" },
		{ "x", { (void *)(uintptr_t)ok, huge, huge, 2, GRAFT_DTYPE_f32 }, "more elements than memory" },
		{ "x", { (void *)(uintptr_t)ok, hidden, hidden, 2, GRAFT_DTYPE_f64 }, "more elements than memory" },
	};
	graft_error err;
	Scene s = begin("unused");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK_INT(graft_tensors_set(s.t, bad[i].name, &bad[i].t, &err), GRAFT_E_USAGE);
		CHECK_HAS(err.message, bad[i].error);
	}
	CHECK(!graft_tensors_at(s.t, 0, NULL));
	CHECK_INT(graft_tensors_save(s.t, "out.npz", &err), GRAFT_E_USAGE);
	CHECK_INT(graft_tensors_load(s.t, "in.npz", &err), GRAFT_E_UNSUPPORTED);
	CHECK_INT(graft_tensors_load(s.t, "no such file", &err), GRAFT_E_IO);
	end(&s);
}

/* ---- no memory ---- */

/* Loads, sets and saves with the n-th allocation failing; what failed must have changed nothing. */
static graft_status attempt(const Scene *s, Shortage *m, long n)
{
	static const int64_t one[] = { 1 };
	graft_context *ctx;
	graft_tensors *t;
	graft_status status;
	*m = (Shortage){ .fail_at = n };
	if ((status = graft_context_new(&(graft_allocator){ shortage_resize, m }, &ctx, NULL)))
		return status;
	status = graft_tensors_new(ctx, &t, NULL);
	if (!status) {
		if (!(status = graft_tensors_load(t, s->file, NULL)))
			status = graft_tensors_set(t, "y", &(graft_tensor){ (void *)(uintptr_t)one, one, one, 1,
			                                                    GRAFT_DTYPE_i64 }, NULL);
		else
			CHECK(!graft_tensors_at(t, 0, NULL));
		if (!status)
			status = graft_tensors_save(t, s->file, NULL);
		CHECK(status || graft_tensors_at(t, 1, NULL));
		graft_tensors_free(t);
	}
	graft_context_free(ctx);
	return status;
}

TEST(tensors_survive_every_failed_allocation)
{
	char bytes[256];
	Shortage m;
	long n = 0;
	Scene s = begin("w.safetensors");
	put_file(&s, bytes, safetensors(bytes, ENTRY("[2]", "F32", "0", "8"), 8));
	while (attempt(&s, &m, ++n) == GRAFT_E_NOMEM)
		CHECK(m.count >= n);
	CHECK(n > 5);
	CHECK(m.count < n);
	end(&s);
}
