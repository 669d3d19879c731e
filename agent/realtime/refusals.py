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


def too_many_watches(reason: str, allowed: int | None, needed: int | None) -> BucklerError:
    """Not every folder can be watched with inotify."""
    count = f"{needed} folders are" if needed else "folders are"
    enough = f" to {needed + (allowed or 0)}" if needed else ""
    return BucklerError(
        "WATCH_LIMIT",
        f"{count} too many to watch them all ({reason}); this user may watch {allowed or 'some'}",
        next_step=f"raise fs.inotify.max_user_watches{enough} (or max_user_instances), or watch fewer folders",
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
