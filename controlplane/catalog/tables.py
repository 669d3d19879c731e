"""Published catalogs. They belong to no tenant: every organisation buys from the same one."""

from sqlalchemy import Column, ForeignKey, Integer, Table, Text

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

catalog_versions = Table(
    "catalog_versions",
    metadata,
    Column("catalog_version", Integer, primary_key=True, autoincrement=False),
    # SHA-256, hex, of the canonical JSON of all its plans: tells a repeat from a change.
    Column("content_sha256", Text, nullable=False),
    Column("applied_at", Instant, nullable=False),
    # First instant at which it is on sale.
    Column("valid_from", Instant, nullable=False, server_default="0"),
)

#: Subscriptions refer to these rows, so a version in use can be neither replaced nor deleted.
plans = Table(
    "plans",
    metadata,
    Column(
        "catalog_version",
        Integer,
        ForeignKey("catalog_versions.catalog_version"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("plan_id", Text, primary_key=True),
    # Canonical JSON of `catalog.model.Plan`.
    Column("document", Text, nullable=False),
)
