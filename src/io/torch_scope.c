/* torch_scope.c - see torch_scope.h. */
#include "torch_scope.h"
#include <string.h>

static uint64_t hash(const char *s, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
	return h ^ h >> 29;
}

Name *name_slot(const Scope *s, const char *name, size_t n)
{
	size_t i = hash(name, n) & (s->n_slots - 1);
	while (s->slot[i].s && (s->slot[i].n != n || memcmp(s->slot[i].s, name, n)))
		i = (i + 1) & (s->n_slots - 1);
	return &s->slot[i];
}

Name *find_name(const Scope *s, const char *place)
{
	Name *name = name_slot(s, place + 1, torch_name_size(place));
	return name->s ? name : NULL;
}

Name *need_name(const Scope *s, Json v)
{
	Name *name = find_name(s, torch_name_at(v));
	if (!name)
		json_fail(v, GRAFT_E_GRAPH, "nothing in tensor_values, sym_int_values, ... says what %.*s is",
		          (int)(torch_name_size(v.at) + 2), v.at);
	return name;
}

static void grow(Arena *a, Scope *s)
{
	Scope grown = { .n_slots = s->n_slots ? 2 * s->n_slots : 64 };
	grown.slot = NEW_ARRAY(a, grown.n_slots, Name);
	for (size_t i = 0; i < s->n_slots; i++)
		if (s->slot[i].s)
			*name_slot(&grown, s->slot[i].s, s->slot[i].n) = s->slot[i];
	s->slot = grown.slot;
	s->n_slots = grown.n_slots;
}

bool add_name(Arena *a, Scope *s, const Name *name)
{
	if (s->n_slots < 2 * (s->n_names + 1))
		grow(a, s);
	Name *slot = name_slot(s, name->s, name->n);
	if (slot->s)
		return false;
	*slot = *name;
	s->n_names++;
	return true;
}

static void add_names(Arena *a, Scope *s, Json object, NameKind kind)
{
	if (!json_there(object))
		return;
	for (JsonList l = json_list(object, JSON_OBJECT); json_more(&l);) {
		Name name = { .s = l.key, .n = l.key_size, .kind = kind, .meta = l.here };
		if (!l.key_size || memchr(l.key, '\\', l.key_size) || !add_name(a, s, &name))
			json_fail_key(l.here, GRAFT_E_GRAPH, "'%.*s' is empty, holds escapes or names two things",
			              (int)l.key_size, l.key);
	}
}

void take_members(Json object, const char *const *keys, Json *const *out, size_t n)
{
	for (JsonList l = json_list(object, JSON_OBJECT); json_more(&l);)
		for (size_t i = 0; i < n; i++)
			if (json_key_is(&l, keys[i]))
				*out[i] = l.here;
}

void need_members(Json object, const char *const *keys, Json *const *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!json_there(*out[i]))
			json_member_need(object, keys[i]);
}

enum { N_SECTIONS = 5, N_NEEDED = 4 };

void open_scope(Arena *a, Scope *s, Json graph, Scope *outer)
{
	static const char *const keys[] = { "tensor_values", "inputs", "outputs", "nodes", "sym_int_values",
	                                    "sym_bool_values", "sym_float_values", "custom_obj_values" };
	Json section[N_SECTIONS] = { { 0 } };
	*s = (Scope){ .outer = outer, .graph = graph };
	s->autocast = outer ? outer->autocast : (Autocast){ .dtype = GRAFT_DTYPE_COUNT };
	Json *const places[] = { &s->tensor_values, &s->inputs, &s->outputs, &s->nodes, &section[1], &section[2],
	                         &section[3], &section[4] };
	take_members(graph, keys, places, sizeof keys / sizeof *keys);
	need_members(graph, keys, places, N_NEEDED);
	section[0] = s->tensor_values;
	for (size_t i = 0; i < TORCH_SECTIONS; i++)
		s->sizes[i] = section[i + 1];
	grow(a, s);
	for (size_t i = 0; i < N_SECTIONS; i++)
		add_names(a, s, section[i], (NameKind)i);
}

/* ---- names in arguments and results ---- */

Json name_of(Json object)
{
	return json_member_need(object, "name");
}

static void visit_optional(Json v, void *user, Visit *visit)
{
	TorchUnion u = torch_union(v);
	visit(user, u.tag == TAG_tensor ? name_of(u.value) : (Json){ v.text, NULL, NULL });
}

bool visit_tensors(TorchUnion u, void *user, Visit *visit)
{
	switch (u.tag) {
	case TAG_tensor: visit(user, name_of(u.value)); return true;
	case TAG_optional_tensor: visit_optional(u.value, user, visit); return true;
	case TAG_tensors:
		for (JsonList l = json_list(u.value, JSON_ARRAY); json_more(&l);)
			visit(user, name_of(l.here));
		return true;
	case TAG_optional_tensors:
		for (JsonList l = json_list(u.value, JSON_ARRAY); json_more(&l);)
			visit_optional(l.here, user, visit);
		return true;
	case TAG_nested_tensors:
		for (JsonList l = json_list(u.value, JSON_ARRAY); json_more(&l);)
			for (JsonList in = json_list(l.here, JSON_ARRAY); json_more(&in);)
				visit(user, name_of(in.here));
		return true;
	case TAG_string_to_argument:
		for (JsonList l = json_list(u.value, JSON_OBJECT); json_more(&l);)
			visit_tensors(torch_union(l.here), user, visit);
		return false;
	default: return false;
	}
}

void visit_sizes(TorchUnion u, void *user, Visit *visit)
{
	bool list = u.tag == TAG_sym_ints || u.tag == TAG_sym_bools || u.tag == TAG_sym_floats;
	if (!list && u.tag != TAG_sym_int && u.tag != TAG_sym_bool && u.tag != TAG_sym_float)
		return;
	if (!list) {
		Json name = json_member(u.value, "as_name");
		if (json_there(name))
			visit(user, name);
		return;
	}
	for (JsonList l = json_list(u.value, JSON_ARRAY); json_more(&l);) {
		Json name = json_member(l.here, "as_name");
		if (json_there(name))
			visit(user, name);
	}
}
