"""BillingService on the wire: validate, call one use case, translate."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from controlplane.billing.double_charge import SeenCharge
from controlplane.billing.errors import invoice_unknown
from controlplane.billing.invoices.invoicing import CreditNote
from controlplane.billing.messages import invoice_message, microseconds, money_message, payment_message
from controlplane.billing.methods import PaymentMethod
from controlplane.billing.money import Money, checked_money
from controlplane.billing.refunds.desk import RefundDesk, RefundWish
from controlplane.billing.refunds.refunds import Refund
from controlplane.billing.rendering import as_bytes
from controlplane.billing.service import BillingService
from controlplane.billing.wallet import Wallet
from controlplane.runtime.fields import instant, invalid, text
from controlplane.runtime.interceptors import Context
from controlplane.runtime.paging import page_token, read_page
from controlplane.runtime.principal import current_person
from controlplane.storage.database import Database
from controlplane.storage.types import to_microseconds
from wire.v1 import billing_pb2
from wire.v1.billing_pb2_grpc import BillingServiceServicer

MAX_ID_CHARACTERS: Final = 64
#: Stripe's are below 64; room for other providers.
MAX_TOKEN_CHARACTERS: Final = 255
MAX_NOTE_CHARACTERS: Final = 200
#: Sort key of every list here: when, and which.
_NEWEST: Final = (int, str)

_Thing = TypeVar("_Thing")


class BillingRpc(BillingServiceServicer):
    """The servicer."""

    def __init__(self, database: Database, service: BillingService, desk: RefundDesk, wallet: Wallet) -> None:
        self._database = database
        self._service = service
        self._desk = desk
        self._wallet = wallet

    # ------------------------------------------------------------ invoices and payments

    async def ListInvoices(  # noqa: N802 -- the name is the protocol's
        self, request: billing_pb2.ListInvoicesRequest, _context: Context
    ) -> billing_pb2.ListInvoicesResponse:
        """The newest first."""
        page = read_page(request.page.page_size, request.page.page_token, _NEWEST)
        async with self._database.reading() as connection:
            found = await self._service.invoices(connection, current_person().org_id, page)
        shown, token = _cut(found, page.size, lambda each: (each.created_at, each.invoice_id))
        return billing_pb2.ListInvoicesResponse(
            invoices=[invoice_message(each) for each in shown], next_page_token=token
        )

    async def GetInvoice(  # noqa: N802 -- the name is the protocol's
        self, request: billing_pb2.GetInvoiceRequest, _context: Context
    ) -> billing_pb2.GetInvoiceResponse:
        """One invoice, its payments and credit notes, and a document if one is wished for."""
        org_id = current_person().org_id
        invoice_id = _id("invoice_id", request.invoice_id, required=True)
        note_id = _id("credit_note_id", request.credit_note_id)
        async with self._database.reading() as connection:
            standing = await self._service.get(connection, org_id, invoice_id)
            if note_id and note_id not in {note.credit_note_id for note in standing.credit_notes}:
                raise invoice_unknown(note_id)
            document = b""
            if request.format != billing_pb2.DOCUMENT_FORMAT_UNSPECIFIED:
                wanted = note_id or standing.invoice.invoice_id
                found, content, sha256 = await self._service.document(connection, org_id, wanted)
                document = await as_bytes(_format_name(request.format), found, content, sha256)
        return billing_pb2.GetInvoiceResponse(
            invoice=invoice_message(standing.invoice),
            payments=[payment_message(each) for each in standing.payments],
            credit_notes=[_credit_note(each) for each in standing.credit_notes],
            document=document,
        )

    async def ExplainInvoice(  # noqa: N802 -- the name is the protocol's
        self, request: billing_pb2.ExplainInvoiceRequest, _context: Context
    ) -> billing_pb2.ExplainInvoiceResponse:
        """Why every amount is what it is."""
        invoice_id = _id("invoice_id", request.invoice_id, required=True)
        async with self._database.reading() as connection:
            invoice, explained = await self._service.explain(connection, current_person().org_id, invoice_id)
        return billing_pb2.ExplainInvoiceResponse(
            number=invoice.number,
            amounts=[
                billing_pb2.AmountExplanation(what=each.what, amount=money_message(each.amount), why=each.sentence)
                for each in explained
            ],
        )

    async def PayInvoice(  # noqa: N802 -- the name is the protocol's
        self, request: billing_pb2.PayInvoiceRequest, _context: Context
    ) -> billing_pb2.PayInvoiceResponse:
        """Charges what is due."""
        payment = await self._service.pay(
            current_person().org_id,
            _id("invoice_id", request.invoice_id, required=True),
            _id("method_id", request.method_id),
            text("idempotency_key", request.idempotency_key, limit=MAX_ID_CHARACTERS, required=True),
        )
        return billing_pb2.PayInvoiceResponse(payment=payment_message(payment))

    async def ListPayments(  # noqa: N802 -- the name is the protocol's
        self, request: billing_pb2.ListPaymentsRequest, _context: Context
    ) -> billing_pb2.ListPaymentsResponse:
        """The newest first."""
        page = read_page(request.page.page_size, request.page.page_token, _NEWEST)
        async with self._database.reading() as connection:
            found = await self._service.payments(connection, current_person().org_id, page)
        shown, token = _cut(found, page.size, lambda each: (each.created_at, each.payment_id))
        return billing_pb2.ListPaymentsResponse(
            payments=[payment_message(each) for each in shown], next_page_token=token
        )

    # ------------------------------------------------------------ payment methods

    async def ListPaymentMethods(  # noqa: N802 -- the name is the protocol's
        self, _request: billing_pb2.ListPaymentMethodsRequest, _context: Context
    ) -> billing_pb2.ListPaymentMethodsResponse:
        """The default first."""
        async with self._database.reading() as connection:
            found = await self._wallet.methods(connection, current_person().org_id)
        return billing_pb2.ListPaymentMethodsResponse(methods=[_method(each) for each in found])

    async def AddPaymentMethod(  # noqa: N802 -- the name is the protocol's
        self, request: billing_pb2.AddPaymentMethodRequest, _context: Context
    ) -> billing_pb2.AddPaymentMethodResponse:
        """Keeps a method."""
        added = await self._wallet.add(current_person().org_id, _token(request.token), request.idempotency_key)
        return billing_pb2.AddPaymentMethodResponse(
            method=_method(added.method), payments=[payment_message(each) for each in added.paid]
        )

    async def RemovePaymentMethod(  # noqa: N802 -- the name is the protocol's
        self, request: billing_pb2.RemovePaymentMethodRequest, _context: Context
    ) -> billing_pb2.RemovePaymentMethodResponse:
        """Forgets a method."""
        method_id = _id("method_id", request.method_id, required=True)
        removed = await self._wallet.remove(current_person().org_id, method_id)
        return billing_pb2.RemovePaymentMethodResponse(method=_method(removed))

    # ------------------------------------------------------------ refunds and questions

    async def CheckRefund(  # noqa: N802 -- the name is the protocol's
        self, request: billing_pb2.CheckRefundRequest, _context: Context
    ) -> billing_pb2.RefundEligibility:
        """What the policy gives back now."""
        invoice_id = _id("invoice_id", request.invoice_id, required=True)
        async with self._database.reading() as connection:
            answer = await self._desk.check(connection, current_person().org_id, invoice_id)
        return billing_pb2.RefundEligibility(
            decision=answer.decision.value,
            reason=answer.reason,
            sentence=answer.sentence,
            amount=money_message(answer.amount),
            last_day="" if answer.last_day is None else answer.last_day.isoformat(),
            policy_version=answer.policy_version,
        )

    async def RequestRefund(  # noqa: N802 -- the name is the protocol's
        self, request: billing_pb2.RequestRefundRequest, _context: Context
    ) -> billing_pb2.RequestRefundResponse:
        """Gives back what the policy allows."""
        wished = _read_money(request.amount) if request.HasField("amount") else None
        answer = await self._desk.request(
            current_person().org_id,
            RefundWish(
                invoice_id=_id("invoice_id", request.invoice_id, required=True),
                amount=wished,
                note=text("note", request.note, limit=MAX_NOTE_CHARACTERS),
                idempotency_key=request.idempotency_key,
            ),
        )
        return billing_pb2.RequestRefundResponse(
            refunds=[_refund(each) for each in answer.refunds], to_balance=money_message(answer.to_balance)
        )

    async def ListRefunds(  # noqa: N802 -- the name is the protocol's
        self, request: billing_pb2.ListRefundsRequest, _context: Context
    ) -> billing_pb2.ListRefundsResponse:
        """The newest first."""
        page = read_page(request.page.page_size, request.page.page_token, _NEWEST)
        async with self._database.reading() as connection:
            found = await self._desk.refunds(connection, current_person().org_id, page)
        shown, token = _cut(found, page.size, lambda each: (each.created_at, each.refund_id))
        return billing_pb2.ListRefundsResponse(refunds=[_refund(each) for each in shown], next_page_token=token)

    async def ClassifyCharge(  # noqa: N802 -- the name is the protocol's
        self, request: billing_pb2.ClassifyChargeRequest, _context: Context
    ) -> billing_pb2.ChargeClassification:
        """What a charge on a statement is."""
        at = instant("at_us", request.at_us)
        if at is None:
            raise invalid("at_us", "is missing")
        seen = SeenCharge(
            _read_money(request.amount), at, text("descriptor_text", request.descriptor_text, limit=MAX_NOTE_CHARACTERS)
        )
        async with self._database.reading() as connection:
            found = await self._service.classify(connection, current_person().org_id, seen)
        return billing_pb2.ChargeClassification(
            kind=found.kind.value,
            sentence=found.sentence,
            next_step=found.next_step,
            evidence=found.evidence,
            refund=None if found.refund is None else money_message(found.refund),
        )


# ---------------------------------------------------------------- reading


def _id(field: str, untrusted_id: str, *, required: bool = False) -> str:
    return text(field, untrusted_id, limit=MAX_ID_CHARACTERS, required=required)


def _token(untrusted_token: str) -> str:
    token = text("token", untrusted_token, limit=MAX_TOKEN_CHARACTERS, required=True)
    # It becomes a part of an address at the provider.
    if not token.isascii() or not token.replace("_", "").replace("-", "").isalnum():
        raise invalid("token", "is not a token of the payment provider")
    return token


def _read_money(untrusted_money: billing_pb2.Money) -> Money:
    return checked_money(untrusted_money.minor, untrusted_money.currency)


def _format_name(untrusted_format: int) -> str:
    names = {
        billing_pb2.DOCUMENT_FORMAT_TEXT: "text",
        billing_pb2.DOCUMENT_FORMAT_HTML: "html",
        billing_pb2.DOCUMENT_FORMAT_PDF: "pdf",
        billing_pb2.DOCUMENT_FORMAT_CANONICAL: "canonical",
    }
    if untrusted_format not in names:
        raise invalid("format", "is none that this server knows")
    return names[billing_pb2.DocumentFormat.ValueType(untrusted_format)]


# ---------------------------------------------------------------- answering


def _cut(
    found: Sequence[_Thing], size: int, key: Callable[[_Thing], tuple[datetime, str]]
) -> tuple[Sequence[_Thing], str]:
    """A page of what may be one row too many, and the token of the next page."""
    shown = found[:size]
    if len(found) <= size:
        return shown, ""
    at, name = key(shown[-1])
    return shown, page_token((to_microseconds(at), name))


def _credit_note(note: CreditNote) -> billing_pb2.CreditNote:
    return billing_pb2.CreditNote(
        credit_note_id=note.credit_note_id,
        number=note.number,
        invoice_id=note.invoice_id,
        amount=money_message(note.amount),
        tax=money_message(note.tax),
        reason=note.reason.value,
        destination=note.to.value,
        note=note.note,
        created_at_us=microseconds(note.created_at),
    )


def _method(method: PaymentMethod) -> billing_pb2.PaymentMethod:
    year, month = method.expires or (0, 0)
    return billing_pb2.PaymentMethod(
        method_id=method.method_id,
        brand=method.brand,
        last4=method.last4,
        expires_year=year,
        expires_month=month,
        is_default=method.is_default,
        added_at_us=microseconds(method.added_at),
    )


def _refund(refund: Refund) -> billing_pb2.Refund:
    return billing_pb2.Refund(
        refund_id=refund.refund_id,
        invoice_id=refund.invoice_id,
        payment_id=refund.payment_id,
        amount=money_message(refund.amount),
        reason=refund.reason,
        state=refund.state.value,
        failure_code=refund.failure_code,
        created_at_us=microseconds(refund.created_at),
        updated_at_us=microseconds(refund.updated_at),
    )
