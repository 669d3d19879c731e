"""What is left of rules of which some do not compile.

Rules are left out whole, and with them all that refer to them: a condition that lost a part would match what its author
excluded. For the same reason the loss of a global rule costs the rest of its file. A file whose rules cannot be told
apart is left out as one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent.scanner.engines.port import RuleProblem, RuleSource
from agent.scanner.routing.analysis import references
from agent.scanner.routing.implications import modules_named
from agent.scanner.routing.reading import Rule, UnsplittableSourceError, read_rules

#: `Engine.problem`.
ProblemOf = Callable[[RuleSource], RuleProblem | None]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A rule that is not scanned with.

    Attributes:
        origin: Of its file, as in `RuleSource`.
        line: Where the mistake is, or the rule that goes because of another; 1-based, 0: unknown.
        rule: Empty: the whole file.
        reason: Why.
    """

    origin: str
    line: int
    rule: str
    reason: str

    def __str__(self) -> str:
        """As people are told."""
        where = f"{self.origin}, line {self.line}" if self.line else self.origin
        return f"{where}: {f'rule {self.rule}: ' if self.rule else ''}{self.reason}"


def salvage(
    sources: Sequence[RuleSource], problems: Iterable[RuleProblem], problem_of: ProblemOf
) -> tuple[tuple[RuleSource, ...], tuple[LeftOut, ...]]:
    """Divide a pack that does not compile into what does and what does not.

    Args:
        sources: The pack.
        problems: Of its broken files.
        problem_of: Judges a file by itself.

    Returns:
        Files that compile, in the order given, and what is not in them.
    """
    broken = {problem.source.namespace: problem for problem in problems}
    kept: list[RuleSource] = []
    left_out: list[LeftOut] = []
    for source in sources:
        problem = broken.get(source.namespace)
        if problem is None:
            kept.append(source)
            continue
        rest, lost = _salvage_file(problem, problem_of)
        left_out += lost
        kept += [rest] if rest else []
    return tuple(kept), tuple(left_out)


def _salvage_file(problem: RuleProblem, problem_of: ProblemOf) -> tuple[RuleSource | None, list[LeftOut]]:
    source = problem.source
    whole = [LeftOut(source.origin, problem.line, "", problem.reason)]
    try:
        sorting = _Sorting(source, problem_of)
    except UnsplittableSourceError:
        return None, whole
    sorting.sort()
    if not sorting.kept:
        return None, sorting.left_out or whole
    rest = RuleSource(source.namespace, source.origin, sorting.text_of(sorting.kept))
    # What this program takes for a rule, the engine might not.
    return (rest, sorting.left_out) if problem_of(rest) is None else (None, whole)


class _Sorting:
    """Sorts the rules of one file into `kept` and `left_out`.

    Raises:
        UnsplittableSourceError: They cannot be told apart.
    """

    def __init__(self, source: RuleSource, problem_of: ProblemOf) -> None:
        file = read_rules(source.text)
        self._source = source
        self._problem_of = problem_of
        self._rules = file.rules
        # In a program without a module each rule that uses it is wrong for that reason.
        verdicts = {module: self._problem(_imports([module])) for module in sorted(file.modules)}
        self._modules = [module for module, problem in verdicts.items() if problem is None]
        self._missing = {module: problem.reason for module, problem in verdicts.items() if problem is not None}
        self._companions: dict[str, frozenset[str]] = {}
        self._lost: set[str] = set()
        self.kept: list[Rule] = []
        self.left_out: list[LeftOut] = []

    def sort(self) -> None:
        """Fill `kept` and `left_out`."""
        self._keep(list(self._first_of_each_name()))
        lost_globals = [rule.name for rule in self._rules if rule.is_global and rule not in self.kept]
        if lost_globals:
            for rule in self.kept:
                self._leave_out(rule, f"the global rule {lost_globals[0]} of its file is left out")
            self.kept.clear()
        self.left_out.sort(key=lambda item: item.line)

    def text_of(self, rules: Iterable[Rule]) -> str:
        """A file with these rules only."""
        return _imports(self._modules) + "\n".join(self._source.text[rule.start : rule.end] for rule in rules)

    def _first_of_each_name(self) -> Iterator[Rule]:
        names: set[str] = set()
        for rule in self._rules:
            if rule.name in names:
                line = self._line_of(rule)
                self.left_out.append(LeftOut(self._source.origin, line, rule.name, "another rule has that name"))
                continue
            names.add(rule.name)
            yield rule

    def _keep(self, rules: Sequence[Rule]) -> None:
        """Keep those that compile, by halving; rules refer to earlier ones only, so the first half goes first."""
        candidates = [rule for rule in rules if not self._goes_with_others(rule)]
        if not candidates:
            return
        known = {rule.name for rule in (*self.kept, *candidates)}
        for rule in candidates:
            direct = references(rule.tokens, known) - {rule.name}
            self._companions[rule.name] = direct.union(*(self._companions.get(name, ()) for name in direct))
        needed = frozenset[str]().union(*(self._companions[rule.name] for rule in candidates))
        before = [rule for rule in self.kept if rule.name in needed]
        problem = self._problem(self.text_of([*before, *candidates]))
        if problem is None:
            self.kept += candidates
        elif len(candidates) == 1:
            self._leave_out(candidates[0], problem.reason, self._line_in_file(candidates[0], before, problem.line))
        else:
            middle = len(candidates) // 2
            self._keep(candidates[:middle])
            self._keep(candidates[middle:])

    def _goes_with_others(self, rule: Rule) -> bool:
        missing = modules_named(rule.tokens, frozenset(self._missing))
        lost = references(rule.tokens, self._lost)
        if missing:
            self._leave_out(rule, self._missing[min(missing)])
        elif lost:
            self._leave_out(rule, f"it refers to {', '.join(sorted(lost))}, which is left out")
        return bool(missing or lost)

    def _leave_out(self, rule: Rule, reason: str, line: int | None = None) -> None:
        self._lost.add(rule.name)
        where = self._line_of(rule) if line is None else line
        self.left_out.append(LeftOut(self._source.origin, where, rule.name, reason))

    def _line_in_file(self, rule: Rule, before: Iterable[Rule], line: int) -> int:
        """Where a line of the text that was tried is in the file."""
        ahead = self.text_of([*before, rule]).count("\n") - self._lines_in(rule)
        return self._line_of(rule) + min(max(0, line - 1 - ahead), self._lines_in(rule))

    def _line_of(self, rule: Rule) -> int:
        return self._source.text.count("\n", 0, rule.start) + 1

    def _lines_in(self, rule: Rule) -> int:
        return self._source.text.count("\n", rule.start, rule.end)

    def _problem(self, text: str) -> RuleProblem | None:
        return self._problem_of(RuleSource(self._source.namespace, self._source.origin, text))


def _imports(modules: Iterable[str]) -> str:
    return "".join(f'import "{module}"\n' for module in modules)
