"""Members whose names or kinds ask for something to be written, followed or made."""

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from tests.fakes.archives import ar_of, cpio_of, tar_of
from tests.fakes.documents import mail_of, tnef_of
from tests.fakes.eicar import EICAR
from tests.fakes.hostile.case import CANARY, Case, Expected

#: Raw bytes of names; those that an archive's format cannot hold are left out there.
NAMES: tuple[bytes, ...] = tuple(
    name.replace(b"X", CANARY.encode())
    for name in (
        b"/X", b"//X", b"/tmp/X", b"/var/tmp/X", b"../X", b"../../../../../../../../tmp/X", b"..\\..\\X", b"C:\\X",
        b"\\\\server\\share\\X", b"./X/../X", b"X/", b"X:stream", b"X\n", b"\nX\r\n\x1b[2J", b"X\0.txt", b"\xff\xfe-X",
        b"\xc0\xaf..\xc0\xafX", b"\xed\xa0\x80X", b"X" + b"A" * 250, b"X/" + b"d/" * 2000, b"X" + b"B" * 65_000,
        b"CON", b"-X", b"~X", b"$(touch X)", b"|touch X", b" ", b".", b"..", b"X\xe2\x80\xaegpj.exe", b"%s%n%nX",
    )
)  # fmt: skip
_SHORT = 100
_LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"7", b"Z")


def name_cases() -> Iterator[Case]:
    """Every name in every kind of archive that can hold it; the payload under it must be found all the same."""
    for number, name in enumerate(NAMES):
        text = name.decode("utf-8", "surrogateescape")
        yield Case(f"name.zip.{number}", raw_zip_of(name, EICAR), Expected.INFECTED)
        yield Case(f"name.cpio.{number}", cpio_of({text.split("\0", 1)[0]: EICAR}), Expected.INFECTED)
        yield Case(f"name.tar-gnu.{number}", tar_of({text: EICAR}, tarfile.GNU_FORMAT), Expected.INFECTED)
        if len(name) < _SHORT and b"\n" not in name:
            yield Case(f"name.ar.{number}", ar_of({text[:14]: EICAR}), Expected.NOT_CLEAN)
            yield Case(f"name.tnef.{number}", tnef_of(text, EICAR), Expected.INFECTED)
            yield Case(f"name.mail.{number}", mail_of({text.replace('"', ""): EICAR}), Expected.INFECTED)
    for target in ("/etc/shadow", "../../etc/passwd", f"/tmp/{CANARY}", "payload.com", "x" * 5000):
        for kind in _LINKS:
            yield Case(f"link.tar.{kind.decode()}-{len(target)}", link_tar_of(kind, target), Expected.INFECTED)


def raw_zip_of(name: bytes, data: bytes) -> bytes:
    """A zip with one stored member whose name may be any bytes."""
    fields = struct.pack(
        "<5H3L2H", 20, 0, zipfile.ZIP_STORED, 0, 33, zlib.crc32(data), len(data), len(data), len(name), 0
    )
    local = b"PK\x03\x04" + fields + name + data
    central = b"PK\x01\x02\x14\x00" + fields + struct.pack("<3H2L", 0, 0, 0, 0, 0) + name
    return local + central + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 1, 1, len(central), len(local), 0)


def link_tar_of(kind: bytes, target: str) -> bytes:
    """A link (or a device) named like the file that follows it, so that whoever follows it writes elsewhere."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        link = tarfile.TarInfo("payload.com")
        link.type, link.linkname = kind, target
        archive.addfile(link)
        entry = tarfile.TarInfo("payload.com")
        entry.size = len(EICAR)
        archive.addfile(entry, io.BytesIO(EICAR))
    return buffer.getvalue()
