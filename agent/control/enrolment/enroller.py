"""How this device gets its seat (docs/paths/activation.md).

Everything a retry needs is on disk before the call: the key pair, which is what makes the call idempotent, and the
note that an attempt is under way. A lost answer therefore costs nothing: the same command asks again with the same
key and is given the same seat.
"""

import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.message import DecodeError

from agent.control.addresses import DEFAULT_PORT, Address, device_address, parse_address
from agent.control.channel import CALL_TIMEOUT_S, tls_channel
from agent.control.enrolment.entitlement_verifier import read_claims, verify_entitlement
from agent.control.enrolment.entitlements import ACTIVATION_ATTEMPT, write_mark
from agent.control.enrolment.identity import DeviceIdentity, fingerprint, load_or_create_identity, set_aside
from agent.control.enrolment.key_set import verify_key_set
from agent.control.refusals import TRANSIENT, error_detail, is_transient, refusal_from_rpc
from agent.control.tls_probe import SILENT, explain_unreachable
from agent.domain.entitlement import Claims, EntitlementError, evaluation_time
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.ports import Clock, Enrolment, Store, TrustedKeys
from agent.platform.system_facts import SystemFacts
from wire.activation_key import MistypedKeyError, format_activation_key, parse_activation_key
from wire.instants import from_us
from wire.v1.common_pb2 import Platform
from wire.v1.enrollment_pb2 import (
    ActivateRequest,
    ActivateResponse,
    FingerprintComponent,
    LicenceFile,
    LicenceRequest,
    PrepareActivationRequest,
)
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceStub

#: Of licence requests and licence files; see enrollment.proto.
LICENCE_FORMAT = 1
#: A licence file is a few kilobytes.
MAX_LICENCE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ActivationOrder:
    """What the person asked for.

    Attributes:
        key_text: The activation key as typed.
        server: `HOST:PORT` as typed.
        authorities_pem: What the server's certificate must chain to.
        new_key: This machine was copied from another: it becomes a device of its own.
    """

    key_text: str = field(repr=False)
    server: str
    authorities_pem: bytes = field(repr=False)
    new_key: bool = False


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
        device_key: Where the device key is, or will be made.
        facts: Who this machine is.
        agent_version: Told to the server.
    """

    store: Store
    clock: Clock
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
        aside = set_aside(self.device_key) if order.new_key else None
        try:
            return await self._activated(order, address, key)
        except BucklerError:
            # Nothing came of it: the machine stays who it was.
            if aside is not None:
                aside.replace(self.device_key)
            raise

    async def _activated(self, order: ActivationOrder, address: Address, key: str) -> ActivationOutcome:
        identity = load_or_create_identity(self.device_key)
        self._begin_attempt(address)
        try:
            answer = await self._ask(address, order.authorities_pem, key, identity)
        except grpc.aio.AioRpcError as error:
            raise await self._explain(error, address, order.authorities_pem) from error
        return self._keep(str(address), str(device_address(answer.device_address, address)), identity, answer)

    def licence_request(self) -> bytes:
        """What a person carries to the control plane for a device that does not reach it; makes the device key.

        Raises:
            BucklerError: `ALREADY_ACTIVATED`, `DEVICE_KEY_DAMAGED`, `DEVICE_KEY_UNREADABLE`.
        """
        self._refuse_second_server(None)
        identity = load_or_create_identity(self.device_key)
        return LicenceRequest(
            format=LICENCE_FORMAT,
            certificate_request_der=identity.certificate_request(self.facts.device_name),
            device_name=self.facts.device_name,
            platform=self._platform(),
        ).SerializeToString()

    def adopt_licence(self, untrusted_file: bytes) -> ActivationOutcome:
        """Trust a licence file that was made for this device; a newer one takes the place of the one in force.

        Raises:
            BucklerError: `LICENCE_FILE_INVALID`, `ALREADY_ACTIVATED`, `DEVICE_KEY_DAMAGED`, `DEVICE_KEY_UNREADABLE` or
                `ENTITLEMENT_REFUSED`; what was trusted before stays.
        """
        self._refuse_second_server(None)
        grant = _read_licence(untrusted_file)
        return self._keep("", "", load_or_create_identity(self.device_key), grant)

    # ------------------------------------------------------------ before the call

    def _refuse_second_server(self, address: Address | None) -> None:
        """Refuse what another control plane gave; None: it comes as a file."""
        with self.store.transaction() as tables:
            enrolment = tables.enrolment.get()
        if enrolment is not None and enrolment.server != (str(address) if address else ""):
            raise BucklerError(
                "ALREADY_ACTIVATED",
                f"this device already holds a seat at {enrolment.server}"
                if enrolment.server
                else "this device was activated with a licence file",
                next_step="give that seat back with `buckler deactivate` first, then activate here",
                exit_status=ExitStatus.NEGATIVE,
                facts={"server": enrolment.server, "device_id": enrolment.device_id},
            )

    def _begin_attempt(self, address: Address) -> None:
        """Write down that an attempt is under way."""
        attempt = {"server": str(address), "started_at": self.clock.now().isoformat()}
        with self.store.transaction() as tables:
            tables.settings.put(ACTIVATION_ATTEMPT, json.dumps(attempt))

    async def _ask(
        self, address: Address, authorities_pem: bytes, key: str, identity: DeviceIdentity
    ) -> ActivateResponse:
        """Two calls: the salt of the organisation first, so that our evidence is comparable after a re-install."""
        async with tls_channel(address, authorities_pem) as channel:
            stub = EnrollmentServiceStub(channel)
            prepared = await stub.PrepareActivation(
                PrepareActivationRequest(activation_key=key), timeout=CALL_TIMEOUT_S
            )
            request = self._request(key, identity, prepared.fingerprint_salt)
            return await stub.Activate(request, timeout=CALL_TIMEOUT_S)

    def _platform(self) -> Platform:
        facts = self.facts
        return Platform(
            os=facts.os,
            os_version=facts.os_version,
            architecture=facts.architecture,
            agent_version=self.agent_version,
        )

    def _request(self, key: str, identity: DeviceIdentity, salt: bytes) -> ActivateRequest:
        facts = self.facts
        evidence = [FingerprintComponent(kind=kind, digest=digest) for kind, digest in fingerprint(facts, salt)]
        return ActivateRequest(
            activation_key=key,
            certificate_request_der=identity.certificate_request(facts.device_name),
            device_name=facts.device_name,
            platform=self._platform(),
            fingerprint=evidence,
        )

    # ------------------------------------------------------------ after it

    async def _explain(self, error: grpc.aio.AioRpcError, address: Address, authorities_pem: bytes) -> BucklerError:
        if error_detail(error) is None and error.code() in TRANSIENT:
            return _with_the_port_in_doubt(await explain_unreachable(address, authorities_pem))
        if not is_transient(error):
            self._end_attempt()
        return refusal_from_rpc(error)

    def _end_attempt(self) -> None:
        with self.store.transaction() as tables:
            tables.settings.put(ACTIVATION_ATTEMPT, "")

    def _keep(
        self, server: str, device_server: str, identity: DeviceIdentity, answer: ActivateResponse
    ) -> ActivationOutcome:
        with self.store.transaction() as tables:
            before = tables.enrolment.get()
        keys, claims = self._verify(identity, answer, before, newer_only=not server)
        enrolment = Enrolment(
            server=server,
            device_server=device_server,
            device_id=answer.device_id,
            org_id=answer.org_id,
            authorities_pem=answer.authorities_pem,
            certificate_pem=answer.device_certificate_pem,
            signed_claims=answer.entitlement.claims,
            signature=answer.entitlement.signature,
            kid=answer.entitlement.kid,
            trusted_keys=keys,
            check_in_interval_s=answer.check_in_interval_s,
            last_check_in=self.clock.now(),
        )
        with self.store.transaction() as tables:
            tables.enrolment.put(enrolment)
            tables.settings.put(ACTIVATION_ATTEMPT, "")
            write_mark(tables.settings, from_us(answer.server_time_at_us))
        return ActivationOutcome(enrolment, claims, _holds_same_seat(before, claims))

    def _verify(
        self, identity: DeviceIdentity, answer: ActivateResponse, before: Enrolment | None, *, newer_only: bool
    ) -> tuple[TrustedKeys, Claims]:
        server_time = from_us(answer.server_time_at_us)
        pinned = before.trusted_keys if before is not None and before.trusted_keys.root_public_key else None
        try:
            keys = verify_key_set(answer.key_set, pinned)
            claims = verify_entitlement(
                answer.entitlement,
                keys,
                # A server this device was activated at starts a new line of statements; older ones cannot get in
                # over TLS from the server that issues them. A file can be an old one.
                trusted=read_claims(before.signed_claims) if newer_only and before is not None else None,
                device_public_key_sha256=identity.public_key_sha256,
                now=max(evaluation_time(self.clock.now(), server_time), server_time),
            )
        except EntitlementError as error:
            raise _untrustworthy(error.refusal.value) from error
        if claims.device_id != answer.device_id:
            raise _untrustworthy("other_device")
        if not certificate_is_ours(answer.device_certificate_pem, identity):
            raise _untrustworthy("certificate_of_another_key")
        return keys, claims


def _with_the_port_in_doubt(error: BucklerError) -> BucklerError:
    """The port of devices is silent to whoever has no certificate yet, and is easily taken for this one."""
    if error.facts.get("cause") != SILENT:
        return error
    return BucklerError(
        error.code,
        error.message,
        next_step=f"check that the port of --server is the one for activation (usually {DEFAULT_PORT}) and not that of "
        "devices; if it is, try again in a minute",
        exit_status=error.exit_status,
        facts=error.facts,
    )


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


def _read_licence(untrusted_file: bytes) -> ActivateResponse:
    licence = LicenceFile()
    with contextlib.suppress(DecodeError):
        # A longer one is cut off where it cannot be whole.
        licence = LicenceFile.FromString(untrusted_file[:MAX_LICENCE_BYTES])
    if licence.format != LICENCE_FORMAT or not licence.HasField("grant"):
        raise BucklerError(
            "LICENCE_FILE_INVALID",
            "this is not a licence file, or one for a newer version",
            next_step="make one with `bucklerctl licence export REQUEST`; nothing was changed",
        )
    return licence.grant


def _holds_same_seat(before: Enrolment | None, claims: Claims) -> bool:
    if before is None or before.device_id != claims.device_id:
        return False
    try:
        return read_claims(before.signed_claims).seat_id == claims.seat_id
    except EntitlementError:
        return False


def certificate_is_ours(pem: bytes, identity: DeviceIdentity) -> bool:
    """Whether a certificate is for this device's key."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return False
    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).digest() == identity.public_key_sha256


_NEXT_STEP = "check the clock of this device, then tell the control plane's administrator; nothing was changed"
_NEXT_STEP_OF = {
    "other_device": "make a licence file from this device's own request: `buckler activate --request-file FILE`",
    "other_root": "if the control plane was set up anew, first run `buckler deactivate --local-only`",
    "serial_lower": "a newer licence is in force already; nothing was changed",
}


def _untrustworthy(why: str) -> BucklerError:
    return BucklerError(
        "ENTITLEMENT_REFUSED",
        f"the control plane's answer must not be trusted ({why})",
        next_step=_NEXT_STEP_OF.get(why, _NEXT_STEP),
        exit_status=ExitStatus.NEGATIVE,
        facts={"cause": why},
    )
