"""Seats, keys, names and licence files through the programs that people use."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.keys.root import FILE_NAME as ROOT_KEY
from tests.e2e.processes import Finished, run_loaded
from tests.integration.controlplane.served import Served
from tests.integration.controlplane.test_bucklerctl import Ctl, ctl, served
from wire.entitlement_codec import decode_claims
from wire.v1 import device_pb2

__all__ = ["ctl", "served"]


class Island:
    """`buckler` on a device that reaches no control plane."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.request = folder / "request"

    async def run(self, *arguments: str) -> Finished:
        options = ("--data-dir", str(self.folder / "data"), "--output", "json")
        return await asyncio.to_thread(run_loaded, "buckler", *arguments, *options)

    async def status(self) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.run("status")).json()
        return shown


@pytest.fixture
def island(tmp_path: Path) -> Island:
    folder = tmp_path / "island"
    folder.mkdir()
    return Island(folder)


async def test_a_device_without_network_is_activated_by_files_alone(ctl: Ctl, island: Island) -> None:
    (await island.run("activate", "--request-file", str(island.request))).expect()
    exported = await ctl.json("licence", "export", str(island.request))
    licence = exported["licence_file"]
    activated = (await island.run("activate", "--licence-file", licence)).expect().json()
    assert (activated["seat_id"], activated["server"]) == (exported["seat_id"], None)
    status = await island.status()
    assert (status["access"], status["licensed"], status["seat_id"]) == ("full", True, exported["seat_id"])
    (seat,) = [each for each in await ctl.json("seat", "list") if each["device_id"]]
    assert (seat["seat_id"], seat["pinned"]) == (exported["seat_id"], True)

    again = await ctl.json("licence", "export", str(island.request), "--days", "30")
    assert (again["device_id"], again["seat_id"]) == (exported["device_id"], exported["seat_id"])
    assert again["expires_at"] < exported["expires_at"]
    (await island.run("deactivate")).expect(1)
    (await island.run("deactivate", "--local-only")).expect()
    assert (await island.status())["access"] == "unlicensed"


async def test_what_is_no_request_or_no_licence_is_refused_and_changes_nothing(ctl: Ctl, island: Island) -> None:
    nonsense = island.folder / "nonsense"
    nonsense.write_bytes(b"\xff nonsense")
    for path, status in ((nonsense, 2), (island.folder / "missing", 2)):
        refused = await ctl.run("licence", "export", str(path), "--output", "json")
        assert refused.exit_code == status, refused.output
    empty = island.folder / "empty"
    empty.write_bytes(b"")
    refused = await ctl.run("licence", "export", str(empty), "--output", "json")
    assert json.loads(refused.stderr)["error"]["code"] == "LICENCE_REQUEST_INVALID"
    failed = await island.run("activate", "--licence-file", str(nonsense))
    assert json.loads(failed.stderr)["error"]["code"] == "LICENCE_FILE_INVALID"
    assert not any(each["device_id"] for each in await ctl.json("seat", "list"))


async def test_seats_are_pinned_transferred_and_their_history_is_kept(served: Served, ctl: Ctl) -> None:
    old, new = await served.activate("old laptop"), await served.activate("new laptop")
    ids = old.activated.device_id, new.activated.device_id
    await ctl.text("seat", "release", ids[1])
    assert "is pinned" in await ctl.text("seat", "pin", ids[0])
    assert "old laptop (pinned)" in await ctl.text("seat", "list")
    moved = await ctl.json("seat", "transfer", ids[0], ids[1], "--reason", "replaced")
    assert (moved["from_device_id"], moved["to_device_id"]) == ids
    refreshed = await new.calls.RefreshEntitlement(device_pb2.RefreshEntitlementRequest(trusted_serial=1))
    assert decode_claims(refreshed.entitlement.claims).access_reason == "PAID"
    history = await ctl.json("seat", "history", ids[0])
    assert [each["change"] for each in history] == ["transferred", "claimed"]
    assert history[0]["reason"] == "replaced"
    assert len(await ctl.json("seat", "history", "--limit", "2")) == 2


async def test_a_repeat_with_the_same_name_changes_nothing_more(served: Served, ctl: Ctl) -> None:
    device_id = (await served.activate()).activated.device_id
    options = ("--idempotency-key", "my-only-wish")
    first = await ctl.json("seat", "release", device_id, *options)
    assert await ctl.json("seat", "release", device_id, *options) == first
    other = await ctl.run("seat", "release", "another", *options, "--output", "json")
    assert json.loads(other.stderr)["error"]["code"] == "IDEMPOTENCY_MISMATCH"


async def test_a_key_is_reissued_and_shown_once(ctl: Ctl) -> None:
    issued = await ctl.json("key", "issue", "--max-devices", "2")
    options = (issued["key_id"], "--idempotency-key", "lost-the-letter")
    new = await ctl.json("key", "reissue", *options)
    assert (new["replaces_key_id"], new["max_devices"]) == (issued["key_id"], 2)
    assert new["activation_key"] != issued["activation_key"]
    assert (await ctl.json("key", "reissue", *options))["activation_key"] is None
    assert "was shown when it was made" in await ctl.text("key", "reissue", *options)


async def test_a_device_keeps_the_name_it_was_given(served: Served, ctl: Ctl) -> None:
    device = await served.activate("DESKTOP-4711")
    renamed = await ctl.json("device", "rename", device.activated.device_id, "Reception")
    assert renamed["name"] == "Reception"
    await served.activate("DESKTOP-4711", device.key)
    assert [each["name"] for each in await ctl.json("device", "list")] == ["Reception"]


async def test_signing_keys_are_shown_rotated_and_revoked_with_the_root_alone(served: Served, tmp_path: Path) -> None:
    data_dir = served.data_dir.path
    root_key = tmp_path / "safe" / ROOT_KEY
    root_key.parent.mkdir()

    async def keys(*arguments: str) -> Finished:
        options = ("--data-dir", str(data_dir), "--output", "json")
        return await asyncio.to_thread(run_loaded, "buckler-server", "keys", *arguments, *options)

    shown = (await keys("show")).expect().json()
    assert (shown["version"], shown["root_key_here"]) == (1, True)
    (served.data_dir.keys / ROOT_KEY).rename(root_key)
    assert (await keys("rotate")).status != 0
    rotated = (await keys("rotate", "--root-key", str(root_key), "--signs-in-hours", "0")).expect().json()
    assert rotated["version"] == 2
    old = rotated["key_1"].partition(" ")[0]
    revoked = (await keys("revoke", old, "--root-key", str(root_key))).expect().json()
    assert (revoked["version"], revoked["revoked"]) == (3, old)
    assert json.loads((await keys("revoke", "ent-none", "--root-key", str(root_key))).stderr)["error"]["code"] == (
        "SIGNING_KEY_NOT_FOUND"
    )
