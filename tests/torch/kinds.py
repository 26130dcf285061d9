"""Each kind of fault that was once found, as a named case: a module that `graft opt` damaged, or refused for no good reason.

    python kinds.py [NAME...]
"""
import sys

from trial import Part, Wanted

import torch
import torch.nn.functional as F
from torch import nn

import custom

CASES = {}


def randn(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def case(*args, dialect=None, dynamic=None, preserve=(), name=None, **wanted):
    """The function or module under it, exported with these arguments; `wanted` is that of trial.py."""

    def add(made):
        CASES[name or made.__name__] = made, args or (randn(4, 8),), dialect, dynamic, preserve, Wanted(**wanted)
        return made

    return add


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


AUTO = torch.export.Dim.AUTO
BF16 = torch.bfloat16
CL = torch.channels_last


# ---- effects ----


@case()
def write_by_custom_op(x):
    h = x * 2
    a = h.neg()
    custom.add_one_to(h)
    return a, h.neg()


@case()
def write_to_out(x):
    b1, b2 = torch.empty_like(x), torch.empty_like(x)
    torch.add(x, 1, out=b1)
    torch.mul(x, 2, out=b2)
    return b1 - b2


@case(randn(4, 8), randn(8))
def write_to_custom_out(x, w):
    a, b = torch.empty_like(x), torch.empty_like(x)
    custom.rms_out(a, x, w, 1e-6)
    custom.rms_out(b, x * 3, w, 0.5)
    return a, b


@case()
def write_to_list(x):
    a, b = x * 2, x * 3
    before = b.neg()
    torch._foreach_add_([a, b], 1)
    return a, before, b.neg()


@case()
def write_to_custom_list(x):
    a, b = x * 2, x * 3
    before = b.neg()
    custom.shift_all([a, b], 1.0)
    return a, before, b.neg()


@case(randn(4, 3))
class write_by_batch_norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x):
        before = self.norm.running_mean.neg()
        y = self.norm(x)
        return before, y, self.norm.running_mean.neg()


@case(dialect="core")
def effect_token(x):
    torch.ops.aten._print("printed by a case of kinds.py")
    return x + 1


# ---- arguments that mean something ----


@case(randn(1, 2, 3, 4))
def memory_format(x):
    a = (x * 2).clone(memory_format=CL)
    return a, (x * 2).clone().view(-1)


@case(randn(1, 2, 3, 4))
def memory_format_of_cast(x):
    return x.to(torch.float64, memory_format=CL), x.to(torch.float64)


@case()
def two_devices(x):
    return torch.zeros(4), torch.zeros(4, device="meta"), x * 1


@case()
def device_move(x):
    return x.to("meta"), x + 1


# ---- what is no no-op ----


@case(grad=True)
class detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(randn(8))

    def forward(self, x):
        y = self.weight * x
        return (y * y.detach()).sum()


@case(randn(2, 3, 4, 5))
def reshape_that_copied(x):
    return (x + 1).transpose(1, 2).reshape(2, -1).reshape(2, 4, 3, 5).view(24, 5)


@case(randn(4, 8))
def pad_by_nothing(x):
    y = F.pad(x, (0, 0))
    y.add_(1)
    return y


@case()
def outputs_apart(x):
    return x * 2, x * 2


@case()
def empty_is_not_zeros(x):
    out = torch.empty_like(x)
    acc = torch.zeros_like(x)
    out.copy_(x)
    return out, acc + x


@case(dialect="core")
def empty_is_not_zeros_core(x):
    out = torch.empty(x.shape)
    out[:] = x
    acc = torch.zeros(x.shape)
    acc += x * 2
    return out, acc


# ---- names that are not read ----


@case()
def zeros_like_of_cast(x):
    return torch.zeros_like((x * 2).to(torch.float32)) + 1


@case()
def zeros_like_of_detached(x):
    return torch.zeros_like((x * 2).detach()) + 1


@case()
def zeros_like_of_dropout(x):
    return torch.zeros_like(F.dropout(x * 2, 0.5, False)) + 1


@case()
def expand_as_of_view(x):
    return x[:1].expand_as((x * 2).view(4, 8))


@case()
def new_zeros_of_view_back(x):
    return (x * 2).view(32).view(4, 8).new_zeros(3) + x[0, :3]


@case()
def normalize(x):
    return F.normalize(x.float(), dim=-1).type_as(x)


@case()
def ones_like_of_duplicate(x):
    return x * 2, torch.ones_like(x * 2)


@case()
def new_ones_of_duplicate(x):
    return x.sum(0), x.sum(0).new_ones(3) + x[0, :3]


@case(randn(8), torch.tensor([1, -1, 1, -1, 1, 1, -1, 1]), dialect="core")
def hinge(x, y):
    return F.hinge_embedding_loss(x, y)


# ---- names outside the node list ----


@case(preserve=("first", "second"), unflatten=True)
class module_call_of_duplicate(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        return self.first(x) + self.second(x)


@case(preserve=("same",), unflatten=True)
class module_call_of_view(nn.Module):
    def __init__(self):
        super().__init__()
        self.same, self.out = nn.Flatten(1), nn.Linear(8, 4)

    def forward(self, x):
        return self.out(self.same(x.relu()))


# ---- ops that are several of graft's ----


class Apart(nn.Module):
    def __init__(self, *ops):
        super().__init__()
        self.ops = ops

    def forward(self, *args):
        return [op(*args) for op in self.ops]


def apart(name, *ops, args=(), dynamic=None, **more):
    case(*args, name=name, dynamic=dynamic and (dynamic,), **more)(Apart(*ops))


H = randn(4, 8, dtype=BF16)
apart("pad", lambda x: F.pad(x, (1, 1)))
apart("pad_negative", lambda x: F.pad(x, (-1, -1)))
apart("pad_dynamic", lambda x: F.pad(x, (1, 1)), dynamic=({0: AUTO, 1: AUTO},))
apart("zero_twice", lambda x: (x * 2).zero_(), lambda x: (x * 3).zero_())
apart("roll", lambda x: torch.roll(x, 1, 0))
apart("glu", lambda x: F.glu(x))
apart("flip", lambda x: x.flip(0))
apart("std", lambda x: x.std(-1))
apart("layer_norm", lambda x: F.layer_norm(x, (8,)))
apart("scatter_add", lambda x: x.scatter_add(0, torch.zeros(4, 8, dtype=torch.int64), x))
apart("repeat_interleave", lambda x: x.repeat_interleave(2, 0))
apart("repeat_interleave_dynamic", lambda x: x.repeat_interleave(2, 0), dynamic=({0: AUTO},))
apart("elu", lambda x: F.elu(x), args=(H,))
apart("sign", lambda x: x.sign(), args=(H,))
for op in (torch.floor, torch.ceil, torch.round, torch.trunc, F.leaky_relu, lambda x: torch.linalg.vector_norm(x, 1)):
    op_name = getattr(op, "__name__", "").replace("<lambda>", "vector_norm")
    apart(f"{op_name}_beside_cast", op, lambda x: x.float(), args=(H,))
apart("item", lambda x: x.sum().item() * x)
QKV = randn(1, 4, 6, 8), randn(1, 2, 6, 8)
apart("grouped_attention", lambda q, k: F.scaled_dot_product_attention(q, k, k * 2, enable_gqa=True), args=QKV)
apart("grouped_attention_dynamic", lambda q, k: F.scaled_dot_product_attention(q, k, k, enable_gqa=True), args=QKV,
      dynamic=({2: AUTO}, {2: AUTO}))
apart("repeat_kv", lambda q, k: q @ k[:, :, None].expand(1, 2, 2, 6, 8).reshape(1, 4, 6, 8).transpose(2, 3), args=QKV)
apart("arange_plus_size", lambda x: torch.arange(x.shape[0]) + x.shape[1], dynamic=({0: AUTO, 1: AUTO},))
apart("complex_rope", lambda x: torch.view_as_real(torch.view_as_complex(x.view(4, 4, 2)) * torch.polar(torch.ones(4, 4), x[:, :4])))


# ---- latent norms ----


def spelled(x, w, eps=1e-5):
    wide = x.float()
    return w * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype)


def by_type_as(x, w):
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)).type_as(x) * w


def by_sum(x, w):
    wide = x.float()
    return w * (wide * torch.rsqrt(wide.pow(2).sum(-1, keepdim=True) / x.shape[-1] + 1e-5)).to(x.dtype)


def by_out(x, w):
    out = torch.empty_like(x)
    custom.rms_out(out, x, w, 1e-5)
    return out


class Latents(nn.Module):
    """Two latents of one projection. `between` runs after the first norm, `named` on the results."""

    def __init__(self, norm=spelled, dtype=torch.float32, between=lambda h, q, kv: None, named=lambda q, kv: ()):
        super().__init__()
        self.norm, self.between, self.named = norm, between, named
        self.a = nn.Parameter(randn(28, 32).to(dtype) / 6)
        self.q_w, self.kv_w = nn.Parameter((1 + randn(16) / 8).to(dtype)), nn.Parameter((1 + randn(8) / 8).to(dtype))
        self.register_buffer("cache", torch.zeros(5, 8, dtype=dtype))

    def forward(self, x):
        h = F.linear(x, self.a)
        q, kv, pe = h.split([16, 8, 4], -1)
        q_n = self.norm(q, self.q_w)
        self.between(h, q, kv)
        kv_n = self.norm(kv, self.kv_w)
        return q_n, kv_n, pe * 2, self.named(q_n, kv_n)


class Cached(Latents):
    def forward(self, x):
        q_n, kv_n, pe, _ = super().forward(x)
        self.cache.index_copy_(0, torch.arange(5), kv_n)
        return q_n, self.cache * 2, pe


X, XH = randn(5, 32), randn(5, 32, dtype=BF16)
case(X, name="pair", pairs=1, unflatten=True)(Latents())
case(X, name="pair_type_as", pairs=1)(Latents(by_type_as))
case(X, name="pair_mean_as_sum", pairs=1)(Latents(by_sum))
case(X, name="pair_static_cache", pairs=1)(Cached())
case(X, name="pair_across_write")(Latents(between=lambda h, q, kv: custom.add_one_to(h)))
case(X, name="pair_across_inplace")(Latents(between=lambda h, q, kv: h.mul_(2)))
case(XH, name="pair_named", pairs=None)(Latents(dtype=BF16, named=lambda q, kv: torch.zeros_like(q)))
case(X, name="pair_named_expand_as", pairs=None)(Latents(named=lambda q, kv: q[:1].expand_as(q)))
case(X, name="pair_named_dead", pairs=None)(Latents(named=lambda q, kv: (torch.zeros_like(q), ())[1]))
case(X, name="norms_to_out", pairs=None)(Latents(by_out))
case(X, name="norms_functionalized", pairs=None, dialect="train")(Latents(by_out))


def main():
    part = Part("kinds")
    for name in sys.argv[1:] or CASES:
        made, args, dialect, dynamic, preserve, wanted = CASES[name]
        module = made if isinstance(made, nn.Module) else made() if isinstance(made, type) else Function(made)
        program = part.export(module, args, dialect, dynamic, grad=wanted.grad, preserve=preserve)
        if program is None:
            part.fail(name, "PyTorch does not export it any more")
        elif part.try_program(name, program, args, wanted) is None:
            part.fail(name, "PyTorch does not run it any more")
    part.end()


if __name__ == "__main__":
    main()
