"""Keeps the event source open: restarts it when it dies, notices roots that come back."""

import asyncio
from collections.abc import Callable

import structlog

from agent.domain.errors import BucklerError
from agent.domain.files import EventsLost, FolderAppeared
from agent.domain.health import HealthIssue
from agent.domain.ports import EventSource, Randomness
from agent.platform.mountinfo import not_storage
from agent.realtime.commands import Input
from agent.realtime.roots import resolve_roots, root_problem
from agent.realtime.settings import RealtimeSettings
from agent.realtime.territory import Territory, printable

log = structlog.get_logger(__name__)


class SourceKeeper:
    """Opens, closes, opens again.

    Args:
        settings: Roots and pauses.
        source: What to keep open.
        randomness: Jitter for the pauses.
        deliver: Receives the source's events.
        opened: Called after each opening.
    """

    def __init__(
        self,
        settings: RealtimeSettings,
        source: EventSource,
        randomness: Randomness,
        deliver: Callable[[Input], None],
        opened: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._source = source
        self._randomness = randomness
        self._deliver = deliver
        self._opened = opened
        self._territory = Territory((), settings.excluded)
        self._lost: dict[str, str] = {}
        self._down_because = ""
        self._wake = asyncio.Event()

    @property
    def delivering(self) -> bool:
        """A source is open on at least one root."""
        return not self._down_because and bool(self._territory.roots)

    def territory(self) -> Territory:
        """What is watched now."""
        return self._territory

    def not_storage(self) -> frozenset[str]:
        """Folders that walks must not enter."""
        return not_storage()

    def issues(self) -> tuple[HealthIssue, ...]:
        """Lost roots, dead source."""
        found = [
            HealthIssue("root_lost", f"{printable(root)} is not watched: {reason}")
            for root, reason in self._lost.items()
        ]
        if self._down_because:
            found.append(HealthIssue("source_down", f"{self._source.name} delivers nothing: {self._down_because}"))
        return tuple(found)

    def open_first(self) -> None:
        """Open on all roots or not at all.

        Raises:
            BucklerError: As the source says.
        """
        roots = resolve_roots(self._settings.roots)
        self._open([root.path for root in roots])

    def restart(self, reason: str) -> None:
        """The source is dead."""
        self._down_because = reason
        self._wake.set()

    def lose(self, root: str, reason: str) -> None:
        """A root is not watched any more."""
        log.warning("root_lost", root=printable(root), reason=reason)
        self._lost[root] = reason
        kept = [known for known in self._territory.roots if known != root]
        self._territory = Territory(kept, self._settings.excluded)
        self._wake.set()

    def close(self) -> None:
        """For good."""
        self._source.close()

    async def run(self) -> None:
        """Restart when needed, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            pause = self._settings.restart_after_s
            while self._down_because:
                await asyncio.sleep(pause * self._randomness.uniform(0.8, 1.2))
                pause = min(pause * 2, self._settings.restart_at_most_s)
                self._try_again()
            while self._lost and not self._down_because:
                await asyncio.sleep(self._settings.root_retry_s)
                if any(not root_problem(root) for root in self._lost):
                    self._try_again()

    def _try_again(self) -> None:
        wanted = [*self._territory.roots, *self._lost]
        usable = [root for root in wanted if not root_problem(root)]
        self._source.close()
        if not usable:
            self._territory = Territory((), self._settings.excluded)
            self._lost |= {root: root_problem(root) for root in wanted}
            self._down_because = ""
            return
        try:
            self._open(usable)
        except BucklerError as failure:
            self._down_because = failure.message
            return
        back = [root for root in self._lost if root in usable]
        self._lost = {root: root_problem(root) for root in wanted if root not in usable}
        log.info("source_restarted", source=self._source.name, roots=len(usable))
        # The walk that was owed when it died may be over: what happened since is found by another one.
        self._deliver(EventsLost(self._source.name, "a lost folder came back" if back else "it had to be opened again"))
        for root in back:
            # What is in it may be another disk's, with times from long before the last life sign.
            self._deliver(FolderAppeared(root))

    def _open(self, roots: list[str]) -> None:
        self._source.open(roots, self._deliver)
        self._territory = Territory(roots, self._settings.excluded)
        self._down_because = ""
        self._opened()
