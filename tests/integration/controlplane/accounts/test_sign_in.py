"""Who gets in, and how often somebody may try."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from controlplane.accounts.limits import RECOVERY_CODES, SESSION_LIFETIME, SIGN_INS_PER_ADDRESS, SIGN_INS_PER_EMAIL
from controlplane.accounts.second_factor import STEP_S
from controlplane.accounts.tables import people
from controlplane.runtime.principal import PersonPrincipal, Role
from controlplane.runtime.refusal import Refusal
from tests.fakes.accounts import EMAIL, PASSWORD, Accounts

ATTEMPTS = SIGN_INS_PER_EMAIL.burst
STEP = timedelta(seconds=STEP_S)
NEW_PASSWORD = "another horse and cart"


async def refusal(accounts: Accounts, password: str = "wrong", email: str = EMAIL, **further: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await accounts.sign_in(password, email, **further)
    return refused.value


def said(refused: Refusal) -> tuple[str, str, str, int]:
    return refused.reason, refused.message, refused.next_step, refused.retry_after_s


async def test_who_signs_in_is_who_the_token_says_until_it_expires(accounts: Accounts) -> None:
    anna = await accounts.anna()
    token = await accounts.sign_in()
    principal = await accounts.tokens.authenticate(token.text)
    assert principal == PersonPrincipal(anna.user_id, anna.org_id, Role.OWNER, token.token_id, None)
    assert (await accounts.people_of(anna.org_id))[0].last_signed_in_at == accounts.clock.now()
    accounts.clock.advance(SESSION_LIFETIME)
    with pytest.raises(Refusal, match="TOKEN_INVALID"):
        await accounts.tokens.authenticate(token.text)


async def test_unknown_and_known_addresses_get_the_same_answers_open_or_locked(accounts: Accounts) -> None:
    await accounts.anna()
    for _ in range(ATTEMPTS):
        answers = {said(await refusal(accounts, email=email)) for email in (EMAIL, "nobody@example.com", "nobody")}
        assert {answer[0] for answer in answers} == {"SIGN_IN_FAILED"}
        assert len(answers) == 1
    locked = {said(await refusal(accounts, PASSWORD, email)) for email in (EMAIL, "nobody@example.com", "nobody")}
    assert {answer[0] for answer in locked} == {"SIGN_IN_LOCKED"}
    assert len(locked) == 1


async def test_a_locked_address_opens_again_when_it_said(accounts: Accounts) -> None:
    anna = await accounts.anna()
    for _ in range(ATTEMPTS):
        await refusal(accounts)
    locked = await refusal(accounts, PASSWORD)
    accounts.clock.advance(timedelta(seconds=locked.retry_after_s - 2))
    assert (await refusal(accounts, PASSWORD)).reason == "SIGN_IN_LOCKED"
    accounts.clock.advance(timedelta(seconds=2))
    assert (await accounts.sign_in()).expires_at == accounts.clock.now() + SESSION_LIFETIME
    (entry,) = await accounts.audited(anna.org_id, action_prefix="user.sign_in_locked")
    assert entry.subject == anna.user_id


async def test_a_right_password_forgets_the_wrong_ones_before_it(accounts: Accounts) -> None:
    await accounts.anna()
    for _ in range(3):
        for _ in range(ATTEMPTS - 1):
            assert (await refusal(accounts)).reason == "SIGN_IN_FAILED"
        assert (await accounts.sign_in()).token_id


async def test_attempts_that_come_at_once_are_not_more_than_there_are(accounts: Accounts) -> None:
    await accounts.anna()
    refused = await asyncio.gather(*(refusal(accounts) for _ in range(3 * ATTEMPTS)))
    reasons = [each.reason for each in refused]
    assert reasons.count("SIGN_IN_FAILED") == ATTEMPTS


async def test_a_place_that_tries_many_addresses_is_slowed_down_and_others_are_not(accounts: Accounts) -> None:
    await accounts.anna()
    for number in range(SIGN_INS_PER_ADDRESS.burst):
        assert (await refusal(accounts, email=f"u{number}@example.com", peer="192.0.2.1")).reason == "SIGN_IN_FAILED"
    assert (await refusal(accounts, PASSWORD, peer="192.0.2.1")).reason == "SIGN_IN_LOCKED"
    assert (await accounts.sign_in(peer="192.0.2.2")).token_id


async def test_no_address_that_was_tried_stands_in_the_database(accounts: Accounts) -> None:
    await refusal(accounts, email="nobody@example.com")
    async with accounts.database.reading() as connection:
        rows = await connection.exec_driver_sql("SELECT subject FROM refused_attempts")
        assert all("nobody" not in row.subject for row in rows)


# ---------------------------------------------------------------- second factor


async def test_with_a_second_factor_the_password_alone_is_not_enough(accounts: Accounts) -> None:
    await accounts.anna()
    secret, codes = await accounts.second_factor(await accounts.session())
    assert len(set(codes)) == RECOVERY_CODES
    accounts.clock.advance(STEP)
    assert (await refusal(accounts, PASSWORD)).reason == "SECOND_FACTOR_NEEDED"
    assert (await refusal(accounts, "wrong", code=accounts.code(secret))).reason == "SIGN_IN_FAILED"
    assert (await refusal(accounts, PASSWORD, code="000000")).reason == "SECOND_FACTOR_WRONG"
    assert (await accounts.sign_in(code=accounts.code(secret))).token_id


async def test_a_code_counts_once_and_so_does_everything_older(accounts: Accounts) -> None:
    await accounts.anna()
    secret, _ = await accounts.second_factor(await accounts.session())
    accounts.clock.advance(2 * STEP)
    older, code = accounts.code(secret, ahead=-1), accounts.code(secret)
    assert (await accounts.sign_in(code=f"{code[:3]} {code[3:]}")).token_id
    for used in (code, older):
        assert (await refusal(accounts, PASSWORD, code=used)).reason == "SECOND_FACTOR_WRONG"
    accounts.clock.advance(STEP)
    assert (await accounts.sign_in(code=accounts.code(secret))).token_id


async def test_of_many_who_show_the_same_code_at_once_one_gets_in(accounts: Accounts) -> None:
    await accounts.anna()
    secret, recovery = await accounts.second_factor(await accounts.session())
    accounts.clock.advance(STEP)
    for code in (accounts.code(secret), recovery[0]):
        tried = await asyncio.gather(*(accounts.sign_in(code=code) for _ in range(4)), return_exceptions=True)
        assert sum(not isinstance(each, BaseException) for each in tried) == 1


async def test_each_recovery_code_signs_in_once_and_the_audit_says_so(accounts: Accounts) -> None:
    anna = await accounts.anna()
    _, recovery = await accounts.second_factor(await accounts.session())
    assert (await accounts.sign_in(code=recovery[0].upper())).token_id
    assert (await refusal(accounts, PASSWORD, code=recovery[0])).reason == "SECOND_FACTOR_WRONG"
    assert (await accounts.sign_in(code=recovery[1])).token_id
    used = await accounts.audited(anna.org_id, action_prefix="second_factor.recovery_code_used")
    assert [entry.actor for entry in used] == [f"user:{anna.user_id}"] * 2


async def test_wrong_codes_are_counted_like_wrong_passwords(accounts: Accounts) -> None:
    await accounts.anna()
    await accounts.second_factor(await accounts.session())
    for _ in range(ATTEMPTS):
        assert (await refusal(accounts, PASSWORD, code="000000")).reason == "SECOND_FACTOR_WRONG"
    assert (await refusal(accounts, PASSWORD, code="000000")).reason == "SIGN_IN_LOCKED"


async def test_an_app_that_was_never_confirmed_changes_nothing(accounts: Accounts) -> None:
    await accounts.anna()
    person = await accounts.session()
    first, _ = await accounts.desk.enrol_second_factor(person, PASSWORD)
    assert (await accounts.sign_in()).token_id
    second, email = await accounts.desk.enrol_second_factor(person, PASSWORD)
    assert (email, first != second) == (EMAIL, True)
    with pytest.raises(Refusal, match="SECOND_FACTOR_WRONG"):
        await accounts.desk.confirm_second_factor(person, accounts.code(first))
    assert await accounts.desk.confirm_second_factor(person, accounts.code(second))
    with pytest.raises(Refusal, match="SECOND_FACTOR_PRESENT"):
        await accounts.desk.enrol_second_factor(person, PASSWORD)
    with pytest.raises(Refusal, match="SECOND_FACTOR_PRESENT"):
        await accounts.desk.confirm_second_factor(person, accounts.code(second))


async def test_taking_the_second_factor_away_takes_both(accounts: Accounts) -> None:
    await accounts.anna()
    person = await accounts.session()
    with pytest.raises(Refusal, match="SECOND_FACTOR_ABSENT"):
        await accounts.desk.confirm_second_factor(person, "000000")
    secret, _ = await accounts.second_factor(person)
    accounts.clock.advance(STEP)
    for password, code, reason in (
        ("wrong", accounts.code(secret), "PASSWORD_WRONG"),
        (PASSWORD, "", "SECOND_FACTOR_NEEDED"),
        (PASSWORD, "000000", "SECOND_FACTOR_WRONG"),
    ):
        with pytest.raises(Refusal, match=reason):
            await accounts.desk.remove_second_factor(person, password, code)
    await accounts.desk.remove_second_factor(person, PASSWORD, accounts.code(secret))
    assert (await accounts.sign_in()).token_id


# ---------------------------------------------------------------- passwords


async def test_another_password_ends_every_other_session_but_no_program(accounts: Accounts) -> None:
    anna = await accounts.anna()
    here, elsewhere = await accounts.sign_in(), await accounts.sign_in()
    person = await accounts.tokens.authenticate(here.text)
    program = await accounts.token(person, "read")
    assert await accounts.desk.change_password(person, PASSWORD, NEW_PASSWORD) == 1
    assert await accounts.tokens.authenticate(here.text) == person
    with pytest.raises(Refusal, match="TOKEN_INVALID"):
        await accounts.tokens.authenticate(elsewhere.text)
    async with accounts.database.reading() as connection:
        usable = await accounts.tokens.usable(connection, person, accounts.everything)
    assert {token.token_id for token in usable} == {person.token_id, program.token_id}
    assert (await refusal(accounts, PASSWORD)).reason == "SIGN_IN_FAILED"
    assert (await accounts.sign_in(NEW_PASSWORD)).token_id
    assert await accounts.audited(anna.org_id, action_prefix="user.password_changed")


async def test_a_session_that_was_left_open_cannot_guess_the_password(accounts: Accounts) -> None:
    await accounts.anna()
    person = await accounts.session()
    for _ in range(ATTEMPTS):
        with pytest.raises(Refusal, match="PASSWORD_WRONG"):
            await accounts.desk.change_password(person, "wrong", NEW_PASSWORD)
    with pytest.raises(Refusal, match="SIGN_IN_LOCKED"):
        await accounts.desk.change_password(person, PASSWORD, NEW_PASSWORD)


@pytest.mark.parametrize("password", ["short", "x" * 1_001])
async def test_passwords_that_are_too_short_or_too_long_are_refused(accounts: Accounts, password: str) -> None:
    await accounts.anna()
    with pytest.raises(Refusal, match="PASSWORD_UNFIT"):
        await accounts.desk.change_password(await accounts.session(), PASSWORD, password)
    async with accounts.database.reading() as connection:
        assert await connection.scalar(select(people.c.password_is_initial)) is False
