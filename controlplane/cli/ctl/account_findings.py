"""What there is to say about an account, from the server's own answers. Decides; asks nobody.

The counterpart of `buckler doctor` for what no device is told: payments, prices, renewal and refunds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum

from controlplane.cli.ctl.views import access_name, moment
from wire.v1.billing_pb2 import ChargeClassification, Invoice, Payment, PaymentMethod, RefundEligibility
from wire.v1.subscription_pb2 import Subscription


class Standing(Enum):
    """How a matter stands, in the order in which it is told."""

    FAILING = "failing"
    WARNING = "warning"
    PASSING = "passing"


_RANK = {standing: rank for rank, standing in enumerate(Standing)}
#: An account that is charged twice or for two things; the others explain a single charge.
_TWICE = frozenset({"DUPLICATE_CAPTURE", "OVERLAPPING_SUBSCRIPTIONS"})
#: Why a charge was another one than before.
_ANOTHER_PRICE = frozenset({"PLAN_CHANGE", "PRICE_CHANGE", "TAX_OR_CURRENCY"})
#: What the server calls the provider of a bank transfer.
_BY_TRANSFER = "manual"
_TRANSFER = "Pay it by bank transfer with its number as the reference: bucklerctl invoice show"
_UNDER_WAY = frozenset({"init", "pending", "unknown"})


@dataclass(frozen=True, slots=True)
class Account:
    """What the server said.

    Attributes:
        subscription: As it stands.
        invoices: The newest first.
        payments: Likewise.
        methods: The default first.
        charges: What each of the newest charges is, by id of its payment.
        refund: Of the newest paid invoice; None: nothing was paid.
    """

    subscription: Subscription
    invoices: Sequence[Invoice] = ()
    payments: Sequence[Payment] = ()
    methods: Sequence[PaymentMethod] = ()
    charges: Mapping[str, ChargeClassification] = field(default_factory=dict)
    refund: RefundEligibility | None = None


@dataclass(frozen=True, slots=True)
class AccountFinding:
    """One matter: how it stands, a stable code, what was seen, and exactly what to do (empty: nothing)."""

    standing: Standing
    code: str
    evidence: str
    next_step: str = ""

    def record(self) -> dict[str, str]:
        """For programs."""
        return {
            "code": self.code,
            "status": self.standing.value,
            "evidence": self.evidence,
            "next_step": self.next_step,
        }


def account_findings(account: Account, today: date) -> list[AccountFinding]:
    """Everything there is to say; what to act on first comes first."""
    found = [*_access(account), *_payments(account), *_methods(account, today), *_charges(account)]
    found += [*_renewal(account), *_refund(account)]
    return sorted(found, key=lambda finding: _RANK[finding.standing])


def _access(account: Account) -> Iterator[AccountFinding]:
    paid = account.subscription
    level = access_name(paid.access)
    evidence = f"access of the devices is {level} ({paid.access_reason}){_until(paid.access_until_at_us)}"
    if level == "full":
        yield AccountFinding(Standing.PASSING, "ACCESS_FULL", evidence)
        return
    named = paid.open_invoice_id or next((invoice.number for invoice in account.invoices if _is_open(invoice)), "")
    pay = _pay(account, named) if named else "bucklerctl subscription renew"
    standing = Standing.WARNING if level == "grace" else Standing.FAILING
    yield AccountFinding(standing, paid.access_reason, evidence, pay)


def _payments(account: Account) -> Iterator[AccountFinding]:
    """The last attempt at each invoice that is still open."""
    for invoice in account.invoices:
        if not _is_open(invoice):
            continue
        tries = [payment for payment in account.payments if payment.invoice_id == invoice.invoice_id]
        last = max(tries, key=lambda payment: payment.attempt, default=None)
        yield _open(invoice.number, last, _pay(account, invoice.number))


def _is_open(invoice: Invoice) -> bool:
    return invoice.state == "finalised" and bool(invoice.due.minor)


def _pays_by_transfer(account: Account) -> bool:
    """Whether money came by bank the last time, and there is nothing else to charge."""
    return not account.methods and bool(account.payments) and account.payments[0].provider == _BY_TRANSFER


def _pay(account: Account, number: str) -> str:
    return f"{_TRANSFER} {number}" if _pays_by_transfer(account) else f"bucklerctl invoice pay {number}"


def _open(number: str, last: Payment | None, pay: str) -> AccountFinding:
    if last is None:
        return AccountFinding(Standing.WARNING, "INVOICE_OPEN", f"invoice {number} is not paid", pay)
    seen = f"the last payment of invoice {number} is {last.state.replace('_', ' ')}"
    if last.state in _UNDER_WAY:
        return AccountFinding(
            Standing.WARNING, "PAYMENT_PENDING", f"{seen}: the bank has not answered yet", "Wait; do not pay again"
        )
    if last.state == "action_needed" or last.failure_kind == "action_needed":
        confirm = f"Confirm it with the bank: bucklerctl invoice show {number} has the address"
        return AccountFinding(Standing.FAILING, "PAYMENT_CONFIRMATION_NEEDED", seen, confirm)
    why = f"{seen} ({last.failure_code or 'no reason was given'})"
    if last.failure_kind == "soft":
        return AccountFinding(
            Standing.WARNING, "PAYMENT_RETRIED", f"{why}; it is tried again by itself", f"Or pay now: {pay}"
        )
    return AccountFinding(
        Standing.FAILING, "PAYMENT_DECLINED", why, f"bucklerctl payment-method add TOKEN pays it at once, or {pay}"
    )


def _methods(account: Account, today: date) -> Iterator[AccountFinding]:
    paid = account.subscription
    if paid.renewal == "off" or not paid.HasField("next_charge"):
        return
    charged_on = _day(paid.period_end_at_us) or today
    default = next((method for method in account.methods if method.is_default), None)
    if _pays_by_transfer(account):
        evidence = f"the last payment came by bank transfer, and so is the next one expected on {charged_on}"
        yield AccountFinding(Standing.PASSING, "PAID_BY_TRANSFER", evidence)
    elif default is None:
        evidence = f"there is nothing to charge on {charged_on}"
        # Whether this control plane keeps cards at all, it says only when one is added.
        add = "bucklerctl payment-method add TOKEN; where money comes by bank transfer, wait for the invoice"
        yield AccountFinding(Standing.WARNING, "METHOD_MISSING", evidence, add)
    elif default.expires_year and (default.expires_year, default.expires_month) < (charged_on.year, charged_on.month):
        evidence = (
            f"{default.brand} …{default.last4} expires {default.expires_year}-{default.expires_month:02}, "
            f"before the next charge on {charged_on}"
        )
        yield AccountFinding(Standing.WARNING, "METHOD_EXPIRES", evidence, "bucklerctl payment-method add TOKEN")


def _charges(account: Account) -> Iterator[AccountFinding]:
    """What the books say of the newest charges; an expected one needs no word."""
    for payment_id, charge in account.charges.items():
        evidence = f"{charge.sentence} ({payment_id})"
        if charge.kind in _TWICE:
            yield AccountFinding(Standing.FAILING, charge.kind, evidence, charge.next_step)
        elif charge.kind in _ANOTHER_PRICE:
            yield AccountFinding(Standing.WARNING, charge.kind, evidence, charge.next_step)


def _renewal(account: Account) -> Iterator[AccountFinding]:
    paid = account.subscription
    if paid.cancelled_at_us:
        evidence = f"cancelled on {_day(paid.cancelled_at_us)}: nothing is charged any more{_kept(paid)}"
        yield AccountFinding(Standing.PASSING, "CANCELLED", evidence)
    elif paid.renewal == "off":
        evidence = f"renewal is off: nothing is charged, and the term ends on {_day(paid.period_end_at_us)}"
        yield AccountFinding(Standing.PASSING, "RENEWAL_OFF", evidence)
    else:
        evidence = f"renewal is on: the next term begins on {_day(paid.period_end_at_us)}"
        yield AccountFinding(Standing.PASSING, "RENEWAL_ON", evidence)


def _refund(account: Account) -> Iterator[AccountFinding]:
    if account.refund is not None:
        last = f", until {account.refund.last_day}" if account.refund.last_day else ""
        evidence = f"{account.refund.decision.replace('_', ' ')}{last}: {account.refund.sentence}"
        yield AccountFinding(Standing.PASSING, "REFUND_RULE", evidence)


def _kept(paid: Subscription) -> str:
    kept = _day(paid.kept_until_at_us)
    return f"; what the account holds is kept until {kept}, quarantine and settings stay on the devices" if kept else ""


def _until(microseconds: int) -> str:
    day = _day(microseconds)
    return f" until {day}" if day else ""


def _day(microseconds: int) -> date | None:
    at: datetime | None = moment(microseconds)
    return at.date() if at else None
