"""Looking formats up by first bytes spares them questions and changes no answer."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import CodeType, FunctionType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.scanner import containers
from agent.scanner.containers.family import Family
from agent.scanner.containers.recognition import SHORT, Recognition
from agent.scanner.containers.registry import FAMILIES, FORMATS, NO_FORMATS

ASKED: list[str] = []


def family(name: str, magic: bytes) -> Family:
    def recognises(data: bytes) -> bool:
        ASKED.append(name)
        return magic in data

    return Family(name, recognises, lambda _content, _meter: iter(()))


def literals(thing: Any) -> Iterator[bytes]:
    """All bytes that a module, or anything in it, is made of."""
    if isinstance(thing, bytes):
        yield thing
    elif isinstance(thing, CodeType):
        yield from literals(thing.co_consts)
    elif isinstance(thing, FunctionType):
        yield from literals(thing.__code__)
        yield from literals([cell.cell_contents for cell in thing.__closure__ or ()])
    elif isinstance(thing, Family):
        yield from literals(thing.recognises)
    elif isinstance(thing, tuple | list | dict | set | frozenset):
        for part in thing:
            yield from literals(part)


#: Every magic that any format knows is among them.
MAGICS = sorted(
    {
        literal
        for module in iter_modules(containers.__path__)
        for literal in literals(list(vars(import_module(f"{containers.__name__}.{module.name}")).values()))
        if 1 < len(literal) < 40
    }
)


@given(st.sampled_from(MAGICS), st.binary(max_size=64), st.sampled_from([0, 30, SHORT, 40_000]))
def test_the_same_formats_are_found_as_by_asking_each(magic: bytes, rest: bytes, zeros: int) -> None:
    data = magic + rest + bytes(zeros)
    assert list(FORMATS.formats_of(data)) == [one for one in FAMILIES if one.recognises(data)]


@pytest.mark.parametrize("size", [0, 1, SHORT - len(b"MZ"), 40_000])
def test_each_magic_alone_finds_what_asking_each_finds(size: int) -> None:
    found: set[str] = set()
    for magic in MAGICS:
        data = magic + bytes(size)
        names = [one.name for one in FORMATS.formats_of(data)]
        assert names == [one.name for one in FAMILIES if one.recognises(data)], magic
        found |= set(names)
    assert {"gzip", "7z", "cab", "ole2", "onenote", "installer", "chm"} <= found


def test_only_formats_that_could_be_are_asked() -> None:
    formats = Recognition(
        [family("anywhere", b"x"), family("far", b"x"), family("head", b"x"), family("other", b"x")],
        {"head": (b"HE", b"he"), "other": (b"PK",)},
        frozenset({"far"}),
    )
    for data, asked in (
        (b"", ["anywhere"]),
        (b"text", ["anywhere"]),
        (b"HEx", ["anywhere", "head"]),
        (b"he" + bytes(SHORT), ["anywhere", "far", "head"]),
        (b"PK", ["anywhere", "other"]),
    ):
        ASKED.clear()
        assert [one.name for one in formats.formats_of(data)] == (asked if b"x" in data else [])
        assert asked == ASKED


def test_no_formats_recognise_nothing() -> None:
    assert list(NO_FORMATS.formats_of(b"PK\3\4")) == []
