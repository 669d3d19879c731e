"""Which file systems a scan of this whole machine walks, and which it leaves out, with the reason."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from agent.platform.mountinfo import Mount, mounts

#: Their files lie on other machines, which scan them themselves; a walk would fetch them all over the network.
_NETWORK = frozenset(
    {
        "9p", "acfs", "afs", "afpfs", "autofs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gfs2", "gpfs",
        "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb3", "smbfs", "vboxsf", "virtiofs", "webdav",
    }
)  # fmt: skip
_LINUX: bool = sys.platform == "linux"


class SkipReason(Enum):
    """Why a file system is left out."""

    #: The kernel's interfaces, which are no storage.
    PSEUDO = "pseudo"
    NETWORK = "network"
    #: Mounted at another place too, which is walked.
    DUPLICATE = "duplicate"
    #: A folder of Buckler's own.
    OWN = "own"


@dataclass(frozen=True, slots=True)
class SkippedFolder:
    """A place that is left out."""

    path: str
    file_system: str
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a full scan walks.

    Attributes:
        roots: Where it begins; everything below is walked across mounts.
        skipped: What it does not enter.
    """

    roots: tuple[str, ...]
    skipped: tuple[SkippedFolder, ...]


def coverage_of(mounted: Sequence[Mount], *, network: bool) -> Coverage:
    """Decide, for a tree of mounts as Linux has it.

    Args:
        mounted: Oldest first; the last of several on one point hides the others.
        network: Network file systems too.
    """
    roots = ["/"]
    skipped: list[SkippedFolder] = []
    walked: dict[str, Mount] = {}
    visible = {mount.point: mount for mount in mounted}
    for mount in sorted(visible.values(), key=lambda mount: len(mount.point)):
        above = max(
            (point for point in visible if point != mount.point and _is_below(mount.point, point)), key=len, default="/"
        )
        reached = mount.point == "/" or above in walked
        reason = _reason(mount, walked.values(), network=network)
        if reason is None:
            walked[mount.point] = mount
            # What hides below something that is left out is reached by no walk from above.
            roots += [] if reached else [mount.point]
        elif reached:
            skipped.append(SkippedFolder(mount.point, mount.file_system, reason))
    return Coverage(tuple(roots), tuple(skipped))


def local_coverage(*, network: bool) -> Coverage:
    """Ask this machine what is mounted, and decide."""
    return coverage_of(mounts(), network=network) if _LINUX else _coverage_by_partitions(network=network)


def skipped_own(folders: Iterable[str]) -> tuple[SkippedFolder, ...]:
    """Folders of Buckler's own that are there: the vault holds what was found, in a form that harms nobody."""
    return tuple(SkippedFolder(path, "", SkipReason.OWN) for path in folders if os.path.isdir(path))  # noqa: PTH112


def _coverage_by_partitions(*, network: bool) -> Coverage:
    import psutil

    roots: list[str] = []
    skipped: list[SkippedFolder] = []
    for partition in psutil.disk_partitions(all=True):
        is_remote = _is_remote(partition.fstype.lower()) or "remote" in partition.opts
        if is_remote and not network:
            skipped.append(SkippedFolder(partition.mountpoint, partition.fstype, SkipReason.NETWORK))
        elif partition.fstype == "devfs":
            skipped.append(SkippedFolder(partition.mountpoint, partition.fstype, SkipReason.PSEUDO))
        elif partition.fstype:
            roots.append(partition.mountpoint)
    outermost = [root for root in roots if not any(root != other and _is_below(root, other) for other in roots)]
    return Coverage(tuple(outermost) or (os.sep,), tuple(skipped))


def _reason(mount: Mount, walked: Iterable[Mount], *, network: bool) -> SkipReason | None:
    if not mount.holds_files and mount.file_system != "autofs":
        return SkipReason.PSEUDO
    if not network and _is_remote(mount.file_system):
        return SkipReason.NETWORK
    if any(mount.device == other.device and _is_below(mount.root, other.root) for other in walked if other.device):
        return SkipReason.DUPLICATE
    return None


def _is_remote(file_system: str) -> bool:
    # A program answers for `fuse`, mostly with files from elsewhere; `fuseblk` lies on a disk of this machine.
    return file_system in _NETWORK or file_system == "fuse" or file_system.startswith("fuse.")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
