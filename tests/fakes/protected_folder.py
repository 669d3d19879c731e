"""Real-time protection of a scratch folder, built from fakes, started and stopped around a test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from agent.domain.entitlement import NOT_ACTIVATED, Access
from agent.domain.policy import Policy
from agent.domain.ports import EventSource, Store
from agent.platform.clock import SystemClock
from agent.realtime.neighbours import Neighbours
from agent.realtime.runner import RealtimeProtection
from agent.realtime.settings import BlockSettings, RealtimeSettings
from tests.fakes.event_source import FakeEventSource
from tests.fakes.incidents import FakeIncidentLog
from tests.fakes.quarantine import FakeQuarantine
from tests.fakes.randomness import SeededRandomness
from tests.fakes.scanner import FakeScanner
from tests.fakes.store import MemoryStore
from tests.fakes.waiting import until


class DrowsyClock(SystemClock):
    """The machine's own, on a machine that sleeps when it is told to."""

    slept_ns = 0

    def asleep_ns(self) -> int:
        return self.slept_ns


class ProtectedFolder:
    """Everything a test of the runner may want to touch."""

    def __init__(self, folder: Path, source: EventSource | None = None, **overrides: object) -> None:
        self.root = folder / "root"
        self.outside = folder / "outside"
        for made in (self.root, self.outside):
            made.mkdir(exist_ok=True)
        self.fake_source = FakeEventSource()
        self.source = source or self.fake_source
        self.scanner = FakeScanner()
        self.quarantine = FakeQuarantine(folder / "vault")
        self.incidents = FakeIncidentLog()
        self.store: Store = MemoryStore()
        self.clock = DrowsyClock()  # files get their times from the kernel, so life signs must too
        self.policy = Policy()
        self.access: Access = NOT_ACTIVATED
        self.proofs = 0
        self.held_for_writing: Callable[[], frozenset[int] | None] = frozenset
        self.settings = RealtimeSettings(
            roots=(str(self.root),),
            self_test_within_s=0.2,
            reprove_after_s=3600.0,
            life_sign_every_s=0.05,
            reconcile_pause_s=0.01,
            restart_after_s=0.01,
            root_retry_s=0.02,
            block=BlockSettings(budget_s=60.0),
        )
        self.settings = replace(self.settings, **overrides)  # type: ignore[arg-type]  # test code names real fields
        self.protection = self.build()

    def build(self) -> RealtimeProtection:
        """Another life on the same disk and store, as after a crash."""
        self.protection = RealtimeProtection(
            self.settings,
            Neighbours(
                self.source,
                self.scanner,
                self.quarantine,
                self.incidents,
                self.store,
                self.clock,
                SeededRandomness(),
                self._held_now,
            ),
            lambda: self.policy,
            lambda: self.access,
            self._proven,
            lambda path: path.startswith(f"{self.root}/.own/"),
        )
        return self.protection

    def write(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def hold_open(self, *paths: Path) -> None:
        """From now on these files, and no others, are said to be open for writing."""
        held = frozenset(path.stat().st_ino for path in paths)
        self.held_for_writing = lambda: held

    def setting(self, name: str) -> str | None:
        with self.store.transaction() as tables:
            return tables.settings.get(name)

    def scans_of(self, name: str) -> int:
        return self.scanner.scanned.count(str(self.root / name))

    @asynccontextmanager
    async def running(self, *, settled: bool = True) -> AsyncIterator[RealtimeProtection]:
        """Run until the end of the block; `settled`: only go on once the first walk is over."""
        task = asyncio.ensure_future(self.protection.run())
        try:
            if settled:
                await until(lambda: task.done() or self.settled())
            if task.done():
                await task
            yield self.protection
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def settled(self) -> bool:
        state = self.protection.state()
        return state.enabled and not state.degraded_because and state.queue_depth == 0

    def _held_now(self) -> frozenset[int] | None:
        return self.held_for_writing()

    def _proven(self) -> None:
        self.proofs += 1
