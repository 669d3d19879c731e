"""Keeps compiled rules between starts: `compiled-rules` in the data folder, one file for each pack and engine.

Loading compiled rules is running code, so nothing is loaded that others than us could have written: the folder and
each file must be ours alone, and are looked at through the descriptors they are read by. What is wrong with a file
costs its compiling anew and nothing else; where there can be no folder, everything is compiled each time.
"""

import hashlib
import io
import json
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from agent.platform.secure_files import make_private_folder, open_private_folder
from agent.scanner.engines.port import Engine, Matcher, Readable, RuleProblem, RuleSource
from agent.scanner.pack_notes import PackNote
from agent.scanner.parts_hash import parts_sha256

FOLDER = "compiled-rules"
#: The two largest public packs together compile to 90 MB.
MAX_BYTES = 512 * 1024 * 1024
#: Images and notes.
MAX_FILES = 32
_NOTE_SUFFIX = ".note"
_MAX_NOTE_BYTES = 1 << 20
_DIGEST_BYTES = 32
_COUNT_BYTES = 8
_PIECE = 1 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOREIGN_WRITE = stat.S_IWGRP | stat.S_IWOTH


class CachedEngine:
    """An engine that compiles nothing twice; implements `agent.scanner.engines.port.Engine`.

    Args:
        inner: Compiles what is not there.
        image_format: What images of that engine depend on beside its name and version.
        data_dir: Holds, or will hold, the folder; must be ours alone to be used.
        max_bytes: Of all files together; those that went unused longest go.
    """

    def __init__(self, inner: Engine, image_format: str, data_dir: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._inner = inner
        self._format = image_format
        self._data_dir = data_dir
        self._max_bytes = max_bytes

    @property
    def name(self) -> str:
        """The inner engine's."""
        return self._inner.name

    @property
    def version(self) -> str:
        """The inner engine's."""
        return self._inner.version

    def compile(self, sources: Sequence[RuleSource], image: IO[bytes]) -> int:
        """Write the image, from the folder if it is there; see `Engine.compile`."""
        name = self.name_of(sources)
        known = self.fetch(name, image)
        if known is not None:
            return known
        written = io.BytesIO()
        count = self._inner.compile(sources, written)
        image.write(written.getbuffer())
        content = count.to_bytes(_COUNT_BYTES, "big") + written.getvalue()
        self._keep(name, (_seal(name, content), content))
        return count

    def noted(self, listing: str) -> PackNote | None:
        """What has been noted of the pack with that listing, if its compiled rules are kept as well."""
        try:
            with _folder(self._data_dir) as folder:
                with _opened_own(folder, self._note_name(listing)) as file:
                    note = PackNote.from_json(file.read(_MAX_NOTE_BYTES))
                is_kept = stat.S_ISREG(os.stat(note.image, dir_fd=folder, follow_symlinks=False).st_mode)
        except (OSError, ValueError):
            return None
        return note if is_kept else None

    def note(self, listing: str, note: PackNote) -> None:
        """Note something of a pack under its listing."""
        self._keep(self._note_name(listing), (note.to_json(),))

    def name_of(self, sources: Sequence[RuleSource]) -> str:
        """Name of the file: everything that an image depends on, the whole text of the rules before all."""
        texts = (text for source in sources for text in (source.namespace, source.text))
        return parts_sha256((text.encode("utf-8", "surrogatepass") for text in texts), seed=self._made_by)

    def fetch(self, name: str, image: IO[bytes]) -> int | None:
        """Write a kept image and return its number of rules; None, and nothing is written: there is none."""
        begin = image.tell()
        try:
            with _folder(self._data_dir) as folder:
                with _opened_own(folder, name) as file:
                    count = _copied(file, name, image)
                if count is None:
                    image.seek(begin)
                    image.truncate()
                    os.unlink(name, dir_fd=folder)
                return count
        except OSError:
            return None

    def problem(self, source: RuleSource) -> RuleProblem | None:
        """The inner engine's word; see `Engine.problem`."""
        return self._inner.problem(source)

    def load(self, image: Readable) -> Matcher:
        """The inner engine's; see `Engine.load`."""
        return self._inner.load(image)

    @property
    def _made_by(self) -> bytes:
        return json.dumps([self._inner.name, self._inner.version, self._format]).encode()

    def _note_name(self, listing: str) -> str:
        return parts_sha256([listing.encode()], seed=self._made_by) + _NOTE_SUFFIX

    def _keep(self, name: str, pieces: Sequence[bytes]) -> None:
        new = f"new-{secrets.token_hex(8)}"
        with suppress(OSError), _folder(self._data_dir, make=True) as folder:
            try:
                with os.fdopen(os.open(new, _CREATE, 0o600, dir_fd=folder), "wb") as file:
                    file.writelines(pieces)
                os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                os.unlink(new, dir_fd=folder)
                raise
            _trim(folder, self._max_bytes)


def _seal(name: str, content: bytes) -> bytes:
    digest = hashlib.sha256(name.encode())
    digest.update(content)
    return digest.digest()


@contextmanager
def _folder(data_dir: Path, *, make: bool = False) -> Iterator[int]:
    """The folder, open.

    Raises:
        OSError: There is none, or it or the data folder is not ours alone.
    """
    above = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _is_ours_alone(os.fstat(above)):
            raise PermissionError
        if make:
            make_private_folder(above, FOLDER)
        folder = open_private_folder(above, FOLDER)
    finally:
        os.close(above)
    try:
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _opened_own(folder: int, name: str) -> Iterator[BinaryIO]:
    """A file of ours alone, open and marked as used.

    Raises:
        OSError: There is none.
    """
    with os.fdopen(os.open(name, _OPEN, dir_fd=folder), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or not _is_ours_alone(status):
            raise PermissionError
        os.utime(file.fileno())
        yield file


def _copied(file: BinaryIO, name: str, image: IO[bytes]) -> int | None:
    """Copy the image piece by piece, and return its number of rules; None: the seal does not fit what has been copied.

    The same name is in the seal: a file under another name is another pack.
    """
    seal, count = file.read(_DIGEST_BYTES), file.read(_COUNT_BYTES)
    digest = hashlib.sha256(name.encode() + count)
    while piece := file.read(_PIECE):
        digest.update(piece)
        image.write(piece)
    return int.from_bytes(count, "big") if digest.digest() == seal else None


def _is_ours_alone(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & _FOREIGN_WRITE


def _trim(folder: int, max_bytes: int) -> None:
    """Delete what went unused longest, until the rest is within the bounds; the newest stays."""
    files = [(entry.stat(follow_symlinks=False), entry.name) for entry in os.scandir(folder)]
    kept_bytes = 0
    for number, (status, name) in enumerate(sorted(files, key=lambda file: -file[0].st_mtime_ns)):
        kept_bytes += status.st_size
        if number and (kept_bytes > max_bytes or number >= MAX_FILES):
            os.unlink(name, dir_fd=folder)
