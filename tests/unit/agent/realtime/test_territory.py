import os

from agent.realtime.territory import Territory, printable


def test_what_lies_below_a_root_is_covered_and_the_root_itself_is_not() -> None:
    territory = Territory(["/home", "/srv/data"], ["/home/me/vault"])
    assert territory.covers("/home/a")
    assert territory.covers("/srv/data/deep/a")
    assert not territory.covers("/home")
    assert not territory.covers("/homely/a")
    assert not territory.covers("/home/me/vault/a")
    assert territory.covers("/home/me/vaulted/a")


def test_everything_is_below_the_root_of_all() -> None:
    assert Territory(["/"], []).covers("/etc/passwd")


def test_without_roots_nothing_is_covered() -> None:
    assert not Territory([], []).covers("/a")


def test_a_mount_is_reached_if_it_lies_in_a_root_or_is_one() -> None:
    territory = Territory(["/home"], ["/home/me/vault"])
    assert territory.reaches("/home")
    assert territory.reaches("/home/usb")
    assert not territory.reaches("/")
    assert not territory.reaches("/home/me/vault")


def test_names_are_shown_without_their_odd_bytes() -> None:
    assert printable(os.fsdecode(b"/a\xff")) == "/a\\xff"
