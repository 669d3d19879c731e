"""Decisions about people and their tokens: values and `now` in, values out."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from controlplane.accounts.limits import MAX_EMAIL_CHARACTERS, USED_EVERY
from controlplane.runtime.principal import Role, Scope

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_TOKEN = re.compile(r"bkt1\.(?P<org>org_[0-9a-f]{20})\.(?P<token>tok_[0-9a-f]{20})\.(?P<secret>[A-Za-z0-9_-]{43})")


class OrganisationKind(Enum):
    """What sort of customer."""

    HOUSEHOLD = "household"
    COMPANY = "company"


@dataclass(frozen=True, slots=True)
class Organisation:
    """A household or a company: the tenant."""

    org_id: str
    name: str
    kind: OrganisationKind
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A person in an organisation.

    Attributes:
        second_factor: Whether signing in takes more than the password.
        password_is_initial: Somebody else has seen the password.
        last_signed_in_at: None: never.
    """

    user_id: str
    org_id: str
    email: str
    role: Role
    created_at: datetime
    second_factor: bool = False
    password_is_initial: bool = False
    last_signed_in_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token without its secret.

    Attributes:
        email: Of the person.
        scopes: None: a session.
        last_used_at: To within `limits.USED_EVERY`; None: never.
        revoked_at: None: it is not.
    """

    org_id: str
    token_id: str
    user_id: str
    email: str
    name: str
    scopes: frozenset[Scope] | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenParts:
    """A bearer token, taken apart: where its row is, and the secret that proves it."""

    org_id: str
    token_id: str
    secret: str

    @property
    def secret_sha256(self) -> bytes:
        """What is stored. A plain hash is enough: the secret has 256 random bits, there is nothing to guess."""
        return hashlib.sha256(self.secret.encode("ascii")).digest()

    def text(self) -> str:
        """The token as it travels."""
        return f"bkt1.{self.org_id}.{self.token_id}.{self.secret}"

    def proves(self, stored_sha256: bytes) -> bool:
        """Whether this is the secret whose hash was stored; takes the same time for every answer."""
        return hmac.compare_digest(self.secret_sha256, stored_sha256)


def new_token(org_id: str, token_id: str, secret: bytes) -> TokenParts:
    """Make a token from random bytes."""
    return TokenParts(org_id, token_id, base64.urlsafe_b64encode(secret).rstrip(b"=").decode("ascii"))


def parse_token(untrusted_token: str) -> TokenParts | None:
    """Take a token apart; None if it cannot be one of ours."""
    match = _TOKEN.fullmatch(untrusted_token)
    return None if match is None else TokenParts(match["org"], match["token"], match["secret"])


def normalise_email(untrusted_email: str) -> str | None:
    """The form under which an address is stored and looked up; None if it is no address."""
    email = untrusted_email.strip().lower()
    if len(email) > MAX_EMAIL_CHARACTERS or _EMAIL.fullmatch(email) is None:
        return None
    return email


def may_manage(actor: Role, other: Role) -> bool:
    """Whether somebody may add, change or remove people of a role: owners everybody, admins everybody but owners."""
    return actor is Role.OWNER or (actor is Role.ADMIN and other is not Role.OWNER)


def scopes_text(scopes: Iterable[Scope]) -> str:
    """Scopes as they are stored and shown, always in the same order."""
    wanted = frozenset(scopes)
    return ",".join(scope.value for scope in Scope if scope in wanted)


def scopes_from(stored: str | None) -> frozenset[Scope] | None:
    """Back from what `scopes_text` made; None stays None: a session."""
    return None if stored is None else frozenset(Scope(name) for name in stored.split(","))


def is_news(last_used_at: datetime | None, now: datetime) -> bool:
    """Whether a use of a token is worth a write: not every call is."""
    return last_used_at is None or now - last_used_at >= USED_EVERY
