"""A file without a name, to hand read-only data to child processes."""

import os
from collections.abc import Callable
from typing import BinaryIO


def anonymous_file(label: str, write: Callable[[BinaryIO], None]) -> int:
    """Create a file nobody can find by name and fill it.

    On Linux it lives in memory and is sealed: no process that inherits it, however it was taken over, can change what
    the next one will load. Elsewhere it is an unlinked temporary file.

    Args:
        label: Seen in `/proc/PID/fd`, for people.
        write: Fills the file.

    Returns:
        A descriptor that is not inherited unless it is passed on; the caller closes it. Read it with `pread`: its
        offset is shared by everybody who inherits it.
    """
    if hasattr(os, "memfd_create"):
        return _sealed_memory_file(label, write)
    import tempfile

    with tempfile.TemporaryFile() as file:
        write(file)
        file.flush()
        return os.dup(file.fileno())


def _sealed_memory_file(label: str, write: Callable[[BinaryIO], None]) -> int:
    import fcntl

    descriptor = os.memfd_create(label, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            write(file)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:  # whatever went wrong, the descriptor must not stay behind
        os.close(descriptor)
        raise
    return descriptor
