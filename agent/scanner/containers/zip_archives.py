"""Zip and everything that is a zip inside: jar, apk, docx, xlsx, odt, whl; also behind a foreign beginning (SFX)."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from agent.domain.facts import Incomplete
from agent.scanner.containers import libarchive_reader
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import Content, Family, Member

_LOCAL_HEADER = b"PK\x03\x04"
_CENTRAL_HEADER = b"PK\x01\x02"
_SPANNED = b"PK\x07\x08PK\x03\x04"
_END_OF_DIRECTORY = b"PK\x05\x06"
_END = struct.Struct("<4s4H2LH")
#: The end record is followed by a comment of at most 65,535 bytes.
_LONGEST_TAIL = _END.size + 0xFFFF
_IN_ZIP64, _IN_ZIP64_COUNT = 0xFFFF_FFFF, 0xFFFF
#: Of a local header only the lengths of its name and its extra field.
_LOCAL = struct.Struct("<26x2H")
_ZIP64_LOCATOR, _ZIP64_LOCATOR_SIZE = b"PK\x06\x07", 20
_FLAG_ENCRYPTED = 1
#: zipfile makes an object of some 600 bytes for every entry before the first can be read; beyond this many the
#: archive is streamed instead.
_MAX_LISTED = 100_000


def recognise(data: bytes) -> bool:
    """By its first bytes, or by an end record that really points to a directory."""
    return data.startswith((_LOCAL_HEADER, _SPANNED)) or _directory_start(data) is not None


def members(content: Content, meter: Meter) -> Iterator[Member]:
    """Members in the order of the directory; streamed from the front where there is no usable directory."""
    listed = content.data.count(_CENTRAL_HEADER, _directory_start(content.data) or 0)
    if listed > _MAX_LISTED:
        streamed = 0
        for member in _stream(content, meter):
            streamed += 1
            yield member
        if streamed < listed:
            yield Member(content.name, None, Incomplete("damaged"))
        return
    try:
        archive = zipfile.ZipFile(io.BytesIO(content.data))
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, struct.error, OverflowError, NotImplementedError, UnicodeError):
        yield from _stream(content, meter)
        # Cut off or bent: what could be had was had, what the directory would have named is unknown.
        yield Member(content.name, None, Incomplete("damaged"))
        return
    with archive:
        for entry in entries:
            yield _read(archive, entry, meter)
    for start, end in _gaps(content.data, entries, archive.start_dir):
        # What the directory keeps quiet about is unpacked by tools that read from the front.
        yield from _stream(Content(content.data[start:end], content.trail), meter)
    if _announced(content.data) not in {len(entries) & _IN_ZIP64_COUNT, _IN_ZIP64_COUNT}:
        yield Member(content.name, None, Incomplete("damaged"))


def _gaps(data: bytes, entries: list[zipfile.ZipInfo], directory: int) -> Iterator[tuple[int, int]]:
    """Where local headers stand outside of all entries, up to the next entry or the directory."""
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    # A program in front may well have the four bytes in its code.
    at = 0 if data.startswith(_LOCAL_HEADER) or not ordered else ordered[0].header_offset
    for entry in ordered:
        if (hidden := data.find(_LOCAL_HEADER, at, entry.header_offset)) >= 0:
            yield hidden, entry.header_offset
        at = max(at, _end_of(entry, data))
    if (hidden := data.find(_LOCAL_HEADER, at, directory)) >= 0:
        yield hidden, directory


def _end_of(entry: zipfile.ZipInfo, data: bytes) -> int:
    header = data[entry.header_offset : entry.header_offset + _LOCAL.size]
    names = sum(_LOCAL.unpack(header)) if len(header) == _LOCAL.size else 0
    return entry.header_offset + _LOCAL.size + names + entry.compress_size


def _announced(data: bytes) -> int:
    """How many entries the directory should have."""
    at = data.rfind(_END_OF_DIRECTORY, max(0, len(data) - _LONGEST_TAIL))
    return int(_END.unpack_from(data, at)[4]) if 0 <= at <= len(data) - _END.size else _IN_ZIP64_COUNT


def _stream(content: Content, meter: Meter) -> Iterator[Member]:
    yield from libarchive_reader.members(content, meter, formats=("zip_streamable",))


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, meter: Meter) -> Member:
    name = entry.filename
    if entry.is_dir() and entry.file_size == 0:
        return Member(name, None)
    if entry.flag_bits & _FLAG_ENCRYPTED:
        return Member(name, None, Incomplete("encrypted"))
    expected_checksum = entry.CRC
    # zipfile keeps back the last piece of a member whose checksum is wrong; without one it gives all there is.
    entry.CRC = None  # type: ignore[assignment]
    try:
        stream = archive.open(entry)
    except NotImplementedError:
        return Member(name, None, Incomplete("no_unpacker"))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- supervision point: one bent member must not hide the others
        return Member(name, None, Incomplete("damaged"))
    with stream:
        data, problem = meter.read_all(stream.read)
    if data is not None and (len(data) != entry.file_size or zlib.crc32(data) != expected_checksum):
        problem = problem or Incomplete("damaged")
    return Member(name, data, problem)


def _directory_start(data: bytes) -> int | None:
    """Where the central directory begins, if an end record says so and is right."""
    at = data.rfind(_END_OF_DIRECTORY, max(0, len(data) - _LONGEST_TAIL))
    if at < 0 or at + _END.size > len(data):
        return None
    size, offset = _END.unpack_from(data, at)[5:7]
    if _IN_ZIP64 in {offset, size}:
        return at if data.startswith(_ZIP64_LOCATOR, at - _ZIP64_LOCATOR_SIZE) else None
    # Offsets count from the start of the zip, which may stand behind a program or a picture.
    start = at - size
    return start if size and start >= 0 and data.startswith(_CENTRAL_HEADER, start) else None


FAMILY = Family("zip", recognise, members)
