import pytest

from agent.control.policy.book import ConfiguredPolicy, PolicyBook
from agent.control.policy.managed_policy import ManagedPolicy
from agent.control.policy.way_back import way_back
from agent.domain.entitlement import NOT_ACTIVATED, Access, AccessLevel, Feature
from agent.domain.errors import BucklerError
from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.policy import Action, Mode, granted_mode
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.store import MemoryStore
from wire.policy_document import read_toml

FULL = Access(AccessLevel.FULL, "PAID", None, {Feature.BLOCKING_MODE.value: AccessLevel.GRACE})
LIMITED = Access(AccessLevel.LIMITED, "SUBSCRIPTION_EXPIRED", SOME_MONDAY, FULL.features)


def book(
    access: Access, store: MemoryStore | None = None, *, mode: Mode = Mode.NOTIFY, mode_of_this_run: Mode | None = None
) -> PolicyBook:
    configured = ConfiguredPolicy(mode=mode, mode_of_this_run=mode_of_this_run)
    return PolicyBook(store or MemoryStore(), configured, lambda: access, lambda: None)


def test_blocking_is_refused_with_reason_date_and_way_back() -> None:
    with pytest.raises(BucklerError) as refused:
        book(LIMITED).set_mode(Mode.BLOCK)
    assert refused.value.code == "FEATURE_NOT_ENTITLED"
    assert "limited (SUBSCRIPTION_EXPIRED)" in refused.value.message
    assert "2026-03-02" in refused.value.message
    assert "renew the subscription" in refused.value.next_step


def test_a_chosen_mode_outlives_a_restart_and_goes_before_the_configuration() -> None:
    store = MemoryStore()
    assert book(FULL, store).set_mode(Mode.BLOCK) is Mode.BLOCK
    assert book(FULL, store, mode=Mode.NOTIFY).current().mode is Mode.BLOCK
    assert book(FULL, store, mode_of_this_run=Mode.NOTIFY).current().mode is Mode.NOTIFY


def test_a_mode_that_is_wanted_but_not_granted_is_told() -> None:
    assert [issue.code for issue in book(LIMITED, mode=Mode.BLOCK).issues()] == ["blocking_mode_suspended"]
    assert book(FULL, mode=Mode.BLOCK).issues() == ()


def test_equal_policies_have_equal_versions_and_different_ones_do_not() -> None:
    store = MemoryStore()
    one, other = book(FULL, store), book(FULL)
    assert one.current().version == other.current().version
    with store.transaction() as tables:
        tables.exclusions.add(Exclusion("exc_1", ExclusionKind.RULE, "Eicar", "", SOME_MONDAY))
    one.reload()
    assert one.current().version != other.current().version


MANAGED = ManagedPolicy(
    "baseline.1",
    read_toml(
        """
        [realtime]
        mode = "block"
        action = "report"
        [quarantine]
        stop_processes = true
        [[exclusions]]
        kind = "rule"
        value = "Eicar"
        reason = "a drill"
        """
    ),
)


def test_what_the_organisation_sets_goes_before_what_was_chosen_here_and_leaves_it_for_later() -> None:
    kept = book(FULL, mode_of_this_run=Mode.NOTIFY)
    before = kept.current()
    kept.manage(MANAGED)
    policy = kept.current()
    assert (policy.mode, policy.on_infected, policy.stop_processes) == (Mode.BLOCK, Action.REPORT, True)
    assert [(each.id, each.managed) for each in policy.exclusions] == [("policy:1", True)]
    assert policy.version == f"baseline.1+{kept.local_version()}"
    kept.manage(ManagedPolicy())
    assert kept.current() == before


def test_what_is_managed_cannot_be_changed_here() -> None:
    kept = book(FULL)
    kept.manage(MANAGED)
    for change in (lambda: kept.set_mode(Mode.NOTIFY), lambda: kept.check_removable("policy:1")):
        with pytest.raises(BucklerError) as refused:
            change()
        assert (refused.value.code, "baseline.1" in refused.value.message) == ("VALUE_MANAGED", True)
    kept.check_removable("exc_1")


def test_an_entitlement_that_does_not_hold_a_feature_wins_over_a_policy() -> None:
    kept = book(LIMITED)
    kept.manage(MANAGED)
    assert granted_mode(kept.current(), LIMITED) is Mode.NOTIFY
    assert [issue.code for issue in kept.issues()] == ["blocking_mode_suspended"]


def test_every_lower_access_names_a_way_back() -> None:
    assert way_back(NOT_ACTIVATED)
    assert way_back(Access(AccessLevel.ENDED, "SOMETHING_NEW", None, {}))
    assert way_back(FULL) == ""
