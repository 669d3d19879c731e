"""Finds and opens the files of an on-demand scan.

Folders are walked through descriptors, not paths: whoever swaps a folder for a link while we walk gains nothing. No
link is followed, nothing but regular files is opened for reading, and nothing that blocks is ever waited for.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.domain.files import FileIdentity

_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OPEN_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
#: Each level of a walk holds one descriptor; real trees are some 30 deep.
MAX_FOLDER_DEPTH = 256
#: Known files that are told of at once, at the most.
_KNOWN_AT_ONCE = 256


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


#: A file that was not opened because a scan of it would find nothing: name, bytes, SHA-256.
KnownFile = tuple[str, int, bytes]


@dataclass(frozen=True, slots=True)
class KnownFiles:
    """Some files of a folder that were not opened: in a tree that did not change, all there are.

    Attributes:
        folder: Its path; that of a file is this, a slash and its name.
        files: At least one.
    """

    folder: str
    files: tuple[KnownFile, ...]

    @property
    def size_bytes(self) -> int:
        """Of all of them."""
        return sum([size for _, size, _ in self.files])


FoundFile = OpenedFile | UnopenedFile | KnownFiles

#: Whether an absolute path is to be left alone, with everything below it; None: nothing is.
IsExcluded = Callable[[str], bool] | None


class Known(Protocol):
    """What is known of the files in one folder."""

    def recall(self, name: str, status: os.stat_result) -> bytes | None:
        """The SHA-256 of a file that is known to be clean, by its name and its status, else None."""

    def all_asked(self) -> None:
        """Called when that has been asked for every file of the folder."""


#: Gives what is known of a folder by its path, which ends without a slash. None: nothing is.
Recall = Callable[[str], Known | None] | None


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


def find_files(named: str, is_excluded: IsExcluded = None, recall: Recall = None) -> Iterator[FoundFile]:
    """Everything to scan at or below a path, in no particular order.

    Args:
        named: A file or folder, as `resolve_named` gave it.
        is_excluded: What is left alone.
        recall: Asked for each folder; a file that is known is not opened.
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
    folder, _, name = named.rpartition("/")
    known = recall(folder) if recall is not None and stat.S_ISREG(status.st_mode) else None
    digest = None if known is None else known.recall(name, status)
    yield _open(named, named, None) if digest is None else KnownFiles(folder, ((name, status.st_size, digest),))


def _walk(folder: int, path: str, is_excluded: IsExcluded, recall: Recall) -> Iterator[FoundFile]:
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


def _files_in(folder: _Folder, is_excluded: IsExcluded, recall: Recall) -> Iterator[FoundFile]:
    # For each known file of a tree this loop runs once, and little else does.
    met: list[KnownFile] = []
    known = None if recall is None else recall(folder.path)
    try:
        with os.scandir(folder.descriptor) as entries:
            for entry in entries:
                name = entry.name
                if is_excluded is not None and is_excluded(f"{folder.path}/{name}"):
                    continue
                if entry.is_file(follow_symlinks=False):
                    file = None if known is None else _known(entry, name, known)
                    if file is None:
                        yield _open(name, f"{folder.path}/{name}", folder.descriptor)
                        continue
                    met.append(file)
                    if len(met) == _KNOWN_AT_ONCE:
                        yield KnownFiles(folder.path, tuple(met))
                        met.clear()
                elif entry.is_dir(follow_symlinks=False):
                    folder.below.append(name)
        if known is not None:
            known.all_asked()
    except OSError as error:
        yield _unopened(folder.path or "/", error)
    if met:
        yield KnownFiles(folder.path, tuple(met))


def _known(entry: os.DirEntry[str], name: str, known: Known) -> KnownFile | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        # Opening it will tell why.
        return None
    # A listing says what a name was; by now it may be something else.
    digest = known.recall(name, status) if stat.S_ISREG(status.st_mode) else None
    return None if digest is None else (name, status.st_size, digest)


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
