/* torch_meta.c - what the metadata of a node that graft made says: what that of the nodes it stands for has in common,
 * or says together.
 *
 *   stack_trace       the different ones, one behind the other
 *   nn_module_stack   the nearest module that all of them are in:   a;b;c  and  a;b;d   ->   a;b
 *   source_fn_stack   the same
 *   torch_fn          when it is one
 *   from_node         theirs in one list
 *
 * All are strings, and stay as they are written, escapes and all.
 */
#include "torch_spell.h"
#include <string.h>

typedef struct Metas { Arena *arena; Json *v; size_t n; } Metas;

/* The metadata of a node, or of the node whose sub-graph it is in, when only that says its modules. */
static Json meta_of(const Torch *t, const SourceNode *s)
{
	Json first = { &t->text, NULL, NULL };
	for (; s; s = s->outer) {
		Json v = json_member((Json){ &t->text, s->text, NULL }, "metadata");
		if (!json_there(v) || json_kind(v) != JSON_OBJECT)
			continue;
		if (json_there(json_member(v, "nn_module_stack")))
			return v;
		first = json_there(first) ? first : v;
	}
	return first;
}

/* A string member without its quotes; n 0: not there, or none. */
static TorchWord member(Json meta, const char *key)
{
	Json v = json_member(meta, key);
	if (!json_there(v) || json_kind(v) != JSON_STRING)
		return (TorchWord){ "", 0 };
	return (TorchWord){ v.at + 1, torch_name_size(v.at) };
}

static bool same_word(TorchWord a, TorchWord b)
{
	return a.n == b.n && !memcmp(a.s, b.s, a.n);
}

/* As many of the entries between ';' as both begin with. */
static TorchWord common_entries(TorchWord a, TorchWord b)
{
	size_t common = 0;
	for (size_t i = 0; i <= a.n && i <= b.n; i++) {
		bool ends_a = i == a.n || a.s[i] == ';', ends_b = i == b.n || b.s[i] == ';';
		if (ends_a && ends_b)
			common = i;
		if (i == a.n || i == b.n || a.s[i] != b.s[i])
			break;
	}
	return (TorchWord){ a.s, common };
}

static TorchWord common_word(TorchWord a, TorchWord b)
{
	return same_word(a, b) ? a : (TorchWord){ "", 0 };
}

/* What those that have it agree on; n 0: nothing. */
static TorchWord agreed(const Metas *m, const char *key, TorchWord (*common)(TorchWord a, TorchWord b))
{
	TorchWord all = { "", 0 };
	bool any = false;
	for (size_t i = 0; i < m->n; i++) {
		TorchWord one = member(m->v[i], key);
		if (one.n)
			all = any ? common(all, one) : one;
		any = any || one.n;
	}
	return all;
}

static bool seen_before(const Metas *m, size_t i, const char *key)
{
	for (size_t k = 0; k < i; k++)
		if (same_word(member(m->v[k], key), member(m->v[i], key)))
			return true;
	return false;
}

/* The different ones; `cut` characters at each end are of the list they stand in. */
static TorchWord joined(const Metas *m, const char *key, size_t cut, const char *between)
{
	Text t = { .arena = m->arena };
	for (size_t i = 0; i < m->n; i++) {
		TorchWord w = member(m->v[i], key);
		if (w.n <= 2 * cut || seen_before(m, i, key))
			continue;
		text_puts(&t, t.size ? between : "");
		text_add(&t, w.s + cut, w.n - 2 * cut);
	}
	return (TorchWord){ t.size ? t.text : "", t.size };
}

/* "[{...}]" each; "null" is none. */
static TorchWord joined_lists(const Metas *m, const char *key)
{
	Metas lists = { m->arena, NEW_ARRAY(m->arena, m->n, Json), 0 };
	for (size_t i = 0; i < m->n; i++)
		if (*member(m->v[i], key).s == '[')
			lists.v[lists.n++] = m->v[i];
	TorchWord all = joined(&lists, key, 1, ", ");
	char *text = arena_printf(m->arena, "[%.*s]", (int)all.n, all.s);
	return (TorchWord){ text, all.n ? all.n + 2 : 0 };
}

static void put_member(Text *out, const char *key, TorchWord w, bool *any)
{
	if (!w.n)
		return;
	text_printf(out, "%s\"%s\": \"", *any ? ", " : "", key);
	text_add(out, w.s, w.n);
	text_puts(out, "\"");
	*any = true;
}

void torch_spell_metadata(Arena *scratch, const Torch *t, const SourceNode *const *from, size_t n, Text *out)
{
	Metas m = { scratch, NEW_ARRAY(scratch, n, Json), 0 };
	bool any = false;
	for (size_t i = 0; i < n; i++) {
		Json v = meta_of(t, from[i]);
		if (json_there(v))
			m.v[m.n++] = v;
	}
	text_puts(out, "{");
	put_member(out, "stack_trace", joined(&m, "stack_trace", 0, "\\n"), &any);
	put_member(out, "nn_module_stack", agreed(&m, "nn_module_stack", common_entries), &any);
	put_member(out, "source_fn_stack", agreed(&m, "source_fn_stack", common_entries), &any);
	put_member(out, "torch_fn", agreed(&m, "torch_fn", common_word), &any);
	put_member(out, "from_node", joined_lists(&m, "from_node"), &any);
	text_puts(out, "}");
}
