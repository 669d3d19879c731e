"""Which rules of several packs go into a bundle, and which of them stay out for what reason.

Names need not be unique: the file of a rule is its namespace, and findings name both. So rules of one name with
different bodies are both kept; of rules that are equal in name and body, one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from controlplane.releases.model import CompileReport, PackRule, RulePack


class Reason(Enum):
    """Why a rule is left out."""

    #: It does not compile, or refers to one that does not.
    BROKEN = "broken"
    #: It finds something in clean software.
    CLEAN_HIT = "clean_hit"
    #: A rule that is kept has the same name, strings and condition.
    DUPLICATE = "duplicate"
    #: Its condition refers to a rule that is left out, or a global rule of its file is.
    COMPANION = "companion"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A rule that is in no bundle.

    Attributes:
        pack: Its pack's name.
        path: Its file; with an empty `rule` the whole of it is left out.
        rule: Its name.
        reason: Why.
        because: What it goes with or what it repeats, for people; may be empty.
    """

    pack: str
    path: str
    rule: str
    reason: Reason
    because: str = ""


@dataclass(frozen=True, slots=True)
class NameConflict:
    """One name for different rules; all are kept, told apart by their files.

    Attributes:
        name: The name.
        places: `PACK/path` of each.
    """

    name: str
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What a bundle of some packs holds.

    Attributes:
        texts: Of each file that is left, by pack and path.
        rule_count: Rules in them that could be told apart.
        left_out: The others, with reasons.
        conflicts: Names that several kept rules have.
    """

    texts: Mapping[str, Mapping[str, str]]
    rule_count: int
    left_out: tuple[LeftOut, ...]
    conflicts: tuple[NameConflict, ...]


def select_rules(packs: Sequence[RulePack], *, keep_clean_hits: bool = False) -> Selection:
    """Choose the rules of a bundle.

    Args:
        packs: The earlier one keeps what several have.
        keep_clean_hits: Keep rules that find something in clean software.
    """
    selecting = _Selecting()
    for pack in packs:
        selecting.take(pack, keep_clean_hits=keep_clean_hits)
    return selecting.result()


class _Selecting:
    def __init__(self) -> None:
        self._texts: dict[str, dict[str, str]] = {}
        self._left_out: list[LeftOut] = []
        # Where the kept rule with a name and a body is.
        self._bodies: dict[tuple[str, str], str] = {}
        self._places: dict[str, list[str]] = defaultdict(list)

    def take(self, pack: RulePack, *, keep_clean_hits: bool) -> None:
        rules = _by_file(pack.compiled.rules)
        whole = frozenset(pack.compiled.whole_files)
        lost_files = {problem.path for problem in pack.compiled.problems if not problem.rule}
        noisy = {(hit.path, hit.rule): hit.example for hit in pack.clean.hits} if not keep_clean_hits else {}
        broken = _broken(pack.compiled)
        kept: dict[str, str] = {}
        for path, text in sorted(pack.intake.files.items()):
            if path in lost_files:
                self._left_out.append(LeftOut(pack.name, path, "", Reason.BROKEN))
                continue
            if path in whole:
                kept[path] = text
                continue
            dropped = self._drop(pack.name, rules[path], broken, noisy)
            self._left_out += dropped.values()
            staying = [rule for rule in rules[path] if rule.name not in dropped]
            self._remember(pack.name, staying)
            if staying:
                kept[path] = _without(text, (rule for rule in rules[path] if rule.name in dropped))
        self._texts[pack.name] = kept

    def result(self) -> Selection:
        conflicts = tuple(
            NameConflict(name, tuple(places)) for name, places in sorted(self._places.items()) if len(places) > 1
        )
        rule_count = sum(map(len, self._places.values()))
        return Selection(self._texts, rule_count, tuple(self._left_out), conflicts)

    def _drop(
        self,
        pack: str,
        rules: Sequence[PackRule],
        broken: Mapping[tuple[str, str], str],
        noisy: Mapping[tuple[str, str], str],
    ) -> dict[str, LeftOut]:
        """Of one file; by name."""
        dropped: dict[str, LeftOut] = {}
        for rule in rules:
            key = (rule.path, rule.name)
            if key in broken:
                dropped[rule.name] = LeftOut(pack, rule.path, rule.name, Reason.BROKEN, broken[key])
            elif key in noisy:
                dropped[rule.name] = LeftOut(pack, rule.path, rule.name, Reason.CLEAN_HIT, noisy[key])
        _drop_companions(pack, rules, dropped)
        needed = {name for rule in rules if rule.name not in dropped for name in rule.refers_to}
        for rule in rules:
            elsewhere = self._bodies.get((rule.name, rule.body_sha256))
            # A rule that others need, restricts others or is never reported stays: leaving it out changes others.
            if elsewhere and rule.name not in dropped and rule.name not in needed and not rule.scope:
                dropped[rule.name] = LeftOut(pack, rule.path, rule.name, Reason.DUPLICATE, elsewhere)
        return dropped

    def _remember(self, pack: str, rules: Iterable[PackRule]) -> None:
        for rule in rules:
            place = f"{pack}/{rule.path}"
            self._places[rule.name].append(place)
            if not rule.scope:
                self._bodies.setdefault((rule.name, rule.body_sha256), place)


def _by_file(rules: Iterable[PackRule]) -> Mapping[str, list[PackRule]]:
    files: dict[str, list[PackRule]] = defaultdict(list)
    for rule in rules:
        files[rule.path].append(rule)
    return files


def _broken(report: CompileReport) -> dict[tuple[str, str], str]:
    return {(problem.path, problem.rule): problem.reason for problem in report.problems if problem.rule}


def _drop_companions(pack: str, rules: Sequence[PackRule], dropped: dict[str, LeftOut]) -> None:
    """A condition that lost a part would match what its author excluded."""
    for rule in rules:
        # Rules refer to earlier ones only, so one pass is enough.
        lost = next((name for name in rule.refers_to if name in dropped), None)
        if lost is not None:
            dropped.setdefault(rule.name, LeftOut(pack, rule.path, rule.name, Reason.COMPANION, lost))
    lost_global = next((rule.name for rule in rules if "global" in rule.scope and rule.name in dropped), None)
    if lost_global is not None:
        for rule in rules:
            dropped.setdefault(rule.name, LeftOut(pack, rule.path, rule.name, Reason.COMPANION, lost_global))


def _without(text: str, rules: Iterable[PackRule]) -> str:
    pieces: list[str] = []
    position = 0
    for rule in sorted(rules, key=lambda rule: rule.start):
        pieces.append(text[position : rule.start])
        position = rule.end
    return "".join((*pieces, text[position:]))
