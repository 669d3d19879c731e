"""What the scanner needs of a signature engine.

An engine compiles rule texts into an image in the parent, and loads that image in a worker. Images are only ever
loaded from a descriptor this program made itself: loading a compiled image from elsewhere is running foreign code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

#: External variables that public rule sets rely on; every engine defines them, as text.
EXTERNAL_VARIABLES = ("filename", "filepath", "extension", "filetype", "owner")


@dataclass(frozen=True, slots=True)
class EngineLabel:
    """Which engine."""

    name: str
    version: str

    def __str__(self) -> str:
        """`yara 4.5.4`, as facts and summaries name it."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class RuleSource:
    """One rule file.

    Attributes:
        namespace: Its place inside its pack, without suffix, `/` between folders.
        origin: Where it came from, for messages: a path, or `pack.zip!inner/path`.
        text: Rules.
    """

    namespace: str
    origin: str
    text: str


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """One rule that matched one content."""

    rule: str
    namespace: str
    severity: str
    threat_name: str


@dataclass(frozen=True, slots=True)
class MatchResult:
    """What an engine says about one content.

    Attributes:
        matches: Rules that matched.
        max_string_matches: The engine stopped counting occurrences of some string at this number, so a rule about
            it may be wrong; None: it did not.
    """

    matches: tuple[RuleMatch, ...]
    max_string_matches: int | None = None

    def joined(self, other: "MatchResult") -> "MatchResult":
        """Both, about the same content; a rule that others refer to may be in both."""
        stopped_at = self.max_string_matches if self.max_string_matches is not None else other.max_string_matches
        return MatchResult(tuple(dict.fromkeys(self.matches + other.matches)), stopped_at)


@dataclass(frozen=True, slots=True)
class RuleProblem:
    """Why a rule file does not compile.

    Attributes:
        source: The file.
        line: 1-based; 0 if the engine does not say.
        reason: The engine's words.
    """

    source: RuleSource
    line: int
    reason: str

    def __str__(self) -> str:
        """As messages name it."""
        where = f"{self.source.origin}, line {self.line}" if self.line else self.source.origin
        return f"{where}: {self.reason}"


class RuleCompileError(Exception):
    """Rule files do not compile.

    Args:
        problems: One for each broken file, in the order of the files; at least one.
    """

    def __init__(self, problems: Sequence[RuleProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class MatchTimeoutError(Exception):
    """The engine ran out of its time for one content."""


class Readable(Protocol):
    """As much of a file object as loading an image takes."""

    def read(self, size: int = -1, /) -> bytes | None: ...  # noqa: D102 -- as io.RawIOBase


class Matcher(Protocol):
    """Compiled rules, loaded and ready."""

    @property
    def rule_count(self) -> int:
        """Rules loaded, private ones included."""

    def match(self, data: bytes, variables: Mapping[str, str], timeout_s: float) -> MatchResult:
        """Match one content against all rules.

        Args:
            data: The whole content.
            variables: Values of `EXTERNAL_VARIABLES`; missing ones are empty.
            timeout_s: Seconds; engines round up to what they can measure.

        Raises:
            MatchTimeoutError: Out of time.
            MemoryError: Out of memory.
        """


class Engine(Protocol):
    """A signature engine."""

    @property
    def name(self) -> str:
        """As in `--engine`."""

    @property
    def version(self) -> str:
        """Of the library."""

    def compile(self, sources: Sequence[RuleSource], image: IO[bytes]) -> int:
        """Compile and write the image; returns the number of rules.

        Raises:
            RuleCompileError: With every file that does not compile.
        """

    def problem(self, source: RuleSource) -> RuleProblem | None:
        """What is wrong with one file, compiled by itself; None: nothing."""

    def load(self, image: Readable) -> Matcher:
        """Load an image that `compile` of the same engine and version wrote."""
