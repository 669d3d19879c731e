"""The kernel's fanotify interface, by `ctypes`: groups, marks, events, answers.

Nothing is decided here; `agent.realtime.sources.fanotify` says what to watch. Numbers are from `linux/fanotify.h`,
layouts from fanotify(7). Importing this file works everywhere, using it needs Linux.
"""

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from functools import cache
from typing import Final, NamedTuple, Self

from agent.platform.file_handles import FileHandle, FileSystemId


class InitFlag(IntFlag):
    """How a group behaves (`fanotify_init`)."""

    CLOEXEC = 0x01
    NONBLOCK = 0x02
    #: Notification only; events never hold anybody up.
    CLASS_NOTIF = 0x00
    #: May answer permission events.
    CLASS_CONTENT = 0x04
    #: Folder handle and name instead of a descriptor (Linux 5.9).
    REPORT_DFID_NAME = 0xC00
    #: An event whose descriptor could not be opened carries the error instead of vanishing (Linux 6.13).
    REPORT_FD_ERROR = 0x2000


class EventMask:
    """What happened; plain numbers, because every event is compared with several of them."""

    CLOSE_WRITE: Final = 0x08
    MOVED_TO: Final = 0x80
    CREATE: Final = 0x100
    DELETE_SELF: Final = 0x400
    MOVE_SELF: Final = 0x800
    Q_OVERFLOW: Final = 0x4000
    OPEN_PERM: Final = 0x10000
    OPEN_EXEC_PERM: Final = 0x40000
    ON_CHILD: Final = 0x08000000
    ONDIR: Final = 0x40000000


class MarkScope(IntEnum):
    """What a mark covers."""

    INODE = 0x00
    MOUNT = 0x10
    #: Every mount of the file system, bind mounts and other mount namespaces included (Linux 4.20).
    FILESYSTEM = 0x100


class MarkFlag(IntFlag):
    """How a mark is changed."""

    ADD = 0x01
    REMOVE = 0x02
    DONT_FOLLOW = 0x04
    IGNORED_MASK = 0x20
    #: What is ignored stays so when the file is modified.
    IGNORED_SURVIVES = 0x40
    FLUSH = 0x80
    #: The mark does not keep the inode in memory (Linux 5.19).
    EVICTABLE = 0x200


#: In `Notice.descriptor`: the event has none (overflow, or a group that reports handles).
NO_DESCRIPTOR = -1
#: One buffer of this size holds up to 170 events with a descriptor each.
BUFFER_BYTES = 4096
#: Size of an event without additional records; reading exactly this much yields exactly one event.
EVENT_SIZE = 24

_METADATA = struct.Struct("=IBBHQii")
_INFO_HEADER = struct.Struct("=BBH")
_FSID = struct.Struct("=ii")
_HANDLE_HEADER = struct.Struct("=Ii")
_RESPONSE = struct.Struct("=iI")
_METADATA_VERSION = 3
_INFO_DFID_NAME = 2
_INFO_DFID = 3
_ALLOW = 0x01
_DENY = 0x02
_AT_FDCWD = -100


class Entry(NamedTuple):
    """A name in a folder, as a group with `REPORT_DFID_NAME` tells it."""

    file_system: FileSystemId
    folder: FileHandle
    name: bytes


class Notice(NamedTuple):
    """One event as the kernel told it.

    Attributes:
        mask: What happened.
        descriptor: Owned by the reader; `NO_DESCRIPTOR`, or minus an errno when it could not be opened.
        pid: Thread group that caused it; 0: outside our pid namespace.
        entry: Folder and name, in groups that report them.
    """

    mask: int
    descriptor: int
    pid: int
    entry: Entry | None


class Group:
    """One fanotify group.

    Args:
        flags: See `InitFlag`; `CLOEXEC` and `NONBLOCK` are always added.
        event_flags: `open(2)` flags for the descriptors of events.

    Raises:
        OSError: `EPERM` without CAP_SYS_ADMIN, `EINVAL` for flags this kernel does not know, `ENOSYS`, `EMFILE`.
    """

    def __init__(self, flags: InitFlag, event_flags: int) -> None:
        libc = _libc()
        wanted = flags | InitFlag.CLOEXEC | InitFlag.NONBLOCK
        self._descriptor: int = libc.fanotify_init(ctypes.c_uint(wanted), ctypes.c_uint(event_flags))
        if self._descriptor < 0:
            raise _error("fanotify_init")

    def fileno(self) -> int:
        """For event loops; -1 once closed."""
        return self._descriptor

    def mark(self, path: str, mask: int, scope: MarkScope, flags: MarkFlag = MarkFlag.ADD) -> None:
        """Add (or with `MarkFlag.REMOVE` take back) events for what `path` names.

        Raises:
            OSError: E.g. `EXDEV`, `ENODEV`, `EOPNOTSUPP` where a file system cannot do what was asked.
        """
        self._mark(int(flags) | int(scope), mask, _AT_FDCWD, os.fsencode(path))

    def mark_descriptor(self, descriptor: int, mask: int, flags: MarkFlag) -> None:
        """Like `mark`, on the inode an open descriptor points to.

        Raises:
            OSError: As the kernel says.
        """
        self._mark(int(flags), mask, descriptor, None)

    def flush_inode_marks(self) -> None:
        """Remove every mark on single files and folders; marks on mounts and file systems stay.

        Raises:
            OSError: As the kernel says.
        """
        self._mark(int(MarkFlag.FLUSH), 0, _AT_FDCWD, b"/")

    def read(self, size_bytes: int) -> list[Notice]:
        """Take the events that wait; empty: there are none.

        Raises:
            OSError: The kernel could not hand over an event; **that event is gone**.
        """
        try:
            buffer = os.read(self._descriptor, size_bytes)
        except BlockingIOError:
            return []
        return list(parse_events(buffer))

    def respond(self, descriptor: int, *, allow: bool) -> None:
        """Answer a permission event, named by its descriptor, which stays open.

        Raises:
            OSError: `ENOENT` if it was answered before.
        """
        os.write(self._descriptor, _RESPONSE.pack(descriptor, _ALLOW if allow else _DENY))

    def close(self) -> None:
        """Close the group; whoever still waits for an answer is allowed by the kernel. Safe to repeat."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _mark(self, flags: int, mask: int, directory: int, path: bytes | None) -> None:
        result = _libc().fanotify_mark(
            ctypes.c_int(self._descriptor),
            ctypes.c_uint(flags),
            ctypes.c_uint64(mask),
            ctypes.c_int(directory),
            ctypes.c_char_p(path),
        )
        if result != 0:
            raise _error("fanotify_mark")


def permitted() -> bool:
    """Whether this process may watch whole file systems here."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        Group(InitFlag.CLASS_NOTIF, 0).close()
    except (OSError, AttributeError):  # AttributeError: a C library without the call
        return False
    return True


def parse_events(buffer: bytes) -> Iterator[Notice]:
    """Split what the kernel wrote into events.

    Raises:
        OSError: `EPROTO` if the kernel speaks another version of the interface.
    """
    offset = 0
    while offset + EVENT_SIZE <= len(buffer):
        length, version, _, metadata_length, mask, descriptor, pid = _METADATA.unpack_from(buffer, offset)
        if version != _METADATA_VERSION or length < EVENT_SIZE:
            raise OSError(errno.EPROTO, f"fanotify speaks version {version}, expected {_METADATA_VERSION}")
        entry = None
        if length > metadata_length:
            entry = _parse_entry(buffer[offset + metadata_length : offset + length])
        yield Notice(mask, descriptor, pid, entry)
        offset += length


def _parse_entry(records: bytes) -> Entry | None:
    offset = 0
    while offset + _INFO_HEADER.size <= len(records):
        kind, _, length = _INFO_HEADER.unpack_from(records, offset)
        if length < _INFO_HEADER.size or offset + length > len(records):
            return None
        if kind in {_INFO_DFID_NAME, _INFO_DFID}:
            if length < _INFO_HEADER.size + _FSID.size + _HANDLE_HEADER.size:
                return None
            low, high = _FSID.unpack_from(records, offset + _INFO_HEADER.size)
            at = offset + _INFO_HEADER.size + _FSID.size
            size, handle_type = _HANDLE_HEADER.unpack_from(records, at)
            at += _HANDLE_HEADER.size
            name = records[at + size : offset + length].split(b"\0", 1)[0] if kind == _INFO_DFID_NAME else b""
            return Entry(FileSystemId(low, high), FileHandle(handle_type, records[at : at + size]), name)
        offset += length
    return None


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
