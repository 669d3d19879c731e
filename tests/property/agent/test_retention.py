"""Nothing leaves the vault unannounced, and what stays fits the limits."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.retention import (
    SHORTEST_NOTICE,
    Because,
    HeldFile,
    RetentionLimits,
    RetentionPlan,
    plan_retention,
)
from tests.fakes.clock import SOME_MONDAY

durations = st.integers(0, 400).map(lambda days: timedelta(days=days))
moments = st.integers(-500 * 24, 0).map(lambda hours: SOME_MONDAY + timedelta(hours=hours))
limits_given = st.builds(
    RetentionLimits,
    max_size_bytes=st.none() | st.integers(0, 5_000),
    keep_for=st.none() | durations,
    notice=st.integers(SHORTEST_NOTICE.days, 30).map(lambda days: timedelta(days=days)),
)


@st.composite
def held_files(draw: st.DrawFn) -> list[HeldFile]:
    count = draw(st.integers(0, 12))
    files = []
    for number in range(count):
        taken = draw(moments)
        hours = draw(st.none() | st.integers(0, 100 * 24))
        announced = None if hours is None else taken + timedelta(hours=hours)
        files.append(HeldFile(f"q_{number}", draw(st.integers(0, 2_000)), taken, announced))
    return files


@given(held_files(), limits_given)
def test_nothing_is_deleted_before_its_notice_is_over(held: list[HeldFile], limits: RetentionLimits) -> None:
    plan = plan_retention(held, limits, SOME_MONDAY)
    announced = {file.entry_id: file.announced_at for file in held}
    for item in plan.delete:
        since = announced[item.entry_id]
        assert since is not None
        assert SOME_MONDAY - since >= limits.notice >= SHORTEST_NOTICE
    for item in plan.announce:
        assert announced[item.entry_id] is None
        assert item.due_at - SOME_MONDAY >= limits.notice


@given(held_files(), limits_given)
def test_nothing_is_deleted_that_is_young_enough_and_fits(held: list[HeldFile], limits: RetentionLimits) -> None:
    plan = plan_retention(held, limits, SOME_MONDAY)
    by_id = {file.entry_id: file for file in held}
    for item in plan.delete:
        if item.because is Because.AGE:
            assert limits.keep_for is not None
            assert by_id[item.entry_id].taken_at + limits.keep_for <= SOME_MONDAY
        else:
            assert limits.max_size_bytes is not None
            assert sum(file.size_bytes for file in held) > limits.max_size_bytes


@given(held_files(), limits_given)
def test_what_is_left_after_everything_planned_keeps_the_size(held: list[HeldFile], limits: RetentionLimits) -> None:
    plan = plan_retention(held, limits, SOME_MONDAY)
    going = {item.entry_id for item in (*plan.delete, *plan.pending)}
    left = sum(file.size_bytes for file in held if file.entry_id not in going)
    assert limits.max_size_bytes is None or left <= limits.max_size_bytes


@given(held_files(), limits_given)
def test_each_file_has_one_fate(held: list[HeldFile], limits: RetentionLimits) -> None:
    plan = plan_retention(held, limits, SOME_MONDAY)
    deleted, pending = {i.entry_id for i in plan.delete}, {i.entry_id for i in plan.pending}
    assert not deleted & pending
    assert not (deleted | pending) & set(plan.withdraw)
    assert {i.entry_id for i in plan.announce} <= pending
    announced = {file.entry_id for file in held if file.announced_at is not None}
    assert announced <= deleted | pending | set(plan.withdraw)


@given(held_files(), limits_given)
def test_a_plan_carried_out_announces_nothing_twice(held: list[HeldFile], limits: RetentionLimits) -> None:
    plan = plan_retention(held, limits, SOME_MONDAY)
    again = plan_retention(carried_out(held, plan, SOME_MONDAY), limits, SOME_MONDAY)
    assert (again.announce, again.delete) == ((), ())
    # What was deleted may have made room for what had only been announced.
    assert again.withdraw == () or plan.delete


@given(held_files())
def test_by_default_everything_is_kept(held: list[HeldFile]) -> None:
    plan = plan_retention(held, RetentionLimits(), SOME_MONDAY)
    assert (plan.announce, plan.delete, plan.pending) == ((), (), ())


def carried_out(held: list[HeldFile], plan: RetentionPlan, now: datetime) -> list[HeldFile]:
    deleted, announced = {i.entry_id for i in plan.delete}, {i.entry_id for i in plan.announce}
    return [
        replace(
            file,
            announced_at=None
            if file.entry_id in plan.withdraw
            else now
            if file.entry_id in announced
            else file.announced_at,
        )
        for file in held
        if file.entry_id not in deleted
    ]


def test_a_file_is_announced_a_week_before_its_time_is_over_and_then_goes() -> None:
    limits = RetentionLimits(keep_for=timedelta(days=90))
    file = HeldFile("q_1", 10, SOME_MONDAY)
    quiet = plan_retention([file], limits, SOME_MONDAY + timedelta(days=82))
    assert quiet.pending == ()
    then = SOME_MONDAY + timedelta(days=83)
    (announced,) = plan_retention([file], limits, then).announce
    assert announced.due_at == SOME_MONDAY + timedelta(days=90)
    file = replace(file, announced_at=then)
    assert plan_retention([file], limits, SOME_MONDAY + timedelta(days=89)).delete == ()
    assert len(plan_retention([file], limits, SOME_MONDAY + timedelta(days=90)).delete) == 1


def test_a_lowered_limit_warns_first_and_a_raised_one_withdraws() -> None:
    files = [HeldFile(f"q_{n}", 100, SOME_MONDAY + timedelta(hours=n)) for n in range(4)]
    plan = plan_retention(files, RetentionLimits(max_size_bytes=250), SOME_MONDAY + timedelta(days=1))
    assert [item.entry_id for item in plan.announce] == ["q_0", "q_1"]
    assert plan.delete == ()
    files = carried_out(files, plan, SOME_MONDAY + timedelta(days=1))
    raised = plan_retention(files, RetentionLimits(max_size_bytes=400), SOME_MONDAY + timedelta(days=20))
    assert (raised.delete, raised.withdraw) == ((), ("q_0", "q_1"))


@pytest.mark.parametrize("wrong", [{"notice": timedelta(days=1)}, {"max_size_bytes": -1}, {"keep_for": -timedelta(1)}])
def test_limits_that_would_delete_without_warning_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"announced|negative"):
        RetentionLimits(**wrong)  # type: ignore[arg-type]  # the point of the test
