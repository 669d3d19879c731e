from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.runtime.retries import Retries

SECOND = timedelta(seconds=1)


def test_rests_grow_by_the_factor_up_to_the_longest_and_end() -> None:
    doubled = Retries(first=SECOND, longest=5 * SECOND, attempts=6)
    assert [doubled.after(failures) for failures in range(1, 8)] == [
        *(seconds * SECOND for seconds in (1, 2, 4, 5, 5)),
        None,
        None,
    ]
    assert Retries(SECOND, timedelta(hours=1), attempts=9, factor=4).after(4) == 64 * SECOND


@given(st.integers(1, 10_000), st.integers(2, 5))
def test_no_rest_is_longer_than_the_longest_however_often_it_failed(failures: int, factor: int) -> None:
    rest = Retries(SECOND, timedelta(hours=1), attempts=10_001, factor=factor).after(failures)
    assert rest is not None
    assert SECOND <= rest <= timedelta(hours=1)
