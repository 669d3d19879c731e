"""How devices count in the summary of their fleet, and the counters.

Devices that are there already begin as never seen or without fault, and are due at once: the server judges them anew
within minutes, and says until then how many are left.
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0026"
branch_labels = None
depends_on = None

DEVICES_IN_USE = (
    """
    INSERT INTO device_standings (org_id, device_id, name, subscription_id, condition, changes_at)
    SELECT d.org_id, d.device_id, d.name,
           COALESCE((SELECT s.subscription_id FROM seats s WHERE s.org_id = d.org_id AND s.device_id = d.device_id
                     ORDER BY s.held_since DESC, s.subscription_id DESC LIMIT 1), ''),
           CASE WHEN t.device_id IS NULL THEN 'NEVER_SEEN' ELSE '' END,
           CASE WHEN t.device_id IS NULL THEN NULL ELSE 0 END
    FROM devices d LEFT JOIN device_statuses t ON t.org_id = d.org_id AND t.device_id = d.device_id
    WHERE d.deactivated_at IS NULL AND d.revoked_at IS NULL
    """,
    """
    INSERT INTO fleet_counts (org_id, subscription_id, condition, devices)
    SELECT org_id, subscription_id, condition, count(*) FROM device_standings
    GROUP BY org_id, subscription_id, condition
    """,
)


def upgrade() -> None:
    _tables()
    for statement in DEVICES_IN_USE:
        op.execute(statement)


def _tables() -> None:
    op.create_table(
        "device_standings",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("device_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("condition", sa.Text, nullable=False),
        sa.Column("changes_at", sa.BigInteger),
        sa.ForeignKeyConstraint(["org_id", "device_id"], ["devices.org_id", "devices.device_id"]),
        sa.Index("ix_device_standings_listed", "org_id", "subscription_id", "condition", "name", "device_id"),
        sa.Index("ix_device_standings_due", "org_id", "changes_at"),
        sa.Index("ix_device_standings_due_anywhere", "changes_at"),
    )
    op.create_table(
        "fleet_counts",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("condition", sa.Text, primary_key=True),
        sa.Column("devices", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "fleet_changes",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("change_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("condition", sa.Text, nullable=False),
        sa.Column("devices", sa.BigInteger, nullable=False),
    )
