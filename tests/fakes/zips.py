"""Zip archives, record by record: what no honest program writes can be written here."""

import base64
import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

STORED, SHRINK, IMPLODE, DEFLATE, DEFLATE64, BZIP2, LZMA, ZSTD, XZ, PPMD = 0, 1, 6, 8, 9, 12, 14, 93, 95, 98
ENCRYPTED, DESCRIPTOR, STRONG, MASKED = 1, 8, 1 << 6, 1 << 13
PPMD_CONTENT = b"the secret content " * 20
#: That, packed by 7-Zip: nothing else here writes this method.
_PPMD_PACKED = base64.b64decode(b"BwBz8m8s6KDvAJ1/gULUZ7LEFkr6ABUijpcAAA==")


@dataclass(frozen=True)
class Entry:
    """A member, and every way to lie about it; None: the truth.

    Attributes:
        named: The directory knows of it.
        has_local: There is a local header.
        local_packed, local_method, central_size, central_packed, crc: What the headers say.
        central_offset: Where the directory says the local header is.
        zip64: The sizes stand in an extra field.
        disk: The volume the directory says it is in.
    """

    name: str
    data: bytes = b""
    method: int = DEFLATE
    flags: int = 0
    packed: bytes | None = None
    named: bool = True
    local_packed: int | None = None
    local_method: int | None = None
    central_size: int | None = None
    central_packed: int | None = None
    central_offset: int | None = None
    crc: int | None = None
    zip64: bool = False
    disk: int = 0
    has_signature: bool = True
    body: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", pack(self.data, self.method) if self.packed is None else self.packed)

    @property
    def checksum(self) -> int:
        return zlib.crc32(self.data) if self.crc is None else self.crc

    def local(self) -> bytes:
        name = self.name.encode()
        is_late = self.flags & DESCRIPTOR
        sizes = (0, 0, 0) if is_late else (self.checksum, _or(self.local_packed, len(self.body)), len(self.data))
        sizes, extra = _widened(*sizes) if self.zip64 else (sizes, b"")
        method = _or(self.local_method, self.method)
        head = b"PK\x03\x04" + struct.pack("<3H4x3L2H", 20, self.flags, method, *sizes, len(name), len(extra))
        tail = b"PK\x07\x08" * self.has_signature + struct.pack("<3L", self.checksum, len(self.body), len(self.data))
        return head + name + extra + self.body + (tail if is_late else b"")

    def central(self, at: int) -> bytes:
        name = self.name.encode()
        sizes = (self.checksum, _or(self.central_packed, len(self.body)), _or(self.central_size, len(self.data)))
        sizes, extra = _widened(*sizes) if self.zip64 else (sizes, b"")
        return (
            b"PK\x01\x02\x14\0"
            + struct.pack("<3H4x3L", 20, self.flags, self.method, *sizes)
            + struct.pack("<5H2L", len(name), len(extra), 0, self.disk, 0, 0, _or(self.central_offset, at))
            + name
            + extra
        )


def zip_from(*entries: Entry, prefix: bytes = b"", zip64: bool = False, disk: int = 0, comment: bytes = b"") -> bytes:
    """An archive; offsets count from the end of the prefix."""
    out, directory = b"", b""
    for entry in entries:
        directory += entry.central(len(out)) if entry.named else b""
        out += entry.local()
    count = sum(entry.named for entry in entries)
    start = len(out)
    out += directory
    if zip64:
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), start)
        out += end64 + struct.pack("<4sLQL", b"PK\x06\x07", 0, start + len(directory), 1)
        end = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    else:
        end = (count, count, len(directory), start)
    return prefix + out + struct.pack("<4s2H2H2LH", b"PK\x05\x06", disk, disk, *end, len(comment)) + comment


def pack(data: bytes, method: int) -> bytes:
    """Packed bytes of a member, as a program of the time could have packed them."""
    return _PACKERS[method](data) if method in _PACKERS else data


def encrypt(data: bytes, checksum: int, password: bytes = b"infected") -> bytes:
    """The traditional encryption of PKWARE (APPNOTE 6.1)."""
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte: int) -> None:
        keys[0] = _crc_step(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = _crc_step(keys[2], keys[1] >> 24)

    for byte in password:
        update(byte)
    out = bytearray()
    for byte in bytes(11) + bytes([checksum >> 24]) + data:
        twisted = (keys[2] | 2) & 0xFFFF
        out.append(byte ^ (twisted * (twisted ^ 1) >> 8 & 0xFF))
        update(byte)
    return bytes(out)


def encrypted_entry(name: str, data: bytes, method: int = DEFLATE) -> Entry:
    """A member that really is encrypted."""
    checksum = zlib.crc32(data)
    return Entry(name, data, method, ENCRYPTED, packed=encrypt(pack(data, method), checksum))


def _crc_step(crc: int, byte: int) -> int:
    # zlib complements before and after; the cipher does not.
    return zlib.crc32(bytes([byte]), crc ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _deflate(data: bytes, level: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _bits(codes: Iterable[tuple[int, int]]) -> bytes:
    number = length = 0
    for width, code in codes:
        number |= code << length
        length += width
    return number.to_bytes(-(-length // 8), "little")


def _or(value: int | None, truth: int) -> int:
    return truth if value is None else value


def _widened(checksum: int, packed: int, size: int) -> tuple[tuple[int, int, int], bytes]:
    """The values of a header whose sizes are in zip64's extra field, and that field."""
    return (checksum, 0xFFFFFFFF, 0xFFFFFFFF), struct.pack("<2H2Q", 1, 16, size, packed)


def _lzma(data: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}]
    return b"\x09\x14\x05\0\x5d\0\0\x01\0" + lzma.compress(data, lzma.FORMAT_RAW, filters=filters)


def _zstd(data: bytes) -> bytes:
    from tests.fakes.archives import libarchive_of

    return libarchive_of({"a": data}, "raw", "zstd")


def _shrink(data: bytes) -> bytes:
    return _bits((9, byte) for byte in data)


def _implode(data: bytes) -> bytes:
    # Two trees of 64 codes with 6 bits each, and every byte a literal.
    return b"\x03\xf5\xf5\xf5\xf5" * 2 + _bits((9, byte << 1 | 1) for byte in data)


_PACKERS: dict[int, Callable[[bytes], bytes]] = {
    SHRINK: _shrink,
    IMPLODE: _implode,
    DEFLATE: lambda data: _deflate(data, 9),
    # Blocks that are not packed are the same in both.
    DEFLATE64: lambda data: _deflate(data, 0),
    BZIP2: bz2.compress,
    LZMA: _lzma,
    ZSTD: _zstd,
    XZ: lzma.compress,
    PPMD: {PPMD_CONTENT: _PPMD_PACKED}.__getitem__,
}
