import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from agent.domain.entitlement import NOT_ACTIVATED, Access, AccessLevel
from agent.domain.health import HealthIssue
from agent.local_api.status import (
    EngineFacts,
    LicenceFacts,
    OutboxFacts,
    PolicyFacts,
    RealtimeFacts,
    ResourceFacts,
    StatusFacts,
    VaultFacts,
    status_fields,
)
from tests.fakes.clock import SOME_MONDAY

FACTS = StatusFacts(
    issues=(),
    licence=LicenceFacts(NOT_ACTIVATED, None, None),
    realtime=RealtimeFacts(enabled=True, subsystem="fanotify", roots=("/a", "/b")),
    engine=EngineFacts("yara", "4.5.4", "1", SOME_MONDAY - timedelta(hours=5), 2),
    app_version="0.1.0",
    vault=VaultFacts(files=1, size_bytes=1 << 20),
    outbox=OutboxFacts(),
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


def test_a_contact_that_failed_is_told_with_what_to_do() -> None:
    licence = LicenceFacts(NOT_ACTIVATED, None, None, last_error="DEVICE_REVOKED: it was", next_step="ask the admin")
    said = shown(replace(FACTS, licence=licence))
    assert (said["last_contact_error"], said["last_contact_next_step"]) == ("DEVICE_REVOKED: it was", "ask the admin")
    assert shown(FACTS)["last_contact_next_step"] == ""


def test_values_are_written_for_people() -> None:
    said = shown(FACTS)
    assert said["watched_roots"] == "/a, /b"
    assert said["signatures_age_hours"] == "5.0"
    assert said["plan"] == ""


def test_what_will_be_deleted_from_the_vault_is_announced_with_its_date() -> None:
    assert shown(FACTS)["quarantine_deletions"] == ""
    leaving = VaultFacts(9, 9 << 20, 2, 3 << 20, SOME_MONDAY + timedelta(days=7))
    said = shown(replace(FACTS, vault=leaving))
    assert said["quarantine_deletions"].startswith("2 files (3.0 MB) will be deleted for good from 2026-03-09T09:00:00")
    assert (said["quarantined_count"], said["quarantined_mb"]) == ("9", "9.0")


def test_what_is_lost_on_the_way_to_the_control_plane_is_counted_by_class() -> None:
    said = shown(replace(FACTS, outbox=OutboxFacts(5, 1, (("reported", 12), ("set_aside", 1)))))
    assert (said["outbox_pending"], said["outbox_set_aside"]) == ("5", "1")
    assert said["outbox_dropped"] == "reported: 12, set_aside: 1"


def test_why_detections_do_not_get_through_is_told_with_what_to_do() -> None:
    failing = OutboxFacts(5, error="NOTHING_ACCEPTED: it takes none", next_step="tell the admin")
    said = shown(replace(FACTS, outbox=failing))
    assert (said["outbox_error"], said["outbox_next_step"]) == ("NOTHING_ACCEPTED: it takes none", "tell the admin")
    assert (shown(FACTS)["outbox_error"], shown(FACTS)["outbox_next_step"]) == ("", "")


def test_peaks_and_restarts_are_told_with_their_reason() -> None:
    why, rule = "90% CPU (limit 50%) while scanning /a", "/a: mostly rule r"
    resources = ResourceFacts("warned", why, 180.0, 512.5, 1, (("link", 2),), (rule,))
    said = shown(replace(FACTS, resources=resources))
    assert said["resource_governor"] == "warned"
    assert said["resource_governor_reason"].endswith("/a")
    assert (said["memory_mb_peak"], said["worker_restarts"], said["part_restarts"]) == ("512.5", "1", "link: 2")
    assert said["costly_files"] == rule


def test_a_managed_value_is_marked() -> None:
    assert shown(replace(FACTS, policy=PolicyFacts(settings={"realtime.mode": "block"})))[
        "real_time_protection_mode"
    ].endswith("[managed]")


def test_every_field_is_documented_and_every_documented_field_exists() -> None:
    page = (Path(__file__).parents[4] / "docs/status.md").read_text(encoding="utf-8")
    fields, _, _ = page.partition("## Health issues")
    documented = re.findall(r"^\| `(\w+)` \|", fields, re.MULTILINE)
    assert documented == [field.name for field in status_fields(FACTS, SOME_MONDAY)]
