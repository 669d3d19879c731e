"""The steps at which a crash may come: each is durable when it is announced, and each is a place to resume from."""

from collections.abc import Callable
from enum import Enum


class Step(Enum):
    """What has just become durable."""

    PLANNED = "planned"
    MOVED = "moved"
    CAPTURED = "captured"
    SEALED = "sealed"
    STORED = "stored"
    REMOVED = "removed"
    #: The file turned out not to be the scanned one and is back in its place.
    RETURNED = "returned"
    #: The journal row is DONE or FAILED, and the incident is in the outbox.
    FINISHED = "finished"
    RESTORE_PLANNED = "restore_planned"
    RESTORE_WRITTEN = "restore_written"
    RESTORE_PLACED = "restore_placed"
    RESTORED = "restored"


#: Called with the entry's id after each step, in the thread that works; crash tests stop there.
AfterStep = Callable[[str, Step], None]


def nothing_after(entry_id: str, step: Step) -> None:
    """What a production vault does after each step."""
    del entry_id, step
