"""A device to be examined: a real data folder that a control plane on loopback activated, healthy until it is hurt."""

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from agent.cli.doctor_wiring import Target, surroundings_of
from agent.cli.invocation import Common
from agent.config import AgentConfig, load_config
from agent.domain.services import ServiceState, ServiceStatus
from agent.local_api.status import StatusFacts, status_fields
from agent.locations import Overrides
from agent.platform.clock import SystemClock
from agent.requests import activate_device
from agent.storage.database import AgentDatabase, open_database
from agent.support.check_list import ALL
from agent.support.checkup import CheckResult, Report
from agent.support.doctor import Doctor
from agent.support.machine import LocalMachine
from agent.support.repairs import LocalRepairs
from agent.support.surroundings import AgentSeen, BuildSeen, FolderSeen, Once, RoomSeen, ScanSeen, Surroundings
from tests.fakes.clock import FakeClock
from tests.fakes.control_plane import FakeControlPlane, serving

#: Certificates follow the wall clock, so everything here begins now.
NOW = SystemClock().now().replace(microsecond=0)
HEALTHY_SERVICE = ServiceStatus("systemd", "/lib/buckler.service", enabled=True, state=ServiceState.RUNNING, pid=7)
HEALTHY_SCAN = ScanSeen(("eicar_test_file",), rules_version="1", made_at=NOW - timedelta(days=2))


@dataclass
class FakeMachine:
    """Port `agent.support.surroundings.Machine`: the real one, but for what a test says."""

    real: LocalMachine = field(default_factory=LocalMachine)
    as_user: int | None = None
    seen_build: BuildSeen | None = None
    seen_room: RoomSeen | None = None
    others: tuple[str, ...] = ()
    seen_proxies: Mapping[str, str] = field(default_factory=dict)

    def build(self) -> BuildSeen:
        return self.seen_build or BuildSeen("linux", "x86_64", "x86_64", (3, 11))

    def user(self) -> int:
        return self.real.user() if self.as_user is None else self.as_user

    def look_at(self, path: Path) -> FolderSeen | None:
        return self.real.look_at(path)

    def room(self, folder: Path) -> RoomSeen:
        return self.seen_room or self.real.room(folder)

    def competitors(self) -> tuple[str, ...]:
        return self.others

    def proxies(self) -> Mapping[str, str]:
        return self.seen_proxies


@dataclass
class Patient:
    """One device, and the world as it sees it; tests hurt it by changing these.

    Attributes:
        data_dir: Real.
        plane: Where it was activated, if it is served.
        clock: Its wall clock.
        machine: Its operating system.
        facts: What its agent says; None: none runs.
        service: What the supervisor says.
        scan: What the self-test brings.
        target: A control plane named on the command line.
        config: A configuration file.
        woken: How often the agent was told to check in.
    """

    data_dir: Path
    plane: FakeControlPlane
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    machine: FakeMachine = field(default_factory=FakeMachine)
    facts: StatusFacts | None = None
    fields: dict[str, object] = field(default_factory=dict)
    service: ServiceStatus = HEALTHY_SERVICE
    scan: ScanSeen = HEALTHY_SCAN
    target: Target = field(default_factory=Target)
    config: Path | None = None
    real_agent: bool = False
    on_wake: Callable[[], None] = lambda: None
    woken: int = 0

    def settings(self) -> AgentConfig:
        return load_config(Overrides(self.data_dir, None))

    def database(self) -> AgentDatabase:
        return open_database(self.data_dir / "agent.db")

    def activate(self, key: str, server: str = "") -> None:
        """As `buckler activate` does it."""
        ca = self.data_dir.with_suffix(".pem")
        ca.write_bytes(self.plane.authority.pem)
        asyncio.run(activate_device(self.settings(), key, server or self.plane.address, ca))

    def surroundings(self) -> Surroundings:
        seen = surroundings_of(Common(data_dir=self.data_dir, config=self.config), self.target, self.clock)
        repairs = seen.repairs
        assert isinstance(repairs, LocalRepairs)
        seen = replace(
            seen,
            machine=self.machine,
            service=Once(lambda: self.service),
            scan=Once(lambda: self.scan),
            repairs=replace(repairs, start=self._start, wake=self._wake),
        )
        return seen if self.real_agent else replace(seen, agent=Once(self._agent))

    def examine(self, *wanted: str, fix: bool = False, tell: Callable[[CheckResult], None] = lambda _: None) -> Report:
        return Doctor(self.surroundings(), ALL).examine(wanted, fix=fix, tell=tell)

    def _agent(self) -> AgentSeen:
        if self.facts is None:
            return AgentSeen(running=False)
        told = {line.name: line.value for line in status_fields(self.facts, self.clock.now())}
        return AgentSeen(running=True, fields={**told, **self.fields})

    def _start(self) -> str:
        self.service = replace(self.service, state=ServiceState.RUNNING, pid=8)
        return "protected"

    def _wake(self) -> None:
        self.woken += 1
        self.on_wake()


def copy_of(data_dir: Path, target: Path) -> Path:
    """The same device once more."""
    shutil.copytree(data_dir, target)
    return target


@contextmanager
def served_in_background(
    plane: FakeControlPlane, *, certificate: tuple[bytes, bytes] | None = None
) -> Iterator[FakeControlPlane]:
    """Serve until the block ends, for tests that block."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stopping = asyncio.Event()

    async def serve() -> None:
        async with serving(plane, certificate=certificate):
            ready.set()
            await stopping.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10), "the control plane does not start"
    try:
        yield plane
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        loop.close()
