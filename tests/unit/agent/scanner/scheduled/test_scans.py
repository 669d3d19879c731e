import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from agent.domain.entitlement import Access, AccessLevel, Feature
from agent.domain.errors import BucklerError
from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.files import FileIdentity
from agent.domain.incident import IncidentAction, Origin
from agent.domain.policy import Action, Policy
from agent.domain.schedule import ScanKind, Schedule, finished_setting
from agent.scanner.consequences import Consequences
from agent.scanner.scheduled.agenda import Hold, ScanCounts, baseline_setting
from agent.scanner.scheduled.requested import RequestedScans
from agent.scanner.scheduled.scan import BackgroundScan, Ground, ScanParts
from agent.scanner.scheduled.scans import ScheduledScans, ScheduleParts
from agent.scanner.scheduled.settings import ScheduleSettings
from agent.scanner.walk.pacing import CpuBudget, Pace
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.fakes.eicar import EICAR
from tests.fakes.incidents import FakeIncidentLog
from tests.fakes.own_scanner import FakeOwnScanner
from tests.fakes.quarantine import FakeQuarantine
from tests.fakes.randomness import SeededRandomness
from tests.fakes.store import MemoryStore
from tests.fakes.waiting import until

#: SOME_MONDAY is 9:00.
AT_TEN = {ScanKind.QUICK: Schedule(time(10))}
GRANTED = Access(AccessLevel.FULL, "PAID", None, {Feature.SCHEDULED_SCANS.value: AccessLevel.GRACE})


@dataclass
class Device:
    """One device, whose agent can be started again and again."""

    folder: Path
    vault: Path
    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    incidents: FakeIncidentLog = field(default_factory=FakeIncidentLog)
    access: Access = GRANTED
    policy: Policy = field(default_factory=Policy)
    battery: bool = False
    own_tests: set[int] = field(default_factory=set)
    settings: ScheduleSettings = field(
        default_factory=lambda: ScheduleSettings(AT_TEN, cpu_percent=100, settle_s=0.0, look_every_s=0.01)
    )

    def __post_init__(self) -> None:
        self.quarantine = FakeQuarantine(self.vault)
        self.scanner = FakeOwnScanner()
        self.grounds: list[ScanKind] = []
        self.looks = 0

    def parts(self) -> ScheduleParts:
        def ground(kind: ScanKind) -> Ground:
            self.grounds.append(kind)
            return Ground((str(self.folder),), frozenset({str(self.folder / "own")}))

        def is_own_test(identity: FileIdentity) -> bool:
            return identity.inode in self.own_tests

        return ScheduleParts(
            open_scanner=lambda: self.scanner,
            began=lambda _: None,
            open_cache=nullcontext,
            ground=ground,
            consequences=Consequences(self.quarantine, self.incidents, self.clock, SeededRandomness()),
            policy=lambda: self.policy,
            access=lambda: self.access,
            on_battery=self._on_battery,
            is_own_test=is_own_test,
            zone=UTC,
        )

    def requested(self) -> RequestedScans:
        """Scans that somebody asks for."""
        return RequestedScans(self.parts(), (str(self.folder / "own"),), 100, self.store, self.clock)

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[ScheduledScans]:
        scans = ScheduledScans(self.settings, self.parts(), self.store, self.clock, SeededRandomness())
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(scans.run())
            # From here on it is known since when scans are due.
            await until(lambda: all(self.setting(baseline_setting(kind)) for kind in self.settings.schedules))
            try:
                yield scans
            finally:
                running.cancel()

    def setting(self, name: str) -> str | None:
        with self.store.transaction() as tables:
            return tables.settings.get(name)

    def finished_at(self, kind: ScanKind = ScanKind.QUICK) -> datetime | None:
        text = self.setting(finished_setting(kind))
        return datetime.fromisoformat(text) if text else None

    def has_finished_meanwhile(self) -> bool:
        """Time passes whenever this is asked."""
        self.clock.advance(timedelta(seconds=1))
        return self.finished_at() is not None

    async def look(self) -> None:
        """Time passes, as it does between two looks of the agent, and the agent looks."""
        before = self.looks
        self.clock.advance(timedelta(seconds=1))
        await until(lambda: self.looks > before)

    def _on_battery(self) -> bool:
        """Asked once a look."""
        self.looks += 1
        return self.battery


@pytest.fixture
def device(tmp_path: Path) -> Device:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "clean.txt").write_text("hello")
    return Device(folder, tmp_path / "vault")


async def test_nothing_is_scanned_before_it_is_due_and_then_once(device: Device) -> None:
    async with device.agent() as scans:
        await device.look()
        assert device.grounds == []
        assert scans.state().due == {ScanKind.QUICK: SOME_MONDAY.replace(hour=10)}
        device.clock.advance(timedelta(hours=1))
        await until(lambda: device.finished_at() is not None)
        await device.look()
    assert device.grounds == [ScanKind.QUICK]
    assert device.scanner.closed == 1
    assert device.finished_at() == SOME_MONDAY.replace(hour=10, second=1)


async def test_what_is_found_is_taken_and_told_as_a_scans(device: Device) -> None:
    (device.folder / "e.com").write_bytes(EICAR)
    async with device.agent():
        await device.look()
        device.clock.advance(timedelta(hours=2))
        await until(lambda: device.finished_at() is not None)
    assert device.quarantine.taken() == {str(device.folder / "e.com")}
    assert [request.origin for request in device.quarantine.captured] == [Origin.SCAN]


async def test_where_nothing_is_taken_it_is_reported_and_only_once(device: Device) -> None:
    (device.folder / "e.com").write_bytes(EICAR)
    device.policy = Policy(Action.REPORT)
    async with device.agent():
        await device.look()
        for _ in range(2):
            device.clock.advance(timedelta(days=1, hours=1))
            expected = device.clock.now()
            await until(lambda expected=expected: device.finished_at() == expected)  # type: ignore[misc]
    (incident,) = device.incidents.incidents.values()
    assert (incident.action, incident.origin) == (IncidentAction.REPORTED, Origin.SCAN)


async def test_what_was_missed_while_the_device_was_off_is_made_up_once(device: Device) -> None:
    async with device.agent():
        await device.look()
    device.clock.advance(timedelta(days=30))
    async with device.agent():
        await until(lambda: device.finished_at() is not None)
        await device.look()
    async with device.agent() as scans:
        await device.look()
        assert scans.state().due[ScanKind.QUICK] > device.clock.now()
    assert device.grounds == [ScanKind.QUICK]


async def test_a_scan_that_a_stop_interrupted_goes_on_at_the_next_start(device: Device) -> None:
    device.scanner.hold()
    async with device.agent() as scans:
        await device.look()
        device.clock.advance(timedelta(hours=1))
        await until(lambda: device.scanner.running == 1)
        assert scans.state().running
    assert device.finished_at() is None
    assert device.scanner.closed == 1
    device.scanner.release()
    async with device.agent() as scans:
        await until(lambda: device.finished_at() is not None)
        assert scans.state().unfinished is None
    assert device.grounds == [ScanKind.QUICK, ScanKind.QUICK]


async def test_a_subscription_without_scheduled_scans_has_none(device: Device) -> None:
    device.access = replace(GRANTED, level=AccessLevel.LIMITED)
    async with device.agent() as scans:
        await device.look()
        device.clock.advance(timedelta(hours=2))
        await device.look()
        assert scans.state().hold is Hold.NOT_ENTITLED
        assert device.grounds == []
        device.access = GRANTED
        await until(lambda: device.finished_at() is not None)


async def test_a_pause_outlives_a_restart_and_ends_with_resume(device: Device) -> None:
    async with device.agent() as scans:
        await device.look()
        scans.pause()
    device.clock.advance(timedelta(hours=2))
    async with device.agent() as scans:
        await device.look()
        assert scans.state().hold is Hold.PAUSED
        scans.resume()
        await until(lambda: device.finished_at() is not None)


async def test_a_scan_stops_between_two_files_and_goes_on_when_it_may(device: Device) -> None:
    for number in range(5):
        (device.folder / f"{number}").write_text("x")
    device.scanner.hold()
    async with device.agent() as scans:
        await device.look()
        device.clock.advance(timedelta(hours=1))
        await until(lambda: device.scanner.running == 1)
        scans.pause()
        device.scanner.release()
        await until(lambda: not scans.state().running)
        assert len(device.scanner.scanned) == 1
        assert scans.state().unfinished is not None
        scans.resume()
        await until(lambda: device.finished_at() is not None)


async def test_the_battery_is_spared(device: Device) -> None:
    device.battery = True
    async with device.agent() as scans:
        await device.look()
        device.clock.advance(timedelta(hours=2))
        await device.look()
        assert (scans.state().hold, device.grounds) == (Hold.ON_BATTERY, [])
        device.battery = False
        await until(device.has_finished_meanwhile)


async def test_what_is_cancelled_comes_again_at_its_next_time(device: Device) -> None:
    device.scanner.hold()
    async with device.agent() as scans:
        assert not scans.cancel()
        await device.look()
        device.clock.advance(timedelta(hours=1))
        await until(lambda: device.scanner.running == 1)
        assert scans.cancel()
        device.scanner.release()
        await until(lambda: scans.state().unfinished is None)
        await device.look()
        assert scans.state().due == {ScanKind.QUICK: SOME_MONDAY.replace(hour=10) + timedelta(days=1)}
    assert device.finished_at() is None


async def test_a_scanner_that_does_not_start_is_told_and_tried_again(device: Device) -> None:
    device.scanner.refuses = True
    async with device.agent() as scans:
        await device.look()
        device.clock.advance(timedelta(hours=1))
        await until(lambda: scans.state().hold is Hold.UNAVAILABLE)
        device.scanner.refuses = False
        await until(device.has_finished_meanwhile)
    assert (device.scanner.started, device.grounds) == (1, [ScanKind.QUICK] * len(device.grounds))


async def test_a_clock_set_back_does_not_stop_scanning(device: Device) -> None:
    async with device.agent():
        await device.look()
    device.clock.set_wall(SOME_MONDAY - timedelta(days=400))
    async with device.agent() as scans:
        await device.look()
        assert scans.state().due[ScanKind.QUICK] <= device.clock.now() + timedelta(days=1)
        device.clock.advance(timedelta(days=1))
        await until(lambda: device.finished_at() is not None)


async def test_exclusions_own_folders_and_self_tests_are_left_alone(device: Device) -> None:
    for name in ("own/e.com", "excluded/e.com", "test.com", "e.com"):
        (device.folder / name).parent.mkdir(exist_ok=True)
        (device.folder / name).write_bytes(EICAR)
    device.own_tests.add((device.folder / "test.com").stat().st_ino)
    exclusion = Exclusion("exc_1", ExclusionKind.PATH, str(device.folder / "excluded"), "", SOME_MONDAY)
    device.policy = Policy(exclusions=(exclusion,))
    async with device.agent():
        await device.look()
        device.clock.advance(timedelta(hours=1))
        await until(lambda: device.finished_at() is not None)
    assert device.quarantine.taken() == {str(device.folder / "e.com")}


async def test_nothing_scheduled_is_nothing_done(device: Device) -> None:
    device.settings = replace(device.settings, schedules={})
    async with device.agent() as scans:
        await until(lambda: device.looks == 1)
        device.clock.advance(timedelta(days=30))
        # Nothing makes it look again by itself.
        scans.resume()
        await until(lambda: device.looks == 2)
        assert (scans.state().due, device.grounds) == ({}, [])


async def test_another_schedule_is_gone_by_at_once(device: Device) -> None:
    wanted, device.settings = device.settings, replace(device.settings, schedules={})
    async with device.agent() as scans:
        assert scans.state().due == {}
        scans.reconfigure(wanted)
        await until(lambda: bool(device.setting(baseline_setting(ScanKind.QUICK))))
        assert scans.state().due == {ScanKind.QUICK: SOME_MONDAY.replace(hour=10)}
        device.clock.advance(timedelta(hours=2))
        await until(lambda: device.finished_at() is not None)
        scans.reconfigure(device.settings)
        assert scans.state().due == {}


async def test_what_could_not_be_looked_at_is_counted_and_not_called_clean(device: Device) -> None:
    (device.folder / "e.com").write_bytes(EICAR)
    os.mkfifo(device.folder / "pipe")
    device.clock.advance(timedelta(hours=1))
    counts: list[ScanCounts] = []
    ground = Ground((str(device.folder), str(device.folder / "pipe"), str(device.folder / "gone")))
    parts = ScanParts(
        scanner=device.scanner,
        cache=None,
        pace=Pace(CpuBudget(100), lambda: 0.0, device.clock),
        consequences=Consequences(None, None, device.clock, SeededRandomness()),
        clock=device.clock,
        policy=Policy,
        is_own_test=lambda _identity: False,
        goes_on=lambda: True,
        tell=counts.append,
    )
    assert await BackgroundScan(ground, parts).run()
    assert counts[-1] == ScanCounts(files=3, infected=1, errors=1)


# ------------------------------------------------------------ scans that somebody asked for


async def test_a_scan_that_was_asked_for_acts_counts_and_is_remembered(device: Device) -> None:
    (device.folder / "e.com").write_bytes(EICAR)
    counts = await device.requested().scan(ScanKind.FULL)
    assert counts == {"files": 2, "infected": 1, "incomplete": 0, "errors": 0}
    assert device.quarantine.taken() == {str(device.folder / "e.com")}
    assert device.finished_at(ScanKind.FULL) == SOME_MONDAY
    assert device.scanner.closed == 1


async def test_one_place_is_scanned_and_own_folders_are_left_alone(device: Device) -> None:
    (device.folder / "own").mkdir()
    (device.folder / "own" / "e.com").write_bytes(EICAR)
    counts = await device.requested().scan_path(str(device.folder))
    assert counts["files"] == 1
    assert device.finished_at() is None
    with pytest.raises(BucklerError) as refused:
        await device.requested().scan_path(str(device.folder / "nothing"))
    assert refused.value.code == "PATH_MISSING"


async def test_scans_that_were_asked_for_follow_one_another_and_can_be_given_up(device: Device) -> None:
    device.scanner.hold()
    requested = device.requested()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(requested.scan(ScanKind.QUICK))
        await until(lambda: device.scanner.running == 1)
        second = tasks.create_task(requested.scan(ScanKind.QUICK))
        first.cancel()
        await until(lambda: device.scanner.closed == 1)
        device.scanner.release()
        assert (await second)["files"] == 1
    assert requested.process_ids() == frozenset()
