"""The layers of `agent.platform.sandbox.hardening` on Linux, in the order they have to be applied."""

import ctypes
import os
import platform
import resource
from collections.abc import Callable
from pathlib import Path

from agent.platform.libc_linux import LIBC, check
from agent.platform.sandbox.landlock import forbid_file_access
from agent.platform.sandbox.plan import MAX_DESCRIPTORS, NOBODY, ParentGoneError, SandboxPlan
from agent.platform.sandbox.seccomp import filter_program, install_filter

# include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_SIGKILL = 9
#: _LINUX_CAPABILITY_VERSION_3 of include/uapi/linux/capability.h; its data are two triples of 32-bit sets.
_CAPABILITY_VERSION = 0x20080522
_CAPABILITY_WORDS = 6


def _become_nobody(_plan: SandboxPlan) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    # A service may have been started as a user with ambient capabilities.
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * _CAPABILITY_WORDS)()
    check(LIBC.capset(header, nothing))
    # Another process of the same user must not be able to trace this one.
    check(LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def _gain_nothing(_plan: SandboxPlan) -> None:
    check(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _limit_resources(plan: SandboxPlan) -> None:
    pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    address_space = pages * resource.getpagesize() + plan.extra_memory
    for kind, wanted in (
        (resource.RLIMIT_AS, address_space),
        (resource.RLIMIT_CPU, plan.cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, MAX_DESCRIPTORS),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel end this process when the thread that started it ends.

    Raises:
        ParentGoneError: It has ended already.
    """
    check(LIBC.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0))
    if os.getppid() != parent_pid:
        raise ParentGoneError


def _die_with_parent(plan: SandboxPlan) -> None:
    # After the change of user: the kernel forgets this setting when credentials change.
    die_with_parent(plan.parent_pid)


def _forbid_files(_plan: SandboxPlan) -> None:
    forbid_file_access()


def _filter_system_calls(_plan: SandboxPlan) -> None:
    install_filter(filter_program(platform.machine()))


LAYERS: tuple[tuple[str, Callable[[SandboxPlan], None]], ...] = (
    ("unprivileged_user", _become_nobody),
    ("no_new_privileges", _gain_nothing),
    ("resource_limits", _limit_resources),
    ("dies_with_parent", _die_with_parent),
    ("no_file_access", _forbid_files),
    ("system_call_filter", _filter_system_calls),
)
