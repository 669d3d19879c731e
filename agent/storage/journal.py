"""Rows of the quarantine journal; port `agent.domain.ports.QuarantineJournal`."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from agent.domain.files import FileIdentity
from agent.domain.incident import Origin
from agent.domain.quarantine import (
    CaptureState,
    FileMetadata,
    HistoryEvent,
    HistoryNote,
    QuarantineEntry,
    Retained,
)
from agent.domain.retention import HeldFile
from agent.storage.encoding import (
    findings_from_column,
    findings_to_column,
    instant_from_column,
    instant_to_column,
    path_from_column,
    path_to_column,
    xattrs_from_column,
    xattrs_to_column,
)

_COLUMNS = (
    "id",
    "incident_uuid",
    "state",
    "original_path",
    "device",
    "inode",
    "size_bytes",
    "mtime_ns",
    "ctime_ns",
    "sha256",
    "mode",
    "owner_uid",
    "owner_gid",
    "accessed_ns",
    "modified_ns",
    "xattrs",
    "inode_flags",
    "links",
    "findings",
    "planned_at",
    "detail",
    "origin",
    "engine",
    "signatures_version",
    "detected_at",
    "staged_path",
    "restore_path",
    "deletion_announced_at",
)
_NAMES = ", ".join(_COLUMNS)
_INSERT = f"INSERT INTO quarantine ({_NAMES}) VALUES ({', '.join(':' + name for name in _COLUMNS)})"  # noqa: S608 -- constants
_SELECT = f"SELECT {_NAMES} FROM quarantine"  # noqa: S608 -- constants


class SqliteJournal:
    """The journal, inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, entry: QuarantineEntry) -> None:
        """Insert a new row."""
        self._connection.execute(_INSERT, _to_row(entry))

    def advance(
        self,
        entry_id: str,
        state: CaptureState,
        detail: str = "",
        *,
        staged_path: str | None = None,
        restore_path: str | None = None,
    ) -> None:
        """Move a row to another state; see the port."""
        cursor = self._connection.execute(
            """
            UPDATE quarantine SET
                state = :state,
                detail = CASE WHEN :detail = '' THEN detail ELSE :detail END,
                staged_path = COALESCE(:staged_path, staged_path),
                restore_path = COALESCE(:restore_path, restore_path)
            WHERE id = :id
            """,
            {
                "id": entry_id,
                "state": state.value,
                "detail": detail,
                "staged_path": None if staged_path is None else path_to_column(staged_path),
                "restore_path": None if restore_path is None else path_to_column(restore_path),
            },
        )
        if cursor.rowcount != 1:
            raise KeyError(entry_id)

    def get(self, entry_id: str) -> QuarantineEntry | None:
        """One row."""
        row = self._connection.execute(f"{_SELECT} WHERE id = ?", (entry_id,)).fetchone()
        return None if row is None else _from_row(row)

    def entries(self, states: Iterable[CaptureState] | None = None) -> list[QuarantineEntry]:
        """Rows in the order they were planned; None: all."""
        wanted = [state.value for state in (CaptureState if states is None else states)]
        marks = ", ".join("?" * len(wanted))
        rows = self._connection.execute(f"{_SELECT} WHERE state IN ({marks}) ORDER BY number", wanted)
        return [_from_row(row) for row in rows]

    def retained(self) -> Retained:
        """What the vault holds: the rows that are DONE."""
        count, size_bytes, oldest = self._connection.execute(
            "SELECT count(*), COALESCE(sum(size_bytes), 0), min(planned_at) FROM quarantine WHERE state = ?",
            (CaptureState.DONE.value,),
        ).fetchone()
        return Retained(count, size_bytes, None if oldest is None else instant_from_column(oldest))

    def held(self) -> list[HeldFile]:
        """The rows that are DONE, as far as the vault's limits are concerned."""
        rows = self._connection.execute(
            "SELECT id, size_bytes, planned_at, deletion_announced_at FROM quarantine WHERE state = ?",
            (CaptureState.DONE.value,),
        )
        return [
            HeldFile(
                row["id"],
                row["size_bytes"],
                instant_from_column(row["planned_at"]),
                _optional_instant(row["deletion_announced_at"]),
            )
            for row in rows
        ]

    def announce_deletion(self, entry_id: str, at: datetime | None) -> None:
        """Since when its owner has been told that a file will be deleted; None: it will not be.

        Raises:
            KeyError: There is no such entry.
        """
        cursor = self._connection.execute(
            "UPDATE quarantine SET deletion_announced_at = ? WHERE id = ?", (_optional(at), entry_id)
        )
        if cursor.rowcount != 1:
            raise KeyError(entry_id)

    def note(self, entry_id: str, note: HistoryNote) -> None:
        """Add a line to an entry's history."""
        self._connection.execute(
            "INSERT INTO quarantine_history (entry_id, at, event, actor, detail) VALUES (?, ?, ?, ?, ?)",
            (entry_id, instant_to_column(note.at), note.event.value, note.actor, note.detail),
        )

    def history(self, entry_id: str) -> tuple[HistoryNote, ...]:
        """All lines, oldest first."""
        rows = self._connection.execute(
            "SELECT at, event, actor, detail FROM quarantine_history WHERE entry_id = ? ORDER BY number", (entry_id,)
        )
        return tuple(
            HistoryNote(instant_from_column(row["at"]), HistoryEvent(row["event"]), row["actor"], row["detail"])
            for row in rows
        )


def _to_row(entry: QuarantineEntry) -> dict[str, str | int | bytes | None]:
    identity, metadata = entry.identity, entry.metadata
    return {
        "id": entry.id,
        "incident_uuid": str(entry.incident_uuid),
        "state": entry.state.value,
        "original_path": path_to_column(entry.original_path),
        "device": str(identity.device),
        "inode": str(identity.inode),
        "size_bytes": identity.size_bytes,
        "mtime_ns": str(identity.mtime_ns),
        "ctime_ns": str(identity.ctime_ns),
        "sha256": entry.sha256,
        "mode": metadata.mode,
        "owner_uid": metadata.owner_uid,
        "owner_gid": metadata.owner_gid,
        "accessed_ns": str(metadata.accessed_ns),
        "modified_ns": str(metadata.modified_ns),
        "xattrs": xattrs_to_column(metadata.xattrs),
        "inode_flags": metadata.inode_flags,
        "links": metadata.links,
        "findings": findings_to_column(entry.findings),
        "planned_at": instant_to_column(entry.planned_at),
        "detail": entry.detail,
        "origin": entry.origin.value,
        "engine": entry.engine,
        "signatures_version": entry.signatures_version,
        "detected_at": _optional(entry.detected_at),
        "staged_path": path_to_column(entry.staged_path),
        "restore_path": path_to_column(entry.restore_path),
        "deletion_announced_at": _optional(entry.deletion_announced_at),
    }


def _from_row(row: sqlite3.Row) -> QuarantineEntry:
    return QuarantineEntry(
        id=row["id"],
        incident_uuid=UUID(row["incident_uuid"]),
        state=CaptureState(row["state"]),
        original_path=path_from_column(row["original_path"]),
        identity=FileIdentity(
            device=int(row["device"]),
            inode=int(row["inode"]),
            size_bytes=row["size_bytes"],
            mtime_ns=int(row["mtime_ns"]),
            ctime_ns=int(row["ctime_ns"]),
        ),
        sha256=row["sha256"],
        metadata=FileMetadata(
            mode=row["mode"],
            owner_uid=row["owner_uid"],
            owner_gid=row["owner_gid"],
            accessed_ns=int(row["accessed_ns"]),
            modified_ns=int(row["modified_ns"]),
            xattrs=xattrs_from_column(row["xattrs"]),
            inode_flags=row["inode_flags"],
            links=row["links"],
        ),
        findings=findings_from_column(row["findings"]),
        planned_at=instant_from_column(row["planned_at"]),
        detail=row["detail"],
        origin=Origin(row["origin"]),
        engine=row["engine"],
        signatures_version=row["signatures_version"],
        detected_at=_optional_instant(row["detected_at"]),
        staged_path=path_from_column(row["staged_path"]),
        restore_path=path_from_column(row["restore_path"]),
        deletion_announced_at=_optional_instant(row["deletion_announced_at"]),
    )


def _optional(instant: datetime | None) -> str | None:
    return None if instant is None else instant_to_column(instant)


def _optional_instant(column: str | None) -> datetime | None:
    return None if column is None else instant_from_column(column)
