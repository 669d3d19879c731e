"""Telling the supervisor how the service is, in the protocol of sd_notify(3): one datagram of `NAME=value` lines.

Without `$NOTIFY_SOCKET` nobody listens, and nothing is sent: under launchd, on Windows, in a terminal.
"""

import os
import socket
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Self

#: A status of systemd is one line; longer ones are cut.
_LONGEST_STATUS = 400
#: A supervisor that reads nothing must not hold the agent up; the next sign of life says it again.
_PATIENCE_S = 1.0
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class ServiceNotice:
    """The way to the supervisor.

    Args:
        address: Path of a Unix datagram socket, or `@` and the name of an abstract one; empty: nobody listens.
        alive_within_s: How often it wants to hear that the service is alive, in seconds; None: not at all.
        environment: What told of it; for the program that takes this process over.
    """

    def __init__(
        self, address: str = "", alive_within_s: float | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.alive_within_s = alive_within_s
        self.environment = dict(environment or {})

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> Self:
        """Take out of the environment what systemd left in it: no program started later speaks for the service."""
        told = {name: environment.pop(name) for name in _VARIABLES if name in environment}
        within_us = told.get("WATCHDOG_USEC", "")
        whose = told.get("WATCHDOG_PID", "")
        wanted = within_us.isdigit() and int(within_us) > 0 and whose in {"", str(os.getpid())}
        return cls(told.get("NOTIFY_SOCKET", ""), int(within_us) / 1_000_000 if wanted else None, told)

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """Protection is proven; may be said again."""
        self._send("READY=1", _status(status))

    def alive(self, status: str) -> None:
        """A sign of life, with one line on how it is."""
        self._send("WATCHDOG=1", _status(status))

    def still_starting(self, status: str, more_time_s: float) -> None:
        """It lives and is not ready yet; it wants to be waited for so much longer from now on."""
        # One that was restarted in place counts as started, and is expected to give signs of life already.
        self._send(f"EXTEND_TIMEOUT_USEC={int(more_time_s * 1_000_000)}", "WATCHDOG=1", _status(status))

    def stopping(self) -> None:
        """It has been told to stop, and does."""
        self._send("STOPPING=1", _status("stopping"))

    def _send(self, *lines: str) -> None:
        if not self.is_heard:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
            way.settimeout(_PATIENCE_S)
            way.sendto("\n".join(lines).encode("utf-8", "surrogateescape"), self._address)


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())[:_LONGEST_STATUS]
