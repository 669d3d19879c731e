"""Finds which of many thousand needles a content holds, in one pass, with Hyperscan.

Where that library is not installed or does not run (it needs SSE4.2), there is no finder, and rules are run unscreened.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from agent.scanner.routing.needles import Needle

try:
    _hyperscan: Any = import_module("hyperscan")
except ImportError:
    _hyperscan = None


def finder_version() -> str:
    """What tables depend on; empty: none are made here."""
    return "" if _hyperscan is None else str(_hyperscan.__version__)


class NeedleFinder:
    """A compiled table of needles.

    Args:
        database: Hyperscan's, with its scratch memory.
        refused: Needles it would not take: they count as found everywhere.
    """

    def __init__(self, database: Any, refused: Sequence[int]) -> None:
        self._scan = database.scan
        self._refused = tuple(refused)

    def find(self, data: bytes) -> list[int]:
        """Return the indices of the needles in a content, each once, in no particular order."""
        found = [*self._refused]
        self._scan(data, _note, context=found)
        return found


def compile_finder(needles: Sequence[Needle]) -> tuple[bytes, tuple[int, ...]] | None:
    """Compile a table for `load_finder`.

    Returns:
        The table and the indices of the needles that could not be taken into it; None if none can be made here.
    """
    if _hyperscan is None:
        return None
    numbered = dict(enumerate(needles))
    table = _compiled(numbered)
    if table is not None:
        return table, ()
    # It does not say which one it will not take; fixed pieces it takes all.
    refused = [number for number, needle in numbered.items() if needle.pattern and not _compiled({number: needle})]
    table = _compiled({number: needle for number, needle in numbered.items() if number not in frozenset(refused)})
    return None if table is None else (table, tuple(refused))


def _compiled(needles: Mapping[int, Needle]) -> bytes | None:
    database = _hyperscan.Database()
    try:
        database.compile(
            expressions=[_expression(needle) for needle in needles.values()],
            ids=[*needles],
            elements=len(needles),
            flags=[_flags(needle) for needle in needles.values()],
        )
    except _hyperscan.error:
        return None
    return bytes(_hyperscan.dumpb(database))


def load_finder(table: bytes, refused: Sequence[int]) -> NeedleFinder | None:
    """Load a table that `compile_finder` made; None if this machine cannot use it."""
    if _hyperscan is None:
        return None
    try:
        database = _hyperscan.loadb(table, _hyperscan.HS_MODE_BLOCK)
        database.scratch = _hyperscan.Scratch(database)
    except _hyperscan.error:
        return None
    return NeedleFinder(database, refused)


def _note(needle: int, _start: int, _end: int, _flags: int, found: list[int]) -> None:
    found.append(needle)


def _expression(needle: Needle) -> bytes:
    written = needle.pattern.encode("ascii") or b"".join(b"\\x%02x" % byte for byte in needle.text)
    return b"^" + written if needle.at_start else written


def _flags(needle: Needle) -> int:
    flags = _hyperscan.HS_FLAG_SINGLEMATCH
    if needle.nocase:
        flags |= _hyperscan.HS_FLAG_CASELESS
    if needle.dotall:
        flags |= _hyperscan.HS_FLAG_DOTALL
    return int(flags)
