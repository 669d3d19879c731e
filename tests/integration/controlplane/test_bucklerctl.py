"""`bucklerctl` against a real control plane: what people read, what scripts parse, how it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from controlplane.cli.bucklerctl import app
from tests.integration.controlplane.served import PASSWORD, Device, Served, served_control_plane
from wire.v1 import device_pb2


class Ctl:
    """A person with `bucklerctl`, on a thread of its own as its calls block."""

    def __init__(self, config_dir: Path, served: Served) -> None:
        self.config_dir = config_dir
        self._served = served

    async def run(self, *arguments: str, stdin: str = "") -> Result:
        environment = {"BUCKLERCTL_CONFIG_DIR": str(self.config_dir), "COLUMNS": "300"}
        runner = CliRunner(env=environment)
        return await asyncio.to_thread(lambda: runner.invoke(app, arguments, input=stdin))

    async def text(self, *arguments: str) -> str:
        result = await self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    async def json(self, *arguments: str) -> Any:
        return json.loads(await self.text(*arguments, "--output", "json"))

    async def login(self, **changes: str) -> Result:
        options = {
            "server": str(self._served.tls),
            "ca": str(self._served.data_dir.authorities),
            "email": self._served.customer.admin_email,
        } | changes
        arguments = [part for name, value in options.items() if value for part in (f"--{name}", value)]
        return await self.run("login", *arguments, stdin=f"{PASSWORD}\n")


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with served_control_plane(tmp_path) as running:
        yield running


@pytest.fixture
async def ctl(served: Served, tmp_path: Path) -> Ctl:
    person = Ctl(tmp_path / "config", served)
    result = await person.login()
    assert result.exit_code == 0, result.output
    return person


async def _check_in(device: Device) -> None:
    status = device_pb2.DeviceStatus(
        real_time_protection_enabled=True,
        real_time_protection_proven_at_us=1,
        real_time_protection_subsystem="fanotify",
        real_time_protection_mode="notify",
        engine="yara",
    )
    await device.calls.CheckIn(device_pb2.CheckInRequest(status=status, entitlement_serial=1))


async def test_the_token_is_kept_for_its_owner_only(ctl: Ctl) -> None:
    session = ctl.config_dir / "session.json"
    assert session.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in session.read_text()


async def test_signing_in_says_who_one_is(served: Served, tmp_path: Path) -> None:
    result = await Ctl(tmp_path / "other", served).login()
    assert f"Signed in to {served.tls} as anna@example.com, owner of Some household" in result.stdout


async def test_whoever_is_not_signed_in_is_told_how(served: Served, tmp_path: Path) -> None:
    result = await Ctl(tmp_path / "empty", served).run("fleet", "status")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "NOT_SIGNED_IN: nobody is signed in here",
        "next: Sign in: bucklerctl login --server HOST:PORT --email MAIL",
    ]


async def test_a_server_that_cannot_be_trusted_or_reached_ends_with_4(served: Served, tmp_path: Path) -> None:
    person = Ctl(tmp_path / "other", served)
    for changes, code in (
        ({"ca": ""}, "SERVER_NOT_TRUSTED"),
        ({"server": "127.0.0.1:1"}, "SERVER_UNREACHABLE"),
        ({"server": "no-such-host.invalid"}, "SERVER_UNKNOWN"),
    ):
        result = await person.login(**changes)
        assert (result.exit_code, result.stderr.partition(":")[0]) == (4, code)
    assert not (tmp_path / "other" / "session.json").exists()


async def test_wrong_usage_ends_with_2_before_anything_is_sent(ctl: Ctl, tmp_path: Path) -> None:
    (tmp_path / "not.pem").write_text("hello")
    for arguments in (
        ("login", "--server", "a:b", "--email", "x@example.com"),
        ("login", "--server", "a", "--email", "x@example.com", "--ca", str(tmp_path / "not.pem")),
        ("login", "--server", "a", "--email", "x@example.com", "--ca", str(tmp_path / "missing.pem")),
        ("detection", "show", "zz"),
        ("detection", "list", "--since", "yesterday"),
        ("key", "issue", "--expires-in", "soon"),
        ("sandbox", "advance"),
        ("device", "list", "--state", "happy"),
        ("bogus",),
    ):
        assert (await ctl.run(*arguments, stdin="x\n")).exit_code == 2, arguments


async def test_a_revoked_token_is_refused_with_1(ctl: Ctl) -> None:
    session = ctl.config_dir / "session.json"
    content = json.loads(session.read_text())
    session.write_text(json.dumps(content | {"token": content["token"][:-3] + "AAA"}))
    result = await ctl.run("seat", "list", "--output", "json")
    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"]["exit_status"] == 1


async def test_fleet_status_answers_in_its_first_line(served: Served, ctl: Ctl) -> None:
    assert (await ctl.text("fleet", "status")).startswith("There are no devices yet.")
    await _check_in(await served.activate("one"))
    assert (await ctl.text("fleet", "status")).startswith("Everyone is protected: 1 of 1 devices.")
    await served.activate("two")
    shown = await ctl.text("fleet", "status")
    assert shown.startswith("1 of 2 devices are protected; 1 need attention.")
    assert "The device has not checked in since it was activated" in shown
    answer = await ctl.json("fleet", "status")
    assert (answer["devices"], answer["protected"], answer["never_seen"]) == (2, 1, 1)
    assert answer["attention"][0]["reasons"][0]["code"] == "NEVER_SEEN"


async def test_devices_are_listed_filtered_and_shown(served: Served, ctl: Ctl) -> None:
    device = await served.activate("Anna's [bold]laptop[/bold]")
    await _check_in(device)
    await served.activate("other")
    listed = await ctl.text("device", "list")
    assert "Anna's [bold]laptop[/bold]" in listed
    (row,) = await ctl.json("device", "list", "--state", "protected")
    assert row["device_id"] == device.activated.device_id
    limited = await ctl.run("device", "list", "--limit", "1")
    assert limited.stderr == "there are more than 1: use --limit\n"
    shown = await ctl.text("device", "show", row["device_id"])
    assert "on (fanotify, notify)" in shown
    assert (await ctl.json("device", "show", row["device_id"]))["status"]["engine"] == "yara"


async def test_detections_are_listed_and_shown_with_hostile_names_made_visible(served: Served, ctl: Ctl) -> None:
    device = await served.activate("laptop")
    incident = device_pb2.Incident(
        uuid=bytes(range(16)),
        detected_at_us=1_700_000_000_000_000,
        path=b"/home/\xff\x1b[2J\xe2\x80\xae.zip",
        findings=[device_pb2.Finding(rule="Test_File", severity="high", member_path=["a.zip", "b.txt"])],
        action=device_pb2.INCIDENT_ACTION_QUARANTINED,
        origin="real_time",
    )
    await device.calls.ReportEvents(device_pb2.ReportEventsRequest(incidents=[incident]))
    listed = await ctl.text("detection", "list")
    assert "/home/\\xff\\x1b[2J\\u202e.zip" in listed
    assert "Test_File" in listed
    (row,) = await ctl.json("detection", "list", "--since", "1h", "--device", device.activated.device_id)
    assert row["path"].encode("utf-8", "surrogateescape") == incident.path
    assert (row["action"], row["findings"][0]["member"]) == ("quarantined", "a.zip!b.txt")
    shown = await ctl.text("detection", "show", row["uuid"])
    assert "a.zip!b.txt" in shown
    unknown = await ctl.run("detection", "show", "00" * 16)
    assert unknown.stderr.startswith("DETECTION_NOT_FOUND: ")


async def test_seats_are_listed_and_released(served: Served, ctl: Ctl) -> None:
    device = await served.activate("laptop")
    assert "1 of 3 seats are taken." in await ctl.text("seat", "list")
    seats = await ctl.json("seat", "list")
    assert [seat["device_id"] for seat in seats] == [device.activated.device_id, None, None]
    released = await ctl.json("seat", "release", seats[0]["seat_id"], "--reason", "sold")
    assert released == {"seat_id": seats[0]["seat_id"], "released_device_id": device.activated.device_id}
    again = await ctl.run("seat", "release", seats[0]["seat_id"])
    assert (again.exit_code, again.stderr.partition(":")[0]) == (1, "SEAT_FREE")


async def test_a_subscription_expires_in_the_sandbox_and_is_renewed(ctl: Ctl) -> None:
    before = await ctl.json("subscription", "show")
    assert (before["seats"], before["access"]) == (3, "full")
    moved = await ctl.json("sandbox", "advance", "--days", "400")
    assert moved["now"] > before["period_end"]
    assert "limited (SUBSCRIPTION_EXPIRED)" in await ctl.text("subscription", "show")
    renewed = await ctl.json("subscription", "renew", "--idempotency-key", "my-wish-1")
    assert (renewed["renewed"], renewed["access"]) == (True, "full")
    repeated = await ctl.json("subscription", "renew", "--idempotency-key", "my-wish-1")
    assert repeated["period_end"] == renewed["period_end"]
    assert (await ctl.text("subscription", "renew")).startswith("Renewed.")


async def test_keys_are_shown_once_listed_and_revoked(ctl: Ctl) -> None:
    issued = await ctl.json("key", "issue", "--max-devices", "2", "--expires-in", "30d")
    assert issued["activation_key"].endswith(issued["hint"])
    listed = await ctl.text("key", "list")
    assert issued["activation_key"] not in listed
    assert f"…-{issued['hint']}" in listed
    assert "revoked" in await ctl.text("key", "revoke", issued["key_id"])
    assert "shown this once" in await ctl.text("key", "issue")


async def test_a_server_that_goes_away_is_reported_as_unreachable(served: Served, ctl: Ctl, tmp_path: Path) -> None:
    session = ctl.config_dir / "session.json"
    content = json.loads(session.read_text())
    session.write_text(json.dumps(content | {"server": "127.0.0.1:1"}))
    result = await ctl.run("fleet", "status")
    assert (result.exit_code, result.stderr.partition(":")[0]) == (4, "SERVER_UNREACHABLE")


def test_help_names_every_group() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    for group in (
        "login",
        "fleet",
        "device",
        "detection",
        "seat",
        "subscription",
        "key",
        "invoice",
        "payment-method",
        "refund",
        "sandbox",
    ):
        assert group in shown
