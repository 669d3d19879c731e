"""Decisions about people and their tokens: values and `now` in, values out."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime

from controlplane.accounts.limits import LOCKED_FOR, MAX_EMAIL_CHARACTERS, MAX_FAILED_SIGN_INS
from controlplane.runtime.principal import Role

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_TOKEN = re.compile(r"bkt1\.(?P<org>org_[0-9a-f]{20})\.(?P<token>tok_[0-9a-f]{20})\.(?P<secret>[A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Organisation:
    """A household or a company: the tenant."""

    org_id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A person in an organisation."""

    user_id: str
    org_id: str
    email: str
    role: Role


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


def after_wrong_password(failed_before: int, now: datetime) -> tuple[int, datetime | None]:
    """The count and lock after one more wrong password; the count begins again with each lock."""
    failed = failed_before + 1
    if failed >= MAX_FAILED_SIGN_INS:
        return 0, now + LOCKED_FOR
    return failed, None
