"""One archive through graft: what every part of check-torch holds it to.

What `graft opt` writes of a program
    loads in PyTorch, with no op more often than before but the fused one, and that one as often as expected;
    computes the same bits: outputs, what it writes to its inputs and its state; with the same types, shapes, strides, devices;
    shares memory among inputs, state and outputs as before;
    has the same gradients, and unflattens, where the case asks for it;
    is what a second `graft opt` writes, too; and with -O0 model.json is the very text that was read.
`graft run` computes PyTorch's numbers, or refuses and says why, where the case asks for it.

    python trial.py FILE.pt2 ...      tries archives again that a part kept in build/torch/failed
"""
import copy
import dataclasses
import logging
import operator
import os
import subprocess
import sys
import typing
import warnings
import zipfile
from collections import Counter
from pathlib import Path

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
ROOT = Path(__file__).resolve().parents[2]
os.chdir(ROOT)
sys.path.append("examples/pytorch")

import torch
from safetensors.torch import save_file
from torch.utils._pytree import tree_leaves

import custom
import graft_torch

torch.set_num_threads(1)
# PyTorch asks for the types of its few classes once a node; that would be half the time of torch.export.load.
hints, typing.get_type_hints = typing.get_type_hints, lambda cls, **names: known.get(cls) or known.setdefault(cls, hints(cls, **names))
known = {}
GRAFT, WORK, FAILED = "build/graft", Path("build/torch"), Path("build/torch/failed")
FUSED = "graft.fused_mla_dual_rms_norm.default"
LIMIT = 60    # seconds for one call of graft
NEAR = {torch.float64: 1e-9, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 2e-2}


class Fault(Exception):
    """A promise that graft broke: what it writes does not load, run or compute the same."""
    kind = "broken"


class Refused(Fault):
    kind = "refused"


class Worse(Fault):
    kind = "worse"


class Lost(Fault):
    kind = "lost"


class NotAsked(Exception):
    """Nothing that graft could be asked: PyTorch did not export it, does not run it, or runs it differently each time."""


@dataclasses.dataclass
class Wanted:
    """What a case asks for beyond the promises for all."""
    values: bool = True        # False: the outputs are uninitialised, only their types count
    grad: bool = False         # outputs are differentiated
    unflatten: bool = False
    run: bool = False          # graft run, too
    pairs: int | None = 0      # fused nodes; None: any number
    near: bool = False         # where a pair was fused, numbers may differ by NEAR
    verify: bool = False       # graft verify, too


@dataclasses.dataclass
class Seen:
    """What a trial saw on the way, for tables."""
    ops_before: int = 0
    ops_after: int = 0
    fused: int = 0
    kind: str = ""             # of the fault
    refused: bool = False      # graft run has an op that it cannot run


def graft(*args):
    try:
        r = subprocess.run([GRAFT, *map(str, args)], capture_output=True, text=True, errors="replace", timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return 124, f"no end in {LIMIT} s"
    said = (r.stderr.strip() or r.stdout.strip()).splitlines()
    return r.returncode, next((l for l in said if "error" in l), said[-1] if said else "")[:300]


def model_json(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(n for n in archive.namelist() if n.endswith("models/model.json")))


def ops(program):
    """How often each op is there, in sub-graphs too."""
    return Counter(str(n.target) for m in program.graph_module.modules() if hasattr(m, "graph")
                   for n in m.graph.nodes if n.op == "call_function" and n.target is not operator.getitem)


# ---- comparing ----


def dense(t):
    t = t.detach()
    if t.is_quantized:
        t = t.int_repr()
    if t.layout != torch.strided:
        t = t.to_dense()
    return t.resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format).reshape(-1)


def looks(t, grad):
    """What can be seen of a tensor besides its numbers."""
    strides = [s for s, n in zip(t.stride(), t.shape) if n > 1] if t.layout == torch.strided and t.numel() else None
    return t.dtype, tuple(t.shape), strides, str(t.device), t.layout, grad and t.requires_grad


def same_bits(a, b):
    a, b = dense(a), dense(b)
    if a.is_floating_point() and a.itemsize > 1:
        nans = a.isnan()
        if not torch.equal(nans, b.isnan()):
            return False
        a, b = a.masked_fill(nans, 0), b.masked_fill(nans, 0)    # of a NaN, only that it is one
    elif a.is_complex():
        return same_bits(torch.view_as_real(a), torch.view_as_real(b))
    return torch.equal(a.view(torch.uint8), b.view(torch.uint8))


def largest(a, b):
    """The largest difference, relative to the largest number."""
    a, b = dense(a).double(), dense(b).double()
    if not torch.equal(a.isfinite(), b.isfinite()):
        return float("inf")
    a, b = (torch.nan_to_num(x, 0, 0, 0) for x in (a, b))
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item() if a.numel() else 0.0


def differ(what, before, after, values=True, near=False, grad=False):
    if not torch.is_tensor(before):
        if type(before) is not type(after) or before != after and before == before:
            raise Fault(f"{what}: {after!r}, was {before!r}")
        return
    if looks(before, grad) != looks(after, grad):
        was, now = looks(before, grad), looks(after, grad)
        raise Fault(f"{what}: {[n for w, n in zip(was, now) if w != n]}, was {[w for w, n in zip(was, now) if w != n]}")
    if not values or before.device.type == "meta" or same_bits(before, after):
        return
    by = largest(after, before) if not before.is_complex() else float("nan")
    if not near or not by <= NEAR.get(before.dtype, 0):
        raise Fault(f"{what}: other numbers, by {by:.1e} of the largest")


def memory(tensors):
    """For each tensor, which of them is the first in the same storage."""
    first, found = {}, []
    for i, t in enumerate(tensors):
        shared = torch.is_tensor(t) and t.layout == torch.strided and t.device.type != "meta" and t.numel()
        found.append(first.setdefault(t.untyped_storage().data_ptr(), i) if shared else i)
    return found


# ---- running ----


class Ran:
    """A program's outputs, inputs and state after a run on copies of the arguments."""

    def __init__(self, program, args, wanted):
        module, args = program.module(), copy.deepcopy(args)
        torch.manual_seed(0)
        with torch.set_grad_enabled(wanted.grad):
            out = module(*args)
            self.outputs, self.inputs = tree_leaves(out), tree_leaves(args)
            self.state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            self.memory = memory(self.outputs + self.inputs + list(self.state.values()))
            if wanted.grad:
                sum(o.double().sum() for o in self.outputs if torch.is_tensor(o) and o.requires_grad).backward()
        self.grads = [t.grad for t in [*self.inputs, *self.state.values()] if torch.is_tensor(t) and t.is_leaf]

    def compare(self, after, wanted, fused):
        near = wanted.near and fused > 0
        if len(self.outputs) != len(after.outputs):
            raise Fault(f"{len(after.outputs)} outputs, were {len(self.outputs)}")
        for i, (a, b) in enumerate(zip(self.outputs, after.outputs)):
            differ(f"output {i}", a, b, wanted.values, near, wanted.grad)
        for i, (a, b) in enumerate(zip(self.inputs, after.inputs)):
            differ(f"input {i} afterwards", a, b, wanted.values, near)
        if list(self.state) != list(after.state):
            raise Fault(f"state {sorted(set(self.state) ^ set(after.state))}")
        for name, a in self.state.items():
            differ(f"{name} afterwards", a, after.state[name], wanted.values, near)
        if self.memory != after.memory:
            raise Fault(f"memory is shared as {after.memory}, was {self.memory} (outputs, inputs, state; each the first of "
                        "its storage)")
        for i, (a, b) in enumerate(zip(self.grads, after.grads)):
            differ(f"gradient {i}", a, b, near=True)    # merged nodes add gradients in another order


def loaded(path):
    try:
        return torch.export.load(path)
    except Exception:
        pass
    raise Fault(f"torch.export.load: {reason(path)}")


def reason(path):
    """Why PyTorch does not load it: it logs that instead of raising it."""
    heard, log, handler = [], logging.getLogger("torch.export"), logging.Handler()
    handler.emit = lambda record: heard.append(record.exc_info and record.exc_info[1])
    log.handlers, log.propagate = [handler], False
    logging.disable(logging.NOTSET)
    try:
        torch.export.load(path)
    except Exception as e:
        e = next(filter(None, heard), e)
        while e.__cause__ or e.__context__:
            e = e.__cause__ or e.__context__
        return said(e)
    finally:
        logging.disable(logging.CRITICAL)


def said(e):
    return f"{type(e).__name__}: {(str(e).strip().splitlines() or [''])[0][:200]}"


def check_opt(path, out, before, was, args, wanted, seen):
    code, text = graft("opt", "-O2", path, "-o", out)
    if code:
        raise Refused(f"graft opt: exit {code}: {text}")
    after = loaded(out)
    had, has = ops(before), ops(after)
    seen.ops_before, seen.ops_after, seen.fused = had.total(), has.total(), has[FUSED] - had[FUSED]
    more = has - had
    more.pop(FUSED, None)
    if more:
        raise Worse(f"more than before: {dict(more)}")
    try:
        now = Ran(after, args, wanted)
    except Exception as e:
        raise Fault(f"it runs no more: {said(e)}")
    was.compare(now, wanted, seen.fused)
    if wanted.pairs is not None and seen.fused != wanted.pairs:
        raise Lost(f"{seen.fused} pairs fused, {wanted.pairs} expected")
    if wanted.unflatten:
        try:
            torch.export.unflatten(loaded(out))(*copy.deepcopy(args))
        except Fault:
            raise
        except Exception as e:
            raise Fault(f"torch.export.unflatten: {said(e)}")


def check_again(path, out, scratch):
    code, text = graft("opt", "-O2", out, "-o", scratch)
    if code:
        raise Fault(f"graft opt of its own result: exit {code}: {text}")
    if model_json(out) != model_json(scratch):
        raise Fault("a second graft opt changes it again")


def check_text(path, scratch):
    code, text = graft("opt", "-O0", path, "-o", scratch)
    if code:
        raise Fault(f"graft opt -O0: exit {code}: {text}")
    if model_json(path) != model_json(scratch):
        raise Fault("with -O0 model.json is another")


def tensors_by_name(names, leaves):
    """For a safetensors file; None where they have no names, or a type that it has not."""
    if len(names) != len(leaves):
        return None
    held = {n: t for n, t in zip(names, leaves) if torch.is_tensor(t)}
    if any(t.layout != torch.strided or t.is_complex() or t.is_quantized or t.device.type == "meta" for t in held.values()):
        return None
    return {n: t.detach().clone().contiguous() for n, t in held.items()}


def check_run(path, before, was, args, wanted):
    """Whether graft refused to run it; its reason is in what it says."""
    given = tensors_by_name(before.graph_signature.user_inputs, tree_leaves(args))
    expected = tensors_by_name(before.graph_signature.user_outputs, was.outputs)
    if given is None or not expected:
        return True
    inputs, outputs = path.with_suffix(".in.safetensors"), path.with_suffix(".expected.safetensors")
    save_file(given, inputs)
    save_file(expected, outputs)
    refused = False
    for verb in ["run"] * wanted.run + ["verify"] * wanted.verify:
        compare = ["--compare", outputs] if verb == "run" and wanted.values else []
        code, text = graft(verb, path, "--device", "cpu", "--inputs", inputs, *compare)
        if code and not (code == 4 and text):
            raise Fault(f"graft {verb}: exit {code}: {text}")
        refused = refused or code == 4
    return refused


def steady(path, args, wanted):
    """Whether PyTorch itself computes the same twice."""
    runs = []
    for filler in (0.0, float("nan")):
        junk = [torch.full((n,), filler) for n in (1, 4, 16, 64, 256, 1024) for _ in range(8)]
        del junk                                              # what uninitialised memory is likely to hold
        runs.append(Ran(torch.export.load(path), args, wanted))
    try:
        runs[0].compare(runs[1], wanted, 0)
    except Fault:
        return False
    return True


def trial(path, args, wanted, seen):
    """Raises what is wrong with the archive `path` after graft; what it says of it goes to `seen`."""
    out, scratch = path.with_suffix(".out.pt2"), path.with_suffix(".scratch.pt2")
    try:
        before = torch.export.load(path)
        was = Ran(before, args, wanted)
    except Exception as e:
        raise NotAsked(f"does not run in PyTorch: {type(e).__name__}")
    try:
        check_opt(path, out, before, was, args, wanted, seen)
        check_again(path, out, scratch)
        check_text(path, scratch)
        if wanted.run or wanted.verify:
            seen.refused = check_run(path, before, was, args, wanted)
    except Fault:
        if not steady(path, args, wanted):
            raise NotAsked("PyTorch computes something else each time")
        raise
    finally:
        scratch.unlink(missing_ok=True)


# ---- a part ----


class Part:
    """Counts the cases of one part, keeps what failed, and ends the program."""

    def __init__(self, name, least=0):
        self.name, self.least = name, least
        self.passed = self.failed = self.refused = 0
        self.not_asked = Counter()
        self.folder = WORK / name
        self.folder.mkdir(parents=True, exist_ok=True)
        FAILED.mkdir(parents=True, exist_ok=True)
        for old in FAILED.glob(f"{name}-*"):
            old.unlink()

    def fail(self, case, why, path=None, note=""):
        self.failed += 1
        print(f"FAIL {self.name} {case}: {why}")
        if note:
            print("    " + note.replace("\n", "\n    "))
        if path:
            print(f"    {GRAFT} opt -O2 {path} -o out.pt2; python tests/torch/trial.py {path}")
        sys.stdout.flush()

    def skip(self, why):
        self.not_asked[str(why)] += 1

    def export(self, module, args, dialect=None, dynamic=None, strict=False, grad=False, preserve=(), what=""):
        """The program, or None where PyTorch makes none; counted."""
        try:
            with torch.set_grad_enabled(grad):
                program = torch.export.export(module, copy.deepcopy(args), strict=strict, dynamic_shapes=dynamic,
                                              preserve_module_call_signature=tuple(preserve))
                if dialect:
                    program = program.run_decompositions(*([] if dialect == "core" else [{}]))
            return program
        except Exception as e:
            self.skip(f"{what} not exported: {said(e) if what else type(e).__name__}".strip())

    def try_program(self, case, program, args, wanted=Wanted(), note=""):
        """Whether the promises hold; counted, and kept when not."""
        path, self.last = self.folder / "case.pt2", None
        try:
            torch.export.save(program, path)
        except Exception as e:
            self.skip(f"not saved: {type(e).__name__}")
            return None
        self.last = seen = Seen()
        try:
            trial(path, args, wanted, seen)
            self.refused += seen.refused
            self.passed += 1
            return True
        except NotAsked as e:
            self.last = None
            self.skip(e)
            return None
        except Fault as e:
            seen.kind = e.kind
            kept = FAILED / f"{self.name}-{case.replace('/', '.').replace(' ', '-')}.pt2"
            path.rename(kept)
            out = path.with_suffix(".out.pt2")
            if out.exists():
                out.rename(kept.with_suffix(".out.pt2"))
            torch.save((args, dataclasses.asdict(wanted)), kept.with_suffix(".args"))
            if note:
                kept.with_suffix(".txt").write_text(note)
            self.fail(case, e, kept, note)
        except Exception as e:
            self.fail(case, f"the suite itself: {said(e)}", note=note)
        finally:
            for left in self.folder.glob("case.*"):
                left.unlink()
        return False

    def end(self):
        for why, n in sorted(self.not_asked.items()):
            print(f"{n} cases: {why}")
        if self.refused:
            print(f"{self.refused} cases: graft run refuses")
        if self.passed + self.failed < self.least:
            self.fail("size", f"{self.passed + self.failed} archives, {self.least} promised")
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(self.failed > 0)


def main():
    failed = 0
    for path in map(Path, sys.argv[1:]):
        args, wanted = torch.load(path.with_suffix(".args"), weights_only=False)
        try:
            trial(path, args, Wanted(**wanted), Seen())
            print(f"{path}: holds")
        except (Fault, NotAsked) as e:
            failed += 1
            print(f"{path}: {e}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
