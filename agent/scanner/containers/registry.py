"""All container formats, in the order they are tried. To add one, add its file and name it here.

If all its contents begin alike, say so in `_BEGINNINGS`, too: then nearly no content has to be asked whether it is one.
"""

from agent.scanner.containers import (
    binhex_files,
    compressed_streams,
    html_pages,
    libarchive_formats,
    mail,
    ole_documents,
    onenote_sections,
    packed_programs,
    pdf_documents,
    rtf_objects,
    seven_zip_formats,
    tar_archives,
    tnef_attachments,
    unix_programs,
    unopened_formats,
    windows_programs,
    zip_archives,
)
from agent.scanner.containers.family import Family
from agent.scanner.containers.recognition import Recognition

FAMILIES: tuple[Family, ...] = (
    zip_archives.FAMILY,
    tar_archives.FAMILY,
    *compressed_streams.FAMILIES,
    *libarchive_formats.FAMILIES,
    *seven_zip_formats.FAMILIES,
    ole_documents.FAMILY,
    *mail.FAMILIES,
    rtf_objects.FAMILY,
    pdf_documents.FAMILY,
    html_pages.FAMILY,
    binhex_files.FAMILY,
    onenote_sections.FAMILY,
    tnef_attachments.FAMILY,
    windows_programs.FAMILY,
    *unix_programs.FAMILIES,
    packed_programs.FAMILY,
    *unopened_formats.FAMILIES,
)

_BEGINNINGS = {
    "gzip": (b"\x1f\x8b",),
    "bzip2": (b"BZ",),
    "xz": (b"\xfd7",),
    "lzma": (b"\x5d\0",),
    "7z": (b"7z",),
    "rar": (b"Ra",),
    "rar5": (b"Ra",),
    "cpio": (b"07", b"\xc7\x71", b"\x71\xc7"),
    "cab": (b"MS",),
    "xar": (b"xa",),
    "ar": (b"!<",),
    "rpm": (b"\xed\xab",),
    "zstd": (b"\x28\xb5",),
    "lz4": (b"\x04\x22",),
    "compress": (b"\x1f\x9d",),
    "lzip": (b"LZ",),
    "arj": (b"\x60\xea",),
    "szdd": (b"SZ",),
    "chm": (b"IT",),
    "ole2": (b"\xd0\xcf",),
    "onenote": (b"\xe4\x52", b"\xa1\x2f"),
    "tnef": (b"\x78\x9f",),
    "windows program": (b"MZ",),
    "appended to elf": (b"\x7fE",),
    "universal mach-o": (b"\xca\xfe",),
    "upx": (b"\x7fE", b"MZ"),
    "installer": (b"zl", b"id", b"In", b"IS", b"\xa3\x48"),
}
_DISTANT = frozenset({"tar", "iso9660", "udf", "hfs"})

FORMATS = Recognition(FAMILIES, _BEGINNINGS, _DISTANT)
NO_FORMATS = Recognition((), {}, frozenset())
