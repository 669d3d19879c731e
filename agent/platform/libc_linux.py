"""The C library, for the system calls Python has no function for."""

import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> int:
    """Turn -1 into the `OSError` it stands for; else give the result back.

    Raises:
        OSError: The call failed.
    """
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
