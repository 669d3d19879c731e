"""BinHex: both forks, run lengths, and what is bent."""

import pytest

from agent.domain.facts import Incomplete
from tests.fakes.old_archives import binhex_of
from tests.unit.agent.scanner.containers.test_formats import SECRET, contents_of


@pytest.mark.parametrize(
    "data", [SECRET, b"\x90", b"\x90\x90\x90\x90", b"a\x90\x90b" + bytes(700), bytes(range(256)) * 3, b"x" * 256]
)
def test_both_forks_are_met(data: bytes) -> None:
    met, incomplete = contents_of(binhex_of("a.txt", data, b"resources"))
    assert (met["outer!a.txt"], met["outer!a.txt/resources"]) == (data, b"resources")
    assert incomplete == []


def test_it_may_stand_behind_the_headers_of_a_mail() -> None:
    text = b"From me, by hand:\n\n" + binhex_of("a.txt", SECRET)
    assert contents_of(text)[0]["outer!a.txt"] == SECRET


def test_one_that_does_not_end_is_damaged_and_looked_at() -> None:
    data = binhex_of("a.txt", SECRET, b"resources" * 90)
    met, incomplete = contents_of(data[:-300])
    assert met["outer!a.txt"] == SECRET
    assert Incomplete("damaged") in incomplete


def test_a_wrong_checksum_is_damaged_and_looked_at() -> None:
    data = bytearray(binhex_of("a.txt", bytes(range(200))))
    data[120] = ord("!") if data[120] != ord("!") else ord('"')
    met, incomplete = contents_of(bytes(data))
    assert len(met["outer!a.txt"]) == 200
    assert incomplete == [Incomplete("damaged", None, ("outer", "a.txt"))]


@pytest.mark.parametrize("noise", [b"\x01", b"g", b"~"])
def test_a_stray_character_ends_it(noise: bytes) -> None:
    data = binhex_of("a.txt", SECRET)
    assert {item.reason for item in contents_of(data[:300] + noise + data[300:])[1]} == {"damaged"}


def test_a_page_about_binhex_is_none() -> None:
    page = b"It begins with (This file must be converted with BinHex 4.0)\nand a colon: like this. " * 3
    assert contents_of(page) == ({"outer": page}, [])
