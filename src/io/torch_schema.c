/* torch_schema.c - rows of torch_schemas.def taken apart, and nodes held against them. */
#include "torch_schema.h"
#include <assert.h>
#include <string.h>

static const struct { const char *target, *text, *flags; } rows[] = {
#define SCHEMA(target, text, flags) { target, text, flags },
#include "torch_schemas.def"
#undef SCHEMA
};

enum { N_ROWS = sizeof rows / sizeof *rows };

#define ANY_STORAGE (UINT32_C(1) << 26)       /* behind the letters */

/* ---- taking a row apart; it is ours, so what is wrong with it is asserted ---- */

typedef struct Cursor { Arena *arena; const char *s; } Cursor;
typedef struct ArgList { TorchSchemaArg *arg; uint32_t n; size_t cap; } ArgList;

static bool take(Cursor *c, const char *token)
{
	size_t n = strlen(token);
	if (strncmp(c->s, token, n))
		return false;
	c->s += n;
	return true;
}

static bool is_word(char c)
{
	return c == '_' || c == '.' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static const char *read_word(Cursor *c)
{
	const char *from = c->s;
	while (is_word(*c->s))
		c->s++;
	return arena_strndup(c->arena, from, (size_t)(c->s - from));
}

/* "(a!)", "(a|b)", "(a -> *)": the sets before and after an arrow are one here. */
static void read_storage(Cursor *c, TorchSchemaArg *arg)
{
	for (; *c->s != ')'; c->s++) {
		assert(*c->s && "a storage in torch_schemas.def ends");
		if (*c->s >= 'a' && *c->s <= 'z')
			arg->storage |= UINT32_C(1) << (*c->s - 'a');
		else if (*c->s == '*')
			arg->storage |= ANY_STORAGE;
		else if (*c->s == '!')
			arg->written = true;
	}
	c->s++;
}

static void read_type(Cursor *c, TorchSchemaArg *arg)
{
	Text t = { .arena = c->arena };
	const char *word = read_word(c);
	assert(*word && "a type in torch_schemas.def");
	text_puts(&t, word);
	for (;;) {
		size_t n = *c->s == '?' ? 1 : *c->s == '[' || !strcmp(t.text, "Dict") ? strcspn(c->s, "])") + 1 : 0;
		if (!n && take(c, "("))
			read_storage(c, arg);
		else if (n)
			text_add(&t, c->s, n);
		else
			break;
		c->s += n;
	}
	arg->type = t.text;
}

/* Up to the comma or bracket behind a default. */
static const char *read_default(Cursor *c)
{
	const char *from = c->s;
	bool quoted = false;
	for (int depth = 0; quoted || depth || !strchr(",)", *c->s); c->s++) {
		assert(*c->s && "a default in torch_schemas.def ends");
		if (quoted && *c->s == '\\')
			c->s++;
		else if (*c->s == '"')
			quoted = !quoted;
		else if (!quoted)
			depth += (*c->s == '[') - (*c->s == ']');
	}
	return arena_strndup(c->arena, from, (size_t)(c->s - from));
}

static TorchSchemaArg read_arg(Cursor *c)
{
	TorchSchemaArg arg = { .name = "" };
	read_type(c, &arg);
	if (take(c, " "))
		arg.name = read_word(c);
	if (take(c, "="))
		arg.fallback = read_default(c);
	return arg;
}

/* "(...)", at its bracket. */
static ArgList read_args(Cursor *c)
{
	ArgList list = { 0 };
	bool keyword = false;
	for (take(c, "("); !take(c, ")"); take(c, ", ")) {
		assert(*c->s && "a list in torch_schemas.def ends");
		if (take(c, "*")) {
			keyword = true;
			continue;
		}
		list.arg = arena_grow(c->arena, list.arg, list.n, &list.cap, sizeof *list.arg);
		list.arg[list.n] = read_arg(c);
		list.arg[list.n++].keyword = keyword;
	}
	return list;
}

static ArgList read_results(Cursor *c)
{
	bool arrow = take(c, " -> ");
	assert(arrow && "results in torch_schemas.def");
	(void)arrow;
	if (*c->s == '(')
		return read_args(c);
	ArgList one = { NEW(c->arena, TorchSchemaArg), 1, 1 };
	one.arg[0] = read_arg(c);
	return one;
}

static int find_row(const char *target)
{
	int low = 0, high = N_ROWS;
	while (low < high) {
		int mid = low + (high - low) / 2;
		if (strcmp(rows[mid].target, target) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < N_ROWS && !strcmp(rows[low].target, target) ? low : -1;
}

bool torch_schema(Arena *a, const char *target, TorchSchema *out)
{
	int i = find_row(target);
	if (i < 0)
		return false;
	Cursor c = { a, rows[i].text };
	ArgList args = read_args(&c), results = read_results(&c);
	assert(!*c.s && "a row of torch_schemas.def ends");
	const char *flags = rows[i].flags;
	*out = (TorchSchema){ .target = rows[i].target, .arg = args.arg, .n_args = args.n, .result = results.arg,
	                      .n_results = results.n, .random = strchr(flags, 'r'), .numbers = strchr(flags, 'n'),
	                      .unsaid = strchr(flags, 'm'), .resizes = strchr(flags, 'v'),
	                      .composite = strchr(flags, 'c') };
	return true;
}

const char *torch_schema_target(size_t i)
{
	return i < N_ROWS ? rows[i].target : NULL;
}

const TorchSchemaArg *torch_schema_arg(const TorchSchema *s, const char *name, size_t n)
{
	for (uint32_t i = 0; i < s->n_args; i++)
		if (strlen(s->arg[i].name) == n && !memcmp(s->arg[i].name, name, n))
			return &s->arg[i];
	return NULL;
}

/* ---- effects ---- */

static bool holds_tensors(const TorchSchemaArg *arg)
{
	return !strncmp(arg->type, "Tensor", 6) || !strncmp(arg->type, "Dict", 4) || !strcmp(arg->type, "Any");
}

/* Norms in training write their running statistics, and most of their schemas do not say so. */
static bool is_running(const TorchSchema *s, const TorchSchemaArg *arg)
{
	static const char *const only_read[] = { "_backward", "_no_training", "_no_update", "_functional" };
	if (strcmp(arg->name, "running_mean") && strcmp(arg->name, "running_var"))
		return false;
	for (size_t i = 0; i < sizeof only_read / sizeof *only_read; i++)
		if (strstr(s->target, only_read[i]))
			return false;
	return true;
}

bool torch_schema_writes(const TorchSchema *s, const TorchSchemaArg *arg)
{
	return arg->written || (holds_tensors(arg) && (s->unsaid || is_running(s, arg)));
}

/* _unsafe_view, unsafe_split: views that autograd is to take for copies. */
static bool is_unsafe(const TorchSchema *s)
{
	return strstr(s->target, "unsafe_");
}

bool torch_schema_shares(const TorchSchema *s, uint32_t result, const TorchSchemaArg *arg)
{
	const TorchSchemaArg *r = &s->result[result];
	if (!holds_tensors(r) || !holds_tensors(arg))
		return false;
	if (s->unsaid || is_unsafe(s) || (s->composite && !r->storage) || (r->storage & ANY_STORAGE))
		return true;
	return r->storage & arg->storage;
}

/* ---- kinds of arguments ---- */

#define BIT(tag) (UINT64_C(1) << TAG_##tag)
#define NUMBERS (BIT(int) | BIT(float) | BIT(bool) | BIT(sym_int) | BIT(sym_float) | BIT(sym_bool) | BIT(complex))

/* What a type takes alone, and in a list. Python counts bools among the integers, and integers among the floats. */
static const struct { const char *type; uint64_t one, list; } kinds[] = {
	{ "Device", BIT(device), 0 },
	{ "Layout", BIT(layout), 0 },
	{ "MemoryFormat", BIT(memory_format), 0 },
	{ "Scalar", NUMBERS, BIT(ints) | BIT(floats) | BIT(bools) | BIT(sym_ints) | BIT(sym_floats) },
	{ "ScalarType", BIT(scalar_type), 0 },
	{ "SymInt", BIT(int) | BIT(bool) | BIT(sym_int), BIT(ints) | BIT(sym_ints) },
	{ "Tensor", BIT(tensor) | BIT(optional_tensor), BIT(tensors) | BIT(optional_tensors) },
	{ "bool", BIT(bool) | BIT(sym_bool) | BIT(int), BIT(bools) | BIT(sym_bools) },
	{ "float", BIT(float) | BIT(int) | BIT(sym_float) | BIT(sym_int), BIT(floats) | BIT(ints) | BIT(sym_floats) },
	{ "int", BIT(int) | BIT(bool) | BIT(sym_int), BIT(ints) | BIT(sym_ints) },
	{ "str", BIT(string), BIT(strings) },
};

bool torch_schema_takes(const TorchSchema *s, const TorchSchemaArg *arg, TorchTag tag)
{
	const char *type = arg->type;
	size_t n = strcspn(type, "?["), size = strlen(type);
	const char *bracket = strchr(type, '[');
	if (tag == TAG_other || (tag == TAG_none && type[size - 1] == '?'))
		return true;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (strlen(kinds[i].type) != n || memcmp(kinds[i].type, type, n))
			continue;
		uint64_t bits = bracket ? kinds[i].list : kinds[i].one;
		if (bracket && bracket[1] != ']')     /* int[2]: one number does for all */
			bits |= kinds[i].one;
		if (s->numbers && !strcmp(type, "Tensor"))
			bits |= NUMBERS;
		if (bracket && !strcmp(bracket, "[][]"))
			bits = BIT(nested_tensors);
		return bits >> tag & 1;
	}
	return tag != TAG_none;
}

/* ---- a node against its schema ---- */

typedef struct Check { Arena *arena; const TorchSchema *schema; bool *given; } Check;

static const char *check_place(const Check *c, const TorchSchemaArg *arg, Json kind)
{
	if (!json_there(kind) || json_int(kind, INT64_MIN, INT64_MAX) != 1)
		return NULL;
	if (arg->keyword)
		return arena_printf(c->arena, "%s is given by place, and %s takes it by name only", arg->name,
		                    c->schema->target);
	for (uint32_t i = 0; &c->schema->arg[i] != arg; i++)
		if (!c->given[i])
			return arena_printf(c->arena, "%s is given by place, and %s in front of it is not given",
			                    arg->name, c->schema->arg[i].name);
	return NULL;
}

static const char *check_input(const Check *c, Json input)
{
	size_t n;
	const char *name = json_text(c->arena, json_member_need(input, "name"), &n);
	const TorchSchemaArg *arg = torch_schema_arg(c->schema, name, n);
	if (!arg)
		return arena_printf(c->arena, "%s has no argument '%.*s'", c->schema->target, (int)n, name);
	TorchUnion u = torch_union(json_member_need(input, "arg"));
	bool *given = &c->given[arg - c->schema->arg];
	if (*given)
		return arena_printf(c->arena, "%s is given twice", arg->name);
	*given = true;
	if (!torch_schema_takes(c->schema, arg, u.tag))
		return arena_printf(c->arena, "%s of %s is a %s, found as_%s", arg->name, c->schema->target, arg->type,
		                    torch_tag_name(u.tag));
	return check_place(c, arg, json_member(input, "kind"));
}

static const char *check_missing(const Check *c)
{
	for (uint32_t i = 0; i < c->schema->n_args; i++)
		if (!c->given[i] && !c->schema->arg[i].fallback)
			return arena_printf(c->arena, "%s needs the argument '%s'", c->schema->target,
			                    c->schema->arg[i].name);
	return NULL;
}

const char *torch_schema_check_node(Arena *a, Json node)
{
	static const char prefix[] = "torch.ops.";
	size_t n, skip = sizeof prefix - 1;
	TorchSchema schema;
	const char *target = json_text(a, json_member_need(node, "target"), &n);
	if (n < skip || memcmp(target, prefix, skip) ||
	    !torch_schema(a, arena_strndup(a, target + skip, n - skip), &schema))
		return NULL;
	Check c = { a, &schema, NEW_ARRAY(a, schema.n_args, bool) };
	for (JsonList l = json_list(json_member_need(node, "inputs"), JSON_ARRAY); json_more(&l);) {
		const char *why = check_input(&c, l.here);
		if (why)
			return why;
	}
	return check_missing(&c);
}
