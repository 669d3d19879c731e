"""Whom detections tell; implemented by webhooks, wired in the composition root."""

from collections.abc import Mapping
from typing import Protocol

from controlplane.storage.database import UnitOfWork


class Outlet(Protocol):
    """Tells the systems of an organisation, in the transaction of what happened."""

    async def tell(self, uow: UnitOfWork, org_id: str, kind: str, facts: Mapping[str, str | int]) -> None:
        """Queue an event for everybody who wants to hear of it.

        Args:
            uow: The transaction.
            org_id: Whose.
            kind: A stable name, e.g. `incident.opened`.
            facts: What happened; never a secret.
        """
