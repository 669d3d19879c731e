"""`bucklerctl webhook`: who else is told of what happens."""

from typing import Annotated

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    LimitOption,
    Output,
    OutputOption,
    note,
    reporting,
    say,
    say_fields,
    say_json,
    say_table,
)

webhook = typer.Typer(no_args_is_help=True, help="Systems of yours that are told of incidents over HTTPS.")

WebhookArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the webhook: bucklerctl webhook list.")]


@webhook.command("list")
def list_webhooks(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Every webhook, and how many deliveries wait or were given up."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import webhook_row
        from wire.v1.webhook_pb2 import ListWebhooksRequest
        from wire.v1.webhook_pb2_grpc import WebhookServiceStub

        with connected(load_session(config_dir)) as connection:
            answer = connection.call(WebhookServiceStub(connection.channel).ListWebhooks, ListWebhooksRequest())
        found = [webhook_row(each) for each in answer.webhooks]
        if output is Output.JSON:
            say_json(found)
            return
        if not found:
            say("There are no webhooks.")
            return
        rows = [[row["url"], str(row["waiting"]), str(row["dead"]), row["webhook_id"]] for row in found]
        say_table(["url", "waiting", "given up", "id"], rows, whole=["id"])


@webhook.command("add")
def add_webhook(
    url: Annotated[str, typer.Argument(help="https: URL of a public address.")],
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Have events posted to a URL; prints the secret that they are signed with, once."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import webhook_row
        from wire.v1.webhook_pb2 import AddWebhookRequest
        from wire.v1.webhook_pb2_grpc import WebhookServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = WebhookServiceStub(connection.channel)
            answer = connection.call(stub.AddWebhook, AddWebhookRequest(url=url))
        row = webhook_row(answer.webhook) | {"secret": answer.secret}
        if output is Output.JSON:
            say_json(row)
            return
        say_fields({"webhook_id": row["webhook_id"], "url": row["url"], "secret": row["secret"]})
        note("the secret is shown this once")


@webhook.command("remove")
def remove_webhook(
    webhook_id: WebhookArgument, config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT
) -> None:
    """Tell a URL nothing any more; what waits for it is dropped."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.webhook_pb2 import RemoveWebhookRequest
        from wire.v1.webhook_pb2_grpc import WebhookServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = WebhookServiceStub(connection.channel)
            connection.call(stub.RemoveWebhook, RemoveWebhookRequest(webhook_id=webhook_id))
        if output is Output.JSON:
            say_json({"webhook_id": webhook_id, "removed": True})
            return
        say(f"{webhook_id} is removed.")


@webhook.command("dead")
def list_dead(config_dir: ConfigDirOption, *, limit: LimitOption = 100, output: OutputOption = Output.TEXT) -> None:
    """Deliveries that were given up, the newest first; they are kept for 30 days."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.pages import first_rows
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import dead_row
        from wire.v1.webhook_pb2 import ListDeadDeliveriesRequest
        from wire.v1.webhook_pb2_grpc import WebhookServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = WebhookServiceStub(connection.channel)
            found = first_rows(
                lambda page: connection.call(stub.ListDeadDeliveries, ListDeadDeliveriesRequest(page=page)),
                lambda answer: map(dead_row, answer.deliveries),
                limit,
            )
        if output is Output.JSON:
            say_json(found)
            return
        if not found:
            say("Nothing was given up.")
            return
        rows = [
            [local(row["created_at"]), row["kind"], str(row["attempts"]), row["last_error"], row["delivery_id"]]
            for row in found
        ]
        say_table(["when", "event", "attempts", "why", "id"], rows, whole=["id"])


@webhook.command("retry")
def retry_delivery(
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the delivery: bucklerctl webhook dead.")],
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Try a delivery that was given up again."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.webhook_pb2 import RetryDeliveryRequest
        from wire.v1.webhook_pb2_grpc import WebhookServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = WebhookServiceStub(connection.channel)
            connection.call(stub.RetryDelivery, RetryDeliveryRequest(delivery_id=delivery_id))
        if output is Output.JSON:
            say_json({"delivery_id": delivery_id, "waiting": True})
            return
        say(f"{delivery_id} is tried again now.")
