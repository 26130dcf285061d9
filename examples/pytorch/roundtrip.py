"""Exports a model with latent attention, lets graft rewrite the archive, loads it again and compares.

    python roundtrip.py [--graft build/graft] [--lib build/libgraft.so] [MODEL.pt2 SAMPLE.safetensors]

Without a file a small attention block is made, in bfloat16 and float32, with fixed and with symbolic sizes. With one, that archive is rewritten and run on
the sample's inputs. Ends with 1 if something differs.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import graft_torch


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


def compare(name, path, inputs, graft):
    out = str(path).replace(".pt2", ".opt.pt2")
    subprocess.run([graft, "opt", str(path), "-o", out], check=True)
    before, after = torch.export.load(path), torch.export.load(out)
    a, b = (torch.utils._pytree.tree_leaves(p.module()(*inputs)) for p in (before, after))
    same = all(torch.equal(x, y) for x, y in zip(a, b))
    worst = max(((x.double() - y.double()).abs().max() / x.double().abs().max()).item() for x, y in zip(a, b))
    print(f"{name}: {fused(after)} fused, largest relative difference {worst:.3g}{' (bitwise equal)' if same else ''}")
    return fused(after) > 0 and worst < 1e-2 and all(x.shape == y.shape for x, y in zip(a, b))


def own_models(folder):
    torch.manual_seed(0)
    rows = torch.export.Dim("T", min=2, max=1024)
    for dtype in torch.float32, torch.bfloat16:
        for dynamic in False, True:
            model, x = Latents().to(dtype).eval(), torch.randn(2, 6, 64, dtype=dtype)
            program = torch.export.export(model, (x,), dynamic_shapes=({1: rows},) if dynamic else None)
            for dialect, p in ("exported", program), ("decomposed", program.run_decompositions()):
                path = folder / f"{dtype}-{dynamic}-{dialect}.pt2".replace("torch.", "")
                torch.export.save(p, path)
                yield f"{str(dtype)[6:]}, {'symbolic' if dynamic else 'fixed'} sizes, {dialect}", path, (x,)


def given_model(folder, archive, sample):
    from safetensors.torch import load_file

    tensors = load_file(sample)
    path = folder / Path(archive).name
    path.write_bytes(Path(archive).read_bytes())
    program = torch.export.load(path)
    names = [s.arg.name for s in program.graph_signature.input_specs if s.kind.name == "USER_INPUT"]
    yield path.name, path, tuple(tensors[n] for n in names)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--graft", default=str(Path(__file__).parents[2] / "build/graft"))
    parser.add_argument("--lib", help="run the fused op in this libgraft.so instead of in PyTorch")
    parser.add_argument("files", nargs="*", metavar="MODEL.pt2 SAMPLE.safetensors")
    args = parser.parse_args()
    if args.lib:
        graft_torch.use_library(args.lib)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        models = given_model(Path(folder), *args.files) if args.files else own_models(Path(folder))
        ok = [compare(*m, args.graft) for m in models]
    sys.exit(0 if ok and all(ok) else 1)


if __name__ == "__main__":
    main()
