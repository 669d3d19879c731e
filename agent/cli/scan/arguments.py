"""What the arguments of `buckler scan` mean: sizes, limits and paths, checked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import typer

from agent.domain.errors import BucklerError
from agent.scanner.limits import Limits
from agent.scanner.scan_report import printable

_SIZE_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def named_paths(paths: Sequence[str]) -> tuple[str, ...]:
    """The paths a person named, absolute; links they named are followed.

    Raises:
        BucklerError: `PATH_NOT_FOUND`.
    """
    from agent.scanner.walk.tree import resolve_named

    targets: list[str] = []
    for path in paths:
        target = resolve_named(path)
        if target is None:
            raise BucklerError(
                "PATH_NOT_FOUND",
                f"there is nothing at {printable(path)}",
                next_step="check the path; nothing has been scanned",
            )
        targets.append(target)
    return tuple(targets)


def limits_with(defaults: Limits, **wanted: Any) -> Limits:
    """The limits with those replaced that were asked for; None: not asked for.

    Raises:
        typer.BadParameter: One is out of its bounds.
    """
    try:
        return replace(defaults, **{name: value for name, value in wanted.items() if value is not None})
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def size_in_bytes(text: str, flag: str) -> int | None:
    """`1048576`, `1M`; None: nothing was said.

    Raises:
        typer.BadParameter: It is no size; names the flag.
    """
    if not text:
        return None
    unit = _SIZE_UNITS.get(text[-1].upper(), 1)
    digits = text[:-1] if unit > 1 else text
    if not digits.isascii() or not digits.isdigit():
        raise typer.BadParameter(f"{text!r} is no number of bytes; 1048576 and 1M are", param_hint=flag)
    return int(digits) * unit
