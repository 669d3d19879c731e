"""A device for tests of the control room: store, clock, key file, and what it would report."""

from dataclasses import dataclass, field
from pathlib import Path

from agent.control.enrolment.enroller import ActivationOrder, ActivationOutcome, Enroller
from agent.control.enrolment.entitlements import EntitlementKeeper
from agent.control.link.control_link import ControlLink
from agent.control.link.device_report import DeviceReport
from agent.control.link.settings import LinkSettings
from agent.platform.clock import SystemClock
from agent.platform.system_facts import SystemFacts
from tests.fakes.clock import FakeClock
from tests.fakes.control_plane import FakeControlPlane
from tests.fakes.randomness import SeededRandomness
from tests.fakes.store import MemoryStore

FACTS = SystemFacts("kitchen-pc", "linux", "Debian GNU/Linux 12", "x86_64", (("machine_id", "3f9c"),))
REPORT = DeviceReport(
    real_time_enabled=True,
    proven_at=None,
    subsystem="fanotify",
    mode="notify",
    issues=(),
    engine="yara",
    engine_version="4.5.4",
    signatures_version="1",
    signatures_made_at=None,
    events_lost=0,
    queue_depth=0,
    quarantined_count=0,
    outbox_pending=0,
    watched_roots=1,
    os="linux",
    os_version="Debian GNU/Linux 12",
    architecture="x86_64",
    agent_version="0.1.0",
)


@dataclass
class TestDevice:
    """One device. Its wall clock is the machine's at the start, as certificates are judged by it."""

    __test__ = False

    folder: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: FakeClock = field(default_factory=lambda: FakeClock(SystemClock().now()))
    name: str = "kitchen-pc"
    state: DeviceReport = REPORT
    asked: int = 0

    @property
    def key_file(self) -> Path:
        return self.folder / "device.key"

    def enroller(self) -> Enroller:
        facts = SystemFacts(self.name, FACTS.os, FACTS.os_version, FACTS.architecture, FACTS.hardware)
        return Enroller(self.store, self.clock, self.key_file, facts, "0.1.0")

    async def activate(
        self, plane: FakeControlPlane, key: str, *, new_key: bool = False, **changes: str | bytes
    ) -> ActivationOutcome:
        server = str(changes.get("server", plane.address))
        authorities = changes.get("authorities_pem", plane.authority.pem)
        assert isinstance(authorities, bytes)
        return await self.enroller().activate(ActivationOrder(key, server, authorities, new_key))

    def keeper(self) -> EntitlementKeeper:
        return EntitlementKeeper(self.store, self.clock, self.key_file)

    async def report(self) -> DeviceReport:
        self.asked += 1
        return self.state

    def link(self, keeper: EntitlementKeeper, settings: LinkSettings | None = None) -> ControlLink:
        return ControlLink(settings or LinkSettings(), keeper, self.clock, SeededRandomness(), self.report)
