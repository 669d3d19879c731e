"""What a failed stream means for the next attempt."""

import grpc
import pytest

from agent.control.link.stream import ended_by
from agent.control.link.stream_pace import Ended, Ending
from tests.unit.agent.control.link.test_report_refused import failed
from wire.v1.common_pb2 import ErrorDetail


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (failed(grpc.StatusCode.UNIMPLEMENTED), Ended(Ending.UNSUPPORTED)),
        (failed(grpc.StatusCode.UNAVAILABLE), Ended(Ending.BROKEN)),
        # What a server says in the moment in which it stops must not keep its devices away for long.
        (failed(grpc.StatusCode.UNKNOWN), Ended(Ending.BROKEN)),
        (failed(grpc.StatusCode.INTERNAL, ErrorDetail(reason="INTERNAL")), Ended(Ending.BROKEN)),
        (failed(grpc.StatusCode.PERMISSION_DENIED), Ended(Ending.BROKEN)),
        (failed(grpc.StatusCode.PERMISSION_DENIED, ErrorDetail(reason="DEVICE_REVOKED")), Ended(Ending.REFUSED)),
        (
            failed(grpc.StatusCode.RESOURCE_EXHAUSTED, ErrorDetail(reason="STREAMS_FULL", retry_after_s=9)),
            Ended(Ending.BUSY, 9),
        ),
        (TimeoutError(), Ended(Ending.BROKEN)),
    ],
)
def test_only_an_answer_that_is_meant_for_this_device_keeps_it_away(error: Exception, ended: Ended) -> None:
    assert ended_by(error, worked=False) == ended
    lost = Ended(Ending.LOST) if ended.ending is Ending.BROKEN else ended
    assert ended_by(error, worked=True) == lost


def test_a_mistake_of_ours_is_not_taken_for_a_failure_of_the_stream() -> None:
    with pytest.raises(KeyError):
        ended_by(KeyError("x"), worked=True)
