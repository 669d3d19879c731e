"""Incidents on their way to the control plane; port `agent.domain.ports.Outbox`.

Bounded, because a control plane may be away for months and a rule may go wild in minutes. What gives way, in this
order: rows the control plane refused for good, detections that were only reported, and at the very last detections
with an action; the oldest of a class first. Every row that gives way or is set aside is counted by class, once, and
reported.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from uuid import UUID

from agent.domain.incident import Incident, IncidentAction, Origin
from agent.storage.encoding import (
    findings_from_column,
    findings_to_column,
    instant_from_column,
    instant_to_column,
    path_from_column,
    path_to_column,
)

#: Rows kept at most, those set aside included: some 10 MB, and months of an honest device.
OUTBOX_BOUND = 10_000
#: Class under which rows are counted that were set aside; other classes are the actions of rows that gave way.
SET_ASIDE = "set_aside"

_COLUMNS = (
    "uuid",
    "priority",
    "detected_at",
    "path",
    "sha256",
    "size_bytes",
    "findings",
    "action",
    "action_detail",
    "origin",
    "engine",
    "signatures_version",
    "quarantine_id",
)
_NAMES = ", ".join(_COLUMNS)
_INSERT = (
    f"INSERT INTO outbox ({_NAMES}) VALUES ({', '.join(':' + name for name in _COLUMNS)}) "  # noqa: S608 -- constants
    "ON CONFLICT (uuid) DO NOTHING"
)
_SELECT = f"SELECT {_NAMES} FROM outbox"  # noqa: S608 -- constants
#: The row that gives way next.
_LEAST_WORTH = """
    SELECT number, set_aside_because, action FROM outbox
    ORDER BY set_aside_because IS NULL, priority DESC, number LIMIT 1
"""


def priority_of(action: IncidentAction) -> int:
    """0: something was done about the file (or should have been), sent first; 1: it was only reported."""
    return 1 if action is IncidentAction.REPORTED else 0


class SqliteOutbox:
    """The outbox, inside one transaction."""

    def __init__(self, connection: sqlite3.Connection, bound: int = OUTBOX_BOUND) -> None:
        self._connection = connection
        self._bound = bound

    def add(self, incident: Incident) -> None:
        """Insert; a uuid that is there already changes nothing. Beyond its bound the least worthy row is dropped."""
        self._connection.execute(_INSERT, _to_row(incident))
        while self._rows() > self._bound:
            self._drop_one()

    def pending(self, limit: int) -> list[Incident]:
        """The next rows to send, detections with an action first, then by age."""
        rows = self._connection.execute(
            f"{_SELECT} WHERE set_aside_because IS NULL ORDER BY priority, number LIMIT ?", (limit,)
        )
        return [_from_row(row) for row in rows]

    def acknowledge(self, uuids: Iterable[UUID]) -> None:
        """Delete rows that the control plane has stored."""
        self._connection.executemany("DELETE FROM outbox WHERE uuid = ?", [(str(uuid),) for uuid in uuids])

    def set_aside(self, uuid: UUID, reason: str) -> None:
        """Keep a row that will never be accepted out of the way, with the reason; counted among the dropped."""
        cursor = self._connection.execute(
            "UPDATE outbox SET set_aside_because = ? WHERE uuid = ? AND set_aside_because IS NULL", (reason, str(uuid))
        )
        if cursor.rowcount:
            self._count_dropped(SET_ASIDE)

    def aside(self) -> int:
        """Rows kept out of the way."""
        return self._rows() - self.count()

    def count(self) -> int:
        """Rows waiting, those set aside left out."""
        count: int = self._connection.execute("SELECT count(*) FROM outbox WHERE set_aside_because IS NULL").fetchone()[
            0
        ]
        return count

    def dropped(self) -> dict[str, int]:
        """Rows dropped since the last `clear_dropped`, by class."""
        return dict(self._connection.execute("SELECT class, rows FROM outbox_dropped ORDER BY class").fetchall())

    def clear_dropped(self, reported: Mapping[str, int]) -> None:
        """Subtract what has been reported; what was dropped meanwhile stays."""
        for name, rows in reported.items():
            self._connection.execute("DELETE FROM outbox_dropped WHERE class = ? AND rows <= ?", (name, rows))
            self._connection.execute("UPDATE outbox_dropped SET rows = rows - ? WHERE class = ?", (rows, name))

    def _rows(self) -> int:
        count: int = self._connection.execute("SELECT count(*) FROM outbox").fetchone()[0]
        return count

    def _drop_one(self) -> None:
        number, set_aside_because, action = self._connection.execute(_LEAST_WORTH).fetchone()
        self._connection.execute("DELETE FROM outbox WHERE number = ?", (number,))
        if set_aside_because is None:
            self._count_dropped(action)

    def _count_dropped(self, name: str) -> None:
        self._connection.execute(
            "INSERT INTO outbox_dropped (class, rows) VALUES (?, 1) ON CONFLICT (class) DO UPDATE SET rows = rows + 1",
            (name,),
        )


def _to_row(incident: Incident) -> dict[str, str | int | bytes]:
    return {
        "uuid": str(incident.uuid),
        "priority": priority_of(incident.action),
        "detected_at": instant_to_column(incident.detected_at),
        "path": path_to_column(incident.path),
        "sha256": incident.sha256,
        "size_bytes": incident.size_bytes,
        "findings": findings_to_column(incident.findings),
        "action": incident.action.value,
        "action_detail": incident.action_detail,
        "origin": incident.origin.value,
        "engine": incident.engine,
        "signatures_version": incident.signatures_version,
        "quarantine_id": incident.quarantine_id,
    }


def _from_row(row: sqlite3.Row) -> Incident:
    return Incident(
        uuid=UUID(row["uuid"]),
        detected_at=instant_from_column(row["detected_at"]),
        path=path_from_column(row["path"]),
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        findings=findings_from_column(row["findings"]),
        action=IncidentAction(row["action"]),
        action_detail=row["action_detail"],
        origin=Origin(row["origin"]),
        engine=row["engine"],
        signatures_version=row["signatures_version"],
        quarantine_id=row["quarantine_id"],
    )
