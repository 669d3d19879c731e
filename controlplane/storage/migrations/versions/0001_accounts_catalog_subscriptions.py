"""Organisations, people, tokens, audit; catalogs; subscriptions; remembered answers, jobs, the sandbox clock."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _accounts()
    _catalog()
    _subscriptions()
    _runtime()


def _accounts() -> None:
    op.create_table(
        "organisations",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "people",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("email", sa.Text, nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("failed_sign_ins", sa.Integer, nullable=False, server_default="0"),
        sa.Column("locked_until", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "members",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("people.user_id"), primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("user_id"),
        sa.CheckConstraint("role IN ('owner', 'admin', 'support', 'viewer')", name="role"),
    )
    op.create_table(
        "api_tokens",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("token_id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.ForeignKeyConstraint(["org_id", "user_id"], ["members.org_id", "members.user_id"]),
        sa.Index("ix_api_tokens_org_id_user_id", "org_id", "user_id"),
    )
    op.create_table(
        "audit",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("audit_id", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Index("ix_audit_org_id_at", "org_id", "at"),
    )


def _catalog() -> None:
    op.create_table(
        "catalog_versions",
        sa.Column("catalog_version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content_sha256", sa.Text, nullable=False),
        sa.Column("applied_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "plans",
        sa.Column(
            "catalog_version",
            sa.Integer,
            sa.ForeignKey("catalog_versions.catalog_version"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("plan_id", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )


def _subscriptions() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("org_id", sa.Text, sa.ForeignKey("organisations.org_id"), primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("catalog_version", sa.Integer, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("term", sa.Text, nullable=False),
        sa.Column("billing", sa.Text, nullable=False),
        sa.Column("renewal", sa.Text, nullable=False),
        sa.Column("period_start", sa.BigInteger, nullable=False),
        sa.Column("period_end", sa.BigInteger, nullable=False),
        sa.Column("anchor_day", sa.Integer, nullable=False),
        sa.Column("suspended_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("revocation_epoch", sa.Integer, nullable=False, server_default="0"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["catalog_version", "plan_id"], ["plans.catalog_version", "plans.plan_id"]),
        sa.CheckConstraint("term IN ('monthly', 'yearly')", name="term"),
        sa.CheckConstraint(
            "billing IN ('none', 'trialing', 'active', 'past_due', 'unpaid', 'disputed')",
            name="billing",
        ),
        sa.CheckConstraint("renewal IN ('auto', 'off', 'change_scheduled')", name="renewal"),
        sa.CheckConstraint("period_start < period_end", name="period"),
        sa.CheckConstraint("anchor_day BETWEEN 1 AND 31", name="anchor_day"),
    )
    op.create_table(
        "subscription_periods",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("period_start", sa.BigInteger, primary_key=True),
        sa.Column("period_end", sa.BigInteger, nullable=False),
        sa.Column("opened_as", sa.Text, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "subscription_id"],
            ["subscriptions.org_id", "subscriptions.subscription_id"],
        ),
        sa.CheckConstraint("period_start < period_end", name="period"),
        sa.CheckConstraint("opened_as IN ('initial', 'renewal')", name="opened_as"),
    )


def _runtime() -> None:
    op.create_table(
        "idempotent_requests",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("caller", sa.Text, primary_key=True),
        sa.Column("method", sa.Text, primary_key=True),
        sa.Column("idempotency_key", sa.Text, primary_key=True),
        sa.Column("request_sha256", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("every_us", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("claimed_until", sa.BigInteger),
        sa.Column("claimed_by", sa.Text),
        sa.Column("last_error", sa.Text),
        sa.Column("last_run_at", sa.BigInteger),
        sa.Index("ix_jobs_due_at", "due_at"),
    )
    op.create_table(
        "sandbox_clock",
        sa.Column("only_row", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("offset_us", sa.BigInteger, nullable=False),
        sa.CheckConstraint("only_row = 1", name="only_row"),
        sa.CheckConstraint("offset_us >= 0", name="forward"),
    )
