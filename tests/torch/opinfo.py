"""PyTorch's own samples of its operators: each as an archive of one op, through `graft opt` and `graft run`.

A fixed selection: of every operator the first samples of each of a few dtypes, as PyTorch makes them from one seed.

    python opinfo.py [--all] [OPERATOR...]       --all: every sample of every dtype, and in the core dialect too
"""
import itertools
import sys

from trial import Part, Wanted
from rows import Call

import numpy
import random
import torch
from torch.testing._internal.common_methods_invocations import op_db

LEAST = 1500
DTYPES = {torch.float32: 2, torch.bfloat16: 1, torch.int64: 1, torch.bool: 1, torch.complex64: 1}     # samples of each
# What their results hold is not said.
UNINITIALISED = ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided", "_batch_norm_with_update")
# Of equal elements, or of decompositions that are not unique, any may be taken: graft run need not choose as PyTorch does.
CHOICES = ("sort", "argsort", "topk", "mode", "median", "nanmedian", "kthvalue", "msort")


def samples(info, dtype, number):
    torch.manual_seed(0)
    numpy.random.seed(0)
    random.seed(0)
    try:
        return list(itertools.islice(list(info.sample_inputs("cpu", dtype)), number))
    except Exception as e:
        print(f"{info.name} {dtype}: no samples: {type(e).__name__}")
        return []


def main():
    every = "--all" in sys.argv
    names = [a for a in sys.argv[1:] if a != "--all"]
    part = Part("opinfo", least=0 if names else LEAST)
    for info in op_db:
        if names and info.name not in names:
            continue
        for dtype in sorted(info.dtypes, key=str) if every else [d for d in DTYPES if d in info.dtypes]:
            for i, s in enumerate(samples(info, dtype, None if every else DTYPES[dtype])):
                module = Call(info.op, (s.input, *s.args), s.kwargs, lambda call, tensors: call())
                for dialect in (None, "core") if every else (None,):
                    name = " ".join(filter(None, (info.formatted_name, str(dtype)[6:], str(i), dialect)))
                    program = part.export(module, module.tensors(), dialect)
                    if program is not None:
                        part.try_program(name, program, module.tensors(), Wanted(
                            values=info.name not in UNINITIALISED, run=info.name not in CHOICES))
    part.end()


if __name__ == "__main__":
    main()
