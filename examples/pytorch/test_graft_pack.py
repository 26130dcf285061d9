"""Tests graft_pack.py without PyTorch: packs that are none, and rms_norm on the GPU that tests/hipsim plays.

    python test_graft_pack.py --pack build/packs/graft_hip_sim.so --runtime build/hipsim/plain/libhipsim.so \\
        --odd build/packs/test

The last line is "N passed, N failed".
"""
import argparse
import array
import ctypes
import math
import sys
from pathlib import Path

import graft_pack
from simulator import Simulator

SIGNATURE = "rms_norm(x, w?) -> (y) {eps: float, round: late|early}"
FUSED = "fused_mla_dual_rms_norm"
FUSED_SIGNATURE = FUSED + "(q, q_w, kv, kv_w) -> (q_n, kv_n) {q_eps: float, kv_eps: float, round: late|early}"
count = {True: 0, False: 0}


def check(ok, what):
    count[bool(ok)] += 1
    if not ok:
        print(f"FAIL {what}")


def raises(text, what, function, *args):
    try:
        function(*args)
        check(False, f"{what}: nothing was raised")
    except (RuntimeError, OSError, KeyError) as e:
        check(text in str(e), f"{what}: {text!r} is not in {e}")


def on_device(gpu, values):
    host = array.array("f", values)
    address = gpu.allocate(4 * len(host))
    gpu.copy_in(address, host.buffer_info()[0], 4 * len(host))
    return address


def from_device(gpu, address, n):
    host = array.array("f", bytes(4 * n))
    gpu.copy_out(host.buffer_info()[0], address, 4 * n)
    return host


def norm(row, w, eps):
    r = 1 / math.sqrt(math.fsum(x * x for x in row) / len(row) + eps)
    return [x * r * g for x, g in zip(row, w)]


def run_norm(gpu, kernel, rows, n, distance):
    """Rows of n that lie in wider ones."""
    values, w = [math.sin(i) * 3 for i in range(rows * distance)], [1 + i / n for i in range(n)]
    x = graft_pack.tensor(on_device(gpu, values), (rows, n), (distance, 1), "f32")
    y = graft_pack.tensor(on_device(gpu, [-1] * (rows * n)), (rows, n), (n, 1), "f32")
    kernel.launch([x, graft_pack.tensor(on_device(gpu, w), (n,), (1,), "f32")], [y], [1e-6, 0], gpu.stream())
    found = from_device(gpu, y.data, rows * n)
    wanted = [v for r in range(rows) for v in norm(values[r * distance:r * distance + n], w, 1e-6)]
    worst = max((abs(a - b) for a, b in zip(found, wanted)), default=0)
    check(worst < 2e-6, f"rms_norm of {rows} rows of {n}, {distance} apart: off by {worst}")


def test_simulator(gpu, pack):
    kernel = pack.kernel("rms_norm", SIGNATURE)
    for rows, n, distance in (1, 8, 8), (5, 48, 80), (3, 47, 61), (2, 1536, 2112), (0, 16, 16):
        run_norm(gpu, kernel, rows, n, distance)
    x = graft_pack.tensor(on_device(gpu, [1] * 8), (2, 4), (4, 1), "f32")
    y = graft_pack.tensor(on_device(gpu, [1] * 8), (2, 4), (4, 1), "f32")
    kernel.launch([x, graft_pack.missing()], [y], [1e-6, 1], gpu.stream())
    check(all(abs(v - 1) < 1e-6 for v in from_device(gpu, y.data, 8)), "rms_norm without a weight")
    raises("E_USAGE", "no attributes", kernel.launch, [x], [y], [], gpu.stream())
    narrow = graft_pack.tensor(y.data, (2, 3), (3, 1), "f32")
    given = [x, graft_pack.missing()]
    raises("one shape", "a result of another shape", kernel.launch, given, [narrow], [1e-6, 0], gpu.stream())
    gpu.fail("hipLaunchKernel:1")
    raises("E_EXEC", "a launch that fails", kernel.launch, given, [y], [1e-6, 0], gpu.stream())
    check(gpu.intact(), "nothing is written outside")
    raises("has signature", "another signature", pack.kernel, "rms_norm", "rms_norm(x) -> (y)")
    raises("has no kernel", "no kernel", pack.kernel, "layer_norm", "layer_norm(x) -> (y)")


def why_not(folder, name, shapes, arch="cpu", round="late", dtype="f32"):
    """shapes: {operand: (shape, stride)}"""
    kernel = graft_pack.Pack(folder / f"{name}.so").kernel(FUSED, FUSED_SIGNATURE)
    return kernel.why_not(arch, {n: graft_pack.tensor(0, *s, dtype) for n, s in shapes.items()}, round)


def test_odd_packs(folder):
    for name, text in ("nosymbol", "has no graft_pack_v1"), ("null", "no table"), ("abi", "speaks ABI 2"), \
            ("truncated", "once more"), ("smaller", "bytes, wanted"), ("text", "no shared library"), \
            ("half", "not a whole one"), ("none", "none.so"), ("nolaunch", "no launch function"):
        raises(text, name, graft_pack.Pack, folder / f"{name}.so")
    for name, text in ("renamed", "has no kernel"), ("signature", "has signature"):
        raises(text, name, lambda path: graft_pack.Pack(path).kernel(FUSED, FUSED_SIGNATURE), folder / f"{name}.so")
    dense, view, uneven = ((4, 6), (6, 1)), ((4, 6), (9, 1)), ((2, 3, 6), (100, 6, 1))
    for name, given, text in (
        ("good", {"q": dense, "kv": view}, ""),
        ("good", {"q": uneven}, "q has rows at uneven"),
        ("good", {"q": ((4, 6), (1, 4))}, "elements apart"),
        ("good", {"q": ((1, 6), (9, 1))}, ""),
        ("plain", {"q": dense}, ""),
        ("plain", {"q": dense, "kv": view}, "kv is a view of wider rows"),
        ("plain", {"q": ((4, 5), (5, 1))}, "last axis of 5"),
        ("limit", {"q": ((4, 1024), (1024, 1))}, ""),
        ("limit", {"q": ((4, 1025), (1025, 1))}, "it takes 1024"),
        ("limit", {"q": ((64, 65, 8), (520, 8, 1))}, "4160 rows"),
        ("limit", {"q": ((4, 8), (2113, 1))}, "2113 elements apart"),
    ):
        found = why_not(folder, name, given)
        check(text in found and bool(text) == bool(found), f"{name} with {given}: {found!r}, wanted {text!r}")
    check("round=early" in why_not(folder, "noearly", {"q": dense}, round="early"), "noearly")
    check("q is f16; it takes" in why_not(folder, "good", {"q": dense}, dtype="f16"), "good with f16")
    check("gfx90a, gfx942, not for gfx1100" in why_not(folder, "arch", {"q": dense}, arch="gfx1100"), "arch")
    check(why_not(folder, "arch", {"q": dense}, arch="gfx942:xnack-") == "", "arch with features")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pack", required=True)
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--odd", type=Path, required=True)
    args = parser.parse_args()
    test_simulator(Simulator(args.runtime), graft_pack.Pack(args.pack))
    test_odd_packs(args.odd)
    raises("no dtype f4", "a dtype that is none", graft_pack.tensor, 0, (1,), (1,), "f4")
    print(f"{count[True]} passed, {count[False]} failed")
    sys.exit(1 if count[False] else 0)


if __name__ == "__main__":
    main()
