"""The process that forks workers: `python -I -m agent.scanner.workers.zygote SOCKET RULES ORDERS`.

The first two are inherited descriptors. It loads the rules, rehearses, and then forks a worker for each channel it is
handed. It reads nothing but its parent's requests, and it dies with its parent, as its workers die with it.
"""

import os
import select
import signal
import socket
import sys
from dataclasses import replace

from agent.platform.interpreter import collect_rarely
from agent.platform.sandbox.hardening import die_with_parent
from agent.platform.sandbox.plan import ParentGoneError
from agent.scanner.engines.port import Matcher
from agent.scanner.workers import protocol
from agent.scanner.workers.protocol import WorkerOrders
from agent.scanner.workers.worker import load_matcher, work


class Zygote:
    """Forks workers until its parent hangs up.

    Args:
        channel: To the parent.
        matcher: The rules.
        orders: For the workers.
    """

    def __init__(self, channel: socket.socket, matcher: Matcher, orders: WorkerOrders) -> None:
        self._channel = channel
        self._matcher = matcher
        # Its workers' parent is this process.
        self._orders = replace(orders, parent_pid=os.getpid())

    def serve(self) -> int:
        """Fork for each request; in a worker, work. Returns the exit status of the process this returns in."""
        waking, wake = socket.socketpair()
        waking.setblocking(False)  # noqa: FBT003 -- the standard library's own signature
        wake.setblocking(False)  # noqa: FBT003
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._channel, waking], [], [])
            if waking in ready:
                waking.recv(protocol.MAX_BIRTH_BYTES)
                _collect(os.WNOHANG)
            if self._channel not in ready:
                continue
            request, descriptors, _flags, _address = socket.recv_fds(self._channel, len(protocol.FORK), 1)
            if not request:
                # The workers' channels have been closed, so they end; having waited, their time is counted to us.
                _collect(0)
                return 0
            channel = socket.socket(fileno=descriptors[0])
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                for ours in (waking, wake, self._channel):
                    ours.close()
                return work(channel, self._matcher, self._orders)
            channel.close()
            handle = os.pidfd_open(pid)
            socket.send_fds(self._channel, [protocol.encode_birth(pid)], [handle])
            os.close(handle)


def _collect(options: int) -> None:
    """Ask for the status of workers that have ended: of those there are, or (options 0) of all there will be."""
    try:
        while os.waitpid(-1, options)[0]:
            pass
    except ChildProcessError:
        return


def main(arguments: list[str]) -> int:
    """Load, tell if that fails, serve."""
    channel = socket.socket(fileno=int(arguments[0]))
    orders = protocol.decode_orders(arguments[2])
    try:
        die_with_parent(orders.parent_pid)
        matcher = load_matcher(int(arguments[1]), orders)
    except ParentGoneError:
        return 1
    except Exception as error:  # noqa: BLE001 -- supervision point: the parent learns why no worker can start
        channel.sendall(protocol.encode_failed_birth(f"{type(error).__name__}: {error}"))
        return 1
    # What is here now lives as long as the workers: their garbage collectors need not touch, and so copy, its pages.
    collect_rarely()
    return Zygote(channel, matcher, orders).serve()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
