"""Files with secrets: written whole or not at all, for their owner only, refused when somebody else could read them."""

import os
import tempfile
from pathlib import Path

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
    # A name of its own: two servers that share the folder may replace one file at the same moment.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    make_durable(path.parent)


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
