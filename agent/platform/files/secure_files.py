"""File operations for somebody who is being raced by an attacker (POSIX; Linux gets the strongest form of each).

A path is only ever resolved without following a symbolic link, from the root down to an open folder; everything
after that names a file by `(folder descriptor, name)` or by its own descriptor. So a folder that is swapped for a
link afterwards changes nothing: the descriptor still means the folder that was checked.

Nothing here decides what may be done to a file, and nothing here overwrites one.
"""

import ctypes
import errno
import fcntl
import os
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.platform.files.linkless import open_without_links

IS_LINUX = sys.platform == "linux"

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Linux: a handle that opens nothing, so that looking at a device or a FIFO has no effect on it. 0 elsewhere.
_O_PATH = getattr(os, "O_PATH", 0)

# linux/fs.h; the ioctl numbers are those of 64-bit machines.
_RENAME_NOREPLACE = 1
_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_FS_IMMUTABLE_FL = 0x10
_FS_APPEND_FL = 0x20
#: Inode flags that keep even root from moving a file.
PINNING_FLAGS = _FS_IMMUTABLE_FL | _FS_APPEND_FL
#: The kernel or the file system does not know the call; sandboxes answer EPERM to calls they have not heard of.
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
_NO_XATTRS = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES})

#: Where Linux keeps a file's access control list.
_ACL = "system.posix_acl_access"

# linux/stat.h: ask for the mount's number only, of the descriptor itself, and where the answer has it.
_AT_EMPTY_PATH = 0x1000
_STATX_MNT_ID = 0x1000
_STATX_BYTES = 256
_STATX_ANSWER = struct.Struct("=I140xQ")

_libc = ctypes.CDLL(None, use_errno=True)
#: None where the C library lacks it; linking and unlinking takes its place then.
_renameat2 = getattr(_libc, "renameat2", None)
#: None where the C library lacks it; /proc tells the same, in five times the time.
_statx = getattr(_libc, "statx", None)


class NotRegularFileError(OSError):
    """The name is there, but it is a folder, link, device, socket or FIFO."""


@dataclass(frozen=True, slots=True)
class PlaceOfFile:
    """Where a path leads: an open folder and a name in it. The holder closes the folder."""

    folder: int
    name: str


def split_path(path: str) -> tuple[str, str]:
    """Folder and name of an absolute path in its normal form.

    Raises:
        OSError: `EINVAL`, the path is relative, ends in a slash, or contains `.` or `..`.
    """
    folder, _, name = path.rpartition("/")
    if not path.startswith("/") or not name or {".", ".."} & set(path.split("/")):
        raise OSError(errno.EINVAL, "not an absolute path in its normal form", path)
    return folder or "/", name


def open_folder(path: str) -> int:
    """Open a folder without following a symbolic link anywhere on the way.

    Raises:
        OSError: `ELOOP` or `ENOTDIR` where a link or something else than a folder is in the way; others as usual.
    """
    return open_without_links(path, _FOLDER_FLAGS)


@contextmanager
def opened_folder(path: str) -> Iterator[int]:
    """`open_folder`, closed at the end of the block."""
    descriptor = open_folder(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def place_of(path: str) -> Iterator[PlaceOfFile]:
    """Open the folder of a file, for the length of the block."""
    folder, name = split_path(path)
    descriptor = open_folder(folder)
    try:
        yield PlaceOfFile(descriptor, name)
    finally:
        os.close(descriptor)


def open_regular(place: PlaceOfFile) -> int:
    """Open a regular file for reading; anything else is looked at without being touched.

    Raises:
        NotRegularFileError: It is something else now.
        OSError: As usual; `ENOENT` when it has gone.
    """
    handle = os.open(place.name, _O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=place.folder)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NotRegularFileError(errno.EINVAL, "not a regular file", place.name)
        if _O_PATH:
            # Through the handle, so that what is opened is what was just looked at.
            return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        return os.dup(handle)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotRegularFileError(errno.ELOOP, "a symbolic link", place.name) from error
        raise
    finally:
        os.close(handle)


def make_private_folder(parent: int, name: str) -> None:
    """Make a folder that only we can enter; one that is there already is left as it is, see `open_private_folder`.

    Raises:
        OSError: As usual.
    """
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    os.fsync(parent)


def open_private_folder(parent: int, name: str) -> int:
    """Open a folder that only we can enter.

    Raises:
        PermissionError: There is a folder of that name which is not ours alone.
        OSError: As usual.
    """
    descriptor = os.open(name, _FOLDER_FLAGS, dir_fd=parent)
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        os.close(descriptor)
        raise PermissionError(errno.EACCES, "a folder of that name belongs to somebody else", name)
    return descriptor


def rename_without_overwriting(source: PlaceOfFile, target: PlaceOfFile) -> None:
    """Move a name in one step; never replaces one that is there.

    Raises:
        FileExistsError: The target's name is taken.
        OSError: As usual; `EXDEV` between file systems.
    """
    if _renameat2 is not None:
        failed = _renameat2(
            source.folder, os.fsencode(source.name), target.folder, os.fsencode(target.name), _RENAME_NOREPLACE
        )
        if not failed:
            return
        code = ctypes.get_errno()
        if code not in _UNSUPPORTED:
            raise OSError(code, os.strerror(code), source.name)
    # Link and unlink: not one step, but a crash between them leaves two names of one file, never none.
    os.link(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder, follow_symlinks=False)
    os.unlink(source.name, dir_fd=source.folder)


def sync(descriptor: int) -> None:
    """Make a file's bytes, or a folder's names, survive a loss of power."""
    os.fsync(descriptor)


# ---------------------------------------------------------------- mounts


@dataclass(frozen=True, slots=True)
class MountId:
    """Names a mount: renaming works within one, and not always between two of the same device (bind mounts)."""

    device: int
    number: int


def mount_of(descriptor: int) -> MountId:
    """The mount an open folder is on; number 0 where the system does not tell."""
    number = _mount_number(descriptor) if IS_LINUX else 0
    return MountId(os.fstat(descriptor).st_dev, number)


def is_on_mount(descriptor: int, mount: MountId) -> bool:
    """Whether an open folder is on a mount."""
    # Most are told apart by the device alone, which takes a third of the time to learn.
    return os.fstat(descriptor).st_dev == mount.device and mount_of(descriptor) == mount


def _mount_number(descriptor: int) -> int:
    if _statx is not None:
        answer = ctypes.create_string_buffer(_STATX_BYTES)
        failed = _statx(descriptor, b"", _AT_EMPTY_PATH, ctypes.c_uint(_STATX_MNT_ID), answer)
        told, number = _STATX_ANSWER.unpack_from(answer)
        # Linux before 5.8 answers without it.
        if not failed and told & _STATX_MNT_ID:
            return int(number)
    for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines():
        if line.startswith("mnt_id:"):
            return int(line.partition(":")[2])
    return 0


def folders_on_mount(path: str) -> list[str]:
    """The folders on the way to a folder that are on its mount, the highest first, itself last.

    Raises:
        OSError: As `open_folder`.
    """
    with opened_folder(path) as descriptor:
        mount = mount_of(descriptor)
    found = [path]
    while found[0] != "/":
        above = found[0].rpartition("/")[0] or "/"
        try:
            with opened_folder(above) as descriptor:
                if mount_of(descriptor) != mount:
                    break
        except PermissionError:
            # A folder we may not look into is none we could use, nor is one above it that we would know of.
            break
        found.insert(0, above)
    return found


# ---------------------------------------------------------------- what is attached to a file


def read_xattrs(descriptor: int) -> tuple[tuple[str, bytes], ...]:
    """Extended attributes by name, ACLs and capabilities included; those we may not read are left out."""
    if not IS_LINUX:
        return ()
    try:
        names = sorted(os.listxattr(descriptor))
    except OSError as error:
        if error.errno in _NO_XATTRS:
            return ()
        raise
    found: list[tuple[str, bytes]] = []
    for name in names:
        try:
            found.append((name, os.getxattr(descriptor, name)))
        except OSError as error:
            # ENODATA: it has gone since we listed it.
            if error.errno not in _NO_XATTRS | {errno.ENODATA}:
                raise
    return tuple(found)


def write_xattrs(descriptor: int, xattrs: tuple[tuple[str, bytes], ...]) -> None:
    """Give a new file these extended attributes, and take an ACL away that it inherited from its folder.

    Raises:
        OSError: The file system has none, or we may not set one.
    """
    if not IS_LINUX:
        return
    inherited = dict(read_xattrs(descriptor))
    wanted = dict(xattrs)
    if _ACL in inherited and _ACL not in wanted:
        os.removexattr(descriptor, _ACL)
    for name, value in wanted.items():
        # A label that the system gave the file by itself already need not, and often may not, be set by us.
        if inherited.get(name) != value:
            os.setxattr(descriptor, name, value)


def read_inode_flags(descriptor: int) -> int:
    """Flags of the inode (`lsattr`); 0 where the file system has none."""
    if not IS_LINUX:
        return 0
    try:
        answer = fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, b"\0" * 8)
    except OSError:
        return 0
    flags: int = struct.unpack_from("=I", answer)[0]
    return flags


def write_inode_flags(descriptor: int, flags: int) -> None:
    """Set flags of the inode.

    Raises:
        OSError: `EPERM`: only root with `CAP_LINUX_IMMUTABLE` may; `ENOTTY`: the file system has none.
    """
    fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, struct.pack("=II", flags, 0))
