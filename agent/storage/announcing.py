"""A store that says when something in it changed, so that nobody has to ask all the time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from agent.domain.exclusions import Exclusion
from agent.domain.incident import Incident
from agent.domain.ports import (
    CommandRecord,
    EnrolmentRecord,
    Exclusions,
    Outbox,
    QuarantineJournal,
    Settings,
    Store,
    Transaction,
)


class AnnouncingStore:
    """Port `agent.domain.ports.Store` around another one.

    The announcement is made once the change is durable and before `transaction()` is left, in the thread that made
    it: what was changed is in force before the caller goes on.

    Args:
        store: Does the work.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._exclusions_changed: list[Callable[[], None]] = []
        self._outbox_grew: list[Callable[[], None]] = []

    def when_exclusions_change(self, tell: Callable[[], None]) -> None:
        """Have `tell` called after an exclusion was added or removed."""
        self._exclusions_changed.append(tell)

    def when_outbox_grows(self, tell: Callable[[], None]) -> None:
        """Have `tell` called after a detection was put there to be sent."""
        self._outbox_grew.append(tell)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Begin; see `agent.domain.ports.Store.transaction`."""
        with self._store.transaction() as tables:
            watched = _Watched(tables)
            yield watched
        if watched.exclusions.changed:
            for tell in self._exclusions_changed:
                tell()
        if watched.outbox.grew:
            for tell in self._outbox_grew:
                tell()


class _Watched:
    """The tables of one transaction, two of them watched."""

    def __init__(self, tables: Transaction) -> None:
        self._tables = tables
        self.exclusions = _WatchedExclusions(tables.exclusions)
        self.outbox = _WatchedOutbox(tables.outbox)

    @property
    def journal(self) -> QuarantineJournal:
        return self._tables.journal

    @property
    def enrolment(self) -> EnrolmentRecord:
        return self._tables.enrolment

    @property
    def settings(self) -> Settings:
        return self._tables.settings

    @property
    def commands(self) -> CommandRecord:
        return self._tables.commands


@dataclass
class _WatchedExclusions:
    inner: Exclusions
    changed: bool = field(default=False, init=False)

    def add(self, exclusion: Exclusion) -> None:
        self.changed = True
        self.inner.add(exclusion)

    def remove(self, exclusion_id: str) -> bool:
        self.changed = True
        return self.inner.remove(exclusion_id)

    def all(self) -> tuple[Exclusion, ...]:
        return self.inner.all()


@dataclass
class _WatchedOutbox:
    inner: Outbox
    grew: bool = field(default=False, init=False)

    def add(self, incident: Incident) -> None:
        self.grew = True
        self.inner.add(incident)

    def pending(self, limit: int) -> list[Incident]:
        return self.inner.pending(limit)

    def acknowledge(self, uuids: Iterable[UUID]) -> None:
        self.inner.acknowledge(uuids)

    def set_aside(self, uuid: UUID, reason: str) -> None:
        self.inner.set_aside(uuid, reason)

    def aside(self) -> int:
        return self.inner.aside()

    def count(self) -> int:
        return self.inner.count()

    def dropped(self) -> dict[str, int]:
        return self.inner.dropped()

    def clear_dropped(self, reported: Mapping[str, int]) -> None:
        self.inner.clear_dropped(reported)
