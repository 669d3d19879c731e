"""What a remembered answer depends on, as values. No input, no output."""

import json
from dataclasses import asdict, dataclass

from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.scanner.limits import Limits

#: A file whose last change is younger than this when its scan begins is not remembered, in nanoseconds. A second change
#: within one tick of the kernel's clock (at most 10 ms; 2 s are the coarsest stamps any file system keeps) would leave
#: every number of its identity as it was: what git calls a racy entry.
RACY_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class ScanIdentity:
    """How a file was scanned: an answer holds for exactly this.

    Attributes:
        program: Version of Buckler: a later one may open more containers.
        pack: Version of the rule pack, which contains the hash of its text.
        engine: Name of the engine.
        engine_version: Of its library.
        limits: A lower limit could have stopped the scan.
    """

    program: str
    pack: str
    engine: str
    engine_version: str
    limits: Limits

    @property
    def text(self) -> str:
        """All of it, in one spelling; equal texts mean equal identities."""
        return json.dumps(asdict(self), sort_keys=True)


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
