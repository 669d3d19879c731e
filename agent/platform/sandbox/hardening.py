"""Makes a process weak: what every operating system can take away from a process that is about to read hostile bytes.

Layers, each applied as far as the system has it and named in the report, in force or missing with the reason:

| layer | Linux | elsewhere |
|---|---|---|
| `unprivileged_user` | user and group nobody, no capability left | when started as root, by `setuid` |
| `no_new_privileges` | `PR_SET_NO_NEW_PRIVS` | - |
| `resource_limits` | memory, processor time, file size 0, descriptors, no core dump | as far as `resource` has them |
| `dies_with_parent` | `PR_SET_PDEATHSIG` | - (the socket's end is noticed instead) |
| `no_file_access` | landlock, no rule: nothing can be opened; also no TCP, no signals out | - |
| `system_call_filter` | seccomp, a list of what is allowed; the rest fails with EPERM | - |
"""

import sys
from dataclasses import dataclass

from agent.platform.sandbox.plan import SandboxPlan


@dataclass(frozen=True, slots=True)
class MissingLayer:
    """A layer this system does not give us, and why."""

    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What is in force in a process."""

    in_force: tuple[str, ...]
    missing: tuple[MissingLayer, ...]


def die_with_parent(parent_pid: int) -> None:
    """Have this process end with its parent, where the system can do that.

    Raises:
        ParentGoneError: It has ended already.
    """
    if sys.platform == "linux":
        from agent.platform.sandbox import linux

        linux.die_with_parent(parent_pid)


def harden(plan: SandboxPlan) -> SandboxReport:
    """Weaken this process for the rest of its life. Call once, after everything has been imported and loaded.

    Raises:
        ParentGoneError: See there.
    """
    if sys.platform == "linux":
        from agent.platform.sandbox.linux import LAYERS
    else:
        from agent.platform.sandbox.portable import LAYERS
    in_force: list[str] = []
    missing: list[MissingLayer] = []
    for layer, apply in LAYERS:
        try:
            apply(plan)
        except OSError as error:
            missing.append(MissingLayer(layer, error.strerror or str(error)))
        else:
            in_force.append(layer)
    return SandboxReport(tuple(in_force), tuple(missing))
