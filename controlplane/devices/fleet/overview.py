"""Is every device protected? Counters are kept by `standings`; what is shown of a device is judged when it is asked."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.catalog.model import AccessLevel
from controlplane.devices.errors import device_not_found
from controlplane.devices.fleet.standing import codes_of, state_of
from controlplane.devices.fleet.standings import AT_ONCE, Group, Standings, count_due, counts_of
from controlplane.devices.model import (
    WORST_FIRST,
    Device,
    DeviceLicence,
    DeviceStatus,
    ProtectionState,
    ProtectionVerdict,
    licence_reasons_of,
    protection,
)
from controlplane.devices.ports import Licences
from controlplane.devices.revocation import Revocation, revocation_of
from controlplane.devices.rows import STATUS_COLUMNS, device_of, status_of, with_status
from controlplane.devices.tables import device_standings, devices
from controlplane.runtime.clock import Clock
from controlplane.runtime.paging import KeyPart, Page
from controlplane.storage.database import Database

#: Devices that a summary names.
ATTENTION_LIMIT = 20
#: Sort key of a device list: name, device id.
DEVICE_KEY: tuple[type[KeyPart], ...] = (str, str)
#: Groups looked for in one statement; SQLite joins 500 selects at most.
_GROUPS_AT_ONCE = 100

#: What is said of a device without a seat; its entitlement says how it lost it.
NO_LICENCE = DeviceLicence(access=AccessLevel.LIMITED, reason="SEAT_RELEASED", seat_id="")


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device with everything that people want to see beside it."""

    device: Device
    status: DeviceStatus | None
    licence: DeviceLicence
    verdict: ProtectionVerdict
    revocation: Revocation | None = None

    @property
    def sort_key(self) -> tuple[str, str]:
        """Where it stands in a list."""
        return self.device.name, self.device.device_id


@dataclass(frozen=True, slots=True)
class FleetSummary:
    """How many devices are in which state, and those to look at, worst first.

    Attributes:
        counts: By state; each device once.
        reasons: By reason; a device for each of its reasons.
        unsettled: Devices that are still counted as they were, although time may have changed their state since: more
            than `AT_ONCE` fell silent together, and are counted anew within minutes.
    """

    counts: Mapping[ProtectionState, int]
    reasons: Mapping[str, int]
    attention: tuple[DeviceView, ...]
    unsettled: int
    as_of: datetime


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices are wanted; empty: all that are not hidden.

    Attributes:
        states: In one of these states; empty: in each but `EXPIRED`.
        reasons: For one of these reasons, codes of a verdict.
    """

    states: frozenset[ProtectionState] = frozenset()
    reasons: frozenset[str] = frozenset()

    def takes(self, state: ProtectionState, codes: Iterable[str]) -> bool:
        """Whether a device in this state, for these reasons, is wanted."""
        wanted = state in self.states if self.states else state is not ProtectionState.EXPIRED
        return wanted and (not self.reasons or not self.reasons.isdisjoint(codes))


EVERY_DEVICE = DeviceFilter()


@dataclass(frozen=True, slots=True)
class DevicePage:
    """Some devices, and the sort key to go on from; None: there are no more."""

    views: tuple[DeviceView, ...]
    next_key: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class _Counted:
    """The devices of an organisation that count as the same.

    Attributes:
        codes: Every reason that their verdict gives.
    """

    group: Group
    devices: int
    state: ProtectionState
    codes: tuple[str, ...]


class FleetReader:
    """Answers questions about the devices of one organisation.

    Args:
        database: The database.
        standings: Counts them.
        licences: Seats and access; licensing implements it.
        clock: Business time.
    """

    def __init__(self, *, database: Database, standings: Standings, licences: Licences, clock: Clock) -> None:
        self._database = database
        self._standings = standings
        self._licences = licences
        self._clock = clock

    async def summary(self, org_id: str) -> FleetSummary:
        """How the organisation's devices are; reads counters, not devices."""
        now = self._clock.now()
        unsettled = await self._settle(org_id, now)
        counts = dict.fromkeys(ProtectionState, 0)
        reasons: Counter[str] = Counter()
        async with self._database.reading() as connection:
            counted = await self._counted(connection, org_id)
            for each in counted:
                counts[each.state] += each.devices
                if each.state is not ProtectionState.EXPIRED:
                    reasons.update(dict.fromkeys(each.codes, each.devices))
            attention = await self._attention(connection, org_id, counted, now)
        return FleetSummary(counts, reasons, attention, unsettled, now)

    async def page(self, org_id: str, page: Page, wanted: DeviceFilter = EVERY_DEVICE) -> DevicePage:
        """Devices by name; deactivated and revoked ones are left out.

        Args:
            org_id: The tenant.
            page: From where and how many.
            wanted: Only these.
        """
        now = self._clock.now()
        if wanted != EVERY_DEVICE:
            await self._settle(org_id, now)
        found: list[DeviceView] = []
        after: tuple[KeyPart, ...] = page.after
        async with self._database.reading() as connection:
            groups = None
            counted = await self._counted(connection, org_id)
            if wanted != EVERY_DEVICE or any(each.state is ProtectionState.EXPIRED for each in counted):
                groups = [each.group for each in counted if wanted.takes(each.state, each.codes)]
            while len(found) <= page.size:
                keys = await _keys(connection, org_id, groups, after, page.size + 1)
                if not keys:
                    break
                after = keys[-1]
                views = await self._views(connection, org_id, [device_id for _, device_id in keys], now)
                found.extend(view for view in views if wanted.takes(view.verdict.state, _codes(view)))
                if len(keys) <= page.size:
                    break
        shown = tuple(found[: page.size])
        return DevicePage(shown, shown[-1].sort_key if len(found) > page.size else None)

    async def get(self, org_id: str, device_id: str) -> DeviceView:
        """One device, deactivated, revoked or neither.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`.
        """
        async with self._database.reading() as connection:
            views = await self._views(connection, org_id, [device_id], self._clock.now())
            if not views:
                raise device_not_found()
            return replace(views[0], revocation=await revocation_of(connection, views[0].device))

    async def _settle(self, org_id: str, now: datetime) -> int:
        """Judge anew what time may have changed, as far as a reader can wait for it; how many devices are left."""
        async with self._database.reading() as connection:
            due = await count_due(connection, org_id, now)
        if not due:
            return 0
        async with self._database.transaction() as uow:
            settled = await self._standings.settle(uow, org_id, now, AT_ONCE)
        return due - settled

    async def _counted(self, connection: AsyncConnection, org_id: str) -> Sequence[_Counted]:
        counts = await counts_of(connection, org_id)
        subscriptions = {subscription_id for subscription_id, _ in counts if subscription_id}
        accesses = await self._licences.accesses_of(connection, org_id, subscriptions)
        found = []
        for (subscription_id, condition), number in counts.items():
            access = accesses[subscription_id] if subscription_id else None
            codes = (*(reason.code for reason in licence_reasons_of(access)), *codes_of(condition))
            found.append(_Counted((subscription_id, condition), number, state_of(condition, access), codes))
        return found

    async def _attention(
        self, connection: AsyncConnection, org_id: str, counted: Sequence[_Counted], now: datetime
    ) -> tuple[DeviceView, ...]:
        keys: list[tuple[str, str]] = []
        for state in WORST_FIRST:
            groups = [each.group for each in counted if each.state is state]
            if state is ProtectionState.PROTECTED or len(keys) == ATTENTION_LIMIT:
                break
            keys += await _keys(connection, org_id, groups, (), ATTENTION_LIMIT - len(keys))
        views = await self._views(connection, org_id, [device_id for _, device_id in keys], now)
        return tuple(sorted(views, key=lambda view: (WORST_FIRST.index(view.verdict.state), view.sort_key)))

    async def _views(
        self, connection: AsyncConnection, org_id: str, device_ids: Sequence[str], now: datetime
    ) -> list[DeviceView]:
        query = (
            select(*devices.columns, *STATUS_COLUMNS)
            .select_from(with_status())
            .where(devices.c.org_id == org_id, devices.c.device_id.in_(device_ids))
            .order_by(devices.c.name, devices.c.device_id)
        )
        rows = (await connection.execute(query)).all()
        licences = await self._licences.licences_of(connection, org_id, device_ids)
        return [_view(row, licences, now) for row in rows]


async def _keys(
    connection: AsyncConnection, org_id: str, groups: Sequence[Group] | None, after: tuple[KeyPart, ...], size: int
) -> list[tuple[str, str]]:
    """The first devices after a key, by name, of these groups; None: of all."""
    if groups is None:
        in_use = devices.c.org_id == org_id, devices.c.deactivated_at.is_(None), devices.c.revoked_at.is_(None)
        query = _first(devices, after, size, *in_use)
    elif not groups:
        return []
    elif len(groups) > _GROUPS_AT_ONCE:
        table = device_standings.c
        mine = table.org_id == org_id, tuple_(table.subscription_id, table.condition).in_(groups)
        query = _first(device_standings, after, size, *mine)
    else:
        # Each group is a range of an index, read from `after` on; the database merges them in its own order of names.
        table = device_standings.c
        ranges = [
            _first(
                device_standings,
                after,
                size,
                table.org_id == org_id,
                table.subscription_id == subscription_id,
                table.condition == condition,
            ).subquery()
            for subscription_id, condition in groups
        ]
        every = union_all(*(select(each.c.name, each.c.device_id) for each in ranges)).subquery()
        query = select(every.c.name, every.c.device_id).order_by(every.c.name, every.c.device_id).limit(size)
    return [(row.name, row.device_id) for row in await connection.execute(query)]


def _first(table: Table, after: tuple[KeyPart, ...], size: int, *only: ColumnElement[bool]) -> Select[Any]:
    query = select(table.c.name, table.c.device_id).where(*only)
    if after:
        query = query.where(tuple_(table.c.name, table.c.device_id) > tuple_(*after))
    return query.order_by(table.c.name, table.c.device_id).limit(size)


def _codes(view: DeviceView) -> list[str]:
    return [reason.code for reason in view.verdict.reasons]


def _view(row: Row[Any], licences: Mapping[str, DeviceLicence], now: datetime) -> DeviceView:
    status = status_of(row)
    licence = licences.get(row.device_id, NO_LICENCE)
    verdict = protection(status, access=licence.access, has_seat=licence.has_seat, last_seen=row.last_seen, now=now)
    return DeviceView(device_of(row), status, licence, verdict)
