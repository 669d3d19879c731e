"""What happens around every call: request id, who is calling, may they, how failure is told.

One interceptor, in this order: name the call, find the principal (client certificate on the device port, bearer token
on the other), check the role table, count it against the rate limit, run it, translate what it raised. Use cases find
the caller in `runtime.principal` and never see gRPC.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any, Protocol, cast

import grpc

from controlplane.runtime.call_statuses import STATUS
from controlplane.runtime.clock import Clock
from controlplane.runtime.network.certificates import DeviceCertificates
from controlplane.runtime.observability.call_log import CallLog, Entered, tell_failed, tell_gone, tell_refused
from controlplane.runtime.observability.tracing import NoTracing, Tracing
from controlplane.runtime.permissions import PERMISSIONS, Caller, authorise
from controlplane.runtime.principal import PersonPrincipal, Principal, calling
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.runtime.rate_limit import RateLimiter
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.runtime.rpc_errors import error_detail, internal_detail, refusal_of
from wire.entitlement_codec import ERROR_DETAIL_METADATA, REQUEST_ID_METADATA

#: A longer bearer token is not even hashed.
MAX_TOKEN_CHARACTERS = 512

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")

Context = grpc.aio.ServicerContext[Any, Any]
Unary = Callable[[Any, Context], Awaitable[Any]]
Stream = Callable[[Any, Context], AsyncIterator[Any]]
#: Quoted where it is used: generic in the stubs, not at run time.
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]]


class TokenAuthenticator(Protocol):
    """Knows whose a bearer token is; implemented by `accounts`."""

    async def authenticate(self, untrusted_token: str) -> PersonPrincipal:
        """The person behind a token.

        Raises:
            Refusal: UNAUTHENTICATED, the token is unknown, expired or revoked.
        """


class OrganisationTimes(Protocol):
    """Knows how far organisations live ahead; implemented by `runtime.tenant_time`."""

    async def ahead(self, org_id: str) -> timedelta:
        """Nothing for all but sandboxes."""


def peer_address(peer: str) -> str:
    """A gRPC peer without its port: `ipv4:127.0.0.1:5000` becomes `127.0.0.1`."""
    scheme, _, rest = peer.partition(":")
    if scheme == "ipv4":
        return rest.rpartition(":")[0]
    if scheme == "ipv6":
        return rest.replace("%5B", "[").replace("%5D", "]").rpartition(":")[0].strip("[]")
    return peer


@dataclass(frozen=True, slots=True)
class CallEntry:
    """Decides how a call enters: its id, its principal, its budget.

    Args:
        tokens: Where bearer tokens are looked up.
        limiter: Budgets of the calls that anybody may make.
        clock: Wall time, for the budgets.
        randomness: For request ids.
        times: Whose time runs ahead.
        certificates: Knows whose a certificate is.
        address_of: The address behind a gRPC peer; a balancer hides it.
    """

    tokens: TokenAuthenticator
    limiter: RateLimiter
    clock: Clock
    randomness: Randomness
    times: OrganisationTimes
    certificates: DeviceCertificates = field(default_factory=DeviceCertificates)
    address_of: Callable[[str], str] = peer_address

    def request_id(self, context: Context) -> str:
        """The caller's own id if it is a harmless one, else a new one."""
        wanted = _metadata(context, REQUEST_ID_METADATA)
        return wanted if _REQUEST_ID.fullmatch(wanted) else new_id(self.randomness, "req")

    async def admit(self, entered: Entered, context: Context) -> Principal | None:
        """Find the principal, check that it may, count the call.

        Raises:
            Refusal: UNAUTHENTICATED, ROLE_MISSING, FORBIDDEN or RATE_LIMITED.
        """
        method = entered.method
        limited = self.limiter.limits(method)
        delay = self.limiter.wait(method, entered.peer, self.clock.now()) if limited else None
        if delay is not None:
            seconds = int(delay.total_seconds()) + 1
            raise Refusal(
                Kind.EXHAUSTED,
                "RATE_LIMITED",
                "too many attempts from this address",
                f"Wait {seconds} seconds, then try again",
                retry_after_s=seconds,
            )
        principal = await self._principal(method, context)
        authorise(method, principal)
        return principal

    async def _principal(self, method: str, context: Context) -> Principal | None:
        permission = PERMISSIONS.get(method)
        if permission is None or permission.caller is Caller.ANYONE:
            return None
        if permission.caller is Caller.DEVICE:
            return self.certificates.device(cast("Mapping[str, Sequence[bytes]]", context.auth_context()))
        scheme, _, untrusted_token = _metadata(context, "authorization").partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(untrusted_token) <= MAX_TOKEN_CHARACTERS:
            return None
        return await self.tokens.authenticate(untrusted_token)


class Wrapped:
    """What an interceptor makes of handlers: asked for with every call, made once for each method.

    Args:
        wrap: Makes it.
    """

    def __init__(self, wrap: "Callable[[Any, str], grpc.RpcMethodHandler[Any, Any]]") -> None:
        self._wrap = wrap
        self._made: dict[str, tuple[Any, grpc.RpcMethodHandler[Any, Any]]] = {}

    def __call__(self, handler: Any, method: str) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """A wrapped handler; None: there is none, the method does not exist."""
        if handler is None:
            return None
        known = self._made.get(method)
        if known is None or known[0] is not handler:
            known = self._made[method] = handler, self._wrap(handler, method)
        return known[1]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Runs every call between its entry and its translation into a status.

    Args:
        entry: How calls enter.
        log: What is told of those that went well; None: only of slow ones.
        tracing: Follows them; None: nobody does.
    """

    def __init__(self, entry: CallEntry, log: CallLog | None = None, tracing: Tracing | None = None) -> None:
        self._entry = entry
        self._around = Wrapped(self._wrapped)
        self._log = log or CallLog()
        self._tracing = tracing or NoTracing()

    async def intercept_service(
        self,
        continuation: Continuation,
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Wrap the method's handler; gRPC itself answers UNIMPLEMENTED for unknown methods."""
        return self._around(await continuation(handler_call_details), handler_call_details.method)

    def _wrapped(self, handler: Any, method: str) -> "grpc.RpcMethodHandler[Any, Any]":
        serializers = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, method), **serializers)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream, method), **serializers)
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(self._unary(handler.stream_unary, method), **serializers)
        # A servicer that writes its answers itself ends like a unary one: by returning, or by what it raised.
        writes = iscoroutinefunction(handler.stream_stream)
        entered = (
            self._unary(handler.stream_stream, method, timed=False)
            if writes
            else self._stream(handler.stream_stream, method)
        )
        return grpc.stream_stream_rpc_method_handler(entered, **serializers)

    def _unary(self, behaviour: Unary, method: str, *, timed: bool = True) -> Any:
        async def call(request: Any, context: Context) -> Any:
            entered = self._begin(method, context, timed=timed)
            with self._tracing.call(entered, context.invocation_metadata() or ()):
                try:
                    with await self._enter(entered, context):
                        answer = await behaviour(request, context)
                # The supervision point of every unary call: whatever it raised becomes a status, here and nowhere else.
                except Exception as error:  # noqa: BLE001
                    await _answer(error, entered, context)
                else:
                    self._log.ended(entered)
                    return answer

        return call

    def _stream(self, behaviour: Stream, method: str) -> Any:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            entered = self._begin(method, context, timed=False)
            with self._tracing.call(entered, context.invocation_metadata() or ()):
                try:
                    with await self._enter(entered, context):
                        async for response in behaviour(request, context):
                            yield response
                # The supervision point of every streaming call, as above.
                except Exception as error:  # noqa: BLE001
                    await _answer(error, entered, context)
                else:
                    self._log.ended(entered)

        return call

    def _begin(self, method: str, context: Context, *, timed: bool) -> Entered:
        return Entered(method, self._entry.request_id(context), asyncio.get_running_loop().time(), timed=timed)

    async def _enter(self, entered: Entered, context: Context) -> AbstractContextManager[None]:
        entered.peer = self._entry.address_of(context.peer())
        principal = entered.principal = await self._entry.admit(entered, context)
        ahead = timedelta(0) if principal is None else await self._entry.times.ahead(principal.org_id)
        return calling(request_id=entered.request_id, peer=entered.peer, principal=principal, ahead=ahead)


async def _answer(error: Exception, entered: Entered, context: Context) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, grpc.aio.InternalError):
        # A stream whose other end has gone, as lines do: nobody is left to be answered.
        tell_gone(entered)
        await context.abort(grpc.StatusCode.CANCELLED, "the caller is gone")
    refusal = refusal_of(error)
    if refusal is not None:
        status, detail = STATUS[refusal.kind], error_detail(refusal)
        tell_refused(entered, status.name, refusal)
    else:
        status, detail = grpc.StatusCode.INTERNAL, internal_detail(entered.request_id)
        tell_failed(entered, status.name, error)
    entered.code = status.name
    await context.abort(
        status,
        detail.message,
        ((ERROR_DETAIL_METADATA, detail.SerializeToString()), (REQUEST_ID_METADATA, entered.request_id)),
    )


def _metadata(context: Context, key: str) -> str:
    for name, value in context.invocation_metadata() or ():
        if name == key and isinstance(value, str):
            return value
    return ""
