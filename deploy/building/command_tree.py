"""A program's commands and options as plain values, read from the objects that parse its command line."""

import re
from dataclasses import dataclass

import typer

# Typer keeps its own copy of Click and exports none of it.
from typer._click.core import Command as ParsedCommand
from typer._click.core import Context
from typer.core import TyperArgument, TyperOption

_CHOICE = re.compile(r"<([\w-]+(?:\|[\w-]+)+)>")
#: What a value is called in a manual, by what Typer calls its type.
_KINDS = {
    "path": "PATH",
    "Path": "PATH",
    "dir": "DIR",
    "file": "FILE",
    "str": "TEXT",
    "int": "NUMBER",
    "float": "NUMBER",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        names: `--output`, `-o`.
        value: What stands for its value in a manual; empty: it takes none.
        choices: The values there are, if they are few.
        help: One or two sentences.
    """

    names: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    help: str

    @property
    def is_path(self) -> bool:
        """Whether its value names something in the file system."""
        return bool({"PATH", "DIR", "FILE", "ZIP"} & set(self.value.split("|")))


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, or several: what stands for it, the values there are, one sentence."""

    shown: str
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True, slots=True)
class Command:
    """A program or one of its commands.

    Attributes:
        path: From the program's name on.
        help: Paragraphs.
        options: In the order of the help.
        arguments: In their order.
        commands: In the order of the help; empty: this one does something itself.
    """

    path: tuple[str, ...]
    help: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]
    commands: tuple["Command", ...]

    @property
    def name(self) -> str:
        """Its last word."""
        return self.path[-1]

    @property
    def summary(self) -> str:
        """The first sentence or paragraph of its help, without the final period."""
        return self.help.partition("\n\n")[0].replace("\n", " ").rstrip(".")

    def all(self) -> list["Command"]:
        """This one and every one below it."""
        return [self, *(below for command in self.commands for below in command.all())]


def read_program(name: str, app: typer.Typer) -> Command:
    """Everything that a program's help tells."""
    parsed = typer.main.get_command(app)
    return _read(parsed, (name,), Context(parsed, info_name=name))


def _read(parsed: ParsedCommand, path: tuple[str, ...], context: Context) -> Command:
    visible = [parameter for parameter in parsed.params if not getattr(parameter, "hidden", False)]
    below = getattr(parsed, "commands", {})
    return Command(
        path=path,
        help=(parsed.help or "").strip(),
        options=tuple(_option(p, context) for p in visible if isinstance(p, TyperOption)),
        arguments=tuple(_argument(p, context) for p in visible if isinstance(p, TyperArgument)),
        commands=tuple(
            _read(command, (*path, name), Context(command, info_name=name, parent=context))
            for name, command in below.items()
            if not command.hidden
        ),
    )


def _option(parameter: TyperOption, context: Context) -> Option:
    choices = _choices(parameter, context)
    value = (
        "" if parameter.is_flag else parameter.metavar or "|".join(choices) or _kind(parameter.display_type(context))
    )
    names = (*parameter.opts, *parameter.secondary_opts)
    return Option(tuple(sorted(names, key=len, reverse=True)), value, choices, _help(parameter, context))


def _argument(parameter: TyperArgument, context: Context) -> Argument:
    choices = _choices(parameter, context)
    shown = parameter.metavar or "|".join(choices) or (parameter.name or "").upper()
    return Argument(shown, choices, _help(parameter, context))


def _choices(parameter: TyperOption | TyperArgument, context: Context) -> tuple[str, ...]:
    found = _CHOICE.fullmatch(parameter.display_type(context))
    return tuple(found[1].split("|")) if found else ()


def _kind(shown: str) -> str:
    """`<list[Path]>` is several of `<Path>`; `<int range>` is a number."""
    word = re.sub(r"^<(?:list\[)?(\w+).*>$", r"\1", shown)
    return _KINDS.get(word, word.upper())


def _help(parameter: TyperOption | TyperArgument, context: Context) -> str:
    record = parameter.get_help_record(context)
    return "" if record is None else " ".join(record[1].split())
