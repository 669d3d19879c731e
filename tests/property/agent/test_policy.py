"""Whatever a scan found, these hold for the verdict."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.domain.entitlement import Access, AccessLevel, Feature
from agent.domain.exclusions import Exclusion, ExclusionKind, file_subject
from agent.domain.facts import Finding, Incomplete, ScanFacts, Severity
from agent.domain.policy import Action, Decision, Mode, Policy, decide, granted_mode
from tests.fakes.clock import SOME_MONDAY

NOW = SOME_MONDAY
PATH = "/home/ann/it.com"
names = st.sampled_from(["Eicar", "Miner", "Shell"])
findings = st.builds(
    Finding, rule=names, namespace=st.sampled_from(["a", "b"]), severity=st.sampled_from(list(Severity))
)
digests = st.sampled_from(["", "a" * 64, "b" * 64])
facts = st.builds(
    ScanFacts,
    sha256=digests,
    size_bytes=st.integers(0, 1000),
    findings=st.lists(findings, max_size=4).map(tuple),
    incomplete=st.lists(st.builds(Incomplete, reason=st.sampled_from(["timeout", "encrypted"])), max_size=2).map(tuple),
    error=st.sampled_from(["", "unreadable"]),
)


@st.composite
def exclusions(draw: st.DrawFn) -> Exclusion:
    kind = draw(st.sampled_from([ExclusionKind.SHA256, ExclusionKind.FILE, ExclusionKind.RULE]))
    value = draw(names if kind is ExclusionKind.RULE else st.sampled_from(["a" * 64, "b" * 64]))
    value = file_subject(value, draw(st.sampled_from([PATH, "/else"]))) if kind is ExclusionKind.FILE else value
    expires = draw(st.none() | st.sampled_from([NOW - timedelta(seconds=1), NOW, NOW + timedelta(seconds=1)]))
    return Exclusion(f"exc_{draw(st.integers(0, 99))}", kind, value, "", NOW - timedelta(days=1), expires)


policies = st.builds(
    Policy,
    on_infected=st.sampled_from([Action.QUARANTINE, Action.REPORT]),
    mode=st.sampled_from(list(Mode)),
    exclusions=st.lists(exclusions(), max_size=3).map(tuple),
)


@given(facts, policies)
def test_clean_is_only_said_of_what_was_wholly_looked_at_or_excluded(found: ScanFacts, policy: Policy) -> None:
    verdict = decide(found, PATH, policy, NOW)
    excluded = any(reason.startswith("excluded:") for reason in verdict.reasons)
    if verdict.decision is Decision.CLEAN and not excluded:
        assert not found.incomplete
        assert not found.error
        assert not any(finding.severity.is_malicious for finding in found.findings)


@given(facts, policies)
def test_a_file_is_taken_only_if_it_is_infected_and_the_policy_says_so(found: ScanFacts, policy: Policy) -> None:
    verdict = decide(found, PATH, policy, NOW)
    if verdict.action is Action.QUARANTINE:
        assert verdict.decision is Decision.INFECTED
        assert policy.on_infected is Action.QUARANTINE


@given(facts, policies)
def test_every_decision_but_clean_has_a_reason(found: ScanFacts, policy: Policy) -> None:
    verdict = decide(found, PATH, policy, NOW)
    assert verdict.decision is Decision.CLEAN or verdict.reasons
    assert verdict == decide(found, PATH, policy, NOW)


@given(facts, policies)
def test_exclusions_that_have_expired_change_nothing(found: ScanFacts, policy: Policy) -> None:
    in_force = tuple(e for e in policy.exclusions if e.in_force(NOW))
    assert decide(found, PATH, policy, NOW) == decide(found, PATH, replace(policy, exclusions=in_force), NOW)


def test_a_restored_file_is_left_alone_in_its_place_and_nowhere_else() -> None:
    finding = Finding("Eicar", "a", Severity.HIGH)
    found = ScanFacts("a" * 64, 68, findings=(finding,))
    restored = Exclusion("exc_1", ExclusionKind.FILE, file_subject("a" * 64, PATH), "restored", NOW)
    policy = Policy(exclusions=(restored,))
    assert decide(found, PATH, policy, NOW).decision is Decision.CLEAN
    assert decide(found, "/home/ann/copy.com", policy, NOW).decision is Decision.INFECTED
    assert decide(replace(found, sha256="b" * 64), PATH, policy, NOW).decision is Decision.INFECTED


@given(facts, policies)
def test_an_infected_file_stays_infected_without_exclusions_whatever_else_went_wrong(
    found: ScanFacts, policy: Policy
) -> None:
    verdict = decide(found, PATH, replace(policy, exclusions=()), NOW)
    malicious = any(finding.severity.is_malicious for finding in found.findings)
    assert (verdict.decision is Decision.INFECTED) is malicious


@given(policies, st.sampled_from(list(AccessLevel)), st.none() | st.sampled_from(list(AccessLevel)))
def test_blocking_is_granted_exactly_when_wanted_and_entitled(
    policy: Policy, level: AccessLevel, granted_down_to: AccessLevel | None
) -> None:
    features = {Feature.BLOCKING_MODE.value: granted_down_to} if granted_down_to else {}
    access = Access(level, "", None, features)
    expected = Mode.BLOCK if policy.mode is Mode.BLOCK and access.allows(Feature.BLOCKING_MODE) else Mode.NOTIFY
    assert granted_mode(policy, access) is expected
