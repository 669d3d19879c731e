"""How accounts say no."""

from datetime import timedelta

from controlplane.accounts.limits import MAX_PASSWORD_CHARACTERS, MAX_TOKEN_LIFETIME, MIN_PASSWORD_CHARACTERS
from controlplane.runtime.principal import Role, Scope
from controlplane.runtime.refusal import Kind, Refusal


def sign_in_failed() -> Refusal:
    """One answer for an unknown address and a wrong password: they may not be told apart."""
    return Refusal(
        Kind.UNAUTHENTICATED,
        "SIGN_IN_FAILED",
        "the e-mail address or the password is wrong",
        "Check both; an owner or admin can give you a new password: bucklerctl user reset EMAIL",
    )


def sign_in_locked(wait: timedelta) -> Refusal:
    """Too many attempts with an address or from a place; the same whether the address is known or not."""
    seconds = int(wait.total_seconds()) + 1
    return Refusal(
        Kind.EXHAUSTED,
        "SIGN_IN_LOCKED",
        "there were too many attempts to sign in",
        f"Wait {seconds} seconds, then try again with the right password",
        retry_after_s=seconds,
    )


def second_factor_needed() -> Refusal:
    """The password is right and not enough."""
    return Refusal(
        Kind.UNAUTHENTICATED,
        "SECOND_FACTOR_NEEDED",
        "signing in takes a code of your authenticator app, too",
        "Give the six digits that it shows now, or one of your recovery codes",
    )


def second_factor_wrong() -> Refusal:
    """Wrong, too old, or used before."""
    return Refusal(
        Kind.UNAUTHENTICATED,
        "SECOND_FACTOR_WRONG",
        "the code is wrong, or was used before",
        "Wait for the next one; if none is taken, compare the clock of the device that shows it",
    )


def second_factor_present() -> Refusal:
    """There is one already."""
    return Refusal(
        Kind.PRECONDITION,
        "SECOND_FACTOR_PRESENT",
        "signing in takes a code of an authenticator app already",
        "Remove it first: bucklerctl second-factor remove",
    )


def second_factor_absent() -> Refusal:
    """There is none that could be confirmed or removed."""
    return Refusal(
        Kind.PRECONDITION,
        "SECOND_FACTOR_ABSENT",
        "there is no authenticator app to do this with",
        "Begin with: bucklerctl second-factor enrol",
    )


def password_wrong() -> Refusal:
    """Of somebody who is signed in."""
    return Refusal(
        Kind.UNAUTHENTICATED, "PASSWORD_WRONG", "this is not your password", "Check it, then run the command again"
    )


def token_invalid() -> Refusal:
    """Unknown, expired or revoked."""
    return Refusal(
        Kind.UNAUTHENTICATED,
        "TOKEN_INVALID",
        "the token is unknown, expired or revoked",
        "Sign in again: bucklerctl login",
    )


def token_unknown(token_id: str) -> Refusal:
    """Nobody's in this organisation, or not the caller's to revoke."""
    return Refusal(
        Kind.NOT_FOUND,
        "TOKEN_UNKNOWN",
        f"there is no token {token_id} that you may revoke",
        "See which there are: bucklerctl token list",
        facts={"token_id": token_id},
    )


def scopes_invalid() -> Refusal:
    """None, or one that there is not."""
    return Refusal(
        Kind.INVALID,
        "SCOPES_INVALID",
        "a token is good for one or more of: " + ", ".join(scope.value for scope in Scope),
        "Name them, for example: --scope read --scope devices",
    )


def scope_exceeded(scope: Scope) -> Refusal:
    """A token cannot make one that may do more."""
    return Refusal(
        Kind.FORBIDDEN,
        "SCOPE_EXCEEDED",
        f"a token without the scope {scope.value} cannot make one that has it",
        "Sign in with your password, then try again: bucklerctl login",
        facts={"scope": scope.value},
    )


def lifetime_invalid() -> Refusal:
    """In the past, or too long."""
    return Refusal(
        Kind.INVALID,
        "TOKEN_LIFETIME_INVALID",
        f"a token lives between a minute and {MAX_TOKEN_LIFETIME.days} days",
        "Choose a shorter time, for example: --expires-in 90d",
    )


def person_unknown(untrusted_person: str) -> Refusal:
    """Nobody of this organisation."""
    return Refusal(
        Kind.NOT_FOUND,
        "PERSON_UNKNOWN",
        f"nobody here is called {untrusted_person}",
        "Give an e-mail address or an id from: bucklerctl user list",
        facts={"person": untrusted_person},
    )


def role_invalid() -> Refusal:
    """Not one of the four."""
    return Refusal(
        Kind.INVALID,
        "ROLE_INVALID",
        "a role is one of: " + ", ".join(role.value for role in Role),
        "Choose one; docs/accounts.md says what each may do",
    )


def rank_missing(role: Role) -> Refusal:
    """Admins do not make or unmake owners."""
    return Refusal(
        Kind.FORBIDDEN,
        "RANK_MISSING",
        f"only an owner may do this with the role {role.value}",
        "Ask an owner: bucklerctl user list",
        facts={"role": role.value},
    )


def last_owner() -> Refusal:
    """Somebody has to be left who may pay and cancel."""
    return Refusal(
        Kind.PRECONDITION,
        "LAST_OWNER",
        "this is the organisation's only owner",
        "Make somebody else an owner first: bucklerctl user role EMAIL owner",
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
        "Name one with --org; see their ids with: buckler-server organisation list",
    )
