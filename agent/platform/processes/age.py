"""Since when a process runs."""

from datetime import UTC, datetime


def started_at(pid: int) -> datetime | None:
    """None: it is gone, or not for us to know."""
    import psutil

    try:
        return datetime.fromtimestamp(psutil.Process(pid).create_time(), UTC)
    except psutil.Error:
        return None
