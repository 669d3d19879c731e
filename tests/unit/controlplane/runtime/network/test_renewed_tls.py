"""Real handshakes on the loopback: who is let in while issuers come and go, without a restart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from controlplane.keys.authority import CertificateAuthority, requested_key
from controlplane.keys.authority_root import FILE_NAME as ROOT_KEY
from controlplane.keys.certificates import server_certificate
from controlplane.runtime.clock import SystemClock
from controlplane.runtime.network.renewed_tls import TlsIdentity, renewed_credentials
from controlplane.runtime.randomness import SystemRandomness
from tests.fakes.certificate_requests import DeviceKey

METHOD = "/test.Echo/Say"
TIMEOUT_S = 60.0


class Site:
    """A server, and devices with keys of their own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / ROOT_KEY
        self.authority = CertificateAuthority.create(
            folder, hostnames=[], wall=SystemClock(), randomness=SystemRandomness()
        )
        self.trusted = self.authority.authorities_pem()
        self.broken = False
        self.port = 0

    def identity(self) -> TlsIdentity:
        if self.broken:
            raise FileNotFoundError
        shown = self.authority.server_identity()
        return TlsIdentity(shown.private_key, shown.certificate, shown.client_issuers)

    def device(self) -> tuple[bytes, bytes]:
        key = DeviceKey()
        return key.pem, self.authority.issue_device(key.certificate_request(), device_id="dev_1", org_id="org_1")

    async def lets_in(self, device: tuple[bytes, bytes]) -> bool:
        credentials = grpc.ssl_channel_credentials(self.trusted, *device)
        async with grpc.aio.secure_channel(f"localhost:{self.port}", credentials) as channel:
            say: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
            try:
                return await say(b"hello", timeout=TIMEOUT_S) == b"hello"
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    return False
                raise


async def _say(request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
    return request


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with _served(Site(tmp_path)) as served:
        yield served


@asynccontextmanager
async def _served(site: Site) -> AsyncIterator[Site]:
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_say)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Say": handler}),))
    site.port = server.add_secure_port("localhost:0", renewed_credentials(site.identity))
    await server.start()
    try:
        yield site
    finally:
        await server.stop(None)


async def test_devices_of_the_old_and_the_new_issuer_are_let_in_and_those_of_a_revoked_one_are_not(site: Site) -> None:
    old = site.device()
    assert await site.lets_in(old)
    site.authority.rotate(site.root, timedelta(0))
    new = site.device()
    assert await site.lets_in(old)
    assert await site.lets_in(new)
    site.authority.revoke(site.authority.issuers.devices[0].name, site.root)
    assert not await site.lets_in(old)
    assert await site.lets_in(new)


async def test_a_device_without_a_certificate_of_ours_is_not_let_in(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other")
    assert not await site.lets_in(other.device())


async def test_handshakes_go_on_while_the_files_cannot_be_read(site: Site) -> None:
    device = site.device()
    site.broken = True
    assert await site.lets_in(device)


async def test_an_issuer_of_devices_cannot_pretend_to_be_a_server(site: Site, tmp_path: Path) -> None:
    leaked = site.authority.issuers.devices[0].issuer
    key = DeviceKey()
    certificate = server_certificate(
        requested_key(key.certificate_request()),
        leaked,
        names=["localhost"],
        serial=b"\x01" * 20,
        now=SystemClock().now(),
    )
    chain = certificate.public_bytes(Encoding.PEM) + leaked.certificate.public_bytes(Encoding.PEM)
    (tmp_path / "false").mkdir()
    pretender = Site(tmp_path / "false")
    accepted = site.identity().client_authorities
    pretender.identity = lambda: TlsIdentity(key.pem, chain, accepted)  # type: ignore[method-assign]
    async with _served(pretender):
        site.port = pretender.port
        assert not await site.lets_in(site.device())
