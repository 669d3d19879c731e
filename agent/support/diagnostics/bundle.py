"""The bundle as a file: a zip of the items and a manifest that says how each came about and what was taken out."""

import io
import json
import os
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.domain.errors import BucklerError, ExitStatus
from agent.support.diagnostics.collecting import Item, ItemStatus
from agent.support.redaction import RedactionPolicy

#: Of the manifest; readers refuse one they do not know.
FORMAT = 1
MANIFEST = "manifest.json"
#: What is in it was taken from its owner's machine: nobody else reads it before the owner has.
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that was gathered.

    Attributes:
        made_at: When.
        app_version: Of this program.
        policy: What was taken out, besides secrets.
        items: In order.
    """

    made_at: datetime
    app_version: str
    policy: RedactionPolicy
    items: tuple[Item, ...]

    @property
    def failed(self) -> tuple[Item, ...]:
        """Items that should be there and are not."""
        return tuple(item for item in self.items if item.status in {ItemStatus.FAILED, ItemStatus.HELD_BACK})

    def manifest(self) -> dict[str, Any]:
        """What the bundle says of itself."""
        return {
            "format": FORMAT,
            "product": "buckler-diagnostics",
            "made_at": self.made_at.isoformat(),
            "app_version": self.app_version,
            "redaction": {
                "users": self.policy.users,
                "homes": self.policy.homes,
                "below_homes": self.policy.below_homes,
                "taken": _all_taken(self.items),
            },
            "items": [_item_record(item) for item in self.items],
        }


def _all_taken(items: Sequence[Item]) -> dict[str, int]:
    taken: Counter[str] = Counter()
    for item in items:
        taken.update(item.redactions)
    return dict(sorted(taken.items()))


def _item_record(item: Item) -> dict[str, Any]:
    return {
        "name": item.name,
        "step": item.step,
        "status": item.status.value,
        "error": item.error or None,
        "size": item.size_bytes,
        "redactions": item.redactions,
        "took_ms": item.took_ms,
    }


def bundle_bytes(bundle: Bundle) -> bytes:
    """The zip; the same bundle gives the same bytes."""
    files = {MANIFEST: json.dumps(bundle.manifest(), indent=1), **{i.name: i.text for i in bundle.items if i.text}}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, date_time=bundle.made_at.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = _MODE << 16
            archive.writestr(entry, text.encode("utf-8", "backslashreplace"))
    return stream.getvalue()


def write_bundle(bundle: Bundle, path: Path) -> int:
    """Write a new file that only its owner may read; returns its size in bytes.

    Raises:
        BucklerError: `DIAGNOSTICS_EXISTS`, `DIAGNOSTICS_NOT_WRITTEN`; nothing is left behind then.
    """
    content = bundle_bytes(bundle)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), _MODE)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _not_written(path, error) from error
    return len(content)


def refuse_to_overwrite(path: Path) -> None:
    """Tell early what `write_bundle` would refuse.

    Raises:
        BucklerError: `DIAGNOSTICS_EXISTS`.
    """
    if path.exists() or path.is_symlink():
        raise _exists(path)


def _exists(path: Path) -> BucklerError:
    return BucklerError(
        "DIAGNOSTICS_EXISTS",
        f"{path} is there already, and nothing is overwritten",
        next_step="give another name with --to",
    )


def _not_written(path: Path, error: OSError) -> BucklerError:
    return BucklerError(
        "DIAGNOSTICS_NOT_WRITTEN",
        f"{path} cannot be written: {error.strerror}",
        next_step="choose another place with --to, on a disk with some free megabytes",
        exit_status=ExitStatus.ENVIRONMENT,
    )
