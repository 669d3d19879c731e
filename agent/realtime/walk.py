"""Finding files that changed while nobody watched.

Reads folders and metadata only, opens no file, follows no symbolic link. Runs in a thread of its own.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_CTIME_IS_CREATION: bool = sys.platform == "win32"
#: Unreadable files and folders that are remembered by name.
_MAX_PROBLEMS = 20


@dataclass(slots=True)
class WalkReport:
    """What a walk could not look at.

    Attributes:
        broken: Path and reason, for what should have been readable.
        closed: How many files and folders permissions keep us from.
        closed_example: One of them.
    """

    broken: dict[str, str] = field(default_factory=dict)
    closed: int = 0
    closed_example: str = ""

    def note(self, path: str, failure: OSError) -> None:
        """Remember what could not be read, unless it is just gone."""
        if failure.errno in {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}:
            return
        if isinstance(failure, PermissionError):
            self.closed += 1
            self.closed_example = path
        elif len(self.broken) < _MAX_PROBLEMS:
            self.broken[path] = failure.strerror or type(failure).__name__


def changed_files(
    top: str,
    since_ns: int | None,
    *,
    held_open: frozenset[int] = frozenset(),
    skip: Callable[[str], bool],
    report: WalkReport,
) -> Iterator[str]:
    """Paths of regular files below `top` that may have changed since an instant, or were not looked at before it.

    A file counts by its ctime, which no program can set. A file deep inside a folder that was moved here keeps its old
    ctime, though: so a folder that changed inside a folder that changed is taken whole, because moving it changes both.

    Args:
        top: Folder; never taken whole itself.
        since_ns: Nanoseconds since the epoch; None: everything.
        held_open: Inode numbers of files that were open for writing then, so that they count whenever they changed.
        skip: Folders not to enter.
        report: Receives what could not be read.
    """
    entered: set[tuple[int, int]] = set()
    stack = [(top, since_ns is None)]
    while stack:
        folder, whole = stack.pop()
        try:
            status = os.stat(folder, follow_symlinks=False)  # noqa: PTH116 -- a name of any bytes
            if (status.st_dev, status.st_ino) in entered:
                continue  # a bind mount of a folder inside itself
            entered.add((status.st_dev, status.st_ino))
            folder_changed = since_ns is not None and _changed_ns(status) > since_ns
            with os.scandir(folder) as entries:
                listed = list(entries)
        except OSError as failure:
            report.note(folder, failure)
            continue
        for entry in listed:
            try:
                is_folder = entry.is_dir(follow_symlinks=False)
                if not is_folder and not entry.is_file(follow_symlinks=False):
                    continue
                changed = (
                    whole
                    or since_ns is None
                    or _changed_ns(status := entry.stat(follow_symlinks=False)) > since_ns
                    or status.st_ino in held_open
                )
            except OSError as failure:
                report.note(entry.path, failure)
                continue
            if is_folder:
                if not skip(entry.path):
                    stack.append((entry.path, whole or (changed and folder_changed)))
            elif changed:
                yield entry.path


def _changed_ns(status: os.stat_result) -> int:
    return max(status.st_ctime_ns, status.st_mtime_ns) if _CTIME_IS_CREATION else status.st_ctime_ns
