"""Any engine, with the rules divided by what their conditions imply about a file (`agent.scanner.routing`).

The image holds one image of the engine for each partition, and the routes by which a content finds its partition. With
each goes a screen: most contents have the evidence for none of its rules, and are spared them; others meet just those
they have it for. Screens that look for nearly the same share a table of needles. The matches are those of the
undivided pack; only the time it takes to find them differs.
"""

import io
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from mmap import mmap
from typing import IO, TYPE_CHECKING

from agent.scanner.engines.composer import Composer
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
from agent.scanner.engines.routed_image import Part, RoutedImage, Screening, Table, read_image
from agent.scanner.routing.needs import Need
from agent.scanner.routing.refutation import Refuter
from agent.scanner.routing.screening import Screen, alike, plan_screen
from agent.scanner.routing.selection import Route, Selector

if TYPE_CHECKING:
    from agent.scanner.routing.analysis import RuleText
    from agent.scanner.routing.needles import Needle
    from agent.scanner.routing.partitions import Partition

#: To be raised whenever rules are divided or images are written in another way.
_FORMAT = 9
_NO_MATCH = MatchResult(())


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
        tables: list[Table] = []
        try:
            parts = self._divided(sources, tables)
        except RuleCompileError:
            # What the engine takes whole but not divided runs whole: correct before fast.
            parts = [Part(Route(Need()), whole.getvalue())]
        RoutedImage(rule_count, tables, parts).write(image)
        return rule_count

    def problem(self, source: RuleSource) -> RuleProblem | None:
        """The inner engine's word; see `Engine.problem`."""
        return self._inner.problem(source)

    def load(self, image: Readable) -> Matcher:
        """Load an image; see `Engine.load`."""
        read = read_image(memoryview(image if isinstance(image, mmap) else image.read() or b""))
        finders = [load_finder(bytes(table.content), table.refused) for table in read.tables]
        matchers = [self._load_part(part, finders) for part in read.parts]
        return RoutedMatcher(matchers, [part.route for part in read.parts], read.rule_count)

    def _load_part(self, part: Part, finders: Sequence[NeedleFinder | None]) -> Matcher:
        finder = finders[part.screening.needles] if part.screening else None
        if part.screening is None or finder is None:
            return self._load(part.whole)
        return ScreenedMatcher(
            partial(self._load, part.whole),
            self._load(part.unscreened) if part.unscreened else None,
            Composer(self._inner, part.screening.kit),
            finder,
            Screen(part.screening.table),
            None if part.screening.tests is None else Refuter(part.screening.tests),
        )

    def _load(self, section: bytes | memoryview) -> Matcher:
        # Engines read a few bytes at a time: from memory that costs next to nothing.
        return self._inner.load(io.BytesIO(section))

    def _divided(self, sources: Sequence[RuleSource], tables: list[Table]) -> list[Part]:
        """The partitions; tables of needles that they share are added to `tables`."""
        # Not needed where images come from a cache.
        from agent.scanner.routing.analysis import RuleText
        from agent.scanner.routing.partitions import partition

        self._origins = {source.namespace: source.origin for source in sources}
        parts = partition(RuleText(namespace=source.namespace, text=source.text) for source in sources)
        compiled: dict[int, Part] = {}
        for group in alike([plan_screen(part.screened) for part in parts]):
            place: dict[Needle, int] = {}
            plans = {number: plan_screen(parts[number].screened, place) for number in group}
            finder = compile_finder(tuple(place))
            for number, plan in plans.items():
                kit = parts[number].kit
                tests = parts[number].unscreened_tests
                screening = None if finder is None or kit is None else Screening(len(tables), plan.table, kit, tests)
                compiled[number] = self._compiled_part(parts[number], screening)
            if finder is not None:
                tables.append(Table(*finder))
        return [compiled[number] for number in range(len(parts))]

    def _compiled_part(self, part: "Partition", screening: Screening | None) -> Part:
        unscreened = self._image(part.unscreened) if screening else b""
        return Part(part.route, self._image(part.sources), unscreened, screening)

    def _image(self, texts: "Sequence[RuleText]") -> bytes:
        if not texts:
            return b""
        image = io.BytesIO()
        self._inner.compile([RuleSource(t.namespace, self._origins[t.namespace], t.text) for t in texts], image)
        return image.getvalue()


class ScreenedMatcher:
    """A partition of which a content meets only the rules it has the evidence for.

    What is not always needed is loaded when it is first needed.

    Args:
        load_whole: Gives all its rules, for contents with evidence for too many.
        unscreened: Those that need no evidence; None: there are none.
        composer: Gives some of the others.
        finder: Of the needles.
        screen: Judges by them.
        refuter: Of the rules that need no evidence; None: nothing is known that refutes them.
    """

    def __init__(
        self,
        load_whole: Callable[[], Matcher],
        unscreened: Matcher | None,
        composer: Composer,
        finder: NeedleFinder,
        screen: Screen,
        refuter: Refuter | None = None,
    ) -> None:
        self._whole = cache(load_whole)
        self._unscreened = unscreened
        self._composer = composer
        self._finder = finder
        self._screen = screen
        self._refuter = refuter

    @property
    def rule_count(self) -> int:
        """Of the whole."""
        return self._whole().rule_count

    def match(self, data: bytes, variables: Mapping[str, str], timeout_s: float) -> MatchResult:
        """Match one content; see `Matcher.match`. Finding the needles takes some 3 ns a byte, whatever the content."""
        deadline_s = time.monotonic() + timeout_s
        chosen = self._screen.candidates(data, self._finder.find(data))
        composed = self._composer.matcher(chosen) if chosen else None
        if chosen and composed is None:
            return self._whole().match(data, variables, _left_s(deadline_s))
        result = _NO_MATCH
        is_answered = composed is not None and self._composer.answers_for_unscreened
        if self._unscreened and not is_answered and not (self._refuter and self._refuter.refutes(data, variables)):
            result = self._unscreened.match(data, variables, _left_s(deadline_s))
        return result if composed is None else result.joined(composed.match(data, variables, _left_s(deadline_s)))


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise MatchTimeoutError
    return left_s


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
