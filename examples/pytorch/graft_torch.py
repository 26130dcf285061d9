"""Registers torch.ops.graft.fused_mla_dual_rms_norm, the op that graft writes into torch.export files.

Import it before torch.export.load. On the CPU the op runs in libgraft when GRAFT_LIB names it (`use_library`), else in plain PyTorch;
both compute the two norms of the unfused graph, rounding where `round` says.
"""
import ctypes

import torch

NAME = "graft::fused_mla_dual_rms_norm"

torch.library.define(
    NAME, "(Tensor q, Tensor q_w, Tensor kv, Tensor kv_w, float q_eps, float kv_eps, str round) -> (Tensor, Tensor)"
)


def rms_norm(x, w, eps, round):
    """x * rsqrt(mean(x*x) + eps) * w: `late` casts once at the end, `early` casts before the weight."""
    wide = x.to(torch.float64 if x.dtype == torch.float64 else torch.float32)
    n = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    if round == "late":
        return (n * w.to(wide.dtype)).to(x.dtype)
    if round == "early":
        return w * n.to(x.dtype)
    raise ValueError(f"round is 'late' or 'early', not {round!r}")


def check(q, q_w, kv, kv_w):
    for x, w, name in (q, q_w, "q"), (kv, kv_w, "kv"):
        if w.dim() != 1 or x.dim() < 1 or w.shape[0] != x.shape[-1]:
            raise ValueError(f"{name} is {tuple(x.shape)}, its weight {tuple(w.shape)}; wanted one weight for each of its last axis")
    if q.dtype != kv.dtype or q.shape[:-1].numel() != kv.shape[:-1].numel():
        raise ValueError("q and kv must have one dtype and as many rows")


@torch.library.register_fake(NAME)
def _(q, q_w, kv, kv_w, q_eps, kv_eps, round):
    return torch.empty(q.shape, dtype=q.dtype, device=q.device), torch.empty(kv.shape, dtype=kv.dtype, device=kv.device)


@torch.library.impl(NAME, "CompositeExplicitAutograd")
def _(q, q_w, kv, kv_w, q_eps, kv_eps, round):
    check(q, q_w, kv, kv_w)
    return rms_norm(q, q_w, q_eps, round), rms_norm(kv, kv_w, kv_eps, round)


# ---- libgraft ----


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("shape", ctypes.POINTER(ctypes.c_int64)), ("stride", ctypes.POINTER(ctypes.c_int64)),
                ("rank", ctypes.c_int32), ("dtype", ctypes.c_int32)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("line", ctypes.c_int), ("column", ctypes.c_int), ("file", ctypes.c_char * 256),
                ("path", ctypes.c_char * 256), ("message", ctypes.c_char * 768)]


DTYPES = {torch.float16: (6, "f16"), torch.bfloat16: (7, "bf16"), torch.float32: (8, "f32"), torch.float64: (9, "f64")}


class Library:
    """The op in libgraft.so: a graph of one node for each type of its operands, planned once."""

    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.graft_tensors_get.restype = ctypes.POINTER(Tensor)
        self.lib.graft_plan_outputs.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p()
        self.call("graft_context_new", None, ctypes.byref(self.context))

    def call(self, name, *args):
        error = Error()
        if getattr(self.lib, name)(*args, ctypes.byref(error)):
            raise RuntimeError(f"{name}: {error.message.decode()}")

    def graph(self, tensors, q_eps, kv_eps, round):
        def typed(t):
            return f"{DTYPES[t.dtype][1]}[{', '.join(map(str, t.shape))}]"

        lines = ["graph fused"] + [f"input {n}: {typed(t)}" for n, t in tensors.items()]
        lines += [f"q_n, kv_n = fused_mla_dual_rms_norm(q, q_w, kv, kv_w) {{q_eps={q_eps!r}, kv_eps={kv_eps!r}, round={round}}}",
                  "output q_n", "output kv_n", ""]
        text = "\n".join(lines).encode()
        graph = ctypes.c_void_p()
        self.call("graft_graph_parse", self.context, text, ctypes.c_size_t(len(text)), b"graft_torch", ctypes.byref(graph))
        return graph

    def inputs(self, tensors):
        given = ctypes.c_void_p()
        self.call("graft_tensors_new", self.context, ctypes.byref(given))
        for name, t in tensors.items():
            shape, stride = (ctypes.c_int64 * t.dim())(*t.shape), (ctypes.c_int64 * t.dim())(*t.stride())
            tensor = Tensor(t.data_ptr(), shape, stride, t.dim(), DTYPES[t.dtype][0])
            self.call("graft_tensors_set", given, name.encode(), ctypes.byref(tensor))
        return given

    def __call__(self, q, q_w, kv, kv_w, q_eps, kv_eps, round):
        tensors = {"q": q, "q_w": q_w, "kv": kv, "kv_w": kv_w}
        graph, given, plan = self.graph(tensors, q_eps, kv_eps, round), self.inputs(tensors), ctypes.c_void_p()
        try:
            self.call("graft_plan_new", graph, None, given, ctypes.byref(plan))
            self.call("graft_plan_run", plan)
            outputs = ctypes.c_void_p(self.lib.graft_plan_outputs(plan))
            return tuple(self.copy(self.lib.graft_tensors_get(outputs, n).contents, x) for n, x in ((b"q_n", q), (b"kv_n", kv)))
        finally:
            self.lib.graft_plan_free(plan)
            self.lib.graft_tensors_free(given)
            self.lib.graft_graph_free(graph)

    @staticmethod
    def copy(t, like):
        out = torch.empty(like.shape, dtype=like.dtype)
        ctypes.memmove(out.data_ptr(), t.data, out.numel() * out.element_size())
        return out


def use_library(path):
    """From now on the op runs in this libgraft.so on the CPU."""
    library = Library(path)

    @torch.library.impl(NAME, "CPU")
    def _(q, q_w, kv, kv_w, q_eps, kv_eps, round):
        check(q, q_w, kv, kv_w)
        return library(q, q_w, kv, kv_w, q_eps, kv_eps, round)
