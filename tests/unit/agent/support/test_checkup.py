from hypothesis import given
from hypothesis import strategies as st

from agent.support.check_list import ALL, ON_THE_WAY, checks_after
from agent.support.checkup import CheckResult, Report, Status, ranked

NAMES = [check.name for check in ALL]
RESULTS = st.lists(
    st.builds(CheckResult, st.sampled_from(Status), st.just("X"), st.just(""), check=st.sampled_from([*NAMES, "new"])),
    max_size=12,
)


def severity(result: CheckResult) -> int:
    return list(Status).index(result.status)


@given(RESULTS)
def test_what_fails_comes_before_what_warns_and_causes_before_what_they_cause(results: list[CheckResult]) -> None:
    in_order = ranked(results, NAMES)
    assert sorted(map(id, in_order)) == sorted(map(id, results))
    places = [*NAMES, "new"]
    keys = [(severity(result), places.index(result.check)) for result in in_order]
    assert keys == sorted(keys)


@given(RESULTS)
def test_the_first_code_is_something_to_act_on_or_ok(results: list[CheckResult]) -> None:
    report = Report(ranked(results, NAMES))
    worst = min(map(severity, results), default=len(Status))
    assert (report.first_code == "OK") == (worst > list(Status).index(Status.WARNING))
    assert report.has_failures == (worst == 0)
    assert sum(report.counts().values()) == len(results)


def test_every_check_has_a_name_of_its_own_and_something_can_be_mended() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 25
    assert {check.name for check in ALL if check.mend} == {
        "disk_space", "data_folder", "database", "service", "entitlement", "contact",
    }  # fmt: skip


def test_a_failed_activation_asks_for_what_can_explain_it() -> None:
    assert checks_after("SERVER_UNREACHABLE") == ON_THE_WAY
    assert checks_after("KEY_MISTYPED") == ()
    assert "clock" in checks_after("SEAT_LIMIT")
    # It was just told.
    assert "activation" not in checks_after("SEAT_LIMIT")
    assert "database" in checks_after("DATABASE_DAMAGED")
    for code in ("SERVER_UNREACHABLE", "SEAT_LIMIT", "DATA_DIR_UNUSABLE"):
        assert set(checks_after(code)) <= set(NAMES)
