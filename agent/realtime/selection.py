"""Which event source this device gets."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from agent.domain.errors import BucklerError
from agent.domain.ports import Clock, EventSource
from agent.platform.fanotify import permitted
from agent.realtime.refusals import not_permitted
from agent.realtime.settings import BlockSettings
from agent.realtime.sources.fanotify import FanotifySource
from agent.realtime.sources.watchdog import WatchdogSource

Wanted = Literal["auto", "fanotify", "watchdog"]


def choose_source(
    wanted: str,
    *,
    excluded: Sequence[str],
    locked: Sequence[str],
    own_pids: Callable[[], frozenset[int]],
    clock: Clock,
    block: BlockSettings,
) -> EventSource:
    """Choose.

    Args:
        wanted: `auto`: the kernel's own fanotify where we may use it, the watchdog library otherwise.
        excluded: Our own folders (data, vault); nothing in them is ever reported.
        locked: Files on which this process holds locks; no event may open them here.
        own_pids: This agent's processes, workers included; what they write is not reported.
        clock: Passed on.
        block: How openers are held, where they can be.

    Raises:
        BucklerError: `SOURCE_UNKNOWN`; `FANOTIFY_NOT_PERMITTED` if it was asked for by name.
    """
    if wanted not in get_args(Wanted):
        raise BucklerError(
            "SOURCE_UNKNOWN",
            f"there is no event source named {wanted!r}",
            next_step="set source under [realtime] to auto, fanotify or watchdog",
        )
    may_use_fanotify = wanted != "watchdog" and permitted()
    if wanted == "fanotify" and not may_use_fanotify:
        raise not_permitted("it needs Linux and root (CAP_SYS_ADMIN)")
    if may_use_fanotify:
        return FanotifySource(excluded=excluded, locked=locked, own_pids=own_pids, clock=clock, block=block)
    return WatchdogSource(excluded=excluded, clock=clock)
