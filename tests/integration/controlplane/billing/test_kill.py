"""`kill -9` at every step of a payment and a refund: after the next start one charge, one invoice, books in order."""

import signal
from collections.abc import Iterator

import pytest

from controlplane.billing.ledger import Account
from controlplane.billing.model import CreditReason, InvoiceState
from controlplane.billing.refunds.refunds import RefundState
from tests.fakes.billing import EVERYTHING, BillingWorld
from tests.fakes.payment_provider.server import serving
from tests.integration.controlplane.billing.dying_process import main
from tests.integration.controlplane.mortals import lived

STEPS_OF_A_PAYMENT = (
    "commit:1:before",
    "commit:1:after",
    "call:before",
    "call:after",
    "commit:2:before",
    "commit:2:after",
)
STEPS_OF_A_REFUND = ("call:before", "call:after", "commit:1:before", "commit:1:after")


@pytest.fixture
def bank_address(world: BillingWorld) -> Iterator[str]:
    with serving(world.bank) as base:
        yield base


async def _run(*arguments: str) -> int:
    ended = await lived(main, *arguments)
    assert ended in {0, -signal.SIGKILL}
    return ended


@pytest.mark.parametrize("step", STEPS_OF_A_PAYMENT)
async def test_a_server_killed_during_a_payment_charges_once(world: BillingWorld, bank_address: str, step: str) -> None:
    org_id = await world.customer()
    invoice = await world.issue(world.draft(org_id))
    place = (world.database.url, bank_address)
    assert await _run(*place, "pay", org_id, invoice.invoice_id, step) == -signal.SIGKILL
    assert await _run(*place, "recover", org_id, "") == 0
    if step == "commit:1:before":
        # Nothing was written, so nothing may have been charged, and the customer can try again.
        assert world.bank.intents == {}
        assert await _run(*place, "pay", org_id, invoice.invoice_id) == 0
    assert len(world.bank.captured()) == 1
    after = await world.invoice(org_id, invoice.invoice_id)
    assert (after.state, after.number) == (InvoiceState.PAID, invoice.number)
    assert [each.applied for each in await world.payments_of(org_id, invoice.invoice_id)] == [11_900]
    assert await world.books(org_id) == {
        Account.CASH: 11_900,
        Account.DEFERRED_REVENUE: -10_000,
        Account.TAX: -1_900,
    }


@pytest.mark.parametrize("step", STEPS_OF_A_REFUND)
async def test_a_server_killed_during_a_refund_gives_back_once(
    world: BillingWorld, bank_address: str, step: str
) -> None:
    org_id = await world.customer()
    invoice = await world.issue(world.draft(org_id))
    await world.service.pay(org_id, invoice.invoice_id)
    async with world.database.transaction() as uow:
        total = invoice.content.total
        returned = await world.billing.refunds.approve(
            uow, org_id, invoice.invoice_id, total, reason=CreditReason.REFUND
        )
    (refund,) = returned.refunds
    place = (world.database.url, bank_address)
    assert await _run(*place, "refund", org_id, refund.refund_id, step) == -signal.SIGKILL
    assert await _run(*place, "recover", org_id, "") == 0
    assert (len(world.bank.refunds), world.bank.balance()) == (1, 0)
    async with world.database.reading() as connection:
        (stored,) = await world.billing.desk.refunds(connection, org_id, EVERYTHING)
    assert stored.state is RefundState.SUCCEEDED
    assert await world.books(org_id) == {}
