"""Opening what a path leads to without following a symbolic link anywhere on the way (POSIX).

A path that was true a moment ago may lead somewhere else by now: whoever owns one of its folders can put a link in its
place. Refusing links on the whole way, not only in the last part, keeps us in the tree we meant.
"""

import ctypes
import errno
import os
import struct
import sys

# linux/openat2.h, and the number of a system call that is the same on every architecture.
_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_AT_FDCWD = -100
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: The kernel lacks the call; sandboxes answer EPERM to calls they have not heard of.
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EPERM})

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def open_without_links(path: str | bytes, flags: int) -> int:
    """Open an absolute path.

    Args:
        path: In its normal form.
        flags: Of `open`; nothing is created.

    Raises:
        OSError: `ELOOP` or `ENOTDIR` where a link or something else than a folder is in the way; others as usual.
    """
    if sys.platform == "linux":
        how = struct.pack("=QQQ", flags, 0, _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
        # A variadic call: every argument has to say how wide it is.
        descriptor = int(
            _libc.syscall(
                ctypes.c_long(_SYS_OPENAT2), ctypes.c_int(_AT_FDCWD), os.fsencode(path), how, ctypes.c_size_t(len(how))
            )
        )
        if descriptor >= 0:
            return descriptor
        code = ctypes.get_errno()
        if code not in _UNSUPPORTED:
            raise OSError(code, os.strerror(code), path)
    return walk(path, flags)


def walk(path: str | bytes, flags: int) -> int:
    """What `openat2` does, one component at a time, for systems that lack it."""
    *folders, last = [part for part in os.fsencode(path).split(b"/") if part] or [b"."]
    descriptor = os.open("/", _FOLDER_FLAGS)
    try:
        for folder in folders:
            deeper = os.open(folder, _FOLDER_FLAGS, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = deeper
        return os.open(last, flags | os.O_NOFOLLOW, dir_fd=descriptor)
    finally:
        os.close(descriptor)
