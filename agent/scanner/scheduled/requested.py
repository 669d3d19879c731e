"""Scans that somebody asked for, through the control plane: as gentle as scheduled ones, but now."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import structlog

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.ports import Clock, Store
from agent.domain.schedule import ScanKind, finished_setting
from agent.platform.processes.cpu_time import CpuTime
from agent.scanner.scheduled.agenda import ScanCounts
from agent.scanner.scheduled.scan import BackgroundScan, Ground, ScanParts
from agent.scanner.scheduled.scans import OwnScanner, ScheduleParts
from agent.scanner.walk.pacing import CpuBudget, Pace

log = structlog.get_logger(__name__)


class RequestedScans:
    """Port `agent.domain.ports.RequestedScans`; all methods are called on the event loop's thread.

    Args:
        parts: What scans are made of.
        own_folders: Are not entered.
        cpu_percent: Share of one core.
        store: Remembers when a kind was finished.
        clock: Time.
    """

    def __init__(
        self, parts: ScheduleParts, own_folders: tuple[str, ...], cpu_percent: int, store: Store, clock: Clock
    ) -> None:
        self._parts = parts
        self._own_folders = frozenset(own_folders)
        self._cpu_percent = cpu_percent
        self._store = store
        self._clock = clock
        self._turn = asyncio.Lock()
        self._scanner: OwnScanner | None = None

    def process_ids(self) -> frozenset[int]:
        """Processes of the scan that is running."""
        return frozenset() if self._scanner is None else self._scanner.process_ids()

    async def scan(self, kind: ScanKind) -> Mapping[str, int]:
        """Scan what a kind looks at."""
        counts = await self._walk(kind.value, lambda: self._parts.ground(kind))
        with self._store.transaction() as tables:
            tables.settings.put(finished_setting(kind), self._clock.now().isoformat())
        return counts

    async def scan_path(self, path: str) -> Mapping[str, int]:
        """Scan a file or a folder.

        Raises:
            BucklerError: `PATH_MISSING`.
        """
        if not await asyncio.to_thread(Path(path).exists):
            raise BucklerError(
                "PATH_MISSING",
                f"there is no {path!r} on this device",
                next_step="ask again with a path that is there",
                exit_status=ExitStatus.NEGATIVE,
            )
        return await self._walk("path", lambda: Ground((path,), self._own_folders))

    async def _walk(self, what: str, ground_of: Callable[[], Ground]) -> Mapping[str, int]:
        async with self._turn:
            log.info("requested_scan_begins", what=what)
            ground = await asyncio.to_thread(ground_of)
            scanner = self._scanner = self._parts.open_scanner()
            counted = ScanCounts()

            def tell(counts: ScanCounts) -> None:
                nonlocal counted
                counted = counts

            try:
                await scanner.start()
                self._parts.began(scanner)
                with self._parts.open_cache() as cache:
                    cpu = CpuTime()
                    pace = Pace(
                        CpuBudget(self._cpu_percent),
                        lambda: cpu.seconds(scanner.process_ids()),
                        self._clock,
                        goes_on=_always,
                    )
                    parts = ScanParts(
                        scanner=scanner,
                        cache=cache,
                        pace=pace,
                        consequences=self._parts.consequences,
                        clock=self._clock,
                        policy=self._parts.policy,
                        is_own_test=self._parts.is_own_test,
                        goes_on=_always,
                        tell=tell,
                    )
                    await BackgroundScan(ground, parts).run()
            finally:
                await scanner.close()
                self._scanner = None
            log.info("requested_scan_finished", what=what, **asdict(counted))
            return asdict(counted)


def _always() -> bool:
    """Whoever does not want it any more cancels the task."""
    return True
