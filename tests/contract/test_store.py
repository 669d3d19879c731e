"""What every `agent.domain.ports.Store` does; the real database and the fake run the same suite."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from agent.domain.commands import CommandOutcome, CommandStage, RemoteCommand, failed
from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.facts import Finding, Severity
from agent.domain.files import FileIdentity
from agent.domain.incident import Incident, IncidentAction, Origin
from agent.domain.ports import Enrolment, PinnedKey, Store, TrustedKeys
from agent.domain.quarantine import (
    RETENTION,
    CaptureState,
    FileMetadata,
    HistoryEvent,
    HistoryNote,
    QuarantineEntry,
    Retained,
)
from agent.storage.database import open_database
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.store import MemoryStore

BOUND = 5


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore(outbox_bound=BOUND)
        return
    database = open_database(tmp_path / "agent.db", outbox_bound=BOUND)
    yield database
    database.close()


def an_entry(number: int = 1, state: CaptureState = CaptureState.PLANNED) -> QuarantineEntry:
    """Everything in it is as awkward as a file system allows."""
    return QuarantineEntry(
        id=f"q_{number:016x}",
        incident_uuid=UUID(int=number),
        state=state,
        original_path="/home/ann/two\nlines/\udcff\udcfe.exe",
        identity=FileIdentity(2**64 - 1, 2**64 - 2, 68, -1, 13_569_465_600 * 10**9),
        sha256="ab" * 32,
        metadata=FileMetadata(
            0o4755, 2**32 - 2, 0, 1, 2**63, (("user.\udcff", b"\0\xff"), ("system.posix_acl_access", b"")), 0x10, 3
        ),
        findings=(Finding("Eicar", "test", Severity.CRITICAL, ("a.zip", "b/\udcffc.txt"), "EICAR"),),
        planned_at=SOME_MONDAY + timedelta(seconds=number),
        origin=Origin.SCAN,
        engine="yara 4.5.4",
        signatures_version="7",
        detected_at=SOME_MONDAY,
        staged_path="/vault/staging/\udcff",
    )


def an_incident(number: int, action: IncidentAction = IncidentAction.QUARANTINED) -> Incident:
    return Incident(
        uuid=UUID(int=number),
        detected_at=SOME_MONDAY + timedelta(minutes=number),
        path="/home/ann/\udcff\n",
        sha256="cd" * 32,
        size_bytes=68,
        findings=(Finding("Eicar", "test", Severity.HIGH),),
        action=action,
        action_detail="",
        origin=Origin.REAL_TIME,
        engine="yara 4.5.4",
        signatures_version="7",
        quarantine_id="q_1",
    )


def fill(store: Store, *incidents: Incident) -> None:
    with store.transaction() as tables:
        for incident in incidents:
            tables.outbox.add(incident)


def waiting(store: Store) -> list[int]:
    with store.transaction() as tables:
        return [incident.uuid.int for incident in tables.outbox.pending(100)]


# ---------------------------------------------------------------- transactions


def test_what_a_block_wrote_is_there_after_it(store: Store) -> None:
    with store.transaction() as tables:
        tables.settings.put("mode", "notify")
    with store.transaction() as tables:
        assert tables.settings.get("mode") == "notify"


def test_a_block_that_raises_leaves_nothing_behind_in_any_table(store: Store) -> None:
    def write_and_fail() -> None:
        with store.transaction() as tables:
            tables.settings.put("mode", "notify")
            tables.journal.add(an_entry())
            tables.outbox.add(an_incident(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with store.transaction() as tables:
        assert tables.settings.get("mode") is None
        assert tables.journal.entries() == []
        assert tables.outbox.count() == 0


def test_a_transaction_inside_a_transaction_is_refused_instead_of_hanging(store: Store) -> None:
    with store.transaction() as tables:
        tables.settings.put("outer", "kept")
        with pytest.raises(RuntimeError, match="do not nest"), store.transaction():
            pass
    with store.transaction() as tables:
        assert tables.settings.get("outer") == "kept"


def test_transactions_of_many_threads_follow_one_another(store: Store) -> None:
    def count_up() -> None:
        for _ in range(20):
            with store.transaction() as tables:
                tables.settings.put("count", str(int(tables.settings.get("count") or "0") + 1))

    threads = [threading.Thread(target=count_up) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.transaction() as tables:
        assert tables.settings.get("count") == "100"


# ---------------------------------------------------------------- journal


def test_an_entry_comes_back_as_it_went_in(store: Store) -> None:
    with store.transaction() as tables:
        tables.journal.add(an_entry())
    with store.transaction() as tables:
        assert tables.journal.get(an_entry().id) == an_entry()
        assert tables.journal.get("q_other") is None


def test_an_entry_may_lack_the_time_of_detection(store: Store) -> None:
    entry = replace(an_entry(), detected_at=None)
    with store.transaction() as tables:
        tables.journal.add(entry)
        assert tables.journal.get(entry.id) == entry


def test_advancing_changes_the_state_and_only_the_facts_that_are_given(store: Store) -> None:
    with store.transaction() as tables:
        tables.journal.add(an_entry())
        tables.journal.advance(an_entry().id, CaptureState.CAPTURED, "two names", staged_path="/elsewhere")
        tables.journal.advance(an_entry().id, CaptureState.DONE, restore_path="/home/ann/\udcff")
        assert tables.journal.get(an_entry().id) == replace(
            an_entry(),
            state=CaptureState.DONE,
            detail="two names",
            staged_path="/elsewhere",
            restore_path="/home/ann/\udcff",
        )


def test_advancing_an_entry_that_is_not_there_is_an_error(store: Store) -> None:
    with pytest.raises(KeyError), store.transaction() as tables:
        tables.journal.advance("q_other", CaptureState.DONE)


def test_entries_are_listed_in_the_order_they_were_planned_and_by_state(store: Store) -> None:
    with store.transaction() as tables:
        for number, state in enumerate([CaptureState.DONE, CaptureState.FAILED, CaptureState.DONE], start=1):
            tables.journal.add(an_entry(4 - number, state))
    with store.transaction() as tables:
        assert [row.incident_uuid.int for row in tables.journal.entries()] == [3, 2, 1]
        assert [row.incident_uuid.int for row in tables.journal.entries({CaptureState.DONE})] == [3, 1]
        assert tables.journal.entries(set()) == []


def test_the_vault_is_summed_up_from_what_it_still_holds(store: Store) -> None:
    with store.transaction() as tables:
        assert tables.journal.retained() == Retained(0, 0, None)
        tables.journal.add(an_entry(1, CaptureState.DELETED))
        tables.journal.add(an_entry(3, CaptureState.DONE))
        tables.journal.add(an_entry(2, CaptureState.DONE))
        assert tables.journal.retained() == Retained(2, 136, SOME_MONDAY + timedelta(seconds=2))


def test_an_announced_deletion_is_remembered_and_withdrawn(store: Store) -> None:
    with store.transaction() as tables:
        tables.journal.add(an_entry())
        tables.journal.announce_deletion(an_entry().id, SOME_MONDAY)
    with store.transaction() as tables:
        assert tables.journal.get(an_entry().id) == replace(an_entry(), deletion_announced_at=SOME_MONDAY)
        tables.journal.announce_deletion(an_entry().id, None)
        assert tables.journal.get(an_entry().id) == an_entry()
        with pytest.raises(KeyError):
            tables.journal.announce_deletion("q_unknown", SOME_MONDAY)


def test_the_history_of_an_entry_is_kept_in_order_and_belongs_to_it(store: Store) -> None:
    taken = HistoryNote(SOME_MONDAY, HistoryEvent.TAKEN, Origin.SCAN.value)
    deleted = HistoryNote(SOME_MONDAY, HistoryEvent.DELETED, RETENTION, "kept for 90 days")
    with store.transaction() as tables:
        tables.journal.add(an_entry(1))
        tables.journal.add(an_entry(2))
        tables.journal.note(an_entry(1).id, taken)
        tables.journal.note(an_entry(2).id, taken)
        tables.journal.note(an_entry(1).id, deleted)
    with store.transaction() as tables:
        assert tables.journal.history(an_entry(1).id) == (taken, deleted)
        assert tables.journal.history("q_unknown") == ()


# ---------------------------------------------------------------- outbox


def test_an_incident_comes_back_as_it_went_in(store: Store) -> None:
    fill(store, an_incident(1))
    with store.transaction() as tables:
        assert tables.outbox.pending(10) == [an_incident(1)]


def test_an_incident_that_is_there_already_changes_nothing(store: Store) -> None:
    fill(store, an_incident(1), replace(an_incident(1), path="/other"))
    with store.transaction() as tables:
        assert tables.outbox.pending(10) == [an_incident(1)]


def test_detections_with_an_action_go_first_then_the_oldest(store: Store) -> None:
    fill(store, an_incident(1, IncidentAction.REPORTED), an_incident(2), an_incident(3, IncidentAction.BLOCKED))
    assert waiting(store) == [2, 3, 1]
    with store.transaction() as tables:
        assert [incident.uuid.int for incident in tables.outbox.pending(2)] == [2, 3]


def test_acknowledged_rows_are_gone_and_unknown_ones_do_no_harm(store: Store) -> None:
    fill(store, an_incident(1), an_incident(2))
    with store.transaction() as tables:
        tables.outbox.acknowledge([UUID(int=1), UUID(int=99)])
        assert tables.outbox.count() == 1
    assert waiting(store) == [2]


def test_a_row_set_aside_does_not_wait_any_more(store: Store) -> None:
    fill(store, an_incident(1), an_incident(2))
    with store.transaction() as tables:
        tables.outbox.set_aside(UUID(int=1), "malformed")
        tables.outbox.set_aside(UUID(int=99), "unknown")
        tables.outbox.set_aside(UUID(int=1), "again")
        assert (tables.outbox.count(), tables.outbox.aside()) == (1, 1)
        assert tables.outbox.dropped() == {"set_aside": 1}
    assert waiting(store) == [2]


def test_beyond_the_bound_the_oldest_reported_rows_go_first_and_are_counted(store: Store) -> None:
    reported = [an_incident(number, IncidentAction.REPORTED) for number in (1, 2, 3)]
    fill(store, *reported, *[an_incident(number) for number in (4, 5, 6, 7)])
    assert waiting(store) == [4, 5, 6, 7, 3]
    with store.transaction() as tables:
        assert tables.outbox.dropped() == {"reported": 2}


def test_detections_with_an_action_are_dropped_last_and_counted_by_class(store: Store) -> None:
    fill(store, an_incident(1, IncidentAction.QUARANTINE_FAILED), *[an_incident(number) for number in range(2, 7)])
    fill(store, an_incident(8, IncidentAction.REPORTED))
    assert waiting(store) == [2, 3, 4, 5, 6]
    with store.transaction() as tables:
        assert tables.outbox.dropped() == {"quarantine_failed": 1, "reported": 1}


def test_rows_set_aside_give_way_before_all_others_and_are_counted_once(store: Store) -> None:
    fill(store, *[an_incident(number) for number in range(1, 6)])
    with store.transaction() as tables:
        tables.outbox.set_aside(UUID(int=5), "malformed")
    fill(store, an_incident(6))
    assert waiting(store) == [1, 2, 3, 4, 6]
    with store.transaction() as tables:
        assert tables.outbox.dropped() == {"set_aside": 1}
        assert tables.outbox.aside() == 0


def test_only_reported_drops_are_subtracted(store: Store) -> None:
    fill(store, *[an_incident(number, IncidentAction.REPORTED) for number in range(1, 9)])
    with store.transaction() as tables:
        assert tables.outbox.dropped() == {"reported": 3}
        tables.outbox.clear_dropped({"reported": 2, "blocked": 9})
        assert tables.outbox.dropped() == {"reported": 1}
        tables.outbox.clear_dropped({"reported": 1})
        assert tables.outbox.dropped() == {}


# ---------------------------------------------------------------- small tables


def test_exclusions_are_listed_in_the_order_of_their_creation(store: Store) -> None:
    first = Exclusion("exc_2", ExclusionKind.PATH, "/home/ann/\udcff", "mine", SOME_MONDAY)
    second = Exclusion(
        "exc_1", ExclusionKind.SHA256, "ab" * 32, "restored", SOME_MONDAY, SOME_MONDAY + timedelta(days=1)
    )
    with store.transaction() as tables:
        tables.exclusions.add(first)
        tables.exclusions.add(second)
    with store.transaction() as tables:
        assert tables.exclusions.all() == (first, second)
        assert tables.exclusions.remove("exc_2")
        assert not tables.exclusions.remove("exc_2")
        assert tables.exclusions.all() == (second,)


def test_the_enrolment_is_one_and_is_replaced_as_a_whole(store: Store) -> None:
    keys = (
        PinnedKey("k2", b"\x02" * 32, SOME_MONDAY, None),
        PinnedKey("k1", b"\x01" * 32, SOME_MONDAY, SOME_MONDAY + timedelta(days=30)),
    )
    trusted = TrustedKeys(b"root", 4, keys, frozenset({"k0", "k1"}))
    enrolment = Enrolment("a:1", "a:2", "dev_1", "org_1", b"ca", b"cert", b"claims", b"signature", "k2", trusted, 60)
    renewed = replace(
        enrolment,
        signed_claims=b"newer",
        trusted_keys=replace(trusted, version=5, keys=keys[:1]),
        last_check_in=SOME_MONDAY,
    )
    with store.transaction() as tables:
        assert tables.enrolment.get() is None
        tables.enrolment.put(enrolment)
        assert tables.enrolment.get() == enrolment
        tables.enrolment.put(renewed)
    with store.transaction() as tables:
        assert tables.enrolment.get() == renewed
        tables.enrolment.forget()
        assert tables.enrolment.get() is None


def test_a_setting_keeps_its_last_value(store: Store) -> None:
    with store.transaction() as tables:
        assert tables.settings.get("mark") is None
        tables.settings.put("mark", "1")
        tables.settings.put("mark", "2")
        assert tables.settings.get("mark") == "2"


# ------------------------------------------------------------ commands


def a_command(number: int = 1) -> RemoteCommand:
    return RemoteCommand(
        f"cmd_{number}", "scan", {"what": "path", "path": "/home/\udcff"}, SOME_MONDAY, "user:usr_1", "why"
    )


def test_commands_are_kept_in_their_order_with_everything_that_came_of_them(store: Store) -> None:
    with store.transaction() as tables:
        for number in (2, 1, 3):
            tables.commands.receive(a_command(number))
        tables.commands.advance("cmd_1", CommandStage.IN_PROGRESS)
        tables.commands.advance("cmd_3", CommandStage.SUCCEEDED, CommandOutcome(result={"files": "\udcff"}))
    with store.transaction() as tables:
        received = tables.commands.entries([CommandStage.RECEIVED])
        assert [entry.command for entry in received] == [a_command(2)]
        untold = tables.commands.untold(10)
        assert [(entry.command.id, entry.stage) for entry in untold] == [
            ("cmd_1", CommandStage.IN_PROGRESS),
            ("cmd_3", CommandStage.SUCCEEDED),
        ]
        assert dict(untold[1].result) == {"files": "\udcff"}
        assert tables.commands.untold(1) == untold[:1]


def test_what_was_told_is_told_again_only_if_it_changed_or_was_asked_again(store: Store) -> None:
    with store.transaction() as tables:
        tables.commands.receive(a_command())
        tables.commands.advance("cmd_1", CommandStage.IN_PROGRESS)
        tables.commands.told("cmd_1", CommandStage.IN_PROGRESS)
        assert tables.commands.untold(10) == []
        tables.commands.advance("cmd_1", CommandStage.FAILED, failed("BROKEN", "it broke"))
        tables.commands.told("cmd_1", CommandStage.IN_PROGRESS)
        [entry] = tables.commands.untold(10)
        assert (entry.stage, entry.code, entry.message) == (CommandStage.FAILED, "BROKEN", "it broke")
        tables.commands.told("cmd_1", CommandStage.FAILED)
        assert tables.commands.untold(10) == []
        tables.commands.receive(a_command())
        assert tables.commands.untold(10) == [entry]
        assert tables.commands.entries([CommandStage.RECEIVED]) == []


def test_an_unknown_command_does_not_move(store: Store) -> None:
    with store.transaction() as tables, pytest.raises(KeyError):
        tables.commands.advance("cmd_none", CommandStage.FAILED)
