"""Imported rule packs. They belong to no tenant: the operator decides what devices scan with."""

from sqlalchemy import Column, LargeBinary, Table, Text

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

rule_packs = Table(
    "rule_packs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("licence", Text, nullable=False),
    Column("licence_text", Text, nullable=False),
    Column("attribution", Text, nullable=False),
    Column("source", Text, nullable=False),
    # Zip archive of the rule files: public rule sets have megabytes of text that packs well.
    Column("files", LargeBinary, nullable=False),
    # JSON of `model.CompileReport` and `model.CleanReport`.
    Column("compile_report", Text, nullable=False),
    Column("clean_report", Text, nullable=False),
    Column("first_imported_at", Instant, nullable=False),
    Column("imported_at", Instant, nullable=False),
)
