"""`bucklerctl` against a real control plane: what people read, what scripts parse, how it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner, Result

from agent.control.commands.diagnostics import DiagnosticsHandler
from agent.domain.commands import RemoteCommand
from agent.domain.consent import Consent
from agent.domain.ports import BundlePiece
from agent.support.diagnostics.apart import make_bundle_apart
from controlplane.cli.bucklerctl import app
from tests.fakes.clock import SOME_MONDAY
from tests.integration.controlplane.served import PASSWORD, Device, Served, detail_of, served_control_plane
from wire.v1 import command_pb2, device_pb2, diagnostics_pb2


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


HEALTHY = device_pb2.DeviceStatus(
    real_time_protection_enabled=True,
    real_time_protection_proven_at_us=1,
    real_time_protection_subsystem="fanotify",
    real_time_protection_mode="notify",
    engine="yara",
    scans=device_pb2.ScanStanding(counted_from_at_us=1),
)


async def _check_in(device: Device) -> None:
    await device.calls.CheckIn(device_pb2.CheckInRequest(status=HEALTHY, entitlement_serial=1))


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
        "next: Sign in: bucklerctl login --server HOST:PORT --ca ca.pem --email MAIL",
    ]


async def test_a_server_that_cannot_be_trusted_or_reached_ends_with_4(served: Served, tmp_path: Path) -> None:
    person = Ctl(tmp_path / "other", served)
    for changes, code in (
        ({"ca": ""}, "SERVER_NOT_TRUSTED"),
        ({"server": "127.0.0.1:1"}, "SERVER_UNREACHABLE"),
        ({"server": "no-such-host.invalid"}, "SERVER_UNKNOWN"),
        ({"server": f"{'a' * 64}.invalid"}, "SERVER_UNKNOWN"),
        ({"server": str(served.mtls)}, "SERVER_UNREACHABLE"),
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
        ("sandbox", "advance", "--by", "soon"),
        ("device", "list", "--state", "happy"),
        ("device", "show", "\udcff"),
        ("fleet", "expiry", "--days", "9" * 20),
        ("bogus",),
    ):
        assert (await ctl.run(*arguments, stdin="x\n")).exit_code == 2, arguments


async def test_a_revoked_token_is_refused_with_1(ctl: Ctl) -> None:
    session = ctl.config_dir / "session.json"
    content = json.loads(session.read_text())
    token = content["token"]
    session.write_text(json.dumps(content | {"token": token[:-3] + ("AAA" if token[-3] != "A" else "BBB")}))
    result = await ctl.run("seat", "list", "--output", "json")
    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"]["exit_status"] == 1


async def test_fleet_status_answers_in_its_first_line(served: Served, ctl: Ctl) -> None:
    assert (await ctl.text("fleet", "status")).startswith("There are no devices yet.")
    await _check_in(await served.activate("one"))
    assert (await ctl.text("fleet", "status")).startswith("Everyone is protected: 1 of 1 device.")
    await served.activate("two")
    shown = await ctl.text("fleet", "status")
    assert shown.startswith("1 of 2 devices is protected; 1 needs attention.")
    assert "The device has not checked in since it was activated" in shown
    answer = await ctl.json("fleet", "status")
    assert (answer["devices"], answer["protected"], answer["never_seen"]) == (2, 1, 1)
    assert answer["attention"][0]["reasons"][0]["code"] == "NEVER_SEEN"
    assert answer["reasons"] == {"NEVER_SEEN": 1}
    sheet = (await ctl.text("fleet", "status", "--output", "csv")).splitlines()
    assert {"kind,name,devices", "state,protected,1", "reason,NEVER_SEEN,1"} <= set(sheet)


async def test_devices_are_listed_filtered_and_shown(served: Served, ctl: Ctl) -> None:
    device = await served.activate("Anna's [bold]laptop[/bold]")
    await _check_in(device)
    await served.activate("=other")
    listed = await ctl.text("device", "list")
    assert "Anna's [bold]laptop[/bold]" in listed
    (row,) = await ctl.json("device", "list", "--state", "protected")
    assert row["device_id"] == device.activated.device_id
    (other,) = await ctl.json("device", "list", "--reason", "never_seen")
    assert other["name"] == "=other"
    sheet = (await ctl.text("device", "list", "--reason", "never_seen", "--output", "csv")).splitlines()
    assert sheet[1].startswith(f"'=other,{other['device_id']},never_seen,")
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
    assert "Taken: 1 of 3 seats." in await ctl.text("seat", "list")
    seats = await ctl.json("seat", "list")
    assert [seat["device_id"] for seat in seats] == [device.activated.device_id, None, None]
    released = await ctl.json("seat", "release", seats[0]["seat_id"], "--reason", "sold")
    assert released == {"seat_id": seats[0]["seat_id"], "released_device_id": device.activated.device_id}
    again = await ctl.run("seat", "release", seats[0]["seat_id"])
    assert (again.exit_code, again.stderr.partition(":")[0]) == (1, "SEAT_FREE")


async def test_a_subscription_expires_in_the_sandbox_and_is_renewed(ctl: Ctl) -> None:
    before = await ctl.json("subscription", "show")
    assert (before["seats"], before["access"]) == (3, "full")
    moved = await ctl.json("sandbox", "advance", "--by", "400d")
    assert moved["now"] > before["period_end"]
    shown = await ctl.json("sandbox", "show")
    assert (400 * 86_400 - 120 < shown["ahead_s"] <= 400 * 86_400, shown["jobs_parked"]) == (True, 0)
    assert " days, " in await ctl.text("sandbox", "show")
    passed = await ctl.run("sandbox", "advance", "--to", "2020-01-01", "--output", "json")
    assert (passed.exit_code, json.loads(passed.stderr)["error"]["code"]) == (2, "INSTANT_PASSED")
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


# ------------------------------------------------------------ commands


async def test_a_device_is_asked_to_scan_and_its_answer_is_read(ctl: Ctl, served: Served) -> None:
    device = await served.activate("Anna's laptop")
    device_id = device.activated.device_id
    asked = await ctl.json("device", "scan", device_id, "--reason", "Friday", "--idempotency-key", "friday-scan")
    assert (asked["kind"], asked["arguments"], asked["state"]) == ("scan", {"what": "quick"}, "pending")
    again = await ctl.json("device", "scan", device_id, "--reason", "Friday", "--idempotency-key", "friday-scan")
    assert again["command_id"] == asked["command_id"]
    fetched = await device.calls.CheckIn(device_pb2.CheckInRequest(status=device_pb2.DeviceStatus()))
    [command] = fetched.commands
    report = command_pb2.CommandReport(
        command_id=command.command_id,
        state=command_pb2.COMMAND_STATE_SUCCEEDED,
        result={"files": "12", "infected": "1"},
    )
    answer = await device.calls.CheckIn(
        device_pb2.CheckInRequest(status=device_pb2.DeviceStatus(), command_reports=[report])
    )
    assert list(answer.accepted_report_ids) == [command.command_id]
    shown = await ctl.text("command", "show", command.command_id)
    for line in ("state", "succeeded", "result_infected", "Friday", "scan what=quick"):
        assert line in shown
    assert "files 12, infected 1" in await ctl.text("command", "list", "--device", device_id)
    assert "Nothing to cancel: scan on Anna's laptop succeeded." in await ctl.text(
        "command", "cancel", command.command_id
    )


async def test_a_device_that_was_off_sends_its_bundle_which_is_fetched_and_analysed(
    ctl: Ctl, served: Served, tmp_path: Path
) -> None:
    device = await served.activate("Anna's laptop")
    asked = await ctl.json("diagnostics", "request", device.activated.device_id, "--reason", "ticket 7")
    assert (asked["kind"], asked["state"]) == ("diagnostics", "pending")
    [waiting] = await ctl.json("diagnostics", "list")
    assert (waiting["state"], waiting["reason"]) == ("pending", "ticket 7")
    await device.calls.CheckIn(device_pb2.CheckInRequest(status=device_pb2.DeviceStatus()))
    early = await ctl.run("diagnostics", "download", asked["command_id"])
    assert (early.exit_code, early.stderr.partition(":")[0]) == (1, "BUNDLE_NOT_READY")

    async def make(hide_paths: bool) -> bytes:  # noqa: FBT001 -- as `MakeBundle` has it
        return await make_bundle_apart(("--data-dir", str(tmp_path / "none")), tmp_path, hide_paths=hide_paths)

    command = RemoteCommand(asked["command_id"], "diagnostics", {}, SOME_MONDAY, "user", "ticket 7")
    await DiagnosticsHandler(Consent.HIDE_PATHS, make, _Uplink(device)).run(command)
    file = tmp_path / "b.zip"
    await ctl.text("diagnostics", "download", asked["command_id"], "--to", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert "ready" in await ctl.text("diagnostics", "list", "--device", device.activated.device_id)
    analysed = await ctl.run("diagnostics", "analyze", str(file), "--output", "json")
    causes = [cause["code"] for cause in json.loads(analysed.stdout)["causes"]]
    assert (analysed.exit_code, "AGENT_NOT_RUNNING" in causes) == (1, True)
    read = await ctl.json("audit", "list", "--action", "diagnostics.")
    assert [entry["action"] for entry in read] == ["diagnostics.read", "diagnostics.received"]
    twice = await ctl.run("diagnostics", "download", asked["command_id"], "--to", str(file))
    assert (twice.exit_code, twice.stderr.partition(":")[0]) == (5, "FILE_NOT_WRITTEN")


class _Uplink:
    """The call of a device, as its link makes it."""

    def __init__(self, device: Device) -> None:
        self._device = device

    async def send_piece(self, piece: BundlePiece) -> tuple[int, bool]:
        request = diagnostics_pb2.UploadDiagnosticsRequest(**asdict(piece))
        answer = await self._device.calls.UploadDiagnostics(request)
        return answer.next_offset, answer.complete


async def test_what_does_not_succeed_while_it_is_waited_for_ends_with_1(ctl: Ctl, served: Served) -> None:
    device = await served.activate()

    async def answer() -> None:
        asked: list[device_pb2.CheckInResponse] = []
        while not any(answer.commands for answer in asked):
            asked.append(await device.calls.CheckIn(device_pb2.CheckInRequest(status=device_pb2.DeviceStatus())))
        [found] = await ctl.json("command", "list", "--state", "delivered")
        report = command_pb2.CommandReport(
            command_id=found["command_id"], state=command_pb2.COMMAND_STATE_FAILED, code="PATH_MISSING", message="gone"
        )
        await device.calls.CheckIn(
            device_pb2.CheckInRequest(status=device_pb2.DeviceStatus(), command_reports=[report])
        )

    async with asyncio.TaskGroup() as group:
        group.create_task(answer())
        result = await ctl.run("device", "scan", device.activated.device_id, "--path", "/srv", "--wait", "60")
    assert (result.exit_code, result.stdout) == (1, "scan on laptop: failed (PATH_MISSING: gone)\n")


async def test_a_campaign_is_begun_looked_at_and_stopped(ctl: Ctl, served: Served) -> None:
    for name in ("one", "two"):
        await served.activate(name)
    begun = await ctl.json("command", "campaign", "scan", "--argument", "what=quick", "--per-minute", "1")
    assert (begun["state"], begun["counts"]["waiting"]) == ("running", 2)
    stopped = await ctl.json("command", "steer", begun["campaign_id"], "stop")
    assert (stopped["state"], stopped["counts"]["waiting"]) == ("stopped", 0)
    assert "stopped" in await ctl.text("command", "campaigns")
    result = await ctl.run("command", "steer", begun["campaign_id"], "resume")
    assert (result.exit_code, result.stderr.partition(":")[0]) == (1, "CAMPAIGN_OVER")


async def test_a_quarantined_file_is_restored_by_its_detection(ctl: Ctl, served: Served) -> None:
    device = await served.activate()
    incident = device_pb2.Incident(
        uuid=b"\1" * 16,
        detected_at_us=1,
        path=b"/home/anna/eicar.com",
        findings=[device_pb2.Finding(rule="Eicar", namespace="test", severity="high")],
        action=device_pb2.INCIDENT_ACTION_QUARANTINED,
        origin="real_time",
        quarantine_id="q_1",
    )
    reported = device_pb2.Incident(
        uuid=b"\2" * 16,
        detected_at_us=1,
        path=b"/e\xff",
        sha256="ab" * 32,
        findings=incident.findings,
        action=device_pb2.INCIDENT_ACTION_REPORTED,
        origin="scan",
    )
    await device.calls.ReportEvents(device_pb2.ReportEventsRequest(incidents=[incident, reported]))
    [taken] = await ctl.json("quarantine", "list")
    asked = await ctl.json("quarantine", "restore", taken["uuid"], "--allow")
    assert (asked["kind"], asked["arguments"]) == ("restore", {"allow": "yes", "quarantine_id": "q_1"})
    assert (await ctl.json("quarantine", "delete", taken["uuid"]))["kind"] == "delete"
    result = await ctl.run("quarantine", "restore", "02" * 16)
    assert (result.exit_code, result.stderr.partition(":")[0]) == (1, "NOT_QUARANTINED")
    wanted = await ctl.json("detection", "quarantine", "02" * 16)
    assert (wanted["kind"], wanted["arguments"]["path"]) == ("quarantine", "/e%FF")
    told = command_pb2.CommandReport(
        command_id=wanted["command_id"],
        state=command_pb2.COMMAND_STATE_SUCCEEDED,
        result={"outcome": "quarantined", "quarantine_id": "q_2"},
    )
    await device.calls.CheckIn(device_pb2.CheckInRequest(status=HEALTHY, entitlement_serial=1, command_reports=[told]))
    assert (await ctl.json("detection", "show", "02" * 16))["outcome"]["outcome"] == "quarantined"
    assert (await ctl.json("detection", "restore", "02" * 16))["arguments"] == {"quarantine_id": "q_2"}
    result = await ctl.run("detection", "quarantine", "01" * 16)
    assert (result.exit_code, result.stderr.partition(":")[0]) == (1, "QUARANTINED_ALREADY")
    for wrong, code in (
        ("x", "DETECTION_ID_INVALID"),
        ("03" * 16, "DETECTION_NOT_FOUND"),
    ):
        result = await ctl.run("quarantine", "restore", wrong)
        assert (result.exit_code == 0, result.stderr.partition(":")[0]) == (False, code)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("device", "scan", "dev_none"), "DEVICE_NOT_FOUND"),
        (("command", "show", "cmd_none"), "COMMAND_NOT_FOUND"),
        (("command", "steer", "cmp_none", "pause"), "CAMPAIGN_NOT_FOUND"),
        (("command", "campaign", "format_disk"), "COMMAND_KIND_UNKNOWN"),
        (("command", "campaign", "scan", "--argument", "quick"), "ARGUMENT_INVALID"),
        (("command", "campaign", "scan", "--argument", "what=quick"), "CAMPAIGN_EMPTY"),
    ],
)
async def test_wrong_commands_are_refused_in_one_sentence(ctl: Ctl, arguments: tuple[str, ...], code: str) -> None:
    result = await ctl.run(*arguments)
    assert result.stderr.partition(":")[0] == code
    assert result.exit_code in {1, 2}


async def test_a_copied_device_is_held_until_somebody_says_otherwise(served: Served, ctl: Ctl) -> None:
    device = await served.activate("laptop")

    async def contact(nonce: bytes) -> bytes:
        request = device_pb2.CheckInRequest(status=HEALTHY, entitlement_serial=1, contact_nonce=nonce)
        return (await device.calls.CheckIn(request)).next_contact_nonce

    image = await contact(b"")
    mine = await contact(await contact(image))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await contact(image)
    assert detail_of(caught.value).reason == "DEVICE_CLONED"
    (row,) = await ctl.json("device", "list", "--reason", "device_cloned")
    assert row["protection"] == "at_risk"
    said = await ctl.text("device", "release-hold", row["device_id"])
    assert said == "laptop is not held.\n"
    assert await contact(mine) != b""
    assert "Everyone is protected" in await ctl.text("fleet", "status")


async def test_a_stolen_device_is_revoked_for_good(served: Served, ctl: Ctl) -> None:
    device = await served.activate("laptop")
    await _check_in(device)
    revoke = ("device", "revoke", device.activated.device_id, "--reason", "stolen")
    result = await ctl.run(*revoke)
    assert (result.exit_code, result.stderr.partition(":")[0]) == (2, "NOT_CONFIRMED")
    await _check_in(device)
    assert await ctl.text(*revoke, "--yes") == "laptop is revoked and holds no seat.\n"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _check_in(device)
    assert detail_of(refused.value).reason == "DEVICE_REVOKED"
    shown = await ctl.json("device", "show", device.activated.device_id)
    assert (shown["revocation"]["actor_email"], shown["revocation"]["reason"]) == ("anna@example.com", "stolen")
    assert (await ctl.json(*revoke, "--yes"))["revocation"] == shown["revocation"]
    assert "by anna@example.com: stolen" in await ctl.text("device", "show", device.activated.device_id)
    assert await ctl.json("device", "list") == []
    (entry,) = await ctl.json("audit", "list", "--action", "device.revoked")
    assert (entry["subject"], entry["details"]) == (device.activated.device_id, {"reason": "stolen"})


async def test_whoever_revokes_a_device_is_asked_first(
    served: Served, ctl: Ctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await served.activate("laptop")
    revoke = ("device", "revoke", device.activated.device_id, "--reason", "stolen")
    monkeypatch.setattr(
        "controlplane.cli.ctl.devices.device.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    )
    result = await ctl.run(*revoke, stdin="n\n")
    assert result.exit_code != 0
    assert "That is final" in result.stderr
    await _check_in(device)
    result = await ctl.run(*revoke, stdin="y\n")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "laptop is revoked and holds no seat.")


def _incident(number: int, path: bytes) -> device_pb2.Incident:
    return device_pb2.Incident(
        uuid=number.to_bytes(16, "big"),
        detected_at_us=1_700_000_000_000_000,
        path=path,
        findings=[device_pb2.Finding(rule="Test_File", severity="high", threat_name="Test|File")],
        action=device_pb2.INCIDENT_ACTION_QUARANTINED,
        origin="real_time",
    )


async def test_incidents_are_listed_shown_and_judged(served: Served, ctl: Ctl) -> None:
    device = await served.activate("laptop")
    incidents = [_incident(1, b"/a"), _incident(2, b"/b")]
    await device.calls.ReportEvents(device_pb2.ReportEventsRequest(incidents=incidents))
    assert "Test|File" in await ctl.text("incident", "list")
    (row,) = await ctl.json("incident", "list", "--status", "new")
    assert (row["threat"], row["devices"], row["detections"]) == ("Test|File", 1, 2)
    said = await ctl.text("incident", "set-status", row["incident_id"], "false_positive", "--reason", "ours")
    assert said == "Test|File is false positive now.\n"
    shown = await ctl.text("incident", "show", row["incident_id"])
    assert "false positive by user:" in shown
    assert "laptop" in shown
    assert (await ctl.json("audit", "list", "--action", "incident"))[0]["details"]["to"] == "false_positive"
    assert (await ctl.text("incident", "list", "--output", "csv")).splitlines()[1].startswith(row["incident_id"])
    assert (await ctl.run("incident", "show", "inc_none")).exit_code == 2


async def test_webhooks_are_added_listed_and_removed_and_lead_nowhere_inside(ctl: Ctl) -> None:
    refused = await ctl.run("webhook", "add", "https://127.0.0.1:8443/")
    assert (refused.exit_code, refused.stderr.partition(":")[0]) == (2, "WEBHOOK_REFUSED")
    added = await ctl.json("webhook", "add", "https://93.184.215.14/hook")
    assert len(added["secret"]) > 40
    (row,) = await ctl.json("webhook", "list")
    assert (row["webhook_id"], row["waiting"], row["dead"]) == (added["webhook_id"], 0, 0)
    assert "secret" not in row
    assert await ctl.text("webhook", "dead") == "Nothing was given up.\n"
    assert (await ctl.run("webhook", "retry", "dlv_none")).exit_code == 2
    assert await ctl.text("webhook", "remove", row["webhook_id"]) == f"{row['webhook_id']} is removed.\n"


async def test_an_export_has_each_detection_once(served: Served, ctl: Ctl, tmp_path: Path) -> None:
    device = await served.activate("laptop")
    incidents = [_incident(number, b"/home/\xff=|\n") for number in range(3)]
    await device.calls.ReportEvents(device_pb2.ReportEventsRequest(incidents=incidents))
    cursor = tmp_path / "cursor"
    export = ("detection", "export", "--cursor", str(cursor))
    assert await ctl.text(*export) == ""
    await served.advance(timedelta(minutes=1))
    lines = (await ctl.text(*export, "--limit", "2")).splitlines()
    assert [json.loads(line)["uuid"][-1] for line in lines] == ["0", "1"]
    (last,) = (await ctl.text(*export, "--format", "cef")).splitlines()
    assert "|Test_File|Test\\|File|8|rt=" in last
    assert " filePath=/home/\\\\xff\\=|\\\\n " in last
    assert await ctl.text(*export) == ""
