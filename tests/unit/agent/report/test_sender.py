"""The sender against a control plane that fails in every way it can."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import pytest

from agent.domain.errors import BucklerError
from agent.domain.facts import Finding, Severity
from agent.domain.incident import Incident, IncidentAction, Origin
from agent.report.outbox import StoredIncidentLog
from agent.report.sender import Sender, SenderSettings
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.fakes.randomness import SeededRandomness
from tests.fakes.store import MemoryStore
from tests.fakes.uplink import FakeUplink, uplink_error

IMPATIENT = SenderSettings(batch=10, poll_interval_s=30.0, base_s=0.001, ceiling_s=0.004)


def an_incident(number: int) -> Incident:
    return Incident(
        uuid=UUID(int=number),
        detected_at=SOME_MONDAY,
        path=f"/home/ann/{number}",
        sha256="ab" * 32,
        size_bytes=68,
        findings=(Finding("Eicar", "test", Severity.HIGH),),
        action=IncidentAction.REPORTED,
        action_detail="",
        origin=Origin.SCAN,
        engine="yara 4.5.4",
        signatures_version="1",
    )


def store_with(count: int) -> MemoryStore:
    store = MemoryStore()
    log = StoredIncidentLog(store)
    for number in range(count):
        log.record(an_incident(number))
    return store


def waiting(store: MemoryStore) -> int:
    with store.transaction() as tables:
        return tables.outbox.count()


def aside(store: MemoryStore) -> int:
    with store.transaction() as tables:
        return tables.outbox.aside()


def failing_because(sender: Sender) -> str:
    why = sender.state.failing_because
    return why.code if why else ""


def extend(store: MemoryStore, number: int) -> bool:
    """One more detection, if it is not there yet; never true."""
    StoredIncidentLog(store).record(an_incident(number))
    return False


@asynccontextmanager
async def running(
    store: MemoryStore, uplink: FakeUplink, settings: SenderSettings = IMPATIENT
) -> AsyncIterator[Sender]:
    sender = Sender(store, uplink, FakeClock(), SeededRandomness(), settings)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(sender.run())
        yield sender
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_everything_in_the_outbox_arrives_in_batches_and_is_deleted() -> None:
    store, uplink = store_with(25), FakeUplink()
    async with running(store, uplink) as sender:
        await uplink.until(lambda: waiting(store) == 0)
        await uplink.until(lambda: sender.state.delivered_at == SOME_MONDAY)
    assert uplink.batches == [10, 10, 5]
    assert sorted(uuid.int for uuid in uplink.stored) == list(range(25))


async def test_a_new_detection_is_sent_as_soon_as_the_sender_is_woken() -> None:
    store, uplink = store_with(0), FakeUplink()
    async with running(store, uplink) as sender:
        await asyncio.sleep(0.02)
        StoredIncidentLog(store).record(an_incident(1))
        sender.wake()
        await uplink.until(lambda: waiting(store) == 0)
    assert uplink.batches == [1]


async def test_a_detection_written_by_another_process_is_found_by_the_poll() -> None:
    store, uplink = store_with(0), FakeUplink()
    async with running(store, uplink, SenderSettings(poll_interval_s=0.01)):
        await asyncio.sleep(0.02)
        StoredIncidentLog(store).record(an_incident(1))
        await uplink.until(lambda: waiting(store) == 0)
    assert list(uplink.stored) == [UUID(int=1)]


async def test_after_passing_errors_the_rows_are_sent_again() -> None:
    store = store_with(3)
    uplink = FakeUplink(errors=[uplink_error("UNREACHABLE") for _ in range(5)])
    async with running(store, uplink):
        await uplink.until(lambda: waiting(store) == 0)
    assert uplink.calls == 6


async def test_a_lost_reply_makes_no_second_effect() -> None:
    store, uplink = store_with(3), FakeUplink(lost_replies=2)
    async with running(store, uplink):
        await uplink.until(lambda: waiting(store) == 0)
    assert uplink.batches == [3, 3, 3]
    assert set(uplink.effects.values()) == {1}


async def test_rows_that_were_not_accepted_stay_and_go_with_the_next_batch() -> None:
    store, uplink = store_with(7), FakeUplink(accept_at_most=3)
    async with running(store, uplink):
        await uplink.until(lambda: waiting(store) == 0)
    assert uplink.batches == [7, 4, 1]
    assert len(uplink.stored) == 7


async def test_rows_refused_for_good_are_set_aside_and_do_not_block_the_others() -> None:
    store, uplink = store_with(3), FakeUplink(refused={UUID(int=0): "malformed path"})
    async with running(store, uplink):
        await uplink.until(lambda: waiting(store) == 0)
    assert sorted(uuid.int for uuid in uplink.stored) == [1, 2]
    assert uplink.calls == 1


async def test_the_row_that_poisons_a_batch_is_found_set_aside_and_reported() -> None:
    store, uplink = store_with(25), FakeUplink(poison={UUID(int=7)})
    async with running(store, uplink):
        await uplink.until(lambda: waiting(store) == 0)
        await uplink.until(lambda: uplink.dropped == {"set_aside": 1} or extend(store, 100))
    assert set(uplink.stored) - {UUID(int=100)} == {UUID(int=n) for n in range(25) if n != 7}
    assert set(uplink.effects.values()) == {1}
    # Halved a few times, not once per row.
    assert uplink.calls < 20


async def test_several_poisonous_rows_are_all_found() -> None:
    poison = {UUID(int=n) for n in (0, 1, 2, 3, 11)}
    store, uplink = store_with(25), FakeUplink(poison=poison)
    async with running(store, uplink):
        await uplink.until(lambda: waiting(store) == 0 or (len(uplink.stored) == 20 and extend(store, 100)))
    assert set(uplink.stored) - {UUID(int=100)} == {UUID(int=n) for n in range(25)} - poison
    assert aside(store) == 5


async def test_a_server_that_understands_nothing_costs_no_row_its_report() -> None:
    store = store_with(25)
    uplink = FakeUplink(poison={UUID(int=n) for n in range(25)})
    async with running(store, uplink) as sender:
        await uplink.until(lambda: sender.state.permanently)
        assert failing_because(sender) == "INVALID_ARGUMENT"
        assert (waiting(store), aside(store)) == (25, 0)
        uplink.poison.clear()
        sender.wake()
        await uplink.until(lambda: waiting(store) == 0)
    assert len(uplink.stored) == 25


async def test_a_poisonous_row_that_is_alone_waits_for_another_to_prove_it() -> None:
    store, uplink = store_with(1), FakeUplink(poison={UUID(int=0)})
    async with running(store, uplink) as sender:
        await uplink.until(lambda: sender.state.permanently)
        assert aside(store) == 0
        extend(store, 1)
        sender.wake()
        await uplink.until(lambda: aside(store) == 1)
    assert set(uplink.stored) == {UUID(int=1)}


async def test_a_server_that_takes_nothing_is_asked_with_growing_patience() -> None:
    store, uplink = store_with(2), FakeUplink(accept_at_most=0)
    async with running(store, uplink) as sender:
        await uplink.until(lambda: failing_because(sender) == "NOTHING_ACCEPTED")
        uplink.accept_at_most = 200
        # Told after the rows are gone.
        await uplink.until(lambda: sender.state.failures_in_a_row == 0)
    assert waiting(store) == 0


async def test_a_permanent_error_waits_until_woken() -> None:
    store, uplink = store_with(1), FakeUplink(errors=[uplink_error("NOT_ENROLLED", permanent=True)])
    async with running(store, uplink, SenderSettings(poll_interval_s=0.005, base_s=0.001)) as sender:
        await uplink.until(lambda: sender.state.permanently)
        await asyncio.sleep(0.05)
        assert (uplink.calls, waiting(store), failing_because(sender)) == (1, 1, "NOT_ENROLLED")
        sender.wake()
        await uplink.until(lambda: waiting(store) == 0)
    assert uplink.calls == 2


async def test_waking_does_not_hammer_a_server_that_says_no_for_good() -> None:
    store = store_with(1)
    uplink = FakeUplink(errors=[uplink_error("REFUSED", permanent=True) for _ in range(1_000)])
    async with running(store, uplink, SenderSettings(base_s=500.0)) as sender:
        for _ in range(50):
            sender.wake()
            await asyncio.sleep(0.001)
    assert uplink.calls <= 3


async def test_new_detections_do_not_cut_a_back_off_short() -> None:
    store = store_with(1)
    uplink = FakeUplink(errors=[uplink_error("UNREACHABLE", retry_after_s=60.0)])
    async with running(store, uplink) as sender:
        await uplink.until(lambda: uplink.calls == 1)
        for _ in range(20):
            sender.wake()
            await asyncio.sleep(0.001)
    assert uplink.calls == 1


async def test_drops_are_reported_once_they_have_arrived_they_are_cleared() -> None:
    store = MemoryStore(outbox_bound=2)
    log = StoredIncidentLog(store)
    for number in range(5):
        log.record(an_incident(number))
    uplink = FakeUplink(errors=[uplink_error("UNREACHABLE")])
    async with running(store, uplink):
        await uplink.until(lambda: waiting(store) == 0)
    assert uplink.dropped == {"reported": 3}
    with store.transaction() as tables:
        assert tables.outbox.dropped() == {}


async def test_a_database_that_fails_for_a_moment_does_not_end_the_sender() -> None:
    store, uplink = store_with(3), FakeUplink()
    store.fail_next = BucklerError("DATABASE_FULL", "the disk is full", next_step="free some space")
    async with running(store, uplink) as sender:
        await uplink.until(lambda: store.fail_next is None)
        await uplink.until(lambda: waiting(store) == 0)
        assert sender.state.failures_in_a_row in {0, 1}
    assert set(uplink.effects.values()) == {1}


async def test_a_receipt_for_rows_that_were_not_sent_changes_nothing() -> None:
    store, uplink = store_with(1), FakeUplink(refused={UUID(int=77): "never sent"})
    async with running(store, uplink):
        await uplink.until(lambda: waiting(store) == 0)
    assert list(uplink.stored) == [UUID(int=0)]


def test_a_batch_fits_the_protocol() -> None:
    with pytest.raises(ValueError, match="1 to 200"):
        SenderSettings(batch=201)
