"""What `buckler scan` is given: configuration and exclusions where there are some, and the vault on demand."""

from collections.abc import Iterator
from contextlib import contextmanager

from agent.cli.scan import ScanDefaults, ScanPlace, ScanWiring
from agent.domain.policy import Policy
from agent.domain.ports import Quarantine
from agent.platform.clock import SystemClock
from agent.platform.randomness import SystemRandomness


def scan_wiring() -> ScanWiring:
    """The real parts."""
    return ScanWiring(SystemClock(), SystemRandomness(), _load_defaults, _open_quarantine)


def _load_defaults(place: ScanPlace) -> ScanDefaults:
    """Configuration and exclusions; a machine without either is scanned with the defaults, and nothing is created."""
    from agent.app import open_device
    from agent.config import Overrides, load_config
    from agent.scanner.rulepack import builtin_signatures

    config = load_config(Overrides(place.data_dir, place.config))
    rules = (builtin_signatures(), *config.extra_rules)
    if not config.locations.database.is_file():
        return ScanDefaults(config.scanner, rules, Policy())
    with open_device(config) as device:
        return ScanDefaults(config.scanner, rules, device.book.current())


@contextmanager
def _open_quarantine(place: ScanPlace) -> Iterator[Quarantine]:
    """The vault, shared with an agent that may be running."""
    from agent.app import open_device
    from agent.config import Overrides, load_config

    with open_device(load_config(Overrides(place.data_dir, place.config))) as device:
        yield device.vault
