"""Archives that software is delivered in, built in memory: cpio of all kinds, deb, rpm, cab; and lha and rar."""

import struct
import zlib
from collections.abc import Mapping

from tests.fakes.archives import ar_of, cpio_of, shrink, tar_of

_TRAILER = {"TRAILER!!!": b""}


def cpio_odc_of(members: Mapping[str, bytes]) -> bytes:
    """The portable format of POSIX.1, in octal digits."""
    out = b""
    for name, data in {**members, **_TRAILER}.items():
        raw = name.encode() + b"\0"
        out += b"070707" + b"".join(b"%06o" % field for field in (1, 1, 0o100644, 0, 0, 1, 0))
        out += b"%011o%06o%011o" % (0, len(raw), len(data)) + raw + data
    return out


def cpio_crc_of(members: Mapping[str, bytes]) -> bytes:
    """The format of SVR4 with checksums."""
    out, at = b"", 0
    plain = cpio_of(members)
    for data in (*members.values(), b""):
        end = plain.find(b"070701", at + 6)
        record = plain[at : end if end > 0 else len(plain)]
        out += b"070702" + record[6:102] + b"%08X" % (sum(data) & 0xFFFFFFFF) + record[110:]
        at = end
    return out


def cpio_binary_of(members: Mapping[str, bytes], byte_order: str = "<") -> bytes:
    """The old binary format; lengths of 32 bits have their high half first in either byte order."""
    out = b""
    for name, data in {**members, **_TRAILER}.items():
        raw = name.encode() + b"\0"
        size = len(data) >> 16, len(data) & 0xFFFF
        out += struct.pack(f"{byte_order}13H", 0o70707, 1, 1, 0o100644, 0, 0, 1, 0, 0, 0, len(raw), *size)
        out += raw + b"\0" * (len(raw) % 2) + data + b"\0" * (len(data) % 2)
    return out


def deb_of(members: Mapping[str, bytes]) -> bytes:
    """A package of Debian."""
    control = tar_of({"control": b"Package: a\n"})
    return ar_of(
        {
            "debian-binary": b"2.0\n",
            "control.tar.gz": shrink(control, "gz"),
            "data.tar.xz": shrink(tar_of(members), "xz"),
        }
    )


def rpm_of(members: Mapping[str, bytes]) -> bytes:
    """A package of RPM, with headers that say nothing."""
    lead = b"\xed\xab\xee\xdb\3\0" + bytes(90)
    header = b"\x8e\xad\xe8\x01" + struct.pack(">3L", 0, 1, 8) + struct.pack(">4L", 1000, 6, 0, 1) + b"package\0"
    signature = header + bytes(-len(header) % 8)
    return lead + signature + header + shrink(cpio_of(members), "gz")


def cab_of(members: Mapping[str, bytes], *, is_packed: bool = True) -> bytes:
    """A cabinet of Microsoft, packed with MSZIP or not at all; 32 KiB at the most."""
    content = b"".join(members.values())
    assert len(content) <= 1 << 15, "one block"
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = b"CK" + packer.compress(content) + packer.flush() if is_packed else content
    files, offset = b"", 0
    for name, data in members.items():
        files += struct.pack("<2L4H", len(data), offset, 0, 0x58CF, 0, 0x20) + name.encode() + b"\0"
        offset += len(data)
    first_block = 36 + 8 + len(files)
    total = first_block + 8 + len(packed)
    header = struct.pack("<4sL LLLL 2B5H", b"MSCF", 0, total, 0, 36 + 8, 0, 3, 1, 1, len(members), 0, 1, 0)
    folder = struct.pack("<L2H", first_block, 1, int(is_packed))
    # A checksum of zero is not checked.
    return header + folder + files + struct.pack("<L2H", 0, len(packed), len(content)) + packed


def lha_of(members: Mapping[str, bytes]) -> bytes:
    """An lha archive with headers of level 0, stored."""
    out = b""
    for name, data in members.items():
        body = struct.pack("<5s3L2B", b"-lh0-", len(data), len(data), 0, 0x20, 0)
        body += bytes([len(name)]) + name.encode() + struct.pack("<H", _crc16(data))
        out += bytes([len(body), sum(body) & 0xFF]) + body + data
    return out + b"\0"


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def rar_of(members: Mapping[str, bytes], flags: int = 0, archive_flags: int = 0) -> bytes:
    """A rar 3 archive, stored. Flag 4 of a member: encrypted; 0x80 of the archive: all its headers are."""
    out = b"Rar!\x1a\x07\x00" + _rar_block(0x73, archive_flags, bytes(6))
    for name, data in members.items():
        sizes = struct.pack("<2LBLLBBHL", len(data), len(data), 3, zlib.crc32(data), 0, 20, 0x30, len(name), 0o100644)
        out += _rar_block(0x74, 0x8000 | flags, sizes + name.encode()) + data
    return out + _rar_block(0x7B, 0x4000, b"")


def _rar_block(kind: int, flags: int, body: bytes) -> bytes:
    block = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
    return struct.pack("<H", zlib.crc32(block) & 0xFFFF) + block


def rar5_of(members: Mapping[str, bytes], *, is_encrypted: bool = False) -> bytes:
    """A rar 5 archive, stored."""
    out = b"Rar!\x1a\x07\x01\x00" + _rar5_block(1, 0, b"\0")
    for name, data in members.items():
        # What is encrypted is not what the checksum is of.
        stored = bytes(byte ^ 0x55 for byte in data) if is_encrypted else data
        body = _vint(4) + _vint(len(data)) + _vint(0o644) + struct.pack("<L", zlib.crc32(data))
        body += _vint(0) + _vint(1) + _vint(len(name)) + name.encode()
        # The record of encryption: version, flags, rounds, salt, initial vector.
        extra = _sized(b"\x01" + b"\0\0\x0f" + bytes(32)) if is_encrypted else b""
        sizes = (_vint(len(extra)) if extra else b"") + _vint(len(data))
        out += _rar5_block(2, 2 | bool(extra), sizes + body + extra) + stored
    return out + _rar5_block(5, 0, b"\0")


def _rar5_block(kind: int, flags: int, body: bytes) -> bytes:
    block = _sized(_vint(kind) + _vint(flags) + body)
    return struct.pack("<L", zlib.crc32(block)) + block


def _sized(body: bytes) -> bytes:
    return _vint(len(body)) + body


def _vint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
