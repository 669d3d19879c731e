"""`bucklerctl doctor`: what is wrong with the account, and what to do; devices have `buckler doctor`."""

from typing import TYPE_CHECKING, Any

import typer

from controlplane.cli.ctl.output import ConfigDirOption, Output, OutputOption, reporting, say, say_fields, say_json
from controlplane.cli.ctl.subscriptions.rows import SubscriptionArgument

if TYPE_CHECKING:
    from controlplane.cli.ctl.account_findings import Account
    from controlplane.cli.ctl.connection import Connection

#: Charges that are looked at one by one; people ask about the last ones.
_CHARGES = 3
_ROWS = 50


def doctor(
    config_dir: ConfigDirOption, subscription_id: SubscriptionArgument = "", *, output: OutputOption = Output.TEXT
) -> None:
    """Look for what is wrong with payments, charges, renewal and access; ends with 1 when something is."""
    with reporting(output):
        from controlplane.cli.ctl.account_findings import Standing, account_findings
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.runtime.clock import SystemClock

        with connected(load_session(config_dir)) as connection:
            account = _ask(connection, subscription_id)
        found = account_findings(account, SystemClock().now().date())
        first = found[0].code if found and found[0].standing is not Standing.PASSING else "OK"
        if output is Output.JSON:
            say_json({"first_code": first, "results": [finding.record() for finding in found]})
        for finding in found if output is Output.TEXT else ():
            shown = {f"{finding.standing.value} {finding.code}": finding.evidence}
            say_fields({**shown, "  next": finding.next_step} if finding.next_step else shown)
        if output is Output.TEXT and first == "OK":
            say("Nothing has to be done.")
    if any(finding.standing is Standing.FAILING for finding in found):
        raise typer.Exit(1)


def _ask(connection: "Connection", subscription_id: str) -> "Account":
    from controlplane.cli.ctl.account_findings import Account
    from wire.v1 import billing_pb2
    from wire.v1.billing_pb2_grpc import BillingServiceStub
    from wire.v1.common_pb2 import PageRequest
    from wire.v1.subscription_pb2 import GetSubscriptionRequest
    from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

    def call(method: Any, request: Any) -> Any:
        return connection.call(method, request)

    billing, page = BillingServiceStub(connection.channel), PageRequest(page_size=_ROWS)
    paid = call(
        SubscriptionServiceStub(connection.channel).GetSubscription,
        GetSubscriptionRequest(subscription_id=subscription_id),
    )
    invoices = call(billing.ListInvoices, billing_pb2.ListInvoicesRequest(page=page)).invoices
    payments = call(billing.ListPayments, billing_pb2.ListPaymentsRequest(page=page)).payments
    settled = [payment for payment in payments if payment.state == "captured"][:_CHARGES]
    newest_paid = next((invoice for invoice in invoices if invoice.state == "paid"), None)
    return Account(
        subscription=paid,
        invoices=invoices,
        payments=payments,
        methods=call(billing.ListPaymentMethods, billing_pb2.ListPaymentMethodsRequest()).methods,
        charges={
            payment.payment_id: call(
                billing.ClassifyCharge,
                billing_pb2.ClassifyChargeRequest(amount=payment.amount, at_us=payment.updated_at_us),
            )
            for payment in settled
        },
        refund=call(billing.CheckRefund, billing_pb2.CheckRefundRequest(invoice_id=newest_paid.invoice_id))
        if newest_paid
        else None,
    )
