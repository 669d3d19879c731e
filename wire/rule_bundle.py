"""The manifest of a signature bundle: what is in it, whose rules these are and under which licence.

A bundle is a zip archive: `bundle.json` (this manifest), rule files under `PACK/…`, and the text of each licence under
`licences/PACK.txt`. The control plane builds bundles, devices scan with them; both use exactly this file. The hashes
tell a damaged or edited bundle; they do not say who made it (a signature over the manifest is where that will go).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

MANIFEST_NAME: Final = "bundle.json"
LICENCE_FOLDER: Final = "licences"
#: Of the manifest's form; a reader refuses one it does not know.
FORM: Final = 1
#: The two largest public packs together need 120 KB.
MAX_MANIFEST_BYTES: Final = 16 * 1024 * 1024
#: What a pack may be called: it is the first part of its rules' namespaces and a folder.
PACK_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MAX_TEXT = 2_000


class BundleError(ValueError):
    """A manifest that cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class BundledPack:
    """Rules of one origin.

    Attributes:
        name: See `PACK_NAME`.
        version: Of the pack; a hash of its rules.
        licence: Short name, as people know it: "MIT".
        attribution: Whom to credit.
        files: SHA-256, hex, of each rule file, by its path in the archive.
    """

    name: str
    version: str
    licence: str
    attribution: str
    files: Mapping[str, str]

    @property
    def credit(self) -> str:
        """As findings show it."""
        return f"{self.attribution} ({self.licence})" if self.licence else self.attribution


@dataclass(frozen=True, slots=True)
class BundleManifest:
    """What `bundle.json` says.

    Attributes:
        name: Of the bundle.
        version: For people; readers add a hash of the rules.
        made_at: With its time zone; the age of the signatures.
        packs: In the order in which they were given.
    """

    name: str
    version: str
    made_at: datetime
    packs: tuple[BundledPack, ...]


def manifest_to_json(manifest: BundleManifest) -> bytes:
    """The same bytes for the same manifest."""
    document = {
        "form": FORM,
        "name": manifest.name,
        "version": manifest.version,
        "made_at": manifest.made_at.astimezone(UTC).isoformat(),
        "packs": [
            {
                "name": pack.name,
                "version": pack.version,
                "licence": pack.licence,
                "attribution": pack.attribution,
                "files": dict(sorted(pack.files.items())),
            }
            for pack in manifest.packs
        ],
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def manifest_from_json(untrusted: bytes) -> BundleManifest:
    """Read a manifest.

    Raises:
        BundleError: It is none, or of a form that this version does not know.
    """
    if len(untrusted) > MAX_MANIFEST_BYTES:
        raise BundleError(f"the manifest is larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        document = json.loads(untrusted)
    except (ValueError, RecursionError) as error:
        raise BundleError("the manifest is no JSON") from error
    entries = _mapping(document, "the manifest")
    if entries.get("form") != FORM:
        raise BundleError(f"the manifest has the form {entries.get('form')!r}, this version knows {FORM}")
    packs = entries.get("packs")
    if not isinstance(packs, list) or not packs:
        raise BundleError("the manifest names no packs")
    manifest = BundleManifest(
        name=_text(entries, "name"),
        version=_text(entries, "version"),
        made_at=_instant(entries),
        packs=tuple(_pack(pack) for pack in packs),
    )
    if len({pack.name for pack in manifest.packs}) < len(manifest.packs):
        raise BundleError("the manifest names a pack twice")
    return manifest


def _pack(untrusted: object) -> BundledPack:
    entries = _mapping(untrusted, "a pack")
    name = _text(entries, "name")
    if not PACK_NAME.fullmatch(name):
        raise BundleError("a pack's name is not made of a-z, 0-9, dots, dashes and underscores")
    files = _mapping(entries.get("files"), f"the list of files of {name}")
    for path, digest in files.items():
        if not path.startswith(f"{name}/"):
            raise BundleError(f"the pack {name} names a file outside its folder")
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise BundleError(f"the pack {name} has a file without its SHA-256")
    return BundledPack(name, _text(entries, "version"), _text(entries, "licence"), _text(entries, "attribution"), files)


def _mapping(untrusted: object, what: str) -> dict[str, Any]:
    if not isinstance(untrusted, dict):
        raise BundleError(f"{what} is no object")
    return untrusted


def _text(untrusted: Mapping[str, object], key: str) -> str:
    value = untrusted.get(key)
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not (value == "" or value.isprintable()):
        raise BundleError(f"the manifest's {key} is no line of text")
    return value


def _instant(untrusted: Mapping[str, object]) -> datetime:
    try:
        made_at = datetime.fromisoformat(_text(untrusted, "made_at"))
    except ValueError as error:
        raise BundleError("the manifest's made_at is no time") from error
    if made_at.tzinfo is None:
        raise BundleError("the manifest's made_at names no time zone")
    return made_at
