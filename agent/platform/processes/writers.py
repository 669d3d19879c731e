"""Which files somebody holds open for writing, or has mapped so that writing to memory changes them (Linux).

Files are told by inode number alone. A path means something else in the mount namespace of a container, and changes
with every rename; the number of a device may be another one after the machine was started anew. Two files of different
file systems may have one number: whoever looks for files by it looks at one too many then.

Only `/proc` is asked, and never the file itself: one on a file system whose server is silent would hold us up for ever.
"""

import errno
import os
import re
import stat
import sys
from collections.abc import Iterator

#: What keeps us from looking although we may, so that no list is better than the rest of one.
_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_INODE = re.compile(rb"^ino:\t(\d+)$", re.MULTILINE)


def held_for_writing() -> frozenset[int] | None:
    """Inode numbers of files that a process may write to now; some are of devices, or of files without a name.

    Processes that this one may not look at are left out, and so is what no process has in its table of descriptors:
    descriptors on their way from one process to another, files that the kernel itself holds.

    Returns:
        None: This system does not say.

    Raises:
        OSError: Descriptors or memory are lacking to find out.
    """
    if sys.platform != "linux":
        return None
    processes = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 -- names, not Paths
    held: set[int] = set()
    for process in processes:
        held.update(held_by(int(process)))
    return frozenset(held)


def held_by(pid: int) -> Iterator[int]:
    """The same for one process; none that has ended, or that this one may not look at, holds anything.

    Raises:
        OSError: As above.
    """
    yield from _opened(pid)
    yield from _mapped(pid)


def _opened(pid: int) -> Iterator[int]:
    try:
        table = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as failure:
        _raise_if_lacking(failure)
        return
    try:
        for number in os.listdir(table):  # noqa: PTH208 -- of a descriptor
            try:
                if _is_writable_file(number, table):
                    yield _inode_of(pid, number, table)
            except OSError as failure:
                _raise_if_lacking(failure)  # it has been closed meanwhile
    except OSError as failure:
        _raise_if_lacking(failure)
    finally:
        os.close(table)


def _is_writable_file(number: str, table: int) -> bool:
    """The link shows by its own permissions how the file was opened; a socket or a pipe has no path."""
    writable = os.stat(number, dir_fd=table, follow_symlinks=False).st_mode & stat.S_IWUSR
    return bool(writable) and os.readlink(number, dir_fd=table).startswith("/")


def _inode_of(pid: int, number: str, table: int) -> int:
    found = _INODE.search(_whole(f"/proc/{pid}/fdinfo/{number}"))
    # Linux before 5.14 does not say it.
    return int(found[1]) if found else os.stat(number, dir_fd=table).st_ino


def _mapped(pid: int) -> Iterator[int]:
    try:
        untrusted_maps = _whole(f"/proc/{pid}/maps")
    except OSError as failure:
        _raise_if_lacking(failure)
        return
    if b"w-s " in untrusted_maps or b"wxs " in untrusted_maps:
        yield from shared_writable(untrusted_maps)


def _whole(path: str) -> bytes:
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 -- one descriptor, no Path needed
        return stream.read()


def _raise_if_lacking(failure: OSError) -> None:
    """Any other failure is no matter: a process that has ended, or is closed to us, holds nothing we could name."""
    if failure.errno in _SHORT_OF:
        raise failure


def shared_writable(untrusted_maps: bytes) -> Iterator[int]:
    """Inode numbers of the files of shared writable mappings in `/proc/<pid>/maps`; a name may hold anything."""
    for line in untrusted_maps.split(b"\n"):
        # proc(5): address, permissions, offset, device, inode, name
        fields = line.split(None, 5)
        if len(fields) < 5 or not fields[4].isdigit():  # noqa: PLR2004 -- as above
            continue
        permissions, inode = fields[1], int(fields[4])
        if permissions[1:2] == b"w" and permissions[3:4] == b"s" and inode:
            yield inode
