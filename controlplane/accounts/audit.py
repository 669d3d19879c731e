"""The record of every change, written in the change's own transaction: they happen together or not at all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.tables import audit, members, people
from controlplane.runtime.clock import Clock
from controlplane.runtime.newest import newest_first
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import current_actor, current_request_id
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.storage.database import UnitOfWork


class AuditLog:
    """Appends to the audit.

    Args:
        clock: Business time.
        randomness: For the ids of entries.
    """

    def __init__(self, clock: Clock, randomness: Randomness) -> None:
        self._clock = clock
        self._randomness = randomness

    async def record(
        self,
        uow: UnitOfWork,
        *,
        org_id: str,
        action: str,
        subject: str,
        details: Mapping[str, str] | None = None,
    ) -> None:
        """Write one entry; who did it and in which call is taken from the call itself.

        Args:
            uow: The transaction of the change.
            org_id: Whose audit.
            action: What was done, e.g. `subscription.renewed`.
            subject: Id of what it was done to.
            details: Further facts, never a secret.
        """
        await uow.connection.execute(
            insert(audit).values(
                org_id=org_id,
                audit_id=new_id(self._randomness, "aud"),
                at=self._clock.now(),
                actor=current_actor(),
                action=action,
                subject=subject,
                details=json.dumps(dict(details or {}), sort_keys=True),
                request_id=current_request_id(),
            )
        )


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change.

    Attributes:
        actor: `user:…`, `device:…`, `operator`, `anonymous` or `system`.
        actor_email: Behind `user:…`; empty: nobody's, or somebody's who left.
        action: For example `subscription.renewed`.
        subject: Id of what it was done to.
        request_id: Under which the call is in the log.
    """

    audit_id: str
    at: datetime
    actor: str
    actor_email: str
    action: str
    subject: str
    details: Mapping[str, str]
    request_id: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; empty: whichever."""

    subject: str = ""
    actor: str = ""
    action_prefix: str = ""


async def newest_entries(
    connection: AsyncConnection, org_id: str, wanted: AuditFilter, page: Page
) -> Sequence[AuditEntry]:
    """What happened in an organisation, the newest first; one row more than asked for if there are more."""
    query = (
        select(audit, people.c.email)
        .outerjoin(
            members, (members.c.org_id == audit.c.org_id) & (literal("user:") + members.c.user_id == audit.c.actor)
        )
        .outerjoin(people, people.c.user_id == members.c.user_id)
        .where(audit.c.org_id == org_id)
    )
    if wanted.subject:
        query = query.where(audit.c.subject == wanted.subject)
    if wanted.actor:
        query = query.where(audit.c.actor == wanted.actor)
    if wanted.action_prefix:
        query = query.where(audit.c.action.startswith(wanted.action_prefix, autoescape=True))
    rows = await connection.execute(newest_first(query, audit.c.at, audit.c.audit_id, page))
    return [
        AuditEntry(
            audit_id=row.audit_id,
            at=row.at,
            actor=row.actor,
            actor_email=row.email or "",
            action=row.action,
            subject=row.subject,
            details=json.loads(row.details),
            request_id=row.request_id,
        )
        for row in rows
    ]
