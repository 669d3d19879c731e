"""An honest container of each family around a payload; a new family joins by one line."""

import base64
import tarfile
import zipfile
from collections.abc import Callable

from agent.scanner.containers import libarchive_reader, seven_zip_library
from tests.fakes.archives import ar_of, cpio_of, libarchive_of, shrink, tar_of, zip_of
from tests.fakes.disk_images import dmg_of, hfs_plus_of, udf_of
from tests.fakes.documents import mail_of, ole_of, onenote_of, package_of, pdf_of, rtf_of, tnef_of, uu_of, vba_of
from tests.fakes.old_archives import arj_of, binhex_of, chm_of, szdd_of
from tests.fakes.packages import cab_of, cpio_binary_of, deb_of, lha_of, rar5_of, rar_of, rpm_of
from tests.fakes.programs import elf_of, pe_of, universal_of
from tests.fakes.zips import DESCRIPTOR, IMPLODE, SHRINK, XZ, Entry, zip_from

#: What else is in an archive; it must come out unharmed if only the payload is hit.
DECOY = b"nothing to see here. " * 12
Wrapping = Callable[[bytes], bytes]


def _members(payload: bytes) -> dict[str, bytes]:
    return {"decoy.txt": DECOY, "payload.com": payload}


SAMPLES: dict[str, Wrapping] = {
    "zip": lambda p: zip_of(_members(p)),
    "zip-stored": lambda p: zip_of(_members(p), zipfile.ZIP_STORED),
    "zip-bzip2": lambda p: zip_of(_members(p), zipfile.ZIP_BZIP2),
    "zip-lzma": lambda p: zip_of(_members(p), zipfile.ZIP_LZMA),
    "zip-in-zip": lambda p: zip_of({"inner.zip": zip_of(_members(p))}),
    "zip-behind-program": lambda p: b"MZ" + bytes(600) + zip_of(_members(p)),
    "tar-ustar": lambda p: tar_of(_members(p), tarfile.USTAR_FORMAT),
    "tar-gnu": lambda p: tar_of(_members(p), tarfile.GNU_FORMAT),
    "tar-pax": lambda p: tar_of({"n" * 200: DECOY, "payload.com": p}, tarfile.PAX_FORMAT),
    "gzip": lambda p: shrink(p, "gz"),
    "bzip2": lambda p: shrink(p, "bz2"),
    "xz": lambda p: shrink(p, "xz"),
    "tar-in-gzip": lambda p: shrink(tar_of(_members(p)), "gz"),
    "tar-in-xz": lambda p: shrink(tar_of(_members(p)), "xz"),
    "ole2": lambda p: ole_of({"Decoy": DECOY, "Storage/payload": p}),
    "ole2-macro": lambda p: ole_of({"VBA/m": vba_of(b"Attribute VB_Name = 1\n" + DECOY), "VBA/payload": p}),
    "ole2-package": lambda p: ole_of({"\x01Ole10Native": b"1234" + package_of("payload.com", p)}),
    "mail": lambda p: mail_of({"decoy.txt": DECOY, "payload.com": p}),
    "mail-quoted": lambda p: mail_of({"decoy.txt": DECOY, "payload.com": p}, "quoted-printable"),
    "mbox": lambda p: b"From a@b Mon Jan  1 00:00:00 2024\n" + mail_of({"decoy.txt": DECOY, "payload.com": p}),
    "uuencode": lambda p: uu_of("payload.com", p),
    "rtf": rtf_of,
    "pdf": pdf_of,
    "pdf-plain": lambda p: pdf_of(p, ""),
    "pdf-hex": lambda p: pdf_of(p, "/ASCIIHexDecode"),
    "html": lambda p: b"<html><a href='data:text/plain;base64," + base64.b64encode(p) + b"'>decoy</a></html>",
    "onenote": onenote_of,
    "tnef": lambda p: tnef_of("payload.com", p),
    "lzma": lambda p: shrink(tar_of(_members(p)), "lzma"),
    "pe-resource": lambda p: pe_of({10: p}),
    "pe-overlay": lambda p: pe_of({10: DECOY}, overlay=shrink(p, "gz")),
    "elf-appended": lambda p: elf_of(shrink(p, "gz")),
    "mach-o": lambda p: universal_of([DECOY, p]),
    "binhex": lambda p: binhex_of("payload.com", p),
    "zip-odd": lambda p: zip_from(Entry("decoy.txt", DECOY, XZ, named=False), Entry("p", p, flags=DESCRIPTOR)),
}

if libarchive_reader.load() is not None:
    SAMPLES |= {
        "ar": lambda p: ar_of(_members(p)),
        "cpio": lambda p: cpio_of(_members(p)),
        "cpio-odc": lambda p: libarchive_of(_members(p), "cpio"),
        "7z": lambda p: libarchive_of(_members(p), "7zip"),
        "xar": lambda p: libarchive_of(_members(p), "xar"),
        "iso9660": lambda p: libarchive_of(_members(p), "iso9660"),
        "zstd": lambda p: libarchive_of({"payload.com": p}, "raw", "zstd"),
        "lz4": lambda p: libarchive_of({"payload.com": p}, "raw", "lz4"),
        "lzip": lambda p: libarchive_of({"payload.com": p}, "raw", "lzip"),
        "cpio-binary": lambda p: cpio_binary_of(_members(p)),
        "rpm": lambda p: rpm_of(_members(p)),
        "deb": lambda p: deb_of({"payload.com": p}),
        "cab": lambda p: cab_of(_members(p)),
        "lha": lambda p: lha_of(_members(p)),
        "compress": lambda p: libarchive_of({"payload.com": p}, "raw", "compress"),
    }

if seven_zip_library.load() is not None:
    SAMPLES |= {
        "rar": lambda p: rar_of(_members(p)),
        "rar5": lambda p: rar5_of(_members(p)),
        "arj": lambda p: arj_of(_members(p)),
        "szdd": szdd_of,
        "chm": lambda p: chm_of(_members(p)),
        "udf": lambda p: udf_of(_members(p)),
        "hfs": lambda p: hfs_plus_of(_members(p)),
        "dmg": lambda p: dmg_of(hfs_plus_of(_members(p))),
        "zip-implode": lambda p: zip_from(Entry("decoy.txt", DECOY, SHRINK), Entry("payload.com", p, IMPLODE)),
    }
