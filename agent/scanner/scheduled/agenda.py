"""What is to be scanned next and what holds it: values that outlive a restart, and decisions. No input, no output."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import Enum

from agent.domain.schedule import ScanKind

#: Setting of the store: the scan that has begun and not ended; empty: none.
UNFINISHED = "scheduled_scan.unfinished"
#: Setting of the store: the owner's pause; empty: none.
PAUSED = "scheduled_scan.paused"


def baseline_setting(kind: ScanKind) -> str:
    """Setting of the store: the instant after which a scan of a kind is due next."""
    return f"scheduled_scan.{kind.value}.baseline"


class Hold(Enum):
    """What keeps a scan from running; in the order in which it is told."""

    #: The subscription does not include scheduled scans now.
    NOT_ENTITLED = "not_entitled"
    #: `buckler schedule pause`.
    PAUSED = "paused"
    ON_BATTERY = "on_battery"
    #: The scanner could not be started; it is tried again.
    UNAVAILABLE = "scanner_unavailable"


@dataclass(frozen=True, slots=True)
class ScanCounts:
    """What a walk has come by.

    Attributes:
        files: All of them, known ones included.
        infected: In which something was found.
        incomplete: Not wholly looked at.
        errors: That could not be looked at.
    """

    files: int = 0
    infected: int = 0
    incomplete: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A scan that has begun and not come to its end.

    Attributes:
        kind: What it looks at.
        started_at: When it first began.
        stops: How often it was stopped and went on.
        counts: Since it last went on; `infected` since it began, since what was taken is not met again.
    """

    kind: ScanKind
    started_at: datetime
    stops: int = 0
    counts: ScanCounts = field(default_factory=ScanCounts)

    def to_setting(self) -> str:
        """As it is stored."""
        fields = asdict(self) | {"kind": self.kind.value, "started_at": self.started_at.isoformat()}
        return json.dumps(fields)

    @classmethod
    def from_setting(cls, text: str | None) -> "Unfinished | None":
        """As it was stored; what a later version wrote in another way counts as none."""
        try:
            fields = json.loads(text or "null")
            if fields is None:
                return None
            return cls(
                ScanKind(fields["kind"]),
                datetime.fromisoformat(fields["started_at"]),
                int(fields["stops"]),
                ScanCounts(**{name: int(count) for name, count in fields["counts"].items()}),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def going_on(self) -> "Unfinished":
        """After a stop: the walk begins anew, and what was found stays found."""
        return replace(self, stops=self.stops + 1, counts=ScanCounts(infected=self.counts.infected))

    def with_walk(self, walk: ScanCounts) -> "Unfinished":
        """What this scan has come by, given what its present walk has."""
        return replace(self, counts=replace(walk, infected=self.counts.infected + walk.infected))


def next_scan(unfinished: Unfinished | None, due: Mapping[ScanKind, datetime], now: datetime) -> ScanKind | None:
    """What to scan now: what was begun, else what has been due longest, else nothing."""
    if unfinished is not None:
        return unfinished.kind
    ready = {kind: at for kind, at in due.items() if at <= now}
    return min(ready, key=ready.__getitem__, default=None)


def held_by(*, entitled: bool, paused: bool, on_battery: bool) -> Hold | None:
    """What keeps scans from running; None: nothing."""
    if not entitled:
        return Hold.NOT_ENTITLED
    if paused:
        return Hold.PAUSED
    return Hold.ON_BATTERY if on_battery else None
