from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulator.faults import FAULTLESS, Fate, Faults


@given(st.floats(0, 1, exclude_max=True))
def test_on_a_good_line_everything_arrives(drawn: float) -> None:
    assert FAULTLESS.fate(drawn) is Fate.ARRIVES


def test_fates_come_as_often_as_they_should() -> None:
    faults = Faults(cut=0.1, answer_lost=0.2, twice=0.3)
    fates = Counter(faults.fate(number / 100 + 0.005) for number in range(100))
    assert fates == {Fate.CUT: 10, Fate.ANSWER_LOST: 20, Fate.TWICE: 30, Fate.ARRIVES: 40}


@pytest.mark.parametrize("probabilities", [{"cut": -0.1}, {"slow_reading": 1.1}, {"cut": 0.6, "twice": 0.6}])
def test_what_is_no_probability_is_refused(probabilities: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"probability|add up"):
        Faults(**probabilities)
