"""What is configured about scheduled scans."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from agent.domain.scan_age import OVERDUE_DAYS
from agent.domain.schedule import ScanKind, Schedule
from agent.scanner.settings import DEFAULT_CPU_PERCENT


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """When, and how gently.

    Attributes:
        schedules: Kinds that are scanned at all, each with its time.
        cpu_percent: Share of one core, for scheduled scans and `buckler scan --background`.
        pause_on_battery: Wait for the mains.
        network_filesystems: A full scan enters file systems of other machines too.
        jitter: A scan is put off by up to this much, differently on each device.
        overdue_days: Without a whole scan for longer, one is overdue; 0: never; None: `OVERDUE_DAYS`, if any kind is
            scanned at all.
        settle_s: After the start of the agent nothing is scanned for so long.
        look_every_s: How often it is asked whether something is due, and whether it may go on.
    """

    schedules: Mapping[ScanKind, Schedule] = field(default_factory=dict)
    cpu_percent: int = DEFAULT_CPU_PERCENT
    pause_on_battery: bool = True
    network_filesystems: bool = False
    jitter: timedelta = timedelta(0)
    overdue_days: int | None = None
    settle_s: float = 60.0
    look_every_s: float = 15.0

    @property
    def limit_days(self) -> int:
        """How many days old the last scan may become; 0: any number."""
        if self.overdue_days is not None:
            return self.overdue_days
        return OVERDUE_DAYS if self.schedules else 0
