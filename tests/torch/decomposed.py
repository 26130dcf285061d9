#!/usr/bin/env python3
"""decomposed.py - makes src/io/torch_decomposed.def: the ops of an exported program that graft has not, and that
run_decompositions() takes apart into ops that it has.

    tests/torch/decomposed.py build/graft > src/io/torch_decomposed.def

Found, not told: the first samples that PyTorch has of each of its operators are exported, and graft is asked which ops
it cannot run, before and behind run_decompositions(). Needs torch and expecttest.
"""
import os
import subprocess
import sys
import tempfile
import warnings

import torch
from torch.testing._internal.common_methods_invocations import op_db

SAMPLES = 3
HEAD = """/* torch_decomposed.def - ops that graft has not, or not in every form, and that run_decompositions() takes apart into ops
 * that it has; sorted. Made by tests/torch/decomposed.py with PyTorch %s. */
"""


def tensors_in(x):
    if isinstance(x, torch.Tensor):
        return [x.detach()]
    if isinstance(x, dict):
        x = list(x.values())
    return [t for y in x for t in tensors_in(y)] if isinstance(x, (list, tuple)) else []


class Call(torch.nn.Module):
    """op(*args, **kwargs), whose tensors are the inputs."""

    def __init__(self, op, args, kwargs):
        super().__init__()
        self.op, self.args, self.kwargs = op, args, kwargs

    def forward(self, *tensors):
        left = iter(tensors)

        def put(x):
            if isinstance(x, torch.Tensor):
                return next(left)
            return type(x)(put(y) for y in x) if isinstance(x, (list, tuple)) else x

        args = [put(x) for x in self.args]
        return self.op(*args, **{k: put(v) for k, v in self.kwargs.items()})


def not_run(graft, program, folder):
    """The ops of it that graft cannot run; None: it cannot be read."""
    path = os.path.join(folder, "program.pt2")
    torch.export.save(program, path)
    found = subprocess.run([graft, "ops", path, "--unsupported"], capture_output=True, text=True)
    return None if found.returncode else {line.split()[1] for line in found.stdout.splitlines() if line.strip()}


def look_at(graft, op, sample, folder, apart, whole):
    args = [sample.input, *sample.args]
    inputs = tuple(tensors_in(args) + tensors_in(sample.kwargs))
    program = torch.export.export(Call(op.op, args, sample.kwargs), inputs)
    ops = not_run(graft, program, folder)
    if ops:
        (whole if not_run(graft, program.run_decompositions(), folder) != set() else apart).update(ops)


def main():
    warnings.filterwarnings("ignore")
    apart, whole = set(), set()
    with tempfile.TemporaryDirectory() as folder:
        for op in op_db:
            dtypes = op.supported_dtypes("cpu")
            if not dtypes:
                continue
            dtype = torch.float32 if torch.float32 in dtypes else sorted(dtypes, key=str)[0]
            try:
                samples = list(op.sample_inputs("cpu", dtype))[:SAMPLES]
            except Exception:
                continue
            for sample in samples:
                try:
                    look_at(sys.argv[1], op, sample, folder, apart, whole)
                except Exception as e:
                    print(f"{op.name}: {str(e).splitlines()[:1]}", file=sys.stderr)
    print(HEAD % torch.__version__.split("+")[0])
    for name in sorted(n for n in apart - whole if n.startswith("aten.")):
        print(f'DECOMPOSED("{name}")')


main()
