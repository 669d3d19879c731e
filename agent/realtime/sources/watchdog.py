"""File events through the watchdog library: macOS, Windows, and Linux without root.

The library loses events without a word, so this file listens to what it does not pass on: the kernel's overflow
notice, folders that could not be watched, threads that ended. Each becomes `EventsLost` or `SourceDied`.

Its threads only note *names*; files are opened on the event loop, a few at a time, so that a burst costs memory for
names and never descriptors. A creation or a modification waits a moment for the end of the writing it usually begins.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

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
from agent.platform.files.regular_files import open_regular
from agent.platform.mountinfo import MountWatch, mounts
from agent.realtime.inotify_limits import InotifyUsage, inotify_issues
from agent.realtime.refusals import blocking_unavailable, too_many_watches
from agent.realtime.roots import Root, has_moved, resolve_roots
from agent.realtime.territory import Territory

#: How long a creation waits for the write that usually follows; where the end of a write is not told, how long a
#: modified file is left alone first. Seconds.
SETTLE_S = 0.25
#: Names waiting to be opened; beyond that events count as lost.
MAX_NAMES = 100_000
#: Files opened per turn of the event loop.
OPENED_PER_TURN = 64
#: How often threads and roots are checked, in seconds.
CHECK_S = 1.0

_LINUX: bool = sys.platform.startswith("linux")
_LIMITATIONS = (
    "changes through other mounts, hard links elsewhere and memory maps are not seen at once"
    if _LINUX
    else "lost events are only found by the regular walk: this system does not tell of them",
)
_FILES: list[type[FileSystemEvent]] = [FileClosedEvent, FileCreatedEvent, FileMovedEvent]
#: Asked for so that folders that come later are watched; the library itself reports what is in them.
_FOLDERS: list[type[FileSystemEvent]] = [DirCreatedEvent, DirMovedEvent]

log = structlog.get_logger(__name__)


class _Notebook(FileSystemEventHandler):
    """Where the library's threads leave what they have to tell; the event loop takes it from here.

    Args:
        wake: Called, on their thread, when the first entry is made.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._names: list[tuple[type[FileSystemEvent], str]] = []
        self._lost: dict[str, None] = {}

    def dispatch(self, event: FileSystemEvent) -> None:
        """The library's entry point."""
        name = event.dest_path if isinstance(event, FileMovedEvent) else event.src_path
        with self._lock:
            first = not self._names and not self._lost
            if len(self._names) < MAX_NAMES:
                self._names.append((type(event), os.fsdecode(name)))
            else:
                self._lost["more files changed than can be remembered"] = None
        if first:
            self._wake()

    def lose(self, reason: str) -> None:
        """Something is missing."""
        with self._lock:
            first = not self._names and not self._lost
            self._lost[reason] = None
        if first:
            self._wake()

    def take(self) -> tuple[list[tuple[type[FileSystemEvent], str]], list[str]]:
        """Everything noted since the last time."""
        with self._lock:
            names, self._names = self._names, []
            lost, self._lost = list(self._lost), {}
        return names, lost


@dataclass(slots=True)
class _Session:
    """Everything that exists between `open` and `close`."""

    loop: asyncio.AbstractEventLoop
    deliver: Callable[[SourceEvent], None]
    roots: list[Root]
    territory: Territory
    notebook: _Notebook
    observer: BaseObserver
    mount_watch: MountWatch | None = None
    #: Ids of the mounts that were there when it was last looked.
    mounted: frozenset[int] = frozenset()
    #: Names to open now; names to open at a time of the event loop. Oldest first.
    ready: dict[str, EventKind] = field(default_factory=dict)
    settling: dict[str, tuple[float, EventKind]] = field(default_factory=dict)
    opening: bool = False
    settle_timer: asyncio.TimerHandle | None = None
    check_timer: asyncio.TimerHandle | None = None


class WatchdogSource:
    """See the module; implements `agent.domain.ports.EventSource`.

    Args:
        excluded: Our own folders; nothing in them is ever reported.
        clock: For the time of reading.
    """

    def __init__(self, *, excluded: Sequence[str], clock: Clock) -> None:
        self._excluded = tuple(os.path.realpath(path) for path in excluded)
        self._clock = clock
        self._session: _Session | None = None

    @property
    def name(self) -> str:
        """What `status` prints."""
        return "watchdog"

    def limitations(self) -> tuple[str, ...]:
        """What cannot be seen where we watch."""
        return _LIMITATIONS if self._session else ()

    def issues(self) -> tuple[HealthIssue, ...]:
        """See the port: limits of the kernel that are too low for what is watched here."""
        return inotify_issues(_usage(self._session.observer)) if self._session and _LINUX else ()

    def open(self, roots: Sequence[str], deliver: Callable[[SourceEvent], None]) -> None:
        """See the port."""
        assert self._session is None, "open once, close, then open again"
        resolved = resolve_roots(roots)
        loop = asyncio.get_running_loop()
        notebook = _Notebook(lambda: _call(loop, self._drain))
        observer = _observer(notebook)
        territory = Territory([root.path for root in resolved], self._excluded)
        try:
            observer.start()
            for root in resolved:
                _schedule(observer, notebook, root.path)
            _, lost = notebook.take()
            if lost:
                raise _limit(lost[0], resolved)
        except (OSError, BucklerError) as failure:
            observer.stop()
            raise failure if isinstance(failure, BucklerError) else _limit(str(failure.strerror), resolved) from failure
        session = _Session(loop, deliver, list(resolved), territory, notebook, observer)
        self._session = session
        if _LINUX:
            session.mount_watch, session.mounted = MountWatch(), frozenset(mount.id for mount in mounts())
            loop.add_reader(session.mount_watch.fileno(), self._mounts_changed)
            usage = _usage(observer)
            log.info("folders_watched", watches=usage.watches, allowed=usage.allowed, queued=usage.queued)
        session.check_timer = loop.call_later(CHECK_S, self._check, session)

    def set_blocking(self, *, enabled: bool) -> None:
        """See the port."""
        if enabled:
            raise blocking_unavailable("that needs fanotify, so Linux and root")

    def answer(self, token: int, *, allow: bool) -> None:
        """See the port; nobody is ever held here."""

    def remember_clean(self, descriptor: int, identity: FileIdentity) -> None:
        """See the port; nobody is ever held here."""

    def forget_clean(self) -> None:
        """See the port; nothing is remembered here."""

    def close(self) -> None:
        """See the port."""
        session, self._session = self._session, None
        if session is None:
            return
        for timer in (session.settle_timer, session.check_timer):
            if timer is not None:
                timer.cancel()
        if session.mount_watch is not None:
            session.loop.remove_reader(session.mount_watch.fileno())
            session.mount_watch.close()
        session.observer.stop()
        session.observer.join(timeout=CHECK_S)

    # ------------------------------------------------------------ from names to open files

    def _drain(self) -> None:
        session = self._session
        if session is None:
            return
        names, lost = session.notebook.take()
        due = session.loop.time() + SETTLE_S
        for kind, path in names:
            if not session.territory.covers(path):
                continue
            if kind is FileClosedEvent:
                session.settling.pop(path, None)
                session.ready[path] = EventKind.CLOSED_AFTER_WRITE
            elif kind is FileMovedEvent:
                session.ready.setdefault(path, EventKind.APPEARED)
            elif kind is FileCreatedEvent:
                session.settling.setdefault(path, (due, EventKind.APPEARED))
            elif kind is FileModifiedEvent:
                session.settling[path] = (session.settling.get(path, (due,))[0], EventKind.CLOSED_AFTER_WRITE)
        self._arrange(session)
        for reason in lost:
            session.deliver(EventsLost(self.name, reason))

    def _arrange(self, session: _Session) -> None:
        if session.ready and not session.opening:
            session.opening = True
            session.loop.call_soon(self._open_some, session)
        if session.settling and session.settle_timer is None:
            session.settle_timer = session.loop.call_later(SETTLE_S, self._settle, session)

    def _settle(self, session: _Session) -> None:
        session.settle_timer = None
        now = session.loop.time()
        due = [path for path, (at, _) in session.settling.items() if at <= now]
        for path in due:
            session.ready.setdefault(path, session.settling.pop(path)[1])
        self._arrange(session)

    def _open_some(self, session: _Session) -> None:
        session.opening = False
        if session is not self._session:
            return
        for path in list(session.ready)[:OPENED_PER_TURN]:
            self._hand_over(session, path, session.ready.pop(path))
        self._arrange(session)

    def _hand_over(self, session: _Session, path: str, kind: EventKind) -> None:
        try:
            opened = open_regular(path)
        except PermissionError:
            return  # its owner keeps it from us; the walk counts such files among the limitations
        except OSError as failure:
            session.deliver(EventsLost(self.name, f"a changed file could not be opened: {failure.strerror}"))
            return
        if opened is None:
            return
        if kind is EventKind.APPEARED and opened.identity.size_bytes == 0:
            os.close(opened.descriptor)  # nothing in it yet; what will be written is told when it has been
            return
        seen = self._clock.monotonic_ns()
        session.deliver(FileEvent(opened.identity, path, opened.descriptor, 0, kind, None, seen))

    # ------------------------------------------------------------ file systems that are mounted below a root

    def _mounts_changed(self) -> None:
        """What is mounted over a watched folder hides it, and is watched by nobody."""
        session = self._session
        if session is None or session.mount_watch is None:
            return
        session.mount_watch.acknowledge()
        known = mounts()
        new = [mount for mount in known if mount.id not in session.mounted and mount.holds_files]
        session.mounted = frozenset(mount.id for mount in known)
        for point in (mount.point for mount in new if session.territory.covers(mount.point)):
            try:
                _schedule(session.observer, session.notebook, point)
            except OSError as failure:
                session.deliver(EventsLost(self.name, f"a new mount cannot be watched: {failure.strerror}"))
            session.deliver(FolderAppeared(point))

    # ------------------------------------------------------------ is everybody still there?

    def _check(self, session: _Session) -> None:
        if session is not self._session:
            return
        for root in list(session.roots):
            reason = has_moved(root)
            if reason:
                session.roots.remove(root)
                session.territory = Territory([kept.path for kept in session.roots], self._excluded)
                session.deliver(RootLost(root.path, reason))
        if session is not self._session:
            return  # whoever received that has closed us
        if not _healthy(session.observer):
            session.deliver(SourceDied(self.name, "a thread that reads file events has ended"))
            return
        session.check_timer = session.loop.call_later(CHECK_S, self._check, session)


def _observer(notebook: _Notebook) -> BaseObserver:
    if not _LINUX:
        return Observer()
    from agent.platform.inotify_observer import AttentiveInotifyObserver

    try:
        return AttentiveInotifyObserver(notebook.lose)
    except OSError as failure:
        raise _limit(str(failure.strerror)) from failure


def _healthy(observer: BaseObserver) -> bool:
    return (
        observer.is_alive()
        and all(emitter.is_alive() for emitter in observer.emitters)
        and (not _LINUX or bool(getattr(observer, "healthy", True)))
    )


def _schedule(observer: BaseObserver, notebook: _Notebook, folder: str) -> None:
    wanted = _FILES + _FOLDERS + ([] if _LINUX else [FileModifiedEvent])
    observer.schedule(notebook, folder, recursive=True, event_filter=wanted)


def _usage(observer: BaseObserver) -> InotifyUsage:
    from agent.platform.inotify_observer import AttentiveInotifyObserver, events_queued, watches_allowed

    assert isinstance(observer, AttentiveInotifyObserver)
    return InotifyUsage(observer.watches, observer.refused, watches_allowed(), events_queued())


def _limit(reason: str, roots: Sequence[Root] = ()) -> BucklerError:
    if not _LINUX:
        return too_many_watches(reason, None, None)
    from agent.platform.inotify_observer import watches_allowed

    needed = sum(1 for root in roots for _ in os.walk(root.path))
    return too_many_watches(reason, watches_allowed(), needed)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """From another thread; a loop that has ended needs no news."""
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:
        if not loop.is_closed():
            raise
