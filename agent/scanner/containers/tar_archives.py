"""Tar in all dialects: v7, ustar, GNU, pax, sparse members."""

import io
import tarfile
from collections.abc import Iterator

from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Family, Member

_BLOCK = tarfile.BLOCKSIZE
_MAGIC_AT, _MAGIC = 257, b"ustar"
_CHECKSUM = slice(148, 156)
_NO_BLOCK = bytes(_BLOCK)


def recognise(data: bytes) -> bool:
    """By the magic of ustar, or, for v7, by a header whose checksum is right."""
    if len(data) < _BLOCK:
        return False
    if data.startswith(_MAGIC, _MAGIC_AT):
        return True
    return _is_header(data[:_BLOCK])


def members(content: Content, meter: Meter) -> Iterator[Member]:
    """Members in order; an archive that was appended to another one (`tar --ignore-zeros` reads those) included."""
    start = 0
    while start < len(content.data):
        with tarfile.open(fileobj=io.BytesIO(content.data[start:] if start else content.data), mode="r:") as archive:
            while (entry := archive.next()) is not None:
                # tarfile keeps every header it has seen; none of them is needed again.
                archive.members = []  # type: ignore[attr-defined] # typeshed does not list it
                yield _read(archive, entry, meter)
            end = start + archive.offset
        start = _next_archive(content.data, end)


def _read(archive: tarfile.TarFile, entry: tarfile.TarInfo, meter: Meter) -> Member:
    # Not `isreg`: an entry of a type nobody knows is unpacked as a file by every tool.
    if entry.isdir() or entry.issym() or entry.islnk() or entry.isdev():
        return Member(entry.name, None)
    stream = archive.extractfile(entry)
    assert stream is not None, "only links have no stream"
    data, problem = meter.read_all(stream.read)
    return Member(entry.name, data, problem)


def _next_archive(data: bytes, end: int) -> int:
    """Where the next archive starts, after the zero blocks that end this one; the length of the data: nowhere.

    Raises:
        ContainerError: This one did not end, it broke off.
    """
    block = data[end : end + _BLOCK]
    if block and block != _NO_BLOCK[: len(block)]:
        raise ContainerError("damaged")
    while block := data[end : end + _BLOCK]:
        if block != _NO_BLOCK[: len(block)]:
            return end if _is_header(block) else len(data)
        end += _BLOCK
    return len(data)


def _is_header(block: bytes) -> bool:
    field = block[_CHECKSUM].rstrip(b" \0").lstrip(b" ")
    if len(block) < _BLOCK or not field or field.strip(b"01234567"):
        return False
    return int(field, 8) == sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")


FAMILY = Family("tar", recognise, members)
