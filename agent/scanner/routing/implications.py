"""What a rule's condition implies about every file it matches. Sound before sharp: in doubt, nothing.

The facts about undefined values were found by experiment with YARA 4.5 and are pinned by
`tests/integration/scanner/routing/test_undefined_values.py`:

* Every field and function of `pe` and `elf` is undefined on a file that does not start with that format's magic bytes,
  except the constants (upper case) and `pe.is_pe`, which is 0 there. `dotnet` needs a PE file too.
* A comparison, reference or index with an undefined integer or string operand is undefined, and so is its `not`;
  undefined as a whole condition is false. Floating point is different (`not 1.0 < undefined` is true), and so are the
  counts of `for` and `of` (`for undefined of them : (true)` is true): both imply nothing here.
* `and` and `or` turn undefined operands into false, so `not (undefined or false)` is true: nothing follows from the
  `not` of anything but a leaf.
* A loop over an undefined range, array or dictionary is false.
"""

from __future__ import annotations

import re
from functools import reduce
from typing import TYPE_CHECKING

from agent.scanner.routing.conditions import And, Condition, Defined, Leaf, Not, Or
from agent.scanner.routing.leading_bytes import leading_bytes
from agent.scanner.routing.needs import ANYTHING, NOTHING, Need, sized, starts_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agent.scanner.routing.leading_bytes import StringDefinition

MZ = starts_with(b"MZ")
ELF = starts_with(b"\x7fELF")
FORMAT_MODULES = {"pe": MZ, "dotnet": MZ, "elf": ELF}
# Modules whose fields and functions are integers and strings only: there, undefined operands behave.
_WITHOUT_FLOATS = frozenset({*FORMAT_MODULES, "hash"})
_NOT_STRICT = frozenset({"and", "or", "not", "defined", "for", "of"})

_READ = re.compile(r"u?int(8|16|32)(be)?")
_NUMBER = re.compile(r"(?:(0x[0-9A-Fa-f]+)|(\d+))(KB|MB)?")
_UNITS = {None: 1, "KB": 1 << 10, "MB": 1 << 20}
_MIRRORED = {"==": "==", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def modules_named(tokens: Iterable[str], imported: frozenset[str]) -> frozenset[str]:
    """Return which of the imported modules the tokens of a condition name."""
    return frozenset(token.partition(".")[0] for token in tokens) & imported


class Implications:
    """Reads needs off the condition of one rule.

    Args:
        strings: The rule's strings.
        modules: The modules its source imports; no other name is taken for a module.
        need_of_rule: Need of an earlier rule of the namespace, None for a name that is no rule.
    """

    def __init__(
        self,
        strings: Sequence[StringDefinition],
        modules: frozenset[str],
        need_of_rule: Callable[[str], Need | None],
    ) -> None:
        self._strings: Mapping[str, StringDefinition] = {
            string.name: string for string in strings if string.name != "$"
        }
        self._modules = modules
        self._need_of_rule = need_of_rule

    def of(self, condition: Condition) -> Need:
        """Return what a file is like when the condition is true of it."""
        match condition:
            case And(operands):
                return reduce(Need.both, map(self.of, operands), ANYTHING)
            case Or(operands):
                return reduce(Need.either, map(self.of, operands), NOTHING)
            case Not(Leaf(tokens)) | Defined(Leaf(tokens)):
                return self._when_defined(tokens)
            case Not() | Defined():
                return ANYTHING
            case Leaf(tokens):
                return self._of_leaf(tokens)

    def _of_leaf(self, tokens: tuple[str, ...]) -> Need:
        known = (
            self._of_comparison(tokens)
            or self._of_string_at_start(tokens)
            or self._of_rule(tokens)
            or self._of_rule_set(tokens)
            or self._of_pe_test(tokens)
            or self._of_loop(tokens)
            or ANYTHING
        )
        return known.both(self._when_defined(tokens))

    def _when_defined(self, tokens: tuple[str, ...]) -> Need:
        """Return what follows from a leaf having any value, true or false."""
        if not _NOT_STRICT.isdisjoint(tokens) or any("." in token and token[0].isdigit() for token in tokens):
            return ANYTHING
        if modules_named(tokens, self._modules) - _WITHOUT_FLOATS:
            return ANYTHING
        return reduce(Need.both, map(self._of_member, tokens), ANYTHING)

    def _of_member(self, token: str) -> Need:
        module, _, member = token.partition(".")
        if module not in self._modules or not member or member.isupper() or member == "is_pe":
            return ANYTHING
        return FORMAT_MODULES.get(module, ANYTHING)

    @staticmethod
    def _of_comparison(tokens: tuple[str, ...]) -> Need | None:
        """Read `uint16(0) == 0x5A4D`, `filesize < 20KB` and both the other way round."""
        for left, operator, right in _comparisons(tokens):
            number = _integer(right)
            if number is None:
                continue
            if left == ("filesize",):
                return _size_need(operator, number)
            if operator == "==" and len(left) == 4 and (reading := _READ.fullmatch(left[0])):  # noqa: PLR2004 - f ( 0 )
                return _read_need(reading, left[1:], number)
        return None

    def _of_string_at_start(self, tokens: tuple[str, ...]) -> Need | None:
        """Read `$magic at 0`."""
        match tokens:
            case (name, "at", offset) if name in self._strings and _integer((offset,)) == 0:
                heads = leading_bytes(self._strings[name])
                return starts_with(*heads) if heads else None
        return None

    def _of_rule(self, tokens: tuple[str, ...]) -> Need | None:
        return self._need_of_rule(tokens[0]) if len(tokens) == 1 else None

    def _of_rule_set(self, tokens: tuple[str, ...]) -> Need | None:
        """Read `any of (rule_a, rule_b)`: of a set, at least one member must match, whichever count is asked for."""
        match tokens:
            case (count, "of", "(", *members, ")") if count in ("any", "all") or (_integer((count,)) or 0) > 0:
                needs = [self._need_of_rule(member) for member in members[::2]]
                if members[1::2] == [","] * (len(members) // 2) and None not in needs:
                    return reduce(Need.either, (need for need in needs if need), NOTHING)
        return None

    def _of_pe_test(self, tokens: tuple[str, ...]) -> Need | None:
        return MZ if tokens in (("pe.is_pe",), ("pe.is_pe", "==", "1")) and "pe" in self._modules else None

    def _of_loop(self, tokens: tuple[str, ...]) -> Need | None:
        """Read `for any i in (0..pe.number_of_signatures) : (…)` and `for any s in pe.sections : (…)`."""
        if tokens[0] != "for" or "in" not in tokens or ":" not in tokens:
            return None
        if tokens[1] not in ("any", "all") and not _integer(tokens[1:2]):
            return None
        start, end = tokens.index("in") + 1, tokens.index(":")
        domain = tokens[start:end]
        over_range = ".." in domain and "," not in domain
        over_members = len(domain) == 1
        return self._when_defined(domain) if over_range or over_members else None


def _comparisons(tokens: tuple[str, ...]) -> list[tuple[tuple[str, ...], str, tuple[str, ...]]]:
    """Return the leaf as (left, operator, right) in both directions, nothing when it is no single comparison."""
    places = [index for index, token in enumerate(tokens) if token in _MIRRORED]
    if len(places) != 1:
        return []
    place = places[0]
    left, operator, right = tokens[:place], tokens[place], tokens[place + 1 :]
    return [(left, operator, right), (right, _MIRRORED[operator], left)]


def _integer(tokens: tuple[str, ...]) -> int | None:
    if len(tokens) != 1 or not (found := _NUMBER.fullmatch(tokens[0])):
        return None
    in_hex, in_decimal, unit = found.groups()
    return (int(in_hex, 16) if in_hex else int(in_decimal)) * _UNITS[unit]


def _size_need(operator: str, size: int) -> Need:
    match operator:
        case "<":
            return sized(at_most=size - 1)
        case "<=":
            return sized(at_most=size)
        case ">":
            return sized(at_least=size + 1)
        case ">=":
            return sized(at_least=size)
        case _:
            return sized(at_least=size, at_most=size)


def _read_need(reading: re.Match[str], argument: tuple[str, ...], value: int) -> Need | None:
    opening, offset, closing = argument
    width = int(reading.group(1))
    largest = 1 << (width if reading.group(0).startswith("u") else width - 1)
    if (opening, _integer((offset,)), closing) != ("(", 0, ")") or value >= largest:
        return None
    return starts_with(value.to_bytes(width // 8, "big" if reading.group(2) else "little"))
