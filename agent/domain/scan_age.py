"""Whether a scan should have come to its end by now. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agent.domain.counting import counted
from agent.domain.health import HealthIssue

#: Where scans are scheduled and nobody set another limit: a weekly scan that was missed twice.
OVERDUE_DAYS: Final = 14
#: Setting of the store: since when scans are counted here, ISO 8601; stands for the first scan until there is one.
COUNTED_FROM: Final = "scans_counted_from"


@dataclass(frozen=True, slots=True)
class ScanAge:
    """What is known of this device's whole scans.

    Attributes:
        last_quick: End of the last one; None: never.
        last_full: The same.
        counted_from: Since when they are counted.
        limit_days: Without one for longer, a scan is overdue; 0: nobody waits for one.
    """

    last_quick: datetime | None
    last_full: datetime | None
    counted_from: datetime
    limit_days: int

    @property
    def scanned_at(self) -> datetime:
        """End of the last quick or full scan; before the first one, when counting began."""
        return max((end for end in (self.last_quick, self.last_full) if end is not None), default=self.counted_from)

    def issues(self, now: datetime) -> tuple[HealthIssue, ...]:
        """That one is overdue, if it is."""
        if not self.limit_days or now - self.scanned_at <= timedelta(days=self.limit_days):
            return ()
        since = f"no scan has ended since {self.scanned_at:%Y-%m-%d}; the limit is {counted(self.limit_days, 'day')}"
        return (HealthIssue("scan_overdue", since),)
