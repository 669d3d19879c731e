"""Which files somebody holds open for writing, or has mapped so that writing to memory changes them (Linux).

Files are told by inode number alone. A path means something else in the mount namespace of a container, and changes
with every rename; the number of a device may be another one after the machine was started anew. Two files of different
file systems may have one number: whoever looks for files by it looks at one too many then.
"""

import os
import stat
import sys
from collections.abc import Iterator


def held_for_writing() -> frozenset[int] | None:
    """Inode numbers of regular files that have a name and a content, and that a process may write to now.

    Processes that this one may not look at are left out, and so is what no process has in its table of descriptors:
    descriptors on their way from one process to another, files that the kernel itself holds.

    Returns:
        None: This system does not say.
    """
    if sys.platform != "linux":
        return None
    try:
        processes = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 -- names, not Paths
    except OSError:
        return None
    held: set[int] = set()
    for process in processes:
        held.update(held_by(int(process)))
    return frozenset(held)


def held_by(pid: int) -> Iterator[int]:
    """The same for one process; none that has ended, or that this one may not look at, holds anything."""
    yield from _opened(pid)
    yield from _mapped(pid)


def _opened(pid: int) -> Iterator[int]:
    try:
        table = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for number in os.listdir(table):  # noqa: PTH208 -- of a descriptor
            inode = _writable(number, table)
            if inode is not None:
                yield inode
    except OSError:
        return  # it has ended meanwhile, and closed all it had
    finally:
        os.close(table)


def _writable(number: str, table: int) -> int | None:
    """The link itself shows by its permissions how the file was opened; the status it leads to is the file's."""
    try:
        if not os.stat(number, dir_fd=table, follow_symlinks=False).st_mode & stat.S_IWUSR:
            return None
        status = os.stat(number, dir_fd=table)
    except OSError:
        return None
    # What is empty cannot be harmful before it is written to, and what has no name cannot be found or taken.
    matters = stat.S_ISREG(status.st_mode) and status.st_size and status.st_nlink
    return status.st_ino if matters else None


def _mapped(pid: int) -> Iterator[int]:
    try:
        with open(f"/proc/{pid}/maps", "rb", buffering=0) as stream:  # noqa: PTH123 -- one descriptor, no Path needed
            untrusted_maps = stream.read()
    except OSError:
        return
    if b"w-s " in untrusted_maps or b"wxs " in untrusted_maps:
        yield from shared_writable(untrusted_maps)


def shared_writable(untrusted_maps: bytes) -> Iterator[int]:
    """Inode numbers of the files of shared writable mappings in `/proc/<pid>/maps`; a name may hold anything."""
    for line in untrusted_maps.split(b"\n"):
        # proc(5): address, permissions, offset, device, inode, name
        fields = line.split(None, 5)
        if len(fields) >= 5 and fields[1][1:2] == b"w" and fields[1][3:4] == b"s" and fields[4] != b"0":  # noqa: PLR2004
            yield int(fields[4])
