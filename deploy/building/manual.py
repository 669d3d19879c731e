"""Manual pages: one for each program, in the macros of man(7)."""

from dataclasses import dataclass

from deploy.building.command_tree import Argument, Command, Option


@dataclass(frozen=True, slots=True)
class Context:
    """What a program's own help does not tell.

    Attributes:
        purpose: What the program is for, as a phrase.
        version: Of Buckler.
        date: Of its release, `YYYY-MM-DD`.
        statuses: Exit status and what it means.
        files: Path and what it is for.
        variables: Environment variable and what it does.
        see_also: Other pages.
    """

    purpose: str
    version: str
    date: str
    statuses: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]
    variables: tuple[tuple[str, str], ...]
    see_also: tuple[str, ...]


def manual_page(program: Command, context: Context) -> str:
    """The page, ready to be shown with man(1)."""
    title = f'.TH {_text(program.name.upper())} 1 "{context.date}" "Buckler {context.version}" "Buckler manual"'
    lines = [title, ".SH NAME", f"{_text(program.name)} \\- {_text(context.purpose)}"]
    lines += [".SH SYNOPSIS", *_usage(program), ".SH DESCRIPTION", *_paragraphs(program.help)]
    if program.options:
        lines += [".SH OPTIONS", "These stand before the command or after it.", *_options(program.options)]
    lines += [".SH COMMANDS"]
    everywhere = {name for option in program.options for name in option.names}
    for command in program.all()[1:]:
        if not command.commands:
            lines += _command(command, everywhere)
    for heading, entries in (
        ("EXIT STATUS", context.statuses),
        ("FILES", context.files),
        ("ENVIRONMENT", context.variables),
    ):
        lines += [f".SH {heading}", *(line for entry in entries for line in _tagged(*entry))] if entries else []
    lines += [
        ".SH SEE ALSO",
        ", ".join(f".BR {_text(page)} (1)" for page in context.see_also).replace(", .BR", "\n.BR"),
    ]
    return "\n".join(lines) + "\n"


def _usage(command: Command) -> list[str]:
    rest = "COMMAND [ARGUMENTS]" if command.commands else " ".join(argument.shown for argument in command.arguments)
    options = " [OPTIONS]" if command.options else ""
    return [f".B {_text(' '.join(command.path))}", f"{_text(options.strip())} {_text(rest)}".strip()]


def _command(command: Command, everywhere: set[str]) -> list[str]:
    words = [*command.path, *(argument.shown for argument in command.arguments)]
    own = tuple(option for option in command.options if not everywhere & set(option.names))
    arguments = [line for argument in command.arguments for line in _argument(argument)]
    return [f".SS {_text(' '.join(words))}", *_paragraphs(command.help), *arguments, *_options(own)]


def _argument(argument: Argument) -> list[str]:
    return _tagged(argument.shown, argument.help) if argument.help else []


def _options(options: tuple[Option, ...]) -> list[str]:
    lines: list[str] = []
    for option in options:
        names = ", ".join(f"\\fB{_text(name)}\\fR" for name in option.names)
        value = f" \\fI{_text(option.value)}\\fR" if option.value else ""
        lines += [".TP", names + value, _text(option.help)]
    return lines


def _tagged(name: str, meaning: str) -> list[str]:
    return [".TP", f".B {_text(name)}", _text(meaning)]


def _paragraphs(text: str) -> list[str]:
    paragraphs = [_text(" ".join(paragraph.split())) for paragraph in text.split("\n\n") if paragraph.strip()]
    return [line for paragraph in paragraphs for line in (".PP", paragraph)][1:]


def _text(text: str) -> str:
    """Characters that roff reads itself; a line that begins with a dot would be a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("×", "x").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
