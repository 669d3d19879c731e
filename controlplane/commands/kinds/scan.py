"""Look for threats: what a device runs and downloads, all of it, or one place."""

from datetime import timedelta

from controlplane.commands.model import CommandKind
from controlplane.runtime.principal import Role

SCAN = CommandKind(
    name="scan",
    roles=frozenset({Role.OWNER, Role.ADMIN, Role.SUPPORT}),
    waits=timedelta(days=7),
    # A full scan of a large disk, done gently.
    runs=timedelta(days=2),
    # `what`: quick, full or path; `path`: with the last of these.
    arguments={"what": True, "path": False},
)
