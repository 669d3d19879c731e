"""What long work wants of its interpreter, and of the system's limits."""

import gc
import sys

#: How long one thread may keep the others waiting for the interpreter, in seconds. A capture gives it back at each of
#: its system calls and needs it again after each: with the default (5 ms) that adds up while events are read.
_SWITCH_S = 0.0005
#: So many new objects, instead of 700, before Python looks for circles among them: some hundred files' worth.
_OBJECTS_BEFORE_A_LOOK = 50_000


def settle_in() -> None:
    """To be called once a service is built: what is there stays, what building took goes, and threads take turns."""
    from agent.platform.allocator import give_back_freed_memory

    collect_rarely()
    give_back_freed_memory()
    sys.setswitchinterval(_SWITCH_S)


def look_rarely() -> None:
    """Look for circles of dead objects seldom: loading a program makes many objects, and hardly any that die."""
    gc.set_threshold(_OBJECTS_BEFORE_A_LOOK)


def collect_rarely() -> None:
    """Look for circles of dead objects seldom, and never among those that are here now.

    Scanning leaves none behind, or few; looking for them took 7% of the processor time of a scan of 47,000 files.
    """
    gc.collect()
    gc.freeze()
    look_rarely()


def files_allowed() -> int | None:
    """How many files this process may hold open, after asking for all that its limits permit; None: nobody says."""
    if sys.platform == "win32":
        return None
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return None if most == resource.RLIM_INFINITY else most
