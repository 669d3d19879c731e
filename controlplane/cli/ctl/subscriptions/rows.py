"""A subscription, named and shown: what every command about one has in common."""

from typing import Annotated, Any

import typer

from controlplane.cli.ctl.output import Output, say_fields, say_json

SubscriptionArgument = Annotated[
    str, typer.Argument(metavar="[SUBSCRIPTION]", help="Id; left out: the only one there is.", show_default=False)
]


def show_row(row: dict[str, Any], output: Output) -> None:
    """A subscription, for people or for programs."""
    from controlplane.cli.ctl.moments import local

    if output is Output.JSON:
        say_json(row)
        return
    changes = f", until {local(row['access_until'])}" if row["access_until"] else ""
    say_fields(
        {
            "subscription": row["subscription_id"],
            "plan": f"{row['plan_name']} ({row['plan_id']}, {row['term']})",
            "seats": f"{row['seats_taken']} of {row['seats']} taken",
            "access": f"{row['access']} ({row['access_reason']}){changes}",
            "billing": row["billing"].replace("_", " "),
            "renewal": row["renewal"].replace("_", " "),
            "period": f"{local(row['period_start'])} to {local(row['period_end'])}",
            **_ahead(row),
        }
    )


def _ahead(row: dict[str, Any]) -> dict[str, str]:
    """What comes, as far as there is something to say."""
    from controlplane.cli.ctl.moments import local

    fields = {}
    if row["next_charge"]:
        fields["next charge"] = f"{row['next_charge']['text']} on {local(row['period_end'])}"
    if row["pending_plan_id"]:
        fields["changes to"] = f"{row['pending_plan_id']}, {row['pending_term']} on {local(row['period_end'])}"
    if row["open_invoice_id"]:
        fields["open invoice"] = f"{row['open_invoice_id']} (bucklerctl invoice pay {row['open_invoice_id']})"
    if row["cancelled_at"]:
        fields["cancelled"] = local(row["cancelled_at"])
    return fields
