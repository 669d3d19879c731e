"""The folder of compiled rules, `compiled-rules` in the data folder: files that are used only if they are ours alone.

The folder and each file are looked at through the descriptors they are read by.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from agent.platform.files.secure_files import make_private_folder, open_private_folder

FOLDER = "compiled-rules"
#: The two largest public packs together compile to 90 MB.
MAX_BYTES = 512 * 1024 * 1024
#: Images of rules, and a note for each or two.
MAX_FILES = 32
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOREIGN_WRITE = stat.S_IWGRP | stat.S_IWOTH


class KeptFiles:
    """See above.

    Args:
        data_dir: Holds, or will hold, the folder; must be ours alone to be used.
        max_bytes: Of all files together; those that went unused longest go.
    """

    def __init__(self, data_dir: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._data_dir = data_dir
        self._max_bytes = max_bytes

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """A file of ours alone, open and marked as used.

        Raises:
            OSError: There is none.
        """
        with _folder(self._data_dir) as folder, os.fdopen(os.open(name, _OPEN, dir_fd=folder), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or not _is_ours_alone(status):
                raise PermissionError
            os.utime(file.fileno())
            yield file

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        with suppress(OSError), _folder(self._data_dir) as folder:
            os.unlink(name, dir_fd=folder)

    def keep(self, name: str, pieces: Sequence[bytes]) -> None:
        """Write a file whole or not at all; where there can be no folder, nothing happens."""
        new = f"new-{os.urandom(8).hex()}"
        with suppress(OSError), _folder(self._data_dir, make=True) as folder:
            try:
                with os.fdopen(os.open(new, _CREATE, 0o600, dir_fd=folder), "wb") as file:
                    file.writelines(pieces)
                os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                os.unlink(new, dir_fd=folder)
                raise
            _trim(folder, self._max_bytes)


@contextmanager
def _folder(data_dir: Path, *, make: bool = False) -> Iterator[int]:
    """The folder, open.

    Raises:
        OSError: There is none, or it or the data folder is not ours alone.
    """
    above = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _is_ours_alone(os.fstat(above)):
            raise PermissionError
        if make:
            make_private_folder(above, FOLDER)
        folder = open_private_folder(above, FOLDER)
    finally:
        os.close(above)
    try:
        yield folder
    finally:
        os.close(folder)


def _is_ours_alone(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & _FOREIGN_WRITE


def _trim(folder: int, max_bytes: int) -> None:
    """Delete what went unused longest, until the rest is within the bounds; the newest stays."""
    files = [(entry.stat(follow_symlinks=False), entry.name) for entry in os.scandir(folder)]
    kept_bytes = 0
    for number, (status, name) in enumerate(sorted(files, key=lambda file: -file[0].st_mtime_ns)):
        kept_bytes += status.st_size
        if number and (kept_bytes > max_bytes or number >= MAX_FILES):
            os.unlink(name, dir_fd=folder)
