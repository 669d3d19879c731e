"""Moments as people read them: pure, the local time zone and `now` come in."""

from datetime import datetime, timedelta, tzinfo

#: Clocks of two machines differ by this much without anybody noticing.
SKEW = timedelta(minutes=1)

_UNITS = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "min"),
    (timedelta(seconds=1), "s"),
)
_LONG_AGO = timedelta(days=60)


def ago(moment: datetime | None, now: datetime, zone: tzinfo | None = None) -> str:
    """`3 min ago`; a date once counting days says nothing any more, or when it is not in the past.

    Args:
        moment: None: `never`.
        now: The time of whoever recorded the moment.
        zone: Of the reader; None: the machine's.
    """
    if moment is None:
        return "never"
    age = now - moment
    if age < -SKEW or age > _LONG_AGO:
        return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
    for unit, name in _UNITS:
        count = age // unit
        if count >= 1:
            plural = "s" if name == "day" and count > 1 else ""
            return f"{count} {name}{plural} ago"
    return "just now"


def local(moment: datetime | None, zone: tzinfo | None = None) -> str:
    """`2026-03-02 10:00:00 CET`.

    Args:
        moment: None: `never`.
        zone: Of the reader; None: the machine's.
    """
    return "never" if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def local_and_ago(moment: datetime | None, now: datetime, zone: tzinfo | None = None) -> str:
    """`2026-03-02 10:00:00 CET (3 min ago)`."""
    if moment is None or not -SKEW <= now - moment <= _LONG_AGO:
        return local(moment, zone)
    return f"{local(moment, zone)} ({ago(moment, now, zone)})"


def parse_span(text: str) -> timedelta | None:
    """`90m`, `24h` or `7d`; None: it is no span."""
    units = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
    number, unit = text[:-1], units.get(text[-1:])
    if unit is None or not number.isascii() or not number.isdigit() or len(number) > len("99999"):
        return None
    return int(number) * unit
