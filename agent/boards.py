"""What a device tells about itself: the board that `status` shows, and the report that the control plane gets."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.control.device_report import DeviceReport
from agent.control.enrolment import unfinished_attempt
from agent.control.stream_pace import StreamState
from agent.device import Device
from agent.domain.errors import BucklerError
from agent.domain.health import HealthIssue, ProtectionFacts, health_issues
from agent.local_api.status import (
    EngineFacts,
    LicenceFacts,
    RealtimeFacts,
    ResourceFacts,
    StatusFacts,
)
from agent.local_api.status_board import StatusBoard, StatusSources
from agent.observed import engine_facts, realtime_facts, schedule_facts
from agent.platform.program import app_version
from agent.platform.system_facts import SystemFacts, read_system_facts
from agent.realtime.runner import RealtimeProtection
from agent.realtime.settings import RealtimeState
from agent.scanner.packs.rulepack import CompiledPack
from agent.scanner.scheduled.scans import ScheduledScans
from agent.scanner.service import ScannerService


@dataclass(frozen=True, slots=True)
class Contact:
    """Who is asked how this device stands with its control plane.

    Attributes:
        licence: What it is entitled to, and what became of the last contact.
        not_reported_because: Why the last report of detections failed; None: it did not.
    """

    licence: Callable[[], LicenceFacts]
    not_reported_because: Callable[[], BucklerError | None]


def board_of_service(
    device: Device,
    pack: CompiledPack,
    scanner: ScannerService,
    realtime: RealtimeProtection,
    scheduled: ScheduledScans,
    worker_pids: Callable[[], frozenset[int]],
    contact: Contact,
    resources: Callable[[], ResourceFacts],
) -> StatusBoard:
    """While the service runs."""
    sources = StatusSources(
        licence=contact.licence,
        realtime=lambda: realtime_facts(realtime.state()),
        engine=lambda: engine_facts(pack, scanner),
        issues=lambda: issues_of_service(device, scanner, realtime.state()),
        policy_version=device.book.local_version,
        worker_pids=worker_pids,
        resources=resources,
        retention=device.config.retention,
        schedule=lambda: schedule_facts(scheduled.state(), scheduled.settings),
        policy=device.managed.facts,
        not_reported_because=contact.not_reported_because,
    )
    return StatusBoard(device.store, device.clock, sources, app_version())


def board_without_service(device: Device) -> StatusBoard:
    """While none runs: what lies on disk."""
    not_running = HealthIssue("agent_not_running", "no agent runs here, so nothing is watched")
    sources = StatusSources(
        licence=lambda: licence_facts(device, None),
        realtime=RealtimeFacts,
        engine=EngineFacts,
        issues=lambda: (not_running, *device.keeper.issues),
        policy_version=device.book.local_version,
        worker_pids=frozenset,
        resources=ResourceFacts,
        retention=device.config.retention,
        policy=device.managed.facts,
    )
    return StatusBoard(device.store, device.clock, sources, app_version())


def issues_of_service(device: Device, scanner: ScannerService, state: RealtimeState) -> tuple[HealthIssue, ...]:
    """All that is wrong, the parts it concerns told apart."""
    book, managed = device.book.issues(), device.managed.issues()
    reported = (*state.issues, *scanner.health(), *device.keeper.issues, *book, *managed)
    facts = ProtectionFacts(state.enabled, state.proven_at, state.degraded_because, reported)
    return health_issues(facts, device.clock.now())


def licence_facts(
    device: Device, last_error: BucklerError | None, stream: StreamState = StreamState.OFF
) -> LicenceFacts:
    """Where this device stands with its control plane."""
    attempt = unfinished_attempt(device.store)
    return LicenceFacts(
        access=device.keeper.access(),
        claims=device.keeper.claims,
        enrolment=device.keeper.enrolment,
        last_error=f"{last_error.code}: {last_error.message}" if last_error else "",
        next_step=last_error.next_step if last_error else "",
        activation_in_progress=attempt[0] if attempt else "",
        stream="" if stream is StreamState.OFF else stream.value,
    )


def reporter(board: StatusBoard) -> Callable[[], Awaitable[DeviceReport]]:
    """The same facts as `status` shows, as the control plane gets them."""
    machine = read_system_facts()

    async def report() -> DeviceReport:
        return _device_report(await board.facts(), machine)

    return report


def _device_report(facts: StatusFacts, machine: SystemFacts) -> DeviceReport:
    return DeviceReport(
        real_time_enabled=facts.realtime.enabled,
        proven_at=facts.realtime.proven_at,
        subsystem=facts.realtime.subsystem,
        mode=facts.realtime.mode,
        issues=facts.issues,
        engine=facts.engine.engine,
        engine_version=facts.engine.engine_version,
        signatures_version=facts.engine.signatures_version,
        signatures_made_at=facts.engine.signatures_made_at,
        events_lost=facts.realtime.events_lost,
        queue_depth=facts.realtime.queue_depth,
        quarantined_count=facts.vault.files,
        outbox_pending=facts.outbox.pending,
        watched_roots=len(facts.realtime.roots),
        os=machine.os,
        os_version=machine.os_version,
        architecture=machine.architecture,
        agent_version=facts.app_version,
        policy_desired=facts.policy.desired,
        policy_applied=facts.policy.applied,
        policy_refusal=facts.policy.refusal,
        scans=facts.scans,
    )
