"""TLS credentials of a server that goes on while they change: they are looked at with every handshake."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc
import structlog

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """What a server shows and whom it accepts, PEM.

    Attributes:
        private_key: Of its certificate.
        certificate: With those of its issuers that peers do not know.
        client_authorities: A client must show a certificate that one of them issued; None: it shows none.
    """

    private_key: bytes
    certificate: bytes
    client_authorities: bytes | None


def renewed_credentials(identity: Callable[[], TlsIdentity]) -> grpc.ServerCredentials:
    """Credentials that follow what `identity` says; it is called from threads of gRPC, and must be quick.

    While it fails, handshakes go on with what it said before. Connections that are open stay as they are.
    """
    present = identity()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal present
        try:
            now = identity()
        # Supervision point: a file that is being replaced, or may not be read, must not end every handshake.
        except Exception as error:  # noqa: BLE001
            _log.error("tls_identity_not_read", exc_info=error)
            return None
        if now == present:
            return None
        present = now
        _log.info("tls_identity_changed")
        return _configuration(now)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(present),
        changed,  # type: ignore[arg-type]  # the stubs do not know that None means "as before"
        require_client_authentication=present.client_authorities is not None,
    )


def _configuration(identity: TlsIdentity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.private_key, identity.certificate)], root_certificates=identity.client_authorities
    )
