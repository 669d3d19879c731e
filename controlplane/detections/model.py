"""Detections and incidents as values, and how an incident changes. Pure.

On the wire and here a device reports an "incident": one detection on that device. An `Incident` is the organisation's:
the same threat, wherever it was found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

#: Incidents in one report, as the protocol says.
MAX_INCIDENTS = 200
#: The worst first.
SEVERITIES: Final = ("critical", "high", "medium", "low", "info")
#: What devices take for malicious; of the rest they only tell (`agent.domain.facts.Severity`).
MALICIOUS: Final = frozenset({"critical", "high", "medium"})
#: How exact the time of an incident's newest detection is.
LAST_AT_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that matched, where inside the file, and whose rule it is if it came from others."""

    rule: str
    namespace: str
    severity: str
    member_path: tuple[str, ...]
    threat_name: str
    credit: str = ""


@dataclass(frozen=True, slots=True)
class ReportedIncident:
    """One detection as a device tells it; field for field `buckler.v1.Incident`."""

    uuid: bytes
    detected_at: datetime
    path: bytes
    sha256: str
    size_bytes: int
    findings: tuple[Finding, ...]
    action: str
    action_detail: str
    origin: str
    engine: str
    signatures_version: str
    quarantine_id: str


@dataclass(frozen=True, slots=True)
class EndedOrder:
    """Something that a person had a device do, at its end; field for field what the command says."""

    org_id: str
    device_id: str
    command_id: str
    kind: str
    arguments: Mapping[str, str]
    requester: str
    succeeded: bool
    code: str
    message: str
    result: Mapping[str, str]
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class DetectionOutcome:
    """The last thing that came of it.

    Attributes:
        outcome: `quarantined`, `gone` (there was nothing to take any more), `restored`, `deleted` or `failed`.
        at: When the command ended.
        by: Who asked for it, as the audit names them.
        code: Why it failed; empty otherwise.
        quarantine_id: Of the copy on the device; empty: there is none.
    """

    outcome: str
    at: datetime
    by: str
    command_id: str
    kind: str
    code: str
    message: str
    quarantine_id: str


@dataclass(frozen=True, slots=True)
class Detection:
    """A detection as it is kept.

    Attributes:
        incident: As it was reported.
        incident_id: What it belongs to; empty: it was received before there were incidents.
        outcome: What came of what people asked for; None: they asked for nothing, or it has not ended.
    """

    incident: ReportedIncident
    device_id: str
    device_name: str
    received_at: datetime
    incident_id: str = ""
    outcome: DetectionOutcome | None = None


def left_behind(incidents: Sequence[ReportedIncident]) -> Mapping[bytes, ReportedIncident | None]:
    """What the newest of these say of each path: the threat that was left there; None: it was taken.

    What is not malicious says nothing.
    """
    found: dict[bytes, ReportedIncident | None] = {}
    for incident in sorted(incidents, key=lambda each: each.detected_at):
        if incident.action == "quarantined":
            found[incident.path] = None
        elif worst_finding(incident.findings).severity in MALICIOUS:
            found[incident.path] = incident
    return found


class IncidentStatus(Enum):
    """What people make of an incident."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    #: A new detection makes it new again.
    RESOLVED = "resolved"
    #: A detection on a device that had none before makes it new again: what was judged is not what is there now.
    FALSE_POSITIVE = "false_positive"

    @property
    def is_over(self) -> bool:
        """Nobody needs to look at it: what devices still have of it is no active threat."""
        return self in {IncidentStatus.RESOLVED, IncidentStatus.FALSE_POSITIVE}


@dataclass(frozen=True, slots=True)
class Incident:
    """One threat in one organisation, however many devices have it.

    Attributes:
        severity: The worst seen.
        status_by: Who set the status, as the audit names them; empty: nobody has.
        last_at: Of the newest detection, to the minute.
        reopened: How often a detection made it new again.
    """

    org_id: str
    incident_id: str
    threat: str
    severity: str
    status: IncidentStatus
    status_by: str
    status_at: datetime
    note: str
    opened_at: datetime
    last_at: datetime
    reopened: int


def worst_finding(findings: Sequence[Finding]) -> Finding:
    """The finding that a detection is called after: the first of the worst. There is at least one."""
    return min(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def threat_of(incident: ReportedIncident) -> str:
    """What a detection is grouped by: the name that its rule gives the threat, else the rule."""
    worst = worst_finding(incident.findings)
    return worst.threat_name or worst.rule


def detected_again(before: Incident, severity: str, now: datetime, *, new_device: bool) -> Incident:
    """An incident after a detection; the same value if nothing of it changes.

    Args:
        before: As it was.
        severity: Of the detection.
        now: When it was received.
        new_device: The device had none of this threat before.
    """
    again = before.status is IncidentStatus.RESOLVED or (before.status is IncidentStatus.FALSE_POSITIVE and new_device)
    worse = SEVERITIES.index(severity) < SEVERITIES.index(before.severity)
    after = replace(
        before,
        severity=severity if worse else before.severity,
        last_at=now if now - before.last_at >= LAST_AT_EVERY else before.last_at,
    )
    if not again:
        return after
    return replace(
        after,
        status=IncidentStatus.NEW,
        status_by="",
        status_at=now,
        note="",
        last_at=now,
        reopened=before.reopened + 1,
    )


def only_newer(before: Incident, after: Incident) -> bool:
    """Whether nothing of an incident differs but when it was last detected."""
    return replace(after, last_at=before.last_at) == before


def set_status(before: Incident, status: IncidentStatus, by: str, note: str, now: datetime) -> Incident:
    """An incident after somebody judged it; the same value if they said nothing new."""
    if before.status is status and (before.note == note or not note):
        return before
    return replace(before, status=status, status_by=by, status_at=now, note=note)
