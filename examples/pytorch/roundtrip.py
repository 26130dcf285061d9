"""Exports a model with latent attention, lets graft rewrite the archive, loads it again, runs both and compares.

    python roundtrip.py                                        small models, in PyTorch on the CPU
    python roundtrip.py --lib build/libgraft.so                the fused op in libgraft
    python roundtrip.py --device cuda --pack build/packs/graft_hip_amd.so    on a GPU, DeepSeek's sizes, with times
    python roundtrip.py MODEL.pt2 ...                          archives, with their inputs in MODEL_sample.safetensors

Without a file an attention block is made, in bfloat16 and float32, with fixed and with symbolic sizes. With files, each
is rewritten and run on the sample's tensors that are called as its inputs are; the sample's others are what the outputs
should be. Ends with 1 if something differs.
"""
import argparse
import importlib
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from torch.export.passes import move_to_device_pass
from torch.utils._pytree import tree_leaves

import graft_torch

# Largest difference, relative to the largest number, that is still the same result.
NEAR = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 4e-3, torch.float64: 1e-9}

class RMSNorm(torch.nn.Module):
    def __init__(self, n, eps=1e-6):
        super().__init__()
        self.weight = torch.nn.Parameter(1 + torch.randn(n) / 8)
        self.eps = eps

    def forward(self, x):
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


class Latents(torch.nn.Module):
    """The part of multi-head latent attention in front of the heads."""

    def __init__(self, hidden=64, q=48, kv=32, rope=8):
        super().__init__()
        self.sizes = [kv, rope]
        self.q_a, self.kv_a = torch.nn.Linear(hidden, q, bias=False), torch.nn.Linear(hidden, kv + rope, bias=False)
        self.q_norm, self.kv_norm = RMSNorm(q), RMSNorm(kv, 1e-5)
        self.q_b, self.kv_b = torch.nn.Linear(q, hidden, bias=False), torch.nn.Linear(kv, hidden, bias=False)

    def forward(self, x):
        q = self.q_b(self.q_norm(self.q_a(x)))
        kv, rope = self.kv_a(x).split(self.sizes, -1)
        return q @ self.kv_b(self.kv_norm(kv)).transpose(1, 2) * rope.mean()


def fused(program):
    return sum("fused_mla_dual_rms_norm" in str(n.target) for n in program.graph.nodes)


def load(path, device):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.load(path)
        except RuntimeError as e:
            sys.exit(f"{Path(path).name}: torch.export.load: {e}\nIf it could not resolve an op, name the module that "
                     "registers the op with --import.")
    return program if device == "cpu" else move_to_device_pass(program, device)


def run(program, inputs):
    return tree_leaves(program.module()(*inputs))


def difference(found, wanted):
    """As words, and whether it is small enough."""
    if [t.shape for t in found] != [t.shape for t in wanted]:
        return "other shapes", False
    pairs = [(a.double().cpu(), b.double().cpu(), NEAR[b.dtype]) for a, b in zip(found, wanted)]
    rest = [((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item() for a, b, _ in pairs]
    top = all(torch.equal(a.argmax(-1), b.argmax(-1)) for a, b, _ in pairs)
    words = "the same bits" if all(torch.equal(a, b) for a, b, _ in pairs) else f"{max(rest):.1e} of the largest"
    return words + ("" if top else ", another top-1"), all(r <= near for r, (_, _, near) in zip(rest, pairs))


def seconds(program, inputs, runs=100):
    """Of one run on a GPU, as a CUDA graph that is replayed."""
    module, graph, stream = program.module(), torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            module(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        module(*inputs)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    graph.replay()
    start.record()
    for _ in range(runs):
        graph.replay()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000 / runs


def times(before, after, inputs):
    try:
        return f"{1e6 * seconds(before, inputs):.1f} us before, {1e6 * seconds(after, inputs):.1f} us after"
    except RuntimeError as e:
        return f"no times: it cannot be captured ({str(e).splitlines()[0]})"


def compare(name, path, inputs, wanted, pairs, args):
    out = str(path).replace(".pt2", ".opt.pt2")
    subprocess.run([args.graft, "opt", str(path), "-o", out], check=True)
    before, after = load(path, args.device), load(out, args.device)
    inputs = [t.to(args.device) for t in inputs]
    found = run(after, inputs)
    words, same = difference(found, run(before, inputs))
    print(f"{name}: {fused(after)} fused; before and after: {words}", end="")
    if wanted:
        words, right = difference(found, wanted)
        print(f"; after and the sample: {words}", end="")
        same = same and right
    print(f"; {times(before, after, inputs)}" if args.device == "cuda" else "")
    return same and (pairs is None or fused(after) == pairs)


def own_models(folder, device):
    torch.manual_seed(0)
    rows = torch.export.Dim("T", min=2, max=4096)
    hidden, q, kv, rope, tokens = (7168, 1536, 512, 64, 256) if device == "cuda" else (64, 48, 32, 8, 6)
    for dtype in torch.float32, torch.bfloat16:
        for dynamic in False, True:
            model, x = Latents(hidden, q, kv, rope).to(dtype).eval(), torch.randn(2, tokens, hidden, dtype=dtype)
            program = torch.export.export(model, (x,), dynamic_shapes=({1: rows},) if dynamic else None)
            for dialect, p in ("exported", program), ("decomposed", program.run_decompositions()):
                path = folder / f"{dtype}-{dynamic}-{dialect}.pt2".replace("torch.", "")
                torch.export.save(p, path)
                yield f"{str(dtype)[6:]}, {'symbolic' if dynamic else 'fixed'} sizes, {dialect}", path, (x,), None, 1


def given_models(folder, archives):
    from safetensors.torch import load_file

    for archive in map(Path, archives):
        sample = load_file(archive.with_name(archive.stem + "_sample.safetensors"))
        path = folder / archive.name
        path.write_bytes(archive.read_bytes())
        names = [s.arg.name for s in load(path, "cpu").graph_signature.input_specs if s.kind.name == "USER_INPUT"]
        yield path.name, path, [sample[n] for n in names], [t for n, t in sample.items() if n not in names], None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graft", default=str(Path(__file__).parents[2] / "build/graft"), help="the tool")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda is the name of AMD GPUs too")
    parser.add_argument("--lib", help="run the fused op in this libgraft.so on the CPU")
    parser.add_argument("--pack", help="run the fused op in this kernel pack on the GPU")
    parser.add_argument("--import", dest="module", action="append", default=[],
                        help="a module that registers ops of the models (transformers.integrations.moe)")
    parser.add_argument("files", nargs="*", metavar="MODEL.pt2")
    args = parser.parse_args()
    for module in args.module:
        importlib.import_module(module)
    if args.lib:
        graft_torch.use_library(args.lib)
    if args.pack:
        graft_torch.use_pack(args.pack)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        folder = Path(folder)
        models = given_models(folder, args.files) if args.files else own_models(folder, args.device)
        ok = [compare(*m, args) for m in models]
    sys.exit(0 if ok and all(ok) else 1)


if __name__ == "__main__":
    main()
