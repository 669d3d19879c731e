import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.limits import LOCKED_FOR, MAX_FAILED_SIGN_INS, SESSION_LIFETIME
from controlplane.accounts.model import Member
from controlplane.accounts.passwords import Argon2Passwords
from controlplane.accounts.service import AccountService, IssuedToken
from controlplane.accounts.tables import audit, people
from controlplane.runtime.principal import PersonPrincipal, Role, acting_as
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import SeededRandomness

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
EMAIL, PASSWORD = "anna@example.com", "correct horse battery"


class Accounts:
    """The service on a database, and a clock to move."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock()
        randomness = SeededRandomness()
        self.service = AccountService(
            database=database,
            wall=self.clock,
            randomness=randomness,
            passwords=Argon2Passwords(CHEAP),
            audit=AuditLog(self.clock, randomness),
        )

    async def anna(self) -> Member:
        password_hash = await self.service.hash_password(PASSWORD)
        async with self.database.transaction() as uow:
            organisation = await self.service.create_organisation(uow, name="Anna's house")
            return await self.service.create_person(
                uow, org_id=organisation.org_id, email="Anna@Example.com", password_hash=password_hash, role=Role.OWNER
            )

    async def sign_in(self, password: str = PASSWORD, email: str = EMAIL) -> IssuedToken:
        return await self.service.sign_in(email=email, password=password, token_name="laptop")

    async def refusal_of_sign_in(self, password: str = "wrong", email: str = EMAIL) -> Refusal:
        with pytest.raises(Refusal) as refused:
            await self.sign_in(password, email)
        return refused.value


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database)


async def test_who_signs_in_is_who_the_token_says_until_it_expires(accounts: Accounts) -> None:
    anna = await accounts.anna()
    token = await accounts.sign_in()
    principal = await accounts.service.authenticate(token.text)
    assert principal == PersonPrincipal(anna.user_id, anna.org_id, Role.OWNER, token.token_id)
    accounts.clock.advance(SESSION_LIFETIME)
    with pytest.raises(Refusal) as refused:
        await accounts.service.authenticate(token.text)
    assert refused.value.reason == "TOKEN_INVALID"


async def test_unknown_address_wrong_password_and_locked_account_get_the_same_answer(accounts: Accounts) -> None:
    await accounts.anna()
    unknown = await accounts.refusal_of_sign_in(email="nobody@example.com")
    no_address = await accounts.refusal_of_sign_in(email="nobody")
    wrong = await accounts.refusal_of_sign_in()
    for _ in range(MAX_FAILED_SIGN_INS - 1):
        await accounts.refusal_of_sign_in()
    locked = await accounts.refusal_of_sign_in(PASSWORD)
    answers = {(each.reason, each.message, each.next_step) for each in (unknown, no_address, wrong, locked)}
    assert len(answers) == 1


async def test_a_locked_account_opens_again_after_15_minutes(accounts: Accounts) -> None:
    await accounts.anna()
    for _ in range(MAX_FAILED_SIGN_INS):
        await accounts.refusal_of_sign_in()
    accounts.clock.advance(LOCKED_FOR - timedelta(seconds=1))
    assert (await accounts.refusal_of_sign_in(PASSWORD)).reason == "SIGN_IN_FAILED"
    accounts.clock.advance(timedelta(seconds=1))
    assert (await accounts.sign_in()).expires_at == accounts.clock.now() + SESSION_LIFETIME


async def test_a_right_password_forgets_the_wrong_ones_before_it(accounts: Accounts) -> None:
    await accounts.anna()
    for _ in range(2):
        for _ in range(MAX_FAILED_SIGN_INS - 1):
            await accounts.refusal_of_sign_in()
        assert (await accounts.sign_in()).expires_at == accounts.clock.now() + SESSION_LIFETIME


async def test_wrong_passwords_that_come_at_once_are_all_counted(accounts: Accounts) -> None:
    await accounts.anna()
    await asyncio.gather(*(accounts.refusal_of_sign_in() for _ in range(MAX_FAILED_SIGN_INS)))
    async with accounts.database.reading() as connection:
        assert await connection.scalar(select(people.c.locked_until)) is not None


async def test_a_revoked_token_is_worthless_and_revoking_it_again_changes_nothing(accounts: Accounts) -> None:
    anna = await accounts.anna()
    token = await accounts.sign_in()
    for _ in range(2):
        async with accounts.database.transaction() as uow:
            await accounts.service.revoke_token(uow, org_id=anna.org_id, token_id=token.token_id)
    with pytest.raises(Refusal):
        await accounts.service.authenticate(token.text)
    async with accounts.database.reading() as connection:
        revocations = select(func.count()).select_from(audit).where(audit.c.action == "token.revoked")
        assert await connection.scalar(revocations) == 1


async def test_a_token_with_another_secret_is_refused(accounts: Accounts) -> None:
    await accounts.anna()
    token = await accounts.sign_in()
    for forged in (token.text[:-1] + ("A" if token.text[-1] != "A" else "B"), "junk", ""):
        with pytest.raises(Refusal) as refused:
            await accounts.service.authenticate(forged)
        assert refused.value.reason == "TOKEN_INVALID"


async def test_an_address_signs_in_once_whatever_its_case(accounts: Accounts) -> None:
    anna = await accounts.anna()
    with pytest.raises(Refusal) as refused:
        async with accounts.database.transaction() as uow:
            await accounts.service.create_person(
                uow, org_id=anna.org_id, email="ANNA@example.com", password_hash="x", role=Role.VIEWER
            )
    assert refused.value.reason == "EMAIL_TAKEN"


@pytest.mark.parametrize("password", ["short", "x" * 1_001])
async def test_passwords_that_are_too_short_or_too_long_are_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(Refusal) as refused:
        await accounts.service.hash_password(password)
    assert refused.value.reason == "PASSWORD_UNFIT"


async def test_a_person_needs_an_organisation_that_exists(accounts: Accounts) -> None:
    with pytest.raises(Refusal) as refused:
        async with accounts.database.transaction() as uow:
            await accounts.service.create_person(
                uow, org_id="org_none", email=EMAIL, password_hash="x", role=Role.VIEWER
            )
    assert refused.value.reason == "ORGANISATION_UNKNOWN"


async def test_the_audit_names_the_actor_and_goes_with_the_change_or_not_at_all(accounts: Accounts) -> None:
    with suppress(InterruptedError):
        async with accounts.database.transaction() as uow:
            await accounts.service.create_organisation(uow, name="Never")
            raise InterruptedError
    with acting_as("operator"):
        async with accounts.database.transaction() as uow:
            organisation = await accounts.service.create_organisation(uow, name="Always")
    async with accounts.database.reading() as connection:
        rows = (await connection.execute(select(audit.c.action, audit.c.actor, audit.c.subject))).all()
    assert [tuple(row) for row in rows] == [("organisation.created", "operator", organisation.org_id)]


async def test_the_only_organisation_needs_no_name_and_several_do(accounts: Accounts) -> None:
    async def named(org_id: str = "") -> str:
        async with accounts.database.reading() as connection:
            return (await accounts.service.organisation(connection, org_id)).org_id

    with pytest.raises(Refusal):
        await named()
    first = await accounts.anna()
    assert await named() == first.org_id
    async with accounts.database.transaction() as uow:
        await accounts.service.create_organisation(uow, name="Second")
    with pytest.raises(Refusal) as refused:
        await named()
    assert refused.value.reason == "ORGANISATION_AMBIGUOUS"
    assert await named(first.org_id) == first.org_id
