"""Why a connection failed. gRPC says "unavailable" for everything; people need to know which thing to mend.

Asked only after a failure: name, then port, then certificate, each with the standard library, and the first that
fails is the answer.
"""

import asyncio
import contextlib
import socket
import ssl
from typing import Final

from agent.control.addresses import Address
from agent.domain.errors import BucklerError, ExitStatus

#: Seconds for each of the three questions.
PROBE_TIMEOUT_S = 5.0
#: OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID.
_EXPIRED = 10
_NOT_YET_VALID = 9
#: OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_OTHER_NAME = (62, 64)
#: It shows its certificate to everybody and did not answer us: it is busy, or does not accept our certificate.
SILENT: Final = "silent"


async def explain_unreachable(address: Address, authorities_pem: bytes) -> BucklerError:
    """Find the reason and put it into one sentence; never raises."""
    loop = asyncio.get_running_loop()
    try:
        await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return BucklerError(
            "SERVER_UNKNOWN",
            f"the name {address.host} is not known",
            next_step="check the spelling of --server and this machine's name resolution",
            exit_status=ExitStatus.UNREACHABLE,
            facts={"server": str(address)},
        )
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address.host, address.port), PROBE_TIMEOUT_S)
        await _close(writer)
    except (OSError, TimeoutError):
        return _unreachable(address, f"nothing answers at {address}")
    return await _explain_handshake(address, authorities_pem)


async def _explain_handshake(address: Address, authorities_pem: bytes) -> BucklerError:
    context = ssl.create_default_context(cadata=authorities_pem.decode("ascii", "replace"))
    context.set_alpn_protocols(["h2"])
    # Whatever the server's name is, the authority has to be right first: OpenSSL reports the name after the chain.
    connecting = asyncio.open_connection(address.host, address.port, ssl=context, server_hostname=address.host)
    try:
        _, writer = await asyncio.wait_for(connecting, PROBE_TIMEOUT_S)
        await _close(writer)
    except ssl.SSLCertVerificationError as error:
        return _not_trusted(address, error)
    except (ssl.SSLError, ConnectionError):
        return BucklerError(
            "SERVER_NOT_TRUSTED",
            f"{address} does not speak TLS as a control plane does",
            next_step="check host and port of --server",
            exit_status=ExitStatus.UNREACHABLE,
            facts={"server": str(address), "cause": "no_tls"},
        )
    except (OSError, TimeoutError):
        return _unreachable(address, f"{address} accepts connections but does not answer")
    return BucklerError(
        "SERVER_BUSY",
        f"the control plane at {address} is there but did not answer",
        next_step="try again in a minute",
        exit_status=ExitStatus.UNREACHABLE,
        facts={"server": str(address), "cause": SILENT},
    )


async def _close(writer: asyncio.StreamWriter) -> None:
    """At once, without a farewell that the other side may never answer; nothing is left behind when the loop ends."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _unreachable(address: Address, message: str) -> BucklerError:
    return BucklerError(
        "SERVER_UNREACHABLE",
        message,
        next_step="check that the control plane is running and no firewall is in between, then run the command again",
        exit_status=ExitStatus.UNREACHABLE,
        facts={"server": str(address)},
    )


def _not_trusted(address: Address, error: ssl.SSLCertVerificationError) -> BucklerError:
    if error.verify_code == _EXPIRED:
        cause, why = "expired", "has expired"
        next_step = "tell its administrator to renew the certificate; if it is not old, check this machine's clock"
    elif error.verify_code == _NOT_YET_VALID:
        cause, why = "not_yet_valid", "is not valid yet"
        next_step = "check this machine's clock"
    elif error.verify_code in _OTHER_NAME:
        cause, why = "other_name", f"is not for {address.host}"
        next_step = "use the name that the certificate carries, or have this name added to it"
    else:
        cause, why = "unknown_authority", "comes from an authority this device does not know"
        next_step = "give the authority's certificate with --ca; if it was right before, somebody may be in between"
    return BucklerError(
        "SERVER_NOT_TRUSTED",
        f"the certificate of {address} {why}",
        next_step=next_step,
        exit_status=ExitStatus.UNREACHABLE,
        facts={"server": str(address), "cause": cause},
    )
