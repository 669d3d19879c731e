import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.entitlement import Access, AccessLevel, Feature
from agent.domain.errors import BucklerError
from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.health import HealthIssue
from agent.domain.incident import IncidentAction
from agent.domain.policy import Action, Mode
from agent.domain.ports import CAPTURE_UNFINISHED
from agent.realtime.life_sign import LIFE_SIGN, LIFE_SIGN_HELD
from agent.realtime.pipeline import REST_FROM_MS
from agent.realtime.settings import BlockSettings
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.eicar import EICAR
from tests.fakes.event_source import FakeEventSource
from tests.fakes.file_times import instant_between
from tests.fakes.protected_folder import ProtectedFolder
from tests.fakes.waiting import until
from tests.scratch_mounts import open_descriptors

ENTITLED = Access(AccessLevel.FULL, "PAID", None, {Feature.BLOCKING_MODE.value: AccessLevel.GRACE})


async def test_an_infected_file_is_taken_and_a_clean_one_is_left(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        clean, infected = stage.write("clean.txt", b"hello"), stage.write("bad.txt", EICAR)
        for path in (clean, infected):
            stage.fake_source.wrote(path)
        await until(stage.settled)

    assert stage.quarantine.taken() == {str(infected)}
    assert clean.read_bytes() == b"hello"


async def test_report_only_leaves_the_file_and_reports_it_once_even_across_a_restart(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    stage.policy = replace(stage.policy, on_infected=Action.REPORT)
    infected = stage.write("bad.txt", EICAR)
    async with stage.running():
        await until(lambda: bool(stage.incidents.incidents))
    stage.build()
    async with stage.running():
        await until(lambda: stage.scans_of("bad.txt") == 2)
        await until(stage.settled)

    assert infected.exists()
    assert [incident.action for incident in stage.incidents.incidents.values()] == [IncidentAction.REPORTED]


async def test_every_name_of_an_infected_file_is_taken(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        stage.scanner.hold()
        first = stage.write("bad.txt", EICAR)
        stage.fake_source.wrote(first)
        os.link(first, stage.root / "second.txt")
        stage.fake_source.appeared(stage.root / "second.txt")
        stage.scanner.release()
        await until(stage.settled)

    assert stage.quarantine.taken() == {str(first), str(stage.root / "second.txt")}


async def test_a_file_renamed_while_it_is_scanned_is_taken_where_it_is_now(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        stage.scanner.hold()
        path = stage.write("bad.txt", EICAR)
        stage.fake_source.wrote(path)
        path.rename(stage.root / "elsewhere.txt")
        stage.fake_source.appeared(stage.root / "elsewhere.txt")
        stage.scanner.release()
        await until(stage.settled)

    assert stage.quarantine.taken() == {str(stage.root / "elsewhere.txt")}


async def test_an_excluded_folder_is_not_even_scanned(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    exclusion = Exclusion("exc_1", ExclusionKind.PATH, str(stage.root / "mine"), "mine", SOME_MONDAY)
    stage.policy = replace(stage.policy, exclusions=(exclusion,))
    async with stage.running():
        path = stage.write("mine/bad.txt", EICAR)
        stage.fake_source.wrote(path)
        await until(stage.settled)

    assert path.exists()
    assert stage.scans_of("mine/bad.txt") == 0


async def test_scans_run_side_by_side_up_to_the_number_of_workers(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, scan_slots=3)
    async with stage.running():
        stage.scanner.hold()
        for number in range(10):
            stage.fake_source.wrote(stage.write(f"{number}.txt", b"x"))
        await until(lambda: stage.scanner.running == 3)
        stage.scanner.release()
        await until(stage.settled)

    assert stage.scanner.most_running == 3


async def test_a_burst_beyond_the_descriptors_is_parked_and_scanned_in_full(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, descriptors=8)
    async with stage.running():
        stage.scanner.hold()
        for number in range(100):
            stage.fake_source.wrote(stage.write(f"{number}.txt", EICAR if number % 10 == 0 else b"x"))
        assert stage.protection.state().queue_depth == 100
        stage.scanner.release()
        await until(stage.settled)

    assert len(stage.quarantine.taken()) == 10
    assert stage.protection.state().events_lost == 0


async def test_parked_files_that_vanished_do_not_hold_up_the_others(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, descriptors=4)
    async with stage.running():
        stage.scanner.hold()
        paths = [stage.write(f"{number}.txt", EICAR) for number in range(40)]
        for path in paths:
            stage.fake_source.wrote(path)
        for path in paths[4:39]:
            path.unlink()
        stage.scanner.release()
        await until(stage.settled)

    assert str(paths[39]) in stage.quarantine.taken()


async def test_what_cannot_be_remembered_is_found_by_a_walk(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, descriptors=4, parked=4, reconcile_pause_s=0.05)
    async with stage.running():
        stage.scanner.hold()
        for number in range(40):
            stage.fake_source.wrote(stage.write(f"{number}.txt", EICAR))
        state = stage.protection.state()
        assert state.degraded_because == ("more files changed than can be remembered",)
        assert state.events_lost == 32
        stage.scanner.release()
        await until(lambda: len(stage.quarantine.taken()) == 40)
        await until(stage.settled)


async def test_lost_events_degrade_until_a_walk_found_what_was_missed(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        stage.scanner.hold()
        missed = stage.write("sub/missed.txt", EICAR)
        stage.fake_source.lose("overflow")
        assert stage.protection.state().degraded_because == ("overflow",)
        await until(lambda: stage.scans_of("sub/missed.txt") == 1)
        assert stage.protection.state().degraded_because == ("overflow",)
        stage.scanner.release()
        await until(stage.settled)

    assert stage.quarantine.taken() == {str(missed)}


async def test_a_dead_source_is_opened_again_and_what_happened_meanwhile_is_found(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        stage.fake_source.die()
        assert not stage.protection.state().enabled
        stage.fake_source.refusal = BucklerError("WATCH_LIMIT", "no watches left", next_step="raise the limit")
        missed = stage.write("missed.txt", EICAR)
        await asyncio.sleep(0.05)
        assert [issue.code for issue in stage.protection.state().issues][:1] == ["source_down"]
        stage.fake_source.refusal = None
        await until(stage.settled)
        assert stage.protection.state().enabled

    assert stage.fake_source.openings == 2
    assert str(missed) in stage.quarantine.taken()


async def test_a_lost_root_is_an_issue_until_it_comes_back(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        stage.root.rename(tmp_path / "gone")
        stage.fake_source.lose_root(stage.root)
        state = stage.protection.state()
        assert not state.enabled
        assert [issue.code for issue in state.issues if issue.code == "root_lost"] == ["root_lost"]
        (tmp_path / "gone" / "old").mkdir()
        (tmp_path / "gone" / "old" / "bad.txt").write_bytes(EICAR)
        (tmp_path / "gone").rename(stage.root)
        await until(lambda: stage.quarantine.taken() == {str(stage.root / "old" / "bad.txt")})
        await until(stage.settled)
        assert [issue.code for issue in stage.protection.state().issues if issue.code == "root_lost"] == []


async def test_a_folder_moved_in_is_walked_completely(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        (stage.outside / "album" / "deep").mkdir(parents=True)
        (stage.outside / "album" / "deep" / "bad.txt").write_bytes(EICAR)
        (stage.outside / "album").rename(stage.root / "album")
        stage.fake_source.appeared(stage.root / "album")
        await until(lambda: bool(stage.quarantine.taken()))

    assert stage.quarantine.taken() == {str(stage.root / "album" / "deep" / "bad.txt")}


async def test_a_scanner_that_breaks_does_not_end_protection(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, reconcile_pause_s=0.05)
    async with stage.running():
        stage.scanner.failure = RuntimeError("worker lost")
        stage.fake_source.wrote(stage.write("bad.txt", EICAR))
        await until(lambda: bool(stage.protection.state().degraded_because))
        stage.scanner.failure = None
        await until(stage.settled)

    assert stage.quarantine.taken() == {str(stage.root / "bad.txt")}


async def test_a_quarantine_that_breaks_leaves_an_incident(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        stage.quarantine.failure = OSError("disk full")
        stage.fake_source.wrote(stage.write("bad.txt", EICAR))
        await until(lambda: bool(stage.incidents.incidents))

    assert [row.action for row in stage.incidents.incidents.values()] == [IncidentAction.QUARANTINE_FAILED]


async def test_what_is_on_its_way_to_the_vault_is_nobody_elses_business(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    stage.write(".own/q_1", EICAR)  # found by the first walk, too
    before = open_descriptors()
    async with stage.running():
        stage.fake_source.wrote(stage.root / ".own/q_1")
        stage.fake_source.wrote(stage.write("bad.txt", EICAR))
        await until(lambda: bool(stage.quarantine.taken()))
        await until(stage.settled)

    assert stage.scans_of(".own/q_1") == 0
    assert open_descriptors() == before


async def test_a_capture_that_will_be_finished_later_is_not_reported_twice(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        stage.quarantine.failure = BucklerError(CAPTURE_UNFINISHED, "on its way", next_step="free some space")
        stage.fake_source.wrote(stage.write("bad.txt", EICAR))
        await until(lambda: bool(stage.quarantine.captured))
        await until(stage.settled)

    assert stage.incidents.incidents == {}


async def test_a_start_without_readable_root_is_refused_with_the_reason(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    stage.root.rmdir()
    with pytest.raises(BucklerError) as refusal:
        async with stage.running():
            pass

    assert refusal.value.code == "ROOT_UNREADABLE"
    assert str(stage.root) in refusal.value.message


async def test_blocking_needs_the_entitlement_and_ends_with_it(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running() as protection:
        with pytest.raises(BucklerError) as refusal:
            protection.set_mode(Mode.BLOCK)
        assert refusal.value.code == "FEATURE_NOT_ENTITLED"

        stage.access = ENTITLED
        protection.set_mode(Mode.BLOCK)
        assert (protection.state().mode, stage.fake_source.blocking) == (Mode.BLOCK, True)

        stage.access = replace(ENTITLED, level=AccessLevel.LIMITED, reason="SUBSCRIPTION_EXPIRED")
        protection.refresh_access()
        assert (protection.state().mode, stage.fake_source.blocking) == (Mode.NOTIFY, False)

        stage.access = ENTITLED
        protection.refresh_access()
        assert protection.state().mode is Mode.BLOCK

        protection.follow_policy()
        assert protection.state().mode is Mode.NOTIFY, "what was asked for ends with a new policy"


async def test_a_source_that_cannot_hold_openers_leaves_notify_in_force_with_an_issue(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, FakeEventSource(can_block=False))
    stage.access, stage.policy = ENTITLED, replace(stage.policy, mode=Mode.BLOCK)
    async with stage.running() as protection:
        assert protection.state().mode is Mode.NOTIFY
        assert "blocking_unavailable" in [issue.code for issue in protection.state().issues]


async def test_an_opener_waits_for_the_verdict(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        clean = stage.fake_source.opening(stage.write("clean.txt", b"x"))
        infected = stage.fake_source.opening(stage.write("bad.txt", EICAR))
        await until(stage.settled)
        assert stage.fake_source.answers == {clean: True, infected: False}


@pytest.mark.parametrize("fail_open", [True, False])
async def test_an_opener_is_answered_at_the_deadline_and_the_file_taken_all_the_same(
    tmp_path: Path, *, fail_open: bool
) -> None:
    stage = ProtectedFolder(tmp_path, block=BlockSettings(budget_s=0.06, fail_open=fail_open))
    async with stage.running():
        stage.scanner.hold()
        token = stage.fake_source.opening(stage.write("bad.txt", EICAR))
        await until(lambda: not stage.fake_source.unanswered)
        assert stage.fake_source.answers == {token: fail_open}
        stage.scanner.release()
        await until(stage.settled)

    assert stage.quarantine.taken() == {str(stage.root / "bad.txt")}


async def test_stopping_closes_every_descriptor_and_lets_every_opener_go(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, descriptors=8)
    before = open_descriptors()
    async with stage.running():
        stage.scanner.hold()
        for number in range(30):
            stage.fake_source.wrote(stage.write(f"{number}.txt", b"x"))
        stage.fake_source.opening(stage.root / "0.txt")

    assert open_descriptors() == before
    assert list(stage.fake_source.answers.values()) == [True]
    assert stage.fake_source.unanswered == set()


async def test_no_life_sign_is_given_for_files_that_a_stop_left_waiting(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        await until(lambda: stage.setting(LIFE_SIGN) is not None)
        before = stage.setting(LIFE_SIGN)
        stage.scanner.hold()
        stage.fake_source.wrote(stage.write("bad.txt", EICAR))

    assert stage.setting(LIFE_SIGN) == before
    stage.scanner.release()
    stage.build()
    async with stage.running():
        pass
    assert stage.quarantine.taken() == {str(stage.root / "bad.txt")}


def written_and_held(stage: ProtectedFolder, name: str) -> Path:
    """Long enough before the next life sign for a walk to pass it over, but for who holds it."""
    path = stage.write(name, b"")
    stage.hold_open(path)
    path.write_bytes(EICAR)
    instant_between(stage.outside)
    return path


async def test_what_was_held_open_at_the_stop_is_looked_at_by_the_next_start_and_then_forgotten(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, margin_s=0.0)
    stage.policy = replace(stage.policy, on_infected=Action.REPORT)
    async with stage.running():
        written_and_held(stage, "held.txt")
    assert stage.scans_of("held.txt") == 0

    stage.hold_open()
    for scans in (1, 1):
        stage.build()
        async with stage.running():
            await until(stage.settled)
        assert stage.scans_of("held.txt") == scans


async def test_what_was_held_open_is_not_forgotten_before_it_was_looked_at(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, margin_s=0.0)
    async with stage.running():
        held = written_and_held(stage, "held.txt")

    stage.hold_open()
    stage.scanner.hold()
    stage.build()
    async with stage.running(settled=False):
        await until(lambda: stage.scans_of("held.txt") == 1)
    assert stage.quarantine.taken() == set(), "it ended before the scan did"

    stage.scanner.release()
    stage.build()
    async with stage.running():
        await until(stage.settled)
    assert stage.quarantine.taken() == {str(held)}


async def test_what_was_held_open_when_events_were_lost_is_looked_at(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, margin_s=0.0)
    async with stage.running():
        held = written_and_held(stage, "held.txt")
        stage.fake_source.wrote(stage.write("another.txt", b"x"))
        await until(lambda: stage.setting(LIFE_SIGN_HELD) == f"[{held.stat().st_ino}]")
        assert stage.scans_of("held.txt") == 0
        stage.hold_open()
        stage.fake_source.die()
        await until(lambda: bool(stage.quarantine.taken()))

    assert stage.quarantine.taken() == {str(held)}


async def test_no_life_sign_is_given_for_what_was_closed_while_open_files_were_listed(tmp_path: Path) -> None:
    """Its event has come by then, and waits for a scan."""
    stage = ProtectedFolder(tmp_path, life_sign_every_s=3600.0)
    async with stage.running():
        stage.scanner.hold()
        bad, loop = stage.write("bad.txt", EICAR), asyncio.get_running_loop()

        def closed_meanwhile() -> frozenset[int]:
            loop.call_soon_threadsafe(stage.fake_source.wrote, bad)
            return frozenset()

        stage.held_for_writing = closed_meanwhile

    assert stage.setting(LIFE_SIGN) is None


async def test_what_happened_after_the_walk_and_before_the_source_was_open_again_is_found(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    async with stage.running():
        stage.fake_source.refusal = BucklerError("WATCH_LIMIT", "no watches left", next_step="raise the limit")
        stage.fake_source.die()
        await until(lambda: not stage.protection.state().degraded_because)
        missed = stage.write("missed.txt", EICAR)
        stage.fake_source.refusal = None
        await until(lambda: bool(stage.quarantine.taken()))

    assert stage.quarantine.taken() == {str(missed)}


async def test_a_machine_that_slept_is_looked_over_again(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, sleep_check_every_s=0.02)
    async with stage.running() as protection:
        missed = stage.write("written-by-the-other-system.txt", EICAR)
        stage.scanner.hold()
        stage.clock.slept_ns = 3_600_000_000_000
        await until(lambda: "the machine was asleep" in protection.state().degraded_because)
        stage.scanner.release()
        await until(stage.settled)

    assert stage.quarantine.taken() == {str(missed)}


async def test_a_costly_file_is_scanned_again_when_it_has_rested(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    # It rests for long enough to be written meanwhile, however busy the machine is.
    stage.scanner.elapsed_ms = 10 * REST_FROM_MS
    async with stage.running():
        log = stage.write("log.txt", b"one")
        stage.fake_source.wrote(log)
        await until(lambda: stage.scans_of("log.txt") == 1)
        await until(stage.settled)
        for number in range(20):
            log.write_bytes(b"line %d" % number)
            stage.fake_source.wrote(log)
        log.write_bytes(EICAR)
        stage.fake_source.wrote(log)
        await until(lambda: bool(stage.quarantine.taken()))

    assert stage.scans_of("log.txt") == 2


async def test_what_the_source_says_of_its_limits_is_an_issue(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    stage.fake_source.trouble = (HealthIssue("watch_limit", "raise it"),)
    async with stage.running() as protection:
        assert stage.fake_source.trouble[0] in protection.state().issues
