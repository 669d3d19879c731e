"""Webhooks: added by people, told in the transaction of what happened, delivered by a durable job."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.ports import Sealer
from controlplane.runtime.clock import Clock
from controlplane.runtime.jobs.queue import schedule
from controlplane.runtime.newest import newest_first
from controlplane.runtime.paging import KeyPart, Page
from controlplane.runtime.principal import PersonPrincipal
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.types import to_microseconds
from controlplane.storage.upsert import insert_into
from controlplane.webhooks.errors import (
    delivery_not_found,
    too_many_webhooks,
    webhook_exists,
    webhook_not_found,
    webhook_refused,
)
from controlplane.webhooks.model import MAX_WEBHOOKS, Delivery, Webhook, headers_of, read_target, retry_at
from controlplane.webhooks.ports import NotDeliveredError, Sender
from controlplane.webhooks.tables import webhook_deliveries, webhooks

#: The job that delivers what is due to one webhook; its subject is the webhook.
DELIVER: Final = "webhooks.deliver"
#: Sort key of the deliveries that were given up: created (microseconds), id.
DELIVERY_KEY: tuple[type[KeyPart], ...] = (int, str)
#: What was given up is kept so long.
DEAD_KEPT: Final = timedelta(days=30)
#: Posts of one turn of the job; then other webhooks have theirs.
_POSTS_AT_ONCE: Final = 10
_SECRET_BYTES: Final = 32

_DUE = webhook_deliveries.c


@dataclass(frozen=True, slots=True)
class WebhookView:
    """A webhook, and how many deliveries to it wait or were given up."""

    webhook: Webhook
    waiting: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class DeadPage:
    """Deliveries that were given up, and the sort key to go on from; None: there are no more."""

    deliveries: tuple[Delivery, ...]
    next_key: tuple[KeyPart, ...] | None


class WebhookService:
    """The use cases; also the `Outlet` of detections.

    Args:
        database: The database.
        sender: Posts.
        sealer: Keeps secrets.
        audit: Records who added and removed what.
        clock: Business time: when attempts are due.
        wall: The machine's clock: what deliveries are signed with, because receivers compare it with theirs.
        randomness: For ids and secrets.
    """

    def __init__(
        self,
        *,
        database: Database,
        sender: Sender,
        sealer: Sealer,
        audit: AuditLog,
        clock: Clock,
        wall: Clock,
        randomness: Randomness,
    ) -> None:
        self._database = database
        self._sender = sender
        self._sealer = sealer
        self._audit = audit
        self._clock = clock
        self._wall = wall
        self._randomness = randomness

    # ------------------------------------------------------------ for people

    async def add(self, person: PersonPrincipal, untrusted_url: str) -> tuple[WebhookView, str]:
        """Add a webhook.

        Returns:
            The webhook, and the secret that its deliveries are signed with; it is shown this once.

        Raises:
            Refusal: `WEBHOOK_REFUSED`, `WEBHOOK_EXISTS` or `TOO_MANY_WEBHOOKS`.
        """
        target = read_target(untrusted_url)
        if target is None:
            raise webhook_refused("it is not a plain URL")
        try:
            await self._sender.check(target)
        except NotDeliveredError as error:
            raise webhook_refused(str(error)) from error
        secret = base64.urlsafe_b64encode(self._randomness.token_bytes(_SECRET_BYTES)).decode("ascii").rstrip("=")
        added = Webhook(person.org_id, new_id(self._randomness, "whk"), untrusted_url, self._clock.now())
        async with self._database.transaction() as uow:
            query = select(func.count()).select_from(webhooks).where(webhooks.c.org_id == person.org_id)
            if (await uow.connection.execute(query)).scalar_one() >= MAX_WEBHOOKS:
                raise too_many_webhooks(MAX_WEBHOOKS)
            statement = insert_into(uow.connection, webhooks).values(
                org_id=added.org_id,
                webhook_id=added.webhook_id,
                url=added.url,
                sealed_secret=self._sealer.seal(secret.encode(), added.webhook_id),
                created_at=added.created_at,
            )
            made = await uow.connection.execute(statement.on_conflict_do_nothing().returning(webhooks.c.webhook_id))
            if made.one_or_none() is None:
                raise webhook_exists()
            await self._record(uow, person, "webhook.added", added.webhook_id, {"host": target.host})
        return WebhookView(added), secret

    async def remove(self, person: PersonPrincipal, webhook_id: str) -> None:
        """Remove a webhook, and what waits for it.

        Raises:
            Refusal: `WEBHOOK_NOT_FOUND`.
        """
        async with self._database.transaction() as uow:
            statement = delete(webhooks).where(webhooks.c.org_id == person.org_id, webhooks.c.webhook_id == webhook_id)
            removed = await uow.connection.execute(statement.returning(webhooks.c.webhook_id))
            if removed.one_or_none() is None:
                raise webhook_not_found()
            await self._record(uow, person, "webhook.removed", webhook_id, {})

    async def list_all(self, org_id: str) -> Sequence[WebhookView]:
        """Every webhook of an organisation, the oldest first."""
        waiting, dead = func.count(_DUE.due_at), func.count(_DUE.delivery_id) - func.count(_DUE.due_at)
        query = (
            select(*webhooks.columns, waiting.label("waiting"), dead.label("dead"))
            .outerjoin(
                webhook_deliveries, (_DUE.org_id == webhooks.c.org_id) & (_DUE.webhook_id == webhooks.c.webhook_id)
            )
            .where(webhooks.c.org_id == org_id)
            .group_by(*webhooks.columns)
            .order_by(webhooks.c.created_at, webhooks.c.webhook_id)
        )
        async with self._database.reading() as connection:
            return [WebhookView(_webhook(row), row.waiting, row.dead) for row in await connection.execute(query)]

    async def dead(self, org_id: str, page: Page) -> DeadPage:
        """Deliveries that were given up, the newest first."""
        query: Any = select(*webhook_deliveries.columns).where(_DUE.org_id == org_id, _DUE.due_at.is_(None))
        async with self._database.reading() as connection:
            rows = await connection.execute(newest_first(query, _DUE.created_at, _DUE.delivery_id, page))
            found = [_delivery(row) for row in rows]
        shown = tuple(found[: page.size])
        last = shown[-1] if len(found) > page.size else None
        return DeadPage(shown, None if last is None else (to_microseconds(last.created_at), last.delivery_id))

    async def retry(self, person: PersonPrincipal, delivery_id: str) -> None:
        """Try a delivery that was given up again, from the first attempt on.

        Raises:
            Refusal: `DELIVERY_NOT_FOUND`.
        """
        now = self._clock.now()
        async with self._database.transaction() as uow:
            statement = (
                update(webhook_deliveries)
                .where(_DUE.org_id == person.org_id, _DUE.delivery_id == delivery_id, _DUE.due_at.is_(None))
                .values(due_at=now, attempts=0)
            )
            row = (await uow.connection.execute(statement.returning(_DUE.webhook_id))).one_or_none()
            if row is None:
                raise delivery_not_found()
            await schedule(uow, kind=DELIVER, subject=row.webhook_id, org_id=person.org_id, due_at=now)
            await self._record(uow, person, "webhook.delivery_retried", delivery_id, {"webhook_id": row.webhook_id})

    async def _record(
        self, uow: UnitOfWork, person: PersonPrincipal, action: str, subject: str, details: Mapping[str, str]
    ) -> None:
        await self._audit.record(uow, org_id=person.org_id, action=action, subject=subject, details=details)

    # ------------------------------------------------------------ telling

    async def tell(self, uow: UnitOfWork, org_id: str, kind: str, facts: Mapping[str, str | int]) -> None:
        """Queue an event for every webhook of the organisation; see `detections.ports.Outlet`."""
        now = self._clock.now()
        query = select(webhooks.c.webhook_id).where(webhooks.c.org_id == org_id).order_by(webhooks.c.webhook_id)
        for webhook_id in (await uow.connection.execute(query)).scalars().all():
            delivery_id = new_id(self._randomness, "dlv")
            event = {"id": delivery_id, "kind": kind, "at": now.isoformat(), "data": dict(facts)}
            await uow.connection.execute(
                insert(webhook_deliveries).values(
                    org_id=org_id,
                    delivery_id=delivery_id,
                    webhook_id=webhook_id,
                    kind=kind,
                    body=json.dumps(event, sort_keys=True).encode(),
                    created_at=now,
                    attempts=0,
                    due_at=now,
                    last_error="",
                )
            )
            await schedule(uow, kind=DELIVER, subject=webhook_id, org_id=org_id, due_at=now)

    async def deliver(self, org_id: str, webhook_id: str) -> None:
        """Post what is due to a webhook; the handler of `DELIVER`.

        Repeatable: a process that dies after a post and before its row is written posts it again, and the receiver
        knows it by its id. After a failure the others wait as well, so that a receiver that is away costs one attempt.
        """
        now = self._clock.now()
        async with self._database.reading() as connection:
            found = await _endpoint(connection, org_id, webhook_id)
            due = await _due(connection, org_id, webhook_id, now)
        if found is None:
            return
        webhook, sealed = found
        secret = self._sealer.open(sealed, webhook.webhook_id)
        resume_at: datetime | None = None
        for delivery in due:
            tried = await self._attempt(webhook, delivery, secret)
            await self._settle(delivery, tried)
            if tried is not None:
                resume_at = tried.due_at or now
                break
        await self._go_on(webhook, resume_at)

    async def _attempt(self, webhook: Webhook, delivery: Delivery, secret: bytes) -> Delivery | None:
        """Post once; how the delivery stands if it failed."""
        target = read_target(webhook.url)
        assert target is not None, "checked when it was added"
        try:
            await self._sender.send(target, headers_of(delivery, secret, self._wall.now()), delivery.body)
        except NotDeliveredError as error:
            attempts = delivery.attempts + 1
            due_at = retry_at(attempts, self._clock.now())
            return replace(delivery, attempts=attempts, due_at=due_at, last_error=str(error))
        return None

    async def _settle(self, before: Delivery, failed: Delivery | None) -> None:
        mine = _DUE.org_id == before.org_id, _DUE.delivery_id == before.delivery_id
        async with self._database.transaction() as uow:
            if failed is None:
                await uow.connection.execute(delete(webhook_deliveries).where(*mine))
                return
            values = {"attempts": failed.attempts, "due_at": failed.due_at, "last_error": failed.last_error}
            await uow.connection.execute(update(webhook_deliveries).where(*mine).values(**values))
            if failed.due_at is None:
                details = {"webhook_id": failed.webhook_id, "kind": failed.kind, "error": failed.last_error}
                await self._audit.record(
                    uow,
                    org_id=failed.org_id,
                    action="webhook.delivery_given_up",
                    subject=failed.delivery_id,
                    details=details,
                )

    async def _go_on(self, webhook: Webhook, resume_at: datetime | None) -> None:
        """Have the job run again when something is due, and forget what was given up long ago."""
        mine = _DUE.org_id == webhook.org_id, _DUE.webhook_id == webhook.webhook_id
        async with self._database.transaction() as uow:
            old = _DUE.created_at < self._clock.now() - DEAD_KEPT
            await uow.connection.execute(delete(webhook_deliveries).where(*mine, _DUE.due_at.is_(None), old))
            next_at = (await uow.connection.execute(select(func.min(_DUE.due_at)).where(*mine))).scalar_one_or_none()
            if next_at is not None:
                due_at = next_at if resume_at is None else max(next_at, resume_at)
                await schedule(uow, kind=DELIVER, subject=webhook.webhook_id, org_id=webhook.org_id, due_at=due_at)


async def _endpoint(connection: AsyncConnection, org_id: str, webhook_id: str) -> tuple[Webhook, bytes] | None:
    query = select(*webhooks.columns).where(webhooks.c.org_id == org_id, webhooks.c.webhook_id == webhook_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (_webhook(row), row.sealed_secret)


async def _due(connection: AsyncConnection, org_id: str, webhook_id: str, now: datetime) -> Sequence[Delivery]:
    query = (
        select(*webhook_deliveries.columns)
        .where(_DUE.org_id == org_id, _DUE.webhook_id == webhook_id, _DUE.due_at <= now)
        .order_by(_DUE.due_at, _DUE.delivery_id)
        .limit(_POSTS_AT_ONCE)
    )
    return [_delivery(row) for row in await connection.execute(query)]


def _webhook(row: Row[*tuple[Any, ...]]) -> Webhook:
    return Webhook(row.org_id, row.webhook_id, row.url, row.created_at)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        org_id=row.org_id,
        delivery_id=row.delivery_id,
        webhook_id=row.webhook_id,
        kind=row.kind,
        body=row.body,
        created_at=row.created_at,
        attempts=row.attempts,
        due_at=row.due_at,
        last_error=row.last_error,
    )
