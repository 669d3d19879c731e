"""`bucklerctl export`: everything that is kept about an organisation, in one file."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.output import ConfigDirOption, Output, OutputOption, reporting, say, say_json
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from controlplane.cli.ctl.connection import Connection

#: As many as the server gives; they do not come in pages.
_MOST_SEAT_CHANGES = 500

#: The name of what a line is about, and the answers that it comes in.
_Source = tuple[str, Iterator[Any]]


def export(
    to: Annotated[Path, typer.Option("--to", help="A new file; it will be readable for you only.")],
    config_dir: ConfigDirOption,
    *,
    subscription: Annotated[str, typer.Option(help="Of the subscriptions only this one; left out: all.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Write everything that is kept about your organisation to a file: one JSON object per line.

    Administrators get people, tokens and audit too; activation keys and passwords are nowhere kept readable.
    """
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session

        session = load_session(config_dir)
        counts: dict[str, int] = {}
        with _created(to) as file, _removed_unless_whole(to), connected(session) as connection:
            for kind, found in _everything(connection, subscription):
                counts[kind] = 0
                for each in found:
                    file.write(json.dumps({"type": kind, **each}, ensure_ascii=False) + "\n")
                    counts[kind] += 1
            file.flush()
        if output is Output.JSON:
            say_json({"file": str(to), "lines": counts})
            return
        for kind, count in counts.items():
            say(f"{kind:<15} : {count}")
        say(f"Written to {to}.")


def _everything(connection: "Connection", subscription_id: str) -> Iterator[_Source]:
    from wire.v1 import account_pb2, licensing_pb2, subscription_pb2
    from wire.v1.account_pb2_grpc import AccountServiceStub
    from wire.v1.licensing_pb2_grpc import LicensingServiceStub
    from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

    accounts = AccountServiceStub(connection.channel)
    subscriptions = SubscriptionServiceStub(connection.channel)
    licensing = LicensingServiceStub(connection.channel)
    who = connection.call(accounts.WhoAmI, account_pb2.WhoAmIRequest())
    paid = [
        connection.call(subscriptions.GetSubscription, subscription_pb2.GetSubscriptionRequest(subscription_id=each))
        for each in _subscription_ids(connection, subscription_id)
    ]
    named = [each.subscription_id for each in paid]
    yield "organisation", iter([{"org_id": who.org_id, "name": who.org_name, "kind": who.org_kind}])
    yield "subscription", map(_plain, paid)
    agreed = [
        connection.call(subscriptions.ListConsents, subscription_pb2.ListConsentsRequest(subscription_id=each))
        for each in named
    ]
    yield "consent", (_plain(consent) for answer in agreed for consent in answer.consents)
    seats = [
        connection.call(licensing.ListSeats, licensing_pb2.ListSeatsRequest(subscription_id=each)) for each in named
    ]
    yield "seat", (_plain(seat) for answer in seats for seat in answer.seats)
    changes = licensing_pb2.ListSeatChangesRequest(limit=_MOST_SEAT_CHANGES)
    yield "seat_change", map(_plain, connection.call(licensing.ListSeatChanges, changes).changes)
    yield from _money(connection)
    yield from _devices(connection)
    if who.role in {"owner", "admin"}:
        yield from _people(connection)


def _subscription_ids(connection: "Connection", wanted: str) -> list[str]:
    """The one that is wanted, else all there are; the server names them where it cannot tell which is meant."""
    from wire.v1.subscription_pb2 import GetSubscriptionRequest
    from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

    stub = SubscriptionServiceStub(connection.channel)
    try:
        found = connection.call(stub.GetSubscription, GetSubscriptionRequest(subscription_id=wanted))
    except Refusal as refusal:
        listed = refusal.facts.get("subscription_ids", "")
        if not listed:
            raise
        return listed.split(", ")
    return [found.subscription_id]


def _money(connection: "Connection") -> Iterator[_Source]:
    from wire.v1 import billing_pb2, notice_pb2
    from wire.v1.billing_pb2_grpc import BillingServiceStub
    from wire.v1.notice_pb2_grpc import NoticeServiceStub

    billing, notices = BillingServiceStub(connection.channel), NoticeServiceStub(connection.channel)
    rows = partial(_rows, connection)
    yield "invoice", rows(billing.ListInvoices, billing_pb2.ListInvoicesRequest, "invoices")
    yield "payment", rows(billing.ListPayments, billing_pb2.ListPaymentsRequest, "payments")
    yield "refund", rows(billing.ListRefunds, billing_pb2.ListRefundsRequest, "refunds")
    methods = connection.call(billing.ListPaymentMethods, billing_pb2.ListPaymentMethodsRequest())
    yield "payment_method", map(_plain, methods.methods)
    told = rows(notices.ListNotices, notice_pb2.ListNoticesRequest, "notices")
    full = (
        connection.call(notices.GetNotice, notice_pb2.GetNoticeRequest(notice_id=each["notice_id"])) for each in told
    )
    yield "notice", map(_plain, full)


def _devices(connection: "Connection") -> Iterator[_Source]:
    from wire.v1 import command_pb2, fleet_pb2
    from wire.v1.command_pb2_grpc import CommandServiceStub
    from wire.v1.fleet_pb2_grpc import FleetServiceStub

    fleet, commands = FleetServiceStub(connection.channel), CommandServiceStub(connection.channel)
    rows = partial(_rows, connection)
    yield "device", rows(fleet.ListDevices, fleet_pb2.ListDevicesRequest, "devices")
    yield "detection", rows(fleet.ListDetections, fleet_pb2.ListDetectionsRequest, "detections")
    yield "command", rows(commands.ListCommands, command_pb2.ListCommandsRequest, "commands")


def _people(connection: "Connection") -> Iterator[_Source]:
    from wire.v1 import account_pb2
    from wire.v1.account_pb2_grpc import AccountServiceStub

    accounts, rows = AccountServiceStub(connection.channel), partial(_rows, connection)
    yield "person", rows(accounts.ListPeople, account_pb2.ListPeopleRequest, "people")
    yield "token", rows(accounts.ListTokens, account_pb2.ListTokensRequest, "tokens")
    yield "audit", rows(accounts.ListAudit, account_pb2.ListAuditRequest, "entries")


def _rows(connection: "Connection", method: Any, request: Callable[..., Any], field: str) -> Iterator[dict[str, Any]]:
    """Every row of a list that comes in pages.

    Args:
        connection: Signed in.
        method: Of a stub.
        request: What it takes.
        field: Of its answer, with the rows.
    """
    from controlplane.cli.ctl.pages import answers

    for answer in answers(lambda page: connection.call(method, request(page=page))):
        yield from map(_plain, getattr(answer, field))


def _plain(message: Any) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, preserving_proto_field_name=True)


@contextmanager
def _removed_unless_whole(path: Path) -> Iterator[None]:
    """A part of everything would be taken for all of it, and be in the way of the next attempt."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _created(path: Path) -> Any:
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
    except FileExistsError as error:
        raise Refusal(
            Kind.INVALID, "FILE_EXISTS", f"there is a file {path} already", "Choose another name: --to FILE"
        ) from error
    except OSError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "FILE_NOT_WRITTEN",
            f"{path} cannot be written: {error.strerror}",
            "Choose a folder that is yours: --to FILE",
        ) from error
