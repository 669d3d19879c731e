"""What `buckler scan` is given: configuration and exclusions where there are some, and the vault on demand."""

from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.cli.scan.command import scan_command
from agent.cli.scan.request import ScanDefaults, ScanPlace, ScanWiring, Selection
from agent.domain.errors import BucklerError
from agent.locations import Locations, Overrides, find_locations, is_unconfigured
from agent.platform.clock import SystemClock
from agent.platform.files.lock import holder_of
from agent.platform.program import app_version
from agent.platform.randomness import SystemRandomness
from agent.scanner.limits import Limits
from agent.scanner.packs.rule_files import builtin_signatures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.device import Device
    from agent.domain.ports import Quarantine
    from agent.scanner.cache import ScanCache
    from agent.scanner.packs.deferred_pack import Pack, PackEngine


def scan_wiring() -> ScanWiring:
    """The real parts."""
    return ScanWiring(
        SystemClock(), SystemRandomness(), _load_defaults, _open_quarantine, _open_cache, _note_finished, _engine
    )


def _load_defaults(place: ScanPlace) -> ScanDefaults:
    """Configuration and exclusions; a machine without either is scanned with the defaults, and nothing is created."""
    locations = _locations(place)
    holder = holder_of(locations.lock)
    defaults = replace(
        _configured(place, locations),
        own_folders=(str(locations.data_dir),),
        own_pids=() if holder is None else (holder,),
    )
    if not locations.database.is_file():
        return defaults
    with _device(place) as device:
        return replace(defaults, policy=device.book.current())


def _configured(place: ScanPlace, locations: Locations) -> ScanDefaults:
    if is_unconfigured(locations):
        return ScanDefaults(rules=(builtin_signatures(),))
    from agent.config import load_config

    config = load_config(_overrides(place))
    return ScanDefaults(
        config.scanner, (builtin_signatures(), *config.extra_rules), cpu_percent=config.schedule.cpu_percent
    )


def _note_finished(place: ScanPlace, selection: Selection) -> None:
    """For `buckler status`; a machine on which no agent ever ran has none, and nothing is created."""
    if selection not in {Selection.QUICK, Selection.FULL} or not _locations(place).database.is_file():
        return
    from agent.domain.schedule import ScanKind, finished_setting

    kind = ScanKind.QUICK if selection is Selection.QUICK else ScanKind.FULL
    with _device(place) as device, device.store.transaction() as tables:
        tables.settings.put(finished_setting(kind), device.clock.now().isoformat())


@contextmanager
def _open_quarantine(place: ScanPlace) -> "Iterator[Quarantine]":
    """The vault, shared with an agent that may be running."""
    with _device(place) as device:
        yield device.vault


def _device(place: ScanPlace) -> "AbstractContextManager[Device]":
    """Everything the agent is made of; a machine that is only scanned does without, and without its log."""
    from agent.cli.log import configure_log
    from agent.config import load_config
    from agent.device import open_device

    configure_log(service=False)
    return open_device(load_config(_overrides(place)))


def _overrides(place: ScanPlace) -> Overrides:
    return Overrides(place.data_dir, place.config)


def _locations(place: ScanPlace) -> Locations:
    return find_locations(_overrides(place))


def _engine(place: ScanPlace, name: str) -> "PackEngine":
    """The engine, with what it compiled before; a scan must not fail because there can be no place to keep it."""
    from agent.platform.data_dir import prepare_data_dir
    from agent.scanner.engines.kept_files import KeptFiles
    from agent.scanner.engines.registry import engine_label, engine_named, engine_that_remembers
    from agent.scanner.packs.deferred_pack import PackEngine
    from agent.scanner.packs.pack_notes import PackNotes

    label = engine_label(name)
    data_dir = _locations(place).data_dir
    try:
        prepare_data_dir(data_dir)
    except BucklerError:
        return PackEngine(label, None, lambda: engine_named(name))
    notes = PackNotes(KeptFiles(data_dir), f"{app_version()}, {label}")
    return PackEngine(label, notes, lambda: engine_that_remembers(name, data_dir))


@contextmanager
def _open_cache(place: ScanPlace, pack: "Pack", limits: Limits) -> "Iterator[ScanCache | None]":
    """The cache in the data folder, which is made if need be; a scan must not fail because there can be none."""
    from agent.platform.data_dir import prepare_data_dir
    from agent.scanner.machine_cache import scan_cache

    locations = _locations(place)
    try:
        prepare_data_dir(locations.data_dir)
    except BucklerError:
        yield None
        return
    with scan_cache(locations.scan_cache, pack, limits) as cache:
        yield cache


#: The command as it works on this machine.
scan = scan_command(scan_wiring())
