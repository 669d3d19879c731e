"""Byte strings that a file must contain for a string of a rule to occur in it.

For each string of a rule one *needle* is enough, a piece of it that is fixed: wherever the string occurs, so does the
needle. It may be shorter than the string, never longer, and it may occur where the string does not.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.scanner.routing.leading_bytes import StringDefinition, leading_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORTEST = 4  # what is shorter occurs in too many files and tells little
LONGEST = 24  # more tells no more, and only makes the table of needles larger
SURE = 12  # shorter pieces of a pattern occur in many files without the rest of it
FULLY_VARIED = 5  # different bytes that make a piece worth more than the rest of its string
_WINDOWS = 8  # looked at in a long run, from its start
_GAP = 32  # what may repeat so often between two parts takes a table longest to make
_TELLING = 3  # a part with fewer elements tells too little to stand for the whole; a group is worth as much
_LONGEST_XORED = 10  # there are up to 256 of each

_ESCAPED = re.compile(r'\\x([0-9A-Fa-f]{2})|\\(["\\trn])|([^\\])|\\.', re.DOTALL)
_ESCAPES = {'"': b'"', "\\": b"\\", "t": b"\t", "r": b"\r", "n": b"\n"}
_XOR = re.compile(r"xor(?:\((0x[0-9A-Fa-f]+|\d+)(?:-(0x[0-9A-Fa-f]+|\d+))?\))?")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_HEX_PART = re.compile(r"~?[0-9A-Fa-f?]{2}|\[[^\]]*\]|[()|]")
#: One element of a regular expression: what stands for a byte, and what does not.
_REGEX_PART = re.compile(
    r"\\x(?P<hex>[0-9A-Fa-f]{2})|\\(?P<control>[tnrfa])|\\(?P<escaped>[^\w\s])|(?P<class>\\.|\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<open>\()|(?P<close>\))|(?P<or>\|)|(?P<times>[*+?]\??|\{\d*,?\d*\}\??)|(?P<any>[.^$])|(?P<plain>.)",
    re.DOTALL,
)
#: Escapes that YARA takes for the letter, repetitions without a least number, backspaces in classes.
_UNLIKE_PERL = re.compile(r"(?<!\\)(?:\\\\)*(?:\\[^xtnrfaswdSWDbB\W]|\{,|\[[^\]]*\\b)")
_CONTROLS = {"t": 0x09, "n": 0x0A, "r": 0x0D, "f": 0x0C, "a": 0x07}


@dataclass(frozen=True, slots=True)
class Needle:
    """A piece of a string, or, of strings without a fixed piece of some length, all of it.

    Attributes:
        text: Its bytes; empty if it is no fixed piece.
        nocase: ASCII letters count in either case.
        pattern: A regular expression, in the syntax of Perl, without `text`.
        dotall: In the pattern a dot is any byte, not any but a line feed.
        at_start: It counts only where the content begins.
    """

    text: bytes = b""
    nocase: bool = False
    pattern: str = ""
    dotall: bool = False
    at_start: bool = False


def needles_of(string: StringDefinition) -> tuple[Needle, ...] | None:
    """Return needles one of which is in every file the string occurs in, or None when none are known."""
    if string.kind == "regex" and "[:" in string.value:
        # A named class, or a class that ends at its first bracket: engines need not agree.
        return None
    body, _, flags = string.value[1:].rpartition("/") if string.kind == "regex" else ("", "", "")
    nocase = "nocase" in string.modifiers or "i" in flags
    if string.kind == "text":
        runs = _text_runs(string.value)
    else:
        runs = _hex_runs(string.value) if string.kind == "byte" else fixed_pieces(body)
    piece = max(map(_window, runs), key=_variety, default=b"")
    encoded = next((modifier for modifier in string.modifiers if modifier.startswith(("xor", "base64"))), "")
    if encoded:
        texts = _encoded(piece, string.modifiers)
        return tuple(Needle(text) for text in texts) if texts else None
    if string.kind == "regex" and SHORTEST <= len(piece) < SURE and _is_plain(body):
        # In UTF-16 the piece has to do: there it is twice as long.
        pattern = Needle(pattern=_between_gaps(body), nocase=nocase, dotall="s" in flags)
        return tuple(pattern if text is piece else Needle(text, nocase) for text in _widths(piece, string.modifiers))
    if len(piece) >= SHORTEST and (string.kind == "text" or _telling(piece) >= FULLY_VARIED):
        return tuple(Needle(text, nocase) for text in _widths(piece, string.modifiers))
    if string.kind == "byte":
        return (Needle(pattern=_hex_pattern(string.value), dotall=True),)
    if string.kind == "regex" and "wide" not in string.modifiers and _is_plain(body):
        return (Needle(pattern=_between_gaps(body), nocase=nocase, dotall="s" in flags),)
    return tuple(Needle(text, nocase) for text in _widths(piece, string.modifiers)) if len(piece) > 1 else None


def needles_at_start(string: StringDefinition) -> tuple[Needle, ...] | None:
    """Return needles one of which is in every file that begins with the string, or None when none are known.

    Even two bytes tell much at the start of a file, where most files have others.
    """
    beginnings = leading_bytes(string)
    return None if beginnings is None else tuple(Needle(text, at_start=True) for text in beginnings)


def _is_plain(body: str) -> bool:
    """Whether YARA and Perl mean the same by a regular expression."""
    return body.isascii() and _UNLIKE_PERL.search(body) is None


def _window(run: bytes) -> bytes:
    """The part of a long run with the most different bytes."""
    starts = range(0, min(max(1, len(run) - LONGEST + 1), _WINDOWS * LONGEST), LONGEST)
    return max((run[start : start + LONGEST] for start in starts), key=_variety)


def _variety(text: bytes) -> int:
    return len(frozenset(text))


def _telling(piece: bytes) -> int:
    """How many different bytes there are beside those that fill up numbers: code is full of these."""
    return len(frozenset(piece) - {0x00, 0xFF})


def _widths(piece: bytes, modifiers: Iterable[str]) -> tuple[bytes, ...]:
    """The piece as it is and as UTF-16, whichever the modifiers ask for."""
    if "wide" not in modifiers:
        return (piece,)
    wide = bytes(byte for letter in piece for byte in (letter, 0))
    return (wide, piece) if "ascii" in modifiers else (wide,)


def _encoded(piece: bytes, modifiers: tuple[str, ...]) -> tuple[bytes, ...]:
    """What becomes of a piece of text by `xor` or `base64`; nothing for an alphabet of somebody's own."""
    texts: list[bytes] = []
    if len(piece) < SHORTEST:
        return ()
    for modifier in modifiers:
        if found := _XOR.fullmatch(modifier):
            low = int(found[1] or "0", 0)
            high = int(found[2], 0) if found[2] else low if found[1] else 0xFF
            short = [text[:_LONGEST_XORED] for text in _widths(piece, modifiers)]
            texts += [bytes(byte ^ key for byte in text) for key in range(low, high + 1) for text in short]
        elif modifier in ("base64", "base64wide"):
            plain = [text for source in _widths(piece, modifiers) for text in _in_base64(source)]
            texts += _widths_all(plain) if modifier == "base64wide" else plain
        elif modifier.startswith(("xor", "base64")):
            return ()
    return tuple(dict.fromkeys(texts))


def _in_base64(text: bytes) -> Iterator[bytes]:
    """The characters that only the text decides, for each of its three places in a group of three bytes."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + text)
        fixed = (before + len(text)) * 8 // 6
        yield encoded[-(-before * 8 // 6) : fixed]


def _widths_all(texts: Iterable[bytes]) -> list[bytes]:
    return [bytes(byte for letter in text for byte in (letter, 0)) for text in texts]


def _text_runs(value: str) -> Iterable[bytes]:
    """The pieces between characters whose encoding we would have to guess."""
    run = bytearray()
    for in_hex, escaped, plain in _ESCAPED.findall(value):
        if in_hex:
            run += bytes.fromhex(in_hex)
        elif escaped:
            run += _ESCAPES[escaped]
        elif plain and plain.isascii():
            run += plain.encode()
        else:
            yield bytes(run)
            run.clear()
    yield bytes(run)


def _hex_runs(value: str) -> Iterable[bytes]:
    """The pieces between jumps, wildcards and alternatives."""
    run = bytearray()
    depth = 0
    for part in _HEX_PART.findall(_COMMENT.sub(" ", value)):
        depth += {"(": 1, ")": -1}.get(part, 0)
        if not depth and part[0] not in "~[()|" and "?" not in part:
            run.append(int(part, 16))
        else:
            yield bytes(run)
            run.clear()
    yield bytes(run)


def _hex_pattern(value: str) -> str:
    """The whole string as a regular expression."""
    return "".join(map(_hex_part, _HEX_PART.findall(_COMMENT.sub(" ", value))))


def _hex_part(part: str) -> str:
    if part in ("(", ")", "|"):
        return part
    if part[0] == "[":
        least, dash, most = "".join(part[1:-1].split()).partition("-")
        return f".{{{least or 0},{most}}}" if dash else f".{{{least}}}"
    if part == "??":
        return "."
    if part[0] != "~" and "?" not in part:
        return f"\\x{part}"
    high, low = (range(16) if digit == "?" else (int(digit, 16),) for digit in part[-2:])
    listed = "".join(f"\\x{16 * upper + lower:02x}" for upper in high for lower in low)
    return f"[^{listed}]" if part[0] == "~" else f"[{listed}]"


def fixed_pieces(body: str) -> Iterable[bytes]:
    """The pieces that no group, class or repetition touches; none when there are alternatives outside all groups."""
    runs: list[bytes] = []
    run = bytearray()
    depth = 0
    for found in _REGEX_PART.finditer(body):
        kind = found.lastgroup or ""
        if kind == "or" and not depth:
            return ()
        depth += {"open": 1, "close": -1}.get(kind, 0)
        byte = None if depth else _byte(kind, found[kind])
        if byte is None:
            # What is repeated may be there any number of times, also none.
            runs.append(bytes(run[:-1] if kind == "times" else run))
            run.clear()
        else:
            run.append(byte)
    return (*runs, bytes(run))


def _between_gaps(body: str) -> str:
    """The part of a pattern between long bounded gaps that says most: it occurs wherever the whole does.

    Tables of patterns with such gaps take much longer to make, and tell hardly more.
    """
    parts: list[tuple[int, str]] = []
    begun = element = weight = total = depth = 0
    for found in _REGEX_PART.finditer(body):
        kind = found.lastgroup or ""
        if kind == "or" and not depth:
            return body
        if not depth and kind == "times":
            least, most = _repeats(found[0])
            total -= 0 if least else weight
            if most >= _GAP:
                parts.append((total - (weight if least else 0), body[begun:element]))
                begun, total = found.end(), 0
        elif not depth:
            element, weight = found.start(), _weight(kind, found[0])
            total += weight
        depth += {"open": 1, "close": -1}.get(kind, 0)
    telling, part = max((*parts, (total, body[begun:])), key=lambda part: part[0])
    return part if telling >= _TELLING else body


def _weight(kind: str, text: str) -> int:
    """What an element of a pattern tells; places between bytes and any byte at all tell nothing."""
    if kind == "open":
        return _TELLING
    return 0 if kind in ("any", "close") or text in (r"\b", r"\B") else 1


def _repeats(written: str) -> tuple[int, int]:
    """Least and most times; no most counts as little, since nothing has to be counted for it."""
    if written[0] != "{":
        return (1 if written[0] == "+" else 0), 1
    least, comma, most = written.strip("{}?").partition(",")
    return int(least or 0), int(most or 0) if comma else int(least)


def _byte(kind: str, text: str) -> int | None:
    if kind == "hex":
        return int(text, 16)
    if kind == "control":
        return _CONTROLS[text]
    if kind in ("escaped", "plain") and text.isascii():
        return ord(text)
    return None
