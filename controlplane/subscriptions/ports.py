"""What subscriptions need from the capabilities above them: licensing and devices implement it, `app.py` wires it."""

from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.storage.database import UnitOfWork


class SeatBook(Protocol):
    """The seats that belong to a subscription."""

    async def provide(self, uow: UnitOfWork, *, org_id: str, subscription_id: str, seats: int, now: datetime) -> None:
        """Make sure that slots 1 to `seats` exist; slots that are there stay as they are."""

    async def count_taken(self, connection: AsyncConnection, *, org_id: str, subscription_id: str) -> int:
        """How many of them are held by a device."""


class Activity(Protocol):
    """What is known about the use of what was bought."""

    async def last_contact(self, connection: AsyncConnection, org_id: str) -> datetime | None:
        """When any device of an organisation was in contact last; None: there has been none."""
