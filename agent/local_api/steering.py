"""What the owner may do about scheduled scans; the agent alone does them, so there is nothing to steer without it."""

from collections.abc import Callable
from enum import Enum

from agent.local_api.status import StatusField


class ScanAction(Enum):
    """The words of `buckler schedule`."""

    #: Change nothing.
    TELL = ""
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


#: Do it, and tell how scheduled scans stand then; raises `BucklerError` when there is nothing to do it with.
ScanSteering = Callable[[ScanAction], tuple[StatusField, ...]]
