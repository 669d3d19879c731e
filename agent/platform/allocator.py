"""How this process' C library treats memory that has been freed."""

import ctypes
import sys

#: From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEEP_UP_TO_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks for the next allocation instead of giving them back to the kernel.

    A signature engine allocates and frees megabytes for each file; asking the kernel for them again costs a page fault
    for every 4 KiB. Measured with 7,087 rules in a fresh process: 330 µs a tiny file before, 47 µs after. A worker is
    replaced after some thousand files, so what it keeps stays bounded. Elsewhere than on glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEEP_UP_TO_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEEP_UP_TO_BYTES)
