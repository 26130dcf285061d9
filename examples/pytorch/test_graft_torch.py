"""Tests graft_torch.py: the op as PyTorch sees it, and the launch that a GPU gets.

    python test_graft_torch.py --lib build/libgraft.so
    python test_graft_torch.py --pack build/packs/graft_hip_sim.so --runtime build/hipsim/plain/libhipsim.so
    python test_graft_torch.py --pack build/packs/graft_hip_amd.so

With --runtime the pack runs on the GPU that tests/hipsim plays, through the very function that PyTorch's CUDA key
calls; without it on a real one. The last line is "N passed, N failed".
"""
import argparse
import contextlib
import ctypes
import sys
import warnings
from pathlib import Path
from unittest import mock

import torch

import graft_pack
import graft_torch
from simulator import Simulator

op = torch.ops.graft.fused_mla_dual_rms_norm
count = {True: 0, False: 0}


def check(ok, what):
    count[bool(ok)] += 1
    if not ok:
        print(f"FAIL {what}")


def raises(kind, text, what, function, *args):
    try:
        function(*args)
        check(False, f"{what}: nothing was raised")
    except kind as e:
        check(text in str(e), f"{what}: {text!r} is not in {e}")


def warned(function, *args):
    """What it returns, and how often it warned."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        return function(*args), len(seen)


def near(found, wanted, what):
    for name, a, b in zip(("q_n", "kv_n"), found, wanted):
        room = graft_torch.NEAR.get(b.dtype, 2**-46)
        ok = (a.dtype, a.shape, a.is_contiguous()) == (b.dtype, b.shape, True)
        check(ok and torch.allclose(a.double(), b.double(), rtol=room, atol=room / 4), f"{what}: {name}")


# ---- operands ----


def parted(rows, q, kv, width, dtype, front=()):
    """q and kv as views of rows that hold both, as in a model."""
    wide = torch.randn(*front, rows, width).to(dtype)
    return [wide, lambda wide: (wide[..., :q], wide[..., q:q + kv])]


def transposed(dtype):
    wide = torch.randn(80, 6).to(dtype)
    return [wide, lambda wide: (wide.t()[:, :48], wide.t()[:, 48:])]


def cases(dtype):
    yield "DeepSeek's sizes", *parted(5, 1536, 512, 2112, dtype)
    yield "odd sizes", *parted(3, 47, 31, 81, dtype)
    yield "one row", *parted(1, 48, 32, 80, dtype)
    yield "no rows", *parted(0, 48, 32, 80, dtype)
    yield "batches", *parted(4, 64, 32, 112, dtype, (2, 3))
    yield "elements apart", *transposed(dtype)
    yield "rows at two distances", (wide := torch.randn(2, 5, 80).to(dtype)), lambda w: (w[:, 1:4, :48], w[:, 1:4, 48:])


def weights(q, kv):
    return [(1 + torch.randn(x.shape[-1]) / 8).to(x.dtype) for x in (q, kv)]


def some(dtype=torch.float32, round="late"):
    wide, parts = parted(3, 48, 32, 80, dtype)
    q, kv = parts(wide)
    a, b = weights(q, kv)
    return q, a, kv, b, 1e-6, 1e-3, round


# ---- the op, as PyTorch sees it ----


def test_op(what):
    for dtype in (*graft_torch.NEAR, torch.float64):
        for round in graft_pack.ROUNDS:
            for name, wide, parts in cases(dtype):
                q, kv = parts(wide)
                a, b = weights(q, kv)
                args = q, a, kv, b, 1e-6, 1e-3, round
                near(op(*args), graft_torch.plain(*args), f"{what}, {name}, {dtype}, {round}")
    result = torch.library.opcheck(op, some())
    check(set(result.values()) == {"SUCCESS"}, f"{what}: opcheck says {result}")
    result = torch.library.opcheck(op, (torch.randn(48, 6).t(), *some()[1:2], torch.randn(2, 3, 32), *some()[3:]))
    check(set(result.values()) == {"SUCCESS"}, f"{what}, strides: opcheck says {result}")


def test_refusals():
    q, a, kv, b, *rest = some()
    raises(ValueError, "its weight", "a weight that is too short", op, q, a[1:], kv, b, *rest)
    raises(ValueError, "one dtype", "a weight of another dtype", op, q, a.double(), kv, b, *rest)
    raises(ValueError, "one dtype", "kv of another dtype", op, q, a, kv.half(), b.half(), *rest)
    raises(ValueError, "as many rows", "other rows", op, q, a, kv[1:], b, *rest)
    raises(ValueError, "'never'", "another round", op, q, a, kv, b, 1e-6, 1e-6, "never")
    if not torch.cuda.is_available():
        raises(RuntimeError, "no GPU", "use_pack without a GPU", graft_torch.use_pack, "none.so")
        check(graft_torch.running["CUDA"] is graft_torch.plain, "use_pack that failed changed nothing")


def test_grad():
    """Gradients are those of the norms that the op stands for, also where only one result is used."""
    q, a, kv, b, *rest = some()
    for which in (0, 1), (0,), (1,):
        found = []
        for f in (op, graft_torch.plain):
            given = [t.clone().requires_grad_() for t in (q, a, kv, b)]
            results = f(*given, *rest)
            sum((results[i] * results[i]).sum() for i in which).backward()
            found.append([t.grad for t in given])
        same = all((x is None and y is None) or torch.equal(x, y) for x, y in zip(*found))
        check(same, f"gradients through results {which}")


def test_compile():
    def f(*args):
        q_n, kv_n = op(*args)
        return q_n * 2, kv_n + 1

    args = some(torch.bfloat16, "early")
    with torch.no_grad():
        found = torch.compile(f, backend="aot_eager", fullgraph=True, dynamic=True)(*args)
    check(all(torch.equal(a, b) for a, b in zip(found, f(*args))), "torch.compile gives the same")


class Host(graft_torch.Gpu):
    """In the place of a GPU, for kernels that compute where they are called."""

    def __init__(self, device=None):
        self.device, self.arch = torch.device("cpu"), "cpu"

    def stream(self):
        return None


def test_packs_that_do_not_fit(folder):
    def kernel(name):
        return graft_pack.Pack(folder / f"{name}.so").kernel("fused_mla_dual_rms_norm", graft_torch.SIGNATURE)

    args = some()
    graft_torch.self_test(kernel("good"), Host())
    near(graft_torch.launch(kernel("good"), Host(), *args), graft_torch.plain(*args), "a good pack")
    raises(RuntimeError, "fails its self test", "a wrong pack", graft_torch.self_test, kernel("wrong"), Host())
    for name in "refuse", "arch":
        for times in 1, 0:
            found, n = warned(graft_torch.launch, kernel(name), Host(), *args)
            near(found, graft_torch.plain(*args), f"pack {name} falls back")
            check(n == times, f"pack {name}: {n} warnings, wanted {times}")


def test_use_pack(folder):
    """All of use_pack but the GPU."""
    cuda = {"is_available": lambda: True, "init": lambda: None, "current_device": lambda: 0,
            "device": lambda device: contextlib.nullcontext()}
    with mock.patch.multiple(torch.cuda, **cuda), mock.patch.object(graft_torch, "Gpu", Host):
        for name, text in ("wrong", "fails its self test"), ("older", "has no kernel"):
            raises(RuntimeError, text, f"use_pack of {name}", graft_torch.use_pack, folder / f"{name}.so")
        check(graft_torch.running["CUDA"] is graft_torch.plain, "use_pack that failed changed nothing")
        with mock.patch.object(graft_torch, "loaded_runtimes", lambda: ["a/libamdhip64.so.5", "b/libamdhip64.so.6"]):
            raises(RuntimeError, "another ROCm", "use_pack with two runtimes", graft_torch.use_pack, folder / "good.so")
        graft_torch.use_pack(folder / "good.so")
        args = some(torch.bfloat16, "early")
        near(graft_torch.running["CUDA"](*args), graft_torch.plain(*args), "what use_pack chose")
    graft_torch.use_plain()


# ---- on a GPU ----


class Simulated(Simulator):
    """The members of graft_torch.Gpu, for a GPU that is played. Tensors there have no memory that Python may touch."""

    def at(self, address, like):
        size = max(like.numel() * like.element_size(), like.element_size())
        flat = torch.frombuffer((ctypes.c_char * size).from_address(address), dtype=like.dtype)
        return flat[:like.numel()].view(like.shape)

    def new(self, like):
        return self.at(self.allocate(like.numel() * like.element_size()), like)

    def place(self, tensor):
        there = self.new(tensor)
        self.write(there, tensor)
        return there

    def write(self, there, tensor):
        tensor = tensor.contiguous()
        self.copy_in(there.data_ptr(), tensor.data_ptr(), tensor.numel() * tensor.element_size())

    def fetch(self, tensor):
        here = torch.empty(tensor.shape, dtype=tensor.dtype)
        self.copy_out(here.data_ptr(), tensor.data_ptr(), here.numel() * here.element_size())
        return here


class Real(graft_torch.Gpu):
    def write(self, there, tensor):
        there.copy_(tensor)

    @contextlib.contextmanager
    def capture(self):
        graph, replay = torch.cuda.CUDAGraph(), []
        with torch.cuda.graph(graph):
            yield replay
        replay.append(graph.replay)

    def intact(self):
        return True


def on_gpu(gpu, kernel, wide, parts, round, what):
    a, b = weights(*parts(wide))
    here = *parts(wide), 1e-6, 1e-3
    q, kv = parts(gpu.place(wide))
    near([gpu.fetch(t) for t in graft_torch.launch(kernel, gpu, q, gpu.place(a), kv, gpu.place(b), 1e-6, 1e-3, round)],
         graft_torch.plain(here[0], a, here[1], b, 1e-6, 1e-3, round), what)


def test_launch(gpu, kernel):
    graft_torch.self_test(kernel, gpu)
    for dtype in graft_torch.NEAR:
        for round in graft_pack.ROUNDS:
            for name, wide, parts in cases(dtype):
                on_gpu(gpu, kernel, wide, parts, round, f"on a GPU, {name}, {dtype}, {round}")
    check(gpu.intact(), "nothing is written outside of the results")


def test_capture(gpu, kernel):
    """Captured once, replayed on other numbers in the same memory."""
    wide, parts = parted(7, 1536, 512, 2112, torch.bfloat16)
    a, b = weights(*parts(wide))
    there, on_it = gpu.place(wide), [gpu.place(t) for t in (a, b)]
    q, kv = parts(there)
    args = q, on_it[0], kv, on_it[1], 1e-6, 1e-3, "early"
    graft_torch.launch(kernel, gpu, *args)
    with gpu.capture() as replay:
        found = graft_torch.launch(kernel, gpu, *args)
    for _ in range(2):
        wide = torch.randn(wide.shape).to(wide.dtype)
        gpu.write(there, wide)
        replay[0]()
        q, kv = parts(wide)
        near([gpu.fetch(t) for t in found], graft_torch.plain(q, a, kv, b, 1e-6, 1e-3, "early"), "replayed")


def test_fall_back(gpu, kernel):
    args = some(torch.float64)
    for times in 1, 0:
        found, n = warned(graft_torch.launch, kernel, gpu, *args)
        near(found, graft_torch.plain(*args), "float64 falls back")
        check(n == times, f"float64: {n} warnings, wanted {times}")


def test_simulated(gpu, kernel):
    args = [gpu.place(x) if isinstance(x, torch.Tensor) else x for x in some()]
    before = gpu.launches()
    gpu.fetch(graft_torch.launch(kernel, gpu, *args)[0])
    check(gpu.launches() - before == 1, f"{gpu.launches() - before} launches, wanted 1")
    gpu.fail("hipLaunchKernel:1")
    raises(graft_pack.LaunchError, "was not launched", "a launch that fails", graft_torch.launch, kernel, gpu, *args)


def test_key(path):
    """use_pack, and the op on PyTorch's own GPU."""
    graft_torch.use_pack(path)
    for dtype in (*graft_torch.NEAR, torch.float64):
        for name, wide, parts in cases(dtype):
            q, kv = parts(wide)
            a, b = weights(q, kv)
            there = parts(wide.cuda())
            found = op(there[0], a.cuda(), there[1], b.cuda(), 1e-6, 1e-3, "early")
            wanted = graft_torch.plain(q, a, kv, b, 1e-6, 1e-3, "early")
            near([t.cpu() for t in found], wanted, f"key CUDA, {name}, {dtype}")
    args = [x.cuda() if isinstance(x, torch.Tensor) else x for x in some()]
    raises(ValueError, "several devices", "a weight on the CPU", op, args[0], args[1].cpu(), *args[2:])
    check(set(torch.library.opcheck(op, tuple(args)).values()) == {"SUCCESS"}, "opcheck on the GPU")
    with torch.no_grad():
        found = torch.compile(lambda *a: [t * 2 for t in op(*a)], fullgraph=True)(*args)
    check(all(torch.equal(a, b * 2) for a, b in zip(found, op(*args))), "torch.compile on the GPU")
    graft_torch.use_plain()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lib", help="try the op in this libgraft.so too")
    parser.add_argument("--odd", type=Path, help="folder of the packs that tests/plugins makes")
    parser.add_argument("--pack", help="kernel pack for the GPU")
    parser.add_argument("--runtime", help="libhipsim.so: the pack is the simulator's")
    args = parser.parse_args()
    torch.manual_seed(0)
    test_op("in PyTorch")
    test_refusals()
    test_grad()
    test_compile()
    if args.lib:
        graft_torch.use_library(args.lib)
        test_op("in libgraft")
        graft_torch.use_plain()
    if args.odd:
        test_packs_that_do_not_fit(args.odd)
        test_use_pack(args.odd)
    if args.pack:
        kernel = graft_pack.Pack(args.pack).kernel("fused_mla_dual_rms_norm", graft_torch.SIGNATURE)
        gpu = Simulated(args.runtime) if args.runtime else Real(torch.device("cuda", torch.cuda.current_device()))
        test_launch(gpu, kernel)
        test_capture(gpu, kernel)
        test_fall_back(gpu, kernel)
        test_simulated(gpu, kernel) if args.runtime else test_key(args.pack)
    print(f"{count[True]} passed, {count[False]} failed")
    sys.exit(1 if count[False] else 0)


if __name__ == "__main__":
    main()
