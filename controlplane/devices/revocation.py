"""Who revoked a device, when and why: the row knows when, the audit knows the rest."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditFilter, newest_entries
from controlplane.devices.model import Device
from controlplane.runtime.paging import Page

#: The entry of the audit.
REVOKED: Final = "device.revoked"


@dataclass(frozen=True, slots=True)
class Revocation:
    """The end of an identity; what the audit has forgotten is empty.

    Attributes:
        actor: As the audit names them.
        actor_email: Empty: nobody's, or somebody's who left.
    """

    at: datetime
    actor: str = ""
    actor_email: str = ""
    reason: str = ""


async def revocation_of(connection: AsyncConnection, device: Device) -> Revocation | None:
    """How a device was revoked; None: it was not."""
    if device.revoked_at is None:
        return None
    wanted = AuditFilter(subject=device.device_id, action_prefix=REVOKED)
    for entry in await newest_entries(connection, device.org_id, wanted, Page(size=1)):
        return Revocation(device.revoked_at, entry.actor, entry.actor_email, entry.details["reason"])
    return Revocation(device.revoked_at)
