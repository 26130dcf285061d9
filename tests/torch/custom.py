"""Ops that graft does not know, as libraries of other people define them: some write their operands, none says so by its name."""
import torch
from torch import Tensor


def op(name, writes=()):
    """Registers the function as suite::name; its fake result is that of running it on copies."""

    def made(function):
        custom = torch.library.custom_op(f"suite::{name}", function, mutates_args=writes)

        @custom.register_fake
        def _(*args):
            return function(*(torch.clone(a) if torch.is_tensor(a) else
                              [torch.clone(b) for b in a] if isinstance(a, (list, tuple)) and a and torch.is_tensor(a[0])
                              else a for a in args))

        return custom

    return made


@op("add_one_to", writes={"x"})
def add_one_to(x: Tensor) -> None:
    x.add_(1)


@op("rms_out", writes={"out"})
def rms_out(out: Tensor, x: Tensor, w: Tensor, eps: float) -> None:
    """Writes its first operand from its second, as vLLM's kernels do."""
    out.copy_(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w)


@op("store", writes={"cache"})
def store(x: Tensor, cache: Tensor) -> Tensor:
    """Writes its second operand, and has a result."""
    cache.copy_(x)
    return x * 2


@op("shift_all", writes={"xs"})
def shift_all(xs: list[Tensor], by: float) -> None:
    for x in xs:
        x.add_(by)


@op("mix")
def mix(x: Tensor, y: Tensor) -> Tensor:
    """Writes nothing."""
    return x * 3 - y


@op("halves")
def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    return x * 0.5, x - x * 0.5


@mix.register_autograd
def _(ctx, grad):
    return grad * 3, -grad
