"""Whether an unknown key is a device that we know. Pure: hashed hardware facts and `now` in, a judgement out.

A device is its key. Evidence only helps a machine that lost its key, by a re-install or a new disk, to come back as
the device it was instead of eating another seat; it is never enough to take a device over that is still there.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from math import ceil

from controlplane.devices.model import OFFLINE_AFTER, FingerprintComponent

#: A device that was in contact this recently is still there: who shows its evidence is a copy, not its successor.
QUIET_BEFORE_REBIND = OFFLINE_AFTER
#: How often one device may come back under a new key within `REBIND_WINDOW`.
REBINDS_ALLOWED = 2
REBIND_WINDOW = timedelta(days=30)
#: One fact alone never proves a machine: every copy of an image has the same machine id.
FEWEST_MATCHES = 2


class Resemblance(Enum):
    """What to make of a known device whose evidence an unknown key shows."""

    SAME_MACHINE = "same_machine"
    #: It is in contact itself, so this is another machine: a copied image, or a second installation.
    STILL_THERE = "still_there"
    #: It came back too often to be believed again.
    TOO_OFTEN = "too_often"


@dataclass(frozen=True, slots=True)
class Twin:
    """A known device whose evidence matches.

    Attributes:
        last_sign: When it was last heard of.
        rebinds: How often it came back under a new key within `REBIND_WINDOW`.
    """

    last_sign: datetime
    rebinds: int


def matching_kinds(known: AbstractSet[FingerprintComponent], shown: AbstractSet[FingerprintComponent]) -> int:
    """How many kinds of fact two sets of evidence have in common; of a kind with several, one in common is enough."""
    return len({component.kind for component in known & shown})


def is_match(known: AbstractSet[FingerprintComponent], shown: AbstractSet[FingerprintComponent]) -> bool:
    """Whether two sets of evidence are most likely of one machine.

    Half of the known kinds, rounded up, must have a fact in common with what is shown, and never fewer than
    `FEWEST_MATCHES`.
    """
    kinds = {component.kind for component in known}
    return matching_kinds(known, shown) >= max(FEWEST_MATCHES, ceil(len(kinds) / 2))


def resemblance(twin: Twin, now: datetime) -> Resemblance:
    """Judge a device whose evidence matches."""
    if now - twin.last_sign < QUIET_BEFORE_REBIND:
        return Resemblance.STILL_THERE
    if twin.rebinds >= REBINDS_ALLOWED:
        return Resemblance.TOO_OFTEN
    return Resemblance.SAME_MACHINE
