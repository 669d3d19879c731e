"""What became of detections that people had devices do something about; kept longer than the commands."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.commands.model import Command, CommandState
from controlplane.detections.model import DetectionOutcome
from controlplane.detections.tables import detection_outcomes, detections
from controlplane.devices.threats import ActiveThreats
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

#: What a command of a kind comes to if it succeeds.
_DONE: Final = {"quarantine": "quarantined", "restore": "restored", "delete": "deleted"}


class DetectionOutcomes:
    """Hears of commands that ended; implements `commands.ports.CommandWatch`.

    Args:
        threats: A file that was taken is no active threat.
    """

    def __init__(self, threats: ActiveThreats) -> None:
        self._threats = threats

    async def ended(self, uow: UnitOfWork, command: Command, now: datetime) -> None:
        """See `commands.ports.CommandWatch`."""
        if command.kind not in _DONE:
            return
        found = await _subject_of(uow.connection, command)
        if found is None:
            return
        uuid, path = found
        outcome = _outcome(command)
        facts = {
            "command_id": command.command_id,
            "kind": command.kind,
            "outcome": outcome,
            "at": command.finished_at or now,
            "asked_by": command.requester,
            "code": command.code,
            "message": command.message,
            "quarantine_id": _copy_after(command, outcome),
        }
        statement = insert_into(uow.connection, detection_outcomes).values(org_id=command.org_id, uuid=uuid, **facts)
        await uow.connection.execute(statement.on_conflict_do_update(index_elements=["org_id", "uuid"], set_=facts))
        if outcome in {"quarantined", "gone"}:
            await self._threats.note(uow, command.org_id, command.device_id, left=(), dealt_with=[path], now=now)


async def outcomes_of(
    connection: AsyncConnection, org_id: str, uuids: Collection[bytes]
) -> Mapping[bytes, DetectionOutcome]:
    """By detection; who is missing has none."""
    columns = detection_outcomes.c
    query = select(*columns).where(columns.org_id == org_id, columns.uuid.in_(uuids))
    return {
        row.uuid: DetectionOutcome(
            row.outcome, row.at, row.asked_by, row.command_id, row.kind, row.code, row.message, row.quarantine_id
        )
        for row in await connection.execute(query)
    }


async def _subject_of(connection: AsyncConnection, command: Command) -> tuple[bytes, bytes] | None:
    """Id and path of the detection that a command is about; None: of none of its device."""
    query = select(detections.c.uuid, detections.c.path).where(
        detections.c.org_id == command.org_id, detections.c.device_id == command.device_id
    )
    if command.kind == "quarantine":
        query = query.where(detections.c.uuid == _uuid(command.arguments.get("detection", "")))
    else:
        copy = command.arguments.get("quarantine_id", "")
        # Taken when it was found, or because somebody asked for it.
        asked = select(detection_outcomes.c.uuid).where(
            detection_outcomes.c.org_id == command.org_id, detection_outcomes.c.quarantine_id == copy
        )
        query = query.where(or_(detections.c.quarantine_id == copy, detections.c.uuid.in_(asked)))
    row = (await connection.execute(query.order_by(detections.c.received_at.desc()).limit(1))).one_or_none()
    return None if row is None else (row.uuid, row.path)


def _uuid(untrusted_text: str) -> bytes:
    """Bytes that are no id are those of no detection."""
    try:
        return bytes.fromhex(untrusted_text)
    except ValueError:
        return b""


def _outcome(command: Command) -> str:
    if command.state is not CommandState.SUCCEEDED:
        return "failed"
    return "gone" if command.result.get("outcome") == "gone" else _DONE[command.kind]


def _copy_after(command: Command, outcome: str) -> str:
    """The copy that the device has then; one that could not be brought back or destroyed is there still."""
    if command.kind == "quarantine":
        return command.result.get("quarantine_id", "")
    return command.arguments.get("quarantine_id", "") if outcome == "failed" else ""
