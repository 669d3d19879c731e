"""Processes that work in a vault and are killed.

`python -m tests.integration.quarantine.nursery` loads everything once and then forks a child per order it reads, so
that hundreds of kills take seconds. An order is one JSON line; the answer is one JSON line with the child's end.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from agent.domain.incident import Incident
from agent.domain.ports import ReportReceipt
from agent.platform.clock import SystemClock
from agent.platform.randomness import SystemRandomness
from agent.quarantine.steps import Step
from agent.quarantine.vault import Vault, VaultSettings
from agent.report.sender import Sender, SenderSettings
from agent.storage.database import AgentDatabase, open_database
from tests.fakes.uplink import uplink_error
from tests.unit.agent.quarantine.scene import scanned


@dataclass(frozen=True, slots=True)
class Order:
    """What a child does, and when it dies.

    Attributes:
        root: Holds `home/` and `data/`.
        work: `capture`, `restore`, `resume`, or `send`: until nothing waits in the outbox.
        subjects: Names in `home/` to capture, or entry ids to restore.
        first_number: Of the incidents.
        at_once: All subjects together instead of one after the other.
        sending: Meanwhile the outbox is sent.
        die_at_step: The child kills itself when so many steps are durable; 0: never.
        die_after_s: The child is killed from outside after so long; negative: never.
    """

    root: str
    work: str
    subjects: tuple[str, ...] = ()
    first_number: int = 0
    at_once: bool = False
    sending: bool = False
    die_at_step: int = 0
    die_after_s: float = -1.0


class Nursery:
    """The test's end of the line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, order: Order) -> int:
        """Let a child do it; returns its exit status, or minus the signal that killed it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline()))


@contextmanager
def open_nursery() -> Iterator[Nursery]:
    """One nursery for a whole campaign."""
    command = [sys.executable, "-W", "error", "-m", "tests.integration.quarantine.nursery"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Nursery(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=30)


class ServerOnDisk:
    """A control plane that outlives its devices: one file per incident, named by its uuid, as its table's key would be.

    One reply in three is lost on the way.

    Args:
        folder: Its disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(exist_ok=True)
        self._random = Random(os.getpid())

    async def report(self, incidents: Sequence[Incident], dropped: Mapping[str, int]) -> ReportReceipt:
        del dropped
        # It dies with the device that talks to it, so a row has to be there wholly or not at all.
        unfinished = self._folder.with_name(f"server-{os.getpid()}")
        for incident in incidents:
            unfinished.write_bytes(os.fsencode(incident.path))
            with suppress(FileExistsError):
                (self._folder / str(incident.uuid)).hardlink_to(unfinished)
            unfinished.unlink()
        await asyncio.sleep(0)
        if self._random.random() < 1 / 3:
            raise uplink_error("UNREACHABLE")
        return ReportReceipt(frozenset(incident.uuid for incident in incidents), {})


async def _send(order: Order, database: AgentDatabase) -> None:
    """As the agent does, but without its patience."""
    settings = SenderSettings(batch=2, poll_interval_s=0.001, base_s=0.0005, ceiling_s=0.002)
    uplink = ServerOnDisk(Path(order.root) / "server")
    await Sender(database, uplink, SystemClock(), SystemRandomness(), settings).run()


async def _until_sent(database: AgentDatabase) -> None:
    while True:
        with database.transaction() as tables:
            if not tables.outbox.count():
                return
        await asyncio.sleep(0.005)


async def _work(order: Order, started: int) -> None:
    database = open_database(Path(order.root) / "data" / "agent.db")
    count = 0

    def after(entry_id: str, step: Step) -> None:
        nonlocal count
        count += 1
        if count == order.die_at_step:
            os.kill(os.getpid(), signal.SIGKILL)

    vault = Vault(
        VaultSettings(Path(order.root) / "data" / "vault"), database, SystemClock(), SystemRandomness(), after
    )
    jobs: list[Coroutine[Any, Any, object]] = []
    match order.work:
        case "capture":
            for index, name in enumerate(order.subjects):
                jobs.append(vault.capture(scanned(f"{order.root}/home/{name}", order.first_number + index)))
        case "restore":
            jobs.extend(vault.restore(entry_id, None, allow=True) for entry_id in order.subjects)
        case "send":
            jobs.append(_until_sent(database))
        case _:
            jobs.append(vault.resume())
    os.write(started, b"x")
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(_send(order, database)) if order.sending else None
        if order.at_once:
            await asyncio.gather(*jobs)
        else:
            for job in jobs:
                await job
        if sending is not None:
            sending.cancel()
    database.close()


def _raise_child(order: Order) -> int:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.run(_work(order, writer))
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writer)
    if order.die_after_s >= 0:
        os.read(reader, 1)
        time.sleep(order.die_after_s)
        os.kill(child, signal.SIGKILL)
    os.close(reader)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Read orders until there are no more."""
    for line in sys.stdin:
        untyped = json.loads(line)
        order = Order(**{**untyped, "subjects": tuple(untyped["subjects"])})
        sys.stdout.write(json.dumps(_raise_child(order)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
