"""What another process of ours uses, cheaply enough to ask every second."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

_LINUX: bool = sys.platform == "linux"
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
#: Fields of /proc/PID/stat behind the name's closing bracket: utime and stime are the 14th and 15th, rss the 24th.
_UTIME, _STIME, _RSS = 14 - 3, 15 - 3, 24 - 3


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
    import psutil

    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return ProcessUsage(process.memory_info().rss, times.user + times.system)
    except psutil.Error:
        return None
