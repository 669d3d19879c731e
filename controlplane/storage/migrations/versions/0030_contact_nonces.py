"""What each device showed last, and which are held because two machines call as one."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "device_statuses", sa.Column("contact_depth", sa.BigInteger, nullable=False, server_default=sa.text("0"))
    )
    op.add_column("device_statuses", sa.Column("contact_name", sa.LargeBinary))
    op.add_column("device_statuses", sa.Column("cloned_at", sa.BigInteger))
