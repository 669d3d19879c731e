"""The record of every change, written in the change's own transaction: they happen together or not at all."""

import json
from collections.abc import Mapping

from sqlalchemy import insert

from controlplane.accounts.tables import audit
from controlplane.runtime.clock import Clock
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
