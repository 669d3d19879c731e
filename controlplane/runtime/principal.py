"""Who is calling: set once per call by the interceptor, read by use cases and by the audit."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from controlplane.runtime.clock import running_ahead
from controlplane.runtime.refusal import Kind, Refusal


class Role(Enum):
    """What a person is to an organisation; which role may call what is in `runtime.permissions`."""

    OWNER = "owner"
    ADMIN = "admin"
    SUPPORT = "support"
    VIEWER = "viewer"


class Scope(Enum):
    """What a token may be good for; which call needs which is in `runtime.permissions`."""

    #: Looking at everything but people, their tokens and the audit.
    READ = "read"
    #: Devices, seats, keys and commands.
    DEVICES = "devices"
    #: Plan, payments and refunds.
    BILLING = "billing"
    #: People, tokens and the audit.
    ACCOUNTS = "accounts"


@dataclass(frozen=True, slots=True)
class PersonPrincipal:
    """Somebody with a token.

    Attributes:
        scopes: What the token may be used for; None: a session, which may do everything its person may.
    """

    user_id: str
    org_id: str
    role: Role
    token_id: str
    scopes: frozenset[Scope] | None = None

    @property
    def actor(self) -> str:
        """How the audit names them."""
        return f"user:{self.user_id}"


@dataclass(frozen=True, slots=True)
class DevicePrincipal:
    """A device that proved itself with its certificate.

    Attributes:
        public_key_sha256: Of the key it proved itself with (SubjectPublicKeyInfo, DER); a device may have had another.
    """

    device_id: str
    org_id: str
    public_key_sha256: bytes

    @property
    def actor(self) -> str:
        """How the audit names it."""
        return f"device:{self.device_id}"


Principal = PersonPrincipal | DevicePrincipal

#: Work nobody asked for over the wire: durable jobs.
SYSTEM_ACTOR = "system"
#: Whoever runs `buckler-server` commands.
OPERATOR_ACTOR = "operator"

_principal: ContextVar[Principal | None] = ContextVar("buckler_principal", default=None)
_actor: ContextVar[str] = ContextVar("buckler_actor", default=SYSTEM_ACTOR)
_request_id: ContextVar[str] = ContextVar("buckler_request_id", default="")
_peer: ContextVar[str] = ContextVar("buckler_peer", default="")


@contextmanager
def calling(
    *, request_id: str, peer: str, principal: Principal | None, ahead: timedelta = timedelta(0)
) -> Iterator[None]:
    """Make a call's identity, and how far its organisation lives ahead, visible to everything it runs."""
    actor = principal.actor if principal is not None else "anonymous"
    tokens = (
        (_principal, _principal.set(principal)),
        (_actor, _actor.set(actor)),
        (_request_id, _request_id.set(request_id)),
        (_peer, _peer.set(peer)),
    )
    try:
        with running_ahead(ahead):
            yield
    finally:
        for variable, token in tokens:
            variable.reset(token)  # type: ignore[arg-type]


@contextmanager
def acting_as(actor: str) -> Iterator[None]:
    """Name the actor of work that comes from no call, e.g. `operator` for `buckler-server`."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def current_actor() -> str:
    """Who the audit holds responsible: `user:…`, `device:…`, `operator`, `anonymous` or `system`."""
    return _actor.get()


def current_request_id() -> str:
    """The id under which this call appears in the log; empty outside a call."""
    return _request_id.get()


def current_peer() -> str:
    """Address of the caller without its port; empty outside a call."""
    return _peer.get()


def current_principal() -> Principal | None:
    """Who is calling; None: nobody known, or no call."""
    return _principal.get()


def current_person() -> PersonPrincipal:
    """The person calling.

    Raises:
        Refusal: UNAUTHENTICATED, the call was not made by a person.
    """
    principal = _principal.get()
    if isinstance(principal, PersonPrincipal):
        return principal
    raise Refusal(Kind.UNAUTHENTICATED, "UNAUTHENTICATED", "this call needs a signed-in person", "Sign in first")


def current_device() -> DevicePrincipal:
    """The device calling.

    Raises:
        Refusal: UNAUTHENTICATED, the call was not made by a device.
    """
    principal = _principal.get()
    if isinstance(principal, DevicePrincipal):
        return principal
    raise Refusal(
        Kind.UNAUTHENTICATED, "UNAUTHENTICATED", "this call needs a device certificate", "Activate the device first"
    )
