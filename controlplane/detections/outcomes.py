"""What became of detections that people had devices do something about; kept longer than the commands."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.detections.model import DetectionOutcome, EndedOrder
from controlplane.detections.tables import detection_outcomes, detections
from controlplane.devices.threats import ActiveThreats
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

#: What a command of a kind comes to if it succeeds.
_DONE: Final = {"quarantine": "quarantined", "restore": "restored", "delete": "deleted"}


class DetectionOutcomes:
    """Hears of orders that ended.

    Args:
        threats: A file that was taken is no active threat.
    """

    def __init__(self, threats: ActiveThreats) -> None:
        self._threats = threats

    async def ended(self, uow: UnitOfWork, order: EndedOrder) -> None:
        """An order ended, in the transaction that ends it; orders that are about no detection are passed over."""
        if order.kind not in _DONE:
            return
        found = await _subject_of(uow.connection, order)
        if found is None:
            return
        uuid, path = found
        outcome = _outcome(order)
        facts = {
            "command_id": order.command_id,
            "kind": order.kind,
            "outcome": outcome,
            "at": order.ended_at,
            "asked_by": order.requester,
            "code": order.code,
            "message": order.message,
            "quarantine_id": _copy_after(order, outcome),
        }
        statement = insert_into(uow.connection, detection_outcomes).values(org_id=order.org_id, uuid=uuid, **facts)
        await uow.connection.execute(statement.on_conflict_do_update(index_elements=["org_id", "uuid"], set_=facts))
        if outcome in {"quarantined", "gone"}:
            await self._threats.note(uow, order.org_id, order.device_id, left=(), dealt_with=[path], now=order.ended_at)


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


async def _subject_of(connection: AsyncConnection, order: EndedOrder) -> tuple[bytes, bytes] | None:
    """Id and path of the detection that a command is about; None: of none of its device."""
    query = select(detections.c.uuid, detections.c.path).where(
        detections.c.org_id == order.org_id, detections.c.device_id == order.device_id
    )
    if order.kind == "quarantine":
        query = query.where(detections.c.uuid == _uuid(order.arguments.get("detection", "")))
    else:
        copy = order.arguments.get("quarantine_id", "")
        # Taken when it was found, or because somebody asked for it.
        asked = select(detection_outcomes.c.uuid).where(
            detection_outcomes.c.org_id == order.org_id, detection_outcomes.c.quarantine_id == copy
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


def _outcome(order: EndedOrder) -> str:
    if not order.succeeded:
        return "failed"
    return "gone" if order.result.get("outcome") == "gone" else _DONE[order.kind]


def _copy_after(order: EndedOrder, outcome: str) -> str:
    """The copy that the device has then; one that could not be brought back or destroyed is there still."""
    if order.kind == "quarantine":
        return order.result.get("quarantine_id", "")
    return order.arguments.get("quarantine_id", "") if outcome == "failed" else ""
