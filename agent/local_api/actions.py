"""What the owner of a device may do with quarantine, exclusions and mode.

One port with two ways to it: `DirectActions` works on the vault and the database itself (in the agent, or in a
command while no agent runs), `agent.local_api.client.RemoteActions` asks the running agent. Commands do not care.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.facts import Finding
from agent.domain.policy import Mode
from agent.domain.ports import Clock, Quarantine, Randomness, Store
from agent.domain.quarantine import HistoryNote, QuarantineEntry, RestoreReceipt
from agent.domain.retention import RetentionLimits, plan_retention

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[0-9a-f]{64}:/.*", re.DOTALL)
_RULE = re.compile(r"[A-Za-z0-9_.\-/]{1,256}")
#: Random bytes in an exclusion's id: unique among the few a device has, short enough to type.
_ID_BYTES = 4


@dataclass(frozen=True, slots=True)
class QuarantinedFile:
    """A quarantined file as people see it; times in nanoseconds since the epoch where the name says so."""

    id: str
    original_path: str
    sha256: str
    size_bytes: int
    quarantined_at: datetime
    findings: tuple[Finding, ...]
    state: str
    mode: int
    owner_uid: int
    owner_gid: int
    modified_ns: int
    detail: str
    deletion_due_at: datetime | None = None
    history: tuple[HistoryNote, ...] = ()

    @classmethod
    def of(
        cls, entry: QuarantineEntry, history: tuple[HistoryNote, ...], deletion_due_at: datetime | None
    ) -> "QuarantinedFile":
        """From a row of the journal."""
        return cls(
            id=entry.id,
            original_path=entry.original_path,
            sha256=entry.sha256,
            size_bytes=entry.identity.size_bytes,
            quarantined_at=entry.planned_at,
            findings=entry.findings,
            state=entry.state.value,
            mode=entry.metadata.mode,
            owner_uid=entry.metadata.owner_uid,
            owner_gid=entry.metadata.owner_gid,
            modified_ns=entry.metadata.modified_ns,
            detail=entry.detail,
            deletion_due_at=deletion_due_at,
            history=history,
        )


@dataclass(frozen=True, slots=True)
class NewExclusion:
    """An exclusion that is asked for; `value` as in `agent.domain.exclusions.Exclusion`."""

    kind: ExclusionKind
    value: str
    reason: str
    expires_at: datetime | None = None


class OwnerActions(Protocol):
    """Everything of this module that changes something, and the lists beside it."""

    async def quarantined(self) -> tuple[QuarantinedFile, ...]:
        """All journal rows, oldest first."""

    async def restore(self, entry_id: str, destination: str | None, *, allow: bool) -> RestoreReceipt:
        """See `agent.domain.ports.Quarantine.restore`."""

    async def delete(self, entry_id: str) -> None:
        """See `agent.domain.ports.Quarantine.delete`."""

    async def exclusions(self) -> tuple[Exclusion, ...]:
        """Those of the organisation's policy, then those the owner added; configured ones are in the configuration."""

    async def add_exclusion(self, wanted: NewExclusion) -> Exclusion:
        """Leave something alone from now on.

        Raises:
            BucklerError: `EXCLUSION_INVALID`, `EXCLUSION_TOO_WIDE`.
        """

    async def remove_exclusion(self, exclusion_id: str) -> None:
        """Look at it again.

        Raises:
            BucklerError: `EXCLUSION_UNKNOWN`, `VALUE_MANAGED`.
        """

    async def set_mode(self, mode: Mode) -> Mode:
        """Choose between notify and block.

        Raises:
            BucklerError: `VALUE_MANAGED`, `FEATURE_NOT_ENTITLED`.
        """


@dataclass(frozen=True, slots=True)
class DirectActions:
    """Does the work. Port `OwnerActions`.

    Attributes:
        store: The agent's database.
        quarantine: The vault.
        clock: When an exclusion was made.
        randomness: Ids of exclusions.
        switch_mode: Chooses the mode, refusing what is not entitled.
        retention: How much the vault keeps.
        managed_exclusions: Those that the organisation sets.
        check_removable: Refuses to remove one of those.
    """

    store: Store
    quarantine: Quarantine
    clock: Clock
    randomness: Randomness
    switch_mode: Callable[[Mode], Mode]
    retention: RetentionLimits = field(default_factory=RetentionLimits)
    managed_exclusions: Callable[[], tuple[Exclusion, ...]] = tuple
    check_removable: Callable[[str], None] = lambda _: None

    async def quarantined(self) -> tuple[QuarantinedFile, ...]:
        """All journal rows, oldest first."""
        with self.store.transaction() as tables:
            entries, held = tables.journal.entries(), tables.journal.held()
            histories = {entry.id: tables.journal.history(entry.id) for entry in entries}
        pending = plan_retention(held, self.retention, self.clock.now()).pending
        due_at = {item.entry_id: item.due_at for item in pending}
        return tuple(QuarantinedFile.of(entry, histories[entry.id], due_at.get(entry.id)) for entry in entries)

    async def restore(self, entry_id: str, destination: str | None, *, allow: bool) -> RestoreReceipt:
        """Bring a file back; with `allow` an exclusion of its content keeps it from being taken again."""
        return await self.quarantine.restore(entry_id, destination, allow=allow)

    async def delete(self, entry_id: str) -> None:
        """Destroy the quarantined copy."""
        await self.quarantine.delete(entry_id)

    async def exclusions(self) -> tuple[Exclusion, ...]:
        """Those that the organisation sets, and those the owner added."""
        with self.store.transaction() as tables:
            return self.managed_exclusions() + tables.exclusions.all()

    async def add_exclusion(self, wanted: NewExclusion) -> Exclusion:
        """Check and write one exclusion."""
        now = self.clock.now()
        check_exclusion(wanted, now)
        exclusion = Exclusion(
            id=f"exc_{self.randomness.token_bytes(_ID_BYTES).hex()}",
            kind=wanted.kind,
            value=wanted.value,
            reason=wanted.reason,
            created_at=now,
            expires_at=wanted.expires_at,
        )
        with self.store.transaction() as tables:
            tables.exclusions.add(exclusion)
        return exclusion

    async def remove_exclusion(self, exclusion_id: str) -> None:
        """Delete one exclusion.

        Raises:
            BucklerError: `EXCLUSION_UNKNOWN`, or what `check_removable` refuses.
        """
        self.check_removable(exclusion_id)
        with self.store.transaction() as tables:
            known = tables.exclusions.remove(exclusion_id)
        if not known:
            raise BucklerError(
                "EXCLUSION_UNKNOWN",
                f"there is no exclusion {exclusion_id}",
                next_step="list them with `buckler exclusion list`",
                exit_status=ExitStatus.NEGATIVE,
            )

    async def set_mode(self, mode: Mode) -> Mode:
        """Choose the mode."""
        return self.switch_mode(mode)


def check_exclusion(wanted: NewExclusion, now: datetime) -> None:
    """Refuse an exclusion that cannot work, or that would switch protection off as a whole.

    Raises:
        BucklerError: `EXCLUSION_INVALID`, `EXCLUSION_TOO_WIDE`.
    """
    if wanted.kind is ExclusionKind.PATH:
        if not wanted.value.startswith("/") or ".." in wanted.value.split("/") or "\0" in wanted.value:
            raise _invalid(wanted, "a path is absolute and without `..`")
        if not wanted.value.strip("/"):
            raise BucklerError(
                "EXCLUSION_TOO_WIDE",
                "excluding / would leave nothing protected",
                next_step="exclude the folders in question, or stop the agent",
            )
    if wanted.kind is ExclusionKind.SHA256 and not _DIGEST.fullmatch(wanted.value):
        raise _invalid(wanted, "a sha256 is 64 hexadecimal digits in lower case")
    if wanted.kind is ExclusionKind.FILE and not _FILE.fullmatch(wanted.value):
        raise _invalid(wanted, "a file is given as SHA256:/ABSOLUTE/PATH")
    if wanted.kind is ExclusionKind.RULE and not _RULE.fullmatch(wanted.value):
        raise _invalid(wanted, "a rule is given as NAME or NAMESPACE.NAME")
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise _invalid(wanted, "its end lies in the past")


def _invalid(wanted: NewExclusion, why: str) -> BucklerError:
    return BucklerError(
        "EXCLUSION_INVALID",
        f"{wanted.value!r} cannot be excluded as {wanted.kind.value}: {why}",
        next_step="see `buckler exclusion add --help`",
    )
