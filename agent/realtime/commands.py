"""What goes into the pipeline besides the source's events, and what comes out of it.

The runner executes each command once, in the order given. Values only; nothing here acts.
"""

from dataclasses import dataclass, field

from agent.domain.facts import Finding, ScanFacts
from agent.domain.files import EventKind, FileIdentity, SourceEvent
from agent.domain.incident import Origin

# ---------------------------------------------------------------- in


@dataclass(frozen=True, slots=True)
class ScanFinished:
    """A scan came back.

    Attributes:
        job: As in `Scan`.
        facts: What it established.
        identity: What the descriptor pointed to just before the scan.
        changed: It pointed to something else just after it.
        outdated: Rules or policy changed while the scan ran, so its result must not be remembered.
    """

    job: int
    facts: ScanFacts
    identity: FileIdentity
    changed: bool
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class CaptureFinished:
    """The vault is done with a file.

    Attributes:
        job: As in `Capture`.
        taken: Names under which the file was taken.
        changed: Something was not taken because the file is not the scanned one any more; a new look may help.
    """

    job: int
    taken: frozenset[str]
    changed: bool


@dataclass(frozen=True, slots=True)
class JobAborted:
    """The task working on a job ended without a result."""

    job: int


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The time an opener may be held is over."""

    token: int


@dataclass(frozen=True, slots=True)
class Rested:
    """A file that was costly to look at, or could not be, may be looked at again (`Rest`)."""

    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class NotThere:
    """What was to be opened again (`Reopen`) is gone, or is no regular file any more."""

    path: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """Protection ends: let go of everything that is not being worked on."""


Input = SourceEvent | ScanFinished | CaptureFinished | JobAborted | DeadlineReached | Rested | NotThere | Stopping

# ---------------------------------------------------------------- out


@dataclass(frozen=True, slots=True)
class Scan:
    """Scan what `descriptor` points to; comes back as `ScanFinished` or `JobAborted`.

    Attributes:
        pid: Of the process that brought it to our attention; 0: not known.
        kind: How it came to our attention.
    """

    job: int
    descriptor: int
    path: str
    seen_at_ns: int
    pid: int = field(default=0, compare=False)
    kind: EventKind = field(default=EventKind.CLOSED_AFTER_WRITE, compare=False)


@dataclass(frozen=True, slots=True)
class Capture:
    """Take an infected file; comes back as `CaptureFinished` or `JobAborted`.

    Attributes:
        descriptor: Still open, so that the inode cannot be given to another file.
        paths: Every name under which it was seen since it was queued, oldest first.
        identity: What was scanned.
    """

    job: int
    descriptor: int
    paths: tuple[str, ...]
    identity: FileIdentity
    facts: ScanFacts
    findings: tuple[Finding, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Record:
    """Report a finding without taking the file."""

    path: str
    identity: FileIdentity
    facts: ScanFacts
    findings: tuple[Finding, ...]
    origin: Origin
    blocked: bool


@dataclass(frozen=True, slots=True)
class Release:
    """Close a descriptor; the pipeline has forgotten it."""

    descriptor: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Let a waiting opener go on, or refuse it."""

    token: int
    allow: bool


@dataclass(frozen=True, slots=True)
class ArmDeadline:
    """Send `DeadlineReached` when the token has waited long enough."""

    token: int


@dataclass(frozen=True, slots=True)
class Rest:
    """Send `Rested` for this file after a while: until then it is not looked at again unless somebody is held."""

    device: int
    inode: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Remember:
    """Openers of this unchanged, clean file need not be held again."""

    descriptor: int
    identity: FileIdentity


@dataclass(frozen=True, slots=True)
class Reopen:
    """There is room again for a file that was set aside: hand it in as a `FileEvent` of its kind, or as `NotThere`."""

    path: str
    kind: EventKind


@dataclass(frozen=True, slots=True)
class Walk:
    """Find everything in a folder that was moved in."""

    path: str


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Events are missing: walk the roots. Degraded until that is done."""

    reason: str


@dataclass(frozen=True, slots=True)
class RestartSource:
    """The source is dead."""

    reason: str


@dataclass(frozen=True, slots=True)
class MarkRootLost:
    """A root is not watched any more."""

    root: str
    reason: str


@dataclass(frozen=True, slots=True)
class SelfTestSeen:
    """One of our own test files came all the way through.

    Attributes:
        path: As it was planted.
        found: The scan recognised it.
        kind: Which kind of event brought it.
    """

    path: str
    found: bool
    kind: EventKind


Command = (
    Scan
    | Capture
    | Record
    | Release
    | Answer
    | ArmDeadline
    | Rest
    | Remember
    | Reopen
    | Walk
    | Reconcile
    | RestartSource
    | MarkRootLost
    | SelfTestSeen
)
