/* fuse_mla_dual_rms_norm.c - the two latent norms of multi-head latent attention in one kernel.
 *
 * Any two norms of the same dtype and rows could share a launch; which two belong together is found by structure, never
 * by name:
 *
 *     one projection:  x ── linear ──> qkv_a ── split ──> q_c ── rms_norm     pieces of one value, without overlap
 *                                            └─ split ──> kv_c ── rms_norm
 *                                                    └──> k_pe                kv is beside a piece without a norm
 *     two of them:     x ── linear ──> q_a ── rms_norm                        pieces of projections of one activation
 *                      └─── linear ──> ckv ── split ──> kv_c ── rms_norm
 *
 * All norms of a graph are sorted into such families once per run; `join` only looks its pair up.
 */
#include "rule.h"
#include "piece.h"

/* Siblings looked at on each side, and pieces of one base; a model has three. Bounds keep strange graphs linear. */
enum { MAX_LOOK = 16, MAX_PIECES = 64 };

typedef struct Latent {
	Node *norm;
	Piece piece;
	struct Family *family;                /* NULL: it belongs to none */
	struct Latent *partner;
	bool is_kv;
	const char *code, *why;               /* when there is no partner */
} Latent;

/* The norms that read pieces of one base, or of projections of one activation, in order. */
typedef struct Family { Latent **member; size_t n, cap; } Family;

typedef struct Index {
	PassRun *run;
	Latent **latent;                      /* by node id; NULL: no norm, or one that nothing uses */
	uint32_t n_ids;
	Family **family;                      /* by value id of base or activation */
	Family **families;
	size_t n_families, cap_families;
} Index;

static const Value *input_of(const Latent *l) { return l->norm->in[0].value; }
static Value *weight_of(const Latent *l) { return l->norm->n_in > 1 ? l->norm->in[1].value : NULL; }
static const char *name_of(const Latent *l) { return node_label(l->norm); }

static bool no(Index *x, Latent *l, const char *code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Keeps the first reason; always false. */
static bool no(Index *x, Latent *l, const char *code, const char *fmt, ...)
{
	va_list ap;
	if (l->code)
		return false;
	va_start(ap, fmt);
	l->code = code;
	l->why = arena_vprintf(x->run->scratch, fmt, ap);
	va_end(ap);
	return false;
}

/* ---- where a norm's input comes from ---- */

static bool is_product(const Value *v)
{
	return v->def && (op_code(v->def->op) == OP_linear || op_code(v->def->op) == OP_matmul);
}

/* The activation that v is a projection of, a bias added or not; NULL: v is no projection. */
static Value *activation_of(Graph *g, const Value *v)
{
	if (v->def && op_code(v->def->op) == OP_add) {
		const Value *a = v->def->in[0].value, *b = v->def->in[1].value;
		v = b->type.rank <= 1 ? a : a->type.rank <= 1 ? b : v;
	}
	if (!is_product(v))
		return NULL;
	Value *x = v->def->in[0].value;
	Piece p = piece_of(g, x);
	return p.whole ? p.base : x;
}

static const char *kind_of(const Value *v)
{
	return v->def ? v->def->name : v->kind == VALUE_PARAM ? "param" : v->kind == VALUE_INPUT ? "input" : "literal";
}

/* Is the norm's input a latent at all? */
static bool is_latent(Index *x, Latent *l)
{
	const Value *base = l->piece.base;
	switch (l->piece.end) {
	case PIECE_RESHAPED:
		return no(x, l, "per_head",
		          "its input comes from reshape '%s', which cuts or joins rows, wanted a piece of a projection",
		          base->name);
	case PIECE_TURNED:
		return no(x, l, "not_last_axis", "%s '%s' moves the last axis, wanted the last axis of a projection",
		          base->def->name,
		          base->name);
	case PIECE_SYMBOLIC:
		return no(x, l, "size_unknown", "where %s '%s' cuts is symbolic, wanted numbers", base->def->name,
		          base->name);
	case PIECE_BASE:
		break;
	}
	if (l->piece.length < 0)
		return no(x, l, "size_unknown", "the last axis of '%s' is symbolic, wanted a number",
		          input_of(l)->name);
	return true;
}

static void enter_family(Index *x, Latent *l)
{
	Graph *g = x->run->g;
	Value *base = l->piece.base, *activation = activation_of(g, base);
	if (!activation && l->piece.whole) {
		no(x, l, "no_sibling", "its input comes from %s '%s', wanted a projection or a piece of one",
		   kind_of(base), base->name);
		return;
	}
	Family **f = &x->family[(activation ? activation : base)->id];
	if (!*f) {
		*f = NEW(x->run->scratch, Family);
		x->families = arena_grow(x->run->scratch, x->families, x->n_families, &x->cap_families,
		                         sizeof *x->families);
		x->families[x->n_families++] = *f;
	}
	l->family = *f;
	l->family->member = arena_grow(x->run->scratch, l->family->member, l->family->n, &l->family->cap,
	                               sizeof *l->family->member);
	l->family->member[l->family->n++] = l;
}

/* ---- can two of them be one ---- */

static bool pieces_fit(Index *x, Latent *a, const Latent *b)
{
	const Piece *p = &a->piece, *q = &b->piece;
	if (p->base != q->base || p->start + p->length <= q->start || q->start + q->length <= p->start)
		return true;
	if (p->start == q->start && p->length == q->length)
		return no(x, a, "same_input", "'%s' and '%s' both read columns [%lld, %lld) of '%s'", name_of(a),
		          name_of(b),
		          (long long)p->start, (long long)(p->start + p->length), p->base->name);
	return no(x, a, "overlap", "'%s' reads columns [%lld, %lld) of '%s', '%s' reads [%lld, %lld)", name_of(a),
	          (long long)p->start, (long long)(p->start + p->length), p->base->name, name_of(b),
	          (long long)q->start, (long long)(q->start + q->length));
}

static bool weights_fit(Index *x, Latent *a, const Latent *b)
{
	if (!weight_of(a) || !weight_of(b))
		return no(x, a, "weight_missing", "'%s' has no weight", name_of(weight_of(a) ? b : a));
	return weight_of(a) != weight_of(b) ||
	       no(x, a, "same_weight", "'%s' and '%s' both have the weight '%s'", name_of(a), name_of(b),
	          weight_of(a)->name);
}

static Dim rows_of(Graph *g, const Value *v)
{
	return dims_product(g, v->type.dims, v->type.rank - 1);
}

static bool rows_fit(Index *x, Latent *a, const Latent *b)
{
	Graph *g = x->run->g;
	Dim m = rows_of(g, input_of(a)), n = rows_of(g, input_of(b));
	Tri same = dim_eq(g, m, n);
	return same == YES || no(x, a, same == NO ? "rows" : "rows_unknown", "'%s' has %s rows, '%s' has %s%s",
	                         name_of(a),
	                         dim_string(x->run->scratch, m), name_of(b), dim_string(x->run->scratch, n),
	                         same == NO ? "" : ", which is not known to be the same");
}

static const char *round_of(const Latent *l)
{
	return node_attr_named(l->norm, "round")->i ? "early" : "late";
}

static bool fits(Index *x, Latent *a, const Latent *b)
{
	graft_dtype d = input_of(a)->type.dtype, e = input_of(b)->type.dtype;
	if (!pieces_fit(x, a, b))
		return false;
	if (d != e)
		return no(x, a, "dtype", "'%s' is %s, '%s' is %s", name_of(a), graft_dtype_name(d), name_of(b),
		          graft_dtype_name(e));
	if (!weights_fit(x, a, b))
		return false;
	if (round_of(a) != round_of(b))
		return no(x, a, "round", "'%s' rounds %s, '%s' rounds %s", name_of(a), round_of(a), name_of(b),
		          round_of(b));
	return rows_fit(x, a, b);
}

/* ---- which is kv ---- */

static bool is_normed(const Latent *of, int64_t start, int64_t length)
{
	const Family *f = of->family;
	for (size_t i = 0; i < f->n && i < MAX_PIECES; i++) {
		const Piece *p = &f->member[i]->piece;
		if (p->base == of->piece.base && p->start < start + length && start < p->start + p->length)
			return true;
	}
	return false;
}

typedef struct Cut { Value *value; int64_t start; } Cut;

static bool is_rest(const Latent *l, const Value *v, int64_t start)
{
	const Piece *p = &l->piece;
	Dim last = v->type.dims[v->type.rank - 1];
	bool beside = dim_is_const(last) && (start == p->start + p->length || start + last.value == p->start);
	return beside && last.value && !is_normed(l, start, last.value);
}

/* Is there a piece without a norm right beside this one? */
static bool has_rest(Index *x, const Latent *l)
{
	Cut work[MAX_PIECES] = { { l->piece.base, 0 } };
	size_t n = 1;
	for (size_t i = 0; i < n; i++)
		for (const Use *u = work[i].value->uses; u && n < MAX_PIECES; u = u->next)
			for (uint32_t o = 0; u->node && o < u->node->n_out && n < MAX_PIECES; o++) {
				Value *v = u->node->out[o];
				int64_t start = work[i].start;
				if (u != &u->node->in[0] || !piece_step(x->run->g, v, &start))
					continue;
				if (is_rest(l, v, start))
					return true;
				work[n++] = (Cut){ v, start };
			}
	return false;
}

/* ---- pairs ---- */

static bool same_base(const Latent *a, const Latent *b)
{
	return a->piece.base == b->piece.base;
}

/* Makes a and b, a first in order, a pair. */
static void pair_up(Index *x, Latent *a, Latent *b)
{
	bool rest_a = has_rest(x, a), rest_b = has_rest(x, b);
	a->partner = b;
	b->partner = a;
	a->is_kv = rest_a && !rest_b;
	b->is_kv = !a->is_kv;
}

/* The best sibling behind a: of the same projection rather than of another, then the next one. */
static Latent *best_behind(Index *x, const Family *f, size_t i)
{
	Latent *a = f->member[i], *best = NULL;
	size_t looked = 0;
	for (size_t k = i + 1; k < f->n && looked < MAX_LOOK; k++) {
		Latent *b = f->member[k];
		if (b->partner)
			continue;
		looked++;
		if (best && (same_base(a, best) || !same_base(a, b)))
			continue;
		Latent probe = *a;
		probe.code = NULL;
		if (fits(x, &probe, b)) {
			best = b;
		} else {
			no(x, a, probe.code, "%s", probe.why);
			no(x, b, probe.code, "%s", probe.why);
		}
	}
	return best;
}

static void explain_alone(Index *x, Latent *l)
{
	const Family *f = l->family;
	for (size_t i = 0; i < f->n; i++)
		if (f->member[i]->partner) {
			no(x, l, "taken", "its sibling '%s' is better paired with '%s'", name_of(f->member[i]),
			   name_of(f->member[i]->partner));
			return;
		}
	const Value *activation = activation_of(x->run->g, l->piece.base);
	no(x, l, "no_sibling", "no other norm reads a piece of '%s'%s%s%s", l->piece.base->name,
	   activation ? " or of another projection of '" : "",
	   activation ? activation->name : "", activation ? "'" : "");
}

static void pair_family(Index *x, const Family *f)
{
	for (size_t i = 0; i < f->n; i++) {
		Latent *a = f->member[i], *b = a->partner ? NULL : best_behind(x, f, i);
		if (b)
			pair_up(x, a, b);
	}
	for (size_t i = 0; i < f->n; i++)
		if (!f->member[i]->partner && !f->member[i]->code)
			explain_alone(x, f->member[i]);
}

/* ---- the index ---- */

static void add_norm(Index *x, Node *n)
{
	Latent *l = x->latent[n->id] = NEW(x->run->scratch, Latent);
	l->norm = n;
	if (!value_used(n->out[0])) {
		no(x, l, "no_sibling", "nothing uses it");
		return;
	}
	l->piece = piece_of(x->run->g, n->in[0].value);
	if (is_latent(x, l))
		enter_family(x, l);
}

static Index *index_new(PassRun *run)
{
	Graph *g = run->g;
	Index *x = NEW(run->scratch, Index);
	x->run = run;
	x->n_ids = g->next_id;
	x->latent = NEW_ARRAY(run->scratch, x->n_ids, Latent *);
	x->family = NEW_ARRAY(run->scratch, g->next_value, Family *);
	for (Node *n = g->first; n; n = n->next)
		if (op_code(n->op) == OP_rms_norm)
			add_norm(x, n);
	for (size_t i = 0; i < x->n_families; i++)
		pair_family(x, x->families[i]);
	return x;
}

/* The pair was chosen with all norms in view; here it is only looked up, from q to kv. */
static bool partner(Match *m, bool (*attempt)(Match *m, Node *candidate))
{
	PassRun *run = match_run(m);
	if (!run->state)
		run->state = index_new(run);
	const Index *x = run->state;
	const Node *n = match_node(m, "q_n");
	const Latent *l = n->id < x->n_ids ? x->latent[n->id] : NULL;
	if (!l)
		return false;
	if (!l->partner)
		return refuse(m, l->code, "%s", l->why);
	return !l->is_kv && !l->partner->norm->dead && attempt(m, l->partner->norm);
}

const Rule rules_fuse_mla_dual_rms_norm[] = {
	{ .match = "q_n  = rms_norm(q, q_w?)   {eps=q_eps, round=round}\n"
	           "kv_n = rms_norm(kv, kv_w?) {eps=kv_eps, round=round}\n",
	  .emit  = "q_n, kv_n = fused_mla_dual_rms_norm(q, q_w, kv, kv_w) {q_eps=q_eps, kv_eps=kv_eps, round=round}",
	  .join_at = "kv_n", .join = partner },
	{ .match = NULL },
};
