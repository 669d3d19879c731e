"""Going last: a background scan works with what nobody else wants."""

import os
import sys
from contextlib import suppress

_LEAST_NICE = 19


def step_back() -> None:
    """Give this process the lowest priority for processor and disk, for good; its children inherit it.

    On Linux that is the idle class of both schedulers: it runs when nothing else wants to. What the system refuses is
    left as it is, since a scan that is in somebody's way is still a scan.
    """
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
        return
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _LEAST_NICE)
    if sys.platform == "linux":
        import psutil

        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        with suppress(psutil.Error, OSError):
            psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def on_battery() -> bool:
    """Whether this machine lives on its battery now; False: it has none, or it cannot be known."""
    import psutil

    # Where there are no sensors at all, psutil has no such function.
    ask = getattr(psutil, "sensors_battery", None)
    battery = ask() if ask is not None else None
    return battery is not None and battery.power_plugged is False
