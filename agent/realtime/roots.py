"""The watched folders: finding them, and noticing that one is not what it was."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from agent.domain.errors import BucklerError
from agent.realtime.territory import printable


@dataclass(frozen=True, slots=True)
class Root:
    """A watched folder, and which one it is, so that another of the same name is not taken for it."""

    path: str
    device: int
    inode: int


def resolve_roots(roots: Sequence[str]) -> tuple[Root, ...]:
    """Find the folders that are meant, without symbolic links, each once.

    Raises:
        BucklerError: `ROOT_UNREADABLE`, naming the first root that is missing, no folder, or closed to us.
    """
    found: dict[str, Root] = {}
    for root in roots:
        resolved = os.path.realpath(root)
        reason = root_problem(resolved)
        if reason:
            raise BucklerError(
                "ROOT_UNREADABLE",
                f"the folder {printable(root)} cannot be watched: {reason}",
                next_step="create it or correct its permissions, or name another folder under [realtime] roots",
                facts={"root": printable(root), "reason": reason},
            )
        status = os.stat(resolved)  # noqa: PTH116 -- a name of any bytes
        found[resolved] = Root(resolved, status.st_dev, status.st_ino)
    return tuple(found.values())


def root_problem(path: str) -> str:
    """Why a folder cannot be watched; empty: it can."""
    try:
        status = os.stat(path)  # noqa: PTH116 -- a name of any bytes
        if not stat.S_ISDIR(status.st_mode):
            return "it is not a folder"
        with os.scandir(path):
            return ""
    except OSError as failure:
        return (failure.strerror or "it cannot be opened").lower()


def has_moved(root: Root) -> str:
    """Why a root is not the folder any more that it was; empty: it is."""
    reason = root_problem(root.path)
    if reason:
        return reason
    try:
        status = os.stat(root.path)  # noqa: PTH116 -- a name of any bytes
    except OSError as failure:
        return (failure.strerror or "it cannot be reached").lower()
    same = (status.st_dev, status.st_ino) == (root.device, root.inode)
    return "" if same else "another folder or file system has taken its place"
