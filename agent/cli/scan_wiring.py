"""What `buckler scan` is given: configuration and exclusions where there are some, and the vault on demand."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.cli.scan_request import ScanDefaults, ScanPlace, ScanWiring, Selection
from agent.domain.errors import BucklerError
from agent.domain.policy import Policy
from agent.domain.ports import Quarantine
from agent.domain.schedule import ScanKind, finished_setting
from agent.platform.clock import SystemClock
from agent.platform.lock import holder_of
from agent.platform.randomness import SystemRandomness
from agent.scanner.cache import ScanCache
from agent.scanner.deferred_pack import Pack
from agent.scanner.engines.port import Engine
from agent.scanner.limits import Limits

if TYPE_CHECKING:
    from agent.config import AgentConfig
    from agent.device import Device

_KINDS = {Selection.QUICK: ScanKind.QUICK, Selection.FULL: ScanKind.FULL}


def scan_wiring() -> ScanWiring:
    """The real parts."""
    return ScanWiring(
        SystemClock(), SystemRandomness(), _load_defaults, _open_quarantine, _open_cache, _note_finished, _engine
    )


def _load_defaults(place: ScanPlace) -> ScanDefaults:
    """Configuration and exclusions; a machine without either is scanned with the defaults, and nothing is created."""
    from agent.config import Overrides, load_config
    from agent.scanner.rulepack import builtin_signatures

    config = load_config(Overrides(place.data_dir, place.config))
    holder = holder_of(config.locations.lock)
    defaults = ScanDefaults(
        config.scanner,
        (builtin_signatures(), *config.extra_rules),
        Policy(),
        own_folders=(str(config.locations.data_dir),),
        own_pids=() if holder is None else (holder,),
        cpu_percent=config.schedule.cpu_percent,
    )
    if not config.locations.database.is_file():
        return defaults
    with _device(config) as device:
        return replace(defaults, policy=device.book.current())


def _note_finished(place: ScanPlace, selection: Selection) -> None:
    """For `buckler status`; a machine on which no agent ever ran has none, and nothing is created."""
    from agent.config import Overrides, load_config

    kind = _KINDS.get(selection)
    config = load_config(Overrides(place.data_dir, place.config))
    if kind is None or not config.locations.database.is_file():
        return
    with _device(config) as device, device.store.transaction() as tables:
        tables.settings.put(finished_setting(kind), device.clock.now().isoformat())


@contextmanager
def _open_quarantine(place: ScanPlace) -> Iterator[Quarantine]:
    """The vault, shared with an agent that may be running."""
    from agent.config import Overrides, load_config

    with _device(load_config(Overrides(place.data_dir, place.config))) as device:
        yield device.vault


def _device(config: "AgentConfig") -> "AbstractContextManager[Device]":
    """Everything the agent is made of; a machine that is only scanned does without, and without its log."""
    from agent.cli.log import configure_log
    from agent.device import open_device

    configure_log(service=False)
    return open_device(config)


def _engine(place: ScanPlace, name: str) -> Engine:
    """The engine, with what it compiled before; a scan must not fail because there can be no place to keep it."""
    from agent.config import Overrides, load_config
    from agent.platform.data_dir import prepare_data_dir
    from agent.scanner.engines.registry import engine_named, engine_that_remembers

    data_dir = load_config(Overrides(place.data_dir, place.config)).locations.data_dir
    try:
        prepare_data_dir(data_dir)
    except BucklerError:
        return engine_named(name)
    return engine_that_remembers(name, data_dir)


@contextmanager
def _open_cache(place: ScanPlace, pack: Pack, limits: Limits) -> Iterator[ScanCache | None]:
    """The cache in the data folder, which is made if need be; a scan must not fail because there can be none."""
    from agent.config import Overrides, load_config
    from agent.platform.data_dir import prepare_data_dir
    from agent.scanner.machine_cache import scan_cache

    locations = load_config(Overrides(place.data_dir, place.config)).locations
    try:
        prepare_data_dir(locations.data_dir)
    except BucklerError:
        yield None
        return
    with scan_cache(locations.scan_cache, pack, limits) as cache:
        yield cache
