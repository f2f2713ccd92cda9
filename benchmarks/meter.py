"""What a copy costs the process that makes it: seconds, CPU-seconds, memory above idle."""

import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Cost:
    """Costs since the meter started; `peak_mib` is memory above what the idle process had.

    `loop_cpu_seconds` are those of `cpu_seconds` that the thread of the event loop has used, which made the meter.
    """

    seconds: float
    cpu_seconds: float
    loop_cpu_seconds: float
    peak_mib: float


class Meter:
    """Measures from its creation on; memory against what it was when `idle_kib` was read."""

    def __init__(self, idle_kib: int) -> None:
        self._idle_kib = idle_kib
        self._cpu, self._loop = _cpu_seconds(), time.thread_time()
        self._start = time.perf_counter()

    def read(self) -> Cost:
        """Return the cost until now."""
        seconds, cpu = time.perf_counter() - self._start, _cpu_seconds() - self._cpu
        return Cost(seconds, cpu, time.thread_time() - self._loop, max(0, _memory_kib("VmHWM") - self._idle_kib) / 1024)


def idle_kib() -> int:
    """Return what the process has in memory now, in KiB (VmRSS), and let its peak (VmHWM) begin again."""
    # 5 sets the high-water mark back to what is in use now: see proc(5).
    _CLEAR.write_text("5")
    return _memory_kib("VmRSS")


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory_kib(name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return int(match[1]) if match else 0
