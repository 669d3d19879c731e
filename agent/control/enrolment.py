"""How this device gets its seat (docs/paths/activation.md).

Everything a retry needs is on disk before the call: the key pair, which is what makes the call idempotent, and the
note that an attempt is under way. A lost answer therefore costs nothing: the same command asks again with the same
key and is given the same seat.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.control.addresses import Address, device_address, parse_address
from agent.control.channel import CALL_TIMEOUT_S, tls_channel
from agent.control.entitlement_verifier import pinned_from_wire, read_claims, verify_entitlement
from agent.control.entitlements import ACTIVATION_ATTEMPT, FINGERPRINT_SALT, write_mark
from agent.control.identity import DeviceIdentity, fingerprint, load_or_create_identity
from agent.control.refusals import TRANSIENT, error_detail, is_transient, refusal_from_rpc
from agent.control.tls_probe import explain_unreachable
from agent.domain.entitlement import Claims, EntitlementError, evaluation_time
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.ports import Clock, Enrolment, Randomness, Store
from agent.platform.system_facts import SystemFacts
from wire.activation_key import MistypedKeyError, format_activation_key, parse_activation_key
from wire.instants import from_us
from wire.v1.common_pb2 import Platform
from wire.v1.enrollment_pb2 import ActivateRequest, ActivateResponse, FingerprintComponent
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceStub

_SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class ActivationOrder:
    """What the person asked for.

    Attributes:
        key_text: The activation key as typed.
        server: `HOST:PORT` as typed.
        authorities_pem: What the server's certificate must chain to.
    """

    key_text: str = field(repr=False)
    server: str
    authorities_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ActivationOutcome:
    """What came of it.

    Attributes:
        enrolment: As persisted.
        claims: What the device is entitled to now.
        already_held: The device held this very seat before; nothing new was taken.
    """

    enrolment: Enrolment
    claims: Claims
    already_held: bool


@dataclass(frozen=True, slots=True)
class Enroller:
    """Activates this device.

    Attributes:
        store: Where the enrolment goes, in one transaction and only after everything was verified.
        clock: Wall time.
        randomness: For the fingerprint's salt.
        device_key: Where the device key is, or will be made.
        facts: Who this machine is.
        agent_version: Told to the server.
    """

    store: Store
    clock: Clock
    randomness: Randomness
    device_key: Path
    facts: SystemFacts
    agent_version: str

    async def activate(self, order: ActivationOrder) -> ActivationOutcome:
        """Ask for a seat and keep what is granted; safe to repeat at any point.

        Raises:
            BucklerError: `KEY_MISTYPED`, `SERVER_ADDRESS_INVALID` and `ALREADY_ACTIVATED` before anything is sent;
                `SERVER_UNKNOWN`, `SERVER_UNREACHABLE`, `SERVER_NOT_TRUSTED`, `SERVER_BUSY` when no answer came;
                the server's own refusals, e.g. `KEY_UNKNOWN`, `SEAT_LIMIT`; `ENTITLEMENT_REFUSED`.
        """
        key = check_key(order.key_text)
        address = parse_address(order.server)
        self._refuse_second_server(address)
        identity = load_or_create_identity(self.device_key)
        request = self._request(key, identity, self._begin_attempt(address))
        try:
            answer = await _call(address, order.authorities_pem, request)
        except grpc.aio.AioRpcError as error:
            raise await self._explain(error, address, order.authorities_pem) from error
        return self._keep(address, identity, answer)

    # ------------------------------------------------------------ before the call

    def _refuse_second_server(self, address: Address) -> None:
        with self.store.transaction() as tables:
            enrolment = tables.enrolment.get()
        if enrolment is not None and enrolment.server != str(address):
            raise BucklerError(
                "ALREADY_ACTIVATED",
                f"this device already holds a seat at {enrolment.server}",
                next_step="give that seat back with `buckler deactivate` first, then activate here",
                exit_status=ExitStatus.NEGATIVE,
                facts={"server": enrolment.server, "device_id": enrolment.device_id},
            )

    def _begin_attempt(self, address: Address) -> bytes:
        """Write down that an attempt is under way; returns the salt of this device's fingerprint."""
        attempt = {"server": str(address), "started_at": self.clock.now().isoformat()}
        with self.store.transaction() as tables:
            tables.settings.put(ACTIVATION_ATTEMPT, json.dumps(attempt))
            salt = tables.settings.get(FINGERPRINT_SALT)
            if not salt:
                salt = self.randomness.token_bytes(_SALT_BYTES).hex()
                tables.settings.put(FINGERPRINT_SALT, salt)
        return bytes.fromhex(salt)

    def _request(self, key: str, identity: DeviceIdentity, salt: bytes) -> ActivateRequest:
        facts = self.facts
        evidence = [FingerprintComponent(kind=kind, digest=digest) for kind, digest in fingerprint(facts, salt)]
        return ActivateRequest(
            activation_key=key,
            certificate_request_der=identity.certificate_request(facts.device_name),
            device_name=facts.device_name,
            platform=Platform(
                os=facts.os,
                os_version=facts.os_version,
                architecture=facts.architecture,
                agent_version=self.agent_version,
            ),
            fingerprint=evidence,
        )

    # ------------------------------------------------------------ after it

    async def _explain(self, error: grpc.aio.AioRpcError, address: Address, authorities_pem: bytes) -> BucklerError:
        if error_detail(error) is None and error.code() in TRANSIENT:
            return await explain_unreachable(address, authorities_pem)
        if not is_transient(error):
            self._end_attempt()
        return refusal_from_rpc(error)

    def _end_attempt(self) -> None:
        with self.store.transaction() as tables:
            tables.settings.put(ACTIVATION_ATTEMPT, "")

    def _keep(self, address: Address, identity: DeviceIdentity, answer: ActivateResponse) -> ActivationOutcome:
        with self.store.transaction() as tables:
            before = tables.enrolment.get()
        claims = self._verify(identity, answer)
        enrolment = Enrolment(
            server=str(address),
            device_server=str(device_address(answer.device_address, address)),
            device_id=answer.device_id,
            org_id=answer.org_id,
            authorities_pem=answer.authorities_pem,
            certificate_pem=answer.device_certificate_pem,
            signed_claims=answer.entitlement.claims,
            signature=answer.entitlement.signature,
            kid=answer.entitlement.kid,
            pinned_keys=pinned_from_wire(answer.signing_keys),
            check_in_interval_s=answer.check_in_interval_s,
            last_check_in=self.clock.now(),
        )
        with self.store.transaction() as tables:
            tables.enrolment.put(enrolment)
            tables.settings.put(ACTIVATION_ATTEMPT, "")
            write_mark(tables.settings, from_us(answer.server_time_at_us))
        return ActivationOutcome(enrolment, claims, _holds_same_seat(before, claims))

    def _verify(self, identity: DeviceIdentity, answer: ActivateResponse) -> Claims:
        server_time = from_us(answer.server_time_at_us)
        try:
            claims = verify_entitlement(
                answer.entitlement,
                pinned_from_wire(answer.signing_keys),
                # A server this device was activated at starts a new line of statements; older ones cannot get in
                # here, because the answer came over TLS from the server that issues them.
                trusted=None,
                device_public_key_sha256=identity.public_key_sha256,
                now=max(evaluation_time(self.clock.now(), server_time), server_time),
            )
        except EntitlementError as error:
            raise _untrustworthy(error.refusal.value) from error
        if claims.device_id != answer.device_id:
            raise _untrustworthy("other_device")
        if not _certificate_is_ours(answer.device_certificate_pem, identity):
            raise _untrustworthy("certificate_of_another_key")
        return claims


def check_key(text: str) -> str:
    """Check an activation key's own checksum, before anything goes over the network.

    Returns:
        The key as it is sent, in groups.

    Raises:
        BucklerError: `KEY_MISTYPED`, naming the group to look at when that can be known.
    """
    try:
        return format_activation_key(parse_activation_key(text))
    except MistypedKeyError as error:
        raise BucklerError(
            "KEY_MISTYPED",
            str(error),
            next_step="compare the key with the one you were given and type it again; nothing was sent",
            facts={"group": str(error.group)} if error.group else {},
        ) from error


def unfinished_attempt(store: Store) -> tuple[str, datetime] | None:
    """Server and start of an activation whose answer never came; None: there is none."""
    with store.transaction() as tables:
        text = tables.settings.get(ACTIVATION_ATTEMPT)
    if not text:
        return None
    attempt = json.loads(text)
    return str(attempt["server"]), datetime.fromisoformat(attempt["started_at"])


async def _call(address: Address, authorities_pem: bytes, request: ActivateRequest) -> ActivateResponse:
    async with tls_channel(address, authorities_pem) as channel:
        stub = EnrollmentServiceStub(channel)
        return await stub.Activate(request, timeout=CALL_TIMEOUT_S)


def _holds_same_seat(before: Enrolment | None, claims: Claims) -> bool:
    if before is None or before.device_id != claims.device_id:
        return False
    try:
        return read_claims(before.signed_claims).seat_id == claims.seat_id
    except EntitlementError:
        return False


def _certificate_is_ours(pem: bytes, identity: DeviceIdentity) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return False
    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).digest() == identity.public_key_sha256


def _untrustworthy(why: str) -> BucklerError:
    return BucklerError(
        "ENTITLEMENT_REFUSED",
        f"the control plane's answer must not be trusted ({why})",
        next_step="check the clock of this device, then tell the control plane's administrator; nothing was changed",
        exit_status=ExitStatus.NEGATIVE,
        facts={"cause": why},
    )
