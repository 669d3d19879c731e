"""What became of detections that people had devices do something about."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "detection_outcomes",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("uuid", sa.LargeBinary, primary_key=True),
        sa.Column("command_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("quarantine_id", sa.Text, nullable=False),
        sa.Index("ix_detection_outcomes_oldest", "org_id", "at"),
    )
