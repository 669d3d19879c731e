"""Channels to the control plane: TLS for an activation, mutual TLS for everything after it."""

import ssl
from pathlib import Path

import grpc

from agent.control.addresses import Address
from agent.control.request_ids import RequestIds
from agent.domain.errors import BucklerError

#: Far above any honest answer (an entitlement is a few KiB); a hostile server gets no more of our memory.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
#: Seconds for one unary call, connection included.
CALL_TIMEOUT_S = 20.0

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    # Our own back-off decides when to try again (agent.control.link); gRPC's would hide failures for minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
    # Two agents in one process (tests) must not share a connection authenticated as the other.
    ("grpc.use_local_subchannel_pool", 1),
)


def tls_channel(address: Address, authorities_pem: bytes) -> grpc.aio.Channel:
    """A channel that proves the server to us, not us to the server."""
    credentials = grpc.ssl_channel_credentials(root_certificates=authorities_pem)
    return grpc.aio.secure_channel(str(address), credentials, options=_OPTIONS, interceptors=[RequestIds()])


def mutual_tls_channel(
    address: Address, authorities_pem: bytes, private_key_pem: bytes, certificate_pem: bytes
) -> grpc.aio.Channel:
    """A channel on which both sides prove who they are."""
    credentials = grpc.ssl_channel_credentials(authorities_pem, private_key_pem, certificate_pem)
    return grpc.aio.secure_channel(str(address), credentials, options=_OPTIONS, interceptors=[RequestIds()])


def read_authorities(ca_file: Path | None) -> bytes:
    """What a server's certificate must chain to: the file given, or this system's own trust store.

    gRPC brings a store of its own along; using the system's makes both the call and `tls_probe` judge alike.

    Raises:
        BucklerError: `CA_FILE_INVALID`.
    """
    if ca_file is None:
        store = ssl.get_default_verify_paths()
        path = Path(store.cafile or store.openssl_cafile)
        if not path.is_file():
            raise BucklerError(
                "CA_FILE_INVALID",
                "this system has no store of certificate authorities",
                next_step="give the control plane's authority with --ca",
            )
        return path.read_bytes()
    try:
        pem = ca_file.read_bytes()
        ssl.create_default_context(cadata=pem.decode("ascii"))
    except OSError as error:
        raise _invalid_ca(ca_file, f"cannot be read: {error.strerror}") from error
    except (ssl.SSLError, ValueError) as error:
        raise _invalid_ca(ca_file, "holds no certificates in PEM form") from error
    return pem


def _invalid_ca(path: Path, why: str) -> BucklerError:
    return BucklerError(
        "CA_FILE_INVALID",
        f"the file {path} given with --ca {why}",
        next_step="ask the control plane's administrator for its ca.pem",
    )
