from argon2 import PasswordHasher

from controlplane.accounts.passwords import Argon2Passwords, made_up_password
from tests.fakes.randomness import SeededRandomness

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


async def test_a_password_matches_its_own_hash_and_no_other() -> None:
    passwords = Argon2Passwords(CHEAP)
    stored = await passwords.hash("correct horse battery")
    assert stored.startswith("$argon2id$")
    assert await passwords.verify("correct horse battery", stored)
    assert not await passwords.verify("wrong", stored)


async def test_nobody_has_no_password_not_even_the_one_that_is_compared_with() -> None:
    assert not await Argon2Passwords(CHEAP).verify("nobody", None)


async def test_a_damaged_hash_is_a_wrong_password() -> None:
    assert not await Argon2Passwords(CHEAP).verify("any", "$argon2id$broken")


def test_made_up_passwords_are_long_and_easy_to_type() -> None:
    password = made_up_password(SeededRandomness())
    assert len(password) == 24
    assert password.isalnum()
    assert password == password.lower()
