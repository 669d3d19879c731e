"""Organisations, people, their tokens, and the audit."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

organisations = Table(
    "organisations",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

#: Who can sign in. A person exists apart from organisations: an e-mail address signs in before any is known.
people = Table(
    "people",
    metadata,
    Column("user_id", Text, primary_key=True),
    # Normalised by `accounts.model.normalise_email`.
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("failed_sign_ins", Integer, nullable=False, server_default="0"),
    Column("locked_until", Instant),
    Column("created_at", Instant, nullable=False),
)

#: What a person is to an organisation; today to exactly one, which the unique constraint says.
members = Table(
    "members",
    metadata,
    Column("org_id", Text, ForeignKey("organisations.org_id"), primary_key=True),
    Column("user_id", Text, ForeignKey("people.user_id"), primary_key=True),
    Column("role", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("user_id"),
    CheckConstraint("role IN ('owner', 'admin', 'support', 'viewer')", name="role"),
)

#: Bearer tokens; only the hash of the secret part is stored.
api_tokens = Table(
    "api_tokens",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("token_id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    ForeignKeyConstraint(["org_id", "user_id"], ["members.org_id", "members.user_id"]),
    Index("ix_api_tokens_org_id_user_id", "org_id", "user_id"),
)

#: One row per change, written in the change's own transaction; never updated or deleted.
audit = Table(
    "audit",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("audit_id", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    # user:…, device:…, operator, anonymous or system.
    Column("actor", Text, nullable=False),
    # What was done, e.g. subscription.renewed.
    Column("action", Text, nullable=False),
    # Id of what it was done to.
    Column("subject", Text, nullable=False),
    # JSON object of strings; never a secret.
    Column("details", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Index("ix_audit_org_id_at", "org_id", "at"),
)
