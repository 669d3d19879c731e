"""The device: what lies on disk and what works on it. Commands use it while no agent runs, and the service always."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agent.config import AgentConfig
from agent.control.enrolment.entitlements import EntitlementKeeper
from agent.control.policy.book import PolicyBook
from agent.domain.files import FileIdentity
from agent.domain.policy import Mode
from agent.domain.ports import Clock, Randomness
from agent.local_api.actions import DirectActions
from agent.managed import Managed, open_managed
from agent.platform.clock import SystemClock
from agent.platform.data_dir import prepare_data_dir
from agent.platform.processes.ending import StoppedProcess, stop_processes
from agent.platform.randomness import SystemRandomness
from agent.quarantine.vault import Vault, VaultSettings
from agent.storage.announcing import AnnouncingStore
from agent.storage.database import open_database


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
