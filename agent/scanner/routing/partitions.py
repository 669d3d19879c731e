"""Rules to a few packs, each compiled on its own, of which a file has to pass one.

Files fall into families by their first bytes, and each family has a pack with all rules that could match one of its
files; rules that any file could match are compiled into each. Costs that decided this, on two public sets of 7,087
rules with yara-python 4.5 in a fresh process (ratios matter; `python -m benchmarks.routing` measures them again):

* A pack of one rule costs 4 µs a call and 1.1 ns a byte; the 2,427 rules for any file 9 ns a byte, the 142 for ELF
  files alone 8 ns: what counts is how often the data is passed. Two packs for an ELF file took 21 ms, one with the
  rules of both 15 ms; for a PE file 28 and 21 ms. The price is memory: three packs have 34 MB, the whole has 20 MB.
* 280 rules for rarer formats make the pack for all other files 4% slower; a family of their own would cost more.
* Loading the `pe` module costs 380 µs and `elf` 75 µs on files of any other format (`dotnet` 15 µs, `math` 6 µs, the
  rest nothing): more than passing 12 KB of text. No pack but their own family's names them if that can be avoided.
* Leaving the rules for smaller files out of a pack for files over 1 MiB saved 11% of the time: not worth a pack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.scanner.routing.analysis import AnalysedNamespace, AnalysedRule, RuleText, analyse
from agent.scanner.routing.composing import Kit, KitMaker, imports
from agent.scanner.routing.conditions import UnreadableConditionError, parse_condition, tokens_of
from agent.scanner.routing.implications import FORMAT_MODULES, modules_named
from agent.scanner.routing.needs import NOTHING, Need, any_of, starts_with
from agent.scanner.routing.refutation import Test, refutable
from agent.scanner.routing.screening import ScreenedRule
from agent.scanner.routing.selection import Route
from agent.scanner.routing.thinning import thinned
from agent.scanner.routing.writing import write_rule, write_rule_with

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

# Two bytes, not four: public rules that read 16 bits are as common as those that read 32.
_FAMILIES = {"elf": b"\x7fE", "pe": b"MZ"}
_OTHER = "other"
# Fewer rules for a family are cheaper run on all files than compiled, with those for any file, into one more pack.
RULES_WORTH_A_PACK = 100
# So few rules that every file has to pass are compiled into each composition; more take too long.
FEW_UNSCREENED = 16
# Programs of these families name functions of their system, and so do rules: two strings of a rule tell nothing there.
# With two, a launcher of 90 KiB had evidence for 118 rules, and so had to meet all of its partition.
_NAME_THE_SAME = frozenset({"pe"})


@dataclass(frozen=True, slots=True)
class Partition:
    """Rules that run together.

    Attributes:
        name: The family of files, for logs and profiles.
        route: What a file has to be like for the partition to be able to match it.
        sources: One text per namespace, to be compiled together in this order.
        rules: (namespace, rule) of all rules whose matches this partition may report; those of namespaces that could
            not be taken apart are not listed.
        screened: What a file needs for those rules to match that are not in `unscreened`.
        kit: Puts together texts of any of the screened rules, by their places in `screened`.
        unscreened: The rules that need no certain strings in a file, to be compiled together as well.
        unscreened_need: What a file is like that one of those matches.
        unscreened_tests: One for each of them; what refutes all of these need not meet them. None: some have none.
    """

    name: str
    route: Route
    sources: tuple[RuleText, ...]
    rules: frozenset[tuple[str, str]]
    screened: tuple[ScreenedRule, ...] = ()
    kit: Kit | None = None
    unscreened: tuple[RuleText, ...] = ()
    unscreened_need: Need = NOTHING
    unscreened_tests: tuple[Test, ...] | None = None


def partition(sources: Iterable[RuleText], *, rules_worth_a_pack: int = RULES_WORTH_A_PACK) -> tuple[Partition, ...]:
    """Divide a pack.

    Running, on a file, the partitions whose route accepts it gives the (namespace, rule) matches of the whole pack, if
    all are compiled with the same external variables, and those are strings. At most one route accepts a given file.
    On any file, a partition matches what its unscreened rules match and those screened ones that it is evidence for.
    This holds for files, not for the memory of processes, where `filesize` and `uint16(0)` mean something else.

    Args:
        sources: Texts that YARA accepts, in the order in which they would be compiled.
        rules_worth_a_pack: A family with fewer rules of its own gets no pack, unless they use expensive modules.

    Returns:
        The partitions, none empty. A rule that no file can match is in none of them.
    """
    namespaces = analyse(sources)
    separate = tuple(
        magic for magic in _FAMILIES.values() if _worth_a_pack(magic, namespaces, at_least=rules_worth_a_pack)
    )
    regions = [_Region(name, magic=magic) for name, magic in _FAMILIES.items() if magic in separate]
    regions.append(_Region(_OTHER, excluded=separate))
    parts = (_assembled(region, namespaces) for region in regions)
    return tuple(part for part in parts if part.sources)


@dataclass(frozen=True, slots=True)
class _Region:
    """The files of one family, or those of none."""

    name: str
    magic: bytes = b""
    excluded: tuple[bytes, ...] = ()

    def part_of(self, need: Need) -> Need:
        """Return a need narrowed to files of this region."""
        if self.magic:
            return need.both(starts_with(self.magic))
        if need.heads is None:
            return need
        return need.narrowed_to(head for head in need.heads if not head.startswith(self.excluded))


def _worth_a_pack(magic: bytes, namespaces: Iterable[AnalysedNamespace], *, at_least: int) -> bool:
    family = starts_with(magic)
    own = [rule for namespace in namespaces for rule in namespace.rules if _belongs_to(rule, family)]
    modules = {module for module, need in FORMAT_MODULES.items() if not need.both(family).impossible}
    return len(own) >= at_least or any(rule.modules & modules for rule in own)


def _belongs_to(rule: AnalysedRule, family: Need) -> bool:
    """Tell whether a rule, or the part of it that needs expensive modules, matches files of one family only."""
    need = rule.need if rule.without_formats is None else rule.need_of_formats
    return not need.impossible and need.both(family).heads == need.heads


def _assembled(region: _Region, namespaces: Sequence[AnalysedNamespace]) -> Partition:
    needs: list[Need] = []
    names: list[tuple[str, str]] = []
    screened: list[tuple[ScreenedRule, tuple[str, str]]] = []
    unscreened: dict[tuple[str, str], Need] = {}
    tests: list[Test | None] = []
    for namespace in namespaces:
        if namespace.unsplit is not None:
            needs.append(Need())
            continue
        for rule in namespace.rules:
            if (need := _need(rule, region)).impossible:
                continue
            needs.append(need)
            names.append((namespace.name, rule.rule.name))
            evidence = rule.evidence_without_formats if _relieved(rule, region) else rule.evidence
            if evidence is None and (region.magic or need.heads is None):
                unscreened[names[-1]] = need
                tests.append(_test(rule))
            else:
                kept = evidence if region.name in _NAME_THE_SAME else thinned(evidence)
                screened.append((ScreenedRule(need, kept), names[-1]))
    split = [namespace for namespace in namespaces if namespace.unsplit is None]
    has_unsplit = any(namespace.unsplit is not None for namespace in namespaces)
    return Partition(
        name=region.name,
        route=Route(region.part_of(any_of(needs)), excluded=region.excluded),
        sources=_texts(region, namespaces, frozenset(names)) if needs else (),
        rules=frozenset(names),
        screened=tuple(rule for rule, _ in screened),
        kit=_kit(region, split, [name for _, name in screened], () if has_unsplit else unscreened),
        unscreened=_texts(region, namespaces, frozenset(unscreened)) if unscreened or has_unsplit else (),
        unscreened_need=Need() if has_unsplit else any_of(unscreened.values()),
        unscreened_tests=None if has_unsplit or not all(tests) else tuple(test for test in tests if test),
    )


def _test(rule: AnalysedRule) -> Test | None:
    """Return what refutes a rule."""
    try:
        return refutable(parse_condition(rule.rule.tokens))
    except UnreadableConditionError:
        return None


def _texts(
    region: _Region, namespaces: Iterable[AnalysedNamespace], chosen: frozenset[tuple[str, str]]
) -> tuple[RuleText, ...]:
    """Write some of the rules, namespace by namespace; those that could not be taken apart are always among them."""
    texts: list[RuleText] = []
    for namespace in namespaces:
        if namespace.unsplit is not None:
            texts.append(RuleText(namespace=namespace.name, text=namespace.unsplit))
            continue
        members = {rule.rule.name for rule in namespace.rules if (namespace.name, rule.rule.name) in chosen}
        if members or namespace.pinned:
            text = _text(namespace.rules, namespace.pinned.union(members), region)
            texts.append(RuleText(namespace=namespace.name, text=text))
    return tuple(texts)


def _need(rule: AnalysedRule, region: _Region) -> Need:
    """Return what files of the region a rule can match; none for a private rule, which at most accompanies others."""
    if rule.rule.is_private:
        return NOTHING
    return region.part_of(rule.need_without_formats if _relieved(rule, region) else rule.need)


def _relieved(rule: AnalysedRule, region: _Region) -> bool:
    """The alternatives of a rule that need expensive modules cannot be true in this region."""
    return rule.without_formats is not None and region.part_of(rule.need_of_formats).impossible


def _text(rules: Iterable[AnalysedRule], chosen: frozenset[str], region: _Region) -> str:
    """Write some rules of a namespace and all that have to accompany them, in the order of the original.

    Those that are no members of the partition are private or cannot match in this region: it never reports them.
    """
    wanted = chosen.union(*(rule.companions for rule in rules if rule.rule.name in chosen))
    modules: set[str] = set()
    written: list[str] = []
    for rule in rules:
        if rule.rule.name in wanted:
            text, named = _written(rule, region)
            written.append(text)
            modules |= named
    return "\n".join([*imports(modules), *written])


def _written(rule: AnalysedRule, region: _Region) -> tuple[str, frozenset[str]]:
    """One rule as it runs in a region, and the modules that takes."""
    if rule.without_formats is not None and _relieved(rule, region):
        text = write_rule_with(rule.without_formats, rule.rule)
        return text, modules_named(tokens_of(rule.without_formats), rule.modules)
    return write_rule(rule.rule), rule.modules


def _kit(
    region: _Region,
    namespaces: Sequence[AnalysedNamespace],
    chosen: Sequence[tuple[str, str]],
    unscreened: Collection[tuple[str, str]],
) -> Kit:
    """Write each rule for itself that a composition of some of the chosen may need."""
    taken: dict[tuple[str, str], frozenset[tuple[str, str]]] = {}
    pinned: set[tuple[str, str]] = set()
    for namespace in namespaces:
        for rule in namespace.rules:
            name = rule.rule.name
            taken[namespace.name, name] = frozenset((namespace.name, other) for other in (name, *rule.companions))
            if name in namespace.pinned:
                pinned |= taken[namespace.name, name]
    all_taken = [taken[name] | pinned for name in chosen]
    is_few = len(unscreened) <= FEW_UNSCREENED
    always = frozenset(pinned).union(*(taken[name] for name in unscreened)) if is_few else frozenset()
    needed = always.union(*all_taken)
    maker = KitMaker()
    for namespace in namespaces:
        maker.add_namespace(namespace.name)
        for rule in namespace.rules:
            if (namespace.name, rule.rule.name) in needed:
                maker.add(rule.rule.name, *_written(rule, region))
    return maker.finish(all_taken, always)
