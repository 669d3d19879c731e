"""Taking a file, step by step. Blocking; runs in a thread.

================ =========================================================== =========================================
state on disk     what is true                                                a crash here is resumed by
================ =========================================================== =========================================
no row            nothing has happened, or the file is in staging and the way putting it back: the file is found again
                  back is noted beside it (`agent.quarantine.way_back`)
PLANNED           as before, but the row says it: where no note will do       looking which, and going on from there
CAPTURED          it is in staging and is the scanned file by its inode       sealing (again)
STORED            a sealed copy of the scanned bytes is durable               removing the staged file
DONE / FAILED     final, with the incident in the outbox                      nothing
================ =========================================================== =========================================

The file is the scanned one if device, inode and size are the same and its times are, too; if only its times differ,
its content decides. (Insisting on the times would hand an attacker an escape: `touch` in a loop.) After the move the
inode is compared again and, while it is being sealed, the digest. A file that turns out to be another one goes back.

Of a file with several names (hard links) only the name that was found is taken; the others are files of their own to
the scanner, and stay. Who has the file open keeps it open, but what he writes from now on goes nowhere.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from agent.domain.errors import BucklerError
from agent.domain.files import FileIdentity
from agent.domain.ports import Randomness
from agent.domain.quarantine import CaptureFailure, CaptureState, FileMetadata, QuarantineEntry
from agent.platform.files.secure_files import (
    PINNING_FLAGS,
    PlaceOfFile,
    open_regular,
    place_of,
    read_inode_flags,
    read_xattrs,
    rename_without_overwriting,
    split_path,
    sync,
    write_inode_flags,
)
from agent.platform.processes.ending import StoppedProcess, StopProcesses
from agent.quarantine import way_back
from agent.quarantine.failures import NotTakenError, not_taken
from agent.quarantine.folder import VaultFolder, new_sealed_file
from agent.quarantine.inert import SALT_BYTES, GrewError, hash_file, seal
from agent.quarantine.journal import CaptureJournal
from agent.quarantine.staging import Staging, StagingFolder
from agent.quarantine.steps import AfterStep, Step
from agent.quarantine.unrecorded import is_there, rename_to_free_name

_CHANGED = "it is not the file that was scanned any more"


class Captures:
    """Takes files into one vault."""

    def __init__(
        self,
        folder: VaultFolder,
        staging: Staging,
        journal: CaptureJournal,
        randomness: Randomness,
        stop: StopProcesses,
        after: AfterStep,
    ) -> None:
        self._stop = stop
        self._folder = folder
        self._staging = staging
        self._journal = journal
        self._randomness = randomness
        self._after = after

    def take(self, vault: int, entry: QuarantineEntry) -> QuarantineEntry:
        """Take a file from its place, or go on taking it, from whatever state its row is in.

        Args:
            vault: The vault's folder, held by `VaultFolder.in_use` or `to_ourselves`.
            entry: Its row; PLANNED and without staging place: not written yet.

        Returns:
            The final row, DONE or FAILED.

        Raises:
            BucklerError: The database or the vault's key cannot be used; what has been done is resumed later.
        """
        try:
            return self._go_on(vault, entry) if entry.staged_path else self._move(vault, entry)
        except OSError as error:
            reason = not_taken(error)
        except NotTakenError as error:
            reason = error
        final = self._journal.failed(entry, reason)
        self._after(entry.id, Step.FINISHED)
        return final

    def _go_on(self, vault: int, entry: QuarantineEntry) -> QuarantineEntry:
        """What a crash left; the row says how far it had come at least."""
        with ExitStack() as stack:
            try:
                staging = stack.enter_context(
                    self._staging.opened(self._staging.place_from(entry.staged_path), make=False)
                )
            except OSError as error:
                if entry.state is not CaptureState.PLANNED:
                    raise StagingOutOfReachError(entry.staged_path) from error
            else:
                if entry.state is CaptureState.STORED:
                    return self._remove_original(entry, staging)
                if is_there(PlaceOfFile(staging, entry.id)):
                    return self._finish(vault, entry, staging)
        if entry.state is CaptureState.CAPTURED:
            raise NotTakenError(CaptureFailure.CHANGED, f"{_CHANGED}, and was put back")
        return self._move(vault, entry)

    # ------------------------------------------------------------ out of its place

    def _move(self, vault: int, entry: QuarantineEntry) -> QuarantineEntry:
        """Check the file, rename it into a staging folder of its mount, and go on from there."""
        with place_of(entry.original_path) as place:
            descriptor = open_regular(place)
            try:
                _check_content(descriptor, entry)
                # A resumed capture keeps what it wrote down first: it may have lifted flags since.
                metadata = entry.metadata if entry.staged_path else _metadata_of(descriptor)
                return self._move_on_mount(vault, entry, metadata, place, descriptor)
            finally:
                os.close(descriptor)

    def _move_on_mount(
        self, vault: int, entry: QuarantineEntry, metadata: FileMetadata, place: PlaceOfFile, descriptor: int
    ) -> QuarantineEntry:
        refusal = OSError(errno.EACCES, os.strerror(errno.EACCES))
        folder_path = split_path(entry.original_path)[0]
        for folder in self._staging.places_for(folder_path, entry.id, folder=place.folder, vault=vault):
            with ExitStack() as stack:
                try:
                    staging = stack.enter_context(self._staging.opened(folder, make=True))
                except OSError as error:
                    refusal = error
                    continue
                noted = self._note_way_back(entry, metadata, folder, staging)
                if not noted:
                    entry = self._plan(entry, metadata, folder)
                self._after(entry.id, Step.PLANNED)
                try:
                    with _unpinned(descriptor, metadata.inode_flags):
                        rename_without_overwriting(place, PlaceOfFile(staging, entry.id))
                except OSError as error:
                    way_back.forget(staging, entry.id)
                    if error.errno != errno.EXDEV:
                        raise
                    # A border within the mount, of a project quota say: a folder closer to the file will do.
                    refusal = error
                    continue
                self._staging.has_served(folder)
                if noted:
                    # Not before the move, which is what somebody waits for.
                    entry = replace(entry, metadata=metadata, staged_path=f"{folder.path}/{entry.id}")
                return self._finish(vault, entry, staging, place)
        raise refusal

    def _note_way_back(
        self, entry: QuarantineEntry, metadata: FileMetadata, folder: StagingFolder, staging: int
    ) -> bool:
        """Make sure by a note that a crash cannot lose where the file belongs; False: that takes a row."""
        has_row = bool(entry.staged_path)
        will_do = not has_row and not metadata.inode_flags and self._staging.is_registered(folder)
        return will_do and way_back.note(staging, entry.id, entry.original_path)

    def _plan(self, entry: QuarantineEntry, metadata: FileMetadata, folder: StagingFolder) -> QuarantineEntry:
        """The same by a row that is on the disk."""
        planned = self._journal.plan(replace(entry, metadata=metadata), folder.path, for_once=folder.once)
        self._staging.register(folder)
        return planned

    # ------------------------------------------------------------ into the vault

    def _finish(
        self, vault: int, entry: QuarantineEntry, staging: int, place: PlaceOfFile | None = None
    ) -> QuarantineEntry:
        """Check what was moved, seal it, remove the original; or put it back where it was.

        The staging folder, and the file's own one unless a crash came between, stay open from the move to the end:
        who owns the folders above them may rename them, and changes nothing by that.
        """
        staged = PlaceOfFile(staging, entry.id)
        try:
            sync(staging)
            if place is not None:
                sync(place.folder)
                self._after(entry.id, Step.MOVED)
            entry = self._seal_staged(vault, entry, staged)
        except OSError as error:
            raise self._put_back(entry, staged, place, not_taken(error)) from error
        except NotTakenError as error:
            raise self._put_back(entry, staged, place, error) from error
        except BucklerError:
            if way_back.is_noted(staging, entry.id):
                # Without a row nothing has been done, and so it shall look.
                self._put_back(entry, staged, place, NotTakenError(CaptureFailure.INPUT_OUTPUT, "there is no row"))
            raise
        return self._remove_original(entry, staging)

    def _seal_staged(self, vault: int, entry: QuarantineEntry, staged: PlaceOfFile) -> QuarantineEntry:
        descriptor = open_regular(staged)
        try:
            _check_inode(os.fstat(descriptor), entry.identity)
            if entry.state is CaptureState.PLANNED:
                entry = self._journal.captured(entry)
                way_back.forget(staged.folder, entry.id)
                self._after(entry.id, Step.CAPTURED)
            with new_sealed_file(vault, entry.id) as target:
                self._seal_into(target, vault, descriptor, entry)
        finally:
            os.close(descriptor)
        self._after(entry.id, Step.SEALED)
        entry = self._journal.advance(entry, CaptureState.STORED)
        self._after(entry.id, Step.STORED)
        return entry

    def _seal_into(self, target: int, vault: int, source: int, entry: QuarantineEntry) -> None:
        try:
            contents = seal(
                source,
                target,
                vault_key=self._folder.key(vault),
                entry_id=entry.id,
                salt=self._randomness.token_bytes(SALT_BYTES),
                expected_bytes=entry.identity.size_bytes,
            )
        except GrewError:
            raise NotTakenError(CaptureFailure.CHANGED, _CHANGED) from None
        if contents.size_bytes != entry.identity.size_bytes or entry.sha256 not in {"", contents.sha256}:
            raise NotTakenError(CaptureFailure.CHANGED, _CHANGED)

    def _remove_original(self, entry: QuarantineEntry, staging: int) -> QuarantineEntry:
        """Also end what runs from the file, if policy asks for it."""
        # Before the row is final: a crash in between is resumed by looking for processes again.
        stopped = _about_processes(self._stop(entry.identity, entry.original_path))
        left = ""
        try:
            with suppress(FileNotFoundError):
                os.unlink(entry.id, dir_fd=staging)
            sync(staging)
        except OSError as error:
            # The sealed copy is durable: the capture has succeeded, and its owner is told what is left.
            left = f"the original could not be removed from {entry.staged_path!r} ({error.strerror})"
        self._after(entry.id, Step.REMOVED)
        final = self._journal.done(entry, remark=stopped, left=left)
        self._after(entry.id, Step.FINISHED)
        return final

    def _put_back(
        self, entry: QuarantineEntry, staged: PlaceOfFile, place: PlaceOfFile | None, reason: NotTakenError
    ) -> NotTakenError:
        """Give a name back to what was moved; returns the reason, with what became of it."""
        with ExitStack() as stack:
            try:
                home = place or stack.enter_context(place_of(entry.original_path))
                name = rename_to_free_name(staged, home, entry.id)
            except OSError as error:
                left = f"could not be put back ({error.strerror}) and is kept as {entry.staged_path!r}"
                return NotTakenError(reason.failure, f"{reason.sentence}; it {left}", left_as=entry.staged_path)
            # It is back. A disk that fails now, or something else under this name, does not change that.
            with suppress(OSError):
                _pin_again(PlaceOfFile(home.folder, name), entry)
                sync(home.folder)
                sync(staged.folder)
        way_back.forget(staged.folder, entry.id)
        self._after(entry.id, Step.RETURNED)
        if name != split_path(entry.original_path)[1]:
            return NotTakenError(reason.failure, f"{reason.sentence}; its name was taken, it was put back as {name!r}")
        return reason


class StagingOutOfReachError(Exception):
    """A file waits where we cannot look now, on a medium that was taken out say; its row stays as it is."""


def _check_content(descriptor: int, entry: QuarantineEntry) -> None:
    """The cheap proof if it suffices, the digest if only the times differ."""
    found, scanned = os.fstat(descriptor), entry.identity
    _check_inode(found, scanned)
    if (found.st_mtime_ns, found.st_ctime_ns) == (scanned.mtime_ns, scanned.ctime_ns):
        return
    try:
        same = bool(entry.sha256) and hash_file(descriptor, scanned.size_bytes).sha256 == entry.sha256
    except GrewError:
        same = False
    if not same:
        raise NotTakenError(CaptureFailure.CHANGED, _CHANGED)


def _check_inode(found: os.stat_result, scanned: FileIdentity) -> None:
    if (found.st_dev, found.st_ino, found.st_size) != (scanned.device, scanned.inode, scanned.size_bytes):
        raise NotTakenError(CaptureFailure.CHANGED, _CHANGED)


def _about_processes(stopped: tuple[StoppedProcess, ...]) -> str:
    """What the owner should know about the processes that ran the file; empty: none did, or none was looked for."""
    if not stopped:
        return ""
    return "processes started from it: " + ", ".join(f"{one.name} ({one.pid}) {one.end.value}" for one in stopped)


def _metadata_of(descriptor: int) -> FileMetadata:
    found = os.fstat(descriptor)
    return FileMetadata(
        mode=stat.S_IMODE(found.st_mode),
        owner_uid=found.st_uid,
        owner_gid=found.st_gid,
        accessed_ns=found.st_atime_ns,
        modified_ns=found.st_mtime_ns,
        xattrs=read_xattrs(descriptor),
        inode_flags=read_inode_flags(descriptor) & PINNING_FLAGS,
        links=found.st_nlink,
    )


@contextmanager
def _unpinned(descriptor: int, flags: int) -> Iterator[None]:
    """Lift the flags that keep a file in its place; they come back if the block fails."""
    if not flags:
        yield
        return
    before = read_inode_flags(descriptor)
    write_inode_flags(descriptor, before & ~flags)
    try:
        yield
    except BaseException:
        write_inode_flags(descriptor, before)
        raise


def _pin_again(place: PlaceOfFile, entry: QuarantineEntry) -> None:
    if not entry.metadata.inode_flags:
        return
    descriptor = open_regular(place)
    try:
        if os.fstat(descriptor).st_ino == entry.identity.inode:
            write_inode_flags(descriptor, read_inode_flags(descriptor) | entry.metadata.inode_flags)
    finally:
        os.close(descriptor)
