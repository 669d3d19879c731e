"""Imported rule packs as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PackRule:
    """One rule of a pack.

    Attributes:
        path: Of its file in the pack.
        name: Its identifier, unique in its file.
        scope: `private`, `global`, both, or empty.
        start: Where it begins in the file's text, in characters.
        end: Where it ends there, exclusive.
        refers_to: Rules of its file that its condition names.
        body_sha256: Of its strings and condition: equal bodies find the same.
    """

    path: str
    name: str
    scope: str
    start: int
    end: int
    refers_to: tuple[str, ...]
    body_sha256: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not compile.

    Attributes:
        path: Of the file in the pack.
        line: 1-based; 0: unknown.
        rule: Empty: the whole file.
        reason: The engine's words.
    """

    path: str
    line: int
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class CompileReport:
    """What compiling a pack said.

    Attributes:
        rules: All that could be told apart, those with problems included.
        problems: What does not compile, and what goes with it.
        whole_files: Files that compile and whose rules cannot be told apart.
    """

    rules: tuple[PackRule, ...]
    problems: tuple[Problem, ...]
    whole_files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CleanHit:
    """A rule that found something in clean software.

    Attributes:
        path: Of the rule's file in the pack.
        rule: Its name.
        severity: As a device takes it: `high` where the rule says nothing.
        files: How many clean files.
        example: One of them.
    """

    path: str
    rule: str
    severity: str
    files: int
    example: str


@dataclass(frozen=True, slots=True)
class CleanReport:
    """What a pack finds in clean software.

    Attributes:
        folders: Where it was looked; empty: nowhere.
        files: How many files that were.
        hits: Rules that should have been silent, the loudest first.
    """

    folders: tuple[str, ...]
    files: int
    hits: tuple[CleanHit, ...]


@dataclass(frozen=True, slots=True)
class Intake:
    """A pack as it was handed in.

    Attributes:
        files: Texts of rules, by path: relative, `/` between folders, `.yar` at the end.
        licence: Short name: "MIT".
        licence_text: As it came with the pack; empty: it came without.
        attribution: Whom to credit.
        source: Where it came from, for people.
    """

    files: Mapping[str, str]
    licence: str
    licence_text: str
    attribution: str
    source: str


@dataclass(frozen=True, slots=True)
class RulePack:
    """An imported pack.

    Attributes:
        name: As the operator calls it.
        version: Short hash of its rules.
        intake: What was handed in.
        compiled: What compiling said.
        clean: What it finds in clean software.
        first_imported_at: Orders packs: of equal rules that of the earlier pack stays.
        imported_at: When this version came.
    """

    name: str
    version: str
    intake: Intake
    compiled: CompileReport
    clean: CleanReport
    first_imported_at: datetime
    imported_at: datetime
