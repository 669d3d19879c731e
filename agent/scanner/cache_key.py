"""What a remembered answer depends on, as values. No input, no output."""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.scanner.limits import Limits

#: A file whose last change is younger than this when its scan begins is not remembered, in nanoseconds. A second change
#: within one tick of the kernel's clock (at most 10 ms; 2 s are the coarsest stamps any file system keeps) would leave
#: every number of its identity as it was: what git calls a racy entry.
RACY_NS = 2_000_000_000
#: External variables that come from a path; `filetype` follows from the content, `owner` changes the change time.
_NAMES = re.compile(r"\b(?:filename|filepath|extension)\b")
#: One of these is in every one of them.
_IN_NAMES = ("filename", "filepath", "extension")
_PATH_HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class ScanIdentity:
    """How a file was scanned: an answer holds for exactly this.

    Attributes:
        program: Version of Buckler: a later one may open more containers.
        pack: Version of the rule pack, which contains the hash of its text.
        engine: Name of the engine.
        engine_version: Of its library.
        limits: A lower limit could have stopped the scan.
        names_matter: Some rule asks for the name of a file, so an answer holds for one path only.
    """

    program: str
    pack: str
    engine: str
    engine_version: str
    limits: Limits
    names_matter: bool

    @property
    def text(self) -> str:
        """All of it, in one spelling; equal texts mean equal identities."""
        return json.dumps(asdict(self), sort_keys=True)

    def key(self, path: str, file: FileIdentity) -> "CacheKey":
        """The key of a file at a path."""
        return CacheKey(self, file, self.name_of(path))

    def name_of(self, path: str) -> bytes:
        """The part of the key that stands for a path."""
        return hashlib.blake2b(os.fsencode(path), digest_size=_PATH_HASH_BYTES).digest() if self.names_matter else b""


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Everything a remembered answer depends on; if one part differs, nothing is known.

    Attributes:
        scan: How.
        file: Which file in which version. A copy has another inode; an inode that is used again, and a file that was
            changed and back-dated, have another change time, which no program can set.
        name: Hash of the path if rules ask for names, else empty.
    """

    scan: ScanIdentity
    file: FileIdentity
    name: bytes


def asks_for_names(texts: Iterable[str]) -> bool:
    """Whether a rule may depend on what a file is called. Comments and strings count too: a mistake costs time only."""
    # Looking for fixed pieces is many times as fast, and most texts have none.
    return any(any(name in text for name in _IN_NAMES) and _NAMES.search(text) for text in texts)


def may_remember(before: FileIdentity, after: FileIdentity, facts: ScanFacts, begun_at_ns: int) -> bool:
    """Whether facts are worth and safe to remember: wholly clean, and surely about the version they are kept under.

    What was found or left out is never remembered: such files are few, and looking again is the point.

    Args:
        before: Identity before the first byte was read.
        after: Identity of the same descriptor after the answer.
        facts: The answer.
        begun_at_ns: Wall time when the scan began, read after `before`; nanoseconds since 1970. A change time in the
            future of that clock is not believed.
    """
    clean = not (facts.findings or facts.incomplete or facts.error) and bool(facts.sha256)
    settled = before == after and facts.size_bytes == before.size_bytes
    return clean and settled and before.ctime_ns <= begun_at_ns - RACY_NS
