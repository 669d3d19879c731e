"""Settings of real-time protection, and what it says about itself."""

from dataclasses import dataclass
from datetime import datetime

from agent.domain.health import HealthIssue
from agent.domain.policy import Mode

#: The verdict is due when this part of an opener's time is over; the rest is for the answer's way back.
_DUE_AT = 0.8


@dataclass(frozen=True, slots=True)
class BlockSettings:
    """How openers are held in blocking mode.

    Attributes:
        folders: Openers of files below these are held; empty: below all roots. Programs are held below all roots.
        budget_s: How long an opener is held at most, whatever happens.
        fail_open: What an opener gets when there is no verdict in time.
    """

    folders: tuple[str, ...] = ()
    budget_s: float = 5.0
    fail_open: bool = True

    @property
    def answer_within_s(self) -> float:
        """When an opener is answered without a verdict."""
        return self.budget_s * _DUE_AT


@dataclass(frozen=True, slots=True)
class RealtimeSettings:
    """What to watch and how patiently.

    Attributes:
        roots: Folders to watch, everything below included.
        excluded: Our own folders (data, vault), resolved; the source is given the same ones.
        scan_slots: Scans at the same time; the scanner's number of workers.
        files_ahead: Files that each scan worker may have at hand behind the one it scans, while nobody is held.
        descriptors: Open files waiting for a scan; each worked-on file may hold a second one.
        parked: Paths waiting for a descriptor; beyond that a reconciliation is owed.
        block: Blocking mode.
        self_test_within_s: How long a self-test may take before its root counts as unprotected.
        prove_every_s: How often the self-test is repeated without a reason.
        reprove_after_s: How soon a failed self-test is repeated.
        life_sign_every_s: How often it is noted that everything up to now was looked at, if anything happened.
        margin_s: Files changed this long before the last life sign are looked at again, for coarse clocks.
        reconcile_every_s: A walk without a reason, for what no source on this system can see.
        sleep_check_every_s: How often it is asked whether the machine has slept.
        reconcile_pause_s: Time between two walks, so that a lasting fault does not keep the disk busy.
        restart_after_s: First pause before a dead source is opened again; it doubles up to `restart_at_most_s`.
        restart_at_most_s: Longest pause.
        root_retry_s: How often a lost root is looked for.
    """

    roots: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    scan_slots: int = 2
    files_ahead: int = 0
    descriptors: int = 512
    parked: int = 65536
    block: BlockSettings = BlockSettings()
    self_test_within_s: float = 10.0
    prove_every_s: float = 6 * 3600.0
    reprove_after_s: float = 30.0
    life_sign_every_s: float = 5.0
    margin_s: float = 60.0
    reconcile_every_s: float = 24 * 3600.0
    sleep_check_every_s: float = 30.0
    reconcile_pause_s: float = 5.0
    restart_after_s: float = 0.5
    restart_at_most_s: float = 60.0
    root_retry_s: float = 10.0


@dataclass(frozen=True, slots=True)
class RealtimeState:
    """What `status` shows.

    Attributes:
        enabled: A source is open on at least one root.
        subsystem: `fanotify` or `watchdog`.
        mode: In force, not wished for.
        roots: Resolved; lost ones are missing here and named in `issues`.
        proven_at: When the self-test last came back from every watched root; None: it did not.
        events_lost: How often events were lost since the start; each time a walk followed.
        queue_depth: Files waiting or being worked on.
        incomplete: How often since the start a file could not be looked at wholly.
        degraded_because: Reasons for which a walk is owed or running.
        issues: Everything else that keeps the device from being protected.
        limitations: What the source cannot see, one sentence each.
    """

    enabled: bool
    subsystem: str
    mode: Mode
    roots: tuple[str, ...]
    proven_at: datetime | None
    events_lost: int
    queue_depth: int
    incomplete: int
    degraded_because: tuple[str, ...]
    issues: tuple[HealthIssue, ...]
    limitations: tuple[str, ...] = ()
