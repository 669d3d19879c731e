"""Where the rooms of the agent meet.

Each port is as small as its caller needs. Real implementations live in the rooms, are built in `agent.app` and
passed in; `tests/fakes` holds an honest fake for each, and both run under one suite in `tests/contract`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from uuid import UUID

    from agent.domain.commands import CommandEntry, CommandOutcome, CommandStage, RemoteCommand
    from agent.domain.errors import BucklerError
    from agent.domain.exclusions import Exclusion
    from agent.domain.facts import Finding, ScanFacts
    from agent.domain.files import FileIdentity, SourceEvent
    from agent.domain.health import HealthIssue
    from agent.domain.incident import Incident, Origin
    from agent.domain.quarantine import CaptureState, HistoryNote, QuarantineEntry, RestoreReceipt, Retained
    from agent.domain.retention import HeldFile
    from agent.domain.schedule import ScanKind
    from agent.domain.services import DefinitionState, ServiceStatus


class Clock(Protocol):
    """The only way to learn the time."""

    def now(self) -> datetime:
        """Wall time, timezone-aware, UTC."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary instant; never goes back."""

    def asleep_ns(self) -> int:
        """Nanoseconds the machine has been suspended since an arbitrary instant; always 0 where nobody can tell."""


class Randomness(Protocol):
    """The only way to be unpredictable."""

    def uuid(self) -> UUID:
        """A fresh random UUID."""

    def token_bytes(self, count: int) -> bytes:
        """Bytes fit for keys."""

    def uniform(self, low: float, high: float) -> float:
        """For jitter."""


# ---------------------------------------------------------------- events


class EventSource(Protocol):
    """A mechanism that tells which files under the watched roots have changed."""

    @property
    def name(self) -> str:
        """`fanotify` or `watchdog`; what `status` prints as the subsystem."""

    def open(self, roots: Sequence[str], deliver: Callable[[SourceEvent], None]) -> None:
        """Start to watch. `deliver` is called on the event loop's thread, in the order of the events.

        Raises:
            BucklerError: `ROOT_UNREADABLE`, `FANOTIFY_NOT_PERMITTED`, `WATCH_LIMIT`; nothing is left open then.
        """

    def set_blocking(self, *, enabled: bool) -> None:
        """Hold openers until they are answered, or stop to; may be called at any time while open.

        Raises:
            BucklerError: `BLOCKING_UNAVAILABLE`; everything else goes on as before.
        """

    def answer(self, token: int, *, allow: bool) -> None:
        """Let a waiting opener go on or refuse it. Exactly once per token."""

    def remember_clean(self, descriptor: int, identity: FileIdentity) -> None:
        """Openers of this clean file, while it is unmodified, need not be held."""

    def forget_clean(self) -> None:
        """Rules or policy changed: hold openers of every file again."""

    def limitations(self) -> tuple[str, ...]:
        """What this source cannot see where it watches, one sentence each; known once it is open."""

    def issues(self) -> tuple[HealthIssue, ...]:
        """What keeps it from seeing what it could, and what to change; known once it is open."""

    def close(self) -> None:
        """Stop; every opener still waiting is allowed. Safe to repeat."""


# ---------------------------------------------------------------- scanning


class Scanning(Protocol):
    """A scan that has been asked for; every coroutine is one."""

    def __await__(self) -> Generator[Any, Any, ScanFacts]:
        """What the file contains."""

    def close(self) -> None:
        """Nobody will await it; after its end this does nothing."""


class Scanner(Protocol):
    """Finds out what a file contains."""

    def scan(self, descriptor: int, path: str) -> Scanning:
        """Scan what a descriptor points to. The caller keeps the descriptor and closes it afterwards.

        Whoever can be told at once is told by the call itself; what it returns is to be awaited, or closed. Never
        raises for anything a file contains or a worker does: that is told in the facts.

        Args:
            descriptor: Open and readable; read with `pread`, its offset does not matter.
            path: For rules that look at names, and for messages; never opened.
        """


# ---------------------------------------------------------------- quarantine and reports


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What to take to the vault, exactly as it was scanned."""

    incident_uuid: UUID
    path: str
    identity: FileIdentity
    facts: ScanFacts
    findings: tuple[Finding, ...]
    origin: Origin
    detected_at: datetime


#: A capture that was begun and will be finished later; code of a `BucklerError`.
CAPTURE_UNFINISHED = "CAPTURE_UNFINISHED"


class Quarantine(Protocol):
    """Takes files out of their place and brings them back."""

    async def capture(self, request: CaptureRequest) -> QuarantineEntry:
        """Take a file; returns a final entry: DONE, or FAILED with the reason in `detail`.

        The incident is written to the outbox in the transaction that makes the entry final.

        Raises:
            BucklerError: `CAPTURE_UNFINISHED`: the file has been taken out of its place, and what is left to do, its
                incident included, is done later. Any other code: nothing has been done.
        """

    async def restore(self, entry_id: str, destination: str | None, *, allow: bool) -> RestoreReceipt:
        """Bring a file back, byte for byte, with owner, mode, times and extended attributes.

        Raises:
            BucklerError: `QUARANTINE_UNKNOWN`, `RESTORE_WOULD_OVERWRITE`, `RESTORE_NO_FOLDER`, `VAULT_DAMAGED`.
        """

    async def delete(self, entry_id: str) -> None:
        """Destroy the quarantined copy; the journal row stays as DELETED.

        Raises:
            BucklerError: `QUARANTINE_UNKNOWN`.
        """

    async def resume(self) -> int:
        """Finish what a crash left unfinished; returns how many entries were."""


class IncidentLog(Protocol):
    """Records detections that are reported without a capture."""

    def record(self, incident: Incident) -> None:
        """Write one incident to the outbox, durably."""


@dataclass(frozen=True, slots=True)
class ReportReceipt:
    """What the control plane made of a batch: accepted rows may go, rejected rows are set aside with a reason."""

    accepted: frozenset[UUID]
    rejected: Mapping[UUID, str]


class UplinkError(Exception):
    """A batch did not arrive; the rows stay.

    Args:
        why: What a person is told about it.
        permanent: True when sending again cannot help until something else changes.
        retry_after_s: What the server asked for; 0: nothing.
        content: True when it is what was sent that was refused, not who sent it: fewer rows may be accepted.
    """

    def __init__(
        self, why: BucklerError, *, permanent: bool, retry_after_s: float = 0.0, content: bool = False
    ) -> None:
        super().__init__(why.code)
        self.why = why
        self.permanent = permanent
        self.retry_after_s = retry_after_s
        self.content = content


class IncidentUplink(Protocol):
    """The way of incidents to the control plane."""

    async def report(self, incidents: Sequence[Incident], dropped: Mapping[str, int]) -> ReportReceipt:
        """Send one batch.

        Raises:
            UplinkError: It did not arrive.
        """


class RequestedScans(Protocol):
    """Scans that somebody asked for; one after the other."""

    async def scan(self, kind: ScanKind) -> Mapping[str, int]:
        """Scan what a kind looks at; returns counts: files, infected, incomplete, errors.

        Raises:
            BucklerError: No scanner could be started.
        """

    async def scan_path(self, path: str) -> Mapping[str, int]:
        """Scan a file or a folder.

        Raises:
            BucklerError: `PATH_MISSING`, or no scanner could be started.
        """


@dataclass(frozen=True, slots=True)
class BundlePiece:
    """A piece of a diagnostics bundle on its way.

    Attributes:
        command_id: That asked for it.
        total_bytes: Of the whole bundle.
        sha256: Of the whole bundle.
        offset: Where the piece begins.
        content: Empty: only ask how far it is.
    """

    command_id: str
    total_bytes: int
    sha256: bytes
    offset: int
    content: bytes


class BundleUplink(Protocol):
    """The way of bundles to the control plane."""

    async def send_piece(self, piece: BundlePiece) -> tuple[int, bool]:
        """Send one piece; where to go on, and whether all of it is there.

        Raises:
            BucklerError: It did not arrive (exit status UNREACHABLE), or is refused.
        """


class CommandHandler(Protocol):
    """Does one kind of command."""

    @property
    def kind(self) -> str:
        """Its name on the wire."""

    @property
    def may_repeat(self) -> bool:
        """Whether one that the end of this process interrupted is simply done again."""

    async def run(self, command: RemoteCommand) -> CommandOutcome:
        """Do it; may be cancelled.

        Raises:
            BucklerError: It failed, and why.
        """


# ---------------------------------------------------------------- storage


class QuarantineJournal(Protocol):
    """Rows of the quarantine journal."""

    def add(self, entry: QuarantineEntry) -> None:
        """Insert a new row."""

    def advance(
        self,
        entry_id: str,
        state: CaptureState,
        detail: str = "",
        *,
        staged_path: str | None = None,
        restore_path: str | None = None,
    ) -> None:
        """Move a row to another state; an empty `detail` and a path that is None leave what is there.

        Raises:
            KeyError: There is no such row.
        """

    def get(self, entry_id: str) -> QuarantineEntry | None:
        """One row."""

    def entries(self, states: Iterable[CaptureState] | None = None) -> list[QuarantineEntry]:
        """Rows in the order they were planned; None: all."""

    def retained(self) -> Retained:
        """What the vault holds: the rows that are DONE."""

    def held(self) -> list[HeldFile]:
        """The rows that are DONE, as far as the vault's limits are concerned."""

    def announce_deletion(self, entry_id: str, at: datetime | None) -> None:
        """Since when its owner has been told that a file will be deleted; None: it will not be.

        Raises:
            KeyError: There is no such row.
        """

    def note(self, entry_id: str, note: HistoryNote) -> None:
        """Add a line to an entry's history."""

    def history(self, entry_id: str) -> tuple[HistoryNote, ...]:
        """All lines, oldest first."""


class Outbox(Protocol):
    """Incidents on their way to the control plane."""

    def add(self, incident: Incident) -> None:
        """Insert; a uuid that is there already changes nothing. Beyond its bound the oldest bulk rows are dropped."""

    def pending(self, limit: int) -> list[Incident]:
        """The next rows to send, detections with an action first, then by age."""

    def acknowledge(self, uuids: Iterable[UUID]) -> None:
        """Delete rows that the control plane has stored."""

    def set_aside(self, uuid: UUID, reason: str) -> None:
        """Keep a row that will never be accepted out of the way, with the reason; counted among the dropped."""

    def aside(self) -> int:
        """Rows kept out of the way."""

    def count(self) -> int:
        """Rows waiting."""

    def dropped(self) -> dict[str, int]:
        """Rows dropped or set aside since the last `clear_dropped`, by class."""

    def clear_dropped(self, reported: Mapping[str, int]) -> None:
        """Subtract what has been reported."""


class Exclusions(Protocol):
    """The owner's exclusions."""

    def add(self, exclusion: Exclusion) -> None:
        """Insert one."""

    def remove(self, exclusion_id: str) -> bool:
        """Delete one; False: there was none of that id."""

    def all(self) -> tuple[Exclusion, ...]:
        """In the order of their creation, expired ones included."""


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """A key that may sign entitlements: raw 32-byte Ed25519 public key, valid from, valid until (None: open)."""

    kid: str
    public_key: bytes
    not_before: datetime
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The signing keys that a control plane's root vouched for.

    Attributes:
        root_public_key: Raw Ed25519, pinned at the first activation. Empty: none was pinned.
        version: Of the key set; a lower one is refused.
        keys: Keys that may sign.
        revoked_kids: Keys whose statements are refused, whenever they were made.
    """

    root_public_key: bytes
    version: int
    keys: tuple[PinnedKey, ...]
    revoked_kids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What activation left on this device. The private key is not in here but in its own file.

    Attributes:
        server: `host:port` of the control plane, for enrolment and people.
        device_server: `host:port` of its DeviceService (mutual TLS).
        authorities_pem: What its certificate must chain to.
        certificate_pem: This device's certificate.
        signed_claims: The exact claims bytes that were signed.
        signature: Ed25519 over them.
        kid: The key that signed.
        trusted_keys: Which keys may sign.
        check_in_interval_s: Wished for by the server.
        last_check_in: None: none yet.
    """

    server: str
    device_server: str
    device_id: str
    org_id: str
    authorities_pem: bytes
    certificate_pem: bytes
    signed_claims: bytes
    signature: bytes
    kid: str
    trusted_keys: TrustedKeys
    check_in_interval_s: int
    last_check_in: datetime | None = None


class EnrolmentRecord(Protocol):
    """The one activation of this device."""

    def get(self) -> Enrolment | None:
        """None: never activated."""

    def put(self, enrolment: Enrolment) -> None:
        """Replace it."""

    def forget(self) -> None:
        """Deactivated."""


class CommandRecord(Protocol):
    """Commands of the control plane and what became of them; repeats are answered from it."""

    def receive(self, command: RemoteCommand) -> None:
        """Insert; one that is there already is told about again, and not done again."""

    def advance(self, command_id: str, stage: CommandStage, outcome: CommandOutcome | None = None) -> None:
        """Move a command on; what is new is to be told.

        Raises:
            KeyError: There is no such command.
        """

    def entries(self, stages: Iterable[CommandStage]) -> list[CommandEntry]:
        """Commands at these stages, in the order in which they came."""

    def untold(self, limit: int) -> list[CommandEntry]:
        """Begun or ended commands that the control plane has not accepted a report about, the first first."""

    def told(self, command_id: str, stage: CommandStage) -> None:
        """The control plane has accepted that a command is at this stage; old ones are forgotten then."""


class Settings(Protocol):
    """Small facts that outlive a restart, by name: clock mark, mode, time of the last life sign, last proof."""

    def get(self, name: str) -> str | None:
        """None: never set."""

    def put(self, name: str, value: str) -> None:
        """Set or replace."""


class Transaction(Protocol):
    """All tables, inside one transaction."""

    @property
    def journal(self) -> QuarantineJournal: ...  # noqa: D102 -- the type says it
    @property
    def outbox(self) -> Outbox: ...  # noqa: D102
    @property
    def exclusions(self) -> Exclusions: ...  # noqa: D102
    @property
    def enrolment(self) -> EnrolmentRecord: ...  # noqa: D102
    @property
    def settings(self) -> Settings: ...  # noqa: D102
    @property
    def commands(self) -> CommandRecord: ...  # noqa: D102


class Store(Protocol):
    """The agent's database."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin; commit at the end of the block, roll back if it raises. Durable when the block has been left.

        May be used from any thread; transactions follow one another.
        """


# ---------------------------------------------------------------- the background service


class ServiceSupervisor(Protocol):
    """What starts the agent with the machine and keeps it running: systemd, launchd, the services of Windows.

    Every method but `status` raises BucklerError: `NOT_PERMITTED` for an ordinary user, and `SERVICE_REFUSED` with what
    the supervisor said when it does not do as it is told. All of them raise `SERVICE_NO_SUPERVISOR` on a system that is
    run by something else.
    """

    def definition(self, command: Sequence[str]) -> DefinitionState:
        """How what is installed compares with a service that runs this command."""

    def install(self, command: Sequence[str]) -> None:
        """Define the service, or define it anew, and have it start with the machine; one of a package is only enabled.

        Args:
            command: The program, absolute, and its arguments.
        """

    def uninstall(self) -> None:
        """Stop it, have it not start any more, and take the definition away, unless that belongs to a package."""

    def start(self) -> None:
        """Start it, without waiting until it protects; one that runs is left alone."""

    def stop(self) -> None:
        """Stop it, and wait until it has stopped; it still starts with the machine."""

    def status(self) -> ServiceStatus:
        """How it is; for every user."""
