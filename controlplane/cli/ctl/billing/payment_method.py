"""`bucklerctl payment-method`: what is charged. The card itself is entered at the payment provider, never here."""

from typing import Annotated, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_json,
    say_table,
)

payment_method = typer.Typer(no_args_is_help=True, help="What is charged.")


@payment_method.command("list")
def list_methods(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Every method, the default first."""
    with reporting(output):
        from controlplane.cli.ctl.billing.amounts import method_row
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.billing_pb2 import ListPaymentMethodsRequest
        from wire.v1.billing_pb2_grpc import BillingServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = BillingServiceStub(connection.channel)
            answer = connection.call(stub.ListPaymentMethods, ListPaymentMethodsRequest())
        found = [method_row(each) for each in answer.methods]
        if output is Output.JSON:
            say_json(found)
            return
        rows = [
            [each["method_id"], _name(each), each["expires"] or "never", "default" if each["is_default"] else ""]
            for each in found
        ]
        say_table(
            ["method", "card or account", "expires", ""], rows, whole=["method"], empty="There are no payment methods."
        )


@payment_method.command("add")
def add_method(
    token: Annotated[str, typer.Argument(help="The payment provider's name for it, e.g. pm_….")],
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Charge this from now on. Invoices whose last payment failed are paid with it at once."""
    with reporting(output):
        from controlplane.cli.ctl.billing.amounts import method_row, payment_row
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.runtime.randomness import SystemRandomness, new_id
        from wire.v1.billing_pb2 import AddPaymentMethodRequest
        from wire.v1.billing_pb2_grpc import BillingServiceStub

        request = AddPaymentMethodRequest(token=token, idempotency_key=new_id(SystemRandomness(), "ctl"))
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(BillingServiceStub(connection.channel).AddPaymentMethod, request)
        row = method_row(answer.method)
        payments = [payment_row(each) for each in answer.payments]
        if output is Output.JSON:
            say_json({**row, "payments": payments})
            return
        say(f"{_name(row)} is charged from now on ({row['method_id']}).")
        for payment in payments:
            say(f"{payment['amount']['text']} for {payment['invoice_id']}: {payment['state'].replace('_', ' ')}.")


@payment_method.command("remove")
def remove_method(
    method_id: Annotated[str, typer.Argument(metavar="METHOD", help="Its id: bucklerctl payment-method list.")],
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Charge this no more; the payment provider forgets it too."""
    with reporting(output):
        from controlplane.cli.ctl.billing.amounts import method_row
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.billing_pb2 import RemovePaymentMethodRequest
        from wire.v1.billing_pb2_grpc import BillingServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = BillingServiceStub(connection.channel)
            answer = connection.call(stub.RemovePaymentMethod, RemovePaymentMethodRequest(method_id=method_id))
        row = method_row(answer.method)
        if output is Output.JSON:
            say_json(row)
            return
        say(f"{_name(row)} is charged no more.")


def _name(row: dict[str, Any]) -> str:
    return f"{row['brand']} …{row['last4']}"
