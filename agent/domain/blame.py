"""Which rule made a file costly, in words; a pure decision."""

from dataclasses import dataclass

#: Of the time of a file: a rule, or what is done without any rule, that takes so much of it is what it went to.
MOSTLY = 0.5
#: A file that takes less time than this, in seconds, is not costly when it is scanned again.
QUICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Blame:
    """What the time of one file went to, when it was scanned again.

    Attributes:
        rule: The rule that took most of it, or rules of which one did; empty: none did, or it is not known.
        rule_s: Seconds that this took.
        file_s: Seconds that the file took with all rules, as far as it was scanned.
        why_not: Why no rule is named.
    """

    rule: str = ""
    rule_s: float = 0.0
    file_s: float = 0.0
    why_not: str = ""

    def sentence(self, path: str) -> str:
        """For people."""
        if not self.rule:
            return f"{path}: which rule costs it cannot be told: {self.why_not}"
        return f"{path}: mostly {self.rule} ({self.rule_s:.1f} s of {self.file_s:.1f} s)"


def blame_for(rule: str, *, rule_s: float, rules_s: float, without_rules_s: float) -> Blame:
    """Judge what was measured.

    Args:
        rule: The costliest, or some of which one is; empty: none was found.
        rule_s: What it takes.
        rules_s: What all rules together take.
        without_rules_s: What reading and unpacking take.
    """
    file_s = rules_s + without_rules_s
    if file_s < QUICK_S:
        return Blame(file_s=file_s, why_not=f"scanned again it took {file_s:.3f} s only")
    if without_rules_s >= MOSTLY * file_s:
        return Blame(file_s=file_s, why_not=f"reading and unpacking take {without_rules_s:.1f} s of {file_s:.1f} s")
    if not rule or rule_s < MOSTLY * file_s:
        most = f"; the costliest, {rule}, takes {rule_s:.1f} s" if rule else ""
        return Blame(file_s=file_s, why_not=f"no single one takes most of {file_s:.1f} s{most}")
    return Blame(rule, min(rule_s, file_s), file_s)
