from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from controlplane.devices.errors import device_cloned
from controlplane.runtime.interceptors import CallEntry, CallInterceptor, peer_address
from controlplane.runtime.network.certificates import device_from_certificate
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal
from controlplane.runtime.randomness import SystemRandomness
from controlplane.runtime.rate_limit import RateLimiter
from controlplane.storage.outages import DatabaseUnavailableError
from tests.fakes.clock import FakeClock
from wire.entitlement_codec import ERROR_DETAIL_METADATA
from wire.v1.common_pb2 import ErrorDetail


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:5000", "127.0.0.1"),
        ("ipv6:[::1]:5000", "::1"),
        ("ipv6:%5B::1%5D:5000", "::1"),
        ("unix:/run/x", "unix:/run/x"),
        ("", ""),
    ],
)
def test_a_peer_is_known_by_its_address_whatever_port_it_calls_from(peer: str, address: str) -> None:
    assert peer_address(peer) == address


def test_a_device_is_who_its_certificate_says() -> None:
    names = (b"example.com", b"urn:buckler:org:org_1:device:dev_2")
    assert device_from_certificate(names, b"key") == DevicePrincipal("dev_2", "org_1", b"key")


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"urn:buckler:org:org_1",
        b"urn:buckler:org::device:dev_2",
        b"urn:buckler:org:org_1:device:dev_2:org:other",
        b"urn:buckler:org:org_1:device:dev_2\n",
        b"urn:buckler:org:org_1:device:\xff",
        b"x-urn:buckler:org:org_1:device:dev_2",
    ],
)
def test_any_other_name_is_no_device(name: bytes) -> None:
    assert device_from_certificate((name,), b"key") is None


class NobodyKnown:
    """Tokens and times of an installation without people."""

    async def authenticate(self, untrusted_token: str) -> PersonPrincipal:
        raise AssertionError(untrusted_token)

    async def ahead(self, org_id: str) -> timedelta:
        raise AssertionError(org_id)


class Ended(Exception):  # noqa: N818 -- what gRPC does to end a call
    """How a call was ended."""


class FakeContext:
    """A call that remembers how it was ended."""

    def peer(self) -> str:
        return "ipv4:127.0.0.1:5000"

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    async def abort(self, code: grpc.StatusCode, details: str, trailing_metadata: Any = ()) -> None:
        raise Ended(code, dict(trailing_metadata).get(ERROR_DETAIL_METADATA, b""))


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        # A write to a line that has gone.
        (grpc.aio.InternalError("Failed to execute a batch"), grpc.StatusCode.CANCELLED, ""),
        (DatabaseUnavailableError("gone"), grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"),
        (device_cloned(), grpc.StatusCode.FAILED_PRECONDITION, "DEVICE_CLONED"),
        (KeyError("x"), grpc.StatusCode.INTERNAL, "INTERNAL"),
    ],
)
async def test_what_a_call_raised_becomes_a_status(error: Exception, code: grpc.StatusCode, reason: str) -> None:
    async def behaviour(_request: object, _context: object) -> None:
        raise error

    async def continuation(_details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(behaviour)

    nobody = NobodyKnown()
    entry = CallEntry(nobody, RateLimiter({}), FakeClock(), SystemRandomness(), nobody)
    details: Any = SimpleNamespace(method="/buckler.v1.EnrollmentService/Greet", invocation_metadata=())
    handler: Any = await CallInterceptor(entry).intercept_service(continuation, details)
    with pytest.raises(Ended) as ended:
        await handler.unary_unary(None, FakeContext())
    shown, detail = ended.value.args
    assert (shown, ErrorDetail.FromString(detail).reason) == (code, reason)
