"""How much there is to scan, counted beside the scan, so that it can say how long it will take.

The count begins late and works a quarter of the time: what it costs is never felt, and a short scan has none.
"""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.domain.ports import Clock

#: Seconds before the count begins.
_BEGIN_AFTER_S = 1.5
#: Seconds of rest for each second of counting.
_REST = 3.0
#: Entries counted at a stretch.
_STRETCH = 256


@dataclass(frozen=True, slots=True)
class Amount:
    """Files and their bytes."""

    files: int
    size_bytes: int


class TreeCount:
    """Counts regular files below some paths, in a thread of its own.

    Args:
        named: Files and folders, as for a scan.
        is_excluded: What the scan leaves out.
        clock: Measures.
        begin_after_s: Patience.
    """

    def __init__(
        self,
        named: Sequence[str],
        is_excluded: Callable[[str], bool],
        clock: Clock,
        *,
        begin_after_s: float = _BEGIN_AFTER_S,
    ) -> None:
        self._named = tuple(named)
        self._is_excluded = is_excluded
        self._clock = clock
        self._begin_after_s = begin_after_s
        self._stopping = threading.Event()
        self._total: Amount | None = None
        self._thread = threading.Thread(target=self._run, name="buckler-count", daemon=True)

    def start(self) -> None:
        """Begin, after a while."""
        self._thread.start()

    @property
    def total(self) -> Amount | None:
        """All there is; None: not known yet."""
        return self._total

    def stop(self) -> None:
        """End the count, finished or not."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        if self._stopping.wait(self._begin_after_s):
            return
        files = size = counted = 0
        waiting = list(self._named)
        begun_ns = self._clock.monotonic_ns()
        while waiting:
            found, bytes_found = self._look(waiting.pop(), waiting)
            files, size, counted = files + found, size + bytes_found, counted + found + 1
            if counted >= _STRETCH:
                counted = 0
                if self._stopping.wait(_REST * (self._clock.monotonic_ns() - begun_ns) / 1_000_000_000):
                    return
                begun_ns = self._clock.monotonic_ns()
        self._total = Amount(files, size)

    def _look(self, path: str, waiting: list[str]) -> tuple[int, int]:
        """Files directly in a folder, and their bytes; folders in it are added to those that wait."""
        files = size = 0
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if self._is_excluded(entry.path):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
        except NotADirectoryError:
            return 1, os.lstat(path).st_size
        except OSError:
            return files, size
        return files, size


def seconds_left(done: Amount, total: Amount | None, elapsed_s: float) -> float | None:
    """How long a scan will still take, if it goes on as it went; None: not to be known yet.

    Small files cost by their number and large ones by their bytes, so both count alike.
    """
    if total is None or not done.files or not total.files:
        return None
    by_files = min(1.0, done.files / total.files)
    by_bytes = min(1.0, done.size_bytes / total.size_bytes) if total.size_bytes else by_files
    fraction = (by_files + by_bytes) / 2
    return elapsed_s * (1 - fraction) / fraction
