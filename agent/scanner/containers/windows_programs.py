"""Windows programs: what they carry in their resources, and what is appended to them.

A program is scanned as a whole before. What is cut out here are files in files: rules that look at first bytes and
formats that begin at the first byte would miss them in the middle of it.
"""

import struct
from collections.abc import Iterator
from itertools import count

import pefile

from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Family, Member

_DOS, _PE, _PE_POINTER_AT = b"MZ", b"PE\0\0", 60
#: The signature and the COFF header, which holds the size of the header behind it.
_COFF_SIZE = 24
_RESOURCES, _CERTIFICATES = 2, 4
#: What Windows itself draws or reads: cursors, pictures, icons, menus, dialogs, texts, fonts, keys, the version and the
#: manifest. Taken out only if they begin like something else.
_DULL_TYPES = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 16, 24})
_TELLING = (b"MZ", b"\x7fELF", b"PK\x03\x04", b"MSCF", b"\xd0\xcf\x11\xe0", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b\x08")
#: What 7-Zip's self-extractor reads before its archive, and how far in that may begin.
_INSTRUCTIONS, _ARCHIVE, _ARCHIVE_WITHIN = b";!@Install@!", b"7z\xbc\xaf\x27\x1c", 64 * 1024


def _recognises(data: bytes) -> bool:
    return data.startswith(_DOS) and len(data) > _PE_POINTER_AT + 4 and data.startswith(_PE, _pe_header_at(data))


def _pe_header_at(data: bytes) -> int:
    return int(struct.unpack_from("<L", data, _PE_POINTER_AT)[0])


def first_section_name(data: bytes) -> bytes:
    """The name of a program's first section, without its padding; empty: this is no program, or it has none."""
    if not _recognises(data):
        return b""
    header_at = _pe_header_at(data)
    sections_at = header_at + _COFF_SIZE + int.from_bytes(data[header_at + 20 : header_at + 22], "little")
    return data[sections_at : sections_at + 8].rstrip(b"\0")


def _members(content: Content, meter: Meter) -> Iterator[Member]:
    try:
        program = pefile.PE(data=content.data, fast_load=True)
    except pefile.PEFormatError:
        raise ContainerError("damaged") from None
    program.parse_data_directories([_RESOURCES])
    for name, data in _resources(program):
        yield Member(name, *meter.take(data))
    end = max((section.PointerToRawData + section.SizeOfRawData for section in program.sections), default=0)
    for number, data in zip(count(1), _appended(program, content.data, end), strict=False):
        yield Member(f"overlay-{number}", *meter.take(data))
    if end > len(content.data):
        raise ContainerError("damaged")


def _resources(program: pefile.PE) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each resource that is worth a look; one of which the file holds nothing is none."""
    for kind in getattr(getattr(program, "DIRECTORY_ENTRY_RESOURCE", None), "entries", ()):
        for entry in getattr(getattr(kind, "directory", None), "entries", ()):
            for language in getattr(getattr(entry, "directory", None), "entries", ()):
                where = getattr(getattr(language, "data", None), "struct", None)
                if where is None:
                    continue
                data = program.get_data(where.OffsetToData, where.Size) or b""
                if data and (kind.id not in _DULL_TYPES or data.startswith(_TELLING)):
                    yield f"resources/{_label(kind)}/{_label(entry)}/{_label(language)}", data


def _label(entry: pefile.ResourceDirEntryData) -> str:
    return str(entry.id) if entry.name is None else str(entry.name)


def _appended(program: pefile.PE, data: bytes, end: int) -> Iterator[bytes]:
    """What no section holds, before and behind the certificates."""
    directories = program.OPTIONAL_HEADER.DATA_DIRECTORY
    # Unlike all other directories this one is told by its place in the file.
    signed = directories[_CERTIFICATES] if len(directories) > _CERTIFICATES else None
    if signed is not None and end <= signed.VirtualAddress and signed.Size:
        pieces = [data[end : signed.VirtualAddress], data[signed.VirtualAddress + signed.Size :]]
    else:
        pieces = [data[end:]]
    for piece in pieces:
        if piece.strip(b"\0"):
            yield _without_instructions(piece)


def _without_instructions(piece: bytes) -> bytes:
    if piece.lstrip(b"\xef\xbb\xbf").startswith(_INSTRUCTIONS):
        return piece[max(0, piece.find(_ARCHIVE, 0, _ARCHIVE_WITHIN)) :]
    return piece


FAMILY = Family("windows program", _recognises, _members)
