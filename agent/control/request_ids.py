"""Gives every call an id of ours, under which the control plane's log has it, and notes here which calls failed."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import grpc
import structlog
from grpc.aio import Metadata

from agent.platform.randomness import SystemRandomness
from wire.entitlement_codec import REQUEST_ID_METADATA

_ID_BYTES: Final = 10
#: The way there was bad; `status` says so, and a line for each attempt of a day without network helps nobody.
_NO_LINE_FOR: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
log = structlog.get_logger(__name__)


def new_request_id() -> str:
    """An id that nobody else has."""
    return f"req_{SystemRandomness().token_bytes(_ID_BYTES).hex()}"


def request_id_of(error: grpc.aio.AioRpcError) -> str:
    """Under which id the control plane's log has a failed call; empty: it did not get that far."""
    for name, value in error.trailing_metadata() or ():
        if name == REQUEST_ID_METADATA and isinstance(value, str):
            return value
    return ""


class _Details(NamedTuple):
    """What gRPC wants to know about a call."""

    method: str | bytes
    timeout: float | None
    metadata: Metadata | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None


class RequestIds(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds the id to every unary call of a channel.

    Args:
        new_id: Makes one.
    """

    def __init__(self, new_id: Callable[[], str] = new_request_id) -> None:
        self._new_id = new_id

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Add the id; the call itself goes on as it would."""
        request_id, began = self._new_id(), asyncio.get_running_loop().time()
        named = Metadata(*(client_call_details.metadata or ()), (REQUEST_ID_METADATA, request_id))
        details = _Details(
            client_call_details.method,
            client_call_details.timeout,
            named,
            client_call_details.credentials,
            client_call_details.wait_for_ready,
        )
        call = await continuation(details, request)
        code = await call.code()
        if code is not grpc.StatusCode.OK and code not in _NO_LINE_FOR:
            method = details.method if isinstance(details.method, str) else details.method.decode()
            took = asyncio.get_running_loop().time() - began
            log.info(
                "call_not_ok", request_id=request_id, method=method, code=code.name, duration_ms=round(took * 1000, 1)
            )
        return call
