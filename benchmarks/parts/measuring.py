"""Runs a program and says what it cost, everything it started included."""

import contextlib
import os
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1024 * 1024
#: Walking page tables holds up the process that is measured; peaks shorter than this may go unseen.
_SAMPLE_EVERY_S = 0.2
_PROGRAM_TIMEOUT_S = 3600.0


class ProgramFailedError(Exception):
    """A contestant ended with a status that means it did not do the work."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a program took.

    Attributes:
        wall_s: From its start to its end, start-up and the compiling of rules included.
        cpu_s: User and system time of it and of all its descendants that it waited for (getrusage, children).
        peak_bytes: Highest sum of PSS over its process tree that a sample saw.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int

    def __add__(self, other: "Cost") -> "Cost":
        """One after the other."""
        return Cost(
            self.wall_s + other.wall_s, self.cpu_s + other.cpu_s, peak_bytes=max(self.peak_bytes, other.peak_bytes)
        )


class _MemorySampler(threading.Thread):
    """Follows the memory of one process tree until told to stop."""

    def __init__(self, *pids: int) -> None:
        super().__init__(daemon=True)
        self._pids = pids
        self._over = threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        """Sample; the first time soon, for programs that are quick."""
        wait_s = _SAMPLE_EVERY_S / 4
        while not self._over.wait(wait_s):
            self.peak_bytes = max(self.peak_bytes, sum(map(tree_pss, self._pids)))
            wait_s = _SAMPLE_EVERY_S

    def stop(self) -> int:
        """End; the peak so far."""
        self._over.set()
        self.join()
        return self.peak_bytes


def run_measured(
    command: Sequence[str], *, good: frozenset[int], env: Mapping[str, str] | None = None, server: int | None = None
) -> tuple[Cost, bytes]:
    """Run a program to its end.

    Args:
        command: Program and arguments.
        good: Exit statuses that mean the work was done.
        env: Added to our environment.
        server: Process that works for it; counts as part of it while it runs.

    Returns:
        The cost, and what was written to standard output.

    Raises:
        ProgramFailedError: Another exit status, or it took an hour; the last lines of standard error are in it.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        servers = () if server is None else (server,)
        cpu_before = children_cpu_s() + sum(map(_cpu_s, servers))
        begun = time.monotonic()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, **(env or {})}
        ) as process:
            sampler = _MemorySampler(process.pid, *servers)
            sampler.start()
            # Waiting with a time limit would look every 50 ms, a fifth of what a second scan is compared with.
            limit = threading.Timer(_PROGRAM_TIMEOUT_S, process.kill)
            limit.start()
            status = process.wait()
            wall_s = time.monotonic() - begun
            limit.cancel()
            peak_bytes = sampler.stop()
        cost = Cost(wall_s, children_cpu_s() + sum(map(_cpu_s, servers)) - cpu_before, peak_bytes)
        out.seek(0)
        err.seek(0)
        if status not in good:
            said = err.read()[-2000:].decode(errors="replace")
            raise ProgramFailedError(f"{command[0]} ended with status {status}: {said}")
        return cost, out.read()


def children_cpu_s() -> float:
    """User and system time of all children that ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def tree_cpu_s(pid: int) -> float:
    """User and system time of a process and its descendants, those that ended and were waited for included."""
    try:
        root = psutil.Process(pid)
        times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
    except psutil.Error:
        return 0.0
    return sum(spent.user + spent.system + spent.children_user + spent.children_system for spent in times)


def tree_pss(pid: int) -> int:
    """Bytes of proportional set size of a process and its descendants; those that end meanwhile count as none."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(_pss(process.pid) for process in tree)


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
