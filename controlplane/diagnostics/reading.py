"""Reads a bundle that anybody may have made: bounded in every respect, and nothing of it is written to disk."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from controlplane.diagnostics.errors import bundle_not_readable, bundle_too_new
from controlplane.diagnostics.model import BundleItem, Json, ReadBundle, objects, said

#: What agents write is a fraction of each of these.
FILE_LIMIT = 16 * 1024 * 1024
ENTRIES_LIMIT = 100
ENTRY_LIMIT = 4 * 1024 * 1024
TOTAL_LIMIT = 16 * 1024 * 1024
FORMAT = 1
_MANIFEST = "manifest.json"
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError,
)  # fmt: skip


def read_bundle_file(path: Path) -> ReadBundle:
    """Read a bundle.

    Raises:
        Refusal: `BUNDLE_NOT_READABLE`, `BUNDLE_TOO_NEW`.
    """
    try:
        with path.open("rb") as file:
            untrusted = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise bundle_not_readable(f"{path}: {error.strerror}") from error
    return read_bundle(untrusted)


def read_bundle(untrusted: bytes) -> ReadBundle:
    """Read a bundle's bytes; see `read_bundle_file`."""
    if len(untrusted) > FILE_LIMIT:
        raise bundle_not_readable(f"it is larger than {FILE_LIMIT >> 20} MiB")
    try:
        texts = _texts(untrusted)
    # What the zip reader makes of a damaged file depends on where the damage is.
    except _DAMAGED as error:
        raise bundle_not_readable(f"it is no sound zip file ({type(error).__name__})") from error
    manifest = _json(texts.get(_MANIFEST, ""))
    if not isinstance(manifest, Mapping) or manifest.get("product") != "buckler-diagnostics":
        raise bundle_not_readable(f"it has no {_MANIFEST} of buckler")
    if manifest.get("format") != FORMAT:
        raise bundle_too_new(said(manifest.get("format")), FORMAT)
    items = {said(row.get("name")): _item(row, texts) for row in objects(manifest.get("items"))[:ENTRIES_LIMIT]}
    return ReadBundle(_instant(manifest.get("made_at")), said(manifest.get("app_version")), items)


def _texts(untrusted: bytes) -> dict[str, str]:
    texts: dict[str, str] = {}
    left = TOTAL_LIMIT
    with zipfile.ZipFile(io.BytesIO(untrusted)) as archive:
        entries = archive.infolist()
        if len(entries) > ENTRIES_LIMIT:
            raise bundle_not_readable(f"it has more than {ENTRIES_LIMIT} entries")
        for entry in entries:
            if entry.compress_type not in _METHODS or entry.flag_bits & _ENCRYPTED:
                raise bundle_not_readable("an entry is packed as buckler packs none")
            if entry.filename in texts:
                raise bundle_not_readable("two entries have the same name")
            # What is declared may be a lie: only what comes out is believed.
            with archive.open(entry) as stream:
                content = stream.read(min(ENTRY_LIMIT, left) + 1)
            if len(content) > min(ENTRY_LIMIT, left):
                raise bundle_not_readable("it unpacks to more than any bundle has")
            left -= len(content)
            texts[entry.filename] = content.decode("utf-8", "backslashreplace")
    return texts


def _item(row: Mapping[str, Json], texts: Mapping[str, str]) -> BundleItem:
    name = said(row.get("name"))
    text = texts.get(name)
    value: Json = text
    if text is not None and name.endswith(".json"):
        value = _json(text)
        value = text if value is None else value
    return BundleItem(name, said(row.get("status")), said(row.get("error")), value)


def _json(text: str) -> Json:
    """None: it is none, or one that is nested without end."""
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _instant(value: Json) -> datetime | None:
    try:
        instant = datetime.fromisoformat(said(value))
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
