"""Any engine, with the rules divided by what their conditions imply about a file (`agent.scanner.routing`).

The image holds one image of the engine for each partition, and the routes by which a content finds its partition. The
matches are those of the undivided pack; only the time it takes to find them differs.
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import IO, Any

from agent.scanner.engines.port import (
    Engine,
    Matcher,
    MatchResult,
    Readable,
    RuleCompileError,
    RuleProblem,
    RuleSource,
)
from agent.scanner.routing.analysis import RuleText
from agent.scanner.routing.needs import Need
from agent.scanner.routing.partitions import partition
from agent.scanner.routing.selection import Route, Selector

_LENGTH_BYTES = 8
_NO_MATCH = MatchResult(())


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
        try:
            routes, images = self._divided(sources)
        except RuleCompileError:
            # What the engine takes whole but not divided runs whole: correct before fast.
            routes, images = [Route(Need())], [whole.getvalue()]
        header = {"rules": rule_count, "routes": [_packed(r) for r in routes], "sizes": [len(i) for i in images]}
        encoded = json.dumps(header).encode()
        image.write(len(encoded).to_bytes(_LENGTH_BYTES, "big"))
        image.write(encoded)
        for part in images:
            image.write(part)
        return rule_count

    def problem(self, source: RuleSource) -> RuleProblem | None:
        """The inner engine's word; see `Engine.problem`."""
        return self._inner.problem(source)

    def load(self, image: Readable) -> Matcher:
        """Load an image; see `Engine.load`."""
        length = int.from_bytes(image.read(_LENGTH_BYTES) or b"", "big")
        header = json.loads(image.read(length) or b"")
        matchers = [self._inner.load(_Section(image, size)) for size in header["sizes"]]
        return RoutedMatcher(matchers, [_unpacked(route) for route in header["routes"]], header["rules"])

    def _divided(self, sources: Sequence[RuleSource]) -> tuple[list[Route], list[bytes]]:
        origins = {source.namespace: source.origin for source in sources}
        routes: list[Route] = []
        images: list[bytes] = []
        for part in partition(RuleText(namespace=source.namespace, text=source.text) for source in sources):
            texts = [RuleSource(text.namespace, origins[text.namespace], text.text) for text in part.sources]
            image = io.BytesIO()
            self._inner.compile(texts, image)
            routes.append(part.route)
            images.append(image.getvalue())
        return routes, images


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


class _Section:
    """One partition's part of the image; engines read to an end, which here is not the file's."""

    def __init__(self, image: Readable, size: int) -> None:
        self._image = image
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        """As much as there is of the section."""
        wanted = self._left if size < 0 else min(size, self._left)
        content = self._image.read(wanted) or b""
        self._left -= len(content)
        return content


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
