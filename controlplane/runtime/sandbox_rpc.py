"""SandboxService on the wire."""

from datetime import timedelta

from controlplane.runtime.interceptors import Context
from controlplane.runtime.principal import current_person
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.runtime.sandbox import MAX_ADVANCE, SandboxDesk
from controlplane.storage.types import from_microseconds, optional_microseconds, to_microseconds
from wire.v1 import sandbox_pb2
from wire.v1.sandbox_pb2_grpc import SandboxServiceServicer


class SandboxRpc(SandboxServiceServicer):
    """The servicer."""

    def __init__(self, desk: SandboxDesk) -> None:
        self._desk = desk

    async def GetSandbox(  # noqa: N802 -- the name is the protocol's
        self, _request: sandbox_pb2.GetSandboxRequest, _context: Context
    ) -> sandbox_pb2.GetSandboxResponse:
        """Where it is."""
        found = await self._desk.show(current_person().org_id)
        return sandbox_pb2.GetSandboxResponse(
            org_id=found.org_id,
            now_at_us=to_microseconds(found.now),
            ahead_us=found.ahead // timedelta(microseconds=1),
            next_job_at_us=optional_microseconds(found.next_due),
            jobs_parked=found.parked,
        )

    async def AdvanceClock(  # noqa: N802 -- the name is the protocol's
        self, request: sandbox_pb2.AdvanceClockRequest, _context: Context
    ) -> sandbox_pb2.AdvanceClockResponse:
        """Takes it forward, some of the way at least."""
        try:
            until = from_microseconds(request.until_at_us)
        except OverflowError as error:
            raise Refusal(
                Kind.INVALID,
                "ADVANCE_INVALID",
                "that is no moment of this calendar",
                f"Choose one within {MAX_ADVANCE.days} days",
            ) from error
        moved = await self._desk.advance(current_person().org_id, until)
        return sandbox_pb2.AdvanceClockResponse(
            now_at_us=to_microseconds(moved.now),
            jobs_run=moved.run,
            jobs_failed=moved.failed,
            reached=moved.reached,
        )
