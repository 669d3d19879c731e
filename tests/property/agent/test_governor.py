"""Restarts never become a loop, nobody is throttled for a moment's work, and every order says why."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.domain.governor import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    GovernorState,
    Order,
    ResourceLimits,
    ResourceUse,
    Stage,
    WorkerUse,
    govern,
    pause_after,
)

LIMITS = ResourceLimits()
STEP_S = 5.0

workers = st.lists(
    st.builds(WorkerUse, st.integers(2, 5), st.floats(0, 2_000), st.sampled_from(["", "/home/ann/a.zip"])), max_size=3
).map(tuple)
uses = st.builds(ResourceUse, st.floats(0, 100), st.floats(0, 4_000), workers)


def play(course: list[ResourceUse], limits: ResourceLimits = LIMITS) -> list[tuple[float, GovernorState, Order]]:
    state, told = GovernorState(), []
    for number, use in enumerate(course):
        now_s = number * STEP_S
        state, order = govern(state, use, limits, now_s)
        told.append((now_s, state, order))
    return told


@given(st.lists(uses, max_size=200))
def test_restarts_keep_growing_pauses(course: list[ResourceUse]) -> None:
    at = [now_s for now_s, _, order in play(course) if order.restart_pid is not None]
    for number, (before, after) in enumerate(pairwise(at), 1):
        assert after - before >= pause_after(number)


@given(st.integers(-1, 10_000))
def test_a_pause_doubles_and_stops_doubling(restarts: int) -> None:
    assert FIRST_PAUSE_S <= pause_after(restarts) <= LONGEST_PAUSE_S
    assert pause_after(restarts) <= pause_after(restarts + 1)


@given(st.lists(uses, max_size=100))
def test_each_order_names_its_excess_and_the_files(course: list[ResourceUse]) -> None:
    for use, (_, state, order) in zip(course, play(course), strict=True):
        if order.restart_pid is not None:
            assert order.restart_pid in {worker.pid for worker in use.workers}
            assert "limit" in order.reason
            assert use.at_rest or "/home/ann/a.zip" in order.reason
        assert (state.stage is Stage.NORMAL) == (state.reason == "")


@given(st.lists(uses, max_size=12))
def test_nobody_is_throttled_or_restarted_within_a_minute(course: list[ResourceUse]) -> None:
    for now_s, state, order in play(course):
        if now_s < LIMITS.throttle_after_s:
            assert state.stage is not Stage.THROTTLED
            assert order.restart_pid is None


@given(st.lists(uses, max_size=60))
def test_a_minute_within_the_limits_ends_everything(course: list[ResourceUse]) -> None:
    calm = [ResourceUse(1.0, 50.0)] * 14
    _, state, order = play(course + calm)[-1]
    assert (state.stage, state.over_since, order) == (Stage.NORMAL, None, Order())


def test_the_course_of_a_worker_that_grows() -> None:
    busy = WorkerUse(7, 1_500.0, "/home/ann/big.iso")
    told = play([ResourceUse(40.0, 1_700.0, (busy,))] * 30)
    warned = next(now_s for now_s, state, _ in told if state.stage is Stage.WARNED)
    throttled = next(now_s for now_s, state, _ in told if state.stage is Stage.THROTTLED)
    restarted = [(now_s, order) for now_s, _, order in told if order.restart_pid]
    assert (warned, throttled) == (LIMITS.warn_after_s, LIMITS.throttle_after_s)
    assert restarted[0] == (
        LIMITS.restart_after_s,
        Order(
            7,
            "scan worker 7 held 1500 MB: 1700 MB memory (limit 1024 MB) while scanning /home/ann/big.iso",
        ),
    )
    assert len(restarted) == 1


def test_at_rest_each_worker_is_replaced_once_and_then_large_rules_are_put_up_with() -> None:
    resting = (WorkerUse(7, 250.0), WorkerUse(8, 240.0))
    told = play([ResourceUse(0.0, 700.0, resting)] * 400)
    assert sum(order.restart_pid is not None for _, _, order in told) == len(resting)
    assert (told[-1][1].stage, told[-1][1].over_since) == (Stage.NORMAL, None)


def test_much_memory_that_no_worker_holds_restarts_nobody() -> None:
    told = play([ResourceUse(0.0, 3_000.0, (WorkerUse(7, 20.0, "/a"),))] * 100)
    assert all(order.restart_pid is None for _, _, order in told)
    assert told[-1][1].stage is Stage.THROTTLED
