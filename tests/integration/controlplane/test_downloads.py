"""The download table, from the operator's file to the answer on a machine."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controlplane.cli.buckler_server import app as operator
from controlplane.downloads.document import read_downloads
from controlplane.downloads.service import DownloadService
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from tests.fakes.world import World
from tests.integration.controlplane.served import Served, served_control_plane
from tests.integration.controlplane.test_bucklerctl import Ctl
from tests.unit.controlplane.downloads.test_document import GOOD


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with served_control_plane(tmp_path) as running:
        yield running


async def operate(*arguments: str) -> Result:
    return await asyncio.to_thread(lambda: CliRunner().invoke(operator, arguments))


async def test_tables_are_published_once_and_only_forward(database: Database, tmp_path: Path) -> None:
    world = World(database, tmp_path)
    service = DownloadService(world.clock, world.subscriptions)
    async with database.reading() as connection:
        with pytest.raises(Refusal) as nothing:
            await service.newest(connection)
    assert nothing.value.reason == "DOWNLOADS_NONE"
    async with database.transaction() as uow:
        assert await service.apply(uow, read_downloads(GOOD.encode()))
        assert not await service.apply(uow, read_downloads(GOOD.encode()))
        for altered in (GOOD.replace("= 1000", "= 1001"), GOOD.replace("version = 3", "version = 2")):
            with pytest.raises(Refusal) as taken:
                await service.apply(uow, read_downloads(altered.encode()))
            assert (taken.value.reason, taken.value.facts["newest"]) == ("DOWNLOADS_VERSION_TAKEN", "3")
        assert (await service.newest(uow.connection)).version == 3


async def test_a_build_is_published_and_found_by_whom_it_fits(served: Served, tmp_path: Path) -> None:
    package = tmp_path / "buckler.deb"
    package.write_bytes(b"package")
    described = await operate(
        *("downloads", "describe", str(package), "--url", "https://downloads.example.com/buckler.deb"),
        *("--os", "linux", "--architecture", "x86_64", "--version", "1.2.0"),
    )
    table = tmp_path / "downloads.toml"
    stores = '[[stores]]\nos = "ios"\nurl = "https://store.example.com/buckler"'
    table.write_text(f"version = 1\n{described.stdout}{stores}\n", encoding="utf-8")
    publish = ("downloads", "apply", str(table), "--data-dir", str(served.data_dir.path), "--output", "json")
    assert json.loads((await operate(*publish)).stdout)["outcome"] == "published"
    assert json.loads((await operate(*publish)).stdout)["outcome"] == "unchanged"
    table.write_text("version = 2", encoding="utf-8")
    assert (await operate(*publish)).exit_code == 2

    ctl = Ctl(tmp_path / "config", served)
    await ctl.login()
    found = await ctl.json("download", "resolve", "--os", "linux", "--architecture", "amd64", "--libc", "glibc-2.40")
    assert (found["url"], found["size_bytes"], found["covered"]) == (
        "https://downloads.example.com/buckler.deb",
        7,
        True,
    )
    assert "blocking_mode" in found["features"]
    store = await ctl.json("download", "resolve", "--os", "iOS", "--os-version", "18")
    assert (store["format"], store["features"]) == ("store", ["phishing_protection", "signature_updates"])
    refused = await ctl.run("download", "resolve", "--os", "linux", "--architecture", "i686")
    assert refused.exit_code == 1
    assert "DOWNLOAD_ARCHITECTURE_NOT_BUILT" in refused.stderr
    assert [each["os"] for each in await ctl.json("download", "list")] == ["linux", "ios"]
    assert "unaltered" in await ctl.text("download", "check", str(package))
    package.write_bytes(b"altered")
    altered = await ctl.run("download", "check", str(package))
    assert altered.exit_code == 1
    assert "DOWNLOAD_NOT_OURS" in altered.stderr
