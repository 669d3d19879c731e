"""Commands to devices, and campaigns of them."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("campaign_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("requester", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("per_turn", sa.Integer, nullable=False),
        sa.Column("stop_after", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
    )
    op.create_index("ix_campaigns_newest", "campaigns", ["org_id", "requested_at", "campaign_id"])
    _commands()


def _commands() -> None:
    op.create_table(
        "commands",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("command_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("requester", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("released_at", sa.BigInteger),
        sa.Column("delivered_at", sa.BigInteger),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("cancel_requested_at", sa.BigInteger),
        sa.Column("ends_at", sa.BigInteger),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("campaign_id", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
    )
    op.create_index("ix_commands_newest", "commands", ["org_id", "requested_at", "command_id"])
    op.create_index("ix_commands_by_device", "commands", ["org_id", "device_id", "requested_at", "command_id"])
    op.create_index("ix_commands_by_campaign", "commands", ["org_id", "campaign_id", "state"])
    is_open = sa.text("ends_at IS NOT NULL")
    for name, columns in (("ix_commands_open", ["org_id", "device_id"]), ("ix_commands_ending", ["ends_at"])):
        op.create_index(name, "commands", columns, sqlite_where=is_open, postgresql_where=is_open)
