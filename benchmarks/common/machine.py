"""The device, and how work on it is timed."""

import platform
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

PEAK_REPEATS, PEAK_PRODUCTS = 5, 10


@dataclass(frozen=True)
class Measured:
    """Items done in some seconds, by unit; ``flops`` of them in all, ``memory_bytes`` at the peak.

    fp32: whether the work is in fp32 whatever the configured precision.
    """

    items: Mapping[str, float]
    flops: float
    seconds: float
    memory_bytes: int | None = None
    fp32: bool = False

    def rate(self, unit: str) -> float:
        """Items a second."""
        return self.items[unit] / self.seconds


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return (
        f"CPU {torch.cpu.get_capabilities().get('cpu_name', platform.processor())}, {torch.get_num_threads()} threads"
    )


def seconds_of(work: Callable[[], object], device: torch.device, times: int = 1, warm_up: bool = True) -> float:
    """Wall time of ``times`` calls, after one that is not counted."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    if warm_up:
        work()
    wait()
    start = time.perf_counter()
    for _ in range(times):
        work()
    wait()
    return time.perf_counter() - start


def matrix_peak(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """FLOP/s of square matrix products, the best of several rounds: what a share of the peak is a share of."""
    a, b = torch.randn(2, side, side, device=device).to(dtype)
    rounds = [seconds_of(lambda: a @ b, device, PEAK_PRODUCTS) for _ in range(PEAK_REPEATS)]
    return 2 * side**3 * PEAK_PRODUCTS / min(rounds)


def flops_of(work: Callable[[], object]) -> int:
    """As torch counts them, with attention spelt out: of fused kernels it knows some. Slow, so not to be timed."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            work()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops()


def reset_peak_memory(device: torch.device) -> None:
    """From here on a peak is counted anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5")  # as proc(5) has it: the high water mark of resident memory


def peak_memory(device: torch.device) -> int:
    """Bytes since the reset: of tensors on a GPU, of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    kilobytes = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), flags=re.MULTILINE)
    return 1024 * int(kilobytes[1])
