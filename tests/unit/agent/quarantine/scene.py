"""A folder of a user, a vault, and a scan's word about a file: what every test of the vault starts from."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import pytest

from agent.domain.facts import Finding, ScanFacts, Severity
from agent.domain.files import FileIdentity
from agent.domain.incident import Incident, Origin
from agent.domain.ports import CaptureRequest, Store
from agent.domain.quarantine import CaptureState, HistoryEvent, QuarantineEntry
from agent.domain.retention import RetentionLimits
from agent.platform.processes.ending import StopProcesses, stop_none
from agent.quarantine.steps import AfterStep, Step, nothing_after
from agent.quarantine.vault import Vault, VaultSettings
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.fakes.randomness import SeededRandomness
from tests.fakes.store import MemoryStore

INFECTED = b"a harmless stand-in for something infected\n"
FOUND = (Finding("Stand_In", "test", Severity.HIGH),)


def identity_of(path: str) -> FileIdentity:
    found = os.lstat(path)
    return FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def scanned(path: Path | str, number: int = 1, content: bytes | None = None) -> CaptureRequest:
    """What a scanner that read the file just now asks the vault to take."""
    name = str(path)
    data = Path(name).read_bytes() if content is None else content
    return CaptureRequest(
        incident_uuid=UUID(int=number),
        path=name,
        identity=identity_of(name),
        facts=ScanFacts(
            sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), engine="yara 4.5.4", signatures_version="7"
        ),
        findings=FOUND,
        origin=Origin.SCAN,
        detected_at=SOME_MONDAY,
    )


def without_digest(request: CaptureRequest) -> CaptureRequest:
    """The scanner found something before a limit kept it from reading the file to its end."""
    return replace(request, facts=replace(request.facts, sha256=""))


@dataclass
class Scene:
    root: Path
    store: Store = field(default_factory=MemoryStore)
    after_step: AfterStep = nothing_after
    steps: list[Step] = field(default_factory=list)
    limits: RetentionLimits = field(default_factory=RetentionLimits)
    clock: FakeClock = field(default_factory=FakeClock)
    stop: StopProcesses = stop_none

    def __post_init__(self) -> None:
        # `resolve`: on some systems the temporary folder is reached through a link, which the vault refuses.
        self.root = self.root.resolve()
        self.home = self.root / "home"
        self.home.mkdir(exist_ok=True)
        self.vault_dir = self.root / "data" / "vault"
        self.vault = self.new_vault()

    def new_vault(self, seed: int = 0) -> Vault:
        """As after a restart: nothing is remembered but what is on disk."""
        settings = VaultSettings(self.vault_dir, self.limits)
        return Vault(settings, self.store, self.clock, SeededRandomness(seed), self._after, self.stop)

    def infected(self, name: str = "evil.exe", content: bytes = INFECTED) -> Path:
        path = self.home / name
        path.write_bytes(content)
        return path

    def incidents(self) -> list[Incident]:
        with self.store.transaction() as tables:
            return tables.outbox.pending(10_000)

    def entry(self, entry_id: str) -> QuarantineEntry:
        with self.store.transaction() as tables:
            entry = tables.journal.get(entry_id)
        assert entry is not None
        return entry

    def history(self, entry_id: str) -> list[tuple[HistoryEvent, str, str]]:
        with self.store.transaction() as tables:
            return [(note.event, note.actor, note.detail) for note in tables.journal.history(entry_id)]

    def entries(self, states: Iterable[CaptureState] | None = None) -> list[QuarantineEntry]:
        with self.store.transaction() as tables:
            return tables.journal.entries(states)

    def sealed(self) -> list[str]:
        return sorted(path.name for path in self.vault_dir.glob("*.bkq*"))

    def staged(self) -> list[str]:
        return sorted(path.name for path in (self.vault_dir / "staging").glob("*"))

    def names(self) -> list[str]:
        return sorted(path.name for path in self.home.iterdir())

    def _after(self, entry_id: str, step: Step) -> None:
        self.steps.append(step)
        self.after_step(entry_id, step)


class PowerCutError(BaseException):
    """Nothing of ours may catch it."""


async def crash(scene: Scene, path: Path, at: Step) -> None:
    """Capture until a step is durable."""

    def cut(entry_id: str, step: Step) -> None:
        if step is at:
            raise PowerCutError

    scene.after_step = cut
    with pytest.raises(PowerCutError):
        await scene.vault.capture(scanned(path))
    scene.after_step = nothing_after
