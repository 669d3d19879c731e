"""Policies on the real server: `bucklerctl policy`, `bucklerctl device label`, and what a check-in brings."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.policies.model import is_reached
from tests.integration.controlplane.served import Device, Served, served_control_plane
from tests.integration.controlplane.test_bucklerctl import Ctl
from wire.v1 import device_pb2

BASELINE = """
[schedule]
quick = "daily 12:30"
[[exclusions]]
kind = "path"
value = "/srv/build"
reason = "compilers write here"
expires_at = 2199-01-01T00:00:00Z
"""


@pytest.fixture
async def served(server_database: str | None, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_control_plane(tmp_path, server_database) as running:
        yield running


async def check_in(device: Device, etag: str = "", applied: str = "") -> device_pb2.CheckInResponse:
    status = device_pb2.DeviceStatus(policy_version_desired=applied, policy_version_applied=applied)
    return await device.calls.CheckIn(device_pb2.CheckInRequest(status=status, policy_etag=etag))


async def test_a_policy_from_the_file_to_the_device_and_away_again(served: Served, tmp_path: Path) -> None:
    ctl = Ctl(tmp_path / "config", served)
    await ctl.login()
    device = await served.activate("Anna's laptop")
    device_id = device.activated.device_id
    assert not (await check_in(device)).HasField("policy")
    file = tmp_path / "baseline.toml"
    file.write_text(BASELINE)

    preview = await ctl.text("policy", "apply", str(file), "--all", "--preview")
    assert "1 of 1 device(s) would change" in preview
    assert "Anna's laptop" in preview
    assert "schedule.quick: as the device has it -> daily 12:30" in preview
    assert "excluded until 2199-01-01: path /srv/build" in preview
    assert "There are no policies" in await ctl.text("policy", "list")

    applied = await ctl.text("policy", "apply", str(file), "--label", "server,site=berlin", "--stages", "1:1h,100")
    assert "baseline is at revision 1, for label server,site=berlin" in applied
    assert not (await check_in(device)).HasField("policy")
    assigned = await ctl.json("policy", "assign", "baseline", "--label", "server", "--priority", "5")
    assert (assigned["revision"], assigned["for"], assigned["priority"]) == (2, ["label server"], 5)
    labelled = await ctl.text("device", "label", "add", device_id, "server", "site=berlin")
    assert "has the labels: server, site=berlin" in labelled

    told = (await check_in(device)).policy
    assert told.version == "baseline.2"
    assert not (await check_in(device, told.etag, told.version)).HasField("policy")
    shown = await ctl.text("policy", "device", device_id)
    assert "policy_version_applied : baseline.2" in shown
    assert "1 that it is for, 1 reached" in await ctl.text("policy", "rollout", "status", "baseline")
    assert 'schedule.quick = "daily 12:30"' in await ctl.text("policy", "show", "baseline")

    await ctl.text("policy", "apply", str(file), "--stages", "1%:2h,100%")
    held = await ctl.json("policy", "rollout", "pause", "baseline")
    reached = int(is_reached(device_id, 1))
    assert (held["rollout"], held["next_stage_at"], held["reached"]) == ("paused", None, reached)
    assert (await ctl.json("policy", "rollout", "resume", "baseline"))["rollout"] == "running"
    assert "running at 1%" in await ctl.text("policy", "list")

    assert "site=berlin" not in await ctl.text("device", "label", "remove", device_id, "site=berlin")
    stream = device.calls.Connect()
    welcome = await stream.read()
    assert "baseline is removed" in await ctl.text("policy", "remove", "baseline", "--reason", "over")
    for frame, kind in ((welcome, "welcome"), (await stream.read(), "nudge")):
        assert isinstance(frame, device_pb2.ConnectResponse)
        assert frame.WhichOneof("frame") == kind, "who is connected hears of it at once"
    gone = await check_in(device, told.etag, told.version)
    assert (gone.HasField("policy"), gone.policy.etag) == (True, "")
    file.write_text("[schedule]\nfast = 'off'\n")
    wrong = await ctl.run("policy", "apply", str(file), "--all")
    assert (wrong.exit_code, "schedule.fast is no setting of a policy" in wrong.output) == (2, True)
    audit = await ctl.json("audit", "list")
    assert {entry["action"] for entry in audit} >= {
        "policy.applied", "policy.assigned", "policy.removed", "policy.rollout_paused", "device.labelled",
    }  # fmt: skip
