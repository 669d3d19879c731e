"""The server's log: one line for each event on standard error, for people (`key=value`) or for programs (JSON).

Each line says when, how bad, in which room, what, and of what is done for a caller for whom: the fields are in
docs/logs.md. Nothing here reads a request or an answer, and what is named like a secret is withheld.
"""

import logging
import re
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final, TextIO

import structlog

from controlplane.runtime.observability.log_format import LogFormat
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal, current_principal, current_request_id

#: These come first, in this order; the others as they were given.
FIRST_FIELDS: Final = (
    "time",
    "level",
    "area",
    "event",
    "request_id",
    "org_id",
    "device_id",
    "user_id",
    "method",
    "code",
)
WITHHELD: Final = "[withheld]"
_SECRET: Final = re.compile(r"(?i)pass(word|phrase)|secret|token$|authori[sz]ation|private|activation_key|cookie")
_Fields = MutableMapping[str, Any]


class AreaLogger(structlog.WriteLogger):
    """Writes lines, and knows which room of the program they come from."""

    def __init__(self, file: TextIO, area: str) -> None:
        super().__init__(file)
        self.area = area


def configure_logs(form: LogFormat, file: TextIO) -> None:
    """Set the log up, once per process.

    Args:
        form: For whom.
        file: Where to.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            name_area,
            name_caller,
            # Text only: locals of a traceback would hold what people sent.
            structlog.processors.format_exc_info,
            withhold_secrets,
            in_order,
            structlog.processors.JSONRenderer(default=str)
            if form is LogFormat.JSON
            else structlog.processors.LogfmtRenderer(bool_as_flag=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *names: AreaLogger(file, area_of(names[0] if names else "")),
    )
    root = logging.getLogger()
    if not any(isinstance(handler, LibraryHandler) for handler in root.handlers):
        root.addHandler(LibraryHandler(logging.WARNING))


def area_of(module: str) -> str:
    """The room a module is in: `controlplane.billing.ledger` is in `billing`."""
    parts = module.split(".")
    return parts[1] if parts[0] == "controlplane" and len(parts) > 1 else module


def name_area(logger: Any, _method: str, fields: _Fields) -> _Fields:
    """Say where the event comes from."""
    fields.setdefault("area", getattr(logger, "area", ""))
    return fields


def name_caller(_logger: Any, _method: str, fields: _Fields) -> _Fields:
    """Say for whom it is done; nothing is looked up for calls that log nothing."""
    if request_id := current_request_id():
        fields.setdefault("request_id", request_id)
    return about(current_principal(), fields)


def about(principal: DevicePrincipal | PersonPrincipal | None, fields: _Fields) -> _Fields:
    """Add who a principal is."""
    if principal is not None:
        fields.setdefault("org_id", principal.org_id)
    if isinstance(principal, DevicePrincipal):
        fields.setdefault("device_id", principal.device_id)
    elif isinstance(principal, PersonPrincipal):
        fields.setdefault("user_id", principal.user_id)
    return fields


def withhold_secrets(_logger: Any, _method: str, fields: _Fields) -> _Fields:
    """The last line of defence: nobody means to log a secret."""
    for name, value in fields.items():
        fields[name] = _without_secrets(name, value)
    return fields


def _without_secrets(name: str, value: Any) -> Any:
    if _SECRET.search(name):
        return WITHHELD
    if isinstance(value, Mapping):
        return {key: _without_secrets(str(key), inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_without_secrets("", inner) for inner in value]
    return value


def in_order(_logger: Any, _method: str, fields: _Fields) -> _Fields:
    """What every line has comes first."""
    first = {name: fields[name] for name in FIRST_FIELDS if name in fields}
    return {**first, **{name: value for name, value in fields.items() if name not in first}}


class LibraryHandler(logging.Handler):
    """What libraries have to say, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hand it on."""
        error = record.exc_info[1] if record.exc_info else None
        structlog.get_logger(record.name).log(
            record.levelno, "library_said", message=record.getMessage(), exc_info=error
        )
