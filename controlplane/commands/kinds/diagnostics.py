"""Gather a diagnostics bundle and send it; the device's own policy decides whether, and what is taken out."""

from datetime import timedelta

from controlplane.commands.model import CommandKind
from controlplane.runtime.principal import Role

DIAGNOSTICS = CommandKind(
    name="diagnostics",
    roles=frozenset({Role.OWNER, Role.ADMIN, Role.SUPPORT}),
    waits=timedelta(days=14),
    # A slow line, tried again a few times.
    runs=timedelta(hours=6),
)
