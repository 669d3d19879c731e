"""What commands need from capabilities above them; wired in `app.py`."""

from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.commands.model import Command
from controlplane.devices.model import Device
from controlplane.storage.database import UnitOfWork


class RemoteAccess(Protocol):
    """Whether a device may be given commands; implemented by licensing."""

    async def refusal_of(self, connection: AsyncConnection, device: Device, feature: str) -> str:
        """Why its access does not hold a feature now, as a stable code; empty: it does."""


class CommandWatch(Protocol):
    """Hears of commands that ended; implemented by detections."""

    async def ended(self, uow: UnitOfWork, command: Command, now: datetime) -> None:
        """A command reached its final state, in the transaction that makes it so."""


class Nobody:
    """Nobody wants to hear of it; port `CommandWatch`."""

    async def ended(self, uow: UnitOfWork, command: Command, now: datetime) -> None:
        """Nothing happens."""
