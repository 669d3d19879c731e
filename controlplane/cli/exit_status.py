"""Exit statuses of `buckler-server` and `bucklerctl`; the same numbers as on the device (docs/exit-status.md)."""

from enum import IntEnum

from controlplane.runtime.refusal import Kind


class ExitStatus(IntEnum):
    """The same for every command."""

    OK = 0
    #: The control plane refused, or a check-up found something: the answer is "no".
    NEGATIVE = 1
    #: Bad usage, a bad file, something that does not exist: the question was wrong.
    BAD_INPUT = 2
    #: Not everything could be done or looked at.
    INCOMPLETE = 3
    #: The other side could not be reached or did not prove who it is; asking again later may help.
    UNREACHABLE = 4
    #: This machine does not let us: permission, folder, port in use.
    ENVIRONMENT = 5


EXIT_STATUS_OF = {
    Kind.INVALID: ExitStatus.BAD_INPUT,
    Kind.UNAUTHENTICATED: ExitStatus.NEGATIVE,
    Kind.FORBIDDEN: ExitStatus.NEGATIVE,
    Kind.NOT_FOUND: ExitStatus.BAD_INPUT,
    Kind.CONFLICT: ExitStatus.NEGATIVE,
    Kind.PRECONDITION: ExitStatus.NEGATIVE,
    Kind.EXHAUSTED: ExitStatus.NEGATIVE,
    Kind.UNAVAILABLE: ExitStatus.UNREACHABLE,
    Kind.ENVIRONMENT: ExitStatus.ENVIRONMENT,
}
