"""What is on the paper, the same for every format: pure, from the document alone."""

from dataclasses import dataclass
from datetime import datetime

from controlplane.billing.invoices.document import CreditNoteDocument, Document, InvoiceDocument
from controlplane.billing.model import LineKind
from controlplane.billing.money import decimal_text

_KIND_NAMES = {
    LineKind.RECURRING: "Subscription",
    LineKind.PRORATION_CREDIT: "Unused time",
    LineKind.PRORATION_CHARGE: "Plan change",
    LineKind.TAX: "Tax",
    LineKind.DISCOUNT: "Discount",
    LineKind.RETAIL_KEY: "Bought elsewhere",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what, for when (may be empty), how much."""

    what: str
    period: str
    amount: str


@dataclass(frozen=True, slots=True)
class Printed:
    """A page.

    Attributes:
        title: `Invoice INV-…`.
        seller: Name and lines of an address.
        bill_to: Name and lines of an address.
        fields: Name and value, above the lines.
        rows: The lines.
        totals: Name and amount, below them.
        issued_at: For formats that carry a date of their own.
        footer: What a reader should know.
    """

    title: str
    seller: tuple[str, ...]
    bill_to: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    totals: tuple[tuple[str, str], ...]
    issued_at: datetime
    footer: str


def printed(document: Document, sha256: bytes) -> Printed:
    """Lay a document out.

    Args:
        document: As it went out.
        sha256: Its hash in the chain; printed, so that paper can be compared with the books.
    """
    if isinstance(document, InvoiceDocument):
        return _invoice(document, sha256)
    return _credit_note(document, sha256)


def _invoice(document: InvoiceDocument, sha256: bytes) -> Printed:
    content = document.content
    rows = tuple(
        Row(
            f"{_KIND_NAMES[line.kind]}: {line.description}",
            "" if line.period is None else f"{_day(line.period.start)} to {_day(line.period.end)}",
            decimal_text(line.amount, content.currency),
        )
        for line in content.lines
    )
    return Printed(
        title=f"Invoice {document.number}",
        seller=(document.seller.name, *document.seller.lines),
        bill_to=(document.bill_to.name, *document.bill_to.lines),
        fields=(
            ("Number", document.number),
            ("Issued", _day(document.issued_at)),
            ("Due", _day(content.due_at)),
            ("Currency", content.currency),
        ),
        rows=rows,
        totals=(
            ("Without tax", str(content.total - content.tax)),
            ("Tax", str(content.tax)),
            ("Total", str(content.total)),
        ),
        issued_at=document.issued_at,
        footer=f"How each amount comes about: bucklerctl invoice why {document.number}. SHA-256 {sha256.hex()}",
    )


def _credit_note(document: CreditNoteDocument, sha256: bytes) -> Printed:
    what = f"{document.reason.replace('_', ' ').capitalize()} on invoice {document.invoice_number}"
    return Printed(
        title=f"Credit note {document.number}",
        seller=(document.seller.name, *document.seller.lines),
        bill_to=(document.bill_to.name, *document.bill_to.lines),
        fields=(
            ("Number", document.number),
            ("Issued", _day(document.issued_at)),
            ("Corrects", document.invoice_number),
            ("Goes to", document.destination),
        ),
        rows=(
            Row(
                f"{what}: {document.note}" if document.note else what,
                "",
                decimal_text(document.amount.minor, document.amount.currency),
            ),
        ),
        totals=(
            ("Without tax", str(document.amount - document.tax)),
            ("Tax", str(document.tax)),
            ("Credited", str(document.amount)),
        ),
        issued_at=document.issued_at,
        footer=f"SHA-256 {sha256.hex()}",
    )


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
