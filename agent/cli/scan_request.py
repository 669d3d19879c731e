"""What one call of `buckler scan` works with: the values, and the parts it is given."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from agent.domain.policy import Policy
from agent.domain.ports import Clock, Quarantine, Randomness
from agent.scanner.limits import Limits
from agent.scanner.settings import ScannerSettings

if TYPE_CHECKING:
    from agent.scanner.cache import ScanCache
    from agent.scanner.rulepack import CompiledPack


class Output(Enum):
    """What is written to standard output."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ScanPlace:
    """Where this machine keeps what a scan may need; None: the defaults."""

    data_dir: Path | None
    config: Path | None


def no_cache_here(
    _place: ScanPlace, _pack: "CompiledPack", _limits: Limits
) -> "AbstractContextManager[ScanCache | None]":
    """For a machine with nothing but the program: every file is scanned."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class ScanDefaults:
    """What holds where the command line says nothing.

    Attributes:
        settings: Engine, workers, limits.
        rules: Rule files to scan with; empty: those that come with the program.
        policy: Its exclusions count; its action is decided by `--quarantine`.
    """

    settings: ScannerSettings = field(default_factory=ScannerSettings)
    rules: tuple[Path, ...] = ()
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class ScanWiring:
    """What `scan` is given by whoever registers it.

    Attributes:
        clock: Judges and measures.
        randomness: Names incidents.
        load_defaults: Reads configuration and exclusions; must work where there are none.
        open_quarantine: Opens the vault for the duration of a scan with `--quarantine`.
        open_cache: Opens what earlier scans with that pack and those limits found clean; None where there can be none.
    """

    clock: Clock
    randomness: Randomness
    load_defaults: Callable[[ScanPlace], ScanDefaults]
    open_quarantine: Callable[[ScanPlace], AbstractContextManager[Quarantine]]
    open_cache: "Callable[[ScanPlace, CompiledPack, Limits], AbstractContextManager[ScanCache | None]]" = no_cache_here


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """One call of `scan`, checked."""

    targets: tuple[str, ...]
    rules: tuple[Path, ...]
    settings: ScannerSettings
    policy: Policy
    output: Output
    verbose: bool
    #: Where the cache is; None: neither read nor write one.
    cache_place: ScanPlace | None = None
