"""The records of a zip archive (PKWARE's APPNOTE 6.3.10, section 4), read without believing them.

`zipfile` is not used: it refuses an archive for one bent entry, keeps 600 bytes of every entry before the first can be
read, and knows only what the directory names. An archive that hides something differs in just these places.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

LOCAL, CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
#: A byte of it.
_NEVER_IN_TEXT = b"\x05"
_END64, _END64_LOCATOR = b"PK\x06\x06", b"PK\x06\x07"
_DESCRIPTOR = b"PK\x07\x08"
#: What stands in front of an archive made in several volumes, or meant to be and then fitting in one.
SPANNED = (_DESCRIPTOR + LOCAL, b"PK00" + LOCAL)

_LOCAL_FIELDS = struct.Struct("<4s5H3L2H")
_CENTRAL_FIELDS = struct.Struct("<4s6H3L5H2L")
_END_FIELDS = struct.Struct("<4s4H2LH")
_END64_FIELDS = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_FIELDS = struct.Struct("<4sLQL")
_DESCRIPTOR_FIELDS = struct.Struct("<4sL")
_EXTRA_FIELDS = struct.Struct("<2H")
_ZIP64_EXTRA = 1
#: The end record is followed by a comment of at most 65,535 bytes.
_LONGEST_TAIL = _END_FIELDS.size + 0xFFFF
#: How many that are wrong are passed over.
_MOST_END_RECORDS = 1_000
_IN_ZIP64, _DISK_IN_ZIP64 = 0xFFFF_FFFF, 0xFFFF

FLAG_ENCRYPTED, FLAG_DESCRIPTOR, FLAG_STRONG_ENCRYPTION, _FLAG_UTF8, FLAG_MASKED = 1, 8, 1 << 6, 1 << 11, 1 << 13
AES = 99
#: What a local header may say before it is believed without a directory that names it: methods of section 4.4.5 and a
#: version of 9.9 or less.
_METHODS = frozenset((*range(13), 14, 16, 18, 19, 20, *range(93, AES + 1)))
_HIGHEST_VERSION = 99


@dataclass(frozen=True, slots=True)
class Record:
    """What a header says about a member.

    Attributes:
        name: Decoded losslessly.
        flags: General purpose bits.
        method: How it is packed.
        crc: Of the unpacked bytes.
        packed: Bytes in the archive.
        size: Bytes unpacked.
        at: Of a local record, where its data begins; of a central one, where its local header is said to be.
        disk: Of a central record, the volume its local header is in.
    """

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    at: int
    disk: int = 0

    @property
    def is_folder(self) -> bool:
        """It has no content."""
        return self.name.endswith("/") and self.size == self.packed == 0


@dataclass(frozen=True, slots=True)
class Directory:
    """A central directory.

    Attributes:
        start: Where it is; None: in another volume.
        end: Where the end record is.
        base: What to add to its offsets: an archive may stand behind a program or a picture.
        disk: The volume this is; 0: the first, mostly the only one.
    """

    start: int | None
    end: int
    base: int
    disk: int


def find_directory(data: bytes, *, everywhere: bool = False) -> Directory | None:
    """The last end record that is right about where its directory is.

    Args:
        data: The file.
        everywhere: Look further from the end than a comment could be long.
    """
    lowest = 0 if everywhere else max(0, len(data) - _LONGEST_TAIL)
    if data.find(_NEVER_IN_TEXT, lowest) < 0:
        # Looking for a single byte takes a fraction of the time.
        return None
    at = data.rfind(_END, lowest)
    for _ in range(_MOST_END_RECORDS):
        if at < 0:
            return None
        found = _directory_of(data, at)
        if found is not None:
            return found
        at = data.rfind(_END, lowest, at)
    return None


def _directory_of(data: bytes, at: int) -> Directory | None:
    if at + _END_FIELDS.size > len(data):
        return None
    _, disk, directory_disk, here, total, size, offset, comment = _END_FIELDS.unpack_from(data, at)
    end = at
    located = at - _LOCATOR_FIELDS.size
    if data.startswith(_END64_LOCATOR, max(0, located)):
        fields = _zip64_end(data, located)
        if fields is not None:
            end, disk, size, offset = fields
    for start in (end - size, offset):
        if size and 0 <= start < end and data.startswith(CENTRAL, start):
            return Directory(start, at, start - offset if not disk else 0, disk)
    is_last_volume = 0 < disk < _DISK_IN_ZIP64 and directory_disk <= disk and here <= total != 0
    if is_last_volume and at + _END_FIELDS.size + comment == len(data):
        return Directory(None, at, 0, disk)
    return None


def _zip64_end(data: bytes, located: int) -> tuple[int, int, int, int] | None:
    """Where zip64's own end record is, the volume, the directory's size and its offset."""
    stated = _LOCATOR_FIELDS.unpack_from(data, located)[2]
    # Directly before the locator as a rule; where the offset says, if nothing stands in front of the archive.
    for at in (located - _END64_FIELDS.size, stated):
        if 0 <= at <= len(data) - _END64_FIELDS.size and data.startswith(_END64, at):
            fields = _END64_FIELDS.unpack_from(data, at)
            return at, fields[4], fields[8], fields[9]
    return None


def central_records(data: bytes, start: int, end: int) -> Iterator[Record | None]:
    """Records of a directory, to its end record or the first thing that is none; None at last: it broke off there."""
    at = start
    while data.startswith(CENTRAL, at) and at + _CENTRAL_FIELDS.size <= len(data):
        fields = _CENTRAL_FIELDS.unpack_from(data, at)
        flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
        name_length, extra_length, comment_length, disk, offset = (
            fields[10],
            fields[11],
            fields[12],
            fields[13],
            fields[16],
        )
        at += _CENTRAL_FIELDS.size
        name = data[at : at + name_length]
        extra = data[at + name_length : at + name_length + extra_length]
        at += name_length + extra_length + comment_length
        size, packed, offset = _with_zip64(extra, (size, packed, offset))
        yield Record(_decoded(name, flags), flags, method, crc, packed, size, offset, disk)
    # A digital signature or zip64's end record may stand before it; a record that reaches into it has swallowed others.
    if at > end or (at < end and not data.startswith((b"PK\x05\x05", _END64, _END64_LOCATOR), at)):
        yield None


def local_record(data: bytes, at: int, *, doubted: bool = False) -> Record | None:
    """What the local header at an offset says; None: there is none.

    Args:
        data: The archive.
        at: Where.
        doubted: No directory names it, so it must look like one to be believed.
    """
    if at < 0 or not data.startswith(LOCAL, at) or at + _LOCAL_FIELDS.size > len(data):
        return None
    _, version, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL_FIELDS.unpack_from(data, at)
    data_at = at + _LOCAL_FIELDS.size + name_length + extra_length
    if doubted and (
        version & 0xFF > _HIGHEST_VERSION or method not in _METHODS or not name_length or data_at > len(data)
    ):
        return None
    name = data[at + _LOCAL_FIELDS.size : data_at - extra_length]
    size, packed = _with_zip64(data[data_at - extra_length : data_at], (size, packed))
    return Record(_decoded(name, flags), flags, method, crc, packed, size, data_at)


def descriptor_crc(data: bytes, at: int) -> int | None:
    """The checksum in the data descriptor at an offset; None: there is none."""
    if at + _DESCRIPTOR_FIELDS.size > len(data):
        return None
    signature, crc = _DESCRIPTOR_FIELDS.unpack_from(data, at)
    return crc if signature == _DESCRIPTOR else int.from_bytes(signature, "little")


def next_record(data: bytes, at: int, end: int) -> int:
    """Where a descriptor or a header begins next; the end: nowhere before it."""
    found = [where for magic in (_DESCRIPTOR, LOCAL, CENTRAL) if (where := data.find(magic, at, end)) >= 0]
    return min(found, default=end)


def _with_zip64(extra: bytes, values: tuple[int, ...]) -> list[int]:
    """The values, each that did not fit in 32 bits taken from the extra field of zip64."""
    result = list(values)
    at = 0
    while at + _EXTRA_FIELDS.size <= len(extra):
        kind, length = _EXTRA_FIELDS.unpack_from(extra, at)
        at += _EXTRA_FIELDS.size
        if kind == _ZIP64_EXTRA:
            wide = extra[at : at + length]
            for index, value in enumerate(values):
                if value == _IN_ZIP64 and len(wide) >= 8:  # noqa: PLR2004 -- bytes of a 64-bit number
                    result[index] = int.from_bytes(wide[:8], "little")
                    wide = wide[8:]
        at += length
    return result


def _decoded(name: bytes, flags: int) -> str:
    return name.decode("utf-8", "surrogateescape") if flags & _FLAG_UTF8 else name.decode("cp437")
