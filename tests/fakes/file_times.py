"""Instants by the clock that the kernel gives files their times from: it moves in ticks, behind every other clock."""

from pathlib import Path

_APART_NS = 1_000_000


def instant_between(beside: Path) -> int:
    """An instant after whatever was written so far and before whatever is written from now on.

    Args:
        beside: A folder of the file system in question; files come and go in it.

    Returns:
        Nanoseconds since the epoch; still in between when cut to microseconds.
    """
    before_ns = _time_of_a_new_file(beside)
    while _time_of_a_new_file(beside) < before_ns + _APART_NS:
        pass
    return before_ns + _APART_NS // 2


def _time_of_a_new_file(beside: Path) -> int:
    file = beside / "instant"
    file.write_bytes(b"")
    changed_ns = file.stat().st_ctime_ns
    file.unlink()
    return changed_ns
