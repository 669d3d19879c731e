"""How accounts say no."""

from controlplane.accounts.limits import (
    LOCKED_FOR,
    MAX_FAILED_SIGN_INS,
    MAX_PASSWORD_CHARACTERS,
    MIN_PASSWORD_CHARACTERS,
)
from controlplane.runtime.refusal import Kind, Refusal


def sign_in_failed() -> Refusal:
    """One answer for an unknown address, a wrong password and a locked account: none of them may be told apart."""
    minutes = int(LOCKED_FOR.total_seconds() // 60)
    return Refusal(
        Kind.UNAUTHENTICATED,
        "SIGN_IN_FAILED",
        "the e-mail address or the password is wrong, or sign-in is locked for a while",
        f"Check both; after {MAX_FAILED_SIGN_INS} wrong passwords in a row sign-in rests for {minutes} minutes",
    )


def token_invalid() -> Refusal:
    """Unknown, expired or revoked."""
    return Refusal(
        Kind.UNAUTHENTICATED,
        "TOKEN_INVALID",
        "the token is unknown, expired or revoked",
        "Sign in again: bucklerctl login",
    )


def email_invalid() -> Refusal:
    """Not an address."""
    return Refusal(
        Kind.INVALID, "EMAIL_INVALID", "this is not an e-mail address", "Give an address such as anna@example.com"
    )


def email_taken(email: str) -> Refusal:
    """Somebody signs in with it already."""
    return Refusal(
        Kind.CONFLICT,
        "EMAIL_TAKEN",
        f"{email} signs in already",
        "Use another address; a person belongs to one organisation",
        facts={"email": email},
    )


def password_unfit() -> Refusal:
    """Too short or too long."""
    return Refusal(
        Kind.INVALID,
        "PASSWORD_UNFIT",
        f"a password has {MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters",
        "Choose a longer one; several random words make a good one",
    )


def name_invalid(what: str, most: int) -> Refusal:
    """Empty or too long."""
    return Refusal(
        Kind.INVALID, "NAME_INVALID", f"the {what} has 1 to {most} printable characters", "Choose another name"
    )


def organisation_unknown(org_id: str) -> Refusal:
    """There is none with this id."""
    return Refusal(
        Kind.NOT_FOUND,
        "ORGANISATION_UNKNOWN",
        f"there is no organisation {org_id}".rstrip(),
        "Give the id that `buckler-server init` printed",
        facts={"org_id": org_id},
    )


def organisation_ambiguous() -> Refusal:
    """None was named and there are several."""
    return Refusal(
        Kind.INVALID,
        "ORGANISATION_AMBIGUOUS",
        "there are several organisations",
        "Name one with --org; its id is in what `buckler-server init` printed and in: bucklerctl login",
    )
