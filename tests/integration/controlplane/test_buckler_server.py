"""`buckler-server` from init to stop, with real processes."""

import json
import socket
from hashlib import sha256
from importlib import resources
from pathlib import Path

import grpc
import pytest

from tests.fakes.certificate_requests import DeviceKey
from tests.integration.postgres_server import PostgresServer
from tests.integration.server_process import EMAIL, detail_of, init, installed, run, serving
from wire.v1 import account_pb2, common_pb2, device_pb2, enrollment_pb2, sandbox_pb2, subscription_pb2
from wire.v1.account_pb2_grpc import AccountServiceStub
from wire.v1.device_pb2_grpc import DeviceServiceStub
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceStub
from wire.v1.sandbox_pb2_grpc import SandboxServiceStub
from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

YEAR_AND_A_DAY_S = 366 * 86_400


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


async def test_an_installation_serves_people_and_stops_cleanly(tmp_path: Path) -> None:
    made = await init(tmp_path / "data", "--hostname", "protect.example.com")
    assert made["plan"] == "home-3"
    assert made["activation_key"].startswith("BKLR-")
    assert "admin_password" not in made or made["admin_password"] is None
    async with serving(tmp_path / "data") as server:
        metadata = await server.token()
        async with server.channel() as channel:
            me = await AccountServiceStub(channel).WhoAmI(account_pb2.WhoAmIRequest(), metadata=metadata)
            assert (me.email, me.org_id, me.role) == (EMAIL, made["org_id"], "owner")
            bought = await SubscriptionServiceStub(channel).GetSubscription(
                subscription_pb2.GetSubscriptionRequest(), metadata=metadata
            )
            assert bought.subscription_id == made["subscription_id"]
            assert (bought.seats, bought.seats_taken, bought.access) == (3, 0, common_pb2.ACCESS_LEVEL_FULL)
            with pytest.raises(grpc.aio.AioRpcError) as real:
                await SandboxServiceStub(channel).AdvanceClock(sandbox_pb2.AdvanceClockRequest(), metadata=metadata)
            assert detail_of(real.value).reason == "NOT_A_SANDBOX"
        status, log = await server.stop()
        assert (status, log.splitlines()[-1]) == (0, "stopped")


async def test_refusals_carry_a_reason_a_next_step_and_an_id(tmp_path: Path) -> None:
    await installed(tmp_path / "data")
    viewer = json.loads(
        (
            await run(
                *("user", "create", "--data-dir", str(tmp_path / "data"), "--email", "v@example.com"),
                *("--role", "viewer", "--output", "json"),
            )
        ).stdout
    )
    async with serving(tmp_path / "data") as server:
        looks_only = await server.token("v@example.com", viewer["password"])
        async with server.channel() as channel:
            accounts, bought = AccountServiceStub(channel), SubscriptionServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as wrong:
                await accounts.SignIn(account_pb2.SignInRequest(email=EMAIL, password="wrong"))
            assert wrong.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert detail_of(wrong.value).reason == "SIGN_IN_FAILED"
            with pytest.raises(grpc.aio.AioRpcError) as nobody:
                await accounts.WhoAmI(account_pb2.WhoAmIRequest())
            assert detail_of(nobody.value).reason == "UNAUTHENTICATED"
            with pytest.raises(grpc.aio.AioRpcError) as role:
                await bought.Renew(
                    subscription_pb2.RenewRequest(idempotency_key="12345678"),
                    metadata=[*looks_only, ("buckler-request-id", "req_from_the_test")],
                )
            assert role.value.code() is grpc.StatusCode.PERMISSION_DENIED
            assert detail_of(role.value).facts["allowed_roles"] == "owner, admin"
            assert dict(role.value.trailing_metadata() or ())["buckler-request-id"] == "req_from_the_test"
            refused = [await _sign_in_code(channel) for _ in range(25)]
            assert refused[-1] == "RATE_LIMITED"


async def _sign_in_code(channel: grpc.aio.Channel) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await AccountServiceStub(channel).SignIn(
            account_pb2.SignInRequest(email="nobody@example.com", password="wrong")
        )
    return detail_of(refused.value).reason


async def test_a_device_activates_over_tls_and_checks_in_over_mutual_tls_only(tmp_path: Path) -> None:
    made = await installed(tmp_path / "data")
    key = DeviceKey()
    async with serving(tmp_path / "data", "--check-in-interval", "7") as server:
        async with server.channel() as channel:
            activated = await EnrollmentServiceStub(channel).Activate(
                enrollment_pb2.ActivateRequest(
                    activation_key=made["activation_key"],
                    certificate_request_der=key.certificate_request(),
                    device_name="laptop",
                    platform=common_pb2.Platform(os="linux", os_version="Debian", architecture="x86_64"),
                )
            )
        assert activated.device_address == ":" + server.mtls.rpartition(":")[2]
        assert activated.check_in_interval_s == 7
        async with server.device_channel(key.pem, activated.device_certificate_pem) as channel:
            checked_in = await DeviceServiceStub(channel).CheckIn(
                device_pb2.CheckInRequest(status=device_pb2.DeviceStatus(), entitlement_serial=1)
            )
            assert not checked_in.entitlement_changed
        async with server.device_channel(None, None) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await DeviceServiceStub(channel).CheckIn(device_pb2.CheckInRequest(), timeout=5)
            assert refused.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_a_sandbox_travels_in_time_survives_a_kill_and_cannot_travel_back(tmp_path: Path) -> None:
    made = await init(tmp_path / "data", "--sandbox")
    async with serving(tmp_path / "data") as server:
        metadata = await server.token()
        async with server.channel() as channel:
            sandbox = SandboxServiceStub(channel)
            present = await sandbox.GetSandbox(sandbox_pb2.GetSandboxRequest(), metadata=metadata)
            assert present.ahead_us == 0
            request = sandbox_pb2.AdvanceClockRequest(until_at_us=present.now_at_us + YEAR_AND_A_DAY_S * 1_000_000)
            moved = await sandbox.AdvanceClock(request, metadata=metadata)
            assert (moved.jobs_run >= 1, moved.jobs_failed, moved.reached) == (True, 0, True)
            bought = SubscriptionServiceStub(channel)
            expired = await bought.GetSubscription(subscription_pb2.GetSubscriptionRequest(), metadata=metadata)
            assert expired.access == common_pb2.ACCESS_LEVEL_LIMITED
            assert expired.access_reason == "SUBSCRIPTION_EXPIRED"
            renew = subscription_pb2.RenewRequest(subscription_id=made["subscription_id"], idempotency_key="0123456789")
            first = await bought.Renew(renew, metadata=metadata)
            assert (first.renewed, first.subscription.access) == (True, common_pb2.ACCESS_LEVEL_FULL)
        await server.kill()
    async with serving(tmp_path / "data") as server, server.channel() as channel:
        assert await SubscriptionServiceStub(channel).Renew(renew, metadata=metadata) == first
        again = await SandboxServiceStub(channel).AdvanceClock(request, metadata=metadata)
        assert (again.reached, again.jobs_run, again.now_at_us >= moved.now_at_us) == (True, 0, True)
        for until_at_us in (2**56, 2**62):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await SandboxServiceStub(channel).AdvanceClock(
                    sandbox_pb2.AdvanceClockRequest(until_at_us=until_at_us), metadata=metadata
                )
            assert detail_of(refused.value).reason == "ADVANCE_INVALID"


async def test_init_never_touches_a_finished_installation_and_finishes_an_interrupted_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "init.unfinished").touch()
    (data / "keys").mkdir()
    (data / "keys" / "authority_key.pem").write_text("half")
    (data / "server.db").write_text("half")
    (data / "server.db.mine").write_text("not ours to remove")
    unfit = await run(
        *("init", "--data-dir", str(data), "--org", "Example", "--admin-email", EMAIL),
        *("--admin-password-stdin", "--output", "json"),
        stdin="short\n",
    )
    assert (unfit.status, unfit.error["code"]) == (2, "PASSWORD_UNFIT")
    await init(data)
    before = fingerprint(data)
    assert "server.db.mine" in before
    assert "init.unfinished" not in before
    again = await run("init", "--data-dir", str(data), "--output", "json")
    assert (again.status, again.error["code"], again.stdout) == (5, "ALREADY_INITIALISED", "")
    assert fingerprint(data) == before
    assert {path.stat().st_mode & 0o077 for path in [data / "keys", *(data / "keys").iterdir()]} == {0}


async def test_the_doctor_is_content_with_a_new_installation_and_names_an_exposed_key(tmp_path: Path) -> None:
    await installed(tmp_path / "data")
    arguments = ("doctor", "--data-dir", str(tmp_path / "data"), "--output", "json")
    content = await run(*arguments)
    assert (content.status, content.answer["healthy"]) == (0, True)
    assert {check["check"] for check in content.answer["checks"]} == {
        *("key_files", "server_certificate", "authority_certificate", "database", "clock", "jobs", "documents")
    }
    (tmp_path / "data" / "keys" / "entitlement_keys.json").chmod(0o644)
    exposed = await run(*arguments)
    assert exposed.status == 1
    assert {check["code"] for check in exposed.answer["checks"]} >= {"KEY_FILE_EXPOSED"}
    refused = await run("serve", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    assert (refused.status, "KEY_FILE_EXPOSED: " in refused.stderr) == (5, True)


async def test_what_keeps_a_server_from_starting_is_one_sentence(tmp_path: Path) -> None:
    missing = await run("serve", "--data-dir", str(tmp_path / "none"))
    assert (missing.status, missing.stderr.startswith("NOT_INITIALISED: ")) == (5, True)
    await installed(tmp_path / "data")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        in_use = await run(
            "serve", "--data-dir", str(tmp_path / "data"), "--listen", address, "--device-listen", "127.0.0.1:0"
        )
    assert in_use.status == 5
    assert f"PORT_IN_USE: another program listens on {address}" in in_use.stderr
    assert "Traceback" not in in_use.stderr
    bad = await run("serve", "--data-dir", str(tmp_path / "data"), "--listen", "nonsense")
    assert (bad.status, "ADDRESS_INVALID: " in bad.stderr) == (2, True)


async def test_operators_commands_answer_in_json_and_refuse_in_json(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    await installed(tmp_path / "data")
    catalog = tmp_path / "catalog.toml"
    sample = resources.files("controlplane.catalog").joinpath("sample_catalog.toml").read_text(encoding="utf-8")
    catalog.write_text(sample.replace("devices = 3", "devices = 4"), encoding="utf-8")
    apply = ("catalog", "apply", str(catalog), "--data-dir", data, "--output", "json")
    in_use = await run(*apply)
    assert (in_use.status, in_use.error["code"]) == (1, "CATALOG_VERSION_IN_USE")
    catalog.write_text(sample.replace("version = 2", "version = 3"), encoding="utf-8")
    rehearsed = (await run(*apply, "--dry-run")).answer
    assert (rehearsed["outcome"], rehearsed["added"], rehearsed["removed"]) == ("published", [], [])
    assert (await run(*apply)).answer["outcome"] == "published"
    listed = (await run("catalog", "list", "--data-dir", data, "--output", "json")).answer["versions"]
    assert [(each["version"], each["state"], each["subscriptions"]) for each in listed] == [
        (2, "past", 1),
        (3, "on sale", 0),
    ]
    migrated = await run("migrate", "--data-dir", data, "--output", "json")
    assert (migrated.status, migrated.answer["changed"]) == (0, False)
    future = await run("jobs", "run", "--until", "2100-01-01", "--data-dir", data, "--output", "json")
    assert (future.status, future.error["code"]) == (1, "JOBS_IN_THE_FUTURE")
    ran = await run("jobs", "run", "--data-dir", data, "--output", "json")
    assert (ran.status, ran.answer["failed"]) == (0, 0)


@pytest.mark.postgres
async def test_an_installation_on_postgresql_serves_and_its_database_is_not_taken_by_another(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    name = await postgres.new_database()
    url = postgres.url(name)
    await init(tmp_path / "data", "--database-url", url)
    async with serving(tmp_path / "data") as server:
        metadata = await server.token()
        async with server.channel() as channel:
            me = await AccountServiceStub(channel).WhoAmI(account_pb2.WhoAmIRequest(), metadata=metadata)
            assert me.email == EMAIL
    second = await run("init", "--data-dir", str(tmp_path / "second"), "--database-url", url, "--output", "json")
    assert (second.status, second.error["code"]) == (5, "DATABASE_IN_USE")
    await postgres.drop_database(name)
