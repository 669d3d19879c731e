"""Devices that are connected by a stream, to real servers over real mutual TLS."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import ClientSession
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from controlplane.config import read_config
from controlplane.devices.connections import StreamSettings
from tests.integration.controlplane.served import Device, Served, detail_of, replica, served_control_plane
from tests.integration.postgres_server import PostgresServer
from tests.vectors.protocol import frozen_protocols
from wire.v1 import command_pb2, device_pb2
from wire.v1.device_pb2_grpc import DeviceServiceStub

WATCHED = {
    "buckler_streams",
    "buckler_streams_refused_total",
    'buckler_hints_total{outcome="sent"}',
    'buckler_rpc_ended_total{method="/buckler.v1.DeviceService/Connect",status="RESOURCE_EXHAUSTED"}',
    'buckler_rpc_ended_total{method="/buckler.v1.CommandService/RequestCommand",status="OK"}',
    'buckler_rpc_seconds_count{method="/buckler.v1.CommandService/RequestCommand"}',
    "buckler_database_reachable",
    "buckler_bus_connected",
}
Call = grpc.aio.StreamStreamCall[device_pb2.ConnectRequest, device_pb2.ConnectResponse]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with served_control_plane(tmp_path, streams=StreamSettings(most=1)) as running:
        yield running


async def _said(call: Call) -> device_pb2.ConnectResponse:
    frame = await call.read()
    assert isinstance(frame, device_pb2.ConnectResponse)
    return frame


async def _connected(device: Device) -> Call:
    call = device.calls.Connect()
    assert (await _said(call)).HasField("welcome")
    return call


async def _ask_for_a_scan(served: Served, device: Device) -> command_pb2.CommandRecord:
    request = command_pb2.RequestCommandRequest(
        device_id=device.activated.device_id, kind="scan", arguments={"what": "quick"}, idempotency_key="scan-it-now"
    )
    return await served.commands.RequestCommand(request, metadata=await served.sign_in())


async def _figures(served: Served) -> dict[str, float]:
    """What Prometheus would see, of what this file is about."""
    async with ClientSession(f"http://{served.monitor}") as prometheus:
        async with prometheus.get("/readyz") as ready:
            assert (ready.status, await ready.text()) == (200, "ready\n")
        async with prometheus.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
    values = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}
    return {name: value for name, value in values.items() if name in WATCHED}


def _check_in_of(protocol: FileDescriptorSet, channel: grpc.aio.Channel) -> Callable[[], Awaitable[Any]]:
    """A check-in by somebody who knows no other protocol than this one."""
    pool = DescriptorPool()
    for file in protocol.file:
        pool.Add(file)
    service = pool.FindServiceByName("buckler.v1.DeviceService")
    method = service.methods_by_name["CheckIn"]
    request = GetMessageClass(method.input_type)
    call = channel.unary_unary(
        f"/{service.full_name}/{method.name}",
        request_serializer=request.SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    return lambda: call(request(entitlement_serial=1))


async def test_a_command_is_given_and_answered_on_the_stream_and_given_to_older_agents_too(served: Served) -> None:
    device = await served.activate()
    call = await _connected(device)
    asked = await _ask_for_a_scan(served, device)
    [command] = (await _said(call)).commands.commands
    assert command.command_id == asked.command.command_id

    channel = served.channel(served.mtls, device.key.pem, device.activated.device_certificate_pem)
    for protocol in frozen_protocols().values():
        old = await _check_in_of(protocol, channel)()
        assert [each.command_id for each in old.commands] == [command.command_id]
        assert old.check_in_interval_s == 60

    report = command_pb2.CommandReport(command_id=command.command_id, state=command_pb2.COMMAND_STATE_SUCCEEDED)
    reports = device_pb2.StreamReports(batch=1, command_reports=[report])
    await call.write(device_pb2.ConnectRequest(reports=reports))
    answer = (await _said(call)).commands
    assert (answer.answers_batch, list(answer.accepted_report_ids)) == (1, [command.command_id])
    record = await served.commands.GetCommand(
        command_pb2.GetCommandRequest(command_id=command.command_id), metadata=await served.sign_in()
    )
    assert record.state == command_pb2.COMMAND_STATE_SUCCEEDED

    other = await served.activate("phone")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await other.calls.Connect().read()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert detail_of(refused.value).reason == "STREAMS_FULL"
    assert detail_of(refused.value).retry_after_s > 0

    assert await _figures(served) == dict.fromkeys(WATCHED, 1.0)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


@pytest.mark.postgres
async def test_a_command_asked_for_at_one_replica_reaches_a_device_at_another(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    async with postgres.borrowed() as url, served_control_plane(tmp_path, url) as here:
        config = read_config(here.data_dir.path, {})
        assert config.bus.kind == "postgresql"
        async with replica(config, here.customer, StreamSettings()) as there:
            device = await there.activate()
            call = await _connected(device)
            asked = await _ask_for_a_scan(here, device)
            [command] = (await _said(call)).commands.commands
            assert command.command_id == asked.command.command_id
            chain = device.activated.device_certificate_pem
            moved = DeviceServiceStub(here.channel(here.mtls, device.key.pem, chain)).Connect()
            assert (await _said(moved)).HasField("welcome")
