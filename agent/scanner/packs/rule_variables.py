"""Values of the external variables that public rule sets ask about."""

from collections.abc import Mapping

#: What public rule sets call a content that starts so. Only what the first bytes alone decide; of two that fit the
#: first counts.
_FILE_TYPES = (
    (b"MZ", "EXE"),
    (b"\x7fELF", "ELF"),
    (b"\xfe\xed\xfa\xce", "MACH-O"),
    (b"\xfe\xed\xfa\xcf", "MACH-O"),
    (b"\xce\xfa\xed\xfe", "MACH-O"),
    (b"\xcf\xfa\xed\xfe", "MACH-O"),
    (b"PK\x03\x04", "ZIP"),
    (b"PK\x05\x06", "ZIP"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"7z\xbc\xaf\x27\x1c", "7ZIP"),
    (b"\x1f\x8b", "GZIP"),
    (b"BZh", "BZIP2"),
    (b"MSCF", "CAB"),
    (b"%PDF", "PDF"),
    (b"{\\rt", "RTF"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "OLE"),
    (b"GIF8", "GIF"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"L\0\0\0\x01\x14\x02\0", "LNK"),
    (b"MDMP", "MDMP"),
    (b"ElfFile\0", "EVTX"),
    (b"regf", "REGISTRY"),
    (b"<?php", "PHP"),
    (b"<?xml", "XML"),
    (b"#!", "UNIX SCRIPT"),
)
_KEY = 2
#: By the first two bytes: one look-up decides for nearly every content.
_BY_KEY = {
    magic[:_KEY]: tuple(entry for entry in _FILE_TYPES if entry[0][:_KEY] == magic[:_KEY]) for magic, _ in _FILE_TYPES
}


def variables_for(path: str, trail: tuple[str, ...], untrusted_content: bytes, owner: str) -> Mapping[str, str]:
    """What rules are told about a content.

    `filename` is its own name, `filepath` the folder it is in (for a member: the container, then the folders inside
    it), `extension` the lower-case suffix with its dot, `filetype` a name for its first bytes, empty for most, and
    `owner` who owns the file on disk.

    Args:
        path: Of the file on disk.
        trail: Names from the outermost container to the content; the first is the file's own.
        untrusted_content: At least its first eight bytes.
        owner: Account name, or number.
    """
    folder, _, name = "/".join((path, *trail[1:])).rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    extension = f".{suffix.lower()}" if dot and stem else ""
    return {
        "filename": _text(name),
        "filepath": _text(folder),
        "extension": _text(extension),
        "filetype": file_type(untrusted_content),
        "owner": owner,
    }


def file_type(untrusted_content: bytes) -> str:
    """What the first bytes of a content say it is; empty: nothing that is known here."""
    for magic, name in _BY_KEY.get(untrusted_content[:_KEY], ()):
        if untrusted_content.startswith(magic):
            return name
    return ""


def _text(name: str) -> str:
    """Rules compare text; bytes that are none become escapes."""
    if name.isascii() and "\0" not in name:
        return name
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
