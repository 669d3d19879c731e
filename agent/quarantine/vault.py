"""The vault; port `agent.domain.ports.Quarantine`.

Where things are: `agent.quarantine.folder` (the vault's folder), `.staging` (where a file waits on its own mount, and
why there), `.inert` (how it is sealed), `.capture` and `.restore` (the steps, and what a crash at each leaves).

All of it blocks on disks, so all of it runs in threads: the event loop never waits for a disk.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.ports import CAPTURE_UNFINISHED, CaptureRequest, Clock, Randomness, Store
from agent.domain.quarantine import (
    OWNER,
    RETENTION,
    CaptureState,
    QuarantineEntry,
    RestoreReceipt,
    Retained,
)
from agent.domain.retention import Because, PlannedDeletion, RetentionLimits, RetentionPlan, plan_retention
from agent.platform.processes.ending import StopProcesses, stop_none
from agent.platform.work_threads import WorkThreads
from agent.quarantine.capture import Captures, StagingOutOfReachError
from agent.quarantine.failures import not_taken
from agent.quarantine.folder import VaultFolder, remove_sealed_file, sealed_ids
from agent.quarantine.journal import CaptureJournal, entry_id_of, new_entry, shown
from agent.quarantine.restore import Restores
from agent.quarantine.staging import Staging
from agent.quarantine.steps import AfterStep, nothing_after
from agent.quarantine.unrecorded import put_back_unrecorded

log = structlog.get_logger(__name__)

_UNFINISHED = (CaptureState.PLANNED, CaptureState.CAPTURED, CaptureState.STORED)
#: States whose sealed file, if a crash left one, is of no use to anybody.
_WITHOUT_SEAL = frozenset({CaptureState.FAILED, CaptureState.RESTORED, CaptureState.DELETED})


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """Where the vault is.

    Attributes:
        vault_dir: Its folder; made (0700) when it is needed first.
        limits: How much is kept, and for how long.
    """

    vault_dir: Path
    limits: RetentionLimits = field(default_factory=RetentionLimits)


class Vault:
    """Takes files out of their place and brings them back.

    Args:
        settings: Where.
        store: The journal, the outbox and the exclusions.
        clock: Dates entries.
        randomness: Ids, salts, the key.
        after_step: Called in the working thread after each durable step; crash tests stop there.
        stop: Ends the processes that run a file that was taken.
    """

    def __init__(
        self,
        settings: VaultSettings,
        store: Store,
        clock: Clock,
        randomness: Randomness,
        after_step: AfterStep = nothing_after,
        stop: StopProcesses = stop_none,
    ) -> None:
        self._limits = settings.limits
        self._tell_unfinished: list[Callable[[], None]] = []
        self._clock = clock
        self._randomness = randomness
        self._after_step = after_step
        self._folder = VaultFolder(settings.vault_dir, randomness)
        self._staging = Staging(self._folder.path)
        self._journal = CaptureJournal(store, clock)
        self._captures = Captures(self._folder, self._staging, self._journal, randomness, stop, after_step)
        self._restores = Restores(self._folder, self._journal, after_step)
        self._threads = WorkThreads("vault")

    async def capture(self, request: CaptureRequest) -> QuarantineEntry:
        """Take a file; returns a final entry: DONE, or FAILED with a `CaptureFailure` and a sentence in `detail`.

        Once begun it goes on to its end, even if the caller is cancelled.

        Raises:
            BucklerError: The database or the vault's key cannot be used (`DATABASE_…`, `VAULT_DAMAGED`), and nothing
                has been done; or `CAPTURE_UNFINISHED`: what was begun is finished and reported by `resume`.
        """
        try:
            return await self._threads.do(self._capture, request)
        except BucklerError as error:
            if error.code == CAPTURE_UNFINISHED:
                for tell in self._tell_unfinished:
                    tell()
            raise

    def when_unfinished(self, tell: Callable[[], None]) -> None:
        """Have `tell` called when a capture could not be brought to its end, so that `resume` has something to do."""
        self._tell_unfinished.append(tell)

    async def restore(self, entry_id: str, destination: str | None, *, allow: bool) -> RestoreReceipt:
        """Bring a file back, byte for byte, with owner, mode, times, extended attributes and flags.

        Args:
            entry_id: Which.
            destination: Absolute: a folder, or a new name; None: where it was. Links on the way are not followed.
            allow: Also exclude this content from protection, from before it appears.

        Raises:
            BucklerError: See `agent.quarantine.restore.Restores.restore`.
        """
        return await asyncio.to_thread(self._restore, entry_id, destination, allow=allow)

    async def delete(self, entry_id: str) -> None:
        """Destroy the quarantined copy; the journal row stays as DELETED.

        Raises:
            BucklerError: `QUARANTINE_UNKNOWN`, `QUARANTINE_NOT_HELD`, `QUARANTINE_BUSY`.
        """
        await asyncio.to_thread(self._delete, entry_id)

    async def resume(self) -> int:
        """Finish what a crash left unfinished; returns how many entries were.

        Safe while other processes use the vault: it waits for what they are doing to end.

        Raises:
            BucklerError: `VAULT_BUSY`, `VAULT_UNUSABLE`, `VAULT_DAMAGED`, or the database cannot be used.
        """
        return await asyncio.to_thread(self._resume)

    async def keep_limits(self) -> RetentionPlan:
        """Announce what has grown too old or too much, and delete what was announced long enough ago.

        Returns:
            What was done, and what is still to come.

        Raises:
            BucklerError: `VAULT_UNUSABLE`, or the database cannot be used.
        """
        return await asyncio.to_thread(self._keep_limits)

    async def retained(self) -> Retained:
        """How much the vault holds, for `status`."""
        return await asyncio.to_thread(self._journal.retained)

    def is_vault_path(self, path: str) -> bool:
        """Whether a path is the vault's own business, so that realtime protection leaves it alone."""
        return self._staging.is_vault_path(path)

    # ------------------------------------------------------------ in a thread

    def _capture(self, request: CaptureRequest) -> QuarantineEntry:
        entry = new_entry(request, entry_id_of(self._randomness.uuid()), self._clock)
        try:
            with self._folder.in_use() as vault:
                # Before anything is moved: without its key the vault can hold nothing.
                self._folder.key(vault)
                return self._captures.take(vault, entry)
        except BucklerError as error:
            if self._is_begun(entry.id):
                raise BucklerError(
                    CAPTURE_UNFINISHED,
                    f"{shown(entry.original_path)} is on its way to the vault, but {error.message}",
                    next_step=error.next_step,
                    exit_status=error.exit_status,
                    facts={"id": entry.id, "cause": error.code},
                ) from error
            raise
        except OSError as error:
            # The vault's own folder cannot be used; `take` turns everything else into a final entry by itself.
            return self._journal.failed(entry, not_taken(error))

    def _is_begun(self, entry_id: str) -> bool:
        try:
            return self._journal.get(entry_id) is not None
        except BucklerError:
            return False

    def _restore(self, entry_id: str, destination: str | None, *, allow: bool) -> RestoreReceipt:
        with self._usable(), self._folder.in_use() as vault:
            return self._restores.restore(vault, entry_id, destination, allow=allow)

    def _delete(self, entry_id: str) -> None:
        with self._usable(), self._folder.in_use() as vault:
            self._restores.delete(vault, entry_id, OWNER)

    def _keep_limits(self) -> RetentionPlan:
        plan = plan_retention(self._journal.held(), self._limits, self._clock.now())
        if plan.announce or plan.withdraw:
            self._journal.announce({item.entry_id: self._why(item) for item in plan.announce}, plan.withdraw)
            log.warning("quarantine_deletions_announced", files=len(plan.announce), withdrawn=len(plan.withdraw))
        for item in plan.delete:
            self._expire(item)
        return plan

    def _expire(self, item: PlannedDeletion) -> None:
        try:
            with self._usable(), self._folder.in_use() as vault:
                self._restores.delete(vault, item.entry_id, RETENTION, self._why(item))
        except BucklerError as error:
            # Its owner is restoring it at this moment, or has: the next look will see.
            if error.code not in {"QUARANTINE_BUSY", "QUARANTINE_NOT_HELD"}:
                raise
        else:
            log.info("quarantine_expired", id=item.entry_id, because=item.because.value)

    def _why(self, item: PlannedDeletion) -> str:
        limits = self._limits
        if item.because is Because.AGE and limits.keep_for is not None:
            return f"kept for {limits.keep_for.days} days"
        return f"the vault holds more than {limits.max_size_bytes} bytes"

    def _resume(self) -> int:
        finished = 0
        with self._usable(), self._folder.to_ourselves() as vault:
            for entry in self._journal.entries(_UNFINISHED):
                try:
                    self._captures.take(vault, entry)
                except StagingOutOfReachError:
                    continue
                finished += 1
            finished += put_back_unrecorded(self._staging, self._journal, self._after_step)
            for entry in self._journal.entries([CaptureState.DONE]):
                if entry.restore_path:
                    self._restores.settle(vault, entry.id)
                    finished += 1
            self._sweep(vault)
        return finished

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """The vault's own folder may be on a disk that fails, or another user's."""
        try:
            yield
        except OSError as error:
            raise BucklerError(
                "VAULT_UNUSABLE",
                f"the vault {self._folder.path} cannot be used: {error.strerror}",
                next_step="run the command as the user the agent runs as, and look at the disk's health",
                exit_status=ExitStatus.ENVIRONMENT,
                facts={"path": self._folder.path},
            ) from error

    def _sweep(self, vault: int) -> None:
        """Remove sealed files whose row says that they have no use; one without a row at all is never touched."""
        for entry_id in sealed_ids(vault):
            entry = self._journal.get(entry_id)
            if entry is not None and entry.state in _WITHOUT_SEAL:
                remove_sealed_file(vault, entry_id)
