"""File handles: a file's name that survives renames, by `name_to_handle_at(2)` and `open_by_handle_at(2)`.

Linux only; opening needs CAP_DAC_READ_SEARCH.
"""

import ctypes
import os
import struct
from functools import cache
from typing import NamedTuple

_AT_EMPTY_PATH = 0x1000
#: MAX_HANDLE_SZ of `linux/fs.h`.
_MAX_HANDLE_BYTES = 128
_HEADER = struct.Struct("=Ii")


class FileSystemId(NamedTuple):
    """`f_fsid` of `statfs(2)`: two signed 32-bit numbers."""

    low: int
    high: int


class FileHandle(NamedTuple):
    """An inode of one file system, as opaque bytes."""

    type: int
    data: bytes


def handle_of(descriptor: int) -> tuple[FileHandle, int]:
    """The handle of an open file and the id of the mount it was opened through.

    Raises:
        OSError: `EOPNOTSUPP` where the file system has no handles.
    """
    buffer = ctypes.create_string_buffer(_HEADER.pack(_MAX_HANDLE_BYTES, 0), _HEADER.size + _MAX_HANDLE_BYTES)
    mount_id = ctypes.c_int()
    result = _libc().name_to_handle_at(
        ctypes.c_int(descriptor), ctypes.c_char_p(b""), buffer, ctypes.byref(mount_id), ctypes.c_int(_AT_EMPTY_PATH)
    )
    if result != 0:
        raise _error("name_to_handle_at")
    size, kind = _HEADER.unpack_from(buffer.raw)
    return FileHandle(kind, buffer.raw[_HEADER.size : _HEADER.size + size]), mount_id.value


def open_handle(mount_descriptor: int, handle: FileHandle, flags: int) -> int:
    """Open a file by handle, seen through the mount that `mount_descriptor` (not O_PATH) lies on.

    Raises:
        OSError: `ESTALE` once the file is gone, `EPERM` without the capability.
    """
    packed = _HEADER.pack(len(handle.data), handle.type) + handle.data
    buffer = ctypes.create_string_buffer(packed, len(packed))
    descriptor: int = _libc().open_by_handle_at(
        ctypes.c_int(mount_descriptor), buffer, ctypes.c_int(flags | os.O_CLOEXEC)
    )
    if descriptor < 0:
        raise _error("open_by_handle_at")
    return descriptor


def file_system_id(path: str) -> FileSystemId:
    """The id by which events name the file system that `path` lies on.

    Raises:
        OSError: `path` cannot be reached.
    """
    combined = os.statvfs(path).f_fsid
    low, high = struct.unpack("=ii", struct.pack("=II", combined & 0xFFFFFFFF, (combined >> 32) & 0xFFFFFFFF))
    return FileSystemId(low, high)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
