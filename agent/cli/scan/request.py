"""What one call of `buckler scan` works with: the values, and the parts it is given."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.invocation import Output
from agent.domain.policy import Policy
from agent.scanner.limits import Limits
from agent.scanner.settings import DEFAULT_CPU_PERCENT, ScannerSettings

if TYPE_CHECKING:
    from agent.domain.ports import Clock, Quarantine, Randomness
    from agent.platform.file_systems import SkippedFolder
    from agent.scanner.cache import ScanCache
    from agent.scanner.packs.deferred_pack import Pack, PackEngine


class Selection(Enum):
    """What is scanned; the values are the words of the command line."""

    PATHS = "PATH"
    QUICK = "--quick"
    FULL = "--full"
    PROCESSES = "--processes"


@dataclass(frozen=True, slots=True)
class Targets:
    """What one scan looks at.

    Attributes:
        selection: Which kind.
        paths: Files and folders, absolute.
        skipped: Places below them that are not entered.
    """

    selection: Selection
    paths: tuple[str, ...] = ()
    skipped: "tuple[SkippedFolder, ...]" = ()


@dataclass(frozen=True, slots=True)
class ScanPlace:
    """Where this machine keeps what a scan may need; None: the defaults."""

    data_dir: Path | None
    config: Path | None


def engine_here(_place: ScanPlace, name: str) -> "PackEngine":
    """For a machine with nothing but the program: all rules are compiled each time."""
    from agent.scanner.engines.registry import engine_label, engine_named
    from agent.scanner.packs.deferred_pack import PackEngine

    return PackEngine(engine_label(name), None, lambda: engine_named(name))


def no_cache_here(_place: ScanPlace, _pack: "Pack", _limits: Limits) -> "AbstractContextManager[ScanCache | None]":
    """For a machine with nothing but the program: every file is scanned."""
    return nullcontext()


def nothing_to_note(_place: ScanPlace, _selection: Selection) -> None:
    """For a machine with nothing but the program: there is no status to be kept."""


@dataclass(frozen=True, slots=True)
class ScanDefaults:
    """What holds where the command line says nothing.

    Attributes:
        settings: Engine, workers, limits.
        rules: Rule files to scan with; empty: those that come with the program.
        policy: Its exclusions count; its action is decided by `--quarantine`.
        own_folders: Where Buckler keeps its data; `--quick` and `--full` do not enter them.
        own_pids: A running agent, whose memory holds what rules look for.
        cpu_percent: Share of one core for `--background`.
    """

    settings: ScannerSettings = field(default_factory=ScannerSettings)
    rules: tuple[Path, ...] = ()
    policy: Policy = field(default_factory=Policy)
    own_folders: tuple[str, ...] = ()
    own_pids: tuple[int, ...] = ()
    cpu_percent: int = DEFAULT_CPU_PERCENT


@dataclass(frozen=True, slots=True)
class ScanWiring:
    """What `scan` is given by whoever registers it.

    Attributes:
        clock: Judges and measures.
        randomness: Names incidents.
        load_defaults: Reads configuration and exclusions; must work where there are none.
        open_quarantine: Opens the vault for the duration of a scan with `--quarantine`.
        open_cache: Opens what earlier scans with that pack and those limits found clean; None where there can be none.
        note_finished: Told when a quick or full scan has come to its end, for `buckler status`.
        engine_of: The engine of a name, which may keep what it compiled.
    """

    clock: "Clock"
    randomness: "Randomness"
    load_defaults: Callable[[ScanPlace], ScanDefaults]
    open_quarantine: "Callable[[ScanPlace], AbstractContextManager[Quarantine]]"
    open_cache: "Callable[[ScanPlace, Pack, Limits], AbstractContextManager[ScanCache | None]]" = no_cache_here
    note_finished: Callable[[ScanPlace, Selection], None] = nothing_to_note
    engine_of: "Callable[[ScanPlace, str], PackEngine]" = engine_here


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """One call of `scan`, checked."""

    targets: Targets
    rules: tuple[Path, ...]
    settings: ScannerSettings
    policy: Policy
    output: Output
    verbose: bool
    #: Scan with the rules that compile; else one that does not ends the scan before it begins.
    skip_broken_rules: bool = False
    place: ScanPlace = ScanPlace(None, None)
    #: Believe and remember scans.
    cache: bool = False
    own_pids: tuple[int, ...] = ()
    #: Share of one core; None: as fast as it goes.
    cpu_percent: int | None = None
    profile: bool = False
