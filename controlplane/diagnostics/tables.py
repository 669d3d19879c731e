"""Bundles that devices sent, in sealed pieces."""

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

bundles = Table(
    "diagnostics_bundles",
    metadata,
    Column("org_id", Text, primary_key=True),
    # The command that asked for it.
    Column("command_id", Text, primary_key=True),
    Column("total_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("received_bytes", BigInteger, nullable=False),
    # Pieces that are here, numbered from 0; 0 after they were destroyed.
    Column("pieces", Integer, nullable=False),
    Column("received_at", Instant),
    # An unfinished one is destroyed too.
    Column("expires_at", Instant, nullable=False),
    Column("destroyed_at", Instant),
    ForeignKeyConstraint(["org_id", "command_id"], ["commands.org_id", "commands.command_id"]),
    Index("ix_diagnostics_bundles_expiring", "expires_at"),
    Index("ix_diagnostics_bundles_oldest", "org_id", "expires_at"),
)

pieces = Table(
    "diagnostics_pieces",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("command_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    # Where it begins in the bundle.
    Column("offset", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    ForeignKeyConstraint(["org_id", "command_id"], ["diagnostics_bundles.org_id", "diagnostics_bundles.command_id"]),
)
