"""Invoices, payments, refunds and the books; triggers that keep what went out as it went out."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0002"
branch_labels = None
depends_on = None

_TO_INVOICE = (["org_id", "invoice_id"], ["invoices.org_id", "invoices.invoice_id"])
#: Tables that only ever grow.
_APPEND_ONLY = ("billing_documents", "invoice_lines", "line_credits", "credit_notes", "journal")
#: What a finalised invoice says; the other columns tell how much of it is settled.
_FROZEN = ("currency", "content", "total", "tax", "created_at", "number", "finalised_at", "refund_policy")


def upgrade() -> None:
    _billing_accounts()
    _credit_balances()
    _invoices()
    _invoice_lines()
    _billed_periods()
    _line_credits()
    _credit_notes()
    _billing_documents()
    _provider_customers()
    _payment_methods()
    _payments()
    _refunds()
    _provider_events()
    _journal()
    if op.get_bind().dialect.name == "postgresql":
        _guards_of_postgresql()
    else:
        _guards_of_sqlite()


def _billing_accounts() -> None:
    op.create_table(
        "billing_accounts",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("number_prefix", sa.Text, nullable=False, unique=True),
        sa.Column("invoices", sa.Integer, nullable=False, server_default="0"),
        sa.Column("credit_notes", sa.Integer, nullable=False, server_default="0"),
        sa.Column("documents", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_sha256", sa.LargeBinary, nullable=False),
        sa.Column("country", sa.Text, nullable=False, server_default=""),
        sa.Column("time_zone", sa.Text, nullable=False, server_default="UTC"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )


def _credit_balances() -> None:
    op.create_table(
        "credit_balances",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("currency", sa.Text, primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount >= 0", name="not_negative"),
    )


def _invoices() -> None:
    op.create_table(
        "invoices",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("invoice_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("tax", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Text),
        sa.Column("finalised_at", sa.BigInteger),
        sa.Column("refund_policy", sa.Integer),
        sa.Column("paid", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("from_balance", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("forgiven", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("returned", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.UniqueConstraint("org_id", "number"),
        sa.CheckConstraint("state IN ('draft', 'finalised', 'paid', 'void', 'uncollectible')", name="state"),
        sa.CheckConstraint("(state = 'draft') = (number IS NULL)", name="numbered_when_final"),
        sa.CheckConstraint("total >= 0", name="total_not_negative"),
        sa.CheckConstraint("paid >= 0 AND forgiven >= 0 AND returned >= 0", name="settled_forward"),
        sa.CheckConstraint("paid + forgiven <= total", name="settled_once"),
        sa.CheckConstraint("returned <= paid", name="returned_at_most_paid"),
        sa.CheckConstraint("from_balance BETWEEN 0 AND paid", name="balance_is_part_of_paid"),
        sa.CheckConstraint("state <> 'paid' OR paid + forgiven = total", name="paid_means_settled"),
        sa.Index("ix_invoices_newest", "org_id", "created_at", "invoice_id"),
    )


def _invoice_lines() -> None:
    op.create_table(
        "invoice_lines",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("invoice_id", sa.Text, primary_key=True),
        sa.Column("line_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("subscription_id", sa.Text),
        sa.Column("period_start", sa.BigInteger),
        sa.Column("period_end", sa.BigInteger),
        sa.ForeignKeyConstraint(*_TO_INVOICE),
        sa.Index("ix_invoice_lines_by_period", "org_id", "subscription_id", "period_end"),
    )


def _billed_periods() -> None:
    op.create_table(
        "billed_periods",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("period_start", sa.BigInteger, primary_key=True),
        sa.Column("invoice_id", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(*_TO_INVOICE),
    )


def _line_credits() -> None:
    op.create_table(
        "line_credits",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("invoice_id", sa.Text, primary_key=True),
        sa.Column("line_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("document_id", sa.Text, primary_key=True),
        sa.Column("document_line_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("gross", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(*_TO_INVOICE),
        sa.CheckConstraint("amount > 0", name="positive"),
    )


def _credit_notes() -> None:
    op.create_table(
        "credit_notes",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("credit_note_id", sa.Text, primary_key=True),
        sa.Column("invoice_id", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("tax", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("org_id", "number"),
        sa.ForeignKeyConstraint(*_TO_INVOICE),
        sa.CheckConstraint("amount > 0", name="positive"),
        sa.CheckConstraint("destination IN ('invoice', 'balance', 'refund')", name="destination"),
        sa.Index("ix_credit_notes_by_invoice", "org_id", "invoice_id"),
    )


def _billing_documents() -> None:
    op.create_table(
        "billing_documents",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("chain_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("document_id", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("org_id", "document_id"),
        sa.UniqueConstraint("org_id", "number"),
    )


def _provider_customers() -> None:
    op.create_table(
        "provider_customers",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("customer", sa.Text, nullable=False),
    )


def _payment_methods() -> None:
    op.create_table(
        "payment_methods",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("method_id", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("brand", sa.Text, nullable=False),
        sa.Column("last4", sa.Text, nullable=False),
        sa.Column("expires_year", sa.Integer),
        sa.Column("expires_month", sa.Integer),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.BigInteger),
        sa.UniqueConstraint("provider", "token"),
        sa.CheckConstraint("(expires_year IS NULL) = (expires_month IS NULL)", name="expiry_whole"),
        sa.Index(
            "uq_payment_methods_one_default",
            "org_id",
            unique=True,
            sqlite_where=sa.text("is_default AND removed_at IS NULL"),
            postgresql_where=sa.text("is_default AND removed_at IS NULL"),
        ),
    )


def _payments() -> None:
    op.create_table(
        "payments",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("payment_id", sa.Text, primary_key=True),
        sa.Column("invoice_id", sa.Text, nullable=False),
        sa.Column("attempt_no", sa.Integer, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("method_id", sa.Text, nullable=False),
        sa.Column("automatic", sa.Boolean, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("provider_payment_id", sa.Text),
        sa.Column("failure_kind", sa.Text, nullable=False, server_default=""),
        sa.Column("failure_code", sa.Text, nullable=False, server_default=""),
        sa.Column("action_url", sa.Text, nullable=False, server_default=""),
        sa.Column("applied", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("refunded", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("org_id", "invoice_id", "attempt_no"),
        sa.ForeignKeyConstraint(*_TO_INVOICE),
        sa.CheckConstraint("amount > 0", name="positive"),
        sa.CheckConstraint(
            "state IN ('init', 'pending', 'action_needed', 'unknown', 'captured', 'failed')", name="state"
        ),
        sa.CheckConstraint("failure_kind IN ('', 'soft', 'hard', 'action_needed', 'unknown')", name="failure_kind"),
        sa.CheckConstraint("applied BETWEEN 0 AND amount", name="applied_at_most_captured"),
        sa.CheckConstraint("refunded BETWEEN 0 AND amount", name="refunded_at_most_captured"),
        sa.Index("ix_payments_newest", "org_id", "created_at", "payment_id"),
        sa.Index(
            "uq_payments_one_in_flight",
            "org_id",
            "invoice_id",
            unique=True,
            sqlite_where=sa.text("state IN ('init', 'pending', 'action_needed', 'unknown')"),
            postgresql_where=sa.text("state IN ('init', 'pending', 'action_needed', 'unknown')"),
        ),
        sa.Index(
            "uq_payments_provider_payment_id",
            "provider",
            "provider_payment_id",
            unique=True,
            sqlite_where=sa.text("provider_payment_id IS NOT NULL"),
            postgresql_where=sa.text("provider_payment_id IS NOT NULL"),
        ),
    )


def _refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("refund_id", sa.Text, primary_key=True),
        sa.Column("invoice_id", sa.Text, nullable=False),
        sa.Column("payment_id", sa.Text, nullable=False),
        sa.Column("credit_note_id", sa.Text),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("provider_refund_id", sa.Text),
        sa.Column("failure_code", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["org_id", "payment_id"], ["payments.org_id", "payments.payment_id"]),
        sa.CheckConstraint("amount > 0", name="positive"),
        sa.CheckConstraint("state IN ('approved', 'submitted', 'succeeded', 'failed')", name="state"),
        sa.Index("ix_refunds_newest", "org_id", "created_at", "refund_id"),
    )


def _provider_events() -> None:
    op.create_table(
        "provider_events",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("received_at", sa.BigInteger, nullable=False),
    )


def _journal() -> None:
    op.create_table(
        "journal",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("line_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("debit", sa.Text, nullable=False),
        sa.Column("credit", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount > 0", name="positive"),
        sa.CheckConstraint("debit <> credit", name="moves"),
    )


def _guards_of_sqlite() -> None:
    for table in _APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} only ever grows'); END"
            )
    changed = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in _FROZEN)
    op.execute(
        "CREATE TRIGGER invoices_frozen BEFORE UPDATE ON invoices "
        f"WHEN OLD.number IS NOT NULL AND ({changed}) "
        "BEGIN SELECT RAISE(ABORT, 'a finalised invoice does not change'); END"
    )
    op.execute(
        "CREATE TRIGGER invoices_kept BEFORE DELETE ON invoices WHEN OLD.number IS NOT NULL "
        "BEGIN SELECT RAISE(ABORT, 'a finalised invoice does not change'); END"
    )


def _guards_of_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION billing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% keeps what is in it', TG_TABLE_NAME; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION billing_refuse_change()"
        )
    changed = " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in _FROZEN)
    op.execute(
        "CREATE TRIGGER invoices_frozen BEFORE UPDATE ON invoices FOR EACH ROW "
        f"WHEN (OLD.number IS NOT NULL AND ({changed})) EXECUTE FUNCTION billing_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER invoices_kept BEFORE DELETE ON invoices FOR EACH ROW "
        "WHEN (OLD.number IS NOT NULL) EXECUTE FUNCTION billing_refuse_change()"
    )
