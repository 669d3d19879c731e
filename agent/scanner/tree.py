"""Finds and opens the files of an on-demand scan.

Folders are walked through descriptors, not paths: whoever swaps a folder for a link while we walk gains nothing. No
link is followed, nothing but regular files is opened for reading, and nothing that blocks is ever waited for.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity

_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OPEN_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
#: Each level of a walk holds one descriptor; real trees are some 30 deep.
MAX_FOLDER_DEPTH = 256


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A regular file, open for reading; the descriptor belongs to the receiver."""

    path: str
    descriptor: int
    identity: FileIdentity


@dataclass(frozen=True, slots=True)
class UnopenedFile:
    """Something that should have been scanned and cannot be.

    Attributes:
        path: What.
        error: `unreadable`, `not_a_regular_file`, `too_deep`; or `vanished`, which is nobody's fault.
    """

    path: str
    error: str


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A regular file that was not opened, because what a scan of it would find is known."""

    path: str
    facts: ScanFacts


FoundFile = OpenedFile | UnopenedFile | KnownFile

#: Gives what is known of a file by its path and its status, or None.
Recall = Callable[[str, os.stat_result], ScanFacts | None]


def _nothing_known(_path: str, _status: os.stat_result) -> None:
    return None


def resolve_named(path: str) -> str | None:
    """What a person means by a path, as an absolute one: a link they name themselves is followed, here and only here.

    Returns:
        None: there is nothing, or a link to nothing.
    """
    named = Path(path).absolute()
    try:
        if not named.exists():
            return None
        return str(named.resolve() if named.is_symlink() else named)
    except OSError:
        # Whether it is there is not for us to know; opening it will tell that.
        return str(named)


def find_files(named: str, is_excluded: Callable[[str], bool], recall: Recall = _nothing_known) -> Iterator[FoundFile]:
    """Everything to scan at or below a path, in no particular order.

    Args:
        named: A file or folder, as `resolve_named` gave it.
        is_excluded: Whether an absolute path is to be left alone, with everything below it.
        recall: Asked before a file is opened; what it knows is not opened.
    """
    try:
        status = os.lstat(named)
    except OSError as error:
        yield _unopened(named, error)
        return
    if stat.S_ISDIR(status.st_mode):
        try:
            descriptor = os.open(named, _OPEN_FOLDER)
        except OSError as error:
            yield _unopened(named, error)
            return
        yield from _walk(descriptor, named, is_excluded, recall)
        return
    known = recall(named, status) if stat.S_ISREG(status.st_mode) else None
    yield _open(named, named, None) if known is None else KnownFile(named, known)


def _walk(folder: int, path: str, is_excluded: Callable[[str], bool], recall: Recall) -> Iterator[FoundFile]:
    """Files first, then the folders below; takes over the descriptor."""
    open_folders = [_Folder(folder, path.rstrip("/"), [])]
    try:
        yield from _files_in(open_folders[-1], is_excluded, recall)
        while open_folders:
            above = open_folders[-1]
            if not above.below:
                os.close(open_folders.pop().descriptor)
                continue
            name = above.below.pop()
            inner = f"{above.path}/{name}"
            if len(open_folders) > MAX_FOLDER_DEPTH:
                yield UnopenedFile(inner, "too_deep")
                continue
            try:
                descriptor = os.open(name, _OPEN_FOLDER, dir_fd=above.descriptor)
            except OSError as error:
                yield _unopened(inner, error)
                continue
            open_folders.append(_Folder(descriptor, inner, []))
            yield from _files_in(open_folders[-1], is_excluded, recall)
    finally:
        for left in open_folders:
            os.close(left.descriptor)


@dataclass(slots=True)
class _Folder:
    """A folder of a walk, open, and the names of the folders in it that are still to be walked."""

    descriptor: int
    path: str
    below: list[str]


def _files_in(folder: _Folder, is_excluded: Callable[[str], bool], recall: Recall) -> Iterator[FoundFile]:
    try:
        with os.scandir(folder.descriptor) as entries:
            for entry in entries:
                inner = f"{folder.path}/{entry.name}"
                if is_excluded(inner):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folder.below.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    yield _recall_or_open(entry, inner, folder.descriptor, recall)
    except OSError as error:
        yield _unopened(folder.path or "/", error)


def _recall_or_open(entry: os.DirEntry[str], path: str, folder: int, recall: Recall) -> FoundFile:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError as error:
        return _unopened(path, error)
    # A listing says what a name was; by now it may be something else.
    known = recall(path, status) if stat.S_ISREG(status.st_mode) else None
    return _open(entry.name, path, folder) if known is None else KnownFile(path, known)


def _open(name: str, path: str, folder: int | None) -> FoundFile:
    try:
        descriptor = os.open(name, _OPEN_FILE, dir_fd=folder)
    except OSError as error:
        return _unopened(path, error)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return UnopenedFile(path, "not_a_regular_file")
    identity = FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return OpenedFile(path, descriptor, identity)


def _unopened(path: str, error: OSError) -> UnopenedFile:
    if isinstance(error, FileNotFoundError):
        return UnopenedFile(path, "vanished")
    # A socket cannot be opened at all, and a link that took the file's place is not followed.
    is_special = not isinstance(error, PermissionError) and _is_special(path)
    return UnopenedFile(path, "not_a_regular_file" if is_special else "unreadable")


def _is_special(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
