"""Is every device protected? Verdicts are made when somebody asks, from rows and the server's time."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nsmallest
from typing import Any

from sqlalchemy import Row, Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.catalog.model import AccessLevel
from controlplane.devices.errors import device_not_found
from controlplane.devices.model import (
    WORST_FIRST,
    Device,
    DeviceLicence,
    DeviceReport,
    DeviceStatus,
    HealthIssue,
    ProtectionState,
    ProtectionVerdict,
    protection,
)
from controlplane.devices.ports import Licences
from controlplane.devices.registry import device_of, with_status
from controlplane.devices.tables import device_statuses, devices
from controlplane.runtime.clock import Clock
from controlplane.runtime.paging import KeyPart, Page
from controlplane.storage.database import Database

#: Devices that a summary names.
ATTENTION_LIMIT = 20
#: Sort key of a device list: name, device id.
DEVICE_KEY: tuple[type[KeyPart], ...] = (str, str)
# Rows read at a time while looking for devices in wanted states.
_BATCH = 500

#: What is said of a device without a seat; its entitlement says how it lost it.
NO_LICENCE = DeviceLicence(access=AccessLevel.LIMITED, reason="SEAT_RELEASED", seat_id="")


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device with everything that people want to see beside it."""

    device: Device
    status: DeviceStatus | None
    licence: DeviceLicence
    verdict: ProtectionVerdict

    @property
    def sort_key(self) -> tuple[str, str]:
        """Where it stands in a list."""
        return self.device.name, self.device.device_id


@dataclass(frozen=True, slots=True)
class FleetSummary:
    """Counters by state, and the devices to look at, worst first."""

    counts: Mapping[ProtectionState, int]
    attention: tuple[DeviceView, ...]
    as_of: datetime


@dataclass(frozen=True, slots=True)
class DevicePage:
    """Some devices, and the sort key to go on from; None: there are no more."""

    views: tuple[DeviceView, ...]
    next_key: tuple[str, str] | None


class FleetReader:
    """Answers questions about the devices of one organisation.

    Args:
        database: The database.
        licences: Seats and access; licensing implements it.
        clock: Business time.
    """

    def __init__(self, *, database: Database, licences: Licences, clock: Clock) -> None:
        self._database = database
        self._licences = licences
        self._clock = clock

    async def summary(self, org_id: str) -> FleetSummary:
        """Count the organisation's devices by state."""
        counts = dict.fromkeys(ProtectionState, 0)
        troubled: list[DeviceView] = []
        async with self._database.reading() as connection:
            now = self._clock.now()
            licences = await self._licences.licences_of(connection, org_id, None)
            async for row in await connection.stream(_active(org_id)):
                view = _view(row, licences, now)
                counts[view.verdict.state] += 1
                if view.verdict.state is not ProtectionState.PROTECTED:
                    troubled.append(view)
                    if len(troubled) >= _BATCH:
                        troubled = _worst(troubled)
        return FleetSummary(counts, tuple(_worst(troubled)), now)

    async def page(self, org_id: str, page: Page, states: Collection[ProtectionState] = ()) -> DevicePage:
        """Devices by name; deactivated and revoked ones are left out.

        Args:
            org_id: The tenant.
            page: From where and how many.
            states: Only these; empty: all.
        """
        found: list[DeviceView] = []
        after = page.after
        async with self._database.reading() as connection:
            now = self._clock.now()
            while len(found) <= page.size:
                views = await self._batch(connection, org_id, after, page.size + 1 if not states else _BATCH, now)
                if not views:
                    break
                after = views[-1].sort_key
                found.extend(view for view in views if not states or view.verdict.state in states)
        shown = tuple(found[: page.size])
        return DevicePage(shown, shown[-1].sort_key if len(found) > page.size else None)

    async def _batch(
        self, connection: AsyncConnection, org_id: str, after: tuple[KeyPart, ...], size: int, now: datetime
    ) -> Sequence[DeviceView]:
        query = _active(org_id)
        if after:
            query = query.where(tuple_(devices.c.name, devices.c.device_id) > tuple_(*after))
        query = query.order_by(devices.c.name, devices.c.device_id).limit(size)
        rows = (await connection.execute(query)).all()
        licences = await self._licences.licences_of(connection, org_id, [row.device_id for row in rows])
        return [_view(row, licences, now) for row in rows]

    async def get(self, org_id: str, device_id: str) -> DeviceView:
        """One device, deactivated or not.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`.
        """
        async with self._database.reading() as connection:
            query = _with_status(org_id).where(devices.c.device_id == device_id)
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise device_not_found()
            licences = await self._licences.licences_of(connection, org_id, [device_id])
            return _view(row, licences, self._clock.now())


def _worst(views: list[DeviceView]) -> list[DeviceView]:
    return nsmallest(ATTENTION_LIMIT, views, key=lambda view: (WORST_FIRST.index(view.verdict.state), view.sort_key))


def _with_status(org_id: str) -> Select[Any]:
    status_columns = [column for column in device_statuses.columns if column.name not in {"org_id", "device_id"}]
    return select(*devices.columns, *status_columns).select_from(with_status()).where(devices.c.org_id == org_id)


def _active(org_id: str) -> Select[Any]:
    return _with_status(org_id).where(devices.c.deactivated_at.is_(None), devices.c.revoked_at.is_(None))


def _view(row: Row[Any], licences: Mapping[str, DeviceLicence], now: datetime) -> DeviceView:
    status = None if row.last_seen is None else _status(row)
    licence = licences.get(row.device_id, NO_LICENCE)
    verdict = protection(status, access=licence.access, has_seat=licence.has_seat, last_seen=row.last_seen, now=now)
    return DeviceView(device_of(row), status, licence, verdict)


def _status(row: Row[Any]) -> DeviceStatus:
    report = DeviceReport(
        real_time_enabled=row.real_time_enabled,
        proven_at=row.proven_at,
        health_issues=tuple(HealthIssue(code, message) for code, message in json.loads(row.health_issues)),
        signatures_made_at=row.signatures_made_at,
        events_lost=row.events_lost,
        platform=None,
        raw=row.report,
    )
    return DeviceStatus(report, row.last_seen, row.events_lost_at)
