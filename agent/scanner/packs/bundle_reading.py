"""Signature bundles: zip archives whose manifest says what must be in them and whom to credit.

A bundle is taken whole or not at all: a rule file that is missing, altered or not named makes it unusable, because
nobody could say any more what was scanned with.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from agent.scanner.packs.credits import Credit
from wire.rule_bundle import MANIFEST_NAME, MAX_MANIFEST_BYTES, BundleError, manifest_from_json


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a checked manifest says.

    Attributes:
        version: Name and version, as verdicts show them.
        made_at: The age of its signatures.
        credits: One for each pack.
    """

    version: str
    made_at: datetime
    credits: tuple[Credit, ...]


def read_bundle(archive: zipfile.ZipFile, rule_files: Iterable[zipfile.ZipInfo]) -> Bundle | None:
    """Check an archive against its manifest; None: it has none and is a plain archive of rules.

    Raises:
        BundleError: Manifest and content do not fit.
        BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError: As reading a zip archive may.
    """
    try:
        member = archive.getinfo(MANIFEST_NAME)
    except KeyError:
        return None
    if member.file_size > MAX_MANIFEST_BYTES:
        raise BundleError(f"its manifest is larger than {MAX_MANIFEST_BYTES} bytes")
    manifest = manifest_from_json(archive.read(member))
    expected = {path: digest for pack in manifest.packs for path, digest in pack.files.items()}
    for file in rule_files:
        digest = expected.pop(file.filename, None)
        if digest is None:
            raise BundleError(f"{file.filename} is not in its manifest")
        if hashlib.sha256(archive.read(file)).hexdigest() != digest:
            raise BundleError(f"{file.filename} is not what its manifest says")
    if expected:
        raise BundleError(f"{min(expected)} is missing")
    credits_ = tuple(Credit(f"{pack.name}/", pack.credit) for pack in manifest.packs if pack.credit)
    return Bundle(f"{manifest.name}-{manifest.version}", manifest.made_at, credits_)


def namespace_of(file_name: str) -> str:
    """A rule file's path inside its folder or archive, without its suffix."""
    return PurePosixPath(file_name).with_suffix("").as_posix()
