"""What is left of broken rules, judged by a real engine: which rules stay, which go, and what is said about each."""

import pytest

from agent.scanner.engines.port import Engine, RuleSource
from agent.scanner.engines.registry import ENGINE_NAMES, engine_named
from agent.scanner.packs.rule_salvage import LeftOut, salvage
from agent.scanner.routing.reading import read_rules

GOOD = "rule good { condition: true }"
BAD = "rule bad\n{\n  condition:\n    $missing }"


@pytest.fixture(params=ENGINE_NAMES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_named(request.param)


def salvaged(engine: Engine, *texts: str) -> tuple[list[str], tuple[LeftOut, ...]]:
    """Names of the rules that are left, and what is not."""
    sources = [RuleSource(f"n{number}", f"{number}.yar", text) for number, text in enumerate(texts)]
    problems = [problem for source in sources if (problem := engine.problem(source))]
    kept, left_out = salvage(sources, problems, engine.problem)
    assert [engine.problem(source) for source in kept] == [None] * len(kept)
    return [rule.name for source in kept for rule in read_rules(source.text).rules], left_out


def test_a_broken_rule_goes_and_its_neighbours_stay(engine: Engine) -> None:
    names, left_out = salvaged(
        engine, f"{GOOD}\n{BAD}\nrule after {{ condition: good }}", "rule other { condition: true }"
    )
    assert names == ["good", "after", "other"]
    (item,) = left_out
    assert (item.origin, item.line, item.rule) == ("0.yar", 5, "bad")
    assert "missing" in item.reason
    assert str(item).startswith("0.yar, line 5: rule bad: ")


def test_rules_that_refer_to_it_go_too_however_far_away(engine: Engine) -> None:
    # The last would compile without `second`, and match what it was not written for.
    others = (
        "rule second { condition: bad }\nrule seconds { condition: true }\nrule third { condition: none of (sec*) }"
    )
    names, left_out = salvaged(engine, f"{BAD}\n{others}\n{GOOD}")
    assert names == ["seconds", "good"]
    assert [(item.rule, item.line) for item in left_out] == [("bad", 4), ("second", 5), ("third", 7)]
    assert "refers to second" in left_out[2].reason


def test_the_loss_of_a_global_rule_costs_the_file(engine: Engine) -> None:
    names, left_out = salvaged(
        engine, f"{GOOD}\nglobal rule guard {{ condition: $x }}", "rule other { condition: true }"
    )
    assert names == ["other"]
    assert [item.rule for item in left_out] == ["good", "guard"]
    assert "global rule guard" in left_out[0].reason


def test_a_missing_module_costs_the_rules_that_use_it(engine: Engine) -> None:
    users = "rule uses { condition: nope.x == 1 }\nrule m { condition: math.max(1, 2) == 2 }"
    text = f'import "nope"\nimport "math"\n{GOOD}\n{users}'
    names, left_out = salvaged(engine, text)
    assert names == ["good", "m"]
    assert [(item.rule, item.line) for item in left_out] == [("uses", 4)]
    assert "nope" in left_out[0].reason


def test_a_second_rule_of_a_name_goes(engine: Engine) -> None:
    names, left_out = salvaged(engine, f"{GOOD}\n{GOOD}")
    assert names == ["good"]
    assert [(item.rule, item.line) for item in left_out] == [("good", 2)]


def test_a_second_global_rule_of_a_name_costs_the_file(engine: Engine) -> None:
    guards = "global rule g { condition: true }\nglobal rule g { condition: false }"
    assert salvaged(engine, f"{guards}\n{GOOD}")[0] == []


@pytest.mark.parametrize("text", ["rule half {", 'include "x"', "no rule at all", "rule r { condition: true }\n}"])
def test_a_file_that_cannot_be_told_apart_goes_whole(engine: Engine, text: str) -> None:
    names, left_out = salvaged(engine, text, GOOD)
    assert names == ["good"]
    assert [(item.origin, item.rule) for item in left_out] == [("0.yar", "")]
    assert left_out[0].reason


def test_many_broken_rules_of_a_file_are_all_named(engine: Engine) -> None:
    rules = [f"rule r{n} {{ condition: {'true' if n % 3 else '$x'} }}" for n in range(60)]
    names, left_out = salvaged(engine, "\n".join(rules))
    assert names == [f"r{n}" for n in range(60) if n % 3]
    assert [(item.rule, item.line) for item in left_out] == [(f"r{n}", n + 1) for n in range(0, 60, 3)]


def test_nothing_may_be_left(engine: Engine) -> None:
    assert salvaged(engine, BAD)[0] == []
