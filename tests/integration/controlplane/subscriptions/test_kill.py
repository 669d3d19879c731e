"""`kill -9` at every step of taking a quote: what the customer has afterwards is what they paid for, once."""

import signal
from collections.abc import Iterator

import pytest

from controlplane.billing.model import InvoiceState
from controlplane.subscriptions.model import Subscription
from tests.fakes.lives import LARGE, SMALL, LivesWorld
from tests.fakes.payment_provider.server import serving
from tests.integration.controlplane.mortals import lived
from tests.integration.controlplane.subscriptions.dying_process import main

#: The quote is taken and its invoice written; the payment is written down; the money moves; the plan changes.
STEPS = (
    "commit:1:before",
    "commit:1:after",
    "commit:2:before",
    "commit:2:after",
    "call:before",
    "call:after",
    "commit:3:before",
    "commit:3:after",
)
#: A purchase that nobody goes on with is dropped after 23 hours.
A_DAY_AND_MORE = "30"


@pytest.fixture
def bank_address(world: LivesWorld) -> Iterator[str]:
    with serving(world.bank) as base:
        yield base


async def _run(*arguments: str) -> int:
    ended = await lived(main, *arguments)
    assert ended in {0, -signal.SIGKILL}
    return ended


async def _assert_has_what_was_paid(world: LivesWorld, customer: Subscription) -> bool:
    """Whether it is the larger plan."""
    after = await world.look(customer)
    invoices = await world.invoices(customer)
    paid = [each.content.total.minor for each in invoices if each.state is InvoiceState.PAID]
    assert world.bank.balance() == sum(paid)
    assert {each.state for each in invoices} <= {InvoiceState.PAID, InvoiceState.VOID}
    assert after.open_invoice_id == ""
    assert (after.plan_id, len(paid)) in {(SMALL.plan_id, 1), (LARGE.plan_id, 2)}
    return after.plan_id == LARGE.plan_id


@pytest.mark.parametrize("step", STEPS)
async def test_a_customer_who_tries_again_gets_the_change_once(world: LivesWorld, bank_address: str, step: str) -> None:
    customer = await world.customer()
    quote = await world.preview(customer, LARGE.plan_id)
    place = (world.database.url, bank_address, customer.org_id, quote.quote_id)
    assert await _run(*place, "0", step) == -signal.SIGKILL
    # At once, when it may not be known yet whether money moved, and when it is.
    for hours in ("0", "1", "0"):
        assert await _run(*place, hours) == 0
    assert await _assert_has_what_was_paid(world, customer)


@pytest.mark.parametrize("step", STEPS)
async def test_a_customer_who_does_not_has_the_old_plan_or_has_paid_for_the_new_one(
    world: LivesWorld, bank_address: str, step: str
) -> None:
    customer = await world.customer()
    quote = await world.preview(customer, LARGE.plan_id)
    place = (world.database.url, bank_address, customer.org_id, quote.quote_id)
    assert await _run(*place, "0", step) == -signal.SIGKILL
    assert await _run(*place, A_DAY_AND_MORE) == 0
    changed = await _assert_has_what_was_paid(world, customer)
    money_moved = step in {"call:after", "commit:3:before", "commit:3:after"}
    assert changed or not money_moved
