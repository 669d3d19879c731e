from datetime import UTC, datetime

import pytest

from controlplane.catalog.document import plan_from_json, plan_json, read_catalog
from controlplane.catalog.model import AccessLevel, ExistingCustomers, Os, Term
from controlplane.installation import sample_catalog
from controlplane.runtime.refusal import Refusal

GOOD = """
version = 4
[[plans]]
id = "home-3"
name = "Home"
devices = 3
terms = ["yearly"]
[plans.ended]
after_days = 30
keeps = ["quarantine"]
[plans.features.linux]
quarantine = "limited"
blocking_mode = "grace"
"""


def test_a_catalog_is_read_into_plans() -> None:
    (plan,) = read_catalog(GOOD.encode()).plans
    assert (plan.plan_id, plan.catalog_version, plan.devices, plan.terms) == ("home-3", 4, 3, (Term.YEARLY,))
    assert plan.grants("linux") == {"quarantine": AccessLevel.ENDED, "blocking_mode": AccessLevel.GRACE}
    assert plan.grants("macos") == {}
    assert plan.grants("beos") == {}


def test_the_sample_has_three_plans_that_give_the_agents_features_on_every_platform() -> None:
    plans = {plan.plan_id: plan for plan in sample_catalog().plans}
    assert {plan_id: plan.devices for plan_id, plan in plans.items()} == {"solo-1": 1, "home-3": 3, "family-10": 10}
    for plan in plans.values():
        assert set(plan.terms) == set(Term)
        assert set(plan.features) == set(Os)
        assert plan.grants("ios") == {
            "phishing_protection": AccessLevel.LIMITED,
            "signature_updates": AccessLevel.GRACE,
        }
        assert plan.grants("linux") == {
            "real_time_protection": AccessLevel.ENDED,
            "local_scans": AccessLevel.ENDED,
            "quarantine": AccessLevel.ENDED,
            "blocking_mode": AccessLevel.GRACE,
            "scheduled_scans": AccessLevel.GRACE,
            "signature_updates": AccessLevel.GRACE,
            "remote_commands": AccessLevel.GRACE,
        }


def test_a_plan_is_stored_and_read_back_unchanged() -> None:
    for plan in sample_catalog().plans:
        restored = plan_from_json(plan_json(plan), plan.catalog_version)
        assert plan_json(restored) == plan_json(plan)
        assert dict(restored.features) == dict(plan.features)


def test_catalogs_that_say_the_same_have_the_same_hash_however_they_are_written() -> None:
    reordered = GOOD.replace(
        'quarantine = "limited"\nblocking_mode = "grace"', 'blocking_mode = "grace"\nquarantine = "limited"'
    )
    assert reordered != GOOD
    assert read_catalog(reordered.encode()).content_sha256 == read_catalog(GOOD.encode()).content_sha256
    assert (
        read_catalog(GOOD.replace("= 3", "= 4").encode()).content_sha256 != read_catalog(GOOD.encode()).content_sha256
    )


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("version = 4", "version = 0", "version"),
        ("version = 4", 'version = "4"', "version"),
        ("version = 4", "version = 4\nvalid_from = 2027-01-01T00:00:00", "valid_from"),
        ("devices = 3", 'devices = 3\nexisting_customers = "drop"', "plans[home-3].existing_customers"),
        ("version = 4", "version = true", "version"),
        ("devices = 3", "devices = 0", "plans[home-3].devices"),
        ("devices = 3", "devices = 3.0", "plans[home-3].devices"),
        ('name = "Home"', "", "plans[home-3].name"),
        ('"yearly"', '"weekly"', "plans[home-3].terms[0]"),
        ('["yearly"]', '["yearly", "yearly"]', "plans[home-3]"),
        ('blocking_mode = "grace"', 'blocking_mode = "grac"', "plans[home-3].features.linux.blocking_mode"),
        ("[plans.features.linux]", "[plans.features.beos]", "plans[home-3].features.beos"),
        ('["quarantine"]', '["quarantin"]', "plans[home-3]"),
        ("after_days = 30", "after_days = 30\nafter = 1", "plans[home-3].ended.after"),
        ("devices = 3", "devices = 3\ngrace_days = 28", "plans[home-3].grace_days"),
    ],
)
def test_a_mistake_is_named_with_its_key(old: str, new: str, key: str) -> None:
    assert old in GOOD
    with pytest.raises(Refusal) as refused:
        read_catalog(GOOD.replace(old, new, 1).encode())
    assert refused.value.reason == "CATALOG_INVALID"
    assert refused.value.facts["key"] == key


@pytest.mark.parametrize("content", [b"", b"version = ", b"\xff\xfe", b"a" * 1_000_001, b"x = " + b"[" * 5_000])
def test_what_is_no_catalog_is_refused(content: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        read_catalog(content)
    assert refused.value.reason == "CATALOG_INVALID"


def test_an_id_may_be_used_once() -> None:
    twice = GOOD + GOOD.partition("version = 4")[2]
    with pytest.raises(Refusal) as refused:
        read_catalog(twice.encode())
    assert "home-3" in refused.value.message


def test_a_catalog_says_when_it_comes_on_sale_and_who_comes_along() -> None:
    dated = GOOD.replace("version = 4", "version = 4\nvalid_from = 2027-01-01T02:00:00+02:00")
    dated = dated.replace("devices = 3", 'devices = 3\nexisting_customers = "move"')
    catalog = read_catalog(dated.encode())
    assert catalog.valid_from == datetime(2027, 1, 1, tzinfo=UTC)
    (plan,) = catalog.plans
    assert plan.existing_customers is ExistingCustomers.MOVE
    assert plan_from_json(plan_json(plan), 4).existing_customers is ExistingCustomers.MOVE
    another_day = dated.replace("2027-01-01T02", "2027-01-01T03")
    assert read_catalog(another_day.encode()).content_sha256 != catalog.content_sha256
