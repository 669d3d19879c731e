"""Notices to owners as entries of the audit, where they can be read until something delivers them."""

from controlplane.accounts.audit import AuditLog
from controlplane.licensing.ports import Notice
from controlplane.storage.database import UnitOfWork


class AuditNotices:
    """Writes notices down as `notice.…`; implements `licensing.ports.Notices`.

    Args:
        audit: Where to.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    async def tell_owner(self, uow: UnitOfWork, notice: Notice) -> None:
        """Write it down."""
        await self._audit.record(
            uow,
            org_id=notice.org_id,
            action=f"notice.{notice.kind.value}",
            subject=notice.subject,
            details=notice.facts,
        )
