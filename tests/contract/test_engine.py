"""What every signature engine must do, whichever it is."""

import io
import sys

import pytest

from agent.domain.errors import BucklerError
from agent.scanner.engines.port import Engine, Matcher, MatchTimeoutError, RuleCompileError, RuleSource
from agent.scanner.engines.registry import ENGINE_NAMES, engine_named


@pytest.fixture(params=ENGINE_NAMES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_named(request.param)


def loaded(engine: Engine, **sources: str) -> Matcher:
    image = io.BytesIO()
    engine.compile([RuleSource(name, f"{name}.yar", text) for name, text in sources.items()], image)
    image.seek(0)
    return engine.load(image)


def names(matcher: Matcher, data: bytes, **variables: str) -> list[str]:
    return [f"{m.namespace}.{m.rule}" for m in matcher.match(data, variables, 5.0).matches]


def test_it_knows_its_name_and_version(engine: Engine) -> None:
    assert engine.name in ENGINE_NAMES
    assert engine.version


def test_a_match_names_rule_namespace_and_metadata(engine: Engine) -> None:
    rule = 'rule r { meta: severity = "low" threat_name = "T" score = 3 strings: $a = "abc" condition: $a }'
    (match,) = loaded(engine, one=rule).match(b"..abc..", {}, 5.0).matches
    assert (match.rule, match.namespace, match.severity, match.threat_name) == ("r", "one", "low", "T")


def test_metadata_beyond_ascii_is_text(engine: Engine) -> None:
    matcher = loaded(engine, one='rule r { meta: threat_name = "Tröjan\\xff" condition: true }')
    assert matcher.match(b"", {}, 5.0).matches[0].threat_name == "Tröjan"


def test_metadata_that_is_no_text_is_left_out(engine: Engine) -> None:
    matcher = loaded(engine, one="rule r { meta: severity = 7 condition: true }")
    assert matcher.match(b"", {}, 5.0).matches[0].severity == ""


def test_the_same_rule_name_may_stand_in_two_files(engine: Engine) -> None:
    matcher = loaded(engine, a="rule r { condition: true }", b="rule r { condition: true }")
    assert names(matcher, b"") == ["a.r", "b.r"]
    assert matcher.rule_count == 2


def test_private_rules_work_and_are_not_reported(engine: Engine) -> None:
    matcher = loaded(engine, a='private rule p { strings: $a = "x" condition: $a } rule r { condition: p }')
    assert names(matcher, b"x") == ["a.r"]


def test_a_global_rule_rules_its_own_file_only(engine: Engine) -> None:
    guarded = "global rule g { condition: filesize > 5 } rule r { condition: true }"
    assert names(loaded(engine, a=guarded, b="rule r { condition: true }"), b"x") == ["b.r"]


def test_variables_reach_the_rules_and_missing_ones_are_empty(engine: Engine) -> None:
    matcher = loaded(engine, a='rule r { condition: filename == "x.exe" and owner == "" }')
    assert names(matcher, b"", filename="x.exe") == ["a.r"]
    assert names(matcher, b"", filename="y.exe") == []


def test_counting_conditions_see_every_occurrence(engine: Engine) -> None:
    matcher = loaded(engine, a='rule r { strings: $a = "ab" condition: #a == 3 }')
    assert names(matcher, b"ab ab ab") == ["a.r"]


def test_the_modules_of_public_rule_sets_are_there(engine: Engine) -> None:
    text = "".join(f'import "{module}"\n' for module in ("pe", "elf", "math", "hash", "time", "dotnet"))
    assert names(loaded(engine, a=text + "rule r { condition: math.max(1, 2) == 2 and not pe.is_pe }"), b"x") == ["a.r"]


def test_a_count_beyond_a_thousand_is_exact(engine: Engine) -> None:
    matcher = loaded(engine, a='rule r { strings: $a = "a" condition: #a == 6000 }')
    assert names(matcher, b"a" * 6000) == ["a.r"]


def test_a_content_that_takes_too_long_is_given_up(engine: Engine) -> None:
    endless = "for all i in (0..100000000) : (for all j in (0..100000000) : (i + j >= 0))"
    with pytest.raises(MatchTimeoutError):
        loaded(engine, a=f"rule r {{ condition: {endless} }}").match(b"", {}, 1.0)


def test_a_string_that_occurs_too_often_is_said(engine: Engine) -> None:
    matcher = loaded(engine, a='rule r { strings: $a = "a" condition: #a > 2000000 }')
    assert matcher.match(b"a" * 1_100_000, {}, 30.0).max_string_matches == 1_000_000


@pytest.mark.parametrize(
    ("text", "line"), [("rule r { condition: $a }", 1), ('\nimport "nope"\n', 2), ("rule r {\ncondition: nothing }", 2)]
)
def test_a_rule_that_does_not_compile_is_blamed_with_its_line(engine: Engine, text: str, line: int) -> None:
    with pytest.raises(RuleCompileError) as caught:
        loaded(engine, good="rule r { condition: true }", bad=text)
    (problem,) = caught.value.problems
    assert (problem.source.namespace, problem.line) == ("bad", line)
    assert problem.reason


def test_every_file_that_does_not_compile_is_blamed(engine: Engine) -> None:
    with pytest.raises(RuleCompileError) as caught:
        loaded(engine, a="rule {", good="rule r { condition: true }", b="\n\nrule r { condition: $x }")
    assert [(p.source.origin, p.line) for p in caught.value.problems] == [("a.yar", 1), ("b.yar", 3)]


def test_a_file_is_judged_by_itself(engine: Engine) -> None:
    assert engine.problem(RuleSource("a", "a.yar", "rule r { condition: true }")) is None
    problem = engine.problem(RuleSource("a", "a.yar", "rule r { condition: elsewhere }"))
    assert problem is not None
    assert str(problem).startswith("a.yar, line 1: ")


@pytest.mark.parametrize("text", ['include "/etc/passwd"', "rule r { condition: true }\n\0 rule s { condition: true }"])
def test_other_files_and_zero_bytes_are_refused(engine: Engine, text: str) -> None:
    with pytest.raises(RuleCompileError):
        loaded(engine, a=text)


def test_an_engine_nobody_knows_is_one_clear_error() -> None:
    with pytest.raises(BucklerError) as caught:
        engine_named("clam")
    assert caught.value.code == "ENGINE_UNKNOWN"


def test_an_engine_that_is_not_installed_is_one_clear_error() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "agent.scanner.engines.boreal", raising=False)
        patch.setitem(sys.modules, "boreal", None)
        with pytest.raises(BucklerError) as caught:
            engine_named("boreal")
    assert caught.value.code == "ENGINE_NOT_INSTALLED"
    assert "yara" in caught.value.next_step
