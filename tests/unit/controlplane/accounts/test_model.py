import pytest

from controlplane.accounts.limits import LOCKED_FOR, MAX_FAILED_SIGN_INS
from controlplane.accounts.model import after_wrong_password, new_token, normalise_email, parse_token
from tests.fakes.clock import SOME_MONDAY as NOW

ORG, TOKEN = "org_" + "0" * 20, "tok_" + "1" * 20


def test_a_token_is_read_back_and_proves_itself_only_with_its_own_secret() -> None:
    token = new_token(ORG, TOKEN, bytes(range(32)))
    parsed = parse_token(token.text())
    assert parsed == token
    assert token.proves(token.secret_sha256)
    assert not token.proves(new_token(ORG, TOKEN, bytes(32)).secret_sha256)


@pytest.mark.parametrize("text", ["", "bkt1", f"bkt1.{ORG}.{TOKEN}.short", f"bkt2.{ORG}.{TOKEN}.{'a' * 43}", "ü" * 90])
def test_other_texts_are_no_token(text: str) -> None:
    assert parse_token(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Anna@Example.COM ", "anna@example.com"),
        ("a@b.c", "a@b.c"),
        ("anna", None),
        ("anna@host", None),
        ("a b@example.com", None),
        ("a@b@example.com", None),
        ("a@example.", None),
        ("a" * 250 + "@example.com", None),
    ],
)
def test_addresses_are_compared_without_case_and_what_is_none_is_refused(text: str, expected: str | None) -> None:
    assert normalise_email(text) == expected


def test_the_tenth_wrong_password_locks_and_the_count_begins_again() -> None:
    failed, locked_until = 0, None
    for _ in range(MAX_FAILED_SIGN_INS - 1):
        failed, locked_until = after_wrong_password(failed, NOW)
        assert locked_until is None
    failed, locked_until = after_wrong_password(failed, NOW)
    assert (failed, locked_until) == (0, NOW + LOCKED_FOR)
