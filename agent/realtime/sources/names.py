"""From "this name in that folder" to an open file: the second half of fanotify's name events."""

import os
import stat
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Self

from agent.domain.files import EventKind, EventsLost, FileEvent, FileIdentity
from agent.domain.ports import Clock
from agent.platform.fanotify import Entry
from agent.platform.file_handles import FileHandle, FileSystemId, open_handle
from agent.platform.files.regular_files import open_regular
from agent.realtime.territory import Territory

#: How long a creation waits for the write that usually follows it, in seconds.
SETTLE_S = 0.25
#: More creations than this at a time are not kept waiting.
_MAX_WAITING = 65536


class FolderOpener:
    """Opens folders by handle; remembers them for one batch of events, so that no file system is kept busy.

    Args:
        anchors: A folder of ours on each file system.
    """

    def __init__(self, anchors: Mapping[FileSystemId, str]) -> None:
        self._anchors = anchors
        self._mounts: dict[str, int] = {}
        self._folders: dict[tuple[FileSystemId, FileHandle], tuple[int, str] | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._mounts.values():
            os.close(descriptor)
        self._forget_folders()

    def anchor(self, path: str) -> int:
        """A descriptor on the mount of a root.

        Raises:
            OSError: The root cannot be opened any more.
        """
        if path not in self._mounts:
            self._mounts[path] = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK)
        return self._mounts[path]

    def path_of(self, entry: Entry) -> str | None:
        """Where an entry is now; None: its folder is gone or on a file system that is not ours."""
        folder = self._folder(entry)
        return None if folder is None else _join(folder[1], entry.name)

    def status_of(self, entry: Entry) -> os.stat_result | None:
        """What an entry is now, without opening it or following a link; None: it is gone, or not ours."""
        folder = self._folder(entry)
        if folder is None:
            return None
        try:
            return os.stat(entry.name, dir_fd=folder[0], follow_symlinks=False)
        except OSError:
            return None

    def look_up(self, entry: Entry, territory: Territory, pid: int, seen_at_ns: int) -> FileEvent | EventsLost | None:
        """Open the regular file of that name without following links.

        Returns:
            None if it is gone, not a regular file, or not watched; `EventsLost` if it is there and cannot be opened.
        """
        folder = self._folder(entry)
        if folder is None:
            return None
        descriptor, folder_path = folder
        path = _join(folder_path, entry.name)
        if not territory.covers(path):
            return None
        try:
            opened = open_regular(entry.name, directory=descriptor)
        except OSError as failure:
            return EventsLost("fanotify", f"a new file could not be opened: {failure.strerror}")
        if opened is None:
            return None
        return FileEvent(opened.identity, path, opened.descriptor, pid, EventKind.APPEARED, None, seen_at_ns)

    def _folder(self, entry: Entry) -> tuple[int, str] | None:
        key = (entry.file_system, entry.folder)
        if key not in self._folders:
            if len(self._folders) >= 64:  # noqa: PLR2004 -- a batch rarely touches more; descriptors are not free
                self._forget_folders()
            self._folders[key] = self._open_folder(entry)
        return self._folders[key]

    def _open_folder(self, entry: Entry) -> tuple[int, str] | None:
        anchor = self._anchors.get(entry.file_system)
        if anchor is None:
            return None
        try:
            descriptor = open_handle(self.anchor(anchor), entry.folder, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return None  # removed meanwhile, with everything that was in it
        return descriptor, os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 -- a name of any bytes

    def _forget_folders(self) -> None:
        for folder in self._folders.values():
            if folder is not None:
                os.close(folder[0])
        self._folders.clear()


class _Created(NamedTuple):
    at_ns: int
    entry: Entry
    pid: int


class PendingNames:
    """Creations that wait for the write that usually follows, and the writes seen lately.

    Args:
        clock: For the waiting times.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._created: deque[_Created] = deque()
        self._written: dict[tuple[int, int], tuple[int, str]] = {}
        self.wait_s = SETTLE_S

    @property
    def waiting(self) -> bool:
        """Whether somebody has to come back and ask `settled`."""
        return bool(self._created)

    def written(self, identity: FileIdentity, path: str) -> None:
        """A write to this file was closed under this name, and is being looked at."""
        now = self._clock.monotonic_ns()
        self._written[identity.device, identity.inode] = (now, path)
        if len(self._written) > _MAX_WAITING:
            self._forget_old_writes(now)

    def created(self, entry: Entry, pid: int) -> bool:
        """Remember a creation; True: it is the first that waits, so a visit has to be arranged."""
        self._created.append(_Created(self._clock.monotonic_ns(), entry, pid))
        return len(self._created) == 1

    def settled(self, folders: FolderOpener, territory: Territory) -> Iterator[FileEvent | EventsLost]:
        """Files that were created long enough ago, and whose content no write explains: links, mostly."""
        now = self._clock.monotonic_ns()
        due = now - int(self.wait_s * 1e9)
        while self._created and (self._created[0].at_ns <= due or len(self._created) > _MAX_WAITING):
            created = self._created.popleft()
            if self._explained(created.entry, folders):
                continue
            found = folders.look_up(created.entry, territory, created.pid, now)
            if found is not None:
                yield found
        if not self._created:
            self._forget_old_writes(now)

    def clear(self) -> None:
        """Nothing waits any more."""
        self._created.clear()
        self._written.clear()

    def _explained(self, entry: Entry, folders: FolderOpener) -> bool:
        """Whether this very name of this very file is being looked at anyway, or there is nothing in it."""
        status = folders.status_of(entry)
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            return True
        _, written_as = self._written.get((status.st_dev, status.st_ino), (0, ""))
        return status.st_nlink == 1 and written_as == folders.path_of(entry)

    def _forget_old_writes(self, now: int) -> None:
        horizon = now - int(4 * self.wait_s * 1e9)
        self._written = {key: at for key, at in self._written.items() if at[0] > horizon}


def _join(folder: str, name: bytes) -> str:
    return folder.rstrip("/") + "/" + os.fsdecode(name)
