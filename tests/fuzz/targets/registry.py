"""All targets by name."""

from tests.fuzz.targets.containers import CONTAINER_TARGETS
from tests.fuzz.targets.messages import MESSAGE_TARGETS
from tests.fuzz.targets.target import Target

TARGETS: dict[str, Target] = {target.name: target for target in (*CONTAINER_TARGETS, *MESSAGE_TARGETS)}
