"""How a divided pack is laid out in an image: a header, then sections one behind the other.

Tables of numbers and the texts of rules are read where they lie, so that what is not needed takes no memory, and what
is needed is shared by all workers.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from agent.scanner.routing.composing import Kit
from agent.scanner.routing.needs import Need
from agent.scanner.routing.screening import ScreenTable
from agent.scanner.routing.selection import Route

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.scanner.routing.refutation import Test

_LENGTH_BYTES = 8
#: Numbers are stored as the C type `int` of this machine: images are never taken to another.
_NUMBER: Final = "i"
_NUMBER_BYTES = array(_NUMBER).itemsize
_OF_SCREEN = ("need_of", "by_need", "thresholds", "parents", "first", "waiting")
_OF_KIT = ("namespaces", "modules", "first", "taken", "always")


@dataclass(frozen=True, slots=True)
class Table:
    """Needles as the finder wants them, and those that could not be taken into it."""

    content: bytes | memoryview
    refused: Sequence[int]


@dataclass(frozen=True, slots=True)
class Screening:
    """What it takes to run only some rules of a partition.

    Attributes:
        needles: Number of its table.
        table: Judges.
        kit: Writes the rules that are to be run.
        tests: What refutes all rules that are always run, see `agent.scanner.routing.refutation`; None: nothing does.
    """

    needles: int
    table: ScreenTable
    kit: Kit
    tests: Sequence[Test] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A partition: images of all its rules and of those that are always run, empty if there are none."""

    route: Route
    whole: bytes | memoryview
    unscreened: bytes | memoryview = b""
    screening: Screening | None = None


@dataclass(frozen=True, slots=True)
class RoutedImage:
    """A divided pack."""

    rule_count: int
    tables: Sequence[Table]
    parts: Sequence[Part]

    def write(self, file: IO[bytes]) -> None:
        """Write it as it is read."""
        pool = _TextPool()
        numbers = [_numbers(part.screening, pool) if part.screening else {} for part in self.parts]
        header = {
            "rules": self.rule_count,
            "tables": [{"size": len(table.content), "refused": list(table.refused)} for table in self.tables],
            "texts": len(pool.content),
            "parts": [
                {
                    "route": _packed(part.route),
                    "whole": len(part.whole),
                    "unscreened": len(part.unscreened),
                    "numbers": {name: len(listed) for name, listed in lists.items()},
                    "screening": _described(part.screening) if part.screening else None,
                }
                for part, lists in zip(self.parts, numbers, strict=True)
            ],
        }
        encoded = json.dumps(header, separators=(",", ":")).encode()
        file.write(len(encoded).to_bytes(_LENGTH_BYTES, "big") + encoded)
        for table in self.tables:
            file.write(table.content)
        file.write(pool.content)
        for part, lists in zip(self.parts, numbers, strict=True):
            file.write(part.whole)
            file.write(part.unscreened)
            for listed in lists.values():
                file.write(array(_NUMBER, listed).tobytes())


def read_image(content: memoryview) -> RoutedImage:
    """Read what `RoutedImage.write` wrote, without copying any of it."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "big")
    header = json.loads(bytes(content[_LENGTH_BYTES : _LENGTH_BYTES + length]))
    sections = _Cutter(content[_LENGTH_BYTES + length :])
    tables = [Table(sections.take(table["size"]), table["refused"]) for table in header["tables"]]
    texts = sections.take(header["texts"])
    return RoutedImage(header["rules"], tables, [_read_part(part, sections, texts) for part in header["parts"]])


def _read_part(part: Mapping[str, Any], sections: _Cutter, texts: memoryview) -> Part:
    whole, unscreened = sections.take(part["whole"]), sections.take(part["unscreened"])
    numbers = {name: sections.take(count * _NUMBER_BYTES).cast(_NUMBER) for name, count in part["numbers"].items()}
    described = part["screening"]
    if described is None:
        return Part(_unpacked(part["route"]), whole, unscreened)
    screen = {name: numbers[f"screen {name}"] for name in _OF_SCREEN}
    kit = {name: numbers[f"kit {name}"] for name in _OF_KIT}
    stored = _StoredTexts(texts, numbers["text begins"], numbers["text ends"])
    screening = Screening(
        described["needles"],
        ScreenTable(needs=described["needs"], **screen),
        Kit(texts=stored, names=described["names"], module_sets=described["module_sets"], **kit),
        described["tests"],
    )
    return Part(_unpacked(part["route"]), whole, unscreened, screening)


def _described(screening: Screening) -> dict[str, Any]:
    return {
        "needles": screening.needles,
        "needs": screening.table.needs,
        "names": screening.kit.names,
        "module_sets": screening.kit.module_sets,
        "tests": screening.tests,
    }


def _numbers(screening: Screening, pool: _TextPool) -> dict[str, Sequence[int]]:
    places = [pool.place(screening.kit.texts[number]) for number in range(len(screening.kit.texts))]
    return {
        **{f"screen {name}": getattr(screening.table, name) for name in _OF_SCREEN},
        **{f"kit {name}": getattr(screening.kit, name) for name in _OF_KIT},
        "text begins": [begin for begin, _ in places],
        "text ends": [end for _, end in places],
    }


class _TextPool:
    """Texts one behind the other; rules of several partitions are stored once."""

    def __init__(self) -> None:
        self.content = bytearray()
        self._places: dict[str, tuple[int, int]] = {}

    def place(self, text: str) -> tuple[int, int]:
        """Where a text begins and ends."""
        if text not in self._places:
            begin = len(self.content)
            self.content += text.encode("utf-8", "surrogateescape")
            self._places[text] = begin, len(self.content)
        return self._places[text]


class _StoredTexts:
    """Texts that are read when they are asked for."""

    def __init__(self, content: memoryview, begins: Sequence[int], ends: Sequence[int]) -> None:
        self._content = content
        self._begins = begins
        self._ends = ends

    def __len__(self) -> int:
        return len(self._begins)

    def __getitem__(self, number: int, /) -> str:
        return str(self._content[self._begins[number] : self._ends[number]], "utf-8", "surrogateescape")


class _Cutter:
    """Cuts one section after the other off the image."""

    def __init__(self, content: memoryview) -> None:
        self._left = content

    def take(self, size: int) -> memoryview:
        """The next bytes."""
        section, self._left = self._left[:size], self._left[size:]
        return section


def _packed(route: Route) -> dict[str, Any]:
    heads = route.need.heads
    return {
        "heads": None if heads is None else sorted(head.hex() for head in heads),
        "min_size": route.need.min_size,
        "max_size": route.need.max_size,
        "excluded": [head.hex() for head in route.excluded],
    }


def _unpacked(route: dict[str, Any]) -> Route:
    heads = route["heads"]
    need = Need(
        heads=None if heads is None else frozenset(map(bytes.fromhex, heads)),
        min_size=route["min_size"],
        max_size=route["max_size"],
    )
    return Route(need, excluded=tuple(map(bytes.fromhex, route["excluded"])))
