from typing import Any

import pytest

from agent.scanner.limits import MIB, Limits
from agent.scanner.settings import ScannerSettings


@pytest.mark.parametrize(
    "bad", [{"max_file_size": -1}, {"max_depth": -1}, {"max_depth": 65}, {"timeout_s": 0}, {"timeout_s": 1e9}]
)
def test_limits_that_cannot_mean_anything_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"max_depth|timeout_s|negative"):
        Limits(**bad)


def test_no_number_of_workers_means_one_per_core() -> None:
    assert ScannerSettings(workers=0).worker_count() >= 1
    assert ScannerSettings(workers=3).worker_count() == 3


def test_memory_follows_the_limits_unless_it_is_given() -> None:
    small = ScannerSettings(limits=Limits(max_file_size=MIB, max_expanded_size=MIB))
    assert small.memory_limit() < ScannerSettings().memory_limit() < 4 * 1024 * MIB
    assert ScannerSettings(worker_memory=5).memory_limit() == 5
