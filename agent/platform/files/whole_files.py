"""Small files that must be whole after a crash."""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

#: Secrets and state: nobody but their owner.
PRIVATE_MODE = 0o600


def create_whole(path: Path, content: bytes) -> bool:
    """Create a file once, with mode 0600: either all of it is there, durably, or none of it.

    Returns:
        False when the file existed already; it is left as it is then, whoever made it.
    """
    staged = _staged(path, content, PRIVATE_MODE)
    try:
        # A link, unlike a rename, does not replace what another process made meanwhile.
        os.link(staged, path)
    except FileExistsError:
        return False
    finally:
        staged.unlink()
    _sync_folder(path.parent)
    return True


def replace_whole(path: Path, content: bytes, mode: int) -> None:
    """Put a file in a name's place: at every moment it is the one before or the new one, whole."""
    staged = _staged(path, content, mode)
    try:
        staged.replace(path)
    except OSError:
        staged.unlink()
        raise
    _sync_folder(path.parent)


def _staged(path: Path, content: bytes, mode: int) -> Path:
    """A new file beside `path`, with its content on the disk."""
    staged = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}")
    with suppress(FileNotFoundError):
        staged.unlink()
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), PRIVATE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.chmod(mode)
    except OSError:
        staged.unlink()
        raise
    return staged


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return  # folders cannot be opened there
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
