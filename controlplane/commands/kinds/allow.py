"""Leave a content or a rule alone, for a while or for good."""

from datetime import timedelta

from controlplane.commands.model import CommandKind
from controlplane.runtime.principal import Role

ALLOW = CommandKind(
    name="allow",
    roles=frozenset({Role.OWNER, Role.ADMIN}),
    waits=timedelta(days=30),
    runs=timedelta(hours=1),
    # `what`: sha256, rule or path; `value`: which; `days`: for how long, left out: for good.
    arguments={"what": True, "value": True, "days": False},
)
