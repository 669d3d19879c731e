"""The commands of `buckler`, each loaded when it is called: loading all of them takes longer than most of them run."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, cast

import typer
from typer._click import Command, Context
from typer.core import TyperGroup

from agent.cli.plain_values import convert_plainly

#: Where each is, in the order of the help: a function, or a group of commands.
PLACES = {
    "run": "agent.cli.run:run",
    "scan": "agent.cli.scan.wiring:scan",
    "scan-costs": "agent.cli.scan_costs:scan_costs",
    "status": "agent.cli.status:status",
    "activate": "agent.cli.activate:activate",
    "deactivate": "agent.cli.deactivate:deactivate",
    "subscription": "agent.cli.subscription:subscription",
    "mode": "agent.cli.mode:mode",
    "doctor": "agent.cli.doctor:doctor",
    "quarantine": "agent.cli.quarantine:quarantine_app",
    "exclusion": "agent.cli.exclusion:exclusion_app",
    "schedule": "agent.cli.schedule:schedule_app",
    "service": "agent.cli.service:service_app",
    "rules": "agent.cli.rules:rules_app",
    "diagnostics": "agent.cli.diagnostics:diagnostics_app",
}


class CommandsOnDemand(TyperGroup):
    """The group of them all; give it to Typer as the class of its application."""

    def __init__(self, *, commands: object = None, **attributes: Any) -> None:
        assert not commands, "all commands are in the table"
        super().__init__(**attributes)
        # Typer keeps a dict here and only ever reads it.
        self.commands = cast("MutableMapping[str, Command]", _Commands(PLACES))
        convert_plainly(self.get_params(Context(self)))


class _Commands(Mapping[str, Command]):
    """Commands by name; their names are known without loading any."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Command:
        module, _, attribute = self._places[name].partition(":")
        command = _parsed(name, getattr(import_module(module), attribute))
        _convert_all_plainly(command)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _parsed(name: str, part: typer.Typer | Callable[..., Any]) -> Command:
    holder = typer.Typer(rich_markup_mode=None)
    if isinstance(part, typer.Typer):
        holder.add_typer(part, name=name)
    else:
        holder.command(name)(part)
    return typer.main.get_group(holder).commands[name]


def _convert_all_plainly(command: Command) -> None:
    # With its `--help`, which Typer makes when it is asked for the first time.
    convert_plainly(command.get_params(Context(command)))
    if isinstance(command, TyperGroup):
        for below in command.commands.values():
            _convert_all_plainly(below)
