"""How scanning is put together: the rules, and the workers of scans in the background."""

from collections.abc import Callable
from dataclasses import replace

from agent.config import AgentConfig
from agent.device import Device
from agent.domain.blame import Blame
from agent.domain.costs import BACKGROUND, CostBook
from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.platform.local_zone import local_zone
from agent.platform.processes.priority import on_battery
from agent.report.outbox import StoredIncidentLog
from agent.scanner.consequences import Consequences
from agent.scanner.costs.rule_finder import BUDGET_S, RuleFinder, time_in_another_process
from agent.scanner.costs.rule_timing import TimingOrder
from agent.scanner.engines.registry import engine_that_remembers
from agent.scanner.governor import ScanGovernor
from agent.scanner.machine_cache import scan_cache
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rulepack import CompiledPack, compile_pack, load_rules
from agent.scanner.scheduled.ground import ground_of
from agent.scanner.scheduled.requested import RequestedScans
from agent.scanner.scheduled.scans import ScheduledScans, ScheduleParts
from agent.scanner.workers.service import ScannerService

#: Files of a burst that are kept open until their turn; the names of the others are kept instead.
_MOST_WAITING = 4096
#: Files that a worker has at hand behind the one it scans: in a burst neither it nor we sleep and wake for each file.
FILES_AHEAD = 3
#: One scan with parts of the rules takes so long at most, in seconds; about twenty find a rule.
_TIMING_S = 5.0


def compiled_rules(config: AgentConfig) -> CompiledPack:
    """Compile what is built in and what is configured beside it.

    Raises:
        BucklerError: `RULES_…`, `ENGINE_UNKNOWN`.
    """
    engine = engine_that_remembers(config.scanner.engine, config.locations.data_dir)
    return compile_pack(load_rules((builtin_signatures(), *config.extra_rules)), engine)


def rule_finder(config: AgentConfig, scanner: ScannerService) -> RuleFinder:
    """Finds the costly rules of costly files while the scanner rests."""
    limits = replace(config.scanner.limits, timeout_s=min(config.scanner.limits.timeout_s, _TIMING_S))
    rules = tuple(str(rule.absolute()) for rule in config.extra_rules)

    async def time_apart(path: str, told: Callable[[int | None], None]) -> Blame:
        return await time_in_another_process(TimingOrder(path, config.scanner.engine, limits, rules, BUDGET_S), told)

    return RuleFinder(lambda: not scanner.current_files(), time_apart)


def scan_processes(scanner: ScannerService, scheduled: ScheduledScans, requested: RequestedScans) -> frozenset[int]:
    """Whose reading is the agent's own."""
    return scanner.process_ids() | scheduled.process_ids() | requested.process_ids()


def background_parts(
    device: Device,
    pack: CompiledPack,
    own_folders: tuple[str, ...],
    is_own_test: Callable[[FileIdentity], bool],
    governor: ScanGovernor,
    costs: CostBook,
) -> ScheduleParts:
    """Of scans in the background: with one worker of their own, which nothing else waits for."""
    config = device.config
    settings = replace(config.scanner, workers=1, background=True)
    consequences = Consequences(device.vault, StoredIncidentLog(device.store), device.clock, device.randomness)

    def scanned(path: str, facts: ScanFacts) -> None:
        costs.add(path, facts, BACKGROUND, device.clock.monotonic_ns())
        governor.judge(path, facts)

    return ScheduleParts(
        open_scanner=lambda: ScannerService(settings, pack, device.clock, scanned),
        began=governor.watch,
        open_cache=lambda: scan_cache(config.locations.scan_cache, pack, settings.limits),
        ground=lambda kind: ground_of(kind, own_folders, network=config.schedule.network_filesystems),
        consequences=consequences,
        policy=device.book.current,
        access=device.keeper.access,
        on_battery=on_battery,
        is_own_test=is_own_test,
        zone=local_zone(),
    )


def waiting_files(allowed: int | None) -> int:
    """How many files may wait open: a quarter of what this process may have, or what is enough for most bursts."""
    return _MOST_WAITING if allowed is None else max(64, min(_MOST_WAITING, allowed // 4))
