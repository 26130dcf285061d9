/* json.c - strict JSON, native graphs from and to JSON, files. */
#include "test.h"
#include "../../src/io/io.h"
#include <cjson/cJSON.h>
#include <float.h>
#include <math.h>
#include <signal.h>
#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- helpers ---- */

static void *use_malloc(void *user, void *ptr, size_t old_size, size_t new_size)
{
	(void)user, (void)old_size;
	if (new_size)
		return realloc(ptr, new_size);
	free(ptr);
	return NULL;
}

static const graft_allocator plain = { use_malloc, NULL };

typedef struct Parsing { const char *text; size_t size; void (*look)(Json root, void *arg); void *arg; } Parsing;

static void parse_body(Job *job, void *arg)
{
	Parsing *p = arg;
	Json root = json_parse(&job->scratch, p->text, p->size, "t", GRAFT_E_CONFIG);
	if (p->look)
		p->look(root, p->arg);
}

/* "" when it is right, else the printed error. The text stands in memory of just its size, so that a byte too far is
 * seen. */
static const char *look_at(const char *text, size_t size, void (*look)(Json, void *), void *arg)
{
	static char printed[2048];
	graft_error err;
	char *exact = malloc(size ? size : 1);
	memcpy(exact, text, size);
	guarded(&plain, parse_body, &(Parsing){ exact, size, look, arg }, &err);
	free(exact);
	graft_error_print(&err, printed, sizeof printed);
	return err.status ? printed : "";
}

static const char *check_text(const char *text)
{
	return look_at(text, strlen(text), NULL, NULL);
}

/* ---- the text ---- */

TEST(json_takes_what_rfc_8259_allows)
{
	static const char *const good[] = {
		"{}", "[]", " \t\r\n[ ] ", "0", "-0", "-0.0e-0", "1E+2", "123.456e-7", "true", "false", "null", "\"\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\uD83D\\uDE00\"", "\"\x7f\"",
		"\"\xc2\x80 \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\"",
		"{\"a\": [1, {\"a\": 2}], \"b\": {\"a\": 3}, \"\": null}", "1.7976931348623157e308", "1e-400",
		"123456789012345678901234567890123456789012345678901234567890123",
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		CHECK_STR(check_text(good[i]), "");
}

TEST(json_refuses_with_a_place)
{
	static const struct { const char *text, *error; } bad[] = {
		{ "", "t:1:1: $: wanted a value, found the end of the text" },
		{ "[1,\n 2", "t:2:3: $[1]: wanted ',' or ']', found the end of the text" },
		{ "[0123]", "t:1:2: $[0]: a number does not start with 0 and another digit" },
		{ "[-012]", "t:1:2: $[0]: a number does not start with 0 and another digit" },
		{ "[1.]", "t:1:4: $[0]: wanted a digit, found ']'" },
		{ "[.5]", "t:1:2: $[0]: wanted a value, found '.'" },
		{ "[+1]", "t:1:2: $[0]: wanted a value, found '+'" },
		{ "[1e]", "t:1:4: $[0]: wanted a digit, found ']'" },
		{ "[-]", "t:1:3: $[0]: wanted a digit, found ']'" },
		{ "[0x10]", "t:1:3: $[0]: wanted the end of a number, found 'x'" },
		{ "[1_000]", "t:1:3: $[0]: wanted the end of a number, found '_'" },
		{ "[1e400]", "t:1:2: $[0]: 1e400 is beyond what a float can hold" },
		{ "[-1e999]", "t:1:2: $[0]: -1e999 is beyond what a float can hold" },
		{ "1234567890123456789012345678901234567890123456789012345678901234",
		  "t:1:1: $: a number of 64 characters; at most 63 are read" },
		{ "[NaN]", "t:1:2: $[0]: NaN and Infinity are not JSON; write the strings \"nan\", \"inf\" or "
		  "\"-inf\"" },
		{ "[Infinity]", "t:1:2: $[0]: NaN and Infinity are not JSON; write the strings \"nan\", \"inf\" or "
		  "\"-inf\"" },
		{ "[-Infinity]", "t:1:3: $[0]: wanted a digit, found 'I'" },
		{ "[nul]", "t:1:2: $[0]: wanted a value (strings stand in double quotes; the words are true, false and "
		  "null), found 'n'" },
		{ "truer", "t:1:1: $: wanted a value (strings stand in double quotes; the words are true, false and "
		  "null), found 't'" },
		{ "['a']", "t:1:2: $[0]: wanted a value, found '''" },
		{ "[1,]", "t:1:4: $[1]: wanted a value, found ']': the comma before it is one too many" },
		{ "{\"a\": 1,}", "t:1:9: $: wanted a key in double quotes, found '}'" },
		{ "{a: 1}", "t:1:2: $: wanted a key in double quotes, found 'a'" },
		{ "{\"a\" 1}", "t:1:6: $.a: wanted ':' after a key, found '1'" },
		{ "{\"a\": 1 \"b\": 2}", "t:1:9: $.a: wanted ',' or '}', found '\"'" },
		{ "[1 2]", "t:1:4: $[0]: wanted ',' or ']', found '2'" },
		{ "[1}", "t:1:3: $[0]: wanted ',' or ']', found '}'" },
		{ "{} {}", "t:1:4: $: wanted nothing more after the end of the document, found '{'" },
		{ "1 ]", "t:1:3: $: wanted nothing more after the end of the document, found ']'" },
		{ "// no\n1", "t:1:1: $: JSON has no comments" },
		{ "\xef\xbb\xbf{}", "t:1:1: $: a byte order mark; save the file as plain UTF-8" },
		{ "{\"a\": [\"x", "t:1:8: $.a[0]: a string without an end" },
		{ "[\"a\nb\"]", "t:1:4: $[0]: the control character 0x0a in a string; write \\u000a" },
		{ "[\"\x1f\"]", "t:1:3: $[0]: the control character 0x1f in a string; write \\u001f" },
		{ "{\"k\": \"a\\u0000b\"}", "t:1:9: $.k: \\u0000 in a string; none here may hold NUL" },
		{ "[\"\\ud800\"]", "t:1:3: $[0]: \\ud800 is half of a surrogate pair, without the other half" },
		{ "[\"\\ud800\\ud800\"]", "t:1:3: $[0]: \\ud800 is half of a surrogate pair, without the other half" },
		{ "[\"\\udc00x\"]", "t:1:3: $[0]: \\udc00 is half of a surrogate pair, without the other half" },
		{ "[\"\\u12g4\"]", "t:1:7: $[0]: wanted four hexadecimal digits, found 'g'" },
		{ "[\"\\x41\"]", "t:1:4: $[0]: wanted one of \" \\ / b f n r t u after a backslash, found 'x'" },
		{ "[\"\x80\"]", "t:1:3: $[0]: the byte 0x80 is not UTF-8" },
		{ "[\"\xc0\xaf\"]", "t:1:3: $[0]: the byte 0xc0 is not UTF-8" },
		{ "[\"\xe0\x9f\xbf\"]", "t:1:3: $[0]: the bytes from 0xe0 on are not UTF-8" },
		{ "[\"\xed\xa0\x80\"]", "t:1:3: $[0]: the bytes from 0xed on are not UTF-8" },
		{ "[\"\xf0\x8f\xbf\xbf\"]", "t:1:3: $[0]: the bytes from 0xf0 on are not UTF-8" },
		{ "[\"\xf4\x90\x80\x80\"]", "t:1:3: $[0]: the bytes from 0xf4 on are not UTF-8" },
		{ "[\"\xf5\x80\x80\x80\"]", "t:1:3: $[0]: the byte 0xf5 is not UTF-8" },
		{ "[\"\xe2\x82\"]", "t:1:3: $[0]: the bytes from 0xe2 on are not UTF-8" },
		{ "{\"a\": 1, \"b\": {\"c\": 1,\n\"c\": 2}}",
		  "t:2:1: $.b: the key 'c' stands here for the second time in one object" },
		{ "{\"a\": 1, \"\\u0061\": 2}",
		  "t:1:10: $: the key 'a' stands here for the second time in one object" },
		{ "{\"x y\": [0, {\"\\\"\": tru}]}",
		  "t:1:20: $[\"x y\"][1][\"\\\"\"]: wanted a value (strings stand in double quotes; the words are "
		  "true, false and null), found 't'" },
		{ "[\x01]", "t:1:2: $[0]: wanted a value, found the byte 0x01" },
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_STR(check_text(bad[i].text), bad[i].error);
	CHECK_STR(look_at("[0,\0 1]", 7, NULL, NULL), "t:1:4: $[1]: wanted a value, found the byte 0x00");
	CHECK_STR(look_at("[\"a\0\"]", 6, NULL, NULL),
	          "t:1:4: $[0]: the control character 0x00 in a string; write \\u0000");
}

TEST(json_depth_ends_at_128)
{
	char text[2 * (JSON_DEPTH + 1) + 1] = "";
	for (int extra = 0; extra < 2; extra++) {
		int n = JSON_DEPTH + extra;
		memset(text, '[', (size_t)n);
		memset(text + n, ']', (size_t)n);
		text[2 * n] = 0;
		if (extra)
			CHECK_HAS(check_text(text), "nested deeper than 128 levels");
		else
			CHECK_STR(check_text(text), "");
	}
	char *deep = malloc(1000000);
	memset(deep, '[', 1000000);
	CHECK_HAS(look_at(deep, 1000000, NULL, NULL), "t:1:129: ");
	free(deep);
}

/* Comparing each key with each would take minutes. */
TEST(json_finds_a_key_twice_among_many)
{
	enum { N = 100000 };
	char *text = malloc(N * 16 + 32), *p = text;
	*p++ = '{';
	for (int i = 0; i < N; i++)
		p += sprintf(p, "\"k%d\":%d,", i, i);
	strcpy(p, "\"z\":0}");
	CHECK_STR(check_text(text), "");
	strcpy(p, "\"k777\":0}");
	CHECK_HAS(check_text(text), "the key 'k777' stands here for the second time");
	free(text);
}

/* ---- values ---- */

static void look_ints(Json root, void *arg)
{
	int64_t *out = arg;
	for (Json e = json_first(root, JSON_ARRAY); json_there(e); e = json_next(e))
		*out++ = json_int(e, INT64_MIN, INT64_MAX);
}

TEST(json_integers_are_exact)
{
	static const int64_t want[] = { INT64_MAX, INT64_MIN, 9007199254740993, -9007199254740993, 0, 0,
	                                INT64_MAX - 1 };
	static const char text[] = "[9223372036854775807, -9223372036854775808, 9007199254740993, -9007199254740993, "
		"0, -0, 9223372036854775806]";
	int64_t got[7];
	CHECK_STR(look_at(text, strlen(text), look_ints, got), "");
	CHECK(memcmp(got, want, sizeof want) == 0);
	CHECK_STR(look_at("[9223372036854775808]", 21, look_ints, got),
	          "t:1:2: $[0]: 9223372036854775808 is beyond 64 bits");
	CHECK_STR(look_at("[-9223372036854775809]", 22, look_ints, got),
	          "t:1:2: $[0]: -9223372036854775809 is beyond 64 bits");
	CHECK_STR(look_at("[1.0]", 5, look_ints, got), "t:1:2: $[0]: wanted an integer, found a float");
	CHECK_STR(look_at("[1e2]", 5, look_ints, got), "t:1:2: $[0]: wanted an integer, found a float");
	CHECK_STR(look_at("[\"1\"]", 5, look_ints, got), "t:1:2: $[0]: wanted an integer, found a string");
}

static void look_floats(Json root, void *arg)
{
	double *out = arg;
	for (Json e = json_first(root, JSON_ARRAY); json_there(e); e = json_next(e))
		*out++ = json_f64(e);
}

TEST(json_floats_are_rounded_correctly)
{
	static const double want[] = { 0.1, 1e-06, DBL_MAX, DBL_MIN, 4.9406564584124654e-324,
	                               -3.3895313892515355e+38, 1e23, 9007199254740992.0, 9223372036854775807.0, 0.0,
	                               2.2250738585072011e-308 };
	static const char text[] = "[0.1, 1e-06, 1.7976931348623157e308, 2.2250738585072014e-308, "
		"4.9406564584124654e-324,"
	                           "-3.3895313892515355e+38, 1e23, 9007199254740993, 9223372036854775807, 1e-400, "
	                           "2.2250738585072011e-308]";
	double got[11];
	CHECK_STR(look_at(text, strlen(text), look_floats, got), "");
	CHECK(memcmp(got, want, sizeof want) == 0);
	CHECK_STR(look_at("[-0.0]", 6, look_floats, got), "");
	CHECK(signbit(got[0]));
	CHECK_STR(look_at("[true]", 6, look_floats, got), "t:1:2: $[0]: wanted a number, found a boolean");
}

static void look_members(Json root, void *arg)
{
	(void)arg;
	static const char *const keys[] = { "name", "list", "on", "\xc3\xa9", "none" };
	static const char *const words[] = { "one", "two" };
	json_keys(root, keys, 5);
	CHECK_STR(json_string(json_need(root, "name")), "a\"\\/\b\f\n\r\t\x01\xf0\x9f\x98\x80 \xe2\x82\xac");
	CHECK_INT(json_count(json_need(root, "list")), 3);
	CHECK_INT(json_word(json_next(json_first(json_need(root, "list"), JSON_ARRAY)), words, 2), 1);
	CHECK(json_bool(json_need(root, "on")));
	CHECK(!json_there(json_get(root, "ON")));
	CHECK(!json_there(json_get(root, "nam")));
	CHECK_INT(json_int(json_need(root, "\xc3\xa9"), 0, 7), 7);
	CHECK_INT(json_kind(json_need(root, "none")), JSON_NULL);
	json_int(json_need(root, "\xc3\xa9"), 0, 6);
}

TEST(json_members_are_found_by_their_exact_key)
{
	static const char text[] = "{\"name\": \"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\uD83D\\uDE00 \xe2\x82\xac\",\n"
	                           "\"list\": [\"one\", \"two\", []], \"on\": true, \"\\u00e9\" : 7, \"none\": null}";
	CHECK_STR(look_at(text, strlen(text), look_members, NULL),
	          "t:2:52: $[\"\\u00e9\"]: wanted an integer from 0 to 6, found 7");
	CHECK_STR(look_at("{\"list\": 1,\n  \"nome\": 2}", 24, look_members, NULL),
	          "t:2:3: $.nome: no such key: 'nome'; the keys are name, list, on, \xc3\xa9, none");
	CHECK_STR(look_at("[{}]", 4, look_members, NULL), "t:1:1: $: wanted an object, found an array");
}

static void look_missing(Json root, void *arg)
{
	json_need(json_first(root, JSON_ARRAY), arg);
}

TEST(json_names_a_missing_key)
{
	CHECK_STR(look_at(" [{\"a\": 1}]", 11, look_missing, "b"), "t:1:3: $[0]: the key \"b\" is missing");
}

/* ---- graphs ---- */

static char printed_error[2048];

/* NULL, and the printed error in printed_error, when it is not a graph. */
static graft_graph *parse_graph(graft_context *ctx, const char *text, size_t size)
{
	graft_graph *g = NULL;
	graft_error err;
	char *exact = malloc(size ? size : 1);
	memcpy(exact, text, size);
	graft_status status = graft_graph_parse(ctx, exact, size, "g.json", &g, &err);
	free(exact);
	graft_error_print(&err, printed_error, sizeof printed_error);
	CHECK_INT(status, err.status);
	CHECK(!status == !!g);
	if (status)
		CHECK(err.message[0]);
	return g;
}

static graft_context *new_context(void)
{
	graft_context *ctx;
	CHECK_INT(graft_context_new(NULL, &ctx, NULL), GRAFT_OK);
	return ctx;
}

typedef struct Collected { char *text; size_t size; } Collected;

static bool collect(void *user, const char *text, size_t size)
{
	Collected *c = user;
	c->text = realloc(c->text, c->size + size + 1);
	memcpy(c->text + c->size, text, size);
	c->size += size;
	c->text[c->size] = 0;
	return true;
}

static Collected print_graph(graft_graph *g, graft_format format)
{
	Collected c = { NULL, 0 };
	CHECK_INT(graft_graph_print(g, format, collect, &c, NULL), GRAFT_OK);
	return c;
}

static const char canonical[] =
	"{\n"
	"\"graft\": 1,\n"
	"\"name\": \"every \\\"form\\\"\",\n"
	"\"weights\": \"w/x.safetensors\",\n"
	"\"symbols\": {\"T\": [1, 65536], \"S\": [0, null], \"B\": [1, 9223372036854775806]},\n"
	"\"inputs\": [\n"
	"{\"name\": \"h\", \"dtype\": \"bf16\", \"shape\": [\"T\", 8]},\n"
	"{\"name\": \"odd \\u0001 name \xc3\xa9\", \"dtype\": \"f32\", \"shape\": [\"2*T + 1\"]},\n"
	"{\"name\": \"c\", \"dtype\": \"f64\", \"shape\": []}\n"
	"],\n"
	"\"params\": [\n"
	"{\"name\": \"w\", \"dtype\": \"bf16\", \"shape\": [6]}\n"
	"],\n"
	"\"nodes\": [\n"
	"{\"op\": \"split\", \"in\": [\"h\"], \"out\": [\"q\", \"r\"], \"attrs\": {\"sizes\": [6, 2]}},\n"
	"{\"op\": \"rms_norm\", \"in\": [\"q\", \"w\"], \"out\": [\"n\"], \"attrs\": {\"eps\": 1e-06, \"round\": "
	"\"early\"}, \"origin\": [\"layers.0\", \"b\"]},\n"
	"{\"op\": \"rms_norm\", \"in\": [\"q\", null], \"out\": [\"m\"], \"attrs\": {\"eps\": \"inf\"}},\n"
	"{\"op\": \"add\", \"in\": [\"n\", 1], \"out\": [\"a1\"]},\n"
	"{\"op\": \"add\", \"in\": [\"a1\", 1.0], \"out\": [\"a2\"]},\n"
	"{\"op\": \"mul\", \"in\": [\"a2\", 9223372036854775807], \"out\": [\"a3\"]},\n"
	"{\"op\": \"pow\", \"in\": [\"a3\", true], \"out\": [\"a4\"]},\n"
	"{\"op\": \"add\", \"in\": [\"c\", {\"literal\": \"-inf\"}], \"out\": [\"a5\"]},\n"
	"{\"op\": \"add\", \"in\": [\"a5\", -0.0], \"out\": [\"a6\"]},\n"
	"{\"op\": \"add\", \"in\": [\"a6\", 1e+22], \"out\": [\"a7\"]},\n"
	"{\"op\": \"slice\", \"in\": [\"h\"], \"out\": [\"s1\"], \"attrs\": {\"axis\": 0, \"end\": "
	"9223372036854775806}},\n"
	"{\"op\": \"narrow\", \"in\": [\"h\"], \"out\": [\"s2\"], \"attrs\": {\"axis\": 1, \"start\": 0, \"length\": "
	"4}},\n"
	"{\"op\": \"reshape\", \"in\": [\"h\"], \"out\": [\"s3\"], \"attrs\": {\"shape\": [-1]}},\n"
	"{\"op\": \"mean\", \"in\": [\"h\"], \"out\": [\"s4\"], \"attrs\": {\"axes\": [0, -1], \"keepdim\": true, "
	"\"dtype\": \"f32\"}},\n"
	"{\"op\": \"constant\", \"in\": [], \"out\": [\"k\"], \"attrs\": {\"dtype\": \"f32\", \"shape\": [3], "
	"\"values\": [1, 2.5, {\"literal\": \"nan\"}]}},\n"
	"{\"op\": \"assert_tensor_metadata\", \"in\": [\"h\"], \"out\": [], \"attrs\": {\"dtype\": \"bf16\"}},\n"
	"{\"op\": \"my::op\", \"in\": [null, \"h\", {\"literal\": \"nan\"}, false], \"out\": [\"u\", \"v\"], "
	"\"attrs\": {\"z\": [1, -2.5, \"s\", [null, {\"literal\": \"inf\"}, []]], \"a\": -9223372036854775808, "
	"\"inf\": \"inf\"}, \"types\": [{\"dtype\": \"f8e4m3fn\", \"shape\": [\"S\", 0]}, {\"dtype\": \"bool\", "
	"\"shape\": []}]}\n"
	"],\n"
	"\"outputs\": [\"n\", {\"name\": \"logits\", \"value\": \"a7\"}, {\"name\": \"again\", \"value\": \"n\"}]\n"
	"}\n";

TEST(canonical_json_is_written_back_byte_for_byte)
{
	graft_context *ctx = new_context();
	graft_graph *g = parse_graph(ctx, canonical, strlen(canonical));
	CHECK_STR(printed_error, "");
	Collected json = print_graph(g, GRAFT_FORMAT_JSON);
	CHECK_STR(json.text, canonical);
	CHECK_STR(graft_graph_name(g), "every \"form\"");
	CHECK_INT(graft_graph_count(g, "add"), 5);
	CHECK_INT(graft_graph_count(g, "my::op"), 1);

	/* through the notation and back it is the same graph */
	Collected text = print_graph(g, GRAFT_FORMAT_TEXT);
	graft_graph *h = parse_graph(ctx, text.text, text.size);
	CHECK_STR(printed_error, "");
	Collected again = print_graph(h, GRAFT_FORMAT_JSON);
	CHECK_STR(again.text, canonical);
	free(json.text), free(text.text), free(again.text);
	graft_graph_free(g);
	graft_graph_free(h);
	graft_context_free(ctx);
}

TEST(any_json_becomes_canonical)
{
	static const char loose[] =
		"  {\"outputs\":[{\"value\":\"y\",\"name\":\"y\"}],\"nod\\u0065s\":[ {\"out\":[\"y\"],"
		"\"types\":[{\"shape\":[2],\"dtype\":\"f32\"}],"
		"\"attrs\":{\"axis\":-1,\"dtype\":null},\"in\":[\"x\"],\"op\":\"softmax\"},{\"op\":\"rms_norm\","
		"\"in\":[\"x\"],\"out\":[\"n\"],"
		"\"attrs\":{\"eps\":1,\"round\":\"late\"},\"origin\":[]}],\"graft\":1,"
		"\"inputs\":[{\"shape\":[2],\"dtype\":\"f32\",\"name\":\"\\u0078\"}]}";
	static const char tight[] =
		"{\n\"graft\": 1,\n\"name\": \"graph\",\n\"inputs\": [\n"
		"{\"name\": \"x\", \"dtype\": \"f32\", \"shape\": [2]}\n],\n\"params\": [],\n"
		"\"nodes\": [\n{\"op\": \"softmax\", \"in\": [\"x\"], \"out\": [\"y\"]},\n"
		"{\"op\": \"rms_norm\", \"in\": [\"x\"], \"out\": [\"n\"], \"attrs\": {\"eps\": 1.0}}\n],\n"
		"\"outputs\": [\"y\"]\n}\n";
	graft_context *ctx = new_context();
	graft_graph *g = parse_graph(ctx, loose, strlen(loose));
	CHECK_STR(printed_error, "");
	Collected json = print_graph(g, GRAFT_FORMAT_JSON);
	CHECK_STR(json.text, tight);
	free(json.text);
	graft_graph_free(g);
	graft_context_free(ctx);
}

/* A document around one node, one input x f32[2, 4], one symbol T. */
#define NODE(text) "{\"graft\": 1, \"symbols\": {\"T\": [1, 9]}, \"inputs\": [{\"name\": \"x\", \"dtype\": \"f32\", " \
	"\"shape\": [2, 4]}],\n"                                                                                      \
                   "\"nodes\": [\n" text "],\n\"outputs\": [\"x\"]}"

TEST(graphs_are_refused_with_a_place)
{
	static const struct { const char *text, *error; } bad[] = {
		{ "{}", "g.json:1:1: $: the key \"graft\" is missing; it holds the version of the format, 1" },
		{ "{\"graft\": 2}", "g.json:1:11: $.graft: version 2 of the format; this graft reads version 1" },
		{ "{\"graft\": \"1\"}", "g.json:1:11: $.graft: wanted an integer, found a string" },
		{ "{\"graft\": 1, \"node\": []}",
		  "g.json:1:14: $.node: no such key: 'node'; the keys are graft, name, weights, symbols, inputs, "
		  "params, nodes, outputs" },
		{ "{\"graft\": 1, \"name\": 3}", "g.json:1:22: $.name: wanted a string, found an integer" },
		{ "{\"graft\": 1, \"name\": \"\"}", "g.json:1:22: $.name: a graph's name must not be empty" },
		{ "{\"graft\": 1, \"weights\": \"\"}",
		  "g.json:1:25: $.weights: the name of the weights' file must not be empty" },
		{ "{\"graft\": 1, \"symbols\": {\"T\": [1]}}",
		  "g.json:1:31: $.symbols.T: wanted [least, largest], null as largest for no bound; found 1 elements" },
		{ "{\"graft\": 1, \"symbols\": {\"T\": [1.0, 4]}}",
		  "g.json:1:32: $.symbols.T[0]: wanted an integer, found a float" },
		{ "{\"graft\": 1, \"symbols\": {\"T\": [5, 4]}}",
		  "g.json:1:31: $.symbols.T: symbol T has the empty range [5, 4]" },
		{ "{\"graft\": 1, \"symbols\": {\"2T\": [1, 4]}}",
		  "g.json:1:32: $.symbols.2T: '2T' cannot name a symbol: wanted letters, digits and _, no digit "
		  "first" },
		{ "{\"graft\": 1, \"inputs\": {}}", "g.json:1:24: $.inputs: wanted an array, found an object" },
		{ "{\"graft\": 1, \"inputs\": [{\"name\": \"x\", \"dtype\": \"f32\"}]}",
		  "g.json:1:25: $.inputs[0]: the key \"shape\" is missing" },
		{ "{\"graft\": 1, \"inputs\": [{\"name\": \"x\", \"dtype\": \"float\", \"shape\": []}]}",
		  "g.json:1:48: $.inputs[0].dtype: wanted one of bool, u8, i8, i16, i32, i64, f16, bf16, f32, f64, "
		  "f8e4m3fn, f8e4m3fnuz, f8e5m2, u16, u32, u64, f8e5m2fnuz, f8e8m0fnu, c32, c64, c128; found 'float'" },
		{ "{\"graft\": 1, \"inputs\": [{\"name\": \"x\", \"dtype\": \"f32\", \"shape\": [-2]}]}",
		  "g.json:1:65: $.inputs[0].shape[0]: wanted an integer from 0 to 9223372036854775807, found -2" },
		{ "{\"graft\": 1, \"inputs\": [{\"name\": \"x\", \"dtype\": \"f32\", \"shape\": [2.0]}]}",
		  "g.json:1:65: $.inputs[0].shape[0]: wanted a size (an integer, or an expression in quotes like \"2*T "
		  "+ 1\"), found a float" },
		{ "{\"graft\": 1, \"inputs\": [{\"name\": \"\", \"dtype\": \"f32\", \"shape\": []}]}",
		  "g.json:1:34: $.inputs[0].name: a value's name must not be empty" },
		{ NODE("{\"op\": \"neg\", \"in\": [\"x\"], \"out\": [\"x\"]}"),
		  "g.json:3:1: $.nodes[0]: 'x' is defined twice; every value needs a name of its own" },
		{ NODE("{\"op\": \"neg\", \"in\": [\"x\"], \"out\": [\"kv_a\"]},\n"
		       "{\"op\": \"neg\", \"in\": [\"kva\"], \"out\": [\"y\"]}"),
		  "g.json:4:22: $.nodes[1].in[0]: no value named 'kva' is defined before this; did you mean 'kv_a'?" },
		{ NODE("{\"op\": \"neg\", \"in\": [\"far away\"], \"out\": [\"y\"]}"),
		  "g.json:3:22: $.nodes[0].in[0]: no value named 'far away' is defined before this" },
		{ NODE("{\"op\": \"neg\", \"in\": [[]], \"out\": [\"y\"]}"),
		  "g.json:3:22: $.nodes[0].in[0]: wanted a value's name, a number, true, false or null; found an "
		  "array" },
		{ NODE("{\"op\": \"neg\", \"in\": [9223372036854775808], \"out\": [\"y\"]}"),
		  "g.json:3:22: $.nodes[0].in[0]: 9223372036854775808 is beyond 64 bits" },
		{ NODE("{\"op\": \"neg\", \"in\": [{\"literal\": \"infinity\"}], \"out\": [\"y\"]}"),
		  "g.json:3:34: $.nodes[0].in[0].literal: wanted one of inf, -inf, nan; found 'infinity'" },
		{ NODE("{\"op\": \"neg\", \"in\": [{\"value\": \"x\"}], \"out\": [\"y\"]}"),
		  "g.json:3:23: $.nodes[0].in[0].value: no such key: 'value'; the keys are literal" },
		{ NODE("{\"op\": \"rmsnorm\", \"in\": [\"x\"], \"out\": [\"y\"]}"),
		  "g.json:3:8: $.nodes[0].op: no such op: 'rmsnorm'; did you mean 'rms_norm'? (a node of an op that "
		  "graft does not know needs \"types\")" },
		{ NODE("{\"in\": [\"x\"], \"out\": [\"y\"]}"), "g.json:3:1: $.nodes[0]: the key \"op\" is missing" },
		{ NODE("{\"op\": \"neg\", \"inputs\": [\"x\"]}"),
		  "g.json:3:15: $.nodes[0].inputs: no such key: 'inputs'; the keys are op, in, out, attrs, types, "
		  "origin" },
		{ NODE("{\"op\": \"rms_norm\", \"in\": [\"x\"], \"out\": [\"y\"], \"attrs\": {\n\"epsilon\": 1}}"),
		  "g.json:4:1: $.nodes[0].attrs.epsilon: no such key: 'epsilon'; the keys are eps, round" },
		{ NODE("{\"op\": \"neg\", \"in\": [\"x\"], \"out\": [\"y\"], \"attrs\": {\"a\": 1}}"),
		  "g.json:3:52: $.nodes[0].attrs.a: no such attribute: 'a'; neg has none" },
		{ NODE("{\"op\": \"rms_norm\", \"in\": [\"x\"], \"out\": [\"y\"], \"attrs\": {\"eps\": null}}"),
		  "g.json:3:64: $.nodes[0].attrs.eps: wanted a number, found null" },
		{ NODE("{\"op\": \"rms_norm\", \"in\": [\"x\"], \"out\": [\"y\"], \"attrs\": {\"eps\": \"1\"}}"),
		  "g.json:3:64: $.nodes[0].attrs.eps: wanted one of inf, -inf, nan; found '1'" },
		{ NODE("{\"op\": \"rms_norm\", \"in\": [\"x\"], \"out\": [\"y\"], \"attrs\": {\"eps\": 1, \"round\": "
		       "\"lat\"}}"),
		  "g.json:3:76: $.nodes[0].attrs.round: wanted one of late|early; found 'lat'" },
		{ NODE("{\"op\": \"mean\", \"in\": [\"x\"], \"out\": [\"y\"], \"attrs\": {\"axes\": [1, 1.5]}}"),
		  "g.json:3:65: $.nodes[0].attrs.axes[1]: wanted an integer, found a float" },
		{ NODE("{\"op\": \"mean\", \"in\": [\"x\"], \"out\": [\"y\"], \"attrs\": {\"keepdim\": 1}}"),
		  "g.json:3:64: $.nodes[0].attrs.keepdim: wanted a boolean, found an integer" },
		{ NODE("{\"op\": \"split\", \"in\": [\"x\"], \"out\": [\"y\"], \"attrs\": {\"sizes\": [\"T +\"]}}"),
		  "$.nodes[0].attrs.sizes[0]: " },
		{ NODE("{\"op\": \"split\", \"in\": [\"x\"], \"out\": [\"y\"], \"attrs\": {\"sizes\": [\"U\"]}}"),
		  "$.nodes[0].attrs.sizes[0]: " },
		{ NODE("{\"op\": \"split\", \"in\": [\"x\"], \"out\": [\"y\"], \"attrs\": {\"sizes\": [\"T T\"]}}"),
		  "$.nodes[0].attrs.sizes[0]: " },
		{ NODE("{\"op\": \"split\",\n \"in\": [\"x\"], \"out\": [\"y\", \"z\"], \"attrs\": {\"sizes\": [2, "
		       "3]}}"), "g.json:3:1: $.nodes[0]: " },
		{ NODE("{\"op\": \"neg\", \"in\": [\"x\"], \"out\": [\"y\"], \"types\": [{\"dtype\": \"f32\", "
		       "\"shape\": [4, 2]}]}"),
		  "g.json:3:1: $.nodes[0]: the graph says f32[4, 2], but neg gives f32[2, 4]" },
		{ NODE("{\"op\": \"my\", \"in\": [\"x\"], \"out\": [\"y\", \"z\"], \"types\": [{\"dtype\": \"f32\", "
		       "\"shape\": [4, 2]}]}"),
		  "g.json:3:55: $.nodes[0].types: wanted one type for each of 2 results, found 1" },
		{ NODE("{\"op\": \"my\", \"types\": [], \"attrs\": {\"a\": [{\"b\": 1}]}}"),
		  "g.json:3:44: $.nodes[0].attrs.a[0].b: no such key: 'b'; the keys are literal" },
		{ NODE("{\"op\": \"my\", \"types\": [], \"attrs\": {\"\": 1}}"),
		  "g.json:3:37: $.nodes[0].attrs[\"\"]: an attribute's name must not be empty" },
		{ "{\"graft\": 1, \"outputs\": [\"y\"]}",
		  "g.json:1:26: $.outputs[0]: no value named 'y' is defined before this" },
		{ "{\"graft\": 1, \"outputs\": [{\"name\": \"y\"}]}",
		  "g.json:1:26: $.outputs[0]: the key \"value\" is missing" },
		{ " \n", "g.json:1:1: the text is empty; wanted a graph, as JSON or in the notation" },
	};
	graft_context *ctx = new_context();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		graft_graph *g = parse_graph(ctx, bad[i].text, strlen(bad[i].text));
		size_t n = strlen(bad[i].error);
		if (bad[i].error[n - 1] == ' ')
			CHECK_HAS(printed_error, bad[i].error);
		else
			CHECK_STR(printed_error, bad[i].error);
		CHECK(!g);
	}
	graft_context_free(ctx);
}

TEST(outputs_have_one_name_each)
{
	graft_context *ctx = new_context();
	static const char text[] = "{\"graft\": 1, \"inputs\": [{\"name\": \"x\", \"dtype\": \"f32\", \"shape\": "
		"[]}],\n\"outputs\": [\"x\", \"x\"]}";
	CHECK(!parse_graph(ctx, text, strlen(text)));
	CHECK_STR(printed_error, "g.json:2:18: $.outputs[1]: there are two graph outputs called 'x'");
	graft_context_free(ctx);
}

TEST(lists_nest_64_deep)
{
	char text[512];
	graft_context *ctx = new_context();
	for (int depth = 64; depth <= 65; depth++) {
		int n = sprintf(text, "{\"graft\": 1, \"nodes\": [{\"op\": \"my\", \"types\": [], \"attrs\": {\"a\": ");
		memset(text + n, '[', (size_t)depth);
		memset(text + n + depth, ']', (size_t)depth);
		strcpy(text + n + 2 * depth, "}}]}");
		graft_graph *g = parse_graph(ctx, text, strlen(text));
		CHECK(!g == (depth == 65));
		CHECK_HAS(printed_error, g ? "" : "lists nested deeper than 64 levels");
		graft_graph_free(g);
	}
	graft_context_free(ctx);
}

/* ---- files that were damaged ---- */

static const char small[] =
	"{\"graft\": 1, \"symbols\": {\"T\": [1, null]}, \"inputs\": [{\"name\": \"\\u0078\", \"dtype\": \"f32\", "
	"\"shape\": [\"2*T\", 4]}],\n"
	"\"nodes\": [{\"op\": \"pow\", \"in\": [\"x\", -1.5e+0], \"out\": [\"\xc3\xa9\"]}, {\"op\": \"u_\", \"in\": "
	"[null, true], \"attrs\": {\"a\": [[]]},\n"
	"\"types\": []}, {\"op\": \"sum\", \"in\": [\"x\"], \"out\": [\"s\"], \"attrs\": {\"axes\": [-1]}}], "
	"\"outputs\": [\"x\"]}";

static void survive(graft_context *ctx, const char *text, size_t size)
{
	graft_graph *g = parse_graph(ctx, text, size);
	if (!g && !strchr(printed_error, ':'))
		test_fail(__FILE__, __LINE__, "an error without a place: %s", printed_error);
	if (g)
		CHECK_INT(graft_graph_verify(g, NULL), GRAFT_OK);
	graft_graph_free(g);
}

TEST(json_cut_anywhere_is_refused)
{
	graft_context *ctx = new_context();
	for (size_t n = 0; n < strlen(small); n++) {
		CHECK(!parse_graph(ctx, small, n));
		CHECK_HAS(printed_error, "g.json:");
	}
	for (size_t n = 0; n < strlen(canonical) - 1; n += 3)
		CHECK(!parse_graph(ctx, canonical, n));
	graft_context_free(ctx);
}

TEST(json_with_any_byte_changed_never_crashes)
{
	graft_context *ctx = new_context();
	char text[sizeof small];
	memcpy(text, small, sizeof small);
	for (size_t i = 0; i < strlen(small); i++) {
		for (int by = 1; by < 256; by += i % 8 ? 7 : 1) {
			text[i] = (char)(small[i] ^ by);
			survive(ctx, text, strlen(small));
		}
		text[i] = small[i];
	}
	graft_context_free(ctx);
}

TEST(json_with_bytes_dropped_or_doubled_never_crashes)
{
	graft_context *ctx = new_context();
	char text[sizeof canonical + 1];
	size_t n = strlen(canonical);
	for (size_t i = 0; i < n; i++) {
		memcpy(text, canonical, i);
		memcpy(text + i, canonical + i + 1, n - i - 1);
		survive(ctx, text, n - 1);
		memcpy(text, canonical, i + 1);
		memcpy(text + i + 1, canonical + i, n - i);
		survive(ctx, text, n + 1);
	}
	graft_context_free(ctx);
}

/* ---- size ---- */

static size_t tree_bytes, tree_peak;

static void *counted_malloc(size_t size)
{
	size_t *p = malloc(size + 16);
	*p = size;
	tree_bytes += size;
	tree_peak = tree_bytes > tree_peak ? tree_bytes : tree_peak;
	return p + 2;
}

static void counted_free(void *ptr)
{
	if (!ptr)
		return;
	tree_bytes -= ((size_t *)ptr)[-2];
	free((size_t *)ptr - 2);
}

typedef struct Meter { size_t now, peak; } Meter;

static void *metered(void *user, void *ptr, size_t old_size, size_t new_size)
{
	Meter *m = user;
	m->now += new_size - old_size;
	m->peak = m->now > m->peak ? m->now : m->peak;
	return use_malloc(NULL, ptr, old_size, new_size);
}

TEST(memory_follows_the_file)
{
	enum { N = 20000 };
	Meter meter = { 0, 0 };
	graft_context *ctx;
	graft_error err;
	graft_graph *g;
	char *text = malloc(N * 80 + 400), *p = text;
	CHECK_INT(graft_context_new(&(graft_allocator){ metered, &meter }, &ctx, NULL), GRAFT_OK);
	p += sprintf(p, "{\"graft\": 1, \"inputs\": [{\"name\": \"n0\", \"dtype\": \"f32\", \"shape\": "
	             "[4]}],\"nodes\": [\n");
	for (int i = 0; i < N; i++)
		p += sprintf(p, "%s{\"op\": \"add\", \"in\": [\"n%d\", \"n%d\"], \"out\": [\"n%d\"]}", i ? ",\n" : "",
		             i, i / 2, i + 1);
	p += sprintf(p, "],\"outputs\": [\"n%d\"]}", N);
	cJSON_InitHooks(&(cJSON_Hooks){ counted_malloc, counted_free });
	tree_peak = 0;
	graft_status status = graft_graph_parse(ctx, text, (size_t)(p - text), "big", &g, &err);
	cJSON_InitHooks(NULL);
	CHECK_INT(status, GRAFT_OK);
	CHECK(tree_peak < 4096);
	CHECK(meter.peak + tree_peak < 11 * (size_t)(p - text));
	CHECK_INT(graft_graph_count(g, NULL), N);
	graft_graph_free(g);
	graft_context_free(ctx);
	CHECK_INT(meter.now, 0);
	free(text);
}

/* ---- files ---- */

typedef struct Folder { char path[256], file[300]; } Folder;

static Folder make_folder(void)
{
	Folder f;
	snprintf(f.path, sizeof f.path, "%s/graft-XXXXXX", P_tmpdir);
	CHECK(mkdtemp(f.path));
	snprintf(f.file, sizeof f.file, "%s/g.json", f.path);
	return f;
}

static int count_files(const Folder *f)
{
	int n = 0;
	DIR *d = opendir(f->path);
	for (const struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

TEST(a_file_is_saved_whole_or_not_at_all)
{
	graft_context *ctx = new_context();
	graft_error err;
	Folder f = make_folder();
	graft_graph *g = parse_graph(ctx, canonical, strlen(canonical)), *h;
	CHECK_INT(graft_graph_save(g, f.file, GRAFT_FORMAT_AUTO, &err), GRAFT_OK);
	CHECK_INT(graft_graph_load(ctx, f.file, &h, &err), GRAFT_OK);
	Collected json = print_graph(h, GRAFT_FORMAT_JSON);
	CHECK_STR(json.text, canonical);
	graft_graph_free(h);

	struct rlimit old, few = { 200, 200 };
	getrlimit(RLIMIT_FSIZE, &old);
	few.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &few);
	graft_status status = graft_graph_save(g, f.file, GRAFT_FORMAT_JSON, &err);
	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_DFL);
	CHECK_INT(status, GRAFT_E_IO);
	CHECK_STR(err.file, f.file);
	CHECK_INT(count_files(&f), 1);
	CHECK_INT(graft_graph_load(ctx, f.file, &h, &err), GRAFT_OK);
	graft_graph_free(h);
	graft_graph_free(g);
	free(json.text);
	unlink(f.file);
	rmdir(f.path);
	graft_context_free(ctx);
}

TEST(saving_keeps_links_modes_and_devices)
{
	graft_context *ctx = new_context();
	graft_error err;
	Folder f = make_folder();
	char link[320];
	graft_graph *g = parse_graph(ctx, small, strlen(small));
	snprintf(link, sizeof link, "%s/link.json", f.path);
	CHECK_INT(graft_graph_save(g, f.file, GRAFT_FORMAT_AUTO, &err), GRAFT_OK);
	CHECK(symlink("g.json", link) == 0);
	CHECK_INT(graft_graph_save(g, link, GRAFT_FORMAT_AUTO, &err), GRAFT_OK);
	CHECK(readlink(link, (char[8]){ 0 }, 8) > 0);
	CHECK_INT(count_files(&f), 2);
	CHECK_INT(graft_graph_save(g, "/dev/null", GRAFT_FORMAT_JSON, &err), GRAFT_OK);
	CHECK_INT(graft_graph_save(g, "/dev/full", GRAFT_FORMAT_JSON, &err), GRAFT_E_IO);
	CHECK_INT(graft_graph_save(g, f.path, GRAFT_FORMAT_JSON, &err), GRAFT_E_IO);
	CHECK_HAS(err.message, "directory");
	CHECK_INT(graft_graph_save(g, "nowhere/at/all.json", GRAFT_FORMAT_AUTO, &err), GRAFT_E_IO);
	CHECK_INT(graft_graph_save(g, "g.onnx", GRAFT_FORMAT_AUTO, &err), GRAFT_E_USAGE);
	CHECK_HAS(err.message, ".json, .graft, .dot or .pt2");
	graft_graph_free(g);
	unlink(link);
	unlink(f.file);
	rmdir(f.path);
	graft_context_free(ctx);
}

static long trees_made, tree_that_fails;

static void *failing_malloc(size_t size)
{
	return ++trees_made == tree_that_fails ? NULL : malloc(size);
}

/* graft's own allocations are failed one by one in nomem.c; these are cJSON's. */
TEST(every_allocation_of_cjson_may_fail)
{
	graft_context *ctx = new_context();
	graft_graph *g = NULL;
	graft_status status = GRAFT_E_NOMEM;
	cJSON_InitHooks(&(cJSON_Hooks){ failing_malloc, free });
	for (tree_that_fails = 1; status == GRAFT_E_NOMEM; tree_that_fails++) {
		trees_made = 0;
		status = graft_graph_parse(ctx, canonical, strlen(canonical), "g", &g, NULL);
		CHECK(!status == !!g);
	}
	cJSON_InitHooks(NULL);
	CHECK_INT(status, GRAFT_OK);
	CHECK(trees_made > 100 && tree_that_fails == trees_made + 2);
	graft_graph_free(g);
	graft_context_free(ctx);
}

static bool stop(void *user, const char *text, size_t size)
{
	(void)user, (void)text, (void)size;
	return false;
}

TEST(files_that_cannot_be_read_or_written_are_io_errors)
{
	graft_context *ctx = new_context();
	graft_error err;
	graft_graph *g = NULL;
	CHECK_INT(graft_graph_load(ctx, "no/such.json", &g, &err), GRAFT_E_IO);
	CHECK_STR(err.file, "no/such.json");
	CHECK_HAS(err.message, "No such file");
	CHECK_INT(graft_graph_load(ctx, ".", &g, &err), GRAFT_E_IO);
	CHECK_HAS(err.message, "directory");
	CHECK_INT(graft_graph_load(ctx, "/dev/null", &g, &err), GRAFT_E_SYNTAX);
	CHECK(!g);
	g = parse_graph(ctx, small, strlen(small));
	CHECK_INT(graft_graph_print(g, GRAFT_FORMAT_JSON, stop, NULL, &err), GRAFT_E_IO);
	CHECK_INT(graft_graph_print(g, GRAFT_FORMAT_AUTO, stop, NULL, &err), GRAFT_E_USAGE);
	graft_graph_free(g);
	graft_context_free(ctx);
}

/* ---- the schema ---- */

/* An object of the format: where a document holds one (%s), and its required members. */
typedef struct Form { const char *def, *around; const char *member[4]; } Form;

static const Form forms[] = {
	{ NULL, "%s", { "\"graft\": 1" } },
	{ "value", "{\"graft\": 1, \"params\": [%s]}", { "\"name\": \"p\"", "\"dtype\": \"f32\"", "\"shape\": []" } },
	{ "type", "{\"graft\": 1, \"nodes\": [{\"op\": \"my\", \"out\": [\"y\"], \"types\": [%s]}]}",
	  { "\"dtype\": \"f32\"", "\"shape\": []" } },
	{ "literal", "{\"graft\": 1, \"nodes\": [{\"op\": \"my\", \"in\": [%s], \"types\": []}]}",
	  { "\"literal\": \"nan\"" } },
	{ "node", "{\"graft\": 1, \"inputs\": [{\"name\": \"x\", \"dtype\": \"f32\", \"shape\": []}], \"nodes\": [%s]}",
	  { "\"op\": \"arange\"" } },
	{ "output", "{\"graft\": 1, \"inputs\": [{\"name\": \"x\", \"dtype\": \"f32\", \"shape\": []}], \"outputs\": "
	  "[%s]}",
	  { "\"name\": \"y\"", "\"value\": \"x\"" } },
};

/* The error of a document whose object has the required members, without the one numbered `without`, and `more`. */
static void try_form(const Form *form, int without, const char *more)
{
	char object[512] = "{", document[1024];
	for (int i = 0; i < 4 && form->member[i]; i++)
		if (i != without)
			snprintf(object + strlen(object), sizeof object - strlen(object), "%s%s", object[1] ? ", " : "",
			         form->member[i]);
	snprintf(object + strlen(object), sizeof object - strlen(object), "%s%s}",
	         object[1] && *more ? ", " : "", more);
	snprintf(document, sizeof document, form->around, object);
	graft_context *ctx = new_context();
	graft_graph_free(parse_graph(ctx, document, strlen(document)));
	graft_context_free(ctx);
}

static void check_form(const Form *form, Json schema)
{
	char keys[512] = "", wanted[600], first[64];
	for (Json m = json_first(json_need(schema, "properties"), JSON_OBJECT); json_there(m); m = json_next(m))
		snprintf(keys + strlen(keys), sizeof keys - strlen(keys), "%s%s", *keys ? ", " : "", json_key(m));
	snprintf(wanted, sizeof wanted, "no such key: 'zzz'; the keys are %s", keys);
	try_form(form, -1, "\"zzz\": 0");
	CHECK_HAS(printed_error, wanted);
	CHECK_INT(json_bool(json_need(schema, "additionalProperties")), false);
	int n = 0;
	for (Json r = json_first(json_need(schema, "required"), JSON_ARRAY); json_there(r); r = json_next(r), n++) {
		snprintf(first, sizeof first, "\"%s\": ", json_string(r));
		CHECK_HAS(form->member[n], first);
		snprintf(wanted, sizeof wanted, "the key \"%s\" is missing", json_string(r));
		try_form(form, n, "");
		CHECK_HAS(printed_error, wanted);
	}
	CHECK(!form->member[n]);
}

static void check_schema(Json root, void *arg)
{
	(void)arg;
	Json defs = json_need(root, "$defs");
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		check_form(&forms[i], forms[i].def ? json_need(defs, forms[i].def) : root);
	int d = 0;
	for (Json e = json_first(json_need(json_need(defs, "dtype"), "enum"),
	                         JSON_ARRAY); json_there(e); e = json_next(e), d++) {
		d += d == GRAFT_DTYPE_COUNT;
		CHECK_STR(json_string(e), graft_dtype_name((graft_dtype)d));
	}
	CHECK_INT(d, GRAFT_DTYPE_END);
	CHECK_INT(json_int(json_need(json_need(defs, "shape"), "maxItems"), 0, INT64_MAX), GRAFT_MAX_RANK);
}

/* Tests run at the top of the tree. The text is the caller's to free. */
static char *read_page(const char *path)
{
	FILE *f = fopen(path, "r");
	CHECK(f);
	char *text = calloc(1, 1 << 17);
	CHECK(fread(text, 1, (1 << 17) - 1, f) > 0 && feof(f));
	fclose(f);
	return text;
}

TEST(the_schema_has_the_readers_keys)
{
	char *text = read_page("docs/graft.schema.json");
	CHECK_STR(look_at(text, strlen(text), check_schema, NULL), "");
	free(text);
}

TEST(the_example_of_the_docs_is_canonical)
{
	char *page = read_page("docs/format.md"), *example = strstr(page, "```json\n") + 8;
	*strstr(example, "```") = 0;
	graft_context *ctx = new_context();
	graft_graph *g = parse_graph(ctx, example, strlen(example));
	CHECK_STR(printed_error, "");
	Collected json = print_graph(g, GRAFT_FORMAT_JSON);
	CHECK_STR(json.text, example);
	free(json.text);
	graft_graph_free(g);
	graft_context_free(ctx);
	free(page);
}
