"""Nothing private comes through redaction, however it is written and wherever it stands."""

import base64
import json
import random
import string
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.support.redaction import Private, RedactionPolicy, Redactor

#: What hypothesis makes of a name must not be a word of the templates around it.
NAMES = st.from_regex(r"[a-z\u00e4-\u00fc][a-z\u00e4-\u00fc.-]{1,9}[0-9]{3}q", fullmatch=True)
#: 192 random bits, as programs write them; what hypothesis prefers (all zeros) is no token.
TOKENS = st.builds(
    lambda seed, written: written(random.Random(seed).randbytes(24)),
    st.integers(0, 2**32),
    st.sampled_from([bytes.hex, lambda raw: base64.urlsafe_b64encode(raw).decode()]),
)
PASSWORDS = st.text(string.ascii_letters + string.digits + "!#%&*+-/<>?@^_~", min_size=8, max_size=24).map(
    lambda text: f"Zq{text}9"
)
USER_LINES = (
    "user={} logged in", "cannot open /home/{}/a.txt", "/Users/{}/Library: denied", "C:\\Users\\{}\\x", "({})",
    "{}:x:1000",
    "owner '{}', group '{}'", "path=%2Fhome%2F{}%2Fx", "backup_{}_old", "/srv/{}.tar", "uid=1000({})",
)  # fmt: skip
SECRET_LINES = (
    "password={}", '"api_key": "{}"', "--token {}", "Authorization: Bearer {}", "https://joe:{}@host/x", "PASSWD: {}",
    "Cookie: sid={}", "device_key = '{}'", "BUCKLER_SECRET={}", "got {} from the vault",
)  # fmt: skip
PEM = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----"


def spellings(name: str) -> set[str]:
    return {name, quote(name), name.encode("unicode_escape").decode(), json.dumps(name)[1:-1], name.upper()}


@settings(max_examples=200)
@given(
    user=NAMES,
    stranger=NAMES,
    secret=PASSWORDS,
    token=TOKENS,
    lines=st.lists(st.sampled_from((*USER_LINES, *SECRET_LINES)), min_size=1, max_size=12),
    below=st.booleans(),
)
def test_no_canary_is_left_in_a_bundle(
    *, user: str, stranger: str, secret: str, token: str, lines: list[str], below: bool
) -> None:
    redactor = Redactor(
        Private((user,), (f"/home/{user}", f"/data/{user}"), (secret,)), RedactionPolicy(below_homes=below)
    )
    # A stranger is known by his home only, a token by its looks or by what it is called.
    text = "\n".join(
        [f"walked /home/{stranger}/x", PEM.format(token), f"/data/{user}/x"]
        + [line.replace("{}", filling) for line in lines for filling in _fillings(line, user, stranger, secret, token)]
    )
    out = redactor.text(text)
    tree = redactor.value({"roots": [f"/home/{user}", text], user: text, "device_key": token, "n": {"x_token": secret}})
    written = f"{out}\n{json.dumps(tree)}"
    for canary in (*spellings(user), *spellings(stranger), *spellings(secret), token, f"/home/{user}", f"/data/{user}"):
        assert canary not in written
    assert not redactor.leaks(written)
    assert redactor.text(out) == out


def _fillings(line: str, user: str, stranger: str, secret: str, token: str) -> tuple[str, ...]:
    return (user, stranger) if line in USER_LINES else (secret, token)


@given(text=st.text(max_size=300), below=st.booleans())
def test_any_text_is_redacted_without_an_error_and_only_once(*, text: str, below: bool) -> None:
    redactor = Redactor(Private(("ann",), ("/home/ann",)), RedactionPolicy(below_homes=below))
    once = redactor.text(text)
    assert redactor.text(once) == once
