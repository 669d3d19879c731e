"""What this device is entitled to, at any moment: the keeper of the trusted statement and of the clock mark."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from agent.control.enrolment.entitlement_verifier import verify_entitlement
from agent.control.enrolment.identity import DeviceIdentity, load_identity
from agent.control.enrolment.key_set import verify_key_set
from agent.domain.entitlement import (
    Access,
    AccessLevel,
    Claims,
    EntitlementError,
    EntitlementRefusal,
    access_at,
    evaluation_time,
)
from agent.domain.errors import BucklerError
from agent.domain.health import HealthIssue
from agent.domain.ports import Clock, Enrolment, Settings, Store
from wire.v1.device_pb2 import RefreshEntitlementResponse
from wire.v1.entitlement_pb2 import SignedEntitlement

#: Settings of the store that belong to this room.
CLOCK_MARK = "clock_mark"
#: Hexadecimal. One that was given to another device, as this one was before, is nothing to the server.
CONTACT_NONCE = "contact_nonce"
ACTIVATION_ATTEMPT = "activation_attempt"


class EntitlementKeeper:
    """Holds the trusted claims in memory, and keeps the database in step.

    The database is not trusted more than the network: what lies there is verified again whenever it is read.

    Args:
        store: Where the enrolment and the clock mark live.
        clock: Wall time.
        device_key: The device's key file; an entitlement is bound to its public key.
    """

    def __init__(self, store: Store, clock: Clock, device_key: Path) -> None:
        self._store = store
        self._clock = clock
        self._device_key = device_key
        self._enrolment: Enrolment | None = None
        self._claims: Claims | None = None
        self._refusal: EntitlementRefusal | None = None
        self._key_problem: BucklerError | None = None
        self._mark: datetime | None = None
        self.reload()

    @property
    def enrolment(self) -> Enrolment | None:
        """What activation left; None: never activated, or deactivated."""
        return self._enrolment

    @property
    def claims(self) -> Claims | None:
        """The trusted claims."""
        return self._claims

    @property
    def issues(self) -> tuple[HealthIssue, ...]:
        """What is wrong with the entitlement or the key it is bound to; protection itself goes on."""
        found = []
        if self._key_problem is not None:
            found.append(HealthIssue("device_key_unusable", self._key_problem.message))
        elif self._refusal is not None:
            found.append(
                HealthIssue("entitlement_refused", f"the newest entitlement was refused: {self._refusal.value}")
            )
        return tuple(found)

    def identity(self) -> DeviceIdentity | None:
        """The device's key pair; None when there is none, or none that can be used (see `issues`).

        Does not raise: a damaged key costs the contact with the control plane, never the protection.
        """
        try:
            return load_identity(self._device_key)
        except BucklerError as error:
            self._key_problem = error
            return None

    def reload(self) -> None:
        """Read the enrolment from the store again, after another process changed it."""
        with self._store.transaction() as tables:
            self._enrolment = tables.enrolment.get()
            self._mark = read_mark(tables.settings)
        self._claims, self._refusal, self._key_problem = None, None, None
        if self._enrolment is None:
            return
        identity = self.identity()
        stored = SignedEntitlement(
            claims=self._enrolment.signed_claims, signature=self._enrolment.signature, kid=self._enrolment.kid
        )
        try:
            self._claims = verify_entitlement(
                stored,
                self._enrolment.trusted_keys,
                trusted=None,
                device_public_key_sha256=identity.public_key_sha256 if identity else b"",
                now=self._acceptance_time(),
            )
        except EntitlementError as error:
            self._refusal = error.refusal

    def now(self) -> datetime:
        """The time at which entitlements are judged, see `agent.domain.entitlement.evaluation_time`."""
        return evaluation_time(self._clock.now(), self._mark)

    def access(self) -> Access:
        """What this device may do now, and why."""
        if self._enrolment is not None and self._claims is None:
            # Activated, but what lies on disk cannot be trusted: the floor, until the next contact brings a new one.
            return Access(AccessLevel.LIMITED, "ENTITLEMENT_UNREADABLE", None, {})
        return access_at(self._claims, self.now())

    def note_contact(self, server_time: datetime, check_in_interval_s: int, next_nonce: bytes = b"") -> None:
        """An authenticated answer arrived: the server's time becomes the mark, which also heals a wrong one.

        Args:
            server_time: As the answer says it.
            check_in_interval_s: As the server wishes; 0: it does not say.
            next_nonce: What is to be shown at the next contact, durable when this returns; empty: what is there stays.
        """
        self._update(
            lambda current: replace(
                current,
                last_check_in=self._clock.now(),
                check_in_interval_s=check_in_interval_s or current.check_in_interval_s,
            ),
            server_time,
            next_nonce,
        )

    def contact_nonce(self) -> bytes:
        """What the server gave to be shown at the next contact; empty: nothing yet."""
        with self._store.transaction() as tables:
            return bytes.fromhex(tables.settings.get(CONTACT_NONCE) or "")

    def note_time(self, newest_event: datetime | None = None) -> None:
        """Move the mark up to the wall clock, or to the newest event if that is later; never down."""
        newest = max(self._clock.now(), newest_event or self._clock.now())
        if self._mark is None or newest > self._mark:
            with self._store.transaction() as tables:
                write_mark(tables.settings, newest)
            self._mark = newest

    def adopt(self, answer: RefreshEntitlementResponse, server_time: datetime) -> Claims:
        """Verify a new statement from an authenticated answer and trust it from now on.

        New signing keys count only if the root that was pinned at the activation signed them: trust is handed on,
        never replaced, and a device that was away while keys changed is not lost.

        Raises:
            EntitlementError: It was refused; the old one stays in force.
        """
        enrolment, identity = self._enrolment, self.identity()
        if enrolment is None or identity is None:
            raise EntitlementError(EntitlementRefusal.OTHER_DEVICE)
        signed = answer.entitlement
        try:
            keys = verify_key_set(answer.key_set, enrolment.trusted_keys)
            claims = verify_entitlement(
                signed,
                keys,
                trusted=self._claims,
                device_public_key_sha256=identity.public_key_sha256,
                now=max(self.now(), server_time),
            )
        except EntitlementError as error:
            self._refusal = error.refusal
            raise
        self._update(
            lambda current: replace(
                current,
                signed_claims=signed.claims,
                signature=signed.signature,
                kid=signed.kid,
                trusted_keys=keys,
            ),
            server_time,
        )
        self._claims, self._refusal = claims, None
        return claims

    def replace_certificate(self, certificate_pem: bytes, authorities_pem: bytes) -> None:
        """Keep a rotated device certificate."""
        self._update(
            lambda current: replace(
                current, certificate_pem=certificate_pem, authorities_pem=authorities_pem or current.authorities_pem
            ),
            None,
        )

    def forget(self) -> None:
        """Deactivated: back to the floor. The device key stays, so that the same seat can be asked for again."""
        with self._store.transaction() as tables:
            tables.enrolment.forget()
        self.reload()

    def _update(
        self, change: Callable[[Enrolment], Enrolment], server_time: datetime | None, next_nonce: bytes = b""
    ) -> None:
        """Change the enrolment in one transaction, unless another process deactivated or re-activated meanwhile."""
        with self._store.transaction() as tables:
            current = tables.enrolment.get()
            ours = (
                current is not None and self._enrolment is not None and current.device_id == self._enrolment.device_id
            )
            if current is not None and ours:
                current = change(current)
                tables.enrolment.put(current)
            if server_time is not None:
                write_mark(tables.settings, server_time)
            if next_nonce and ours:
                tables.settings.put(CONTACT_NONCE, next_nonce.hex())
        if server_time is not None:
            self._mark = server_time
        if ours:
            self._enrolment = current

    def _acceptance_time(self) -> datetime:
        """A clock a few minutes slow must not make a statement from the authenticated server look like the future's."""
        return max(self.now(), self._mark) if self._mark else self.now()


def read_mark(settings: Settings) -> datetime | None:
    """The clock mark: the latest of wall time, server time and newest event that was seen."""
    text = settings.get(CLOCK_MARK)
    return datetime.fromisoformat(text) if text else None


def write_mark(settings: Settings, mark: datetime) -> None:
    """Set the clock mark."""
    settings.put(CLOCK_MARK, mark.isoformat())
