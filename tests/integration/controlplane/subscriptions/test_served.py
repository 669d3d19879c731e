"""Subscriptions as people meet them: with `bucklerctl`, on a served control plane that charges the fake bank."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controlplane.cli.buckler_server import app as operator
from controlplane.config import STRIPE_KEY_VARIABLE, WEBHOOK_SECRETS_VARIABLE
from controlplane.runtime.clock import SystemClock
from tests.fakes.payment_provider.bank import SECRET_KEY, WEBHOOK_SECRET, FakeBank
from tests.fakes.payment_provider.server import serving
from tests.integration.controlplane.served import Served, served_control_plane
from tests.integration.controlplane.test_bucklerctl import Ctl

ENVIRONMENT = {STRIPE_KEY_VARIABLE: SECRET_KEY, WEBHOOK_SECRETS_VARIABLE: WEBHOOK_SECRET}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    with serving(FakeBank(SystemClock())) as base:
        settings = f'\n[billing]\nprovider = "stripe"\nstripe_api_base = "{base}"\n'
        async with served_control_plane(tmp_path, None, settings=settings, environment=ENVIRONMENT) as running:
            yield running


@pytest.fixture
async def ctl(served: Served, tmp_path: Path) -> Ctl:
    person = Ctl(tmp_path / "config", served)
    assert (await person.login()).exit_code == 0
    return person


async def sold(served: Served) -> str:
    """A yearly subscription on trial, sold by an operator beside the running server."""
    arguments = ["subscription", "sell", "home-3", "--currency", "EUR", "--trial-days", "30", "--output", "json"]
    runner = CliRunner(env=ENVIRONMENT)
    folder = str(served.data_dir.path)
    result = await asyncio.to_thread(lambda: runner.invoke(operator, [*arguments, "--data-dir", folder]))
    assert result.exit_code == 0, result.output
    answer: dict[str, str] = json.loads(result.stdout)
    return answer["subscription_id"]


async def test_a_customer_finds_their_way(served: Served, ctl: Ctl) -> None:
    named = await sold(served)
    shown = await ctl.json("subscription", "show", named)
    assert (shown["billing"], shown["next_charge"]["text"]) == ("trialing", "59.99 EUR")
    calendar = await ctl.json("subscription", "simulate", named, "--months", "14")
    steps = [entry["what"] for entry in calendar]
    assert steps[:4] == ["card_check", "trial_first_notice", "trial_last_notice", "period_over"]
    assert "59.99 EUR" in await ctl.text("subscription", "simulate", named)
    await ctl.text("payment-method", "add", "pm_good-1")
    renewed = await ctl.json("subscription", "renew", named, "--yes")
    assert renewed["payment"]["state"] == "captured"
    upgraded = await ctl.json("subscription", "change", named, "--plan", "family-10", "--yes")
    assert upgraded["plan_id"] == "family-10"
    waits = await ctl.json("subscription", "change", named, "--plan", "home-3", "--yes")
    assert (waits["renewal"], waits["pending_plan_id"]) == ("change_scheduled", "home-3")
    assert "Taken back." in await ctl.text("subscription", "undo", named)
    assert (await ctl.json("subscription", "auto-renew", "off", named))["renewal"] == "off"
    assert (await ctl.json("subscription", "resume", named))["renewal"] == "auto"
    first = await ctl.text("subscription", "cancel", named)
    assert "Not cancelled" in first
    assert (await ctl.json("subscription", "cancel", named, "--yes"))["cancelled"] is True


async def test_whoever_agreed_to_renewals_is_on_record_and_everything_can_be_taken_along(
    served: Served, ctl: Ctl, tmp_path: Path
) -> None:
    named = await sold(served)
    await ctl.text("subscription", "auto-renew", "off", named)
    await ctl.text("subscription", "auto-renew", "on", named)
    first, second = await ctl.json("subscription", "consents", named)
    assert (first["given_by"], first["occasion"]) == ("operator", "sold")
    assert "for 59.99 EUR a period, until renewal is turned off" in first["statement"]
    assert (second["given_by"].startswith("user:"), second["occasion"]) == (True, "turned_on")
    file = tmp_path / "everything.jsonl"
    written = await ctl.json("export", "--to", str(file), "--subscription", named)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == sum(written["lines"].values())
    assert {row["statement"] for row in rows if row["type"] == "consent"} == {first["statement"], second["statement"]}
    assert {"organisation", "subscription", "seat", "notice", "person", "audit"} <= {row["type"] for row in rows}
    assert file.stat().st_mode & 0o777 == 0o600
    again = await ctl.run("export", "--to", str(file))
    assert again.exit_code == 2
    assert "FILE_EXISTS" in again.stderr
    every = tmp_path / "every.jsonl"
    assert (await ctl.json("export", "--to", str(every)))["lines"]["subscription"] == 2
    unwanted = tmp_path / "unwanted.jsonl"
    refused = await ctl.run("export", "--to", str(unwanted), "--subscription", "sub_nobody")
    assert (refused.exit_code, unwanted.exists()) == (2, False)


async def test_what_was_told_can_be_read(served: Served, ctl: Ctl) -> None:
    named = await sold(served)
    await ctl.text("subscription", "auto-renew", "off", named)
    (notice,) = await ctl.json("notice", "list")
    assert notice["kind"] == "auto_renew_off"
    text = await ctl.text("notice", "show", notice["notice_id"])
    assert "It stays off until you turn it on." in text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("preview", "sub_of_somebody_else"), "SUBSCRIPTION_UNKNOWN"),
        (("preview", "--plan", "no-such-plan"), "PLAN_UNKNOWN"),
        (("change", "--quote", "quo_of_somebody_else"), "QUOTE_UNKNOWN"),
        (("undo",), "NOTHING_TO_UNDO"),
        (("undo", "--idempotency-key", "short"), "IDEMPOTENCY_KEY_INVALID"),
    ],
)
async def test_bad_wishes_are_refused_with_a_reason(
    served: Served, ctl: Ctl, arguments: tuple[str, ...], reason: str
) -> None:
    named = await sold(served)
    target = [] if arguments[0] == "change" or "somebody" in " ".join(arguments) else [named]
    result = await ctl.run("subscription", *arguments, *target)
    assert result.exit_code != 0
    assert reason in result.output


async def test_a_subscription_that_is_paid_for_elsewhere_has_no_price(ctl: Ctl) -> None:
    result = await ctl.run("subscription", "preview")
    assert "BILLED_ELSEWHERE" in result.output
