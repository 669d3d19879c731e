"""The time zone of this device."""

import os
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LOCAL_TIME = "/etc/localtime"


def local_zone() -> tzinfo:
    """The device's time zone with its changes between summer and winter: `TZ`, `/etc/localtime`, else UTC."""
    name = os.environ.get("TZ", "").lstrip(":")
    try:
        if name and not name.startswith("/"):
            return ZoneInfo(name)
        with open(name or _LOCAL_TIME, "rb") as file:  # noqa: PTH123 -- a file object is what is wanted
            return ZoneInfo.from_file(file, key=name or "local")
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return UTC
