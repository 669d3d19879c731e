"""Is this device protected? Derived from what was observed, never from what was configured."""

from dataclasses import dataclass
from datetime import datetime, timedelta

#: A proof of protection older than this no longer counts; the agent proves itself every 6 hours and after changes.
PROOF_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class HealthIssue:
    """One thing that keeps the device from being healthy: a stable code and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ProtectionFacts:
    """What the agent observed about itself.

    Attributes:
        real_time_enabled: A source is open and delivering.
        proven_at: When the self-test last came back from every watched root; None: it has not.
        degraded_because: Reasons for which a reconciliation is still owed, e.g. lost events.
        issues: What the rooms reported by themselves (a root lost, a worker that will not start, …).
    """

    real_time_enabled: bool
    proven_at: datetime | None
    degraded_because: tuple[str, ...] = ()
    issues: tuple[HealthIssue, ...] = ()


def health_issues(facts: ProtectionFacts, now: datetime) -> tuple[HealthIssue, ...]:
    """Everything that stands between this device and the word "protected"; empty means healthy."""
    found: list[HealthIssue] = []
    if not facts.real_time_enabled:
        found.append(HealthIssue("real_time_off", "files are not watched as they change"))
    elif facts.proven_at is None:
        found.append(HealthIssue("protection_unproven", "the self-test has not come back from every watched folder"))
    elif now - facts.proven_at > PROOF_LIFETIME:
        found.append(HealthIssue("protection_unproven", f"the last proof is from {facts.proven_at.isoformat()}"))
    found.extend(HealthIssue("degraded", f"a reconciliation is running: {reason}") for reason in facts.degraded_because)
    found.extend(facts.issues)
    return tuple(found)
