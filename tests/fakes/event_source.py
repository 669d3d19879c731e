"""An event source that is told what happened; otherwise it behaves like the real ones."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.domain.errors import BucklerError
from agent.domain.files import (
    EventKind,
    EventsLost,
    FileEvent,
    FileIdentity,
    FolderAppeared,
    RootLost,
    SourceDied,
    SourceEvent,
)
from agent.domain.health import HealthIssue
from agent.platform.files.regular_files import identity_of, open_regular
from agent.realtime.roots import resolve_roots
from agent.realtime.territory import Territory


class FakeEventSource:
    """Implements `EventSource`; `wrote`, `appeared`, `lose`, `die` are the hands of the test."""

    def __init__(self, excluded: Sequence[str] = (), *, can_block: bool = True) -> None:
        self._excluded = excluded
        self._can_block = can_block
        self._deliver: Callable[[SourceEvent], None] | None = None
        self._territory = Territory((), ())
        self._tokens = 0
        self.openings = 0
        self.blocking = False
        self.refusal: BucklerError | None = None
        self.limits: tuple[str, ...] = ()
        self.trouble: tuple[HealthIssue, ...] = ()
        self.unanswered: set[int] = set()
        self.answers: dict[int, bool] = {}
        self.remembered: set[FileIdentity] = set()

    @property
    def name(self) -> str:
        return "fake"

    @property
    def is_open(self) -> bool:
        return self._deliver is not None

    def open(self, roots: Sequence[str], deliver: Callable[[SourceEvent], None]) -> None:
        assert self._deliver is None
        if self.refusal is not None:
            raise self.refusal
        self._territory = Territory([root.path for root in resolve_roots(roots)], self._excluded)
        self._deliver = deliver
        self.openings += 1

    def set_blocking(self, *, enabled: bool) -> None:
        if enabled and not self._can_block:
            raise BucklerError("BLOCKING_UNAVAILABLE", "openers cannot be held here", next_step="use notify")
        self.blocking = enabled

    def answer(self, token: int, *, allow: bool) -> None:
        assert token in self.unanswered, f"token {token} answered twice, or never given"
        self.unanswered.discard(token)
        self.answers[token] = allow

    def remember_clean(self, descriptor: int, identity: FileIdentity) -> None:
        if self.blocking and identity_of(os.fstat(descriptor)) == identity:
            self.remembered.add(identity)

    def forget_clean(self) -> None:
        self.remembered.clear()

    def limitations(self) -> tuple[str, ...]:
        return self.limits

    def issues(self) -> tuple[HealthIssue, ...]:
        return self.trouble

    def close(self) -> None:
        self._deliver = None
        self.blocking = False
        self.answers |= dict.fromkeys(self.unanswered, True)
        self.unanswered.clear()

    # ------------------------------------------------------------ the test's hands

    def wrote(self, path: Path | str) -> None:
        """A writer closed the file."""
        self._file(str(path), EventKind.CLOSED_AFTER_WRITE, None)

    def appeared(self, path: Path | str) -> None:
        """A file or folder was moved in, or linked."""
        if Path(path).is_dir() and not Path(path).is_symlink():
            if self._territory.covers(str(path)):
                self._tell(FolderAppeared(str(path)))
        else:
            self._file(str(path), EventKind.APPEARED, None)

    def opening(self, path: Path | str) -> int:
        """Somebody opens the file and is held."""
        self._tokens += 1
        self.unanswered.add(self._tokens)
        self._file(str(path), EventKind.OPENING, self._tokens)
        return self._tokens

    def lose(self, reason: str = "overflow") -> None:
        self._tell(EventsLost(self.name, reason))

    def die(self, reason: str = "its thread ended") -> None:
        self._tell(SourceDied(self.name, reason))

    def lose_root(self, root: Path | str, reason: str = "unmounted") -> None:
        self._tell(RootLost(str(root), reason))

    def _file(self, path: str, kind: EventKind, token: int | None) -> None:
        opened = open_regular(path) if self._territory.covers(path) else None
        if opened is not None and self._deliver is None:
            os.close(opened.descriptor)
        elif opened is not None:
            self._tell(FileEvent(opened.identity, path, opened.descriptor, 4242, kind, token, 0))

    def _tell(self, event: SourceEvent) -> None:
        if self._deliver is not None:
            self._deliver(event)
