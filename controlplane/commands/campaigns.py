"""Campaigns: one command for many devices, a few each minute, stopped when too many fail."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.commands import rows
from controlplane.commands.errors import campaign_not_found, campaign_over, no_devices, other_request
from controlplane.commands.model import (
    CAMPAIGN_OVER,
    CAMPAIGN_TURN,
    Campaign,
    CampaignState,
    Progress,
    after_turn,
    cancelled,
)
from controlplane.commands.service import CommandGround, CommandWish, check_role, derived_id, new_command
from controlplane.commands.tables import campaigns
from controlplane.runtime.idempotency import check_key
from controlplane.runtime.jobs.queue import schedule
from controlplane.runtime.paging import KeyPart, Page
from controlplane.runtime.principal import PersonPrincipal
from controlplane.storage.database import UnitOfWork
from controlplane.storage.types import to_microseconds
from controlplane.storage.upsert import insert_into

#: The job that gives out a campaign's next commands; its subject is the campaign.
TAKE_TURN: Final = "commands.take_turn"


@dataclass(frozen=True, slots=True)
class CampaignWish:
    """What a person wants done on many devices.

    Attributes:
        command: On each.
        device_ids: Which; empty: every active one.
        per_turn: How many get it each minute.
        stop_after: Failures after which no more get it; 0: never.
    """

    command: CommandWish
    device_ids: Collection[str]
    per_turn: int
    stop_after: int


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign and how far it is."""

    campaign: Campaign
    progress: Progress


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """Some campaigns, and the sort key to go on from; None: there are no more."""

    views: tuple[CampaignView, ...]
    next_key: tuple[KeyPart, ...] | None


class Campaigns:
    """The use cases."""

    def __init__(self, ground: CommandGround) -> None:
        self._ground = ground
        self._database = ground.database
        self._clock = ground.clock

    async def request(self, person: PersonPrincipal, wish: CampaignWish) -> CampaignView:
        """Begin a campaign; its first turn is at once.

        Devices whose access does not hold remote commands keep their command waiting until it does, or it expires.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`, `ROLE_MISSING`, `CAMPAIGN_EMPTY`, `IDEMPOTENCY_KEY_INVALID` or
                `IDEMPOTENCY_MISMATCH`.
        """
        check_key(wish.command.idempotency_key)
        check_role(person, wish.command.kind)
        now = self._clock.now()
        campaign = _campaign(person, wish, now)
        async with self._database.transaction() as uow:
            added = await uow.connection.execute(
                insert_into(uow.connection, campaigns)
                .values(_row(campaign))
                .on_conflict_do_nothing()
                .returning(campaigns.c.campaign_id)
            )
            if added.first() is None:
                return await self._repeated(uow.connection, campaign)
            devices = await self._ground.registry.active_of(uow.connection, person.org_id, wish.device_ids)
            if not devices:
                raise no_devices()
            await rows.add(
                uow,
                [
                    new_command(device, person.actor, wish.command, now, campaign_id=campaign.campaign_id)
                    for device in devices
                ],
            )
            await schedule(uow, kind=TAKE_TURN, subject=campaign.campaign_id, due_at=now, org_id=campaign.org_id)
            details = {"kind": campaign.kind, "devices": str(len(devices)), "reason": campaign.reason}
            await self._record(uow, campaign, "requested", details)
            return await self._view(uow.connection, campaign)

    async def _repeated(self, connection: AsyncConnection, campaign: Campaign) -> CampaignView:
        known = await self._find(connection, campaign.org_id, campaign.campaign_id)
        if replace(known, state=campaign.state, requested_at=campaign.requested_at) != campaign:
            raise other_request()
        return await self._view(connection, known)

    async def get(self, org_id: str, campaign_id: str) -> CampaignView:
        """One campaign.

        Raises:
            Refusal: `CAMPAIGN_NOT_FOUND`.
        """
        async with self._database.reading() as connection:
            return await self._view(connection, await self._find(connection, org_id, campaign_id))

    async def page(self, org_id: str, page: Page) -> CampaignPage:
        """Campaigns, the newest first."""
        order = campaigns.c.requested_at, campaigns.c.campaign_id
        query = select(*campaigns.columns).where(campaigns.c.org_id == org_id)
        if page.after:
            query = query.where(tuple_(*order) < tuple_(*rows.key_literals(page.after, order)))
        async with self._database.reading() as connection:
            found = [
                _read(row)
                for row in await connection.execute(
                    query.order_by(*(column.desc() for column in order)).limit(page.size + 1)
                )
            ]
            views = tuple([await self._view(connection, campaign) for campaign in found[: page.size]])
        more = len(found) > page.size
        return CampaignPage(views, _key(views[-1].campaign) if more else None)

    async def pause(self, org_id: str, campaign_id: str) -> CampaignView:
        """Give out nothing more for now.

        Raises:
            Refusal: `CAMPAIGN_NOT_FOUND` or `CAMPAIGN_OVER`.
        """
        return await self._steer(org_id, campaign_id, CampaignState.PAUSED)

    async def resume(self, org_id: str, campaign_id: str) -> CampaignView:
        """Go on; raises as `pause`."""
        return await self._steer(org_id, campaign_id, CampaignState.RUNNING)

    async def stop(self, org_id: str, campaign_id: str) -> CampaignView:
        """Cancel everything that was not given out; raises as `pause`."""
        return await self._steer(org_id, campaign_id, CampaignState.STOPPED)

    async def _steer(self, org_id: str, campaign_id: str, state: CampaignState) -> CampaignView:
        async with self._database.transaction() as uow:
            campaign = await self._lock(uow, org_id, campaign_id)
            if campaign.state is not state:
                if campaign.state in CAMPAIGN_OVER:
                    raise campaign_over(campaign.state.value)
                campaign = await self._enter(uow, campaign, state)
                if state is CampaignState.RUNNING:
                    now = self._clock.now()
                    await schedule(uow, kind=TAKE_TURN, subject=campaign_id, due_at=now, org_id=org_id)
            return await self._view(uow.connection, campaign)

    async def take_turn(self, org_id: str, campaign_id: str) -> int:
        """Give out the next commands; a durable job calls this. How many there were."""
        now = self._clock.now()
        async with self._database.transaction() as uow:
            campaign = await self._lock(uow, org_id, campaign_id)
            state, given = after_turn(campaign, await rows.progress_of(uow.connection, org_id, campaign_id))
            released = await rows.lock_waiting(uow, org_id, campaign_id, given)
            for command in released:
                await rows.store(uow, replace(command, released_at=now))
                uow.news_for(org_id, command.device_id)
            if state is not campaign.state:
                await self._enter(uow, campaign, state)
            elif state is CampaignState.RUNNING:
                turn = now + CAMPAIGN_TURN
                await schedule(uow, kind=TAKE_TURN, subject=campaign_id, due_at=turn, org_id=org_id)
        return len(released)

    async def _enter(self, uow: UnitOfWork, campaign: Campaign, state: CampaignState) -> Campaign:
        """Change the state; a stopped campaign takes back what it did not give out."""
        await uow.connection.execute(
            update(campaigns)
            .where(campaigns.c.org_id == campaign.org_id, campaigns.c.campaign_id == campaign.campaign_id)
            .values(state=state.value)
        )
        if state is CampaignState.STOPPED:
            for command in await rows.lock_waiting(uow, campaign.org_id, campaign.campaign_id, None):
                await rows.store(uow, cancelled(command, self._clock.now()))
        await self._record(uow, campaign, state.value, {"kind": campaign.kind})
        return replace(campaign, state=state)

    async def _view(self, connection: AsyncConnection, campaign: Campaign) -> CampaignView:
        return CampaignView(campaign, await rows.progress_of(connection, campaign.org_id, campaign.campaign_id))

    async def _find(self, connection: AsyncConnection, org_id: str, campaign_id: str) -> Campaign:
        return _found((await connection.execute(_one(org_id, campaign_id))).one_or_none())

    async def _lock(self, uow: UnitOfWork, org_id: str, campaign_id: str) -> Campaign:
        return _found((await uow.connection.execute(_one(org_id, campaign_id).with_for_update())).one_or_none())

    async def _record(self, uow: UnitOfWork, campaign: Campaign, what: str, details: Mapping[str, str]) -> None:
        await self._ground.audit.record(
            uow, org_id=campaign.org_id, action=f"campaign.{what}", subject=campaign.campaign_id, details=details
        )


def _campaign(person: PersonPrincipal, wish: CampaignWish, now: datetime) -> Campaign:
    return Campaign(
        org_id=person.org_id,
        campaign_id=derived_id("cmp", person.org_id, person.actor, wish.command.idempotency_key),
        kind=wish.command.kind.name,
        arguments=wish.command.arguments,
        requester=person.actor,
        reason=wish.command.reason,
        requested_at=now,
        per_turn=wish.per_turn,
        stop_after=wish.stop_after,
    )


def _one(org_id: str, campaign_id: str) -> Select[Any]:
    return select(*campaigns.columns).where(campaigns.c.org_id == org_id, campaigns.c.campaign_id == campaign_id)


def _found(row: Row[Any] | None) -> Campaign:
    if row is None:
        raise campaign_not_found()
    return _read(row)


def _read(row: Row[Any]) -> Campaign:
    values = dict(row._mapping)  # noqa: SLF001 -- SQLAlchemy's public name for it
    return Campaign(**values | {"arguments": json.loads(row.arguments), "state": CampaignState(row.state)})


def _row(campaign: Campaign) -> dict[str, Any]:
    return asdict(campaign) | {
        "arguments": json.dumps(dict(campaign.arguments), sort_keys=True),
        "state": campaign.state.value,
    }


def _key(campaign: Campaign) -> tuple[KeyPart, ...]:
    return to_microseconds(campaign.requested_at), campaign.campaign_id
