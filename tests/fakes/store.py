"""A store that keeps everything in memory."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from agent.domain.commands import CommandEntry, CommandOutcome, CommandStage, RemoteCommand
from agent.domain.exclusions import Exclusion
from agent.domain.incident import Incident, IncidentAction
from agent.domain.ports import Enrolment, Transaction
from agent.domain.quarantine import CaptureState, HistoryNote, QuarantineEntry, Retained
from agent.domain.retention import HeldFile


@dataclass
class MemoryJournal:
    rows: dict[str, QuarantineEntry] = field(default_factory=dict)
    notes: list[tuple[str, HistoryNote]] = field(default_factory=list)

    def add(self, entry: QuarantineEntry) -> None:
        if entry.id in self.rows:
            raise ValueError(f"{entry.id} is there already")
        self.rows[entry.id] = entry

    def advance(
        self,
        entry_id: str,
        state: CaptureState,
        detail: str = "",
        *,
        staged_path: str | None = None,
        restore_path: str | None = None,
    ) -> None:
        row = self.rows[entry_id]
        self.rows[entry_id] = replace(
            row,
            state=state,
            detail=detail or row.detail,
            staged_path=row.staged_path if staged_path is None else staged_path,
            restore_path=row.restore_path if restore_path is None else restore_path,
        )

    def get(self, entry_id: str) -> QuarantineEntry | None:
        return self.rows.get(entry_id)

    def entries(self, states: Iterable[CaptureState] | None = None) -> list[QuarantineEntry]:
        wanted = set(CaptureState if states is None else states)
        return [row for row in self.rows.values() if row.state in wanted]

    def retained(self) -> Retained:
        held = self.entries({CaptureState.DONE})
        return Retained(
            len(held),
            sum(row.identity.size_bytes for row in held),
            min((row.planned_at for row in held), default=None),
        )

    def held(self) -> list[HeldFile]:
        return [
            HeldFile(row.id, row.identity.size_bytes, row.planned_at, row.deletion_announced_at)
            for row in self.entries({CaptureState.DONE})
        ]

    def announce_deletion(self, entry_id: str, at: datetime | None) -> None:
        self.rows[entry_id] = replace(self.rows[entry_id], deletion_announced_at=at)

    def note(self, entry_id: str, note: HistoryNote) -> None:
        if entry_id not in self.rows:
            raise ValueError(f"there is no {entry_id}")
        self.notes.append((entry_id, note))

    def history(self, entry_id: str) -> tuple[HistoryNote, ...]:
        return tuple(note for noted, note in self.notes if noted == entry_id)


@dataclass
class MemoryOutbox:
    bound: int
    rows: list[Incident] = field(default_factory=list)
    reasons: dict[UUID, str] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)

    def add(self, incident: Incident) -> None:
        if any(row.uuid == incident.uuid for row in self.rows):
            return
        self.rows.append(incident)
        while len(self.rows) > self.bound:
            least = min(self.rows, key=self._worth)
            self.rows.remove(least)
            if self.reasons.pop(least.uuid, None) is None:
                self._drop(least.action.value)

    def pending(self, limit: int) -> list[Incident]:
        waiting = [row for row in self.rows if row.uuid not in self.reasons]
        return sorted(waiting, key=lambda row: row.action is IncidentAction.REPORTED)[:limit]

    def acknowledge(self, uuids: Iterable[UUID]) -> None:
        gone = set(uuids)
        self.rows = [row for row in self.rows if row.uuid not in gone]
        self.reasons = {uuid: reason for uuid, reason in self.reasons.items() if uuid not in gone}

    def set_aside(self, uuid: UUID, reason: str) -> None:
        if uuid not in self.reasons and any(row.uuid == uuid for row in self.rows):
            self.reasons[uuid] = reason
            self._drop("set_aside")

    def aside(self) -> int:
        return len(self.reasons)

    def count(self) -> int:
        return len(self.rows) - len(self.reasons)

    def dropped(self) -> dict[str, int]:
        return dict(self.drops)

    def clear_dropped(self, reported: Mapping[str, int]) -> None:
        left = {name: rows - reported.get(name, 0) for name, rows in self.drops.items()}
        self.drops = {name: rows for name, rows in left.items() if rows > 0}

    def _drop(self, name: str) -> None:
        self.drops[name] = self.drops.get(name, 0) + 1

    def _worth(self, row: Incident) -> int:
        """`min` takes the oldest of equals, as rows are kept in the order they came."""
        if row.uuid in self.reasons:
            return 0
        return 1 if row.action is IncidentAction.REPORTED else 2


@dataclass
class MemoryExclusions:
    rows: dict[str, Exclusion] = field(default_factory=dict)

    def add(self, exclusion: Exclusion) -> None:
        if exclusion.id in self.rows:
            raise ValueError(f"{exclusion.id} is there already")
        self.rows[exclusion.id] = exclusion

    def remove(self, exclusion_id: str) -> bool:
        return self.rows.pop(exclusion_id, None) is not None

    def all(self) -> tuple[Exclusion, ...]:
        return tuple(self.rows.values())


@dataclass
class MemoryEnrolment:
    row: Enrolment | None = None

    def get(self) -> Enrolment | None:
        return self.row

    def put(self, enrolment: Enrolment) -> None:
        self.row = enrolment

    def forget(self) -> None:
        self.row = None


@dataclass
class MemorySettings:
    rows: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        return self.rows.get(name)

    def put(self, name: str, value: str) -> None:
        self.rows[name] = value


@dataclass
class MemoryCommands:
    rows: dict[str, CommandEntry] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def receive(self, command: RemoteCommand) -> None:
        self.rows.setdefault(command.id, CommandEntry(command, CommandStage.RECEIVED))
        self.known.discard(command.id)

    def advance(self, command_id: str, stage: CommandStage, outcome: CommandOutcome | None = None) -> None:
        told = outcome or CommandOutcome(stage)
        command = self.rows[command_id].command
        self.rows[command_id] = CommandEntry(command, stage, told.code, told.message, dict(told.result))
        self.known.discard(command_id)

    def entries(self, stages: Iterable[CommandStage]) -> list[CommandEntry]:
        wanted = set(stages)
        return [entry for entry in self.rows.values() if entry.stage in wanted]

    def untold(self, limit: int) -> list[CommandEntry]:
        news = [
            entry
            for entry in self.rows.values()
            if entry.command.id not in self.known and entry.stage is not CommandStage.RECEIVED
        ]
        return news[:limit]

    def told(self, command_id: str, stage: CommandStage) -> None:
        if self.rows[command_id].stage is stage:
            self.known.add(command_id)


class MemoryTables:
    """One state of all tables; port `agent.domain.ports.Transaction`."""

    def __init__(self, outbox_bound: int) -> None:
        self.journal = MemoryJournal()
        self.outbox = MemoryOutbox(outbox_bound)
        self.exclusions = MemoryExclusions()
        self.enrolment = MemoryEnrolment()
        self.settings = MemorySettings()
        self.commands = MemoryCommands()


class MemoryStore:
    """Honest fake of `agent.domain.ports.Store`: rolls back, follows one another, refuses to nest.

    Attributes:
        fail_next: Raised once by the next transaction at its end, as a full disk would; nothing of it is kept.
    """

    def __init__(self, *, outbox_bound: int = 10_000) -> None:
        self._tables = MemoryTables(outbox_bound)
        self._lock = threading.Lock()
        self._holder: int | None = None
        self.fail_next: Exception | None = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if self._holder == threading.get_ident():
            raise RuntimeError("a transaction is open in this thread; transactions do not nest")
        with self._lock:
            self._holder = threading.get_ident()
            try:
                working = deepcopy(self._tables)
                yield working
                if self.fail_next is not None:
                    error, self.fail_next = self.fail_next, None
                    raise error
                self._tables = working
            finally:
                self._holder = None
