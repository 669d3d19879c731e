"""Giving a file back, and destroying one. Blocking; runs in a thread.

A restore writes into a temporary file in the destination's folder, gives it its owner, attributes, mode and times,
and moves it to its name without overwriting. The row names the destination, and the exclusion exists, before any of
this; the sealed file goes last. So a crash leaves either the file in the vault (the temporary file is removed) or the
file in its place, finished as RESTORED. The sealed file itself is the lock of its entry, between processes too.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.quarantine import (
    CaptureState,
    FileMetadata,
    QuarantineEntry,
    RestoreReceipt,
    quarantine_unknown,
)
from agent.platform.files.secure_files import (
    PlaceOfFile,
    open_regular,
    place_of,
    read_inode_flags,
    rename_without_overwriting,
    split_path,
    sync,
    write_inode_flags,
    write_xattrs,
)
from agent.quarantine.folder import VaultFolder, open_sealed_file, remove_sealed_file
from agent.quarantine.inert import Contents, DamagedSealError, GrewError, hash_file, unseal
from agent.quarantine.journal import CaptureJournal, shown
from agent.quarantine.steps import AfterStep, Step

_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class Restores:
    """Gives files back from one vault."""

    def __init__(self, folder: VaultFolder, journal: CaptureJournal, after: AfterStep) -> None:
        self._folder = folder
        self._journal = journal
        self._after = after

    def restore(self, vault: int, entry_id: str, destination: str | None, *, allow: bool) -> RestoreReceipt:
        """Bring a file back; see the port.

        Raises:
            BucklerError: `QUARANTINE_UNKNOWN`, `QUARANTINE_NOT_HELD`, `QUARANTINE_BUSY`, `RESTORE_WOULD_OVERWRITE`,
                `RESTORE_NO_FOLDER`, `RESTORE_NOT_PERMITTED`, `RESTORE_FAILED`, `VAULT_DAMAGED`; the file is still
                in the vault then.
        """
        with self._held(vault, entry_id) as (held, sealed):
            # A restore that a crash interrupted comes first; it may turn out to have succeeded.
            entry = self._settle(vault, held) if held.restore_path else held
            _check_held(entry)
            path = _destination_path(entry, destination)
            try:
                exclusion_id = self._restore_to(path, vault, entry, sealed, allow=allow)
            except DamagedSealError as error:
                self._journal.cancel_restore(entry)
                raise _vault_damaged(entry, str(error)) from error
            except OSError as error:
                self._journal.cancel_restore(entry)
                raise _explain(error, path) from error
            self._finish(vault, replace(entry, restore_path=path))
            return RestoreReceipt(path, exclusion_id)

    def delete(self, vault: int, entry_id: str, actor: str, why: str = "") -> None:
        """Destroy a quarantined file; the row stays as DELETED.

        Args:
            vault: The vault's folder.
            entry_id: Which.
            actor: Who wants it gone, for its history.
            why: For its history.

        Raises:
            BucklerError: `QUARANTINE_UNKNOWN`, `QUARANTINE_NOT_HELD`, `QUARANTINE_BUSY`.
        """
        entry = self._entry(entry_id)
        _check_held(entry)
        with suppress(FileNotFoundError):
            with self._locked(vault, entry):
                self._delete(vault, entry, actor, why)
            return
        # Somebody removed the sealed file by hand: there is nothing left to destroy, and the row should say so.
        self._delete(vault, entry, actor, why)

    def settle(self, vault: int, entry_id: str) -> None:
        """Finish or undo a restore that a crash interrupted; one that is under way is left alone.

        Raises:
            BucklerError: The database cannot be used.
        """
        try:
            with self._held(vault, entry_id) as (entry, _):
                if entry.restore_path:
                    self._settle(vault, entry)
        except BucklerError as error:
            if error.code not in {"QUARANTINE_BUSY", "QUARANTINE_NOT_HELD", "VAULT_DAMAGED"}:
                raise

    # ------------------------------------------------------------ steps

    def _restore_to(self, path: str, vault: int, entry: QuarantineEntry, sealed: int, *, allow: bool) -> str:
        key, digest = self._folder.key(vault), entry.sha256
        if allow and not digest:
            digest = unseal(sealed, None, vault_key=key, entry_id=entry.id).sha256
        with place_of(path) as place:
            if _is_taken(place):
                raise FileExistsError(errno.EEXIST, "the name is taken", path)
            exclusion_id = self._journal.plan_restore(entry, path, digest if allow else "")
            self._after(entry.id, Step.RESTORE_PLANNED)
            temporary = PlaceOfFile(place.folder, _temporary_name(entry))
            descriptor = os.open(temporary.name, _NEW_FILE, 0o600, dir_fd=place.folder)
            try:
                _check_contents(unseal(sealed, descriptor, vault_key=key, entry_id=entry.id), entry)
                _give_metadata(descriptor, entry.metadata)
                sync(descriptor)
                self._after(entry.id, Step.RESTORE_WRITTEN)
                self._give_name(descriptor, temporary, place, entry)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary.name, dir_fd=place.folder)
                raise
            finally:
                os.close(descriptor)
        return exclusion_id

    def _give_name(self, descriptor: int, temporary: PlaceOfFile, place: PlaceOfFile, entry: QuarantineEntry) -> None:
        rename_without_overwriting(temporary, place)
        named = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
        if not os.path.samestat(os.fstat(descriptor), named):
            raise OSError(errno.ESTALE, "somebody exchanged the file while it was being restored", place.name)
        if entry.metadata.inode_flags:
            # A destination on a file system without such flags is no reason to keep the file in the vault.
            with suppress(OSError):
                write_inode_flags(descriptor, read_inode_flags(descriptor) | entry.metadata.inode_flags)
        sync(place.folder)
        self._after(entry.id, Step.RESTORE_PLACED)

    def _finish(self, vault: int, entry: QuarantineEntry) -> None:
        self._journal.restored(entry)
        self._after(entry.id, Step.RESTORED)
        remove_sealed_file(vault, entry.id)

    def _delete(self, vault: int, entry: QuarantineEntry, actor: str, why: str) -> None:
        self._journal.deleted(entry, actor, why)
        remove_sealed_file(vault, entry.id)

    def _settle(self, vault: int, entry: QuarantineEntry) -> QuarantineEntry:
        if _arrived(entry):
            self._finish(vault, entry)
        else:
            self._journal.cancel_restore(entry)
        return self._entry(entry.id)

    # ------------------------------------------------------------ entries

    @contextmanager
    def _held(self, vault: int, entry_id: str) -> Iterator[tuple[QuarantineEntry, int]]:
        """The entry and its sealed file, which nobody else restores or destroys during the block."""
        entry = self._entry(entry_id)
        _check_held(entry)
        try:
            with self._locked(vault, entry) as (locked, sealed):
                yield locked, sealed
        except FileNotFoundError as error:
            raise _vault_damaged(entry, "its sealed file is gone") from error

    @contextmanager
    def _locked(self, vault: int, entry: QuarantineEntry) -> Iterator[tuple[QuarantineEntry, int]]:
        sealed = open_sealed_file(vault, entry.id)
        try:
            try:
                fcntl.flock(sealed, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _error(
                    "QUARANTINE_BUSY", f"{entry.id} is being restored or deleted already", "try again in a moment"
                ) from error
            # The row as it is now that nobody else can change it.
            current = self._entry(entry.id)
            _check_held(current)
            yield current, sealed
        finally:
            os.close(sealed)

    def _entry(self, entry_id: str) -> QuarantineEntry:
        entry = self._journal.get(entry_id)
        if entry is None:
            raise quarantine_unknown(entry_id)
        return entry


def _arrived(entry: QuarantineEntry) -> bool:
    """Whether an interrupted restore had come to its end; what it left half-way is removed."""
    try:
        with place_of(entry.restore_path) as place:
            try:
                os.unlink(_temporary_name(entry), dir_fd=place.folder)
            except FileNotFoundError:
                pass
            else:
                sync(place.folder)
                return False
            descriptor = open_regular(place)
            try:
                return _is_restored_file(descriptor, entry)
            finally:
                os.close(descriptor)
    except OSError:
        return False


def _is_restored_file(descriptor: int, entry: QuarantineEntry) -> bool:
    found = os.fstat(descriptor)
    if (found.st_size, found.st_mtime_ns) != (entry.identity.size_bytes, entry.metadata.modified_ns):
        return False
    try:
        return entry.sha256 in {"", hash_file(descriptor, found.st_size).sha256}
    except GrewError:
        return False


def _give_metadata(descriptor: int, metadata: FileMetadata) -> None:
    """In the order in which none undoes another: a new owner clears setuid and capabilities, an ACL sets mode bits."""
    found = os.fstat(descriptor)
    if (found.st_uid, found.st_gid) != (metadata.owner_uid, metadata.owner_gid):
        os.fchown(descriptor, metadata.owner_uid, metadata.owner_gid)
    write_xattrs(descriptor, metadata.xattrs)
    os.fchmod(descriptor, metadata.mode)
    os.utime(descriptor, ns=(metadata.accessed_ns, metadata.modified_ns))


def _temporary_name(entry: QuarantineEntry) -> str:
    """Found again after a crash, and guessed by nobody: the id is 64 random bits."""
    return f".{entry.id}.restoring"


def _destination_path(entry: QuarantineEntry, destination: str | None) -> str:
    """Where the file goes: its place, a new name, or its old name in another folder."""
    if not destination:
        return entry.original_path
    trimmed = destination.rstrip("/") or "/"
    try:
        with place_of(f"{trimmed}/{split_path(entry.original_path)[1]}") as place:
            return f"{trimmed}/{place.name}"
    except OSError:
        return trimmed


def _is_taken(place: PlaceOfFile) -> bool:
    try:
        os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _check_contents(contents: Contents, entry: QuarantineEntry) -> None:
    if entry.sha256 not in {"", contents.sha256}:
        raise DamagedSealError("its content is not what the journal says")


def _check_held(entry: QuarantineEntry) -> None:
    if entry.state is not CaptureState.DONE:
        raise _error(
            "QUARANTINE_NOT_HELD",
            f"the vault does not hold the file of {entry.id}: it is {entry.state.value}",
            "list what it holds: buckler quarantine list",
        )


def _explain(error: OSError, path: str) -> BucklerError:
    if isinstance(error, FileExistsError):
        return _would_overwrite(path)
    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL}:
        return _error(
            "RESTORE_NO_FOLDER",
            f"the folder of {shown(path)} cannot be reached without following a symbolic link",
            "make the folder, or give an absolute path of another one with --to",
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.EOPNOTSUPP}:
        return _error(
            "RESTORE_NOT_PERMITTED",
            f"{shown(path)} cannot be given back with its owner and attributes: {error.strerror}",
            "run the command as root, or give a destination on another file system with --to",
            ExitStatus.ENVIRONMENT,
        )
    return _error(
        "RESTORE_FAILED",
        f"{shown(path)} could not be written: {error.strerror}",
        "make room or give another destination with --to; the file is still in the vault",
        ExitStatus.ENVIRONMENT,
    )


def _would_overwrite(path: str) -> BucklerError:
    return _error(
        "RESTORE_WOULD_OVERWRITE",
        f"there is something at {shown(path)} already",
        "move it away, or give another destination with --to",
    )


def _vault_damaged(entry: QuarantineEntry, reason: str) -> BucklerError:
    return _error(
        "VAULT_DAMAGED",
        f"the sealed file of {entry.id} cannot be given back: {reason}",
        "bring the vault's folder back from a backup, or give the entry up: buckler quarantine delete",
        ExitStatus.ENVIRONMENT,
    )


def _error(code: str, message: str, next_step: str, status: ExitStatus = ExitStatus.NEGATIVE) -> BucklerError:
    return BucklerError(code, message, next_step=next_step, exit_status=status)
