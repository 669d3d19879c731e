"""The books in the database: appended in the transaction of what happened, and never changed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert

from controlplane.billing.ledger import Transfer
from controlplane.billing.tables import journal
from controlplane.storage.database import UnitOfWork


async def book(
    uow: UnitOfWork, *, org_id: str, event: str, subject: str, currency: str, booked: Sequence[Transfer], at: datetime
) -> None:
    """Write what happened into the books; the primary key refuses the same event a second time.

    Args:
        uow: The transaction of what happened.
        org_id: Whose books.
        event: What happened, e.g. `invoice.finalised`.
        subject: Id of what it happened to.
        currency: Of every transfer.
        booked: From `ledger.py`; may be empty.
        at: Business time.
    """
    rows = [
        {
            "org_id": org_id,
            "event": event,
            "subject": subject,
            "line_no": number,
            "at": at,
            "currency": currency,
            "debit": each.debit.value,
            "credit": each.credit.value,
            "amount": each.amount,
        }
        for number, each in enumerate(booked, start=1)
    ]
    if rows:
        await uow.connection.execute(insert(journal), rows)
