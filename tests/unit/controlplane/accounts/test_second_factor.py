from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.accounts.second_factor import (
    STEP_S,
    code_at,
    enrolment_uri,
    matching_step,
    recovery_code,
    recovery_code_sha256,
    secret_text,
    step_at,
)
from tests.fakes.clock import SOME_MONDAY as NOW

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_rfc_6238_appendix_b(seconds: int, code: str) -> None:
    now = datetime.fromtimestamp(seconds, tz=UTC)
    assert code_at(SECRET, step_at(now)) == code
    assert matching_step(SECRET, code, now) == seconds // STEP_S


@pytest.mark.parametrize(("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_is_taken_for_a_step_before_and_after(steps: int, *, taken: bool) -> None:
    code = code_at(SECRET, step_at(NOW) + steps)
    assert (matching_step(SECRET, code, NOW) is not None) is taken


@given(st.text(max_size=100))
def test_whatever_is_typed_is_an_answer_and_never_an_accident(typed: str) -> None:
    squeezed = typed[:64].replace(" ", "").replace("-", "").lower()
    right = {code_at(SECRET, step_at(NOW) + near) for near in (-1, 0, 1)}
    assert (matching_step(SECRET, typed, NOW) is not None) == (squeezed in right)


def test_other_digits_than_ours_are_no_code() -> None:
    code = code_at(SECRET, step_at(NOW))
    arabic = code.translate({ord("0") + digit: 0x0660 + digit for digit in range(10)})
    assert matching_step(SECRET, arabic, NOW) is None
    assert matching_step(SECRET, code, NOW + timedelta(minutes=2)) is None


def test_a_recovery_code_is_recognised_however_it_is_typed() -> None:
    code = recovery_code(bytes(range(10)))
    assert (len(code), code.count("-")) == (19, 3)
    expected = recovery_code_sha256(code)
    assert expected is not None
    for typed in (code.upper(), code.replace("-", ""), code.replace("-", " ")):
        assert recovery_code_sha256(typed) == expected
    for other in ("", "12345678", code[:-1], code + "a"):
        assert recovery_code_sha256(other) is None


def test_an_app_reads_secret_and_owner_from_the_uri() -> None:
    uri = enrolment_uri(SECRET, "anna@example.com")
    assert uri == f"otpauth://totp/Buckler:anna%40example.com?secret={secret_text(SECRET)}&issuer=Buckler"
