"""Reads containers with libarchive, from memory, one format at a time.

Formats are enabled by name: `all` would include ones that read other files by themselves (mtree) or start programs
(lrzip). The library is optional; without it what needs it is `no_unpacker`.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.domain.facts import Incomplete
from agent.scanner.containers.budget import CHUNK, Meter
from agent.scanner.containers.family import ContainerError, Content, Member

_LINUX_LIBRARY = "libarchive.so.13"
_FILE_TYPE = 0o170000
#: What ends a cpio archive, its last header with the name, is never longer than this; more is an entry that was
#: stepped over. In the portable format of POSIX it is shorter than in the others with digits.
_LONGEST_END, _LONGEST_PORTABLE_END, _PORTABLE = 124, 88, b"070707"
#: A regular file, or no type at all.
_FILES = (0o100000, 0)


def load() -> Any:
    """The library; None if this machine does not have it. Call once before files are forbidden: it is kept."""
    global _ffi, _loaded  # noqa: PLW0603 -- a shared library is loaded once per process, whoever asks
    if not _loaded:
        _loaded = True
        with contextlib.suppress(ImportError, OSError, TypeError, AttributeError):
            _name_the_library()
            from libarchive import ffi

            ffi.ffi("entry_is_encrypted", [ffi.c_archive_entry_p], ctypes.c_int)
            ffi.ffi("read_has_encrypted_entries", [ffi.c_archive_p], ctypes.c_int)
            ffi.ffi("read_header_position", [ffi.c_archive_p], ctypes.c_int64)
            ffi.ffi("filter_bytes", [ffi.c_archive_p, ctypes.c_int], ctypes.c_int64)
            _ffi = ffi
    return _ffi


_ffi: Any = None
_loaded = False


def _name_the_library() -> None:
    """Spare libarchive-c its search, which starts ldconfig and a compiler."""
    with contextlib.suppress(OSError):
        ctypes.CDLL(_LINUX_LIBRARY)
        os.environ.setdefault("LIBARCHIVE", _LINUX_LIBRARY)


def members(
    content: Content, meter: Meter, *, formats: tuple[str, ...], filters: tuple[str, ...] = ("none",), name: str = ""
) -> Iterator[Member]:
    """Members of a container in the order libarchive finds them.

    Args:
        content: The container.
        meter: Enforces the limits.
        formats: libarchive's names.
        filters: libarchive's names of compressions around the format.
        name: Name of the only member, for formats that do not name it.

    Raises:
        ContainerError: `no_unpacker`, `encrypted` or `damaged`.
    """
    ffi = load()
    if ffi is None:
        raise ContainerError("no_unpacker")
    buffer = ctypes.create_string_buffer(CHUNK)
    lost = Member(content.name, None, Incomplete("damaged"))
    with _opened(ffi, content.data, formats, filters) as archive:
        while True:
            entry = ffi.entry_new()
            try:
                status = _next_header(ffi, archive, entry)
                if status == ffi.ARCHIVE_EOF:
                    longest_end = _LONGEST_PORTABLE_END if content.data.startswith(_PORTABLE) else _LONGEST_END
                    if "cpio" in formats and _end_size(ffi, archive) > longest_end:
                        yield lost
                    return
                if status == ffi.ARCHIVE_WARN and (ffi.error_string(archive) or b"").startswith(b"Skipped"):
                    # It lost its way and found a header further on; what lay between is unknown.
                    yield lost
                yield _read(ffi, archive, entry, meter, buffer, name)
            finally:
                ffi.entry_free(entry)


@contextmanager
def _opened(ffi: Any, data: bytes, formats: tuple[str, ...], filters: tuple[str, ...]) -> Iterator[Any]:
    archive = ffi.read_new()
    try:
        try:
            for filter_name in filters:
                ffi.get_read_filter_function(filter_name)(archive)
            for format_name in formats:
                ffi.get_read_format_function(format_name)(archive)
        except ValueError as error:
            raise ContainerError("no_unpacker") from error
        try:
            # `data` outlives the archive: the caller's content holds it.
            ffi.read_open_memory(archive, ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data))
        except ffi.ArchiveError as error:
            raise _translated(error) from error
        if "raw" in formats and ffi.filter_count(archive) <= 1:
            # No filter took it: `raw` would hand the container itself out as its member.
            raise ContainerError("damaged")
        yield archive
    finally:
        with contextlib.suppress(ffi.ArchiveError):
            ffi.read_free(archive)


def _next_header(ffi: Any, archive: Any, entry: Any) -> int:
    try:
        return int(ffi.read_next_header2(archive, entry))
    except ffi.ArchiveError as error:
        raise _translated(error, encrypted=ffi.read_has_encrypted_entries(archive) > 0) from error


def _end_size(ffi: Any, archive: Any) -> int:
    """Bytes from where the last header should have begun to where reading ended; libarchive hides a detour there."""
    return int(ffi.filter_bytes(archive, 0) - ffi.read_header_position(archive))


def _translated(error: Exception, *, encrypted: bool = False) -> ContainerError:
    """What an error means.

    Whether anything is encrypted may be asked of an opened archive only: libarchive 3.6 reads behind the end of its
    table of formats if opening failed.
    """
    text = str(error).lower()
    if encrypted or "encrypt" in text or "passphrase" in text:
        return ContainerError("encrypted")
    if "allocate" in text or "out of memory" in text:
        raise MemoryError(text) from error
    # What libarchive knows by name but cannot unpack in this build.
    if "unsupported" in text or "not supported" in text:
        return ContainerError("no_unpacker")
    return ContainerError("damaged")


def _read(ffi: Any, archive: Any, entry: Any, meter: Meter, buffer: Any, name: str) -> Member:
    raw = ffi.entry_pathname(entry)
    label = name or _decoded(raw) or ffi.entry_pathname_w(entry) or "?"
    if ffi.entry_is_encrypted(entry) > 0:
        return Member(label, None, Incomplete("encrypted"))
    problem: list[str] = []

    def read(size: int) -> bytes:
        try:
            count = ffi.read_data(archive, buffer, min(size, CHUNK))
        except ffi.ArchiveError as error:
            encrypted = ffi.read_has_encrypted_entries(archive) > 0
            problem.append(_translated(error, encrypted=encrypted).reason)
            raise
        if count < 0:
            raise EOFError("the member is damaged, says libarchive")
        return ctypes.string_at(buffer, count)

    data, incomplete = meter.read_all(read)
    # What an entry says it is is up to who wrote it: a link or a nothing that has content is unpacked as a file.
    if not data and ffi.entry_filetype(entry) & _FILE_TYPE not in _FILES:
        return Member(label, None)
    if incomplete is not None and problem:
        incomplete = Incomplete(problem[0])
    return Member(label, data, incomplete)


def _decoded(raw: bytes | None) -> str:
    return raw.decode("utf-8", "surrogateescape") if raw else ""
