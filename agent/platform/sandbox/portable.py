"""The layers of `agent.platform.sandbox.hardening` on systems other than Linux: what plain POSIX has."""

import errno
import os
import sys
from collections.abc import Callable

from agent.platform.sandbox.plan import MAX_DESCRIPTORS, NOBODY, SandboxPlan


def _become_nobody(_plan: SandboxPlan) -> None:
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "not on Windows")
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _limit_resources(plan: SandboxPlan) -> None:
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "not on Windows")
    import resource

    # No limit on address space: macOS counts gigabytes of shared caches into it, so no useful number exists.
    for kind, value in (
        (resource.RLIMIT_CPU, plan.cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, MAX_DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def _not_here(_plan: SandboxPlan) -> None:
    raise OSError(errno.ENOTSUP, "only on Linux")


LAYERS: tuple[tuple[str, Callable[[SandboxPlan], None]], ...] = (
    ("unprivileged_user", _become_nobody),
    ("no_new_privileges", _not_here),
    ("resource_limits", _limit_resources),
    ("dies_with_parent", _not_here),
    ("no_file_access", _not_here),
    ("system_call_filter", _not_here),
)
