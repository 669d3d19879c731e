"""What is known of a pack of rules without reading it, as long as its files are what they were.

A note is kept under a listing: the name and identity of every file that the pack is read from. As with scanned files,
nobody can change one of them and leave its change time as it was.
"""

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.scanner.cache_key import RACY_NS
from agent.scanner.engines.kept_files import KeptFiles
from agent.scanner.packs.credits import Credit
from agent.scanner.packs.rule_files import MANIFEST, RULE_SUFFIXES
from agent.scanner.parts_hash import parts_sha256

if TYPE_CHECKING:
    from agent.domain.ports import Clock

#: A pack of more files is read each time.
_MAX_FILES = 10_000
_MAX_NOTE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PackNote:
    """What a scan has to know of a pack before it knows that it needs a rule.

    Attributes:
        version: Of the pack.
        credits: Of the pack.
        image: Under which name its compiled rules were kept.
        made_by: See `agent.scanner.engines.compiled_cache.CachedEngine`.
    """

    version: str
    credits: tuple[Credit, ...]
    image: str
    made_by: str

    def to_json(self) -> bytes:
        """For `from_json`."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "PackNote":
        """Read a note of ours.

        Raises:
            ValueError: This is none.
        """
        try:
            fields = json.loads(text)
            credits_ = tuple(Credit(**credit) for credit in fields.pop("credits"))
            return cls(**fields, credits=credits_)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError("no note of a pack") from error


class PackNotes:
    """Notes of packs that an engine has compiled; kept beside their images.

    Args:
        files: Where.
        made_by: Program and engine, with their versions: what one takes, another may refuse or understand otherwise.
    """

    def __init__(self, files: KeptFiles, made_by: str) -> None:
        self._files = files
        self._made_by = made_by

    def get(self, listing: str) -> PackNote | None:
        """What has been noted of the pack with that listing."""
        try:
            with self._files.opened(self._name(listing)) as file:
                return PackNote.from_json(file.read(_MAX_NOTE_BYTES))
        except (OSError, ValueError):
            return None

    def put(self, listing: str, note: PackNote) -> None:
        """Note something of a pack under its listing."""
        self._files.keep(self._name(listing), (note.to_json(),))

    def _name(self, listing: str) -> str:
        return f"note-{parts_sha256([self._made_by.encode(), listing.encode()])}"


def listing_of(sources: Sequence[Path], untrusted_devices: Collection[int], clock: "Clock") -> str | None:
    """Stands for all files of a pack in their present versions.

    Args:
        sources: As for `agent.scanner.packs.rulepack.load_rules`.
        untrusted_devices: `st_dev` of file systems whose change times prove nothing.
        clock: Tells what has changed just now.

    Returns:
        None: the identities of its files do not stand for what is in them, or it has links in it or very many files.
    """
    settled_ns = int(clock.now().timestamp() * 1_000_000_000) - RACY_NS
    listing = hashlib.sha256()
    try:
        for number, (path, status) in enumerate(_files_of(sources)):
            unproven = status.st_ctime_ns > settled_ns or status.st_dev in untrusted_devices
            if unproven or not stat.S_ISREG(status.st_mode) or number >= _MAX_FILES:
                return None
            version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            listing.update(repr((path, version)).encode("utf-8", "surrogatepass"))
    except OSError:
        return None
    return listing.hexdigest()


def _files_of(sources: Sequence[Path]) -> Iterator[tuple[str, os.stat_result]]:
    for source in sources:
        status = source.stat()
        if stat.S_ISDIR(status.st_mode):
            yield from _files_below(str(source))
        else:
            yield str(source), status


def _files_below(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(entry.path)
        elif entry.name == MANIFEST or entry.name.lower().endswith(RULE_SUFFIXES):
            yield entry.path, entry.stat(follow_symlinks=False)
