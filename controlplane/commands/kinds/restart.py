"""End the agent and start it again."""

from datetime import timedelta

from controlplane.commands.model import CommandKind
from controlplane.runtime.principal import Role

RESTART = CommandKind(
    name="restart",
    roles=frozenset({Role.OWNER, Role.ADMIN, Role.SUPPORT}),
    # Whoever comes back after days has been started anyway.
    waits=timedelta(days=1),
    runs=timedelta(minutes=15),
)
