"""Whatever happens to a command, in whatever order: it ends once, and stays as it ended."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.commands.model import (
    OPEN,
    REPORTABLE,
    Campaign,
    CampaignState,
    Command,
    CommandReport,
    CommandState,
    Progress,
    after_turn,
    cancelled,
    delivered,
    overdue,
    reported,
)
from tests.fakes.clock import SOME_MONDAY

RUNS = timedelta(hours=1)
WAITS = timedelta(days=1)
NEW = Command(
    org_id="org_1",
    command_id="cmd_1",
    device_id="dev_1",
    kind="scan",
    arguments={},
    requester="user:usr_1",
    reason="",
    requested_at=SOME_MONDAY,
    expires_at=SOME_MONDAY + WAITS,
    released_at=SOME_MONDAY,
    ends_at=SOME_MONDAY + WAITS,
)

reports = st.builds(
    CommandReport,
    command_id=st.just("cmd_1"),
    state=st.sampled_from(sorted(REPORTABLE, key=lambda state: state.value)),
    code=st.sampled_from(["", "SCAN_FAILED"]),
    message=st.just(""),
    result=st.just({}),
)
happenings = st.lists(
    st.tuples(
        st.timedeltas(timedelta(0), timedelta(hours=20)),
        st.one_of(st.sampled_from(["fetch", "cancel", "time"]), reports),
    ),
    max_size=12,
)


def _after(command: Command, what: str | CommandReport, now_in: timedelta) -> Command:
    now = SOME_MONDAY + now_in
    if isinstance(what, CommandReport):
        return reported(command, what, now)
    return {
        "fetch": lambda: delivered(command, RUNS, now),
        "cancel": lambda: cancelled(command, now),
        "time": lambda: overdue(command, now),
    }[what]()


@given(happenings)
def test_a_command_ends_at_most_once_and_stays_as_it_ended(story: list[tuple[timedelta, str | CommandReport]]) -> None:
    command, passed, ended = NEW, timedelta(0), None
    for pause, what in story:
        passed += pause
        command = _after(command, what, passed)
        assert (command.state in OPEN) == (command.finished_at is None) == (command.ends_at is not None)
        if ended is not None:
            assert command == ended
        elif command.state not in OPEN:
            ended = command


@given(happenings)
def test_a_state_that_lasts_ends_by_itself(story: list[tuple[timedelta, str | CommandReport]]) -> None:
    command, passed = NEW, timedelta(0)
    for pause, what in story:
        passed += pause
        command = _after(command, what, passed)
    command = overdue(command, SOME_MONDAY + passed + WAITS + RUNS)
    assert command.state not in OPEN


@given(happenings)
def test_repeating_what_happened_changes_nothing(story: list[tuple[timedelta, str | CommandReport]]) -> None:
    command, passed = NEW, timedelta(0)
    for pause, what in story:
        passed += pause
        command = _after(command, what, passed)
        assert _after(command, what, passed) == command


@given(
    st.integers(1, 100),
    st.integers(0, 20),
    st.integers(0, 1_000),
    st.dictionaries(st.sampled_from(CommandState), st.integers(0, 50)),
    st.sampled_from(CampaignState),
)
def test_a_campaign_gives_out_what_its_budget_allows(
    per_turn: int, stop_after: int, waiting: int, counts: dict[CommandState, int], state: CampaignState
) -> None:
    campaign = Campaign("org_1", "cmp_1", "scan", {}, "user:usr_1", "", SOME_MONDAY, per_turn, stop_after, state)
    progress = Progress(waiting, counts)
    after, given_out = after_turn(campaign, progress)
    assert 0 <= given_out <= min(per_turn, waiting)
    if state is not CampaignState.RUNNING:
        assert (after, given_out) == (state, 0)
    elif stop_after and progress.failures >= stop_after:
        assert (after, given_out) == (CampaignState.STOPPED, 0)
    else:
        assert (after is CampaignState.DONE) == (given_out == waiting)
        assert given_out == min(per_turn, waiting)


def test_a_device_that_reports_a_command_nobody_noted_as_given_is_believed() -> None:
    done = reported(NEW, CommandReport("cmd_1", CommandState.SUCCEEDED, "", "", {"files": "3"}), SOME_MONDAY)
    assert (done.state, done.delivered_at, done.result) == (CommandState.SUCCEEDED, SOME_MONDAY, {"files": "3"})
    assert replace(done, state=CommandState.PENDING) != NEW
