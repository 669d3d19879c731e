"""The composition root: builds every part of the agent once, in order, and starts it. Decides nothing.

Two things are built here: a `Device`, which is what commands work on while no agent runs, and around it an `Agent`,
which is the service. What fails while they are built ends the program with a sentence.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import structlog

from agent.config import AgentConfig
from agent.control.access_watch import AccessWatch
from agent.control.activation_memory import refusals_remembered
from agent.control.channel import read_authorities
from agent.control.command_runner import CommandRunner
from agent.control.commands.allow import AllowHandler
from agent.control.commands.deactivate import DeactivateHandler
from agent.control.commands.delete import DeleteHandler
from agent.control.commands.diagnostics import DiagnosticsHandler
from agent.control.commands.quarantine import QuarantineHandler
from agent.control.commands.restart import RestartHandler
from agent.control.commands.restore import RestoreHandler
from agent.control.commands.scan import ScanHandler
from agent.control.device_report import DeviceReport
from agent.control.enrolment import ActivationOrder, ActivationOutcome, Enroller, unfinished_attempt
from agent.control.entitlements import EntitlementKeeper
from agent.control.link import ControlLink, not_activated
from agent.control.policy_book import PolicyBook
from agent.control.stream import ControlStream
from agent.control.stream_pace import StreamState
from agent.control.ways import ways_to_the_control_plane
from agent.domain.costs import BACKGROUND, CostBook
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.domain.health import HealthIssue, ProtectionFacts, health_issues
from agent.domain.policy import Mode
from agent.domain.ports import Clock, CommandHandler, Randomness
from agent.local_api.actions import DirectActions, NewExclusion, OwnerActions
from agent.local_api.client import agent_answers, ask_status, remote_actions
from agent.local_api.server import LocalApi
from agent.local_api.status import (
    EngineFacts,
    LicenceFacts,
    RealtimeFacts,
    ResourceFacts,
    StatusFacts,
    StatusField,
    schedule_fields,
)
from agent.local_api.status_board import StatusBoard, StatusSources
from agent.local_api.steering import ScanAction
from agent.managed import Managed, PolicyFollowers, follow, open_managed
from agent.observed import engine_facts, realtime_facts, resource_facts, schedule_facts
from agent.platform.clock import SystemClock, local_zone
from agent.platform.data_dir import prepare_data_dir
from agent.platform.interpreter import files_allowed, settle_in
from agent.platform.lock import AgentLock
from agent.platform.priority import on_battery
from agent.platform.processes import StoppedProcess, stop_processes
from agent.platform.program import app_version
from agent.platform.randomness import SystemRandomness
from agent.platform.service_notice import ServiceNotice
from agent.platform.system_facts import SystemFacts, read_system_facts
from agent.platform.watch_register import register_folder, watching
from agent.quarantine.upkeep import VaultUpkeep
from agent.quarantine.vault import Vault, VaultSettings
from agent.realtime.runner import RealtimeProtection
from agent.realtime.selection import choose_source
from agent.realtime.settings import RealtimeSettings, RealtimeState
from agent.report.outbox import StoredIncidentLog
from agent.report.sender import Sender
from agent.scanner.consequences import Consequences
from agent.scanner.engines.registry import engine_that_remembers
from agent.scanner.governor import GovernedWorkers, ScanGovernor
from agent.scanner.machine_cache import scan_cache
from agent.scanner.rulepack import CompiledPack, builtin_signatures, compile_pack, load_rules
from agent.scanner.scheduled.ground import ground_of
from agent.scanner.scheduled.requested import RequestedScans
from agent.scanner.scheduled.scans import ScheduledScans, ScheduleParts
from agent.scanner.service import ScannerService
from agent.service.life_signs import LifeSigns
from agent.storage.announcing import AnnouncingStore
from agent.storage.database import open_database
from agent.supervision import Parts, kept_running, supervise
from agent.support.diagnostics.apart import make_bundle_apart

log = structlog.get_logger()

#: Files of a burst that are kept open until their turn; the names of the others are kept instead.
_MOST_WAITING = 4096


# ---------------------------------------------------------------- the device


@dataclass(frozen=True, slots=True)
class Device:
    """What there is on disk, and what works on it."""

    config: AgentConfig
    clock: Clock
    randomness: Randomness
    store: AnnouncingStore
    keeper: EntitlementKeeper
    book: PolicyBook
    vault: Vault
    managed: Managed


@contextmanager
def open_device(config: AgentConfig, *, begins: bool = False) -> Iterator[Device]:
    """Open the data folder, making what is not there yet.

    Args:
        config: As configured here; the device works by what its organisation sets beside that.
        begins: The service starts; a policy on trial is tried.

    Raises:
        BucklerError: `DATA_DIR_UNUSABLE`, `DATABASE_…`.
    """
    for folder in (config.locations.data_dir, config.locations.local_api.control_socket.parent):
        prepare_data_dir(folder)
    clock, randomness = SystemClock(), SystemRandomness()
    database = open_database(config.locations.database)
    try:
        store = AnnouncingStore(database)
        keeper = EntitlementKeeper(store, clock, config.locations.device_key)
        managed = open_managed(store, keeper, config)
        if begins:
            managed.keeper.begin()
        config = managed.config()
        book = PolicyBook(store, config.policy, keeper.access, lambda: keeper.claims)
        book.manage(managed.keeper.in_force)
        store.when_exclusions_change(book.reload)
        settings = VaultSettings(config.locations.vault, config.retention)
        vault = Vault(settings, store, clock, randomness, stop=lambda *file: _stop_processes(book, *file))
        yield Device(config, clock, randomness, store, keeper, book, vault, managed)
        if begins:
            managed.keeper.end()
    finally:
        database.close()


def _stop_processes(book: PolicyBook, identity: FileIdentity, path: str) -> tuple[StoppedProcess, ...]:
    """As the policy in force says at this moment."""
    return stop_processes(identity, path) if book.current().stop_processes else ()


def direct_actions(device: Device, switch_mode: Callable[[Mode], Mode]) -> DirectActions:
    """The owner's actions, done in this process."""
    return DirectActions(
        device.store,
        device.vault,
        device.clock,
        device.randomness,
        switch_mode,
        device.config.retention,
        device.book.managed_exclusions,
        device.book.check_removable,
    )


# ---------------------------------------------------------------- the service


@dataclass(frozen=True, slots=True)
class Agent:
    """Every part of the running service."""

    device: Device
    pack: CompiledPack
    scanner: ScannerService
    governor: ScanGovernor
    realtime: RealtimeProtection
    upkeep: VaultUpkeep
    restarts: Counter[str]
    link: ControlLink
    stream: ControlStream
    sender: Sender
    watch: AccessWatch
    local_api: LocalApi
    scheduled: ScheduledScans
    commands: CommandRunner
    life_signs: LifeSigns


class Ending(Enum):
    """Why the service ended."""

    #: It was told to stop.
    STOPPED = "stopped"
    #: It was told to start anew.
    RESTART = "restart"


async def run_agent(config: AgentConfig, notice: ServiceNotice, announce: Callable[[str], None]) -> Ending:
    """Protect until SIGTERM or SIGINT, or until an admin has it restart.

    Args:
        config: Everything that can be chosen.
        notice: The way to the supervisor that started this process.
        announce: Given the line that says that protection is proven, whenever it is.

    Raises:
        BucklerError: Something that protection needs is missing; nothing is left running.
    """
    stopping, ending = asyncio.Event(), Ending.STOPPED

    def restart() -> None:
        nonlocal ending
        ending = Ending.RESTART
        stopping.set()

    def stop() -> None:
        notice.stopping()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    prepare_data_dir(config.locations.data_dir)
    with (
        AgentLock(config.locations.lock),
        open_device(config, begins=True) as device,
        watching(register_folder(), device.config.realtime.roots, config.locations.data_dir),
    ):
        agent = build_agent(device, notice, announce, restart)
        try:
            await agent.scanner.start()
            await device.vault.resume()
            settle_in()
            await supervise(_parts_of(agent), stopping)
        finally:
            await agent.scanner.close()
            agent.pack.close()
    return ending


def build_agent(
    device: Device, notice: ServiceNotice, announce: Callable[[str], None], restart: Callable[[], None]
) -> Agent:
    """Build every part, in the order in which they need each other.

    Raises:
        BucklerError: `RULES_…`, `ENGINE_UNKNOWN`, or what `choose_source` refuses.
    """
    config, clock, randomness = device.config, device.clock, device.randomness
    keeper, book, store = device.keeper, device.book, device.store
    pack = _compile(config)
    scanner = ScannerService(config.scanner, pack, clock)
    own_folders = (str(config.locations.data_dir),)
    source = choose_source(
        config.realtime.source,
        excluded=own_folders,
        own_pids=lambda: _scan_processes(scanner, scheduled, requested) | {os.getpid()},
        clock=clock,
        block=config.realtime.block,
    )
    governor = ScanGovernor(scanner, config.resources, clock, lambda: realtime.state().mode is Mode.BLOCK)
    restarts, costs = Counter[str](), CostBook(clock.monotonic_ns())
    realtime = RealtimeProtection(
        RealtimeSettings(
            config.realtime.roots,
            own_folders,
            scan_slots=config.scanner.worker_count(),
            descriptors=_waiting_files(files_allowed()),
            block=config.realtime.block,
            reconcile_every_s=config.realtime.reconcile_every_s,
        ),
        source,
        governor,
        device.vault,
        StoredIncidentLog(store),
        store,
        clock,
        randomness,
        book.current,
        keeper.access,
        on_proven=lambda: _proven(_proven_line(realtime.state()), device, announce, life_signs.proven),
        is_own=device.vault.is_vault_path,
        costs=costs,
    )
    parts = _background_parts(device, pack, own_folders, realtime.is_self_test, governor.watch, costs)
    scheduled = ScheduledScans(config.schedule, parts, store, clock, randomness)
    requested = RequestedScans(parts, own_folders, config.schedule.cpu_percent, store, clock)
    board = _board_of_service(
        device,
        pack,
        scanner,
        realtime,
        scheduled,
        lambda: _scan_processes(scanner, scheduled, requested),
        lambda: _licence_facts(device, link.last_error, stream.state),
        lambda: resource_facts(governor.facts(), restarts),
    )
    watch = AccessWatch(keeper.access, lambda: _access_changed(device, realtime, sender))
    link, stream = ways_to_the_control_plane(config.link, keeper, clock, randomness, _reporter(board), watch.wake)
    actions = direct_actions(device, lambda mode: _switch_mode(mode, realtime, book))
    handlers = _command_handlers(device, actions, requested, link, restart)
    commands = CommandRunner(store, handlers, keeper.access, clock, stream.tell)
    for way in (link, stream):
        way.attend(commands)
    _follow_policy(device, link, realtime, scheduled, restart)
    sender = Sender(store, link, clock, randomness)
    _wake_when_outbox_grows(store, sender, asyncio.get_running_loop())
    local_api = LocalApi(
        config.locations.local_api,
        actions,
        board.fields,
        lambda: _reload(device, link, watch),
        lambda action: _steer(action, scheduled, device),
        lambda window: costs.report(window, clock.monotonic_ns()),
    )
    life_signs = LifeSigns(notice, lambda: _issues_of_service(device, scanner, realtime.state()))
    return Agent(
        device, pack, scanner, governor, realtime, VaultUpkeep(device.vault, randomness), restarts, link, stream,
        sender, watch, local_api, scheduled, commands, life_signs,
    )  # fmt: skip


def _compile(config: AgentConfig) -> CompiledPack:
    engine = engine_that_remembers(config.scanner.engine, config.locations.data_dir)
    return compile_pack(load_rules((builtin_signatures(), *config.extra_rules)), engine)


def _follow_policy(
    device: Device,
    link: ControlLink,
    realtime: RealtimeProtection,
    scheduled: ScheduledScans,
    restart: Callable[[], None],
) -> None:
    link.attend_policies(device.managed.keeper)
    follow(device.managed, PolicyFollowers(device.book.manage, realtime.follow_policy, scheduled.reconfigure), restart)


def _command_handlers(
    device: Device, actions: OwnerActions, scans: RequestedScans, link: ControlLink, restart: Callable[[], None]
) -> Sequence[CommandHandler]:
    return (
        ScanHandler(scans),
        QuarantineHandler(device.vault, device.clock, device.randomness),
        RestoreHandler(device.vault),
        DeleteHandler(device.vault),
        AllowHandler(lambda *what: actions.add_exclusion(NewExclusion(*what)), device.clock),
        RestartHandler(restart),
        DeactivateHandler(link.deactivate),
        DiagnosticsHandler(device.config.diagnostics, lambda hide: _bundle(device.config, hide_paths=hide), link),
    )


async def _bundle(config: AgentConfig, *, hide_paths: bool) -> bytes:
    return await make_bundle_apart(config.locations.options, config.locations.data_dir, hide_paths=hide_paths)


def _scan_processes(scanner: ScannerService, scheduled: ScheduledScans, requested: RequestedScans) -> frozenset[int]:
    return scanner.process_ids() | scheduled.process_ids() | requested.process_ids()


def _background_parts(
    device: Device,
    pack: CompiledPack,
    own_folders: tuple[str, ...],
    is_own_test: Callable[[FileIdentity], bool],
    began: Callable[[GovernedWorkers], None],
    costs: CostBook,
) -> ScheduleParts:
    """Of scans in the background: with one worker of their own, which nothing else waits for."""
    config = device.config
    settings = replace(config.scanner, workers=1, background=True)
    consequences = Consequences(device.vault, StoredIncidentLog(device.store), device.clock, device.randomness)

    def scanned(path: str, facts: ScanFacts) -> None:
        costs.add(path, facts, BACKGROUND, device.clock.monotonic_ns())

    return ScheduleParts(
        open_scanner=lambda: ScannerService(settings, pack, device.clock, scanned),
        began=began,
        open_cache=lambda: scan_cache(config.locations.scan_cache, pack, settings.limits),
        ground=lambda kind: ground_of(kind, own_folders, network=config.schedule.network_filesystems),
        consequences=consequences,
        policy=device.book.current,
        access=device.keeper.access,
        on_battery=on_battery,
        is_own_test=is_own_test,
        zone=local_zone(),
    )


def _waiting_files(allowed: int | None) -> int:
    """How many files may wait open: a quarter of what this process may have, or what is enough for most bursts."""
    return _MOST_WAITING if allowed is None else max(64, min(_MOST_WAITING, allowed // 4))


def _parts_of(agent: Agent) -> Parts:
    """What protection cannot do without ends the agent when it fails; the rest starts again."""
    return {
        "realtime": agent.realtime.run(),
        "local_api": agent.local_api.run(),
        "access_watch": agent.watch.run(),
        "life_signs": agent.life_signs.run(),
        **{
            name: kept_running(name, run, agent.restarts)
            for name, run in (
                ("governor", agent.governor.run),
                ("upkeep", agent.upkeep.run),
                ("sender", agent.sender.run),
                ("link", agent.link.run),
                ("stream", agent.stream.run),
                ("commands", agent.commands.run),
                ("scheduled_scans", agent.scheduled.run),
            )
        },
    }


def _proven(line: str, device: Device, *listeners: Callable[[str], None]) -> None:
    device.managed.keeper.proven()
    for tell in listeners:
        tell(line)


def _proven_line(state: RealtimeState) -> str:
    return f"protected roots={os.pathsep.join(state.roots)} source={state.subsystem}"


def _switch_mode(mode: Mode, realtime: RealtimeProtection, book: PolicyBook) -> Mode:
    """Entitled, then possible here, then remembered."""
    book.check_mode(mode)
    realtime.set_mode(mode)
    return book.set_mode(mode)


def _reload(device: Device, link: ControlLink, watch: AccessWatch) -> None:
    """Another process activated or deactivated this device."""
    device.keeper.reload()
    device.managed.keeper.settle()
    link.wake()
    watch.wake()


def _steer(action: ScanAction, scheduled: ScheduledScans, device: Device) -> tuple[StatusField, ...]:
    match action:
        case ScanAction.PAUSE:
            scheduled.pause()
        case ScanAction.RESUME:
            scheduled.resume()
        case ScanAction.CANCEL:
            if not scheduled.cancel():
                raise BucklerError(
                    "NO_SCAN_TO_CANCEL",
                    "no scheduled scan has begun",
                    next_step="see `buckler schedule status` for when the next one is due",
                    exit_status=ExitStatus.NEGATIVE,
                )
        case ScanAction.TELL:
            pass
    return schedule_fields(schedule_facts(scheduled.state(), scheduled.settings), device.managed.names())


def _wake_when_outbox_grows(store: AnnouncingStore, sender: Sender, loop: asyncio.AbstractEventLoop) -> None:
    """Captures write the outbox in threads; the sender lives on the loop."""
    store.when_outbox_grows(lambda: _on_loop(loop, sender.wake))


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call on the loop's thread, from any other."""
    loop.call_soon_threadsafe(call)


def _access_changed(device: Device, realtime: RealtimeProtection, sender: Sender) -> None:
    """Fall back from blocking, or return to it; what could not be sent before may be welcome now."""
    device.managed.keeper.settle()
    realtime.refresh_access()
    sender.wake()


# ---------------------------------------------------------------- the status


def _board_of_service(
    device: Device,
    pack: CompiledPack,
    scanner: ScannerService,
    realtime: RealtimeProtection,
    scheduled: ScheduledScans,
    worker_pids: Callable[[], frozenset[int]],
    licence: Callable[[], LicenceFacts],
    resources: Callable[[], ResourceFacts],
) -> StatusBoard:
    sources = StatusSources(
        licence=licence,
        realtime=lambda: realtime_facts(realtime.state()),
        engine=lambda: engine_facts(pack, scanner),
        issues=lambda: _issues_of_service(device, scanner, realtime.state()),
        policy_version=device.book.local_version,
        worker_pids=worker_pids,
        resources=resources,
        retention=device.config.retention,
        schedule=lambda: schedule_facts(scheduled.state(), scheduled.settings),
        policy=device.managed.facts,
    )
    return StatusBoard(device.store, device.clock, sources, app_version())


def _board_without_service(device: Device) -> StatusBoard:
    not_running = HealthIssue("agent_not_running", "no agent runs here, so nothing is watched")
    sources = StatusSources(
        licence=lambda: _licence_facts(device, None),
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


def _issues_of_service(device: Device, scanner: ScannerService, state: RealtimeState) -> tuple[HealthIssue, ...]:
    book, managed = device.book.issues(), device.managed.issues()
    reported = (*state.issues, *scanner.health(), *device.keeper.issues, *book, *managed)
    facts = ProtectionFacts(state.enabled, state.proven_at, state.degraded_because, reported)
    return health_issues(facts, device.clock.now())


def _licence_facts(
    device: Device, last_error: BucklerError | None, stream: StreamState = StreamState.OFF
) -> LicenceFacts:
    attempt = unfinished_attempt(device.store)
    return LicenceFacts(
        access=device.keeper.access(),
        claims=device.keeper.claims,
        enrolment=device.keeper.enrolment,
        last_error=f"{last_error.code}: {last_error.message}" if last_error else "",
        activation_in_progress=attempt[0] if attempt else "",
        stream="" if stream is StreamState.OFF else stream.value,
    )


def _reporter(board: StatusBoard) -> Callable[[], Awaitable[DeviceReport]]:
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


# ---------------------------------------------------------------- what commands ask for


@asynccontextmanager
async def owner_actions(config: AgentConfig) -> AsyncIterator[OwnerActions]:
    """The owner's actions: the running agent's, or, while none runs, done here with the agent kept from starting.

    Raises:
        BucklerError: `NOT_PERMITTED` when an agent runs that this user may not change.
    """
    socket = config.locations.local_api.control_socket
    if agent_answers(socket):
        async with remote_actions(socket) as actions:
            yield actions
        return
    prepare_data_dir(config.locations.data_dir)
    with AgentLock(config.locations.lock), open_device(config) as device:
        yield direct_actions(device, device.book.set_mode)


async def activate_device(
    config: AgentConfig, key: str, server: str, ca_file: Path | None, *, new_key: bool = False
) -> ActivationOutcome:
    """Activate, and tell a running agent; see `agent.control.enrolment.Enroller.activate`."""
    with open_device(config) as device:
        order = ActivationOrder(key, server, read_authorities(ca_file), new_key)
        with refusals_remembered(device.store, device.clock):
            outcome = await _enroller(config, device).activate(order)
    await _tell_agent(config)
    return outcome


def request_licence(config: AgentConfig) -> bytes:
    """What a device without network asks for; see `agent.control.enrolment.Enroller.licence_request`."""
    with open_device(config) as device:
        return _enroller(config, device).licence_request()


async def adopt_licence(config: AgentConfig, untrusted_file: bytes) -> ActivationOutcome:
    """Activate with a licence file, and tell a running agent; see `agent.control.enrolment.Enroller.adopt_licence`."""
    with open_device(config) as device:
        outcome = _enroller(config, device).adopt_licence(untrusted_file)
    await _tell_agent(config)
    return outcome


def _enroller(config: AgentConfig, device: Device) -> Enroller:
    return Enroller(device.store, device.clock, config.locations.device_key, read_system_facts(), app_version())


async def deactivate_device(config: AgentConfig, reason: str, *, local_only: bool) -> str:
    """Give the seat back, and tell a running agent; returns the device's id there.

    Raises:
        BucklerError: `NOT_ACTIVATED`, or the control plane could not be reached.
    """
    with open_device(config) as device:
        enrolment = device.keeper.enrolment
        if enrolment is None:
            raise not_activated()
        if local_only:
            device.keeper.forget()
        else:
            report = _reporter(_board_without_service(device))
            link = ControlLink(config.link, device.keeper, device.clock, device.randomness, report)
            await link.deactivate(reason)
    await _tell_agent(config)
    return enrolment.device_id


async def steer_scans(config: AgentConfig, action: ScanAction) -> tuple[StatusField, ...]:
    """Do something about the running agent's scheduled scans, and tell how they stand.

    Raises:
        BucklerError: `AGENT_NOT_RUNNING`, `NOT_PERMITTED`, `NO_SCAN_TO_CANCEL`.
    """
    socket = config.locations.local_api.control_socket
    if not agent_answers(socket):
        raise BucklerError(
            "AGENT_NOT_RUNNING",
            "no agent runs here, and scheduled scans are the agent's work",
            next_step="start it with `buckler run`, or scan now with `buckler scan --quick`",
            exit_status=ExitStatus.ENVIRONMENT,
        )
    async with remote_actions(socket) as actions:
        return await actions.steer_scans(action)


async def read_status(config: AgentConfig) -> tuple[StatusField, ...]:
    """The status: from the running agent if there is one, else from what lies on disk."""
    for socket in config.locations.status_sockets:
        if agent_answers(socket):
            return await ask_status(socket)
    with open_device(config) as device:
        return await _board_without_service(device).fields()


async def _tell_agent(config: AgentConfig) -> None:
    socket = config.locations.local_api.control_socket
    if agent_answers(socket):
        async with remote_actions(socket) as actions:
            await actions.reload_enrolment()
