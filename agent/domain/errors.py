"""The one error a person ever sees: what happened, a stable code, the next step, an exit status."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of `buckler`, the same for every command (documented in docs/exit-status.md).

    `buckler scan` uses 0 to 3 with the meanings of its contract; the other commands use the whole list.
    """

    OK = 0
    #: A threat was found, the device is not healthy, or the control plane refused: the answer is "no".
    NEGATIVE = 1
    #: Bad usage, bad rules, a file that cannot be read: the question was wrong.
    BAD_INPUT = 2
    #: Nothing was found, but not everything could be looked at.
    INCOMPLETE = 3
    #: The other side could not be reached or did not prove who it is; asking again later may help.
    UNREACHABLE = 4
    #: This machine does not let us: permission, missing system feature, another agent running.
    ENVIRONMENT = 5


class BucklerError(Exception):
    """A failure that its reader can act on.

    Args:
        code: Stable upper-case code, for scripts, documentation and support.
        message: One sentence without a final period: what happened.
        next_step: One sentence without a final period: what the reader can do.
        exit_status: What the process ends with if nobody handles this.
        facts: Named details, all of them safe to show and to send to support.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        next_step: str,
        exit_status: ExitStatus = ExitStatus.BAD_INPUT,
        facts: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step
        self.exit_status = exit_status
        self.facts = facts or {}
