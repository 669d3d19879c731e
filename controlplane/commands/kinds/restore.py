"""Bring a quarantined file back to its place."""

from datetime import timedelta

from controlplane.commands.model import CommandKind
from controlplane.runtime.principal import Role

RESTORE = CommandKind(
    name="restore",
    roles=frozenset({Role.OWNER, Role.ADMIN}),
    waits=timedelta(days=30),
    runs=timedelta(hours=1),
    # `quarantine_id`: of a detection; `allow`: yes keeps the file from being taken again.
    arguments={"quarantine_id": True, "allow": False},
)
