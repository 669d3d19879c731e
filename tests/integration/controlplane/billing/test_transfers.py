"""`buckler-server transfer` on an installation: what came by bank pays an invoice, what was sent settles a refund."""

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from controlplane.billing.model import CreditReason, InvoiceState
from controlplane.catalog.model import Term
from controlplane.cli.buckler_server import app
from controlplane.config import DataDir
from controlplane.installation import FirstCustomer, initialise
from controlplane.runtime.randomness import SystemRandomness
from controlplane.storage.database import Database
from tests.fakes.billing import BillingWorld

CUSTOMER = FirstCustomer("Some household", "anna@example.com", "correct horse battery", "home-3", Term.YEARLY)


async def _run(data_dir: DataDir, *arguments: str) -> tuple[int, Any]:
    command = ["transfer", *arguments, "--data-dir", str(data_dir.path), "--output", "json"]
    result = await asyncio.to_thread(lambda: CliRunner().invoke(app, command))
    said = result.stdout if result.exit_code == 0 else result.stderr
    return result.exit_code, json.loads(said)


async def test_an_operator_writes_down_what_came_and_what_was_sent(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "server")
    installed = await initialise(
        data_dir, hostnames=[], database_url=None, first_customer=CUSTOMER, randomness=SystemRandomness()
    )
    assert installed.customer is not None
    org_id = installed.customer.org_id
    database = Database(f"sqlite+aiosqlite:///{data_dir.database}")
    world = BillingWorld(database)
    invoice = await world.issue(world.draft(org_id))
    came = ("received", invoice.number, "119.00", "EUR", "--reference", "bank-1")
    status, paid = await _run(data_dir, *came)
    assert (status, paid["amount"], paid["too_much"]) == (0, "119.00 EUR", None)
    assert (await _run(data_dir, *came))[1] == paid
    assert (await world.invoice(org_id, invoice.invoice_id)).state is InvoiceState.PAID
    async with database.transaction() as uow:
        returned = await world.billing.refunds.approve(
            uow, org_id, invoice.invoice_id, invoice.content.total, reason=CreditReason.REFUND
        )
    (refund,) = returned.refunds
    status, sent = await _run(data_dir, "sent", refund.refund_id, "--reference", "bank-out-1")
    assert (status, sent["state"]) == (0, "succeeded")
    for arguments, code in (
        (("received", "INV-NONE", "1.00", "EUR", "--reference", "bank-2"), "INVOICE_UNKNOWN"),
        (("received", invoice.number, "1.5", "EUR", "--reference", "bank-2"), "AMOUNT_INVALID"),
        (("received", invoice.number, "1.00", "EUR", "--reference", "bank-1"), "TRANSFER_MISMATCH"),
        (("sent", "rfd_none", "--reference", "bank-2"), "REFUND_UNKNOWN"),
    ):
        status, said = await _run(data_dir, *arguments)
        assert (status, said["error"]["code"]) == (2, code)
    assert await world.books(org_id) == {}
    await database.close()
