"""What goes out, as bytes that never change: canonical JSON, and a hash over it and over the document before.

The bytes hold everything that is printed, with the facts behind every amount, and names as they were then. So the same
invoice prints the same in ten years, whatever became of the plan's name, its price or the customer's address; and
whoever has the hash of the last document can tell that none before it was changed, taken out or slipped in.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from controlplane.billing.calculation import calculation_from_json, calculation_to_json
from controlplane.billing.model import BilledPeriod, InvoiceDraft, Line, LineKind, LineRef, Occasion, Sold, SoldBy
from controlplane.billing.money import Money
from controlplane.storage.types import from_microseconds, to_microseconds

#: Hash before the first document of an organisation.
CHAIN_START: Final = bytes(32)
_DOMAIN: Final = b"buckler-billing-document-v1\0"


@dataclass(frozen=True, slots=True)
class Party:
    """Who sells or pays: a name and lines of an address, as printed."""

    name: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDocument:
    """A finalised invoice as it went out."""

    number: str
    invoice_id: str
    issued_at: datetime
    seller: Party
    bill_to: Party
    content: InvoiceDraft
    refund_policy: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNoteDocument:
    """A credit note as it went out.

    Attributes:
        amount: What is taken off, tax included; positive.
        tax: The tax in it.
        reason: A `model.CreditReason`.
        destination: A `model.CreditTo`: where the amount goes.
        note: One sentence for people.
    """

    number: str
    credit_note_id: str
    issued_at: datetime
    seller: Party
    bill_to: Party
    org_id: str
    invoice_id: str
    invoice_number: str
    amount: Money
    tax: Money
    reason: str
    destination: str
    note: str = field(default="")


Document = InvoiceDocument | CreditNoteDocument


def document_bytes(document: Document) -> bytes:
    """The canonical bytes: sorted keys, no spaces, UTF-8, whole numbers only."""
    body = _invoice_json(document) if isinstance(document, InvoiceDocument) else _credit_note_json(document)
    return _canonical(body).encode()


def read_document(stored: bytes) -> Document:
    """Back from what `document_bytes` made."""
    body = json.loads(stored)
    issued_at = from_microseconds(body["issued_at_us"])
    seller, bill_to = _party(body["seller"]), _party(body["bill_to"])
    if body["kind"] == "invoice":
        return InvoiceDocument(
            number=body["number"],
            invoice_id=body["invoice_id"],
            issued_at=issued_at,
            seller=seller,
            bill_to=bill_to,
            content=_draft(body["content"]),
            refund_policy=body["refund_policy"],
        )
    return CreditNoteDocument(
        number=body["number"],
        credit_note_id=body["credit_note_id"],
        issued_at=issued_at,
        seller=seller,
        bill_to=bill_to,
        org_id=body["org_id"],
        invoice_id=body["invoice_id"],
        invoice_number=body["invoice_number"],
        amount=Money(body["amount"], body["currency"]),
        tax=Money(body["tax"], body["currency"]),
        reason=body["reason"],
        destination=body["destination"],
        note=body["note"],
    )


def chained_sha256(previous: bytes, content: bytes) -> bytes:
    """Hash of a document and, through `previous`, of all before it."""
    return hashlib.sha256(_DOMAIN + previous + content).digest()


def first_break(chain: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The place, from 1, of the first document that is not what its hash says; None: all are.

    Args:
        chain: Content and stored hash of every document of an organisation, in order.
    """
    previous = CHAIN_START
    for place, (content, sha256) in enumerate(chain, start=1):
        if chained_sha256(previous, content) != sha256:
            return place
        previous = sha256
    return None


def draft_to_json(draft: InvoiceDraft) -> str:
    """A draft as the database keeps it."""
    return _canonical(_draft_json(draft))


def draft_from_json(stored: str) -> InvoiceDraft:
    """Back from what `draft_to_json` made."""
    return _draft(json.loads(stored))


# ---------------------------------------------------------------- to JSON


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _invoice_json(document: InvoiceDocument) -> dict[str, Any]:
    return {
        "kind": "invoice",
        "number": document.number,
        "invoice_id": document.invoice_id,
        "issued_at_us": to_microseconds(document.issued_at),
        "seller": _party_json(document.seller),
        "bill_to": _party_json(document.bill_to),
        "content": _draft_json(document.content),
        "refund_policy": document.refund_policy,
    }


def _credit_note_json(document: CreditNoteDocument) -> dict[str, Any]:
    return {
        "kind": "credit_note",
        "number": document.number,
        "credit_note_id": document.credit_note_id,
        "issued_at_us": to_microseconds(document.issued_at),
        "seller": _party_json(document.seller),
        "bill_to": _party_json(document.bill_to),
        "org_id": document.org_id,
        "invoice_id": document.invoice_id,
        "invoice_number": document.invoice_number,
        "currency": document.amount.currency,
        "amount": document.amount.minor,
        "tax": document.tax.minor,
        "reason": document.reason,
        "destination": document.destination,
        "note": document.note,
    }


def _draft_json(draft: InvoiceDraft) -> dict[str, Any]:
    return {
        "org_id": draft.org_id,
        "currency": draft.currency,
        "due_at_us": to_microseconds(draft.due_at),
        "sold_by": draft.sold_by.value,
        "lines": [_line_json(line) for line in draft.lines],
        # Follow from the lines; written down so that a reader of the bytes need not know how.
        "total": draft.total.minor,
        "tax": draft.tax.minor,
    }


def _line_json(line: Line) -> dict[str, Any]:
    body: dict[str, Any] = {
        "kind": line.kind.value,
        "description": line.description,
        "amount": line.amount,
        "calculation": calculation_to_json(line.calculation),
    }
    if line.period is not None:
        body["period"] = {
            "subscription_id": line.period.subscription_id,
            "start_us": to_microseconds(line.period.start),
            "end_us": to_microseconds(line.period.end),
        }
    if line.sold is not None:
        body["sold"] = {
            "plan_id": line.sold.plan_id,
            "plan_name": line.sold.plan_name,
            "catalog_version": line.sold.catalog_version,
            "term": line.sold.term,
            "occasion": line.sold.occasion.value,
        }
    if line.source is not None:
        body["source"] = {"invoice_id": line.source.invoice_id, "line_no": line.source.line_no}
    return body


def _party_json(party: Party) -> dict[str, Any]:
    return {"name": party.name, "lines": list(party.lines)}


# ---------------------------------------------------------------- from JSON


def _draft(body: Mapping[str, Any]) -> InvoiceDraft:
    return InvoiceDraft(
        org_id=body["org_id"],
        currency=body["currency"],
        lines=tuple(_line(line) for line in body["lines"]),
        due_at=from_microseconds(body["due_at_us"]),
        sold_by=SoldBy(body["sold_by"]),
    )


def _line(body: Mapping[str, Any]) -> Line:
    period, sold, source = body.get("period"), body.get("sold"), body.get("source")
    return Line(
        kind=LineKind(body["kind"]),
        description=body["description"],
        calculation=calculation_from_json(body["calculation"]),
        period=None
        if period is None
        else BilledPeriod(
            period["subscription_id"], from_microseconds(period["start_us"]), from_microseconds(period["end_us"])
        ),
        sold=None if sold is None else Sold(**{**sold, "occasion": Occasion(sold["occasion"])}),
        source=None if source is None else LineRef(**source),
    )


def _party(body: Mapping[str, Any]) -> Party:
    return Party(body["name"], tuple(body["lines"]))
