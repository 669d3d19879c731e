"""Where a file waits between its place and its seal.

It has to be on the file's own mount, so that taking it is one `rename`: at no time are there two copies or none. In
order of preference:

1. `<vault_dir>/staging`, when the vault is on that mount;
2. `.buckler-vault-<uid>` in the highest folder of that mount, on the file's way, in which we may make one: for root
   that is the mount's own top, for another user the top of what he owns, in the end the file's own folder;
3. in those same folders `.buckler-vault-<uid>-<entry id>`, when somebody else has taken the name of 2 to keep us out;
   removed after use, as it is of no use twice.

Each is a folder only we can enter (0700, checked after opening without following links). An attacker who owns the
folder above may rename it, but we work on its descriptor.

A place that has served is tried first for the next file of its mount below the same folder, so that in a burst the way
up to the mount's top is gone once. Nothing is taken on trust by that: it is opened and checked like any other.

Realtime protection has to leave these folders alone, and an attacker would love a folder it leaves alone: so a path
counts as ours only if it lies under a folder we have opened ourselves, and that very folder (device, inode) is still
there under this name. A folder that merely has the right name is none of ours.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from agent.platform.files.secure_files import (
    MountId,
    folders_on_mount,
    is_on_mount,
    make_private_folder,
    mount_of,
    open_folder,
    open_private_folder,
)

_IN_VAULT = "staging"


@dataclass(frozen=True, slots=True)
class StagingFolder:
    """A place to wait.

    Attributes:
        parent: The folder it is made in.
        name: Its own, there.
        mount: Whose files it was chosen for; None: read from a journal row.
        once: It is removed after use.
    """

    parent: str
    name: str
    mount: MountId | None = field(default=None, compare=False)
    once: bool = False

    @property
    def path(self) -> str:
        """Absolute."""
        return f"{self.parent.rstrip('/')}/{self.name}"


class Staging:
    """Finds, opens and remembers staging folders.

    Args:
        vault_path: The vault's folder, absolute and without links.
    """

    def __init__(self, vault_path: str) -> None:
        self._vault_path = vault_path
        self._ours: dict[str, tuple[int, int]] = {}
        self._served: dict[MountId, StagingFolder] = {}
        #: Folders that a restart will look into even if no row names them.
        self._registered = {f"{vault_path}/{_IN_VAULT}"}
        self._lock = threading.Lock()

    def places_for(self, folder_path: str, entry_id: str, *, folder: int, vault: int) -> Iterator[StagingFolder]:
        """Where a file of a folder may wait, best first; not every one of them can be opened.

        Args:
            folder_path: The folder.
            entry_id: Of the file.
            folder: A descriptor of the folder.
            vault: A descriptor of the vault's own.

        Raises:
            OSError: The folder cannot be opened without following a link.
        """
        mount = mount_of(folder)
        if is_on_mount(vault, mount):
            yield StagingFolder(self._vault_path, _IN_VAULT, mount)
        served = self._served.get(mount)
        if served is not None and f"{folder_path}/".startswith(f"{served.parent.rstrip('/')}/"):
            yield served
        shared = f".buckler-vault-{os.geteuid()}"
        candidates = folders_on_mount(folder_path)
        for parent in candidates:
            yield StagingFolder(parent, shared, mount)
        for parent in candidates:
            yield StagingFolder(parent, f"{shared}-{entry_id}", mount, once=True)

    def has_served(self, place: StagingFolder) -> None:
        """A file of its mount has been moved there."""
        if place.mount is not None and not place.once:
            self._served[place.mount] = place

    def is_registered(self, place: StagingFolder) -> bool:
        """Whether a file may wait there for a while without a row of its own."""
        return place.path in self._registered

    def register(self, place: StagingFolder) -> None:
        """The journal names this folder from now on, durably."""
        if not place.once:
            self._registered.add(place.path)

    @contextmanager
    def opened(self, place: StagingFolder, *, make: bool) -> Iterator[int]:
        """A descriptor of a staging folder, known as ours from now on.

        Args:
            place: Which.
            make: Whether to make it if it is not there.

        Raises:
            OSError: It is not there, cannot be made, or belongs to somebody else.
        """
        parent = open_folder(place.parent)
        try:
            descriptor = _open_private(parent, place.name, make=make)
            try:
                found = os.fstat(descriptor)
                with self._lock:
                    self._ours[place.path] = (found.st_dev, found.st_ino)
                yield descriptor
            finally:
                os.close(descriptor)
                if place.once:
                    self._remove(parent, place)
        finally:
            os.close(parent)

    def _remove(self, parent: int, place: StagingFolder) -> None:
        try:
            os.rmdir(place.name, dir_fd=parent)
        except OSError:
            # Not empty, or renamed by its parent's owner: it stays, and the journal row of its entry names it.
            return
        with self._lock:
            del self._ours[place.path]

    def place_from(self, staged_path: str) -> StagingFolder:
        """The staging folder a journal row names."""
        return self.place_at(staged_path.rpartition("/")[0])

    def places_at(self, registered: Iterable[str]) -> Iterator[StagingFolder]:
        """The vault's own and those that the journal names."""
        for folder in sorted({f"{self._vault_path}/{_IN_VAULT}", *registered}):
            yield self.place_at(folder)

    def place_at(self, folder: str) -> StagingFolder:
        """The staging folder of this path."""
        parent, _, name = folder.rpartition("/")
        return StagingFolder(parent or "/", name, once=name.count("-") > ".buckler-vault-0".count("-"))

    def is_vault_path(self, path: str) -> bool:
        """Whether a path lies in the vault or in a staging folder of ours; costs one `lstat` if its name says so."""
        if path == self._vault_path or path.startswith(self._vault_path + "/"):
            return True
        with self._lock:
            known = list(self._ours.items())
        for folder, identity in known:
            if path == folder or path.startswith(folder + "/"):
                with suppress(OSError):
                    found = os.lstat(folder)
                    return (found.st_dev, found.st_ino) == identity
        return False


def _open_private(parent: int, name: str, *, make: bool) -> int:
    """It is there nearly always: asking the file system to make it again would be a change that it refuses."""
    try:
        return open_private_folder(parent, name)
    except FileNotFoundError:
        if not make:
            raise
    make_private_folder(parent, name)
    return open_private_folder(parent, name)
