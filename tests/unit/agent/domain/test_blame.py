from hypothesis import given
from hypothesis import strategies as st

from agent.domain.blame import MOSTLY, Blame, blame_for


def judged(rule: str, rule_s: float, rules_s: float, without_rules_s: float = 0.0) -> str:
    blame = blame_for(rule, rule_s=rule_s, rules_s=rules_s, without_rules_s=without_rules_s)
    return blame.sentence("/a")


def test_a_rule_that_takes_most_is_named_with_its_share() -> None:
    assert judged("rule ns.slow", 3.0, 3.5, 0.5) == "/a: mostly rule ns.slow (3.0 s of 4.0 s)"


def test_what_cannot_be_told_is_said_with_its_reason() -> None:
    cannot = "/a: which rule costs it cannot be told: "
    most = "no single one takes most of 4.0 s"
    assert judged("rule ns.one", 1.0, 4.0) == f"{cannot}{most}; the costliest, rule ns.one, takes 1.0 s"
    assert judged("", 0.0, 4.0) == f"{cannot}{most}"
    assert judged("rule ns.one", 1.0, 1.0, 3.0) == f"{cannot}reading and unpacking take 3.0 s of 4.0 s"
    assert judged("rule ns.one", 0.02, 0.03) == f"{cannot}scanned again it took 0.030 s only"


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100))
def test_no_rule_is_blamed_for_less_than_half_or_more_than_all(
    rule_s: float, rules_s: float, without_rules_s: float
) -> None:
    blame = blame_for("r", rule_s=rule_s, rules_s=rules_s, without_rules_s=without_rules_s)
    assert blame == Blame(file_s=blame.file_s, why_not=blame.why_not) or (
        MOSTLY * blame.file_s <= blame.rule_s <= blame.file_s and not blame.why_not
    )
