"""Finding what no event told us: after a start, after lost events, in folders that were moved in.

The *life sign* is the instant up to which everything was looked at, and what was open for writing then. It is stored,
and moves only while nothing waits; so after a crash, a walk for files changed since then (less a margin) or held open
then finds all that was missed. While a walk is owed or running, protection is degraded and says why.
"""

import asyncio
import errno
import itertools
from collections.abc import Callable, Iterator
from typing import Protocol

from agent.domain.files import EventKind, FileEvent
from agent.domain.health import HealthIssue
from agent.domain.ports import Clock
from agent.platform.files.regular_files import open_regular
from agent.realtime.life_sign import LifeSign, LifeSigns
from agent.realtime.settings import RealtimeSettings
from agent.realtime.territory import Territory, printable
from agent.realtime.walk import WalkReport, changed_files

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
        life_signs: Tell since when.
        clock: When files are seen.
        intake: Receives the files.
        territory: What is watched now; asked at each walk.
        not_storage: Folders that only look like storage (`/proc` and its like); asked at each walk.
    """

    def __init__(
        self,
        settings: RealtimeSettings,
        *,
        life_signs: LifeSigns,
        clock: Clock,
        intake: Intake,
        territory: Callable[[], Territory],
        not_storage: Callable[[], frozenset[str]],
    ) -> None:
        self._settings = settings
        self._life_signs = life_signs
        self._clock = clock
        self._intake = intake
        self._territory = territory
        self._not_storage = not_storage
        self._owed: dict[str, None] = {}
        self._paying: tuple[str, ...] = ()
        self._folders: dict[str, None] = {}
        self._walking: tuple[str, ...] = ()
        self._wake = asyncio.Event()
        self._sign: LifeSign | None = None
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
        """What the last walk of the roots was not allowed to read, and what no walk can know here."""
        of_life_signs = self._life_signs.limitations()
        if not self._report.closed:
            return of_life_signs
        example = printable(self._report.closed_example)
        return (f"{self._report.closed} files or folders are closed to this agent, e.g. {example}", *of_life_signs)

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

        Without a life sign, everything is looked at. So is a root that was not watched then.
        """
        self._sign = self._life_signs.last()
        if self._sign is not None:
            for root in self._territory().roots:
                if root not in self._sign.roots:
                    self.owe_folder(root)

    @property
    def life_sign_pause_s(self) -> float:
        """How long to wait for the next one at least, in seconds: a machine with many open files is not kept busy."""
        return self._life_signs.pause_s

    async def take_life_sign(self) -> LifeSign | None:
        """Prepare what can be kept if nothing waits, and nothing comes meanwhile; None: nothing can be kept."""
        return await self._life_signs.take(self._territory().roots)

    async def keep_life_sign(self, sign: LifeSign) -> None:
        """Note that everything up to then was looked at."""
        await self._life_signs.keep(sign)
        self._sign = sign

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
            await self._hand_in_all(self._walk(root, self._sign, report), report)
        await self._intake.drained()
        self._report = report
        self._paying = ()

    def _walk(self, top: str, since: LifeSign | None, report: WalkReport) -> Iterator[str]:
        territory, not_storage = self._territory(), self._not_storage()
        return changed_files(
            top,
            None if since is None else since.at_us * 1000 - int(self._settings.margin_s * 1e9),
            held_open=frozenset() if since is None else since.held_open,
            skip=lambda path: path in not_storage or territory.excludes(path),
            report=report,
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
