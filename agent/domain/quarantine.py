"""The life of a quarantined file.

`PLANNED → CAPTURED → STORED → DONE`, then `RESTORED` or `DELETED`; `FAILED` when the file could not be taken.
Each arrow is one journal transaction after the step it names is durable on disk, so a crash between two of them is
resumed by doing the next step again.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from agent.domain.facts import Finding
from agent.domain.files import FileIdentity


class CaptureState(Enum):
    """Where a file is between its place and the vault."""

    PLANNED = "planned"
    #: Out of its place, in the vault's staging folder, not yet encrypted.
    CAPTURED = "captured"
    #: Encrypted copy durable, staged original still there.
    STORED = "stored"
    DONE = "done"
    RESTORED = "restored"
    DELETED = "deleted"
    #: Not taken: it vanished, changed or could not be moved; `detail` says which.
    FAILED = "failed"


FINAL_CAPTURES = frozenset({CaptureState.DONE, CaptureState.FAILED})


@dataclass(frozen=True, slots=True)
class FileMetadata:
    """What a restored file gets back.

    Attributes:
        mode: Permission bits, setuid and sticky included.
        owner_uid: Numeric owner.
        owner_gid: Numeric group.
        accessed_ns: Last access, nanoseconds since the epoch.
        modified_ns: Last modification, nanoseconds since the epoch.
        xattrs: Extended attributes, ACLs included, as name and value.
    """

    mode: int
    owner_uid: int
    owner_gid: int
    accessed_ns: int
    modified_ns: int
    xattrs: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One row of the quarantine journal."""

    id: str
    incident_uuid: UUID
    state: CaptureState
    original_path: str
    identity: FileIdentity
    sha256: str
    metadata: FileMetadata
    findings: tuple[Finding, ...]
    planned_at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RestoreReceipt:
    """Where a restored file went, and the exclusion that keeps it from being taken again (empty: none)."""

    path: str
    exclusion_id: str
