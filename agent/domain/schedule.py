"""When scans are due that nobody asks for: what is written in a configuration, and pure arithmetic with it.

A schedule is a time of day in the device's own time zone. A scan that was missed (the device was off, or may not scan)
is due at once, and once only, however many times it was missed.
"""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from enum import Enum

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TEXT = re.compile(rf"(?:daily|weekly ({'|'.join(_DAYS)})) ([01]\d|2[0-3]):([0-5]\d)")


class ScanKind(Enum):
    """What a scheduled scan looks at."""

    #: What runs, what starts by itself, and where new files arrive.
    QUICK = "quick"
    #: All local file systems.
    FULL = "full"


def finished_setting(kind: ScanKind) -> str:
    """Setting of the store: when the last scan of a kind came to its end, ISO 8601."""
    return f"last_{kind.value}_scan"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A time of day, every day or once a week.

    Attributes:
        at: Local time, without a zone.
        weekday: 0 is Monday; None: every day.
    """

    at: time
    weekday: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Schedule | None":
        """Read `daily 12:30` or `weekly sunday 03:00`; None: `off`.

        Raises:
            ValueError: It is neither.
        """
        words = " ".join(text.lower().split())
        if words == "off":
            return None
        found = _TEXT.fullmatch(words)
        if found is None:
            raise ValueError(f"`off`, `daily 12:30` or `weekly sunday 03:00`, not {text!r}")
        day, hour, minute = found.groups()
        return cls(time(int(hour), int(minute)), None if day is None else _DAYS.index(day))

    def __str__(self) -> str:
        """As it is written in a configuration."""
        often = "daily" if self.weekday is None else f"weekly {_DAYS[self.weekday]}"
        return f"{often} {self.at:%H:%M}"


def sound_baseline(baseline: datetime | None, now: datetime) -> datetime:
    """The instant after which a scan is due next, as far as it can be believed; to be stored again if it differs.

    A schedule that is new begins now: nobody's first minutes with Buckler are a full scan. A baseline in the future
    was written before somebody set the clock back, and would keep the device from being scanned until then.
    """
    return now if baseline is None or baseline > now else baseline


def next_due(schedule: Schedule, baseline: datetime, zone: tzinfo, jitter: timedelta = timedelta(0)) -> datetime:
    """The first instant of a schedule after a baseline, in UTC.

    An hour that is skipped when summer begins counts as the one after it, an hour that comes twice counts once.

    Args:
        schedule: When.
        baseline: Start of the last scan, see `sound_baseline`; timezone-aware.
        zone: Where the device is.
        jitter: Put off by this much, so that a fleet does not start as one.
    """
    day = baseline.astimezone(zone).date() - timedelta(days=1)
    while True:
        if schedule.weekday is None or day.weekday() == schedule.weekday:
            due = datetime.combine(day, schedule.at, tzinfo=zone).astimezone(baseline.tzinfo)
            if due > baseline:
                return due + jitter
        day += timedelta(days=1)
