"""An organisation's billing account: the row that everything about its money queues behind.

Whoever changes an organisation's money locks it first. That gives numbers without gaps (the counter moves in the
transaction that uses it, and back with it), one chain of documents, and one order of payments, credits and refunds.
Different organisations never meet here.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.billing.errors import balance_too_low
from controlplane.billing.invoices.document import (
    CHAIN_START,
    CreditNoteDocument,
    Document,
    InvoiceDocument,
    chained_sha256,
    document_bytes,
    first_break,
)
from controlplane.billing.tables import billing_accounts, billing_documents, credit_balances
from controlplane.runtime.fields import invalid
from controlplane.runtime.randomness import Randomness
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

#: 32 symbols that are not mistaken for one another.
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_PREFIX_LENGTH: Final = 6
_COUNTRY_LETTERS: Final = 2


@dataclass(frozen=True, slots=True)
class BillingAccount:
    """The locked row."""

    org_id: str
    number_prefix: str
    invoices: int
    credit_notes: int
    documents: int
    last_sha256: bytes

    def next_invoice_number(self) -> str:
        """Without gaps: the next one is this one again until a document with it is issued."""
        return f"INV-{self.number_prefix}-{self.invoices + 1:05d}"

    def next_credit_note_number(self) -> str:
        """As with invoices, in a series of its own."""
        return f"CN-{self.number_prefix}-{self.credit_notes + 1:05d}"


async def lock_account(uow: UnitOfWork, org_id: str, randomness: Randomness, now: datetime) -> BillingAccount:
    """Wait for whoever changes this organisation's money, then keep others out until the transaction ends."""
    columns = billing_accounts.c
    query = select(
        columns.org_id,
        columns.number_prefix,
        columns.invoices,
        columns.credit_notes,
        columns.documents,
        columns.last_sha256,
    ).where(columns.org_id == org_id)
    while (row := (await uow.connection.execute(query.with_for_update())).one_or_none()) is None:
        # A conflict is either the same organisation, made by somebody else meanwhile, or its prefix, taken by another.
        await uow.connection.execute(
            insert_into(uow.connection, billing_accounts)
            .values(org_id=org_id, number_prefix=_new_prefix(randomness), last_sha256=CHAIN_START, created_at=now)
            .on_conflict_do_nothing()
        )
    return BillingAccount(*row)


async def set_place(uow: UnitOfWork, account: BillingAccount, *, country: str, time_zone: str) -> None:
    """Say where a locked account's customer is: decides which refund rules apply, and when a day ends.

    Args:
        uow: The transaction.
        account: The locked account.
        country: ISO 3166, two capital letters; empty: not known.
        time_zone: IANA name.

    Raises:
        Refusal: INVALID_REQUEST.
    """
    if country and (len(country) != _COUNTRY_LETTERS or not country.isascii() or not country.isupper()):
        raise invalid("country", "is not the two capital letters of a country, such as GB")
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid("time_zone", "is not the name of a time zone, such as Europe/London") from error
    await uow.connection.execute(
        update(billing_accounts)
        .where(billing_accounts.c.org_id == account.org_id)
        .values(country=country, time_zone=time_zone)
    )


async def issue_document(uow: UnitOfWork, account: BillingAccount, document: Document) -> BillingAccount:
    """Append a document to the chain of a locked account; its number is used up.

    Returns:
        The account afterwards; `last_sha256` is the document's.
    """
    content = document_bytes(document)
    is_invoice = isinstance(document, InvoiceDocument)
    after = replace(
        account,
        invoices=account.invoices + (1 if is_invoice else 0),
        credit_notes=account.credit_notes + (0 if is_invoice else 1),
        documents=account.documents + 1,
        last_sha256=chained_sha256(account.last_sha256, content),
    )
    await uow.connection.execute(
        insert(billing_documents).values(
            org_id=account.org_id,
            chain_no=after.documents,
            document_id=document.credit_note_id if isinstance(document, CreditNoteDocument) else document.invoice_id,
            number=document.number,
            issued_at=document.issued_at,
            content=content,
            sha256=after.last_sha256,
        )
    )
    await uow.connection.execute(
        update(billing_accounts)
        .where(billing_accounts.c.org_id == account.org_id, billing_accounts.c.documents == account.documents)
        .values(
            invoices=after.invoices,
            credit_notes=after.credit_notes,
            documents=after.documents,
            last_sha256=after.last_sha256,
        )
    )
    return after


async def stored_document(connection: AsyncConnection, org_id: str, document_id: str) -> tuple[bytes, bytes] | None:
    """Content and hash of a document; None: there is none."""
    columns = billing_documents.c
    rows = await connection.execute(
        select(columns.content, columns.sha256).where(columns.org_id == org_id, columns.document_id == document_id)
    )
    row = rows.one_or_none()
    return None if row is None else (row.content, row.sha256)


async def changed_documents(connection: AsyncConnection) -> list[str]:
    """The number of the first document of each organisation that is not what its hash says."""
    organisations = await connection.scalars(select(billing_accounts.c.org_id).order_by(billing_accounts.c.org_id))
    changed = []
    for org_id in organisations.all():
        place = first_break(await _stored_chain(connection, org_id))
        if place is not None:
            columns = billing_documents.c
            numbers = select(columns.number).where(columns.org_id == org_id).order_by(columns.chain_no)
            number = await connection.scalar(numbers.offset(place - 1).limit(1))
            changed.append(str(number))
    return changed


async def _stored_chain(connection: AsyncConnection, org_id: str) -> list[tuple[bytes, bytes]]:
    """Content and hash of every document of an organisation, in order."""
    columns = billing_documents.c
    rows = await connection.execute(
        select(columns.content, columns.sha256).where(columns.org_id == org_id).order_by(columns.chain_no)
    )
    return [(row.content, row.sha256) for row in rows]


# ---------------------------------------------------------------- the customer's money with us


async def credit_balance(connection: AsyncConnection, org_id: str, currency: str) -> int:
    """Minor units; 0 if there never was any."""
    columns = credit_balances.c
    amount = await connection.scalar(
        select(columns.amount).where(columns.org_id == org_id, columns.currency == currency)
    )
    return amount or 0


async def change_balance(uow: UnitOfWork, org_id: str, currency: str, by: int) -> None:
    """Add to the balance of a locked account, or take from it.

    Raises:
        Refusal: BALANCE_TOO_LOW; nothing was changed.
    """
    if by == 0:
        return
    columns = credit_balances.c
    if by > 0:
        statement = insert_into(uow.connection, credit_balances).values(org_id=org_id, currency=currency, amount=by)
        await uow.connection.execute(
            statement.on_conflict_do_update(
                index_elements=["org_id", "currency"], set_={"amount": columns.amount + statement.excluded.amount}
            )
        )
        return
    taken = await uow.connection.execute(
        update(credit_balances)
        .where(columns.org_id == org_id, columns.currency == currency, columns.amount >= -by)
        .values(amount=columns.amount + by)
        .returning(columns.amount)
    )
    if taken.first() is None:
        raise balance_too_low()


def _new_prefix(randomness: Randomness) -> str:
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in randomness.token_bytes(_PREFIX_LENGTH))
