"""Each rule on the bundle that shows its cause, none on a healthy one, and no bundle that makes them fail."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.diagnostics.analysis import likely_causes, not_collected
from controlplane.diagnostics.model import BundleItem, Certainty, Json, ReadBundle

MADE_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HEALTHY: dict[str, Json] = {
    "expected.json": [{"what": "an agent answers", "expected": True, "actual": True, "as_expected": True}],
    "status.json": {
        "healthy": True, "health_issues": [], "licensed": True, "last_check_in": "2026-03-02T08:00:00+00:00",
        "last_contact_error": None, "events_lost": 0, "conflicting_applications": [], "resource_governor": "normal",
    },
    "service.json": {"installed": True, "running": True, "state": "running", "restarts": 0},
    "database.json": {"damage": [], "schema": 4, "schema_known": 4, "outbox_pending": 2, "outbox_set_aside": 0},
    "machine.json": {"disks": {"data": {"free_mb": 9000}, "temporary": None}, "memory_available_mb": 900},
    "data-folder.json": [{"name": "agent.db", "ours": True}],
    "scan-costs-hour.json": {"ms": 59_000.0, "costs": {"process": [{"name": "/usr/bin/cc1", "ms": 58_000}]}},
    "log.txt": "2026-03-02T08:00:00Z [info     ] mode_changed mode=block\n",
}  # fmt: skip

NO_AGENT: Json = {"what": "an agent answers", "as_expected": False}


def bundle(items: Mapping[str, Json], errors: Mapping[str, str] | None = None) -> ReadBundle:
    read = {name: BundleItem(name, "collected", "", value) for name, value in items.items()}
    read |= {name: BundleItem(name, "failed", error, None) for name, error in (errors or {}).items()}
    return ReadBundle(MADE_AT, "1.0", read)


def changed(item: str, **facts: Json) -> ReadBundle:
    """A healthy bundle but for these facts of one item."""
    before = HEALTHY[item]
    assert isinstance(before, dict)
    return bundle(HEALTHY | {item: {**before, **facts}})


def codes(of: ReadBundle) -> list[str]:
    return [cause.code for cause in likely_causes(of)]


def test_a_healthy_device_has_no_cause_of_trouble() -> None:
    assert codes(bundle(HEALTHY)) == []


@pytest.mark.parametrize(
    ("read", "code"),
    [
        (bundle(HEALTHY, {"configuration.json": "CONFIG_INVALID: agent.toml, key x; correct it"}), "CONFIG_INVALID"),
        (bundle(HEALTHY, {"database.json": "DATABASE_DAMAGED: agent.db"}), "DATABASE_DAMAGED"),
        (bundle(HEALTHY, {"database.json": "DATABASE_FULL: the disk"}), "DATABASE_FULL"),
        (changed("database.json", damage=["row 3 missing"]), "DATABASE_DAMAGED"),
        (changed("database.json", schema=5), "DATABASE_NEWER"),
        (changed("database.json", outbox_pending=5_000), "REPORTS_PILE_UP"),
        (changed("database.json", outbox_set_aside=1), "REPORTS_REFUSED"),
        (changed("machine.json", disks={"data": {"free_mb": 3}}), "DISK_FULL_DATA"),
        (changed("machine.json", memory_available_mb=20), "LITTLE_MEMORY"),
        (changed("service.json", state="failed", running=False, last_exit="status 70"), "SERVICE_FAILS"),
        (changed("service.json", restarts=9), "SERVICE_FAILS"),
        (changed("service.json", installed=False, running=False), "SERVICE_NOT_INSTALLED"),
        (changed("service.json", running=False, state="stopped"), "SERVICE_STOPPED"),
        (bundle(HEALTHY | {"expected.json": [NO_AGENT]}), "AGENT_NOT_RUNNING"),
        (bundle(HEALTHY | {"crash-reports.txt": "==== a\nTraceback\n  x\nValueError: no\n"}), "CRASHED"),
        (bundle(HEALTHY | {"data-folder.json": [{"name": "agent.db", "ours": False}]}), "DATA_NOT_OURS"),
        (bundle(HEALTHY | {"log.txt": "x [error    ] part_failed why=y\n"}), "ERRORS_LOGGED"),
        (changed("status.json", health_issues=["watch_limit: raise it"]), "WATCH_LIMIT"),
        (changed("status.json", conflicting_applications=["ClamAV on-access scanner"]), "OTHER_PRODUCT"),
        (changed("status.json", events_lost=7), "EVENTS_LOST"),
        (changed("status.json", resource_governor="throttled"), "SCANNING_SLOWED_DOWN"),
        (changed("status.json", licensed=False, access="unlicensed"), "NOT_LICENSED"),
        (changed("status.json", last_contact_error="UNREACHABLE: no route"), "NO_CONTACT"),
        (changed("status.json", last_check_in="2026-03-03T09:00:00+00:00"), "CLOCK_BEHIND"),
        (changed("status.json", last_check_in="2026-02-01T09:00:00+00:00"), "LONG_WITHOUT_CONTACT"),
        (changed("scan-costs-hour.json", ms=70_000), "ONE_PROCESS_COSTS_MOST"),
        (bundle(HEALTHY | {"doctor.json": {"results": [{"code": "DNS_BROKEN", "status": "failing"}]}}), "DNS_BROKEN"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_each_cause_is_seen_in_the_bundle_that_shows_it(read: ReadBundle, code: str) -> None:
    (cause,) = likely_causes(read)
    assert cause.code == code
    assert cause.next_step
    assert all(shown.item in read.items and shown.says for shown in cause.evidence)


def test_an_exclusion_is_only_ever_offered_with_its_risk_and_after_what_is_sure() -> None:
    read = changed(
        "scan-costs-hour.json", ms=100_000, suggestions=[{"path": "/srv/ci", "share": 0.9, "risk": "all goes unseen"}]
    )
    found = likely_causes(read)
    assert [cause.code for cause in found] == ["ONE_PROCESS_COSTS_MOST", "EXCLUSION_WOULD_HELP"]
    assert (found[1].certainty, "all goes unseen" in found[1].sentence) == (Certainty.POSSIBLE, True)


def test_what_could_not_be_looked_at_is_told() -> None:
    assert [item.item for item in not_collected(bundle({}, {"log.txt": "no answer within 20 s"}))] == ["log.txt"]


JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50)
@given(st.sampled_from(sorted(HEALTHY)), JSON, st.data())
def test_no_bundle_makes_the_rules_fail(name: str, value: Json, data: st.DataObject) -> None:
    before = HEALTHY[name]
    if isinstance(before, dict):
        key = data.draw(st.sampled_from(sorted(before)))
        assert all(cause.evidence for cause in likely_causes(bundle(HEALTHY | {name: {**before, key: value}})))
    assert all(cause.evidence for cause in likely_causes(bundle(HEALTHY | {name: value})))
