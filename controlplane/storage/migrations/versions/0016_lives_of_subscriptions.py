"""Subscriptions that are charged, changed, cancelled and come back."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TO_SUBSCRIPTION = (["org_id", "subscription_id"], ["subscriptions.org_id", "subscriptions.subscription_id"])


def upgrade() -> None:
    op.add_column("subscriptions", sa.Column("currency", sa.Text, nullable=False, server_default=""))
    for name, kind in (
        ("pending_plan_id", sa.Text),
        ("pending_catalog_version", sa.Integer),
        ("pending_term", sa.Text),
        ("pending_why", sa.Text),
        ("open_invoice_id", sa.Text),
        ("incomplete_until", sa.BigInteger),
        ("overdue_from", sa.BigInteger),
        ("cancelled_at", sa.BigInteger),
    ):
        op.add_column("subscriptions", sa.Column(name, kind))
    op.create_table(
        "subscription_steps",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("step", sa.Text, primary_key=True),
        sa.Column("done_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(*_TO_SUBSCRIPTION),
    )
    op.create_table(
        "quotes",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("quote_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("catalog_version", sa.Integer, nullable=False),
        sa.Column("term", sa.Text, nullable=False),
        sa.Column("draft", sa.Text),
        sa.Column("seen_sha256", sa.Text, nullable=False),
        sa.Column("effective_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
        sa.ForeignKeyConstraint(*_TO_SUBSCRIPTION),
    )
    op.create_table(
        "purchases",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("invoice_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("catalog_version", sa.Integer, nullable=False),
        sa.Column("term", sa.Text, nullable=False),
        sa.Column("old_plan_id", sa.Text, nullable=False),
        sa.Column("old_catalog_version", sa.Integer, nullable=False),
        sa.Column("period_start", sa.BigInteger, nullable=False),
        sa.Column("period_end", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("settled_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(*_TO_SUBSCRIPTION),
        sa.CheckConstraint("state IN ('waiting', 'done', 'dropped', 'undone')", name="state"),
    )
    op.create_index("ix_purchases_by_subscription", "purchases", ["org_id", "subscription_id", "settled_at"])
