"""What redaction takes, and what it leaves because support needs it."""

import pytest

from agent.support.redaction import Json, Private, RedactionPolicy, Redactor

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
PRIVATE = Private(("ann", "j\u00f6rg", "margaret"), ("/home/ann", "/data/people/j\u00f6rg"), ("correct horse battery",))


def redacted(text: str, **policy: bool) -> str:
    return Redactor(PRIVATE, RedactionPolicy(**policy)).text(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("read /home/ann/src/a.py.", "read [home-2]/src/a.py."),
        ("/home/annabel/x /home/ann", "[home-3]/x [home-2]"),
        ("ann and Ann, not annual; margaretville", "[user-1] and [user-1], not annual; [user-3]ville"),
        ("j%C3%B6rg J\\xf6rg jo\u0308rg", "[user-2] [user-2] [user-2]"),
        ("C:\\Users\\bob\\x by bob", "[home-3]\\x by [user-4]"),
        ("the vault: correct horse battery", "the vault: [secret]"),
        ("PASSWORD='a b', next=1", "PASSWORD=[secret], next=1"),
        ("https://u:p@w@host:1/x", "https://[secret]@host:1/x"),
        ("Authorization: Basic dTpw\nnext", "Authorization: [secret]\nnext"),
        ("curl --api-key xyz --verbose", "curl --api-key [secret] --verbose"),
        ("mail a.b@c.example now", "mail [email] now"),
        ("BKLR-ABCDE-FGHJK-MNPQR-STVWX", "[secret]"),
        (f"saw {DIGEST}", "saw [secret]"),
    ],
)
def test_what_is_private_is_replaced(text: str, left: str) -> None:
    assert redacted(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-29T20:00:00.123456Z [info     ] mode_changed  mode=block",
        f"file_infected sha256={DIGEST}",
        f'{{"signatures_version": "{DIGEST}"}}',
        "device 3f2504e0-4f89-11d3-9a0c-0305e82c3301 on Ubuntu 24.04, user root",
        "/usr/lib/x86_64-linux-gnu/python3.11/site-packages/a1b2c3/d4e5f6/g7h8.so",
        "CONFIG_INVALID: /etc/buckler/agent.toml, key realtime.roots: expected an absolute path",
        "test_a_name_that_is_very_long_but_is_made_of_words_only_and_2_numbers_3",
    ],
)
def test_what_support_needs_stays(text: str) -> None:
    assert redacted(text) == text


def test_a_value_is_judged_by_its_name_too() -> None:
    redactor = Redactor(PRIVATE, RedactionPolicy())
    tree: Json = {"device_key": "short", "pin_token": 4711, "sha256": DIGEST, "roots": ["/home/ann"], "on": True}
    assert redactor.value(tree) == {
        "device_key": "[secret]", "pin_token": "[secret]", "sha256": DIGEST, "roots": ["[home-2]"], "on": True,
    }  # fmt: skip
    assert redactor.take_counts() == {"home": 1, "secret": 2}
    assert redactor.take_counts() == {}


def test_names_below_homes_go_when_asked_but_stay_told_apart() -> None:
    text = "/home/ann/tax/2026.pdf /home/ann/tax/2026.pdf /home/ann/x /srv/y"
    left = "[home-2]/[path-1].pdf [home-2]/[path-1].pdf [home-2]/[path-2] /srv/y"
    assert redacted(text, below_homes=True) == left


def test_what_is_left_is_noticed() -> None:
    redactor = Redactor(PRIVATE, RedactionPolicy())
    assert [redactor.leaks(text) for text in ("correct horse battery", "/home/ann/", "by ANN", "annual report")] == [
        True,
        True,
        True,
        False,
    ]
