"""Whether the kernel's limits of inotify are enough for what is watched, as a decision on numbers."""

from dataclasses import dataclass

from agent.domain.health import HealthIssue

#: Folders are made all the time: beyond this part of the limit it is too late for most of them.
_NEARLY = 0.8
#: What Linux itself starts with (`fs/notify/inotify/inotify_user.c`); less than that was chosen by somebody.
_QUEUE_AT_LEAST = 16_384


@dataclass(frozen=True, slots=True)
class InotifyUsage:
    """What is used of what there is.

    Attributes:
        watches: Folders watched by this agent.
        refused: Folders that should be watched and are not, since the source was opened.
        allowed: `fs.inotify.max_user_watches`, shared by all programs of this user; None: unknown.
        queued: `fs.inotify.max_queued_events`; None: unknown.
    """

    watches: int
    refused: int
    allowed: int | None
    queued: int | None


def inotify_issues(usage: InotifyUsage) -> tuple[HealthIssue, ...]:
    """What is too low, each with the setting to change and a value that will do."""
    found: list[HealthIssue] = []
    enough = 2 * (usage.watches + usage.refused)
    raise_it = f"set fs.inotify.max_user_watches to {max(enough, usage.allowed or 0) + 8192} or more"
    if usage.refused:
        why = f"{usage.refused} folders are not watched: no inotify watches are left for this user; {raise_it}"
        found.append(HealthIssue("watch_limit", f"{why}, then restart the agent"))
    elif usage.allowed is not None and usage.watches > usage.allowed * _NEARLY:
        why = f"{usage.watches} of the {usage.allowed} folders that this user may watch are in use"
        found.append(HealthIssue("watch_limit", f"{why}; {raise_it}"))
    if usage.queued is not None and usage.queued < _QUEUE_AT_LEAST:
        why = f"the kernel keeps only {usage.queued} file events, and drops the rest of a burst"
        found.append(HealthIssue("event_queue_short", f"{why}; set fs.inotify.max_queued_events to {_QUEUE_AT_LEAST}"))
    return tuple(found)
