"""Telling systemd how the service is, in the protocol of sd_notify(3); nothing is sent where nobody listens."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

#: A supervisor that reads nothing must not hold the server up.
_PATIENCE_S = 1.0
#: What stopping may take without any drain, in seconds: the unit's `TimeoutStopSec`.
STOP_S: Final = 60.0


def stopping(drain_s: float) -> tuple[str, str]:
    """What a server says that begins to stop: systemd kills it once the time is over, and the drain comes on top.

    Args:
        drain_s: Seconds for which it serves on.
    """
    return "STOPPING=1", f"EXTEND_TIMEOUT_USEC={round((drain_s + STOP_S) * 1e6)}"


def tell_supervisor(*lines: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send `NAME=value` lines in one datagram.

    Args:
        lines: Such as `READY=1`, `STOPPING=1`, `STATUS=…`.
        environment: `NOTIFY_SOCKET` is the path of a Unix socket, or `@` and the name of an abstract one.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
        way.settimeout(_PATIENCE_S)
        way.sendto("\n".join(lines).encode(), address)
