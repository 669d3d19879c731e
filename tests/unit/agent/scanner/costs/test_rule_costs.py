import io
from collections.abc import Sequence

import pytest

from agent.scanner.costs.rule_costs import DividedPack, RuleCosts, RuleUnit, costliest_rules
from agent.scanner.engines.port import RuleSource
from agent.scanner.engines.yara import YaraEngine

PACK = (
    RuleSource(
        "a/one", "one.yar", "\n".join(f'rule r{n} {{ strings: $x = "text{n}" condition: $x }}' for n in range(8))
    ),
    RuleSource(
        "b",
        "b.yar",
        'import "math"\nprivate rule base { strings: $a = "base" condition: $a }\n'
        "rule user { condition: base and math.entropy(0, filesize) > 1 }\n"
        'global rule everything { condition: filesize > 0 }\nrule late { strings: $l = "late" condition: $l }',
    ),
)
BASE_MS = 5.0


async def found(price: dict[str, float], at_most: int = 40) -> RuleCosts:
    """What is found out when rules cost what `price` says, 0.01 by default."""

    async def measure(part: Sequence[RuleSource]) -> float | None:
        YaraEngine().compile(part, io.BytesIO())
        names = [unit.rule for unit in DividedPack(part).units()]
        return BASE_MS + sum(price.get(name, 0.01) for name in names)

    costs = await costliest_rules(DividedPack(PACK), measure, at_most=at_most)
    assert costs is not None
    return costs


def test_every_rule_is_a_unit_and_any_of_them_compile_together() -> None:
    pack = DividedPack(PACK)
    units = pack.units()
    assert len(units) == 12
    assert RuleUnit("b", "user").name == "b.user"
    (only,) = pack.only([RuleUnit("b", "user")])
    assert "rule base" in only.text
    assert "rule everything" in only.text
    assert "late" not in only.text


async def test_the_costliest_rule_is_found_among_many() -> None:
    costs = await found({"r5": 50.0})
    assert [unit.name for unit in costs.rules[0].units] == ["a/one.r5"]
    assert costs.rules[0].ms == pytest.approx(50.0, abs=0.1)
    assert costs.complete


async def test_what_scanning_costs_without_rules_is_taken_off() -> None:
    costs = await found({"r1": 3.0, "late": 7.0})
    assert [group.units[0].rule for group in costs.rules[:2]] == ["late", "r1"]
    assert costs.all_ms == pytest.approx(10.1, abs=0.1)


async def test_measurements_end_and_that_is_told() -> None:
    costs = await found({f"r{number}": 10.0 for number in range(8)}, at_most=6)
    assert costs.measurements <= 6
    assert not costs.complete
    assert costs.groups


async def test_what_cannot_be_measured_is_not_made_up() -> None:
    async def never(_part: Sequence[RuleSource]) -> float | None:
        return None

    assert await costliest_rules(DividedPack(PACK), never, at_most=10) is None


async def test_a_file_that_cannot_be_taken_apart_is_one_unit() -> None:
    pack = DividedPack([RuleSource("odd", "odd.yar", 'include "other.yar"\nrule x { condition: true }')])
    assert [unit.name for unit in pack.units()] == ["odd (whole file)"]
