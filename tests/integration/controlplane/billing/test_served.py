"""Billing as people meet it: over TLS and with `bucklerctl`, on a served control plane that charges the fake bank."""

import json
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from aiohttp import ClientSession

from controlplane.billing.model import Invoice
from controlplane.billing.providers.signature import SIGNATURE_HEADER
from controlplane.billing.webhook import PATH
from controlplane.config import STRIPE_KEY_VARIABLE, WEBHOOK_SECRETS_VARIABLE
from controlplane.runtime.clock import SystemClock
from controlplane.storage.database import Database
from controlplane.storage.types import to_microseconds
from tests.fakes.billing import BillingWorld
from tests.fakes.clock import FakeClock
from tests.fakes.payment_provider.bank import SECRET_KEY, WEBHOOK_SECRET, FakeBank
from tests.fakes.payment_provider.server import serving
from tests.integration.controlplane.served import Served, detail_of, served_control_plane
from tests.integration.controlplane.test_bucklerctl import Ctl
from wire.v1 import billing_pb2, common_pb2


@dataclass(frozen=True, slots=True)
class Shop:
    """A served control plane, the bank behind it, and a second view of its database to write invoices with."""

    served: Served
    world: BillingWorld
    owner: tuple[tuple[str, str]]

    @property
    def org_id(self) -> str:
        return self.served.customer.org_id

    async def invoice(self) -> Invoice:
        return await self.world.issue(self.world.draft(self.org_id))

    async def add_card(self, token: str, key: str = "") -> billing_pb2.AddPaymentMethodResponse:
        request = billing_pb2.AddPaymentMethodRequest(token=token, idempotency_key=key or f"add-{token}")
        return await self.served.billing.AddPaymentMethod(request, metadata=self.owner)

    async def reason(self, call: Awaitable[object]) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        detail = detail_of(caught.value)
        assert detail.next_step
        return detail.reason


@pytest.fixture
async def shop(server_database: str | None, tmp_path: Path) -> AsyncIterator[Shop]:
    bank = FakeBank(SystemClock())
    with serving(bank) as base:
        settings = f'\n[billing]\nprovider = "stripe"\nseller = "Example Security GmbH"\nstripe_api_base = "{base}"\n'
        environment = {STRIPE_KEY_VARIABLE: SECRET_KEY, WEBHOOK_SECRETS_VARIABLE: WEBHOOK_SECRET}
        async with served_control_plane(
            tmp_path, server_database, settings=settings, environment=environment
        ) as served:
            database = Database(server_database or f"sqlite+aiosqlite:///{served.data_dir.database}")
            world = BillingWorld(database, bank, FakeClock(SystemClock().now()))
            yield Shop(served, world, await served.sign_in())
            await database.close()


@pytest.fixture
async def ctl(shop: Shop, tmp_path: Path) -> Ctl:
    person = Ctl(tmp_path / "config", shop.served)
    assert (await person.login()).exit_code == 0
    return person


async def test_an_invoice_is_paid_explained_printed_and_given_back(shop: Shop) -> None:
    calls, owner = shop.served.billing, shop.owner
    invoice = await shop.invoice()
    assert (await shop.add_card("pm_good")).method.last4 == "4242"
    pay = billing_pb2.PayInvoiceRequest(invoice_id=invoice.number, idempotency_key="my-wish-1")
    paid = (await calls.PayInvoice(pay, metadata=owner)).payment
    assert (paid.state, paid.amount.minor) == ("captured", 11_900)
    assert (await calls.PayInvoice(pay, metadata=owner)).payment == paid
    why = await calls.ExplainInvoice(billing_pb2.ExplainInvoiceRequest(invoice_id=invoice.number), metadata=owner)
    assert [(each.what, each.amount.minor) for each in why.amounts][2] == ("Total", 11_900)
    for form, start in (
        (billing_pb2.DOCUMENT_FORMAT_TEXT, b"Invoice INV-"),
        (billing_pb2.DOCUMENT_FORMAT_HTML, b"<!DOCTYPE html>"),
        (billing_pb2.DOCUMENT_FORMAT_PDF, b"%PDF-"),
        (billing_pb2.DOCUMENT_FORMAT_CANONICAL, b'{"bill_to":{"lines":[],"name":"Some household"}'),
    ):
        request = billing_pb2.GetInvoiceRequest(invoice_id=invoice.invoice_id, format=form)
        shown = await calls.GetInvoice(request, metadata=owner)
        assert shown.document.startswith(start)
    check = billing_pb2.CheckRefundRequest(invoice_id=invoice.number)
    eligible = await calls.CheckRefund(check, metadata=owner)
    assert (eligible.decision, eligible.reason, eligible.amount.minor) == ("full", "WITHIN_WINDOW", 11_900)
    wish = billing_pb2.RequestRefundRequest(
        invoice_id=invoice.number, amount=billing_pb2.Money(minor=1_900, currency="EUR"), idempotency_key="my-refund-1"
    )
    (refund,) = (await calls.RequestRefund(wish, metadata=owner)).refunds
    assert refund.amount.minor == 1_900
    listed = await calls.ListRefunds(billing_pb2.ListRefundsRequest(), metadata=owner)
    assert [each.refund_id for each in listed.refunds] == [refund.refund_id]
    standing = await calls.GetInvoice(billing_pb2.GetInvoiceRequest(invoice_id=invoice.number), metadata=owner)
    assert (standing.invoice.returned.minor, len(standing.credit_notes), len(standing.payments)) == (1_900, 1, 1)
    note = billing_pb2.GetInvoiceRequest(
        invoice_id=invoice.number,
        credit_note_id=standing.credit_notes[0].credit_note_id,
        format=billing_pb2.DOCUMENT_FORMAT_TEXT,
    )
    assert (await calls.GetInvoice(note, metadata=owner)).document.startswith(b"Credit note CN-")


async def test_a_webhook_settles_what_the_bank_took_its_time_for(shop: Shop) -> None:
    invoice = await shop.invoice()
    await shop.add_card("pm_slow")
    pay = billing_pb2.PayInvoiceRequest(invoice_id=invoice.number, idempotency_key="my-wish-1")
    payment = (await shop.served.billing.PayInvoice(pay, metadata=shop.owner)).payment
    assert payment.state == "pending"
    (attempt,) = await shop.world.payments_of(shop.org_id, invoice.invoice_id)
    shop.world.bank.settle(attempt.provider_payment_id)
    body, signature = shop.world.bank.webhook(shop.world.bank.events[-1])
    url = f"http://{shop.served.web}{PATH}"
    async with ClientSession() as sender:
        async with sender.post(url, data=body + b" ", headers={SIGNATURE_HEADER: signature}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, "WEBHOOK_REFUSED")
        for news in (True, False):
            async with sender.post(url, data=body, headers={SIGNATURE_HEADER: signature}) as answer:
                assert (answer.status, await answer.json()) == (200, {"news": news})
    listed = await shop.served.billing.GetInvoice(
        billing_pb2.GetInvoiceRequest(invoice_id=invoice.number), metadata=shop.owner
    )
    assert listed.invoice.state == "paid"


async def test_lists_come_in_pages_the_newest_first(shop: Shop) -> None:
    written = [(await shop.invoice()).number for _ in range(5)]
    seen: list[str] = []
    token, pages = "", 0
    while pages == 0 or (token and pages < 10):
        page = common_pb2.PageRequest(page_size=2, page_token=token)
        answer = await shop.served.billing.ListInvoices(billing_pb2.ListInvoicesRequest(page=page), metadata=shop.owner)
        seen.extend(each.number for each in answer.invoices)
        token, pages = answer.next_page_token, pages + 1
    assert (sorted(seen), pages) == (written, 3)


async def test_bad_input_is_refused_with_a_reason_and_changes_nothing(shop: Shop) -> None:
    calls, owner = shop.served.billing, shop.owner
    invoice = await shop.invoice()
    other_org = await shop.world.organisation("Somebody else")
    foreign = await shop.world.issue(shop.world.draft(other_org))
    await shop.add_card("pm_good")
    number = invoice.number

    def refund(minor: int, currency: str, key: str = "my-refund-1") -> Awaitable[object]:
        money = billing_pb2.Money(minor=minor, currency=currency)
        request = billing_pb2.RequestRefundRequest(invoice_id=number, amount=money, idempotency_key=key)
        return calls.RequestRefund(request, metadata=owner)

    def pay(invoice_id: str, key: str = "my-wish-1", method_id: str = "") -> Awaitable[object]:
        request = billing_pb2.PayInvoiceRequest(invoice_id=invoice_id, method_id=method_id, idempotency_key=key)
        return calls.PayInvoice(request, metadata=owner)

    def get(**fields: object) -> Awaitable[object]:
        return calls.GetInvoice(billing_pb2.GetInvoiceRequest(**fields), metadata=owner)  # type: ignore[arg-type]

    classify = billing_pb2.ClassifyChargeRequest(amount=billing_pb2.Money(minor=1, currency="EUR"), at_us=-1)
    no_day = billing_pb2.ClassifyChargeRequest(amount=billing_pb2.Money(minor=1, currency="EUR"))
    for call, reason in (
        (refund(-1, "EUR"), "AMOUNT_INVALID"),
        (refund(0, "EUR"), "AMOUNT_INVALID"),
        (refund(2**62, "EUR"), "AMOUNT_INVALID"),
        (refund(1, "XXX"), "CURRENCY_UNKNOWN"),
        (refund(1, ""), "CURRENCY_UNKNOWN"),
        (refund(1, "EUR", "short"), "IDEMPOTENCY_KEY_INVALID"),
        (refund(1, "EUR"), "REFUND_NOT_ELIGIBLE"),
        (pay("inv_nobody"), "INVOICE_UNKNOWN"),
        (pay(foreign.invoice_id), "INVOICE_UNKNOWN"),
        (pay(foreign.number), "INVOICE_UNKNOWN"),
        (pay(number, ""), "INVALID_REQUEST"),
        (pay(number, "my-wish-1", "pm_nobody"), "PAYMENT_METHOD_UNKNOWN"),
        (get(invoice_id=""), "INVALID_REQUEST"),
        (get(invoice_id="x" * 65), "INVALID_REQUEST"),
        (get(invoice_id="a\x00b"), "INVALID_REQUEST"),
        (get(invoice_id=foreign.number, format=1), "INVOICE_UNKNOWN"),
        (get(invoice_id=number, format=99), "INVALID_REQUEST"),
        (get(invoice_id=number, credit_note_id="crn_nobody", format=1), "INVOICE_UNKNOWN"),
        (shop.add_card("pm_nobody"), "PAYMENT_METHOD_REFUSED"),
        (shop.add_card("../v1/balance"), "INVALID_REQUEST"),
        (shop.add_card("pm_good", "add-again-1"), "PAYMENT_METHOD_EXISTS"),
        (calls.ClassifyCharge(classify, metadata=owner), "INVALID_REQUEST"),
        (calls.ClassifyCharge(no_day, metadata=owner), "INVALID_REQUEST"),
        (
            calls.RemovePaymentMethod(billing_pb2.RemovePaymentMethodRequest(method_id="pm_x"), metadata=owner),
            "PAYMENT_METHOD_UNKNOWN",
        ),
        (
            calls.ListInvoices(
                billing_pb2.ListInvoicesRequest(page=common_pb2.PageRequest(page_token="bad")), metadata=owner
            ),
            "PAGE_TOKEN_INVALID",
        ),
        (calls.ListPayments(billing_pb2.ListPaymentsRequest()), "UNAUTHENTICATED"),
    ):
        assert await shop.reason(call) == reason
    assert shop.world.bank.intents == {}
    after = await shop.world.invoice(shop.org_id, invoice.invoice_id)
    assert after == invoice


async def test_a_request_that_is_repeated_with_another_body_is_refused(shop: Shop) -> None:
    invoice, second = await shop.invoice(), await shop.invoice()
    await shop.add_card("pm_good")
    pay = billing_pb2.PayInvoiceRequest(invoice_id=invoice.number, idempotency_key="my-wish-1")
    await shop.served.billing.PayInvoice(pay, metadata=shop.owner)
    pay.invoice_id = second.number
    assert await shop.reason(shop.served.billing.PayInvoice(pay, metadata=shop.owner)) == "IDEMPOTENCY_MISMATCH"
    assert await shop.reason(shop.add_card("pm_other", "add-pm_good")) == "IDEMPOTENCY_MISMATCH"
    assert len(shop.world.bank.captured()) == 1
    assert "pm_other" not in shop.world.bank.methods


async def test_a_charge_on_a_statement_is_recognised(shop: Shop) -> None:
    invoice = await shop.invoice()
    await shop.add_card("pm_good")
    pay = billing_pb2.PayInvoiceRequest(invoice_id=invoice.number, idempotency_key="my-wish-1")
    await shop.served.billing.PayInvoice(pay, metadata=shop.owner)
    for minor, kind in ((11_900, "EXPECTED"), (10_000, "TAX_OR_CURRENCY"), (5, "NOT_OURS")):
        request = billing_pb2.ClassifyChargeRequest(
            amount=billing_pb2.Money(minor=minor, currency="EUR"), at_us=to_microseconds(SystemClock().now())
        )
        found = await shop.served.billing.ClassifyCharge(request, metadata=shop.owner)
        assert found.kind == kind


async def test_bucklerctl_tells_the_story_of_an_invoice(shop: Shop, ctl: Ctl, tmp_path: Path) -> None:
    invoice = await shop.invoice()
    assert f"{invoice.number}" in await ctl.text("invoice", "list")
    added = await ctl.text("payment-method", "add", "pm_no_funds")
    assert added.startswith("visa …4242 is charged from now on")
    declined = await ctl.text("invoice", "pay", invoice.number)
    assert "insufficient_funds (soft)" in declined
    assert (await ctl.json("doctor"))["first_code"] == "PAYMENT_RETRIED"
    added = await ctl.text("payment-method", "add", "pm_good")
    assert f"119.00 EUR for {invoice.invoice_id}: captured." in added
    methods = await ctl.json("payment-method", "list")
    assert [each["is_default"] for each in methods] == [True, False]
    removed = await ctl.json("payment-method", "remove", methods[1]["method_id"])
    assert removed["method_id"] == methods[1]["method_id"]
    shown = await ctl.text("invoice", "show", invoice.number)
    assert "119.00 EUR, tax 19.00 EUR" in shown
    assert "19% tax on 100.00: 19.00" in await ctl.text("invoice", "why", invoice.number)
    pdf = tmp_path / "invoice.pdf"
    await ctl.text("invoice", "show", invoice.number, "--format", "pdf", "--file", str(pdf))
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert (await ctl.text("invoice", "show", invoice.number, "--format", "text")).startswith("Invoice INV-")
    assert "full" in await ctl.text("refund", "check", invoice.number)
    request = ("refund", "request", invoice.number, "--amount", "19.00", "--currency", "EUR")
    assert "19.00 EUR goes back the way it came" in await ctl.text(*request)
    assert [each["amount"]["minor"] for each in await ctl.json("refund", "list")] == [1_900]
    assert "Credit note CN-" in await ctl.text("invoice", "show", invoice.number)
    today = f"{SystemClock().now():%Y-%m-%d}"
    seen = await ctl.text("invoice", "identify", "119.00", "EUR", "--on", today)
    assert seen.startswith("EXPECTED: it paid the invoice INV-")
    assert "REFUND_RULE" in await ctl.text("doctor")


async def test_bucklerctl_ends_with_the_status_of_its_refusal(shop: Shop, ctl: Ctl) -> None:
    for arguments, status, code in (
        (("invoice", "show", "INV-NONE"), 2, "INVOICE_UNKNOWN"),
        (("invoice", "identify", "1.5", "EUR", "--on", "2026-03-02"), 2, "AMOUNT_INVALID"),
        (("invoice", "identify", "1.50", "EUR", "--on", "yesterday"), 2, "DAY_INVALID"),
        (("refund", "request", "INV-NONE", "--amount", "1.00"), 2, "CURRENCY_UNKNOWN"),
        (("payment-method", "remove", "pm_nobody"), 2, "PAYMENT_METHOD_UNKNOWN"),
        (("payment-method", "add", "pm_nobody"), 1, "PAYMENT_METHOD_REFUSED"),
    ):
        result = await ctl.run(*arguments, "--output", "json")
        assert (result.exit_code, json.loads(result.stderr)["error"]["code"]) == (status, code)
    assert shop.world.bank.captured() == []
