"""Take a file that was found and left."""

from datetime import timedelta

from controlplane.commands.model import CommandKind
from controlplane.runtime.principal import Role

QUARANTINE = CommandKind(
    name="quarantine",
    roles=frozenset({Role.OWNER, Role.ADMIN}),
    waits=timedelta(days=30),
    runs=timedelta(hours=1),
    # Of a detection: only the very content that was found is taken. `path` as in wire/path_argument.py; the rest names
    # what is reported with it.
    arguments={
        "path": True,
        "sha256": True,
        "rule": True,
        "namespace": False,
        "severity": True,
        "threat_name": False,
        "detection": True,
    },
)
