"""Tokens for programs: they may do what was asked for, never more than whoever made them."""

from datetime import timedelta

import pytest

from controlplane.accounts.limits import USED_EVERY
from controlplane.accounts.model import Token
from controlplane.accounts.tokens import NOT_SHOWN_AGAIN, TokenWish
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import PersonPrincipal, Role, Scope
from controlplane.runtime.refusal import Refusal
from controlplane.storage.types import to_microseconds
from tests.fakes.accounts import EVERYTHING, Accounts

WISH = TokenWish("build machine", ("read", "devices"), timedelta(days=90))


async def listed(accounts: Accounts, person: PersonPrincipal, page: Page = EVERYTHING) -> list[Token]:
    async with accounts.database.reading() as connection:
        return list(await accounts.tokens.usable(connection, person, page))


async def test_a_token_has_its_scopes_and_its_persons_role_of_the_moment(accounts: Accounts) -> None:
    anna = await accounts.anna()
    owner = await accounts.session()
    bob = await accounts.person(anna.org_id, "bob@example.com", Role.ADMIN)
    token, secret = await accounts.tokens.create(await accounts.session("bob@example.com"), WISH, "wish-of-bob")
    assert (token.name, token.email, token.scopes) == (
        "build machine",
        bob.email,
        frozenset({Scope.READ, Scope.DEVICES}),
    )
    caller = await accounts.tokens.authenticate(secret)
    assert (caller.role, caller.scopes) == (Role.ADMIN, frozenset({Scope.READ, Scope.DEVICES}))
    await accounts.people.change_role(owner, bob.email, "viewer", "")
    assert (await accounts.tokens.authenticate(secret)).role is Role.VIEWER


async def test_the_secret_is_shown_once_and_a_repeat_makes_no_second_token(accounts: Accounts) -> None:
    await accounts.anna()
    person = await accounts.session()
    token, secret = await accounts.tokens.create(person, WISH, "my-wish-1")
    again, nothing = await accounts.tokens.create(person, WISH, "my-wish-1")
    assert (again, nothing) == (token, NOT_SHOWN_AGAIN)
    assert secret.startswith("bkt1.")
    other = TokenWish("build machine", ("read", "billing"), WISH.lifetime)
    with pytest.raises(Refusal, match="IDEMPOTENCY_MISMATCH"):
        await accounts.tokens.create(person, other, "my-wish-1")
    assert len(await listed(accounts, person)) == 2


async def test_a_token_cannot_make_one_that_may_do_more(accounts: Accounts) -> None:
    await accounts.anna()
    narrow = await accounts.token(await accounts.session(), "accounts", "read")
    assert (await accounts.token(narrow, "read")).scopes == frozenset({Scope.READ})
    with pytest.raises(Refusal, match="SCOPE_EXCEEDED"):
        await accounts.token(narrow, "read", "billing")


@pytest.mark.parametrize(
    ("scopes", "lifetime", "name", "reason"),
    [
        ((), timedelta(days=1), "x", "SCOPES_INVALID"),
        (("everything",), timedelta(days=1), "x", "SCOPES_INVALID"),
        (("read",), timedelta(0), "x", "TOKEN_LIFETIME_INVALID"),
        (("read",), timedelta(days=367), "x", "TOKEN_LIFETIME_INVALID"),
        (("read",), timedelta(days=1), " ", "NAME_INVALID"),
    ],
)
async def test_bad_wishes_are_refused_and_make_nothing(
    accounts: Accounts, scopes: tuple[str, ...], lifetime: timedelta, name: str, reason: str
) -> None:
    await accounts.anna()
    person = await accounts.session()
    with pytest.raises(Refusal, match=reason):
        await accounts.tokens.create(person, TokenWish(name, scopes, lifetime), "my-wish-1")
    assert [token.token_id for token in await listed(accounts, person)] == [person.token_id]


async def test_a_token_ends_on_its_day_and_is_not_listed_any_more(accounts: Accounts) -> None:
    await accounts.anna()
    person = await accounts.session()
    await accounts.token(person, "read", days=3)
    assert len(await listed(accounts, person)) == 2
    accounts.clock.advance(timedelta(days=3))
    assert await listed(accounts, person) == []


async def test_a_use_is_written_down_now_and_then(accounts: Accounts) -> None:
    await accounts.anna()
    token = await accounts.sign_in()
    person = await accounts.tokens.authenticate(token.text)
    first = accounts.clock.now()
    accounts.clock.advance(USED_EVERY - timedelta(seconds=1))
    await accounts.tokens.authenticate(token.text)
    assert (await listed(accounts, person))[0].last_used_at == first
    accounts.clock.advance(timedelta(seconds=1))
    await accounts.tokens.authenticate(token.text)
    assert (await listed(accounts, person))[0].last_used_at == accounts.clock.now()


async def test_owners_and_admins_see_and_revoke_everybodys_others_their_own(accounts: Accounts) -> None:
    anna = await accounts.anna()
    owner = await accounts.session()
    persons = {}
    for role in (Role.ADMIN, Role.SUPPORT, Role.VIEWER):
        await accounts.person(anna.org_id, f"{role.value}@example.com", role)
        persons[role] = await accounts.session(f"{role.value}@example.com")
    assert len(await listed(accounts, owner)) == len(await listed(accounts, persons[Role.ADMIN])) == 4
    assert [token.user_id for token in await listed(accounts, persons[Role.VIEWER])] == [persons[Role.VIEWER].user_id]
    for caller, other in (
        (persons[Role.ADMIN], owner),
        (persons[Role.SUPPORT], persons[Role.VIEWER]),
        (persons[Role.VIEWER], owner),
    ):
        with pytest.raises(Refusal, match="TOKEN_UNKNOWN"):
            await accounts.tokens.revoke(caller, other.token_id)
    await accounts.tokens.revoke(persons[Role.ADMIN], persons[Role.VIEWER].token_id)
    await accounts.tokens.revoke(persons[Role.SUPPORT], persons[Role.SUPPORT].token_id)
    assert len(await listed(accounts, owner)) == 2


async def test_nobody_reaches_a_token_of_another_organisation(accounts: Accounts) -> None:
    await accounts.anna()
    anna = await accounts.session()
    async with accounts.database.transaction() as uow:
        other = await accounts.service.create_organisation(uow, name="Others")
    await accounts.person(other.org_id, "eve@example.com", Role.OWNER)
    eve = await accounts.session("eve@example.com")
    for token_id in (anna.token_id, "tok_none"):
        with pytest.raises(Refusal, match="TOKEN_UNKNOWN"):
            await accounts.tokens.revoke(eve, token_id)
    assert [token.user_id for token in await listed(accounts, eve)] == [eve.user_id]


async def test_a_revoked_token_is_worthless_and_revoking_it_again_changes_nothing(accounts: Accounts) -> None:
    anna = await accounts.anna()
    token = await accounts.sign_in()
    person = await accounts.session()
    for _ in range(2):
        await accounts.tokens.revoke(person, token.token_id)
    with pytest.raises(Refusal, match="TOKEN_INVALID"):
        await accounts.tokens.authenticate(token.text)
    assert len(await accounts.audited(anna.org_id, action_prefix="token.revoked")) == 1


async def test_signing_out_ends_this_session_and_no_other(accounts: Accounts) -> None:
    await accounts.anna()
    here, elsewhere = await accounts.sign_in(), await accounts.sign_in()
    await accounts.tokens.sign_out(await accounts.tokens.authenticate(here.text))
    with pytest.raises(Refusal, match="TOKEN_INVALID"):
        await accounts.tokens.authenticate(here.text)
    assert (await accounts.tokens.authenticate(elsewhere.text)).token_id


async def test_a_token_with_another_secret_is_refused(accounts: Accounts) -> None:
    await accounts.anna()
    token = await accounts.sign_in()
    for forged in (token.text[:-1] + ("A" if token.text[-1] != "A" else "B"), "junk", ""):
        with pytest.raises(Refusal, match="TOKEN_INVALID"):
            await accounts.tokens.authenticate(forged)


async def test_tokens_come_in_pages_the_newest_first(accounts: Accounts) -> None:
    await accounts.anna()
    person = await accounts.session()
    for _ in range(4):
        accounts.clock.advance(timedelta(seconds=1))
        await accounts.token(person, "read")
    everything = await listed(accounts, person)
    first = await listed(accounts, person, Page(2))
    key = (to_microseconds(first[1].created_at), first[1].token_id)
    assert first[:2] + await listed(accounts, person, Page(3, key)) == everything
