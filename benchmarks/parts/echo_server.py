"""`python -m benchmarks.parts.echo_server FOLDER`: what grpc.aio itself can do, with the TLS of a control plane.

One method that returns the bytes it was sent, no interceptor, mutual TLS with the keys in FOLDER. Prints its port.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc

from controlplane.keys.authority import CertificateAuthority
from controlplane.runtime.clock import SystemClock
from controlplane.runtime.network.renewed_tls import TlsIdentity, renewed_credentials
from controlplane.runtime.randomness import SystemRandomness

METHOD = "/bench.Echo/Echo"


async def _echo(request: bytes, _context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
    return request


async def main(keys: Path) -> None:
    """Serve until the process is ended."""
    authority = CertificateAuthority.load(keys, wall=SystemClock(), randomness=SystemRandomness())
    identity = authority.server_identity()
    server = grpc.aio.server()
    _, service, name = METHOD.split("/")
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
    mutual = TlsIdentity(identity.private_key, identity.certificate, identity.client_issuers)
    credentials = renewed_credentials(lambda: mutual)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    print(f"serving mtls=127.0.0.1:{port}", file=sys.stderr, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
