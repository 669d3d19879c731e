from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from controlplane.releases.model import CleanHit, CleanReport, CompileReport, Intake, PackRule, Problem, RulePack
from controlplane.releases.selection import LeftOut, Reason, select_rules

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def rule(
    name: str, body: str = "", *, scope: str = "", refers_to: Sequence[str] = ()
) -> tuple[str, str, str, tuple[str, ...]]:
    return name, body or name, scope, tuple(refers_to)


def pack(
    name: str,
    *rules: tuple[str, str, str, tuple[str, ...]],
    broken: Sequence[str] = (),
    noisy: Sequence[str] = (),
) -> RulePack:
    text, listed = "", []
    for rule_name, body, scope, refers_to in rules:
        start, text = len(text), f"{text}<{rule_name}>"
        listed.append(PackRule("a.yar", rule_name, scope, start, len(text), refers_to, body))
    problems = tuple(Problem("a.yar", 1, item, "wrong") for item in broken)
    hits = tuple(CleanHit("a.yar", item, "high", 1, "/usr/bin/true") for item in noisy)
    intake = Intake({"a.yar": text}, "MIT", "", "Ann", "a.zip")
    return RulePack(
        name, "1", intake, CompileReport(tuple(listed), problems, ()), CleanReport(("/usr",), 1, hits), NOW, NOW
    )


def left_out(item: LeftOut) -> tuple[str, str, Reason]:
    return item.pack, item.rule, item.reason


def test_the_earlier_pack_keeps_what_both_have() -> None:
    selection = select_rules([pack("one", rule("a")), pack("two", rule("a"), rule("b"))])
    assert selection.texts == {"one": {"a.yar": "<a>"}, "two": {"a.yar": "<b>"}}
    assert [left_out(item) for item in selection.left_out] == [("two", "a", Reason.DUPLICATE)]
    assert selection.left_out[0].because == "one/a.yar"


def test_rules_that_share_only_a_name_are_both_kept_and_told() -> None:
    selection = select_rules([pack("one", rule("a", "x")), pack("two", rule("a", "y"))])
    assert not selection.left_out
    assert [(item.name, item.places) for item in selection.conflicts] == [("a", ("one/a.yar", "two/a.yar"))]


def test_a_repeated_rule_that_others_refer_to_stays() -> None:
    selection = select_rules([pack("one", rule("a")), pack("two", rule("a"), rule("b", refers_to=["a"]))])
    assert selection.texts["two"] == {"a.yar": "<a><b>"}


def test_a_private_rule_is_never_the_one_that_is_kept_for_another_pack() -> None:
    selection = select_rules([pack("one", rule("a", scope="private"), rule("b")), pack("two", rule("a"))])
    assert selection.texts["two"] == {"a.yar": "<a>"}


def test_what_refers_to_a_broken_rule_goes_with_it() -> None:
    chosen = pack("one", rule("a"), rule("b", refers_to=["a"]), rule("c", refers_to=["b"]), rule("d"), broken=["a"])
    selection = select_rules([chosen])
    assert selection.texts == {"one": {"a.yar": "<d>"}}
    reasons = [Reason.BROKEN, Reason.COMPANION, Reason.COMPANION]
    assert sorted(left_out(item) for item in selection.left_out) == [
        ("one", name, reason) for name, reason in zip("abc", reasons, strict=True)
    ]


def test_without_its_global_rule_nothing_of_a_file_is_left() -> None:
    selection = select_rules([pack("one", rule("a", scope="global"), rule("b"), broken=["a"])])
    assert selection.texts == {"one": {}}


def test_a_file_of_nothing_but_a_global_rule_is_kept() -> None:
    assert select_rules([pack("one", rule("a", scope="global"))]).texts == {"one": {"a.yar": "<a>"}}


def test_noise_is_left_out_unless_it_is_wanted() -> None:
    noisy = pack("one", rule("a"), rule("b"), noisy=["a"])
    assert select_rules([noisy]).texts == {"one": {"a.yar": "<b>"}}
    assert select_rules([noisy], keep_clean_hits=True).texts == {"one": {"a.yar": "<a><b>"}}


def test_a_file_that_is_lost_whole_is_told_as_one() -> None:
    broken = pack("one", rule("a"), broken=[""])
    assert [left_out(item) for item in select_rules([broken]).left_out] == [("one", "", Reason.BROKEN)]


NAMES = st.sampled_from("abcdef")
RULES = st.lists(
    st.tuples(NAMES, st.sampled_from("xy"), st.sampled_from(["", "private", "global"]), st.sets(NAMES, max_size=2)),
    unique_by=lambda item: item[0],
    max_size=6,
)


@given(st.lists(st.tuples(RULES, st.sets(NAMES, max_size=2)), min_size=1, max_size=3))
def test_every_rule_is_kept_or_left_out_once_and_nothing_kept_refers_to_what_is_not(
    drawn: list[tuple[list[tuple[str, str, str, set[str]]], set[str]]],
) -> None:
    packs = []
    for number, (rules, noisy) in enumerate(drawn):
        earlier: set[str] = set()
        described = []
        for name, body, scope, refers_to in rules:
            described.append(rule(name, body, scope=scope, refers_to=sorted(refers_to & earlier)))
            earlier.add(name)
        packs.append(pack(f"p{number}", *described, noisy=sorted(noisy & earlier)))
    selection = select_rules(packs)
    gone = {(item.pack, item.rule) for item in selection.left_out}
    assert len(gone) == len(selection.left_out)
    for one in packs:
        text = selection.texts[one.name].get("a.yar", "")
        for item in one.compiled.rules:
            assert (f"<{item.name}>" in text) != ((one.name, item.name) in gone)
            if (one.name, item.name) not in gone:
                assert not any((one.name, name) in gone for name in item.refers_to)
