"""What the scanner is given by configuration or by a command line."""

import math
import os
from dataclasses import dataclass, field

from agent.scanner.limits import MIB, Limits

#: Share of one core of a background scan, in percent, unless another one is configured.
DEFAULT_CPU_PERCENT = 20
#: Interpreter, libraries, engine scratch space and message buffers, beyond rules and content.
_WORKER_BASE = 512 * MIB
#: Beside the time of one file; 20,000 ordinary files take a hundredth of it.
_WORKER_CPU_S = 1_800


@dataclass(frozen=True, slots=True)
class ScannerSettings:
    """How files are scanned.

    Attributes:
        engine: Name of a signature engine, see `agent.scanner.engines.registry`.
        workers: Worker processes; 0: one per core this process may use.
        limits: Bounds of one file.
        worker_memory: Bytes of address space a worker may have after its rules are loaded, on top of what it has
            then; 0: derived from the limits.
        recycle_after_files: A worker is replaced after this many files, which bounds whatever leaks.
        recycle_after_growth: Bytes of memory that a worker may have gained when it has done a file; beyond, it is
            replaced.
        files_ahead: Files a worker is handed while it works on another, so that it need not wait for us. They wait for
            that file even when another worker is free: good for a whole tree, not where one file is waited for.
        max_waiting: Scans that may wait for a worker; beyond it a scan ends at once with `scanner_overloaded`.
        start_timeout_s: Seconds a worker has to load its rules; the largest public packs take about one.
        background: Workers use only the processor and disk time that nobody else wants.
        itemise: Facts say where the time went for every file, not only for slow ones.
    """

    engine: str = "yara"
    workers: int = 0
    limits: Limits = field(default_factory=Limits)
    worker_memory: int = 0
    recycle_after_files: int = 100_000
    recycle_after_growth: int = 256 * MIB
    files_ahead: int = 0
    max_waiting: int = 10_000
    start_timeout_s: float = 60.0
    background: bool = False
    itemise: bool = False

    def worker_count(self) -> int:
        """How many workers that makes on this machine."""
        return self.workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else self.workers or 1

    def cpu_limit_s(self) -> int:
        """Seconds of processor time in a worker's life, a backstop: it is replaced, between files, at half of them."""
        return 2 * (_WORKER_CPU_S + math.ceil(self.limits.timeout_s))

    def memory_limit(self) -> int:
        """Bytes of address space a worker may add once its rules are loaded.

        A file, the member being unpacked from it and one copy in a decompressor exist at the same time; what is
        open at the depths between is counted by `max_expanded_size`.
        """
        if self.worker_memory:
            return self.worker_memory
        return _WORKER_BASE + 3 * self.limits.max_file_size + self.limits.max_expanded_size
