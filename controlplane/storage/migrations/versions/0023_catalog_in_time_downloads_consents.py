"""Catalogs come on sale at an instant of their own; what to install where; who agreed to renewals."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("catalog_versions", sa.Column("valid_from", sa.BigInteger, nullable=False, server_default="0"))
    # Every version that is there was on sale as soon as it was applied.
    op.execute("UPDATE catalog_versions SET valid_from = applied_at")
    op.create_table(
        "download_tables",
        sa.Column("table_version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content_sha256", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("applied_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "renewal_consents",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("given_at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("given_by", sa.Text, nullable=False),
        sa.Column("occasion", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("catalog_version", sa.Integer, nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "subscription_id"], ["subscriptions.org_id", "subscriptions.subscription_id"]
        ),
    )
