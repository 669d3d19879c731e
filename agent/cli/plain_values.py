"""What stands on a command line as values, without Pydantic where that would say no more than this.

Typer has Pydantic convert every parameter, given or not; loading it takes longer than most commands run.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from typer._click import Context
from typer._click.core import Parameter
from typer._coercion import RuntimeParam, build_runtime_param
from typer._param_types import choice_coercion_annotation, coerce_cli_choice, coerce_cli_path, lenient_issubclass
from typer.core import TyperArgument, TyperOption

if TYPE_CHECKING:
    from typer.core import _TyperParameter

#: Numbers that need no thought; other spellings are left to Typer.
_PLAIN_NUMBERS = {int: re.compile(r"[0-9]{1,18}"), float: re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")}


def convert_plainly(parameters: Iterable[Parameter]) -> None:
    """Have parameters of a command convert what they are given without Pydantic, as far as that goes."""
    for parameter in parameters:
        if isinstance(parameter, TyperOption | TyperArgument):
            kind = parameter.type_descriptor
            if kind.file_annotation is None and kind.parameter_info.parser is None:
                parameter._runtime_param = _PlainFirst(kind.parameter_info, kind.annotation)  # noqa: SLF001 -- Typer has no other way


class _NotPlainError(Exception):
    """Pydantic has to look at it."""


@dataclass(frozen=True)
class _PlainFirst(RuntimeParam):
    """Converts a value; what it cannot, or must refuse, is left to Typer and its words."""

    def _coerce_value(self, value: Any, param: "_TyperParameter", ctx: Context) -> Any:
        try:
            return self._plain(value, self.annotation, param, ctx)
        except (_NotPlainError, ValueError):
            return build_runtime_param(param.type_descriptor).coerce(value, param, ctx)

    def _plain(self, value: Any, annotation: Any, param: "_TyperParameter", ctx: Context) -> Any:
        if get_origin(annotation) is list:
            (inner,) = get_args(annotation)
            return [self._plain(item, inner, param, ctx) for item in value]
        choices = choice_coercion_annotation(annotation, self.parameter_info)
        if choices is not None:
            return coerce_cli_choice(value, choices=choices[0], case_sensitive=choices[1], ctx=ctx)
        if lenient_issubclass(annotation, Path) and isinstance(value, str | Path):
            # Without a type it only checks what the option asks for.
            checked = coerce_cli_path(value, self.parameter_info, path_type=None, param=param, ctx=ctx)
            return annotation(checked)
        if isinstance(annotation, type) and isinstance(value, annotation):
            # Text, and defaults.
            return value
        if annotation in {int, float} and isinstance(value, str) and _PLAIN_NUMBERS[annotation].fullmatch(value):
            return self._in_range(annotation(value))
        raise _NotPlainError

    def _in_range(self, number: float) -> float:
        least, most = self.parameter_info.min, self.parameter_info.max
        if (least is not None and number < least) or (most is not None and number > most):
            raise _NotPlainError
        return number
