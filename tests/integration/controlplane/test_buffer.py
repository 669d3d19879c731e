"""Reports that were acknowledged outlive a server that is killed before its database took them."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from nats import connect
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig

from controlplane.intake import STREAM
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.waiting import until
from tests.integration import server_process
from tests.integration.nats_server import NatsServer, nats_program
from wire.v1 import common_pb2, device_pb2, enrollment_pb2
from wire.v1.device_pb2_grpc import DeviceServiceStub
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceStub

PATIENCE_S = 60.0


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    server = NatsServer(nats_program(), tmp_path, jetstream=True)
    server.start()
    await server.answers()
    await _given_back_after_a_second(server)
    yield server
    server.stop()


async def _given_back_after_a_second(server: NatsServer) -> None:
    """A server leaves stream and consumer as it finds them: what a dead one had is handed out sooner than usual."""
    client = await connect(server.url)
    stream = client.jetstream()
    subject = STREAM.lower().replace("_", ".")
    await stream.add_stream(StreamConfig(STREAM, subjects=[subject], retention=RetentionPolicy.WORK_QUEUE))
    config = ConsumerConfig(durable_name="writers", ack_policy=AckPolicy.EXPLICIT, ack_wait=1, filter_subject=subject)
    await stream.add_consumer(STREAM, config)
    await client.close()


@contextlib.contextmanager
def nobody_can_write(database: Path) -> Iterator[None]:
    """As long as this lasts, the database stands still."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def stored(database: Path) -> int:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM detections").fetchone()
    return int(count)


def report(number: int) -> device_pb2.ReportEventsRequest:
    finding = device_pb2.Finding(rule="Rule", severity="high")
    incident = device_pb2.Incident(
        uuid=number.to_bytes(16, "big"),
        detected_at_us=1,
        path=b"/tmp/x",
        action=device_pb2.INCIDENT_ACTION_QUARANTINED,
        origin="scan",
        findings=[finding],
    )
    return device_pb2.ReportEventsRequest(incidents=[incident])


async def activated(serving: server_process.Serving, activation_key: str) -> tuple[DeviceKey, bytes]:
    key = DeviceKey()
    async with serving.channel() as channel:
        answer = await EnrollmentServiceStub(channel).Activate(
            enrollment_pb2.ActivateRequest(
                activation_key=activation_key,
                certificate_request_der=key.certificate_request(),
                device_name="laptop",
                platform=common_pb2.Platform(os="linux", os_version="12", architecture="x86_64", agent_version="0.1"),
            )
        )
    return key, answer.device_certificate_pem


async def test_a_server_that_is_killed_between_store_and_write_loses_nothing(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    data_dir = tmp_path / "server"
    made = await server_process.installed(data_dir)
    with (data_dir / "server.toml").open("a", encoding="utf-8") as settings:
        settings.write(f'[bus]\nkind = "nats"\nurl = "{nats_server.url}"\nbuffer_detections = true\n')
    database = data_dir / "server.db"
    async with server_process.serving(data_dir) as serving:
        key, certificate = await activated(serving, made["activation_key"])
        async with serving.device_channel(key.pem, certificate) as channel:
            calls = DeviceServiceStub(channel)
            await serving.has_said("buffer_connected")
            await calls.ReportEvents(report(0))
            await until(lambda: stored(database) == 1, PATIENCE_S)
            with nobody_can_write(database):
                for number in range(1, 6):
                    answer = await calls.ReportEvents(report(number), timeout=30)
                    assert list(answer.accepted_uuids) == [number.to_bytes(16, "big")]
                await serving.kill()
        assert stored(database) == 1
    async with server_process.serving(data_dir) as serving:
        async with serving.device_channel(key.pem, certificate) as channel:
            # A repeat finds what is there, or is found.
            await DeviceServiceStub(channel).ReportEvents(report(5))
        await until(lambda: stored(database) == 6, PATIENCE_S)
        status, _ = await serving.stop()
        assert status == 0
    assert stored(database) == 6
