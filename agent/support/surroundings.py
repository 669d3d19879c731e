"""What check-ups look at: values that were seen, and small ports to see them with.

Everything here can be replaced, so that every fault can be produced. The real ones are wired in
`agent.cli.doctor_wiring`; a check-up never opens anything by itself.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from agent.domain.errors import BucklerError
from agent.domain.ports import Clock
from agent.domain.services import ServiceStatus

_Seen = TypeVar("_Seen")


class Once(Generic[_Seen]):
    """Something that several check-ups want to know and that is looked up once, whoever asks first.

    Args:
        look: Looks it up; may block, may raise, and then raises for everybody who asks.
    """

    def __init__(self, look: Callable[[], _Seen]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._seen: list[_Seen] = []
        self._error: BucklerError | OSError | None = None

    def __call__(self) -> _Seen:
        """What was seen.

        Raises:
            BucklerError: Or `OSError`: what looking it up raised.
        """
        with self._lock:
            if self._error is not None:
                raise self._error
            if not self._seen:
                try:
                    self._seen.append(self._look())
                except (BucklerError, OSError) as error:
                    self._error = error
                    raise
            return self._seen[0]

    def forget(self) -> None:
        """Something was mended: look again."""
        with self._lock:
            self._seen.clear()
            self._error = None


# ---------------------------------------------------------------- this machine


@dataclass(frozen=True, slots=True)
class Place:
    """Where this agent keeps its things, and what it was told.

    Attributes:
        data_dir: Everything that outlives a restart.
        database: SQLite.
        device_key: The private key.
        vault: Quarantined files.
        disposable: What may be deleted at any time to make room.
        origins: Where settings come from, in order of precedence: files, names of environment variables.
        config_problem: Why the configuration cannot be read; None: it can.
        version: Of this program.
    """

    data_dir: Path
    database: Path
    device_key: Path
    vault: Path
    disposable: tuple[Path, ...] = ()
    origins: tuple[str, ...] = ()
    config_problem: BucklerError | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class BuildSeen:
    """This program against this machine.

    Attributes:
        system: Of the machine: linux, macos, windows, or another name.
        machine: The kernel's architecture.
        built_for: The interpreter's architecture, in the same spelling.
        python: Its version.
        broken: Libraries that do not load here, and why.
    """

    system: str
    machine: str
    built_for: str
    python: tuple[int, int]
    broken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FolderSeen:
    """A file or folder; `mode` holds the permission bits, `owner` a user id."""

    owner: int
    mode: int
    is_dir: bool


@dataclass(frozen=True, slots=True)
class RoomSeen:
    """What is left on the file system of a folder; `free_files` None: it has no such limit."""

    free_bytes: int
    free_files: int | None
    read_only: bool


class Machine(Protocol):
    """The operating system, asked."""

    def build(self) -> BuildSeen:
        """This program against this machine."""

    def user(self) -> int:
        """Id of the user who runs the doctor."""

    def look_at(self, path: Path) -> FolderSeen | None:
        """A file or folder; None: it is not there.

        Raises:
            OSError: It cannot be looked at.
        """

    def room(self, folder: Path) -> RoomSeen:
        """What is left where a folder is, or would be made.

        Raises:
            OSError: It cannot be looked at.
        """

    def competitors(self) -> tuple[str, ...]:
        """Other products found running that watch files."""

    def proxies(self) -> Mapping[str, str]:
        """Proxies of the environment by variable; names and passwords in them are left out."""


# ---------------------------------------------------------------- the device, as it lies on the disk


@dataclass(frozen=True, slots=True)
class CertificateSeen:
    """The device's certificate."""

    not_before: datetime
    not_after: datetime
    is_of_key: bool


@dataclass(frozen=True, slots=True)
class EntitlementSeen:
    """What this device may do, and why.

    Attributes:
        level: As `buckler status` prints it.
        reason: Stable code.
        way_back: What brings everything back; empty: nothing is missing.
        refused: Why the newest statement was not accepted; empty: it was.
        issued_at: By the control plane's clock.
        refresh_after: From when on a newer one should be fetched.
        paid_until: Last moment that is paid for.
        until: When access changes next if nothing happens.
    """

    level: str
    reason: str
    way_back: str = ""
    refused: str = ""
    issued_at: datetime | None = None
    refresh_after: datetime | None = None
    paid_until: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefusalSeen:
    """An activation that was refused, in the words it was refused with."""

    code: str
    message: str
    next_step: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DeviceSeen:
    """What the data folder says.

    Attributes:
        known: There is a database.
        activated: This device was activated and not deactivated since.
        key_problem: Why the device key cannot be used; None: it can, or there is none.
        has_key: There is one.
        certificate: None: none is needed, or it cannot be read.
        entitlement: None: never activated.
        server: Where it was activated, `HOST:PORT`; empty: with a file, or never.
        device_server: Where it checks in; empty likewise.
        last_check_in: Last contact that worked.
        mark: The latest time that was seen, whoever said it.
        refusal: Of the last activation; None: it succeeded, or there was none.
        attempt: Control plane whose answer to an activation never came.
        pending: Detections on their way.
        set_aside: Detections the control plane refuses for good.
        dropped: Detections lost on the way, by class.
        unfinished: Files between their place and the vault.
        held: Files in the vault.
    """

    known: bool = False
    activated: bool = False
    key_problem: BucklerError | None = None
    has_key: bool = False
    certificate: CertificateSeen | None = None
    entitlement: EntitlementSeen | None = None
    server: str = ""
    device_server: str = ""
    last_check_in: datetime | None = None
    mark: datetime | None = None
    refusal: RefusalSeen | None = None
    attempt: str = ""
    pending: int = 0
    set_aside: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    unfinished: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class AgentSeen:
    """The running agent.

    Attributes:
        running: One answers.
        problem: Why it does not answer although it is there; None: it answers, or there is none.
        fields: What `buckler status` prints, by name.
    """

    running: bool
    problem: BucklerError | None = None
    fields: Mapping[str, object] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A field as text; empty: not known."""
        value = self.fields.get(name)
        return "" if value is None else str(value)

    def number(self, name: str) -> float:
        """A field as a number; 0: not known."""
        value = self.fields.get(name)
        return float(value) if isinstance(value, int | float) else 0.0

    def lines(self, name: str) -> tuple[str, ...]:
        """A field that is a list."""
        value = self.fields.get(name)
        return tuple(str(line) for line in value) if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class ScanSeen:
    """What became of the EICAR test file; `found`: names of what was found; `made_at`: when the rules were made."""

    found: tuple[str, ...]
    incomplete: str = ""
    rules_version: str = ""
    made_at: datetime | None = None


# ---------------------------------------------------------------- the way to the control plane


class Stage(Enum):
    """The step at which the way to the control plane ends; in order."""

    NAME = "name"
    PORT = "port"
    TLS = "tls"
    HTTP2 = "http2"
    #: All of it works.
    THROUGH = "through"


class Fault(Enum):
    """Why it ends there."""

    NONE = ""
    NAME_UNKNOWN = "name_unknown"
    REFUSED = "refused"
    SILENT = "silent"
    NO_TLS = "no_tls"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    OTHER_NAME = "other_name"
    UNKNOWN_AUTHORITY = "unknown_authority"
    #: TLS, but no HTTP/2 was agreed on.
    NOT_OFFERED = "not_offered"
    #: HTTP/2 was agreed on, and then cut.
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class WaySeen:
    """The way to one address.

    Attributes:
        target: `HOST:PORT`.
        stage: Where it ends.
        fault: Why.
        detail: In the system's words.
        addresses: What the name stands for.
        issuer: Who issued the certificate that was shown; empty: none was shown.
        middlebox: How whoever answers names itself; empty: it does not.
    """

    target: str
    stage: Stage
    fault: Fault = Fault.NONE
    detail: str = ""
    addresses: tuple[str, ...] = ()
    issuer: str = ""
    middlebox: str = ""

    def reached(self, stage: Stage) -> bool:
        """Whether the way goes beyond a step."""
        order = list(Stage)
        return order.index(self.stage) > order.index(stage)


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """What the control plane says to anybody.

    Attributes:
        version: Of its program; empty: it is too old to say.
        time: Its clock; None likewise.
        measured_at: This device's clock when the answer came.
        oldest_agent: Agents before this version are not served any more; empty: all are.
        problem: It answers, but not as it should.
    """

    version: str = ""
    time: datetime | None = None
    measured_at: datetime | None = None
    oldest_agent: str = ""
    problem: BucklerError | None = None


# ---------------------------------------------------------------- everything


class Repairs(Protocol):
    """What `--fix` can do; each says in one sentence what it did.

    All of them raise `BucklerError` when it cannot be done.
    """

    def close_folder(self) -> str:
        """Take away permissions on the data folder and its secrets that nobody needs."""

    def make_room(self) -> str:
        """Delete what may be deleted at any time."""

    def rebuild_database(self) -> str:
        """Keep what can be read, and put the damaged file aside."""

    def start_service(self) -> str:
        """Have the supervisor start the agent."""

    def ask_server_again(self) -> str:
        """Have the running agent check in now."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything check-ups may look at; looking may block, and raise `BucklerError` or `OSError`.

    Attributes:
        clock: Wall time.
        place: Where things are.
        machine: The operating system.
        database: What is wrong with the database; empty: nothing.
        device: What the data folder says.
        agent: What the running agent says.
        service: What the supervisor says.
        scan: What scanning the EICAR test file brought.
        way: To the port where devices are activated; None: no control plane is known.
        device_way: To the port where this device checks in, as far as it is another one.
        server: What the control plane says to anybody; None: nothing is known, or the way does not lead there.
        repairs: What `--fix` can do.
    """

    clock: Clock
    place: Place
    machine: Machine
    database: Once[str]
    device: Once[DeviceSeen]
    agent: Once[AgentSeen]
    service: Once[ServiceStatus]
    scan: Once[ScanSeen]
    way: Once[WaySeen | None]
    device_way: Once[WaySeen | None]
    server: Once[ServerSeen | None]
    repairs: Repairs

    def forget(self) -> None:
        """Something was mended: look again."""
        for seen in (
            self.database, self.device, self.agent, self.service, self.scan, self.way, self.device_way, self.server,
        ):  # fmt: skip
            seen.forget()
