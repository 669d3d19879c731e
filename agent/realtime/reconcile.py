"""Finding what no event told us: after a start, after lost events, in folders that were moved in.

The *life sign* is the instant up to which everything was looked at. It is stored, and moves only while nothing waits;
so after a crash, a walk for files changed since then (less a margin) finds all that was missed. While a walk is owed or
running, protection is degraded and says why.
"""

import asyncio
import errno
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Protocol

from agent.domain.files import EventKind, FileEvent
from agent.domain.health import HealthIssue
from agent.domain.ports import Clock, Store
from agent.platform.files.regular_files import open_regular
from agent.realtime.settings import RealtimeSettings
from agent.realtime.territory import Territory, printable
from agent.realtime.walk import WalkReport, changed_files

LIFE_SIGN = "realtime.alive_at_us"
#: The roots it holds for.
LIFE_SIGN_ROOTS = "realtime.alive_roots"
#: Paths fetched from the walking thread at a time.
_BATCH = 128


class Intake(Protocol):
    """Where found files go."""

    def hand_in(self, event: FileEvent) -> None:
        """Take a file; its descriptor goes with it."""

    async def room(self) -> None:
        """Wait until more files may be handed in."""

    async def drained(self) -> None:
        """Wait until everything handed in has been worked on."""


class Reconciler:
    """Owes, and pays, walks.

    Args:
        settings: Margins and pauses.
        store: Keeps the life sign.
        clock: For the life sign.
        intake: Receives the files.
        territory: What is watched now; asked at each walk.
        not_storage: Folders that only look like storage (`/proc` and its like); asked at each walk.
    """

    def __init__(
        self,
        settings: RealtimeSettings,
        *,
        store: Store,
        clock: Clock,
        intake: Intake,
        territory: Callable[[], Territory],
        not_storage: Callable[[], frozenset[str]],
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._intake = intake
        self._territory = territory
        self._not_storage = not_storage
        self._owed: dict[str, None] = {}
        self._paying: tuple[str, ...] = ()
        self._folders: dict[str, None] = {}
        self._walking: tuple[str, ...] = ()
        self._wake = asyncio.Event()
        self._since_ns: int | None = None
        self._report = WalkReport()

    # ------------------------------------------------------------ what others may know

    @property
    def idle(self) -> bool:
        """No walk is owed or running."""
        return not (self._owed or self._paying or self._folders or self._walking)

    def reasons(self) -> tuple[str, ...]:
        """Why protection is degraded."""
        folders = ("a folder was moved in",) if self._folders or self._walking else ()
        return tuple(dict.fromkeys(self._paying + tuple(self._owed) + folders))

    def issues(self) -> tuple[HealthIssue, ...]:
        """What the last walk of the roots could not read, although it may."""
        return tuple(
            HealthIssue("not_readable", f"{printable(path)} cannot be looked at: {reason}")
            for path, reason in self._report.broken.items()
        )

    def limitations(self) -> tuple[str, ...]:
        """What the last walk of the roots was not allowed to read."""
        if not self._report.closed:
            return ()
        example = printable(self._report.closed_example)
        return (f"{self._report.closed} files or folders are closed to this agent, e.g. {example}",)

    # ------------------------------------------------------------ what others may ask for

    def owe(self, reason: str) -> None:
        """Walk all roots, soon."""
        self._owed[reason] = None
        self._wake.set()

    def owe_folder(self, path: str) -> None:
        """Walk one folder completely, soon."""
        if not any(path == known or path.startswith(known + "/") for known in self._folders):
            self._folders[path] = None
        self._wake.set()

    # ------------------------------------------------------------ life sign

    def load_life_sign(self) -> None:
        """Find out since when files have to be looked at; to be called once the roots are known.

        A clock that was set back means: look at everything. So does a root that was not watched then, for itself.
        """
        with self._store.transaction() as tables:
            stored, roots = tables.settings.get(LIFE_SIGN), tables.settings.get(LIFE_SIGN_ROOTS)
        now_us = _microseconds(self._clock.now())
        if stored is None or int(stored) > now_us:
            self._since_ns = None
            return
        self._since_ns = int(stored) * 1000 - int(self._settings.margin_s * 1e9)
        known = set(json.loads(roots or "[]"))
        for root in self._territory().roots:
            if root not in known:
                self.owe_folder(root)

    async def give_life_sign(self) -> None:
        """Note that everything up to now was looked at. Only to be called while nothing waits anywhere."""
        now_us = _microseconds(self._clock.now())
        await asyncio.to_thread(self._store_life_sign, now_us, self._territory().roots)
        self._since_ns = now_us * 1000 - int(self._settings.margin_s * 1e9)

    def _store_life_sign(self, now_us: int, roots: tuple[str, ...]) -> None:
        with self._store.transaction() as tables:
            tables.settings.put(LIFE_SIGN, str(now_us))
            tables.settings.put(LIFE_SIGN_ROOTS, json.dumps(roots))

    # ------------------------------------------------------------ walking

    async def run(self) -> None:
        """Pay what is owed, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._walk_folders()
            if self._owed:
                await self._walk_roots()
                await asyncio.sleep(self._settings.reconcile_pause_s)

    async def _walk_folders(self) -> None:
        while self._folders:
            self._walking = tuple(self._folders)
            self._folders.clear()
            report = WalkReport()
            for folder in self._walking:
                await self._hand_in_all(self._walk(folder, None, report), report)
            self._walking = ()

    async def _walk_roots(self) -> None:
        self._paying = tuple(self._owed)
        self._owed.clear()
        report = WalkReport()
        for root in self._territory().roots:
            await self._hand_in_all(self._walk(root, self._since_ns, report), report)
        await self._intake.drained()
        self._report = report
        self._paying = ()

    def _walk(self, top: str, since_ns: int | None, report: WalkReport) -> Iterator[str]:
        territory, not_storage = self._territory(), self._not_storage()
        return changed_files(
            top, since_ns, skip=lambda path: path in not_storage or territory.excludes(path), report=report
        )

    async def _hand_in_all(self, found: Iterator[str], report: WalkReport) -> None:
        while True:
            batch = await asyncio.to_thread(lambda: list(itertools.islice(found, _BATCH)))
            if not batch:
                return
            for path in batch:
                await self._intake.room()
                self._hand_in(path, report)

    def _hand_in(self, path: str, report: WalkReport) -> None:
        try:
            opened = open_regular(path)
        except OSError as failure:
            if failure.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
                self.owe("files could not be opened for lack of resources")
            else:
                report.note(path, failure)
            return
        if opened is not None:
            seen = self._clock.monotonic_ns()
            self._intake.hand_in(
                FileEvent(opened.identity, path, opened.descriptor, 0, EventKind.RECONCILED, None, seen)
            )


def _microseconds(instant: datetime) -> int:
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
