"""Published download tables. They belong to no tenant: every organisation installs the same builds."""

from sqlalchemy import Column, Integer, Table, Text

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

download_tables = Table(
    "download_tables",
    metadata,
    Column("table_version", Integer, primary_key=True, autoincrement=False),
    # SHA-256, hex, of the document: tells a repeat from a change.
    Column("content_sha256", Text, nullable=False),
    # Canonical JSON of `downloads.model.DownloadTable`.
    Column("document", Text, nullable=False),
    Column("applied_at", Instant, nullable=False),
)
