/* torch_read_back.c - does what was written hang together? Looked at in the text itself, with nothing known of the graph it
 * came from: every name is in tensor_values or the tables of sizes and is made once, by an input or a node before; what
 * outputs, signature and module signatures name is there; what graft spelled is JSON, and what PyTorch's schema wants.
 *
 * Metadata, most of such a file, is not looked at, but for that of spelled nodes.
 */
#include "torch_schema.h"
#include "torch_scope.h"
#include <string.h>

typedef struct Back {
	const TorchWritten *w;
	Arena *a;
	Scope names;                          /* `outer` of a name not NULL: it is made */
	TorchFault *fault;
	bool making;
} Back;

static void fault(Back *b, const char *place, const char *what)
{
	if (b->fault->why)
		return;
	b->fault->name = place;
	b->fault->why = arena_printf(b->a, "%s '%.*s'", what, (int)torch_name_size(place), place + 1);
}

static void add_entry(Back *b, const char *place, NameKind kind)
{
	Name name = { .s = place + 1, .n = torch_name_size(place), .kind = kind };
	if (!add_name(b->a, &b->names, &name))
		fault(b, place, "two things are called");
}

static void add_sizes(Back *b, Json table, NameKind kind)
{
	if (json_there(table))
		for (JsonList l = json_list(table, JSON_OBJECT); json_more(&l);)
			add_entry(b, l.key - 1, kind);
}

static void take_entries(Back *b)
{
	const TorchWritten *w = b->w;
	for (size_t i = 0; i < w->n_entries; i++)
		add_entry(b, w->entry[i], NAME_TENSOR);
	for (size_t i = 0; i < TORCH_SECTIONS; i++)
		add_sizes(b, w->sizes[i], (NameKind)(NAME_INT + i));
}

static void look(void *user, Json v)
{
	Back *b = user;
	if (!json_there(v))
		return;
	const char *place = torch_name_at(v);
	Name *name = b->names.n_names ? find_name(&b->names, place) : NULL;
	if (!name)
		fault(b, place, "nothing in tensor_values or the tables of sizes says what this is:");
	else if (b->making && name->outer)
		fault(b, place, "made twice:");
	else if (!b->making && !name->outer)
		fault(b, place, "named, but nothing before makes it:");
	else
		name->outer = name->s;
}

static void look_all(Back *b, Json union_, bool making)
{
	TorchUnion u = torch_union(union_);
	b->making = making;
	visit_tensors(u, b, look);
	visit_sizes(u, b, look);
}

static void look_list(Back *b, Json list, bool making)
{
	for (JsonList l = json_list(list, JSON_ARRAY); json_more(&l);)
		look_all(b, l.here, making);
}

/* Behind the list. */
static const char *look_inputs(Back *b, Json inputs)
{
	JsonList l = json_list(inputs, JSON_ARRAY);
	while (json_more(&l))
		look_all(b, json_member_need(l.here, "arg"), false);
	return l.next + 1;
}

/* Keys behind outputs are passed over without a look. */
static void look_node(Back *b, const TorchWrittenNode *n)
{
	Json outputs = { 0 };
	bool read = false;
	for (JsonList l = json_list(n->json, JSON_OBJECT); !(read && json_there(outputs)) && json_more(&l);) {
		if (json_key_is(&l, "outputs"))
			outputs = l.here;
		if (!json_key_is(&l, "inputs"))
			continue;
		l.next = look_inputs(b, l.here);
		read = true;
	}
	look_list(b, outputs, true);
}

/* {"user_output": {"arg": {"as_tensor": {"name"}}}}, {"buffer_mutation": {"arg": {"name"}, ...}}, ... */
static void look_spec(Back *b, Json spec)
{
	JsonList l = json_list(spec, JSON_OBJECT);
	Json arg = json_more(&l) && json_kind(l.here) == JSON_OBJECT ? json_member(l.here, "arg") : (Json){ 0 };
	if (!json_there(arg) || json_kind(arg) != JSON_OBJECT)
		return;
	Json name = json_member(arg, "name");
	b->making = false;
	if (json_there(name))
		look(b, name);
	else
		look_all(b, arg, false);
}

static void look_call(Back *b, Json call)
{
	Json signature = json_kind(call) == JSON_OBJECT ? json_member(call, "signature") : (Json){ 0 };
	if (!json_there(signature) || json_kind(signature) != JSON_OBJECT)
		return;
	look_list(b, json_member_need(signature, "inputs"), false);
	look_list(b, json_member_need(signature, "outputs"), false);
}

static void look_spelled(Back *b, const TorchWrittenNode *n)
{
	const char *why = torch_schema_check_node(b->a, n->json);
	if (why && !b->fault->why)
		b->fault->why = why;
}

static void read_all(Back *b)
{
	const TorchWritten *w = b->w;
	take_entries(b);
	look_list(b, w->inputs, true);
	for (size_t i = 0; i < w->n_nodes && !b->fault->why; i++) {
		b->fault->node = i;
		look_node(b, &w->node[i]);
		if (w->node[i].spelled)
			look_spelled(b, &w->node[i]);
	}
	if (b->fault->why)
		return;
	b->fault->node = w->n_nodes;
	look_list(b, w->outputs, false);
	for (JsonList l = json_list(w->output_specs, JSON_ARRAY); json_more(&l);)
		look_spec(b, l.here);
	if (json_there(w->calls) && json_kind(w->calls) == JSON_ARRAY)
		for (JsonList l = json_list(w->calls, JSON_ARRAY); json_more(&l);)
			look_call(b, l.here);
}

static void scan(Job *job, const TorchWrittenNode *n)
{
	JsonText text = *n->json.text;
	text.arena = &job->scratch;
	json_scan(&text);
}

typedef struct Look { const TorchWritten *w; TorchFault *out; Arena *a; } Look;

/* What is wrong in a text of the caller's ends this job, not the caller's. */
static void body(Job *job, void *arg)
{
	Look *l = arg;
	l->a->job = job;
	for (size_t i = 0; i < l->w->n_nodes; i++)
		if (l->w->node[i].spelled)
			scan(job, &l->w->node[i]);
	Back b = { .w = l->w, .a = l->a, .fault = l->out };
	read_all(&b);
}

void torch_read_back(Job *job, const TorchWritten *w, TorchFault *out)
{
	graft_error err;
	Look l = { w, out, &job->scratch };
	graft_status status = guarded(job->scratch.mem, body, &l, &err);
	job->scratch.job = job;
	if (status == GRAFT_E_NOMEM)
		fail_again(job, &err);
	if (status && !out->why)
		out->why = arena_strdup(&job->scratch, err.message);
}
