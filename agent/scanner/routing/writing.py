"""Rules back to source text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.scanner.routing.conditions import Condition, tokens_of, write_condition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.scanner.routing.leading_bytes import StringDefinition
    from agent.scanner.routing.reading import Rule


def write_rule(rule: Rule, *, hidden: bool = False) -> str:
    """Return a rule as it was written, comments around its parts aside.

    Args:
        rule: The rule.
        hidden: Make it private, so that only the rules that refer to it see it.
    """
    return _written(rule, rule.strings, rule.condition, hidden=hidden)


def write_rule_with(condition: Condition, rule: Rule) -> str:
    """Return a rule with another condition made of parts of its own.

    Strings that the condition does not mention are left out: YARA refuses to compile them.
    """
    return _written(rule, tuple(_mentioned(rule.strings, tokens_of(condition))), write_condition(condition))


def _mentioned(strings: Iterable[StringDefinition], tokens: Iterable[str]) -> Iterable[StringDefinition]:
    names: set[str] = set()
    prefixes: list[str] = []
    for token in tokens:
        if token == "them":
            prefixes.append("$")
        elif token[0] == "$" and token[-1] == "*":
            prefixes.append(token[:-1])
        elif token[0] in "$#@!":
            names.add("$" + token[1:].removesuffix("*"))  # in `#a*2` the star multiplies
    return (string for string in strings if string.name in names or string.name.startswith(tuple(prefixes)))


def _written(
    rule: Rule, strings: tuple[StringDefinition, ...], condition: str, *, hidden: bool = False
) -> str:
    scopes = [*(["global"] if rule.is_global else []), *(["private"] if rule.is_private or hidden else [])]
    tags = f" : {' '.join(rule.tags)}" if rule.tags else ""
    definitions = "".join(f"{string.written}\n" for string in strings)
    section = f"strings:\n{definitions}" if definitions else ""
    # Meta and condition may end in a comment, hence the line breaks.
    return f"{' '.join([*scopes, 'rule', rule.name])}{tags} {{{rule.meta}\n{section}condition:{condition}\n}}"
