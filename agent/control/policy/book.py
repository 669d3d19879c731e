"""What this device is to do: as configured, as its owner changed since, as its organisation sets it, as access grants.

What the organisation sets goes before what is configured or chosen here; what access does not grant goes before all.
"""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from agent.control.policy.managed_policy import ManagedPolicy, value_managed
from agent.control.policy.way_back import feature_refused
from agent.domain.entitlement import Access, Claims, Feature
from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.health import HealthIssue
from agent.domain.policy import Action, Mode, Policy, granted_mode
from agent.domain.ports import Store

#: Setting of the store: the mode the owner chose with `buckler mode`.
CHOSEN_MODE = "mode"
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ConfiguredPolicy:
    """What the configuration says.

    Attributes:
        on_infected: QUARANTINE or REPORT.
        mode: From the file or the environment; what the owner chose since goes before it.
        mode_of_this_run: From the command line of `run`; goes before everything, until the mode is changed again.
        excluded_paths: Absolute.
        stop_processes: End what runs from a file that is taken.
    """

    on_infected: Action = Action.QUARANTINE
    mode: Mode = Mode.NOTIFY
    mode_of_this_run: Mode | None = None
    excluded_paths: tuple[str, ...] = ()
    stop_processes: bool = False


class PolicyBook:
    """Keeps the policy in force; asked for every file, so it is made once and made anew when something changes.

    Args:
        store: The owner's exclusions and mode.
        configured: From the configuration.
        access: What the entitlement allows now.
        claims: For the dates in a refusal.
    """

    def __init__(
        self,
        store: Store,
        configured: ConfiguredPolicy,
        access: Callable[[], Access],
        claims: Callable[[], Claims | None],
    ) -> None:
        self._store = store
        self._configured = configured
        self._run_mode = configured.mode_of_this_run
        self._access = access
        self._claims = claims
        self._managed = ManagedPolicy()
        self._lock = threading.Lock()
        self._current = self._read()

    def current(self) -> Policy:
        """The policy in force. What is granted of its mode is asked of `granted_mode`, at each moment anew."""
        return self._current

    def local_version(self) -> str:
        """Names the policy in force by its content, whoever set what of it."""
        return self._current.version.rpartition("+")[2]

    def reload(self) -> None:
        """Something in the store changed."""
        with self._lock:
            self._current = self._read()

    def manage(self, policy: ManagedPolicy) -> None:
        """From now on the organisation sets this."""
        self._managed = policy
        self.reload()

    def managed_exclusions(self) -> tuple[Exclusion, ...]:
        """Those that the organisation sets."""
        return self._managed.exclusions

    def check_removable(self, exclusion_id: str) -> None:
        """Whether the owner may remove an exclusion.

        Raises:
            BucklerError: `VALUE_MANAGED`.
        """
        if any(exclusion.id == exclusion_id for exclusion in self._managed.exclusions):
            raise value_managed(f"the exclusion {exclusion_id}", self._managed)

    def check_mode(self, mode: Mode) -> None:
        """Whether a mode may be chosen here, and the entitlement grants it now.

        Raises:
            BucklerError: `VALUE_MANAGED`; `FEATURE_NOT_ENTITLED`, with the reason, the date and the way back.
        """
        if self._managed.get("realtime.mode") is not None:
            raise value_managed("the mode", self._managed)
        access = self._access()
        if mode is Mode.BLOCK and not access.allows(Feature.BLOCKING_MODE):
            raise feature_refused(Feature.BLOCKING_MODE, access, self._claims())

    def set_mode(self, mode: Mode) -> Mode:
        """Choose the mode, for now and after restarts.

        Raises:
            BucklerError: `VALUE_MANAGED`, `FEATURE_NOT_ENTITLED`; nothing was changed.
        """
        self.check_mode(mode)
        with self._store.transaction() as tables:
            tables.settings.put(CHOSEN_MODE, mode.value)
        self._run_mode = None
        self.reload()
        return mode

    def issues(self) -> tuple[HealthIssue, ...]:
        """Blocking is wanted but not granted: the owner believes in something that is not there."""
        policy, access = self._current, self._access()
        if policy.mode is granted_mode(policy, access):
            return ()
        refusal = feature_refused(Feature.BLOCKING_MODE, access, self._claims())
        return (HealthIssue("blocking_mode_suspended", f"{refusal.message}; {refusal.next_step}"),)

    def _read(self) -> Policy:
        with self._store.transaction() as tables:
            chosen = tables.settings.get(CHOSEN_MODE)
            own = tables.exclusions.all()
        managed = self._managed
        mode = self._run_mode or (Mode(chosen) if chosen else self._configured.mode)
        if (managed_mode := managed.get("realtime.mode")) is not None:
            mode = Mode(managed_mode)
        configured = tuple(
            Exclusion(f"config:{number}", ExclusionKind.PATH, path, "configuration", _ALWAYS)
            for number, path in enumerate(self._configured.excluded_paths, 1)
        )
        action, stop = managed.get("realtime.action"), managed.get("quarantine.stop_processes")
        policy = Policy(
            self._configured.on_infected if action is None else Action(action),
            mode,
            configured + managed.exclusions + own,
            stop_processes=self._configured.stop_processes if stop is None else bool(stop),
        )
        prefix = f"{managed.version}+" if managed.version else ""
        return replace(policy, version=prefix + _version(policy))


def _version(policy: Policy) -> str:
    """Names a policy by its content, so that equal policies have equal names on every device and after restarts."""
    facts = [policy.on_infected.value, policy.mode.value, *(["stop_processes"] if policy.stop_processes else [])]
    facts += [f"{e.kind.value}\0{e.value}\0{e.expires_at}" for e in policy.exclusions]
    digest = hashlib.sha256("\0\0".join(facts).encode("utf-8", "surrogateescape")).hexdigest()
    return f"local-{digest[:8]}"
