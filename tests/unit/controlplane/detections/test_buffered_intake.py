"""What a buffer between devices and database does when either end, or what lies in it, is not as it should be."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from controlplane.detections import dead_reports
from controlplane.detections.buffered_intake import BufferedIntake, IntakeGround
from controlplane.detections.dead_reports import DeadReport, DeadReports
from controlplane.detections.envelope import Report, claimed_by, pack, retry_after, split, unpack
from controlplane.detections.reading import incident_message
from controlplane.detections.service import DetectionFilter
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.randomness import SystemRandomness
from controlplane.runtime.refusal import Refusal
from controlplane.storage.outages import DatabaseUnavailableError
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.durable_queue import FakeQueue
from tests.fakes.world import World, principal_of, world_on_sqlite
from tests.unit.controlplane.detections.test_service import incident


class Stumbling:
    """The service, behind failures that come first."""

    def __init__(self, world: World, failures: Sequence[Exception]) -> None:
        self._world = world
        self._failures = list(failures)

    async def report(self, *report: Any, **more: Any) -> None:
        if self._failures:
            raise self._failures.pop(0)
        await self._world.detections.report(*report, **more)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_on_sqlite(tmp_path) as opened:
        yield opened


def intake_in(world: World, queue: FakeQueue, *failures: Exception) -> BufferedIntake:
    service: Any = Stumbling(world, failures)
    dead = DeadReports(world.database, service, world.sealing_key, world.times)
    ground = IntakeGround(
        queue=queue,
        detections=service,
        dead=dead,
        sealer=world.sealing_key,
        times=world.times,
        wall=world.clock,
        randomness=SystemRandomness(),
    )
    return BufferedIntake(ground)


async def device_in(world: World) -> DevicePrincipal:
    return principal_of(await world.activate(await world.customer()))


async def drain(intake: BufferedIntake, queue: FakeQueue) -> None:
    while queue.waiting:
        for taken in await queue.take(10):
            await intake.store(taken)


async def stored(world: World, device: DevicePrincipal) -> int:
    return len((await world.detections.page(device.org_id, Page(size=100), DetectionFilter())).detections)


async def test_a_database_that_is_away_is_waited_for_however_long(world: World) -> None:
    away = [
        DatabaseUnavailableError("gone"),
        OperationalError("", {}, Exception()),
        OSError("refused"),
        TimeoutError(),
    ] * 4
    device, queue = await device_in(world), FakeQueue()
    intake = intake_in(world, queue, *away)
    await intake.report(device, [incident(1)], {})
    await drain(intake, queue)
    assert await stored(world, device) == 1
    assert (intake.counts.later, intake.counts.dead) == (len(away), 0)
    assert queue.rests == sorted(queue.rests)


async def test_a_report_that_is_given_up_while_the_database_is_away_goes_back_into_the_queue(world: World) -> None:
    class Away(DeadReports):
        async def keep(self, dead: DeadReport, sealed: bytes) -> bool:
            raise DatabaseUnavailableError("gone")

    queue = FakeQueue()
    intake = intake_in(world, queue)
    dead = intake.ground.dead
    away = BufferedIntake(
        replace(intake.ground, dead=Away(world.database, world.detections, world.sealing_key, world.times))
    )
    await queue.put("rep_1", b"no report")
    (taken,) = await queue.take(1)
    with pytest.raises(DatabaseUnavailableError):
        await away.store(taken)
    assert (len(queue.waiting), away.counts.dead) == (1, 0)
    await drain(intake, queue)
    (kept,) = await dead.list_all()
    assert kept.code == "REPORT_UNREADABLE"


async def test_what_a_report_itself_causes_ends_among_the_dead_and_can_be_tried_again(world: World) -> None:
    device, queue = await device_in(world), FakeQueue()
    intake = intake_in(world, queue, *[ValueError("poison")] * 5)
    await intake.report(device, [incident(1)], {})
    await intake.report(device, [incident(2)], {})
    (first, second) = await queue.take(2)
    for _ in range(5):
        await intake.store(first)
        for again in await queue.take(1):
            first = again
    await intake.store(second)
    (dead,) = await intake.ground.dead.list_all()
    assert (dead.org_id, dead.device_id, dead.code) == (device.org_id, device.device_id, "ValueError")
    assert "poison" not in dead.sentence
    assert await stored(world, device) == 1
    await intake.ground.dead.retry(dead.report_id)
    assert await stored(world, device) == 2
    assert await intake.ground.dead.list_all() == []
    with pytest.raises(Refusal) as caught:
        await intake.ground.dead.retry(dead.report_id)
    assert caught.value.reason == "REPORT_NOT_FOUND"


async def test_what_is_handed_out_again_is_stored_and_told_once(world: World) -> None:
    device, queue = await device_in(world), FakeQueue()
    intake = intake_in(world, queue)
    await intake.report(device, [incident(1)], {"low": 3})
    (taken,) = await queue.take(1)
    body = taken.body
    await intake.store(taken)
    await queue.put("again", body)
    await drain(intake, queue)
    assert await stored(world, device) == 1
    view = await world.incidents.page(device.org_id, Page(size=1))
    assert view.views[0].detections == 1


@pytest.mark.parametrize("state", ["away", "deaf"])
async def test_without_a_queue_reports_go_straight_into_the_database(world: World, state: str) -> None:
    device, queue = await device_in(world), FakeQueue(away=state == "away", deaf=state == "deaf")
    intake = intake_in(world, queue)
    await intake.report(device, [incident(1)], {"low": 1})
    assert (await stored(world, device), intake.counts.straight) == (1, 1)
    await drain(intake, replace(queue, away=False))
    assert await stored(world, device) == 1


async def test_forged_changed_and_swapped_reports_are_nobodys(world: World) -> None:
    one, two = await device_in(world), await device_in(world)
    queue = FakeQueue()
    intake = intake_in(world, queue)
    await intake.report(one, [incident(1)], {})
    (taken,) = await queue.take(1)
    for number, forged in enumerate(
        (
            b"",
            b"[]\n",
            b"\xff\n",
            b"[" * 5_000,
            taken.body[:-1],
            taken.body[:-1] + bytes([taken.body[-1] ^ 1]),
            taken.body.replace(one.org_id.encode(), two.org_id.encode()),
            taken.body.replace(one.device_id.encode(), two.device_id.encode()),
        )
    ):
        await queue.put(str(number), forged)
    await drain(intake, queue)
    dead = await intake.ground.dead.list_all()
    assert {each.org_id for each in dead} == {""}
    assert {each.code for each in dead} == {"REPORT_UNREADABLE", "SEAL_BROKEN"}
    assert intake.counts.dead == 8
    assert await stored(world, one) == await stored(world, two) == 0
    with pytest.raises(Refusal):
        await intake.ground.dead.retry(dead[0].report_id)


async def test_a_device_that_is_turned_away_cannot_fill_the_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_reports, "MOST_KEPT", 2)
    device, queue = await device_in(world), FakeQueue()
    intake = intake_in(world, queue)
    for number in range(4):
        await intake.report(replace(device, public_key_sha256=bytes(32)), [incident(number)], {})
    await drain(intake, queue)
    assert len(await intake.ground.dead.list_all()) == 2
    assert (intake.counts.dead, intake.counts.lost, len(queue.under_way)) == (4, 2, 0)


SIZES = st.lists(st.integers(1, 4_000), max_size=30)


@given(SIZES, st.integers(2_000, 20_000))
def test_a_report_is_divided_into_messages_that_fit_and_say_the_same(sizes: list[int], most: int) -> None:
    incidents = [replace(incident(number), path=b"x" * size) for number, size in enumerate(sizes)]
    parts = split(incidents, most)
    assert [each for part in parts for each in part] == incidents
    for part in parts:
        assert len(part) <= 1 or sum(incident_message(each).ByteSize() for each in part) < most


class PlainSealer:
    """Seals nothing; for what is inside."""

    def seal(self, secret: bytes, bound_to: str) -> bytes:
        return bound_to.encode() + b"|" + secret

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        assert sealed.startswith(bound_to.encode() + b"|")
        return sealed[len(bound_to) + 1 :]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=8), st.integers(1, 2**40), max_size=3), st.integers(0, 3))
def test_a_report_comes_out_as_it_was_put_in(dropped: Mapping[str, int], count: int) -> None:
    incidents = [incident(number) for number in range(count)]
    report = Report("rep_1", DevicePrincipal("dev_1", "org_1", bytes(32)), SOME_MONDAY, incidents, dropped)
    assert unpack(pack(report, PlainSealer()), PlainSealer()) == report


@given(st.binary(max_size=200))
def test_whatever_lies_in_the_buffer_is_refused_with_a_reason(untrusted: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        claimed_by(untrusted)
    assert caught.value.reason == "REPORT_UNREADABLE"


@given(st.integers(1, 10**6))
def test_only_what_a_report_causes_itself_is_given_up(attempt: int) -> None:
    assert retry_after(attempt, away=True) is not None
    rest = retry_after(attempt, away=False)
    assert (rest is None) == (attempt >= 5)
    assert rest is None or timedelta(0) < rest <= timedelta(minutes=1)
