"""Texts for any few rules of a partition, to be compiled when a content has the evidence for just those."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from agent.scanner.routing.analysis import RuleText

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Texts(Protocol):
    """As much of a list of texts as a kit needs, so that they may stay where they are stored."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Kit:
    """The pieces that texts are put together from, one for each rule, in the order in which they must be compiled.

    Lists of numbers rather than of objects: they are read where they lie in an image, and take no memory of a worker.

    Attributes:
        texts: Of each piece, without imports.
        namespaces: Of each piece, an index into `names`; those of one namespace follow each other.
        names: Of the namespaces.
        modules: Of each piece, an index into `module_sets`.
        module_sets: What pieces import.
        first: Where the pieces of each rule that can be chosen begin in `taken`; one more for the end of the last.
        taken: Pieces, the rule itself and all that have to accompany it.
        always: Pieces of the rules that run on every content, if they are few: a composition answers for those as
            well, and spares the content one pass. Empty: it does not.
    """

    texts: Texts
    namespaces: Sequence[int]
    names: Sequence[str]
    modules: Sequence[int]
    module_sets: Sequence[Sequence[str]]
    first: Sequence[int]
    taken: Sequence[int]
    always: Sequence[int] = ()

    def compose(self, chosen: Iterable[int]) -> tuple[RuleText, ...]:
        """Write some rules, with all that must accompany them, one text for each namespace."""
        taken = {piece for rule in chosen for piece in self.taken[self.first[rule] : self.first[rule + 1]]}
        pieces = sorted(taken.union(self.always))
        return tuple(
            RuleText(self.names[namespace], "\n".join(self._lines(tuple(members))))
            for namespace, members in groupby(pieces, key=self.namespaces.__getitem__)
        )

    def _lines(self, pieces: Sequence[int]) -> Iterator[str]:
        yield from imports(module for piece in pieces for module in self.module_sets[self.modules[piece]])
        yield from (self.texts[piece] for piece in pieces)


def imports(modules: Iterable[str]) -> Iterator[str]:
    """Lines that import some modules, each once."""
    return (f'import "{module}"' for module in sorted(set(modules)))


class KitMaker:
    """Collects pieces, namespace by namespace, then what each rule takes."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._namespaces: list[int] = []
        self._names: list[str] = []
        self._modules: list[int] = []
        self._module_sets: dict[tuple[str, ...], int] = {}
        self._places: dict[tuple[str, str], int] = {}

    def add_namespace(self, name: str) -> None:
        """What is added from here on is in this namespace."""
        self._names.append(name)

    def add(self, rule: str, text: str, modules: Iterable[str]) -> None:
        """Add a rule of the newest namespace, behind those that are there."""
        self._places[self._names[-1], rule] = len(self._texts)
        self._texts.append(text)
        self._namespaces.append(len(self._names) - 1)
        self._modules.append(self._module_sets.setdefault(tuple(sorted(modules)), len(self._module_sets)))

    def finish(self, taken: Iterable[Iterable[tuple[str, str]]], always: Iterable[tuple[str, str]] = ()) -> Kit:
        """Make the kit.

        Args:
            taken: For each rule that can be chosen, (namespace, name) of it and of all that must accompany it.
            always: (namespace, name) of all that every composition has.
        """
        first = [0]
        places: list[int] = []
        for names in taken:
            places += sorted(self._places[name] for name in names)
            first.append(len(places))
        return Kit(
            tuple(self._texts),
            self._namespaces,
            tuple(self._names),
            self._modules,
            tuple(self._module_sets),
            first,
            places,
            sorted(self._places[name] for name in always),
        )
