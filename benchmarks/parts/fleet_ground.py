"""A control plane with many activated devices, and servers of it in processes of their own."""

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc

from controlplane.app import ControlPlane
from controlplane.catalog.document import Catalog
from controlplane.catalog.model import AccessLevel, Os, Plan, Term
from controlplane.config import DataDir, read_config
from controlplane.devices.fleet.standings import Standings
from controlplane.devices.model import Platform
from controlplane.devices.registry import DeviceRegistry, NewDevice
from controlplane.installation import initialise
from controlplane.licensing.key_desk import KeyWish
from controlplane.licensing.service import Activation
from controlplane.runtime.randomness import SystemRandomness
from controlplane.serving import opened
from controlplane.subscriptions.model import Renewal
from tests.fakes.certificate_requests import DeviceKey

_LINUX = Platform("linux", "Debian GNU/Linux 12", "x86_64", "0.1.0")
_FEATURES = {"real_time_protection": AccessLevel.LIMITED, "remote_commands": AccessLevel.GRACE}
#: Above that of the sample catalog.
_CATALOG_VERSION = 1_000
_START_S = 180.0


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    """An activated device: what it needs to call."""

    device_id: str
    private_key: bytes
    chain: bytes

    def channel(self, address: str, authorities: bytes) -> grpc.aio.Channel:
        """A connection of its own."""
        credentials = grpc.ssl_channel_credentials(authorities, self.private_key, self.chain)
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 2_000))
        return grpc.aio.secure_channel(address, credentials, options=options)


async def installed_with(
    folder: Path, database_url: str | None, *, devices: int, seats: int
) -> tuple[DataDir, list[SimulatedDevice]]:
    """An installation whose only customer has so many devices; the first ones are activated and hold a seat.

    The others are known by their rows and certificates, which is all that a stream needs, and thousands of activations
    would take longer than what is measured.
    """
    data_dir = DataDir(folder / "server")
    await initialise(
        data_dir, hostnames=[], database_url=database_url, first_customer=None, randomness=SystemRandomness()
    )
    async with opened(read_config(data_dir.path, {})) as server:
        plane = server.plane
        plan = Plan(
            plan_id="fleet",
            catalog_version=_CATALOG_VERSION,
            name="Fleet",
            devices=seats,
            terms=(Term.YEARLY,),
            grace=timedelta(days=14),
            ended_after=None,
            features={Os.LINUX: _FEATURES},
        )
        async with plane.database.transaction() as uow:
            await plane.catalog.apply(uow, Catalog(_CATALOG_VERSION, (plan,)))
            organisation = await plane.accounts.create_organisation(uow, name="Simulated fleet")
            state = await plane.subscriptions.create(
                uow, org_id=organisation.org_id, plan_id=plan.plan_id, term=Term.YEARLY, renewal=Renewal.OFF
            )
            wish = KeyWish(subscription_id=state.subscription.subscription_id, max_devices=0)
            issued = await plane.key_desk.issue_within(uow, organisation.org_id, wish)
        made = []
        for number in range(seats):
            key = DeviceKey()
            wanted = Activation(issued.raw, key.certificate_request(), f"pc-{number}", _LINUX, frozenset())
            activated = await plane.licensing.activate(wanted)
            made.append(SimulatedDevice(activated.device.device_id, key.pem, activated.device_certificate_pem))
        made += await _registered(plane, organisation.org_id, devices - seats)
    return data_dir, made


async def _registered(plane: ControlPlane, org_id: str, count: int) -> list[SimulatedDevice]:
    registry, made = DeviceRegistry(plane.randomness, Standings(plane.randomness)), []
    async with plane.database.transaction() as uow:
        for number in range(count):
            key = DeviceKey()
            now = plane.clocks.business.now()
            new = NewDevice(f"more-{number}", _LINUX, key.public_key_sha256, frozenset(), admitted_at=now)
            device = (await registry.register(uow, org_id, new, now)).device
            chain = plane.keys.authority.issue_device(
                key.certificate_request(), device_id=device.device_id, org_id=org_id
            )
            made.append(SimulatedDevice(device.device_id, key.pem, chain))
    return made


@dataclass(frozen=True, slots=True)
class RunningProgram:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    mtls: str


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[RunningProgram]:
    """Start a program of ours that says where it serves, and end it; what it says goes to a file."""
    with log.open("w") as said, subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=said, text=True) as process:
        try:
            yield RunningProgram(process, _address_in(log, process))
        finally:
            process.terminate()
            try:
                process.wait(_START_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _address_in(log: Path, process: "subprocess.Popen[str]") -> str:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"mtls=(\S+)", log.read_text())
        if found:
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"it does not serve:\n{log.read_text()}")
