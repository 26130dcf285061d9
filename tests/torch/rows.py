"""Every aten row of src/io/torch_ops.def: what graft writes of a module that calls the op is as good as what it read.

Each op is called alone, beside a cast of its input, twice, with its result named by a zeros_like, and with its result
as two outputs; alone it also goes through `graft run`. Arguments are PyTorch's own samples of the op, and those of
SAMPLES below. A new row needs a sample there when PyTorch has none, and fails here until it has one.

    python rows.py [TARGET...]        aten.roll.default
"""
import copy
import itertools
import re
import sys

from trial import ROOT, Part, Wanted

import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

FIRST = 2                                    # PyTorch's samples that are taken of each dtype
DTYPES = torch.float32, torch.bfloat16, torch.int64
# Of equal elements any may come first: PyTorch's samples have such, and graft run need not choose as PyTorch does.
TIES = "aten.sort.default", "aten.topk.default"
NEVER = {"aten.lift_fresh.default": "export writes lift_fresh_copy in its place"}


def given(*args, **kwargs):
    return args, kwargs


def floats(*shape, dtype=torch.float32):
    return torch.linspace(-1.7, 2.3, torch.Size(shape).numel()).reshape(shape).to(dtype)


HALF = torch.bfloat16
F, H, I = floats(2, 3), floats(2, 3, dtype=HALF), torch.tensor([[1, -2, 3], [4, 7, -6]])
MASK = torch.tensor([[True, False, True], [False, False, True]])
AT = torch.tensor([[0, 1, 1], [1, 0, 0]])
COMPARED = [given(F, 0.5), given(I, 3), given(H, 1)]
NUMBERED = [given(F, 2.5), given(I, 3), given(H, 2), given(F, -0.3)]
# Arguments of ops that PyTorch has no samples of, or none for every row of the table.
SAMPLES = {
    "aten.__and__.Tensor": [given(I, AT), given(MASK, ~MASK)],
    "aten.__or__.Tensor": [given(I, AT), given(MASK, ~MASK)],
    "aten.__xor__.Tensor": [given(I, AT), given(MASK, ~MASK)],
    "aten._assert_tensor_metadata.default": [given(F, None, None, torch.float32)],
    "aten._fused_rms_norm.default": [given(F, [3], floats(3), 1e-5), given(F, [3], None, None)],
    "aten._grouped_mm.default": [given(floats(8, 16, dtype=HALF), floats(2, 16, 8, dtype=HALF), torch.tensor([3, 8], dtype=torch.int32))],
    "aten._log_softmax.default": [given(F, -1, False), given(H, 0, False)],
    "aten._softmax.default": [given(F, -1, False), given(H, 0, False)],
    "aten._to_copy.default": [given(F, dtype=HALF), given(F), given(I, dtype=torch.float32)],
    "aten._unsafe_view.default": [given(F, [3, 2]), given(F, [-1])],
    "aten.add.Scalar": [*NUMBERED, given(F, 2, 3)],
    "aten.add.Tensor": [given(F, F.t().reshape(2, 3)), given(I, I, alpha=2), given(H, F)],
    "aten.alias.default": [given(F)],
    "aten.bitwise_and.Scalar": [given(I, 5), given(MASK, True)],
    "aten.bitwise_or.Scalar": [given(I, 5), given(MASK, True)],
    "aten.clamp.default": [given(F, -1, 1), given(H, None, 0.5), given(I, -2)],
    "aten.clamp_max.default": [given(F, 1), given(I, 2)],
    "aten.clamp_min.default": [given(F, -1), given(I, 2)],
    "aten.constant_pad_nd.default": [given(F, [1, 2], 3.0), given(F, [-1, 1, 0, 2])],
    "aten.copy.default": [given(F, H)],
    "aten.copy_.default": [given(F, H), given(F, floats(3))],
    "aten.detach.default": [given(F)],
    "aten.detach_.default": [given(F)],
    "aten.div.Scalar": NUMBERED,
    "aten.div.Scalar_mode": [given(F, 0.7, rounding_mode=m) for m in ("floor", "trunc", None)],
    "aten.div.Tensor_mode": [given(x, x[:, :1] + 1, rounding_mode=m) for m in ("floor", "trunc", None) for x in (F, H)],
    "aten.dropout.default": [given(F, 0.5, False), given(F, 0.5, True)],
    "aten.empty.memory_format": [given([2, 3]), given([2], dtype=torch.int64)],
    "aten.empty_permuted.default": [given([2, 3, 4], [2, 0, 1])],
    "aten.empty_strided.default": [given([2, 3], [1, 2])],
    "aten.eq.Scalar": COMPARED,
    "aten.fmod.Scalar": NUMBERED,
    "aten.ge.Scalar": COMPARED,
    "aten.gt.Scalar": COMPARED,
    "aten.index.Tensor": [given(F, [None, AT[0]]), given(I, [AT[:, 0]]), given(F, [MASK])],
    "aten.layer_norm.default": [given(x, [3], x[0], x[1], 1e-5) for x in (F, H)],
    "aten.le.Scalar": COMPARED,
    "aten.lift_fresh.default": [given(F)],
    "aten.lift_fresh_copy.default": [given(F)],
    "aten.linalg_vector_norm.default": [given(x, p, [-1], True) for p in (1, 2, float("inf"), 3) for x in (F, H)],
    "aten.lt.Scalar": COMPARED,
    "aten.mul.Scalar": NUMBERED,
    "aten.ne.Scalar": COMPARED,
    "aten.one_hot.default": [given(AT, 4)],
    "aten.pow.Scalar": [given(2.5, F), given(2, I.abs())],
    "aten.pow.Tensor_Scalar": [given(F, 2), given(F.abs(), 0.5), given(I, 3), given(H, 2)],
    "aten.remainder.Scalar": NUMBERED,
    "aten.roll.default": [given(F, [1], [1]), given(H, 1), given(I, [1, 2], [0, 1])],
    "aten.rsub.Scalar": [*NUMBERED, given(F, 2, 3)],
    "aten.scalar_tensor.default": [given(2.5), given(3, dtype=torch.int64)],
    "aten.scaled_dot_product_attention.default": [
        given(floats(1, 4, 3, 8), floats(1, 2, 3, 8), floats(1, 2, 3, 8), None, 0.0, True, enable_gqa=True),
        given(floats(1, 4, 3, 8), floats(1, 4, 3, 8), floats(1, 4, 3, 8), None, 0.0, True)],
    "aten.scatter.value": [given(F, 1, AT, 2.5), given(I, 0, AT, 5)],
    "aten.sort.default": [given(F, -1, True), given(H, 0)],
    "aten.sub.Scalar": [*NUMBERED, given(F, 2, 3)],
    "aten.to.dtype_layout": [given(F, dtype=torch.float64, layout=torch.strided, device="cpu"), given(F, dtype=torch.float32)],
    "aten.to.other": [given(F, H), given(F, F)],
    "aten.topk.default": [given(F, 2), given(H, 1, 0, False)],
    "aten.type_as.default": [given(F, H), given(F, F + 1)],
    "aten.where.Scalar": [given(MASK, 1.5, -2.0)],
    "aten.where.ScalarOther": [given(MASK, F, 0), given(MASK, H, 2.5)],
    "aten.where.ScalarSelf": [given(MASK, 0, F), given(MASK, 1, I)],
    "aten.zero.default": [given(F)],
}


def targets():
    rows = re.findall(r'^(?:ROW|BY|FORM|WRITTEN|WRITTEN_BY)\("(aten\.[^"]+)"', (ROOT / "src/io/torch_ops.def").read_text(), re.M)
    return list(dict.fromkeys(rows))


def overload(target):
    _, name, which = target.split(".")
    return getattr(getattr(torch.ops.aten, name), which)


def samples(target):
    """Argument tuples (args, kwargs) that the op takes."""
    op, found = overload(target), list(SAMPLES.get(target, []))
    name = target.split(".")[1]
    infos = [i for i in op_db if name in (i.name, i.aten_name, i.name.split(".")[-1])]
    for info, dtype in itertools.product(infos, DTYPES):
        if dtype not in info.dtypes:
            continue
        torch.manual_seed(0)
        theirs = [((s.input, *s.args), s.kwargs) for s in info.sample_inputs("cpu", dtype)]
        found += list(itertools.islice((a for a in theirs if takes(op, *a)), FIRST))
    return found


def takes(op, args, kwargs):
    try:
        names = {a.name for a in op._schema.arguments}
        return set(kwargs) <= names and op(*copy.deepcopy(args), **kwargs) is not NotImplemented
    except Exception:
        return False


class Call(torch.nn.Module):
    """The op on its tensors; the other arguments are constants."""

    def __init__(self, op, args, kwargs, use):
        super().__init__()
        self.leaves, self.spec = tree_flatten((args, kwargs))
        self.op, self.use = op, use

    def tensors(self):
        return tuple(x for x in self.leaves if torch.is_tensor(x))

    def forward(self, *tensors):
        left = iter(tensors)
        args, kwargs = tree_unflatten([next(left) if torch.is_tensor(x) else x for x in self.leaves], self.spec)

        def call():
            """One that writes its operand gets a copy, one without a result has its operand's."""
            writes = isinstance(self.op, torch._ops.OpOverload) and self.op._schema.is_mutable
            first = [args[0].clone()] if writes else args[:1]
            result = self.op(*first, *args[1:], **kwargs)
            return first[0] * 1 if result is None else result

        return self.use(call, tensors)


def first_tensor(result):
    return next(t for t in tree_leaves(result) if torch.is_tensor(t))


def other_dtype(x):
    return torch.float32 if x.dtype != torch.float32 else torch.float64


USES = {
    "alone": lambda call, tensors: call(),
    "beside a cast": lambda call, tensors: (call(), [x.to(other_dtype(x)) for x in tensors]),
    "twice": lambda call, tensors: (call(), call()),
    "named": lambda call, tensors: torch.zeros_like(first_tensor(call())),
    "two outputs": lambda call, tensors: [(r, r) for r in [call()]][0],
}


def main():
    part = Part("rows")
    for target in sys.argv[1:] or targets():
        op, found = overload(target), samples(target)
        reached = False
        for i, (args, kwargs) in enumerate(found):
            for use in USES if i == 0 else ["alone"]:
                module = Call(op, args, kwargs, USES[use])
                program = part.export(module, module.tensors())
                if program is None:
                    continue
                reached = reached or any(str(n.target) == target for n in program.graph.nodes)
                run = use == "alone" and (target not in TIES or i < len(SAMPLES[target]))
                part.try_program(f"{target} {i} {use}", program, module.tensors(), Wanted(values="empty" not in target, run=run))
        if not found:
            part.fail(target, "no sample: add arguments that the op takes to SAMPLES in tests/torch/rows.py")
        elif not reached and target not in NEVER:
            part.fail(target, "no sample exports as this op: add one to SAMPLES in tests/torch/rows.py")
    part.end()


if __name__ == "__main__":
    main()
