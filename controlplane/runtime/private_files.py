"""Files with secrets: written whole or not at all, for their owner only, refused when somebody else could read them."""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from controlplane.runtime.refusal import Kind, Refusal

PRIVATE_FILE_MODE = 0o600
PRIVATE_FOLDER_MODE = 0o700
_OTHERS = 0o077


def write_private(path: Path, content: bytes) -> None:
    """Write a secret so that a crash leaves the old file or the new one, and nobody else can read either."""
    _replace(path, content, PRIVATE_FILE_MODE)


def write_public(path: Path, content: bytes) -> None:
    """Write something everybody may read, in the same way."""
    _replace(path, content, 0o644)


def read_private(path: Path) -> bytes:
    """Read a secret.

    Raises:
        Refusal: KEY_FILE_MISSING, or KEY_FILE_EXPOSED: others than its owner may read it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except FileNotFoundError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "KEY_FILE_MISSING",
            f"the key file {path} is missing",
            "Restore the folder of keys from its back-up: devices trust these keys and no others",
            facts={"path": str(path)},
        ) from error
    except PermissionError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "KEY_FILE_UNREADABLE",
            f"the key file {path} may not be read by this user",
            "Run as the user that owns the data directory",
            facts={"path": str(path)},
        ) from error
    if mode & _OTHERS:
        raise Refusal(
            Kind.ENVIRONMENT,
            "KEY_FILE_EXPOSED",
            f"others than its owner may read the key file {path}",
            f"Run: chmod 600 {path}; if it may have been read, replace the key",
            facts={"path": str(path), "mode": oct(mode & 0o777)},
        )
    return content


def make_private_folder(path: Path) -> None:
    """Create a folder that only its owner can enter."""
    path.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
    path.chmod(PRIVATE_FOLDER_MODE)


def _replace(path: Path, content: bytes, mode: int) -> None:
    with _draft_of(path) as (draft, file):
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        draft.replace(path)
    make_durable(path.parent)


@contextmanager
def _draft_of(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside `path`; a failure in the block deletes it, the next writer one that was left by a kill."""
    _delete_abandoned_drafts(path)
    draft, descriptor = _begin_draft(path)
    with os.fdopen(descriptor, "wb") as file:
        try:
            yield draft, file
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def _begin_draft(path: Path) -> tuple[Path, int]:
    """A locked draft: as long as its descriptor is open, nobody takes it for abandoned."""
    while True:
        # A name of its own: two servers that share the folder may replace one file at the same moment.
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE_MODE)
        # Where nothing can be locked, nothing can be found abandoned either.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Until it was locked, another writer may have found it abandoned.
        if os.fstat(descriptor).st_nlink:
            return draft, descriptor
        os.close(descriptor)


def _delete_abandoned_drafts(path: Path) -> None:
    """Delete the drafts of a file that nobody holds: who wrote them was killed."""
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


def make_durable(path: Path) -> None:
    """Return once a file's content, or the names in a folder, survive a loss of power.

    Raises:
        OSError: The disk does not say so.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
