"""A control plane in memory: real gRPC, real TLS and mutual TLS on loopback, real certificates and signatures.

It keeps the promises of the protocol (idempotent by public key, serials that grow, incidents stored once) and none
of the business: what a subscription allows is what the test says.
"""

import asyncio
import hashlib
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from agent.platform.clock import SystemClock
from wire.entitlement_codec import ERROR_DETAIL_METADATA, encode_claims, key_set_signing_input, signing_input
from wire.instants import from_us, to_us
from wire.v1 import command_pb2, common_pb2, device_pb2, diagnostics_pb2, enrollment_pb2
from wire.v1.device_pb2_grpc import DeviceServiceServicer, add_DeviceServiceServicer_to_server
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceServicer, add_EnrollmentServiceServicer_to_server
from wire.v1.entitlement_pb2 import EntitlementClaims, FeatureGrant, KeySet, SignedEntitlement, SignedKeySet, SigningKey

ORG = "org_1"
#: Certificates follow the wall clock of the machine that runs the tests.
_WALL_NOW = SystemClock().now()
Context = grpc.aio.ServicerContext[Any, Any]


class Authority:
    """A certificate authority."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        builder = self._builder(self._name, self._key.public_key(), timedelta(days=1), timedelta(days=30))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.pem = self._certificate.public_bytes(Encoding.PEM)

    def server_certificate(
        self, *, name: str = "localhost", until: timedelta = timedelta(days=30), since: timedelta = timedelta(days=1)
    ) -> tuple[bytes, bytes]:
        """Key and certificate for a server on loopback; times are relative to now, `since` in the past."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        if name == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key.public_key(), since, until)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return pem, builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def device_certificate(self, request: x509.CertificateSigningRequest, device_id: str, life: timedelta) -> bytes:
        """A certificate for a device, named by its SAN URI."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id)])
        builder = self._builder(subject, request.public_key(), timedelta(hours=1), life)
        uri = x509.UniformResourceIdentifier(f"urn:buckler:org:{ORG}:device:{device_id}")
        builder = builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _builder(self, subject: x509.Name, key: object, since: timedelta, until: timedelta) -> x509.CertificateBuilder:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_WALL_NOW - since)
            .not_valid_after(_WALL_NOW + until)
        )


@dataclass
class Seat:
    """One device's seat."""

    device_id: str
    device_name: str
    public_key: bytes
    serial: int = 1


@dataclass
class FakeControlPlane(EnrollmentServiceServicer, DeviceServiceServicer):
    """What it knows; tests set and read these directly."""

    keys: dict[str, str] = field(default_factory=dict)  # activation key -> "", or the reason it is refused with
    seat_limit: int = 3
    now: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    check_in_interval_s: int = 3_600
    relies_on_stream: bool = False
    access: int = common_pb2.ACCESS_LEVEL_FULL
    access_reason: str = "PAID"
    lifetime: timedelta = timedelta(days=30)
    refresh_after: timedelta = timedelta(hours=12)
    certificate_life: timedelta = timedelta(days=20)
    busy: bool = False
    lose_answers: int = 0
    seats: dict[str, Seat] = field(default_factory=dict)
    #: Ids of devices whose identity was revoked, and how often they asked.
    revoked: set[str] = field(default_factory=set)
    refused: int = 0
    check_ins: list[device_pb2.CheckInRequest] = field(default_factory=list)
    incidents: dict[bytes, device_pb2.Incident] = field(default_factory=dict)
    reject: set[bytes] = field(default_factory=set)
    refreshes: int = 0
    commands: list[command_pb2.Command] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    command_reports: list[command_pb2.CommandReport] = field(default_factory=list)
    bundles: dict[str, bytes] = field(default_factory=dict)
    #: How it treats streams: `unsupported` as a server before them, `broken` as a middlebox, `busy`, or `open`.
    streams: str = "unsupported"
    streams_opened: int = 0
    heartbeat_interval_s: int = 1
    #: Said on the stream that is open.
    to_say: asyncio.Queue[device_pb2.ConnectResponse] = field(default_factory=asyncio.Queue)
    rotations: int = 0
    renewals: int = 0
    next_nonce: bytes = b""
    kid: str = "key-1"
    authority: Authority = field(default_factory=Authority)
    signing_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    announced: dict[str, Ed25519PrivateKey] = field(default_factory=dict)
    forged_with: Ed25519PrivateKey | None = None
    revoked_kids: list[str] = field(default_factory=list)
    root_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    key_set_version: int = 1
    salt: bytes = bytes(32)
    shown_evidence: list[frozenset[tuple[str, bytes]]] = field(default_factory=list)
    address: str = ""
    device_address: str = ""
    version: str = "0.1.0"
    oldest_agent: str = ""

    # ------------------------------------------------------------ what tests do to it

    def change_access(self, access: int, reason: str) -> None:
        """The subscription changed: every device gets a new entitlement."""
        self.access, self.access_reason = access, reason
        for seat in self.seats.values():
            seat.serial += 1

    def claims_for(self, seat: Seat) -> EntitlementClaims:
        """What it would sign now."""
        return EntitlementClaims(
            serial=seat.serial,
            org_id=ORG,
            subscription_id="sub_1",
            seat_id=f"seat_{seat.device_id}",
            device_id=seat.device_id,
            device_public_key_sha256=hashlib.sha256(seat.public_key).digest(),
            plan_id="home-3",
            plan_name="Home, 3 devices",
            catalog_version=1,
            access=self.access,  # type: ignore[arg-type] # tests also send levels that do not exist
            access_reason=self.access_reason,
            access_until_at_us=to_us(self.now + timedelta(days=300)),
            paid_until_at_us=to_us(self.now + timedelta(days=300)),
            issued_at_us=to_us(self.now),
            not_before_at_us=to_us(self.now),
            refresh_after_at_us=to_us(self.now + self.refresh_after),
            expires_at_us=to_us(self.now + self.lifetime),
            grace_until_at_us=to_us(self.now + self.lifetime + timedelta(days=14)),
            features=[
                FeatureGrant(feature=feature, granted_down_to=common_pb2.ACCESS_LEVEL_GRACE)
                for feature in ("blocking_mode", "remote_commands")
            ],
        )

    def sign(self, claims: EntitlementClaims) -> SignedEntitlement:
        """Sign claims with the key in use."""
        encoded = encode_claims(claims)
        signer = self.forged_with or self.announced.get(self.kid, self.signing_key)
        return SignedEntitlement(claims=encoded, signature=signer.sign(signing_input(encoded)), kid=self.kid)

    # ------------------------------------------------------------ EnrollmentService

    async def Greet(  # noqa: N802 -- named by the protocol
        self, request: enrollment_pb2.GreetRequest, context: Context
    ) -> enrollment_pb2.GreetResponse:
        if self.busy:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the database is away")
        if not self.version:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "older than this call")
        return enrollment_pb2.GreetResponse(
            server_time_at_us=to_us(self.now), version=self.version, oldest_agent_version=self.oldest_agent
        )

    async def PrepareActivation(  # noqa: N802 -- named by the protocol
        self, request: enrollment_pb2.PrepareActivationRequest, context: Context
    ) -> enrollment_pb2.PrepareActivationResponse:
        refused = self.keys.get(request.activation_key, "KEY_UNKNOWN")
        if refused:
            await refuse(context, refused, f"refused: {refused}")
        return enrollment_pb2.PrepareActivationResponse(fingerprint_salt=self.salt)

    async def Activate(  # noqa: N802 -- named by the protocol
        self, request: enrollment_pb2.ActivateRequest, context: Context
    ) -> enrollment_pb2.ActivateResponse:
        if self.busy:
            await refuse(context, "RATE_LIMITED", "too many activations at once", retry_after_s=7)
        self.shown_evidence.append(frozenset((each.kind, each.digest) for each in request.fingerprint))
        csr = x509.load_der_x509_csr(request.certificate_request_der)
        if not csr.is_signature_valid:
            await refuse(context, "BAD_CERTIFICATE_REQUEST", "the request is not signed by its key")
        public = csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        refused = self.keys.get(request.activation_key, "KEY_UNKNOWN")
        if refused:
            await refuse(context, refused, f"refused: {refused}")
        seat = next((s for s in self.seats.values() if s.public_key == public), None)
        if seat is None:
            if len(self.seats) >= self.seat_limit:
                await self._refuse_seat(context)
            device_id = "dev_" + hashlib.sha256(public).hexdigest()[:8]
            seat = self.seats[device_id] = Seat(device_id, request.device_name, public)
        if self.lose_answers:
            self.lose_answers -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection lost")
        return enrollment_pb2.ActivateResponse(
            device_id=seat.device_id,
            org_id=ORG,
            device_certificate_pem=self.authority.device_certificate(csr, seat.device_id, self.certificate_life),
            authorities_pem=self.authority.pem,
            entitlement=self.sign(self.claims_for(seat)),
            key_set=self.signed_key_set(),
            check_in_interval_s=self.check_in_interval_s,
            server_time_at_us=to_us(self.now),
            device_address=self.device_address,
        )

    async def _refuse_seat(self, context: Context) -> NoReturn:
        holders = [
            common_pb2.SeatHolder(seat_id=f"seat_{s.device_id}", device_id=s.device_id, device_name=s.device_name)
            for s in self.seats.values()
        ]
        await refuse(context, "SEAT_LIMIT", f"all {self.seat_limit} seats are taken", holders=holders)

    # ------------------------------------------------------------ DeviceService

    async def CheckIn(  # noqa: N802
        self, request: device_pb2.CheckInRequest, context: Context
    ) -> device_pb2.CheckInResponse:
        seat = await self._seat(context)
        if self.busy:
            await refuse(context, "RATE_LIMITED", "too many", retry_after_s=7)
        self.check_ins.append(request)
        self.command_reports.extend(request.command_reports)
        begun = {report.command_id for report in self.command_reports}
        return device_pb2.CheckInResponse(
            commands=[command for command in self.commands if command.command_id not in begun],
            cancelled_command_ids=self.given_up,
            accepted_report_ids=[report.command_id for report in request.command_reports],
            server_time_at_us=to_us(self.now),
            entitlement_changed=request.entitlement_serial != seat.serial,
            check_in_interval_s=self.check_in_interval_s,
            next_contact_nonce=self.next_nonce,
            relies_on_stream=self.relies_on_stream,
        )

    async def Connect(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[device_pb2.ConnectRequest], context: Context
    ) -> None:
        await self._seat(context)
        self.streams_opened += 1
        if self.streams == "unsupported":
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        if self.streams == "broken":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "RST_STREAM")
        if self.streams == "busy":
            await refuse(context, "STREAMS_RUSHED", "too many", retry_after_s=1)
        welcome = device_pb2.StreamWelcome(heartbeat_interval_s=self.heartbeat_interval_s)
        await context.write(device_pb2.ConnectResponse(welcome=welcome))
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(request_iterator))
            saying = device_pb2.ConnectResponse()
            while not saying.HasField("goodbye"):
                saying = await self.to_say.get()
                await context.write(saying)
            listening.cancel()

    async def _listen(self, frames: AsyncIterator[device_pb2.ConnectRequest]) -> None:
        async for frame in frames:
            answer = device_pb2.ConnectResponse(heartbeat=device_pb2.StreamHeartbeat())
            if frame.HasField("reports"):
                self.command_reports.extend(frame.reports.command_reports)
                accepted = [report.command_id for report in frame.reports.command_reports]
                answer.commands.CopyFrom(
                    device_pb2.StreamCommands(answers_batch=frame.reports.batch, accepted_report_ids=accepted)
                )
            self.to_say.put_nowait(answer)

    async def RefreshEntitlement(  # noqa: N802
        self, request: device_pb2.RefreshEntitlementRequest, context: Context
    ) -> device_pb2.RefreshEntitlementResponse:
        seat = await self._seat(context)
        self.refreshes += 1
        if from_us(self.claims_for(seat).refresh_after_at_us) > self.now and request.trusted_serial == seat.serial:
            seat.serial += 1
        return device_pb2.RefreshEntitlementResponse(
            entitlement=self.sign(self.claims_for(seat)),
            key_set=self.signed_key_set(),
            server_time_at_us=to_us(self.now),
        )

    async def ReportEvents(  # noqa: N802
        self, request: device_pb2.ReportEventsRequest, context: Context
    ) -> device_pb2.ReportEventsResponse:
        await self._seat(context)
        good = [row for row in request.incidents if row.uuid not in self.reject]
        for row in good:
            self.incidents.setdefault(row.uuid, row)
        bad = [device_pb2.RejectedIncident(uuid=uuid, reason="MALFORMED") for uuid in self.reject]
        return device_pb2.ReportEventsResponse(accepted_uuids=[row.uuid for row in good], rejected=bad)

    async def UploadDiagnostics(  # noqa: N802
        self, request: diagnostics_pb2.UploadDiagnosticsRequest, context: Context
    ) -> diagnostics_pb2.UploadDiagnosticsResponse:
        await self._seat(context)
        kept = self.bundles.setdefault(request.command_id, b"")
        if request.offset == len(kept):
            kept = self.bundles[request.command_id] = kept + request.content
        complete = hashlib.sha256(kept).digest() == request.sha256
        return diagnostics_pb2.UploadDiagnosticsResponse(next_offset=len(kept), complete=complete)

    async def RotateCertificate(  # noqa: N802
        self, request: device_pb2.RotateCertificateRequest, context: Context
    ) -> device_pb2.RotateCertificateResponse:
        seat = await self._seat(context)
        self.rotations += 1
        csr = x509.load_der_x509_csr(request.certificate_request_der)
        pem = self.authority.device_certificate(csr, seat.device_id, timedelta(days=20))
        return device_pb2.RotateCertificateResponse(device_certificate_pem=pem, authorities_pem=self.authority.pem)

    async def RenewCertificate(  # noqa: N802
        self, request: enrollment_pb2.RenewCertificateRequest, context: Context
    ) -> enrollment_pb2.RenewCertificateResponse:
        seat = self.seats.get(request.device_id)
        csr = x509.load_der_x509_csr(request.certificate_request_der)
        public = csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if seat is None or public != seat.public_key:
            await refuse(context, "DEVICE_NOT_FOUND", "no such device")
        self.renewals += 1
        pem = self.authority.device_certificate(csr, request.device_id, timedelta(days=20))
        return enrollment_pb2.RenewCertificateResponse(device_certificate_pem=pem, authorities_pem=self.authority.pem)

    async def Deactivate(  # noqa: N802
        self, request: device_pb2.DeactivateRequest, context: Context
    ) -> device_pb2.DeactivateResponse:
        seat = await self._seat(context)
        del self.seats[seat.device_id]
        return device_pb2.DeactivateResponse()

    async def _seat(self, context: Context) -> Seat:
        [pem] = context.auth_context()["x509_pem_cert"]
        names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        device_id = names.value.get_values_for_type(x509.UniformResourceIdentifier)[0].rpartition(":")[2]
        if device_id in self.revoked:
            self.refused += 1
            await refuse(context, "DEVICE_REVOKED", "this device's identity has been revoked")
        seat = self.seats.get(device_id)
        if seat is None:
            await refuse(context, "DEVICE_NOT_FOUND", "there is no such device")
        return seat

    def signed_key_set(self) -> SignedKeySet:
        """Its signing keys, as its root signs them."""
        key_set = KeySet(
            version=self.key_set_version,
            keys=[
                SigningKey(kid=kid, public_key=key.public_key().public_bytes_raw())
                for kid, key in {"key-1": self.signing_key, **self.announced}.items()
            ],
            revoked_kids=self.revoked_kids,
        ).SerializeToString()
        signature = self.root_key.sign(key_set_signing_input(key_set))
        root = self.root_key.public_key().public_bytes_raw()
        return SignedKeySet(key_set=key_set, signature=signature, root_public_key=root)


async def refuse(
    context: Context,
    reason: str,
    message: str,
    *,
    retry_after_s: int = 0,
    holders: list[common_pb2.SeatHolder] | None = None,
) -> NoReturn:
    """Fail a call the way the protocol says."""
    detail = common_pb2.ErrorDetail(
        reason=reason, message=message, next_step="do this", retry_after_s=retry_after_s, seat_holders=holders or []
    )
    metadata = ((ERROR_DETAIL_METADATA, detail.SerializeToString()),)
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, reason, metadata)
    raise AssertionError("abort raises")


@asynccontextmanager
async def serving(
    plane: FakeControlPlane, *, certificate: tuple[bytes, bytes] | None = None, port: int = 0
) -> AsyncIterator[FakeControlPlane]:
    """Serve both ports on loopback until the block ends."""
    key, chain = certificate or plane.authority.server_certificate()
    server = grpc.aio.server()
    add_EnrollmentServiceServicer_to_server(plane, server)
    public = server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key, chain)]))
    devices = grpc.aio.server()
    add_DeviceServiceServicer_to_server(plane, devices)
    mutual = grpc.ssl_server_credentials([(key, chain)], plane.authority.pem, require_client_auth=True)
    private = devices.add_secure_port("127.0.0.1:0", mutual)
    plane.address, plane.device_address = f"127.0.0.1:{public}", f":{private}"
    await server.start()
    await devices.start()
    try:
        yield plane
    finally:
        await server.stop(None)
        await devices.stop(None)
