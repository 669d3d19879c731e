"""Who may bring in, change and remove whom."""

import asyncio
from contextlib import suppress

import pytest

from controlplane.accounts.model import Member, may_manage
from controlplane.runtime.clock import SystemClock
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import PersonPrincipal, Role, acting_as
from controlplane.runtime.refusal import Refusal
from tests.fakes.accounts import EMAIL, PASSWORD, Accounts


@pytest.fixture(name="owner")
async def signed_in_owner(accounts: Accounts) -> PersonPrincipal:
    await accounts.anna()
    return await accounts.session()


async def somebody(accounts: Accounts, org_id: str, role: Role, name: str = "") -> tuple[Member, PersonPrincipal]:
    email = f"{name or role.value}@example.com"
    member = await accounts.person(org_id, email, role)
    return member, await accounts.session(email)


async def test_somebody_new_signs_in_with_the_password_that_was_handed_over(
    accounts: Accounts, owner: PersonPrincipal
) -> None:
    member, password = await accounts.people.add(owner, "Bob@Example.com", "support", "my-wish-1")
    again = await accounts.people.add(owner, "Bob@Example.com", "support", "my-wish-1")
    assert again == (member, "")
    assert (member.email, member.role, member.password_is_initial) == ("bob@example.com", Role.SUPPORT, True)
    bob = await accounts.tokens.authenticate((await accounts.sign_in(password, "bob@example.com")).text)
    await accounts.desk.change_password(bob, password, "a password of my own")
    (entry,) = await accounts.audited(owner.org_id, subject=member.user_id, action_prefix="user.created")
    assert entry.details == {"email": "bob@example.com", "role": "support"}
    assert not (await accounts.people_of(owner.org_id))[1].password_is_initial


@pytest.mark.parametrize("actor", list(Role))
@pytest.mark.parametrize("other", list(Role))
async def test_rank_decides_who_may_change_remove_and_reset_whom(
    accounts: Accounts, owner: PersonPrincipal, actor: Role, other: Role
) -> None:
    _, caller = await somebody(accounts, owner.org_id, actor, "actor")
    member, _ = await somebody(accounts, owner.org_id, other, "other")
    acts = (
        lambda: accounts.people.add(caller, "new@example.com", other.value, accounts.wish()),
        lambda: accounts.people.reset(caller, member.email, ""),
        lambda: accounts.people.change_role(caller, member.user_id, other.value, ""),
        lambda: accounts.people.remove(caller, member.email, ""),
    )
    for act in acts:
        if may_manage(actor, other):
            await act()
            continue
        with pytest.raises(Refusal, match="RANK_MISSING"):
            await act()


async def test_an_admin_makes_nobody_an_owner(accounts: Accounts, owner: PersonPrincipal) -> None:
    _, admin = await somebody(accounts, owner.org_id, Role.ADMIN)
    bob, _ = await somebody(accounts, owner.org_id, Role.VIEWER)
    with pytest.raises(Refusal, match="RANK_MISSING"):
        await accounts.people.change_role(admin, bob.email, "owner", "")
    changed = await accounts.people.change_role(owner, bob.email, "owner", "takes over")
    assert changed.role is Role.OWNER
    (entry,) = await accounts.audited(owner.org_id, action_prefix="user.role_changed")
    assert entry.details == {"email": bob.email, "before": "viewer", "after": "owner", "reason": "takes over"}


async def test_the_audit_knows_the_address_behind_an_actor(accounts: Accounts, owner: PersonPrincipal) -> None:
    with acting_as(owner.actor):
        await accounts.people.add(owner, "bob@example.com", "viewer", "my-wish-1")
    (entry,) = await accounts.audited(owner.org_id, actor=owner.actor, action_prefix="user.created")
    assert entry.actor_email == EMAIL


async def test_the_last_owner_stays(accounts: Accounts, owner: PersonPrincipal) -> None:
    for act in (
        lambda: accounts.people.change_role(owner, EMAIL, "admin", ""),
        lambda: accounts.people.remove(owner, EMAIL, ""),
    ):
        with pytest.raises(Refusal, match="LAST_OWNER"):
            await act()


async def test_two_owners_who_step_down_at_once_leave_one(accounts: Accounts, owner: PersonPrincipal) -> None:
    _, second = await somebody(accounts, owner.org_id, Role.OWNER, "second")
    done = await asyncio.gather(
        accounts.people.change_role(owner, EMAIL, "admin", ""),
        accounts.people.change_role(second, "second@example.com", "admin", ""),
        return_exceptions=True,
    )
    assert [each.reason for each in done if isinstance(each, Refusal)] == ["LAST_OWNER"]
    assert [each.role for each in await accounts.people_of(owner.org_id)].count(Role.OWNER) == 1


async def test_who_leaves_has_no_token_and_their_address_is_free(accounts: Accounts, owner: PersonPrincipal) -> None:
    bob, caller = await somebody(accounts, owner.org_id, Role.ADMIN, "bob")
    await accounts.second_factor(caller)
    token = await accounts.token(caller, "read")
    await accounts.people.remove(owner, bob.email, "has left the company")
    assert token.user_id == bob.user_id
    with pytest.raises(Refusal, match="SIGN_IN_FAILED"):
        await accounts.sign_in(email=bob.email)
    with pytest.raises(Refusal, match="PERSON_UNKNOWN"):
        await accounts.people.remove(owner, bob.user_id, "")
    assert (await accounts.person(owner.org_id, bob.email, Role.VIEWER)).user_id != bob.user_id


async def test_a_reset_lets_in_who_was_locked_out(accounts: Accounts, owner: PersonPrincipal) -> None:
    bob, caller = await somebody(accounts, owner.org_id, Role.ADMIN, "bob")
    await accounts.second_factor(caller)
    session = caller.token_id
    member, password = await accounts.people.reset(owner, bob.email, "lost the telephone")
    assert (member.second_factor, member.password_is_initial) == (False, True)
    with pytest.raises(Refusal, match="SIGN_IN_FAILED"):
        await accounts.sign_in(PASSWORD, bob.email)
    again = await accounts.tokens.authenticate((await accounts.sign_in(password, bob.email)).text)
    async with accounts.database.reading() as connection:
        assert session not in {
            each.token_id for each in await accounts.tokens.usable(connection, again, accounts.everything)
        }


async def test_people_of_other_organisations_are_unknown(accounts: Accounts, owner: PersonPrincipal) -> None:
    async with accounts.database.transaction() as uow:
        other = await accounts.service.create_organisation(uow, name="Others")
    eve, _ = await somebody(accounts, other.org_id, Role.VIEWER, "eve")
    for act in (
        lambda: accounts.people.change_role(owner, eve.email, "admin", ""),
        lambda: accounts.people.remove(owner, eve.user_id, ""),
        lambda: accounts.people.reset(owner, eve.email, ""),
    ):
        with pytest.raises(Refusal, match="PERSON_UNKNOWN"):
            await act()
    assert [each.email for each in await accounts.people_of(owner.org_id)] == [EMAIL]
    assert await accounts.audited(owner.org_id, subject=eve.user_id) == []


async def test_bad_input_is_refused_and_changes_nothing(accounts: Accounts, owner: PersonPrincipal) -> None:
    before = await accounts.audited(owner.org_id)
    for act, reason in (
        (lambda: accounts.people.add(owner, "bob", "admin", "my-wish-1"), "EMAIL_INVALID"),
        (lambda: accounts.people.add(owner, EMAIL.upper(), "admin", "my-wish-1"), "EMAIL_TAKEN"),
        (lambda: accounts.people.add(owner, "bob@example.com", "king", "my-wish-1"), "ROLE_INVALID"),
        (lambda: accounts.people.add(owner, "bob@example.com", "admin", "short"), "IDEMPOTENCY_KEY_INVALID"),
        (lambda: accounts.people.change_role(owner, "nobody", "admin", ""), "PERSON_UNKNOWN"),
        (lambda: accounts.people.change_role(owner, EMAIL, "", ""), "ROLE_INVALID"),
    ):
        with pytest.raises(Refusal, match=reason):
            await act()
    assert await accounts.audited(owner.org_id) == before


async def test_people_come_in_pages_by_address(accounts: Accounts, owner: PersonPrincipal) -> None:
    for name in ("zoe", "bob", "carl"):
        await accounts.person(owner.org_id, f"{name}@example.com", Role.VIEWER)
    async with accounts.database.reading() as connection:
        first = await accounts.people.people(connection, owner.org_id, Page(2))
        rest = await accounts.people.people(connection, owner.org_id, Page(2, (first[1].email,)))
    assert [each.email.partition("@")[0] for each in (*first[:2], *rest)] == ["anna", "bob", "carl", "zoe"]


async def test_a_person_needs_an_organisation_that_exists(accounts: Accounts) -> None:
    with pytest.raises(Refusal, match="ORGANISATION_UNKNOWN"):
        await accounts.person("org_none", EMAIL, Role.VIEWER)


async def test_the_audit_names_the_actor_and_goes_with_the_change_or_not_at_all(accounts: Accounts) -> None:
    with suppress(InterruptedError):
        async with accounts.database.transaction() as uow:
            never = await accounts.service.create_organisation(uow, name="Never")
            raise InterruptedError
    with acting_as("operator"):
        async with accounts.database.transaction() as uow:
            organisation = await accounts.service.create_organisation(uow, name="Always")
    assert await accounts.audited(never.org_id) == []
    (entry,) = await accounts.audited(organisation.org_id)
    assert (entry.action, entry.actor, entry.subject) == ("organisation.created", "operator", organisation.org_id)


@pytest.mark.parametrize("change", ["UPDATE audit SET actor = 'somebody else'", "DELETE FROM audit"])
async def test_the_audit_only_ever_grows(accounts: Accounts, owner: PersonPrincipal, change: str) -> None:
    # The database goes by its own clock: what is older than a year may go.
    accounts.clock.advance(SystemClock().now() - accounts.clock.now())
    async with accounts.database.transaction() as uow:
        await accounts.service.create_organisation(uow, name="Today")
    before = await accounts.audited(owner.org_id)
    with pytest.raises(Exception, match="only ever grows"):
        async with accounts.database.transaction() as uow:
            await uow.connection.exec_driver_sql(change)
    assert await accounts.audited(owner.org_id) == before


async def test_the_only_organisation_needs_no_name_and_several_do(accounts: Accounts) -> None:
    async def named(org_id: str = "") -> str:
        async with accounts.database.reading() as connection:
            return (await accounts.service.organisation(connection, org_id)).org_id

    with pytest.raises(Refusal, match="ORGANISATION_UNKNOWN"):
        await named()
    first = await accounts.anna()
    assert await named() == first.org_id
    async with accounts.database.transaction() as uow:
        second = await accounts.service.create_organisation(uow, name="Second")
    with pytest.raises(Refusal, match="ORGANISATION_AMBIGUOUS"):
        await named()
    assert await named(first.org_id) == first.org_id
    async with accounts.database.reading() as connection:
        known = await accounts.service.organisations(connection)
    assert {each.org_id for each in known} == {first.org_id, second.org_id}
