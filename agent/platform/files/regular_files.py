"""Opening regular files that somebody hostile may be swapping under us, and nothing else.

A name is first opened without any effect (`O_PATH` where there is one), looked at, and only then opened for reading
through that very handle: a FIFO never blocks us, a device never notices us, a symbolic link is never followed.
"""

import errno
import os
import stat
import sys
from dataclasses import dataclass

from agent.domain.files import FileIdentity

if sys.platform.startswith("linux"):
    from agent.platform.files.linkless import open_without_links

_O_NOATIME = getattr(os, "O_NOATIME", 0)
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_LINUX: bool = sys.platform.startswith("linux")


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """An open regular file; the descriptor belongs to whoever received this."""

    descriptor: int
    identity: FileIdentity
    links: int


def identity_of(status: os.stat_result) -> FileIdentity:
    """Identity from what `fstat` said."""
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def open_regular(name: str | bytes, *, directory: int | None = None) -> OpenedFile | None:
    """Open a regular file for reading, without following a link: not in its last part, nor (Linux) on its way.

    Args:
        name: Path without links, or name inside `directory`.
        directory: Descriptor of a folder; None: the name is a path.

    Returns:
        None if there is nothing of that name any more, or it is not a regular file.

    Raises:
        OSError: It is there but cannot be opened (permission, no descriptors left, damaged file system).
    """
    try:
        descriptor = _open_checked(name, directory)
    except OSError as failure:
        if failure.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE, errno.ENXIO}:
            return None
        raise
    if descriptor is None:
        return None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return None
    return OpenedFile(descriptor, identity_of(status), status.st_nlink)


def current_path(descriptor: int) -> str | None:
    """Where an open file is now; None if that name is gone or this system cannot tell."""
    if not _LINUX:
        return None
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 -- a name of any bytes, not a Path
        return path if is_named(descriptor, path) else None
    except OSError:
        return None


def is_named(descriptor: int, path: str) -> bool:
    """Whether a path names, at this moment, the file that a descriptor points to."""
    try:
        named = os.lstat(path)
    except OSError:
        return False
    opened = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def _open_checked(name: str | bytes, directory: int | None) -> int | None:
    if _LINUX:
        handle = _handle_of(name, directory)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            return _without_access_time(f"/proc/self/fd/{handle}", None, _READ)
        finally:
            os.close(handle)
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        return None
    return _without_access_time(name, directory, _READ | _NOFOLLOW)


def _handle_of(name: str | bytes, directory: int | None) -> int:
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    if directory is not None:
        return os.open(name, flags, dir_fd=directory)
    # Whoever owns a folder on the way may have put a link in its place since somebody told us this path.
    return open_without_links(name, flags)


def _without_access_time(name: str | bytes, directory: int | None, flags: int) -> int:
    """Our reading should leave no trace, but only a file's owner and root may ask for that."""
    try:
        return os.open(name, flags | _O_NOATIME, dir_fd=directory)
    except PermissionError:
        return os.open(name, flags, dir_fd=directory)
