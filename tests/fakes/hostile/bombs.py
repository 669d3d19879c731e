"""Little that unpacks to a lot: nested, flat, overlapping, and sizes that nobody has the disk for."""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from tests.fakes.archives import zip_of
from tests.fakes.documents import ole_of, vba_of
from tests.fakes.hostile.case import Case, Expected

_MIB = 1024 * 1024
_TERABYTE = 1 << 40


def bomb_cases(*, heavy: bool) -> Iterator[Case]:
    """Bombs; the heavy ones reach the limits that users have, the light ones those of a quick run."""
    core = bytes((32 if heavy else 4) * _MIB)
    yield Case("bomb.zip-nested.0", nested_zip(core, fan_out=16, depth=5), Expected.NOT_CLEAN)
    yield Case("bomb.zip-flat.0", flat_zip(core, 1000), Expected.NOT_CLEAN)
    yield Case("bomb.zip-overlapping.0", overlapping_zip(core, 60_000 if heavy else 5_000), Expected.NOT_CLEAN)
    for name, packed in (
        ("gzip", gzip.compress(core, mtime=0)),
        ("bzip2", bz2.compress(core)),
        ("xz", lzma.compress(core)),
    ):
        yield Case(f"bomb.{name}.0", packed * 200, Expected.NOT_CLEAN)
    twice = gzip.compress(gzip.compress(core * 8, mtime=0) * 20, mtime=0)
    yield Case("bomb.gzip-twice.0", twice, Expected.NOT_CLEAN)
    yield Case("bomb.pdf-filters.0", pdf_of_filters(zlib.compress(zlib.compress(core * 8, 9), 9)))
    yield Case("bomb.tar-sparse.0", sparse_tar(), Expected.NOT_CLEAN)
    yield Case("bomb.macro.0", ole_of({f"VBA/m{i}": vba_of(b"Attribute VB_Name" + b"A" * 2000) for i in range(30)}))
    yield Case("sparse.file.0", b"PK\x03\x04", Expected.NOT_CLEAN, sparse_size=_TERABYTE)
    yield Case("sparse.empty.0", b"", Expected.NOT_CLEAN, sparse_size=_TERABYTE)


def nested_zip(core: bytes, fan_out: int, depth: int) -> bytes:
    """Zips in zips, so many in each, like the well-known 42.zip."""
    data = zip_of({"0": core})
    for _ in range(depth):
        data = zip_of({f"{number:x}.zip": data for number in range(fan_out)})
    return data


def flat_zip(core: bytes, count: int) -> bytes:
    """The same member many times over, honestly."""
    packed = _deflated(core)
    local = _local(packed, core)
    return _zip_of_entries([local] * count, [number * len(local) for number in range(count)], packed, core)


def overlapping_zip(core: bytes, count: int) -> bytes:
    """Many directory entries for one member (David Fifield, "A better zip bomb", 2019: full overlap)."""
    packed = _deflated(core)
    return _zip_of_entries([_local(packed, core)], [0] * count, packed, core)


def cyclic_zip() -> bytes:
    """A member whose data is the directory that names it, stored over each other."""
    data = bytearray(_zip_of_entries([_local(b"x" * 600, b"x" * 600)], [0, 0, 0], b"x" * 600, b"x" * 600))
    at = data.find(b"PK\x01\x02")
    for _ in range(2):
        struct.pack_into("<H", data, at + 10, zipfile.ZIP_STORED)
        struct.pack_into("<L", data, at + 42, at)
        at = data.find(b"PK\x01\x02", at + 1)
    return bytes(data)


def sparse_tar() -> bytes:
    """A GNU sparse member of a terabyte of which 512 bytes are there."""
    entry = tarfile.TarInfo("payload.com")
    entry.size = 512
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (_TERABYTE - 512, 512)
    header[482:495] = b"\x80" + _TERABYTE.to_bytes(11, "big") + b"\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"x" * 512 + bytes(1024)


def pdf_of_filters(packed: bytes) -> bytes:
    """A stream that is deflated more than once."""
    body = b"%%PDF-1.7\n1 0 obj\n<</Filter[/FlateDecode/FlateDecode]/Length %d>>\nstream\n" % len(packed)
    return body + packed + b"\nendstream\nendobj\ntrailer<</Root 1 0 R/Size 2>>\n%%EOF\n"


def _deflated(core: bytes) -> bytes:
    return zlib.compress(core, 9)[2:-4]


def _fields(packed: bytes, core: bytes) -> bytes:
    method = zipfile.ZIP_STORED if packed is core else zipfile.ZIP_DEFLATED
    return struct.pack("<5H3L2H", 20, 0, method, 0, 33, zlib.crc32(core), len(packed), len(core), 1, 0)


def _local(packed: bytes, core: bytes) -> bytes:
    return b"PK\x03\x04" + _fields(packed, core) + b"0" + packed


def _zip_of_entries(locals_: list[bytes], offsets: list[int], packed: bytes, core: bytes) -> bytes:
    fields = _fields(packed, core)
    central = b"".join(b"PK\x01\x02\x14\x00" + fields + struct.pack("<3H2L", 0, 0, 0, 0, at) + b"0" for at in offsets)
    body = b"".join(locals_)
    count = min(len(offsets), 0xFFFF)
    return body + central + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, count, count, len(central), len(body), 0)
