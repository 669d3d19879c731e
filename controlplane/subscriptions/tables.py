"""Subscriptions and the periods they opened."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, ForeignKeyConstraint, Index, Integer, Table, Text

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
    # Empty: paid for elsewhere.
    Column("currency", Text, nullable=False, server_default=""),
    # Terms from the next period on; all NULL: the same.
    Column("pending_plan_id", Text),
    Column("pending_catalog_version", Integer),
    Column("pending_term", Text),
    Column("pending_why", Text),
    # Of the next period, not paid yet.
    Column("open_invoice_id", Text),
    Column("incomplete_until", Instant),
    Column("overdue_from", Instant),
    Column("cancelled_at", Instant),
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

_TO_SUBSCRIPTION = (["org_id", "subscription_id"], ["subscriptions.org_id", "subscriptions.subscription_id"])

#: What was done at its instant; see `lifecycle.timeline`. The primary key lets each happen once.
subscription_steps = Table(
    "subscription_steps",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    # e.g. renewal_notice@2027-03-02T09:00:00+00:00
    Column("step", Text, primary_key=True),
    Column("done_at", Instant, nullable=False),
    ForeignKeyConstraint(*_TO_SUBSCRIPTION),
)

#: What a change will cost, for as long as that holds; charged exactly or not at all.
quotes = Table(
    "quotes",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("quote_id", Text, primary_key=True),
    Column("subscription_id", Text, nullable=False),
    # upgrade, downgrade, renewal or return.
    Column("kind", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("catalog_version", Integer, nullable=False),
    Column("term", Text, nullable=False),
    # JSON of a `billing.model.InvoiceDraft`; NULL: it costs nothing now.
    Column("draft", Text),
    # Hash of the subscription that it was made for.
    Column("seen_sha256", Text, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    ForeignKeyConstraint(*_TO_SUBSCRIPTION),
    Index("ix_quotes_oldest", "org_id", "expires_at"),
)

#: What an invoice brings once it is paid: another plan, another period.
purchases = Table(
    "purchases",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("invoice_id", Text, primary_key=True),
    Column("subscription_id", Text, nullable=False),
    # upgrade, renewal or return.
    Column("kind", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("catalog_version", Integer, nullable=False),
    Column("term", Text, nullable=False),
    # What an upgrade replaced, to be undone.
    Column("old_plan_id", Text, nullable=False),
    Column("old_catalog_version", Integer, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),
    Column("state", Text, nullable=False),
    Column("settled_at", Instant, nullable=False),
    ForeignKeyConstraint(*_TO_SUBSCRIPTION),
    CheckConstraint("state IN ('waiting', 'done', 'dropped', 'undone')", name="state"),
    Index("ix_purchases_by_subscription", "org_id", "subscription_id", "settled_at"),
)

#: What was agreed to whenever a subscription began to renew by itself; see `consents`.
renewal_consents = Table(
    "renewal_consents",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("given_at", Instant, primary_key=True),
    Column("given_by", Text, nullable=False),
    # sold or turned_on.
    Column("occasion", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("catalog_version", Integer, nullable=False),
    # As a person reads it.
    Column("statement", Text, nullable=False),
    ForeignKeyConstraint(*_TO_SUBSCRIPTION),
)
