"""What people are told when a source, or a part of one, is not to be had here."""

from agent.domain.errors import BucklerError, ExitStatus


def not_permitted(reason: str) -> BucklerError:
    """This process may not use fanotify."""
    return BucklerError(
        "FANOTIFY_NOT_PERMITTED",
        f"this process may not use fanotify: {reason}",
        next_step='run the agent as root, or set source = "watchdog" (or "auto") under [realtime]',
        exit_status=ExitStatus.ENVIRONMENT,
    )


def too_many_marks() -> BucklerError:
    """The kernel has no marks left for fanotify."""
    return BucklerError(
        "WATCH_LIMIT",
        "the kernel's limit of fanotify marks is reached",
        next_step="raise fs.fanotify.max_user_marks, or watch fewer file systems",
        exit_status=ExitStatus.ENVIRONMENT,
    )


def too_many_watches(reason: str, allowed: int | None) -> BucklerError:
    """Not every folder can be watched with inotify."""
    return BucklerError(
        "WATCH_LIMIT",
        f"not every folder under the roots can be watched ({reason}); this user may watch {allowed or 'some'}",
        next_step="raise fs.inotify.max_user_watches (or max_user_instances), watch fewer folders, or run as root",
        exit_status=ExitStatus.ENVIRONMENT,
    )


def blocking_unavailable(reason: str) -> BucklerError:
    """Openers cannot be held here."""
    return BucklerError(
        "BLOCKING_UNAVAILABLE",
        f"openers cannot be held on this device: {reason}",
        next_step='set mode = "notify" under [realtime]; files are still looked at as soon as they change',
        exit_status=ExitStatus.ENVIRONMENT,
    )
