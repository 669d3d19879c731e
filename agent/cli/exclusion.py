"""`buckler exclusion`: what to leave alone, why, and until when."""

import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.asking import ask_owner_actions
from agent.cli.invocation import ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import say, say_json, say_table
from agent.domain.exclusions import ExclusionKind
from agent.platform.clock import SystemClock

if TYPE_CHECKING:
    from agent.domain.exclusions import Exclusion

exclusion_app = typer.Typer(help="List, add or remove exclusions.", no_args_is_help=True)


@exclusion_app.command("list")
def list_exclusions(
    context: typer.Context,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """List exclusions added here or set by your organisation. Those of the configuration are in its file."""
    common = common_options(context, output, data_dir, config)
    exclusions = ask_owner_actions(common, lambda actions: actions.exclusions())
    if common.as_json:
        say_json([_as_json(exclusion) for exclusion in exclusions])
    elif not exclusions:
        say("Nothing is excluded.")
    else:
        now = SystemClock().now()
        rows = [(e.id, e.kind.value, _until(e, now), e.value, _why(e)) for e in exclusions]
        say_table(("ID", "KIND", "UNTIL", "VALUE", "REASON"), rows)


@exclusion_app.command()
def add(
    context: typer.Context,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A path, a sha256, sha256:path, or a rule's name.")],
    kind: Annotated[ExclusionKind, typer.Option("--kind", help="What VALUE is.")] = ExclusionKind.PATH,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever reads the list later.")] = "",
    days: Annotated[int | None, typer.Option("--days", min=1, max=36_500, help="Only for so many days.")] = None,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Leave a file, folder, content or rule alone from now on."""
    from agent.local_api.actions import NewExclusion

    # A path means what it means in this shell; links in it are kept, since files are excluded by the name they have.
    named = os.path.abspath(os.path.expanduser(value)) if kind is ExclusionKind.PATH else value.strip()  # noqa: PTH100, PTH111
    named = named.lower() if kind is ExclusionKind.SHA256 else named
    expires_at = SystemClock().now() + timedelta(days=days) if days else None

    common = common_options(context, output, data_dir, config)
    wanted = NewExclusion(kind, named, reason, expires_at)
    exclusion = ask_owner_actions(common, lambda actions: actions.add_exclusion(wanted))
    if common.as_json:
        say_json(_as_json(exclusion))
    else:
        say(f"{exclusion.id} : {exclusion.kind.value} {exclusion.value} is left alone {_for_how_long(exclusion)}.")
        say(f"To undo that: buckler exclusion remove {exclusion.id}")


@exclusion_app.command()
def remove(
    context: typer.Context,
    exclusion_id: Annotated[str, typer.Argument(metavar="ID", help="As `buckler exclusion list` shows it.")],
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Remove an exclusion: what it named is no longer left alone."""
    common = common_options(context, output, data_dir, config)
    ask_owner_actions(common, lambda actions: actions.remove_exclusion(exclusion_id))
    if common.as_json:
        say_json({"id": exclusion_id, "removed": True})
    else:
        say(f"{exclusion_id} is removed.")


def _as_json(exclusion: "Exclusion") -> dict[str, Any]:
    return {
        "id": exclusion.id,
        "kind": exclusion.kind.value,
        "value": exclusion.value,
        "reason": exclusion.reason,
        "created_at": exclusion.created_at.isoformat(),
        "expires_at": exclusion.expires_at.isoformat() if exclusion.expires_at else None,
        "managed": exclusion.managed,
    }


def _why(exclusion: "Exclusion") -> str:
    return f"{exclusion.reason} [managed]" if exclusion.managed else exclusion.reason


def _until(exclusion: "Exclusion", now: datetime) -> str:
    if exclusion.expires_at is None:
        return "for good"
    return f"{exclusion.expires_at:%Y-%m-%d}" + ("" if exclusion.in_force(now) else " (over)")


def _for_how_long(exclusion: "Exclusion") -> str:
    return f"until {exclusion.expires_at:%Y-%m-%d}" if exclusion.expires_at else "from now on"
