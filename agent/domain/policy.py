"""**Where a verdict is decided.** `decide` turns facts into a verdict; nothing else in Buckler does.

Pure: the same facts, policy, entitlement and `now` give the same verdict, always. Precedence, most specific first:

1. an exclusion of exactly this content at exactly this path;
2. an exclusion of this content wherever it is;
3. an exclusion of the rule that matched;
4. the severity of what is left;
5. incompleteness: a file that was not wholly looked at is never clean.

An exclusion of a path keeps a file from being scanned at all and is applied earlier, in `agent.realtime.pipeline`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from agent.domain.entitlement import Access, Feature
from agent.domain.exclusions import Exclusion, ExclusionKind, file_subject
from agent.domain.facts import Finding, ScanFacts


class Decision(Enum):
    """What a file is."""

    CLEAN = "clean"
    INFECTED = "infected"
    #: Nothing was found, but not all of it was looked at.
    INCOMPLETE = "incomplete"
    #: It could not be looked at.
    ERROR = "error"


class Action(Enum):
    """What to do about a file."""

    NONE = "none"
    REPORT = "report"
    QUARANTINE = "quarantine"


class Mode(Enum):
    """What happens to somebody who opens a file."""

    NOTIFY = "notify"
    #: Hold the opener until the verdict.
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the owner of the device, or a policy of its fleet, wants.

    Attributes:
        on_infected: QUARANTINE or REPORT.
        mode: What is asked for; what is granted depends on the entitlement, see `granted_mode`.
        exclusions: In force and expired alike; expiry is judged at `now`.
        version: Names this state in verdicts and reports.
        stop_processes: End what runs from a file that is taken.
    """

    on_infected: Action = Action.QUARANTINE
    mode: Mode = Mode.NOTIFY
    exclusions: tuple[Exclusion, ...] = ()
    version: str = "local"
    stop_processes: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision with its reasons.

    Attributes:
        decision: What the file is.
        action: What to do about it.
        findings: Those that count after exclusions.
        reasons: Stable codes, most important first: `rule:<namespace>.<rule>`, `incomplete:<reason>`,
            `error:<code>`, `excluded:<exclusion id>`.
        policy_version: The policy it was decided under.
    """

    decision: Decision
    action: Action
    findings: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = field(default=())
    policy_version: str = "local"


def decide(facts: ScanFacts, path: str, policy: Policy, now: datetime) -> Verdict:
    """Decide what a scanned file is and what to do about it.

    The floor of protection (detect and quarantine) belongs to every access level, so no entitlement is asked here;
    what an entitlement does restrict is decided by `granted_mode` and `agent.domain.entitlement`.

    Args:
        facts: What the scan established.
        path: Where the file was when it was scanned; only exclusions look at it.
        policy: What is wanted.
        now: Judges the expiry of exclusions; timezone-aware.
    """
    if not (facts.findings or facts.incomplete or facts.error or policy.exclusions):
        # Nearly every file: what follows would come to the same.
        return Verdict(Decision.CLEAN, Action.NONE, policy_version=policy.version)
    excluded_by = _content_exclusion(facts, path, policy, now)
    if excluded_by is not None:
        return Verdict(
            Decision.CLEAN, Action.NONE, reasons=(f"excluded:{excluded_by.id}",), policy_version=policy.version
        )
    counting, rule_reasons = _split_excluded_rules(facts.findings, policy, now)
    reasons = tuple(f"rule:{f.namespace}.{f.rule}" for f in counting) + rule_reasons
    limits = tuple(f"incomplete:{item.reason}" for item in facts.incomplete)
    if any(finding.severity.is_malicious for finding in counting):
        return Verdict(Decision.INFECTED, policy.on_infected, counting, reasons + limits, policy.version)
    action = Action.REPORT if counting else Action.NONE
    if facts.error:
        error = (f"error:{facts.error}",)
        return Verdict(Decision.ERROR, action, counting, error + reasons + limits, policy.version)
    if facts.incomplete:
        return Verdict(Decision.INCOMPLETE, action, counting, limits + reasons, policy.version)
    return Verdict(Decision.CLEAN, action, counting, reasons, policy.version)


def granted_mode(policy: Policy, access: Access) -> Mode:
    """The mode in force: blocking only while the entitlement grants it, the floor otherwise."""
    if policy.mode is Mode.BLOCK and not access.allows(Feature.BLOCKING_MODE):
        return Mode.NOTIFY
    return policy.mode


def _content_exclusion(facts: ScanFacts, path: str, policy: Policy, now: datetime) -> Exclusion | None:
    if not facts.sha256 or not policy.exclusions:
        return None
    subjects = {ExclusionKind.FILE: file_subject(facts.sha256, path), ExclusionKind.SHA256: facts.sha256}
    for kind, subject in subjects.items():
        for exclusion in policy.exclusions:
            if exclusion.kind is kind and exclusion.applies_to(subject, now):
                return exclusion
    return None


def _split_excluded_rules(
    findings: tuple[Finding, ...], policy: Policy, now: datetime
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    counting: list[Finding] = []
    excluded: list[str] = []
    rules = [e for e in policy.exclusions if e.kind is ExclusionKind.RULE]
    for finding in findings:
        names = (finding.rule, f"{finding.namespace}.{finding.rule}")
        by = next((e for e in rules if any(e.applies_to(name, now) for name in names)), None)
        if by is None:
            counting.append(finding)
        else:
            excluded.append(f"excluded:{by.id}")
    return tuple(counting), tuple(excluded)
