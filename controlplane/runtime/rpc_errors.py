"""Turns a refusal into what travels: a gRPC status and an `ErrorDetail`."""

from controlplane.runtime.refusal import Holder, Kind, Refusal
from controlplane.storage.outages import RETRY_AFTER_S, DatabaseUnavailableError
from controlplane.storage.types import to_microseconds
from wire.v1.common_pb2 import ErrorDetail, SeatHolder


def error_detail(refusal: Refusal) -> ErrorDetail:
    """Everything a reader may know about a refusal."""
    return ErrorDetail(
        reason=refusal.reason,
        message=refusal.message,
        next_step=refusal.next_step,
        retry_after_s=refusal.retry_after_s,
        seat_holders=[seat_holder(holder) for holder in refusal.seat_holders],
        facts=refusal.facts,
    )


def internal_detail(request_id: str) -> ErrorDetail:
    """What is said about a mistake of ours: an id to look it up by, nothing else."""
    return ErrorDetail(
        reason="INTERNAL",
        message="the control plane made a mistake",
        next_step=f"Try again; if it stays, give support this id: {request_id}",
        facts={"request_id": request_id},
    )


def refusal_of(error: Exception) -> Refusal | None:
    """The refusal that an error is, or is answered with; None: it is a mistake of ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, DatabaseUnavailableError):
        return Refusal(
            Kind.UNAVAILABLE,
            "DATABASE_UNAVAILABLE",
            "the control plane cannot reach its database at the moment",
            f"Try again in {RETRY_AFTER_S} seconds",
            retry_after_s=RETRY_AFTER_S,
        )
    return None


def seat_holder(holder: Holder) -> SeatHolder:
    """A holder on the wire."""
    return SeatHolder(
        seat_id=holder.seat_id,
        device_id=holder.device_id,
        device_name=holder.device_name,
        held_since_at_us=to_microseconds(holder.held_since),
        last_seen_at_us=0 if holder.last_seen is None else to_microseconds(holder.last_seen),
    )
