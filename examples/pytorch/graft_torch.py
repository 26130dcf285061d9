"""Registers torch.ops.graft.fused_mla_dual_rms_norm, the op that graft writes into torch.export files.

Import it before torch.export.load. The op runs in plain PyTorch until it is told better: `use_pack` runs it on a GPU in
graft's kernel, `use_library` on the CPU in libgraft. All compute the two norms of the unfused graph, rounding where
`round` says. Results are always dense. Gradients are those of the two norms in plain PyTorch, which backward computes anew.
"""
import ctypes
import os
import warnings

import torch

import graft_pack

NAME = "graft::fused_mla_dual_rms_norm"
SIGNATURE = "fused_mla_dual_rms_norm(q, q_w, kv, kv_w) -> (q_n, kv_n) {q_eps: float, kv_eps: float, round: late|early}"
DTYPES = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32", torch.float64: "f64",
          torch.float8_e4m3fn: "f8e4m3fn", torch.float8_e4m3fnuz: "f8e4m3fnuz", torch.float8_e5m2: "f8e5m2"}

torch.library.define(
    NAME, "(Tensor q, Tensor q_w, Tensor kv, Tensor kv_w, float q_eps, float kv_eps, str round) -> (Tensor, Tensor)"
)

# ---- the op in PyTorch ----


def rms_norm(x, w, eps, round):
    """x * rsqrt(mean(x*x) + eps) * w: `late` casts once at the end, `early` casts before the weight."""
    wide = x.to(torch.float64 if x.dtype == torch.float64 else torch.float32)
    n = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    if round == "late":
        return (n * w.to(wide.dtype)).to(x.dtype).contiguous()
    return (w * n.to(x.dtype)).contiguous()


def check(q, q_w, kv, kv_w, round):
    """What graft asks of the node, and that all is on one device: a kernel must never see the memory of another."""
    for x, w, name in (q, q_w, "q"), (kv, kv_w, "kv"):
        if w.dim() != 1 or x.dim() < 1 or w.shape[0] != x.shape[-1]:
            raise ValueError(f"{name} is {tuple(x.shape)}, its weight {tuple(w.shape)}; wanted a weight for each "
                             "element of the last axis")
        if w.dtype != x.dtype or x.dtype != q.dtype:
            raise ValueError(f"{name} is {x.dtype}, its weight {w.dtype}; q, kv and their weights must have one dtype")
    if q.shape[:-1].numel() != kv.shape[:-1].numel():
        raise ValueError(f"q is {tuple(q.shape)} and kv {tuple(kv.shape)}; wanted as many rows")
    if len({t.device for t in (q, q_w, kv, kv_w)}) > 1:
        raise ValueError(f"on several devices: {', '.join(str(t.device) for t in (q, q_w, kv, kv_w))}")
    if round not in graft_pack.ROUNDS:
        raise ValueError(f"round is 'late' or 'early', not {round!r}")


def plain(q, q_w, kv, kv_w, q_eps, kv_eps, round):
    return rms_norm(q, q_w, q_eps, round), rms_norm(kv, kv_w, kv_eps, round)


@torch.library.register_fake(NAME)
def _(q, q_w, kv, kv_w, q_eps, kv_eps, round):
    return q.new_empty(q.shape), kv.new_empty(kv.shape)


def remember(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:4])
    ctx.numbers = inputs[4:]
    ctx.set_materialize_grads(False)


def backward(ctx, *grads):
    """Through the ops that the fused one stands for, so that a rewritten model has the gradients it had."""
    inputs = [t.detach().requires_grad_(needed) for t, needed in zip(ctx.saved_tensors, ctx.needs_input_grad)]
    with torch.enable_grad():
        found = plain(*inputs, *ctx.numbers)
    wanted = [t for t in inputs if t.requires_grad]
    given = [(y, g) for y, g in zip(found, grads) if g is not None and y.requires_grad]
    got = iter(torch.autograd.grad([y for y, _ in given], wanted, [g for _, g in given], allow_unused=True))
    return *(next(got) if t.requires_grad else None for t in inputs), None, None, None


torch.library.register_autograd(NAME, backward, setup_context=remember)

# What runs it on which device, by dispatch key; ROCm's key is CUDA too.
running = {"CPU": plain, "CUDA": plain, "CompositeExplicitAutograd": plain}


def register(key):
    @torch.library.impl(NAME, key)
    def _(q, q_w, kv, kv_w, q_eps, kv_eps, round):
        check(q, q_w, kv, kv_w, round)
        return running[key](q, q_w, kv, kv_w, q_eps, kv_eps, round)


for key in running:
    register(key)

warned = set()


def fall_back(why, *args):
    """In plain PyTorch, and says so once for each reason."""
    if why not in warned:
        warned.add(why)
        warnings.warn(f"{NAME} runs in plain PyTorch: {why}", stacklevel=2)
    return plain(*args)


def use_plain():
    """From now on the op runs in plain PyTorch everywhere, as it does in the beginning."""
    running.update(dict.fromkeys(running, plain))


# ---- a kernel pack ----


def described(t):
    """A tensor as graft sees it: the same memory, whatever its strides."""
    return graft_pack.tensor(t.data_ptr(), t.shape, t.stride(), DTYPES[t.dtype])


def launch(kernel, gpu, q, q_w, kv, kv_w, q_eps, kv_eps, round):
    """The op by a pack's kernel, queued on the GPU's current stream: nothing waits, nothing is copied, only the results
    are allocated. What the kernel does not take falls back to PyTorch."""
    args = q, q_w, kv, kv_w, q_eps, kv_eps, round
    if q.dtype not in DTYPES:
        return fall_back(f"graft has no {q.dtype}", *args)
    operands = {n: described(t) for n, t in (("q", q), ("q_w", q_w), ("kv", kv), ("kv_w", kv_w))}
    why = kernel.why_not(gpu.arch, operands, round)
    if why:
        return fall_back(f"the kernel of '{kernel.pack.path}' can't be used: {why}", *args)
    results = gpu.new(q), gpu.new(kv)
    try:
        kernel.launch(list(operands.values()), [described(t) for t in results],
                      [q_eps, kv_eps, graft_pack.ROUNDS.index(round)], gpu.stream())
    except graft_pack.LaunchError as e:
        if e.status != "E_UNSUPPORTED":
            raise
        return fall_back(str(e), *args)
    return results


class Gpu:
    """A device of PyTorch's. `launch` and `self_test` need no more than these members of it."""

    def __init__(self, device):
        p = torch.cuda.get_device_properties(device)
        self.device = device
        self.arch = p.gcnArchName if torch.version.hip else f"sm_{p.major}{p.minor}"    # gfx942:sramecc+:xnack-

    def stream(self):
        return torch.cuda.current_stream(self.device).cuda_stream

    def new(self, like):
        return like.new_empty(like.shape)

    def place(self, tensor):
        return tensor.to(self.device)

    def fetch(self, tensor):
        return tensor.cpu()


NEAR = {torch.float32: 2**-18, torch.float16: 2**-9, torch.bfloat16: 2**-6}


def self_test(kernel, gpu):
    """Raises unless the kernel's numbers are PyTorch's for every dtype and rounding that it claims; waits for them."""
    for dtype, near in NEAR.items():
        wide, weight = torch.linspace(-2, 3, 5 * 80).reshape(5, 80).to(dtype), (1 + torch.arange(48) / 64).to(dtype)
        for round in graft_pack.ROUNDS:
            if kernel.why_not(gpu.arch, {"wide": described(wide)}, round):
                continue

            def args(wide, weight):
                return wide[:, :48], weight, wide[:, 48:], weight[:32], 1e-6, 0.25, round

            found = launch(kernel, gpu, *args(gpu.place(wide), gpu.place(weight)))
            for name, a, b in zip(("q_n", "kv_n"), found, plain(*args(wide, weight))):
                if not torch.allclose(gpu.fetch(a).double(), b.double(), rtol=near, atol=near / 4):
                    raise RuntimeError(f"'{kernel.pack.path}' fails its self test: {name} is wrong for {dtype}, "
                                       f"{round}")


def loaded_runtimes():
    """The HIP runtimes that this process has loaded; empty where that cannot be asked."""
    try:
        with open("/proc/self/maps") as maps:
            return sorted({line.split(maxsplit=5)[5].strip() for line in maps if "libamdhip64.so" in line})
    except OSError:
        return []


def use_pack(path):
    """From now on the op runs on the GPU in this pack's kernel (build/packs/graft_hip_amd.so, graft_hip_nvidia.so), on
    PyTorch's current stream. Raises when it cannot, and then nothing has changed. What the kernel does not take
    (float64, another architecture) runs in PyTorch, with one warning. The kernel is tested on the current device, which
    waits, so call this before a CUDA graph is captured."""
    if not torch.cuda.is_available():
        raise RuntimeError("use_pack: PyTorch sees no GPU here (torch.cuda.is_available() is false)")
    torch.cuda.init()
    kernel = graft_pack.Pack(os.path.abspath(path)).kernel(NAME.split("::")[1], SIGNATURE)
    runtimes = loaded_runtimes()
    if len(runtimes) > 1:
        raise RuntimeError(f"use_pack: '{path}' needs another ROCm than PyTorch, and one's streams mean nothing to the "
                           f"other: {', '.join(runtimes)}; build the pack with PyTorch's ROCm")
    gpus = {}

    def on_gpu(*args):
        device = args[0].device
        if device not in gpus:
            gpus[device] = Gpu(device)
        with torch.cuda.device(device):
            return launch(kernel, gpus[device], *args)

    self_test(kernel, Gpu(torch.device("cuda", torch.cuda.current_device())))
    running["CUDA"] = on_gpu


# ---- libgraft ----


class Library:
    """The op in libgraft.so: each call is a graph of one node, planned and run on the CPU."""

    def __init__(self, path):
        self.lib = ctypes.CDLL(os.path.abspath(path))
        self.lib.graft_tensors_get.restype = ctypes.POINTER(graft_pack.graft_tensor)
        self.lib.graft_plan_outputs.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p()
        self.call("graft_context_new", None, ctypes.byref(self.context))

    def call(self, name, *args):
        error = graft_pack.graft_error()
        if getattr(self.lib, name)(*args, ctypes.byref(error)):
            raise RuntimeError(f"{name}: {error.message.decode()}")

    def graph(self, tensors, q_eps, kv_eps, round):
        def typed(t):
            return f"{DTYPES[t.dtype]}[{', '.join(map(str, t.shape))}]"

        attrs = f"{{q_eps={q_eps!r}, kv_eps={kv_eps!r}, round={round}}}"
        lines = ["graph fused"] + [f"input {n}: {typed(t)}" for n, t in tensors.items()]
        lines += [f"q_n, kv_n = fused_mla_dual_rms_norm(q, q_w, kv, kv_w) {attrs}", "output q_n", "output kv_n", ""]
        text = "\n".join(lines).encode()
        graph, size = ctypes.c_void_p(), ctypes.c_size_t(len(text))
        self.call("graft_graph_parse", self.context, text, size, b"graft_torch", ctypes.byref(graph))
        return graph

    def inputs(self, tensors):
        given = ctypes.c_void_p()
        self.call("graft_tensors_new", self.context, ctypes.byref(given))
        for name, t in tensors.items():
            self.call("graft_tensors_set", given, name.encode(), ctypes.byref(described(t)))
        return given

    def __call__(self, q, q_w, kv, kv_w, q_eps, kv_eps, round):
        if q.dtype not in DTYPES:
            return fall_back(f"graft has no {q.dtype}", q, q_w, kv, kv_w, q_eps, kv_eps, round)
        tensors = {"q": q, "q_w": q_w, "kv": kv, "kv_w": kv_w}
        graph, given, plan = self.graph(tensors, q_eps, kv_eps, round), self.inputs(tensors), ctypes.c_void_p()
        try:
            self.call("graft_plan_new", graph, None, given, ctypes.byref(plan))
            self.call("graft_plan_run", plan)
            outputs = ctypes.c_void_p(self.lib.graft_plan_outputs(plan))
            return tuple(self.copy(outputs, n, x) for n, x in ((b"q_n", q), (b"kv_n", kv)))
        finally:
            self.lib.graft_plan_free(plan)
            self.lib.graft_tensors_free(given)
            self.lib.graft_graph_free(graph)

    def copy(self, outputs, name, like):
        out, found = like.new_empty(like.shape), self.lib.graft_tensors_get(outputs, name).contents
        ctypes.memmove(out.data_ptr(), found.data, out.numel() * out.element_size())
        return out


def use_library(path):
    """From now on the op runs in this libgraft.so on the CPU."""
    running["CPU"] = Library(path)
