/* programs_ops.c - random programs: what their nodes do. A function for each kind of node; one that finds no tensor to its
 * liking makes none. */
#include "programs.h"
#include <stdlib.h>
#include <string.h>

#define PICK(p, list) ((list)[roll(p, (uint32_t)(sizeof(list) / sizeof *(list)))])

/* ---- which tensors ---- */

static bool is_float(const Tensor *t) { return t->dtype == F32 || t->dtype == BF16; }
static bool is_f32(const Tensor *t) { return t->dtype == F32; }
static bool may_be_written(const Tensor *t) { return is_float(t) && !t->overlaps && !t->frozen; }
static bool has_axes(const Tensor *t) { return is_float(t) && t->rank; }
static bool has_two_axes(const Tensor *t) { return t->rank >= 2; }
static bool has_room(const Tensor *t) { return t->rank && t->rank < MAX_AXES; }
static bool is_matrix(const Tensor *t) { return t->dtype == F32 && t->rank == 2 && is_num(t->size[1], 8); }
static bool ends_in_8(const Tensor *t) { return t->dtype == F32 && t->rank && is_num(t->size[t->rank - 1], 8); }

static bool ends_even(const Tensor *t)
{
	Num last = t->rank ? t->size[t->rank - 1] : num(1);
	return is_float(t) && !last.s && last.a % 2 == 0 && last.a;
}

/* Another tensor of that type; NULL: none was found. */
static const Tensor *another(Program *p, const Tensor *x)
{
	for (int i = 0; i < 12; i++) {
		const Tensor *t = any(p, NULL);
		if (t && t != x && t->dtype == x->dtype && same_sizes(t, x))
			return t;
	}
	return NULL;
}

/* An axis with more than one element, as many as are known; -1: none. */
static int wide_axis(Program *p, const Tensor *t)
{
	for (int i = 0; i < 6 && t->rank; i++) {
		int axis = (int)roll(p, (uint32_t)t->rank);
		if (!t->size[axis].s && t->size[axis].a > 1)
			return axis;
	}
	return -1;
}

/* ---- results ---- */

/* One that lies as x does, in its storage. */
static Tensor *result_in(Program *p, const Tensor *x)
{
	Tensor *t = result(p, x);
	*t = *x;
	return t;
}

static Tensor *result_of(Program *p, const Tensor *x, int dtype)
{
	Tensor *t = result(p, x);
	t->dtype = dtype;
	return t;
}

/* With one size different, laid out anew. */
static Tensor *result_sized(Program *p, const Tensor *x, int axis, Num size)
{
	Tensor *t = result(p, x);
	t->size[axis] = size;
	lay_out(t);
	return t;
}

static void drop_axis(Tensor *t, int axis)
{
	t->rank--;
	for (int i = axis; i < t->rank; i++) {
		t->size[i] = t->size[i + 1];
		t->stride[i] = t->stride[i + 1];
	}
}

static void add_axis(Tensor *t, int axis, Num size, Num stride)
{
	for (int i = t->rank++; i > axis; i--) {
		t->size[i] = t->size[i - 1];
		t->stride[i] = t->stride[i - 1];
	}
	t->size[axis] = size;
	t->stride[axis] = stride;
}

static Tensor *reduced(Program *p, const Tensor *x, int axis, bool keep)
{
	Tensor *t = result_sized(p, x, axis, num(1));
	if (!keep)
		drop_axis(t, axis);
	return t;
}

static const Tensor *last_made(const Program *p)
{
	return &p->room->tensor[p->room->n_tensors - 1];
}

/* A result that leaves, most times. */
static void wants(Program *p, const Tensor *t)
{
	if (!p->room->outer && p->n_wanted < MAX_OUTPUTS / 2 && !chance(p, 8))
		p->wanted[p->n_wanted++] = t;
}

/* ---- element by element ---- */

static void unary(Program *p)
{
	static const char *const targets[] = {
		"aten.relu.default", "aten.neg.default", "aten.abs.default", "aten.tanh.default", "aten.cos.default",
		"aten.sigmoid.default", "aten.silu.default", "aten.exp.default", "aten.floor.default", "aten.ceil.default",
		"aten.round.default", "aten.sign.default", "aten.elu.default", "aten.softplus.default", "aten.mish.default",
		"aten.hardswish.default", "aten.leaky_relu.default", "aten.hardtanh.default", "aten.log_sigmoid.default",
		"aten.expm1.default", "aten.relu6.default",
	};
	const Tensor *x = any(p, is_float);
	if (!x)
		return;
	result(p, x);
	node(p, PICK(p, targets), "self=t", x);
}

static void binary(Program *p)
{
	static const char *const targets[] = { "aten.add.Tensor", "aten.mul.Tensor", "aten.sub.Tensor", "aten.div.Tensor" };
	const Tensor *x = any(p, is_float), *y = x ? another(p, x) : NULL;
	if (!x)
		return;
	result(p, x);
	if (y)
		node(p, PICK(p, targets), "self=t other=t", x, y);
	else
		node(p, PICK(p, targets), "self=t other=f", x, 0.5 * (1 + roll(p, 4)));
}

static void scaled(Program *p)
{
	const Tensor *x = any(p, is_float), *y = x ? another(p, x) : NULL;
	if (!y)
		return;
	result(p, x);
	switch (roll(p, 3)) {
	case 0: node(p, "aten.add.Tensor", "self=t other=t *alpha=i", x, y, (int64_t)2); break;
	case 1: node(p, "aten.addcmul.default", "self=t tensor1=t tensor2=t *value=i", x, y, y, (int64_t)3); break;
	case 2: node(p, "aten.lerp.Scalar", "self=t end=t weight=f", x, y, 0.25); break;
	}
}

static void chosen(Program *p)
{
	const Tensor *x = any(p, is_float), *y = x ? another(p, x) : NULL;
	if (!x)
		return;
	result_of(p, x, BOOL);
	node(p, "aten.gt.Scalar", "self=t other=i", x, (int64_t)0);
	const Tensor *mask = last_made(p);
	result(p, x);
	if (y)
		node(p, "aten.where.self", "condition=t self=t other=t", mask, x, y);
	else
		node(p, "aten.masked_fill.Scalar", "self=t mask=t value=f", x, mask, -1.5);
}

/* ---- casts and copies ---- */

static void cast(Program *p)
{
	const Tensor *x = any(p, is_float);
	if (!x)
		return;
	int dtype = chance(p, 2) ? x->dtype : x->dtype == F32 ? BF16 : F32;
	if (dtype == x->dtype)
		result_in(p, x);
	else
		result_of(p, x, dtype);
	switch (roll(p, 3)) {
	case 0: node(p, "aten.to.dtype", "self=t dtype=d", x, dtype); break;
	case 1: node(p, "aten.to.dtype", "self=t dtype=d non_blocking=b copy=b memory_format=n", x, dtype, 0, 0); break;
	case 2: node(p, "aten.to.device", "self=t device=D dtype=d", x, "cpu", dtype); break;
	}
}

static void cast_as(Program *p)
{
	const Tensor *x = any(p, is_float), *y = any(p, is_float);
	if (!x || !y)
		return;
	if (x->dtype == y->dtype)
		result_in(p, x);
	else
		result_of(p, x, y->dtype);
	node(p, chance(p, 2) ? "aten.type_as.default" : "aten.to.other", "self=t other=t", x, y);
}

static void copy(Program *p)
{
	const Tensor *x = any(p, NULL);
	switch (roll(p, 3)) {
	case 0:
		result(p, x);
		node(p, "aten.clone.default", "self=t", x);
		break;
	case 1:
		lay_out(result(p, x));
		node(p, "aten.clone.default", "self=t *memory_format=m", x, 1);
		break;
	case 2:
		if (is_contiguous(x))
			result_in(p, x);
		else
			lay_out(result(p, x));
		node(p, "aten.contiguous.default", "self=t", x);
	}
}

static void same(Program *p)
{
	static const char *const targets[] = { "aten.detach.default", "aten.alias.default", "aten.lift_fresh.default" };
	const Tensor *x = any(p, NULL);
	result_in(p, x);
	node(p, PICK(p, targets), "self=t", x);
}

/* ---- views ---- */

static void reshape_same(Program *p)
{
	const Tensor *x = any(p, has_axes);
	if (!x)
		return;
	for (int i = 0; i < x->rank && chance(p, 2); i++)
		if (x->size[i].s)
			need_size(p, x->size[i]);
	result_in(p, x);
	if (chance(p, 2))
		node(p, "aten.view.default", "self=t size=S", x, x->rank, x->size);
	else
		node(p, "aten.reshape.default", "self=t shape=S", x, x->rank, x->size);
}

/* Joins two axes of t; false: that takes a copy. */
static bool join_axes(Tensor *t, int at)
{
	bool first = is_num(t->size[at], 1), second = is_num(t->size[at + 1], 1);
	bool in_place = first || second || num_same(t->stride[at], num_times(t->stride[at + 1], t->size[at + 1]));
	t->size[at] = num_times(t->size[at], t->size[at + 1]);
	t->stride[at] = second ? t->stride[at] : t->stride[at + 1];
	t->size[at + 1] = num(1);
	drop_axis(t, at + 1);
	return in_place;
}

static void cut_axis(Tensor *t, int at)
{
	Num half = num(t->size[at].a / 2), stride = t->stride[at];
	t->size[at] = half;
	add_axis(t, at, num(2), num_times(stride, half));
}

/* Joins two axes, or cuts the last one. */
static void reshape(Program *p)
{
	const Tensor *x = any(p, has_room);
	if (!x)
		return;
	Tensor t = *x;
	int last = x->rank - 1, at = (int)roll(p, (uint32_t)x->rank);
	bool is_view = true;
	if (at < last && !(x->size[at].s && x->size[at + 1].s) && !(x->stride[at + 1].s && x->size[at + 1].s))
		is_view = join_axes(&t, at);
	else if (!x->size[last].s && x->size[last].a % 2 == 0)
		cut_axis(&t, last);
	for (int i = 0; i < t.rank; i++)
		if (t.size[i].s && chance(p, 2))
			need_size(p, t.size[i]);
	if (is_view)
		result_in(p, &t);
	else
		lay_out(result(p, &t));
	if (is_view && chance(p, 2))
		node(p, "aten.view.default", "self=t size=S", x, t.rank, t.size);
	else
		node(p, "aten.reshape.default", "self=t shape=S", x, t.rank, t.size);
}

static void swap_axes(Program *p, const Tensor *x, int a, int b)
{
	Tensor *t = result_in(p, x);
	t->size[a] = x->size[b], t->size[b] = x->size[a];
	t->stride[a] = x->stride[b], t->stride[b] = x->stride[a];
	node(p, "aten.transpose.int", "self=t dim0=i dim1=i", x, (int64_t)a, (int64_t)b - (chance(p, 2) ? x->rank : 0));
}

static void transpose(Program *p)
{
	const Tensor *x = any(p, has_two_axes);
	if (x)
		swap_axes(p, x, (int)roll(p, (uint32_t)x->rank), (int)roll(p, (uint32_t)x->rank));
}

/* There and back: what was copied on the way lies otherwise than x. */
static void reshape_back(Program *p)
{
	const Tensor *x = any(p, has_two_axes);
	if (!x || !is_float(x) || x->size[0].s || x->size[1].s)
		return;
	if (chance(p, 2)) {
		swap_axes(p, x, 0, 1);
		x = last_made(p);
	}
	Tensor t = *x;
	bool is_view = join_axes(&t, 0);
	if (is_view)
		result_in(p, &t);
	else
		lay_out(result(p, &t));
	node(p, "aten.reshape.default", "self=t shape=S", x, t.rank, t.size);
	if (is_view)
		result_in(p, x);
	else
		lay_out(result(p, x));
	node(p, "aten.reshape.default", "self=t shape=S", last_made(p), x->rank, x->size);
	const Tensor *y = last_made(p);
	result(p, y);
	node(p, "aten.cos.default", "self=t", y);
	wants(p, last_made(p));
}

static void permute(Program *p)
{
	const Tensor *x = any(p, has_two_axes);
	if (!x)
		return;
	int64_t dims[MAX_AXES];
	int shift = (int)roll(p, (uint32_t)x->rank);
	Tensor *t = result_in(p, x);
	for (int i = 0; i < x->rank; i++) {
		dims[i] = (i + shift) % x->rank;
		t->size[i] = x->size[dims[i]];
		t->stride[i] = x->stride[dims[i]];
	}
	node(p, "aten.permute.default", "self=t dims=I", x, x->rank, dims);
}

static void move_offset(Tensor *t, Num by, int64_t times)
{
	t->offset.a += by.a * times;
	t->offset.s += by.s * times;
}

static void cut(Program *p)
{
	const Tensor *x = any(p, has_axes);
	int axis = x ? wide_axis(p, x) : -1;
	if (axis < 0)
		return;
	int64_t n = x->size[axis].a, start = roll(p, (uint32_t)n), end = start + 1 + roll(p, (uint32_t)(n - start)),
		step = 1 + roll(p, 2);
	if (chance(p, 4))
		start = 0, end = INT64_MAX, step = 1;
	Tensor *t = result_in(p, x);
	move_offset(t, x->stride[axis], start);
	t->size[axis] = num(((end < n ? end : n) - start + step - 1) / step);
	t->stride[axis] = num_times(x->stride[axis], num(step));
	node(p, "aten.slice.Tensor", step == 1 ? "self=t dim=i start=i end=i" : "self=t dim=i start=i end=i step=i", x,
	     (int64_t)axis, start, end, step);
}

static void pick_one(Program *p)
{
	const Tensor *x = any(p, has_axes);
	if (!x)
		return;
	int axis = (int)roll(p, (uint32_t)x->rank);
	int64_t index = x->size[axis].s || x->size[axis].a < 1 ? 0 : roll(p, (uint32_t)x->size[axis].a);
	Tensor *t = result_in(p, x);
	move_offset(t, x->stride[axis], index);
	drop_axis(t, axis);
	node(p, "aten.select.int", "self=t dim=i index=i", x, (int64_t)axis, index);
}

static void pieces(Program *p, const Tensor *x, int axis, int n, const int64_t *size)
{
	int64_t at = 0;
	for (int i = 0; i < n; at += size[i++]) {
		Tensor *t = result_in(p, x);
		move_offset(t, x->stride[axis], at);
		t->size[axis] = num(size[i]);
	}
	p->as_list = true;
}

static void split(Program *p)
{
	const Tensor *x = any(p, has_axes);
	int axis = x ? wide_axis(p, x) : -1;
	if (axis < 0)
		return;
	int64_t n = x->size[axis].a, first = 1 + roll(p, (uint32_t)(n - 1)), sizes[] = { first, n - first };
	if (first >= n - first && chance(p, 2)) {
		pieces(p, x, axis, 2, sizes);
		node(p, "aten.split.Tensor", "self=t split_size=i dim=i", x, first, (int64_t)axis);
		return;
	}
	pieces(p, x, axis, 2, sizes);
	node(p, "aten.split_with_sizes.default", "self=t split_sizes=I dim=i", x, 2, sizes, (int64_t)axis);
}

static void unbind(Program *p)
{
	const Tensor *x = any(p, has_axes);
	int axis = x ? wide_axis(p, x) : -1;
	if (axis < 0 || x->size[axis].a > 4)
		return;
	static const int64_t ones[] = { 1, 1, 1, 1 };
	pieces(p, x, axis, (int)x->size[axis].a, ones);
	for (int i = 0; i < p->n_results; i++)
		drop_axis(&p->result[i], axis);
	node(p, "aten.unbind.int", "self=t dim=i", x, (int64_t)axis);
}

static void widen(Program *p)
{
	const Tensor *x = any(p, has_room);
	if (!x)
		return;
	Tensor *t = result_in(p, x);
	if (chance(p, 2)) {
		int axis = (int)roll(p, (uint32_t)x->rank + 1);
		Num stride = axis < x->rank ? num_times(x->stride[axis], x->size[axis]) : num(1);
		if (axis < x->rank && x->stride[axis].s && x->size[axis].s) {
			p->n_results = 0;
			return;
		}
		add_axis(t, axis, num(1), stride);
		node(p, "aten.unsqueeze.default", "self=t dim=i", x, (int64_t)axis);
		return;
	}
	add_axis(t, 0, num(2), num(0));
	t->overlaps = true;
	node(p, "aten.expand.default", "self=t size=S", x, t->rank, t->size);
}

static void squeeze(Program *p)
{
	const Tensor *x = any(p, has_axes);
	if (!x)
		return;
	int axis = (int)roll(p, (uint32_t)x->rank);
	for (int i = 0; i < x->rank; i++)
		axis = is_num(x->size[i], 1) ? i : axis;
	Tensor *t = result_in(p, x);
	if (is_num(x->size[axis], 1))
		drop_axis(t, axis);
	node(p, "aten.squeeze.dim", "self=t dim=i", x, (int64_t)axis);
}

/* ---- ops that are several of ours ---- */

static void layer_norm(Program *p)
{
	const Tensor *x = any(p, ends_in_8), *w = p->room->outer || chance(p, 2) ? NULL : &p->room->tensor[5];
	static const int64_t shape[] = { 8 };
	if (!x)
		return;
	lay_out(result(p, x));
	if (chance(p, 2)) {
		node(p, "aten.layer_norm.default", "input=t normalized_shape=I weight=o bias=o eps=f", x, 1, shape, w, w, 1e-5);
		return;
	}
	result_sized(p, x, x->rank - 1, num(1));
	result_sized(p, x, x->rank - 1, num(1));
	node(p, "aten.native_layer_norm.default", "input=t normalized_shape=I weight=o bias=o eps=f", x, 1, shape, w, w, 1e-5);
}

static void moments(Program *p)
{
	const Tensor *x = any(p, has_axes);
	int axis = x ? wide_axis(p, x) : -1;
	if (axis < 0)
		return;
	int64_t dim[] = { axis };
	bool keep = chance(p, 2);
	reduced(p, x, axis, keep);
	switch (roll(p, 5)) {
	case 0: node(p, "aten.std.correction", "self=t dim=I *correction=i *keepdim=b", x, 1, dim, (int64_t)1, keep); break;
	case 1: node(p, "aten.var.dim", "self=t dim=I unbiased=b keepdim=b", x, 1, dim, 0, keep); break;
	case 2: node(p, "aten.mean.dim", "self=t dim=I keepdim=b", x, 1, dim, keep); break;
	case 3: node(p, "aten.sum.dim_IntList", "self=t dim=I keepdim=b", x, 1, dim, keep); break;
	case 4:
		reduced(p, x, axis, keep);
		node(p, "aten.var_mean.correction", "self=t dim=I *correction=i *keepdim=b", x, 1, dim, (int64_t)0, keep);
	}
}

static void extreme(Program *p)
{
	const Tensor *x = any(p, has_axes);
	int axis = x ? wide_axis(p, x) : -1;
	if (axis < 0)
		return;
	bool keep = chance(p, 2);
	reduced(p, x, axis, keep);
	reduced(p, x, axis, keep)->dtype = I64;
	node(p, chance(p, 2) ? "aten.max.dim" : "aten.min.dim", "self=t dim=i keepdim=b", x, (int64_t)axis, keep);
}

static void turned(Program *p)
{
	const Tensor *x = any(p, has_axes);
	int axis = x ? wide_axis(p, x) : -1;
	if (axis < 0)
		return;
	int64_t dim[] = { axis }, by[] = { 1 };
	if (chance(p, 2)) {
		result(p, x);
		node(p, "aten.flip.default", "self=t dims=I", x, 1, dim);
	} else {
		lay_out(result(p, x));
		node(p, "aten.roll.default", "self=t shifts=I dims=I", x, 1, by, 1, dim);
	}
}

static void padded(Program *p)
{
	const Tensor *x = any(p, has_axes);
	if (!x || x->size[x->rank - 1].s)
		return;
	static const int64_t pad[] = { 1, 2 };
	result_sized(p, x, x->rank - 1, num(x->size[x->rank - 1].a + 3));
	if (chance(p, 2))
		node(p, "aten.constant_pad_nd.default", "self=t pad=I value=f", x, 2, pad, 0.5);
	else
		node(p, "aten.pad.default", "self=t pad=I mode=s value=f", x, 2, pad, "constant", 0.5);
}

static void gated(Program *p)
{
	const Tensor *x = any(p, ends_even);
	if (!x)
		return;
	result_sized(p, x, x->rank - 1, num(x->size[x->rank - 1].a / 2));
	node(p, "aten.glu.default", "self=t dim=i", x, (int64_t)-1);
}

static void softmax(Program *p)
{
	const Tensor *x = any(p, has_axes);
	if (!x)
		return;
	lay_out(result(p, x));
	node(p, chance(p, 2) ? "aten.softmax.int" : "aten.log_softmax.int", "self=t dim=i", x, (int64_t)-1);
}

static void joined(Program *p)
{
	const Tensor *x = any(p, has_axes), *y = x ? another(p, x) : NULL;
	if (!y || x->rank == MAX_AXES)
		return;
	const Tensor *const both[] = { x, y };
	int axis = (int)roll(p, (uint32_t)x->rank);
	if (chance(p, 2)) {
		result_sized(p, x, axis, num_times(x->size[axis], num(2)));
		node(p, "aten.cat.default", "tensors=T dim=i", 2, both, (int64_t)axis);
		return;
	}
	Tensor *t = result(p, x);
	add_axis(t, axis, num(2), num(0));
	lay_out(t);
	node(p, "aten.stack.default", "tensors=T dim=i", 2, both, (int64_t)axis);
}

static void repeated(Program *p)
{
	const Tensor *x = any(p, has_axes);
	if (!x)
		return;
	int axis = (int)roll(p, (uint32_t)x->rank);
	result_sized(p, x, axis, num_times(x->size[axis], num(2)));
	node(p, "aten.repeat_interleave.self_int", "self=t repeats=i dim=i", x, (int64_t)2, (int64_t)axis);
}

static void product(Program *p)
{
	const Tensor *x = any(p, is_matrix);
	if (!x || p->room->outer || p->n_inputs > MAX_INPUTS - 6)
		return;
	const Tensor *w = input(p, "parameter", "p_w", F32, 2, (Num[]){ num(8), num(8) }), *bias = &p->room->tensor[5];
	result_sized(p, x, 1, num(8));
	if (chance(p, 2))
		node(p, "aten.addmm.default", "self=t mat1=t mat2=t", bias, x, w);
	else
		node(p, "aten.linear.default", "input=t weight=t bias=t", x, w, bias);
}

/* ---- writes ---- */

static void write_in_place(Program *p)
{
	const Tensor *x = any(p, may_be_written), *y = x ? another(p, x) : NULL;
	if (!x)
		return;
	result_in(p, x);
	switch (roll(p, y ? 6 : 4)) {
	case 0: node(p, "aten.mul_.Tensor", "self=t other=f", x, 0.75); break;
	case 1: node(p, "aten.zero_.default", "self=t", x); break;
	case 2: node(p, "aten.fill_.Scalar", "self=t value=f", x, 0.125); break;
	case 3: node(p, chance(p, 2) ? "aten.relu_.default" : "aten.elu_.default", "self=t", x); break;
	case 4: node(p, "aten.add_.Tensor", "self=t other=t", x, y); break;
	case 5: node(p, "aten.copy_.default", "self=t src=t", x, y); break;
	}
}

/* ---- names that are not read ---- */

static void constant_like(Program *p)
{
	static const char *const targets[] = { "aten.zeros_like.default", "aten.ones_like.default", "aten.empty_like.default" };
	const Tensor *x = any(p, is_float);
	if (!x)
		return;
	bool sized = (!x->rank || !x->size[0].s || need_size(p, x->size[0])) && (x->rank < 2 || !x->size[1].s) &&
		(x->rank < 3 || !x->size[2].s);
	result(p, x);
	switch (roll(p, sized ? 4 : 3)) {
	case 0: node(p, PICK(p, targets), "self=t", x); break;
	case 1: node(p, PICK(p, targets), "self=t *dtype=d *pin_memory=b", x, x->dtype, 0); break;
	case 2: node(p, PICK(p, targets), "self=t *device=D", x, "cpu"); break;
	case 3:
		lay_out(&p->result[0]);
		node(p, "aten.new_zeros.default", "self=t size=S *pin_memory=b", x, x->rank, x->size, 0);
	}
}

static bool has_sizes_known(const Tensor *t)
{
	bool known = t->rank > 0;
	for (int i = 0; i < t->rank; i++)
		known = known && !t->size[i].s;
	return known;
}

static void as_other(Program *p)
{
	const Tensor *x = any(p, is_float), *y = x ? another(p, x) : NULL;
	if (!y)
		return;
	result_in(p, x);
	node(p, chance(p, 2) ? "aten.view_as.default" : "aten.expand_as.default", "self=t other=t", x, y);
}

static void filled(Program *p)
{
	const Tensor *x = any(p, has_sizes_known);
	if (!x)
		return;
	lay_out(result_of(p, x, F32));
	if (chance(p, 2))
		node(p, "aten.full.default", "size=S fill_value=f *device=D *pin_memory=b", x->rank, x->size, 1.5, "cpu", 0);
	else
		node(p, "aten.zeros.default", "size=S *device=D *pin_memory=b", x->rank, x->size, "cpu", 0);
}

/* ---- sizes ---- */

static void sizes(Program *p)
{
	const Num twice = { 0, 2 };
	const char *name = need_size(p, chance(p, 2) ? twice : (Num){ 0, 1 });
	if (!name)
		return;
	if (chance(p, 2))
		check_size(p);
	Tensor t = { .dtype = F32, .rank = 2, .size = { { 0, 1 }, { 3, 0 } } };
	lay_out(&t);
	if (!need_size(p, t.size[0]) || chance(p, 2))
		return;
	result(p, &t);
	node(p, "aten.ones.default", "size=S *device=D *pin_memory=b", 2, t.size, "cpu", 0);
}

static void assert_type(Program *p)
{
	const Tensor *x = any(p, is_float);
	if (x)
		node(p, "aten._assert_tensor_metadata.default", "a=t size=n stride=n dtype=d", x, x->dtype);
}

/* ---- ops that graft does not know ---- */

static void unknown(Program *p)
{
	const Tensor *x = any(p, may_be_written), *y = x ? another(p, x) : NULL;
	if (!x)
		return;
	p->runs = false;
	switch (roll(p, y ? 5 : 3)) {
	case 0: node(p, "mylib.write.default", "x=t", x); break;
	case 1:
		result_in(p, x);
		node(p, "mylib.view.default", "x=t", x);
		break;
	case 2: node(p, "aten._foreach_add_.Scalar", "self=T scalar=f", 1, (const Tensor *const[]){ x }, 1.0); break;
	case 3:
		result_in(p, x);
		node(p, "aten.add.out", "self=t other=t *out=t", y, y, x);
		break;
	case 4:
		result(p, x);
		node(p, "mylib.mix.default", "x=t y=t", x, y);
	}
}

/* ---- doubles ---- */

static void double_of(Program *p)
{
	Room *r = p->room;
	if (r->n_made)
		once_more(p, &r->made[roll(p, (uint32_t)r->n_made)]);
}

/* The same but for one argument. */
static void twins(Program *p)
{
	const Tensor *x = any(p, has_axes);
	if (!x)
		return;
	result(p, x);
	switch (roll(p, 5)) {
	case 0:
		node(p, "aten.clone.default", "self=t *memory_format=m", x, 4);
		lay_out(result(p, x));
		node(p, "aten.clone.default", "self=t *memory_format=m", x, 1);
		break;
	case 1:
		node(p, "aten.zeros_like.default", "self=t *device=D", x, "cpu");
		result(p, x);
		node(p, "aten.zeros_like.default", "self=t *pin_memory=b", x, 0);
		break;
	case 2:
		node(p, "aten.to.dtype", "self=t dtype=d non_blocking=b copy=b", x, x->dtype, 0, 1);
		result_in(p, x);
		node(p, "aten.to.dtype", "self=t dtype=d non_blocking=b copy=b", x, x->dtype, 0, 0);
		break;
	case 3:
		node(p, "aten.mul.Tensor", "self=t other=f", x, 1.5);
		result(p, x);
		node(p, "aten.mul.Tensor", "self=t other=f", x, 2.5);
		break;
	case 4:
		node(p, "aten.zeros_like.default", "self=t *pin_memory=b", x, 0);
		result(p, x);
		node(p, "aten.empty_like.default", "self=t *pin_memory=b", x, 0);
	}
	result(p, x);
	node(p, "aten.add.Tensor", "self=t other=t", &p->room->tensor[p->room->n_tensors - 2], last_made(p));
	wants(p, last_made(p));
}

/* ---- sub-graphs ---- */

static void inner_outputs(Program *p, const Room *inner, int n_in)
{
	const Tensor *in[2], *out[2];
	int made = inner->n_tensors - n_in, n_out = made > 1 && chance(p, 2) ? 2 : 1;
	for (int i = 0; i < n_in; i++)
		in[i] = &inner->tensor[i];
	out[0] = &inner->tensor[inner->n_tensors - 1];
	out[1] = &inner->tensor[n_in];
	if (chance(p, 8)) {                           /* an input goes out as it came: graft does not look into that */
		out[0] = in[0];
		p->runs = false;
	}
	sub_graph(p, (Room *)(uintptr_t)inner, in, n_in, out, n_out);
}

static void nested(Program *p)
{
	const Tensor *x = any(p, is_f32), *y = any(p, is_float);
	Room inner;
	if (!x || !y || (p->room->outer && p->room->outer->outer))
		return;
	int n_in = x == y || !strcmp(x->name, y->name) ? 1 : 2;
	open_room(p, &inner);
	inner.tensor[inner.n_tensors++] = *x;
	if (n_in == 2)
		inner.tensor[inner.n_tensors++] = *y;
	fill_room(p, 1 + (int)roll(p, 5));
	if (inner.n_tensors == n_in)
		copy(p);
	inner_outputs(p, &inner, n_in);
}

/* ---- the norms of multi-head latent attention ---- */

static const Tensor *norm_op(Program *p, const Tensor *x, const Tensor *w)
{
	const int64_t shape[] = { w->size[0].a };
	lay_out(result(p, x));
	node(p, "aten.rms_norm.default", "input=t normalized_shape=I weight=t eps=f", x, 1, shape, w, 1e-6);
	return last_made(p);
}

/* In float32, and back. */
static const Tensor *norm_spelled(Program *p, const Tensor *x, const Tensor *w)
{
	static const int64_t last[] = { -1 };
	const Tensor *xf = x, *n;
	if (x->dtype == BF16) {
		result_of(p, x, F32);
		node(p, "aten.to.dtype", "self=t dtype=d", x, F32);
		xf = last_made(p);
	}
	result(p, xf);
	node(p, "aten.pow.Tensor_Scalar", "self=t exponent=i", xf, (int64_t)2);
	result_sized(p, xf, xf->rank - 1, num(1));
	node(p, "aten.mean.dim", "self=t dim=I keepdim=b", last_made(p), 1, last, 1);
	n = last_made(p);
	if (chance(p, 6))
		write_in_place(p);
	result(p, n);
	node(p, "aten.add.Tensor", "self=t other=f", n, 1e-6);
	result(p, last_made(p));
	node(p, "aten.rsqrt.default", "self=t", last_made(p));
	n = last_made(p);
	result(p, xf);
	node(p, "aten.mul.Tensor", "self=t other=t", xf, n);
	n = last_made(p);
	if (x->dtype == BF16) {
		result_of(p, n, BF16);
		node(p, "aten.to.dtype", "self=t dtype=d", n, BF16);
		n = last_made(p);
	}
	result(p, n);
	node(p, "aten.mul.Tensor", "self=t other=t", w, n);
	return last_made(p);
}

/* A user of x that reads what is written behind it: it cannot go behind x where that is made later. */
static void read_and_write(Program *p, const Tensor *x, const Tensor *like)
{
	result(p, like);
	node(p, "aten.ones_like.default", "self=t *pin_memory=b", like, 0);
	const Tensor *t = last_made(p);
	result(p, x);
	node(p, "aten.add.Tensor", "self=t other=t", x, t);
	wants(p, last_made(p));
	result_in(p, t);
	node(p, "aten.mul_.Tensor", "self=t other=f", t, 0.5);
	wants(p, last_made(p));
}

/* What a model has between, or a stranger's. */
static void between(Program *p, const Tensor *x, const Tensor *like)
{
	switch (roll(p, 8)) {
	case 0:
		result_in(p, x);
		node(p, "aten.mul_.Tensor", "self=t other=f", x, 0.5);
		break;
	case 1:
		p->runs = false;
		node(p, "mylib.write.default", "x=t", x);
		break;
	case 2:
		result(p, x);
		node(p, "aten.zeros_like.default", "self=t *pin_memory=b", x, 0);
		break;
	case 3: fill_room(p, 2); break;
	case 4: read_and_write(p, x, like); break;
	default: break;
	}
}

static const Tensor *projection(Program *p, const Tensor *h, const char *stem, int64_t rows)
{
	const Tensor *w = input(p, "parameter", stem, h->dtype, 2, (Num[]){ num(rows), h->size[1] });
	result_sized(p, h, 1, num(rows));
	node(p, "aten.linear.default", "input=t weight=t", h, w);
	return last_made(p);
}

static void pair(Program *p)
{
	if (p->room->outer || p->n_inputs > MAX_INPUTS - 8)
		return;
	int dtype = chance(p, 2) ? BF16 : F32;
	bool spelled = dtype == BF16 || chance(p, 2);
	const Tensor *(*norm)(Program *, const Tensor *, const Tensor *) = spelled ? norm_spelled : norm_op;
	const Tensor *h = input(p, "user_input", "h", dtype, 2, (Num[]){ { 0, 1 }, num(16) });
	const Tensor *q_w = input(p, "parameter", "p_qn", dtype, 1, (Num[]){ num(12) });
	const Tensor *kv_w = input(p, "parameter", "p_kvn", dtype, 1, (Num[]){ num(8) });
	const Tensor *latent = projection(p, h, "p_q", 12);
	between(p, latent, latent);
	const Tensor *q = norm(p, latent, q_w);
	wants(p, q);
	between(p, q, latent);
	const Tensor *kv = projection(p, h, "p_kv", 12);
	static const int64_t parts[] = { 8, 4 };
	pieces(p, kv, 1, 2, parts);
	node(p, "aten.split_with_sizes.default", "self=t split_sizes=I dim=i", kv, 2, parts, (int64_t)-1);
	kv = &p->room->tensor[p->room->n_tensors - 2];
	between(p, kv, kv);
	wants(p, norm(p, kv, kv_w));
}

/* ---- programs ---- */

void fill_room(Program *p, int n)
{
	static void (*const kinds[])(Program *) = {
		unary, unary, unary, binary, binary, scaled, chosen, cast, cast, cast_as, copy, copy, same, same, reshape_same,
		reshape, reshape, reshape_back, transpose, transpose, permute, cut, cut, pick_one, split, unbind, widen, squeeze, layer_norm,
		layer_norm, moments, extreme, turned, padded, gated, softmax, joined, repeated, product, write_in_place,
		write_in_place, write_in_place, constant_like, constant_like, as_other, filled, sizes, assert_type, double_of,
		double_of, double_of, double_of, twins, nested, nested, pair, pair,
	};
	bool strange = chance(p, 4);                  /* few programs have ops that nobody can run */
	for (int i = 0; i < n; i++) {
		if (p->room->n_tensors > MAX_TENSORS - 64)
			return;
		PICK(p, kinds)(p);
		if (strange && chance(p, 6))
			unknown(p);
	}
}
