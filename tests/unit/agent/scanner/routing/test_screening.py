"""From conditions to the strings a file must contain, and from a file's needles to the rules that might match."""

import pytest

from agent.scanner.routing.analysis import RuleText, analyse
from agent.scanner.routing.needles import Needle
from agent.scanner.routing.screening import Screen, ScreenedRule, ScreenPlan, alike, plan_screen

STRINGS = {"a": "alpha", "b": "bravo", "c": "charlie", "d": "delta"}


def could_match(condition: str, held: str, data: bytes = b"data", before: str = "") -> bool:
    """Whether a rule with that condition is a candidate for a content with those of its strings."""
    named = "".join(f'${name} = "{text}"\n' for name, text in STRINGS.items())
    (namespace,) = analyse([RuleText("n", f"{before} rule x {{ strings: {named} condition: {condition} }}")])
    rule = namespace.rules[-1]
    plan = plan_screen([ScreenedRule(rule.need, rule.evidence)])
    screen = Screen(plan.table)
    found = [number for number, needle in enumerate(plan.needles) if needle.text.decode()[0] in held]
    return screen.candidates(data, found) == {0}


@pytest.mark.parametrize(
    ("condition", "enough", "too_little"),
    [
        ("$a and $b", "ab", "a"),
        ("$a or $b", "b", "c"),
        ("all of them", "abcd", "abc"),
        ("2 of them", "cd", "d"),
        ("any of ($a, $b)", "a", "cd"),
        ("3 of ($a*, $b, $c)", "abc", "ab"),
        ("($a or $b) and 2 of ($b, $c, $d)", "acd", "ab"),
        ("#a > 2", "a", "b"),
        ("#a >= 1", "a", ""),
        ("#a > #b", "a", "b"),
        ("(#a + #b) > #c", "b", "c"),
        ("$a at 5", "a", "b"),
        ("$a in (0..100)", "a", "b"),
        ("any of them in (0..100)", "c", ""),
        ("@a < 10", "a", "b"),
        ("for all of ($a, $b) : ($ in (0..9))", "ab", "b"),
        ("$a and not $b", "ab", "b"),
        ("$a and filesize < 100", "a", ""),
    ],
)
def test_a_rule_is_a_candidate_once_there_is_evidence(condition: str, enough: str, too_little: str) -> None:
    assert could_match(condition, enough)
    assert not could_match(condition, too_little)


@pytest.mark.parametrize(
    "condition",
    [
        "not $a",
        "$a or filesize > 0",
        "none of them",
        "0 of them",
        "#a == 0",
        "#a >= 0",
        "#a < 3",
        "#a != 1",
        "for any of them : (not $)",
        "for any of them : (# < 3)",
        "not all of them",
        "10% of them",
        "#a > #b or true",
        "#a * 0 >= 0",
    ],
)
def test_nothing_follows_where_a_string_may_be_missing(condition: str) -> None:
    named = "".join(f'${name} = "{text}"\n' for name, text in STRINGS.items())
    (namespace,) = analyse([RuleText("n", f"rule x {{ strings: {named} condition: {condition} }}")])
    assert namespace.rules[0].evidence is None


def test_evidence_of_a_rule_referred_to_counts() -> None:
    before = 'private rule p { strings: $d = "delta" condition: $d }'
    assert could_match("p and $a", "ad", before=before)
    assert not could_match("p and $a", "a", before=before)


def test_a_candidate_also_meets_its_other_needs() -> None:
    assert could_match("$a and uint16(0) == 0x5A4D", "a", b"MZ..")
    assert not could_match("$a and uint16(0) == 0x5A4D", "a", b"PK..")
    assert not could_match("$a and filesize < 3", "a")


def test_one_needle_of_two_strings_counts_for_both() -> None:
    text = 'rule x { strings: $a = "alpha" $b = "alpha" fullword condition: all of them }'
    (namespace,) = analyse([RuleText("n", text)])
    plan = plan_screen([ScreenedRule(rule.need, rule.evidence) for rule in namespace.rules])
    assert len(plan.needles) == 1
    assert Screen(plan.table).candidates(b"x", [0]) == {0}


def test_screens_that_look_for_nearly_the_same_share_a_table() -> None:
    common = tuple(Needle(f"needle-{number}".encode()) for number in range(16))
    nearly = (*common, Needle(b"one more"))
    others = (*common[:4], *(Needle(f"other-{number}".encode()) for number in range(12)))
    plans = [ScreenPlan(needles, plan_screen(()).table) for needles in (common, others, nearly, ())]
    assert alike(plans) == ((0, 2), (1,), (3,))


def test_screens_with_a_common_table_judge_as_they_would_alone() -> None:
    first = 'rule r { strings: $a = "abcdef" condition: $a }'
    second = 'rule s { strings: $a = "ghijkl" $b = "abcdef" condition: all of them }'
    place: dict[Needle, int] = {}
    analysed = analyse([RuleText("a", first), RuleText("b", second)])
    plans = [
        plan_screen((ScreenedRule(rule.need, rule.evidence) for rule in namespace.rules), place)
        for namespace in analysed
    ]
    found = list(place.values())
    assert [Screen(plan.table).candidates(b"", found) for plan in plans] == [{0}, {0}]
    assert Screen(plans[1].table).candidates(b"", [place[Needle(b"abcdef")]]) == set()


def test_a_string_that_has_to_be_at_the_start_is_no_evidence_elsewhere() -> None:
    text = 'rule x { strings: $a = "<?" $b = "other" condition: ($a at 0 or $b) and filesize > 1 }'
    (namespace,) = analyse([RuleText("n", text)])
    plan = plan_screen([ScreenedRule(rule.need, rule.evidence) for rule in namespace.rules])
    place = {needle: number for number, needle in enumerate(plan.needles)}
    anywhere, first = place[Needle(b"<?")], place[Needle(b"<?", at_start=True)]
    screen = Screen(plan.table)
    assert screen.candidates(b"some <?", [anywhere]) == set()
    assert screen.candidates(b"<? some", [anywhere, first]) == {0}
    assert screen.candidates(b"other", [place[Needle(b"other")]]) == {0}
