"""Whether a content's name, size and a few of its bytes alone refute a condition, so that no engine has to be asked.

Rules that need no strings would otherwise be run on every content, which means that the engine passes all of it. Only
what is surely false or without a value counts; what is not understood is left to the engine.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from agent.scanner.routing.conditions import And, Condition, Leaf, Or
from agent.scanner.routing.needles import fixed_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Test: TypeAlias = list[Any]
"""As it is stored: `["all" | "any", test...]`, `["name", variable, operator, text]`, `["number", token...]`."""

_NAMES = frozenset({"filename", "filepath", "extension", "filetype", "owner"})
_PLAIN_TEXT = re.compile(r'"([ !#-\[\]-~]+)"')
_EXPRESSION = re.compile(r"/(.+)/([is]*)", re.DOTALL)
_READ = re.compile(r"uint(8|16|32)(be)?")
_NUMBER = re.compile(r"(?:0x([0-9A-Fa-f]+)|(\d+))(KB|MB)?")
_KNOWN = re.compile(rf"{_READ.pattern}|{_NUMBER.pattern}|filesize|[()|^&+]|<<|>>|[=!<>]=|[<>]")
_UNITS = {None: 1, "KB": 1 << 10, "MB": 1 << 20}
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
#: From those that bind least to those that bind most.
_LEVELS: tuple[dict[str, Callable[[int, int], int]], ...] = (
    {"|": operator.or_},
    {"^": operator.xor},
    {"&": operator.and_},
    {"<<": operator.lshift, ">>": operator.rshift},
    {"+": operator.add},
)
_MOST_SHIFTED = 62
_LARGEST = 1 << 63
_TEXT_TESTS: dict[str, Callable[[bytes, bytes], bool]] = {
    "==": operator.eq,
    "contains": operator.contains,
    "startswith": bytes.startswith,
    "endswith": bytes.endswith,
}
_TEXT_TESTS_OF_EITHER_CASE = {
    "iequals": "==",
    "icontains": "contains",
    "istartswith": "startswith",
    "iendswith": "endswith",
}


class _NotKnownError(Exception):
    """The engine has to decide."""


class _NoValueError(Exception):
    """A byte was to be read that is not there: no comparison with it is true."""


_Number: TypeAlias = "Callable[[bytes], int]"
_Holds: TypeAlias = "Callable[[bytes, Mapping[str, str]], bool]"


def refutable(condition: Condition) -> Test | None:
    """Return the test of whether names and numbers refute a condition; None: they never do."""
    match condition:
        case And(operands):
            known = [test for test in map(refutable, operands) if test]
            return ["all", *known] if known else None
        case Or(operands):
            tests = [refutable(operand) for operand in operands]
            return ["any", *tests] if all(tests) else None
        case Leaf((name, comparison, text)) if name in _NAMES:
            return _name_test(name, comparison, text)
        case Leaf(tokens):
            return ["number", *tokens] if _is_comparison(tokens) else None
        case _:
            return None


class Refuter:
    """Judges contents: pure, and a few microseconds a content.

    Args:
        tests: Of some rules, each from `refutable`.
    """

    def __init__(self, tests: Sequence[Test]) -> None:
        self._tests = [_prepared(test) for test in tests]

    def refutes(self, untrusted_data: bytes, variables: Mapping[str, str]) -> bool:
        """Whether none of the rules can match a content.

        Args:
            untrusted_data: The content.
            variables: Values of external variables; missing ones are empty.
        """
        return not any(may_hold(untrusted_data, variables) for may_hold in self._tests)


def _name_test(name: str, comparison: str, text: str) -> Test | None:
    if comparison == "matches" and (found := _EXPRESSION.fullmatch(text)) and "[:" not in found[1]:
        # Whatever matches holds its fixed pieces.
        piece = max(fixed_pieces(found[1]), key=len, default=b"")
        either_case = "i" in found[2]
        if not piece or not piece.isascii():
            return None
        return ["name", name, "icontains" if either_case else "contains", piece.decode("ascii")]
    plain = _PLAIN_TEXT.fullmatch(text)
    if plain is None or (comparison not in _TEXT_TESTS and comparison not in _TEXT_TESTS_OF_EITHER_CASE):
        return None
    return ["name", name, comparison, plain[1]]


def _is_comparison(tokens: Sequence[str]) -> bool:
    compared = sum(token in _COMPARISONS for token in tokens)
    return compared == 1 and all(_KNOWN.fullmatch(token) for token in tokens)


def _prepared(test: Test) -> _Holds:
    kind, *parts = test
    if kind in ("all", "any"):
        holds = [_prepared(part) for part in parts]
        judge = all if kind == "all" else any
        return lambda data, variables: judge(part(data, variables) for part in holds)
    return _prepared_name(*parts) if kind == "name" else _prepared_comparison(parts)


def _prepared_name(name: str, comparison: str, text: str) -> _Holds:
    if comparison in _TEXT_TESTS_OF_EITHER_CASE:
        in_lower_case, lowered = _TEXT_TESTS[_TEXT_TESTS_OF_EITHER_CASE[comparison]], text.encode().lower()
        return lambda _data, variables: in_lower_case(variables.get(name, "").encode().lower(), lowered)
    compare, wanted = _TEXT_TESTS[comparison], text.encode()
    return lambda _data, variables: compare(variables.get(name, "").encode(), wanted)


def _prepared_comparison(tokens: Sequence[str]) -> _Holds:
    (place,) = (place for place, token in enumerate(tokens) if token in _COMPARISONS)
    try:
        left, right = _NumberReader(tokens[:place]).whole(), _NumberReader(tokens[place + 1 :]).whole()
    except _NotKnownError:
        return lambda _data, _variables: True
    compare = _COMPARISONS[tokens[place]]

    def may_hold(data: bytes, _variables: Mapping[str, str]) -> bool:
        try:
            return compare(left(data), right(data))
        except _NoValueError:
            return False
        except _NotKnownError:
            return True

    return may_hold


class _NumberReader:
    """Makes a function of the tokens of a number; errors as of `whole`.

    Args:
        tokens: All of them, each known.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def whole(self) -> _Number:
        """The function, which raises `_NoValueError`, or `_NotKnownError` if a number is too large.

        Raises:
            _NotKnownError: This is no number as we read them.
        """
        value = self._level(0)
        if self._at != len(self._tokens):
            raise _NotKnownError
        return value

    def _level(self, level: int) -> _Number:
        if level == len(_LEVELS):
            return self._operand()
        value = self._level(level + 1)
        while (sign := self._next()) in _LEVELS[level]:
            self._at += 1
            value = _applied(_LEVELS[level][sign], value, self._level(level + 1))
        return value

    def _operand(self) -> _Number:
        word = self._next()
        self._at += 1
        if word == "(":
            return self._closed()
        if word == "filesize":
            return len
        if read := _READ.fullmatch(word):
            if self._next() != "(":
                raise _NotKnownError
            self._at += 1
            return _reading(self._closed(), int(read[1]) // 8, "big" if read[2] else "little")
        if number := _NUMBER.fullmatch(word):
            constant = (int(number[1], 16) if number[1] else int(number[2])) * _UNITS[number[3]]
            return lambda _data: constant
        raise _NotKnownError

    def _closed(self) -> _Number:
        value = self._level(0)
        if self._next() != ")":
            raise _NotKnownError
        self._at += 1
        return value

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""


def _applied(operation: Callable[[int, int], int], left: _Number, right: _Number) -> _Number:
    is_shift = operation in (operator.lshift, operator.rshift)

    def value(data: bytes) -> int:
        one, other = left(data), right(data)
        if is_shift and other > _MOST_SHIFTED:
            raise _NotKnownError
        result = operation(one, other)
        # The engine's numbers have 64 bits and a sign.
        if result >= _LARGEST:
            raise _NotKnownError
        return result

    return value


def _reading(offset: _Number, width: int, order: Literal["big", "little"]) -> _Number:
    def value(data: bytes) -> int:
        at = offset(data)
        read = data[at : at + width]
        if len(read) < width:
            raise _NoValueError
        return int.from_bytes(read, order)

    return value
