"""Invoices in the database: written once, numbered without gaps, settled step by step.

Every function that changes something expects the organisation's billing account to be locked (`account.lock_account`).
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.billing.errors import invoice_unknown, period_billed
from controlplane.billing.invoices.document import draft_from_json, draft_to_json
from controlplane.billing.model import (
    Invoice,
    InvoiceDraft,
    InvoiceState,
    LineKind,
    LineRef,
    LiveLine,
    Settlement,
    brought_along,
    net_of,
    paid_per_line,
    recurring_lines,
)
from controlplane.billing.tables import billed_periods, billing_documents, invoice_lines, invoices, line_credits
from controlplane.runtime.newest import newest_first
from controlplane.runtime.paging import Page
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

#: Kinds that pay for time.
_TIMED = (LineKind.RECURRING.value, LineKind.PRORATION_CHARGE.value)


async def find(connection: AsyncConnection, org_id: str, invoice_id: str) -> Invoice:
    """One invoice, by its id or its number.

    Raises:
        Refusal: INVOICE_UNKNOWN.
    """
    columns = invoices.c
    named = (columns.invoice_id == invoice_id) | (columns.number == invoice_id)
    row = (await connection.execute(_selected(org_id).where(named))).one_or_none()
    if row is None:
        raise invoice_unknown(invoice_id)
    return _invoice(row)


async def newest(connection: AsyncConnection, org_id: str, page: Page) -> Sequence[Invoice]:
    """One page, the newest first; one row more than asked for if there are more."""
    query = newest_first(_selected(org_id), invoices.c.created_at, invoices.c.invoice_id, page)
    return [_invoice(row) for row in await connection.execute(query)]


async def with_amount_due(connection: AsyncConnection, org_id: str) -> Sequence[Invoice]:
    """Finalised invoices on which something is due, the oldest first."""
    columns = invoices.c
    query = _selected(org_id).where(columns.state == InvoiceState.FINALISED.value)
    rows = await connection.execute(query.order_by(columns.created_at, columns.invoice_id))
    return [_invoice(row) for row in rows]


async def of_organisation(connection: AsyncConnection, org_id: str) -> Sequence[Invoice]:
    """Every finalised invoice that is not void, the oldest first."""
    columns = invoices.c
    hidden = (InvoiceState.DRAFT.value, InvoiceState.VOID.value)
    query = _selected(org_id).where(columns.state.not_in(hidden))
    return [_invoice(row) for row in await connection.execute(query.order_by(columns.created_at, columns.invoice_id))]


async def add_draft(uow: UnitOfWork, invoice: Invoice) -> None:
    """Store a draft."""
    await uow.connection.execute(
        insert(invoices).values(
            org_id=invoice.content.org_id,
            invoice_id=invoice.invoice_id,
            state=InvoiceState.DRAFT.value,
            currency=invoice.content.currency,
            content=draft_to_json(invoice.content),
            total=invoice.settlement.total,
            tax=invoice.settlement.tax,
            created_at=invoice.created_at,
        )
    )


async def delete_draft(uow: UnitOfWork, org_id: str, invoice_id: str) -> bool:
    """Forget a draft; False: it is none."""
    columns = invoices.c
    gone = await uow.connection.execute(
        delete(invoices)
        .where(columns.org_id == org_id, columns.invoice_id == invoice_id, columns.number.is_(None))
        .returning(columns.invoice_id)
    )
    return gone.first() is not None


async def store_final(uow: UnitOfWork, invoice: Invoice, *, from_balance: int, refund_policy: int) -> None:
    """Make a stored draft final, with its lines and the periods it charges.

    Raises:
        Refusal: PERIOD_BILLED.
    """
    await _claim_periods(uow, invoice)
    await uow.connection.execute(
        update(invoices)
        .where(
            invoices.c.org_id == invoice.content.org_id,
            invoices.c.invoice_id == invoice.invoice_id,
            invoices.c.state == InvoiceState.DRAFT.value,
        )
        .values(
            state=invoice.state.value,
            number=invoice.number,
            finalised_at=invoice.finalised_at,
            refund_policy=refund_policy,
            paid=invoice.settlement.paid,
            from_balance=from_balance,
        )
    )
    await uow.connection.execute(insert(invoice_lines), _line_rows(invoice))


async def store_settlement(uow: UnitOfWork, before: Invoice, after: Invoice) -> None:
    """Move an invoice on; finds it only as it was seen."""
    columns, seen = invoices.c, before.settlement
    moved = await uow.connection.execute(
        update(invoices)
        .where(
            columns.org_id == before.content.org_id,
            columns.invoice_id == before.invoice_id,
            columns.state == before.state.value,
            columns.paid == seen.paid,
            columns.forgiven == seen.forgiven,
            columns.returned == seen.returned,
        )
        .values(
            state=after.state.value,
            paid=after.settlement.paid,
            forgiven=after.settlement.forgiven,
            returned=after.settlement.returned,
        )
        .returning(columns.invoice_id)
    )
    assert moved.first() is not None, "whoever changes an invoice holds the lock of its account"


async def from_balance(connection: AsyncConnection, org_id: str, invoice_id: str) -> int:
    """How much of an invoice was taken from the customer's balance when it was finalised."""
    query = select(invoices.c.from_balance).where(invoices.c.org_id == org_id, invoices.c.invoice_id == invoice_id)
    return int((await connection.execute(query)).scalar_one())


async def free_periods(uow: UnitOfWork, invoice: Invoice) -> None:
    """Let the periods of a void invoice be charged again."""
    columns = billed_periods.c
    await uow.connection.execute(
        delete(billed_periods).where(columns.org_id == invoice.content.org_id, columns.invoice_id == invoice.invoice_id)
    )


async def next_attempt(uow: UnitOfWork, org_id: str, invoice_id: str) -> int:
    """The number of the next attempt to collect an invoice."""
    columns = invoices.c
    counted = await uow.connection.execute(
        update(invoices)
        .where(columns.org_id == org_id, columns.invoice_id == invoice_id)
        .values(attempts=columns.attempts + 1)
        .returning(columns.attempts)
    )
    return int(counted.scalar_one())


# ---------------------------------------------------------------- what a line is still worth


async def live_lines(
    connection: AsyncConnection, org_id: str, subscription_id: str, at: datetime
) -> Sequence[LiveLine]:
    """The lines that pay for an instant of a subscription, the newest invoice last."""
    columns = invoice_lines.c
    rows = await connection.execute(
        select(columns.invoice_id, columns.line_no)
        .join(invoices, (invoices.c.org_id == columns.org_id) & (invoices.c.invoice_id == columns.invoice_id))
        .where(
            columns.org_id == org_id,
            columns.subscription_id == subscription_id,
            columns.period_start <= at,
            columns.period_end > at,
            columns.kind.in_(_TIMED),
            invoices.c.state != InvoiceState.VOID.value,
        )
        .order_by(invoices.c.finalised_at, columns.invoice_id, columns.line_no)
    )
    return [await live_line(connection, org_id, LineRef(row.invoice_id, row.line_no)) for row in rows.all()]


async def live_line(connection: AsyncConnection, org_id: str, ref: LineRef) -> LiveLine:
    """One line, what was paid on it and what was given back of that.

    Raises:
        Refusal: INVOICE_UNKNOWN, there is no such line.
    """
    invoice = await find(connection, org_id, ref.invoice_id)
    lines, settled = invoice.content.lines, invoice.settlement
    if not 1 <= ref.line_no <= len(lines):
        raise invoice_unknown(f"{ref.invoice_id} with a line {ref.line_no}")
    # Unused time that an invoice gave back was paid for before: once the invoice is settled it is worth as much here.
    brought = brought_along(lines) if invoice.state is InvoiceState.PAID else 0
    paid = paid_per_line(lines, net_of(settled, settled.paid) + brought)[ref.line_no - 1]
    columns = line_credits.c
    query = (
        select(func.coalesce(func.sum(columns.amount), 0))
        .join(invoices, (invoices.c.org_id == columns.org_id) & (invoices.c.invoice_id == columns.document_id))
        .where(
            columns.org_id == org_id,
            columns.invoice_id == invoice.invoice_id,
            columns.line_no == ref.line_no,
            invoices.c.state != InvoiceState.VOID.value,
        )
    )
    credited = int((await connection.execute(query)).scalar_one())
    # A refund of the whole invoice is written on no line, but its money is gone from every one.
    still_there = min(paid, credited + net_of(settled, settled.returnable) + brought)
    return LiveLine(LineRef(invoice.invoice_id, ref.line_no), lines[ref.line_no - 1], still_there, credited)


async def store_line_credit(
    uow: UnitOfWork, org_id: str, source: LineRef, *, by: LineRef, amount: int, gross: int
) -> None:
    """Write down that a line of a later invoice gives back so much of a line that was paid."""
    await uow.connection.execute(
        insert(line_credits).values(
            org_id=org_id,
            invoice_id=source.invoice_id,
            line_no=source.line_no,
            document_id=by.invoice_id,
            document_line_no=by.line_no,
            amount=amount,
            gross=gross,
        )
    )


async def given_back_by(connection: AsyncConnection, org_id: str, invoice_id: str) -> Sequence[tuple[str, int]]:
    """What the proration credits of an invoice gave back: invoice and amount with tax, per line."""
    columns = line_credits.c
    rows = await connection.execute(
        select(columns.invoice_id, columns.gross)
        .where(columns.org_id == org_id, columns.document_id == invoice_id)
        .order_by(columns.document_line_no)
    )
    return [(row.invoice_id, row.gross) for row in rows]


# ---------------------------------------------------------------- rows


async def _claim_periods(uow: UnitOfWork, invoice: Invoice) -> None:
    for line in recurring_lines(invoice.content):
        assert line.period is not None, "check_draft was called"
        key = {
            "org_id": invoice.content.org_id,
            "subscription_id": line.period.subscription_id,
            "period_start": line.period.start,
        }
        claimed = await uow.connection.execute(
            insert_into(uow.connection, billed_periods)
            .values(**key, invoice_id=invoice.invoice_id)
            .on_conflict_do_nothing()
            .returning(billed_periods.c.invoice_id)
        )
        if claimed.first() is None:
            holder = select(billed_periods.c.invoice_id).filter_by(**key)
            raise period_billed(line.period.subscription_id, await uow.connection.scalar(holder) or "")


def _line_rows(invoice: Invoice) -> list[dict[str, object]]:
    return [
        {
            "org_id": invoice.content.org_id,
            "invoice_id": invoice.invoice_id,
            "line_no": number,
            "kind": line.kind.value,
            "amount": line.amount,
            "subscription_id": None if line.period is None else line.period.subscription_id,
            "period_start": None if line.period is None else line.period.start,
            "period_end": None if line.period is None else line.period.end,
        }
        for number, line in enumerate(invoice.content.lines, start=1)
    ]


def _selected(org_id: str) -> Select[tuple[object, ...]]:
    columns = invoices.c
    return (
        select(
            columns.invoice_id,
            columns.state,
            columns.content,
            columns.total,
            columns.tax,
            columns.created_at,
            columns.number,
            columns.finalised_at,
            columns.refund_policy,
            columns.paid,
            columns.forgiven,
            columns.returned,
            billing_documents.c.sha256,
        )
        .outerjoin(
            billing_documents,
            (billing_documents.c.org_id == columns.org_id) & (billing_documents.c.document_id == columns.invoice_id),
        )
        .where(columns.org_id == org_id)
    )


def _invoice(row: Row[tuple[object, ...]]) -> Invoice:
    content: InvoiceDraft = draft_from_json(row.content)
    return Invoice(
        invoice_id=row.invoice_id,
        state=InvoiceState(row.state),
        content=content,
        settlement=Settlement(row.total, row.tax, row.paid, row.forgiven, row.returned),
        created_at=row.created_at,
        number=row.number or "",
        finalised_at=row.finalised_at,
        document_sha256=row.sha256 or b"",
        refund_policy=row.refund_policy or 0,
    )
