"""What processes cost: CPU and memory, asked of the operating system.

Of several together, counting once what they share; and of one, cheaply enough to ask every second.
"""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

_BYTES_PER_MB = 1024 * 1024
_LINUX: bool = sys.platform == "linux"
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
#: Fields of /proc/PID/stat behind the name's closing bracket: utime and stime are the 14th and 15th, rss the 24th.
_UTIME, _STIME, _RSS = 14 - 3, 15 - 3, 24 - 3


@dataclass(frozen=True, slots=True)
class ProcessCost:
    """What processes use: CPU since the last question in percent of one core, resident memory in MiB."""

    cpu_percent: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class CostOfEach:
    """What this process and its workers use, together and each alone.

    Attributes:
        total: Of all; memory that several of them share (rules, libraries) is counted once.
        own_memory_mb: Of each worker, what it shares left out, by process id.
        own_cpu_percent: Of each worker, by process id.
    """

    total: ProcessCost
    own_memory_mb: dict[int, float]
    own_cpu_percent: dict[int, float]


class CostMeter:
    """Measures what the agent and its workers use; keeps the handles, since CPU is a difference over time."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def measure(self, worker_pids: Iterable[int]) -> ProcessCost:
        """Add up this process and its workers; one that has just ended counts as nothing."""
        return self.measure_each(worker_pids).total

    def measure_each(self, worker_pids: Iterable[int]) -> CostOfEach:
        """As `measure`, and each worker's own memory."""
        wanted = {os.getpid(), *worker_pids}
        self._known = {pid: process for pid, process in self._known.items() if pid in wanted}
        shared = 0.0
        cpu: dict[int, float] = {}
        own: dict[int, float] = {}
        for pid in wanted:
            try:
                process = self._known.setdefault(pid, psutil.Process(pid))
                cpu[pid] = process.cpu_percent()
                memory = process.memory_info()
            except psutil.Error:
                self._known.pop(pid, None)
                cpu.pop(pid, None)
                continue
            # Where the system does not tell what is shared, all of it counts for each.
            shared_here = getattr(memory, "shared", 0)
            own[pid] = (memory.rss - shared_here) / _BYTES_PER_MB
            shared = max(shared, shared_here / _BYTES_PER_MB)
        total = ProcessCost(round(sum(cpu.values()), 1), round(sum(own.values()) + shared, 1))
        for of_each in (own, cpu):
            of_each.pop(os.getpid(), None)
        return CostOfEach(total, own, cpu)


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Of one process.

    Attributes:
        resident_bytes: Of its memory, pages it shares included.
        cpu_s: Processor time, user and system, since it began.
    """

    resident_bytes: int
    cpu_s: float


def usage_of(pid: int) -> ProcessUsage | None:
    """Ask the system; None: it is gone, or the system does not tell."""
    if _LINUX:
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        return ProcessUsage(int(fields[_RSS]) * _PAGE, (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS)
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return ProcessUsage(process.memory_info().rss, times.user + times.system)
    except psutil.Error:
        return None
