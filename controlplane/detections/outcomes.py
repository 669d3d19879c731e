"""What became of detections that people had devices do something about; kept longer than the commands."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.commands.model import Command, CommandState
from controlplane.detections.model import DetectionOutcome
from controlplane.detections.tables import detection_outcomes, detections
from controlplane.devices.threats import ActiveThreats
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

#: What a command of a kind comes to if it succeeds.
_DONE: Final = {"quarantine": "quarantined", "restore": "restored", "delete": "deleted"}
_UUID_BYTES: Final = 16


class DetectionOutcomes:
    """Hears of commands that ended; implements `commands.ports.CommandWatch`.

    Args:
        threats: A file that was taken is no active threat.
    """

    def __init__(self, threats: ActiveThreats) -> None:
        self._threats = threats

    async def ended(self, uow: UnitOfWork, command: Command, now: datetime) -> None:
        """See `commands.ports.CommandWatch`."""
        uuid = _uuid_of(command)
        if uuid is None:
            return
        query = select(detections.c.path).where(
            detections.c.org_id == command.org_id,
            detections.c.uuid == uuid,
            detections.c.device_id == command.device_id,
        )
        path = (await uow.connection.execute(query)).scalar_one_or_none()
        if path is None:
            return
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


def _uuid_of(command: Command) -> bytes | None:
    """The detection that a command is about; None: of none, or of none that can be one."""
    if command.kind not in _DONE:
        return None
    try:
        uuid = bytes.fromhex(command.arguments.get("detection", ""))
    except ValueError:
        return None
    return uuid if len(uuid) == _UUID_BYTES else None


def _outcome(command: Command) -> str:
    if command.state is not CommandState.SUCCEEDED:
        return "failed"
    return "gone" if command.result.get("outcome") == "gone" else _DONE[command.kind]


def _copy_after(command: Command, outcome: str) -> str:
    """The copy that the device has then; one that could not be brought back or destroyed is there still."""
    if command.kind == "quarantine":
        return command.result.get("quarantine_id", "")
    return command.arguments.get("quarantine_id", "") if outcome == "failed" else ""
