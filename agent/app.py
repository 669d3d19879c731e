"""The composition root: builds every part of the agent once, in order, and starts it. Decides nothing.

Its parts have a file each: `agent.device` (what commands work on while no agent runs, too), `agent.scanning`,
`agent.boards` and, for commands, `agent.requests`. What fails while they are built ends the program with a sentence.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from agent.boards import Contact, board_of_service, issues_of_service, licence_facts, reporter
from agent.config import AgentConfig
from agent.control.access_watch import AccessWatch
from agent.control.command_runner import CommandRunner
from agent.control.commands.allow import AllowHandler
from agent.control.commands.deactivate import DeactivateHandler
from agent.control.commands.delete import DeleteHandler
from agent.control.commands.diagnostics import DiagnosticsHandler
from agent.control.commands.quarantine import QuarantineHandler
from agent.control.commands.restart import RestartHandler
from agent.control.commands.restore import RestoreHandler
from agent.control.commands.scan import ScanHandler
from agent.control.link.control_link import ControlLink
from agent.control.link.stream import ControlStream
from agent.control.link.ways import ways_to_the_control_plane
from agent.control.policy.book import PolicyBook
from agent.device import Device, direct_actions, open_device
from agent.domain.costs import CostBook
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.policy import Mode
from agent.domain.ports import CommandHandler
from agent.local_api.actions import NewExclusion, OwnerActions
from agent.local_api.server import LocalApi
from agent.local_api.status import StatusField, schedule_fields
from agent.local_api.steering import ScanAction
from agent.managed import PolicyFollowers, follow
from agent.observed import resource_facts, schedule_facts
from agent.platform.data_dir import prepare_data_dir
from agent.platform.files.lock import AgentLock
from agent.platform.interpreter import files_allowed, settle_in
from agent.platform.processes.writers import held_for_writing
from agent.platform.services.service_notice import ServiceNotice
from agent.platform.watch_register import register_folder, watching
from agent.quarantine.upkeep import VaultUpkeep
from agent.realtime.neighbours import Neighbours
from agent.realtime.runner import RealtimeProtection
from agent.realtime.selection import choose_source
from agent.realtime.settings import RealtimeSettings, RealtimeState
from agent.report.outbox import StoredIncidentLog
from agent.report.sender import Sender
from agent.scanner.costs.rule_finder import RuleFinder
from agent.scanner.governor import ScanGovernor
from agent.scanner.packs.rulepack import CompiledPack
from agent.scanner.scheduled.requested import RequestedScans
from agent.scanner.scheduled.scans import ScheduledScans
from agent.scanner.workers.service import ScannerService
from agent.scanning import FILES_AHEAD, background_parts, compiled_rules, rule_finder, scan_processes, waiting_files
from agent.service.life_signs import LifeSigns
from agent.storage.announcing import AnnouncingStore
from agent.supervision import Parts, kept_running, supervise
from agent.support.diagnostics.apart import make_bundle_apart


@dataclass(frozen=True, slots=True)
class Agent:
    """Every part of the running service."""

    device: Device
    pack: CompiledPack
    scanner: ScannerService
    governor: ScanGovernor
    finder: RuleFinder
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
    pack = compiled_rules(config)
    scanner = ScannerService(replace(config.scanner, files_ahead=FILES_AHEAD), pack, clock)
    own_folders = (str(config.locations.data_dir),)
    source = choose_source(
        config.realtime.source,
        excluded=own_folders,
        locked=[str(path) for path in config.locations.locked],
        own_pids=lambda: scan_processes(scanner, scheduled, requested) | finder.process_ids() | {os.getpid()},
        clock=clock,
        block=config.realtime.block,
    )
    finder = rule_finder(config, scanner)
    governor = ScanGovernor(scanner, config.resources, clock, lambda: realtime.state().mode is Mode.BLOCK, finder)
    restarts, costs = Counter[str](), CostBook(clock.monotonic_ns())
    realtime = RealtimeProtection(
        _realtime_settings(config, own_folders),
        Neighbours(
            source, governor, device.vault, StoredIncidentLog(store), store, clock, randomness, held_for_writing
        ),
        book.current,
        keeper.access,
        on_proven=lambda: _proven(_proven_line(realtime.state()), device, announce, life_signs.proven),
        is_own=device.vault.is_vault_path,
        costs=costs,
    )
    parts = background_parts(device, pack, own_folders, realtime.is_self_test, governor, costs)
    scheduled = ScheduledScans(config.schedule, parts, store, clock, randomness)
    requested = RequestedScans(parts, own_folders, config.schedule.cpu_percent, store, clock)
    board = board_of_service(
        device,
        pack,
        scanner,
        realtime,
        scheduled,
        lambda: scan_processes(scanner, scheduled, requested),
        Contact(
            lambda: licence_facts(device, link.last_error, stream.state),
            lambda: sender.state.failing_because,
        ),
        lambda: resource_facts(governor.facts(), restarts),
    )
    watch = AccessWatch(keeper.access, lambda: _access_changed(device, realtime, sender))
    link, stream = ways_to_the_control_plane(config.link, keeper, clock, randomness, reporter(board), watch.wake)
    actions = direct_actions(device, lambda mode: _switch_mode(mode, realtime, book))
    handlers = _command_handlers(device, actions, requested, link, watch, restart)
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
    life_signs = LifeSigns(notice, lambda: issues_of_service(device, scanner, realtime.state()))
    return Agent(
        device, pack, scanner, governor, finder, realtime, VaultUpkeep(device.vault, randomness), restarts, link,
        stream, sender, watch, local_api, scheduled, commands, life_signs,
    )  # fmt: skip


def _realtime_settings(config: AgentConfig, own_folders: tuple[str, ...]) -> RealtimeSettings:
    return RealtimeSettings(
        config.realtime.roots,
        own_folders,
        scan_slots=config.scanner.worker_count(),
        files_ahead=FILES_AHEAD,
        descriptors=waiting_files(files_allowed()),
        block=config.realtime.block,
        reconcile_every_s=config.realtime.reconcile_every_s,
    )


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
    device: Device,
    actions: OwnerActions,
    scans: RequestedScans,
    link: ControlLink,
    watch: AccessWatch,
    restart: Callable[[], None],
) -> Sequence[CommandHandler]:
    async def give_seat_back(reason: str) -> None:
        await link.deactivate(reason)
        _reload(device, link, watch)

    return (
        ScanHandler(scans),
        QuarantineHandler(device.vault, device.clock, device.randomness),
        RestoreHandler(device.vault),
        DeleteHandler(device.vault),
        AllowHandler(lambda *what: actions.add_exclusion(NewExclusion(*what)), device.clock),
        RestartHandler(restart),
        DeactivateHandler(give_seat_back),
        DiagnosticsHandler(device.config.diagnostics, lambda hide: _bundle(device.config, hide_paths=hide), link),
    )


async def _bundle(config: AgentConfig, *, hide_paths: bool) -> bytes:
    return await make_bundle_apart(config.locations.options, config.locations.data_dir, hide_paths=hide_paths)


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
                ("rule_finder", agent.finder.run),
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
    """This device was activated or deactivated, by another process or as the control plane asked."""
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
