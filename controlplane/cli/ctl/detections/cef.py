"""Detections in the Common Event Format, version 0, with the syslog prefix that its standard gives.

What devices named is made visible first: after escaping a line is one line, whatever a file is called.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from controlplane.cli.visible import visible, visible_path
from controlplane.storage.microseconds import to_microseconds

#: As CEF counts, 0 to 10.
_SEVERITIES: Final = {"critical": 10, "high": 8, "medium": 5, "low": 3, "info": 1}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def cef_line(row: Mapping[str, Any], version: str) -> str:
    """One detection, without the end of the line.

    Args:
        row: As `views.detection_row` gives it.
        version: Of Buckler.
    """
    worst = min(row["findings"], key=lambda finding: -_SEVERITIES[finding["severity"]])
    threat = worst["threat_name"] or worst["rule"]
    head = ["Buckler", "Buckler", version, worst["rule"], threat, str(_SEVERITIES[worst["severity"]])]
    received: datetime = row["received_at"]
    extension = {
        "rt": _milliseconds(received),
        "start": _milliseconds(row["detected_at"]),
        "externalId": row["uuid"],
        "deviceExternalId": row["device_id"],
        "dhost": row["device_name"],
        "filePath": visible_path(row["path"].encode("utf-8", "surrogateescape")),
        "fileHash": row["sha256"],
        "fsize": str(row["size_bytes"]),
        "act": row["action"],
        "cs1Label": "incident",
        "cs1": row["incident_id"] or "",
        "cs2Label": "member",
        "cs2": worst["member"] or "",
    }
    fields = " ".join(f"{key}={escaped_value(value)}" for key, value in extension.items() if value)
    return f"{_syslog_time(received)} buckler CEF:0|{'|'.join(map(escaped_header, head))}|{fields}"


def escaped_header(text: str) -> str:
    """A field between the bars: backslash and bar are escaped, line ends cannot be in it."""
    return visible(text).replace("\\", "\\\\").replace("|", "\\|")


def escaped_value(text: str) -> str:
    """A value of the extension: backslash, equals sign and line ends are escaped."""
    shown = "".join(letter if letter in "\r\n" else visible(letter) for letter in text)
    for plain, escaped in (("\\", "\\\\"), ("=", "\\="), ("\n", "\\n"), ("\r", "\\r")):
        shown = shown.replace(plain, escaped)
    return shown


def _milliseconds(moment: datetime) -> str:
    return str(to_microseconds(moment) // 1_000)


def _syslog_time(moment: datetime) -> str:
    at = moment.astimezone(UTC)
    return f"{_MONTHS[at.month - 1]} {at.day:>2} {at:%H:%M:%S}"
