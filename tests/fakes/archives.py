"""Containers, built in memory."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Mapping

from tests.fakes.zips import encrypted_entry, zip_from


def zip_of(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return buffer.getvalue()


def tar_of(members: Mapping[str, bytes], dialect: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=dialect) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def cpio_of(members: Mapping[str, bytes]) -> bytes:
    """A cpio archive, `newc`."""
    out = b""
    for name, data in {**members, "TRAILER!!!": b""}.items():
        raw = name.encode("utf-8", "surrogateescape") + b"\0"
        fields = (1, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return out


def ar_of(members: Mapping[str, bytes]) -> bytes:
    """An ar archive."""
    out = b"!<arch>\n"
    for name, data in members.items():
        out += b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (
            name.encode("utf-8", "surrogateescape") + b"/",
            0,
            0,
            0,
            0o100644,
            len(data),
        )
        out += data + b"\n" * (len(data) % 2)
    return out


def encrypted_zip_of(members: Mapping[str, bytes]) -> bytes:
    """A zip whose members are encrypted."""
    return zip_from(*(encrypted_entry(name, data) for name, data in members.items()))


def shrink(data: bytes, kind: str) -> bytes:
    """A compressed stream: `gz`, `bz2`, `xz` or `lzma`."""
    match kind:
        case "gz":
            return gzip.compress(data, mtime=0)
        case "bz2":
            return bz2.compress(data)
        case "lzma":
            return lzma.compress(data, lzma.FORMAT_ALONE)
        case _:
            return lzma.compress(data)


def libarchive_of(members: Mapping[str, bytes], format_name: str, filter_name: str | None = None) -> bytes:
    """Anything libarchive can write: `7zip`, `xar`, `iso9660`, …; with `raw` and a filter, a compressed stream."""
    import libarchive
    from libarchive import ffi

    ffi.WRITE_FORMATS.add("raw")  # libarchive-c knows how to write it and does not list it
    out = bytearray()

    def write(block: bytes) -> int:
        out.extend(block)
        return len(block)

    with libarchive.custom_writer(write, format_name, filter_name) as archive:
        for name, data in members.items():
            archive.add_file_from_memory(name, len(data), data)
    return bytes(out)
