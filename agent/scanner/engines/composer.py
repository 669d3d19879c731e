"""Compiles just the rules that a content has the evidence for, so that it is passed once and by nothing else.

The engine takes 1.5 ns for each byte with a handful of rules and 10 to 15 with a whole partition; compiling a few rules
takes it half a millisecond or some. So a composition pays for large contents at once, and for small ones when they ask
for the same rules again, as those of one tree do.
"""

import io
from collections import OrderedDict
from collections.abc import Collection

from agent.scanner.engines.port import Engine, Matcher, RuleCompileError, RuleSource
from agent.scanner.routing.composing import Kit

#: With more the whole partition is as quick: it is compiled already.
MOST_RULES = 32
#: Bytes from which a composition pays although it may never be needed again.
_LARGE = 64 * 1024
#: So many stay compiled, those used last; each takes some tens of KiB.
_KEPT = 128
#: So many choices are remembered as met once.
_REMEMBERED = 4096


class Composer:
    """Compositions of the rules of one partition.

    Args:
        engine: Compiles and loads them.
        kit: Writes them.
    """

    def __init__(self, engine: Engine, kit: Kit) -> None:
        self._engine = engine
        self._kit = kit
        self._kept: OrderedDict[frozenset[int], Matcher] = OrderedDict()
        self._met: set[frozenset[int]] = set()

    def matcher(self, rules: Collection[int], size: int) -> Matcher | None:
        """Some rules, compiled; None: run all of the partition.

        Args:
            rules: Numbers in the kit; at least one.
            size: Bytes of the content they are wanted for.

        Raises:
            MemoryError: Out of memory.
        """
        if len(rules) > MOST_RULES:
            return None
        chosen = frozenset(rules)
        if (kept := self._kept.get(chosen)) is not None:
            self._kept.move_to_end(chosen)
            return kept
        if size < _LARGE and chosen not in self._met:
            if len(self._met) >= _REMEMBERED:
                self._met.clear()
            self._met.add(chosen)
            return None
        return self._compiled(chosen)

    def _compiled(self, chosen: frozenset[int]) -> Matcher | None:
        sources = [RuleSource(text.namespace, text.namespace, text.text) for text in self._kit.compose(chosen)]
        image = io.BytesIO()
        try:
            self._engine.compile(sources, image)
        except RuleCompileError:
            # All of them compile together; should some not without the others, they run with them.
            return None
        image.seek(0)
        matcher = self._engine.load(image)
        self._kept[chosen] = matcher
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return matcher
