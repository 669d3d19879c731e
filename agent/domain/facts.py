"""What a scan found out: facts only. What they mean is decided in `agent.domain.policy`."""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Severity(Enum):
    """How bad a finding is, as its rule says (`meta: severity`); a rule that says nothing counts as HIGH."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def is_malicious(self) -> bool:
        """Medium and above is treated as a threat; low and info are reported only."""
        return self in {Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM}


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that matched.

    Attributes:
        rule: Name of the rule.
        namespace: Source file of the rule inside its pack, without its suffix.
        severity: How bad.
        member_path: Names from the outermost container to the member, e.g. `("a.zip", "b/c.txt")`; empty: the file.
        threat_name: Name for people, if the rule gives one.
        credit: Whose rule it is and under which licence, if it came from others.
    """

    rule: str
    namespace: str
    severity: Severity
    member_path: tuple[str, ...] = ()
    threat_name: str = ""
    credit: str = ""


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Something of the file was not looked at, and why.

    Attributes:
        reason: Stable code: `max_file_size`, `max_depth`, `max_members`, `max_expanded_size`, `max_ratio`,
            `max_string_matches`, `timeout`, `encrypted`, `damaged`, `multi_volume`, `no_unpacker`,
            `worker_crashed`, `worker_out_of_memory`, `worker_restarted`, `engine_error`, `changed`,
            `unreadable_memory`; docs/formats.md explains each.
        limit: Value of the limit that stopped us; None where there is none.
        member_path: Which member; empty: the file itself.
    """

    reason: str
    limit: int | None = None
    member_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """Where time went.

    Attributes:
        name: `reading`, `matching` for the rules, else the container format that was unpacked.
        microseconds: How much.
        times: Contents that were matched, or members that were unpacked.
    """

    name: str
    microseconds: int
    times: int


#: Errors that are the scanner's, and not the file's: it has no worker, has too much to do, or is being stopped.
SCANNER_UNAVAILABLE: Final = "scanner_unavailable"
SCANNER_OVERLOADED: Final = "scanner_overloaded"
SCANNER_CLOSED: Final = "scanner_closed"
_NO_SCANNER = frozenset({SCANNER_UNAVAILABLE, SCANNER_OVERLOADED, SCANNER_CLOSED})
#: Ends of a worker that need not be the doing of its file.
WORKER_CRASHED: Final = "worker_crashed"
WORKER_RESTARTED: Final = "worker_restarted"
_WORKER_ENDED = frozenset({WORKER_CRASHED, WORKER_RESTARTED})


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """Everything one scan of one file established.

    Attributes:
        sha256: Hex digest of the whole file; empty when it could not be read to its end.
        size_bytes: Bytes of the file.
        findings: Rules that matched, in the file and in its members.
        incomplete: What was not looked at; empty means all of it was.
        error: Why the file could not be scanned at all, as a stable code (`unreadable`, `vanished`,
            `not_a_regular_file`, `too_deep`, `scanner_unavailable`, `scanner_overloaded`, `scanner_closed`); empty:
            it could.
        engine: Name and version of the engine, e.g. `yara 4.5.4`.
        signatures_version: Which rule pack.
        elapsed_ms: Wall time from hand-over to answer.
        costs: Where that went, the most first; only of files that were slow, or when it was asked for.
    """

    sha256: str
    size_bytes: int
    findings: tuple[Finding, ...] = ()
    incomplete: tuple[Incomplete, ...] = ()
    error: str = ""
    engine: str = ""
    signatures_version: str = ""
    elapsed_ms: float = 0.0
    costs: tuple[Cost, ...] = ()

    @property
    def nobody_looked(self) -> bool:
        """Whether the scanner could not even begin, which says nothing of the file: it has to be asked again."""
        return self.error in _NO_SCANNER

    @property
    def worker_ended(self) -> bool:
        """Whether its worker ended over the file, maybe by no fault of that: the whole machine was short of memory."""
        return any(item.reason in _WORKER_ENDED for item in self.incomplete)
