"""From the text of a rule file to its rules.

This reads only as much of YARA's language as routing needs: where a rule begins and ends, its strings and the tokens of
its condition. plyara reads the whole language and is the oracle of the tests, but it needs 7 s (and 37 s as commonly
used, building its grammar once a file) for the 7,087 rules of two public sets; this needs under 1 s, and a scan
should not wait for its rules.

The text has been accepted by YARA before. Anything unexpected means that this reader does not understand the file,
which then runs unsplit on every file: slower, and always right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from agent.scanner.routing.leading_bytes import StringDefinition

# Blanks and comments first, then one token. The order matters: a hex string must be seen before its brace is taken for
# a rule's, and comments before the regular expression that `/` may begin (division is `\` in YARA).
BLANKS = r"(?:\s++|//[^\n]*+|/\*.*?\*/)*+"
_TEXT = r'"(?:[^"\\\n]|\\[^\n])*+"'
_TOKEN = re.compile(
    BLANKS
    + r"""
    (?:(?P<hex>=\s*\{(?:[^}/]|//[^\n]*+|/\*.*?\*/)*+\})
    |(?P<word>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<text>"(?:[^"\\\n]|\\[^\n])*+")
    |(?P<regex>/(?:[^/\\\n]|\\[^\n])+/[is]*)
    |(?P<number>0x[0-9A-Fa-f]+|0o[0-7]+|\d+(?:\.\d+)?(?:KB|MB)?)
    |(?P<string>[$\#@!]\w+\*?|\$\*?|[\#@])
    |(?P<sign>\.\.|[=!<>]=|<<|>>|[-{}()\[\]:=,.+*\\%&|^~<>!])
    |(?P<end>\Z)
    |(?P<unknown>.))""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
# As many entries of a meta section as are plainly written: most of a public rule set is this, and nobody reads it here.
_META_ENTRIES = re.compile(
    rf"(?:{BLANKS}[A-Za-z_]\w*+\s*+=\s*+(?:{_TEXT}|-?\d++|true\b|false\b))*+", re.DOTALL | re.ASCII
)
_SCOPES = ("global", "private")
_ARGUMENT_MODIFIERS = frozenset({"xor", "base64", "base64wide"})
_MODIFIERS = _ARGUMENT_MODIFIERS | {"ascii", "wide", "nocase", "fullword", "private"}
# What a token is called as a string, and which part of it is the value (a hex string's token includes its `=`).
_KINDS: dict[str, tuple[Literal["byte", "text", "regex"], slice]] = {
    "hex": ("byte", slice(1, None)),
    "text": ("text", slice(1, -1)),
    "regex": ("regex", slice(None)),
}


class UnsplittableSourceError(ValueError):
    """The text cannot be taken apart into rules; YARA itself may still compile it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as written.

    Attributes:
        name: Its identifier.
        is_global: A condition of every other rule in its namespace.
        is_private: Never reported.
        tags: In the order written.
        meta: Everything between the opening brace and `strings:`, as written.
        strings: Its strings section.
        condition: Everything after `condition:`, as written.
        tokens: The condition without blanks and comments; dotted names are one token.
        start: Where it begins in its source text, its scopes included.
        end: Where it ends there, behind its closing brace.
    """

    name: str
    is_global: bool
    is_private: bool
    tags: tuple[str, ...]
    meta: str
    strings: tuple[StringDefinition, ...]
    condition: str
    tokens: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The rules of one source text and the modules it imports."""

    modules: frozenset[str]
    rules: tuple[Rule, ...]


def read_rules(text: str) -> RuleFile:
    """Take a source text apart.

    Raises:
        UnsplittableSourceError: It includes other files, or is written in a way this reader does not understand.
    """
    return _Reader(text).file()


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._next = self._token()

    def file(self) -> RuleFile:
        modules: set[str] = set()
        rules: list[Rule] = []
        while self._next.kind != "end":
            if self._next.text == "import":
                self._take()
                modules.add(self._take(kind="text").text[1:-1])
            else:
                rules.append(self._rule())
        return RuleFile(modules=frozenset(modules), rules=tuple(rules))

    def _rule(self) -> Rule:
        start = self._next.start
        scopes = set()
        while self._next.text in _SCOPES:
            scopes.add(self._take().text)
        self._take("rule")
        name = self._take(kind="word").text
        tags = self._tags()
        meta_start = self._take("{").end
        self._skip_meta()
        meta_end = self._next.start
        strings = self._strings()
        self._take("condition")
        condition_start = self._take(":").end
        tokens = []
        while self._next.text != "}":
            tokens.append(self._take().text)
        closing = self._take("}")
        return Rule(
            name=name,
            is_global="global" in scopes,
            is_private="private" in scopes,
            tags=tags,
            meta=self._text[meta_start:meta_end],
            strings=strings,
            condition=self._text[condition_start : closing.start],
            tokens=tuple(tokens),
            start=start,
            end=closing.end,
        )

    def _tags(self) -> tuple[str, ...]:
        tags = []
        if self._next.text == ":":
            self._take()
            while self._next.text != "{":
                tags.append(self._take(kind="word").text)
        return tuple(tags)

    def _skip_meta(self) -> None:
        if self._next.text == "meta":
            self._take()
            if self._next.text == ":":
                entries = _META_ENTRIES.match(self._text, self._next.end)
                self._position = entries.end() if entries else self._next.end
            self._take(":")
            # Keywords cannot name an entry, and a value with the same letters has quotes.
            while self._next.text not in ("strings", "condition"):
                self._take()

    def _strings(self) -> tuple[StringDefinition, ...]:
        strings = []
        if self._next.text == "strings":
            self._take()
            self._take(":")
            while self._next.kind == "string":
                strings.append(self._string())
        return tuple(strings)

    def _string(self) -> StringDefinition:
        name = self._take()
        if self._next.kind != "hex":
            self._take("=")
        token = self._take()
        if token.kind not in _KINDS:
            raise UnsplittableSourceError(f"{name.text} is neither text nor bytes nor a regular expression")
        kind, leave_out = _KINDS[token.kind]
        modifiers, end = self._modifiers(token.end)
        value = token.text[leave_out].lstrip() if kind == "byte" else token.text[leave_out]
        return StringDefinition(
            name=name.text, kind=kind, value=value, modifiers=modifiers, written=self._text[name.start : end]
        )

    def _modifiers(self, end: int) -> tuple[tuple[str, ...], int]:
        """Return the modifiers of a string and where the last one ends, `end` if there is none."""
        modifiers = []
        while self._next.text in _MODIFIERS:
            last = self._take()
            modifier = last.text
            if modifier in _ARGUMENT_MODIFIERS and self._next.text == "(":
                while last.text != ")":
                    last = self._take()
                    modifier += last.text
            modifiers.append(modifier)
            end = last.end
        return tuple(modifiers), end

    def _take(self, text: str | None = None, *, kind: str | None = None) -> _Token:
        token = self._next
        if token.kind in ("end", "unknown") or text not in (None, token.text) or kind not in (None, token.kind):
            line = self._text.count("\n", 0, token.start) + 1
            raise UnsplittableSourceError(f"line {line}: {token.text!r} where {text or kind or 'more'} should be")
        self._next = self._token()
        return token

    def _token(self) -> _Token:
        found = _TOKEN.match(self._text, self._position)
        kind = found and found.lastgroup
        if not found or not kind:
            raise UnsplittableSourceError("a comment that never ends")
        start, self._position = found.span(kind)
        return _Token(kind, found[kind], start, self._position)
