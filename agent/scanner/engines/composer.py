"""Compiles just the rules that a content has the evidence for, so that it is passed once and by nothing else.

The engine takes 2 to 5 ns for each byte with a handful of rules and 10 to 15 with a whole partition; compiling a few
rules takes it one or two milliseconds. That pays for large contents at once. For small ones it does not always; but the
files of one tree ask for the same rules again and again, and a worker that never needs a whole partition is spared the
8 to 20 MB that loading one takes.
"""

import io
from collections import OrderedDict
from collections.abc import Collection

from agent.scanner.engines.port import Engine, Matcher, RuleCompileError, RuleSource
from agent.scanner.routing.composing import Kit

#: With more the whole partition is as quick: it is compiled already.
MOST_RULES = 32
#: So many stay compiled, those used last; each takes some 100 KiB in each worker. In 42,991 small files two workers ask
#: for 126, and compile 18 of those a second time, 4 ms each.
_KEPT = 32


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

    @property
    def answers_for_unscreened(self) -> bool:
        """Whether compositions hold the rules that run on every content."""
        return len(self._kit.always) > 0

    def matcher(self, rules: Collection[int]) -> Matcher | None:
        """Some rules, compiled; None: run all of the partition.

        Args:
            rules: Numbers in the kit; at least one.

        Raises:
            MemoryError: Out of memory.
        """
        if len(rules) > MOST_RULES:
            return None
        chosen = frozenset(rules)
        if (kept := self._kept.get(chosen)) is not None:
            self._kept.move_to_end(chosen)
            return kept
        for more, matcher in self._kept.items():
            # Rules without evidence do not match, whoever runs them.
            if chosen < more:
                return matcher
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
