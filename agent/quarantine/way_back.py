"""Where a file in staging came from, noted beside it before it is moved: `<entry id>.from`, a link to its old path.

The note takes the place of a journal row until there is one. It costs no wait for the disk and loses nothing by that:
note and move are changes of one folder on one file system, and file systems that have a journal keep such changes in
their order. A loss of power leaves both, the note alone, or neither, never the file alone. (Where a link's text lies
outside its inode the kernel journals it like a folder.) What a note alone cannot bring back, the flags lifted from a
file say, is not entrusted to one.
"""

import os
from contextlib import suppress

_SUFFIX = ".from"


def note(staging: int, entry_id: str, path: str) -> bool:
    """Note where a file is about to come from; False: this file system takes no links, or none of that length."""
    try:
        os.symlink(path, entry_id + _SUFFIX, dir_fd=staging)
    except OSError:
        return False
    return True


def forget(staging: int, entry_id: str) -> None:
    """The file is back, was never moved, or has a row; a note that is not there is fine."""
    with suppress(FileNotFoundError):
        os.unlink(entry_id + _SUFFIX, dir_fd=staging)


def is_noted(staging: int, entry_id: str) -> bool:
    """Whether only the note says where a file belongs."""
    try:
        os.stat(entry_id + _SUFFIX, dir_fd=staging, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def noted_ids(staging: int) -> list[str]:
    """Of all notes in a staging folder."""
    return sorted(name.removesuffix(_SUFFIX) for name in os.listdir(staging) if name.endswith(_SUFFIX))


def noted_path(staging: int, entry_id: str) -> str:
    """Where a file belongs.

    Raises:
        OSError: There is no note of it.
    """
    return os.readlink(entry_id + _SUFFIX, dir_fd=staging)
