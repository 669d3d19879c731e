"""Rules to a few packs, each compiled on its own and run only on files that could match one of its rules.

Costs that decide the layout (yara-python 4.5, two public sets of 7,087 rules, 2-core Linux machine, `benchmarks/routing.py`):

* A pack of one rule costs 4 µs a call and 1.1 ns a byte, and each rule with strings adds 7-25 ns: a pass more is cheap
  on small files, and rules that need not run are the expense.
* The 2,400 rules that any file could match cost 55 µs + 12 ns a byte of Python source; all rules 1,040 µs + 30 ns.
* Loading the `pe` module costs 380 µs and `elf` 75 µs on files of any other format (`dotnet` 15 µs, `math` 6 µs, the
  rest nothing). So alternatives of a condition that need `pe` or `elf` run in the packs of those formats only.
* A family of files worth a pack of its own has to be common and to have many rules; on a Linux tree those are ELF
  files, on a Windows disk PE files. The others share one pack, which only they have to pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.scanner.routing.analysis import AnalysedNamespace, AnalysedRule, RuleSource, analyse
from agent.scanner.routing.conditions import Condition, tokens_of
from agent.scanner.routing.implications import modules_named
from agent.scanner.routing.needs import ANYTHING, Need, any_of, starts_with
from agent.scanner.routing.writing import write_rule, write_rule_with

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Partition:
    """Rules that run together.

    Attributes:
        name: For logs and profiles.
        route: What a file has to be like for the partition to be able to match it.
        sources: One text per namespace, to be compiled together, in this order.
        rules: (namespace, rule) of the rules whose matches this partition reports.
    """

    name: str
    route: Need
    sources: tuple[RuleSource, ...]
    rules: frozenset[tuple[str, str]]


def partition(sources: Iterable[RuleSource]) -> tuple[Partition, ...]:
    """Divide a pack.

    Running, on a file, those partitions whose route it meets gives the (namespace, rule) matches of the whole pack; a
    rule may match in several of them. All rules of a partition see the same external variables as in the whole pack.

    Args:
        sources: Texts that YARA accepts, in the order in which they would be compiled.

    Returns:
        The partitions, none empty. Those for any file come first.
    """
    namespaces = analyse(sources)
    members: dict[str, dict[str, dict[str, _Placement]]] = {name: {} for name in (_ANY, *_FAMILIES, _OTHERS)}
    for namespace in namespaces:
        for analysed in namespace.rules:
            for placement in _placements(analysed):
                for part, restricted in _parts_of(placement):
                    members[part].setdefault(namespace.name, {})[analysed.rule.name] = restricted
    partitions = (_assembled(name, members[name], namespaces) for name in members)
    return tuple(part for part in partitions if part.sources)


_ANY = "any"
_OTHERS = "others"
_FAMILIES = {"pe": b"MZ", "elf": b"\x7fE"}  # two bytes, because rules that read 16 bits are as common as those for 32


@dataclass(frozen=True, slots=True)
class _Placement:
    """A rule, perhaps with a shorter condition, and the files it can match."""

    analysed: AnalysedRule
    need: Need
    condition: Condition | None = None


def _placements(analysed: AnalysedRule) -> Iterator[_Placement]:
    if analysed.rule.is_private:
        return
    if analysed.without_formats is None:
        yield _Placement(analysed, analysed.need)
    else:
        yield _Placement(analysed, analysed.need_of_formats)
        yield _Placement(analysed, analysed.need_without_formats, analysed.without_formats)


def _parts_of(placement: _Placement) -> Iterator[tuple[str, _Placement]]:
    """Yield the partitions a rule belongs to, each with the part of its need that this partition serves."""
    if placement.need.impossible:
        return
    heads = placement.need.heads
    if heads is None:
        yield _ANY, placement
        return
    for family, magic in _FAMILIES.items():
        within = placement.need.both(starts_with(magic))
        if not within.impossible:
            yield family, replace(placement, need=within)
    outside = frozenset(head for head in heads if not head.startswith(tuple(_FAMILIES.values())))
    if outside:
        yield _OTHERS, replace(placement, need=replace(placement.need, heads=outside))


def _assembled(
    name: str, members: Mapping[str, Mapping[str, _Placement]], namespaces: Iterable[AnalysedNamespace]
) -> Partition:
    texts = []
    for namespace in namespaces:
        if namespace.unsplit is not None and name == _ANY:
            texts.append(RuleSource(namespace=namespace.name, text=namespace.unsplit))
        elif namespace.name in members:
            texts.append(RuleSource(namespace=namespace.name, text=_text(namespace, members[namespace.name])))
    needs = [placement.need for placements in members.values() for placement in placements.values()]
    return Partition(
        name=name,
        route=ANYTHING if name == _ANY else any_of(needs),
        sources=tuple(texts),
        rules=frozenset((namespace, rule) for namespace, placements in members.items() for rule in placements),
    )


def _text(namespace: AnalysedNamespace, members: Mapping[str, _Placement]) -> str:
    """Write the members of a namespace and all rules that have to accompany them, in the order of the original."""
    companions = frozenset[str]().union(*(placement.analysed.companions for placement in members.values()))
    modules: set[str] = set()
    rules = []
    for analysed in namespace.rules:
        placement = members.get(analysed.rule.name)
        if placement and placement.condition:
            rules.append(write_rule_with(placement.condition, analysed.rule))
            modules |= modules_named(tokens_of(placement.condition), analysed.modules)
        elif placement or analysed.rule.name in companions:
            rules.append(write_rule(analysed.rule, hidden=not placement))
            modules |= analysed.modules
    return "\n".join([*(f'import "{module}"' for module in sorted(modules)), *rules])
