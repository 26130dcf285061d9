/* torch_words.c - the small words of a torch.export file: unions, names, numbers of dtypes. */
#include "torch.h"
#include <string.h>

static const char *const tag_names[] = {
#define TAG(name) #name,
	TORCH_TAGS(TAG)
#undef TAG
};

static const uint8_t tag_sizes[] = {
#define TAG(name) sizeof #name - 1,
	TORCH_TAGS(TAG)
#undef TAG
};

TorchUnion torch_union(Json v)
{
	JsonList l = json_list(v, JSON_OBJECT);
	if (!json_more(&l))
		json_fail(v, GRAFT_E_GRAPH, "wanted an object with one member, \"as_...\", found an empty one");
	TorchUnion u = { TAG_other, l.here };
	for (size_t i = 0; i < sizeof tag_names / sizeof *tag_names && u.tag == TAG_other; i++)
		if (l.key_size == tag_sizes[i] + 3u && !memcmp(l.key, "as_", 3) &&
		    !memcmp(l.key + 3, tag_names[i], tag_sizes[i]))
			u.tag = (TorchTag)i;
	if (json_more(&l))
		json_fail(l.here, GRAFT_E_GRAPH, "wanted an object with one member, \"as_...\", found more");
	return u;
}

const char *torch_tag_name(TorchTag tag)
{
	return tag < TAG_other ? tag_names[tag] : "something that this version does not know";
}

size_t torch_name_size(const char *place)
{
	return (size_t)(json_skip_string(place) - place) - 2;
}

bool torch_name_is(const char *place, const char *name)
{
	size_t n = strlen(name);
	return !memcmp(place, "\"", 1) && !strncmp(place + 1, name, n) && place[1 + n] == '"';
}

const char *torch_name_at(Json v)
{
	if (json_kind(v) != JSON_STRING)
		json_fail(v, GRAFT_E_GRAPH, "wanted a name, found %s", json_kind_name(json_kind(v)));
	size_t n = torch_name_size(v.at);
	if (!n || memchr(v.at + 1, '\\', n))
		json_fail(v, GRAFT_E_GRAPH, "a name must not be empty or hold escapes");
	return v.at;
}

/* The numbers of torch's schema, not those of its C++ enum. */
static const struct { int number; graft_dtype dtype; } dtypes[] = {
	{ 1, GRAFT_DTYPE_u8 }, { 2, GRAFT_DTYPE_i8 }, { 3, GRAFT_DTYPE_i16 }, { 4, GRAFT_DTYPE_i32 },
	{ 5, GRAFT_DTYPE_i64 }, { 6, GRAFT_DTYPE_f16 }, { 7, GRAFT_DTYPE_f32 }, { 8, GRAFT_DTYPE_f64 },
	{ 9, GRAFT_DTYPE_c32 }, { 10, GRAFT_DTYPE_c64 }, { 11, GRAFT_DTYPE_c128 }, { 12, GRAFT_DTYPE_bool },
	{ 13, GRAFT_DTYPE_bf16 }, { 28, GRAFT_DTYPE_u16 }, { 29, GRAFT_DTYPE_f8e4m3fn }, { 30, GRAFT_DTYPE_f8e5m2 },
	{ 31, GRAFT_DTYPE_f8e4m3fnuz }, { 32, GRAFT_DTYPE_f8e5m2fnuz }, { 33, GRAFT_DTYPE_f8e8m0fnu },
	{ 34, GRAFT_DTYPE_u32 }, { 35, GRAFT_DTYPE_u64 },
};

static const char *const kept_names[] = {
#define X(name, bytes, torch) [GRAFT_DTYPE_##name - GRAFT_DTYPE_COUNT] = torch,
	GRAFT_KEPT_DTYPE_MAP(X)
#undef X
};

const char *torch_kept_name(graft_dtype d)
{
	return dtype_is_kept(d) ? kept_names[d - GRAFT_DTYPE_COUNT] : NULL;
}

enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

graft_dtype torch_dtype(Json v)
{
	int64_t number = json_int(v, INT64_MIN, INT64_MAX);
	for (size_t i = 0; i < N_DTYPES; i++)
		if (dtypes[i].number == number)
			return dtypes[i].dtype;
	json_fail(v, GRAFT_E_GRAPH, "%lld is not the number of a dtype", (long long)number);
}

int torch_dtype_number(graft_dtype d)
{
	for (size_t i = 0; i < N_DTYPES; i++)
		if (dtypes[i].dtype == d)
			return dtypes[i].number;
	return 0;
}

bool torch_is_identifier(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(s[i] == '_' || (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
		      (i && s[i] >= '0' && s[i] <= '9')))
			return false;
	return n;
}
