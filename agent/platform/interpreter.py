"""What a service that waits for events wants of its interpreter, and of the system's limits."""

import gc
import sys

#: How long one thread may keep the others waiting for the interpreter, in seconds. A capture gives it back at each of
#: its system calls and needs it again after each: with the default (5 ms) that adds up while events are read.
_SWITCH_S = 0.0005


def settle_in() -> None:
    """To be called once everything is built: what is there now stays, so that collecting garbage need not visit it."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_S)


def files_allowed() -> int | None:
    """How many files this process may hold open, after asking for all that its limits permit; None: nobody says."""
    if sys.platform == "win32":
        return None
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return None if most == resource.RLIM_INFINITY else most
