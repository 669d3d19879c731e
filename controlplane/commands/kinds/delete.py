"""Destroy a quarantined copy."""

from datetime import timedelta

from controlplane.commands.model import CommandKind
from controlplane.runtime.principal import Role

DELETE = CommandKind(
    name="delete",
    roles=frozenset({Role.OWNER, Role.ADMIN}),
    waits=timedelta(days=30),
    runs=timedelta(hours=1),
    arguments={"quarantine_id": True},
)
