"""A budget holds over any stretch of time, however the work is cut."""

from hypothesis import given
from hypothesis import strategies as st

from agent.scanner.walk.pacing import BURST_S, CpuBudget

CHARGES = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=50)


@given(st.integers(1, 100), CHARGES)
def test_no_more_than_the_share_is_used_over_any_stretch(percent: int, charges: list[tuple[float, float]]) -> None:
    budget, share = CpuBudget(percent), percent / 100
    at, used_so_far = 0.0, 0.0
    history: list[tuple[float, float]] = [(0.0, 0.0)]
    pause_s = 0.0
    for used, waited in charges:
        at += pause_s + used + waited
        used_so_far += used
        pause_s = budget.charge(used, pause_s + used + waited)
        history.append((at + pause_s, used_so_far))
        for began, used_before in history[:-1]:
            elapsed = at + pause_s - began
            assert used_so_far - used_before <= share * elapsed + BURST_S + 1e-6 * max(1.0, elapsed)


@given(st.integers(1, 100), CHARGES)
def test_nobody_waits_who_stayed_within_the_share(percent: int, charges: list[tuple[float, float]]) -> None:
    budget, share = CpuBudget(percent), percent / 100
    assert all(budget.charge(passed * share * 0.999, passed) == 0 for _, passed in charges)
