"""Scheduled scans as a whole: begins what is due, stops what may not go on, remembers both across restarts."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from typing import Protocol

import structlog

from agent.domain.entitlement import Access, Feature
from agent.domain.errors import BucklerError
from agent.domain.files import FileIdentity
from agent.domain.policy import Policy
from agent.domain.ports import Clock, Randomness, Scanner, Store
from agent.domain.schedule import ScanKind, finished_setting, next_due, sound_baseline
from agent.platform.processes.cpu_time import CpuTime
from agent.scanner.cache import ScanCache
from agent.scanner.consequences import Consequences
from agent.scanner.scheduled.agenda import (
    PAUSED,
    UNFINISHED,
    Hold,
    ScanCounts,
    Unfinished,
    baseline_setting,
    held_by,
    next_scan,
)
from agent.scanner.scheduled.scan import BackgroundScan, Ground, ScanParts
from agent.scanner.scheduled.settings import ScheduleSettings
from agent.scanner.walk.pacing import CpuBudget, Pace

log = structlog.get_logger(__name__)
#: Where a scan stands is written this often; what a crash forgets of it are counts.
_NOTE_EVERY_NS = 30_000_000_000


class OwnScanner(Scanner, Protocol):
    """A scanner that only scheduled scans use."""

    async def start(self) -> None:
        """See `agent.scanner.workers.service.ScannerService.start`."""

    async def close(self) -> None:
        """See `agent.scanner.workers.service.ScannerService.close`."""

    def process_ids(self) -> frozenset[int]:
        """Its processes."""

    def work_under_way(self) -> dict[int, str]:
        """See `agent.scanner.workers.service.ScannerService.work_under_way`."""

    def restart_worker(self, pid: int, reason: str) -> bool:
        """See `agent.scanner.workers.service.ScannerService.restart_worker`."""


@dataclass(frozen=True, slots=True)
class ScheduleParts:
    """What scheduled scans are made of.

    Attributes:
        open_scanner: Makes a scanner, not yet started.
        began: Given each such scanner once it has started.
        open_cache: Opens what is known to be clean.
        ground: What a scan of a kind walks; waits for the file system.
        consequences: What follows from a verdict.
        policy: In force.
        access: What the entitlement allows now.
        on_battery: Whether the machine lives on its battery.
        is_own_test: Whether a file is a self-test of this agent.
        zone: Where the device is.
    """

    open_scanner: Callable[[], OwnScanner]
    began: Callable[[OwnScanner], None]
    open_cache: Callable[[], AbstractContextManager[ScanCache | None]]
    ground: Callable[[ScanKind], Ground]
    consequences: Consequences
    policy: Callable[[], Policy]
    access: Callable[[], Access]
    on_battery: Callable[[], bool]
    is_own_test: Callable[[FileIdentity], bool]
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """What to tell about scheduled scans now.

    Attributes:
        running: A scan is being done at this moment.
        unfinished: It, or the one that will go on; None: there is none.
        hold: What keeps scans from running; None: nothing does.
        due: When each kind is due next.
    """

    running: bool
    unfinished: Unfinished | None
    hold: Hold | None
    due: dict[ScanKind, datetime]


class ScheduledScans:
    """See the module. All methods are called on the event loop's thread.

    Args:
        settings: When, and how gently.
        parts: With what.
        store: Remembers.
        clock: Time.
        randomness: Jitter.
    """

    def __init__(
        self, settings: ScheduleSettings, parts: ScheduleParts, store: Store, clock: Clock, randomness: Randomness
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._jitter = settings.jitter * randomness.uniform(0.0, 1.0)
        self._wake = asyncio.Event()
        self._running: Unfinished | None = None
        self._scanner: OwnScanner | None = None
        self._unavailable = False
        self._cancelled = False
        self._battery = False
        self._looked_at_ns: int | None = None
        self._noted_at_ns = 0
        with store.transaction() as tables:
            begun = Unfinished.from_setting(tables.settings.get(UNFINISHED))
            self._paused = bool(tables.settings.get(PAUSED))
            self._baselines = {
                kind: _instant(tables.settings.get(baseline_setting(kind))) for kind in settings.schedules
            }
        # What was begun under another configuration is not finished against the present one.
        self._unfinished = begun if begun is not None and begun.kind in settings.schedules else None

    # ------------------------------------------------------------ what others may know and ask for

    def state(self) -> ScheduleState:
        """How it stands."""
        return ScheduleState(
            running=self._running is not None,
            unfinished=self._running or self._unfinished,
            hold=self._hold(),
            due=self._due(self._clock.now()),
        )

    @property
    def settings(self) -> ScheduleSettings:
        """When, and how gently."""
        return self._settings

    def reconfigure(self, settings: ScheduleSettings) -> None:
        """Go by another schedule; a scan that has begun is finished if its kind is still scanned at all."""
        share = self._jitter / self._settings.jitter if self._settings.jitter else self._randomness.uniform(0.0, 1.0)
        self._settings, self._jitter = settings, settings.jitter * share
        with self._store.transaction() as tables:
            self._baselines = {
                kind: _instant(tables.settings.get(baseline_setting(kind))) for kind in settings.schedules
            }
        if self._unfinished is not None and self._unfinished.kind not in settings.schedules:
            self.cancel()
        self._wake.set()

    def process_ids(self) -> frozenset[int]:
        """Processes of the scan that is running."""
        return frozenset() if self._scanner is None else self._scanner.process_ids()

    def pause(self) -> None:
        """Scan nothing until `resume`, restarts included; a scan that runs stops after its file."""
        self._set_paused(paused=True)

    def resume(self) -> None:
        """Go on."""
        self._set_paused(paused=False)

    def cancel(self) -> bool:
        """Give up what was begun; its kind is due again at its next time. False: there is nothing to give up."""
        if self._running is None and self._unfinished is None:
            return False
        if self._running is None:
            self._forget()
        else:
            self._cancelled = True
        self._wake.set()
        return True

    # ------------------------------------------------------------ the loop

    async def run(self) -> None:
        """Scan what is due, until cancelled."""
        await asyncio.sleep(self._settings.settle_s)
        while True:
            self._wake.clear()
            self._look()
            self._correct_baselines()
            kind = next_scan(self._unfinished, self._due(self._clock.now()), self._clock.now())
            if kind is not None and self._hold() is None:
                await self._scan(kind)
            # With nothing scheduled nothing can become due, and an idle machine stays idle.
            patience_s = self._settings.look_every_s if self._settings.schedules else None
            # Not `wait_for`: in Python 3.11 that forgets a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._wake.wait()

    async def _scan(self, kind: ScanKind) -> None:
        scan = self._begin(kind)
        log.info("scheduled_scan_begins", kind=kind.value, stops=scan.stops)
        finished = False
        try:
            finished = await self._walk(kind)
        except BucklerError as error:
            log.error("scheduled_scan_unavailable", code=error.code, message=error.message)  # noqa: TRY400 -- expected
            self._unavailable = True
        finally:
            self._end(finished=finished)

    async def _walk(self, kind: ScanKind) -> bool:
        ground = await asyncio.to_thread(self._parts.ground, kind)
        scanner = self._scanner = self._parts.open_scanner()
        try:
            await scanner.start()
            self._parts.began(scanner)
            with self._parts.open_cache() as cache:
                return await BackgroundScan(ground, self._scan_parts(scanner, cache)).run()
        finally:
            await scanner.close()
            self._scanner = None

    def _scan_parts(self, scanner: OwnScanner, cache: ScanCache | None) -> ScanParts:
        cpu = CpuTime()
        pace = Pace(
            CpuBudget(self._settings.cpu_percent),
            lambda: cpu.seconds(scanner.process_ids()),
            self._clock,
            goes_on=self._goes_on,
        )
        return ScanParts(
            scanner=scanner,
            cache=cache,
            pace=pace,
            consequences=self._parts.consequences,
            clock=self._clock,
            policy=self._parts.policy,
            is_own_test=self._parts.is_own_test,
            goes_on=self._goes_on,
            tell=self._note,
        )

    def _goes_on(self) -> bool:
        self._look()
        return not self._cancelled and self._hold() is None

    def _hold(self) -> Hold | None:
        hold = held_by(
            entitled=self._parts.access().allows(Feature.SCHEDULED_SCANS),
            paused=self._paused,
            on_battery=self._settings.pause_on_battery and self._battery,
        )
        return hold or (Hold.UNAVAILABLE if self._unavailable else None)

    def _look(self) -> None:
        """Ask for what takes a while to find out, now and then."""
        now_ns = self._clock.monotonic_ns()
        if self._looked_at_ns is None or now_ns - self._looked_at_ns >= self._settings.look_every_s * 1_000_000_000:
            self._looked_at_ns = now_ns
            self._battery = self._parts.on_battery()
            # Whatever kept the scanner from starting may be over.
            self._unavailable = self._unavailable and self._running is not None

    # ------------------------------------------------------------ what is due

    def _due(self, now: datetime) -> dict[ScanKind, datetime]:
        return {
            kind: next_due(schedule, sound_baseline(self._baselines[kind], now), self._parts.zone, self._jitter)
            for kind, schedule in self._settings.schedules.items()
        }

    def _correct_baselines(self) -> None:
        now = self._clock.now()
        sound = {kind: sound_baseline(baseline, now) for kind, baseline in self._baselines.items()}
        if sound != self._baselines:
            self._baselines = dict(sound)
            with self._store.transaction() as tables:
                for kind, baseline in sound.items():
                    tables.settings.put(baseline_setting(kind), baseline.isoformat())

    # ------------------------------------------------------------ what is remembered

    def _begin(self, kind: ScanKind) -> Unfinished:
        now = self._clock.now()
        going_on = self._unfinished is not None
        scan = self._unfinished.going_on() if self._unfinished is not None else Unfinished(kind, now)
        self._running, self._unfinished, self._cancelled = scan, scan, False
        if not going_on:
            self._baselines[kind] = now
        with self._store.transaction() as tables:
            tables.settings.put(UNFINISHED, scan.to_setting())
            if not going_on:
                tables.settings.put(baseline_setting(kind), now.isoformat())
        return scan

    def _note(self, walk: ScanCounts) -> None:
        assert self._unfinished is not None, "only a scan that runs has something to tell"
        self._running = self._unfinished.with_walk(walk)
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._noted_at_ns >= _NOTE_EVERY_NS:
            self._noted_at_ns = now_ns
            with self._store.transaction() as tables:
                tables.settings.put(UNFINISHED, self._running.to_setting())

    def _end(self, *, finished: bool) -> None:
        scan = self._running
        assert scan is not None, "only a scan that runs can end"
        self._running = None
        if finished:
            log.info("scheduled_scan_finished", kind=scan.kind.value, **asdict(scan.counts))
            self._unfinished = None
            with self._store.transaction() as tables:
                tables.settings.put(UNFINISHED, "")
                tables.settings.put(finished_setting(scan.kind), self._clock.now().isoformat())
        elif self._cancelled:
            log.info("scheduled_scan_cancelled", kind=scan.kind.value, **asdict(scan.counts))
            self._forget()
        else:
            log.info("scheduled_scan_stopped", kind=scan.kind.value, **asdict(scan.counts))
            self._unfinished = scan
            with self._store.transaction() as tables:
                tables.settings.put(UNFINISHED, scan.to_setting())

    def _forget(self) -> None:
        self._unfinished, self._cancelled = None, False
        with self._store.transaction() as tables:
            tables.settings.put(UNFINISHED, "")

    def _set_paused(self, *, paused: bool) -> None:
        with self._store.transaction() as tables:
            tables.settings.put(PAUSED, self._clock.now().isoformat() if paused else "")
        self._paused = paused
        self._wake.set()


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
