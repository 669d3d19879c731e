"""What is in a rule pack: each rule, whether it can be used, and what tells it from rules of the same name."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent.scanner.engines.port import Engine, RuleProblem, RuleSource
from agent.scanner.packs.rule_salvage import LeftOut, salvage
from agent.scanner.parts_hash import parts_sha256
from agent.scanner.routing.analysis import references
from agent.scanner.routing.reading import Rule, UnsplittableSourceError, read_rules


@dataclass(frozen=True, slots=True)
class ListedRule:
    """One rule of a pack.

    Attributes:
        namespace: Of its file.
        name: Its identifier.
        scope: `private`, `global`, both with a blank between, or empty.
        start: Where it begins in the text of its file, in characters.
        end: Where it ends there, exclusive.
        refers_to: Rules of its file that its condition names.
        body_sha256: Of its strings and condition without blanks and comments: equal bodies find the same.
    """

    namespace: str
    name: str
    scope: str
    start: int
    end: int
    refers_to: tuple[str, ...]
    body_sha256: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A pack, taken apart.

    Attributes:
        rules: In the order of their files.
        left_out: What does not compile, and what goes with it.
        whole_files: Namespaces of files that compile, but that cannot be taken apart.
    """

    rules: tuple[ListedRule, ...]
    left_out: tuple[LeftOut, ...]
    whole_files: tuple[str, ...]


def list_rules(sources: Sequence[RuleSource], engine: Engine) -> Listing:
    """Compile each file by itself and take it apart. Takes seconds for large packs."""
    problems = [problem for problem in map(engine.problem, sources) if problem is not None]
    _, left_out = salvage(sources, problems, engine.problem)
    whole_files: list[str] = []
    rules = list(_rules(sources, whole_files))
    return Listing(tuple(rules), left_out, tuple(_compiling(whole_files, problems)))


def _compiling(namespaces: Iterable[str], problems: Iterable[RuleProblem]) -> Iterator[str]:
    broken = {problem.source.namespace for problem in problems}
    return (namespace for namespace in namespaces if namespace not in broken)


def _rules(sources: Sequence[RuleSource], whole_files: list[str]) -> Iterator[ListedRule]:
    for source in sources:
        try:
            rules = read_rules(source.text).rules
        except UnsplittableSourceError:
            whole_files.append(source.namespace)
            continue
        names = {rule.name for rule in rules}
        yield from (_listed(source.namespace, rule, names) for rule in rules)


def _listed(namespace: str, rule: Rule, names: set[str]) -> ListedRule:
    scopes = [word for word, is_set in (("global", rule.is_global), ("private", rule.is_private)) if is_set]
    refers_to = references(rule.tokens, names) - {rule.name}
    return ListedRule(
        namespace, rule.name, " ".join(scopes), rule.start, rule.end, tuple(sorted(refers_to)), _body_hash(rule)
    )


def _body_hash(rule: Rule) -> str:
    strings = (part for string in rule.strings for part in (string.name, string.value, *string.modifiers, ""))
    return parts_sha256(part.encode("utf-8", "surrogatepass") for part in (*strings, *rule.tokens))
