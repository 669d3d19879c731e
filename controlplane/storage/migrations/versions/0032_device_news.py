"""For which devices there is news, so that servers may answer check-ins from memory."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "device_news",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("noted_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_device_news_noted_at", "device_news", ["noted_at"])
