"""Where log events go: standard error, one line each; the answers on standard output stay clean.

For people, or as JSON for programs; the fields are in docs/logs.md.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final

import structlog

from agent.cli.invocation import LogFormat

#: These come first, in this order; the others as they were given.
FIRST_FIELDS: Final = ("time", "level", "area", "event", "request_id", "org_id", "device_id", "method", "code")
WITHHELD: Final = "[withheld]"
_SECRET: Final = re.compile(r"(?i)pass(word|phrase)|secret|token$|authori[sz]ation|private|activation_key|cookie")
_Fields = MutableMapping[str, Any]


class AreaLogger(structlog.PrintLogger):
    """Writes lines, and knows which room of the program they come from."""

    def __init__(self, module: str) -> None:
        # Looked up at each event: whoever replaces standard error after us gets the log too.
        super().__init__(sys.stderr)
        self.area = area_of(module)


def configure_log(*, service: bool, form: LogFormat = LogFormat.TEXT) -> None:
    """Set the log up, once per process.

    Args:
        service: The service tells what it does; a command only what went wrong.
        form: For whom.
    """
    written: list[Any] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    if form is LogFormat.JSON:
        as_json = structlog.processors.JSONRenderer(default=str)
        written = [name_area, structlog.processors.format_exc_info, withhold_secrets, in_order, as_json]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(
                fmt="iso", utc=True, key="time" if form is LogFormat.JSON else "timestamp"
            ),
            *written,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if service else logging.ERROR),
        logger_factory=lambda *names: AreaLogger(names[0] if names else ""),
        cache_logger_on_first_use=False,
    )


def area_of(module: str) -> str:
    """The room a module is in: `agent.realtime.runner` is in `realtime`."""
    parts = module.split(".")
    return parts[1] if parts[0] == "agent" and len(parts) > 1 else module


def name_area(logger: Any, _method: str, fields: _Fields) -> _Fields:
    """Say where the event comes from."""
    fields.setdefault("area", getattr(logger, "area", ""))
    return fields


def withhold_secrets(_logger: Any, _method: str, fields: _Fields) -> _Fields:
    """The last line of defence: nobody means to log a secret."""
    return {name: _without_secrets(name, value) for name, value in fields.items()}


def _without_secrets(name: str, value: Any) -> Any:
    if _SECRET.search(name):
        return WITHHELD
    if isinstance(value, Mapping):
        return {str(key): _without_secrets(str(key), inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_without_secrets("", inner) for inner in value]
    return value


def in_order(_logger: Any, _method: str, fields: _Fields) -> _Fields:
    """What every line has comes first."""
    first = {name: fields[name] for name in FIRST_FIELDS if name in fields}
    return {**first, **{name: value for name, value in fields.items() if name not in first}}


def announce(text: str) -> None:
    """What the service says to whoever started it, where that is a program that reads JSON."""
    structlog.get_logger("agent.service").info("announced", message=text)
