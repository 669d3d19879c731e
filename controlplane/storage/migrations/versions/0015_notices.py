"""Notices; charges that nobody asks for refer to the delivered notice of their amount."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0006"
branch_labels = None
depends_on = None

_ANNOUNCED = (
    "CASE WHEN automatic THEN announced_by IS NOT NULL"
    " AND announced_by LIKE '%/' || currency || '/' || CAST(amount AS TEXT) ELSE announced_by IS NULL END"
)


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("notice_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("occasion", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("mail_subject", sa.Text, nullable=False),
        sa.Column("mail_text", sa.Text, nullable=False),
        sa.Column("mail_html", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text),
        sa.Column("period_start", sa.BigInteger),
        sa.Column("currency", sa.Text),
        sa.Column("amount", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_error", sa.Text, nullable=False, server_default=""),
        sa.Column("queued_at", sa.BigInteger, nullable=False),
        sa.Column("delivered_at", sa.BigInteger),
        sa.UniqueConstraint("org_id", "occasion"),
        sa.CheckConstraint("state IN ('queued', 'delivered', 'failed')", name="state"),
        sa.CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name="delivered_when"),
        sa.CheckConstraint("(amount IS NULL) = (currency IS NULL)", name="amount_has_currency"),
        sa.CheckConstraint("(amount IS NULL) = (period_start IS NULL)", name="amount_has_period"),
    )
    op.create_index("ix_notices_newest", "notices", ["org_id", "queued_at", "notice_id"])
    op.create_index("ix_notices_by_period", "notices", ["org_id", "subscription_id", "period_start"])
    op.create_table(
        "charge_announcements",
        sa.Column("announcement", sa.Text, primary_key=True),
        sa.Column("delivered_at", sa.BigInteger, nullable=False),
    )
    # Until now nothing was charged by itself, so no row is in the way. In this form both databases take the
    # constraints along, and SQLite keeps those that the table has.
    op.execute(
        "ALTER TABLE payments ADD COLUMN announced_by TEXT"
        " CONSTRAINT fk_payments_announced_by_charge_announcements REFERENCES charge_announcements (announcement)"
        f" CONSTRAINT ck_payments_announced_if_automatic CHECK ({_ANNOUNCED})"
    )
