"""Quotes and purchases in the database: rows in, values out."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.billing.invoices.document import draft_from_json, draft_to_json
from controlplane.billing.model import InvoiceDraft
from controlplane.catalog.model import Term
from controlplane.storage.database import UnitOfWork
from controlplane.subscriptions.errors import quote_unknown
from controlplane.subscriptions.lifecycle import Terms
from controlplane.subscriptions.model import Period
from controlplane.subscriptions.quoting import PurchaseKind
from controlplane.subscriptions.tables import purchases, quotes


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a change costs, and until when that holds.

    Attributes:
        draft: What will be charged, exactly; None: nothing now.
        seen_sha256: `quoting.seen_sha256` of the subscription it was made for.
        effective_at: When the change takes place.
        used_at: When it was taken; None: it was not.
    """

    org_id: str
    quote_id: str
    subscription_id: str
    kind: PurchaseKind
    terms: Terms
    draft: InvoiceDraft | None
    seen_sha256: str
    effective_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


class PurchaseState(Enum):
    """Where a purchase is."""

    WAITING = "waiting"
    DONE = "done"
    DROPPED = "dropped"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What an invoice brings once it is paid.

    Attributes:
        period: That it opens or changes.
        old: What an upgrade replaces.
        settled_at: Since when it is in its state.
    """

    org_id: str
    invoice_id: str
    subscription_id: str
    kind: PurchaseKind
    terms: Terms
    old: Terms
    period: Period
    state: PurchaseState
    settled_at: datetime


async def add_quote(uow: UnitOfWork, quote: Quote) -> None:
    """Store a new quote."""
    await uow.connection.execute(
        insert(quotes).values(
            org_id=quote.org_id,
            quote_id=quote.quote_id,
            subscription_id=quote.subscription_id,
            kind=quote.kind.value,
            plan_id=quote.terms.plan_id,
            catalog_version=quote.terms.catalog_version,
            term=quote.terms.term.value,
            draft=None if quote.draft is None else draft_to_json(quote.draft),
            seen_sha256=quote.seen_sha256,
            effective_at=quote.effective_at,
            expires_at=quote.expires_at,
            used_at=quote.used_at,
        )
    )


async def find_quote(connection: AsyncConnection, org_id: str, quote_id: str) -> Quote:
    """One quote.

    Raises:
        Refusal: QUOTE_UNKNOWN.
    """
    columns = quotes.c
    query = select(
        columns.subscription_id,
        columns.kind,
        columns.plan_id,
        columns.catalog_version,
        columns.term,
        columns.draft,
        columns.seen_sha256,
        columns.effective_at,
        columns.expires_at,
        columns.used_at,
    ).where(columns.org_id == org_id, columns.quote_id == quote_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise quote_unknown(quote_id)
    return Quote(
        org_id=org_id,
        quote_id=quote_id,
        subscription_id=row.subscription_id,
        kind=PurchaseKind(row.kind),
        terms=Terms(row.plan_id, row.catalog_version, Term(row.term)),
        draft=None if row.draft is None else draft_from_json(row.draft),
        seen_sha256=row.seen_sha256,
        effective_at=row.effective_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )


async def use_quote(uow: UnitOfWork, quote: Quote, now: datetime) -> bool:
    """Take a quote, once; False: it was taken before."""
    columns = quotes.c
    taken = await uow.connection.execute(
        update(quotes)
        .where(columns.org_id == quote.org_id, columns.quote_id == quote.quote_id, columns.used_at.is_(None))
        .values(used_at=now)
        .returning(columns.quote_id)
    )
    return taken.first() is not None


async def add(uow: UnitOfWork, purchase: Purchase) -> None:
    """Store a new purchase, before its invoice becomes final."""
    await uow.connection.execute(
        insert(purchases).values(
            org_id=purchase.org_id,
            invoice_id=purchase.invoice_id,
            subscription_id=purchase.subscription_id,
            kind=purchase.kind.value,
            plan_id=purchase.terms.plan_id,
            catalog_version=purchase.terms.catalog_version,
            term=purchase.terms.term.value,
            old_plan_id=purchase.old.plan_id,
            old_catalog_version=purchase.old.catalog_version,
            period_start=purchase.period.start,
            period_end=purchase.period.end,
            state=purchase.state.value,
            settled_at=purchase.settled_at,
        )
    )


async def settle(uow: UnitOfWork, purchase: Purchase, state: PurchaseState, now: datetime) -> Purchase | None:
    """Move a purchase on; None: it is no longer as it was seen, nothing was changed."""
    columns = purchases.c
    moved = await uow.connection.execute(
        update(purchases)
        .where(
            columns.org_id == purchase.org_id,
            columns.invoice_id == purchase.invoice_id,
            columns.state == purchase.state.value,
        )
        .values(state=state.value, settled_at=now)
        .returning(columns.invoice_id)
    )
    return None if moved.first() is None else replace(purchase, state=state, settled_at=now)


async def find(connection: AsyncConnection, org_id: str, invoice_id: str) -> Purchase | None:
    """What an invoice brings; None: it is about something else."""
    query = _selected().where(purchases.c.org_id == org_id, purchases.c.invoice_id == invoice_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _purchase(row)


async def newest_done(connection: AsyncConnection, org_id: str, subscription_id: str) -> Purchase | None:
    """The last purchase of a subscription that was paid and not undone."""
    columns = purchases.c
    query = _selected().where(
        columns.org_id == org_id,
        columns.subscription_id == subscription_id,
        columns.state == PurchaseState.DONE.value,
    )
    row = (await connection.execute(query.order_by(columns.settled_at.desc()).limit(1))).one_or_none()
    return None if row is None else _purchase(row)


async def waiting(connection: AsyncConnection, org_id: str, subscription_id: str) -> Purchase | None:
    """A purchase that waits for its payment."""
    columns = purchases.c
    query = _selected().where(
        columns.org_id == org_id,
        columns.subscription_id == subscription_id,
        columns.state == PurchaseState.WAITING.value,
    )
    row = (await connection.execute(query.order_by(columns.settled_at).limit(1))).one_or_none()
    return None if row is None else _purchase(row)


def _selected() -> Select[tuple[object, ...]]:
    columns = purchases.c
    return select(
        columns.org_id,
        columns.invoice_id,
        columns.subscription_id,
        columns.kind,
        columns.plan_id,
        columns.catalog_version,
        columns.term,
        columns.old_plan_id,
        columns.old_catalog_version,
        columns.period_start,
        columns.period_end,
        columns.state,
        columns.settled_at,
    )


def _purchase(row: Row[tuple[object, ...]]) -> Purchase:
    term = Term(row.term)
    return Purchase(
        org_id=row.org_id,
        invoice_id=row.invoice_id,
        subscription_id=row.subscription_id,
        kind=PurchaseKind(row.kind),
        terms=Terms(row.plan_id, row.catalog_version, term),
        old=Terms(row.old_plan_id, row.old_catalog_version, term),
        period=Period(row.period_start, row.period_end),
        state=PurchaseState(row.state),
        settled_at=row.settled_at,
    )
