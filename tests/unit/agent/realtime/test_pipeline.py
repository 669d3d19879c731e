"""Transcripts: what comes in, what goes out."""

from dataclasses import replace

import pytest

from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.facts import Finding, Incomplete, ScanFacts, Severity
from agent.domain.files import EventKind, EventsLost, FileEvent, FileIdentity, FolderAppeared, RootLost, SourceDied
from agent.domain.incident import Origin
from agent.domain.policy import Action, Policy
from agent.realtime.commands import (
    Answer,
    ArmDeadline,
    Capture,
    CaptureFinished,
    Command,
    DeadlineReached,
    Input,
    JobAborted,
    MarkRootLost,
    NotThere,
    Reconcile,
    Record,
    Release,
    Remember,
    Reopen,
    Rest,
    RestartSource,
    Rested,
    Scan,
    ScanFinished,
    SelfTestSeen,
    Stopping,
    Walk,
)
from agent.realtime.pipeline import (
    ASK_AGAIN_AFTER_S,
    MAX_LOOKS,
    MAX_PATHS,
    REST_AT_MOST_S,
    REST_FACTOR,
    Lane,
    Pipeline,
    PipelineLimits,
    lane_of,
)
from tests.fakes.clock import SOME_MONDAY

CLEAN = ScanFacts("aa", 3)
EICAR = Finding("EICAR", "test", Severity.HIGH)
INFECTED = ScanFacts("bb", 3, findings=(EICAR,))
CLOSED, APPEARED = EventKind.CLOSED_AFTER_WRITE, EventKind.APPEARED


def identity(inode: int = 1, version: int = 1) -> FileIdentity:
    return FileIdentity(1, inode, 3, version, version)


def seen(
    descriptor: int,
    path: str = "/r/a",
    *,
    inode: int = 1,
    version: int = 1,
    kind: EventKind = CLOSED,
    token: int | None = None,
) -> FileEvent:
    return FileEvent(identity(inode, version), path, descriptor, 1, kind, token, 0)


def scanned(job: int, facts: ScanFacts = CLEAN, *, version: int = 1, inode: int = 1, changed: bool = False) -> Input:
    return ScanFinished(job, facts, identity(inode, version), changed)


class Play:
    """A pipeline with its policy."""

    def __init__(self, limits: PipelineLimits | None = None, policy: Policy | None = None) -> None:
        self.pipeline = Pipeline(limits or PipelineLimits(slots=1))
        self.policy = policy or Policy()

    def __call__(self, event: Input) -> list[Command]:
        return self.pipeline.handle(event, self.policy, SOME_MONDAY)


def test_workers_have_files_at_hand_only_while_nobody_is_held() -> None:
    play = Play(PipelineLimits(slots=1, ahead=1))
    assert play(seen(7, "/r/a", inode=1)) == [Scan(1, 7, "/r/a", 0)]
    assert play(seen(8, "/r/b", inode=2)) == [Scan(2, 8, "/r/b", 0)]
    assert play(seen(9, "/r/c", inode=3)) == []
    assert play(seen(10, "/r/d", inode=4, kind=EventKind.OPENING, token=5)) == [ArmDeadline(5)]
    assert not any(isinstance(command, Scan) for command in play(scanned(1, inode=1)))
    # The one worker has nothing left: now whoever is held goes first, and has it alone.
    assert play(scanned(2, inode=2))[-1] == Scan(4, 10, "/r/d", 0)


def test_a_clean_file_is_scanned_remembered_and_released() -> None:
    play = Play()
    assert play(seen(7)) == [Scan(1, 7, "/r/a", 0)]
    assert play(scanned(1)) == [Remember(7, identity()), Release(7)]
    assert play.pipeline.idle


def test_an_infected_file_is_captured_with_its_descriptor_held_until_that_is_done() -> None:
    play = Play()
    play(seen(7))
    capture = Capture(1, 7, ("/r/a",), identity(), INFECTED, (EICAR,), Origin.REAL_TIME)
    assert play(scanned(1, INFECTED)) == [capture]
    assert play(CaptureFinished(1, frozenset({"/r/a"}), changed=False)) == [Release(7)]


def test_report_only_records_and_releases() -> None:
    play = Play(policy=Policy(on_infected=Action.REPORT))
    play(seen(7, kind=EventKind.RECONCILED))
    record = Record("/r/a", identity(), INFECTED, (EICAR,), Origin.RECONCILE, blocked=False)
    assert play(scanned(1, INFECTED)) == [record, Release(7)]


def test_many_writes_during_a_scan_lead_to_exactly_one_more_look() -> None:
    play = Play()
    play(seen(7))
    assert play(seen(8, version=2)) == []
    assert play(seen(9, version=3)) == [Release(9)]
    assert play(seen(10, version=4)) == [Release(10)]
    assert play(scanned(1, version=4)) == [Remember(7, identity(version=4)), Release(7), Scan(2, 8, "/r/a", 0)]
    assert play(scanned(2, version=4)) == [Remember(8, identity(version=4)), Release(8)]


def test_writes_to_a_file_that_still_waits_are_one() -> None:
    play = Play()
    play(seen(7, "/r/busy", inode=9))
    assert play(seen(8)) == []
    assert play(seen(9, version=2)) == [Release(9)]
    assert play(scanned(1, inode=9))[-1] == Scan(2, 8, "/r/a", 0)


def test_a_new_name_of_an_unchanged_file_joins_the_scan_that_runs() -> None:
    play = Play()
    play(seen(7))
    assert play(seen(8, "/r/b", kind=APPEARED)) == [Release(8)]
    (capture,) = play(scanned(1, INFECTED))
    assert isinstance(capture, Capture)
    assert capture.paths == ("/r/a", "/r/b")


def test_names_of_one_file_are_bounded() -> None:
    play = Play()
    play(seen(7, "/r/busy", inode=9))
    for number in range(MAX_PATHS + 5):
        play(seen(10 + number, f"/r/{number}"))
    play(scanned(1, inode=9))
    (capture,) = play(scanned(2, INFECTED))
    assert isinstance(capture, Capture)
    assert len(capture.paths) == MAX_PATHS
    assert capture.paths[-1] == f"/r/{MAX_PATHS + 4}"


def test_what_was_announced_while_the_file_went_to_the_vault_is_dropped() -> None:
    play = Play()
    play(seen(7))
    play(scanned(1, INFECTED))
    assert play(seen(8, version=2)) == []
    assert play(CaptureFinished(1, frozenset({"/r/a"}), changed=False)) == [Release(8), Release(7)]


def test_another_name_that_came_up_meanwhile_is_looked_at() -> None:
    play = Play()
    play(seen(7))
    play(scanned(1, INFECTED))
    play(seen(8, "/r/b", version=2, kind=APPEARED))
    taken = CaptureFinished(1, frozenset({"/r/a"}), changed=False)
    assert play(taken) == [Release(7), Scan(2, 8, "/r/b", 0)]


def test_a_file_that_changed_before_it_was_taken_is_looked_at_again() -> None:
    play = Play()
    play(seen(7))
    play(scanned(1, INFECTED))
    assert play(CaptureFinished(1, frozenset(), changed=True)) == [Scan(1, 7, "/r/a", 0)]


def test_names_that_were_not_taken_because_of_another_name_are_taken_with_it() -> None:
    play = Play()
    play(seen(7))
    play(scanned(1, INFECTED))
    play(seen(8, "/r/b", version=2, kind=APPEARED))
    assert play(CaptureFinished(1, frozenset(), changed=True)) == [Release(7), Scan(2, 8, "/r/b", 0)]
    (capture,) = play(scanned(2, INFECTED, version=2))
    assert isinstance(capture, Capture)
    assert capture.paths == ("/r/a", "/r/b")


def test_a_change_that_was_reported_is_looked_at_under_all_names() -> None:
    play = Play()
    play(seen(7))
    play(seen(8, "/r/b", version=2, kind=APPEARED))
    assert play(scanned(1, changed=True)) == [Release(7), Scan(2, 8, "/r/b", 0)]
    (capture,) = play(scanned(2, INFECTED, version=2))
    assert isinstance(capture, Capture)
    assert capture.paths == ("/r/a", "/r/b")


def test_an_excluded_path_is_released_at_once_and_its_opener_let_in() -> None:
    exclusion = Exclusion("exc_1", ExclusionKind.PATH, "/r/mine", "mine", SOME_MONDAY)
    play = Play(policy=Policy(exclusions=(exclusion,)))
    assert play(seen(7, "/r/mine/a", kind=EventKind.OPENING, token=5)) == [Answer(5, allow=True), Release(7)]
    assert play(seen(8, "/r/mineral", kind=CLOSED)) == [Scan(1, 8, "/r/mineral", 0)]


def test_an_opener_is_answered_by_the_verdict_and_only_once() -> None:
    play = Play()
    assert play(seen(7, kind=EventKind.OPENING, token=5)) == [ArmDeadline(5), Scan(1, 7, "/r/a", 0)]
    assert play(seen(8, kind=EventKind.OPENING, token=6)) == [Release(8), ArmDeadline(6)]
    assert play(DeadlineReached(5)) == [Answer(5, allow=True)]
    answers = [command for command in play(scanned(1, INFECTED)) if isinstance(command, Answer)]
    assert answers == [Answer(6, allow=False)]
    assert play(DeadlineReached(6)) == []


def test_an_opener_of_a_file_on_its_way_to_the_vault_is_refused_at_once() -> None:
    play = Play()
    play(seen(7))
    play(scanned(1, INFECTED))
    assert play(seen(8, kind=EventKind.OPENING, token=5)) == [Answer(5, allow=False), Release(8)]


@pytest.mark.parametrize("fail_open", [True, False])
def test_without_a_verdict_one_setting_decides(*, fail_open: bool) -> None:
    play = Play(PipelineLimits(slots=1, fail_open=fail_open))
    play(seen(7, kind=EventKind.OPENING, token=5))
    assert play(JobAborted(1)) == [
        Answer(5, allow=fail_open),
        Reconcile("a file could not be worked on to its end"),
        Release(7),
    ]


def test_a_blocked_and_reported_file_says_so() -> None:
    play = Play(policy=Policy(on_infected=Action.REPORT))
    play(seen(7, kind=EventKind.OPENING, token=5))
    assert [c.blocked for c in play(scanned(1, INFECTED)) if isinstance(c, Record)] == [True]


def test_beyond_the_descriptors_paths_are_parked_and_brought_back() -> None:
    play = Play(PipelineLimits(slots=1, descriptors=2, parked=1))
    play(seen(7, "/r/a", inode=1))
    play(seen(8, "/r/b", inode=2))
    assert play(seen(9, "/r/c", inode=3)) == [Release(9)]
    assert play(seen(10, "/r/d", inode=4)) == [Reconcile("more files changed than can be remembered"), Release(10)]
    assert play.pipeline.depth == 3
    assert play(scanned(1)) == [Remember(7, identity()), Release(7), Scan(2, 8, "/r/b", 0)]
    assert play(scanned(2, inode=2)) == [Remember(8, identity(2)), Release(8), Reopen("/r/c", CLOSED)]
    assert play(NotThere("/r/c")) == []
    assert play.pipeline.idle


def test_a_self_test_is_seen_and_neither_reported_nor_taken() -> None:
    play = Play()
    play.pipeline.plant("/r/.test", device=1, inode=1)
    play(seen(7, "/r/.test"))
    play.pipeline.uproot(device=1, inode=1)
    assert play(scanned(1, INFECTED)) == [SelfTestSeen("/r/.test", found=True, kind=CLOSED), Release(7)]
    # The next file of that inode is anybody's.
    play(seen(8))
    assert any(isinstance(command, Capture) for command in play(scanned(2, INFECTED)))


def test_stopping_lets_everybody_go_and_keeps_what_is_worked_on() -> None:
    play = Play()
    play(seen(7, kind=EventKind.OPENING, token=5))
    play(seen(8, version=2))
    play(seen(9, "/r/b", inode=2))
    assert play(Stopping()) == [Answer(5, allow=True), Release(8), Release(9)]
    assert play(seen(10, "/r/c", inode=3)) == [Release(10)]
    assert play(JobAborted(1)) == [Release(7)]


def test_news_of_the_source_become_work() -> None:
    play = Play()
    assert play(FolderAppeared("/r/f")) == [Walk("/r/f")]
    assert play(EventsLost("x", "overflow")) == [Reconcile("overflow")]
    assert play(SourceDied("x", "gone")) == [RestartSource("gone"), Reconcile("the source died: gone")]
    assert play(RootLost("/r", "unmounted")) == [MarkRootLost("/r", "unmounted")]
    assert play.pipeline.events_lost == 2


def test_a_result_nobody_asked_for_is_a_programming_error() -> None:
    with pytest.raises(RuntimeError, match="nobody works on job 3"):
        Play()(scanned(3))


def test_who_goes_first() -> None:
    assert lane_of(seen(7, token=1, kind=EventKind.OPENING)) is Lane.WAITED_FOR
    assert lane_of(seen(7, "/r/setup.EXE")) is Lane.RISKY
    assert lane_of(seen(7, "/home/me/Downloads/x")) is Lane.RISKY
    assert lane_of(seen(7, "/r/notes.txt")) is Lane.ORDINARY
    assert lane_of(replace(seen(7, "/r/setup.exe"), kind=EventKind.RECONCILED)) is Lane.RECONCILED


def test_the_urgent_overtake_the_others() -> None:
    play = Play()
    play(seen(1, "/r/busy", inode=9))
    play(seen(2, "/r/old", inode=2, kind=EventKind.RECONCILED))
    play(seen(3, "/r/notes.txt", inode=3))
    play(seen(4, "/r/setup.exe", inode=4))
    # Somebody wants to open the old one: it does not wait behind the others any more.
    play(seen(5, "/r/old", inode=2, kind=EventKind.OPENING, token=5))
    order = []
    job, inode = 1, 9
    while not play.pipeline.idle:
        scans = [command for command in play(scanned(job, inode=inode)) if isinstance(command, Scan)]
        for scan in scans:
            order.append(scan.path)
            job, inode = scan.job, {"/r/old": 2, "/r/notes.txt": 3, "/r/setup.exe": 4}[scan.path]
    assert order == ["/r/old", "/r/setup.exe", "/r/notes.txt"]


# ---------------------------------------------------------------- costly files


def costly(facts: ScanFacts = CLEAN, took_ms: float = 500.0) -> ScanFacts:
    return replace(facts, elapsed_ms=took_ms)


def test_a_log_that_is_written_all_the_time_rests_between_its_looks() -> None:
    play = Play()
    play(seen(7))
    play(seen(8, version=2))
    rest = Rest(1, 1, seconds=0.5 * REST_FACTOR)
    assert play(scanned(1, costly(), version=2)) == [rest, Remember(7, identity(version=2)), Release(7)]
    # However often it is written meanwhile, the next look comes when it has rested, and there is one.
    assert play(seen(9, version=3)) == [Release(9)]
    assert play(seen(10, version=4)) == [Release(10)]
    assert play(Rested(1, 1)) == [Scan(2, 8, "/r/a", 0)]
    assert play(scanned(2, version=4)) == [Remember(8, identity(version=4)), Release(8)]
    assert play.pipeline.idle


def test_a_costly_file_that_is_written_after_its_look_waits_for_the_end_of_its_rest() -> None:
    play = Play()
    play(seen(7))
    play(scanned(1, costly()))
    assert play(seen(8, version=2)) == []
    assert play(Rested(1, 1)) == [Scan(2, 8, "/r/a", 0)]


def test_whoever_is_held_ends_the_rest() -> None:
    play = Play()
    play(seen(7))
    play(scanned(1, costly()))
    play(seen(8, version=2))
    opening = seen(9, version=2, kind=EventKind.OPENING, token=5)
    assert play(opening) == [Release(9), ArmDeadline(5), Scan(2, 8, "/r/a", 0)]
    assert play(Rested(1, 1)) == []


def test_a_new_file_with_the_inode_of_a_costly_one_does_not_rest() -> None:
    play = Play()
    play(seen(7))
    play(scanned(1, costly()))
    assert play(seen(8, "/r/new", version=2)) == [Scan(2, 8, "/r/new", 0)]


def test_a_rest_has_an_end_however_long_the_look_took() -> None:
    play = Play()
    play(seen(7))
    assert play(scanned(1, costly(took_ms=3_600_000)))[0] == Rest(1, 1, REST_AT_MOST_S)


def test_a_file_that_rests_holds_up_nobody_else() -> None:
    play = Play()
    play(seen(7))
    play(scanned(1, costly()))
    play(seen(8, version=2))
    assert play(seen(9, "/r/b", inode=2)) == [Scan(3, 9, "/r/b", 0)]


def test_stopping_lets_a_resting_file_go() -> None:
    play = Play()
    play(seen(7))
    play(scanned(1, costly()))
    play(seen(8, version=2))
    assert play(Stopping()) == [Release(8)]
    assert play(Rested(1, 1)) == []


# ---------------------------------------------------------------- a scanner that is away

AWAY = ScanFacts("", 3, error="scanner_unavailable")


@pytest.mark.parametrize("code", ["scanner_unavailable", "scanner_overloaded", "scanner_closed"])
def test_a_file_that_nobody_could_look_at_is_not_done_with(code: str) -> None:
    play = Play()
    play(seen(7))
    assert play(scanned(1, ScanFacts("", 3, error=code))) == [Rest(1, 1, ASK_AGAIN_AFTER_S)]
    assert not play.pipeline.idle
    assert play(Rested(1, 1)) == [Scan(1, 7, "/r/a", 0)]
    assert isinstance(play(scanned(1, INFECTED))[-1], Capture)


def test_while_the_scanner_is_away_a_file_is_asked_about_once_in_a_while_under_whatever_name() -> None:
    play = Play()
    play(seen(7))
    play(seen(8, "/r/b", version=2))
    assert play(scanned(1, AWAY, version=2)) == [Rest(1, 1, ASK_AGAIN_AFTER_S), Release(7), Scan(2, 8, "/r/b", 0)]
    assert play(scanned(2, AWAY, version=2)) == []
    assert play(seen(9, "/r/a", version=3)) == [Release(9)]
    for _ in range(2 * MAX_LOOKS):
        assert play(Rested(1, 1)) == [Scan(2, 8, "/r/a", 0)]
        assert play(scanned(2, AWAY, version=3)) == [Rest(1, 1, ASK_AGAIN_AFTER_S)]


@pytest.mark.parametrize("fail_open", [True, False])
def test_nobody_is_held_for_a_scanner_that_is_away(*, fail_open: bool) -> None:
    play = Play(PipelineLimits(slots=1, fail_open=fail_open))
    play(seen(7, kind=EventKind.OPENING, token=5))
    assert play(scanned(1, AWAY)) == [Answer(5, allow=fail_open), Rest(1, 1, ASK_AGAIN_AFTER_S)]
    again = play(seen(8, kind=EventKind.OPENING, token=6))
    assert again == [Release(8), ArmDeadline(6), Scan(1, 7, "/r/a", 0)]
    assert play(scanned(1, AWAY)) == [Answer(6, allow=fail_open)]


def test_a_file_that_the_scanner_did_not_look_at_before_the_end_is_let_go() -> None:
    play = Play()
    play(seen(7))
    play(Stopping())
    assert play(scanned(1, AWAY)) == [Release(7)]


# ---------------------------------------------------------------- a worker that ended


def ended(reason: str = "worker_crashed", *findings: Finding) -> ScanFacts:
    return ScanFacts("", 3, findings, (Incomplete(reason),))


@pytest.mark.parametrize("reason", ["worker_crashed", "worker_restarted"])
def test_a_file_whose_worker_ended_is_given_to_another_one_once(reason: str) -> None:
    play = Play()
    play(seen(7))
    assert play(scanned(1, ended(reason))) == [Rest(1, 1, ASK_AGAIN_AFTER_S)]
    assert not play.pipeline.idle
    assert play(Rested(1, 1)) == [Scan(1, 7, "/r/a", 0)]
    assert play.pipeline.incomplete == 0
    assert play(scanned(1, ended(reason))) == [Release(7)]
    assert play.pipeline.incomplete == 1


def test_the_second_look_finds_what_the_first_did_not() -> None:
    play = Play()
    play(seen(7))
    play(scanned(1, ended()))
    play(Rested(1, 1))
    assert isinstance(play(scanned(1, INFECTED))[-1], Capture)
    assert play.pipeline.incomplete == 0


def test_a_file_that_was_found_infected_before_its_worker_ended_is_taken_at_once() -> None:
    play = Play()
    play(seen(7))
    assert isinstance(play(scanned(1, ended("worker_crashed", EICAR)))[-1], Capture)


@pytest.mark.parametrize("reason", ["worker_out_of_memory", "timeout", "damaged"])
def test_what_is_the_doing_of_the_file_is_not_asked_about_again(reason: str) -> None:
    play = Play()
    play(seen(7))
    assert play(scanned(1, ended(reason)))[-1] == Release(7)
    assert play.pipeline.incomplete == 1


def test_who_is_held_waits_for_the_second_look_and_no_longer() -> None:
    play = Play()
    play(seen(7, kind=EventKind.OPENING, token=5))
    assert play(scanned(1, ended())) == [Rest(1, 1, ASK_AGAIN_AFTER_S), Scan(1, 7, "/r/a", 0)]
    assert play(scanned(1, ended())) == [Answer(5, allow=True), Release(7)]


def test_a_file_over_which_a_worker_ended_is_let_go_at_the_end() -> None:
    play = Play()
    play(seen(7))
    play(Stopping())
    assert play(scanned(1, ended())) == [Release(7)]


# ---------------------------------------------------------------- what files do to us


def test_a_file_too_large_to_scan_is_told_incomplete_and_openers_are_asked_about_it_again() -> None:
    play = Play()
    play(seen(7, kind=EventKind.OPENING, token=5))
    huge = ScanFacts("", 1 << 40, incomplete=(Incomplete("max_file_size", 1 << 30),))
    commands = play(scanned(1, huge))
    assert commands[0] == Answer(5, allow=True)
    assert not [command for command in commands if isinstance(command, Remember | Capture)]
    assert commands[-1] == Release(7)


def test_a_file_still_being_written_is_looked_at_again_when_its_look_saw_it_change() -> None:
    play = Play()
    play(seen(7))
    looks = 0
    commands = play(scanned(1, changed=True))
    while Scan(1, 7, "/r/a", 0) in commands:
        looks += 1
        commands = play(scanned(1, changed=True))
    assert looks == MAX_LOOKS - 1
    assert commands == [Release(7)]
    # Its next close brings it back.
    assert play(seen(8, version=9)) == [Scan(2, 8, "/r/a", 0)]


def test_a_storm_of_renames_is_two_looks_and_keeps_the_newest_name() -> None:
    play = Play()
    play(seen(7))
    releases = [play(seen(10 + n, f"/r/{n}", version=2 + n, kind=APPEARED)) for n in range(1000)]
    assert releases[0] == []
    assert all(isinstance(command, Release) for commands in releases[1:] for command in commands)
    assert play(scanned(1, version=1001))[-1] == Scan(2, 10, "/r/999", 0)
    assert play(scanned(2, version=1001))[-1] == Release(10)
    assert play.pipeline.idle


def test_files_that_are_gone_make_room_for_those_that_are_there() -> None:
    play = Play(PipelineLimits(slots=1, descriptors=2, parked=10))
    for number in range(2):
        play(seen(7 + number, f"/r/{number}", inode=1 + number))
    for number in range(2, 5):
        play(seen(7 + number, f"/r/{number}", inode=1 + number))
    play(scanned(1))
    assert play(scanned(2, inode=2))[-1] == Reopen("/r/2", CLOSED)
    assert play(NotThere("/r/2")) == [Reopen("/r/3", CLOSED)]
    assert play(NotThere("/r/3")) == [Reopen("/r/4", CLOSED)]
    assert play(seen(20, "/r/4", inode=5)) == [Scan(3, 20, "/r/4", 0)]


def test_a_scan_says_which_process_brought_it_on() -> None:
    (scan,) = Play()(seen(7, "/r/a", kind=CLOSED))
    assert isinstance(scan, Scan)
    assert (scan.pid, scan.kind) == (1, CLOSED)
