/* layout.c - where each value lives: strides, and whose storage it shares.
 *
 * A view shares its operand's storage with strides of its own. What a graph writes in place is never the caller's: an
 * input or a param that is written is copied first, each run, and the copy is written.
 */
#include "plan.h"
#include <assert.h>
#include <string.h>

/* ---- tensors ----------------------------------------------------------------------------------------------- */

static void dense_strides(int64_t *stride, const int64_t *shape, uint32_t rank)
{
	int64_t n = 1;
	for (uint32_t i = rank; i-- > 0; n *= shape[i] ? shape[i] : 1)
		stride[i] = n;
}

/* Bytes of a shape, empty axes counted as one, so that no product of some of the sizes overflows either. */
static bool bytes_of(const int64_t *shape, uint32_t rank, graft_dtype dtype, size_t *size)
{
	int64_t n = (int64_t)graft_dtype_size(dtype);
	bool empty = false;
	for (uint32_t i = 0; i < rank; i++) {
		if (shape[i] < 0 || __builtin_mul_overflow(n, shape[i] ? shape[i] : 1, &n))
			return false;
		empty |= !shape[i];
	}
	*size = empty ? 0 : (size_t)n;
	return n <= PTRDIFF_MAX / 2;
}

_Noreturn static void too_large(graft_plan *p, const char *name, const Type *type)
{
	Text t = { .arena = &p->arena.job->scratch };
	type_print(&t, type);
	fail_at(p->arena.job, GRAFT_E_DATA, name, "%s is %s, which is more than memory can address; give smaller sizes",
	        name, t.text);
}

graft_tensor tensor_of(graft_plan *p, const char *name, const Type *type, size_t *size)
{
	int64_t *shape = NEW_ARRAY(&p->arena, type->rank, int64_t), *stride = NEW_ARRAY(&p->arena, type->rank, int64_t);
	assert(type->rank <= GRAFT_MAX_RANK);
	for (uint32_t i = 0; i < type->rank; i++)
		shape[i] = type->dims[i].value;
	if (!bytes_of(shape, type->rank, type->dtype, size))
		too_large(p, name, type);
	dense_strides(stride, shape, type->rank);
	return (graft_tensor){ NULL, shape, stride, (int32_t)type->rank, (int32_t)type->dtype };
}

/* ---- stores and slots -------------------------------------------------------------------------------------- */

static uint32_t store_new(graft_plan *p, StoreKind kind, size_t size, void *data)
{
	p->stores = arena_grow(&p->arena, p->stores, p->n_stores, &p->cap_stores, sizeof *p->stores);
	p->stores[p->n_stores] = (Store){ .kind = kind, .size = size, .data = data, .first = UINT32_MAX };
	return (uint32_t)p->n_stores++;
}

static uint32_t slot_new(graft_plan *p, graft_tensor tensor, uint32_t store, int64_t offset)
{
	p->slots = arena_grow(&p->arena, p->slots, p->n_slots, &p->cap_slots, sizeof *p->slots);
	p->slots[p->n_slots] = (Slot){ tensor, store, offset };
	return (uint32_t)p->n_slots++;
}

uint32_t slot_dense(graft_plan *p, const char *name, const Type *type)
{
	size_t size;
	graft_tensor t = tensor_of(p, name, type, &size);
	return slot_new(p, t, store_new(p, STORE_BUFFER, size, NULL), 0);
}

/* The strides of axes that nobody walks are whatever the caller left there: dense ones take their place. */
static const int64_t *walked_strides(graft_plan *p, const graft_tensor *t)
{
	int64_t *stride = NEW_ARRAY(&p->arena, (size_t)t->rank, int64_t);
	dense_strides(stride, t->shape, (uint32_t)t->rank);
	for (int32_t i = 0; i < t->rank && tensor_size(t); i++)
		if (t->shape[i] > 1)
			stride[i] = t->stride[i];
	return stride;
}

static uint32_t slot_given(graft_plan *p, const graft_tensor *given, bool each_run)
{
	graft_tensor t = *given, *from = NEW(&p->arena, graft_tensor);
	t.shape = arena_copy(&p->arena, t.shape, (size_t)t.rank * sizeof *t.shape);
	t.stride = walked_strides(p, given);
	*from = t;
	size_t size = 0;
	if (p->device) {
		int64_t *dense = NEW_ARRAY(&p->arena, (size_t)t.rank, int64_t);
		dense_strides(dense, t.shape, (uint32_t)t.rank);
		t.stride = dense;
		size = (size_t)(tensor_size(&t) * item_size(&t));
	}
	uint32_t store = store_new(p, STORE_GIVEN, size, t.data);
	p->stores[store].from = from;
	p->stores[store].each_run = each_run;
	return slot_new(p, t, store, 0);
}

/* What a caller's strides reach must be addressable; whether the memory is there, only the caller knows. */
static bool strides_fit(const graft_tensor *t)
{
	int64_t reach = 0, span;
	for (int32_t i = 0; i < t->rank; i++)
		if (t->shape[i] > 1 &&
		    (t->stride[i] == INT64_MIN || __builtin_mul_overflow(t->shape[i] - 1, t->stride[i], &span) ||
		     __builtin_add_overflow(reach, span < 0 ? -span : span, &reach)))
			return false;
	return reach <= PTRDIFF_MAX / 8;
}

static void check_given(graft_plan *p, const Value *v, const graft_tensor *t)
{
	size_t size;
	if (!bytes_of(t->shape, (uint32_t)t->rank, v->type.dtype, &size))
		too_large(p, v->name, &v->type);
	if (!strides_fit(t))
		fail_at(p->arena.job, GRAFT_E_DATA, v->name,
		        "%s %s is given with strides beyond what memory can address", given_kind(v), v->name);
	if (size && !t->data)
		fail_at(p->arena.job, GRAFT_E_DATA, v->name, "%s %s is given without data", given_kind(v), v->name);
}

void layout_given(graft_plan *p)
{
	for (uint32_t i = 0; i < n_given(p->g); i++) {
		const Value *v = given_value(p->g, i);
		check_given(p, v, p->given[i]);
		uint32_t slot = slot_given(p, p->given[i], v->kind == VALUE_INPUT);
		p->slot_of[v->id] = alias_written(p->alias, v) ? bind_copy(p, slot, v->name) : slot;
	}
}

void layout_constant(graft_plan *p, const Value *v, const graft_tensor *t)
{
	uint32_t slot = slot_given(p, t, false);
	p->slot_of[v->id] = alias_written(p->alias, v) ? bind_copy(p, slot, v->name) : slot;
}

/* A literal is a tensor of one element that never changes. */
uint32_t layout_operand(graft_plan *p, const Value *v)
{
	if (!v)
		return NO_SLOT;
	if (v->kind == VALUE_LITERAL && p->slot_of[v->id] == NO_SLOT) {
		size_t size;
		graft_tensor t = tensor_of(p, "a literal", &v->type, &size);
		const Attr *a = &v->literal;
		t.data = arena_alloc(&p->arena, size);
		convert(t.dtype, t.data, 1, a->kind == ATTR_FLOAT ? GRAFT_DTYPE_f64 : GRAFT_DTYPE_i64,
		        a->kind == ATTR_FLOAT ? (const void *)&a->f : &a->i, 1, 1);
		p->slot_of[v->id] = slot_given(p, &t, false);
	}
	return p->slot_of[v->id];
}

/* ---- views ------------------------------------------------------------------------------------------------- */

/* A view of x that is not empty: strides of y, and how many elements its first one lies behind that of x. */
typedef struct View {
	const Node *node;
	const graft_tensor *x, *y;
	int64_t *stride;
	int64_t behind, *taken;               /* taken: how much of a split axis the results so far have */
} View;

static int64_t int_attr(const View *v, int i)
{
	const Attr *a = node_attr(v->node, i);
	return a->kind == ATTR_DIM ? a->dim.value : a->i;
}

static uint32_t axis_attr(const View *v, int i)
{
	return axis_of(node_attr(v->node, i), (uint32_t)v->x->rank);
}

static void same_strides(View *v)
{
	for (int32_t i = 0; i < v->x->rank; i++)
		v->stride[i] = v->x->stride[i];
}

static void view_split(View *v)
{
	uint32_t axis = axis_attr(v, 0);
	same_strides(v);
	v->behind = *v->taken * v->x->stride[axis];
	*v->taken += v->y->shape[axis];
}

static void view_slice(View *v)
{
	uint32_t axis = axis_attr(v, 0);
	same_strides(v);
	v->behind = slice_end(int_attr(v, 1), v->x->shape[axis]) * v->x->stride[axis];
	if (v->y->shape[axis] > 1)
		v->stride[axis] *= int_attr(v, 3);
}

static void view_narrow(View *v)
{
	uint32_t axis = axis_attr(v, 0);
	same_strides(v);
	v->behind = slice_end(int_attr(v, 1), v->x->shape[axis]) * v->x->stride[axis];
}

static void view_select(View *v)
{
	uint32_t axis = axis_attr(v, 0), to = 0;
	for (uint32_t i = 0; i < (uint32_t)v->x->rank; i++)
		if (i != axis)
			v->stride[to++] = v->x->stride[i];
	v->behind = slice_end(int_attr(v, 1), v->x->shape[axis]) * v->x->stride[axis];
}

static bool view_contiguous(View *v)
{
	same_strides(v);
	return tensor_dense(v->x);
}

static void view_transpose(View *v)
{
	uint32_t a = axis_attr(v, 0), b = axis_attr(v, 1);
	same_strides(v);
	v->stride[a] = v->x->stride[b];
	v->stride[b] = v->x->stride[a];
}

static void view_permute(View *v)
{
	const Attr *axes = node_attr(v->node, 0);
	for (int32_t i = 0; i < v->y->rank; i++)
		v->stride[i] = v->x->stride[axes->ints[i] < 0 ? axes->ints[i] + v->x->rank : axes->ints[i]];
}

static void view_expand(View *v)
{
	int32_t front = v->y->rank - v->x->rank;
	for (int32_t i = 0; i < v->y->rank; i++)
		v->stride[i] = i >= front && v->x->shape[i - front] == v->y->shape[i] ? v->x->stride[i - front] : 0;
}

static void view_unsqueeze(View *v)
{
	uint32_t axis = axis_of(node_attr(v->node, 0), (uint32_t)v->y->rank), from = 0;
	int64_t beside = axis < (uint32_t)v->x->rank ? v->x->stride[axis] * v->x->shape[axis] : 1;
	for (uint32_t i = 0; i < (uint32_t)v->y->rank; i++)
		v->stride[i] = i == axis ? beside : v->x->stride[from++];
}

static void view_squeeze(View *v)
{
	bool gone[GRAFT_MAX_RANK] = { 0 };
	int32_t to = 0;
	attr_axes(node_attr(v->node, 0), (uint32_t)v->x->rank, gone);
	for (int32_t i = 0; i < v->x->rank; i++)
		if (!gone[i] || v->x->shape[i] != 1)
			v->stride[to++] = v->x->stride[i];
}

/* Axes of x that can be walked with one stride are one run; y is a view when each of its axes lies within a run. */
static bool view_reshape(View *v)
{
	int64_t run[GRAFT_MAX_RANK], stride[GRAFT_MAX_RANK];
	int32_t n = 0, at = 0;
	for (int32_t i = v->x->rank; i-- > 0;) {
		if (v->x->shape[i] == 1)
			continue;
		if (n && v->x->stride[i] == run[n - 1] * stride[n - 1]) {
			run[n - 1] *= v->x->shape[i];
			continue;
		}
		run[n] = v->x->shape[i];
		stride[n++] = v->x->stride[i];
	}
	int64_t used = 1;
	for (int32_t i = v->y->rank; i-- > 0;) {
		if (at < n && used == run[at] && v->y->shape[i] != 1) {
			at++;
			used = 1;
		}
		v->stride[i] = at < n ? used * stride[at] : 1;
		if (v->y->shape[i] != 1 && (at == n || (used *= v->y->shape[i]) > run[at]))
			return false;
	}
	return true;
}

/* True when the result is a view of operand 0: then its strides are filled. */
static bool view_strides(View *v)
{
	switch (op_code(v->node->op)) {
	case OP_alias: same_strides(v); return true;
	case OP_split: view_split(v); return true;
	case OP_slice: view_slice(v); return true;
	case OP_narrow: view_narrow(v); return true;
	case OP_select: view_select(v); return true;
	case OP_transpose: view_transpose(v); return true;
	case OP_permute: view_permute(v); return true;
	case OP_expand: view_expand(v); return true;
	case OP_unsqueeze: view_unsqueeze(v); return true;
	case OP_squeeze: view_squeeze(v); return true;
	case OP_reshape: return view_reshape(v);
	case OP_contiguous: return view_contiguous(v);
	default: assert(false && "a row of ops.def with effect VIEW needs its strides here"); return false;
	}
}

static bool layout_view(graft_plan *p, const Node *n, uint32_t result, int64_t *taken)
{
	const Value *y = n->out[result];
	size_t size;
	graft_tensor t = tensor_of(p, y->name, &y->type, &size);
	Slot x = p->slots[p->slot_of[n->in[0].value->id]];
	int64_t *stride = NEW_ARRAY(&p->arena, (size_t)t.rank, int64_t);
	View v = { n, &x.tensor, &t, stride, 0, taken };
	if (size && !view_strides(&v))
		return false;
	if (size)
		t.stride = stride;
	p->slot_of[y->id] = slot_new(p, t, x.store, x.offset + v.behind * (int64_t)graft_dtype_size(y->type.dtype));
	return true;
}

/* ---- nodes ------------------------------------------------------------------------------------------------- */

static void check_writable(graft_plan *p, const Node *n)
{
	const graft_tensor *x = &p->slots[p->slot_of[n->in[0].value->id]].tensor;
	for (int32_t i = 0; i < x->rank; i++)
		if (x->shape[i] > 1 && !x->stride[i])
			fail_at(p->arena.job, GRAFT_E_UNSUPPORTED, node_label(n),
			        "%s writes %s, an expanded view in which several elements are one place in memory; "
			        "clone it first", n->name, n->in[0].value->name);
}

bool layout_node(graft_plan *p, const Node *n)
{
	bool computes = true;
	if (n->op->effect == WRITES) {
		check_writable(p, n);
		p->slot_of[n->out[0]->id] = p->slot_of[n->in[0].value->id];
	} else if (n->op->effect == PURE) {
		for (uint32_t i = 0; i < n->n_out; i++)
			p->slot_of[n->out[i]->id] = slot_dense(p, n->out[i]->name, &n->out[i]->type);
	} else {
		int64_t taken = 0;
		computes = false;
		for (uint32_t i = 0; i < n->n_out; i++)
			computes |= !layout_view(p, n, i, &taken);
		if (computes)
			p->slot_of[n->out[0]->id] = slot_dense(p, n->out[0]->name, &n->out[0]->type);
	}
	return computes;
}

Type layout_type(graft_plan *p, const graft_tensor *t)
{
	Dim *dims = NEW_ARRAY(&p->arena, (size_t)t->rank, Dim);
	for (int32_t i = 0; i < t->rank; i++)
		dims[i] = dim_const(t->shape[i]);
	return (Type){ (graft_dtype)t->dtype, (uint32_t)t->rank, dims };
}
