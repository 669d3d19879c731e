"""What processes cost: CPU and memory, asked of the operating system."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

_BYTES_PER_MB = 1024 * 1024


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
    """

    total: ProcessCost
    own_memory_mb: dict[int, float]


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
        cpu = shared = 0.0
        own: dict[int, float] = {}
        for pid in wanted:
            try:
                process = self._known.setdefault(pid, psutil.Process(pid))
                cpu += process.cpu_percent()
                memory = process.memory_info()
            except psutil.Error:
                self._known.pop(pid, None)
                continue
            # Where the system does not tell what is shared, all of it counts for each.
            shared_here = getattr(memory, "shared", 0)
            own[pid] = (memory.rss - shared_here) / _BYTES_PER_MB
            shared = max(shared, shared_here / _BYTES_PER_MB)
        total = ProcessCost(round(cpu, 1), round(sum(own.values()) + shared, 1))
        own.pop(os.getpid(), None)
        return CostOfEach(total, own)
