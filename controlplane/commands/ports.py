"""What commands need from capabilities above them; wired in `app.py`."""

from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.devices.model import Device


class RemoteAccess(Protocol):
    """Whether a device may be given commands; implemented by licensing."""

    async def refusal_of(self, connection: AsyncConnection, device: Device, feature: str) -> str:
        """Why its access does not hold a feature now, as a stable code; empty: it does."""
