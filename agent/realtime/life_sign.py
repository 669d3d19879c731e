"""The life sign: up to when everything was looked at, and what was still open for writing then.

A walk that looks at files changed since then finds all that was missed, but for one kind: what was written before, and
was closed by its writer while nobody listened. Such a file was held open when the sign was given; so a sign names these
too, and none is given without a list of them. An older sign is never wrong, it only makes the next walk look at more.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from agent.domain.errors import BucklerError
from agent.domain.ports import Clock, Store
from agent.platform.processes.cpu_time import of_this_thread

LIFE_SIGN = "realtime.alive_at_us"
#: The roots it holds for.
LIFE_SIGN_ROOTS = "realtime.alive_roots"
#: Inode numbers of the files that were open for writing.
LIFE_SIGN_HELD = "realtime.held_open"
#: Of more than these no sign is given.
_HELD_AT_MOST = 65_536
#: Listing them costs a five-hundredth of a processor at most.
_COST_FACTOR = 500

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LifeSign:
    """Everything up to an instant was looked at, below these roots, except what was held open.

    Attributes:
        at_us: Microseconds since the epoch.
        roots: Resolved.
        held_open: Inode numbers of files that were open for writing, on any file system.
    """

    at_us: int
    roots: tuple[str, ...]
    held_open: frozenset[int] = frozenset()


class LifeSigns:
    """Takes life signs, keeps them, and finds the last one again.

    Args:
        store: Where.
        clock: When.
        held_for_writing: Inode numbers of files open for writing now; None: cannot be known here. Raises OSError while
            it cannot find out.
    """

    def __init__(self, store: Store, clock: Clock, held_for_writing: Callable[[], frozenset[int] | None]) -> None:
        self._store = store
        self._clock = clock
        self._held_for_writing = held_for_writing
        self._blind = False
        #: How long to wait for the next one at least, in seconds.
        self.pause_s = 0.0

    def limitations(self) -> tuple[str, ...]:
        """What they cannot say here."""
        if not self._blind:
            return ()
        return (
            "a file that is held open for longer than a minute, and closed while no agent runs, is not looked at then",
        )

    def last(self) -> LifeSign | None:
        """The one that was kept last; None: there is none, or it is from the future, because the clock was set back."""
        with self._store.transaction() as tables:
            at, roots, held = (tables.settings.get(name) for name in (LIFE_SIGN, LIFE_SIGN_ROOTS, LIFE_SIGN_HELD))
        if at is None or int(at) > _microseconds(self._clock.now()):
            return None
        return LifeSign(int(at), tuple(json.loads(roots or "[]")), frozenset(json.loads(held or "[]")))

    async def take(self, roots: tuple[str, ...]) -> LifeSign | None:
        """What could be kept, if nothing waits now and nothing has come when this returns.

        Returns:
            None: More files are held open than can be remembered, or descriptors are lacking to find out.
        """
        at_us = _microseconds(self._clock.now())
        try:
            held = await asyncio.to_thread(self._list)
        except OSError as failure:
            log.warning("life_sign_omitted", reason=failure.strerror)
            return None
        self._blind = held is None
        if held is not None and len(held) > _HELD_AT_MOST:
            log.warning("life_sign_omitted", files_open_for_writing=len(held))
            return None
        return LifeSign(at_us, roots, held or frozenset())

    def _list(self) -> frozenset[int] | None:
        before_s = of_this_thread()
        held = self._held_for_writing()
        self.pause_s = (of_this_thread() - before_s) * _COST_FACTOR
        return held

    async def keep(self, sign: LifeSign) -> None:
        """From now on it is the last one, unless the database refuses it."""
        try:
            await asyncio.to_thread(self._keep, sign)
        except BucklerError as refusal:
            log.warning("life_sign_not_kept", code=refusal.code)

    def _keep(self, sign: LifeSign) -> None:
        with self._store.transaction() as tables:
            tables.settings.put(LIFE_SIGN, str(sign.at_us))
            tables.settings.put(LIFE_SIGN_ROOTS, json.dumps(sign.roots))
            tables.settings.put(LIFE_SIGN_HELD, json.dumps(sorted(sign.held_open)))


def _microseconds(instant: datetime) -> int:
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
