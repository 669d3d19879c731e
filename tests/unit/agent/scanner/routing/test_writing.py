import pytest
import yara

from agent.scanner.routing.conditions import parse_condition
from agent.scanner.routing.reading import read_rules
from agent.scanner.routing.writing import write_rule, write_rule_with

TEXT = """rule r : t { strings: $a = "a" $ab = "ab" $b = "b" $ = "anonymous"
condition: all of them and #a*2 > 1 // end
}"""


def test_a_rule_written_back_is_the_same_rule() -> None:
    rule = read_rules(TEXT).rules[0]
    again = read_rules(write_rule(rule)).rules[0]
    assert (again.name, again.tags, again.strings, again.tokens) == (rule.name, rule.tags, rule.strings, rule.tokens)


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("$a", ["$a"]),
        ("any of ($a*)", ["$a", "$ab"]),
        ("any of them", ["$a", "$ab", "$b", "$"]),
        ("#b > 0", ["$b"]),
        ("@ab[1] == 0 and !a[1] == 1", ["$a", "$ab"]),
        ("#a* 2 > 1", ["$a"]),
    ],
)
def test_strings_that_a_shorter_condition_does_not_mention_are_left_out(condition: str, kept: list[str]) -> None:
    rule = read_rules(TEXT).rules[0]
    tokens = read_rules(f"rule x {{ condition: {condition} }}").rules[0].tokens
    text = write_rule_with(parse_condition(tokens), rule)
    assert [string.name for string in read_rules(text).rules[0].strings] == kept
    assert yara.compile(source=text).match(data=b"ab") != []
