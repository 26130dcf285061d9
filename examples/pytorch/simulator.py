"""The GPU that tests/hipsim plays, for the tests of this folder: memory, a stream, captured graphs."""
import contextlib
import ctypes
from ctypes import byref, c_size_t, c_void_p

HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2


class Simulator:
    arch = "sim32"

    def __init__(self, path):
        self.lib, self.queue, self.spare = ctypes.CDLL(path), c_void_p(), []
        self.lib.hipGetErrorString.restype = self.lib.hipsim_message.restype = ctypes.c_char_p
        self.lib.hipsim_launches.restype = self.lib.hipsim_calls.restype = ctypes.c_long
        self.call("hipStreamCreate", byref(self.queue))

    def call(self, name, *args):
        error = getattr(self.lib, name)(*args)
        if error:
            raise RuntimeError(f"{name}: {self.lib.hipGetErrorString(error).decode()}")

    def stream(self):
        return self.queue.value

    def launches(self):
        return self.lib.hipsim_launches()

    def allocate(self, size):
        if self.spare:
            return self.spare.pop()
        p = c_void_p()
        self.call("hipMalloc", byref(p), c_size_t(max(size, 1)))
        return p.value

    def copy_in(self, address, data, size):
        self.call("hipMemcpy", c_void_p(address), c_void_p(data), c_size_t(size), HOST_TO_DEVICE)

    def copy_out(self, data, address, size):
        self.call("hipDeviceSynchronize")
        self.call("hipMemcpy", c_void_p(data), c_void_p(address), c_size_t(size), DEVICE_TO_HOST)

    @contextlib.contextmanager
    def capture(self):
        """What is queued inside is recorded, not run; gives a list whose one element, afterwards, runs it. Memory cannot
        be had meanwhile: as PyTorch's allocator does, this one has some in reserve, two blocks of a MiB."""
        graph, ready, replay = c_void_p(), c_void_p(), []
        self.spare = [self.allocate(1 << 20) for _ in range(2)]
        self.call("hipStreamBeginCapture", self.queue, 0)
        yield replay
        self.call("hipStreamEndCapture", self.queue, byref(graph))
        self.spare = []
        self.call("hipGraphInstantiate", byref(ready), graph, None, None, c_size_t(0))
        replay.append(lambda: self.call("hipGraphLaunch", ready, self.queue))

    def fail(self, spec):
        """The call that hipsim_fail's notation names fails: "hipLaunchKernel:1"."""
        self.lib.hipsim_quiet(1)
        assert self.lib.hipsim_fail(spec.encode()) == 0, spec

    def intact(self):
        """Nothing was written outside of what was allocated."""
        self.call("hipDeviceSynchronize")
        return self.lib.hipsim_check() == 0
