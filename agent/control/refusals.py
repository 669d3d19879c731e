"""From a failed call to the one sentence a person reads."""

import grpc
from google.protobuf.message import DecodeError

from agent.control.request_ids import request_id_of
from agent.domain.errors import BucklerError, ExitStatus
from wire.entitlement_codec import ERROR_DETAIL_METADATA
from wire.v1.common_pb2 import ErrorDetail

#: Status codes that say nothing about the request: the way there, or the server's moment, was bad.
TRANSIENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
#: Refusals that a later, identical request may not meet.
BUSY = frozenset({"RATE_LIMITED"})


def error_detail(error: grpc.aio.AioRpcError) -> ErrorDetail | None:
    """The server's own explanation, when it sent one that can be read."""
    for name, value in error.trailing_metadata():
        if name == ERROR_DETAIL_METADATA and isinstance(value, bytes):
            try:
                return ErrorDetail.FromString(value)
            except DecodeError:
                return None
    return None


def is_transient(error: grpc.aio.AioRpcError) -> bool:
    """Whether the same call may well succeed later; a refusal with an explanation is final unless it says when."""
    detail = error_detail(error)
    if detail is not None:
        return detail.retry_after_s > 0 or detail.reason in BUSY
    return error.code() in TRANSIENT or error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def refusal_from_rpc(error: grpc.aio.AioRpcError) -> BucklerError:
    """What to tell the person, from what the server told us."""
    detail, request_id = error_detail(error), request_id_of(error)
    # Under this the control plane's log says more than it tells us.
    facts = {"request_id": request_id} if request_id else {}
    if detail is None or not detail.reason:
        told = f"this id: {request_id}" if request_id else "the time of this message"
        return BucklerError(
            "SERVER_ERROR",
            f"the control plane failed without an explanation ({error.code().name})",
            next_step=f"try again in a few minutes; if it stays, tell your administrator {told}",
            exit_status=ExitStatus.UNREACHABLE,
            facts=facts,
        )
    facts.update(detail.facts)
    if detail.retry_after_s:
        facts["retry_after_s"] = str(detail.retry_after_s)
    code = "SERVER_BUSY" if detail.reason in BUSY else detail.reason
    return BucklerError(
        code,
        detail.message + _holders(detail, facts),
        next_step=detail.next_step,
        exit_status=ExitStatus.UNREACHABLE if code == "SERVER_BUSY" else ExitStatus.NEGATIVE,
        facts=facts,
    )


def _holders(detail: ErrorDetail, facts: dict[str, str]) -> str:
    """The holders of the seats, in the sentence for people and among the facts for scripts."""
    if not detail.seat_holders:
        return ""
    for number, holder in enumerate(detail.seat_holders, 1):
        facts[f"seat_holder_{number}"] = f"{holder.device_id} {holder.device_name}"
    named = ", ".join(f"{holder.device_name} ({holder.device_id})" for holder in detail.seat_holders)
    return f"; the seats are held by {named}"
