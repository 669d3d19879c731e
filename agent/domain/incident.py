"""A detection as it is reported."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID, uuid5

from agent.domain.facts import Finding, ScanFacts
from agent.domain.files import FileIdentity

#: Namespace for incidents whose identity follows from the file, so that seeing it again is the same incident.
_REPORTED = UUID("5a0c1e52-7f0f-4b8e-9d57-3f1d6a9b7c21")


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


def incident_uuid(path: str, identity: FileIdentity, facts: ScanFacts, findings: tuple[Finding, ...]) -> UUID:
    """The uuid of a finding in a file that stays where it is.

    It follows from the file and what was found, so that a second look after a crash reports nothing twice.
    """
    rules = ",".join(f"{finding.namespace}.{finding.rule}" for finding in findings)
    name = f"{identity.device}:{identity.inode}:{identity.ctime_ns}:{facts.sha256}:{rules}:"
    return uuid5(_REPORTED, name + path.encode("utf-8", "surrogateescape").hex())
