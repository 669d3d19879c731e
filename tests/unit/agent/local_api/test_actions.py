from datetime import timedelta

import pytest

from agent.domain.errors import BucklerError
from agent.domain.exclusions import ExclusionKind
from agent.local_api.actions import NewExclusion, check_exclusion
from tests.fakes.clock import SOME_MONDAY


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ExclusionKind.PATH, "/home/a"),
        (ExclusionKind.SHA256, "0a" * 32),
        (ExclusionKind.RULE, "miners.Xmrig_1"),
    ],
)
def test_a_sensible_exclusion_is_accepted(kind: ExclusionKind, value: str) -> None:
    check_exclusion(NewExclusion(kind, value, ""), SOME_MONDAY)
    assert NewExclusion(kind, value, "").expires_at is None


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        (ExclusionKind.PATH, "relative", "EXCLUSION_INVALID"),
        (ExclusionKind.PATH, "/a/../..", "EXCLUSION_INVALID"),
        (ExclusionKind.PATH, "/", "EXCLUSION_TOO_WIDE"),
        (ExclusionKind.PATH, "//", "EXCLUSION_TOO_WIDE"),
        (ExclusionKind.SHA256, "0A" * 32, "EXCLUSION_INVALID"),
        (ExclusionKind.SHA256, "00", "EXCLUSION_INVALID"),
        (ExclusionKind.RULE, "two words", "EXCLUSION_INVALID"),
        (ExclusionKind.RULE, "", "EXCLUSION_INVALID"),
    ],
)
def test_an_exclusion_that_cannot_work_is_refused(kind: ExclusionKind, value: str, code: str) -> None:
    with pytest.raises(BucklerError) as refused:
        check_exclusion(NewExclusion(kind, value, ""), SOME_MONDAY)
    assert refused.value.code == code


def test_an_exclusion_that_is_over_already_is_refused() -> None:
    with pytest.raises(BucklerError):
        check_exclusion(NewExclusion(ExclusionKind.RULE, "x", "", SOME_MONDAY - timedelta(days=1)), SOME_MONDAY)
