"""Invoices, payments, refunds and the books.

What must never happen twice is a constraint here, not a look before the leap: a period invoiced twice, two payments of
an invoice in flight, a provider's charge counted twice, more given back than was paid. What must never change has a
trigger (revision 0010): documents, lines, credit notes and the journal take neither UPDATE nor DELETE, and of a
finalised invoice only what is settled may change.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

_TO_INVOICE = (["org_id", "invoice_id"], ["invoices.org_id", "invoices.invoice_id"])
_IN_FLIGHT = text("state IN ('init', 'pending', 'action_needed', 'unknown')")
_NAMED_BY_PROVIDER = text("provider_payment_id IS NOT NULL")

#: One row per organisation: locked first by whatever changes its money, so that numbers have no gaps and documents form
#: one chain.
billing_accounts = Table(
    "billing_accounts",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    # Begins every number of this organisation, e.g. K7QX3M.
    Column("number_prefix", Text, nullable=False, unique=True),
    Column("invoices", Integer, nullable=False, server_default="0"),
    Column("credit_notes", Integer, nullable=False, server_default="0"),
    # Length and last hash of the chain of documents.
    Column("documents", Integer, nullable=False, server_default="0"),
    Column("last_sha256", LargeBinary, nullable=False),
    # ISO 3166, e.g. GB; empty: not known. Decides which refund rules apply.
    Column("country", Text, nullable=False, server_default=""),
    # IANA name; the last day of a refund ends there.
    Column("time_zone", Text, nullable=False, server_default="UTC"),
    Column("created_at", Instant, nullable=False),
)

#: Money an organisation has with us, used up by its next invoices; equals its side of the journal.
credit_balances = Table(
    "credit_balances",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    CheckConstraint("amount >= 0", name="not_negative"),
)

invoices = Table(
    "invoices",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    Column("invoice_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    # JSON of `model.InvoiceDraft`; frozen with the rest once there is a number.
    Column("content", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    # NULL while it is a draft.
    Column("number", Text),
    Column("finalised_at", Instant),
    # Version of the refund policy at that moment: later ones may only be kinder.
    Column("refund_policy", Integer),
    # Settlement, in minor units; see `model.Settlement`.
    Column("paid", BigInteger, nullable=False, server_default="0"),
    Column("from_balance", BigInteger, nullable=False, server_default="0"),
    Column("forgiven", BigInteger, nullable=False, server_default="0"),
    Column("returned", BigInteger, nullable=False, server_default="0"),
    # Attempts to collect it so far; numbers the payments.
    Column("attempts", Integer, nullable=False, server_default="0"),
    UniqueConstraint("org_id", "number"),
    CheckConstraint("state IN ('draft', 'finalised', 'paid', 'void', 'uncollectible')", name="state"),
    CheckConstraint("(state = 'draft') = (number IS NULL)", name="numbered_when_final"),
    CheckConstraint("total >= 0", name="total_not_negative"),
    CheckConstraint("paid >= 0 AND forgiven >= 0 AND returned >= 0", name="settled_forward"),
    CheckConstraint("paid + forgiven <= total", name="settled_once"),
    CheckConstraint("returned <= paid", name="returned_at_most_paid"),
    CheckConstraint("from_balance BETWEEN 0 AND paid", name="balance_is_part_of_paid"),
    CheckConstraint("state <> 'paid' OR paid + forgiven = total", name="paid_means_settled"),
    Index("ix_invoices_newest", "org_id", "created_at", "invoice_id"),
)

#: Lines of finalised invoices, as far as questions are asked about them; their facts are in the content.
invoice_lines = Table(
    "invoice_lines",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("invoice_id", Text, primary_key=True),
    Column("line_no", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("subscription_id", Text),
    Column("period_start", Instant),
    Column("period_end", Instant),
    ForeignKeyConstraint(*_TO_INVOICE),
    Index("ix_invoice_lines_by_period", "org_id", "subscription_id", "period_end"),
)

#: Which invoice charges a period. The primary key makes charging it twice impossible; void invoices give it back.
billed_periods = Table(
    "billed_periods",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("period_start", Instant, primary_key=True),
    Column("invoice_id", Text, nullable=False),
    ForeignKeyConstraint(*_TO_INVOICE),
)

#: What later documents gave back of a line.
line_credits = Table(
    "line_credits",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("invoice_id", Text, primary_key=True),
    Column("line_no", Integer, primary_key=True, autoincrement=False),
    # The invoice or credit note that gave it back, and its line there.
    Column("document_id", Text, primary_key=True),
    Column("document_line_no", Integer, primary_key=True, autoincrement=False),
    # Without tax, as the line says.
    Column("amount", BigInteger, nullable=False),
    # With the tax that the line's invoice has on it: what counts there as returned.
    Column("gross", BigInteger, nullable=False),
    ForeignKeyConstraint(*_TO_INVOICE),
    CheckConstraint("amount > 0", name="positive"),
)

credit_notes = Table(
    "credit_notes",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("credit_note_id", Text, primary_key=True),
    Column("invoice_id", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # Where the amount goes: invoice, balance or refund.
    Column("destination", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("org_id", "number"),
    ForeignKeyConstraint(*_TO_INVOICE),
    CheckConstraint("amount > 0", name="positive"),
    CheckConstraint("destination IN ('invoice', 'balance', 'refund')", name="destination"),
    Index("ix_credit_notes_by_invoice", "org_id", "invoice_id"),
)

#: Canonical bytes of everything that went out, each hash over the one before; see `document.py`.
billing_documents = Table(
    "billing_documents",
    metadata,
    Column("org_id", Text, primary_key=True),
    # 1, 2, 3, …: its place in the organisation's chain.
    Column("chain_no", Integer, primary_key=True, autoincrement=False),
    # An invoice's or a credit note's id.
    Column("document_id", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    UniqueConstraint("org_id", "document_id"),
    UniqueConstraint("org_id", "number"),
)

#: What a provider calls an organisation.
provider_customers = Table(
    "provider_customers",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("customer", Text, nullable=False),
)

#: Ways to pay that the provider keeps; here are its token and what a person recognises it by, never a card number.
payment_methods = Table(
    "payment_methods",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    Column("method_id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("brand", Text, nullable=False),
    Column("last4", Text, nullable=False),
    # NULL: it does not expire.
    Column("expires_year", Integer),
    Column("expires_month", Integer),
    Column("is_default", Boolean, nullable=False),
    Column("added_at", Instant, nullable=False),
    # Not NULL: it is charged no more; the row stays for the payments that name it.
    Column("removed_at", Instant),
    UniqueConstraint("provider", "token"),
    CheckConstraint("(expires_year IS NULL) = (expires_month IS NULL)", name="expiry_whole"),
    Index(
        "uq_payment_methods_one_default",
        "org_id",
        unique=True,
        sqlite_where=text("is_default AND removed_at IS NULL"),
        postgresql_where=text("is_default AND removed_at IS NULL"),
    ),
)

#: Delivered notices that charges refer to. The key ends in currency and amount, which `payments` compares with its own.
charge_announcements = Table(
    "charge_announcements",
    metadata,
    Column("announcement", Text, primary_key=True),
    Column("delivered_at", Instant, nullable=False),
)

payments = Table(
    "payments",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("payment_id", Text, primary_key=True),
    Column("invoice_id", Text, nullable=False),
    Column("attempt_no", Integer, nullable=False),
    Column("provider", Text, nullable=False),
    # Empty: nothing that is stored, e.g. a bank transfer.
    Column("method_id", Text, nullable=False),
    Column("automatic", Boolean, nullable=False),
    # The delivered notice of exactly this amount: without one nothing is charged by itself.
    Column("announced_by", Text, ForeignKey("charge_announcements.announcement")),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    # The provider's idempotency key, stored before the call.
    Column("idempotency_key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("provider_payment_id", Text),
    Column("failure_kind", Text, nullable=False, server_default=""),
    Column("failure_code", Text, nullable=False, server_default=""),
    Column("action_url", Text, nullable=False, server_default=""),
    Column("applied", BigInteger, nullable=False, server_default="0"),
    Column("refunded", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("org_id", "invoice_id", "attempt_no"),
    ForeignKeyConstraint(*_TO_INVOICE),
    CheckConstraint(
        "CASE WHEN automatic THEN announced_by IS NOT NULL"
        " AND announced_by LIKE '%/' || currency || '/' || CAST(amount AS TEXT) ELSE announced_by IS NULL END",
        name="announced_if_automatic",
    ),
    CheckConstraint("amount > 0", name="positive"),
    CheckConstraint("state IN ('init', 'pending', 'action_needed', 'unknown', 'captured', 'failed')", name="state"),
    CheckConstraint("failure_kind IN ('', 'soft', 'hard', 'action_needed', 'unknown')", name="failure_kind"),
    CheckConstraint("applied BETWEEN 0 AND amount", name="applied_at_most_captured"),
    CheckConstraint("refunded BETWEEN 0 AND amount", name="refunded_at_most_captured"),
    Index(
        "uq_payments_one_in_flight",
        "org_id",
        "invoice_id",
        unique=True,
        sqlite_where=_IN_FLIGHT,
        postgresql_where=_IN_FLIGHT,
    ),
    Index(
        "uq_payments_provider_payment_id",
        "provider",
        "provider_payment_id",
        unique=True,
        sqlite_where=_NAMED_BY_PROVIDER,
        postgresql_where=_NAMED_BY_PROVIDER,
    ),
    Index("ix_payments_newest", "org_id", "created_at", "payment_id"),
)

refunds = Table(
    "refunds",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("refund_id", Text, primary_key=True),
    Column("invoice_id", Text, nullable=False),
    Column("payment_id", Text, nullable=False),
    # NULL: a capture that was too much goes back; nothing on the invoice had to be corrected.
    Column("credit_note_id", Text),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("provider_refund_id", Text),
    Column("failure_code", Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    ForeignKeyConstraint(["org_id", "payment_id"], ["payments.org_id", "payments.payment_id"]),
    CheckConstraint("amount > 0", name="positive"),
    CheckConstraint("state IN ('approved', 'submitted', 'succeeded', 'failed')", name="state"),
    Index("ix_refunds_newest", "org_id", "created_at", "refund_id"),
)

#: Webhooks that were taken. They come before anybody knows whose they are, so they belong to no tenant.
provider_events = Table(
    "provider_events",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("received_at", Instant, nullable=False),
    Index("ix_provider_events_oldest", "received_at"),
)

#: The books. Every row moves an amount from one account to another, so books that do not balance cannot be written.
journal = Table(
    "journal",
    metadata,
    Column("org_id", Text, primary_key=True),
    # What happened, to what: the same thing is booked once.
    Column("event", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("line_no", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("currency", Text, nullable=False),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    CheckConstraint("amount > 0", name="positive"),
    CheckConstraint("debit <> credit", name="moves"),
)
