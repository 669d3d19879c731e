import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.accounts.model import (
    may_manage,
    new_token,
    normalise_email,
    parse_token,
    scopes_from,
    scopes_text,
)
from controlplane.runtime.principal import Role, Scope

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


def test_owners_manage_everybody_and_admins_everybody_but_owners() -> None:
    managed = {actor: {other for other in Role if may_manage(actor, other)} for actor in Role}
    assert managed == {
        Role.OWNER: set(Role),
        Role.ADMIN: {Role.ADMIN, Role.SUPPORT, Role.VIEWER},
        Role.SUPPORT: set(),
        Role.VIEWER: set(),
    }


@given(st.sets(st.sampled_from(Scope), min_size=1))
def test_scopes_come_back_from_their_text(scopes: set[Scope]) -> None:
    assert scopes_from(scopes_text(scopes)) == frozenset(scopes)
    assert scopes_from(None) is None
