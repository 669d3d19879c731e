"""Incidents as values."""

from dataclasses import dataclass
from datetime import datetime

#: Incidents in one report, as the protocol says.
MAX_INCIDENTS = 200


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
class Detection:
    """An incident as it is kept."""

    incident: ReportedIncident
    device_id: str
    device_name: str
    received_at: datetime
