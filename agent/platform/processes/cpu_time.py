"""Processor time of processes that come and go."""

import time
from collections.abc import Iterable

import psutil


def of_this_thread() -> float:
    """Seconds of processor time that the calling thread has used."""
    return time.thread_time()


class CpuTime:
    """Adds up what a changing set of processes has used; the sum never falls."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}
        self._used: dict[int, float] = {}
        self._of_ended_s = 0.0

    def seconds(self, pids: Iterable[int]) -> float:
        """Seconds of processor time, those of processes that are gone as last seen."""
        wanted = set(pids)
        for pid in self._used.keys() - wanted:
            self._of_ended_s += self._used.pop(pid)
            del self._known[pid]
        for pid in wanted:
            try:
                times = self._known.setdefault(pid, psutil.Process(pid)).cpu_times()
            except psutil.Error:
                continue
            self._used[pid] = times.user + times.system
        return self._of_ended_s + sum(self._used.values())
