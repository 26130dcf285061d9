/* unit.c - what src/ir/unit.c, order.c and verify.c promise of nodes of a file, and what is written of a graph that a pass
 * broke. */
#include "../../src/io/torch.h"
#include "programs.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

typedef struct Scene {
	graft_context *ctx;
	graft_graph *g;
	void (*act)(Graph *g);
} Scene;

static graft_error err;
static Program p;
static char text[1 << 17];
static size_t size;

/* ---- small programs ---- */

static const Num matrix[] = { { 4, 0 }, { 8, 0 } }, rows[] = { { 0, 1 }, { 16, 0 } };

static const Tensor *begin_program(void)
{
	program_begin(&p, 1);
	return input(&p, "user_input", "x", F32, 2, matrix);
}

static const Tensor *made(void)
{
	return &p.room->tensor[p.room->n_tensors - 1];
}

static const Tensor *one(const char *target, const Tensor *x)
{
	result(&p, x);
	node(&p, target, "self=t", x);
	return made();
}

static const Tensor *layer_norm(const Tensor *x)
{
	static const int64_t shape[] = { 8 };
	result(&p, x);
	node(&p, "aten.layer_norm.default", "input=t normalized_shape=I", x, 1, shape);
	return made();
}

static void leaves(const Tensor *x)
{
	p.wanted[p.n_wanted++] = x;
}

/* What the program's nodes are, as a graph. */
static Scene read_program(void)
{
	Scene s = { 0 };
	program_end(&p);
	CHECK_INT(graft_context_new(NULL, &s.ctx, NULL), GRAFT_OK);
	graft_status status = graft_graph_parse(s.ctx, p.text, p.size, "program", &s.g, &err);
	CHECK_STR(status ? err.message : "", "");
	return s;
}

static void end(Scene *s)
{
	graft_graph_free(s->g);
	graft_context_free(s->ctx);
	program_free(&p);
}

/* ---- in a job ---- */

static void act_body(Job *job, void *arg)
{
	Scene *s = arg;
	graph_enter(&s->g->g, job);
	s->act(&s->g->g);
}

static const char *act(Scene *s, void (*what)(Graph *g))
{
	s->act = what;
	graft_status status = guarded(context_allocator(s->ctx), act_body, s, &err);
	return status ? err.message : "";
}

static void verify(Graph *g)
{
	graph_verify(g);
}

static bool keep(void *user, const char *part, size_t n)
{
	(void)user;
	if (size + n >= sizeof text)
		return false;
	memcpy(text + size, part, n);
	text[size += n] = 0;
	return true;
}

static const char *written(const Scene *s)
{
	size = 0;
	graft_status status = graft_graph_print(s->g, GRAFT_FORMAT_PT2JSON, keep, NULL, &err);
	return status ? err.message : text;
}

static void reads_back(const Scene *s)
{
	graft_graph *again = NULL;
	graft_status status = graft_graph_parse(s->ctx, text, size, "written", &again, &err);
	graft_graph_free(again);
	CHECK_STR(status ? err.message : "", "");
}

static Value *value(Graph *g, const char *name)
{
	Value *v = value_find(g, name, strlen(name));
	if (!v)
		test_fail(__FILE__, __LINE__, "no value %s", name);
	return v;
}

static uint32_t unit_size(const Node *n)
{
	uint32_t count = 0;
	for (const Node *m = unit_first(n), *behind = unit_last(n)->next; m != behind; m = m->next)
		count++;
	return count;
}

static bool stands_before(const char *a, const char *b)
{
	const char *x = strstr(text, a), *y = strstr(text, b);
	return x && y && x < y;
}

/* ---- order ---- */

static void sin_by_cos(Graph *g)
{
	value_replace(g, value(g, "sin_0"), value(g, "cos_2"));
}

TEST(units_move_whole)
{
	const Tensor *x = begin_program(), *sin = one("aten.sin.default", x);
	leaves(layer_norm(sin));
	leaves(one("aten.cos.default", x));
	Scene s = read_program();
	CHECK(unit_size(value(&s.g->g, "layer_norm_1")->def) > 4);
	CHECK_STR(act(&s, sin_by_cos), "");
	CHECK_STR(act(&s, verify), "");
	CHECK_HAS(written(&s), "layer_norm");
	CHECK(stands_before("aten.cos.default", "aten.layer_norm.default"));
	CHECK_HAS(text, "\"input\", \"arg\": {\"as_tensor\": {\"name\": \"cos_2\"}}");
	reads_back(&s);
	end(&s);
}

/* What reads storage does not move across what writes it. */
TEST(units_do_not_move_across_writes)
{
	const Tensor *x = begin_program(), *sin = one("aten.sin.default", x);
	result(&p, x);
	node(&p, "aten.add.Tensor", "self=t other=t", sin, x);
	leaves(made());
	const Tensor *cos = one("aten.cos.default", x);
	result(&p, x);
	node(&p, "aten.zero_.default", "self=t", x);
	leaves(one("aten.tanh.default", cos));
	leaves(one("aten.exp.default", cos));
	Scene s = read_program();
	CHECK_STR(act(&s, sin_by_cos), "");
	CHECK_STR(act(&s, verify), "");
	end(&s);
}

static void sin_by_exp(Graph *g)
{
	value_replace(g, value(g, "sin_0"), value(g, "exp_3"));
}

TEST(a_move_across_a_write_fails)
{
	const Tensor *x = begin_program(), *sin = one("aten.sin.default", x);
	result(&p, x);
	node(&p, "aten.add.Tensor", "self=t other=t", sin, x);
	leaves(made());
	result(&p, x);
	node(&p, "aten.zero_.default", "self=t", x);
	leaves(one("aten.exp.default", x));
	Scene s = read_program();
	CHECK_HAS(act(&s, sin_by_exp), "across zero__2, which writes it");
	end(&s);
}

TEST(a_cycle_fails)
{
	const Tensor *x = begin_program(), *sin = one("aten.sin.default", x), *norm = layer_norm(sin);
	leaves(one("aten.cos.default", norm));
	Scene s = read_program();
	CHECK_HAS(act(&s, sin_by_cos), "cycle");
	end(&s);
}

/* ---- what graph_verify finds ---- */

static void tear(Graph *g)
{
	Node *last = value(g, "layer_norm_0")->def, *first = unit_first(last), *cos = value(g, "cos_1")->def;
	Node *second = first->next;
	cos->prev->next = cos->next;
	*(cos->next ? &cos->next->prev : &g->last) = cos->prev;
	cos->prev = first, cos->next = second;
	first->next = second->prev = cos;
	int64_t pos = 0;
	for (Node *n = g->first; n; n = n->next)
		n->pos = pos += 16;
}

TEST(a_torn_unit_is_found)
{
	const Tensor *x = begin_program();
	leaves(layer_norm(x));
	leaves(one("aten.cos.default", x));
	Scene s = read_program();
	CHECK_STR(act(&s, tear), "");
	CHECK_HAS(act(&s, verify), "the nodes of aten.layer_norm.default do not stand together");
	end(&s);
}

static void look_inside(Graph *g)
{
	Value *inside = unit_first(value(g, "layer_norm_0")->def)->out[0];
	CHECK(!value_outside(inside) && value_outside(value(g, "layer_norm_0")));
	Node *n = node_new(g, &(NodeSpec){ .op = op_find("neg", 3), .in = &inside, .n_in = 1, .n_out = 1 });
	graph_output(g, "inside", n->out[0]);
}

TEST(a_use_of_what_is_inside_is_found)
{
	leaves(layer_norm(begin_program()));
	Scene s = read_program();
	CHECK_STR(act(&s, look_inside), "");
	CHECK_HAS(act(&s, verify), "an operand is inside of another node of the file");
	end(&s);
}

/* ---- coming apart ---- */

static void open_elu(Graph *g)
{
	Node *n = value(g, "elu_0")->def;
	CHECK(!unit_opens(g, n, true, &graph_job(g)->scratch));
	Node *first = unit_first(n);
	unit_open(g, n);
	for (const Node *m = first; m; m = m->next)
		CHECK(!m->unit && unit_size(m) == 1 && !m->n_names);
	graph_verify(g);
}

TEST(a_composite_opens_into_our_nodes)
{
	leaves(one("aten.elu.default", begin_program()));
	Scene s = read_program();
	CHECK_STR(act(&s, open_elu), "");
	CHECK_HAS(written(&s), "aten.where.self");
	CHECK(!strstr(text, "aten.elu.default"));
	reads_back(&s);
	end(&s);
}

static const Tensor *wrapped(const Tensor *x)
{
	Room inner;
	open_room(&p, &inner);
	inner.tensor[inner.n_tensors++] = *x;
	const Tensor *in[] = { &inner.tensor[0] }, *out[] = { NULL };
	layer_norm(in[0]);
	out[0] = one("aten.tanh.default", made());
	sub_graph(&p, &inner, in, 1, out, 1);
	return made();
}

static Node *wrapped_node(Graph *g)
{
	return value(g, g->outputs[0]->use.value->name)->def;
}

static void open_sub_graph(Graph *g)
{
	Node *n = wrapped_node(g);
	CHECK(!unit_opens(g, n, true, &graph_job(g)->scratch));
	uint32_t all = unit_size(n);
	unit_open(g, n);
	CHECK(n->unit && n->unit == n->source && unit_size(n) == 1);
	CHECK_INT(unit_size(n->prev) + 2, all);       /* the note that stood for the whole is gone */
	graph_verify(g);
}

TEST(a_sub_graph_opens_into_nodes_of_the_file)
{
	leaves(wrapped(begin_program()));
	Scene s = read_program();
	CHECK_STR(act(&s, open_sub_graph), "");
	CHECK_HAS(written(&s), "aten.layer_norm.default");
	CHECK(!strstr(text, "wrap_with_set_grad_enabled\""));
	reads_back(&s);
	end(&s);
}

static void look_through(Graph *g)
{
	Arena *a = &graph_job(g)->scratch;
	const SourceNode *before[64];
	Node *first = unit_first(wrapped_node(g)), *m = first;
	uint32_t n = unit_size(first);
	uint64_t print = graph_fingerprint(g, a);
	CHECK(n < 64);
	for (uint32_t i = 0; i < n; i++, m = m->next)
		before[i] = m->unit;
	Ajar *ajar = unit_ajar(first, a, NULL);
	CHECK(first->unit != before[0] && !unit_same(first, unit_last(ajar->end ? ajar->end : g->last)));
	ajar = unit_ajar(first, a, ajar);             /* and what was inside, too */
	CHECK(!first->unit);
	unit_shut(ajar);
	m = first;
	for (uint32_t i = 0; i < n; i++, m = m->next)
		CHECK(m->unit == before[i]);
	CHECK(graph_fingerprint(g, a) == print);
	graph_verify(g);
}

TEST(a_look_inside_leaves_the_graph_as_it_was)
{
	leaves(wrapped(begin_program()));
	Scene s = read_program();
	CHECK_STR(act(&s, look_through), "");
	CHECK_STR(written(&s), p.text);
	end(&s);
}

/* ---- names ---- */

static void optimize(const Scene *s)
{
	graft_status status = graft_optimize(s->g, NULL, NULL, &err);
	CHECK_STR(status ? err.message : "", "");
}

TEST(a_name_keeps_its_value)
{
	const Tensor *sin = one("aten.sin.default", begin_program());
	leaves(one("aten.zeros_like.default", sin));
	Scene s = read_program();
	CHECK_INT(value(&s.g->g, "zeros_like_1")->def->n_names, 1);
	optimize(&s);
	CHECK_STR(written(&s), p.text);
	end(&s);
}

TEST(a_name_follows_its_value)
{
	const Tensor *x = begin_program(), *sin = one("aten.sin.default", x);
	leaves(one("aten.zeros_like.default", sin));
	leaves(one("aten.cos.default", x));
	Scene s = read_program();
	CHECK_STR(act(&s, sin_by_cos), "");
	CHECK_STR(act(&s, verify), "");
	optimize(&s);
	CHECK_HAS(written(&s), "aten.zeros_like.default\", \"inputs\": [{\"name\": \"self\", \"arg\": {\"as_tensor\": "
	          "{\"name\": \"cos_2\"}}");
	CHECK(!strstr(text, "\"sin_0\""));
	CHECK(stands_before("aten.cos.default", "aten.zeros_like.default"));
	reads_back(&s);
	end(&s);
}

TEST(a_pin_keeps_its_value_and_its_name)
{
	const Tensor *x = begin_program(), *a = one("aten.sin.default", x), *b = one("aten.sin.default", x);
	const Tensor *c = one("aten.sin.default", x);
	pin(&p, x, b);
	leaves(one("aten.exp.default", a));
	leaves(one("aten.tanh.default", c));
	Scene s = read_program();
	CHECK(value_pinned(value(&s.g->g, "sin_1")) && !value_pinned(value(&s.g->g, "sin_0")));
	optimize(&s);
	CHECK_INT(graft_graph_count(s.g, "sin"), 2);
	CHECK(value_pinned(value(&s.g->g, "sin_1")));
	CHECK_STR(strstr(written(&s), "\"module_call_graph\""), strstr(p.text, "\"module_call_graph\""));
	end(&s);
}

/* ---- sizes ---- */

static const Tensor *projection(const Tensor *h, const char *name, int64_t width)
{
	const Tensor *w = input(&p, "parameter", name, F32, 2, (Num[]){ num(width), num(16) });
	Tensor *t = result(&p, h);
	t->size[1] = num(width);
	lay_out(t);
	node(&p, "aten.linear.default", "input=t weight=t", h, w);
	return made();
}

/* The first 8 columns of 12. */
static const Tensor *latent(const Tensor *kv)
{
	static const int64_t parts[] = { 8, 4 };
	for (int i = 0; i < 2; i++) {
		Tensor *t = result(&p, kv);
		*t = *kv;
		t->size[1] = num(parts[i]);
		t->offset = num(8 * i);
	}
	p.as_list = true;
	node(&p, "aten.split_with_sizes.default", "self=t split_sizes=I dim=i", kv, 2, parts, (int64_t)-1);
	return made() - 1;
}

static const Tensor *norm(const Tensor *x, const Tensor *w)
{
	static const int64_t shape[] = { 8 };
	result(&p, x);
	node(&p, "aten.rms_norm.default", "input=t normalized_shape=I weight=t eps=f", x, 1, shape, w, 1e-6);
	return made();
}

/* The size is that of the first norm, which is made later now: it and who reads it go behind the fused node. */
TEST(sizes_of_fused_results_move_behind_them)
{
	program_begin(&p, 1);
	const Tensor *h = input(&p, "user_input", "h", F32, 2, rows);
	const Tensor *q_w = input(&p, "parameter", "p_qn", F32, 1, &matrix[1]);
	const Tensor *kv_w = input(&p, "parameter", "p_kvn", F32, 1, &matrix[1]);
	const Tensor *q = norm(projection(h, "p_q", 8), q_w);
	size_of(&p, q);
	need_size(&p, (Num){ 0, 2 });
	Tensor t = { .dtype = F32, .rank = 1, .size = { { 0, 2 } } };
	lay_out(&t);
	result(&p, &t);
	node(&p, "aten.ones.default", "size=S *pin_memory=b", 1, t.size, 0);
	leaves(made());
	leaves(q);
	leaves(norm(latent(projection(h, "p_kv", 12)), kv_w));
	Scene s = read_program();
	optimize(&s);
	CHECK_INT(graft_graph_count(s.g, "fused_mla_dual_rms_norm"), 1);
	CHECK_STR(act(&s, verify), "");
	CHECK_HAS(written(&s), "graft.fused_mla_dual_rms_norm.default");
	CHECK(stands_before("graft.fused_mla_dual_rms_norm.default", "aten.sym_size.int"));
	CHECK(stands_before("aten.sym_size.int", "_operator.mul"));
	CHECK(stands_before("_operator.mul", "aten.ones.default"));
	reads_back(&s);
	end(&s);
}

/* ---- reading back ---- */

static void lose_a_name(Graph *g)
{
	Value *sin = value(g, "sin_0");
	g->pass = "forgets_names";
	for (Use *u = sin->uses, *next; u; u = next) {
		next = u->next;
		*u->link = next;
		if (next)
			next->link = u->link;
	}
	node_remove(g, sin->def);
}

/* The text of cos has its operand's name where its target is. */
static void misplace_a_name(Graph *g)
{
	Node *cos = value(g, "cos_2")->def;
	const char **at = (const char **)(uintptr_t)cos->places->at;
	at[0] = strstr(cos->source->text, "\"torch.ops.aten.cos");
	g->pass = "misplaces_names";
	value_replace(g, value(g, "sin_0"), value(g, "x_0"));
	node_remove(g, value(g, "sin_0")->def);
}

static char *read_file(const char *path)
{
	static char found[64];
	FILE *f = fopen(path, "r");
	CHECK(f);
	size_t n = fread(found, 1, sizeof found - 1, f);
	found[n] = 0;
	fclose(f);
	return found;
}

/* Nothing of it is written, and the pass is named. */
static void is_refused(Scene *s, void (*breaks)(Graph *g), const char *name, const char *pass)
{
	char folder[64], path[96];
	CHECK_STR(act(s, breaks), "");
	snprintf(folder, sizeof folder, "%s/graft-XXXXXX", P_tmpdir);
	CHECK(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/out.json", folder);
	FILE *f = fopen(path, "w");
	CHECK(f);
	fputs("what was there", f);
	fclose(f);
	graft_status status = graft_graph_save(s->g, path, GRAFT_FORMAT_PT2JSON, &err);
	const char *found = read_file(path);
	unlink(path);
	CHECK_INT(rmdir(folder), 0);                  /* nothing else is there, either */
	CHECK_INT(status, GRAFT_E_RULE);
	CHECK_STR(found, "what was there");
	CHECK_HAS(err.message, "cannot be read back");
	CHECK_HAS(err.message, name);
	CHECK_HAS(err.message, pass);
	size = 0;
	CHECK_INT(graft_graph_print(s->g, GRAFT_FORMAT_PT2JSON, keep, NULL, &err), GRAFT_E_RULE);
	CHECK_INT(size, 0);
}

TEST(a_lost_name_is_not_written)
{
	const Tensor *x = begin_program();
	leaves(one("aten.zeros_like.default", one("aten.sin.default", x)));
	Scene s = read_program();
	is_refused(&s, lose_a_name, "'sin_0'", "to blame is pass forgets_names");
	end(&s);
}

TEST(a_misplaced_name_is_not_written)
{
	const Tensor *x = begin_program(), *sin = one("aten.sin.default", x);
	leaves(layer_norm(x));
	leaves(one("aten.cos.default", sin));
	Scene s = read_program();
	is_refused(&s, misplace_a_name, "'sin_0'", "to blame is pass misplaces_names");
	end(&s);
}
