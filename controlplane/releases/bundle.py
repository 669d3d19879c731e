"""Writing signature bundles: what devices take with `--rules` or `[scanner] rules`.

The same packs at the same moment give the same bytes. A later release signs the manifest; nothing else has to change
for that, because the manifest holds the hash of every file.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime

from controlplane.releases.model import RulePack
from wire.rule_bundle import LICENCE_FOLDER, MANIFEST_NAME, BundledPack, BundleManifest, manifest_to_json

# Zip archives know no time before 1980; ours name none, the manifest does.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o100644 << 16


def write_bundle(
    name: str, version: str, made_at: datetime, packs: Sequence[RulePack], texts: Mapping[str, Mapping[str, str]]
) -> bytes:
    """The bundle.

    Args:
        name: Of the bundle.
        version: Of the bundle, for people.
        made_at: Now.
        packs: What it is made of.
        texts: Of the rule files that go into it, by pack and path.
    """
    members: dict[str, bytes] = {}
    bundled: list[BundledPack] = []
    for pack in packs:
        files = {f"{pack.name}/{path}": text.encode() for path, text in texts[pack.name].items()}
        if not files:
            continue
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
        intake = pack.intake
        bundled.append(BundledPack(pack.name, pack.version, intake.licence, intake.attribution, digests))
        members |= files
        if intake.licence_text:
            members[f"{LICENCE_FOLDER}/{pack.name}.txt"] = intake.licence_text.encode()
    manifest = BundleManifest(name, version, made_at, tuple(bundled))
    return _zip({MANIFEST_NAME: manifest_to_json(manifest), **members})


def pack_files(files: Mapping[str, str]) -> bytes:
    """Rule files as they are stored."""
    return _zip({path: text.encode() for path, text in files.items()})


def unpack_files(archive: bytes) -> dict[str, str]:
    """What `pack_files` made."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name).decode() for name in opened.namelist()}


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in sorted(members.items()):
            entry = zipfile.ZipInfo(path, _NO_TIME)
            entry.external_attr = _READABLE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()
