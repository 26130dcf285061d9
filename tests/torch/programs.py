"""Generated programs through `graft opt`: what they compute, write, share and differentiate stays; graphs never grow.

A program is a few lines of PyTorch that write, view and name each other's values as models do and as nobody would: writes in
place, views of views, values that are named and not read, no-ops, duplicates, dead code, ops that graft does not know and
that write, out= buffers, lists, norm pairs with writes between. It is generated line by line; a line that PyTorch does not
take is dropped. A failure prints the program.

    python programs.py [--seed N] [--number N] [--all] [INDEX...]      only the programs of these indices
"""
import argparse
import random

from trial import Part, Wanted

import torch
import torch.nn.functional as F

import custom

SEED, NUMBER = 1, 2000
DTYPES = "torch.float32", "torch.float32", "torch.float32", "torch.bfloat16", "torch.float64"


class Program:
    """Lines, and what their names hold when they have run."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.seed, self.lines, self.pure, self.names, self.count = seed, [], [], [], 0
        self.grad = self.random.random() < 0.2
        self.module = State(seed)
        self.args = self.inputs()
        self.env = {"torch": torch, "F": F, "custom": custom, "self": self.module}
        for name, x in zip(self.parameters(), self.args):
            self.env[name] = (x.detach().clone().requires_grad_(x.requires_grad))
            self.names.append(name)
        if self.grad:                      # a leaf cannot be written
            for name in self.parameters():
                self.line(f"{name} = {name} * 1")

    def parameters(self):
        return [f"x{i}" for i in range(len(self.args))]

    def inputs(self):
        torch.manual_seed(self.seed)
        shape = self.random.choice([(2, 3, 4), (4, 6), (2, 8), (3, 4), (6,)])
        dtype = eval(self.random.choice(DTYPES))
        floats = [torch.randn(shape).to(dtype).requires_grad_(self.grad) for _ in range(2)]
        return (*floats, torch.arange(shape[-1]).flip(0).remainder(shape[0]))

    # ---- choosing ----

    def tensor(self, want=lambda x: True):
        """A name, newer ones more often."""
        fit = [n for n in self.names if want(self.env[n])]
        return fit[max(self.random.randrange(len(fit)), self.random.randrange(len(fit)))] if fit else None

    def float(self):
        return self.tensor(lambda x: x.is_floating_point())

    def like(self, name):
        of = self.env[name]
        return self.tensor(lambda x: x.shape == of.shape and x.dtype == of.dtype)

    def dim(self, name):
        n = self.env[name].dim()
        return self.random.randrange(-n, n) if n else 0

    def number(self):
        return self.random.choice([1, 2, -1, 0.5, 3])

    def new(self):
        self.count += 1
        return f"t{self.count}"

    # ---- writing ----

    def line(self, text):
        """Adds the lines if they run."""
        env = dict(self.env)
        try:
            with torch.set_grad_enabled(self.grad):
                exec(text, env)
        except Exception:
            return False
        self.lines.append(text)
        self.names += [n for n in env if n not in self.env and torch.is_tensor(env[n])]
        self.env = env
        return True

    def value(self, expression, results=1):
        names = ", ".join(self.new() for _ in range(results))
        if self.line(f"{names} = {expression}"):
            self.pure.append((expression, results))

    def step(self):
        kinds, weights = zip(*KINDS)
        x = self.float()
        self.random.choices(kinds, weights)[0](self, x, self.like(x), self.dim(x))

    def result(self):
        r = self.random
        chosen = [self.tensor() for _ in range(r.randint(1, 4))]
        if self.grad:
            chosen.append(self.float())
        if r.random() < 0.1:
            chosen.append(chosen[0])
        return "{'a': %s, 'b': [%s]}" % (chosen[0], ", ".join(chosen[1:])) if r.random() < 0.1 else "[%s]" % ", ".join(chosen)

    def text(self):
        lines = [f"def forward(self, {', '.join(self.parameters())}):", *self.lines, f"return {self.returned}"]
        return lines[0] + "\n" + "\n".join("    " + l.replace("\n", "\n    ") for l in lines[1:]) + "\n"


class State(torch.nn.Module):
    """What the programs have besides their inputs. `forward` is put in."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        for n in (3, 4, 6, 8):
            self.register_parameter(f"w{n}", torch.nn.Parameter(torch.randn(n)))
            self.register_buffer(f"b{n}", torch.randn(n))
        self.proj = torch.nn.Parameter(torch.randn(12, 8) / 3)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def put(self, text):
        names = {"torch": torch, "F": F, "custom": custom}
        exec(text, names)
        self.forward = names["forward"].__get__(self)
        return self


# ---- kinds of lines; each has the program, a tensor, one of its shape and type, and one of its dimensions ----


def one_of(*texts):
    def kind(p, x, y, d):
        p.value(p.random.choice(texts).format(x=x, y=y, d=d, n=p.number(), last=p.env[x].shape[-1] if p.env[x].dim() else 1))

    return kind


def write(*texts):
    def kind(p, x, y, d):
        p.line(p.random.choice(texts).format(x=x, y=y, d=d, n=p.number(), t=p.new(), last=p.env[x].shape[-1] if p.env[x].dim() else 1))

    return kind


def views(p, x, y, d):
    size = p.env[x].numel()
    folded = next((f"{k}, {size // k}" for k in p.random.sample(range(2, 7), 5) if size % k == 0), f"{size}")
    n = p.env[x].dim()
    order = p.random.sample(range(n), n)
    one = p.env[x].shape[d] if n else 1
    p.value(p.random.choice([
        f"{x}.view({folded})", f"{x}.reshape({folded})", f"{x}.permute({order})", f"{x}.transpose(0, {d})", f"{x}.unsqueeze({d})",
        f"{x}.select({d}, {one - 1})", f"{x}.narrow({d}, 0, {max(1, one - 1)})", f"{x}[..., 1:]", f"{x}[:1]", f"{x}.flatten()",
        f"{x}.unsqueeze(0).expand(2, *{x}.shape)", f"{x}.t()", f"{x}.squeeze()", f"torch.flip({x}, [{d}])", f"{x}.view(-1)",
        f"{x}[::2]", f"{x}.movedim(0, {d})", f"torch.roll({x}, 1, {d})", f"{x}.as_strided(({size // 2},), (1,))"]))


def several(p, x, y, d):
    n = p.env[x].shape[d] if p.env[x].dim() else 1
    p.value(*p.random.choice([
        (f"{x}.chunk(2, {d})", 2), (f"{x}.split([1, {n - 1}], {d})", 2), (f"{x}.unbind({d})", n), (f"{x}.max({d})", 2),
        (f"torch.var_mean({x}, {d})", 2), (f"{x}.topk(1, {d})", 2), (f"custom.halves({x})", 2), (f"torch._foreach_mul([{x}, {y}], 2)", 2),
        (f"torch._foreach_add([{x}, {y}], [{y}, {x}])", 2), (f"{x}.tensor_split(2, {d})", 2), (f"torch.broadcast_tensors({x}, {y})", 2)]))


def duplicate(p, x, y, d):
    if p.pure:
        p.value(*p.random.choice(p.pure))


def buffers(p, x, y, d):
    b = p.new()
    make = p.random.choice(["torch.empty_like({x})", "torch.zeros_like({x})", "torch.empty({x}.shape, dtype={x}.dtype)", "{x}.new_empty({x}.shape)"])
    fill = p.random.choice(["torch.add({x}, {n}, out={b})", "torch.mul({x}, {y}, out={b})", "{b}.copy_({x})", "{b}.fill_({n})", "{b}.zero_()",
                            "custom.store({x}, {b})", "{b}[:] = {x}", "torch.neg({x}, out={b})", "torch._foreach_copy_([{b}], [{x}])"])
    p.line(f"{b} = {make}\n{fill}".format(x=x, y=y, b=b, n=p.number()))


def contexts(p, x, y, d):
    t = p.new()
    head = p.random.choice(["torch.no_grad()", "torch.enable_grad()", "torch.autocast('cpu', torch.bfloat16)"])
    body = p.random.choice(["{t} = {x} * {y}", "{x}.add_(1)\n    {t} = {x}.neg()", "{t} = {x}.detach().relu()", "{t} = {x}.float() @ {y}.float().t()"])
    p.line(f"with {head}:\n    {body}".format(x=x, y=y, t=t))


def norms(p, x, y, d):
    """Two latents of one activation, their norms spelled in some way, and anything between."""
    a, h, q, kv, pe, r1, r2, q_n, kv_n = (p.new() for _ in range(9))
    norm = p.random.choice(["torch.rsqrt({v}.pow(2).mean(-1, keepdim=True) + {e})", "torch.rsqrt(({v} * {v}).mean(-1, keepdim=True) + {e})",
                            "torch.rsqrt({v}.square().mean(-1, True) + {e})"])
    weigh = p.random.choice(["self.w{n} * ({v} * {r})", "{v} * {r} * self.w{n}", "(self.w{n} * ({v}.float() * {r}).to({v}.dtype))"])
    out = p.random.random() < 0.2
    lines = [f"{a} = {x}.float().flatten()[:1].expand(2, 8) * self.w8", f"{h} = F.linear({a}, self.proj)",
             f"{q}, {kv}, {pe} = {h}.split([6, 4, 2], -1)"]
    for v, r, n, e in ((q, r1, 6, 1e-6), (kv, r2, 4, 1e-5)):
        o = q_n if v == q else kv_n
        lines += [f"{o} = torch.empty_like({v})", f"custom.rms_out({o}, {v}, self.w{n}, {e})"] if out else \
            [f"{r} = " + norm.format(v=v, e=e), f"{o} = " + weigh.format(v=v, r=r, n=n)]
    between = [f"custom.add_one_to({h})", f"{h}.mul_(2)", f"{q}.add_(1)", f"torch.zeros_like({q_n})", f"{t_(p)} = {kv}.type_as({q_n})",
               f"{t_(p)} = {q}.expand_as({q_n})", f"{t_(p)} = {pe}.new_zeros({kv_n}.shape)", f"custom.shift_all([{kv}, {pe}], 1.0)", f"{kv}.zero_()",
               f"{t_(p)} = custom.mix({q}, {q})", f"{t_(p)} = {q_n}.neg()", f"{t_(p)} = {kv_n}.view(-1)", f"{q_n}.add_(1)"]
    for text in p.random.sample(between, p.random.choice([0, 0, 1, 2, 3])):
        lines.insert(p.random.randrange(3, len(lines) + 1), text)
    p.line("\n".join(lines))


def t_(p):
    return p.new()


KINDS = [
    (one_of("{x}.relu()", "{x}.neg()", "{x}.abs()", "{x}.sigmoid()", "{x}.tanh()", "F.silu({x})", "F.gelu({x})", "{x}.exp()", "{x}.square()",
            "{x}.sign()", "{x}.floor()", "F.leaky_relu({x})", "F.elu({x})", "{x}.clamp(-1, 1)", "{x}.rsqrt()", "F.hardswish({x})"), 12),
    (one_of("{x} + {y}", "{x} * {y}", "{x} - {y}", "{x} / ({y}.abs() + 1)", "{x} + {n}", "{x} * {n}", "torch.maximum({x}, {y})",
            "torch.where({x} > {n}, {x}, {y})", "torch.lerp({x}, {y}, 0.5)", "torch.addcmul({x}, {x}, {y})", "{x}.masked_fill({y} > 0, {n})"), 12),
    (one_of("{x}.sum({d})", "{x}.mean({d}, keepdim=True)", "{x}.softmax({d})", "{x}.log_softmax({d})", "{x}.amax({d})", "{x}.std({d})",
            "{x}.cumsum({d})", "F.layer_norm({x}, ({last},))", "F.rms_norm({x}, ({last},), None, 1e-5)", "{x}.norm(dim={d})", "F.glu({x}, {d})",
            "{x}.repeat_interleave(2, {d})", "F.pad({x}, (1, 1))", "F.layer_norm({x}, ({last},), self.w{last}, self.b{last})"), 8),
    (one_of("{x} + self.w{last}", "{x} * self.b{last}", "{x} + self.steps", "self.b{last} + 1", "self.w{last}.neg()", "self.b{last}.view(-1)"), 4),
    (views, 16),
    (several, 6),
    (one_of("torch.zeros_like({x})", "torch.ones_like({x})", "torch.full_like({x}, {n})", "{x}.new_zeros({x}.shape)", "{x}.new_ones(2)",
            "{x}.new_full({x}.shape, {n})", "{y}.expand_as({x})", "{y}.view_as({x})", "{y}.type_as({x})", "{y}.reshape_as({x})",
            "torch.zeros({x}.shape, dtype={x}.dtype)", "torch.ones({x}.shape)", "torch.zeros_like({x}, dtype=torch.int64)"), 8),
    (one_of("{x}.to({x}.dtype)", "{x}.view({x}.shape)", "{x}.contiguous()", "{x}.detach()", "F.dropout({x}, 0.5, False)", "{x}.expand_as({x})",
            "{x}.transpose(0, {d}).transpose(0, {d})", "{x} + 0", "{x} * 1", "{x}[:]", "torch.cat([{x}])", "F.pad({x}, (0, 0))",
            "{x}.reshape({x}.shape)", "{x}.flatten().view({x}.shape)", "{x}.to('cpu')", "{x}.clone()", "torch.ops.aten.alias({x})",
            "{x}.to({x}.dtype, copy=True)", "{x}.expand({x}.shape)", "{x}.t().contiguous().t()", "{x}.clone(memory_format=torch.contiguous_format)",
            "{x}.squeeze({d}).view_as({x})", "{x}.unsqueeze(0).squeeze(0)", "{x}.repeat(1, 1, 1).view_as({x})"), 12),
    (one_of("{x}.to(torch.bfloat16)", "{x}.float()", "{x}.double()", "{x}.to(torch.float16)", "{x}.to(torch.int32)", "({x} > {n})",
            "{x}.to(torch.bfloat16).to({x}.dtype)", "{x}.double().to({x}.dtype)", "torch.view_as_complex({x}.float().repeat(2).view(-1, 2)).abs()"), 6),
    (write("{x}.add_({n})", "{x}.mul_({y})", "{x}.copy_({y})", "{x}.zero_()", "{x}.fill_({n})", "{x}.relu_()", "{x}[0] = {n}", "{x}[..., 0] = 0",
           "{x}[:1].add_({y}[:1])", "{x}.t().mul_(2)", "{x}.view(-1)[0] = {n}", "{x}.masked_fill_({y} > 0, {n})", "{x}.clamp_(-1, 1)",
           "{x}.index_copy_({d}, torch.tensor([0]), {y}.narrow({d}, 0, 1))", "{x}[torch.tensor([0])] = {y}[:1]", "{x}.index_add_(0, torch.tensor([0]), {y}[:1])",
           "self.b{last}.add_(1)", "self.steps.add_(1)", "self.b{last}.copy_({x}.flatten()[:{last}])", "{x} += {y}", "{t} = {x}.add_(1)", "{x}.detach().mul_(2)"), 16),
    (write("torch._foreach_add_([{x}, {y}], {n})", "torch._foreach_mul_([{x}], [{y}])", "torch._foreach_copy_([{x}], [{y}])", "torch._foreach_zero_([{x}])",
           "torch._foreach_neg_([{x}])"), 3),
    (write("custom.add_one_to({x})", "custom.shift_all([{x}, {y}.clone()], 1.0)", "{t} = custom.store({y}.clone(), {x})", "custom.rms_out({x}, {y}.clone(), {y}[0], 1e-6)",
           "{t} = custom.store({x}, self.b{last})", "custom.add_one_to(self.b{last})", "{t} = custom.mix({x}, {y})", "custom.add_one_to({x}[0])",
           "custom.add_one_to({x}.view(-1))"), 8),
    (one_of("torch.cat([{x}, {y}], {d})", "torch.stack([{x}, {y}, {x}], {d})", "{x}[x2]", "{x}.gather({d}, torch.zeros_like({x}, dtype=torch.int64))",
            "torch.cat([{x}, {x}.clone()], {d})", "{x}.index_select(0, torch.tensor([0, 0]))", "{x}.scatter({d}, torch.zeros_like({x}, dtype=torch.int64), {y})",
            "{x}.scatter_add({d}, torch.zeros_like({x}, dtype=torch.int64), {y})", "F.one_hot(x2, 8)"), 6),
    (buffers, 6),
    (duplicate, 16),
    (contexts, 3),
    (norms, 4),
    (one_of("torch.rand_like({x})", "F.dropout({x}, 0.5, True)", "torch.bernoulli({x}.sigmoid())"), 1),
]


def generate(seed):
    p = Program(seed)
    for _ in range(p.random.randint(5, 22)):
        p.step()
    p.returned = p.result()
    p.text = p.text()
    return p


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--number", type=int, default=NUMBER)
    parser.add_argument("--all", action="store_true", help="ten times as many")
    parser.add_argument("index", type=int, nargs="*")
    args = parser.parse_args()
    number = args.number * (10 if args.all else 1)
    part = Part("programs", least=0 if args.index else number)
    print(f"seed {args.seed}")
    indices = iter(args.index or range(2 * number))
    for index in indices:
        p = generate(args.seed * 1000003 + index)
        dialect, dynamic = p.random.choices([(None, False), ("train", False), ("core", False), (None, True)], (7, 1, 1, 1))[0]
        if p.grad:
            dialect, dynamic = None, False
        shapes = tuple({d: torch.export.Dim.AUTO for d in range(x.dim())} for x in p.args) if dynamic else None
        module = State(p.seed).put(p.text)
        program = part.export(module, p.args, dialect, shapes, grad=p.grad)
        if program is not None:
            what = f"{index}" + (f" {dialect}" if dialect else "") + " grad" * p.grad + " dynamic" * dynamic
            part.try_program(what, program, p.args, Wanted(grad=p.grad, pairs=None), p.text)
        if not args.index and part.passed + part.failed >= number:
            break
    part.end()


if __name__ == "__main__":
    main()
