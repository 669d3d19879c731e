"""The life of a quarantined file.

`PLANNED → CAPTURED → STORED → DONE`, then `RESTORED` or `DELETED`; `FAILED` when the file could not be taken.
Each arrow is one journal transaction after the step it names is durable on disk, so a crash between two of them is
resumed by doing the next step again.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.facts import Finding
from agent.domain.files import FileIdentity
from agent.domain.incident import Origin


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


class CaptureFailure(Enum):
    """Why a file was not taken; `detail` of a FAILED entry starts with the value, then `: ` and a sentence."""

    #: Another file, or other bytes, than what was scanned: scan again.
    CHANGED = "changed"
    VANISHED = "vanished"
    #: Its folder is reached through a symbolic link now, or its name is one.
    SYMLINK = "symlink_in_path"
    NOT_A_FILE = "not_a_regular_file"
    READ_ONLY = "read_only_file_system"
    PERMISSION = "permission"
    DISK_FULL = "disk_full"
    #: The disk or the file system reported something else.
    INPUT_OUTPUT = "input_output_error"


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
        inode_flags: Immutable and append-only bits (`chattr +i`, `+a`) that had to be lifted to take the file.
        links: Names the file had; more than 1: other names of it stayed where they are.
    """

    mode: int
    owner_uid: int
    owner_gid: int
    accessed_ns: int
    modified_ns: int
    xattrs: tuple[tuple[str, bytes], ...] = ()
    inode_flags: int = 0
    links: int = 1


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One row of the quarantine journal.

    Attributes:
        id: Names the entry and its file in the vault, e.g. `q_1f0c9a3d5e7b2468`.
        incident_uuid: Of the incident that is written when the entry becomes DONE or FAILED.
        original_path: Where the file was found.
        sha256: What the scan read; empty when it could not read the file to its end.
        detail: For people; of a FAILED entry it starts with a `CaptureFailure`.
        origin: What led to the file.
        engine: What found it.
        signatures_version: With which rules.
        detected_at: When; `planned_at` if the caller did not say.
        staged_path: Where the file waits between its place and the vault; set before it is moved.
        restore_path: Where a restore is putting the file, or has put it; empty: nobody asked.
        deletion_announced_at: Since when its owner has been told that it will be deleted; None: it will not.
    """

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
    origin: Origin = Origin.REAL_TIME
    engine: str = ""
    signatures_version: str = ""
    detected_at: datetime | None = None
    staged_path: str = ""
    restore_path: str = ""
    deletion_announced_at: datetime | None = None


class HistoryEvent(Enum):
    """What can happen to an entry in the course of its life."""

    TAKEN = "taken"
    NOT_TAKEN = "not_taken"
    RESTORED = "restored"
    DELETION_ANNOUNCED = "deletion_announced"
    #: The reason for the announced deletion is gone, a larger limit for one.
    DELETION_WITHDRAWN = "deletion_withdrawn"
    DELETED = "deleted"


#: Who acts on an entry, where it is not what led to the file (`Origin`).
OWNER = "owner"
RETENTION = "retention"


@dataclass(frozen=True, slots=True)
class HistoryNote:
    """One line of an entry's history, which outlives its file.

    Attributes:
        at: When.
        event: What happened.
        actor: Who did it: the value of an `Origin`, `OWNER` or `RETENTION`.
        detail: Why, or where to; for people, printable.
    """

    at: datetime
    event: HistoryEvent
    actor: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Retained:
    """What the vault holds: number of files, their bytes, and since when the oldest has been there (None: empty)."""

    count: int
    size_bytes: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class RestoreReceipt:
    """Where a restored file went, and the exclusion that keeps it from being taken again (empty: none)."""

    path: str
    exclusion_id: str


def quarantine_unknown(entry_id: str) -> BucklerError:
    """What every command says that is given an id of no quarantined file."""
    return BucklerError(
        "QUARANTINE_UNKNOWN",
        f"there is no quarantined file {entry_id}",
        next_step="list them with `buckler quarantine list`",
        exit_status=ExitStatus.NEGATIVE,
    )
