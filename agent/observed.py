"""What the rooms say of themselves, in the words of the status: rooms do not know each other's types."""

from collections import Counter
from dataclasses import asdict

from agent.local_api.status import EngineFacts, RealtimeFacts, ResourceFacts, ScheduleFacts
from agent.realtime.settings import RealtimeState
from agent.scanner.governor import GovernorFacts
from agent.scanner.packs.rulepack import CompiledPack
from agent.scanner.scheduled.scans import ScheduleState
from agent.scanner.scheduled.settings import ScheduleSettings
from agent.scanner.workers.service import ScannerService


def realtime_facts(state: RealtimeState) -> RealtimeFacts:
    """How files are watched."""
    return RealtimeFacts(
        enabled=state.enabled,
        subsystem=state.subsystem,
        mode=state.mode.value,
        proven_at=state.proven_at,
        roots=state.roots,
        events_lost=state.events_lost,
        queue_depth=state.queue_depth,
        incomplete=state.incomplete,
    )


def schedule_facts(state: ScheduleState, settings: ScheduleSettings) -> ScheduleFacts:
    """How scheduled scans stand."""
    scan = state.unfinished
    return ScheduleFacts(
        state="running" if state.running else state.hold.value if state.hold else "waiting",
        scan=scan.kind.value if scan else "",
        started_at=scan.started_at if scan else None,
        **(asdict(scan.counts) if scan else {}),
        stops=scan.stops if scan else 0,
        schedules={kind.value: str(schedule) for kind, schedule in settings.schedules.items()},
        due={kind.value: at for kind, at in state.due.items()},
        limit_days=settings.limit_days,
    )


def resource_facts(governor: GovernorFacts, restarts: Counter[str]) -> ResourceFacts:
    """What became of the limits; parts of the agent that were started again are counted by the supervisor."""
    return ResourceFacts(
        stage=governor.stage,
        reason=governor.reason,
        costly_files=governor.costly_files,
        cpu_percent_peak=governor.cpu_percent_peak,
        memory_mb_peak=governor.memory_mb_peak,
        worker_restarts=governor.restarts,
        part_restarts=tuple(sorted(restarts.items())),
    )


def engine_facts(pack: CompiledPack, scanner: ScannerService) -> EngineFacts:
    """What scans."""
    return EngineFacts(
        engine=pack.engine,
        engine_version=pack.engine_version,
        signatures_version=pack.version,
        signatures_made_at=pack.made_at,
        workers=len(scanner.worker_pids()),
        current_files=scanner.current_files(),
    )
