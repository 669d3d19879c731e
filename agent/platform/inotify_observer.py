"""The watchdog library's inotify observer, made to say what it would keep to itself (Linux).

It swallows three things: that the kernel's queue overflowed, that a folder could not be watched, and that a thread of
its own ended. Written against watchdog 7.1, whose inotify thread is one object that can be replaced.
"""

import errno
from collections.abc import Callable
from pathlib import Path

from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import CallbackId, InotifyEvent, InotifyFD, Mask, WatchCallback, WatchDescriptor
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

#: How long the library keeps everything waiting for the other half of a rename, in seconds. The kernel writes both
#: halves together; the library's half second would delay every event behind a file that leaves, as into our vault.
_RENAME_HALVES_S = 0.02
_LIMITS = Path("/proc/sys/fs/inotify")
#: A folder that is gone, or closed to us, is nothing that was lost.
_HARMLESS = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP}


class AttentiveInotifyObserver(BaseObserver):
    """Tells `lost` on a thread of its own, with a sentence, when events were or will be missing.

    Raises:
        OSError: `EMFILE`: no inotify instance is left for this user.
    """

    def __init__(self, lost: Callable[[str], None]) -> None:
        InotifyMoveEventGrouper.delay = _RENAME_HALVES_S
        self._inotify = _AttentiveInotify(lost)
        self._inotify.start()
        super().__init__(InotifyEmitter, inotify_fd=self._inotify)

    @property
    def watches(self) -> int:
        """How many folders are watched."""
        return self._inotify.watches

    @property
    def refused(self) -> int:
        """How many folders should be watched and are not."""
        return self._inotify.refused

    @property
    def healthy(self) -> bool:
        """All threads are alive."""
        return self.is_alive() and self._inotify.is_alive() and all(emitter.is_alive() for emitter in self.emitters)

    def on_thread_stop(self) -> None:
        """Called by the library when the observer is told to stop."""
        super().on_thread_stop()
        self._inotify.stop()
        self._inotify.join()


class _AttentiveInotify(InotifyFD):
    def __init__(self, lost: Callable[[str], None]) -> None:
        super().__init__()
        self._lost = lost
        self.refused = 0

    @property
    def watches(self) -> int:
        return len(self._watch_for_wd)

    def handle_event(self, event: InotifyEvent) -> None:
        """On overflow the library first watches again what it lost sight of; a walk makes sense only after that."""
        super().handle_event(event)
        if event.is_queue_overflow:
            self._lost("the kernel's queue of file events overflowed")

    def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        try:
            return super().add_callback(path, mask, callback, id_)
        except OSError as failure:
            if failure.errno not in _HARMLESS:
                self.refused += 1
                self._lost(f"a folder cannot be watched: {failure.strerror}")
            raise

    def _add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        """As the library's, without its warning when a folder is watched already.

        That happens whenever nested folders are made quickly, and the warning prints every watch there is.
        """
        watch = self._get_or_create_watch(path, mask)
        watch.callbacks[id_] = callback
        return watch.wd


def watches_allowed() -> int | None:
    """How many folders this user may watch; None: unknown."""
    return _limit("max_user_watches")


def events_queued() -> int | None:
    """How many events the kernel keeps for a reader that is late; None: unknown."""
    return _limit("max_queued_events")


def _limit(name: str) -> int | None:
    try:
        return int((_LIMITS / name).read_text("ascii"))
    except (OSError, ValueError):
        return None
