"""A device whose certificate is not accepted any more proves its key and is certified anew.

That happens to a device that was away for longer than its certificate, and to every device whose issuer was revoked.
Nobody has to do anything: the key is the identity, and the control plane knows it.
"""

from datetime import datetime, timedelta
from typing import Final

import grpc
import structlog

from agent.control.addresses import parse_address
from agent.control.channel import CALL_TIMEOUT_S, tls_channel
from agent.control.enrolment.enroller import certificate_is_ours
from agent.control.enrolment.identity import DeviceIdentity
from agent.control.refusals import refusal_from_rpc
from agent.control.tls_probe import SILENT
from agent.domain.errors import BucklerError
from agent.domain.ports import Clock, Enrolment
from wire.v1.enrollment_pb2 import RenewCertificateRequest, RenewCertificateResponse
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceStub

log = structlog.get_logger(__name__)
#: A server that is only busy is not asked more often than this.
NOT_AGAIN_FOR: Final = timedelta(minutes=15)


class CertificateRenewal:
    """Asks, but not all the time.

    Args:
        clock: Wall time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked_at: datetime | None = None

    async def attempt(
        self, error: BucklerError, enrolment: Enrolment | None, identity: DeviceIdentity | None
    ) -> RenewCertificateResponse | None:
        """A fresh certificate and what to trust; None: that would not help, or was refused.

        Args:
            error: Why the last contact failed.
            enrolment: As it is.
            identity: The device key.
        """
        refused = error.code == "CERTIFICATE_EXPIRED" or error.facts.get("cause") == SILENT
        if not refused or enrolment is None or not enrolment.server or identity is None:
            return None
        now = self._clock.now()
        if self._asked_at is not None and timedelta(0) <= now - self._asked_at < NOT_AGAIN_FOR:
            return None
        self._asked_at = now
        request = RenewCertificateRequest(
            org_id=enrolment.org_id,
            device_id=enrolment.device_id,
            certificate_request_der=identity.certificate_request(enrolment.device_id),
        )
        try:
            async with tls_channel(parse_address(enrolment.server), enrolment.authorities_pem) as channel:
                answer = await EnrollmentServiceStub(channel).RenewCertificate(request, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as failed:
            log.info("certificate_not_renewed", code=refusal_from_rpc(failed).code)
            return None
        if not certificate_is_ours(answer.device_certificate_pem, identity):
            log.warning("certificate_of_another_key")
            return None
        log.info("certificate_renewed")
        return answer
