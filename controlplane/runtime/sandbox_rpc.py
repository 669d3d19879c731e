"""SandboxService on the wire; registered by `buckler-server serve --demo` only."""

from datetime import timedelta

from controlplane.runtime.clock import ShiftedClock
from controlplane.runtime.interceptors import Context
from controlplane.runtime.job_runner import JobRunner
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.storage.types import to_microseconds
from wire.v1 import sandbox_pb2
from wire.v1.sandbox_pb2_grpc import SandboxServiceServicer

#: Of one call; leap days included.
MAX_ADVANCE = timedelta(days=3653)
#: Of a sandbox's whole life: the calendar has to have room for a term after it.
MAX_OFFSET = timedelta(days=36525)


class SandboxRpc(SandboxServiceServicer):
    """The servicer."""

    def __init__(self, clock: ShiftedClock, runner: JobRunner) -> None:
        self._clock = clock
        self._runner = runner

    async def AdvanceClock(  # noqa: N802 -- the name is the protocol's
        self,
        request: sandbox_pb2.AdvanceClockRequest,
        _context: Context,
    ) -> sandbox_pb2.AdvanceClockResponse:
        """Moves business time forward through every job that is due on the way."""
        if not 0 < request.advance_s <= MAX_ADVANCE // timedelta(seconds=1):
            raise Refusal(
                Kind.INVALID,
                "ADVANCE_INVALID",
                f"the clock can be moved forward by 1 second to {MAX_ADVANCE.days} days at a time",
                "Choose a span in this range",
            )
        span = timedelta(seconds=request.advance_s)
        if self._clock.offset + span > MAX_OFFSET:
            raise Refusal(
                Kind.PRECONDITION,
                "SANDBOX_TOO_FAR",
                f"this sandbox would run more than {MAX_OFFSET.days // 365} years ahead",
                "Make a new one: buckler-server init --data-dir DIR",
            )
        report = await self._runner.advance_to(self._clock.now() + span)
        return sandbox_pb2.AdvanceClockResponse(now_at_us=to_microseconds(self._clock.now()), jobs_run=report.run)
