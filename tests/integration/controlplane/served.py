"""A whole control plane on loopback: an installation, both ports, TLS and mutual TLS, a clock that tests move."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from controlplane.catalog.model import Term
from controlplane.config import DataDir, ServerConfig, read_config
from controlplane.devices.connections import StreamSettings
from controlplane.installation import Customer, FirstCustomer, initialise
from controlplane.runtime.network.server import Address
from controlplane.runtime.randomness import SystemRandomness
from controlplane.serving import ServeOptions, Serving, serve
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.made_once import folder_of_templates
from wire.entitlement_codec import ERROR_DETAIL_METADATA
from wire.v1 import account_pb2, common_pb2, enrollment_pb2, sandbox_pb2
from wire.v1.account_pb2_grpc import AccountServiceStub
from wire.v1.billing_pb2_grpc import BillingServiceStub
from wire.v1.command_pb2_grpc import CommandServiceStub
from wire.v1.device_pb2_grpc import DeviceServiceStub
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceStub
from wire.v1.fleet_pb2_grpc import FleetServiceStub
from wire.v1.licensing_pb2_grpc import LicensingServiceStub
from wire.v1.sandbox_pb2_grpc import SandboxServiceStub
from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

if TYPE_CHECKING:
    from wire.v1.device_pb2_grpc import DeviceServiceAsyncStub

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Device:
    """An activated device and its connection."""

    key: DeviceKey
    activated: enrollment_pb2.ActivateResponse
    calls: "DeviceServiceAsyncStub"


class Served:
    """Clients of a running control plane."""

    def __init__(self, data_dir: DataDir, customer: Customer, serving: Serving) -> None:
        assert serving.web is not None
        assert serving.monitor is not None
        self.data_dir = data_dir
        self.customer = customer
        self.tls = serving.tls
        self.mtls = serving.mtls
        self.web = serving.web
        self.monitor = serving.monitor
        self.authorities = data_dir.authorities.read_bytes()
        self._channels: list[grpc.aio.Channel] = []
        people = self.channel(self.tls)
        self.enrollment = EnrollmentServiceStub(people)
        self.accounts = AccountServiceStub(people)
        self.subscriptions = SubscriptionServiceStub(people)
        self.licensing = LicensingServiceStub(people)
        self.fleet = FleetServiceStub(people)
        self.commands = CommandServiceStub(people)
        self.sandbox = SandboxServiceStub(people)
        self.billing = BillingServiceStub(people)

    def channel(
        self, address: Address, device_key: bytes | None = None, chain: bytes | None = None
    ) -> grpc.aio.Channel:
        """A connection that is closed with everything else."""
        credentials = grpc.ssl_channel_credentials(self.authorities, device_key, chain)
        channel = grpc.aio.secure_channel(str(address), credentials)
        self._channels.append(channel)
        return channel

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def sign_in(self) -> tuple[tuple[str, str]]:
        """Metadata of a signed-in owner."""
        request = account_pb2.SignInRequest(email=self.customer.admin_email, password=PASSWORD, token_name="test")
        answer = await self.accounts.SignIn(request)
        return (("authorization", f"Bearer {answer.token}"),)

    def activation(self, device_key: DeviceKey, name: str = "laptop") -> enrollment_pb2.ActivateRequest:
        return enrollment_pb2.ActivateRequest(
            activation_key=self.customer.activation_key,
            certificate_request_der=device_key.certificate_request(),
            device_name=name,
            platform=common_pb2.Platform(
                os="linux", os_version="Debian 12", architecture="x86_64", agent_version="0.1.0"
            ),
            fingerprint=[enrollment_pb2.FingerprintComponent(kind="machine_id", digest=bytes(32))],
        )

    async def activate(self, name: str = "laptop", device_key: DeviceKey | None = None) -> Device:
        key = device_key if device_key is not None else DeviceKey()
        activated = await self.enrollment.Activate(self.activation(key, name))
        calls = DeviceServiceStub(self.channel(self.mtls, key.pem, activated.device_certificate_pem))
        return Device(key, activated, calls)

    async def advance(self, span: timedelta) -> None:
        """Move the customer, who is a sandbox."""
        metadata = await self.sign_in()
        present = await self.sandbox.GetSandbox(sandbox_pb2.GetSandboxRequest(), metadata=metadata)
        until_at_us = present.now_at_us + span // timedelta(microseconds=1)
        request = sandbox_pb2.AdvanceClockRequest(until_at_us=until_at_us)
        while not (await self.sandbox.AdvanceClock(request, metadata=metadata)).reached:
            pass


def detail_of(error: grpc.aio.AioRpcError) -> common_pb2.ErrorDetail:
    """What a refused call says."""
    for name, value in error.trailing_metadata() or ():
        if name == ERROR_DETAIL_METADATA:
            assert isinstance(value, bytes)
            return common_pb2.ErrorDetail.FromString(value)
    raise AssertionError(f"no detail in {error}")


#: An installation on SQLite and its customer, made once a process: making one takes longer than most tests of it.
_made: list[tuple[DataDir, Customer]] = []


async def _customer_of_a_copy(data_dir: DataDir) -> Customer:
    if not _made:
        template = DataDir(folder_of_templates() / "control-plane")
        _made.append((template, await _install(template, None)))
    template, customer = _made[0]
    shutil.copytree(template.path, data_dir.path)
    return customer


async def _install(data_dir: DataDir, database_url: str | None) -> Customer:
    installed = await initialise(
        data_dir,
        hostnames=[],
        database_url=database_url,
        first_customer=FirstCustomer(
            "Some household", "anna@example.com", PASSWORD, "home-3", Term.YEARLY, sandbox=True
        ),
        randomness=SystemRandomness(),
    )
    assert installed.customer is not None
    return installed.customer


@asynccontextmanager
async def served_control_plane(
    folder: Path,
    database_url: str | None = None,
    *,
    settings: str = "",
    environment: Mapping[str, str] | None = None,
    streams: StreamSettings | None = None,
) -> AsyncIterator[Served]:
    """Install with a customer that is a sandbox, serve, stop.

    Args:
        folder: For the data.
        database_url: None: SQLite.
        settings: Added to what `init` wrote.
        environment: Of the server.
        streams: Other times and limits than usual.
    """
    data_dir = DataDir(folder / "server")
    customer = await _customer_of_a_copy(data_dir) if database_url is None else await _install(data_dir, database_url)
    with data_dir.settings.open("a", encoding="utf-8") as file:
        file.write(settings)
    config = read_config(data_dir.path, environment or {})
    async with replica(config, customer, streams or StreamSettings()) as served:
        yield served


@asynccontextmanager
async def replica(config: ServerConfig, customer: Customer, streams: StreamSettings) -> AsyncIterator[Served]:
    """Serve an installation; several at a time, if its database can."""
    any_port = Address("127.0.0.1", 0)
    options = ServeOptions(
        listen=any_port,
        device_listen=any_port,
        web_listen=any_port,
        check_in_interval_s=60,
        monitor_listen=any_port,
        streams=streams,
    )
    ready: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(config, options, stop=stop, ready=ready.set_result))
        served = Served(config.data_dir, customer, await ready)
        try:
            yield served
        finally:
            await served.close()
            stop.set()
