"""The port to whoever follows calls and jobs through systems; without one, nothing is done and nothing imported."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from controlplane.runtime.jobs.queue import Job
from controlplane.runtime.observability.call_log import Entered

#: Names and values as a caller sent them.
Metadata = Iterable[tuple[str, str | bytes]]
_NOTHING = nullcontext()


class Tracing(Protocol):
    """Follows what the server does; implemented by `NoTracing` and `runtime.telemetry`."""

    def call(self, entered: Entered, untrusted_metadata: Metadata) -> AbstractContextManager[None]:
        """Around a call; who called and how it ended stands in `entered` when it is over."""

    def job(self, job: Job) -> AbstractContextManager[None]:
        """Around a job."""

    def finish(self) -> None:
        """Send what waits; called when the server stops."""


class NoTracing:
    """Nobody follows; port `Tracing`."""

    def call(self, entered: Entered, untrusted_metadata: Metadata) -> AbstractContextManager[None]:  # noqa: ARG002 -- the port's
        """Nothing."""
        return _NOTHING

    def job(self, job: Job) -> AbstractContextManager[None]:  # noqa: ARG002 -- the port's
        """Nothing."""
        return _NOTHING

    def finish(self) -> None:
        """Nothing waits."""
