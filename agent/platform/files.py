"""Small files that must be whole after a crash."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

#: Secrets and state: nobody but their owner.
PRIVATE_MODE = 0o600


def create_whole(path: Path, content: bytes) -> bool:
    """Create a file once, with mode 0600: either all of it is there, durably, or none of it.

    Returns:
        False when the file existed already; it is left as it is then, whoever made it.
    """
    with _draft_of(path, content, PRIVATE_MODE) as draft:
        try:
            # A link, unlike a rename, does not replace what another process made meanwhile.
            os.link(draft, path)
        except FileExistsError:
            return False
    _sync_folder(path.parent)
    return True


def replace_whole(path: Path, content: bytes, mode: int) -> None:
    """Put a file in a name's place: at every moment it is the one before or the new one, whole."""
    with _draft_of(path, content, mode) as draft:
        draft.replace(path)
    _sync_folder(path.parent)


@contextmanager
def _draft_of(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """A new file beside `path`, with its content on the disk; its name is gone after the block.

    One that is left by a kill is deleted by the next writer.
    """
    _delete_abandoned_drafts(path)
    draft, descriptor = _begin_draft(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            draft.chmod(mode)
            if sys.platform == "win32":
                file.close()  # nothing that is open can be renamed there
            yield draft
    finally:
        draft.unlink(missing_ok=True)


def _begin_draft(path: Path) -> tuple[Path, int]:
    """A locked draft: as long as its descriptor is open, nobody takes it for abandoned."""
    while True:
        draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), PRIVATE_MODE)
        if sys.platform == "win32":
            return draft, descriptor
        # Where nothing can be locked, nothing can be found abandoned either.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Until it was locked, another writer may have found it abandoned.
        if os.fstat(descriptor).st_nlink:
            return draft, descriptor
        os.close(descriptor)


def _delete_abandoned_drafts(path: Path) -> None:
    """Delete the drafts of a file that nobody holds: who wrote them was killed."""
    if sys.platform == "win32":
        return
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.new")
    for draft in [each for each in path.parent.iterdir() if ours.fullmatch(each.name)]:
        # Gone, held, or somebody else's: then it is not in our way.
        with suppress(OSError):
            descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.unlink()
            finally:
                os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return  # folders cannot be opened there
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
