#!/usr/bin/env python3
"""torch_schemas.py - writes src/io/torch_schemas.def from the PyTorch that this Python has.

    python3 tools/torch_schemas.py > src/io/torch_schemas.def

One row for each overload of the namespaces below, sorted by target, as PyTorch's own registry says it. Nothing is added by hand.
"""
import sys

import torch

NAMESPACES = {"aten", "prims", "quantized", "c10d", "_c10d_functional", "_c10d_functional_autograd", "inductor", "rngprims"}

HEAD = """\
/* torch_schemas.def - the schemas of PyTorch's own ops, as PyTorch {version} has them, sorted by target. Made by
 * tools/torch_schemas.py; not edited by hand.
 *
 * SCHEMA(target, schema, flags)
 *
 * `(a)` is storage that a result with the same letter may share, `(a!)` is storage that is written. What the text does
 * not say is a flag: r random; n takes numbers where it says Tensor; m may write or share what it does not say; v changes
 * the sizes of its first argument in place; c is made of other ops, so that nobody checks what it says its results share.
 */
"""

FLAGS = [("r", torch.Tag.nondeterministic_seeded), ("m", torch.Tag.maybe_aliasing_or_mutating), ("v", torch.Tag.inplace_view)]


def flags_of(op, overload):
    tags = torch._C._get_operation_overload(op, overload)[2]
    numbers = "n" if torch._C._should_allow_numbers_as_tensors(op.partition("::")[2]) else ""
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(f"{op}.{overload}".rstrip("."), "CompositeImplicitAutograd")
    return "".join(letter for letter, tag in FLAGS if tag in tags) + numbers + ("c" if composite else "")


def row_of(name):
    op, _, overload = name.partition(".")
    target = f"{op.replace('::', '.')}.{overload or 'default'}"
    text = str(torch._C._get_schema(op, overload))
    schema = text[len(name):]
    assert text.startswith(name) and schema.startswith("("), text
    escaped = schema.replace("\\", "\\\\").replace('"', '\\"')
    return target, f'SCHEMA("{target}", "{escaped}", "{flags_of(op, overload)}")'


def main():
    names = [n for n in torch._C._dispatch_get_all_op_names() if n.partition("::")[0] in NAMESPACES]
    rows = sorted(row_of(n) for n in names)
    print(HEAD.format(version=torch.__version__.partition("+")[0]))
    print("\n".join(row for _, row in rows))


if __name__ == "__main__":
    sys.exit(main())
