"""Contacts that change nothing but their time: kept in memory and written together.

A device checks in every minute, and nearly always has nothing new to say. Such contacts reach the database up to
`WRITE_EVERY` later, many in one transaction. A process that dies loses only them: the devices it had heard of look a
few seconds older than they are until they check in again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import BigInteger, LargeBinary, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.devices.check_ins.quiet import Contact
from controlplane.devices.fleet.standing import Standing
from controlplane.devices.fleet.standings import Standings
from controlplane.devices.identity.lineage import NOTHING_SHOWN, Shown, is_overtaken
from controlplane.devices.model import OFFLINE_AFTER
from controlplane.devices.tables import device_statuses
from controlplane.storage.database import Database
from controlplane.storage.outages import worth_a_traceback

#: How long a contact waits to be written; a small part of `devices.model.OFFLINE_AFTER`.
WRITE_EVERY: Final = timedelta(seconds=5)
#: Rows in one transaction: others wait for its locks.
AT_ONCE: Final = 500
#: A standing that is due sooner than this is moved on with the contact, so that the job finds only devices that are
#: really silent.
RENEW_BEFORE: Final = OFFLINE_AFTER / 2

_log = structlog.get_logger(__name__)


class Freshness:
    """Remembers contacts until they are written.

    Args:
        database: The database.
        standings: What devices count as.
        every: How long they wait; 0: each is written at once.
        overtaken: Told of devices that showed another server something that does not follow from what they showed
            here: what is remembered of them here says nothing about them any more.
    """

    def __init__(
        self,
        *,
        database: Database,
        standings: Standings,
        every: timedelta = WRITE_EVERY,
        overtaken: Callable[[str, str], None] = lambda _org_id, _device_id: None,
    ) -> None:
        self._database = database
        self._standings = standings
        self._every = every
        self._overtaken = overtaken
        self._waiting: dict[tuple[str, str], Contact] = {}
        self._under_way: dict[tuple[str, str], Contact] = {}
        self._turn = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Devices whose newest contact is not written yet."""
        return len(self._waiting)

    def shown(self, org_id: str, device_id: str) -> Shown | None:
        """The nonce of a contact that is not written yet; None: there is none."""
        key = org_id, device_id
        contact = self._waiting.get(key) or self._under_way.get(key)
        return None if contact is None else contact.shown

    def forget(self, org_id: str, device_id: str) -> None:
        """Drop a contact that is not written yet."""
        self._waiting.pop((org_id, device_id), None)

    async def note(self, contact: Contact) -> None:
        """Remember a contact; only a device's newest is kept."""
        key = contact.org_id, contact.device_id
        known = self._waiting.get(key)
        if known is None or known.at <= contact.at:
            self._waiting[key] = contact
        if not self._every:
            await self.write()

    async def write(self) -> int:
        """Write what waits. How many there were."""
        async with self._turn:
            self._under_way, self._waiting = self._waiting, {}
            written = 0
            try:
                for org_id, contacts in _by_organisation(self._under_way):
                    await self._write_some(org_id, contacts)
                    written += len(contacts)
                    for contact in contacts:
                        del self._under_way[contact.org_id, contact.device_id]
            finally:
                # What could not be written waits again, unless something newer came meanwhile.
                self._under_way, self._waiting = {}, self._under_way | self._waiting
        return written

    async def run_forever(self) -> None:
        """Write every so often, until cancelled."""
        while True:
            await asyncio.sleep(self._every.total_seconds())
            try:
                await self.write()
            # Supervision point: a database that is away for a while must not end the server; the contacts wait.
            except Exception as error:  # noqa: BLE001
                facts = {"waiting": self.waiting, "error": type(error).__name__}
                _log.error("contacts_not_written", **facts, exc_info=worth_a_traceback(error))

    async def finish(self) -> None:
        """Write what waits, once more; a server that stops is not kept by a database that is away."""
        try:
            await self.write()
        # Supervision point: what is lost is the time of contacts, and it is told.
        except Exception as error:  # noqa: BLE001
            _log.error("contacts_lost", contacts=self.waiting, exc_info=error)

    async def _write_some(self, org_id: str, contacts: Sequence[Contact]) -> None:
        statuses = device_statuses.c
        newer = (
            update(device_statuses)
            .where(
                statuses.org_id == bindparam("of_org"),
                statuses.device_id == bindparam("of_device"),
                statuses.last_seen <= bindparam("at"),
            )
            .values(
                last_seen=bindparam("at"),
                proven_at=bindparam("proven"),
                report=bindparam("raw"),
                contact_depth=func.coalesce(bindparam("depth", type_=BigInteger), statuses.contact_depth),
                contact_name=func.coalesce(bindparam("shown", type_=LargeBinary), statuses.contact_name),
            )
        )
        device_ids = [contact.device_id for contact in contacts]
        async with self._database.transaction() as uow:
            standing = await self._standings.lock(uow, org_id, device_ids)
            written = await _shown(uow.connection, org_id, device_ids)
            overtaken = {
                contact.device_id
                for contact in contacts
                if contact.shown and is_overtaken(contact.shown, written.get(contact.device_id, NOTHING_SHOWN))
            }
            await uow.connection.execute(newer, [_row(contact, overtaken) for contact in contacts])
            latest = max(contact.at for contact in contacts)
            await self._standings.judge(uow, org_id, _to_judge(contacts, standing, latest), latest)
        for device_id in overtaken:
            self._overtaken(org_id, device_id)


async def _shown(connection: AsyncConnection, org_id: str, device_ids: Sequence[str]) -> Mapping[str, Shown]:
    """What devices showed last, as far as any server has written it."""
    columns = device_statuses.c
    query = select(columns.device_id, columns.contact_depth, columns.contact_name).where(
        columns.org_id == org_id, columns.device_id.in_(device_ids), columns.contact_name.is_not(None)
    )
    return {row.device_id: Shown(row.contact_depth, row.contact_name) for row in await connection.execute(query)}


def _row(contact: Contact, overtaken: Collection[str]) -> Mapping[str, object]:
    shown = None if contact.device_id in overtaken else contact.shown
    return {
        "of_org": contact.org_id,
        "of_device": contact.device_id,
        "at": contact.at,
        "proven": contact.proven_at,
        "raw": contact.raw,
        "depth": shown.depth if shown else None,
        "shown": shown.name if shown else None,
    }


def _by_organisation(waiting: Mapping[tuple[str, str], Contact]) -> Iterator[tuple[str, Sequence[Contact]]]:
    """In the order of their keys, in bounded parts."""
    found: defaultdict[str, list[Contact]] = defaultdict(list)
    for key in sorted(waiting):
        found[key[0]].append(waiting[key])
    for org_id, contacts in found.items():
        for begin in range(0, len(contacts), AT_ONCE):
            yield org_id, contacts[begin : begin + AT_ONCE]


def _to_judge(contacts: Sequence[Contact], locked: Mapping[str, Standing], now: datetime) -> Mapping[str, Standing]:
    """Devices that count as something else than when they called, and those that are due soon."""
    found = {}
    for contact in contacts:
        standing = locked.get(contact.device_id)
        if standing is None:
            continue
        due_soon = standing.changes_at is not None and standing.changes_at - now < RENEW_BEFORE
        if due_soon or standing.condition != contact.condition:
            found[contact.device_id] = standing
    return found
