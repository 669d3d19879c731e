"""Rules of others, from wherever they were downloaded to: a file, a folder or a zip archive.

Only text is read here; rules are compiled by `buckler`, in a process of its own.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from controlplane.releases.errors import attribution_missing, licence_missing, unreadable
from controlplane.releases.model import Intake

#: As devices take at most.
MAX_BYTES = 256 * 1024 * 1024
MAX_FILES = 50_000
_MAX_LICENCE_BYTES = 256 * 1024
#: Characters of a licence's name or an attribution; a bundle takes ten times as many.
_MAX_LINE = 200
_SUFFIXES = frozenset({".yar", ".yara"})
_LICENCE_NAMES = re.compile(r"(licen[cs]e|copying|unlicense)(\.(txt|md|rst))?", re.IGNORECASE)
# What the texts of common licences say, and nothing else does; the first that fits.
_LICENCES = (
    ("DRL 1.1", "Detection Rule License (DRL) 1.1"),
    ("Apache-2.0", "Apache License Version 2.0"),
    ("AGPL-3.0", "GNU AFFERO GENERAL PUBLIC LICENSE Version 3"),
    ("GPL-3.0", "GNU GENERAL PUBLIC LICENSE Version 3"),
    ("GPL-2.0", "GNU GENERAL PUBLIC LICENSE Version 2"),
    ("CC-BY-4.0", "Creative Commons Attribution 4.0"),
    ("MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"),
    ("BSD-3-Clause", "Neither the name of"),
    ("BSD-2-Clause", "Redistributions in binary form must reproduce the above copyright notice"),
)
_COPYRIGHT = re.compile(
    r"^\W*copyright\s*(?:\(c\)|©)?\s*[-\d,\s]*(?P<holder>[^\d\s].{1,200})$", re.IGNORECASE | re.MULTILINE
)
_UNSAFE = re.compile(r"[^A-Za-z0-9._+()-]")


def read_pack(source: Path, *, licence: str, attribution: str) -> Intake:
    """Read a pack.

    Args:
        source: File, folder or zip archive.
        licence: Its short name; empty: told by the licence file that comes with it.
        attribution: Whom to credit; empty: the holder of the copyright that the licence file names.

    Raises:
        Refusal: PACK_UNREADABLE, PACK_LICENCE_MISSING or PACK_ATTRIBUTION_MISSING.
    """
    try:
        untrusted = _Contents.of(source)
    except OSError as error:
        raise unreadable(str(source), error.strerror or type(error).__name__) from error
    except _TooMuchError as error:
        raise unreadable(str(source), str(error)) from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise unreadable(str(source), f"the archive is damaged: {error}") from error
    if not untrusted.rules:
        raise unreadable(str(source), "it holds no rule files")
    licence = _line(licence) or licence_named(untrusted.licence_text)
    if not licence:
        raise licence_missing(str(source))
    attribution = _line(attribution) or copyright_holder(untrusted.licence_text)
    if not attribution:
        raise attribution_missing(str(source))
    return Intake(untrusted.rules, licence, untrusted.licence_text, attribution, str(source))


def licence_named(text: str) -> str:
    """Short name of a known licence, by its text; empty: unknown."""
    flat = " ".join(text.split()).lower()
    return next((name for name, phrase in _LICENCES if phrase.lower() in flat), "")


def copyright_holder(text: str) -> str:
    """Who a licence text names; empty: nobody."""
    found = _COPYRIGHT.search(text)
    return _line(found["holder"]) if found else ""


class _TooMuchError(Exception):
    def __str__(self) -> str:
        return f"it holds more than {MAX_FILES} rule files, or more than {MAX_BYTES} bytes of them"


class _Contents:
    """Rule texts by their safe paths, and the licence text."""

    def __init__(self) -> None:
        self.rules: dict[str, str] = {}
        self._taken: set[str] = set()
        self._bytes = 0
        self.licence_text = ""

    @classmethod
    def of(cls, source: Path) -> "_Contents":
        contents = cls()
        if source.is_dir():
            members = _in_folder(source)
        elif zipfile.is_zipfile(source):
            members = _in_archive(source)
        else:
            members = iter([(source.with_suffix(".yar").name, source.read_bytes())])
        for untrusted_path, untrusted_content in members:
            contents.take(untrusted_path, untrusted_content)
        return contents

    def take(self, untrusted_path: str, untrusted_content: bytes) -> None:
        path = PurePosixPath(untrusted_path)
        text = _text(untrusted_content)
        if path.suffix.lower() not in _SUFFIXES:
            # That of the whole pack is the one nearest to its top.
            self.licence_text = self.licence_text or text
            return
        self._bytes += len(untrusted_content)
        if self._bytes > MAX_BYTES or len(self.rules) >= MAX_FILES:
            raise _TooMuchError
        self.rules[self._free(_safe(path))] = text

    def _free(self, stem: str) -> str:
        """A path that no other file of the pack has; case does not tell files apart everywhere."""
        number, path = 1, f"{stem}.yar"
        while path.lower() in self._taken:
            number += 1
            path = f"{stem}-{number}.yar"
        self._taken.add(path.lower())
        return path


def _in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*"), key=lambda path: (len(path.parts), path)):
        if path.is_file() and _is_wanted(path.name, path.stat().st_size):
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _in_archive(source: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(source) as archive:
        for member in sorted(archive.infolist(), key=lambda member: (member.filename.count("/"), member.filename)):
            if not member.is_dir() and _is_wanted(PurePosixPath(member.filename).name, member.file_size):
                # `read` never gives more than a member's declared size.
                yield member.filename, archive.read(member)


def _is_wanted(name: str, size_bytes: int) -> bool:
    if PurePosixPath(name).suffix.lower() in _SUFFIXES:
        if size_bytes > MAX_BYTES:
            raise _TooMuchError
        return True
    return _LICENCE_NAMES.fullmatch(name) is not None and size_bytes <= _MAX_LICENCE_BYTES


def _safe(path: PurePosixPath) -> str:
    """Without suffix, and without anything a file system or a terminal could take for more than a name."""
    parts = [_UNSAFE.sub("_", part) for part in path.with_suffix("").parts]
    return "/".join(part for part in parts if part.strip("._")) or "rules"


def _line(untrusted: str) -> str:
    """One printable line, as the manifest of a bundle takes it."""
    return " ".join("".join(char if char.isprintable() else " " for char in untrusted).split())[:_MAX_LINE]


def _text(untrusted: bytes) -> str:
    try:
        return untrusted.decode("utf-8-sig")
    except UnicodeDecodeError:
        # A comment in another encoding must not cost the rules.
        return untrusted.decode("latin-1")
