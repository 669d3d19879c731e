"""Any engine, with the rules divided by what their conditions imply about a file (`agent.scanner.routing`).

The image holds one image of the engine for each partition, and the routes by which a content finds its partition. With
each goes a screen: most contents have the evidence for none of its rules, and are spared them. Screens that look for
nearly the same share a table of needles. The matches are those of the undivided pack; only the time it takes to find
them differs.
"""

import io
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from mmap import mmap
from typing import IO, TYPE_CHECKING, Any

from agent.scanner.engines.needle_finder import NeedleFinder, compile_finder, finder_version, load_finder
from agent.scanner.engines.port import (
    Engine,
    Matcher,
    MatchResult,
    MatchTimeoutError,
    Readable,
    RuleCompileError,
    RuleProblem,
    RuleSource,
)
from agent.scanner.routing.needs import Need
from agent.scanner.routing.screening import RULES_IN_A_CELL, Screen, alike, plan_screen
from agent.scanner.routing.selection import Route, Selector

if TYPE_CHECKING:
    from agent.scanner.routing.analysis import RuleText
    from agent.scanner.routing.needles import Needle
    from agent.scanner.routing.partitions import Partition

_LENGTH_BYTES = 8
#: To be raised whenever rules are divided or images are written in another way.
_FORMAT = 3
_NO_MATCH = MatchResult(())
#: Each cell passes the content once more; beyond this the whole partition in one pass is quicker.
_MOST_CELLS = 3
#: Larger contents have, by chance alone, the evidence for rules in more cells than that.
_LARGEST_SCREENED = 1 << 20


def image_format() -> str:
    """What images depend on beside rules and engine."""
    return f"routed {_FORMAT}, needles {finder_version()}, {platform.machine()}"


class RoutedEngine:
    """An engine that runs only the rules that could match.

    Args:
        inner: Compiles and loads each partition.
    """

    def __init__(self, inner: Engine) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        """The inner engine's: routing changes no match."""
        return self._inner.name

    @property
    def version(self) -> str:
        """The inner engine's."""
        return self._inner.version

    def compile(self, sources: Sequence[RuleSource], image: IO[bytes]) -> int:
        """Compile the pack as it is, which finds its errors, then divide it; see `Engine.compile`."""
        whole = io.BytesIO()
        rule_count = self._inner.compile(sources, whole)
        tables: list[_Table] = []
        try:
            parts = self._divided(sources, tables)
        except RuleCompileError:
            # What the engine takes whole but not divided runs whole: correct before fast.
            parts = [_Part(Route(Need()), (whole.getvalue(),), None)]
        header = {
            "rules": rule_count,
            "tables": [{"size": len(table.content), "refused": table.refused} for table in tables],
            "parts": [part.described() for part in parts],
        }
        encoded = json.dumps(header, separators=(",", ":")).encode()
        image.write(len(encoded).to_bytes(_LENGTH_BYTES, "big"))
        image.write(encoded)
        for table in tables:
            image.write(table.content)
        for part in parts:
            for section in part.sections:
                image.write(section)
        return rule_count

    def problem(self, source: RuleSource) -> RuleProblem | None:
        """The inner engine's word; see `Engine.problem`."""
        return self._inner.problem(source)

    def load(self, image: Readable) -> Matcher:
        """Load an image; see `Engine.load`."""
        content = memoryview(image if isinstance(image, mmap) else image.read() or b"")
        length = int.from_bytes(content[:_LENGTH_BYTES], "big")
        header = json.loads(bytes(content[_LENGTH_BYTES : _LENGTH_BYTES + length]))
        take = _Cutter(content[_LENGTH_BYTES + length :]).take
        finders = [load_finder(bytes(take(table["size"])), table["refused"]) for table in header["tables"]]
        matchers = [self._load_part(part, [take(size) for size in part["sizes"]], finders) for part in header["parts"]]
        return RoutedMatcher(matchers, [_unpacked(part["route"]) for part in header["parts"]], header["rules"])

    def _load_part(
        self, part: Mapping[str, Any], sections: Sequence[memoryview], finders: Sequence[NeedleFinder | None]
    ) -> Matcher:
        whole, *packs = sections
        finder = finders[part["screen"]["needles"]] if part["screen"] else None
        if finder is None:
            return self._load(whole)
        unscreened, *cells = packs
        return ScreenedMatcher(
            partial(self._load, whole),
            self._load(unscreened) if unscreened else None,
            [partial(self._load, cell) for cell in cells],
            finder,
            Screen(part["screen"]["table"]),
        )

    def _load(self, section: memoryview) -> Matcher:
        # Engines read a few bytes at a time: from memory that costs next to nothing.
        return self._inner.load(io.BytesIO(section))

    def _divided(self, sources: Sequence[RuleSource], tables: list["_Table"]) -> list["_Part"]:
        """The partitions; tables of needles that they share are added to `tables`."""
        # Not needed where images come from a cache.
        from agent.scanner.routing.analysis import RuleText
        from agent.scanner.routing.partitions import partition

        self._origins = {source.namespace: source.origin for source in sources}
        parts = partition(RuleText(namespace=source.namespace, text=source.text) for source in sources)
        compiled: dict[int, _Part] = {}
        for group in alike([plan_screen(part.screened) for part in parts]):
            place: dict[Needle, int] = {}
            plans = {number: plan_screen(parts[number].screened, place) for number in group}
            finder = compile_finder(tuple(place))
            for number, plan in plans.items():
                screen = None if finder is None else {"needles": len(tables), "table": plan.table}
                compiled[number] = self._compiled_part(parts[number], screen)
            if finder is not None:
                tables.append(_Table(*finder))
        return [compiled[number] for number in range(len(parts))]

    def _compiled_part(self, part: "Partition", screen: Mapping[str, Any] | None) -> "_Part":
        whole = self._image(part.sources)
        if screen is None:
            return _Part(part.route, (whole,), None)
        packs = (self._image(texts) for texts in (part.unscreened, *part.cells))
        return _Part(part.route, (whole, *packs), screen)

    def _image(self, texts: "Sequence[RuleText]") -> bytes:
        if not texts:
            return b""
        image = io.BytesIO()
        self._inner.compile([RuleSource(t.namespace, self._origins[t.namespace], t.text) for t in texts], image)
        return image.getvalue()


@dataclass(frozen=True, slots=True)
class _Table:
    """Needles in the image, and those that could not be taken into it."""

    content: bytes
    refused: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A partition in the image: the whole of it, and with a screen the unscreened rules and the cells."""

    route: Route
    sections: tuple[bytes, ...]
    screen: Mapping[str, Any] | None

    def described(self) -> dict[str, Any]:
        return {"route": _packed(self.route), "sizes": [len(s) for s in self.sections], "screen": self.screen}


class ScreenedMatcher:
    """A partition of which a content meets only the rules it has the evidence for, and their cells.

    What is not always needed is loaded when it is first needed: few cells ever are.

    Args:
        load_whole: Gives all its rules, for contents with evidence for rules in too many cells.
        unscreened: Those that need no evidence; None: there are none.
        load_cells: Give the others.
        finder: Of the needles.
        screen: Judges by them.
    """

    def __init__(
        self,
        load_whole: Callable[[], Matcher],
        unscreened: Matcher | None,
        load_cells: Sequence[Callable[[], Matcher]],
        finder: NeedleFinder,
        screen: Screen,
    ) -> None:
        self._whole = cache(load_whole)
        self._unscreened = unscreened
        self._cells = tuple(cache(load) for load in load_cells)
        self._finder = finder
        self._screen = screen

    @property
    def rule_count(self) -> int:
        """Of the whole."""
        return self._whole().rule_count

    def match(self, data: bytes, variables: Mapping[str, str], timeout_s: float) -> MatchResult:
        """Match one content; see `Matcher.match`. Finding the needles takes some 3 ns a byte, whatever the content."""
        if len(data) > _LARGEST_SCREENED:
            return self._whole().match(data, variables, timeout_s)
        deadline_s = time.monotonic() + timeout_s
        chosen = {number // RULES_IN_A_CELL for number in self._screen.candidates(data, self._finder.find(data))}
        if len(chosen) > _MOST_CELLS:
            return self._whole().match(data, variables, timeout_s)
        result = self._unscreened.match(data, variables, timeout_s) if self._unscreened else _NO_MATCH
        for cell in sorted(chosen):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise MatchTimeoutError
            result = result.joined(self._cells[cell]().match(data, variables, left_s))
        return result


class RoutedMatcher:
    """Loaded partitions.

    Args:
        matchers: One for each partition.
        routes: Theirs, in the same order.
        rule_count: Rules of the undivided pack.
    """

    def __init__(self, matchers: Sequence[Matcher], routes: Sequence[Route], rule_count: int) -> None:
        self._matchers = tuple(matchers)
        self._selector = Selector(routes)
        self._rule_count = rule_count

    @property
    def rule_count(self) -> int:
        """Rules of the undivided pack, private ones included."""
        return self._rule_count

    def match(self, data: bytes, variables: Mapping[str, str], timeout_s: float) -> MatchResult:
        """Match one content against the rules that could match it; see `Matcher.match`."""
        # At most one partition accepts a content (`partition`), so nothing has to be put together.
        for index in self._selector.select(data[: self._selector.head_bytes], len(data)):
            return self._matchers[index].match(data, variables, timeout_s)
        return _NO_MATCH


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
