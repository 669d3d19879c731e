"""File events from the kernel, for the whole file system at once (Linux, root).

Two groups, because one cannot do both: *contents* hands over a descriptor of each file that was closed after writing;
*names* tells the folder and name of whatever was moved in, created or linked. Marks lie on file systems, so that bind
mounts and containers' mount namespaces are seen too; what is not under a root is dropped here, and so is what this
agent and its workers do themselves.

The kernel opens a file for every event that has a descriptor, and POSIX takes all locks of a process on a file away
when that process closes any descriptor of it. So events of files on which this process holds locks are not asked for:
its database would go on without them, and be taken from under it by the next command that closes it.

A name tells less than a descriptor: it is looked up again through its folder's handle and opened without following
links. A plain creation is looked at only after a moment, and only if no write to the same file was closed meanwhile:
nearly every creation is followed by a write that the other group reports, except hard links. So names are not read at
once while nobody is held, but some milliseconds later, all together: a file that is closed does not wait while we look
at its creation, and we are not woken for each file that somebody creates.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from agent.domain.errors import BucklerError
from agent.domain.files import (
    EventKind,
    EventsLost,
    FileEvent,
    FileIdentity,
    FolderAppeared,
    RootLost,
    SourceDied,
    SourceEvent,
)
from agent.domain.health import HealthIssue
from agent.domain.ports import Clock
from agent.platform.fanotify import BUFFER_BYTES, EVENT_SIZE, EventMask, Group, InitFlag, MarkFlag, MarkScope, Notice
from agent.platform.file_handles import FileSystemId, file_system_id, handle_of, open_handle
from agent.platform.files.regular_files import identity_of
from agent.platform.mountinfo import Mount, MountWatch, mount_of, mounts
from agent.realtime.refusals import not_permitted, too_many_marks
from agent.realtime.roots import Root, has_moved, resolve_roots
from agent.realtime.settings import BlockSettings
from agent.realtime.sources.gate import Gate
from agent.realtime.sources.names import FolderOpener, PendingNames
from agent.realtime.territory import SELF_TEST_PREFIX, Territory, printable

#: Buffers per turn; between two turns the answers of the workers are taken. A program that writes files faster than
#: they are read here fills the kernel's queues, so reading goes first: names, which are only noted, to the last one.
CONTENT_READS_PER_TURN = 8
NAME_READS_PER_TURN = 4
#: Names wait so long to be read, in seconds; some hundred come meanwhile, and the kernel's queue holds 16,384.
NAMES_WAIT_S = 0.005
#: Holds about a thousand names.
NAME_BUFFER_BYTES = 65536
#: How often the roots are compared with what they were, in seconds; deletions and unmounts are noticed at once.
ROOT_CHECK_S = 30.0

_EVENT_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_LARGEFILE", 0) | getattr(os, "O_NOATIME", 0)
_BLOCK = BlockSettings()
_CANNOT = {errno.EXDEV, errno.ENODEV, errno.EOPNOTSUPP, errno.EINVAL}
#: The file of the event does not exist any more, so nothing was missed.
_GONE = {errno.ENOENT, errno.ESTALE}


@dataclass(slots=True)
class _Session:
    """Everything that exists between `open` and `close`."""

    loop: asyncio.AbstractEventLoop
    deliver: Callable[[SourceEvent], None]
    roots: list[Root]
    territory: Territory
    contents: Group
    names: Group
    mount_watch: MountWatch
    pending: PendingNames
    buffer_bytes: int
    marked: set[int] = field(default_factory=set)
    #: A folder of ours on each file system, to look things up through.
    anchors: dict[FileSystemId, str] = field(default_factory=dict)
    devices: dict[int, str] = field(default_factory=dict)
    limitations: dict[str, None] = field(default_factory=dict)
    gate: Gate | None = None
    check: asyncio.TimerHandle | None = None


class FanotifySource:
    """See the module; implements `agent.domain.ports.EventSource`.

    Args:
        excluded: Our own folders; nothing in them is ever reported.
        locked: Files on which this process holds POSIX locks, or will; those that are missing are looked for again.
        own_pids: This agent's processes, asked before each batch of events.
        clock: For the time of reading.
        block: Blocking mode: which openers are held, and how long even if this whole process stands still.
    """

    def __init__(
        self,
        *,
        excluded: Sequence[str],
        locked: Sequence[str] = (),
        own_pids: Callable[[], frozenset[int]],
        clock: Clock,
        block: BlockSettings = _BLOCK,
    ) -> None:
        self._excluded = tuple(os.path.realpath(path) for path in excluded)
        self._locked = tuple(locked)
        self._own_pids = own_pids
        self._clock = clock
        self._block = block
        self._session: _Session | None = None

    @property
    def name(self) -> str:
        """What `status` prints."""
        return "fanotify"

    def limitations(self) -> tuple[str, ...]:
        """What cannot be seen where we watch."""
        return tuple(self._session.limitations) if self._session else ()

    def issues(self) -> tuple[HealthIssue, ...]:
        """See the port; its limits are met or not when it is opened."""
        return ()

    def open(self, roots: Sequence[str], deliver: Callable[[SourceEvent], None]) -> None:
        """See the port."""
        assert self._session is None, "open once, close, then open again"
        resolved = resolve_roots(roots)
        contents, buffer_bytes = _contents_group()
        try:
            names = Group(InitFlag.CLASS_NOTIF | InitFlag.REPORT_DFID_NAME, 0)
        except OSError as failure:
            contents.close()
            raise not_permitted(str(failure.strerror)) from failure
        territory = Territory([root.path for root in resolved], self._excluded)
        session = _Session(
            loop=asyncio.get_running_loop(),
            deliver=deliver,
            roots=list(resolved),
            territory=territory,
            contents=contents,
            names=names,
            mount_watch=MountWatch(),
            pending=PendingNames(self._clock),
            buffer_bytes=buffer_bytes,
        )
        self._session = session
        try:
            self._spare_locks(session)
            self._mark(session, announce=False)
            for root in resolved:
                names.mark(root.path, EventMask.DELETE_SELF | EventMask.MOVE_SELF | EventMask.ONDIR, MarkScope.INODE)
        except OSError as failure:
            self.close()
            raise _mark_refused(failure) from failure
        session.loop.add_reader(contents.fileno(), self._read_contents)
        session.loop.add_reader(names.fileno(), self._names_wait, session)
        session.loop.add_reader(session.mount_watch.fileno(), self._mounts_changed)
        session.check = session.loop.call_later(ROOT_CHECK_S, self._check_again)

    def set_blocking(self, *, enabled: bool) -> None:
        """See the port."""
        session = self._session
        if session is None:
            return
        if not enabled:
            gate, session.gate = session.gate, None
            if gate is not None:
                gate.close()
        elif session.gate is None:
            roots = [root.path for root in session.roots]
            chosen = [os.path.realpath(folder) for folder in self._block.folders]
            session.gate = Gate(
                roots,
                [folder for folder in chosen if session.territory.reaches(folder)] if chosen else roots,
                self._excluded,
                block=self._block,
                own_pids=self._own_pids,
                clock=self._clock,
                deliver=session.deliver,
                died=lambda reason: session.deliver(SourceDied(self.name, reason)),
            )

    def answer(self, token: int, *, allow: bool) -> None:
        """See the port."""
        if self._session is not None and self._session.gate is not None:
            self._session.gate.answer(token, allow=allow)

    def remember_clean(self, descriptor: int, identity: FileIdentity) -> None:
        """See the port."""
        if self._session is not None and self._session.gate is not None:
            self._session.gate.remember_clean(descriptor, identity)

    def forget_clean(self) -> None:
        """See the port."""
        if self._session is not None and self._session.gate is not None:
            self._session.gate.forget_clean()

    def close(self) -> None:
        """See the port."""
        session, self._session = self._session, None
        if session is None:
            return
        if session.gate is not None:
            session.gate.close()
        if session.check is not None:
            session.check.cancel()
        session.pending.clear()
        for readable in (session.contents, session.names, session.mount_watch):
            session.loop.remove_reader(readable.fileno())
            readable.close()

    # ------------------------------------------------------------ contents: a descriptor per event

    def _read_contents(self) -> None:
        session, own = self._session, self._own_pids()
        for _ in range(CONTENT_READS_PER_TURN):
            if session is None or session is not self._session:
                return
            try:
                notices = session.contents.read(session.buffer_bytes)
            except OSError as failure:
                self._lost(session, f"an event could not be read: {failure.strerror}", failure.errno)
                continue
            if not notices:
                return
            for notice in notices:
                self._content(session, notice, own)

    def _content(self, session: _Session, notice: Notice, own: frozenset[int]) -> None:
        if notice.mask & EventMask.Q_OVERFLOW:
            self._lost(session, "the kernel's queue of file events overflowed", errno.ENOBUFS)
            return
        if notice.descriptor < 0:
            self._lost(session, f"a file could not be opened: {os.strerror(-notice.descriptor)}", -notice.descriptor)
            return
        event = self._located(session, notice, own)
        if event is None:
            os.close(notice.descriptor)
            return
        session.pending.written(event.identity, event.path)
        session.deliver(event)

    def _located(self, session: _Session, notice: Notice, own: frozenset[int]) -> FileEvent | None:
        status = os.fstat(notice.descriptor)
        if status.st_nlink == 0:
            return None  # it has no name any more: there is nothing to protect anybody from, and nothing to take
        path = _path_of(notice.descriptor)
        if notice.pid in own and not os.path.basename(path).startswith(SELF_TEST_PREFIX):  # noqa: PTH119 -- a string
            return None
        if not session.territory.covers(path) or not _is_at(path, status):
            # Reached through another mount, maybe of another mount namespace, where paths mean something else.
            through_ours = self._path_through_root(session, notice.descriptor, status.st_dev, path)
            if through_ours is None:
                return None
            path = through_ours
        seen = self._clock.monotonic_ns()
        kind = EventKind.CLOSED_AFTER_WRITE
        return FileEvent(identity_of(status), path, notice.descriptor, notice.pid, kind, None, seen)

    def _path_through_root(self, session: _Session, descriptor: int, device: int, path: str) -> str | None:
        """The path, as a root shows it, of a file that was reached by another mount (a bind mount, a container)."""
        anchor = session.devices.get(device)
        if anchor is None:
            return None
        try:
            handle, mount_id = handle_of(descriptor)
            if mount_id in session.marked:
                return path if session.territory.covers(path) else None
            with FolderOpener({}) as folders:
                opened = open_handle(folders.anchor(anchor), handle, os.O_PATH)
        except OSError:
            return None
        try:
            path = _path_of(opened)
        finally:
            os.close(opened)
        return path if session.territory.covers(path) else None

    # ------------------------------------------------------------ names: folder and name per event

    def _names_wait(self, session: _Session) -> None:
        """There is a name. Where openers are held new folders are to be known at once."""
        if session.gate is not None:
            self._read_names(session)
            return
        # A small file that somebody has created is closed by now, and that is what matters about it.
        self._read_contents()
        if session is not self._session:
            return
        session.loop.remove_reader(session.names.fileno())
        session.loop.call_later(NAMES_WAIT_S, self._names_have_waited, session)

    def _names_have_waited(self, session: _Session) -> None:
        if session is self._session:
            session.loop.add_reader(session.names.fileno(), self._names_wait, session)
            self._read_names(session)

    def _read_names(self, session: _Session) -> None:
        own = self._own_pids()
        with FolderOpener(session.anchors) as folders:
            for _ in range(NAME_READS_PER_TURN):
                if session is not self._session:
                    return
                try:
                    notices = session.names.read(NAME_BUFFER_BYTES)
                except OSError as failure:
                    self._lost(session, f"an event could not be read: {failure.strerror}", failure.errno)
                    continue
                if not notices:
                    return
                for notice in notices:
                    self._name(session, notice, own, folders)

    def _name(self, session: _Session, notice: Notice, own: frozenset[int], folders: FolderOpener) -> None:
        if notice.mask & EventMask.Q_OVERFLOW:
            self._lost(session, "the kernel's queue of file names overflowed", errno.ENOBUFS)
            return
        if notice.mask & (EventMask.DELETE_SELF | EventMask.MOVE_SELF):
            self._check_roots(session)
        if notice.entry is None or notice.pid in own:
            return
        if notice.mask & EventMask.ONDIR:
            self._folder(session, notice.mask, folders.path_of(notice.entry))
        elif notice.mask & EventMask.MOVED_TO:
            found = folders.look_up(notice.entry, session.territory, notice.pid, self._clock.monotonic_ns())
            if found is not None:
                session.deliver(found)
        elif notice.mask & EventMask.CREATE:
            first = session.pending.created(notice.entry, notice.pid)
            if first:
                session.loop.call_later(session.pending.wait_s, self._settle, session)

    def _folder(self, session: _Session, mask: int, path: str | None) -> None:
        """A new folder is empty, and what comes into it is seen anyway; one that was moved in brings its content."""
        if path is None or not session.territory.covers(path):
            return
        if session.gate is not None:
            session.gate.add_folder(path)
        if mask & EventMask.MOVED_TO:
            session.deliver(FolderAppeared(path))

    def _settle(self, session: _Session) -> None:
        if session is not self._session:
            return
        with FolderOpener(session.anchors) as folders:
            for event in session.pending.settled(folders, session.territory):
                session.deliver(event)
        if session.pending.waiting:
            session.loop.call_later(session.pending.wait_s, self._settle, session)

    # ------------------------------------------------------------ marks, mounts, roots

    def _mark(self, session: _Session, *, announce: bool) -> None:
        """Mark every mount that shows a part of a root and is not marked yet."""
        known = mounts()
        wanted = {mount_of(root.path, known) for root in session.roots}
        wanted |= {mount for mount in known if session.territory.reaches(mount.point)}
        for mount in wanted:
            if mount is None or mount.id in session.marked or not mount.holds_files:
                continue
            shown = [root.path for root in session.roots if mount_of(root.path, known) == mount]
            self._mark_mount(session, mount, shown[0] if shown else mount.point)
            session.marked.add(mount.id)
            if announce:
                session.deliver(FolderAppeared(mount.point))
        session.marked &= {mount.id for mount in known}

    def _spare_locks(self, session: _Session) -> None:
        flags = MarkFlag.ADD | MarkFlag.DONT_FOLLOW | MarkFlag.IGNORED_MASK | MarkFlag.IGNORED_SURVIVES
        for path in self._locked:
            with suppress(FileNotFoundError):
                session.contents.mark(path, EventMask.CLOSE_WRITE, MarkScope.INODE, flags)

    def _mark_mount(self, session: _Session, mount: Mount, anchor: str) -> None:
        try:
            session.contents.mark(anchor, EventMask.CLOSE_WRITE, MarkScope.FILESYSTEM)
        except OSError as failure:
            if failure.errno not in _CANNOT:
                raise
            session.contents.mark(anchor, EventMask.CLOSE_WRITE, MarkScope.MOUNT)
            limit = f"{printable(mount.point)} ({mount.file_system}): changes through other mounts are not seen at once"
            session.limitations[limit] = None
        try:
            mask = EventMask.MOVED_TO | EventMask.CREATE | EventMask.ONDIR
            session.names.mark(anchor, mask, MarkScope.FILESYSTEM)
            session.anchors[file_system_id(anchor)] = anchor
        except OSError as failure:
            if failure.errno not in _CANNOT:
                raise
            limit = f"{printable(mount.point)} ({mount.file_system}): moved-in and linked files are not seen at once"
            session.limitations[limit] = None
        session.devices[os.stat(anchor).st_dev] = anchor  # noqa: PTH116 -- a name of any bytes

    def _mounts_changed(self) -> None:
        session = self._session
        if session is None:
            return
        session.mount_watch.acknowledge()
        self._check_roots(session)
        try:
            self._mark(session, announce=True)
        except OSError as failure:
            self._lost(session, f"a new mount cannot be watched: {failure.strerror}", failure.errno)

    def _check_again(self) -> None:
        session = self._session
        if session is not None:
            self._check_roots(session)
            with suppress(OSError):
                self._spare_locks(session)
            session.check = session.loop.call_later(ROOT_CHECK_S, self._check_again)

    def _check_roots(self, session: _Session) -> None:
        for root in list(session.roots):
            reason = has_moved(root)
            if reason:
                session.roots.remove(root)
                session.territory = Territory([kept.path for kept in session.roots], self._excluded)
                session.deliver(RootLost(root.path, reason))

    def _lost(self, session: _Session, reason: str, number: int | None) -> None:
        if number not in _GONE:
            session.deliver(EventsLost(self.name, reason))


def _contents_group() -> tuple[Group, int]:
    """The group for contents, and how much to read at a time.

    A kernel that cannot report a failed open as an event hides it behind the events before it in the same buffer; so
    there we read one event at a time, and every failure is seen.
    """
    try:
        return Group(InitFlag.CLASS_NOTIF | InitFlag.REPORT_FD_ERROR, _EVENT_FLAGS), BUFFER_BYTES
    except OSError as failure:
        if failure.errno != errno.EINVAL:
            raise not_permitted(str(failure.strerror)) from failure
    try:
        return Group(InitFlag.CLASS_NOTIF, _EVENT_FLAGS), EVENT_SIZE
    except OSError as failure:
        raise not_permitted(str(failure.strerror)) from failure


def _mark_refused(failure: OSError) -> BucklerError:
    return too_many_marks() if failure.errno == errno.ENOSPC else not_permitted(str(failure.strerror))


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 -- a name of any bytes


def _is_at(path: str, status: os.stat_result) -> bool:
    """Whether a path leads, as this process sees it, to the file it is the path of."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)
