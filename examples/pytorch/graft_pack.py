"""Kernel packs from Python, without PyTorch: the structs of graft/graft.h and graft/plugin.h for ctypes, and launches.

    pack = Pack("build/packs/graft_hip_amd.so")
    kernel = pack.kernel("rms_norm", "rms_norm(x, w?) -> (y) {eps: float, round: late|early}")
    x = tensor(address, shape=(16, 512), stride=(2112, 1), dtype="bf16")
    if not kernel.why_not("gfx942", {"x": x, "w": w}, "early"):
        kernel.launch([x, w], [y], [1e-6, ROUNDS.index("early")], stream)

    python graft_pack.py     prints C that does not compile unless the structs below are those of the headers
"""
import ctypes
import struct
from ctypes import POINTER, Structure, c_char, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_uint32, c_void_p

DTYPES = ("bool", "u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64", "f8e4m3fn", "f8e4m3fnuz", "f8e5m2")
FLOATS = range(DTYPES.index("f16"), len(DTYPES))
ROUNDS = ("late", "early")
STATUS = ("OK", "E_DIFFERS", "E_USAGE", "E_SYNTAX", "E_GRAPH", "E_DATA", "E_CONFIG", "E_IO", "E_UNSUPPORTED",
          "E_UNAVAILABLE", "E_NOMEM", "E_RULE", "E_EXEC")
MAGIC, ABI, SYMBOL = 0x4b505247, 1, "graft_pack_v1"
ANY_STRIDE, ODD_LAST, ANY_LAYOUT = 1, 2, 4
MAX_RANK = 64

# ---- structs; classes and members are called what they are called in C ----


class graft_error(Structure):
    _fields_ = [("status", c_int), ("line", c_int), ("column", c_int), ("file", c_char * 256), ("path", c_char * 256),
                ("message", c_char * 768)]


class graft_tensor(Structure):
    _fields_ = [("data", c_void_p), ("shape", POINTER(c_int64)), ("stride", POINTER(c_int64)), ("rank", c_int32),
                ("dtype", c_int32)]


class graft_attr(Structure):
    _fields_ = [("given", c_int32), ("n", c_int32), ("i", c_int64), ("f", c_double), ("list", POINTER(c_int64))]


class graft_launch(Structure):
    _fields_ = [("struct_size", c_uint32), ("n_in", c_int32), ("n_out", c_int32), ("n_attr", c_int32),
                ("in", POINTER(graft_tensor)), ("out", POINTER(graft_tensor)), ("attr", POINTER(graft_attr)),
                ("stream", c_void_p), ("host", c_void_p), ("message", c_char_p), ("message_size", c_size_t)]


graft_launch_fn = ctypes.CFUNCTYPE(c_int, POINTER(graft_launch))


class graft_kernel(Structure):
    _fields_ = [("name", c_char_p), ("signature", c_char_p), ("version", c_uint32), ("dtypes", c_uint32),
                ("rounds", c_uint32), ("flags", c_uint32), ("archs", c_char_p), ("max_last", c_int64),
                ("max_rows", c_int64), ("max_row_stride", c_int64), ("launch", graft_launch_fn)]


class graft_pack(Structure):
    _fields_ = [("magic", c_uint32), ("abi", c_uint32), ("struct_size", c_uint32), ("kernel_size", c_uint32),
                ("name", c_char_p), ("version", c_char_p), ("n_kernels", c_uint32), ("n_kernels_again", c_uint32),
                ("kernels", POINTER(graft_kernel))]


STRUCTS = graft_error, graft_tensor, graft_attr, graft_launch, graft_kernel, graft_pack

# ---- tensors ----


def tensor(data, shape, stride, dtype):
    """A tensor at an address; strides count elements. An unknown dtype is a KeyError."""
    sizes, strides = (c_int64 * len(shape))(*shape), (c_int64 * len(stride))(*stride)
    t = graft_tensor(data, sizes, strides, len(shape), dtype_number(dtype))
    t.sizes = tuple(shape), tuple(stride)
    return t


def missing():
    """In the place of an optional operand that is not given."""
    return graft_tensor(None, None, None, 0, len(DTYPES))


def dtype_number(name):
    if name not in DTYPES:
        raise KeyError(f"graft has no dtype {name}")
    return DTYPES.index(name)


def attribute(value):
    if value is None:
        return graft_attr()
    if isinstance(value, float):
        return graft_attr(given=1, f=value)
    if isinstance(value, int):
        return graft_attr(given=1, i=value)
    return graft_attr(given=1, n=len(value), list=(c_int64 * len(value))(*value))


def row_count(t):
    rows = 1
    for n in t.sizes[0][:-1]:
        rows *= n
    return rows


def row_distance(t):
    """Elements from one row to the next; 0: one row at most; -1: rows lie unevenly, or the elements of a row apart."""
    shape, stride = t.sizes
    distance = following = 0
    if shape and shape[-1] > 1 and stride[-1] != 1:
        return -1
    for n, s in reversed(tuple(zip(shape[:-1], stride[:-1]))):
        if n == 1:
            continue
        if following and s != following:
            return -1
        distance, following = distance or s, s * n
    return distance


# ---- packs ----


class LaunchError(RuntimeError):
    """What a kernel said, and its graft_status by name: E_UNSUPPORTED, E_EXEC, ..."""

    def __init__(self, kernel, status, message):
        super().__init__(f"{kernel}: {message or 'failed and gave no reason'} ({status})")
        self.status = status


class Kernel:
    """One row of a pack, and the pack it keeps open."""

    def __init__(self, pack, row):
        self.pack, self.row = pack, row
        self.name, self.signature, self.archs = (text.decode() for text in (row.name, row.signature, row.archs))

    def why_not(self, arch, operands, round=None):
        """Why this kernel does not take these operands ({name: tensor}), in one sentence; "" when it does."""
        row, why = self.row, ""
        if "*" not in self.archs and arch.split(":")[0] not in self.archs.replace(",", " ").split():
            return f"it is made for {self.archs}, not for {arch}"
        if round is not None and not row.rounds >> ROUNDS.index(round) & 1:
            return f"it cannot do round={round}"
        for name, t in operands.items():
            if t.dtype == len(DTYPES):
                continue
            why = why or self.why_not_dtype(t) or self.why_not_sizes(t)
            if why:
                return f"{name} {why}"
        return ""

    def why_not_dtype(self, t):
        if t.dtype in FLOATS and not self.row.dtypes >> t.dtype & 1:
            taken = ", ".join(DTYPES[d] for d in FLOATS if self.row.dtypes >> d & 1)
            return f"is {DTYPES[t.dtype]}; it takes {taken}"
        return ""

    def why_not_sizes(self, t):
        row, (shape, _), rows, distance = self.row, t.sizes, row_count(t), row_distance(t)
        last = shape[-1] if shape else 1
        if row.max_last and last > row.max_last:
            return f"has a last axis of {last}; it takes {row.max_last}"
        if row.max_rows and rows > row.max_rows:
            return f"has {rows} rows; it takes {row.max_rows}"
        if last % 2 and not row.flags & ODD_LAST:
            return f"has a last axis of {last}; it takes even ones"
        if distance < 0 and not row.flags & ANY_LAYOUT:
            return "has rows at uneven distances, or elements apart"
        if row.max_row_stride and distance > row.max_row_stride:
            return f"has rows {distance} elements apart; it takes {row.max_row_stride}"
        if distance not in (0, last) and not row.flags & ANY_STRIDE | row.flags & ANY_LAYOUT:
            return "is a view of wider rows; it takes dense ones"
        return ""

    def launch(self, operands, results, attributes, stream=None):
        """Queues the kernel on the stream; nothing waits. Everything stands in the order of the signature."""
        message = ctypes.create_string_buffer(512)
        ins, outs = ((graft_tensor * len(some))(*some) for some in (operands, results))
        attrs = (graft_attr * len(attributes))(*map(attribute, attributes))
        args = graft_launch(ctypes.sizeof(graft_launch), len(ins), len(outs), len(attrs), ins, outs, attrs, stream,
                            None, ctypes.cast(message, c_char_p), len(message))
        status = self.row.launch(args)
        if status:
            known = STATUS[status] if 0 < status < len(STATUS) else f"status {status}"
            raise LaunchError(self.name, known, message.value.decode(errors="replace"))


def is_whole(path):
    """Is the file a shared library with all its bytes? The dynamic linker crashes on one that was copied half."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 64 or data[:6] != b"\x7fELF\x02\x01":
        return False
    first, sections = struct.unpack_from("<2Q", data, 32)
    size, n, section_size, n_sections = struct.unpack_from("<4H", data, 54)
    if size < 56 or first + n * size > len(data) or sections + n_sections * section_size > len(data):
        return False
    heads = (struct.unpack_from("<I4xQ16xQ", data, first + i * size) for i in range(n))
    return all(kind != 1 or offset + held <= len(data) for kind, offset, held in heads)


class Pack:
    """A kernel pack, its table checked. Loading a library runs code of its own: load those you trust."""

    def __init__(self, path):
        self.path = str(path)
        if not is_whole(path):
            raise self.trouble("it is no shared library, or not a whole one")
        self.library = ctypes.CDLL(self.path)
        try:
            ask = getattr(self.library, SYMBOL)
        except AttributeError:
            raise self.trouble(f"it has no {SYMBOL}") from None
        ask.restype = POINTER(graft_pack)
        table = ask()
        if not table:
            raise self.trouble(f"{SYMBOL} returned no table")
        self.table = table.contents
        self.check()
        self.name, self.version = self.table.name.decode(), self.table.version.decode()
        self.rows = [self.table.kernels[i] for i in range(self.table.n_kernels)]
        for row in self.rows:
            if not row.launch:
                raise self.trouble(f"its kernel {row.name.decode()} has no launch function")

    def trouble(self, what):
        return RuntimeError(f"'{self.path}' is no kernel pack that can be used: {what}; build it against this graft's "
                            "plugin.h")

    def check(self):
        t, sizes = self.table, (ctypes.sizeof(graft_pack), ctypes.sizeof(graft_kernel))
        if t.magic != MAGIC:
            raise self.trouble(f"its table begins with 0x{t.magic:08x}, wanted 0x{MAGIC:08x}")
        if t.abi != ABI:
            raise self.trouble(f"it speaks ABI {t.abi}, wanted {ABI}")
        if (t.struct_size, t.kernel_size) != sizes:
            raise self.trouble(f"its table and a row have {t.struct_size} and {t.kernel_size} bytes, wanted {sizes}")
        if t.n_kernels != t.n_kernels_again:
            raise self.trouble(f"its table says {t.n_kernels} kernels, and once more {t.n_kernels_again}")

    def kernel(self, name, signature):
        """The kernel that is called as `signature` says (`graft ops --signatures`)."""
        rows = [row for row in self.rows if row.name == name.encode()]
        for row in rows:
            if row.signature == signature.encode():
                return Kernel(self, row)
        if rows:
            found = rows[0].signature.decode()
            raise RuntimeError(f"'{self.path}': {name} has signature `{found}`, wanted `{signature}`")
        raise RuntimeError(f"'{self.path}' ({self.name} {self.version}) has no kernel {name}")


# ---- the same structs? ----

C_TYPES = {c_int: "int", c_int32: "int32_t", c_uint32: "uint32_t", c_int64: "int64_t", c_double: "double",
           c_size_t: "size_t"}


def layout():
    """Yields C assertions: every struct and number above is what the headers say."""
    yield "#include <graft/plugin.h>"
    for c in STRUCTS:
        name = c.__name__
        yield f'_Static_assert(sizeof({name}) == {ctypes.sizeof(c)}, "{name}");'
        for member, kind in c._fields_:
            place, size, it = getattr(c, member).offset, ctypes.sizeof(kind), f"(({name} *)0)->{member}"
            yield f'_Static_assert(offsetof({name}, {member}) == {place}, "{name}.{member}");'
            yield f'_Static_assert(sizeof({it}) == {size}, "{name}.{member}");'
            if kind in C_TYPES and member != "status":
                yield f'_Static_assert(_Generic({it}, {C_TYPES[kind]}: 1, default: 0), "{name}.{member}");'
    numbers = {"PACK_MAGIC": MAGIC, "PACK_ABI": ABI, "MAX_RANK": MAX_RANK, "DTYPE_COUNT": len(DTYPES),
               "KERNEL_ANY_STRIDE": ANY_STRIDE, "KERNEL_ODD_LAST": ODD_LAST, "KERNEL_ANY_LAYOUT": ANY_LAYOUT}
    numbers.update({f"DTYPE_{name}": i for i, name in enumerate(DTYPES)})
    numbers.update({f"ROUND_{name.upper()}": 1 << i for i, name in enumerate(ROUNDS)})
    numbers.update({name: i for i, name in enumerate(STATUS)})
    for name, number in numbers.items():
        yield f'_Static_assert(GRAFT_{name} == {number}, "GRAFT_{name}");'
    yield "typedef int graft_pack_py_is_right;"


if __name__ == "__main__":
    print("\n".join(layout()))
