"""What is known about every rule of a pack once its conditions have been read."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

from agent.scanner.routing.conditions import And, Condition, Or, UnreadableConditionError, parse_condition, tokens_of
from agent.scanner.routing.evidence import Evidence, EvidenceReader
from agent.scanner.routing.implications import FORMAT_MODULES, Implications, modules_named
from agent.scanner.routing.needles import needles_at_start, needles_of
from agent.scanner.routing.needs import ANYTHING, NOTHING, Need
from agent.scanner.routing.reading import BLANKS, Rule, UnsplittableSourceError, read_rules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_RULE_PATTERN = re.compile(rf"([A-Za-z_]\w*){BLANKS}\*{BLANKS}[,)]", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class RuleText:
    """The text of a rule file and the namespace its rules live in; texts of one namespace may refer to each other."""

    namespace: str
    text: str


@dataclass(frozen=True, slots=True)
class AnalysedRule:
    """A rule with everything that decides where it has to run.

    Attributes:
        rule: As written.
        need: What every file it matches is like, the global rules of its namespace taken into account.
        modules: Modules its condition names.
        companions: Names of the rules that must be compiled with it, in no particular order: those it refers to,
            directly or not, and the global ones. Never itself.
        without_formats: Its condition without the alternatives that only files of a format with an expensive module
            can satisfy; None when there are none, or nothing would be left, or it may not be changed.
        need_without_formats: What that condition implies.
        need_of_formats: What the alternatives left out imply.
        evidence: What every file it matches contains.
        evidence_without_formats: What every file contains that the condition without those alternatives is true of.
    """

    rule: Rule
    need: Need
    modules: frozenset[str]
    companions: frozenset[str]
    without_formats: Condition | None = None
    need_without_formats: Need = NOTHING
    need_of_formats: Need = NOTHING
    evidence: Evidence = None
    evidence_without_formats: Evidence = None


@dataclass(frozen=True, slots=True)
class AnalysedNamespace:
    """The rules of one namespace in the order written, or its text when that could not be taken apart.

    Attributes:
        name: The namespace.
        rules: Empty when `unsplit`.
        unsplit: The whole text, None when it was taken apart.
        patterns: Prefixes of the rule sets like `any of (rule_*)` in its conditions; maybe a few more.
        pinned: Names of rules that have to be compiled into every partition that has any rules at all.
    """

    name: str
    rules: tuple[AnalysedRule, ...] = ()
    unsplit: str | None = None
    patterns: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()


def rule_sets(tokens: Sequence[str]) -> set[str]:
    """Return the prefixes of the sets of rules like `(rule_*)` in a condition; maybe a few more."""
    # Only here can a star end an operand; a product goes on.
    return {
        word
        for word, star, after in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if star == "*" and after in (",", ")") and _WORD.fullmatch(word)
    }


def references(tokens: Sequence[str], names: Collection[str]) -> frozenset[str]:
    """Return at least those of some rules that a condition refers to, by name or by a set like `(rule_*)`."""
    named = {token for token in tokens if token in names}
    prefixes = tuple(rule_sets(tokens))
    return frozenset(named.union(name for name in names if name.startswith(prefixes)))


def analyse(sources: Iterable[RuleText]) -> tuple[AnalysedNamespace, ...]:
    """Read and analyse a whole pack; namespaces keep the order of their first source."""
    texts: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        texts[source.namespace].append(source.text)
    return _pinned([_analyse_namespace(namespace, parts) for namespace, parts in texts.items()])


def _pinned(namespaces: Sequence[AnalysedNamespace]) -> tuple[AnalysedNamespace, ...]:
    """Pin the rules that rule sets of other namespaces count.

    YARA 4.5 collects the set `(rule_*)` from the names in all namespaces compiled so far and looks each up in its own:
    a rule of the set is counted once more for every rule of the same name elsewhere.
    """
    prefixes = tuple(frozenset[str]().union(*(namespace.patterns for namespace in namespaces)))
    if not prefixes or len(namespaces) == 1:
        return tuple(namespaces)
    return tuple(
        replace(
            namespace,
            pinned=frozenset(rule.rule.name for rule in namespace.rules if rule.rule.name.startswith(prefixes)),
        )
        for namespace in namespaces
    )


def _analyse_namespace(name: str, texts: Sequence[str]) -> AnalysedNamespace:
    try:
        files = [read_rules(text) for text in texts]
    except UnsplittableSourceError:
        whole = "\n".join(texts)
        return AnalysedNamespace(name=name, unsplit=whole, patterns=frozenset(_RULE_PATTERN.findall(whole)))
    analysis = _NamespaceAnalysis(frozenset(module for file in files for module in file.modules))
    for file in files:
        for rule in file.rules:
            analysis.add(rule)
    return AnalysedNamespace(name=name, rules=analysis.finish(), patterns=frozenset(analysis.patterns))


class _NamespaceAnalysis:
    """Collects the rules of a namespace; a rule can refer to those before it only."""

    def __init__(self, modules: frozenset[str]) -> None:
        self._modules = modules
        self._rules: dict[str, Rule] = {}
        self._own_needs: dict[str, Need] = {}
        self._trees: dict[str, Condition | None] = {}
        self._companions: dict[str, frozenset[str]] = {}
        self._evidence: dict[str, Evidence] = {}
        self._readers: dict[str, EvidenceReader] = {}
        self.patterns: set[str] = set()

    def add(self, rule: Rule) -> None:
        try:
            tree = parse_condition(rule.tokens)
        except UnreadableConditionError:
            tree = None
        self._trees[rule.name] = tree
        self._own_needs[rule.name] = self._implications(rule).of(tree) if tree else ANYTHING
        reader = EvidenceReader(
            rule,
            [needles_of(string) for string in rule.strings],
            [needles_at_start(string) for string in rule.strings],
            self._evidence.get,
        )
        self._readers[rule.name] = reader
        self._evidence[rule.name] = reader.of(tree) if tree else None
        direct = self._references(rule.tokens)
        self._companions[rule.name] = direct.union(*(self._companions[name] for name in direct))
        self._rules[rule.name] = rule

    def finish(self) -> tuple[AnalysedRule, ...]:
        global_rules = {name for name, rule in self._rules.items() if rule.is_global}
        for_all = global_rules.union(*(self._companions[name] for name in global_rules))
        need_of_all = reduce(Need.both, (self._own_needs[name] for name in global_rules), ANYTHING)
        return tuple(self._analysed(rule, need_of_all, for_all) for rule in self._rules.values())

    def _analysed(self, rule: Rule, need_of_all: Need, for_all: Iterable[str]) -> AnalysedRule:
        analysed = AnalysedRule(
            rule=rule,
            need=self._own_needs[rule.name].both(need_of_all),
            modules=modules_named(rule.tokens, self._modules),
            companions=self._companions[rule.name].union(for_all) - {rule.name},
            evidence=self._evidence[rule.name],
        )
        return self._relieved(analysed, need_of_all)

    def _relieved(self, analysed: AnalysedRule, need_of_all: Need) -> AnalysedRule:
        """Split off the alternatives that name a format's module, which is where expensive modules are named."""
        rule, tree = analysed.rule, self._trees[analysed.rule.name]
        expensive = analysed.modules & FORMAT_MODULES.keys()
        if not tree or not expensive:
            return analysed
        splitting = _Splitting(self._implications(rule), self._modules)
        rest = splitting.without_formats(tree)
        if (
            rest is None
            or not splitting.left_out
            or modules_named(tokens_of(rest), self._modules) & FORMAT_MODULES.keys()
        ):
            return analysed
        left_out = reduce(Need.either, splitting.left_out, NOTHING)
        return replace(
            analysed,
            without_formats=rest,
            need_without_formats=self._implications(rule).of(rest).both(need_of_all),
            need_of_formats=left_out.both(analysed.need),
            evidence_without_formats=self._readers[rule.name].of(rest),
        )

    def _implications(self, rule: Rule) -> Implications:
        return Implications(rule.strings, self._modules, self._own_needs.get)

    def _references(self, tokens: Sequence[str]) -> frozenset[str]:
        self.patterns |= rule_sets(tokens)
        return references(tokens, self._rules)


class _Splitting:
    """Takes those alternatives out of a condition that only a file of a certain format can satisfy.

    Only alternatives that the whole condition grows with are touched (nothing under `not`, `defined` or a loop). So
    what is left matches only files that the rule matches, and all of them except files of those formats.
    """

    def __init__(self, implications: Implications, modules: frozenset[str]) -> None:
        self._implications = implications
        self._modules = modules
        self.left_out: list[Need] = []

    def without_formats(self, condition: Condition) -> Condition | None:
        match condition:
            case Or(operands):
                kept = [operand for operand in map(self._alternative, operands) if operand]
                return Or(tuple(kept)) if len(kept) > 1 else kept[0] if kept else None
            case And(operands):
                parts = [self.without_formats(operand) for operand in operands]
                return And(tuple(part for part in parts if part)) if all(parts) else None
            case _:
                return condition

    def _alternative(self, operand: Condition) -> Condition | None:
        if modules_named(tokens_of(operand), self._modules) & FORMAT_MODULES.keys():
            need = self._implications.of(operand)
            if need.heads is not None:
                self.left_out.append(need)
                return None
        return self.without_formats(operand)
