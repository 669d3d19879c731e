"""The link to the control plane: the check-in loop, and the calls an activated device makes.

One rule above all: trouble here never touches protection. Every failure is remembered for `status`, waited out with
back-off, and tried again; the loop ends only when it is cancelled.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeVar
from uuid import UUID

import grpc
import structlog
from cryptography import x509

from agent.control.addresses import parse_address
from agent.control.channel import CALL_TIMEOUT_S, mutual_tls_channel
from agent.control.command_wire import command_from_wire, report_to_wire
from agent.control.device_report import DeviceReport, batch_to_wire, is_worth_telling, status_to_wire
from agent.control.entitlements import EntitlementKeeper
from agent.control.link_settings import LinkSettings
from agent.control.managed_policy import GivenPolicy
from agent.control.refusals import TRANSIENT, error_detail, is_transient, refusal_from_rpc
from agent.control.renewal import CertificateRenewal
from agent.control.tls_probe import explain_unreachable
from agent.domain.commands import CommandEntry, RemoteCommand
from agent.domain.entitlement import EntitlementError
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.incident import Incident
from agent.domain.ports import BundlePiece, Clock, Enrolment, Randomness, ReportReceipt, UplinkError
from wire.instants import from_us
from wire.v1 import device_pb2, diagnostics_pb2
from wire.v1.device_pb2_grpc import DeviceServiceStub

if TYPE_CHECKING:  # the generated file names this type for checkers only
    from wire.v1.device_pb2_grpc import DeviceServiceAsyncStub

_Answer = TypeVar("_Answer")
log = structlog.get_logger(__name__)
#: A certificate is rotated once less than this share of its life is left; the server issues it for weeks.
_ROTATE_AT_REMAINING = 1 / 3
_JITTER = 0.1
#: Codes that speak of what was sent, not of who sent it.
_REFUSES_CONTENT = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE})
#: A message of less can hardly be too large for anybody; gRPC's own limit is 4 MiB.
_LARGE_BYTES = 1 << 20
#: `DeactivateRequest.reason` holds no more (device.proto).
_REASON_MAX = 500


class CommandDesk(Protocol):
    """Where commands go and reports come from; see `agent.control.command_runner.CommandRunner`."""

    def receive(self, commands: Iterable[RemoteCommand], given_up: Iterable[str] = ()) -> None:
        """Take what arrived."""

    def reports(self) -> list[CommandEntry]:
        """What the control plane does not know yet."""

    def told(self, entries: Iterable[CommandEntry]) -> None:
        """The control plane has accepted these."""


class NoCommands:
    """A device that does nothing for others; port `CommandDesk`."""

    def receive(self, commands: Iterable[RemoteCommand], given_up: Iterable[str] = ()) -> None:
        """Nothing is done, and the control plane will say that time is up."""

    def reports(self) -> list[CommandEntry]:
        """Nothing."""
        return []

    def told(self, entries: Iterable[CommandEntry]) -> None:
        """Nothing was told."""


class PolicyDesk(Protocol):
    """Where policies go; see `agent.control.policy_keeper.PolicyKeeper`."""

    @property
    def etag(self) -> str:
        """Of the policy that was given last."""

    def receive(self, untrusted: GivenPolicy) -> None:
        """Take what arrived."""


class ControlLink:
    """Keeps this device in contact; port `agent.domain.ports.IncidentUplink`.

    Args:
        settings: Times.
        keeper: What this device is entitled to; the link feeds it.
        clock: Wall time, which certificates follow.
        randomness: For jitter.
        report: The state of protection now.
        on_contact: Called after each check-in that worked; what this device may do may have changed with it.
    """

    def __init__(
        self,
        settings: LinkSettings,
        keeper: EntitlementKeeper,
        clock: Clock,
        randomness: Randomness,
        report: Callable[[], Awaitable[DeviceReport]],
        on_contact: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._keeper = keeper
        self._clock = clock
        self._randomness = randomness
        self._report = report
        self._renewal = CertificateRenewal(clock)
        self._commands: CommandDesk = NoCommands()
        self._policies: PolicyDesk | None = None
        self._on_contact = on_contact
        self._wake = asyncio.Event()
        #: The server relies on the stream instead of check-ins; and that has ended since.
        self._relied_on = self._hurried = False
        self._told: DeviceReport | None = None
        self._failures = 0
        self._channel: grpc.aio.Channel | None = None
        self._channel_of: Enrolment | None = None
        self._last_error: BucklerError | None = None
        self._reached = False

    @property
    def last_error(self) -> BucklerError | None:
        """Why the last contact failed; None: it did not."""
        return self._last_error

    @property
    def enrolled(self) -> bool:
        """Whether this device knows a control plane."""
        enrolment = self._keeper.enrolment
        return enrolment is not None and bool(enrolment.device_server)

    @property
    def reachable(self) -> bool:
        """Whether the last check-in worked."""
        return self._reached and self._last_error is None

    def attend(self, commands: CommandDesk) -> None:
        """From now on commands go there, and reports about them come from there."""
        self._commands = commands

    def attend_policies(self, policies: PolicyDesk) -> None:
        """From now on policies go there."""
        self._policies = policies

    async def run(self) -> None:
        """Check in until cancelled; a device that is not activated, or by a file, waits for `wake`."""
        try:
            while True:
                await self._rest(await self._turn())
        finally:
            await self.close()

    def wake(self) -> None:
        """Check in now: the enrolment changed, or somebody wants to know."""
        self._failures = 0
        self._wake.set()

    def report_soon(self) -> None:
        """There is something to tell; unlike `wake` this does not cut a back-off short."""
        if self._last_error is None:
            self._wake.set()

    def hurry(self) -> None:
        """What the server relied on instead of check-ins is gone: go on at the usual pace."""
        self._hurried = True

    async def close(self) -> None:
        """Give the connection back."""
        channel, self._channel, self._channel_of = self._channel, None, None
        if channel is not None:
            await channel.close()

    # ------------------------------------------------------------ one turn of the loop

    async def _turn(self) -> float | None:
        """Check in once; returns the seconds to wait before the next time, None: until woken."""
        self._keeper.note_time()
        if not self.enrolled:
            self._last_error = None
            return None
        try:
            interval = await self.check_in()
        except BucklerError as error:
            if await self._certified_again(error):
                return 0.0
            self._note_failure(error)
            return self._retry_delay(error)
        if self._last_error is not None:
            log.info("contact_made", **self._ids())
        self._failures, self._last_error, self._reached = 0, None, True
        self._on_contact()
        return interval * self._randomness.uniform(1 - _JITTER, 1 + _JITTER)

    def _note_failure(self, error: BucklerError) -> None:
        """Remember why, and say so once for each reason in a row."""
        if self._last_error is None or self._last_error.code != error.code:
            request_id = error.facts.get("request_id")
            log.warning("contact_failed", code=error.code, request_id=request_id, **self._ids())
        self._last_error = error

    def _ids(self) -> dict[str, str]:
        enrolment = self._keeper.enrolment
        return {"org_id": enrolment.org_id, "device_id": enrolment.device_id} if enrolment else {}

    async def _certified_again(self, error: BucklerError) -> bool:
        """Whether the certificate was what kept us from the control plane, and is another one now."""
        renewed = await self._renewal.attempt(error, self._keeper.enrolment, self._keeper.identity())
        if renewed is not None:
            self._keeper.replace_certificate(renewed.device_certificate_pem, renewed.authorities_pem)
        return renewed is not None

    async def check_in(self) -> float:
        """Tell how this device is, and fetch what changed; returns the seconds until the server wishes to hear again.

        Raises:
            BucklerError: No answer, or a refusal.
        """
        claims = self._keeper.claims
        reports = self._commands.reports()
        self._hurried = False
        told = await self._report()
        request = device_pb2.CheckInRequest(
            status=status_to_wire(told),
            entitlement_serial=claims.serial if claims else 0,
            command_reports=[report_to_wire(entry) for entry in reports],
            contact_nonce=self._keeper.contact_nonce(),
            policy_etag=self._policies.etag if self._policies else "",
        )
        answer = await self._ask(lambda stub: stub.CheckIn(request, timeout=CALL_TIMEOUT_S))
        self._told, self._relied_on = told, answer.relies_on_stream
        self._keeper.note_contact(
            from_us(answer.server_time_at_us), answer.check_in_interval_s, answer.next_contact_nonce
        )
        self._take_commands(answer, reports)
        if self._policies is not None and answer.HasField("policy"):
            self._policies.receive(given_policy(answer.policy))
        if answer.entitlement_changed or self._refresh_is_due():
            await self.refresh()
        if self._rotation_is_due():
            await self._rotate()
        wished = float(answer.check_in_interval_s) or self._settings.interval_s
        return min(wished, self._settings.longest_interval_s)

    def _take_commands(self, answer: device_pb2.CheckInResponse, reports: Sequence[CommandEntry]) -> None:
        accepted = set(answer.accepted_report_ids)
        self._commands.told(entry for entry in reports if entry.command.id in accepted)
        self._commands.receive(map(command_from_wire, answer.commands), answer.cancelled_command_ids)

    async def refresh(self) -> None:
        """Fetch the entitlement and trust it if it verifies.

        Raises:
            BucklerError: No answer, a refusal, or a statement that must not be trusted; the old one stays then.
        """
        claims = self._keeper.claims
        request = device_pb2.RefreshEntitlementRequest(trusted_serial=claims.serial if claims else 0)
        answer = await self._ask(lambda stub: stub.RefreshEntitlement(request, timeout=CALL_TIMEOUT_S))
        try:
            self._keeper.adopt(answer, from_us(answer.server_time_at_us))
        except EntitlementError as error:
            raise BucklerError(
                "ENTITLEMENT_REFUSED",
                f"the control plane sent an entitlement that must not be trusted ({error.refusal.value})",
                next_step="tell the control plane's administrator; the entitlement trusted before stays in force",
                exit_status=ExitStatus.NEGATIVE,
                facts={"cause": error.refusal.value},
            ) from error

    def _refresh_is_due(self) -> bool:
        claims = self._keeper.claims
        return claims is None or self._keeper.now() >= claims.refresh_after

    def _rotation_is_due(self) -> bool:
        enrolment = self._keeper.enrolment
        return enrolment is not None and rotation_is_due(enrolment.certificate_pem, self._clock.now())

    async def _rotate(self) -> None:
        identity, enrolment = self._keeper.identity(), self._keeper.enrolment
        if identity is None or enrolment is None:
            return
        request = device_pb2.RotateCertificateRequest(
            certificate_request_der=identity.certificate_request(enrolment.device_id)
        )
        answer = await self._ask(lambda stub: stub.RotateCertificate(request, timeout=CALL_TIMEOUT_S))
        self._keeper.replace_certificate(answer.device_certificate_pem, answer.authorities_pem)

    def _retry_delay(self, error: BucklerError) -> float:
        """Full jitter, so that a fleet does not come back as one after an outage; the server's own wish comes first."""
        asked = float(error.facts.get("retry_after_s", 0))
        if error.exit_status is not ExitStatus.UNREACHABLE:
            return self._settings.refused_retry_s * self._randomness.uniform(1 - _JITTER, 1 + _JITTER)
        self._failures += 1
        ceiling = min(self._settings.longest_retry_s, self._settings.first_retry_s * 2.0 ** min(self._failures, 30))
        return asked + self._randomness.uniform(0.0, ceiling)

    async def _rest(self, seconds: float | None) -> None:
        """Wait for the next turn; while the stream is relied on, only as long as there is nothing to tell."""
        left = seconds
        while left is not None and left > self._settings.look_s and self._relied_on and self.reachable:
            step = self._settings.look_s * self._randomness.uniform(1 - _JITTER, 1)
            if await self._sleep(step) or self._hurried or await self._has_something_to_tell():
                return
            left -= step
        await self._sleep(left)

    async def _has_something_to_tell(self) -> bool:
        return self._told is None or is_worth_telling(self._told, await self._report())

    async def _sleep(self, seconds: float | None) -> bool:
        """Whether somebody woke us."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    # ------------------------------------------------------------ other calls

    async def report(self, incidents: Sequence[Incident], dropped: Mapping[str, int]) -> ReportReceipt:
        """Send one batch of detections.

        Raises:
            UplinkError: It did not arrive.
        """
        if not self.enrolled:
            raise UplinkError(_not_enrolled(), permanent=True)
        try:
            stub = await self.service()
        except BucklerError as error:
            raise UplinkError(error, permanent=True) from error
        try:
            request = batch_to_wire(incidents, dropped)
        except (ValueError, TypeError) as error:
            raise UplinkError(_not_encodable(), permanent=True, content=True) from error
        try:
            answer = await stub.ReportEvents(request, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise report_refused(error, request.ByteSize()) from error
        self._keeper.note_time(max((incident.detected_at for incident in incidents), default=None))
        return ReportReceipt(
            accepted=frozenset(UUID(bytes=uuid) for uuid in answer.accepted_uuids),
            rejected={UUID(bytes=row.uuid): row.reason for row in answer.rejected},
        )

    async def send_piece(self, piece: BundlePiece) -> tuple[int, bool]:
        """Send a piece of a bundle; port `agent.domain.ports.BundleUplink`."""
        request = diagnostics_pb2.UploadDiagnosticsRequest(
            command_id=piece.command_id,
            total_bytes=piece.total_bytes,
            sha256=piece.sha256,
            offset=piece.offset,
            content=piece.content,
        )
        answer = await self._ask(lambda stub: stub.UploadDiagnostics(request, timeout=CALL_TIMEOUT_S))
        return answer.next_offset, answer.complete

    async def deactivate(self, reason: str) -> None:
        """Give the seat back and forget the enrolment; the floor of protection stays.

        Raises:
            BucklerError: `NOT_ACTIVATED`, or no answer; nothing was changed here then.
        """
        request = device_pb2.DeactivateRequest(reason=reason[:_REASON_MAX])
        await self._ask(lambda stub: stub.Deactivate(request, timeout=CALL_TIMEOUT_S))
        await self.close()
        self._keeper.forget()

    # ------------------------------------------------------------ the connection

    async def _ask(self, call: "Callable[[DeviceServiceAsyncStub], Awaitable[_Answer]]") -> _Answer:
        stub = await self.service()
        try:
            return await call(stub)
        except grpc.aio.AioRpcError as error:
            raise await self._explain(error) from error

    async def _explain(self, error: grpc.aio.AioRpcError) -> BucklerError:
        enrolment = self._keeper.enrolment
        if enrolment is None or error_detail(error) is not None or error.code() not in TRANSIENT:
            return refusal_from_rpc(error)
        if certificate_has_ended(enrolment.certificate_pem, self._clock.now()):
            return BucklerError(
                "CERTIFICATE_EXPIRED",
                "the certificate of this device ended before it could be renewed",
                next_step="it is renewed by itself; if it is not, run `buckler activate`: the seat is kept",
                exit_status=ExitStatus.NEGATIVE,
            )
        return await explain_unreachable(parse_address(enrolment.device_server), enrolment.authorities_pem)

    async def service(self) -> "DeviceServiceAsyncStub":
        """The service, over a connection made with the enrolment as it is now.

        Raises:
            BucklerError: `NOT_ACTIVATED`, `NO_CONTROL_PLANE` or `DEVICE_KEY_MISSING`.
        """
        enrolment, identity = self._keeper.enrolment, self._keeper.identity()
        if enrolment is None:
            raise not_activated()
        if not enrolment.device_server:
            raise BucklerError(
                "NO_CONTROL_PLANE",
                "this device was activated with a licence file and knows no control plane",
                next_step="end the licence here with `buckler deactivate --local-only`; an admin releases its seat",
                exit_status=ExitStatus.NEGATIVE,
            )
        if identity is None:
            raise BucklerError(
                "DEVICE_KEY_MISSING",
                "the device key is gone or damaged, so this device cannot prove who it is",
                next_step="activate this device again with `buckler activate`",
                exit_status=ExitStatus.ENVIRONMENT,
            )
        old = self._channel_of
        if old is None or _connection_facts(old) != _connection_facts(enrolment):
            await self.close()
            self._channel_of = enrolment
            self._channel = mutual_tls_channel(
                parse_address(enrolment.device_server),
                enrolment.authorities_pem,
                identity.private_key_pem,
                enrolment.certificate_pem,
            )
        assert self._channel is not None
        return DeviceServiceStub(self._channel)


def report_refused(error: grpc.aio.AioRpcError, request_bytes: int) -> UplinkError:
    """Why a batch of detections did not arrive, and whether fewer of them might."""
    detail = error_detail(error)
    wait = float(detail.retry_after_s) if detail else 0.0
    # Without an explanation of its own this is gRPC itself, which takes no message beyond its limit.
    too_large = detail is None and error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and request_bytes > _LARGE_BYTES
    content = too_large or error.code() in _REFUSES_CONTENT
    if too_large:
        why = _too_large()
    elif detail is None and error.code() in TRANSIENT:
        why = _unreachable(error)
    else:
        why = refusal_from_rpc(error)
    return UplinkError(why, permanent=content or not is_transient(error), retry_after_s=wait, content=content)


def _not_enrolled() -> BucklerError:
    return BucklerError(
        "NOT_ENROLLED",
        "this device knows no control plane to report detections to",
        next_step="nothing has to be done: they are kept here, and reported once `buckler activate --server` names one",
        exit_status=ExitStatus.NEGATIVE,
    )


def _unreachable(error: grpc.aio.AioRpcError) -> BucklerError:
    # The contact, which has the same way, finds out what is wrong with it.
    return BucklerError(
        "SERVER_UNREACHABLE",
        f"the control plane could not be reached with the last detections ({error.code().name})",
        next_step="they are kept and sent again by themselves; `buckler doctor` says what is in the way",
        exit_status=ExitStatus.UNREACHABLE,
    )


def _too_large() -> BucklerError:
    return BucklerError(
        "REPORT_TOO_LARGE",
        "the control plane takes no report of detections that is so large",
        next_step="they are sent in smaller ones by themselves; if it stays, tell support",
        exit_status=ExitStatus.NEGATIVE,
    )


def _not_encodable() -> BucklerError:
    return BucklerError(
        "REPORT_NOT_ENCODABLE",
        "a detection cannot be put into the form of a report",
        next_step="the others are sent without it; tell support, with a bundle of `buckler diagnostics`",
        exit_status=ExitStatus.NEGATIVE,
    )


def given_policy(untrusted: device_pb2.DevicePolicy) -> GivenPolicy:
    """A policy from its message; bytes that are no text are kept apart from text, and refused later."""
    return GivenPolicy(untrusted.etag, untrusted.version, untrusted.document.decode("utf-8", "surrogateescape"))


def rotation_is_due(certificate_pem: bytes, now: datetime) -> bool:
    """Whether less than a third of a certificate's life is left; certificates follow the wall clock."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return end - now < (end - begin) * _ROTATE_AT_REMAINING


def certificate_has_ended(certificate_pem: bytes, now: datetime) -> bool:
    """Whether a certificate is no longer valid."""
    return now >= x509.load_pem_x509_certificate(certificate_pem).not_valid_after_utc


def not_activated() -> BucklerError:
    """What every command says that needs a seat on a device without one."""
    return BucklerError(
        "NOT_ACTIVATED",
        "this device is not activated",
        next_step="get an activation key from your administrator and run `buckler activate --server HOST:PORT`",
        exit_status=ExitStatus.NEGATIVE,
    )


def _connection_facts(enrolment: Enrolment) -> tuple[str, bytes, bytes]:
    return enrolment.device_server, enrolment.authorities_pem, enrolment.certificate_pem
