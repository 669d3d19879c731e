"""Have a device give its seat back; it keeps the floor of protection."""

from datetime import timedelta

from controlplane.commands.model import CommandKind
from controlplane.runtime.principal import Role

DEACTIVATE = CommandKind(
    name="deactivate",
    roles=frozenset({Role.OWNER, Role.ADMIN}),
    waits=timedelta(days=30),
    runs=timedelta(hours=1),
)
