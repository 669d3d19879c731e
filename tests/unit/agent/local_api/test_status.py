import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from agent.domain.entitlement import NOT_ACTIVATED, Access, AccessLevel
from agent.domain.health import HealthIssue
from agent.local_api.status import EngineFacts, LicenceFacts, RealtimeFacts, StatusFacts, status_fields
from tests.fakes.clock import SOME_MONDAY

FACTS = StatusFacts(
    issues=(),
    licence=LicenceFacts(NOT_ACTIVATED, None, None),
    realtime=RealtimeFacts(enabled=True, subsystem="fanotify", roots=("/a", "/b")),
    engine=EngineFacts("yara", "4.5.4", "1", SOME_MONDAY - timedelta(hours=5), 2),
    app_version="0.1.0",
    quarantined_count=1,
    outbox_pending=0,
    policy_version="local-1",
)


def shown(facts: StatusFacts) -> dict[str, str]:
    return {field.name: field.text() for field in status_fields(facts, SOME_MONDAY)}


def test_healthy_means_that_nobody_has_an_issue() -> None:
    assert shown(FACTS)["healthy"] == "true"
    ill = replace(FACTS, issues=(HealthIssue("real_time_off", "files are not watched"),))
    assert shown(ill)["healthy"] == "false"
    assert shown(ill)["health_issues"] == "real_time_off: files are not watched"


def test_only_full_and_grace_count_as_licensed() -> None:
    for level in AccessLevel:
        facts = replace(FACTS, licence=LicenceFacts(Access(level, "X", None, {}), None, None))
        assert shown(facts)["licensed"] == ("true" if level in {AccessLevel.FULL, AccessLevel.GRACE} else "false")


def test_values_are_written_for_people() -> None:
    said = shown(FACTS)
    assert said["watched_roots"] == "/a, /b"
    assert said["signatures_age_hours"] == "5.0"
    assert said["plan"] == ""


def test_a_managed_value_is_marked() -> None:
    assert shown(replace(FACTS, managed=frozenset({"real_time_protection_subsystem"})))[
        "real_time_protection_subsystem"
    ].endswith("[managed]")


def test_every_field_is_documented_and_every_documented_field_exists() -> None:
    page = (Path(__file__).parents[4] / "docs/status.md").read_text(encoding="utf-8")
    fields, _, _ = page.partition("## Health issues")
    documented = re.findall(r"^\| `(\w+)` \|", fields, re.MULTILINE)
    assert documented == [field.name for field in status_fields(FACTS, SOME_MONDAY)]
