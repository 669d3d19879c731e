"""Diagnostics bundles that devices sent."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "diagnostics_bundles",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("command_id", sa.Text, primary_key=True),
        sa.Column("total_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("received_bytes", sa.BigInteger, nullable=False),
        sa.Column("pieces", sa.Integer, nullable=False),
        sa.Column("received_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("destroyed_at", sa.BigInteger),
        sa.ForeignKeyConstraint(["org_id", "command_id"], ["commands.org_id", "commands.command_id"]),
    )
    op.create_index("ix_diagnostics_bundles_expiring", "diagnostics_bundles", ["expires_at"])
    op.create_table(
        "diagnostics_pieces",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("command_id", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "command_id"], ["diagnostics_bundles.org_id", "diagnostics_bundles.command_id"]
        ),
    )
