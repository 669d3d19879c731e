"""Jobs that give up visibly."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("moved", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("parked_at", sa.BigInteger))
    op.add_column("jobs", sa.Column("last_error_sentence", sa.Text))
