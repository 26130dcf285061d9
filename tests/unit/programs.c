/* programs.c - random programs: numbers, tensors, and how a model.json says them. */
#include "programs.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- chance ---- */

uint32_t roll(Program *p, uint32_t n)
{
	uint64_t x = p->random += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)((x ^ x >> 31) >> 32) % n;
}

bool chance(Program *p, uint32_t in)
{
	return !roll(p, in);
}

/* ---- letters ---- */

void say(Letters *l, const char *fmt, ...)
{
	va_list ap;
	for (;;) {
		va_start(ap, fmt);
		int n = vsnprintf(l->s ? l->s + l->n : NULL, l->cap - l->n, fmt, ap);
		va_end(ap);
		if ((size_t)n < l->cap - l->n) {
			l->n += (size_t)n;
			return;
		}
		l->cap = 2 * (l->cap + (size_t)n + 256);
		l->s = realloc(l->s, l->cap);
	}
}

static const char *letters(const Letters *l)
{
	return l->s ? l->s : "";
}

/* ---- numbers ---- */

int64_t num_value(Num n)
{
	return n.a + n.s * SYMBOL_VALUE;
}

/* One of them is a number. */
Num num_times(Num a, Num b)
{
	return (Num){ a.a * b.a, a.a * b.s + a.s * b.a };
}

#define SYMBOL "Symbol('s77', positive=True, integer=True)"

static void say_num(Letters *l, Num n)
{
	if (!n.s)
		say(l, "{\"as_int\": %lld}", (long long)n.a);
	else if (!n.a && n.s == 1)
		say(l, "{\"as_expr\": {\"expr_str\": \"" SYMBOL "\", \"hint\": {\"as_int\": %lld}}}",
		    (long long)num_value(n));
	else if (!n.a)
		say(l, "{\"as_expr\": {\"expr_str\": \"Mul(Integer(%lld), " SYMBOL ")\", \"hint\": {\"as_int\": %lld}}}",
		    (long long)n.s, (long long)num_value(n));
	else
		say(l, "{\"as_expr\": {\"expr_str\": \"Add(Mul(Integer(%lld), " SYMBOL "), Integer(%lld))\", \"hint\": "
		    "{\"as_int\": %lld}}}", (long long)n.s, (long long)n.a, (long long)num_value(n));
}

static void say_nums(Letters *l, int n, const Num *num)
{
	say(l, "[");
	for (int i = 0; i < n; i++) {
		say(l, i ? ", " : "");
		say_num(l, num[i]);
	}
	say(l, "]");
}

/* ---- tensors ---- */

Num elements(const Tensor *t)
{
	Num n = num(1);
	for (int i = 0; i < t->rank; i++)
		n = num_times(n, t->size[i]);
	return n;
}

bool same_sizes(const Tensor *a, const Tensor *b)
{
	bool same = a->rank == b->rank;
	for (int i = 0; same && i < a->rank; i++)
		same = num_same(a->size[i], b->size[i]);
	return same;
}

bool is_contiguous(const Tensor *t)
{
	Num n = num(1);
	for (int i = t->rank; i-- > 0;) {
		if (!is_num(t->size[i], 1) && !num_same(t->stride[i], n))
			return false;
		n = num_times(n, t->size[i]);
	}
	return true;
}

void lay_out(Tensor *t)
{
	Num n = num(1);
	for (int i = t->rank; i-- > 0;) {
		t->stride[i] = n;
		n = num_times(n, t->size[i]);
	}
	t->offset = num(0);
	t->overlaps = t->frozen = false;
}

void lay_out_like(Tensor *t, const Tensor *x)
{
	int order[MAX_AXES] = { 0 };
	for (int i = 0; i < x->rank; i++) {
		int k = i;
		for (; k > 0 && num_value(x->stride[order[k - 1]]) < num_value(x->stride[i]); k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
	lay_out(t);
	Num n = num(1);
	for (int i = t->rank; i-- > 0 && !x->overlaps;) {
		t->stride[order[i]] = n;
		n = num_times(n, t->size[order[i]]);
	}
}

static void say_tensor(Letters *l, const Tensor *t)
{
	say(l, "\"%s\": {\"dtype\": %d, \"sizes\": ", t->name, t->dtype);
	say_nums(l, t->rank, t->size);
	say(l, ", \"requires_grad\": false, \"device\": {\"type\": \"cpu\", \"index\": null}, \"strides\": ");
	say_nums(l, t->rank, t->stride);
	say(l, ", \"storage_offset\": ");
	say_num(l, t->offset);
	say(l, ", \"layout\": 7}");
}

const Tensor *any(Program *p, bool (*fits)(const Tensor *t))
{
	const Room *r = p->room;
	for (int tries = 0; tries < 12 && r->n_tensors; tries++) {
		/* what was made last is read most */
		int n = chance(p, 2) && r->n_tensors > 8 ? 8 : r->n_tensors;
		const Tensor *t = &r->tensor[r->n_tensors - 1 - (int)roll(p, (uint32_t)n)];
		if (!fits || fits(t))
			return t;
	}
	return NULL;
}

static const Tensor *remember(Room *r, const Tensor *t)
{
	if (r->n_tensors == MAX_TENSORS)
		abort();
	r->tensor[r->n_tensors] = *t;
	return &r->tensor[r->n_tensors++];
}

const Tensor *input(Program *p, const char *kind, const char *stem, int dtype, int rank, const Num *size)
{
	Room *r = p->room;
	if (p->n_inputs == MAX_INPUTS || r->outer)
		abort();
	Tensor *t = &p->input[p->n_inputs];
	*t = (Tensor){ .dtype = dtype, .rank = rank };
	memcpy(t->size, size, (size_t)rank * sizeof *size);
	lay_out(t);
	t->frozen = !strcmp(kind, "parameter");
	snprintf(t->name, sizeof t->name, "%s_%d", stem, p->n_inputs);
	p->kind[p->n_inputs++] = kind;
	return remember(r, t);
}

/* ---- nodes ---- */

Tensor *result(Program *p, const Tensor *x)
{
	Tensor *t = &p->result[p->n_results++];
	*t = *x;
	lay_out_like(t, x);
	return t;
}

static void say_name(Letters *l, const Tensor *t)
{
	say(l, "{\"name\": \"%s\"}", t->name);
}

static const char *size_name(const Room *r, Num n)
{
	for (int i = 0; i < r->n_sizes; i++)
		if (num_same(r->size[i].is, n))
			return r->size[i].name;
	return NULL;
}

/* All numbers: a list of them. One that is none, now and then: -1. */
static void say_sizes(Program *p, Letters *l, int n, const Num *size)
{
	bool named = false;
	for (int i = 0; i < n; i++)
		named |= size[i].s && size_name(p->room, size[i]);
	say(l, named ? "{\"as_sym_ints\": [" : "{\"as_ints\": [");
	for (int i = 0; i < n; i++) {
		say(l, i ? ", " : "");
		if (!named)
			say(l, "%lld", size[i].s ? -1 : (long long)size[i].a);
		else if (size[i].s)
			say(l, "{\"as_name\": \"%s\"}", size_name(p->room, size[i]));
		else
			say(l, "{\"as_int\": %lld}", (long long)size[i].a);
	}
	say(l, "]}");
}

static void say_ints(Letters *l, int n, const int64_t *v)
{
	say(l, "{\"as_ints\": [");
	for (int i = 0; i < n; i++)
		say(l, "%s%lld", i ? ", " : "", (long long)v[i]);
	say(l, "]}");
}

static void say_tensors(Letters *l, const char *tag, int n, const Tensor *const *t)
{
	say(l, "{\"%s\": [", tag);
	for (int i = 0; i < n; i++) {
		say(l, i ? ", " : "");
		say_name(l, t[i]);
	}
	say(l, "]}");
}

/* va_list goes on from one call to the next only inside of a struct. */
typedef struct Rest { va_list ap; } Rest;

static void say_tensor_arg(Letters *l, const Tensor *t)
{
	if (!t) {
		say(l, "{\"as_none\": true}");
		return;
	}
	say(l, "{\"as_tensor\": ");
	say_name(l, t);
	say(l, "}");
}

static void say_list_arg(Program *p, Letters *l, char kind, Rest *rest)
{
	int n = va_arg(rest->ap, int);
	switch (kind) {
	case 'T': say_tensors(l, "as_tensors", n, va_arg(rest->ap, const Tensor *const *)); return;
	case 'I': say_ints(l, n, va_arg(rest->ap, const int64_t *)); return;
	case 'S': say_sizes(p, l, n, va_arg(rest->ap, const Num *)); return;
	}
}

static void say_arg(Program *p, Letters *l, char kind, Rest *rest)
{
	switch (kind) {
	case 't': case 'o': say_tensor_arg(l, va_arg(rest->ap, const Tensor *)); return;
	case 'i': say(l, "{\"as_int\": %lld}", (long long)va_arg(rest->ap, int64_t)); return;
	case 'f': say(l, "{\"as_float\": %#.6g}", va_arg(rest->ap, double)); return;
	case 'b': say(l, "{\"as_bool\": %s}", va_arg(rest->ap, int) ? "true" : "false"); return;
	case 'd': say(l, "{\"as_scalar_type\": %d}", va_arg(rest->ap, int)); return;
	case 'm': say(l, "{\"as_memory_format\": %d}", va_arg(rest->ap, int)); return;
	case 'D': say(l, "{\"as_device\": {\"type\": \"%s\", \"index\": null}}", va_arg(rest->ap, const char *)); return;
	case 's': say(l, "{\"as_string\": \"%s\"}", va_arg(rest->ap, const char *)); return;
	case 'z': say(l, "{\"as_sym_int\": {\"as_name\": \"%s\"}}", va_arg(rest->ap, const char *)); return;
	case 'y': say(l, "{\"as_sym_bool\": {\"as_name\": \"%s\"}}", va_arg(rest->ap, const char *)); return;
	case 'n': say(l, "{\"as_none\": true}"); return;
	default: say_list_arg(p, l, kind, rest);
	}
}

static void say_args(Program *p, Letters *l, const char *args, Rest *rest)
{
	const char *between = "";
	for (const char *at = args; *at;) {
		bool keyword = *at == '*';
		at += keyword;
		int n = (int)strcspn(at, "=");
		say(l, "%s{\"name\": \"%.*s\", \"arg\": ", between, n, at);
		say_arg(p, l, at[n + 1], rest);
		say(l, ", \"kind\": %d}", keyword ? 2 : 1);
		at += n + 2;
		at += *at == ' ';
		between = ", ";
	}
}

/* "aten.add_.Tensor" as the stem of names: "add_" */
static void say_stem(char *out, size_t size, const char *target)
{
	const char *dot = strchr(target, '.');
	const char *from = dot ? dot + 1 : target;
	snprintf(out, size, "%.*s", (int)strcspn(from, "."), from);
}

static bool is_taken(const Room *r, const char *name)
{
	for (int i = 0; i < r->n_tensors; i++)
		if (!strcmp(r->tensor[i].name, name))
			return true;
	return false;
}

/* One that is free here; in a sub-graph it may be one of the outer graph's. */
static void give_name(Room *r, char *out, size_t size, const char *stem)
{
	do
		snprintf(out, size, "%s_%d", stem, r->count++);
	while (is_taken(r, out));
}

static void name_results(Program *p, const char *target)
{
	char stem[20];
	say_stem(stem, sizeof stem, target);
	for (int i = 0; i < p->n_results; i++)
		give_name(p->room, p->result[i].name, sizeof p->result[i].name, p->as_list ? "getitem" : stem);
}

static void say_head(Program *p, const char *target)
{
	Letters *l = &p->room->nodes;
	const char *prefix = strncmp(target, "_operator", 9) ? "torch.ops." : "";
	say(l, "%s{\"target\": \"%s%s\", \"inputs\": [", l->n ? ",\n" : "", prefix, target);
}

static void say_tail(Program *p, const char *target)
{
	Letters *l = &p->room->nodes;
	char stem[20];
	say_stem(stem, sizeof stem, target);
	say(l, "], \"metadata\": {\"stack_trace\": \"line %d\", \"nn_module_stack\": \"L__self__,,m.M;L__self___%d,%d,m.N%d\"}, "
	    "\"is_hop_single_tensor_return\": null, \"name\": \"%s\"}", p->room->count, p->modules, p->modules,
	    p->modules % 2, p->n_results == 1 ? p->result[0].name : stem);
	p->n_results = 0;
	p->as_list = false;
}

/* The results of one node: a tensor each, or one list. */
static void say_results(Program *p)
{
	Letters *l = &p->room->nodes;
	say(l, "], \"outputs\": [");
	if (p->as_list)
		say(l, "{\"as_tensors\": [");
	for (int i = 0; i < p->n_results; i++) {
		say(l, i ? ", %s" : "%s", p->as_list ? "" : "{\"as_tensor\": ");
		say_name(l, &p->result[i]);
		say(l, p->as_list ? "" : "}");
		remember(p->room, &p->result[i]);
	}
	if (p->as_list)
		say(l, "]}");
}

static void make(Program *p, const char *target, const char *args, size_t args_size)
{
	Room *r = p->room;
	name_results(p, target);
	say_head(p, target);
	Made m = { target, r->nodes.n, args_size, r->n_tensors, p->n_results, p->as_list };
	say(&r->nodes, "%.*s", (int)args_size, args);
	say_results(p);
	say_tail(p, target);
	if (m.n && r->n_made < MAX_TENSORS)
		r->made[r->n_made++] = m;
}

void node(Program *p, const char *target, const char *args, ...)
{
	Rest rest;
	p->scratch.n = 0;
	say(&p->scratch, "%s", "");
	va_start(rest.ap, args);
	say_args(p, &p->scratch, args, &rest);
	va_end(rest.ap);
	make(p, target, p->scratch.s, p->scratch.n);
}

void once_more(Program *p, const Made *m)
{
	const Room *r = p->room;
	for (int i = 0; i < m->n; i++)
		p->result[p->n_results++] = r->tensor[m->first + i];
	p->as_list = m->list;
	p->scratch.n = 0;
	say(&p->scratch, "%.*s", (int)m->args_size, r->nodes.s + m->args);
	make(p, m->target, p->scratch.s, p->scratch.n);
}

/* ---- sizes ---- */

static void make_size(Program *p, const char *target, const char *args, const char *name)
{
	Letters *l = &p->room->nodes;
	say_head(p, target);
	say(l, "%s], \"outputs\": [{\"as_sym_int\": {\"as_name\": \"%s\"}}], \"metadata\": {}, "
	    "\"is_hop_single_tensor_return\": null, \"name\": \"%s\"}", args, name, name);
}

static const char *add_size(Program *p, const char *stem, Num is)
{
	Room *r = p->room;
	int i = r->n_sizes++;
	Letters *l = &r->sizes[0];
	give_name(r, r->size[i].name, sizeof r->size[i].name, stem);
	r->size[i].is = is;
	say(l, "%s\"%s\": ", l->n ? ", " : "", r->size[i].name);
	say_num(l, is);
	return r->size[i].name;
}

static bool is_symbolic(const Tensor *t)
{
	return t->rank && num_same(t->size[0], (Num){ 0, 1 });
}

/* Of a tensor whose first axis has it. */
static const char *base_size(Program *p)
{
	const char *name = size_name(p->room, (Num){ 0, 1 });
	const Tensor *t = name ? NULL : any(p, is_symbolic);
	char args[256];
	if (!t)
		return name;
	snprintf(args, sizeof args, "{\"name\": \"self\", \"arg\": {\"as_tensor\": {\"name\": \"%s\"}}, \"kind\": 1}, "
	         "{\"name\": \"dim\", \"arg\": {\"as_int\": 0}, \"kind\": 1}", t->name);
	name = add_size(p, "sym_size_int", (Num){ 0, 1 });
	make_size(p, "aten.sym_size.int", args, name);
	return name;
}

const char *need_size(Program *p, Num n)
{
	const char *name = size_name(p->room, n), *base;
	char args[256];
	if (name || p->room->n_sizes > 28 || n.a || !(base = base_size(p)) || n.s == 1)
		return size_name(p->room, n);
	snprintf(args, sizeof args, "{\"name\": \"\", \"arg\": {\"as_sym_int\": {\"as_name\": \"%s\"}}, \"kind\": 1}, "
	         "{\"name\": \"\", \"arg\": {\"as_int\": %lld}, \"kind\": 1}", base, (long long)n.s);
	name = add_size(p, "mul", n);
	make_size(p, "_operator.mul", args, name);
	return name;
}

void check_size(Program *p)
{
	Room *r = p->room;
	const char *base = base_size(p);
	char name[32];
	if (!base)
		return;
	give_name(r, name, sizeof name, "ge");
	say(&r->sizes[1], "%s\"%s\": {\"as_bool\": true}", r->sizes[1].n ? ", " : "", name);
	say_head(p, "_operator.ge");
	say(&r->nodes, "{\"name\": \"\", \"arg\": {\"as_sym_int\": {\"as_name\": \"%s\"}}, \"kind\": 1}, {\"name\": \"\", "
	    "\"arg\": {\"as_int\": 2}, \"kind\": 1}], \"outputs\": [{\"as_sym_bool\": {\"as_name\": \"%s\"}}], "
	    "\"metadata\": {}, \"is_hop_single_tensor_return\": null, \"name\": \"%s\"}", base, name, name);
	node(p, "aten._assert_scalar.default", "self=y assert_msg=s", name, "too small");
}

/* ---- graphs ---- */

void open_room(Program *p, Room *r)
{
	*r = (Room){ .outer = p->room, .tensor = calloc(MAX_TENSORS, sizeof(Tensor)),
	             .made = calloc(MAX_TENSORS, sizeof(Made)) };
	say(&r->nodes, "%s", "");
	p->room = r;
}

static void free_room(Room *r)
{
	free(r->nodes.s);
	free(r->sizes[0].s);
	free(r->sizes[1].s);
	free(r->tensor);
	free(r->made);
}

static void say_values(Letters *l, const Room *r)
{
	say(l, "{");
	for (int i = 0; i < r->n_tensors; i++) {
		say(l, i ? ", " : "");
		say_tensor(l, &r->tensor[i]);
	}
	say(l, "}");
}

static void say_tensor_list(Letters *l, const Tensor *const *t, int n)
{
	for (int i = 0; i < n; i++) {
		say(l, i ? ", " : "");
		say_tensor_arg(l, t[i]);
	}
}

static void say_graph(Letters *l, const Room *r, const Tensor *const *in, int n_in, const Tensor *const *out, int n_out)
{
	say(l, "{\"inputs\": [");
	say_tensor_list(l, in, n_in);
	say(l, "], \"outputs\": [");
	say_tensor_list(l, out, n_out);
	say(l, "], \"nodes\": [%s%s%s], \"tensor_values\": ", r->outer ? "" : "\n", letters(&r->nodes), r->outer ? "" : "\n");
	say_values(l, r);
	say(l, ", \"sym_int_values\": {%s}, \"sym_bool_values\": {%s}, \"is_single_tensor_return\": false, "
	    "\"custom_obj_values\": {}, \"sym_float_values\": {}}", letters(&r->sizes[0]), letters(&r->sizes[1]));
}

/* A node that runs what was made in `inner` with no gradients; that is the room before now. */
void sub_graph(Program *p, Room *inner, const Tensor *const *in, int n_in, const Tensor *const *out, int n_out)
{
	Letters args = { 0 };
	Tensor outside[MAX_RESULTS];
	for (int i = 0; i < n_out; i++)
		outside[i] = *out[i];
	say(&args, "{\"name\": \"\", \"arg\": {\"as_bool\": false}, \"kind\": 1}, {\"name\": \"\", \"arg\": "
	    "{\"as_graph\": {\"name\": \"submod_%d\", \"graph\": ", inner->outer->count);
	say_graph(&args, inner, in, n_in, out, n_out);
	say(&args, "}}, \"kind\": 1}");
	for (int i = 0; i < n_in; i++) {
		say(&args, ", {\"name\": \"\", \"arg\": ");
		say_tensor_arg(&args, in[i]);
		say(&args, ", \"kind\": 1}");
	}
	p->room = inner->outer;
	free_room(inner);
	memcpy(p->result, outside, (size_t)n_out * sizeof *outside);
	p->n_results = n_out;
	p->as_list = false;
	Room *r = p->room;
	int before = r->n_made;
	make(p, "higher_order.wrap_with_set_grad_enabled", args.s, args.n);
	r->n_made = before;                       /* too long for doubles */
	free(args.s);
}

/* ---- the whole ---- */

static void say_input_specs(Program *p, Letters *l)
{
	for (int i = 0; i < p->n_inputs; i++) {
		const char *name = p->input[i].name, *kind = p->kind[i];
		if (!strcmp(kind, "user_input"))
			say(l, "%s{\"user_input\": {\"arg\": {\"as_tensor\": {\"name\": \"%s\"}}}}", i ? ", " : "", name);
		else
			say(l, "%s{\"%s\": {\"arg\": {\"name\": \"%s\"}, \"%s_name\": \"m.%s\"%s}}", i ? ", " : "", kind,
			    name, kind, name, *kind == 'b' ? ", \"persistent\": true" : "");
	}
}

static void say_output_specs(Letters *l, const Tensor *const *out, int n)
{
	for (int i = 0; i < n; i++)
		say(l, "%s{\"user_output\": {\"arg\": {\"as_tensor\": {\"name\": \"%s\"}}}}", i ? ", " : "", out[i]->name);
}

/* Values that the signature of a module names. */
static void say_calls(Program *p, Letters *l)
{
	say(l, "\"module_call_graph\": [{\"fqn\": \"\", \"signature\": null}");
	for (int i = 0; i < 2 && chance(p, 3); i++) {
		const Tensor *in = any(p, NULL), *out = any(p, NULL);
		say(l, ", {\"fqn\": \"n%d\", \"signature\": {\"inputs\": [{\"as_tensor\": {\"name\": \"%s\"}}], \"outputs\": "
		    "[{\"as_tensor\": {\"name\": \"%s\"}}], \"in_spec\": \"\", \"out_spec\": \"\"}}", i, in->name, out->name);
	}
	say(l, "]");
}

static void say_program(Program *p, const Tensor *const *out, int n_out)
{
	Letters l = { 0 };
	const Tensor *in[MAX_INPUTS];
	for (int i = 0; i < p->n_inputs; i++)
		in[i] = &p->input[i];
	say(&l, "{\"graph_module\": {\"graph\": ");
	say_graph(&l, p->room, in, p->n_inputs, out, n_out);
	say(&l, ", \"signature\": {\"input_specs\": [");
	say_input_specs(p, &l);
	say(&l, "], \"output_specs\": [");
	say_output_specs(&l, out, n_out);
	say(&l, "]}, ");
	say_calls(p, &l);
	say(&l, ", \"metadata\": {}, \"treespec_namedtuple_fields\": {}}, \"opset_version\": {\"aten\": 10}, "
	    "\"range_constraints\": {\"s77\": {\"min_val\": 2, \"max_val\": 64}}, \"schema_version\": {\"major\": 8, "
	    "\"minor\": 17}, \"verifiers\": [\"TRAINING\"], \"torch_version\": \"2.11.0\", \"guards_code\": []}\n");
	p->text = l.s;
	p->size = l.n;
}

static void common_inputs(Program *p)
{
	const Num s = { 0, 1 };
	input(p, "user_input", "x", F32, 2, (Num[]){ s, num(8) });
	input(p, "user_input", "x", F32, 2, (Num[]){ s, num(8) });
	input(p, "user_input", "a", F32, 3, (Num[]){ num(2), num(3), num(8) });
	input(p, "user_input", "b", BF16, 2, (Num[]){ num(4), num(6) });
	input(p, "buffer", "b_state", F32, 2, (Num[]){ num(4), num(6) });
	input(p, "parameter", "p_v", F32, 1, (Num[]){ num(8) });
}

/* Some of what was made and, for what was written to them, of the inputs; the same value twice, now and then. */
static void choose_outputs(Program *p, const Room *r)
{
	uint32_t in = 2 + roll(p, 8);
	for (int i = r->n_tensors; i-- > 0 && p->n_wanted < MAX_OUTPUTS - 1;)
		if (chance(p, in))
			p->wanted[p->n_wanted++] = &r->tensor[i];
	if (!p->n_wanted || chance(p, 8))
		p->wanted[p->n_wanted++] = &r->tensor[r->n_tensors - 1];
}

void program_make(Program *p, uint64_t seed, uint64_t number)
{
	Room top;
	*p = (Program){ .random = seed + number * 0x632be59bd9b4e019u, .runs = true };
	open_room(p, &top);
	common_inputs(p);
	fill_room(p, 4 + (int)roll(p, 24));
	choose_outputs(p, &top);
	say_program(p, p->wanted, p->n_wanted);
	free_room(&top);
	p->room = NULL;
	free(p->scratch.s);
	p->scratch = (Letters){ 0 };
}

void program_free(Program *p)
{
	free(p->text);
}
