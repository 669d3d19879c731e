"""A detection as it is reported."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from agent.domain.facts import Finding


class Origin(Enum):
    """What led us to the file."""

    REAL_TIME = "real_time"
    SCAN = "scan"
    RECONCILE = "reconcile"


class IncidentAction(Enum):
    """What became of the file."""

    REPORTED = "reported"
    QUARANTINED = "quarantined"
    QUARANTINE_FAILED = "quarantine_failed"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Incident:
    """One detection; `uuid` is the key under which the control plane stores it exactly once."""

    uuid: UUID
    detected_at: datetime
    path: str
    sha256: str
    size_bytes: int
    findings: tuple[Finding, ...]
    action: IncidentAction
    action_detail: str
    origin: Origin
    engine: str
    signatures_version: str
    quarantine_id: str = ""
