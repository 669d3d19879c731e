"""Rules back to source text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.scanner.routing.conditions import Condition, tokens_of, write_condition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.scanner.routing.leading_bytes import StringDefinition
    from agent.scanner.routing.reading import Rule


_ALL_STRINGS = frozenset({"them"})


def write_rule(rule: Rule) -> str:
    """Return a rule as it was written, comments around its parts aside."""
    return _written(rule, rule.strings, rule.condition)


def write_rule_with(condition: Condition, rule: Rule) -> str:
    """Return a rule with another condition made of parts of its own.

    Strings that the condition does not mention are left out: YARA refuses to compile them.
    """
    return _written(rule, tuple(_mentioned(rule.strings, tokens_of(condition))), write_condition(condition))


def _mentioned(strings: Iterable[StringDefinition], tokens: Iterable[str]) -> Iterable[StringDefinition]:
    names: set[str] = set()
    prefixes: list[str] = []
    for token in tokens:
        match token[0], token[-1]:
            case "$", "*":
                prefixes.append(token[:-1])
            case (("$" | "#" | "@" | "!"), _):
                names.add("$" + token[1:].removesuffix("*"))  # in `#a*2` the star multiplies
            case _ if token in _ALL_STRINGS:
                prefixes.append("$")
    return (string for string in strings if string.name in names or string.name.startswith(tuple(prefixes)))


def _written(rule: Rule, strings: tuple[StringDefinition, ...], condition: str) -> str:
    scopes = [*(["global"] if rule.is_global else []), *(["private"] if rule.is_private else [])]
    tags = f" : {' '.join(rule.tags)}" if rule.tags else ""
    definitions = "".join(f"{string.written}\n" for string in strings)
    section = f"strings:\n{definitions}" if definitions else ""
    # Meta and condition may end in a comment, hence the line breaks.
    return f"{' '.join([*scopes, 'rule', rule.name])}{tags} {{{rule.meta}\n{section}condition:{condition}\n}}"
