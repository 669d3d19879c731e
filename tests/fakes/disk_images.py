"""Disk images, built in memory: a UDF volume, an HFS+ volume, a disk image of macOS."""

import binascii
import plistlib
import struct
import zlib
from collections.abc import Mapping

_SECTOR = 2048
#: Where the partition of our UDF volumes begins, and where in it the descriptors of their files do.
_PARTITION, _FILES = 300, 3


def udf_of(members: Mapping[str, bytes]) -> bytes:
    """A UDF 1.02 volume without ISO 9660 beside it (ECMA-167), all files in its root folder."""
    end = _PARTITION + _FILES + 2 * len(members)
    image = bytearray(_SECTOR * (end + 1))
    for number, identifier in enumerate((b"BEA01", b"NSR02", b"TEA01"), 16):
        _put(image, number, b"\0" + identifier + b"\1")
    entries = [_udf_name("", 1, is_parent=True)]
    for number, (name, data) in enumerate(members.items()):
        assert len(data) <= _SECTOR, "one sector a file"
        block = _FILES + 2 * number
        entries.append(_udf_name(name, block))
        _put(image, _PARTITION + block, _udf_file(block, 5, len(data), block + 1))
        _put(image, _PARTITION + block + 1, data)
    folder = b"".join(entries)
    _put(
        image, 32, _tag(5, 32, struct.pack("<L2H32s128x3L", 0, 1, 0, b"\0+NSR02", 1, _PARTITION, end - _PARTITION), 512)
    )
    _put(image, 33, _tag(6, 33, _udf_volume(), 512))
    _put(image, 34, _tag(8, 34, b"", 512))
    for anchor in (256, end):
        _put(image, anchor, _tag(2, anchor, struct.pack("<4L", 3 * _SECTOR, 32, 3 * _SECTOR, 32), 512))
    _put(image, _PARTITION, _tag(256, 0, bytes(384) + _long_ad(1), 512))
    _put(image, _PARTITION + 1, _udf_file(1, 4, len(folder), 2))
    _put(image, _PARTITION + 2, folder)
    return bytes(image)


def _put(image: bytearray, sector: int, data: bytes) -> None:
    image[sector * _SECTOR : sector * _SECTOR + len(data)] = data


def _tag(identifier: int, location: int, body: bytes, size: int = 0) -> bytes:
    body = body.ljust(size - 16, b"\0")
    tag = bytearray(
        struct.pack("<2HBxHHHL", identifier, 2, 0, 0, binascii.crc_hqx(body, 0), len(body), location),
    )
    tag[4] = sum(tag) % 256
    return bytes(tag) + body


def _long_ad(block: int, length: int = _SECTOR) -> bytes:
    return struct.pack("<2LH6x", length, block, 0)


def _udf_volume() -> bytes:
    name = b"\x08volume".ljust(127, b"\0") + b"\x07"
    maps = struct.pack("<2B2H", 1, 6, 1, 0)
    return struct.pack(
        "<L64s128sL32s16s2L32s128x8x", 0, b"\0OSTA Compressed Unicode", name, _SECTOR, b"\0*OSTA UDF Compliant",
        _long_ad(0), len(maps), 1, b"",
    ) + maps  # fmt: skip


def _udf_file(block: int, kind: int, size: int, data_block: int) -> bytes:
    icb = struct.pack("<LHHHBB6xH", 0, 4, 0, 1, 0, kind, 0)
    extents = struct.pack("<2L", size, data_block)
    body = icb + struct.pack("<3LHBBLQQ36xL16x32xQ2L", 0, 0, 0x7FFF, 1, 0, 0, 0, size, 1, 1, block, 0, len(extents))
    return _tag(261, block, body + extents)


def _udf_name(name: str, block: int, *, is_parent: bool = False) -> bytes:
    raw = b"" if is_parent else b"\x08" + name.encode("latin-1")
    body = struct.pack("<HBB16sH", 1, 0x0A if is_parent else 0, len(raw), _long_ad(block), 0) + raw
    return _tag(257, 2, body + bytes(-(16 + len(body)) % 4))


_BLOCK = 4096
_ROOT, _FIRST_FILE = 2, 16


def hfs_plus_of(members: Mapping[str, bytes]) -> bytes:
    """An HFS+ volume (Apple's Technical Note 1150) with all files in its root folder; one block a file."""
    catalog_block, files_block = 1, 3
    records = [
        _hfs_record(1, "volume", struct.pack(">hHLL", 1, 0, len(members), _ROOT) + bytes(76)),
        _hfs_record(_ROOT, "", struct.pack(">hhL", 3, 0, 1) + _hfs_name("volume")),
    ]
    contents = b""
    for number, (name, data) in enumerate(sorted(members.items())):
        fork = _fork(len(data), files_block + number)
        file = struct.pack(">hHLL36x32x8x", 2, 0, 0, _FIRST_FILE + number) + fork + bytes(80)
        records.append(_hfs_record(_ROOT, name, file))
        contents += data.ljust(_BLOCK, b"\0")
    catalog = _header_node(len(records)) + _node(-1, 1, records)
    blocks = files_block + len(members) + 1
    header = struct.pack(
        ">2sH12L", b"H+", 4, 0, 0, 0, 0, 0, 0, 0, len(members), 0, _BLOCK, blocks, 0
    ) + struct.pack(">5LQ32x", 0, 0, 0, _FIRST_FILE + len(members), 0, 1)  # fmt: skip
    forks = _fork(0, 0) + _fork(0, 0) + _fork(len(catalog), catalog_block) + _fork(0, 0) + _fork(0, 0)
    first = (bytes(1024) + header + forks).ljust(_BLOCK, b"\0")
    return first + catalog + contents + bytes(_BLOCK)


def _fork(size: int, block: int) -> bytes:
    count = -(-size // _BLOCK)
    return struct.pack(">QLL", size, 0, count) + struct.pack(">2L", block, count) + bytes(56)


def _hfs_name(name: str) -> bytes:
    raw = name.encode("utf-16-be")
    return struct.pack(">H", len(raw) // 2) + raw


def _hfs_record(parent: int, name: str, data: bytes) -> bytes:
    key = struct.pack(">L", parent) + _hfs_name(name)
    return struct.pack(">H", len(key)) + key + data


def _node(kind: int, height: int, records: list[bytes]) -> bytes:
    body = struct.pack(">2LbBHH", 0, 0, kind, height, len(records), 0)
    offsets = []
    for record in records:
        offsets.append(len(body))
        body += record
    offsets.append(len(body))
    table = b"".join(struct.pack(">H", offset) for offset in reversed(offsets))
    return body.ljust(_BLOCK - len(table), b"\0") + table


def _header_node(leaf_records: int) -> bytes:
    header = struct.pack(
        ">H4L2H2LHL2BL64x", 1, 1, leaf_records, 1, 1, _BLOCK, 516, 2, 0, 0, 0, 0, 0xCF, 6
    )  # fmt: skip
    return _node(1, 0, [header, bytes(128), b"\xc0".ljust(_BLOCK - 256, b"\0")])


def dmg_of(partition: bytes, *, is_packed: bool = True) -> bytes:
    """A disk image of macOS (UDIF) with one partition, packed with zlib or not at all."""
    sectors = -(-len(partition) // 512)
    padded = partition.ljust(512 * sectors, b"\0")
    data = zlib.compress(padded) if is_packed else padded
    kind = 0x80000005 if is_packed else 1
    table = struct.pack(">4sLQQQLL24x136xL", b"mish", 1, 0, sectors, 0, 0, 0, 2)
    table += struct.pack(">2L4Q", kind, 0, 0, sectors, 0, len(data))
    table += struct.pack(">2L4Q", 0xFFFFFFFF, 0, sectors, 0, len(data), 0)
    block = {"Attributes": "0x0050", "CFName": "disk", "Data": table, "ID": "0", "Name": "disk"}
    plist = plistlib.dumps({"resource-fork": {"blkx": [block]}})
    trailer = struct.pack(">4sLLLQQQQQLL16s136x", b"koly", 4, 512, 1, 0, 0, len(data), 0, 0, 1, 1, bytes(16))
    trailer += struct.pack(">QQ120x136xLQ12x", len(data), len(plist), 1, sectors)
    return data + plist + trailer
