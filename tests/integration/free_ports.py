"""Ports for programs that have to be told theirs before they start."""

import contextlib
import itertools
import os
import socket

#: Below those that systems give away by themselves, from 32768 on, to whoever connects or asks for any.
_FIRST, _COUNT = 20_000, 12_000
#: Processes of one run of the tests begin far apart.
_candidates = itertools.count(os.getpid() * 101)


def free_ports(number: int) -> list[int]:
    """Ports of the loopback that nobody uses, and that nobody who does not ask here will take meanwhile."""
    found: list[int] = []
    while len(found) < number:
        port = _FIRST + next(_candidates) % _COUNT
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found
