"""Landlock with no rules: this process opens no file any more, uses no TCP port and signals nobody outside.

Descriptors that are open already keep working, which is the point: the parent hands in what may be read.
"""

import ctypes
import os

from agent.platform.libc_linux import LIBC, check

# The same numbers on every architecture.
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_RESTRICT_SELF = 446
_CREATE_RULESET_VERSION = 1

# include/uapi/linux/landlock.h: how many access rights exist from which version of the interface on.
_FILE_RIGHTS_BY_ABI = ((1, 13), (2, 14), (3, 15), (5, 16))
_NETWORK_ABI, _NETWORK_RIGHTS = 4, 2
_SCOPE_ABI, _SCOPE_RIGHTS = 6, 2


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def forbid_file_access() -> None:
    """Apply it to this thread, for good; threads started later inherit it.

    Raises:
        OSError: This kernel has no landlock, or it is switched off.
    """
    abi = check(LIBC.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION))
    attributes = _RulesetAttributes(*_handled(abi))
    ruleset = check(
        LIBC.syscall(_SYS_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), ctypes.sizeof(attributes), 0),
    )
    try:
        check(LIBC.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _handled(abi: int) -> tuple[int, int, int]:
    """Everything this kernel can forbid. Fields it does not know stay 0, which older kernels accept."""
    file_rights = max((count for since, count in _FILE_RIGHTS_BY_ABI if abi >= since), default=0)
    network = (1 << _NETWORK_RIGHTS) - 1 if abi >= _NETWORK_ABI else 0
    scoped = (1 << _SCOPE_RIGHTS) - 1 if abi >= _SCOPE_ABI else 0
    return (1 << file_rights) - 1, network, scoped
