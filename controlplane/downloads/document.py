"""Reads download tables from what operators write (TOML) and from what the database keeps (JSON)."""

import hashlib
import json
from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from controlplane.catalog.model import Os
from controlplane.downloads.errors import downloads_invalid
from controlplane.downloads.model import Artifact, DownloadTable, Libc, StoreLink, known_architecture
from controlplane.runtime.toml_document import StrictDocument, read_toml

_Version = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9}){0,5}$")]
_Needs = Annotated[str, Field(pattern=r"^([0-9]{1,9}(\.[0-9]{1,9}){0,5})?$")]
_Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,31}$")]
_Url = Annotated[str, Field(pattern=r"^https://[^\s\x00-\x1f\"<>\\]{4,2000}$")]


class _ArtifactDocument(StrictDocument):
    os: Literal["linux", "macos", "windows"]
    architecture: _Word
    libc: Literal["glibc", "musl"] | None = None
    version: _Version
    format: _Word
    needs: _Needs = ""
    url: _Url
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Field(ge=1, le=2**40)]

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if known_architecture(self.architecture) != self.architecture:
            raise ValueError(f"architecture: write {known_architecture(self.architecture)}")
        if self.libc is not None and self.os != "linux":
            raise ValueError("libc: only builds for linux have one")
        return self


class _StoreDocument(StrictDocument):
    os: Literal["android", "ios"]
    needs: _Needs = ""
    url: _Url


class _TableDocument(StrictDocument):
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    artifacts: Annotated[list[_ArtifactDocument], Field(default_factory=list, max_length=1000)]
    stores: Annotated[list[_StoreDocument], Field(default_factory=list, max_length=2)]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if not self.artifacts and not self.stores:
            raise ValueError("artifacts: there is nothing to download")
        keys = [(each.os, each.architecture, each.libc, each.version, each.format) for each in self.artifacts]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"artifacts: {' '.join(part for part in twice if part)} is there twice")
        if len({store.os for store in self.stores}) < len(self.stores):
            raise ValueError("stores: each system has one")
        return self


def read_downloads(untrusted_toml: bytes) -> DownloadTable:
    """Read and check a table as operators write it.

    Raises:
        Refusal: DOWNLOADS_INVALID, naming the key and what is wrong with it.
    """
    return _table(read_toml(untrusted_toml, _TableDocument, downloads_invalid))


def table_json(table: DownloadTable) -> str:
    """Canonical JSON, as the database keeps it; without the version, which is a column."""
    content = {
        "artifacts": [_row(each) for each in table.artifacts],
        "stores": [_row(each) for each in table.stores],
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def table_from_json(document: str, version: int) -> DownloadTable:
    """A table as it was published; the database holds only what `table_json` wrote."""
    return _table(_TableDocument.model_validate({"version": version, **json.loads(document)}))


def content_sha256(table: DownloadTable) -> str:
    """Hex; equal for tables that say the same."""
    return hashlib.sha256(table_json(table).encode()).hexdigest()


def _row(each: Artifact | StoreLink) -> dict[str, Any]:
    row = asdict(each)
    row["os"] = each.os.value
    if isinstance(each, Artifact):
        row["libc"] = None if each.libc is None else each.libc.value
    return row


def _table(document: _TableDocument) -> DownloadTable:
    artifacts = (
        Artifact(
            os=Os(each.os),
            architecture=each.architecture,
            libc=None if each.libc is None else Libc(each.libc),
            version=each.version,
            format=each.format,
            needs=each.needs,
            url=each.url,
            sha256=each.sha256,
            size_bytes=each.size_bytes,
        )
        for each in document.artifacts
    )
    stores = (StoreLink(Os(each.os), each.needs, each.url) for each in document.stores)
    return DownloadTable(
        document.version,
        tuple(sorted(artifacts, key=lambda each: (each.os.value, each.architecture, each.version, each.format))),
        tuple(sorted(stores, key=lambda each: each.os.value)),
    )
