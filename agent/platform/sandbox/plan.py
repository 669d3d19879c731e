"""What is to be taken away from a process; the values that every system's sandbox works from."""

from dataclasses import dataclass

#: User and group ids of `nobody` on every Linux and BSD; used when the password database cannot be asked.
NOBODY = 65_534
#: Standard streams, the socket, and a few files on their way.
MAX_DESCRIPTORS = 32


@dataclass(frozen=True, slots=True)
class SandboxPlan:
    """What to apply.

    Attributes:
        extra_memory: Bytes of address space the process may add to what it has now.
        cpu_seconds: Processor time the process may use in all, before the kernel ends it.
        parent_pid: The process must not outlive this one.
    """

    extra_memory: int
    cpu_seconds: int
    parent_pid: int


class ParentGoneError(Exception):
    """The parent died before it could be watched; the process must end."""
