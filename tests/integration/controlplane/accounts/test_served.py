"""Accounts as people meet them: with `bucklerctl`, over TLS, on a served control plane."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from controlplane.accounts.second_factor import code_at, step_at
from controlplane.runtime.clock import SystemClock
from tests.integration.controlplane.served import PASSWORD, Served, detail_of, served_control_plane
from tests.integration.controlplane.test_bucklerctl import Ctl
from tests.integration.server_process import run
from wire.v1 import account_pb2, common_pb2, fleet_pb2, licensing_pb2

NEW_PASSWORD = "another horse and cart"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with served_control_plane(tmp_path) as running:
        yield running


@pytest.fixture
async def ctl(served: Served, tmp_path: Path) -> Ctl:
    person = Ctl(tmp_path / "config", served)
    assert (await person.login()).exit_code == 0
    return person


def _code(secret: str, ahead: int = 0) -> str:
    padded = secret + "=" * (-len(secret) % 8)
    return code_at(base64.b32decode(padded), step_at(SystemClock().now()) + ahead)


def _wrong_code(secret: str) -> str:
    """One that the app does not show within the next minutes, nor has shown lately."""
    shown = {_code(secret, ahead) for ahead in range(-10, 11)}
    return next(code for code in map("{:06}".format, range(100)) if code not in shown)


async def _login(served: Served, folder: Path, email: str, *typed: str) -> tuple[Ctl, int, str]:
    person = Ctl(folder, served)
    arguments = ("login", "--server", str(served.tls), "--ca", str(served.data_dir.authorities), "--email", email)
    result = await person.run(*arguments, stdin="".join(f"{line}\n" for line in typed))
    return person, result.exit_code, result.stderr


async def test_a_second_factor_from_enrolment_to_removal(served: Served, ctl: Ctl, tmp_path: Path) -> None:
    enrolled = json.loads((await ctl.run("second-factor", "enrol", "--output", "json", stdin=f"{PASSWORD}\n")).stdout)
    assert enrolled["uri"].startswith("otpauth://totp/Buckler:anna%40example.com?")
    assert (await ctl.run("second-factor", "confirm", stdin=f"{_wrong_code(enrolled['secret'])}\n")).exit_code == 1
    confirmed = await ctl.run("second-factor", "confirm", "--output", "json", stdin=f"{_code(enrolled['secret'])}\n")
    recovery = json.loads(confirmed.stdout)["recovery_codes"]
    email = served.customer.admin_email
    _, status, said = await _login(served, tmp_path / "a", email, PASSWORD)
    assert (status, said.splitlines()[-2].partition(":")[0]) == (2, "SECRET_MISSING")
    _, status, _ = await _login(served, tmp_path / "b", email, PASSWORD, recovery[0])
    assert status == 0
    _, status, said = await _login(served, tmp_path / "c", email, PASSWORD, recovery[0])
    assert (status, "SECOND_FACTOR_WRONG" in said) == (1, True)
    assert "second_factor : on" in (await ctl.text("whoami"))
    removed = await ctl.run("second-factor", "remove", stdin=f"{PASSWORD}\n{_code(enrolled['secret'], 1)}\n")
    assert removed.exit_code == 0, removed.stderr
    _, status, _ = await _login(served, tmp_path / "d", email, PASSWORD)
    assert status == 0


async def test_people_come_change_and_go(served: Served, ctl: Ctl, tmp_path: Path) -> None:
    added = json.loads(await ctl.text("user", "add", "bob@example.com", "--role", "support", "--output", "json"))
    bob, status, _ = await _login(served, tmp_path / "bob", "bob@example.com", added["initial_password"])
    assert status == 0
    assert (await bob.run("user", "list")).exit_code == 1
    changed = await bob.run("password", "change", stdin=f"{added['initial_password']}\n{NEW_PASSWORD}\n")
    assert changed.exit_code == 0, changed.stderr
    await ctl.text("user", "role", "bob@example.com", "admin", "--reason", "helps out")
    listed = await bob.json("user", "list")
    assert [(each["email"], each["role"]) for each in listed] == [
        ("anna@example.com", "owner"),
        ("bob@example.com", "admin"),
    ]
    assert "bob@example.com" in await ctl.text("user", "list")
    refused = await bob.run("user", "remove", "anna@example.com")
    assert (refused.exit_code, refused.stderr.partition(":")[0]) == (1, "RANK_MISSING")
    reset = json.loads(await ctl.text("user", "reset", "bob@example.com", "--output", "json"))
    assert (await bob.run("whoami")).exit_code == 1
    bob, status, _ = await _login(served, tmp_path / "bob", "bob@example.com", reset["initial_password"])
    assert status == 0
    await ctl.text("user", "remove", "bob@example.com", "--reason", "has left")
    assert (await bob.run("whoami")).exit_code == 1
    trail = await ctl.json("audit", "list", "--action", "user.")
    assert [entry["action"] for entry in reversed(trail)] == [
        "user.created",
        "user.created",
        "user.password_changed",
        "user.role_changed",
        "user.password_changed",
        "user.reset",
        "user.removed",
    ]
    assert trail[0]["actor_email"] == "anna@example.com"
    assert trail[0]["details"] == {"email": "bob@example.com", "reason": "has left", "role": "admin"}
    assert "has left" in await ctl.text("audit", "list", "--limit", "1")


async def test_a_token_for_a_program_does_what_it_is_for_until_it_is_revoked(
    served: Served, ctl: Ctl, tmp_path: Path
) -> None:
    made = json.loads(await ctl.text("token", "create", "dashboard", "--expires-in", "7d", "--output", "json"))
    program = Ctl(tmp_path / "program", served)
    place = ("--server", str(served.tls), "--ca", str(served.data_dir.authorities))
    signed_in = await program.run("login", *place, "--token-stdin", stdin=f"{made['token']}\n")
    assert signed_in.exit_code == 0, signed_in.stderr
    assert "token         : for read" in await program.text("whoami")
    assert (await program.run("fleet", "status")).exit_code == 0
    for command in (("key", "issue"), ("token", "list"), ("audit", "list"), ("subscription", "renew")):
        refused = await program.run(*command)
        assert (refused.exit_code, refused.stderr.partition(":")[0]) == (1, "SCOPE_MISSING"), command
    assert made["token_id"] in await ctl.text("token", "list")
    await ctl.text("token", "revoke", made["token_id"])
    assert (await program.run("fleet", "status")).exit_code == 1


async def test_whoever_signs_out_is_signed_out_on_the_server_too(ctl: Ctl) -> None:
    session = (ctl.config_dir / "session.json").read_bytes()
    assert await ctl.text("logout") == "Signed out.\n"
    assert not (ctl.config_dir / "session.json").exists()
    (ctl.config_dir / "session.json").write_bytes(session)
    (ctl.config_dir / "session.json").chmod(0o600)
    refused = await ctl.run("whoami")
    assert refused.stderr.startswith("TOKEN_INVALID")
    assert (await ctl.run("logout")).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("login", "--server", "a"),
        ("login", "--server", "a", "--email", "x@example.com", "--token-stdin"),
        ("token", "create", "x", "--expires-in", "soon"),
        ("token", "create", "x", "--scope", "everything"),
        ("user", "add", "bob@example.com", "--role", "king"),
        ("password", "change"),
    ],
)
async def test_wrong_usage_ends_with_2(ctl: Ctl, arguments: tuple[str, ...]) -> None:
    assert (await ctl.run(*arguments)).exit_code == 2


async def test_nothing_secret_is_logged_or_stored(served: Served, ctl: Ctl, capfd: pytest.CaptureFixture[str]) -> None:
    enrolled = json.loads((await ctl.run("second-factor", "enrol", "--output", "json", stdin=f"{PASSWORD}\n")).stdout)
    confirmed = await ctl.run("second-factor", "confirm", "--output", "json", stdin=f"{_code(enrolled['secret'])}\n")
    recovery = json.loads(confirmed.stdout)["recovery_codes"]
    token = json.loads(await ctl.text("token", "create", "dashboard", "--output", "json"))["token"]
    for secret in ("wrong password of somebody", recovery[0]):
        with pytest.raises(grpc.aio.AioRpcError):
            await served.accounts.SignIn(
                account_pb2.SignInRequest(email="anna@example.com", password=secret, second_factor=secret)
            )
    written = "".join(capfd.readouterr()).encode()
    stored = served.data_dir.database.read_bytes() + served.data_dir.path.joinpath("server.db-wal").read_bytes()
    secret_bytes = base64.b32decode(enrolled["secret"] + "=" * (-len(enrolled["secret"]) % 8))
    canaries = (PASSWORD, enrolled["secret"], *recovery, recovery[0].replace("-", ""), token, "wrong password of")
    for canary in (*(each.encode() for each in canaries), secret_bytes):
        assert canary not in written
        assert canary not in stored


async def test_pages_and_fields_that_are_wrong_are_refused(served: Served) -> None:
    owner = await served.sign_in()
    page = common_pb2.PageRequest(page_token="bm90IG9uZSBvZiBvdXJz")
    for call, reason in (
        (served.accounts.ListAudit(account_pb2.ListAuditRequest(page=page), metadata=owner), "PAGE_TOKEN_INVALID"),
        (served.accounts.ListPeople(account_pb2.ListPeopleRequest(page=page), metadata=owner), "PAGE_TOKEN_INVALID"),
        (served.accounts.ListTokens(account_pb2.ListTokensRequest(page=page), metadata=owner), "PAGE_TOKEN_INVALID"),
        (served.accounts.RevokeToken(account_pb2.RevokeTokenRequest(), metadata=owner), "INVALID_REQUEST"),
        (served.accounts.RemovePerson(account_pb2.RemovePersonRequest(), metadata=owner), "INVALID_REQUEST"),
        (
            served.accounts.CreateToken(
                account_pb2.CreateTokenRequest(
                    name="x", scopes=["read"], lifetime_s=-(2**63), idempotency_key="my-wish-1"
                ),
                metadata=owner,
            ),
            "TOKEN_LIFETIME_INVALID",
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert detail_of(caught.value).reason == reason


async def test_another_organisations_people_tokens_and_audit_are_out_of_reach(served: Served) -> None:
    owner = await served.sign_in()
    place = ("--data-dir", str(served.data_dir.path), "--output", "json")
    other = (await run("organisation", "create", "Others Ltd", *place)).answer["org_id"]
    eve_wants = ("--email", "eve@example.com", "--role", "owner", "--org", other, "--password-stdin")
    assert (await run("user", "create", *eve_wants, *place, stdin=f"{PASSWORD}\n")).status == 0
    answer = await served.accounts.SignIn(account_pb2.SignInRequest(email="eve@example.com", password=PASSWORD))
    eve = (("authorization", f"Bearer {answer.token}"),)
    people = await served.accounts.ListPeople(account_pb2.ListPeopleRequest(), metadata=eve)
    assert [each.email for each in people.people] == ["eve@example.com"]
    mine = await served.accounts.ListTokens(account_pb2.ListTokensRequest(), metadata=owner)
    with pytest.raises(grpc.aio.AioRpcError):
        await served.accounts.RevokeToken(
            account_pb2.RevokeTokenRequest(token_id=mine.tokens[0].token_id), metadata=eve
        )
    trail = await served.accounts.ListAudit(account_pb2.ListAuditRequest(), metadata=eve)
    assert {entry.subject for entry in trail.entries}.isdisjoint({mine.tokens[0].token_id, served.customer.org_id})
    fleet = await served.fleet.GetFleetStatus(fleet_pb2.GetFleetStatusRequest(), metadata=eve)
    assert fleet.devices == 0
    with pytest.raises(grpc.aio.AioRpcError):
        await served.licensing.ListKeys(
            licensing_pb2.ListKeysRequest(subscription_id=served.customer.subscription_id), metadata=eve
        )


async def test_the_operator_lets_an_owner_in_who_is_locked_out(served: Served, tmp_path: Path) -> None:
    place = ("--data-dir", str(served.data_dir.path), "--output", "json")
    reset = (await run("user", "reset", served.customer.admin_email, "--reason", "lost the telephone", *place)).answer
    _, status, _ = await _login(served, tmp_path / "anna", served.customer.admin_email, PASSWORD)
    assert status == 1
    anna, status, _ = await _login(served, tmp_path / "anna", served.customer.admin_email, reset["password"])
    assert status == 0
    (entry,) = await anna.json("audit", "list", "--action", "user.reset")
    assert (entry["actor"], entry["details"]["reason"]) == ("operator", "lost the telephone")
    unknown = await run("user", "reset", "nobody@example.com", *place)
    assert unknown.error["code"] == "PERSON_UNKNOWN"
    listed = (await run("organisation", "list", *place)).answer["organisations"]
    assert [(each["name"], each["kind"]) for each in listed] == [("Some household", "household")]
