"""An installation with a customer, seats and activated devices; and the person who looks after them."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import grpc

from benchmarks.parts.fleet_ground import SimulatedDevice
from controlplane.catalog.document import Catalog
from controlplane.catalog.model import AccessLevel, Os, Plan, Term
from controlplane.config import DataDir, read_config
from controlplane.devices.model import Platform
from controlplane.installation import initialise
from controlplane.licensing.key_desk import KeyWish
from controlplane.licensing.service import Activation
from controlplane.runtime.principal import Role
from controlplane.runtime.randomness import SystemRandomness
from controlplane.serving import Opened, opened
from controlplane.subscriptions.model import Renewal
from tests.fakes.certificate_requests import DeviceKey
from wire.activation_key import format_activation_key
from wire.v1 import account_pb2, common_pb2, enrollment_pb2
from wire.v1.account_pb2_grpc import AccountServiceStub

PLATFORM = Platform("linux", "Debian GNU/Linux 12", "x86_64", "0.1.0")
_FEATURES = {"real_time_protection": AccessLevel.LIMITED, "remote_commands": AccessLevel.GRACE}
#: Above that of the sample catalog.
_CATALOG_VERSION = 1_000
_EMAIL, _PASSWORD = "fleet@example.com", "correct horse battery staple"
#: A call of a person is tried again for so long, in seconds, and after so long.
_PATIENCE_S, _AGAIN_S = 300.0, 1.0
_CALL_S = 20.0
#: Processes that activate at once, and devices for which one more is worth its start.
_ACTIVATING, _WORTH_A_PROCESS = 4, 200
_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@dataclass(frozen=True, slots=True)
class Ground:
    """What a scenario stands on.

    Attributes:
        data_dir: Of the installation.
        database_url: Of its database.
        org_id: The only customer.
        activation_key: For more devices.
        devices: Activated; each holds a seat.
        authorities: What clients need to trust a server.
    """

    data_dir: DataDir
    database_url: str
    org_id: str
    activation_key: str
    devices: list[SimulatedDevice]
    authorities: bytes


async def make_ground(
    folder: Path, database_url: str | None, *, devices: int, more_seats: int = 0, sandbox: bool = False
) -> Ground:
    """Make an installation.

    Args:
        folder: A new folder in it is taken.
        database_url: Of an empty database; None: SQLite.
        devices: So many are activated.
        more_seats: Besides theirs.
        sandbox: Whether the customer has a clock of its own.
    """
    data_dir = DataDir(folder / "server")
    await initialise(
        data_dir, hostnames=[], database_url=database_url, first_customer=None, randomness=SystemRandomness()
    )
    config = read_config(data_dir.path, {})
    async with opened(config) as server:
        org_id, activation_key = await _customer(server, devices + more_seats, sandbox=sandbox)
    # SQLite lets one write at a time anyway.
    made = await _all_activated(data_dir.path, activation_key, devices, 1 if database_url is None else _ACTIVATING)
    return Ground(data_dir, config.database_url, org_id, activation_key, made, data_dir.authorities.read_bytes())


async def _customer(server: Opened, seats: int, *, sandbox: bool) -> tuple[str, str]:
    plane = server.plane
    plan = Plan(
        plan_id="fleet",
        catalog_version=_CATALOG_VERSION,
        name="Fleet",
        devices=max(1, seats),
        terms=(Term.YEARLY,),
        grace=timedelta(days=14),
        ended_after=None,
        features={Os.LINUX: _FEATURES},
    )
    hashed = await plane.accounts.hash_password(_PASSWORD)
    async with plane.database.transaction() as uow:
        await plane.catalog.apply(uow, Catalog(_CATALOG_VERSION, (plan,)))
        organisation = await plane.accounts.create_organisation(uow, name="Simulated fleet", sandbox=sandbox)
        org_id = organisation.org_id
        await plane.accounts.create_person(uow, org_id=org_id, email=_EMAIL, password_hash=hashed, role=Role.OWNER)
        state = await plane.subscriptions.create(
            uow, org_id=org_id, plan_id=plan.plan_id, term=Term.YEARLY, renewal=Renewal.OFF
        )
        wish = KeyWish(subscription_id=state.subscription.subscription_id, max_devices=0)
        issued = await plane.key_desk.issue_within(uow, org_id, wish)
    return org_id, issued.raw


async def _all_activated(data_dir: Path, activation_key: str, count: int, processes: int) -> list[SimulatedDevice]:
    processes = min(processes, 1 + count // _WORTH_A_PROCESS)
    shares = [range(number, count, processes) for number in range(processes)]
    if processes == 1:
        return await _some_activated(data_dir, activation_key, shares[0])
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        made = [loop.run_in_executor(pool, _activating, data_dir, activation_key, share) for share in shares]
        return [device for share in await asyncio.gather(*made) for device in share]


def _activating(data_dir: Path, activation_key: str, numbers: range) -> list[SimulatedDevice]:
    """In a process of its own."""
    return asyncio.run(_some_activated(data_dir, activation_key, numbers))


async def _some_activated(data_dir: Path, activation_key: str, numbers: range) -> list[SimulatedDevice]:
    async with opened(read_config(data_dir, {})) as server:
        return [await _activated(server, activation_key, number) for number in numbers]


async def _activated(server: Opened, activation_key: str, number: int) -> SimulatedDevice:
    key = DeviceKey()
    wanted = Activation(activation_key, key.certificate_request(), f"pc-{number}", PLATFORM, frozenset())
    activated = await server.plane.licensing.activate(wanted)
    return SimulatedDevice(activated.device.device_id, key.pem, activated.device_certificate_pem)


def activation_request(ground: Ground, key: DeviceKey, name: str) -> enrollment_pb2.ActivateRequest:
    """What a device says that wants a seat."""
    return enrollment_pb2.ActivateRequest(
        activation_key=format_activation_key(ground.activation_key),
        certificate_request_der=key.certificate_request(),
        device_name=name,
        platform=common_pb2.Platform(
            os=PLATFORM.os,
            os_version=PLATFORM.os_version,
            architecture=PLATFORM.architecture,
            agent_version=PLATFORM.agent_version,
        ),
    )


class Person:
    """Somebody who is signed in, and tries again where a program would.

    Args:
        channels: To the servers; one that does not answer is followed by the next.
        token: Metadata of their calls.
    """

    def __init__(self, channels: list[grpc.aio.Channel], token: list[tuple[str, str]]) -> None:
        self._channels = channels
        self._token = token
        self._turn = 0
        self.repeats = 0

    async def call(self, stub: Any, method: str, request: Any) -> Any:
        """A call that may be repeated; refusals are raised, absences are waited out.

        Raises:
            grpc.aio.AioRpcError: A refusal, or nobody answered for minutes.
        """
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                made = getattr(stub(self._channels[self._turn % len(self._channels)]), method)
                try:
                    return await made(request, metadata=self._token, timeout=_CALL_S)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in _PASSING:
                        raise
                self.repeats += 1
                self._turn += 1
                await asyncio.sleep(_AGAIN_S)


@asynccontextmanager
async def signed_in(addresses: list[str], authorities: bytes) -> AsyncIterator[Person]:
    """The owner of the fleet, at the port of people."""
    credentials = grpc.ssl_channel_credentials(authorities)
    options = (("grpc.max_reconnect_backoff_ms", 2_000),)
    channels = [grpc.aio.secure_channel(address, credentials, options=options) for address in addresses]
    try:
        request = account_pb2.SignInRequest(email=_EMAIL, password=_PASSWORD, token_name="simulator")  # noqa: S106 -- a name
        signed = await Person(channels, []).call(AccountServiceStub, "SignIn", request)
        yield Person(channels, [("authorization", f"Bearer {signed.token}")])
    finally:
        for channel in channels:
            await channel.close()
