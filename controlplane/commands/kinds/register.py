"""The list of kinds, and how a request's kind and arguments are read."""

from collections.abc import Mapping
from typing import Final

from controlplane.commands.errors import kind_unknown
from controlplane.commands.kinds.allow import ALLOW
from controlplane.commands.kinds.deactivate import DEACTIVATE
from controlplane.commands.kinds.delete import DELETE
from controlplane.commands.kinds.diagnostics import DIAGNOSTICS
from controlplane.commands.kinds.quarantine import QUARANTINE
from controlplane.commands.kinds.restart import RESTART
from controlplane.commands.kinds.restore import RESTORE
from controlplane.commands.kinds.scan import SCAN
from controlplane.commands.model import CommandKind
from controlplane.runtime.fields import invalid, text

KINDS: Final[Mapping[str, CommandKind]] = {
    kind.name: kind for kind in (SCAN, QUARANTINE, RESTORE, DELETE, ALLOW, RESTART, DEACTIVATE, DIAGNOSTICS)
}
#: A path of Linux is no longer.
MAX_ARGUMENT_CHARACTERS = 4096
_MAX_NAME_CHARACTERS = 64


def read_kind(untrusted_name: str) -> CommandKind:
    """The kind of this name.

    Raises:
        Refusal: `COMMAND_KIND_UNKNOWN` or `INVALID_REQUEST`.
    """
    name = text("kind", untrusted_name, limit=_MAX_NAME_CHARACTERS, required=True)
    if name not in KINDS:
        raise kind_unknown(name, sorted(KINDS))
    return KINDS[name]


def read_arguments(kind: CommandKind, untrusted: Mapping[str, str]) -> dict[str, str]:
    """The arguments of a command; what they mean is the device's to judge, which may be newer than this server.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    unknown = sorted(set(untrusted) - set(kind.arguments))
    if unknown:
        named = ", ".join(kind.arguments) or "none"
        raise invalid("arguments", f"names one that {kind.name} does not take; it takes: {named}")
    read = {
        name: text(f"arguments.{name}", untrusted.get(name, ""), limit=MAX_ARGUMENT_CHARACTERS, required=required)
        for name, required in kind.arguments.items()
    }
    return {name: value for name, value in read.items() if value}
