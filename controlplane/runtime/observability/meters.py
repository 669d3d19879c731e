"""Counts calls and jobs for Prometheus: how many, with which outcome, how long they took.

Labels are method names of the protocol and names of gRPC's statuses: both are few, whoever calls.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any, Final

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram

from controlplane.runtime.interceptors import Context, Continuation, Stream, Unary, Wrapped
from controlplane.runtime.jobs.queue import Job

#: Seconds; from what an idle machine needs to the time-out of an agent's call (20 s).
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
#: Seconds; a job may run for four minutes.
_JOB_BUCKETS: Final = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class CallMeters:
    """What is known about calls; all of a process are in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "buckler_rpc_ended", "Calls that ended, by method and gRPC status.", ["method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "buckler_rpc_seconds",
            "How long unary calls took on the server, in seconds.",
            ["method"],
            buckets=_BUCKETS,
            registry=registry,
        )

        # Labels are looked up once: that costs more than counting.
        self._ended_of: dict[tuple[str, str], Counter] = {}
        self._seconds_of: dict[str, Histogram] = {}

    def ended(self, method: str, status: str, seconds: float | None) -> None:
        """One more call; None: a stream, whose length says nothing."""
        counter = self._ended_of.get((method, status))
        if counter is None:
            counter = self._ended_of[method, status] = self._ended.labels(method, status)
        counter.inc()
        if seconds is None:
            return
        histogram = self._seconds_of.get(method)
        if histogram is None:
            histogram = self._seconds_of[method] = self._seconds.labels(method)
        histogram.observe(seconds)


class JobMeters:
    """What is known about the jobs that this process ran; kinds are few, they are names in the program."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "buckler_jobs_ended", "Jobs that ended, by kind and outcome.", ["kind", "outcome"], registry=registry
        )
        self._parked = Counter("buckler_jobs_parked", "Jobs that were given up, by kind.", ["kind"], registry=registry)
        self._seconds = Histogram(
            "buckler_job_seconds", "How long jobs took, in seconds.", ["kind"], buckets=_JOB_BUCKETS, registry=registry
        )

    @contextmanager
    def around(self, job: Job) -> Iterator[None]:
        """Measure it."""
        now = asyncio.get_running_loop().time
        began, outcome = now(), "failed"
        try:
            yield
            outcome = "succeeded"
        finally:
            self._ended.labels(job.kind, outcome).inc()
            self._seconds.labels(job.kind).observe(now() - began)

    def parked(self, job: Job) -> None:
        """Nothing tries it any more."""
        self._parked.labels(job.kind).inc()


class MeterInterceptor(grpc.aio.ServerInterceptor):
    """Measures around everything else that happens around a call.

    Args:
        meters: Where to.
    """

    def __init__(self, meters: CallMeters) -> None:
        self._meters = meters
        self._around = Wrapped(self._wrapped)

    async def intercept_service(
        self,
        continuation: Continuation,
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Wrap the method's handler; unknown methods are not counted, anybody could name them."""
        return self._around(await continuation(handler_call_details), handler_call_details.method)

    def _wrapped(self, handler: Any, method: str) -> "grpc.RpcMethodHandler[Any, Any]":
        serializers = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, method), **serializers)
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(self._unary(handler.stream_unary, method), **serializers)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream, method), **serializers)
        writes = iscoroutinefunction(handler.stream_stream)
        measured = (
            self._unary(handler.stream_stream, method, timed=False)
            if writes
            else self._stream(handler.stream_stream, method)
        )
        return grpc.stream_stream_rpc_method_handler(measured, **serializers)

    def _unary(self, behaviour: Unary, method: str, *, timed: bool = True) -> Any:
        async def call(request: Any, context: Context) -> Any:
            now = asyncio.get_running_loop().time
            began = now()
            status = "CANCELLED"
            try:
                answer = await behaviour(request, context)
                status = "OK"
            except grpc.aio.AbortError:
                status = context.code().name
                raise
            else:
                return answer
            finally:
                self._meters.ended(method, status, now() - began if timed else None)

        return call

    def _stream(self, behaviour: Stream, method: str) -> Any:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            status = "CANCELLED"
            try:
                async for response in behaviour(request, context):
                    yield response
                status = "OK"
            except grpc.aio.AbortError:
                status = context.code().name
                raise
            finally:
                self._meters.ended(method, status, None)

        return call
