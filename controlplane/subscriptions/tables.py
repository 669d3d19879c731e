"""Subscriptions and the periods they opened."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, ForeignKeyConstraint, Integer, Table, Text

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

#: The axes are stored; access is derived by `subscriptions.model.access_at` and stored nowhere.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("catalog_version", Integer, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("term", Text, nullable=False),
    Column("billing", Text, nullable=False),
    Column("renewal", Text, nullable=False),
    # Half-open: the period ends before `period_end`.
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),
    # Day of the month on which periods begin: 31 stays 31 after a February.
    Column("anchor_day", Integer, nullable=False),
    # Not NULL: the subscription is limited from then on, whatever is paid.
    Column("suspended_at", Instant),
    # Not NULL: ended for good (fraud, leaked key).
    Column("revoked_at", Instant),
    # Raised to void every entitlement issued before; see EntitlementClaims.revocation_epoch.
    Column("revocation_epoch", Integer, nullable=False, server_default="0"),
    Column("created_at", Instant, nullable=False),
    ForeignKeyConstraint(["catalog_version", "plan_id"], ["plans.catalog_version", "plans.plan_id"]),
    CheckConstraint("term IN ('monthly', 'yearly')", name="term"),
    CheckConstraint(
        "billing IN ('none', 'trialing', 'active', 'past_due', 'unpaid', 'disputed')",
        name="billing",
    ),
    CheckConstraint("renewal IN ('auto', 'off', 'change_scheduled')", name="renewal"),
    CheckConstraint("period_start < period_end", name="period"),
    CheckConstraint("anchor_day BETWEEN 1 AND 31", name="anchor_day"),
)

#: A term that was opened. The primary key makes opening the same period twice impossible.
subscription_periods = Table(
    "subscription_periods",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("period_start", Instant, primary_key=True),
    Column("period_end", Instant, nullable=False),
    # initial or renewal.
    Column("opened_as", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    ForeignKeyConstraint(
        ["org_id", "subscription_id"],
        ["subscriptions.org_id", "subscriptions.subscription_id"],
    ),
    CheckConstraint("period_start < period_end", name="period"),
    CheckConstraint("opened_as IN ('initial', 'renewal')", name="opened_as"),
)
