"""Which file systems are mounted where, and when that changes (Linux)."""

import os
import re
import select
from dataclasses import dataclass

from agent.platform.file_handles import handle_of

_OCTAL = re.compile(rb"\\([0-7]{3})")
#: Kernel interfaces that look like files; watching or walking them is meaningless and can be harmful.
_NOT_STORAGE = frozenset(
    {
        "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
        "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs",
        "tracefs",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of `/proc/self/mountinfo`.

    Attributes:
        id: Mount id, as `name_to_handle_at` gives it.
        device: `major:minor`.
        point: Where it is mounted.
        file_system: Type, e.g. `ext4`.
        root: Which folder of the file system is mounted there; not `/`: a bind mount or a subvolume.
    """

    id: int
    device: str
    point: str
    file_system: str
    root: str = "/"

    @property
    def holds_files(self) -> bool:
        """False for kernel interfaces such as `proc`."""
        return self.file_system not in _NOT_STORAGE


def parse_mountinfo(text: bytes) -> tuple[Mount, ...]:
    """Read the lines of `/proc/self/mountinfo`; lines that make no sense are left out."""
    mounts = []
    for line in text.splitlines():
        before, separator, after = line.partition(b" - ")
        fields = before.split(b" ")
        if not separator or len(fields) < 5:  # noqa: PLR2004 -- proc(5): id parent device root point
            continue
        root, point = (_OCTAL.sub(lambda match: bytes([int(match.group(1), 8)]), field) for field in fields[3:5])
        file_system = after.split(b" ", 1)[0].decode("ascii", "replace")
        device = fields[2].decode("ascii", "replace")
        mounts.append(Mount(int(fields[0]), device, os.fsdecode(point), file_system, os.fsdecode(root)))
    return tuple(mounts)


def mounts() -> tuple[Mount, ...]:
    """What is mounted now, in this process' namespace, oldest first."""
    with open("/proc/self/mountinfo", "rb") as stream:  # noqa: PTH123 -- one descriptor, no Path needed
        return with_root(parse_mountinfo(stream.read()))


def with_root(listed: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """The same mounts, and the one that `/` lies on first, should it be missing."""
    if any(mount.point == "/" for mount in listed):
        return listed
    return (_unlisted_root(), *listed)


def _unlisted_root() -> Mount:
    """What `/` lies on inside a chroot that is no mount point: the kernel lists it for nobody in there."""
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _, mount_id = handle_of(root)
    finally:
        os.close(root)
    return Mount(mount_id, "", "/", "unlisted")


def not_storage() -> frozenset[str]:
    """Mount points of kernel interfaces, which walks must not enter; empty where there are none."""
    try:
        return frozenset(mount.point for mount in mounts() if not mount.holds_files)
    except OSError:
        return frozenset()


def mount_of(path: str, known: tuple[Mount, ...]) -> Mount | None:
    """The mount that a resolved path lies on: the deepest mount point above it, the youngest of equals."""
    best: Mount | None = None
    for mount in known:
        covers = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if covers and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


class MountWatch:
    """Becomes readable when something was mounted or unmounted.

    `mountinfo` itself always counts as readable and only *adds* a priority event on change, so it sits inside an
    epoll of its own that asks for the priority event alone.
    """

    def __init__(self) -> None:
        self._file = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._file, select.EPOLLPRI)

    def fileno(self) -> int:
        """For event loops."""
        return self._epoll.fileno()

    def acknowledge(self) -> None:
        """Forget the change that made it readable."""
        self._epoll.poll(0)

    def close(self) -> None:
        """Give both descriptors back."""
        self._epoll.close()
        os.close(self._file)
