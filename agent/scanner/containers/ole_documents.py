"""OLE2 compound files: Office documents before OOXML, msi, msg, Thumbs.db. Every stream is a member.

What Office wraps once more, macros and embedded objects, are members beside the stream they come from.
"""

import io
from collections.abc import Iterator
from typing import Any

import olefile

from agent.domain.facts import Incomplete
from agent.scanner.containers import ole_packages, vba_macros
from agent.scanner.containers.budget import Meter
from agent.scanner.containers.family import ContainerError, Content, Family, Member

_NATIVE = "\x01ole10native"
_VBA_DIRECTORY = "dir"
_ORPHANS = "orphans"
#: Written by Visual Studio; says how often the document was saved and nothing about where anything is.
_HARMLESS = "transaction_signature_number"
_IN_USE = (olefile.STGTY_STREAM, olefile.STGTY_STORAGE)
_FIRST_MSI_LETTER, _FIRST_MSI_SINGLE, _MSI_END, _MSI_TABLE = 0x3800, 0x4800, 0x4840, 0x4840
_MSI_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._"
#: Excel: the record that follows the first one if the rest is encrypted ([MS-XLS] 2.4.117).
_FILEPASS = b"\x2f\x00"
#: PowerPoint: `CurrentUserAtom.headerToken` of an encrypted document ([MS-PPT] 2.3.2).
_ENCRYPTED_SLIDES = b"\xdf\xc4\xd1\xf3"


class _Document(olefile.OleFileIO):  # type: ignore[misc] # olefile has no types
    """Believes no size larger than the file: with sectors in a circle, olefile would fill the memory with it."""

    def _open(self, start: int, size: int = olefile.UNKNOWN_SIZE, **options: Any) -> Any:
        longest = size if size == olefile.UNKNOWN_SIZE else min(size, self._filesize)
        return super()._open(start, longest, **options)


def recognise(data: bytes) -> bool:
    """By the first eight bytes."""
    return data.startswith(olefile.MAGIC)


def members(content: Content, meter: Meter) -> Iterator[Member]:
    """Every stream that the directory names, and what is wrapped in it."""
    try:
        document = _Document(io.BytesIO(content.data))
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise ContainerError("damaged") from error
    with document:
        for path, storage, problem in _storages(document):
            if problem:
                yield Member("/".join(path) or content.name, None, Incomplete("damaged"))
            yield from _storage_members(document, path, storage.kids if storage else [], meter)
        yield from _storage_members(document, (_ORPHANS,), _orphans(document), meter)


def _storages(document: Any) -> Iterator[tuple[tuple[str, ...], Any, bool]]:
    """All storages with their paths; the flag says that the directory contradicts itself there."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), document.root)]
    seen: set[int] = set()
    while waiting:
        path, storage = waiting.pop()
        if storage.sid in seen:
            yield path, None, True
            continue
        seen.add(storage.sid)
        # What olefile met and did not think fatal: a loop, an entry used twice; or an entry in use that says it is not.
        vacant = any(kid.entry_type not in _IN_USE for kid in storage.kids)
        bent = not path and any(_HARMLESS not in str(issue) for _kind, issue in document.parsing_issues)
        yield path, storage, vacant or bent
        folders = [kid for kid in storage.kids if kid.entry_type == olefile.STGTY_STORAGE]
        waiting.extend(((*path, _readable(kid.name)), kid) for kid in reversed(folders))


def _orphans(document: Any) -> list[Any]:
    """Entries of the directory that no storage leads to: deleted ones, and those that somebody wanted overlooked."""
    numbers = [number for number, entry in enumerate(document.direntries) if entry is None]
    return [document._load_direntry(number) for number in numbers]  # noqa: SLF001 -- what olefile does with the others


def _storage_members(document: Any, path: tuple[str, ...], entries: list[Any], meter: Meter) -> Iterator[Member]:
    kids = [entry for entry in entries if entry.entry_type == olefile.STGTY_STREAM]
    # The `dir` of a VBA project says where the modules beside it have their source.
    kids.sort(key=lambda kid: kid.name.lower() != _VBA_DIRECTORY)
    offsets: dict[str, int] = {}
    for kid in kids:
        name = "/".join((*path, _readable(kid.name)))
        data, problem = meter.read_all(_stream_reader(document, kid))
        if data is not None and len(data) < kid.size:
            # olefile gives what its tables of sectors lead to and keeps silent about the rest.
            problem = problem or Incomplete("damaged")
        yield Member(name, data, problem)
        if data is None:
            continue
        if kid.name.lower() == _VBA_DIRECTORY and data.startswith(b"\x01"):
            directory = _unpacked(data, 0, f"{name}.unpacked", meter)
            yield directory
            offsets = vba_macros.module_offsets(directory.data or b"")
        elif kid.name.lower() == _NATIVE:
            yield from _native(data, name, meter)
        else:
            yield from _macros(data, name, offsets.get(kid.name.lower()), meter)
        if _is_encrypted(kid.name, data):
            yield Member(name, None, Incomplete("encrypted"))


def _stream_reader(document: Any, entry: Any) -> Any:
    opened: list[Any] = []

    def read(size: int) -> bytes:
        if not opened:
            # `openstream` would look the name up from the root again, which is quadratic in the streams.
            opened.append(document._open(entry.isectStart, entry.size))  # noqa: SLF001 -- see above
        return bytes(opened[0].read(size))

    return read


def _native(data: bytes, name: str, meter: Meter) -> Iterator[Member]:
    payload = ole_packages.native_payload(data)
    if payload is not None:
        yield Member(f"{name}/{payload[0]}", *meter.take(payload[1]))


def _macros(data: bytes, name: str, announced: int | None, meter: Meter) -> Iterator[Member]:
    starts = dict.fromkeys(vba_macros.find_modules(data))
    if announced is not None and data[announced : announced + 1] == b"\x01":
        starts[announced] = None
    for start in starts:
        yield _unpacked(data, start, f"{name}.bas", meter)


def _unpacked(data: bytes, start: int, name: str, meter: Meter) -> Member:
    return Member(name, *meter.read_all(vba_macros.decompressor(data, start)))


def _is_encrypted(name: str, data: bytes) -> bool:
    match name.lower():
        case "encryptedpackage":
            return True
        case "worddocument":
            return len(data) > 11 and bool(data[11] & 1)  # noqa: PLR2004 -- FibBase.fEncrypted, [MS-DOC] 2.5.2
        case "workbook" | "book":
            return data.startswith(_FILEPASS, 4 + int.from_bytes(data[2:4], "little"))
        case "current user":
            return data.startswith(_ENCRYPTED_SLIDES, 12)
    return False


def _readable(name: str) -> str:
    """A stream's name; msi packs two letters of its own alphabet into one character."""
    if not any(_FIRST_MSI_LETTER <= ord(character) <= _MSI_TABLE for character in name):
        return name
    letters = []
    for character in name:
        code = ord(character)
        if _FIRST_MSI_LETTER <= code < _FIRST_MSI_SINGLE:
            code -= _FIRST_MSI_LETTER
            letters += [_MSI_LETTERS[code & 0x3F], _MSI_LETTERS[code >> 6]]
        elif _FIRST_MSI_SINGLE <= code < _MSI_END:
            letters.append(_MSI_LETTERS[code - _FIRST_MSI_SINGLE])
        elif code != _MSI_TABLE:
            letters.append(character)
    return "".join(letters)


FAMILY = Family("ole2", recognise, members)
