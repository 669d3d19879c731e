"""The ports of a control plane: who listens where, with which credentials, and what happens around every call."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from controlplane.accounts.rpc import AccountRpc
from controlplane.app import ControlPlane
from controlplane.billing.rpc import BillingRpc
from controlplane.billing.webhook import payment_hook
from controlplane.commands.rpc import CommandExchangeRpc, CommandRpc
from controlplane.detections.ports import Intake
from controlplane.detections.rpc import DetectionRpc
from controlplane.devices.check_ins.desk import CheckInDesk, Pace
from controlplane.devices.rpc import DeviceRpc, FleetRpc
from controlplane.devices.stream import DeviceStreams
from controlplane.diagnostics.rpc import DiagnosticsRpc, DiagnosticUploadsRpc
from controlplane.downloads.rpc import DownloadRpc
from controlplane.licensing.rpc import EnrollmentRpc, EnrollmentSettings, EntitlementRpc, LicensingRpc, TrustAnchors
from controlplane.notices.rpc import NoticeRpc
from controlplane.policies.rpc import PolicyExchangeRpc, PolicyRpc
from controlplane.runtime.interceptors import CallEntry, CallInterceptor
from controlplane.runtime.network.balanced import Origins
from controlplane.runtime.network.renewed_tls import TlsIdentity, renewed_credentials
from controlplane.runtime.network.server import (
    MAX_DEVICE_MESSAGE_BYTES,
    MAX_PEOPLE_MESSAGE_BYTES,
    Address,
    Listener,
    Register,
)
from controlplane.runtime.network.web import Hook
from controlplane.runtime.observability.call_log import CallLog
from controlplane.runtime.observability.tracing import Tracing
from controlplane.runtime.rate_limit import Rate, RateLimiter
from controlplane.runtime.sandbox import SandboxDesk
from controlplane.runtime.sandbox_rpc import SandboxRpc
from controlplane.subscriptions.rpc import SubscriptionRpc
from wire.v1.account_pb2_grpc import add_AccountServiceServicer_to_server
from wire.v1.billing_pb2_grpc import add_BillingServiceServicer_to_server
from wire.v1.command_pb2_grpc import add_CommandServiceServicer_to_server
from wire.v1.device_pb2_grpc import add_DeviceServiceServicer_to_server
from wire.v1.diagnostics_pb2_grpc import add_DiagnosticsServiceServicer_to_server
from wire.v1.download_pb2_grpc import add_DownloadServiceServicer_to_server
from wire.v1.enrollment_pb2_grpc import add_EnrollmentServiceServicer_to_server
from wire.v1.fleet_pb2_grpc import add_FleetServiceServicer_to_server
from wire.v1.licensing_pb2_grpc import add_LicensingServiceServicer_to_server
from wire.v1.notice_pb2_grpc import add_NoticeServiceServicer_to_server
from wire.v1.policy_pb2_grpc import add_PolicyServiceServicer_to_server
from wire.v1.sandbox_pb2_grpc import add_SandboxServiceServicer_to_server
from wire.v1.subscription_pb2_grpc import add_SubscriptionServiceServicer_to_server

#: Calls that anybody may make, per address of the caller. Keys and passwords cannot be guessed at these rates; the
#: burst of activations leaves room for a company behind one address.
RATES: Final[Mapping[str, Rate]] = {
    "/buckler.v1.AccountService/SignIn": Rate(burst=20, every=timedelta(seconds=6)),
    "/buckler.v1.EnrollmentService/PrepareActivation": Rate(burst=100, every=timedelta(seconds=1)),
    "/buckler.v1.EnrollmentService/Activate": Rate(burst=100, every=timedelta(seconds=1)),
    "/buckler.v1.EnrollmentService/RenewCertificate": Rate(burst=100, every=timedelta(seconds=1)),
}


def interceptor(plane: ControlPlane, origins: Origins, log: CallLog, tracing: Tracing) -> CallInterceptor:
    """What happens around every call, the same on both ports."""
    return CallInterceptor(
        CallEntry(
            tokens=plane.account_desks.tokens,
            limiter=RateLimiter(RATES),
            clock=plane.clocks.wall,
            randomness=plane.randomness,
            times=plane.times,
            address_of=origins.address_of,
        ),
        log,
        tracing,
    )


def device_listener(
    plane: ControlPlane,
    address: Address,
    *,
    streams: DeviceStreams,
    check_in_interval_s: int,
    intake: Intake | None = None,
) -> Listener:
    """The port of activated devices: mutual TLS.

    Args:
        plane: What they ask.
        address: Where.
        streams: Of devices.
        check_in_interval_s: Seconds that they are asked to leave between check-ins.
        intake: Takes what they report; None: straight into the database.
    """
    authority = plane.keys.authority
    anchors = TrustAnchors(plane.keys.signer, authority)

    def mutual() -> TlsIdentity:
        identity = authority.server_identity()
        return TlsIdentity(identity.private_key, identity.certificate, identity.client_issuers)

    servicer = DeviceRpc(
        service=plane.devices,
        check_ins=CheckInDesk(
            remembered=plane.fleet.remembered,
            check_ins=plane.fleet.check_ins,
            commands=PolicyExchangeRpc(CommandExchangeRpc(plane.commands), plane.policies.delivery),
            pace=Pace(check_in_interval_s, streams.connections.rely_on),
        ),
        entitlements=EntitlementRpc(service=plane.licensing, anchors=anchors, clock=plane.clocks.business),
        detections=DetectionRpc(plane.findings.detections, intake),
        diagnostics=DiagnosticUploadsRpc(plane.diagnostics),
        streams=streams,
    )
    return Listener(
        address=address,
        credentials=renewed_credentials(mutual),
        services=[partial(add_DeviceServiceServicer_to_server, servicer)],
        max_message_bytes=MAX_DEVICE_MESSAGE_BYTES,
    )


def people_listener(
    plane: ControlPlane, address: Address, *, enrollment: EnrollmentSettings, sandbox: SandboxDesk
) -> Listener:
    """The port of people and of devices that ask for a seat: TLS."""
    authority = plane.keys.authority
    anchors = TrustAnchors(plane.keys.signer, authority)

    def one_sided() -> TlsIdentity:
        identity = authority.server_identity()
        return TlsIdentity(identity.private_key, identity.certificate, None)

    enroll = EnrollmentRpc(
        service=plane.licensing,
        devices=plane.devices,
        anchors=anchors,
        settings=enrollment,
        clock=plane.clocks.business,
    )
    licensing = LicensingRpc(
        keys=plane.key_desk,
        seats=plane.seat_desk,
        service=plane.licensing,
        anchors=anchors,
        clock=plane.clocks.business,
    )
    fleet = FleetRpc(
        fleet=plane.fleet.reader,
        expiry=plane.findings.expiry,
        devices=plane.devices,
        detections=DetectionRpc(plane.findings.detections),
    )
    services: list[Register] = [
        partial(add_EnrollmentServiceServicer_to_server, enroll),
        partial(add_AccountServiceServicer_to_server, AccountRpc(plane.database, plane.account_desks)),
        partial(
            add_SubscriptionServiceServicer_to_server,
            SubscriptionRpc(plane.database, plane.subscriptions, plane.lives.desk, plane.lives.quotes),
        ),
        partial(add_NoticeServiceServicer_to_server, NoticeRpc(plane.database, plane.lives.notices)),
        partial(add_LicensingServiceServicer_to_server, licensing),
        partial(add_FleetServiceServicer_to_server, fleet),
        partial(add_CommandServiceServicer_to_server, CommandRpc(plane.commands, plane.campaigns)),
        partial(add_PolicyServiceServicer_to_server, PolicyRpc(plane.policies)),
        partial(add_DiagnosticsServiceServicer_to_server, DiagnosticsRpc(plane.diagnostics)),
        partial(add_DownloadServiceServicer_to_server, DownloadRpc(plane.database, plane.downloads)),
        partial(
            add_BillingServiceServicer_to_server,
            BillingRpc(plane.database, plane.billing.service, plane.billing.desk, plane.billing.wallet),
        ),
        partial(add_SandboxServiceServicer_to_server, SandboxRpc(sandbox)),
    ]
    services += plane.findings.services()
    return Listener(
        address=address,
        credentials=renewed_credentials(one_sided),
        services=services,
        max_message_bytes=MAX_PEOPLE_MESSAGE_BYTES,
    )


def web_hooks(plane: ControlPlane) -> Sequence[Hook]:
    """What others post over HTTP."""
    return [payment_hook(plane.billing.service)]
