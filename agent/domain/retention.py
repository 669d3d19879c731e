"""When a quarantined file is deleted to make room; a pure decision.

Nothing is deleted unless its owner has been told so long before (`notice`), whatever the limits say: a limit that was
lowered by mistake can be raised again, and a file that was taken by mistake can be restored. By default nothing is
deleted at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

#: An announcement of less than this is none: people are away over a weekend.
SHORTEST_NOTICE = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """How much is kept.

    Attributes:
        max_size_bytes: Of all files together, as they were; None: no limit.
        keep_for: From the moment a file was taken; None: for ever.
        notice: How long before a file is deleted its owner is told, at least.
    """

    max_size_bytes: int | None = None
    keep_for: timedelta | None = None
    notice: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        """Refuse what would delete without a warning.

        Raises:
            ValueError: `notice` is shorter than `SHORTEST_NOTICE`, or a limit is negative.
        """
        if self.notice < SHORTEST_NOTICE:
            raise ValueError(f"deletions are announced at least {SHORTEST_NOTICE.days} days before")
        if (self.max_size_bytes or 0) < 0 or (self.keep_for or timedelta()) < timedelta():
            raise ValueError("a limit cannot be negative")


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file in the vault: its size in bytes, since when it has been there, and since when its end is announced."""

    entry_id: str
    size_bytes: int
    taken_at: datetime
    announced_at: datetime | None = None


class Because(Enum):
    """Why a file has to go."""

    AGE = "age"
    SIZE = "size"


@dataclass(frozen=True, slots=True)
class PlannedDeletion:
    """A file that has to go, when at the earliest, and why."""

    entry_id: str
    size_bytes: int
    due_at: datetime
    because: Because


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What is to be done about the vault now.

    Attributes:
        announce: Not announced so far.
        delete: Announced long enough ago.
        withdraw: Ids of files that were announced and may stay after all.
        pending: Everything that will go, `announce` included and `delete` left out; the earliest first.
    """

    announce: tuple[PlannedDeletion, ...]
    delete: tuple[PlannedDeletion, ...]
    withdraw: tuple[str, ...]
    pending: tuple[PlannedDeletion, ...]


def plan_retention(held: Sequence[HeldFile], limits: RetentionLimits, now: datetime) -> RetentionPlan:
    """Decide which files have to go, and when.

    A file that has grown old is announced `notice` before its time is over. While the vault is too large the files that
    have been there longest go, as many as it takes.

    Args:
        held: The files in the vault.
        limits: How much is kept.
        now: Timezone-aware.
    """
    oldest_first = sorted(held, key=lambda file: (file.taken_at, file.entry_id))
    reasons = _too_old(oldest_first, limits, now) | _too_much(oldest_first, limits)
    planned = [_planned(file, reasons[file.entry_id], limits, now) for file in oldest_first if file.entry_id in reasons]
    announced = {file.entry_id for file in held if file.announced_at is not None}
    delete = tuple(item for item in planned if item.entry_id in announced and item.due_at <= now)
    return RetentionPlan(
        announce=tuple(item for item in planned if item.entry_id not in announced),
        delete=delete,
        withdraw=tuple(sorted(announced - reasons.keys())),
        pending=tuple(sorted(set(planned) - set(delete), key=lambda item: (item.due_at, item.entry_id))),
    )


def _too_old(oldest_first: Sequence[HeldFile], limits: RetentionLimits, now: datetime) -> dict[str, Because]:
    if limits.keep_for is None:
        return {}
    soon = now + limits.notice
    return {file.entry_id: Because.AGE for file in oldest_first if file.taken_at + limits.keep_for <= soon}


def _too_much(oldest_first: Sequence[HeldFile], limits: RetentionLimits) -> dict[str, Because]:
    if limits.max_size_bytes is None:
        return {}
    found: dict[str, Because] = {}
    excess = sum(file.size_bytes for file in oldest_first) - limits.max_size_bytes
    for file in oldest_first:
        if excess <= 0:
            break
        found[file.entry_id] = Because.SIZE
        excess -= file.size_bytes
    return found


def _planned(file: HeldFile, because: Because, limits: RetentionLimits, now: datetime) -> PlannedDeletion:
    due_at = (file.announced_at or now) + limits.notice
    if because is Because.AGE and limits.keep_for is not None:
        due_at = max(due_at, file.taken_at + limits.keep_for)
    return PlannedDeletion(file.entry_id, file.size_bytes, due_at, because)
